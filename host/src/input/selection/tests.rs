//! Tests with batches of 7 s, a start at 1000 s, and 60 s to remember, which are 9 batches: 63 s.

use super::*;
use proptest::prelude::*;

const SLIDE: Duration = Duration::from_secs(7);

fn selection(start_s: u64, new_files_only: bool) -> Selection {
    Selection::new(seconds(start_s), new_files_only, Duration::from_secs(60), SLIDE, Names::default())
}

const fn seconds(seconds: u64) -> Time {
    Time::from_ms(seconds * 1000)
}

/// A file whose inode number follows from the letters of its name.
pub fn file(path: &str, modified_s: u64) -> DirectoryEntry {
    let path = PathBuf::from(path);
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let inode = name.bytes().fold(7, |number: u64, letter| number.wrapping_mul(31) + u64::from(letter));
    DirectoryEntry {
        path,
        name,
        is_directory: false,
        is_regular: true,
        id: FileId { device: 1, inode, born_ns: 1 },
        modified: seconds(modified_s),
        modified_ns: modified_s * 1_000_000_000,
        bytes: 1,
    }
}

fn selected(selection: &mut Selection, batch_s: u64, entries: &[DirectoryEntry]) -> Vec<String> {
    let verdicts = selection.select(seconds(batch_s), entries);
    let taken = entries.iter().zip(verdicts).filter(|(_, verdict)| *verdict == Verdict::Take);
    taken.map(|(entry, _)| entry.name.clone()).collect()
}

fn verdict(selection: &mut Selection, batch_s: u64, entry: DirectoryEntry) -> Verdict {
    selection.select(seconds(batch_s), &[entry])[0]
}

/// S2.10, S2.15
#[test]
fn a_file_is_taken_once_by_its_modification_time() {
    let mut selection = selection(1000, true);
    let files = [file("/in/before", 999), file("/in/new", 1001), file("/in/later", 1008), file("/in/.hidden", 1001)];
    assert_eq!(selected(&mut selection, 1007, &files), ["new"]);
    assert_eq!(selected(&mut selection, 1014, &files), ["later"]);
    assert!(selected(&mut selection, 1021, &files).is_empty());
    // The file appears late, but was modified within the remembered time.
    assert_eq!(selected(&mut selection, 1063, &[file("/in/late", 1001)]), ["late"]);
    assert!(selected(&mut selection, 1070, &[file("/in/too-late", 1007)]).is_empty());
    // After 63 s the file is forgotten, and is too old by then. With a new modification time, it is taken again.
    assert!(selected(&mut selection, 1084, &files).is_empty());
    assert_eq!(selected(&mut selection, 1091, &[file("/in/new", 1090)]), ["new"]);
}

/// S2.16, S2.19: changes of a file while it is remembered are never read, also when the file is forgotten. A later
/// modification makes a new version.
#[test]
fn a_file_that_changes_is_not_read_again_while_it_is_remembered() {
    for (change_s, is_read) in [(1010, false), (1060, false), (1070, false), (1071, true)] {
        let mut selection = selection(1000, true);
        assert_eq!(selected(&mut selection, 1007, &[file("/in/log", 1001)]), ["log"]);
        let changed = file("/in/log", change_s);
        let batches: Vec<u64> = (1014..1300).step_by(7).filter(|batch| *batch >= change_s).collect();
        let found: Vec<u64> = batches
            .into_iter()
            .filter(|batch| !selected(&mut selection, *batch, std::slice::from_ref(&changed)).is_empty())
            .collect();
        assert_eq!(found, if is_read { vec![1077] } else { vec![] }, "{change_s}");
    }
}

/// S2.16
#[test]
fn a_file_that_grew_or_was_written_over_is_told_apart() {
    let mut selection = selection(1000, true);
    assert_eq!(verdict(&mut selection, 1007, file("/in/log", 1001)), Verdict::Take);
    assert_eq!(verdict(&mut selection, 1014, file("/in/log", 1001)), Verdict::Known);
    let batch = seconds(1007);
    let grown = DirectoryEntry { bytes: 18, ..file("/in/log", 1010) };
    assert_eq!(verdict(&mut selection, 1014, grown), Verdict::Changed { batch, unread_bytes: Some(17) });
    let changed = Verdict::Changed { batch, unread_bytes: None };
    assert_eq!(verdict(&mut selection, 1014, file("/in/log", 1010)), changed);
    let within_a_millisecond = DirectoryEntry { modified_ns: 1_001_000_000_001, ..file("/in/log", 1001) };
    assert_eq!(verdict(&mut selection, 1014, within_a_millisecond), changed);
}

