//! Outputs that save files, on a real disk: the files at the end of a run, and the paths that are refused.

use super::super::support::binary::{Directory, without_times};
use super::{job, require_error, require_refusal};
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// Allows the plugin to write below the directory of the job file.
const OUT: &str = "directories = { out = \".\" }";

/// Makes a job that saves numbers in three partitions as text, with a prefix, and their sum.
fn saving(prefix: &str, keys: &str) -> Directory {
    saving_as("save_as_text_files", prefix, keys)
}

/// Makes a job that saves numbers by an operator, and their sum. Unless the keys grant another place, the plugin may
/// write below the directory of the job file.
fn saving_as(operator: &str, prefix: &str, keys: &str) -> Directory {
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", "[1, 2, 3, 4]\n[]\n");
    let keys = if keys.is_empty() { OUT } else { keys };
    let prefix = prefix.replace('\u{1b}', "\\u001b");
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"saver\"\nplugin = \"operators.wasm\"\nbatch_interval = \"20ms\"\n{keys}\n\
             args = {{ operator = \"{operator}\", prefix = \"{prefix}\" }}\n\n\
             [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
        ),
    );
    directory
}

/// The files below a directory with their contents, with `T` in place of times. Two batches have the same entries.
fn tree(root: &Path) -> BTreeMap<String, Vec<String>> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&directory)
            .expect("it can be read")
            .map(|entry| entry.expect("it is there").path())
            .collect();
        entries.sort();
        for path in entries.into_iter().rev() {
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(root).expect("it is below").display().to_string();
                let text = std::fs::read(&path).expect("it can be read");
                files.entry(without_times(&name)).or_default().push(String::from_utf8_lossy(&text).into_owned());
            }
        }
    }
    files.retain(|name, _| !["operators.wasm", "queue.jsonl", "job.toml"].contains(&name.as_str()));
    files
}

fn expected(prefix: &str) -> BTreeMap<String, Vec<String>> {
    let files = [
        (format!("{prefix}-T.txt/_SUCCESS"), ["", ""]),
        (format!("{prefix}-T.txt/part-00000"), ["(1,None)\n", ""]),
        (format!("{prefix}-T.txt/part-00001"), ["(2,None)\n(3,Some(1.5))\n", ""]),
        (format!("{prefix}-T.txt/part-00002"), ["(4,Some(2.0))\n", ""]),
        ("sum-T/_SUCCESS".to_owned(), ["", ""]),
        ("sum-T/part-00000".to_owned(), ["sum\n10\n", ""]),
    ];
    files.map(|(name, texts)| (name, texts.map(str::to_owned).to_vec())).into()
}

/// S6.04: `PREFIX-TIME_IN_MS[.SUFFIX]`, a file for each partition, and nothing else.
#[test]
fn each_batch_is_a_directory_of_its_own() {
    let directory = saving("out/deep/numbers", "");
    let said = job(&directory, "run", &["--stop-when-idle"]);
    assert_eq!((said.code, said.error()), (Some(0), ""));
    assert_eq!(tree(&directory.path("")), expected("out/deep/numbers"));
}

/// A directory that the job grants by name can be anywhere, and its path can be relative or absolute.
#[test]
fn a_granted_directory_is_written_to_by_its_name() {
    let elsewhere = Directory::new();
    let keys = format!("directories = {{ far = \"{}\", out = \".\" }}", elsewhere.path("").display());
    let directory = saving("far:a/numbers", &keys);
    let said = job(&directory, "run", &["--stop-when-idle"]);
    assert_eq!((said.code, said.error()), (Some(0), ""));
    let mut found = tree(&elsewhere.path(""));
    found.extend(tree(&directory.path("")));
    assert_eq!(found, expected("a/numbers"));
}

/// Mistakes in a path that can be found without running the job are reported before anything runs.
#[test]
fn a_path_that_leads_elsewhere_is_refused() {
    let relative = "name it relative to a directory that job.directories grants: `path` below the one called `out`, \
                    `name:path` below another";
    let plain = "name a file or directories and a file, as in `today/counts`";
    let cases = [
        ("/etc/x", "the path `/etc/x` is absolute", relative),
        ("../x", "the path `../x` has a name `.` or `..`", plain),
        ("a\u{1b}[31mx", "the path `a\\u{1b}[31mx` has control characters", "use printable characters"),
        (
            "far:x",
            "the path `far:x` is below the directory `far`, which the job does not grant",
            "job.directories grants `out`",
        ),
        (".cargo/x", "the path `.cargo/x` has a name that begins with `.`, which is hidden", plain),
    ];
    for (prefix, problem, help) in cases {
        let directory = saving(prefix, "");
        let expected =
            format!("error: output `numbers` (save_as_text_files, node 3) cannot be written: {problem}\nhelp: {help}");
        require_refusal(&directory, &[], &expected);
        assert!(tree(&directory.path("")).is_empty());
    }
}

