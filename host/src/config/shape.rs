//! The shapes of values, and the messages about values of another shape.
//!
//! Owns one [`Shape`] for each type of value: its check, its range, its messages. Never knows which key has which
//! shape.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::distance::nearest;
use super::quote::{listed, quoted, segment};
use super::report::{self, Report, Reported};
use super::settings::Location;
use super::subject::{Fallback, Subject};
use super::tree::{Node, Raw, Table};
use crate::encoding::{self, Encoding};

/// The values that a key accepts.
pub(super) trait Shape: Sync {
    /// The type of an accepted value.
    type Value;

    /// Checks a value, and reports its mistakes.
    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Self::Value, Reported>;

    /// The type and the range of the values, for the documentation.
    fn describe(&self) -> String;

    /// All values, as they are written after `--set KEY=`. Empty if they are too many to list.
    fn values(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// The shape of a name of a job or a source.
pub(super) struct Name;

impl Name {
    /// The longest name, in bytes. A name becomes part of file names, whose limit is 255 bytes.
    const MAX_BYTES: usize = 100;

    /// The fault of a name, and a similar name that is valid. If the name is empty, the similar name is `example`.
    /// `None` if the name is valid.
    pub(super) fn fault(name: &str, example: &str) -> Option<(&'static str, String)> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let fixed: String = name.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(Self::MAX_BYTES).collect();
        if name.is_empty() {
            Some(("is empty", example.to_owned()))
        } else if !name.chars().all(is_allowed) {
            Some(("has a character that a name cannot have", fixed))
        } else if name.len() > Self::MAX_BYTES {
            Some(("is longer than 100 characters", fixed))
        } else {
            None
        }
    }
}

/// The rule for names, for messages and documentation.
pub(super) const NAME_RULE: &str = "1 to 100 letters (a-z, A-Z), digits, `.`, `_` and `-`";

impl Shape for Name {
    type Value = String;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<String, Reported> {
        let name = subject.text(node, report)?;
        let Some((fault, fixed)) = Self::fault(name, "word-count") else { return Ok(name.to_owned()) };
        let help = format!("use {NAME_RULE}, such as {}", quoted(&fixed));
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        format!("string: {NAME_RULE}")
    }
}

/// The shape of the path of a file. `resolve` resolves the path against the job file.
pub(super) struct FilePath;

impl Shape for FilePath {
    type Value = PathBuf;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<PathBuf, Reported> {
        let path = subject.text(node, report)?;
        let fault = if path.is_empty() {
            "is empty"
        } else if path.contains('\0') {
            "contains a NUL character"
        } else {
            return Ok(PathBuf::from(path));
        };
        let help = format!("name a file, as in `{} = {}`", subject.key, subject.fallback.example());
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "path".to_owned()
    }
}

/// The shape of a directory, or of a place in an object store.
pub(super) struct Place;

impl Place {
    /// The fault of a URL; `None` if the URL is valid.
    fn fault(url: &str) -> Option<&'static str> {
        let Some(rest) = url.strip_prefix("s3://") else { return Some("is a URL of a kind that is not known") };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bucket = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if bucket.is_empty() {
            Some("names no bucket")
        } else if !bucket.chars().all(is_bucket) {
            Some("has a character that the name of a bucket cannot have")
        } else if !prefix.is_empty() && prefix.split('/').any(|part| ["", ".", ".."].contains(&part)) {
            Some("has an empty name, `.` or `..` between its `/`")
        } else if prefix.chars().any(char::is_control) {
            Some("has a control character")
        } else {
            None
        }
    }
}

impl Shape for Place {
    type Value = Location;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Location, Reported> {
        let text = subject.text(node, report)?;
        if !text.contains("://") {
            return FilePath.check(subject, node, report).map(Location::Directory);
        }
        let Some(fault) = Self::fault(text) else {
            return Ok(Location::Objects(text.trim_end_matches('/').to_owned()));
        };
        let help = format!("name a directory, or an object store as in `{} = \"s3://bucket/prefix\"`", subject.key);
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "path, or URL `s3://bucket/prefix`".to_owned()
    }
}

/// The shape of `host:port`, with an IPv6 address in brackets. The host name is not resolved.
pub(super) struct Address;

impl Address {
    /// The fault of an address, and what to do about it. `None` if the address is valid.
    pub(super) fn fault(address: &str) -> Option<(String, String)> {
        let as_written = "write it as host:port, such as \"127.0.0.1:9999\"".to_owned();
        if let Some((_, rest)) = address.split_once("://") {
            let rest = rest.split('/').next().unwrap_or_default();
            let help = if Self::fault(rest).is_none() { format!("use {}", quoted(rest)) } else { as_written };
            return Some(("is a URL, not host:port".to_owned(), help));
        }
        let Some((host, port)) = address.rsplit_once(':') else {
            return Some(("has no port".to_owned(), as_written));
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if inner.is_none() && host.contains(':') {
            let help = format!("put the host in brackets: {}", quoted(&format!("[{host}]:{port}")));
            return Some(("has an IPv6 address without brackets".to_owned(), help));
        }
        let is_host = |c: char| c.is_alphanumeric() || "-._".contains(c);
        let is_valid = match inner {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.chars().all(is_host),
        };
        if host.is_empty() {
            return Some(("has no host".to_owned(), as_written));
        }
        if !is_valid {
            return Some((format!("has no valid host in {}", quoted(host)), as_written));
        }
        let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        (!is_port).then(|| (format!("has the port {}, not a number from 1 to 65535", quoted(port)), as_written))
    }
}

impl Shape for Address {
    type Value = String;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<String, Reported> {
        let address = subject.text(node, report)?;
        let Some((fault, help)) = Self::fault(address) else { return Ok(address.to_owned()) };
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "string: host:port".to_owned()
    }
}

/// The shape of the name of a text encoding.
pub(super) struct TextEncoding;

impl Shape for TextEncoding {
    type Value = Encoding;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Encoding, Reported> {
        let name = subject.text(node, report)?;
        let Some(encoding) = Encoding::named(name) else {
            let message = format!("{} is not the name of an encoding", subject.given(&node.raw));
            let known = encoding::COMMON.map(quoted);
            let help = nearest(name, encoding::COMMON).map_or_else(
                || format!("use {}, or another name of the Encoding Standard", listed(&known, "or")),
                |word| format!("did you mean {}?", quoted(word)),
            );
            return Err(report.error(&node.place, message, help));
        };
        Ok(encoding)
    }

