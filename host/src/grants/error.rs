//! Why a path from a plugin cannot be used, and what can be done about it.

use super::OUT;
use crate::shown::{Shown as _, escape_control};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a path is refused that is below a granted directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A name on the path begins with `.`.
    Hidden(String),
    /// The path belongs to something that the job withholds. The text says what this is.
    Withheld(String),
    /// Something that the job withholds is below the path. The text says what this is.
    Above(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden(name) => write!(f, "`{}` is a hidden name", shown(name)),
            Self::Withheld(what) => write!(f, "that belongs to {what}"),
            Self::Above(what) => write!(f, "{what} is below that"),
        }
    }
}

/// A path from a plugin cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The path has a form that no path of a plugin may have.
    #[error("the {what} `{}` {fault}", shown(text))]
    Text {
        /// The kind of the text, such as `path`.
        what: &'static str,
        /// The text that the plugin gives.
        text: String,
        /// The fault of the text.
        fault: &'static str,
        /// What the plugin has to use instead.
        help: &'static str,
    },
    /// The path names a directory that the job file does not name.
    #[error("the path `{}` is below the directory `{}`, which the job does not grant", shown(path), shown(name))]
    Unknown {
        /// The path that the plugin gives.
        path: String,
        /// The directory's name.
        name: String,
        /// The names that the job grants.
        granted: Vec<String>,
    },
    /// The path names no directory, and the job grants no directory `out`.
    #[error("the path `{}` names no directory, and the job grants none called `{OUT}`", shown(path))]
    NoOut {
        /// The path that the plugin gives.
        path: String,
        /// The names that the job grants.
        granted: Vec<String>,
    },
    /// The path is to be written, and the job grants it only for reading.
    #[error(
        "the path `{}` is below the directory `{}`, which the job grants for reading only",
        shown(path),
        shown(name)
    )]
    ReadOnly {
        /// The path that the plugin gives.
        path: String,
        /// The directory's name.
        name: String,
    },
    /// The path leads to a place that no grant reaches.
    #[error("the path `{path}` leads to {}, and {withheld}", place.shown())]
    Withheld {
        /// The path that the plugin gives.
        path: String,
        /// The place that the path leads to, or will lead to.
        place: PathBuf,
        /// Why no grant reaches the place.
        withheld: Refusal,
    },
    /// The granted directory itself is hidden.
    #[error("the job grants the directory {}, in which `{}` is a hidden name", root.shown(), shown(name))]
    HiddenRoot {
        /// The granted directory, free of links.
        root: PathBuf,
        /// The hidden name in it.
        name: String,
    },
    /// The path names an object store, and only outputs can be saved in object stores.
    #[error("the path `{}` is below `{}`, which is an object store", shown(path), shown(name))]
    Objects {
        /// The path that the plugin gives.
        path: String,
        /// The name of the store.
        name: String,
    },
    /// The object store cannot be used.
    #[error("cannot use {url}: {error}")]
    Store {
        /// The prefix in the store.
        url: String,
        /// The error of the store.
        error: io::Error,
    },
    /// A link on the way leads elsewhere.
    #[error("the path `{path}` leads out of {}: {} is really {}", root.shown(), link.shown(), target.shown())]
    LeadsOut {
        /// The path that the plugin gives.
        path: String,
        /// The granted directory.
        root: PathBuf,
        /// The link.
        link: PathBuf,
        /// The place that the link leads to.
        target: PathBuf,
    },
    /// The granted directory, or a directory on the path, cannot be used.
    #[error("cannot {action} the directory {}: {error}", directory.shown())]
    Directory {
        /// What cannot be done with the directory.
        action: &'static str,
        /// The directory.
        directory: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
}

impl GrantError {
    /// What the reader can do.
    pub fn help(&self) -> String {
        match self {
            Self::Text { help, .. } => (*help).to_owned(),
            Self::Unknown { granted, name, .. } if granted.is_empty() => {
                format!("grant it in the job file: directories = {{ {} = \"...\" }} under [job]", shown(name))
            }
            Self::Unknown { granted, .. } => format!("job.directories grants {}", listed(granted)),
            Self::NoOut { granted, path } => {
                let grant = format!("grant it in the job file: directories = {{ {OUT} = \"{OUT}\" }} under [job]");
                match granted.first() {
                    None => grant,
                    Some(first) => format!(
                        "{grant}; or name one of those that it grants, {}, as in `{first}:{}`",
                        listed(granted),
                        shown(path)
                    ),
                }
            }
            Self::ReadOnly { name, .. } => {
                format!("give `{}` the access \"write\" in job.directories, or name another directory", shown(name))
            }
            Self::Withheld { .. } => {
                "name another file or directory: no grant reaches hidden names, the job file, the plugin \
                                      and the checkpoint directory, and none lets a plugin write where sources read"
                    .to_owned()
            }
            Self::HiddenRoot { .. } => {
                "grant a directory whose path, from the directory of the job file on, has no name that begins with `.`"
                    .to_owned()
            }
            Self::Objects { .. } => "outputs can be saved there; driver functions use directories".to_owned(),
            Self::Store { .. } => {
                "docs/object_stores.md says which variables the environment of the host needs".to_owned()
            }
            Self::LeadsOut { target, .. } => {
                format!("remove the link, or grant {} in job.directories", target.shown())
            }
            Self::Directory { directory, error, .. } => match error.kind() {
                io::ErrorKind::NotFound => format!("make the directory {}", directory.shown()),
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    format!("is there a file, or a link to nowhere, at {}?", directory.shown())
                }
                _ => format!("whoever runs the host needs the right to write in {}", directory.shown()),
            },
        }
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", shown(name))).collect();
    names.join(", ")
}

/// Text from outside, short and without control characters.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(200).collect();
    let rest = if short.len() < text.len() { "..." } else { "" };
    format!("{}{rest}", escape_control(&short).replace('\t', "\\t"))
}
