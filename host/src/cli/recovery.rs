//! `host run --dry-run-recovery`: prints which batches a start would run again, and which missed batches it would make.

use super::print;
use crate::context::Resumption;
use crate::error::Error;
use crate::shown::counted;
use crate::time::Time;
use std::process::ExitCode;

/// How many batch times are listed one by one.
const TIMES_MAX: usize = 20;

/// Prints what recovery has found and decided.
pub(super) fn tell(found: &Resumption, json: bool) -> Result<ExitCode, Error> {
    let plan = &found.plan;
    if json {
        let ms = |times: &[Time]| times.iter().map(|time| time.as_ms()).collect::<Vec<_>>();
        let lost = found.lost.iter().map(|(batch, source, records)| {
            serde_json::json!({ "batch_time_ms": batch.as_ms(), "source": source, "records": records })
        });
        let left_out = found.left_out.map(|(from, through)| [from.as_ms(), through.as_ms()]);
        let text = serde_json::json!({
            "run": found.run,
            "new_run": found.is_new,
            "zero_time_ms": plan.zero.as_ms(),
            "restored_ms": ms(&plan.restore),
            "rerun_ms": ms(&plan.rerun),
            "missed": plan.missed,
            "left_out_ms": left_out,
            "next_ms": plan.next.as_ms(),
            "lost": lost.collect::<Vec<_>>(),
        });
        return print(&format!("{text}\n"));
    }
    let what = if found.is_new { "would start new run" } else { "would go on with run" };
    let mut text = format!("{what} {}\n", found.run);
    let mut line = |what: &str, times: &[Time]| {
        if times.is_empty() {
            return;
        }
        let shown: Vec<String> = times.iter().take(TIMES_MAX).map(ToString::to_string).collect();
        let more = times.len().saturating_sub(TIMES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("  {what}: {}{more}\n", shown.join(", ")));
    };
    line("run again, with outputs", &plan.rerun);
    line("computed again for windows and state, without outputs", &plan.restore);
    if let Some((from, through)) = found.left_out {
        text.push_str(&format!("  left out: {from} to {through}\n"));
    }
    if plan.missed > 0 {
        text.push_str(&format!("  made up for: {}, from {} on\n", counted(plan.missed, "batch"), plan.next));
    } else {
        text.push_str(&format!("  next batch: {}\n", plan.next));
    }
    for (batch, source, records) in &found.lost {
        text.push_str(&format!(
            "  lost: {} of source `{source}` in batch {batch}, received and not logged\n",
            counted(*records, "record")
        ));
    }
    print(&text)
}
