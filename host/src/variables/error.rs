//! Why a shared variable cannot be used.

use crate::shown;
use std::fmt;

/// The most bytes of a name.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// The most accumulators of a run, and the most broadcast variables.
pub(super) const VARIABLES_MAX: usize = 1000;

/// The kind of a shared variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// An accumulator.
    Accumulator,
    /// A broadcast variable.
    Broadcast,
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accumulator => "accumulator",
            Self::Broadcast => "broadcast variable",
        })
    }
}

/// Why a shared variable cannot be used. Names are in the form in which messages show them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// The name is empty.
    #[error("the name of the {0} is empty")]
    NoName(Variable),
    /// The name is too long.
    #[error("the name of the {what} {name} has more than {NAME_BYTES_MAX} bytes")]
    LongName {
        /// The kind of the variable.
        what: Variable,
        /// The beginning of the name.
        name: String,
    },
    /// There are too many variables of this kind.
    #[error("the job has {VARIABLES_MAX} {what}s already, so there is no room for {name}")]
    TooMany {
        /// The kind of the variables.
        what: Variable,
        /// The name of the variable that exceeds the limit.
        name: String,
    },
    /// The variable has another type.
    #[error("the {what} {name} is {is}, and is used as {used}")]
    OtherType {
        /// The kind of the variable.
        what: Variable,
        /// The name.
        name: String,
        /// The type of its first use.
        is: String,
        /// The other type.
        used: String,
    },
    /// The values have more bytes than the limit.
    #[error(
        "the {what} {name} would have more than limits.result_size = {limit} bytes; {}",
        match what {
            Variable::Accumulator => "let a driver function reset it after reading it",
            Variable::Broadcast => "make it smaller, or raise the limit",
        }
    )]
    TooLarge {
        /// The kind of the variable.
        what: Variable,
        /// The name.
        name: String,
        /// The most bytes.
        limit: u64,
    },
    /// There is no such broadcast variable.
    #[error("there is no broadcast variable with the id {0}")]
    Unknown(u64),
    /// The value of a broadcast variable is not one row.
    #[error("the value of the broadcast variable {name} is {rows} rows, and not one row")]
    NotOneRow {
        /// The name.
        name: String,
        /// How many rows the value has.
        rows: usize,
    },
    /// There is no room for the values, in memory or on the disk. This is not the fault of the plugin.
    #[error("the values of the {what} {name} cannot be kept: {why}")]
    NotKept {
        /// The kind of the variable.
        what: Variable,
        /// The name.
        name: String,
        /// The reason.
        why: String,
    },
}

/// A name, in the form in which messages show it.
pub(super) fn named(name: &str) -> String {
    shown::short_name(name, shown::VALUE_CHARS_MAX)
}

/// Checks a name that a plugin gives.
pub(super) fn check_name(what: Variable, name: &str) -> Result<(), VariableError> {
    if name.is_empty() {
        return Err(VariableError::NoName(what));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(VariableError::LongName { what, name: shown::short_name(name, 40) });
    }
    Ok(())
}
