//! What the sandbox does not have, and what a plugin uses instead.
//!
//! Owns the words. The calls that a plugin makes are noted in `wasi.rs`, and shown if the plugin fails afterwards.

/// Something that programs have outside of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OffLimits {
    Files,
    Environment,
    Sockets,
    Threads,
    Sleep,
    Exit,
}

impl OffLimits {
    /// What an interface of WASI is about, by its name without namespace and version. `None` for interfaces that programs
    /// hardly ever use.
    pub(super) fn of_interface(name: &str) -> Option<Self> {
        match name.split_once('/')? {
            ("filesystem", _) => Some(Self::Files),
            ("sockets" | "http", _) => Some(Self::Sockets),
            ("cli", "environment") => Some(Self::Environment),
            ("cli", "exit") => Some(Self::Exit),
            ("clocks", _) => Some(Self::Sleep),
            _ => None,
        }
    }

    /// What the message of a panic is about, in the words of Rust's standard library. It asks the host for no threads, and for
    /// the environment perhaps before the plugin begins.
    pub(super) fn of_panic(message: &str) -> Option<Self> {
        let wants_thread = message.contains("failed to spawn thread");
        let wants_variable = message.ends_with(": NotPresent") || message.contains("environment variable not found");
        wants_thread.then_some(Self::Threads).or(wants_variable.then_some(Self::Environment))
    }

    /// What is missing, and what a plugin uses instead.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Files => {
                "it asked for a file, and a plugin sees none: in driver functions, `files::read` and `files::write` take small \
                 files, and `rdd.context()` loads data sets"
            }
            Self::Environment => {
                "it asked for the environment, and a plugin has none: `ctx.arg(\"name\")` gives values of `args` in the job \
                 file"
            }
            Self::Sockets => {
                "it asked for the network, and a plugin has none: the sources and outputs of the job bring and take data"
            }
            Self::Threads => {
                "it asked for a thread, and a plugin has only one: the host runs the partitions of a data set at the same \
                 time, `engine.threads` of them"
            }
            Self::Sleep => {
                "it asked to wait, and a plugin never waits: `job.batch_interval` and windows decide when functions run"
            }
            Self::Exit => "it asked to exit, which no plugin can: a plugin that panics fails its batch",
        }
    }

    /// Adds the advice to the message of a failure.
    pub(super) fn advise(found: Option<Self>, message: String) -> String {
        match found {
            Some(found) => format!("{message}\n  {}", found.advice()),
            None => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_says_what_it_is_about() {
        assert_eq!(OffLimits::of_interface("filesystem/preopens"), Some(OffLimits::Files));
        assert_eq!(OffLimits::of_interface("sockets/tcp-create-socket"), Some(OffLimits::Sockets));
        assert_eq!(OffLimits::of_interface("clocks/monotonic-clock"), Some(OffLimits::Sleep));
        assert_eq!(OffLimits::of_interface("cli/terminal-stdout"), None);
        assert_eq!(OffLimits::of_interface(""), None);
    }

    #[test]
    fn a_panic_says_what_it_is_about() {
        assert_eq!(OffLimits::of_panic("there is a home: NotPresent"), Some(OffLimits::Environment));
        assert_eq!(OffLimits::of_panic("failed to spawn thread: Unsupported"), Some(OffLimits::Threads));
        assert_eq!(OffLimits::of_panic("an unlucky number"), None);
        assert_eq!(OffLimits::of_panic("the user is there: UserNotPresent"), None);
    }
}
