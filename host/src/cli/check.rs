//! `host check`: checks everything about a job that can be checked before it starts.

use super::job::{JobArgs, prepare};
use super::{count, print};
use crate::context::{Listed, StreamingContext};
use crate::error::Error;
use crate::receiver::Receivers;
use crate::shown::escape_control;
use clap::Args;
use std::process::ExitCode;

/// The arguments of `host check`.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Print one JSON object instead: `{"job", "nodes", "outputs", "sources": [{"name", "type"}], "files": [{"output",
    /// "path"}], "directories": [{"name", "path", "access"}], "warnings": [text]}`. An error is one JSON object on standard error:
    /// `{"error": {"kind", "message", "help"}}`.
    #[arg(long)]
    pub json: bool,
}

/// A text that says what the plugin may do in a granted directory or object store.
fn may(granted: &Listed) -> String {
    let access = match (granted.reads, granted.writes) {
        (true, true) => "read and write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "neither read nor write",
    };
    let warning = if granted.holds_job { ", which holds the job file" } else { "" };
    format!("\n  the plugin may {access} `{}`: {}{warning}", granted.name, escape_control(&granted.place))
}

/// Checks the job and prints a summary of it.
pub fn check(args: &CheckArgs, receivers: &Receivers) -> Result<ExitCode, Error> {
    let (executors, env, settings) = prepare(&args.job)?;
    let job = settings.job.name.clone();
    let context = StreamingContext::new(env, settings.clone(), receivers)?;
    context.check_data()?;
    let graph = context.graph();
    let files = StreamingContext::destinations(&settings, graph);
    let (nodes, outputs) = (graph.nodes().len(), graph.outputs().count());
    let sources: Vec<(&str, String)> = graph
        .sources()
        .map(|(source, node)| (source, node.rows.as_ref().map_or(String::new(), ToString::to_string)))
        .collect();
    let granted = context.granted();
    let text = if args.json {
        let sources: Vec<_> =
            sources.iter().map(|(name, rows)| serde_json::json!({ "name": name, "type": rows })).collect();
        let files: Vec<_> = files
            .iter()
            .map(|(output, path)| serde_json::json!({ "output": output.to_string(), "path": path }))
            .collect();
        let access = |granted: &Listed| match (granted.writes, granted.reads) {
            (true, _) => "write",
            (false, true) => "read",
            (false, false) => "none",
        };
        let granted: Vec<_> = granted
            .iter()
            .map(
                |granted| serde_json::json!({ "name": granted.name, "path": granted.place, "access": access(granted) }),
            )
            .collect();
        serde_json::json!({
            "job": job,
            "nodes": nodes,
            "outputs": outputs,
            "sources": sources,
            "files": files,
            "directories": granted,
            "warnings": context.warnings(),
        })
        .to_string()
    } else {
        let listed: Vec<String> = sources.iter().map(|(name, rows)| format!("`{name}` ({rows})")).collect();
        let s = if sources.len() == 1 { "" } else { "s" };
        let files: Vec<String> = files.iter().map(|(output, path)| format!("\n  output {output}: {path}")).collect();
        let counts = format!("{}, {}", count(nodes, "node"), count(outputs, "output"));
        let mut granted: Vec<String> = granted.iter().map(may).collect();
        if granted.is_empty() {
            granted.push("\n  the plugin may read and write no files".to_owned());
        }
        format!("{job}: ok, {counts}, source{s} {}{}{}", listed.join(", "), files.concat(), granted.concat())
    };
    let code = print(&(text + "\n"))?;
    drop(context);
    executors.shutdown();
    Ok(code)
}
