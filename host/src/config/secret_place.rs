//! The shape of values that say where a secret is.
//!
//! Owns the shape and its messages. A secret is named, and never written in the job file. Never reads a secret.

use super::quote::{listed, quoted};
use super::report::{Report, Reported};
use super::secret::Secret;
use super::shape::Shape;
use super::subject::Subject;
use super::tree::Node;

/// The beginnings of a value that names a secret.
const FILE: &str = "file:";
const VARIABLE: &str = "env:";

/// The shape of a value that says where a secret is.
pub(super) struct SecretPlace;

impl Shape for SecretPlace {
    type Value = Secret;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Secret, Reported> {
        let text = subject.text(node, report)?;
        let fault = match (text.strip_prefix(FILE), text.strip_prefix(VARIABLE)) {
            (Some(path), _) if path.is_empty() || path.contains('\0') => "names no file",
            (Some(path), _) => return Ok(Secret::File(path.into())),
            (_, Some(name)) if name.is_empty() || name.contains(['=', '\0']) => "names no environment variable",
            (_, Some(name)) => return Ok(Secret::Variable(name.to_owned())),
            // The job file is shown, copied and kept. The message does not repeat what may be a secret.
            (None, None) => "does not say where the secret is; a secret does not stand in the job file",
        };
        let examples = [format!("{FILE}token.txt"), format!("{VARIABLE}TOKEN")].map(|example| quoted(&example));
        let help = format!("name a file or an environment variable, as in {}", listed(&examples, "or"));
        Err(report.error(&node.place, format!("`{}` {fault}", subject.name()), help))
    }

    fn describe(&self) -> String {
        format!("string: `{FILE}PATH` or `{VARIABLE}NAME`")
    }
}
