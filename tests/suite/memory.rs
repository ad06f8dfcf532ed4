//! The memory of the whole process, as the system counts it: at most `engine.memory` and the memory of the program
//! itself, whatever plugin code does.
//!
//! Each job runs in a process of its own. The peak is read while the process still runs.

use super::support::binary::{Directory, Running};
use std::fs::File;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

const MIB: usize = 1 << 20;

/// The most memory of a process beside `engine.memory`: for the program, its threads, and small things that are not
/// counted.
const BESIDE_BYTES: usize = 64 * MIB;

/// The memory of an instance, and the memory of the job beside instances, in MiB. There is one thread.
const INSTANCE_MIB: usize = 16;
const DATA_MIB: usize = 8;

/// A job of the plugin `hostile` that reads the data set `["x"]`.
fn job(does: &str, arguments: &str) -> Directory {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"x\"]\n");
    let job_file = format!(
        "[job]\nname = \"memory\"\nplugin = \"hostile.wasm\"\nbatch_interval = \"100ms\"\non_error = \"continue\"\n\
         args = {{ does = \"{does}\", {arguments} }}\ndirectories = {{ out = \"saved\" }}\n{}\n\
         [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n",
        tables()
    );
    directory.write("job.toml", job_file);
    std::fs::create_dir(directory.path("saved")).expect("a directory can be made");
    directory
}

fn tables() -> String {
    format!(
        "[engine]\nthreads = 1\nmemory = \"{}MiB\"\n\n[limits]\nmemory = \"{INSTANCE_MIB}MiB\"\ntask_time = \"1m\"\n",
        2 * INSTANCE_MIB + DATA_MIB
    )
}

/// The most memory that a process has had so far.
fn peak_bytes(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system says it");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kib * 1024
}

fn require_peak(what: &str, process: u32) {
    let (peak, most) = (peak_bytes(process), (2 * INSTANCE_MIB + DATA_MIB) * MIB + BESIDE_BYTES);
    println!("{what}: {} MiB of {}", peak / MIB, most / MIB);
    assert!(peak <= most, "{what}: the process has had {} MiB, and may have {} MiB", peak / MIB, most / MIB);
}

/// Runs a job until it prints `says` to standard error, and then reads its memory. Returns its output.
fn run(what: &str, directory: &Directory, says: &str) -> String {
    let out = directory.path("printed");
    let mut command = directory.host(&["run", "job.toml"]);
    command.stdout(File::create(&out).expect("a file can be made")).stderr(Stdio::piped());
    let mut running = Running::start_as_it_is(command);
    running.wait_for_err(says);
    require_peak(what, running.id());
    drop(running);
    std::fs::read_to_string(out).expect("it printed text")
}

/// The text that says that a batch of one record is done.
const DONE: &str = ": 1 record, ";

/// S15.22. Rows of two bits: data that is made for each row takes a hundred times as much memory as the row. Four
/// million rows are shuffled, sorted, and put into columns.
#[test]
fn rows_of_two_bits_take_no_more_than_others() {
    for (does, chunks) in [("narrow-shuffle", 4), ("narrow-sort", 1), ("narrow-parquet", 4)] {
        let directory = job(does, &format!("chunks = \"{chunks}\", rows = \"1048576\""));
        let printed = run(does, &directory, DONE);
        let count = format!("\n{}\n", chunks << 20);
        assert!(does == "narrow-parquet" || printed.contains(&count), "{does}: {printed}");
    }
}

/// A chunk of a hundred million rows is valid except for the number of its rows.
#[test]
fn a_chunk_of_too_many_rows_is_refused() {
    let directory = job("narrow-shuffle", "rows = \"20000000\"");
    run("too many rows", &directory, "the chunk has 20000000 rows, a chunk has at most 1048576");
}

