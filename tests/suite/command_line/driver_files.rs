//! Files of driver functions on a real disk.

use super::super::support::binary::{Directory, Said};
use super::{job, job_of_function};
use std::os::unix::fs::symlink;

/// Makes a job of two batches.
fn directory(function: &str) -> Directory {
    job_of_function(function, "[1, 2, 3]\n[2]\n")
}

fn run(directory: &Directory) -> Said {
    job(directory, "run", &["--stop-when-idle"])
}

/// The names in a directory, without the times in them.
fn names(directory: &Directory, path: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path(path)).expect("it can be read");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("it is there").file_name().to_string_lossy().into_owned();
        name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// S5.08, S5.09: the job itself replaces a file in each batch, by renaming a new file to its name.
#[test]
fn a_file_is_loaded_and_replaced() {
    let directory = directory("replaced_file");
    std::fs::create_dir(directory.path("data")).expect("it can be made");
    directory.write("data/names.csv", "number,name\n1,given\n");
    let said = run(&directory);
    assert_eq!((said.code, said.error()), (Some(0), ""));
    let rows: Vec<&str> = said.out.lines().filter(|line| line.starts_with('(')).collect();
    assert_eq!(rows.len(), 2, "{}", said.out);
    assert_eq!(rows[0], "(1,given)");
    assert!(rows[1].starts_with("(2,from ") && rows[1].ends_with(" ms)"), "{}", rows[1]);
    assert_eq!(names(&directory, "data"), ["names.csv"]);
}

/// S6.07: data that a driver function saves is loaded again, in every format. No other files are left.
#[test]
fn what_is_saved_is_loaded_again() {
    let directory = directory("save_and_load");
    let said = run(&directory);
    assert_eq!((said.code, said.error()), (Some(0), ""));
    let kinds = ["csv", "from-csv", "from-json", "from-parquet", "json", "parquet"];
    let twice: Vec<&str> = kinds.iter().flat_map(|kind| [*kind, *kind]).collect();
    assert_eq!(names(&directory, "out"), twice);
}

/// A link must not lead out of the granted directories, whatever the plugin does.
#[test]
fn a_link_does_not_lead_out() {
    let directory = directory("csv_file");
    let outside = Directory::new();
    outside.write("names.csv", "number,name\n1,secret\n");
    symlink(outside.path("names.csv"), directory.path("names.csv")).expect("it can be made");
    let said = run(&directory);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("cannot load `names.csv`: the path `names.csv` leads out of "), "{}", said.err);
    assert!(said.err.contains("\nhelp: remove the link, or grant "), "{}", said.err);
}

/// `check` reports no error: the host knows which files exist only when the batch runs.
#[test]
fn a_missing_file_is_told_when_it_is_asked_for() {
    let directory = directory("csv_file");
    let checked = job(&directory, "check", &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    let said = run(&directory);
    let (_, told) = said.err.split_once(": cannot load ").expect("it is told");
    let expected = "`names.csv`: nothing is there\n\
                    help: is it there, below one of job.directories?\n";
    assert_eq!((said.code, told), (Some(4), expected));
}
