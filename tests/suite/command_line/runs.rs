//! Jobs that run to their end, and jobs that are only checked.

use super::super::support::binary::{Directory, without_times};
use super::job;

/// The output for the words of the first two batches. The third batch has no words.
const FIRST: &str = "(to,2)\n(be,2)\n(that,1)\n(or,1)\n(not,1)\n(is,1)\n";
const SECOND: &str = "(hello,1)\n(world,1)\n";

/// A batch as it is printed.
fn batch(rows: &str) -> String {
    let rule = "-".repeat(43);
    format!("{rule}\nTime: T ms\n{rule}\n{rows}\n")
}

#[test]
fn a_queue_is_counted_batch_by_batch() {
    let said = job(&Directory::with_job("network_word_count"), "run", &["--stop-when-idle"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(without_times(&said.out), batch(FIRST) + &batch(SECOND) + &batch(""));
    assert_eq!(said.error(), "");
    let times =
        said.out.lines().filter_map(|line| line.strip_prefix("Time: ")?.strip_suffix(" ms")?.parse::<u64>().ok());
    let times: Vec<u64> = times.collect();
    assert_eq!(times[0] % 20, 0, "batch times are multiples of the interval");
    assert_eq!(times, [times[0], times[0] + 20, times[0] + 40]);
}

#[test]
fn a_run_stops_after_the_given_number_of_batches() {
    let said = job(&Directory::with_job("network_word_count"), "run", &["--stop-after", "2"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(without_times(&said.out), batch(FIRST) + &batch(SECOND));
}

#[test]
fn a_checked_job_is_told_in_one_line() {
    let said = job(&Directory::with_job("network_word_count"), "check", &[]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(
        said.out,
        "word-count: ok, 5 nodes, 1 output, source `lines` (text)\n  the plugin may read and write no files\n"
    );
}

/// `check` connects to nothing, so no server is needed.
#[test]
fn checking_starts_nothing() {
    let directory = Directory::with_job("network_word_count");
    let socket = "sources.lines={ type = \"socket\", address = \"no-such-host.invalid:1\" }";
    let said = job(&directory, "check", &["--set", socket]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
}
