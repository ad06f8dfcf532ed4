//! The real binary, killed with SIGKILL at random moments, again and again. Its files are the files of an undisturbed
//! run, byte for byte, with and without state.
//!
//! `MILLSTREAM_KILLS` says how often each job is killed, 25 times by default. The moments follow from a seed, which
//! each test prints and which `MILLSTREAM_KILL_SEED` sets: `MILLSTREAM_KILL_SEED=17 cargo test --test suite -- killed`.
//! The program runs on the real clock. So a seed repeats the moments of the kills, but does not always repeat a
//! failure.

mod consumed;
mod posted;
mod received;
mod topics;
mod written;

use super::support::binary::{Directory, Running, Said};
use super::support::numbers::{Numbers, given};
use super::support::received::Received;
use millstream_tests::programs;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often each job is killed, unless `MILLSTREAM_KILLS` says otherwise.
const KILLS: u64 = 25;
const INTERVAL_MS: u64 = 100;
/// The interval of jobs over receivers. The host makes all batches whose times pass while it is down, and has to get ahead
/// of the kills on a busy machine.
const LONG_INTERVAL_MS: u64 = 500;

fn kills() -> u64 {
    given("MILLSTREAM_KILLS").unwrap_or(KILLS)
}

/// The seed of a test: the given seed, or a seed that follows from the time. The test prints it.
fn seed() -> u64 {
    let seed = given("MILLSTREAM_KILL_SEED").unwrap_or_else(|| u64::from(since_1970().subsec_nanos()));
    println!("MILLSTREAM_KILL_SEED={seed} MILLSTREAM_KILLS={}", kills());
    seed
}

#[expect(clippy::disallowed_methods, reason = "the real program runs on the real clock")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970")
}

#[expect(clippy::disallowed_methods, reason = "it is killed at a moment that nothing else tells")]
fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// The outputs of operators with state, when the plugin has the argument `states`.
const STATES: [&str; 4] = ["sums", "sessions", "snapshots", "window"];

/// A job with this source, and with these further arguments.
fn directory(source: &str, args: &str) -> Directory {
    with_interval(INTERVAL_MS, source, args)
}

fn with_interval(interval_ms: u64, source: &str, args: &str) -> Directory {
    let directory = Directory::new();
    directory.write("recoverable.wasm", programs::plugin("recoverable"));
    let job = format!(
        "[job]\nname = \"killed\"\nplugin = \"recoverable.wasm\"\nbatch_interval = \"{interval_ms}ms\"\n\
         checkpoint = \"checkpoint\"\ndirectories = {{ out = \".\" }}\nargs = {{ batch_ms = \"{interval_ms}\"{args} }}\n[sources.lines]\n{source}\n"
    );
    directory.write("job.toml", job);
    directory
}

fn text(batch: u64) -> Vec<String> {
    (0..1 + batch % 3).map(|line| format!("b{batch} l{line} x")).collect()
}

/// The directories of an output that have rows: the time of each in ms, and its files.
fn saved(directory: &Directory, output: &str) -> BTreeMap<u64, BTreeMap<String, String>> {
    let mut saved = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(directory.path("out")) else { return saved };
    for entry in entries.map(|entry| entry.expect("a directory can be listed")) {
        let name = entry.file_name().into_string().expect("names are text");
        let time =
            name.strip_prefix(output).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".txt")?.parse().ok());
        let Some(time) = time else { continue };
        let files = std::fs::read_dir(entry.path()).expect("a directory can be listed").map(|file| {
            let file = file.expect("a directory can be listed");
            let text = std::fs::read_to_string(file.path()).expect("a file can be read");
            (file.file_name().into_string().expect("names are text"), text)
        });
        let files: BTreeMap<String, String> = files.collect();
        if files.values().any(|text| !text.is_empty()) {
            saved.insert(time, files);
        }
    }
    saved
}

/// What a job over a receiver has saved.
fn received(directory: &Directory) -> Received {
    Received::new(LONG_INTERVAL_MS, |output| {
        let lines = |files: BTreeMap<String, String>| {
            files.values().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
        };
        saved(directory, output).into_iter().map(|(time, files)| (time, lines(files))).collect()
    })
}

/// Starts the job and kills it after a while, again and again. Returns how often the job had begun to work.
fn kill_again_and_again(directory: &Directory, kills: u64) -> u64 {
    let (mut worked, mut numbers) = (0, Numbers(seed()));
    for _ in 0..kills {
        let mut host = Running::start(directory.host(&["run", "job.toml", "--quiet", "--json"]));
        if numbers.below(4) > 0 {
            host.wait_for_out("StreamingStarted");
            worked += 1;
        }
        sleep(Duration::from_millis(numbers.below(3 * INTERVAL_MS)));
        host.signal("KILL");
        let said = host.finish();
        assert_eq!((said.code, said.error()), (None, ""), "{}", said.err);
    }
    worked
}

