//! The output of plugin code in the host's log: whole lines, each with operator, batch and partition.

use super::super::support::binary::{Directory, without_times};
use super::job;

/// The log lines of the plugin in a job whose plugin is `plugin`, with `T` for each batch time.
fn plugin_lines(plugin: &str, args: &str, queue: &str) -> Vec<String> {
    let directory = Directory::new();
    directory.write("plugin.wasm", millstream_tests::programs::plugin(plugin));
    directory.write("queue.jsonl", queue);
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"words\"\nplugin = \"plugin.wasm\"\nbatch_interval = \"20ms\"\nparallelism = 2\n\
             args = {{ {args} }}\n\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
        ),
    );
    let said = job(&directory, "run", &["--stop-when-idle"]);
    let of_plugin = |line: &str| {
        line.split_once(" plugin: ").map(|(before, line)| {
            let level = before.rsplit(' ').next().unwrap_or_default();
            without_times(&format!("{level} {line}"))
        })
    };
    said.err.lines().filter_map(of_plugin).collect()
}

/// The pieces of a line are joined, separately for standard output and standard error. At the end of a call, a line
/// without an end is ended.
#[test]
fn lines_are_whole_and_say_where_they_come_from() {
    let place = r#"operator="`fragile` (map, node 1)" batch=T partition=1"#;
    let expected = [
        format!("INFO to standard output {place}"),
        format!(r"INFO a line of 3 pieces and another, \u{{1b}}[31mé {place}"),
        format!("INFO half a line and the other half {place}"),
        format!("WARN a warning {place}"),
        format!("INFO a line without an end {place}"),
    ];
    let lines = plugin_lines("hostile", "does = \"print\"", "[\"a\", \"boom\"]\n[\"b\"]\n");
    assert_eq!(lines, expected, "{lines:#?}");
}

/// When the plugin fails, the second run is traced and knows the operator that wrote a line.
#[test]
fn a_line_of_a_traced_run_names_its_operator() {
    let lines = plugin_lines("operators", "operator = \"logs\"", "[13]\n");
    let expected = [
        "INFO build".to_owned(),
        r#"WARN two operators operator="`map` (node 1) to `twice` (filter, node 2)" batch=T partition=1"#.to_owned(),
        r#"WARN two operators operator="`map` (node 1)" batch=T partition=1"#.to_owned(),
    ];
    assert_eq!(lines, expected, "{lines:#?}");
}

/// If several operators run as one loop, a line comes from one of them. Lines of `build` appear once, without a place.
#[test]
fn a_line_of_a_fused_stage_names_its_operators() {
    let lines = plugin_lines("operators", "operator = \"logs\"", "[1]\n");
    let expected = [
        "INFO build".to_owned(),
        r#"WARN two operators operator="`map` (node 1) to `twice` (filter, node 2)" batch=T partition=1"#.to_owned(),
    ];
    assert_eq!(lines, expected, "{lines:#?}");
}

#[test]
fn a_task_that_floods_the_log_is_cut_off() {
    let lines = plugin_lines("hostile", "does = \"log-flood\"", "[\"boom\"]\n");
    assert_eq!(lines.len(), 1000);
    assert!(lines[998].starts_with("INFO line 998 "), "{}", lines[998]);
    assert!(lines[999].starts_with("WARN further log lines of this task are dropped "), "{}", lines[999]);
}
