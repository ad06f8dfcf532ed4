//! Directories of text files, as people use them: which files are read, which files are passed over and reported, what
//! happens to files after use, and which changes of files are noticed.

use super::super::support::binary::{Directory, Running, without_times};
use std::fs::{self, File, OpenOptions};
use std::io::{PipeReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

const JOB: &str = "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"20ms\"\n\n\
                   [sources.lines]\ntype = \"text-files\"\npath = \"in\"\n";

/// Makes a job on the empty directory `in`, with further keys of its source.
fn directory(keys: &str) -> Directory {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", format!("{JOB}{keys}"));
    fs::create_dir(directory.path("in")).expect("a directory can be made");
    directory
}

/// Writes a file beside the directory, and moves it there.
fn publish(directory: &Directory, path: &str, text: &str) {
    directory.write("new", text);
    fs::rename(directory.path("new"), directory.path(path)).expect("a file can be renamed");
}

/// Sets the modification time of a file back.
fn set_back(directory: &Directory, path: &str, seconds: u64) {
    let file = File::options().write(true).open(directory.path(path)).expect("the file is there");
    let modified = file.metadata().and_then(|found| found.modified()).expect("the file has a time");
    file.set_modified(modified - Duration::from_secs(seconds)).expect("a time can be set");
}

/// The counts that were printed.
fn counts(out: &str) -> Vec<&str> {
    let mut counts: Vec<&str> = out.lines().filter(|line| line.starts_with('(') && line.len() < 100).collect();
    counts.sort_unstable();
    counts
}

/// Runs a job until there is nothing more to read. Returns the words that the job printed, and its log.
fn run(directory: &Directory, args: &[&str]) -> (Vec<String>, String) {
    let said = directory.run(&[&["run", "job.toml", "--stop-when-idle"], args].concat());
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    (counts(&said.out).into_iter().map(str::to_owned).collect(), said.err)
}

fn start(directory: &Directory, args: &[&str]) -> Running {
    let mut command = directory.host(&[&["run", "job.toml"], args].concat());
    command.env("MILLSTREAM_LOG", "debug");
    Running::start(command)
}

fn stop(host: Running) -> (Vec<String>, String) {
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    (counts(&said.out).into_iter().map(str::to_owned).collect(), said.err)
}

/// S2.10: all existing files are read, whatever their age. No file is read twice, also after a restart.
#[test]
fn existing_files_are_read_whatever_their_age() {
    let directory = directory("existing_files = \"read\"\n");
    for (name, age) in [("now", 0), ("five-minutes", 300), ("two-days", 172_800), ("years", 100_000_000)] {
        directory.write(&format!("in/{name}"), format!("{name}\n"));
        set_back(&directory, &format!("in/{name}"), age);
    }
    let all = ["(five-minutes,1)", "(now,1)", "(two-days,1)", "(years,1)"];
    assert_eq!(run(&directory, &[]).0, all);
    let kept = ["--set", "job.checkpoint=checkpoint"];
    assert_eq!(run(&directory, &kept).0, all);
    for again in [&kept[..], &[kept[0], kept[1], "--fresh"]] {
        assert_eq!(run(&directory, again).0, Vec::<String>::new());
    }
}

/// S2.16: a file that grows after it was read is not read again. This is reported once, with the number of bytes.
#[test]
fn a_file_that_grows_is_told_once() {
    let directory = directory("");
    let mut host = start(&directory, &[]);
    host.wait_for_err("BatchCompleted");
    publish(&directory, "in/log.txt", "one\ntwo\n");
    host.wait_for_out("(two,1)");
    let mut file = OpenOptions::new().append(true).open(directory.path("in/log.txt")).expect("the file is there");
    file.write_all(b"three (appended)\n").expect("the file can be written to");
    host.wait_for_err("FileChanged");
    host.wait_for_more_err("BatchCompleted", 5);
    let (words, log) = stop(host);
    assert_eq!(words, ["(one,1)", "(two,1)"]);
    let told: Vec<&str> = log.lines().filter(|line| line.contains("FileChanged")).collect();
    assert_eq!(told.len(), 1, "{log}");
    let expected = "FileChanged lines: in/log.txt grew by 17 bytes after it was given to batch T: that is not read; a later \
                    modification makes a new version of the file, which is read whole";
    assert!(without_times(told[0]).ends_with(expected) && told[0].contains("WARN"), "{told:?}");
}

/// S2.16: a file is identified by its inode and not by its name. Neither another name nor another spelling of its
/// directory makes the file new, after a restart and in a new run as well.
#[test]
fn a_file_with_another_name_is_no_new_file() {
    let directory = directory("");
    let kept = ["--set", "job.checkpoint=checkpoint"];
    let mut host = start(&directory, &kept);
    host.wait_for_err("BatchCompleted");
    publish(&directory, "in/log", "one\n");
    host.wait_for_out("(one,1)");
    fs::rename(directory.path("in/log"), directory.path("in/log.1")).expect("a file can be renamed");
    publish(&directory, "in/log", "two\n");
    host.wait_for_out("(two,1)");
    host.wait_for_more_err("CheckpointWritten", 2);
    assert_eq!(stop(host).0, ["(one,1)", "(two,1)"]);
    fs::rename(directory.path("in/log.1"), directory.path("in/log.2")).expect("a file can be renamed");
    fs::rename(directory.path("in"), directory.path("out")).expect("a directory can be renamed");
    std::os::unix::fs::symlink("out", directory.path("in")).expect("a link can be made");
    for (path, fresh) in [
        ("in", None),
        ("./in", None),
        ("out", None),
        ("in", Some("--fresh")),
        ("./out", Some("--fresh")),
        ("in/../out", Some("--fresh")),
    ] {
        let path = format!("sources.lines.path={path}");
        let args: Vec<&str> = kept.iter().copied().chain(["--set", &path]).chain(fresh).collect();
        assert_eq!(run(&directory, &args).0, Vec::<String>::new(), "{args:?}");
    }
}

/// Files that the source sees and does not read are reported in the log, in the events and in the status. Each cause is
/// reported once, with the number of files and an example.
#[test]
fn what_is_passed_over_is_told() {
    let directory = directory("ignore = \"*~\"\n");
    directory.write("in/before", "before\n");
    set_back(&directory, "in/before", 3600);
    fs::create_dir(directory.path("in/nested")).expect("a directory can be made");
    let made = Command::new("mkfifo").arg(directory.path("in/pipe")).status();
    assert!(made.expect("mkfifo can be started").success());
    let mut host = start(&directory, &["--events", "events.jsonl"]);
    host.wait_for_err("modified before the job started");
    for name in ["_SUCCESS", ".hidden", "data.csv._COPYING_", "notes.txt~"] {
        publish(&directory, &format!("in/{name}"), "no\n");
    }
    host.wait_for_err("left out by include or ignore");
    publish(&directory, "in/yes", "yes\n");
    host.wait_for_out("(yes,1)");
    let status = directory.run(&["status", "job.toml"]);
    assert_eq!(status.code, Some(0), "{}", status.err);
    let (words, log) = stop(host);
    assert_eq!(words, ["(yes,1)"]);
    let events = fs::read_to_string(directory.path("events.jsonl")).expect("there are events");
    for (cause, what, example) in [
        ("existing", "1 file modified before the job started, such as in/before", "in/before"),
        ("nested", "1 file of the kind directory, in a watched directory, such as in/nested", "in/nested"),
        ("no_regular_file", "1 file of the kind pipe, socket or device, such as in/pipe", "in/pipe"),
        ("pattern", "1 file left out by include or ignore, such as in/notes.txt~", "in/notes.txt~"),
    ] {
        let told = format!("FilesPassedOver lines: not read: {what}: ");
        assert_eq!(log.matches(&told).count(), 1, "{cause}: {log}");
        let event = format!("\"cause\":\"{cause}\",\"files\":1,\"example\":\"{example}\"");
        assert_eq!(events.matches(&event).count(), 1, "{cause}: {events}");
        assert!(
            status.out.contains(&format!("files of lines not read: {}", what.replace("1 file ", "1 "))),
            "{cause}: {}",
            status.out
        );
    }
    assert!(events.contains("\"cause\":\"hidden_name\""), "{events}");
}

/// `mv`, `cp -p` and `rsync -a` keep the modification time.
#[test]
fn a_file_that_is_too_old_is_told() {
    for (existing_files, told) in [
        ("read", "1 file with a modification time before min_remember"),
        ("ignore", "1 file that came with a modification time before the start"),
    ] {
        let directory = directory(&format!("existing_files = \"{existing_files}\"\n"));
        let mut host = start(&directory, &[]);
        host.wait_for_err("BatchCompleted");
        directory.write("old", "old\n");
        set_back(&directory, "old", 300);
        fs::rename(directory.path("old"), directory.path("in/old")).expect("a file can be renamed");
        host.wait_for_err(&format!("FilesPassedOver lines: not read: {told}"));
        let (words, log) = stop(host);
        assert!(words.is_empty());
        assert!(log.lines().any(|line| line.contains("WARN") && line.contains("such as in/old: ")), "{log}");
    }
}

/// S2.13: `**` stands for a directory and all directories below it. The name of a directory may be the pattern itself.
#[test]
fn patterns_find_directories() {
    let directory = directory("existing_files = \"read\"\n");
    for (name, word) in [("in/2016/01", "january"), ("in/2016", "year"), ("in/[0-9]", "literal"), ("in/_tmp", "hidden")]
    {
        fs::create_dir_all(directory.path(name)).expect("a directory can be made");
        directory.write(&format!("{name}/file"), format!("{word}\n"));
    }
    let words = |path: &str| run(&directory, &["--set", &format!("sources.lines.path=\"{path}\"")]).0;
    assert_eq!(words("in/**"), ["(january,1)", "(literal,1)", "(year,1)"]);
    assert_eq!(words("in/*/01"), ["(january,1)"]);
    assert_eq!(words("in/[0-9]"), ["(literal,1)"]);
    let said = directory.run(&["check", "job.toml", "--set", "sources.lines.path=\"in/20**\""]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.starts_with("error: `20**` is not a pattern of directories: "), "{}", said.err);
}

/// Names that Hadoop leaves out, and names that the job file includes or ignores.
#[test]
fn names_are_chosen() {
    let directory = directory("existing_files = \"read\"\n");
    for name in ["a.csv", "b.csv~", "tmp.csv", "_metadata", ".c.csv", "data.csv._COPYING_", "d.txt"] {
        directory.write(&format!("in/{name}"), format!("{name}\n"));
    }
    assert_eq!(run(&directory, &[]).0, ["(a.csv,1)", "(b.csv~,1)", "(d.txt,1)", "(tmp.csv,1)"]);
    let (include, ignore) = ("sources.lines.include=\"*.csv, *.tsv\"", "sources.lines.ignore=\"tmp*\"");
    assert_eq!(run(&directory, &["--set", include, "--set", ignore]).0, ["(a.csv,1)"]);
    assert_eq!(run(&directory, &["--set", ignore]).0, ["(a.csv,1)", "(b.csv~,1)", "(d.txt,1)"]);
    let said = directory.run(&["check", "job.toml", "--set", "sources.lines.include=\"[\""]);
    assert!(said.err.starts_with("error: `[` is not a pattern of names of files: "), "{}", said.err);
}

fn names(directory: &Directory, path: &str) -> Vec<String> {
    let entries = fs::read_dir(directory.path(path)).expect("it can be listed");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A file that nothing needs any more is removed or moved, with and without a checkpoint. A file that was not read
/// stays.
#[test]
fn files_go_when_they_are_done() {
    for (at, (when_done, moved)) in [("delete", None), ("move:done", Some("done"))].into_iter().enumerate() {
        for checkpoint in ["", "checkpoint"] {
            let directory = directory(&format!("existing_files = \"read\"\nwhen_done = \"{when_done}\"\n"));
            directory.write("in/a", "one\n");
            directory.write("in/b", "two\n");
            directory.write("in/_c", "three\n");
            let set = format!("job.checkpoint={checkpoint}");
            let args = if checkpoint.is_empty() { vec![] } else { vec!["--set", &set] };
            let (words, log) = run(&directory, &args);
            assert_eq!(words, ["(one,1)", "(two,1)"], "{at}: {log}");
            assert_eq!(names(&directory, "in"), ["_c"], "{when_done} {checkpoint}: {log}");
            if let Some(moved) = moved {
                assert_eq!(names(&directory, moved), ["a", "b"]);
                assert_eq!(fs::read_to_string(directory.path("done/a")).expect("it is there"), "one\n");
            }
        }
    }
}

/// A file whose batch fails stays, so that it can be read again.
#[test]
fn files_of_a_failed_batch_stay() {
    let directory = Directory::with_job("hostile");
    let source = JOB.replace("network_word_count", "hostile");
    let keys = "existing_files = \"read\"\nwhen_done = \"delete\"\n";
    directory.write("job.toml", format!("{source}{keys}"));
    fs::create_dir(directory.path("in")).expect("a directory can be made");
    directory.write("in/a", "boom\n");
    let args =
        ["run", "job.toml", "--stop-when-idle", "--set", "job.on_error=continue", "--set", "job.args.does=panic"];
    let said = directory.run(&args);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("ERROR"), "{}", said.err);
    assert_eq!(names(&directory, "in"), ["a"]);
}

/// Makes a job that was killed when it knew three files: `in/a`, whose batch was being printed, and `in/b` with `one
/// two` and `in/c` with `three`, which waited. The checkpoint knows none of the files to be done.
fn killed(keys: &str) -> Directory {
    let directory = directory(keys);
    let mut command = directory.host(&["run", "job.toml", "--set", "job.checkpoint=checkpoint"]);
    let (out, to_out): (PipeReader, _) = std::io::pipe().expect("a pipe can be made");
    command.env("MILLSTREAM_LOG", "debug").stdout(to_out).stderr(Stdio::piped());
    let mut host = Running::start_as_it_is(command);
    host.wait_for_err("BatchCompleted");
    // The text is larger than a pipe, and nobody reads the pipe.
    let words: Vec<String> = (0..10).map(|word| format!("{word}").repeat(20_000)).collect();
    publish(&directory, "in/a", &(words.join("\n") + "\n"));
    host.wait_for_err(", 10 rows read");
    publish(&directory, "in/b", "one two\n");
    publish(&directory, "in/c", "three\n");
    // The second batch after this point is made when the files exist, and a checkpoint knows the batch.
    host.wait_for_more_err("BatchSubmitted", 3);
    host.wait_for_more_err("CheckpointWritten", 2);
    host.signal("KILL");
    host.finish();
    drop(out);
    directory
}

const KEPT: [&str; 4] = ["--set", "job.checkpoint=checkpoint", "--set", "job.max_catch_up=1000000"];

fn fails(directory: &Directory, code: i32) -> String {
    let said = directory.run(&[&["run", "job.toml", "--stop-when-idle"], &KEPT[..]].concat());
    assert_eq!(said.code, Some(code), "{}", said.err);
    without_times(said.error())
}

/// A file that waits for its batch may be gone. The message names file and batch, and says how to go on. If the job
/// goes on without the file, no other data is lost.
#[test]
fn a_file_that_is_gone_is_told_or_left_out() {
    let directory = killed("");
    fs::rename(directory.path("in/b"), directory.path("away")).expect("a file can be renamed");
    let error = fails(&directory, 4);
    assert!(error.contains("source `lines` cannot read batch T: in/b is gone"), "{error}");
    for way in ["move the file back", "sources.lines.on_missing_file = \"skip\"", "job.on_error", "--fresh"] {
        assert!(error.split("\nhelp: ").nth(1).is_some_and(|help| help.contains(way)), "{way}: {error}");
    }
    let skip = [&KEPT[..], &["--set", "sources.lines.on_missing_file=skip"]].concat();
    let (words, log) = run(&directory, &skip);
    assert_eq!(words, ["(three,1)"]);
    let told: Vec<&str> = log.lines().filter(|line| line.contains("FileMissing")).collect();
    assert_eq!(told.len(), 1, "{log}");
    let expected = "FileMissing lines: in/b is gone; batch T goes on without it";
    assert!(without_times(told[0]).ends_with(expected), "{told:?}");
}

#[test]
fn a_file_that_is_moved_back_is_read() {
    let directory = killed("");
    fs::rename(directory.path("in/b"), directory.path("away")).expect("a file can be renamed");
    fails(&directory, 4);
    fs::rename(directory.path("away"), directory.path("in/b")).expect("a file can be renamed");
    assert_eq!(run(&directory, &KEPT).0, ["(one,1)", "(three,1)", "(two,1)"]);
}

/// A batch that runs again reads the content that was found. Other content of the same size fails the batch: in the
/// same file or in another file, with the same modification time or another.
#[test]
fn a_file_that_changed_fails_its_batch() {
    let directory = killed("");
    directory.write("in/b", "ONE TWO\n");
    let error = fails(&directory, 2);
    assert!(error.contains("source `lines` cannot read batch T: in/b has changed since the batch was made"), "{error}");
    assert!(error.contains("it was modified at T, and before that at T"), "{error}");
    let modified = fs::metadata(directory.path("in/c")).and_then(|found| found.modified()).expect("it is there");
    let directory = killed("");
    let found = fs::metadata(directory.path("in/b")).and_then(|found| found.modified()).expect("it is there");
    assert!(found != modified);
    directory.write("new", "ONE TWO\n");
    let file = File::options().write(true).open(directory.path("new")).expect("the file is there");
    file.set_modified(found).expect("a time can be set");
    fs::rename(directory.path("new"), directory.path("in/b")).expect("a file can be renamed");
    let error = fails(&directory, 2);
    assert!(error.contains("in/b has changed since the batch was made: another file has its name"), "{error}");
}

/// A file that a batch has read to its end is identified by its content. `in/a` was read to its end, because its words
/// wait to be printed.
#[test]
fn a_file_that_was_read_is_known_by_its_content() {
    let directory = killed("");
    let text = fs::read(directory.path("in/a")).expect("it is there");
    let mut other = text.clone();
    other[20] = b'x';
    directory.write("in/a", other);
    let error = fails(&directory, 2);
    let expected = "in/a has changed since the batch was made: its content is different from when it was read before";
    assert!(error.contains(expected), "{error}");
    directory.write("in/a", text);
    let (words, _) = run(&directory, &KEPT);
    assert_eq!(words, ["(one,1)", "(three,1)", "(two,1)"]);
}

/// A line of the queue is removed or replaced, also a line after the last line that is needed.
#[test]
fn a_queue_that_was_partly_read_and_changed_is_told() {
    let directory = Directory::with_job("network_word_count");
    let queue = |words: &[&str]| words.iter().map(|word| format!("[\"{word}\"]\n")).collect::<String>();
    directory.write("queue.jsonl", queue(&["a", "b", "c", "d", "e", "f", "g", "h"]));
    let kept = ["--set", "job.checkpoint=checkpoint"];
    let said = directory.run(&[&["run", "job.toml", "--stop-after", "2"], &kept[..]].concat());
    let read = counts(&said.out).len();
    assert!(said.code == Some(0) && (2..6).contains(&read), "{}", said.err);
    let changed = [&["b", "c", "d", "e", "f", "g", "h"][..], &["A", "b", "c", "d", "e", "f", "g", "h"]];
    for words in changed {
        directory.write("queue.jsonl", queue(words));
        let said = directory.run(&[&["run", "job.toml"], &kept[..]].concat());
        assert_eq!(said.code, Some(2), "{}", said.err);
        let expected = format!(
            "error: queue.jsonl is not the file that the job has read: data set {read}: it or an earlier data set was \
             different when the job read it before\nhelp: bring the file back as it was"
        );
        assert!(said.error().starts_with(&expected), "{}", said.error());
    }
    // Lines that were not read yet may change, and empty lines make no difference.
    let rest = queue(&["a", "b", "c", "d", "e", "f", "g", "H", "i"]);
    directory.write("queue.jsonl", format!("\n{rest}"));
    let said = directory.run(&[&["run", "job.toml", "--stop-when-idle"], &kept[..]].concat());
    let words = counts(&said.out);
    assert_eq!((said.code, words.len()), (Some(0), 9 - read), "{}", said.err);
    assert!(words.contains(&"(H,1)") && words.contains(&"(i,1)") && !words.contains(&"(a,1)"), "{words:?}");
}

/// A pipe takes the name of a file that was found. The host does not wait for the pipe.
#[test]
fn a_pipe_in_the_place_of_a_file_fails_the_batch() {
    let directory = killed("");
    fs::remove_file(directory.path("in/b")).expect("the file is there");
    let made = Command::new("mkfifo").arg(directory.path("in/b")).status();
    assert!(made.expect("mkfifo can be started").success());
    let error = fails(&directory, 2);
    assert!(error.contains("in/b has changed since the batch was made: it is no regular file"), "{error}");
    let mut text = String::new();
    File::open(directory.path("in/c")).and_then(|mut file| file.read_to_string(&mut text)).expect("it is there");
    assert_eq!(text, "three\n");
}