/// S2.16: neither another name nor another spelling of the directory makes a file new.
#[test]
fn a_file_is_known_by_what_it_is() {
    let mut selection = selection(1000, true);
    assert_eq!(verdict(&mut selection, 1007, file("/in/log", 1001)), Verdict::Take);
    for path in ["/in/log.1", "/in/../in/log", "/elsewhere/log"] {
        let renamed = DirectoryEntry { path: path.into(), ..file("/in/log", 1001) };
        assert_eq!(verdict(&mut selection, 1014, renamed), Verdict::Known, "{path}");
    }
    // The file with its old name is another file.
    let other = DirectoryEntry { id: FileId { inode: 5, ..FileId::default() }, ..file("/in/log", 1009) };
    assert_eq!(verdict(&mut selection, 1014, other), Verdict::Take);
    let first = DirectoryEntry { path: "/in/log.1".into(), ..file("/in/log", 1001) };
    assert_eq!(verdict(&mut selection, 1021, first), Verdict::Known);
    // The file system was mounted again.
    let moved = DirectoryEntry { id: FileId { device: 9, inode: 5, ..FileId::default() }, ..file("/in/log", 1009) };
    assert_eq!(verdict(&mut selection, 1028, moved), Verdict::Known);
}

/// The number of a removed file is given to another file.
#[test]
fn a_file_with_the_number_of_another_is_new() {
    let mut selection = selection(1000, true);
    let first = DirectoryEntry { id: FileId { device: 1, inode: 5, born_ns: 10 }, ..file("/in/a", 1001) };
    assert_eq!(verdict(&mut selection, 1007, first.clone()), Verdict::Take);
    let second = DirectoryEntry { id: FileId { born_ns: 20, ..first.id }, ..file("/in/b", 1008) };
    assert_eq!(verdict(&mut selection, 1014, second), Verdict::Take);
    // The file has no time of birth.
    let third = DirectoryEntry { id: FileId { device: 1, inode: 6, born_ns: 0 }, ..file("/in/c", 1009) };
    assert_eq!(verdict(&mut selection, 1014, third.clone()), Verdict::Take);
    let fourth = DirectoryEntry { id: third.id, ..file("/in/d", 1010) };
    assert_eq!(verdict(&mut selection, 1021, fourth), Verdict::Take);
}

#[test]
fn two_names_of_a_file_are_one_file() {
    let mut selection = selection(1000, true);
    let names = [file("/in/a", 1001), DirectoryEntry { path: "/in/b".into(), ..file("/in/a", 1001) }];
    assert_eq!(selection.select(seconds(1007), &names), [Verdict::Take, Verdict::Known]);
}

/// A file that was created and not written yet is not read as an empty file.
#[test]
fn an_empty_file_is_waited_for() {
    let mut selection = selection(1000, true);
    assert_eq!(verdict(&mut selection, 1007, DirectoryEntry { bytes: 0, ..file("/in/a", 1001) }), Verdict::Empty);
    assert_eq!(verdict(&mut selection, 1014, file("/in/a", 1010)), Verdict::Take);
}

/// The modification time of a file may be older than the start, because the clock has not ticked since then.
#[test]
fn a_file_made_right_after_the_start_is_new() {
    let mut selection =
        Selection::new(Time::from_ms(1_000_009), true, Duration::from_secs(60), SLIDE, Names::default());
    assert_eq!(selected(&mut selection, 1007, &[file("/in/new", 1000)]), ["new"]);
}

/// S2.10
#[test]
fn existing_files_are_read_once_whatever_their_age() {
    let files = [file("/in/ancient", 1), file("/in/old", 944), file("/in/young", 999)];
    let mut first = selection(1000, false);
    assert_eq!(selected(&mut first, 1007, &files), ["ancient", "old", "young"]);
    assert!((1014..1200).step_by(7).all(|batch| selected(&mut first, batch, &files).is_empty()));
    // A file that appears later with an old time is not one of the files that existed before.
    assert_eq!(verdict(&mut first, 1203, file("/in/late", 2)), Verdict::PassOver(PassedOverCause::TooOld));
    // A restart reads none of them again, whatever it remembers.
    let mut resumed = selection(1300, false);
    resumed.resume(seconds(1000), Some(seconds(1203)), []);
    assert!(selected(&mut resumed, 1211, &files).is_empty());
    // A job that was started and has made no batch has read nothing.
    let mut again = selection(1300, false);
    again.resume(seconds(1000), None, []);
    assert_eq!(selected(&mut again, 1302, &files), ["ancient", "old", "young"]);
}