/// 48 MiB of lines, and of short rows, are printed completely and saved.
#[test]
fn what_is_printed_or_saved_is_never_in_memory_as_a_whole() {
    let directory = job("long-print", "rows = \"49152\"");
    let printed = run("long-print", &directory, DONE);
    assert_eq!(printed.lines().filter(|line| line.len() == 1024).count(), 49_152);
    let directory = job("narrow-print", "rows = \"1048576\"");
    let printed = run("narrow-print", &directory, DONE);
    assert_eq!(printed.matches("(false,false)\n").count() + printed.matches("(true,true)\n").count(), 1 << 20);
    for does in ["long-json", "long-shuffle"] {
        run(does, &job(does, "rows = \"49152\""), DONE);
    }
}

/// A list of a million bits takes 128 KiB, and more than 5 MiB as text.
#[test]
fn a_row_whose_text_does_not_fit_fails_its_batch() {
    let directory = job("one-row", "rows = \"4000000\"");
    run("one row", &directory, "print fewer or shorter rows, or raise engine.memory");
}

/// Two shuffles of 4096 partitions over eight rows: there are sixteen million pairs of partitions, and only eight of
/// them have rows.
#[test]
fn partitions_without_rows_take_next_to_nothing() {
    let directory = job("many-partitions", "rows = \"4096\"");
    directory.write("queue.jsonl", "[\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"a\"]\n");
    let printed = run("many-partitions", &directory, ": 8 records, ");
    assert_eq!(printed.lines().filter(|line| line.starts_with('(')).count(), 2, "{printed}");
}

/// A driver function reads a file again and again. The record of these reads, which tasks need to run the function
/// again, is counted.
#[test]
fn what_a_driver_function_has_read_is_counted() {
    let directory = job("reads", "rows = \"1000\"");
    directory.write("saved/large", vec![b'x'; MIB]);
    run("reads", &directory, "what it did so far takes too much memory");
}

/// Servers send as fast as they can to forty receivers, whose blocks stay open for a long time. The open blocks are
/// counted, and all lines arrive.
#[test]
fn open_blocks_are_counted() {
    const SOURCES: usize = 40;
    const LINES: usize = 20_000;
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = server.local_addr().expect("it has an address");
    thread::spawn(move || {
        for connection in server.incoming().map_while(Result::ok).take(SOURCES) {
            thread::spawn(move || send_lines(connection, LINES));
        }
    });
    let directory = job("many-sources", &format!("rows = \"{SOURCES}\""));
    let mut job_file = format!(
        "[job]\nname = \"memory\"\nplugin = \"hostile.wasm\"\nbatch_interval = \"500ms\"\n\
         args = {{ does = \"many-sources\", rows = \"{SOURCES}\" }}\n{}\n\
         [receiver]\nblock_interval = \"500ms\"\nstore_limit = \"32MiB\"\n",
        tables()
    );
    for source in 0..SOURCES {
        job_file.push_str(&format!("[sources.s{source}]\ntype = \"socket\"\naddress = \"{address}\"\n"));
    }
    directory.write("job.toml", job_file);
    let mut running = Running::start(directory.host(&["run", "job.toml", "--quiet"]));
    let (mut counted, mut batches) = (0, 0);
    while counted < SOURCES * LINES {
        batches += 1;
        running.wait_for_more_out("\n\n", 1);
        counted = running.out().lines().filter_map(|line| line.parse::<usize>().ok()).sum();
        assert!(batches < 1000, "{counted} lines came");
    }
    assert_eq!(counted, SOURCES * LINES);
    require_peak("open blocks", running.id());
}

fn send_lines(mut connection: TcpStream, lines: usize) {
    let block = format!("{}\n", "some words of a line ".repeat(10)).repeat(100);
    // An error means that the job has ended.
    let _ = (0..lines / 100).try_for_each(|_| connection.write_all(block.as_bytes()));
    // The connection stays open until the job ends.
    let _ = std::io::copy(&mut connection, &mut std::io::sink());
}