/// Nothing is granted by default.
#[test]
fn a_job_that_grants_nothing_lets_nothing_be_written() {
    let cases = [
        (
            "counts",
            "the path `counts` names no directory, and the job grants none called `out`",
            "grant it in the job file: directories = { out = \"out\" } under [job]",
        ),
        (
            "far:x",
            "the path `far:x` is below the directory `far`, which the job does not grant",
            "grant it in the job file: directories = { far = \"...\" } under [job]",
        ),
    ];
    for (prefix, problem, help) in cases {
        let directory = saving(prefix, "directories = {}");
        let sum = "the path `sum` names no directory, and the job grants none called `out`";
        let expected = format!(
            "error: 2 mistakes in the outputs:\n  output `numbers` (save_as_text_files, node 3) cannot be written: {problem}\n  \
             output `save_as_text_files` (node 6) cannot be written: {sum}\nhelp: {help}"
        );
        require_refusal(&directory, &[], &expected);
        assert!(tree(&directory.path("")).is_empty());
    }
}

#[test]
fn a_link_that_leads_out_is_refused() {
    let elsewhere = Directory::new();
    let directory = saving("out/numbers", "");
    symlink(elsewhere.path(""), directory.path("out")).expect("a link can be made");
    let target = std::fs::canonicalize(elsewhere.path("")).expect("it is there");
    let root = std::fs::canonicalize(directory.path("")).expect("it is there");
    let expected = format!(
        "error: output `numbers` (save_as_text_files, node 3) cannot be written: the path `out/numbers` leads out of {}: \
         {} is really {}\nhelp: remove the link, or grant {} in job.directories",
        root.display(),
        root.join("out").display(),
        target.display(),
        target.display(),
    );
    require_refusal(&directory, &[], &expected);
    assert!(tree(&elsewhere.path("")).is_empty());
}

#[test]
fn a_file_in_place_of_the_directory_is_told() {
    let directory = saving("out/numbers", "");
    directory.write("out", "not a directory");
    let root = std::fs::canonicalize(directory.path("")).expect("it is there");
    let expected = format!(
        "error: output `numbers` (save_as_text_files, node 3) cannot be written: cannot write to the directory {0}/out: \
         not a directory\nhelp: is there a file, or a link to nowhere, at {0}/out?",
        root.display()
    );
    require_refusal(&directory, &[], &expected);
}

#[test]
fn a_granted_directory_that_is_not_there_is_told() {
    let directory = saving("far:numbers", "directories = { far = \"no/where\", out = \".\" }");
    let expected = "error: output `numbers` (save_as_text_files, node 3) cannot be written: cannot find the directory \
                    no/where: No such file or directory (os error 2)\nhelp: make the directory no/where";
    require_refusal(&directory, &[], expected);
}

/// A user who may write everywhere, such as root, is not stopped by the mode of a directory.
#[test]
fn a_directory_without_the_right_to_write_is_told() {
    let directory = saving("out/numbers", "");
    let out = directory.path("out");
    std::fs::create_dir(&out).expect("a directory can be made");
    std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o555)).expect("rights can be taken away");
    let said = job(&directory, "run", &["--stop-when-idle"]);
    if std::fs::write(out.join("probe"), "").is_ok() {
        std::fs::remove_file(out.join("probe")).expect("the probe is there");
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(tree(&directory.path("")), expected("out/numbers"));
    } else {
        let root = std::fs::canonicalize(directory.path("")).expect("it is there");
        let expected = format!(
            "error: output `numbers` (save_as_text_files, node 3) cannot be written: cannot write to the directory \
             {0}/out: Permission denied (os error 13)\nhelp: whoever runs the host needs the right to write in {0}/out",
            root.display()
        );
        require_error(&said, 2, &expected);
    }
}