#[test]
fn what_is_passed_over_has_a_cause() {
    let mut selection = selection(1000, true);
    let pass_over = |cause| Verdict::PassOver(cause);
    assert_eq!(verdict(&mut selection, 1007, file("/in/a", 900)), pass_over(PassedOverCause::Existing));
    assert_eq!(verdict(&mut selection, 1098, file("/in/a", 1010)), pass_over(PassedOverCause::TooOld));
    for name in [".a", "_SUCCESS", "data.csv._COPYING_"] {
        let path = format!("/in/{name}");
        assert_eq!(verdict(&mut selection, 1098, file(&path, 1097)), pass_over(PassedOverCause::HiddenName), "{name}");
    }
    let pipe = DirectoryEntry { is_regular: false, ..file("/in/a", 1097) };
    assert_eq!(verdict(&mut selection, 1098, pipe), pass_over(PassedOverCause::NoRegularFile));
    // Files that an earlier host saw are not reported again.
    selection.resume(seconds(1000), Some(seconds(1098)), []);
    assert_eq!(verdict(&mut selection, 1175, file("/in/a", 1010)), Verdict::Known);
    assert_eq!(verdict(&mut selection, 1175, file("/in/a", 1100)), pass_over(PassedOverCause::TooOld));
}

#[test]
fn patterns_choose_names() {
    let patterns = |words: &[&str]| words.iter().map(|word| glob::Pattern::new(word).unwrap()).collect();
    let names = Names { include: patterns(&["*.csv", "*.txt"]), ignore: patterns(&["tmp*"]) };
    let refused = |name: &str| names.refuse(name);
    assert_eq!((refused("a.csv"), refused("a.txt")), (None, None));
    assert_eq!(refused("a.csv~"), Some(PassedOverCause::Pattern));
    assert_eq!(refused("tmp.csv"), Some(PassedOverCause::Pattern));
    assert_eq!(refused("_a.csv"), Some(PassedOverCause::HiddenName));
    let ignore_only = Names { include: Vec::new(), ignore: patterns(&["*~"]) };
    assert_eq!((ignore_only.refuse("a"), ignore_only.refuse("a~")), (None, Some(PassedOverCause::Pattern)));
}

/// A checkpoint of an earlier version has only paths, and times in whole milliseconds.
#[test]
fn what_an_earlier_version_took_is_known_by_its_path() {
    let mut selection = selection(1000, true);
    let stamp = FileStamp::modified_at(seconds(1001));
    let taken = TakenFile { batch: seconds(1007), path: "/in/a".into(), stamp, bytes: 1 };
    selection.resume(seconds(1000), Some(seconds(1007)), [taken.clone()]);
    assert_eq!(selection.by_path.get(std::path::Path::new("/in/a")), Some(&taken));
    let exact = DirectoryEntry { modified_ns: 1_001_000_000_123, ..file("/in/a", 1001) };
    assert_eq!(verdict(&mut selection, 1014, exact), Verdict::Known);
}

proptest! {
    /// The next batch with files is the batch that a search batch by batch finds.
    #[test]
    fn the_next_batch_with_files_is_known_ahead(
        modified in prop::collection::vec((0u64..5, 900u64..1300), 0..6),
        taken in prop::collection::vec((0u64..5, 140u64..150), 0..4),
        new_files_only in any::<bool>(),
        is_resumed in any::<bool>(),
    ) {
        let mut selection = selection(950, new_files_only);
        let taken = taken.into_iter().map(|(name, batch)| {
            TakenFile::new(seconds(batch * 7), &file(&format!("/in/{name}"), batch * 7 - 1))
        });
        selection.resume(seconds(950), is_resumed.then_some(seconds(1043)), taken);
        let files: BTreeMap<u64, u64> = modified.into_iter().collect();
        let entries: Vec<_> = files.iter().map(|(name, time)| file(&format!("/in/{name}"), *time)).collect();
        let from = seconds(150 * 7);
        let found = selection.next(from, SLIDE, &entries);
        let mut batches = (150..220).map(|batch| seconds(batch * 7));
        let first = batches.find(|batch| selection.select(*batch, &entries).contains(&Verdict::Take));
        // Files that are too old for the first batch, which reads all files, are not found by a later batch.
        prop_assert_eq!(found, first);
    }
}
