//! `host explain`: the graph of a plugin and its stages, and what another plugin would change.

use super::job::{JOB_FILE, SetArgs, load, of_plugin, start_threads};
use super::{count, print};
use crate::context::{Program, StreamingContext};
use crate::env::{Env, real};
use crate::error::{Error, ErrorKind};
use crate::graph::{Explanation, GraphDifference};
use crate::shown::Shown as _;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The arguments of `host explain`.
#[derive(Args)]
pub struct ExplainArgs {
    /// The job file, or a plugin, whose name ends in `.wasm`.
    #[arg(value_name = "JOB.TOML", default_value = JOB_FILE)]
    job: PathBuf,
    /// Show instead what another job file or plugin would change: operators that are the same, changed, gone and new.
    /// The code in closures is not compared.
    #[arg(long, value_name = "OTHER")]
    diff: Option<PathBuf>,
    #[command(flatten)]
    set: SetArgs,
    /// Print one JSON object. An error is also one JSON object, on standard error: `{"error": {"kind", "message",
    /// "help"}}`.
    #[arg(long)]
    pub json: bool,
}

/// The job or plugin that is explained.
struct Subject {
    /// The path that was given.
    file: String,
    /// The name of the job. A plugin has none.
    job: Option<String>,
    explanation: Explanation,
}

impl Subject {
    /// `job word-count in job.toml` or `plugin word_count.wasm`.
    fn label(&self) -> String {
        match &self.job {
            Some(job) => format!("job {job} in {}", self.file),
            None => format!("plugin {}", self.file),
        }
    }
}

/// Prints an explanation or a difference.
pub fn explain(args: &ExplainArgs) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let before = subject(&args.job, args, &env)?;
    let text = match &args.diff {
        None if args.json => json(&serde_json::json!({ "file": before.file, "job": before.job }), &before.explanation)?,
        None => {
            let nodes = count(before.explanation.nodes.len(), "node");
            let stages = count(before.explanation.stages.len(), "stage");
            format!("{}: {nodes}, {stages}\n\n{}", before.label(), before.explanation)
        }
        Some(other) => {
            let after = subject(other, args, &env)?;
            let difference = GraphDifference::between(&before.explanation, &after.explanation);
            if args.json {
                let file = |subject: &Subject| serde_json::json!({ "file": subject.file, "job": subject.job });
                json(&serde_json::json!({ "before": file(&before), "after": file(&after) }), &difference)?
            } else {
                format!("from {}\nto {}\n\n{difference}", before.label(), after.label())
            }
        }
    };
    let code = print(&text)?;
    executors.shutdown();
    Ok(code)
}

/// One line with the members of two objects.
fn json(head: &serde_json::Value, body: &impl serde::Serialize) -> Result<String, Error> {
    let cannot = |error| Error::new(ErrorKind::Internal, format!("cannot write JSON: {error}"));
    let mut all = head.clone();
    if let (Some(all), serde_json::Value::Object(body)) =
        (all.as_object_mut(), serde_json::to_value(body).map_err(cannot)?)
    {
        all.extend(body);
    }
    Ok(format!("{all}\n"))
}

fn subject(path: &Path, args: &ExplainArgs, env: &Env) -> Result<Subject, Error> {
    let is_plugin = path.extension().is_some_and(|extension| extension == "wasm");
    let settings = if is_plugin { of_plugin(path, &args.set)? } else { load(path, &args.set, env)? };
    let job = (!is_plugin).then(|| settings.job.name.clone());
    let file = path.shown().into_owned();
    // The graph need not fit the job.
    let Program { described, graph, .. } = StreamingContext::describe(env, &settings)?;
    let paths = StreamingContext::destinations(&settings, &graph).into_iter().map(|(node, path)| (node.id, path));
    let explanation = Explanation::new(&described, &graph, settings.job.parallelism).with_paths(&paths.collect());
    Ok(Subject { file, job, explanation })
}