/// The files of an output, in the order of their batches. Batches are counted from the first batch with rows.
fn by_batch(saved: &BTreeMap<u64, BTreeMap<String, String>>, first: u64) -> BTreeMap<u64, BTreeMap<String, String>> {
    saved.iter().map(|(time, files)| ((time - first) / INTERVAL_MS, files.clone())).collect()
}

/// S10.12, S16.08, S16.15, S16.23: over a queue, whose lines are given to batches one by one.
#[test]
fn a_job_over_a_queue_survives_being_killed() {
    check_queue("", &["lines", "counts", "deep"]);
}

/// S4.21, S10.05, S10.21: the same with state. Snapshots of state are not written at the ends of batches.
#[test]
fn a_job_with_state_over_a_queue_survives_being_killed() {
    check_queue(", states = \"all\"", &[&["lines", "deep"], STATES.as_slice()].concat());
}

fn check_queue(args: &str, outputs: &[&str]) {
    const BATCHES: u64 = 60;
    const EMPTY: u64 = 12;
    let source = "type = \"queue\"\npath = \"queue.jsonl\"";
    let (killed, undisturbed) = (directory(source, args), directory(source, args));
    let empty = "[]\n".repeat(EMPTY as usize);
    let queue: String = (0..BATCHES).map(|batch| format!("{:?}\n", text(batch))).collect();
    for directory in [&killed, &undisturbed] {
        directory.write("queue.jsonl", format!("{queue}{empty}"));
    }
    let other = Running::start(undisturbed.host(&["run", "job.toml", "--quiet", "--stop-when-idle"]));
    let worked = kill_again_and_again(&killed, kills());
    assert!(worked > kills() / 4, "{worked}");
    let said = killed.run(&["run", "job.toml", "--quiet", "--stop-when-idle"]);
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let said = other.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    require_same(&killed, &undisturbed, outputs, BATCHES + EMPTY, BATCHES / 4);
}

/// S4.21, S10.12: a host that is stopped at once leaves batches that were made and not done. Their states are not those of the
/// last snapshot.
#[test]
fn a_job_with_state_that_is_stopped_at_once_goes_on() {
    const BATCHES: u64 = 24;
    let source = "type = \"queue\"\npath = \"queue.jsonl\"";
    let args = ", states = \"all\", print = \"all\"";
    let (stopped, undisturbed) = (directory(source, args), directory(source, args));
    // The first output of batch 7 hangs, before that batch changes any state.
    let line = |batch: u64| if batch == 7 { vec!["long 7 x".to_owned()] } else { text(batch) };
    let queue: String = (0..BATCHES).map(|batch| format!("{:?}\n", line(batch))).collect();
    for directory in [&stopped, &undisturbed] {
        directory.write("queue.jsonl", format!("{queue}{}", "[]\n".repeat(4)));
    }
    let other = Running::start(undisturbed.host(&["run", "job.toml", "--stop-when-idle"]));
    let mut command = stopped.host(&["run", "job.toml", "--set", "job.args.print=never"]);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    host.wait_for_more_err("BatchCompleted", 7);
    host.wait_for_more_err("BatchSubmitted", 5);
    require_stopped(&stopped.run(&["stop", "--now"]), 0);
    require_stopped(&host.finish(), 130);
    require_stopped(&stopped.run(&["run", "job.toml", "--stop-when-idle"]), 0);
    require_stopped(&other.finish(), 0);
    require_same(&stopped, &undisturbed, &[&["lines"], STATES.as_slice()].concat(), BATCHES, BATCHES / 2);
}

fn require_stopped(said: &Said, code: i32) {
    assert_eq!((said.code, said.error()), (Some(code), ""), "{}", said.err);
}

/// Requires that outputs have the same files in the first batches of two jobs, and files in at least `least` of them.
fn require_same(one: &Directory, other: &Directory, outputs: &[&str], count: u64, least: u64) {
    let first = |directory: &Directory| *saved(directory, "lines").keys().next().expect("something was saved");
    for output in outputs {
        // All batches have states, also batches after the last line of the queue.
        let of = |directory: &Directory| {
            let mut batches = by_batch(&saved(directory, output), first(directory));
            batches.retain(|batch, _| *batch < count);
            batches
        };
        let expected = of(other);
        assert!(expected.len() as u64 >= least, "{output}: {}", expected.len());
        assert_eq!(of(one), expected, "{output}");
    }
}

/// S16.15: a job over files. The modification times of the files say to which batches they belong, whichever process
/// runs then.
#[test]
fn a_job_over_files_survives_being_killed() {
    check_files("", &["lines", "counts"]);
}