/// A run removes the unfinished directories of its own earlier runs, and no directory of another output.
#[test]
fn what_another_output_builds_stays() {
    let directory = saving("numbers", "");
    let name = ".millstream-saver-numbers-0000000000000000-1000.tmp";
    std::fs::create_dir(directory.path(name)).expect("a directory can be made");
    assert_eq!(job(&directory, "run", &["--stop-when-idle"]).code, Some(0));
    assert!(directory.path(name).is_dir());
    assert_eq!(tree(&directory.path("")), expected("numbers"));
}

/// `host check` and `host explain` say where files are saved, and save no file.
#[test]
fn people_and_scripts_are_told_where_files_go() {
    let directory = saving("out/numbers", "");
    let check = job(&directory, "check", &[]);
    assert_eq!(
        check.out,
        "saver: ok, 8 nodes, 3 outputs, source `lines` (i64)\n  output `numbers` (save_as_text_files, node 3): \
         out/numbers-TIME_IN_MS.txt\n  output `save_as_text_files` (node 6): sum-TIME_IN_MS\n  the plugin may read and \
         write `out`: ., which holds the job file\n"
    );
    let json = job(&directory, "check", &["--json"]).out;
    let files = r#""files":[{"output":"`numbers` (save_as_text_files, node 3)","path":"out/numbers-TIME_IN_MS.txt"},"#;
    assert!(json.contains(files), "{json}");
    let explained = job(&directory, "explain", &[]).out;
    let line =
        "output `numbers` (save_as_text_files, node 3) needs stages 0, 1, 2, saves to out/numbers-TIME_IN_MS.txt\n";
    assert!(explained.contains(line), "{explained}");
    let json = job(&directory, "explain", &["--json"]).out;
    assert!(json.contains(r#"{"node":3,"path":"out/numbers-TIME_IN_MS.txt","stages":[0,1,2]}"#), "{json}");
    assert!(tree(&directory.path("")).is_empty());
}

/// S6.05, S6.06, S6.17: every format has the directories of text files, and each process writes the same bytes.
#[test]
fn each_format_has_the_same_directories_and_makes_the_same_bytes() {
    for kind in ["object", "parquet", "csv", "json"] {
        let operator = format!("save_as_{kind}_files");
        let bytes = || {
            let directory = saving_as(&operator, "out/numbers", "");
            let said = job(&directory, "run", &["--stop-when-idle"]);
            assert_eq!((said.code, said.error()), (Some(0), ""));
            tree(&directory.path(""))
        };
        let found = bytes();
        let suffix = if kind == "object" { "arrow" } else { kind };
        // Parts have the extension of their format, whatever the directory is called.
        let mut expected = vec![format!("out/numbers-T.{suffix}/_SUCCESS")];
        expected.extend((0..2).map(|part| format!("out/numbers-T.{suffix}/part-0000{part}.{suffix}")));
        expected.extend(["sum-T/_SUCCESS".to_owned(), format!("sum-T/part-00000.{suffix}")]);
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), expected);
        assert_eq!(bytes(), found, "{kind}");
    }
}

#[test]
fn people_are_told_where_files_of_other_formats_go() {
    let directory = saving_as("save_as_parquet_files", "out/numbers", "");
    assert_eq!(
        job(&directory, "check", &[]).out,
        "saver: ok, 6 nodes, 2 outputs, source `lines` (i64)\n  output `numbers` (save_as_parquet_files, node 4): \
         out/numbers-TIME_IN_MS.parquet\n  output `save_as_parquet_files` (node 5): sum-TIME_IN_MS\n  the plugin may read \
         and write `out`: ., which holds the job file\n"
    );
    let explained = job(&directory, "explain", &[]).out;
    let line = "output `numbers` (save_as_parquet_files, node 4) needs stages 0, 1, 3, saves to \
                out/numbers-TIME_IN_MS.parquet\n";
    assert!(explained.contains(line), "{explained}");
    assert!(tree(&directory.path("")).is_empty());
}

/// A field of CSV is a single value. The mistake is reported before anything runs.
#[test]
fn lists_are_not_saved_as_csv() {
    let directory = saving_as("save_lists_as_csv_files", "out/numbers", "");
    let expected = "error: plugin operators.wasm described a graph that cannot run:\n  `save_as_csv_files` (node 2): column `_2` is list<(i64, option<text>)>, and a field of a CSV \
                    file is a single value\nhelp: save JSON or Parquet files, or map such values to text";
    require_refusal(&directory, &[], expected);
}
