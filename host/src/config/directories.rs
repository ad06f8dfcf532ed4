//! The directories and object stores that a job grants to its plugin.
//!
//! Owns the form of `job.directories`. Never decides which paths a grant covers.

use std::collections::BTreeMap;

use super::distance::nearest;
use super::quote::{listed, quoted};
use super::report::{Report, Reported};
use super::settings::{Access, Grant, Location};
use super::shape::{Choice, NAME_RULE, Name, Place, Shape, each};
use super::subject::{Fallback, Subject};
use super::tree::{Node, Raw};

/// The values of `access`: what a plugin may do in a directory.
const ACCESS: Choice<Access> = Choice(&[("read", Access::Read), ("write", Access::Write)]);
/// The keys of a grant that is a table.
const KEYS: [&str; 2] = ["path", "access"];

/// The shape of a table whose keys are names. A value is a path, a URL, or a table of a path and an access.
pub(super) struct Directories;

impl Shape for Directories {
    type Value = BTreeMap<String, Grant>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Self::Value, Reported> {
        let name = subject.name();
        let Raw::Table(table) = &node.raw else {
            let help = format!("write `{} = {{ out = \"/var/out\" }}`", subject.key);
            return Err(subject.wrong_type("a table of paths and URLs", help, node, report));
        };
        each(table, &name, "/var/out", |subject, node| {
            let grant = grant(subject, node, report);
            let Some((fault, fixed)) = Name::fault(subject.key, "out") else { return grant };
            let message = format!("the name of directory {} {fault}", quoted(subject.key));
            Err(report.error(&node.place, message, format!("use {NAME_RULE}, such as {}", quoted(&fixed))))
        })
    }

    fn describe(&self) -> String {
        "table of paths and URLs".to_owned()
    }
}

/// Reads a grant: `"/var/out"`, or `{ path = "/srv/lists", access = "read" }`.
fn grant(subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Grant, Reported> {
    let Raw::Table(table) = &node.raw else {
        return Place.check(subject, node, report).map(|location| Grant { location, access: Access::Write });
    };
    let section = subject.name();
    let below = |key, fallback| Subject { section: &section, key, fallback, is_override: subject.is_override };
    let mut fault = None;
    for (key, node) in table.iter().filter(|(key, _)| !KEYS.contains(&key.as_str())) {
        let help = nearest(key, KEYS).map_or_else(
            || format!("a directory has the keys {}", listed(&KEYS.map(|key| format!("`{key}`")), "and")),
            |near| format!("did you mean `{near}`?"),
        );
        fault = Some(report.error(&node.place, format!("unknown key `{}`", below(key, subject.fallback).name()), help));
    }
    let Some(path) = table.get("path") else {
        let help = format!("write `{} = {{ path = \"/srv/lists\", access = \"read\" }}`", subject.key);
        return Err(report.error(&node.place, format!("`{section}.path` is missing"), help));
    };
    let location = Place.check(&below("path", subject.fallback), path, report)?;
    let access = match table.get("access") {
        None => Access::Write,
        Some(access) => ACCESS.check(&below("access", Fallback::Text("write")), access, report)?,
    };
    if let (Location::Objects(_), Access::Read) = (&location, access) {
        let message = format!(
            "{} is an object store, which a plugin cannot read",
            below("path", subject.fallback).given(&path.raw)
        );
        return Err(report.error(
            &path.place,
            message,
            "name a directory, or leave out `access`: outputs are saved there".to_owned(),
        ));
    }
    fault.map_or(Ok(Grant { location, access }), Err)
}
