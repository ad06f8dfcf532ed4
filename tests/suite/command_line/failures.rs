//! Failures outside the plugin, and records at which a plugin fails: which failures are tried again, and which messages
//! a user reads.

use super::super::support::binary::{Directory, Running, Said, without_times};
use super::super::support::s3_server::{BUCKET, Server};
use super::job;

fn loading_csv(content: &str) -> Said {
    let directory = Directory::with_job("driver_functions");
    directory.write("queue.jsonl", "[1, 2, 3]\n");
    directory.write("names.csv", content);
    directory.write(
        "job.toml",
        "[job]\nname = \"files\"\nplugin = \"driver_functions.wasm\"\nbatch_interval = \"20ms\"\nparallelism = 1\n\
         directories = { out = \".\" }\nargs = { function = \"csv_file\" }\n\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n",
    );
    job(&directory, "run", &["--stop-when-idle"])
}

/// A value of the wrong type stays wrong, however often the file is read. So the first failure is final, and the
/// message names operator, batch, file and line.
#[test]
fn what_cannot_pass_is_tried_once() {
    let said = loading_csv("number,name,age\n1,a,3\n2,b,300\n");
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(!said.err.contains("TaskRetried"), "{}", said.err);
    let error = without_times(said.error());
    assert!(error.contains(" failed on batch T, partition 0: "), "{error}");
    assert!(error.contains("names.csv, line 3, column `age`: expected option<u8>, found `300`\n"), "{error}");
    assert!(error.ends_with("help: correct the file, or the record that the plugin reads it as\n"), "{error}");
}

/// Makes a job of a hostile plugin that panics at a record from a file.
fn panics_at(name: &str, lines: &str) -> String {
    let directory = Directory::with_job("hostile");
    let sources = "[sources.lines]\ntype = \"text-files\"\npath = \"in\"\nexisting_files = \"read\"\n";
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"fragile\"\nplugin = \"hostile.wasm\"\nbatch_interval = \"20ms\"\n\
             args = {{ does = \"panic\" }}\n\n{sources}"
        ),
    );
    std::fs::create_dir(directory.path("in")).expect("a directory can be made");
    directory.write(&format!("in/{name}"), lines);
    let said = job(&directory, "run", &[]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    said.error().to_owned()
}

/// The message shows the record at which plugin code failed, and the origin of the record.
#[test]
fn a_record_that_fails_is_shown_with_its_file_and_line() {
    let error = panics_at("data", "a\nb\nboom\nc\n");
    assert!(error.contains("\n  record 2 of source `lines`, file in/data, line 3: boom\nhelp: "), "{error}");
}

/// The name of a file comes from outside. It must not look like a line of the host.
#[test]
fn names_of_files_are_escaped() {
    let error = panics_at("x\u{1b}]0;owned\u{7}\nerror: forged\u{202e}", "boom\n");
    assert!(error.contains(r"file in/x\u{1b}]0;owned\u{7}\u{a}error: forged\u{202e}, line 1: boom"), "{error}");
    assert!(!error.contains(['\u{1b}', '\u{7}', '\u{202e}']) && error.lines().count() == 4, "{error}");
}

/// Makes a job that saves numbers as text below `prefix`, and runs until it is stopped.
fn saving(name: &str, root: &Directory, prefix: &str, keys: &str) -> Directory {
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", "[1, 2, 3, 4]\n[]\n");
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"{name}\"\nplugin = \"operators.wasm\"\nbatch_interval = \"20ms\"\n{keys}\
             directories = {{ shared = \"{}\", out = \".\" }}\n\
             args = {{ operator = \"save_as_text_files\", prefix = \"shared:{prefix}\" }}\n\n\
             [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n",
            root.path("").display()
        ),
    );
    directory
}

fn hidden(directory: &Directory) -> usize {
    let entries = std::fs::read_dir(directory.path("")).expect("a directory can be listed");
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with('.')))
        .count()
}

/// An output has one writer: a second start of the job is refused, and so is another job with the same prefix. The
/// outputs of a killed host are free again, and a host that ends normally leaves no lock files.
#[test]
fn outputs_have_an_owner() {
    let shared = Directory::new();
    let first = saving("saver", &shared, "numbers", "");
    let mut running = Running::start(first.host(&["run", "job.toml"]));
    running.wait_for_err("BatchCompleted");
    for (name, prefix) in [("saver", "numbers"), ("another", "numbers"), ("saver", "others")] {
        let directory = saving(name, &shared, prefix, "");
        let said = directory.run(&["run", "job.toml", "--stop-when-idle"]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
        assert!(said.error().contains(&format!("/{prefix}-TIME_IN_MS.txt: job saver, process ")), "{}", said.error());
        assert!(said.error().contains("\nhelp: stop that host with `host stop`"), "{}", said.error());
    }
    let beside = saving("another", &shared, "others", "").run(&["run", "job.toml", "--stop-when-idle"]);
    assert_eq!((beside.code, beside.error()), (Some(0), ""), "{}", beside.err);
    running.signal("KILL");
    running.finish();
    assert!(hidden(&shared) > 0);
    let again = first.run(&["run", "job.toml", "--stop-when-idle"]);
    assert_eq!((again.code, again.error()), (Some(0), ""), "{}", again.err);
    assert_eq!(hidden(&shared), 0);
}

/// The same is true if the second start has a checkpoint directory of its own.
#[test]
fn outputs_have_an_owner_whatever_the_checkpoint() {
    let shared = Directory::new();
    let first = saving("saver", &shared, "numbers", "checkpoint = \"ck\"\n");
    let mut running = Running::start(first.host(&["run", "job.toml"]));
    running.wait_for_err("BatchCompleted");
    let said = first.run(&["run", "job.toml", "--set", "job.checkpoint=other"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.error().contains("-TIME_IN_MS") && said.error().contains(": job saver, process "), "{}", said.error());
    running.signal("TERM");
    let said = running.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
}

/// A bucket that does not exist and a wrong key are permanent failures. They are reported at once, with a message about
/// the cause.
#[test]
fn a_store_that_refuses_is_told_at_once() {
    let server = Server::start();
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", "[1, 2, 3, 4]\n[]\n");
    let write_job = |bucket: &str| {
        directory.write(
            "job.toml",
            format!(
                "[job]\nname = \"saver\"\nplugin = \"operators.wasm\"\nbatch_interval = \"20ms\"\n\
                 directories = {{ objects = \"s3://{bucket}/saved\", out = \".\" }}\n\
                 args = {{ operator = \"save_as_text_files\", prefix = \"objects:numbers\" }}\n\n\
                 [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
            ),
        );
    };
    let run = |secret: Option<&str>| {
        let mut command = server.tell(directory.host(&["run", "job.toml", "--stop-when-idle"]));
        if let Some(secret) = secret {
            command.env("AWS_SECRET_ACCESS_KEY", secret);
        }
        Running::start(command).finish()
    };
    write_job("nowhere");
    let said = run(None);
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert!(!said.err.contains("TaskRetried"), "{}", said.err);
    assert!(said.error().contains(" says: NoSuchBucket\n"), "{}", said.error());
    assert!(
        said.error().contains("\nhelp: make the bucket, or correct the URL s3://nowhere/saved"),
        "{}",
        said.error()
    );
    write_job(BUCKET);
    let said = run(Some("wrong"));
    assert!(said.error().contains(" says: SignatureDoesNotMatch\n"), "{}", said.error());
    assert!(said.error().contains("\nhelp: correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"), "{}", said.error());
}
