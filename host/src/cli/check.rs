//! `host check`: all that can be known of a job before it starts.

use super::job::{JobArgs, prepare};
use super::{count, print};
use crate::context::StreamingContext;
use crate::error::Error;
use crate::receiver::Receivers;
use clap::Args;
use std::process::ExitCode;

/// The arguments of `host check`.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Print one JSON object instead: `{"job", "nodes", "outputs", "sources": [{"name", "type"}], "files": [{"output",
    /// "path"}]}`. An error is one JSON object on standard error: `{"error": {"kind", "message", "help"}}`.
    #[arg(long)]
    pub json: bool,
}

/// Checks the job and prints what it is.
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
    let text = if args.json {
        let sources: Vec<_> =
            sources.iter().map(|(name, rows)| serde_json::json!({ "name": name, "type": rows })).collect();
        let files: Vec<_> = files
            .iter()
            .map(|(output, path)| serde_json::json!({ "output": output.to_string(), "path": path }))
            .collect();
        serde_json::json!({ "job": job, "nodes": nodes, "outputs": outputs, "sources": sources, "files": files })
            .to_string()
    } else {
        let listed: Vec<String> = sources.iter().map(|(name, rows)| format!("`{name}` ({rows})")).collect();
        let s = if sources.len() == 1 { "" } else { "s" };
        let files: Vec<String> = files.iter().map(|(output, path)| format!("\n  output {output}: {path}")).collect();
        let counts = format!("{}, {}", count(nodes, "node"), count(outputs, "output"));
        format!("{job}: ok, {counts}, source{s} {}{}", listed.join(", "), files.concat())
    };
    let code = print(&(text + "\n"))?;
    drop(context);
    executors.shutdown();
    Ok(code)
}
