//! `host checkpoint show` and `host checkpoint verify`: both only read a directory.

use super::super::support::binary::{Directory, Running, Said};
use super::require_error;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Makes a directory with a job that has run to its end, and its checkpoint directory `state`.
fn ran() -> Directory {
    let directory = Directory::with_job("network_word_count");
    let said = directory.run(&["run", "job.toml", "--stop-when-idle", "--set", "job.checkpoint=state"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    directory
}

/// All files below a path, with their contents.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(path).expect("the directory is there") {
        let path = entry.expect("a directory can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).expect("a file can be read");
            found.insert(path, bytes);
        }
    }
    found
}

fn newest(directory: &Directory, part: &str) -> PathBuf {
    files(&directory.path("state").join(part)).into_keys().next_back().expect("there is a file")
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("the file is there");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("the file can be written");
}

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.out).expect("the report is JSON")
}

fn verify(directory: &Directory) -> Said {
    directory.run(&["checkpoint", "verify", "state"])
}

/// S10.02 to S10.04: the settings, the operations and the batches that are not done.
#[test]
fn what_a_checkpoint_holds_is_shown_without_the_plugin() {
    let directory = ran();
    std::fs::remove_file(directory.path("network_word_count.wasm")).expect("the plugin is there");
    let before = files(&directory.path("state"));
    let said = directory.run(&["checkpoint", "show", "state", "--json", "--graph"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let shown = json_of(&said);
    let (owner, run, ingest) = (&shown["owner"], &shown["runs"][0], &shown["ingest"]);
    assert_eq!((&owner["epoch"], &owner["released"], &owner["run"]), (&json!(1), &json!(true), &run["name"]));
    assert_ne!(owner["locked"], json!(true));
    assert_eq!(
        (&run["job"], &run["batch_interval_ms"], &run["current"]),
        (&json!("word-count"), &json!(20), &json!(true))
    );
    assert_eq!((&run["pending_ms"], &run["done_through_ms"]), (&json!([]), &run["last_batch_ms"]));
    assert_eq!(run["settings"]["job.name"], json!("\"word-count\""));
    let kinds: Vec<&Value> = run["graph"].as_array().expect("a graph").iter().map(|node| &node["kind"]).collect();
    assert_eq!(kinds, ["source", "flat_map", "map", "reduce_by_key", "print"]);
    assert_eq!(ingest["last_batch_ms"], run["last_batch_ms"]);
    assert_eq!(run["plugin_digest"].as_str().map(str::len), Some(64));
    let said = directory.run(&["checkpoint", "show", "state", "--graph"]);
    for part in [
        "checkpoint directory state\nowner: epoch 1, process ",
        "; given back\n",
        "  settings:\n    job.batch_interval = \"20ms\"\n",
        "  pending: none\n",
        "    3 reduce_by_key reads [2], rows ",
        "    output `print` (node 4) needs stages 0, 1\n",
        "allocation log\n  read from: ingest/log-",
    ] {
        assert!(said.out.contains(part), "{part:?} is missing in {}", said.out);
    }
    assert_eq!(files(&directory.path("state")), before, "nothing was written");
}

#[test]
fn a_sound_directory_is_verified_also_through_its_job_file() {
    let directory = ran();
    let before = files(&directory.path("state"));
    let said = verify(&directory);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.contains("; the next start reads it\n") && said.out.ends_with(": everything can be read\n"));
    let job = std::fs::read_to_string(directory.path("job.toml")).expect("the job file is there");
    directory.write("job.toml", job.replace("[sources", "checkpoint = \"state\"\n[sources"));
    let said = directory.run(&["checkpoint", "verify", "job.toml", "--json"]);
    let found = json_of(&said);
    assert_eq!((said.code, &found["sound"], &found["contradictions"]), (Some(0), &json!(true), &json!([])));
    assert_eq!(found["files"].as_array().map(Vec::len), Some(before.len() - 1), "all but the lock");
    assert_eq!(files(&directory.path("state")), before, "nothing was written");
}

/// These commands do not disturb the host, and the host does not disturb them.
#[test]
fn a_directory_can_be_looked_at_while_a_host_uses_it() {
    let directory = Directory::with_job("network_word_count");
    let args = ["run", "job.toml", "--set", "job.checkpoint=state"];
    let mut host = Running::start(directory.host(&args));
    host.wait_for_err("BatchCompleted");
    for _ in 0..5 {
        let shown = json_of(&directory.run(&["checkpoint", "show", "state", "--json"]));
        // Some file systems do not say who holds a lock.
        assert_ne!(shown["owner"]["locked"], json!(false));
        assert_eq!(shown["owner"]["released"], json!(false));
        let said = verify(&directory);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    }
    host.signal("KILL");
    host.finish();
    let said = directory.run(&["checkpoint", "show", "state", "--json"]);
    assert_ne!(json_of(&said)["owner"]["locked"], json!(true));
    assert_eq!(directory.run(&["run", "job.toml", "--stop-when-idle", "--set", "job.checkpoint=state"]).code, Some(0));
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let directory = ran();
    let path = newest(&directory, "runs");
    flip(&path, 40);
    let said = verify(&directory);
    assert_eq!(said.code, Some(5));
    let damage = "bytes: its checksum is wrong; a start ignores it and uses an older checkpoint of the run\n";
    assert!(said.out.contains("    damaged at byte 0, ") && said.out.contains(damage), "{}", said.out);
    assert_eq!(
        said.err,
        "error: checkpoint directory state: 1 file damaged\n\
         help: the job can continue without these files: it runs again all batches that are not known to be done; \
         check the disk for the cause\n"
    );
    let shown = directory.run(&["checkpoint", "show", "state"]);
    assert_eq!(shown.code, Some(0));
    assert!(shown.out.contains("  passed over: runs/") && shown.out.contains(": its checksum is wrong\n"));
    assert_eq!(directory.run(&["run", "job.toml", "--stop-when-idle", "--set", "job.checkpoint=state"]).code, Some(0));
}

#[test]
fn a_torn_log_is_harmless_and_a_damaged_one_is_not() {
    let directory = ran();
    let path = newest(&directory, "ingest");
    let whole = std::fs::read(&path).expect("the log is there");
    std::fs::write(&path, [whole.as_slice(), b"MSal\x01"].concat()).expect("the log can be written");
    let said = verify(&directory);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    let torn = format!("    torn at byte {}: its last 5 bytes were never finished", whole.len());
    assert!(said.out.contains(&torn), "{}", said.out);
    std::fs::write(&path, &whole).expect("the log can be written");
    flip(&path, 30);
    let said = directory.run(&["checkpoint", "verify", "state", "--json"]);
    assert_eq!(said.code, Some(5));
    let found = json_of(&said);
    let segment = found["files"].as_array().and_then(|files| files.last()).expect("there is a segment");
    assert_eq!((&segment["kind"], &segment["used"], &found["sound"]), (&json!("segment"), &json!(true), &json!(false)));
    let first = &segment["documents"][0];
    assert_eq!(
        (&first["state"], &first["at"], &first["error"]),
        (&json!("damaged"), &json!(0), &json!("its checksum is wrong"))
    );
    let error: Value = serde_json::from_str(&said.err).expect("an error is JSON");
    assert_eq!(error["error"]["kind"], json!("data"));
    let shown = directory.run(&["checkpoint", "show", "state"]);
    assert!(shown.out.contains("allocation log: ingest/log-"), "{}", shown.out);
}

#[test]
fn a_log_that_was_lost_contradicts_the_checkpoint() {
    let directory = ran();
    std::fs::remove_dir_all(directory.path("state/ingest")).expect("the log is there");
    let said = verify(&directory);
    assert_eq!(said.code, Some(5));
    assert!(
        said.out.contains("contradiction: runs/") && said.out.contains(" was the last that was made\n"),
        "{}",
        said.out
    );
    assert!(said.err.contains("bring all files back from one backup"), "{}", said.err);
}

/// Text from names and files reaches the terminal only in escaped form.
#[test]
fn names_from_the_disk_cannot_fool_a_terminal() {
    let directory = ran();
    let run = directory.path("state/runs/\u{1b}[31m\u{202e}-1");
    std::fs::create_dir(&run).expect("a directory can be made");
    std::fs::write(run.join("checkpoint-000000000001"), "\u{1b}[2J").expect("a file can be written");
    for command in ["show", "verify"] {
        let said = directory.run(&["checkpoint", command, "state"]);
        let both = format!("{}{}", said.out, said.err);
        assert!(!both.contains(['\u{1b}', '\u{202e}']), "{both:?}");
        assert!(both.contains("\\u{1b}[31m\\u{202e}-1"), "{both}");
    }
}

#[test]
fn where_nothing_is_an_error_says_so() {
    let directory = Directory::with_job("network_word_count");
    for command in ["show", "verify"] {
        require_error(
            &directory.run(&["checkpoint", command, "nowhere"]),
            2,
            "error: cannot look for a checkpoint in nowhere: No such file or directory (os error 2)\n\
             help: name the directory in job.checkpoint, or the job file that names it",
        );
        require_error(
            &directory.run(&["checkpoint", command, "."]),
            2,
            "error: there is no checkpoint in .\n\
             help: name the directory in job.checkpoint; a job writes there once it runs",
        );
        require_error(
            &directory.run(&["checkpoint", command, "job.toml"]),
            2,
            "error: job word-count has no checkpoint directory\nhelp: set job.checkpoint in the job file",
        );
    }
}
