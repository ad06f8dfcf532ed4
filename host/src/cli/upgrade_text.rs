//! An upgrade as text for people: its status, its progress in one line, and how it has ended.

use crate::shown::{Shown as _, counted, escape_control};
use crate::time::Time;
use crate::upgrade::{Phase, RunReport, UpgradeStatus};
use std::fmt::Write as _;

/// What changes with the new plugin: its operators, the keys of the job file, and state.
pub fn differences(status: &UpgradeStatus) -> String {
    let mut text = String::new();
    let mut line = |value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", escape_control(value));
    };
    status.graph.iter().for_each(|operator| line(operator));
    for key in &status.keys {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not given".to_owned());
        line(&format!("key {}: {} -> {} ({})", key.key, value(&key.before), value(&key.after), needs(&key.needs)));
    }
    for state in &status.state {
        match (state.is_carried, &*state.reason) {
            (true, _) => line(&format!("state of {}: {} carried over", state.operator, counted(state.keys, "key"))),
            (false, reason) => line(&format!("state of {}: begins empty: {reason}", state.operator)),
        }
    }
    text
}

fn needs(needs: &str) -> &str {
    match needs {
        "live" => "results are the same",
        "restart" => "otherwise at a restart",
        _ => "otherwise with a fresh run",
    }
}

/// One line that says how far an upgrade has come.
pub fn progress(status: &UpgradeStatus) -> String {
    let mut text = format!("upgrade {}", status.phase);
    if status.phase == Phase::Preparing {
        return text;
    }
    let _ = write!(text, " | new plugin: {} done", counted(status.new.batches, "batch"));
    if status.new.waiting > 1 {
        let _ = write!(text, ", {} wait", counted(status.new.waiting, "batch"));
    }
    if let (Phase::WarmingUp, Some(full_from)) = (status.phase, status.full_from_ms) {
        let _ = write!(text, ", windows are full from batch {}", Time::from_ms(full_from));
    } else {
        let compared = counted(status.compared, "batch");
        let _ = write!(text, " | {compared} compared, {}", counted(status.differences, "difference"));
    }
    if let Some(slowdown) = status.slowdown {
        let _ = write!(text, " | {slowdown:.2} times the time");
    }
    text
}

/// How a command about an upgrade has ended.
pub fn summary(status: &UpgradeStatus) -> String {
    let asked_for = status.options.plugin.as_ref().map(|plugin| plugin.shown().into_owned());
    let plugin = match (&*status.plugin, asked_for) {
        ("", Some(plugin)) => plugin,
        ("", None) => "the plugin of the job file".to_owned(),
        (plugin, _) => plugin.shown().into_owned(),
    };
    let mut text = format!("upgrade to {plugin}: {}\n", status.phase);
    if status.phase != Phase::Preparing {
        let compared = counted(status.compared, "batch");
        let _ = writeln!(text, "{compared} compared, {}", counted(status.differences, "difference"));
    }
    let batch = |ms: u64| Time::from_ms(ms);
    if let Some(after) = status.handed_over_after_ms {
        let _ = writeln!(text, "the new plugin shows results after batch {}", batch(after));
    }
    if let Some(after) = status.handed_back_after_ms {
        let _ = writeln!(text, "the old plugin shows results again after batch {}", batch(after));
    }
    match status.phase {
        Phase::Ready => text.push_str("hand over with `host upgrade commit`, or end it with `host upgrade abort`\n"),
        Phase::HandedOver => {
            let kept = counted(status.kept_for, "batch");
            let _ = writeln!(text, "the old plugin is kept for {kept}: `host rollback` gives the job back");
        }
        _ => {}
    }
    if let Some(report) = &status.report {
        let _ = writeln!(text, "report: {}", report.shown());
    }
    text
}

/// The whole status.
pub fn as_text(status: &UpgradeStatus) -> String {
    let mut text = summary(status);
    if let Some(reason) = &status.reason {
        let _ = writeln!(text, "reason: {}", escape_control(reason));
    }
    text.push_str(&differences(status));
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "{what}: {}", escape_control(value));
    };
    let run = |run: &RunReport| {
        let failed = if run.batches_failed > 0 { format!(", {} failed", run.batches_failed) } else { String::new() };
        let memory = run.memory_bytes.map_or_else(String::new, |bytes| format!(", {bytes} bytes of rows"));
        format!(
            "{}{failed}, {} of processing on average, {} at most, {} waiting{memory}",
            counted(run.batches, "batch"),
            ms(run.processing_average_ms),
            ms(run.processing_max_ms),
            run.waiting,
        )
    };
    line("old plugin", &run(&status.old));
    line("new plugin", &run(&status.new));
    if let Some(slowdown) = status.slowdown {
        line("time of the tasks of the new plugin", &format!("{slowdown:.2} times that of the old one"));
    }
    match (status.exact_from_ms, status.data_after_ms) {
        (Some(exact), _) => {
            line("as if it had run from the beginning", &format!("from batch {} on", Time::from_ms(exact)))
        }
        (None, Some(after)) => line(
            "as if it had run from the beginning",
            &format!("never: an operator has begun without state after batch {}", Time::from_ms(after)),
        ),
        (None, None) => {}
    }
    for output in &status.outputs {
        text.push_str(&output.to_string());
    }
    text
}

fn ms(ms: f64) -> String {
    format!("{ms:.1} ms")
}
