//! Text files that appear in directories, in a simulated world: which batch reads which file.

use super::support::simulated::{Job, Outcome, START};
use host::time::Time;

/// Batches end at whole seconds after this.
const SECOND_0: u64 = 1_000_000_000_000;

/// A file that appears and is modified at these times, in ms after [`SECOND_0`].
fn file(appears: u64, modified: u64, name: &str, text: &str) -> (Time, Time, String, String) {
    (Time::from_ms(SECOND_0 + appears), Time::from_ms(SECOND_0 + modified), name.to_owned(), text.to_owned())
}

/// Counts words of files below `/jobs`, for `batches` seconds.
fn run(path: &str, keys: &str, batches: u64, files: Vec<(Time, Time, String, String)>) -> Outcome {
    assert_eq!(START.as_ms(), SECOND_0 + 500);
    let mut job = Job::on_queue("network_word_count", "");
    job.job_file =
        format!("[job]\nname = \"files\"\n[sources.lines]\ntype = \"text-files\"\npath = \"{path}\"\n{keys}\n");
    job.files = vec![("in/.keep".to_owned(), String::new())];
    job.appearing = files;
    job.stop_after = Some(batches);
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    outcome
}

/// The second and the words of each batch that printed something.
fn batches(outcome: &Outcome) -> Vec<(u64, String)> {
    let batches = outcome.batches().into_iter().filter(|(_, lines)| !lines.is_empty());
    batches.map(|(time, lines)| ((time - SECOND_0) / 1000, lines.join(" "))).collect()
}

fn expected(batches: &[(u64, &str)]) -> Vec<(u64, String)> {
    batches.iter().map(|(second, words)| (*second, (*words).to_owned())).collect()
}

/// S2.10, S2.12, S2.15: a file belongs to the batch in which it was modified, and not to the batch in which it first
/// appears.
#[test]
fn a_file_belongs_to_a_batch_by_its_modification_time() {
    let files = vec![
        file(600, 600, "in/a", "one\n"),
        file(1200, 1900, "in/b", "two\n"),
        file(1200, 2100, "in/c", "three\n"),
        file(5300, 3000, "in/renamed-into-late", "four\n"),
    ];
    let outcome = run("in", "", 7, files);
    assert_eq!(batches(&outcome), expected(&[(1, "(one,1)"), (2, "(two,1)"), (3, "(three,1)"), (6, "(four,1)")]));
    let records: Vec<_> = outcome.log.iter().filter(|line| line.contains("BatchCompleted")).collect();
    assert_eq!(records.len(), 7);
}

/// S2.21 and hidden files: a name that begins with a dot belongs to a file that is still being written.
#[test]
fn hidden_files_and_files_from_before_the_start_are_ignored() {
    let files = vec![file(0, 400, "in/old", "old\n"), file(600, 600, "in/.hidden", "hidden\n")];
    assert_eq!(batches(&run("in", "", 3, files)), []);
    let files = vec![file(0, 400, "in/old", "old\n"), file(0, 400, "in/older/deep", "deep\n")];
    let outcome = run("in", "existing_files = \"read\"", 3, files);
    assert_eq!(batches(&outcome), expected(&[(1, "(old,1)")]));
}

/// S2.16: a file is read once, whatever happens to it while it is remembered.
#[test]
fn a_file_is_not_read_again() {
    let outcome = run("in", "min_remember = \"3s\"", 9, vec![file(600, 600, "in/a", "one\n")]);
    assert_eq!(batches(&outcome), expected(&[(1, "(one,1)")]));
}

/// S2.13, S2.18: a pattern stands for directories, including directories that appear later. Of their files, the files
/// that were modified since the start are read.
#[test]
fn a_pattern_matches_directories_as_they_appear() {
    let files = vec![
        file(0, 700, "logs/2016/a", "one\n"),
        file(0, 700, "logs/file", "not in a directory\n"),
        file(2500, 2500, "logs/2017/b", "two\n"),
        file(2500, 400, "logs/2017/from-before-the-start", "old\n"),
        file(2500, 2500, "logs/2017/deep/c", "too deep\n"),
    ];
    assert_eq!(batches(&run("logs/*", "", 4, files)), expected(&[(1, "(one,1)"), (3, "(two,1)")]));
}

/// S2.11, S2.14: all lines of all files of a batch are read, in the order of the paths. The last line of a file needs
/// no end.
#[test]
fn files_are_read_in_the_order_of_their_paths() {
    let files =
        vec![file(600, 600, "in/b", "b1\nb2"), file(700, 700, "in/a", "a1\r\na2\n"), file(800, 800, "in/empty", "")];
    let outcome = run("in", "", 2, files);
    let mut words: Vec<String> = outcome.batches().remove(0).1;
    words.sort();
    assert_eq!(words, ["(a1,1)", "(a2,1)", "(b1,1)", "(b2,1)"]);
    assert_eq!(
        outcome,
        run(
            "in",
            "",
            2,
            vec![
                file(600, 600, "in/b", "b1\nb2"),
                file(700, 700, "in/a", "a1\r\na2\n"),
                file(800, 800, "in/empty", ""),
            ]
        )
    );
}

/// Lines that are too long are dropped, invalid bytes are replaced, and both are reported.
#[test]
fn lines_that_are_too_long_are_told() {
    let outcome = run("in", "max_line = \"5B\"", 2, vec![file(600, 600, "in/a", "short\nmuch too long\nfine\n")]);
    assert_eq!(batches(&outcome).first().map(|(_, words)| words.contains("much")), Some(false));
    assert!(
        outcome
            .log
            .iter()
            .any(|line| line
                .ends_with("LinesDropped lines: 1 line longer than max_line; the first is line 2 of /jobs/in/a")),
        "{:#?}",
        outcome.log
    );
}
