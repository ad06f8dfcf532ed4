//! The data that survives when the host is killed, and when the machine goes down.

use crate::env::{Disk, OutputFile, Simulation};
use crate::time::Time;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A step of a program, on a few files in two directories.
#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Append(u8, u8),
    SyncFile(u8),
    Rename(u8, u8),
    Remove(u8),
    SyncDirectory(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let file = || 0u8..6;
    let step = prop_oneof![
        file().prop_map(Step::Create),
        (file(), 1u8..60).prop_map(|(file, count)| Step::Append(file, count)),
        (file(), 1u8..60).prop_map(|(file, count)| Step::Append(file, count)),
        file().prop_map(Step::SyncFile),
        (file(), file()).prop_map(|(from, to)| Step::Rename(from, to)),
        file().prop_map(Step::Remove),
        any::<bool>().prop_map(Step::SyncDirectory),
    ];
    prop::collection::vec(step, 0..40)
}

fn directory(is_second: bool) -> &'static Path {
    Path::new(if is_second { "/b" } else { "/a" })
}

fn path(file: u8) -> PathBuf {
    directory(file >= 3).join(format!("f{}", file % 3))
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The content that may be found under a name after a crash. It follows from the bytes that were written and synced.
#[derive(Clone, Default)]
struct Expected {
    /// The number of the file, whatever its names were.
    file: usize,
    bytes: Vec<u8>,
    /// How many bytes of `bytes` were synced since the file was last emptied.
    synced: usize,
    /// Whether an emptying may be lost, so that older bytes come back.
    is_emptied: bool,
    is_name_synced: bool,
}

/// A world in which the steps were taken, and the expected content.
struct Played {
    simulation: Simulation,
    expected: BTreeMap<PathBuf, Expected>,
    /// The files that ever had a name.
    had_name: BTreeMap<PathBuf, BTreeSet<usize>>,
    /// The bytes that were ever written at a position of each file.
    written: Vec<BTreeSet<(usize, u8)>>,
    /// The names after each step.
    names: Vec<BTreeSet<PathBuf>>,
    /// The first of them that no sync has made final.
    first_open: usize,
}

fn names(simulation: &Simulation) -> BTreeSet<PathBuf> {
    simulation.files().into_keys().collect()
}

fn play(steps: &[Step]) -> Played {
    let simulation = Simulation::new(0, Time::default());
    for path in ["/a/keep", "/b/keep"] {
        simulation.file(path, "kept");
    }
    let env = simulation.env();
    let names = vec![names(&simulation)];
    let mut played = Played {
        simulation,
        expected: BTreeMap::new(),
        had_name: BTreeMap::new(),
        written: Vec::new(),
        names,
        first_open: 0,
    };
    let mut next = 0u8;
    for step in steps {
        played.step(&*env.disk, step, &mut next);
    }
    played
}

impl Played {
    fn find_or_make(&mut self, path: &Path) -> &mut Expected {
        let (written, had_name) = (&mut self.written, self.had_name.entry(path.to_path_buf()).or_default());
        self.expected.entry(path.to_path_buf()).or_insert_with(|| {
            let file = written.len();
            written.push(BTreeSet::new());
            had_name.insert(file);
            Expected { file, ..Expected::default() }
        })
    }

    fn step(&mut self, disk: &dyn Disk, step: &Step, next: &mut u8) {
        match step {
            Step::Create(file) => {
                disk.create(&path(*file)).unwrap();
                let expected = self.find_or_make(&path(*file));
                expected.is_emptied |= !expected.bytes.is_empty();
                (expected.bytes, expected.synced) = (Vec::new(), 0);
            }
            Step::Append(file, count) => {
                // Bytes that differ from the bytes around them, and are never zero.
                let bytes: Vec<u8> = (0..*count).map(|at| (at.wrapping_add(*next)) | 1).collect();
                *next = next.wrapping_add(77);
                disk.append(&path(*file)).unwrap().write_all(&bytes).unwrap();
                let expected = self.find_or_make(&path(*file));
                let start = expected.bytes.len();
                expected.bytes.extend(&bytes);
                let file = expected.file;
                self.written[file].extend(bytes.into_iter().enumerate().map(|(at, byte)| (start + at, byte)));
            }
            Step::SyncFile(file) => {
                if let Some(expected) = self.expected.get_mut(&path(*file)) {
                    disk.append(&path(*file)).unwrap().sync().unwrap();
                    expected.synced = expected.bytes.len();
                    expected.is_emptied = false;
                }
            }
            Step::Rename(from, to) => {
                if from != to && disk.rename(&path(*from), &path(*to)).is_ok() {
                    let mut moved = self.expected.remove(&path(*from)).unwrap();
                    moved.is_name_synced = false;
                    self.had_name.entry(path(*to)).or_default().insert(moved.file);
                    self.expected.insert(path(*to), moved);
                }
            }
            Step::Remove(file) => {
                disk.remove(&path(*file)).unwrap();
                self.expected.remove(&path(*file));
            }
            Step::SyncDirectory(which) => {
                disk.sync_directory(directory(*which)).unwrap();
                for (_, expected) in self.expected.iter_mut().filter(|(path, _)| path.starts_with(directory(*which))) {
                    expected.is_name_synced = true;
                }
                // All names are known to be final only if nothing happened in the other directory.
                let others = |names: &BTreeSet<PathBuf>| -> Vec<PathBuf> {
                    names.iter().filter(|path| path.starts_with(directory(!which))).cloned().collect()
                };
                let last = self.names.last().unwrap();
                if self.names[self.first_open..].iter().all(|names| others(names) == others(last)) {
                    self.first_open = self.names.len() - 1;
                }
            }
        }
        self.names.push(names(&self.simulation));
    }

    fn check_crashed(&self, found: &Files) {
        let names: BTreeSet<PathBuf> = found.keys().cloned().collect();
        assert!(self.names[self.first_open..].contains(&names), "names of no moment: {names:?} of {:?}", self.names);
        for (path, bytes) in found.iter().filter(|(path, _)| !path.ends_with("keep")) {
            let is_of = |file: &usize| {
                let written = &self.written[*file];
                bytes.iter().enumerate().all(|(at, byte)| *byte == 0 || written.contains(&(at, *byte)))
            };
            assert!(self.had_name[path].iter().any(is_of), "invented bytes in {}: {bytes:?}", path.display());
        }
        for (path, expected) in self.expected.iter().filter(|(_, expected)| expected.is_name_synced) {
            // A later rename onto the name, or its removal, removes the name from `expected`. So the file must exist.
            let bytes = &found[path];
            if !expected.is_emptied {
                assert!(bytes.len() <= expected.bytes.len(), "{} is too long", path.display());
                assert!(bytes.starts_with(&expected.bytes[..expected.synced]), "{} lost bytes", path.display());
                let is_same = |(found, written): (&u8, &u8)| *found == 0 || found == written;
                assert!(bytes.iter().zip(&expected.bytes).all(is_same), "{} has other bytes", path.display());
            }
        }
        assert_eq!(found[Path::new("/a/keep")], b"kept");
        assert_eq!(found[Path::new("/b/keep")], b"kept");
    }
}

proptest! {
    #[test]
    fn what_was_synced_survives_a_crash_and_nothing_is_invented(steps in steps(), seed: u64) {
        let played = play(&steps);
        played.simulation.crash(seed);
        let found = played.simulation.files();
        played.check_crashed(&found);
        // Data that exists after a crash is on the disk.
        played.simulation.crash(seed ^ 1);
        prop_assert_eq!(played.simulation.files(), found);
    }

    #[test]
    fn a_seed_crashes_alike(steps in steps(), seed: u64) {
        let crashed = [play(&steps), play(&steps)].map(|played| {
            played.simulation.crash(seed);
            played.simulation.files()
        });
        prop_assert_eq!(&crashed[0], &crashed[1]);
    }

    #[test]
    fn a_kill_loses_nothing(steps in steps(), seed: u64) {
        let played = play(&steps);
        let before = played.simulation.files();
        played.simulation.kill();
        prop_assert_eq!(&played.simulation.files(), &before);
        for (path, expected) in &played.expected {
            prop_assert_eq!(&before[path], &expected.bytes);
        }
        // The operation made nothing durable either.
        played.simulation.crash(seed);
        played.check_crashed(&played.simulation.files());
    }

    #[test]
    fn a_program_that_is_halted_has_done_the_writes_before(steps in steps(), at in 1u64..30) {
        let simulation = Simulation::new(0, Time::default());
        for path in ["/a/keep", "/b/keep"] {
        simulation.file(path, "kept");
    }
        simulation.halt_at_write(at);
        let disk = simulation.env().disk;
        let mut last = simulation.files();
        for step in &steps {
            let before = (simulation.writes(), simulation.files());
            let done = match step {
                Step::Create(file) => disk.create(&path(*file)).map(drop),
                Step::Append(file, count) =>
                    disk.append(&path(*file)).and_then(|mut writer| writer.write_all(&vec![1; usize::from(*count)])),
                Step::SyncFile(file) => disk.append(&path(*file)).and_then(|mut writer| writer.sync()),
                Step::Rename(from, to) => disk.rename(&path(*from), &path(*to)),
                Step::Remove(file) => disk.remove(&path(*file)),
                Step::SyncDirectory(which) => disk.sync_directory(directory(*which)),
            };
            last = simulation.files();
            // Operations that changed something are counted. Operations that failed are not.
            prop_assert!(before.1 == last || before.0 < simulation.writes());
            if simulation.writes() == at - 1 && done.is_err() && disk.list(Path::new("/a")).is_err() {
                break;
            }
        }
        prop_assert!(simulation.writes() < at);
        simulation.kill();
        prop_assert_eq!(simulation.files(), last);
        prop_assert!(disk.list(Path::new("/a")).is_ok());
    }
}

/// The possible results of a crash, over many seeds.
fn outcomes(write: impl Fn(&dyn Disk)) -> BTreeSet<Files> {
    let crashed = (0..3000).map(|seed| {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/d/old", "old");
        write(&*simulation.env().disk);
        simulation.crash(seed);
        simulation.files()
    });
    crashed.collect()
}

fn of(outcomes: &BTreeSet<Files>, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    outcomes.iter().map(|files| files.get(Path::new(path)).cloned()).collect()
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn a_crash_can_tear_reorder_and_lose_writes() {
    let outcomes = outcomes(|disk| {
        let mut file = disk.create(Path::new("/d/new")).unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        file.write_all(b"abc").unwrap();
        file.write_all(b"def").unwrap();
    });
    let found = of(&outcomes, "/d/new");
    let possible: [&[u8]; 8] = [b"", b"abcdef", b"abc", b"ab", b"\0\0\0\0\0\0", b"\0\0\0def", b"abc\0ef", b"a\0cd"];
    for bytes in possible {
        assert!(found.contains(&some(bytes)), "never left: {bytes:?}");
    }
    assert!(!found.contains(&None), "the name was synced");
}

#[test]
fn a_crash_keeps_the_first_changes_of_names() {
    let outcomes = outcomes(|disk| {
        disk.create_directory(Path::new("/d/sub")).unwrap();
        disk.create(Path::new("/d/sub/one")).unwrap();
        disk.rename(Path::new("/d/sub"), Path::new("/e")).unwrap();
        disk.rename(Path::new("/d/old"), Path::new("/e/one")).unwrap();
        disk.remove(Path::new("/e")).unwrap();
    });
    let found: BTreeSet<Vec<String>> =
        outcomes.iter().map(|files| files.keys().map(|path| path.display().to_string()).collect()).collect();
    let expected: [&[&str]; 5] = [&["/d/old"], &["/d/old", "/d/sub/one"], &["/d/old", "/e/one"], &["/e/one"], &[]];
    assert_eq!(found, expected.iter().map(|names| names.iter().map(|name| (*name).to_owned()).collect()).collect());
}

#[test]
fn a_file_that_replaces_another_without_a_sync_can_be_empty() {
    let outcomes = outcomes(|disk| {
        let mut file = disk.create(Path::new("/d/new")).unwrap();
        file.write_all(b"new").unwrap();
        disk.rename(Path::new("/d/new"), Path::new("/d/old")).unwrap();
    });
    let found = of(&outcomes, "/d/old");
    assert!([&b"old"[..], b"new", b"", b"ne", b"\0ew"].iter().all(|bytes| found.contains(&some(bytes))), "{found:?}");
    assert!(!found.contains(&None), "a rename is never half done");
}

#[test]
fn a_file_that_replaces_another_after_a_sync_is_the_old_or_the_new_one() {
    let outcomes = outcomes(|disk| {
        let mut file = disk.create(Path::new("/d/new")).unwrap();
        file.write_all(b"new").unwrap();
        file.sync().unwrap();
        disk.rename(Path::new("/d/new"), Path::new("/d/old")).unwrap();
    });
    assert_eq!(of(&outcomes, "/d/old"), [some(b"old"), some(b"new")].into());
}

#[test]
fn a_file_that_is_emptied_can_be_full_again() {
    let outcomes = outcomes(|disk| {
        let mut file = disk.create(Path::new("/d/old")).unwrap();
        file.write_all(b"n").unwrap();
    });
    assert_eq!(of(&outcomes, "/d/old"), [some(b"old"), some(b""), some(b"n"), some(b"\0")].into());
}

#[test]
fn an_appended_file_keeps_what_was_synced_before() {
    let outcomes = outcomes(|disk| {
        let mut file = disk.append(Path::new("/d/old")).unwrap();
        file.write_all(b"1").unwrap();
        file.sync().unwrap();
        file.write_all(b"2").unwrap();
    });
    assert_eq!(of(&outcomes, "/d/old"), [some(b"old1"), some(b"old12"), some(b"old1\0")].into());
}

#[test]
fn a_file_whose_name_was_not_synced_can_be_gone() {
    let outcomes = outcomes(|disk| {
        let mut file = disk.create(Path::new("/d/new")).unwrap();
        file.write_all(b"new").unwrap();
        file.sync().unwrap();
    });
    assert_eq!(of(&outcomes, "/d/new"), [None, some(b"new")].into());
}

#[test]
fn files_of_tests_are_on_the_disk_at_once_and_keep_appearing() {
    let is_own_kept = |seed| {
        let simulation = Simulation::new(0, Time::default());
        let env = simulation.env();
        simulation.file("/d/first", "1");
        simulation.file_at(Time::from_ms(5), Time::default(), "/d/second", "2");
        env.disk.create(Path::new("/d/own")).unwrap();
        simulation.file("/d/e/third", "3");
        simulation.crash(seed);
        let mut files = simulation.files();
        let is_own_kept = files.remove(Path::new("/d/own")).is_some();
        assert_eq!(
            files,
            [("/d/e/third", "3"), ("/d/first", "1")].map(|(path, text)| (path.into(), text.into())).into()
        );
        simulation.run(async move { env.clock.sleep_until(Time::from_ms(5)).await }).unwrap();
        simulation.crash(seed);
        assert_eq!(simulation.files()[Path::new("/d/second")], b"2");
        is_own_kept
    };
    assert_eq!((0..20).map(is_own_kept).collect::<BTreeSet<_>>(), [false, true].into());
}

#[test]
fn making_and_removing_directories_can_stop_half_way() {
    let left_at = |write| {
        let simulation = Simulation::new(0, Time::default());
        simulation.halt_at_write(write);
        let disk = simulation.env().disk;
        let both = disk.create_directory(Path::new("/a/b")).and_then(|()| {
            disk.create(Path::new("/a/b/f"))?;
            disk.remove(Path::new("/a"))
        });
        simulation.kill();
        let there = ["/a", "/a/b", "/a/b/f"].map(|path| disk.canonicalize(Path::new(path)).is_ok());
        (both.is_ok(), there.into_iter().filter(|is_there| *is_there).count(), simulation.writes())
    };
    let expected = [(0, 0), (1, 1), (2, 2), (3, 3), (2, 4), (1, 5)].map(|(there, writes)| (false, there, writes));
    assert_eq!((1..=6).map(left_at).collect::<Vec<_>>(), expected);
    assert_eq!(left_at(7), (true, 0, 6));
}

#[test]
fn handles_of_a_killed_program_do_nothing() {
    let simulation = Simulation::new(0, Time::default());
    simulation.file("/d/f", "");
    let disk: Arc<dyn Disk> = simulation.env().disk;
    let mut file: Box<dyn OutputFile> = disk.append(Path::new("/d/f")).unwrap();
    let scratch = disk.scratch(None).unwrap();
    let first = disk.lock(Path::new("/d/f")).unwrap();
    assert!(first.is_some() && disk.lock(Path::new("/d/f")).unwrap().is_none());
    simulation.kill();
    let second = disk.lock(Path::new("/d/f")).unwrap();
    assert!(second.is_some(), "a kill frees locks");
    drop(first);
    assert!(disk.lock(Path::new("/d/f")).unwrap().is_none(), "a dead guard frees the lock of another");
    assert!(file.write_all(b"x").is_err() && file.sync().is_err() && scratch.append(b"x").is_err());
    assert!(scratch.read_at(0, 0).is_err());
    simulation.crash(0);
    assert!(disk.lock(Path::new("/d/f")).unwrap().is_some(), "a crash frees locks");
    assert_eq!(simulation.files()[Path::new("/d/f")], b"");
}