/// S4.21, S10.05, S10.21: the same with state, for which batches are computed again from their files.
#[test]
fn a_job_with_state_over_files_survives_being_killed() {
    check_files(", states = \"all\"", &[&["lines"], STATES.as_slice()].concat());
}

fn check_files(args: &str, outputs: &[&str]) {
    const FILES: u64 = 60;
    let source = "type = \"text-files\"\npath = \"in\"";
    let (killed, undisturbed) = (directory(source, args), directory(source, args));
    // The first file is due soon, so the programs are built before.
    programs::host();
    let begin = since_1970().as_millis() as u64 + 3000;
    for directory in [&killed, &undisturbed] {
        std::fs::create_dir(directory.path("in")).expect("a directory can be made");
        for batch in 0..FILES {
            let name = format!("in/{batch:03}");
            directory.write(&name, text(batch).join("\n") + "\n");
            let modified = UNIX_EPOCH + Duration::from_millis(begin + batch * INTERVAL_MS);
            let file = File::options().write(true).open(directory.path(&name)).expect("the file is there");
            file.set_modified(modified).expect("times can be set");
        }
    }
    let mut other = Running::start(undisturbed.host(&["run", "job.toml", "--quiet", "--json"]));
    let worked = kill_again_and_again(&killed, kills());
    assert!(worked > kills() / 4, "{worked}");
    let mut last = Running::start(killed.host(&["run", "job.toml", "--quiet", "--json"]));
    let end = (begin + (FILES + 5) * INTERVAL_MS).next_multiple_of(INTERVAL_MS);
    for host in [&mut other, &mut last] {
        host.wait_for_out(&format!("\"event\":\"BatchCompleted\",\"batch\":{{\"batch_time_ms\":{end}"));
    }
    for host in [other, last] {
        host.signal("TERM");
        let said = host.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    }
    for output in outputs {
        // All batches have states, and the two runs have different first and last batches.
        let of = |directory: &Directory| {
            let mut batches = saved(directory, output);
            batches.retain(|time, _| (begin..=end).contains(time));
            batches
        };
        let expected = of(&undisturbed);
        assert!(expected.len() as u64 >= FILES, "{output}: {}", expected.len());
        assert_eq!(of(&killed), expected, "{output}");
    }
    // Each line of each file appears once.
    let lines: Vec<String> = saved(&killed, "lines").into_values().flat_map(BTreeMap::into_values).collect();
    let lines: Vec<&str> = lines.iter().flat_map(|text| text.lines()).collect();
    let unlike: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!((lines.len(), unlike.len() as u64), (unlike.len(), (0..FILES).map(|batch| 1 + batch % 3).sum::<u64>()));
}

/// A job over a log that another program writes and rotates all the time, whichever process runs then.
#[test]
fn a_job_over_a_log_survives_being_killed() {
    let directory = directory("type = \"log-file\"\npath = \"app.log\"", "");
    programs::host();
    let lines = || -> Vec<String> {
        let files = saved(&directory, "lines").into_values().flat_map(BTreeMap::into_values);
        files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    let (mut written, mut numbers) = (Vec::new(), Numbers(seed()));
    let (mut first_of_file, mut rotations) = (0, 0);
    let mut append = |numbers: &mut Numbers| {
        // If a log is rotated twice while nobody reads it, a file is lost.
        let is_seen = |written: &[String]| written.get(first_of_file).is_some_and(|line| lines().contains(line));
        if numbers.below(2) == 0 && is_seen(&written) {
            rotations += 1;
            first_of_file = written.len();
            let old = directory.path(&format!("app.log.{rotations}"));
            std::fs::rename(directory.path("app.log"), old).expect("a file can be renamed");
        }
        let mut file = OpenOptions::new().create(true).append(true).open(directory.path("app.log"));
        for _ in 0..1 + numbers.below(5) {
            let line = format!("line {}", written.len());
            file = file.and_then(|mut file| writeln!(file, "{line}").map(|()| file));
            written.push(line);
        }
        file.map(drop).expect("the file can be written");
    };
    for _ in 0..kills() {
        append(&mut numbers);
        let mut host = Running::start(directory.host(&["run", "job.toml", "--quiet", "--json"]));
        if numbers.below(4) > 0 {
            host.wait_for_out("StreamingStarted");
        }
        append(&mut numbers);
        sleep(Duration::from_millis(numbers.below(3 * INTERVAL_MS)));
        host.signal("KILL");
        let said = host.finish();
        assert_eq!((said.code, said.error()), (None, ""), "{}", said.err);
    }
    let said = directory.run(&["run", "job.toml", "--quiet", "--stop-when-idle"]);
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert!(!said.err.contains("DataLost"), "{}", said.err);
    assert!(rotations > 0);
    assert_eq!(lines(), written);
}
