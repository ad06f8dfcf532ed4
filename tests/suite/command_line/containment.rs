//! Things that a plugin and other users of the machine cannot do, through the real binary.

use super::super::support::binary::{Directory, Running};
use super::{job, require_refusal};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The id of a user other than root, who runs the tests.
const NOBODY: u32 = 65_534;

/// Makes a job whose driver function does something with a path, as a plugin in the crate of its user.
fn with_path(function: &str, path: &str, keys: &str) -> Directory {
    let directory = Directory::with_job("driver_functions");
    directory.write("queue.jsonl", "[1]\n");
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"paths\"\nplugin = \"driver_functions.wasm\"\nbatch_interval = \"20ms\"\n{keys}\n\
             args = {{ function = \"{function}\", path = \"{path}\" }}\n\n\
             [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
        ),
    );
    for name in [".cargo", "src", "ck"] {
        std::fs::create_dir(directory.path(name)).expect("a directory can be made");
    }
    directory.write("src/lib.rs", "//! Mine.\n");
    symlink(".cargo", directory.path("cargo")).expect("a link can be made");
    directory
}

fn run(directory: &Directory) -> (Option<i32>, String) {
    let said = job(directory, "run", &["--stop-when-idle"]);
    (said.code, said.error().to_owned() + &said.out)
}

