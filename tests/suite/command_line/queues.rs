//! Queue files that are wrong. `check` also reads the queue files that the job file names.

use super::super::support::binary::Directory;
use super::require_refusal;

/// Requires that a queue file with these bytes is refused with this message, and with help about the form of a line.
fn refused(queue: impl AsRef<[u8]>, problem: &str) {
    let directory = Directory::with_job("network_word_count");
    directory.write("queue.jsonl", queue);
    let expected = format!("error: {problem}\nhelp: each line is a JSON array of records; a tuple is an array");
    require_refusal(&directory, &[], &expected);
}

#[test]
fn a_queue_that_is_missing() {
    let directory = Directory::with_job("network_word_count");
    let expected = "error: cannot read nope.jsonl: No such file or directory (os error 2)\n\
                    help: a queue is a file of JSON lines: one array of records for each batch";
    require_refusal(&directory, &["--set", "sources.lines.path=nope.jsonl"], expected);
}

/// The number of the line is that in the file, and the message has no other number of a line.
#[test]
fn a_line_that_is_not_json() {
    refused("[\"a\"]\n[\"b\",\n", "queue.jsonl line 2, column 5: EOF while parsing a value");
    refused("[\"a\"]\n[\"b\"] x\n", "queue.jsonl line 2, column 7: trailing characters");
    refused(b"[\"a\"]\n[\"\xff\"]\n", "queue.jsonl line 2, column 3: invalid unicode code point");
}

#[test]
fn a_line_that_is_not_an_array() {
    refused("[\"a\"]\n{\"b\": 3}\n", "queue.jsonl line 2: expected an array of records, found an object");
}

/// The record is counted in its line, whatever parts the line is split into.
#[test]
fn a_record_of_the_wrong_type() {
    refused("[\"a\"]\n[3, \"b\", \"c\", \"d\"]\n", "queue.jsonl line 2: record 0: expected text, found 3");
    refused("[\"a\"]\n[\"b\", \"c\", \"d\", 3]\n", "queue.jsonl line 2: record 3: expected text, found 3");
}