    fn describe(&self) -> String {
        "string: the name of an encoding".to_owned()
    }
}

/// The shape of a value that is one of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T> Choice<T> {
    /// The accepted words.
    pub(super) fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(word, _)| *word)
    }
}

impl<T: Copy + Sync> Shape for Choice<T> {
    type Value = T;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<T, Reported> {
        let text = subject.text(node, report)?;
        if let Some((_, value)) = self.0.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let known: Vec<String> = self.words().map(quoted).collect();
        let message = format!("{} is not {}", subject.given(&node.raw), listed(&known, "or"));
        let help = nearest(text, self.words()).map_or_else(
            || format!("use {}{}", listed(&known, "or"), subject.default_note()),
            |word| format!("did you mean {}?", quoted(word)),
        );
        Err(report.error(&node.place, message, help))
    }

    fn describe(&self) -> String {
        listed(&self.words().map(|word| format!("`{}`", quoted(word))).collect::<Vec<_>>(), "or")
    }

    fn values(&self) -> Vec<&'static str> {
        self.words().collect()
    }
}

/// The shape of a text that is not empty.
pub(super) struct Word;

impl Shape for Word {
    type Value = String;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<String, Reported> {
        let text = subject.text(node, report)?;
        if text.is_empty() {
            let help = format!("write it as in `{} = {}`", subject.key, subject.fallback.example());
            return Err(report.error(&node.place, format!("{} is empty", subject.given(&node.raw)), help));
        }
        Ok(text.to_owned())
    }

    fn describe(&self) -> String {
        "string".to_owned()
    }
}

/// The shape of `true` and `false`.
pub(super) struct Flag;

impl Shape for Flag {
    type Value = bool;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<bool, Reported> {
        let help = match &node.raw {
            Raw::Flag(flag) => return Ok(*flag),
            Raw::Text(text) if ["true", "false"].contains(&text.as_str()) => {
                format!("remove the quotes: `{} = {text}`", segment(subject.key))
            }
            _ => format!("use true or false{}", subject.default_note()),
        };
        Err(subject.wrong_type("a boolean", help, node, report))
    }

    fn describe(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn values(&self) -> Vec<&'static str> {
        vec!["true", "false"]
    }
}

/// The shape of a table with any keys, whose values are all strings.
pub(super) struct Strings;

impl Shape for Strings {
    type Value = BTreeMap<String, String>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Self::Value, Reported> {
        let name = subject.name();
        let Raw::Table(table) = &node.raw else {
            let help = format!("write `{} = {{ key = \"value\" }}`", subject.key);
            return Err(subject.wrong_type("a table of strings", help, node, report));
        };
        each(table, &name, "value", |subject, node| subject.text(node, report).map(str::to_owned))
    }

    fn describe(&self) -> String {
        "table of strings".to_owned()
    }
}

/// Reads the values of a table with any keys. `example` is a valid value, for messages.
pub(super) fn each<T>(
    table: &Table,
    section: &str,
    example: &'static str,
    mut check: impl FnMut(&Subject<'_>, &Node) -> Result<T, Reported>,
) -> Result<BTreeMap<String, T>, Reported> {
    let mut values = BTreeMap::new();
    let mut fault = None;
    for (key, node) in table {
        let is_override = matches!(node.place, report::MistakePlace::Override { .. });
        let subject = Subject { section, key, fallback: Fallback::Required(example), is_override };
        match check(&subject, node) {
            Ok(value) => drop(values.insert(key.clone(), value)),
            Err(reported) => fault = Some(reported),
        }
    }
    fault.map_or(Ok(values), Err)
}