fn content(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

/// Nothing is granted by default. No grant reaches hidden names, the job file, the plugin, the checkpoint directory or
/// the files that sources read.
#[test]
fn a_plugin_writes_only_where_the_job_grants_it() {
    let out = "directories = { out = \"out\" }";
    let here = "directories = { out = \".\" }\ncheckpoint = \"ck\"";
    let root = "directories = { out = \"cargo/..\" }\ncheckpoint = \"ck\"";
    let refused = [
        (".cargo/config.toml", "", "has a name that begins with `.`"),
        ("config.toml", "", "names no directory, and the job grants none called `out`"),
        ("src/lib.rs", "", "names no directory, and the job grants none called `out`"),
        (".cargo/config.toml", here, "has a name that begins with `.`"),
        ("cargo/config.toml", here, "`.cargo` is a hidden name"),
        ("job.toml", here, "that belongs to the job file"),
        ("driver_functions.wasm", here, "that belongs to the plugin"),
        ("queue.jsonl", here, "that belongs to source `lines`"),
        ("ck/runs/x", here, "that belongs to the checkpoint directory"),
        ("job.toml", root, "that belongs to the job file"),
        ("ck/owner/lock2", root, "that belongs to the checkpoint directory"),
        ("in:x", "directories = { in = { path = \"src\", access = \"read\" } }", "grants for reading only"),
        ("../x", out, "has a name `.` or `..`"),
    ];
    for (path, keys, told) in refused {
        let directory = with_path("write_path", path, keys);
        let kept = ["job.toml", "driver_functions.wasm", "queue.jsonl", "src/lib.rs"];
        let before = kept.map(|name| content(&directory.path(name)));
        let (code, said) = run(&directory);
        assert_eq!((code, said.contains(told)), (Some(2), true), "{path} with {keys}: {said}");
        assert!(said.contains("\nhelp: "), "{said}");
        assert_eq!(kept.map(|name| content(&directory.path(name))), before, "{path} with {keys}");
        assert_eq!(content(&directory.path(".cargo/config.toml")), None);
        assert!(!directory.path("ck/runs/x").exists() && !directory.path("x").exists());
    }
    for (path, keys, file) in
        [("a/total", out, "out/a/total"), ("total", out, "out/total"), ("src/lib.rs", here, "src/lib.rs")]
    {
        let directory = with_path("write_path", path, keys);
        assert_eq!(run(&directory).0, Some(0), "{path}");
        assert_eq!(content(&directory.path(file)).as_deref(), Some(&b"written by a plugin"[..]));
    }
}

/// A program that replaces a link decides which file the next start finds behind the link.
#[test]
fn a_plugin_does_not_replace_links_to_what_is_withheld() {
    let keys = "directories = { out = \".\" }\ncheckpoint = \"ck\"";
    for (name, told) in [
        ("job.toml", "that belongs to the job file"),
        ("driver_functions.wasm", "that belongs to the plugin"),
        ("queue.jsonl", "that belongs to source `lines`"),
        ("ck", "that belongs to the checkpoint directory"),
    ] {
        let (directory, elsewhere) = (with_path("write_path", name, keys), Directory::new());
        let target = elsewhere.path(name);
        if name == "ck" {
            std::fs::create_dir(&target).expect("a directory can be made");
            std::fs::remove_dir(directory.path(name)).expect("it is empty");
        } else {
            std::fs::copy(directory.path(name), &target).expect("it can be copied");
            std::fs::remove_file(directory.path(name)).expect("it can be removed");
        }
        symlink(&target, directory.path(name)).expect("a link can be made");
        let (code, said) = run(&directory);
        assert_eq!((code, said.contains(told)), (Some(2), true), "{name}: {said}");
        assert_eq!(std::fs::read_link(directory.path(name)).ok(), Some(target), "{name}");
    }
}

/// Reading needs a grant as well.
#[test]
fn a_plugin_reads_only_what_the_job_grants() {
    let lists = "directories = { lists = { path = \"src\", access = \"read\" } }";
    let here = "directories = { out = { path = \".\", access = \"read\" } }\ncheckpoint = \"ck\"";
    for function in ["read_path", "load_path"] {
        for (path, keys, told) in [
            ("src/lib.rs", "", "names no directory, and the job grants none called `out`"),
            ("src/lib.rs", lists, "names no directory, and the job grants none called `out`"),
            ("job.toml", here, "that belongs to the job file"),
            ("ck/owner/lock", here, "that belongs to the checkpoint directory"),
            ("cargo/config.toml", here, "`.cargo` is a hidden name"),
        ] {
            let (code, said) = run(&with_path(function, path, keys));
            assert_eq!((code, said.contains(told)), (Some(2), true), "{function} {path} with {keys}: {said}");
        }
        for (path, keys) in [("lists:lib.rs", lists), ("src/lib.rs", here)] {
            let (code, said) = run(&with_path(function, path, keys));
            assert_eq!((code, said.contains("//! Mine.")), (Some(0), true), "{function} {path} with {keys}: {said}");
        }
    }
}

#[test]
fn people_and_scripts_are_told_what_a_plugin_may_do() {
    let keys = "checkpoint = \"ck\"\ndirectories = { out = \"out\", lists = { path = \"src\", access = \"read\" }, all = \"..\", \
                ck = \"ck\", s3 = \"s3://b/p\" }";
    let directory = with_path("write_path", "x", keys);
    let said = job(&directory, "check", &[]);
    assert_eq!(
        said.out,
        "paths: ok, 2 nodes, 1 output, source `lines` (i64)\n  the plugin may read and write `all`: .., which holds the job \
         file\n  the plugin may neither read nor write `ck`: ck\n  the plugin may read `lists`: src\n  the plugin may read and write `out`: out\n  the plugin may write `s3`: \
         s3://b/p\n",
        "{}",
        said.err
    );
    let told: serde_json::Value = serde_json::from_str(&job(&directory, "check", &["--json"]).out).expect("it is JSON");
    assert_eq!(told["directories"][1], serde_json::json!({"name": "ck", "path": "ck", "access": "none"}));
    assert_eq!(told["directories"][2], serde_json::json!({"name": "lists", "path": "src", "access": "read"}));
    assert_eq!(told["directories"][3], serde_json::json!({"name": "out", "path": "out", "access": "write"}));
    let hidden = with_path("write_path", "x", "directories = { out = \"cargo\" }");
    let root = std::fs::canonicalize(hidden.path(".cargo")).expect("it is there");
    let expected = format!(
        "error: job paths: the job grants the directory {}, in which `.cargo` is a hidden name\nhelp: grant a \
         directory whose path, from the directory of the job file on, has no name that begins with `.`",
        root.display()
    );
    require_refusal(&hidden, &[], &expected);
}

/// The lengths of windows of windows add up to more than any integer type can hold.
#[test]
fn no_graph_is_too_large_for_arithmetic() {
    let years = |count: u64| (count * 365 * 24 * 3_600_000).to_string();
    let help = "make the windows shorter, or nest fewer windows in each other";
    let reach = "the windows that `window` (node 101) reads through reach back more than 100 years before a batch";
    for (length, windows, expected) in [
        (
            "18446744073709551600".to_owned(),
            1100,
            "`window` (node 1): its length of 18446744073709551600 ms is more than 100 years".to_owned(),
        ),
        (years(1), 1100, format!("{reach}\nhelp: {help}")),
    ] {
        let directory = Directory::with_job("hostile");
        let (length, windows) = (format!("job.args.length=\"{length}\""), format!("job.args.windows=\"{windows}\""));
        let args = ["--set", "job.args.does=windows", "--set", &length, "--set", &windows];
        // The graph itself is shown if each of its windows is valid.
        let explained = job(&directory, "explain", &args);
        assert_eq!(explained.code, Some(if explained.err.contains(&expected) { 2 } else { 0 }), "{}", explained.err);
        for command in ["check", "run"] {
            let said = job(&directory, command, &args);
            assert_eq!((said.code, said.err.contains(&expected)), (Some(2), true), "{command}: {}", said.err);
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

/// The directory, and all files and directories below it.
fn below(path: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![path.to_path_buf()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("it can be read");
            found.extend(entries.map(|entry| entry.expect("it is there").path()));
        }
        at += 1;
    }
    found
}

/// Files that other users could read or lock are only for their owner, also if an older version made them.
#[test]
fn checkpoints_sockets_and_events_are_for_their_user_alone() {
    let directory = Directory::with_job("network_word_count");
    // The test holds a lock on the directory all the time.
    let lock = File::open(directory.path("")).expect("it can be opened");
    lock.lock().expect("it can be locked");
    let args = ["run", "job.toml", "--set", "job.checkpoint=ck", "--events", "events.jsonl"];
    let mut host = Running::start(directory.host(&args));
    host.wait_for_err("BatchCompleted");
    while !directory.path(".millstream/word-count.sock").exists() {
        std::thread::yield_now();
    }
    assert_eq!(directory.run(&["status"]).code, Some(0));
    assert_eq!(mode(&directory.path(".millstream")), 0o700);
    assert_eq!(mode(&directory.path(".millstream/word-count.sock")), 0o600);
    assert_eq!(directory.run(&["stop"]).code, Some(0));
    assert_eq!(host.finish().code, Some(0));
    assert_eq!(mode(&directory.path("events.jsonl")), 0o600);
    for path in below(&directory.path("ck")) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    // The modes are those that an older version left.
    for path in below(&directory.path("ck")) {
        let open = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).expect("rights can be changed");
    }
    let again = directory.run(&["run", "job.toml", "--set", "job.checkpoint=ck", "--stop-when-idle"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    for name in ["ck/owner", "ck/runs", "ck/ingest"] {
        assert_eq!(mode(&directory.path(name)), 0o700, "{name}");
    }
    assert_eq!(mode(&directory.path("ck/owner/lock")), 0o600);
}

/// The host runs as root, and every user can reach its socket. The host does not listen to another user, but listens to
/// root.
#[test]
fn a_host_of_root_does_not_listen_to_others() {
    let directory = Directory::with_job("network_word_count");
    if std::fs::metadata(directory.path("")).expect("it is there").uid() != 0 {
        // Only root can become another user. A unit test shows that the decision is right for all users.
        return;
    }
    let mut host = Running::start(directory.host(&["run", "job.toml"]));
    host.wait_for_err("BatchCompleted");
    let socket = directory.path(".millstream/word-count.sock");
    while !socket.exists() {
        std::thread::yield_now();
    }
    for (path, mode) in
        [("", 0o755), (".millstream", 0o755), (".millstream/word-count.sock", 0o666), ("job.toml", 0o644)]
    {
        let path = directory.path(path);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("rights can be changed");
    }
    // A user who cannot open the program can still get an open file of it.
    let program = File::open(millstream_tests::programs::host()).expect("the program is there");
    for command in ["stop", "status"] {
        let mut other = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        other.args([command, "job.toml"]).current_dir(directory.path("")).uid(NOBODY).gid(NOBODY);
        let said = Running::start(other).finish();
        assert_eq!(said.code, Some(4), "{command}: {said:?}");
    }
    assert_eq!(directory.run(&["status"]).code, Some(0), "it runs on");
    assert_eq!(directory.run(&["stop"]).code, Some(0));
    assert_eq!(host.finish().code, Some(0));
}
