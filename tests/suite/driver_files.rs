//! Files that driver functions load, save and write, and slices, in cases with mistakes or changes. See also
//! `tests/golden/driver`.

use super::support::simulated::{Job, Outcome};

const QUEUE: &str = "[1, 2, 3, 4, 5]\n[6, 7, 1]\n[]\n";

fn job(function: &str) -> Job {
    Job::on_queue("driver_functions", QUEUE)
        .with_job_keys(&format!("parallelism = 2\nargs = {{ function = \"{function}\" }}"))
}

fn with_file(function: &str, path: &str, content: &str) -> Job {
    let mut job = job(function);
    job.files.push((path.to_owned(), content.to_owned()));
    job
}

fn rows(outcome: &Outcome) -> Vec<Vec<String>> {
    assert_eq!(outcome.result, Ok(()));
    outcome.batches().into_iter().map(|(_, lines)| lines).collect()
}

/// S16.23, S16.24, S16.26: a batch that runs again finds its saved data sets, and leaves them unchanged.
#[test]
fn a_batch_that_runs_again_passes_over_what_it_saved() {
    let first = job("save_as_text_file").run();
    assert_eq!(first.result, Ok(()));
    let mut again = job("save_as_text_file");
    // An Arrow file is not text.
    let is_text = |path: &&String| !path.contains("/arrow-");
    for path in first.saved.keys().filter(is_text) {
        let text = if path.ends_with("_SUCCESS") { first.saved[path].clone() } else { format!("old {path}") };
        again.files.push((path.clone(), text));
    }
    let second = again.run();
    assert_eq!(second.result, Ok(()));
    assert!(second.saved.keys().all(|path| path.contains("/arrow-")), "{:?}", second.saved.keys());
    let arrow = |outcome: &Outcome| outcome.bytes.iter().filter(|(path, _)| path.contains("/arrow-")).count();
    assert_eq!(arrow(&second), arrow(&first));
}

#[test]
fn a_directory_that_is_there_is_not_replaced() {
    let error = job("save_twice").run().error();
    assert_eq!(
        error,
        "output `save_as_text_file` (node 2) did not save batch 2001-09-09T01:46:42Z: /jobs/out/numbers is there already: it \
         was saved by job golden, output foreach_rdd-0/0, batch 1000000001000 ms\n\
         help: move it away, or let the path have the batch's time in it, as in `out/counts-{time}`"
    );
}

/// S5.08, S5.09: a data set from a file whose content differs in each batch.
#[test]
fn a_file_may_change_between_batches() {
    let batches = rows(&with_file("replaced_file", "data/names.csv", "number,name\n1,given\n").run());
    // The first batch reads the given file, and each other batch reads the file that the batch before wrote.
    assert_eq!(
        batches,
        [
            vec!["(1,given)"],
            vec!["(6,from 1000000001000 ms)", "(1,from 1000000001000 ms)", "(7,from 1000000001000 ms)"],
            vec![]
        ]
    );
}

#[test]
fn a_file_must_not_change_within_a_batch() {
    let error = with_file("changed_file", "data/names.csv", "number,name\n1,given\n").run().error();
    assert!(
        error.contains(" failed on batch 2001-09-09T01:46:41Z, partition 0: /jobs/data/names.csv changed while the batch read it: it had 20 bytes"),
        "{error}"
    );
    assert!(error.contains("\nhelp: all reads of a batch must see the same file"), "{error}");
    // The change is also reported to another function of the batch, which has just asked for the file.
    let error = with_file("changed_for_another", "data/names.csv", "number,name\n1,given\n").run().error();
    assert!(
        error.contains(" failed on batch 2001-09-09T01:46:41Z, partition 0: /jobs/data/names.csv changed while the batch read it: it had 20 bytes"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_place() {
    let told = |function: &str, path: &str, content: &str| with_file(function, path, content).run().error();
    let place = "operator `map` (node 4) failed on batch 2001-09-09T01:46:41Z, partition 0";
    let fix = "help: correct the file, or the record that the plugin reads it as";
    assert_eq!(
        told("csv_file", "names.csv", "age,number,name\n1,1,a\n300,2,b\n"),
        format!("{place}: /jobs/names.csv, line 3, column `age`: expected option<u8>, found `300`\n{fix}")
    );
    assert_eq!(
        told("json_file", "names", "{\"number\":1,\"name\":\"a\"}\n\n{\"number\":1.5,\"name\":\"b\"}\n"),
        format!("{place}: /jobs/names, line 3, column `number`: expected i64, found 1.5\n{fix}")
    );
    assert_eq!(
        told("csv_file", "names", ""),
        "driver function of `transform` (node 1) failed on batch 2001-09-09T01:46:41Z: cannot load `names.csv`: nothing is \
         there\nhelp: is it there, below one of job.directories?"
    );
}

#[test]
fn files_are_for_driver_functions_below_what_is_granted() {
    let error = job("write_outside").run().error();
    let place = "driver function of `foreach_rdd` (node 1) failed on batch 2001-09-09T01:46:41Z: ";
    assert!(error.starts_with(&format!("{place}cannot write `../out`: ")), "{error}");
    let error = job("write_in_a_task").run().error();
    let told = "operator `map` (node 1) failed on batch 2001-09-09T01:46:41Z, partition 0";
    assert!(error.starts_with(told) && error.contains("is not available here: only in a driver function"), "{error}");
}

/// A slice reaches back as far as data sets are kept, and not into the future.
#[test]
fn a_slice_that_is_not_there_is_told() {
    let error = job("slice_not_kept").run().error();
    assert!(
        error.starts_with("`slice` (node 4) failed on batch 2001-09-09T01:46:42Z: the data set of `map` (node 1) of batch 2001-09-09T01:46:41Z is not there\nhelp: keep the stream's data sets: "),
        "{error}"
    );
    let error = job("slice_of_the_future").run().error();
    assert!(error.contains("a slice of `map` (node 1) ends at 2001-09-09T01:46:42Z, after the batch"), "{error}");
    let error = job("slice_of_itself").run().error();
    assert!(
        error.contains("the data set of `transform` (node 1) of batch 2001-09-09T01:46:41Z is not made yet"),
        "{error}"
    );
}
