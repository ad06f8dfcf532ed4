//! Values as users meet them: the order of floats, and records with duplicate or missing members.

use super::super::support::binary::{Directory, Said};
use super::job;

/// A job of the plugin of driver functions, with the data sets of its queue.
fn run(function: &str, queue: &str, files: &[(&str, &str)]) -> Said {
    let directory = Directory::with_job("driver_functions");
    directory.write("queue.jsonl", queue);
    files.iter().for_each(|(path, text)| directory.write(path, text));
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"values\"\nplugin = \"driver_functions.wasm\"\nbatch_interval = \"20ms\"\nparallelism = 1\n\
             directories = {{ out = \".\" }}\n\
             args = {{ function = \"{function}\" }}\n\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
        ),
    );
    job(&directory, "run", &["--stop-when-idle"])
}

/// Numbers stand for floats: 1 for NaN, 3 for -NaN, 4 and 5 for infinities, 6 for -0.0 and 7 for 0.0.
#[test]
fn not_a_number_comes_last_in_a_sort_and_first_in_a_descending_one() {
    let said = run("sort_floats", "[1, 2, 3, 4, 5, 6, 7]\n", &[]);
    assert_eq!((said.code, said.error()), (Some(0), ""));
    let numbers: Vec<&str> = said.out.lines().filter_map(|line| line.strip_prefix('(')?.split(',').next()).collect();
    let ascending = ["4", "6", "7", "2", "5", "1", "3"];
    let descending = ["1", "3", "5", "2", "6", "7", "4"];
    // The floats are in a tuple, a list, an option and a struct. There, the number 2 stands for an absent value.
    let nested = ["2", "4", "6", "7", "5", "1", "3"];
    let nested_descending = ["1", "3", "5", "6", "7", "4", "2"];
    assert_eq!(numbers, [ascending, descending, nested, nested_descending].concat());
}

#[test]
fn the_first_and_the_last_of_floats_have_the_order_of_sorts() {
    let said = run("first_of_floats", "[1, 2, 3, 4, 5, 6, 7]\n", &[]);
    assert_eq!((said.code, said.error()), (Some(0), ""));
    let expected = "([[NaN, NaN, Infinity], [-Infinity, -0.0, 0.0]],(Some(-Infinity),Some(NaN)),([1, 3, 5],[4, 7, 6]))";
    assert_eq!(said.out.lines().filter(|line| line.starts_with('(')).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_member_that_an_object_has_twice_is_refused() {
    let files = [("names", "{\"number\":1,\"name\":\"a\"}\n{\"number\":2,\"number\":3,\"name\":\"b\"}\n")];
    let said = run("json_file", "[1, 2]\n", &files);
    assert_eq!(said.code, Some(2));
    assert!(
        said.error().contains("names, line 2: an object has the member `number` twice, at character "),
        "{}",
        said.err
    );
}

#[test]
fn a_column_that_is_not_there_is_told_with_those_that_are() {
    let said = run("csv_file", "[1, 2]\n", &[("names.csv", "number,Name,age\n1,a,7\n")]);
    assert_eq!(said.code, Some(2));
    let expected = "names.csv, line 1, column `name`: there is no such column, and text has to be there; \
                    the columns are `number`, `Name`, `age`\n";
    assert!(said.error().contains(expected), "{}", said.err);
}
