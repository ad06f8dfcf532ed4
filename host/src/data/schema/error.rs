//! What can be wrong with a declared type.

use super::{DEPTH_MAX, FIELDS_MAX, METADATA_BYTES_MAX, METADATA_MAX, NAME_BYTES_MAX};

/// What is wrong with a declared type. Positions count from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// There is no root.
    #[error("the type has no fields")]
    Empty,
    /// The type has more fields than the host accepts.
    #[error("the type has {0} fields, which is more than {FIELDS_MAX}")]
    TooManyFields(usize),
    /// A field is nested too deep.
    #[error("field {position} `{name}` is nested deeper than {DEPTH_MAX} levels")]
    TooDeep {
        /// The field's position in the list.
        position: usize,
        /// The name of the field.
        name: String,
    },
    /// A name is empty or too long.
    #[error("the name of field {position} is {length} bytes long, not 1 to {NAME_BYTES_MAX}")]
    NameLength {
        /// The field's position in the list.
        position: usize,
        /// The length of the field's name in bytes.
        length: usize,
    },
    /// Two members of a struct share a name.
    #[error("field {position} `{name}` has the name of another member of its struct")]
    DuplicateName {
        /// The position of the second member with the name.
        position: usize,
        /// The name.
        name: String,
    },
    /// A kind that this host does not know.
    #[error("field {position} `{name}` is of the kind `{kind}`, which this host does not know")]
    UnknownKind {
        /// The field's position in the list.
        position: usize,
        /// The name of the field.
        name: String,
        /// The kind of the field, shortened.
        kind: String,
    },
    /// Too few or too many children for the kind.
    #[error("field {position} `{name}` ({kind}) has {found} children, {expected} needed")]
    Children {
        /// The field's position in the list.
        position: usize,
        /// The name of the field.
        name: String,
        /// The kind of the field.
        kind: &'static str,
        /// The number of children that the kind needs, in words.
        expected: &'static str,
        /// The number of children that the field declares.
        found: u32,
    },
    /// The list ends before all declared children were seen.
    #[error("field {position} `{name}` has {children} children, but the list of fields ends before them")]
    Missing {
        /// The position of the field that lacks children.
        position: usize,
        /// The name of the field.
        name: String,
        /// The number of children that the field declares.
        children: u32,
    },
    /// Fields follow after the end of the root.
    #[error("the type ends with field {end}, but {found} fields are listed")]
    Trailing {
        /// The position of the last field that belongs to the root.
        end: usize,
        /// The number of fields in the list.
        found: usize,
    },
    /// A struct that claims to be an enum and is none.
    #[error(
        "field {position} `{name}` has variants, but is no struct of a text `type` and of optional members that are called \
         as variants are"
    )]
    Variants {
        /// The field's position in the list.
        position: usize,
        /// The name of the field.
        name: String,
    },
    /// Too many metadata entries, or too long ones.
    #[error(
        "the metadata of field {position} `{name}` has more than {METADATA_MAX} entries, \
         or one longer than {METADATA_BYTES_MAX} bytes"
    )]
    Metadata {
        /// The field's position in the list.
        position: usize,
        /// The name of the field.
        name: String,
    },
}
