//! The type of a row: a tree of fields, as a plugin declares it and as Arrow sees it.
//!
//! Owns [`Field`] and [`RecordType`], and every limit on what a type may look like. Never touches values.

use arrow::datatypes::{DataType, Schema, SchemaRef};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The most fields that a type may have.
const FIELDS_MAX: usize = 1000;
/// The deepest nesting of a type. The root is at depth 1.
const DEPTH_MAX: usize = 32;
/// The longest name of a field or kind, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The most metadata entries of a field.
const METADATA_MAX: usize = 16;
/// The longest key or value of a metadata entry, in bytes.
const METADATA_BYTES_MAX: usize = 1024;

/// The name of the only column, when the root is not a tuple or struct whose members are the columns.
const ROOT_NAME: &str = "value";
/// The name of a list's child.
const ITEM_NAME: &str = "item";

/// One field of a type, in a pre-order list: the `children` fields that follow belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Tuple members are called `0`, `1` and so on.
    pub name: String,
    /// One of `bool`, `i8` to `i64`, `u8` to `u64`, `f32`, `f64`, `text`, `bytes`, `list` and `struct`.
    pub kind: String,
    /// Whether a value may be absent.
    pub nullable: bool,
    /// How many of the fields that follow are its direct children.
    pub children: u32,
    /// What identifies a user's type that travels as `bytes`. The host compares it and does not interpret it.
    pub metadata: Vec<(String, String)>,
}

/// What is wrong with a declared type. Positions count from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// There is no root.
    #[error("the type has no fields")]
    Empty,
    /// More fields than the host is willing to look at.
    #[error("the type has {0} fields, which is more than {FIELDS_MAX}")]
    TooManyFields(usize),
    /// Nested too deep.
    #[error("field {position} `{name}` is nested deeper than {DEPTH_MAX} levels")]
    TooDeep {
        /// The field's position in the list.
        position: usize,
        /// Its name.
        name: String,
    },
    /// A name is empty or too long.
    #[error("the name of field {position} is {length} bytes long, not 1 to {NAME_BYTES_MAX}")]
    NameLength {
        /// The field's position in the list.
        position: usize,
        /// The length of its name in bytes.
        length: usize,
    },
    /// Two members of a struct share a name.
    #[error("field {position} `{name}` has the name of another member of its struct")]
    DuplicateName {
        /// The position of the second of them.
        position: usize,
        /// The name.
        name: String,
    },
    /// A kind that this host does not know.
    #[error("field {position} `{name}` is of the kind `{kind}`, which this host does not know")]
    UnknownKind {
        /// The field's position in the list.
        position: usize,
        /// Its name.
        name: String,
        /// Its kind, shortened.
        kind: String,
    },
    /// Too few or too many children for the kind.
    #[error("field {position} `{name}` ({kind}) has {found} children, {expected} needed")]
    Children {
        /// The field's position in the list.
        position: usize,
        /// Its name.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// What the kind needs, in words.
        expected: &'static str,
        /// How many it declares.
        found: u32,
    },
    /// The list ends before all declared children were seen.
    #[error("field {position} `{name}` has {children} children, but the list of fields ends before them")]
    Missing {
        /// The position of the field that lacks children.
        position: usize,
        /// Its name.
        name: String,
        /// How many it declares.
        children: u32,
    },
    /// Fields follow that belong to nothing.
    #[error("the type ends with field {end}, but {found} fields are listed")]
    Trailing {
        /// The position of the last field that belongs to the root.
        end: usize,
        /// How many fields there are.
        found: usize,
    },
    /// Too many metadata entries, or too long ones.
    #[error(
        "the metadata of field {position} `{name}` has more than {METADATA_MAX} entries, \
         or one longer than {METADATA_BYTES_MAX} bytes"
    )]
    Metadata {
        /// The field's position in the list.
        position: usize,
        /// Its name.
        name: String,
    },
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
    Text,
    Bytes,
    List,
    Struct,
}

impl Kind {
    #[rustfmt::skip]
    pub(super) const ALL: [Self; 15] = [
        Self::Bool, Self::I8, Self::I16, Self::I32, Self::I64, Self::U8, Self::U16, Self::U32, Self::U64,
        Self::F32, Self::F64, Self::Text, Self::Bytes, Self::List, Self::Struct,
    ];

    /// The name that plugins use.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Struct => "struct",
        }
    }

    /// How many buffers a field of this kind contributes to a chunk, without its children.
    const fn buffers(self) -> usize {
        match self {
            Self::Struct => 1,
            Self::Text | Self::Bytes => 3,
            _ => 2,
        }
    }
}

/// A field with its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) field: arrow::datatypes::FieldRef,
    pub(super) children: Vec<Self>,
    /// Whether it is a struct whose members are called `0`, `1` and so on.
    pub(super) is_tuple: bool,
    /// How many fields there are up to the end of the last child, this one included.
    fields: usize,
}

impl Node {
    pub(super) fn name(&self) -> &str {
        self.field.name()
    }

    pub(super) fn nullable(&self) -> bool {
        self.field.is_nullable()
    }

    /// Whether it stands for an option of an option: Arrow has no such thing, so plugins wrap the inner one.
    pub(super) fn wraps_option(&self) -> bool {
        match self.children.as_slice() {
            [inner] => self.kind == Kind::Struct && self.nullable() && inner.nullable() && inner.name() == ROOT_NAME,
            _ => false,
        }
    }

    /// How many buffers it contributes to a chunk, with its children.
    fn buffers(&self) -> usize {
        self.kind.buffers() + self.children.iter().map(Self::buffers).sum::<usize>()
    }

    fn new(kind: Kind, name: &str, nullable: bool, children: Vec<Self>) -> Self {
        let data_type = match kind {
            Kind::Bool => DataType::Boolean,
            Kind::I8 => DataType::Int8,
            Kind::I16 => DataType::Int16,
            Kind::I32 => DataType::Int32,
            Kind::I64 => DataType::Int64,
            Kind::U8 => DataType::UInt8,
            Kind::U16 => DataType::UInt16,
            Kind::U32 => DataType::UInt32,
            Kind::U64 => DataType::UInt64,
            Kind::F32 => DataType::Float32,
            Kind::F64 => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Bytes => DataType::Binary,
            Kind::List => match children.first() {
                Some(item) => DataType::List(Arc::clone(&item.field)),
                None => DataType::Null,
            },
            Kind::Struct => DataType::Struct(children.iter().map(|child| Arc::clone(&child.field)).collect()),
        };
        let fields = 1 + children.iter().map(|child| child.fields).sum::<usize>();
        let numbered = children.iter().enumerate().all(|(at, child)| child.name() == at.to_string());
        let is_tuple = kind == Kind::Struct && numbered;
        let field = Arc::new(arrow::datatypes::Field::new(name, data_type, nullable));
        Self { kind, field, children, is_tuple, fields }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nullable() {
            f.write_str("option<")?;
        }
        match (self.kind, self.children.as_slice()) {
            (Kind::List, [item]) => write!(f, "list<{item}>")?,
            (Kind::Struct, [inner]) if self.wraps_option() => write!(f, "{inner}")?,
            (Kind::Struct, children) => {
                f.write_str(if self.is_tuple { "(" } else { "struct{" })?;
                for (at, child) in children.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    if self.is_tuple {
                        write!(f, "{separator}{child}")?;
                    } else {
                        write!(f, "{separator}{}: {child}", child.name())?;
                    }
                }
                f.write_str(if self.is_tuple { ")" } else { "}" })?;
            }
            _ => f.write_str(self.kind.name())?,
        }
        if self.nullable() { f.write_str(">") } else { Ok(()) }
    }
}

/// The checked type of a row. Cheap to clone.
///
/// Names that carry no meaning are the same for all plugins: the root is called `value`, the child of a list `item`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordType(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    fields: Vec<Field>,
    root: Node,
    schema: SchemaRef,
    buffers: usize,
}

impl RecordType {
    /// Checks a type as a plugin declared it: at most 1000 fields, 32 levels deep, names of 1 to 256 bytes that differ
    /// within a struct, exactly one root, one child below a list and at least one below a struct.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(mut fields: Vec<Field>) -> Result<Self, SchemaError> {
        if fields.is_empty() {
            return Err(SchemaError::Empty);
        }
        if fields.len() > FIELDS_MAX {
            return Err(SchemaError::TooManyFields(fields.len()));
        }
        if let Some(root) = fields.first_mut() {
            ROOT_NAME.clone_into(&mut root.name);
        }
        let mut parser = Parser { fields: &mut fields, next: 0 };
        let root = parser.node(1)?;
        let end = parser.next;
        if end < fields.len() {
            return Err(SchemaError::Trailing { end: end.saturating_sub(1), found: fields.len() });
        }
        Ok(Self::assemble(fields, root))
    }

    /// The type of a text line: one column `value` of text that is always there.
    pub fn text() -> Self {
        let field = Field {
            name: ROOT_NAME.to_owned(),
            kind: Kind::Text.name().to_owned(),
            nullable: false,
            children: 0,
            metadata: Vec::new(),
        };
        Self::assemble(vec![field], Node::new(Kind::Text, ROOT_NAME, false, Vec::new()))
    }

    fn assemble(fields: Vec<Field>, root: Node) -> Self {
        let columns = if is_flat(&root) { root.children.as_slice() } else { std::slice::from_ref(&root) };
        let buffers = columns.iter().map(Node::buffers).sum();
        let columns: Vec<_> = columns.iter().map(|column| Arc::clone(&column.field)).collect();
        let schema = Arc::new(Schema::new(columns));
        Self(Arc::new(Inner { fields, root, schema, buffers }))
    }

    /// The fields in pre-order, the root first. [`RecordType::parse`] of them gives this type again.
    pub fn fields(&self) -> &[Field] {
        &self.0.fields
    }

    /// The columns. If the root is a struct that cannot be absent, its members; else one column called `value`.
    pub fn arrow(&self) -> &SchemaRef {
        &self.0.schema
    }

    /// Whether rows are pairs of a key and a value: a struct of `0` and `1` that cannot be absent.
    pub fn is_pair(&self) -> bool {
        is_flat(&self.0.root) && self.0.root.is_tuple && self.0.root.children.len() == 2
    }

    /// The types of key and value of a pair, each as the type of rows of its own. Nothing if rows are not pairs.
    pub fn pair(&self) -> Option<(Self, Self)> {
        match self.0.root.children.as_slice() {
            [key, value] if self.is_pair() => Some((self.part(1, key)?, self.part(1 + key.fields, value)?)),
            _ => None,
        }
    }

    /// The type of the member `node`, whose fields start at `start`, on its own.
    fn part(&self, start: usize, node: &Node) -> Option<Self> {
        let mut fields = self.0.fields.get(start..start.checked_add(node.fields)?)?.to_vec();
        ROOT_NAME.clone_into(&mut fields.first_mut()?.name);
        let root = Node::new(node.kind, ROOT_NAME, node.nullable(), node.children.clone());
        Some(Self::assemble(fields, root))
    }

    /// How many buffers a chunk of these rows has.
    pub fn buffers(&self) -> usize {
        self.0.buffers
    }

    pub(super) fn root(&self) -> &Node {
        &self.0.root
    }

    /// The fields that are columns of [`RecordType::arrow`], in order.
    pub(super) fn columns(&self) -> &[Node] {
        let root = &self.0.root;
        if self.is_flat() { &root.children } else { std::slice::from_ref(root) }
    }

    /// Whether the root itself is no column, but its members are.
    pub(super) fn is_flat(&self) -> bool {
        is_flat(&self.0.root)
    }
}

fn is_flat(root: &Node) -> bool {
    root.kind == Kind::Struct && !root.nullable()
}

/// As Spark would write it: `text`, `(text, u64)`, `option<i64>`, `list<f64>`, `struct{a: i64}`.
impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.root.fmt(f)
    }
}

struct Parser<'a> {
    fields: &'a mut Vec<Field>,
    next: usize,
}

impl Parser<'_> {
    /// Takes the next field and its children. The caller has made sure that there is one.
    fn node(&mut self, depth: usize) -> Result<Node, SchemaError> {
        let position = self.next;
        self.next += 1;
        let Some(field) = self.fields.get(position) else { return Err(SchemaError::Empty) };
        let length = field.name.len();
        if length == 0 || length > NAME_BYTES_MAX {
            return Err(SchemaError::NameLength { position, length });
        }
        let (name, nullable, children) = (field.name.clone(), field.nullable, field.children);
        if depth > DEPTH_MAX {
            return Err(SchemaError::TooDeep { position, name });
        }
        let too_long = |(key, value): &(String, String)| key.len().max(value.len()) > METADATA_BYTES_MAX;
        if field.metadata.len() > METADATA_MAX || field.metadata.iter().any(too_long) {
            return Err(SchemaError::Metadata { position, name });
        }
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == field.kind) else {
            let kind = field.kind.chars().take(NAME_BYTES_MAX).collect();
            return Err(SchemaError::UnknownKind { position, name, kind });
        };
        let expected = match (kind, children) {
            (Kind::List, 1) | (Kind::Struct, 1..) => None,
            (Kind::List, _) => Some("exactly 1 is"),
            // A value without content would let a few bytes stand for billions of rows.
            (Kind::Struct, 0) => Some("at least 1 is"),
            (_, 0) => None,
            _ => Some("none are"),
        };
        if let Some(expected) = expected {
            return Err(SchemaError::Children { position, name, kind: kind.name(), expected, found: children });
        }
        let mut nodes = Vec::new();
        let mut names = HashSet::new();
        for _ in 0..children {
            let at = self.next;
            let Some(child) = self.fields.get_mut(at) else {
                return Err(SchemaError::Missing { position, name, children });
            };
            if kind == Kind::List {
                ITEM_NAME.clone_into(&mut child.name);
            }
            let node = self.node(depth + 1)?;
            if !names.insert(node.name().to_owned()) {
                return Err(SchemaError::DuplicateName { position: at, name: node.name().to_owned() });
            }
            nodes.push(node);
        }
        Ok(Node::new(kind, &name, nullable, nodes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: &str, children: u32) -> Field {
        Field { name: name.into(), kind: kind.into(), nullable: false, children, metadata: Vec::new() }
    }

    fn optional(name: &str, kind: &str, children: u32) -> Field {
        Field { nullable: true, ..field(name, kind, children) }
    }

    fn problem(fields: Vec<Field>) -> String {
        RecordType::parse(fields).unwrap_err().to_string()
    }

    fn pair() -> RecordType {
        let fields = vec![field("", "struct", 2), field("0", "list", 1), field("x", "text", 0), field("1", "u64", 0)];
        RecordType::parse(fields).unwrap()
    }

    #[test]
    fn types_print_as_spark_would_write_them() {
        let shown = |fields| RecordType::parse(fields).unwrap().to_string();
        assert_eq!(RecordType::text().to_string(), "text");
        assert_eq!(pair().to_string(), "(list<text>, u64)");
        assert_eq!(shown(vec![optional("", "i64", 0)]), "option<i64>");
        assert_eq!(shown(vec![field("", "list", 1), optional("e", "f64", 0)]), "list<option<f64>>");
        assert_eq!(shown(vec![field("", "struct", 1), field("a", "i64", 0)]), "struct{a: i64}");
        assert_eq!(shown(vec![optional("", "struct", 1), optional("value", "i64", 0)]), "option<option<i64>>");
    }

    #[test]
    fn members_of_the_root_struct_are_the_columns() {
        assert_eq!(pair().arrow().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["0", "1"]);
        assert_eq!(pair().buffers(), 2 + 3 + 2);
        let absent = RecordType::parse(vec![optional("x", "struct", 1), field("0", "u8", 0)]).unwrap();
        assert_eq!(absent.arrow().fields().len(), 1);
        assert_eq!(absent.arrow().field(0).name(), "value");
        assert_eq!(absent.buffers(), 1 + 2);
        assert!(!absent.is_pair());
        assert_eq!(RecordType::text(), RecordType::parse(vec![field("anything", "text", 0)]).unwrap());
        assert_eq!(RecordType::parse(pair().fields().to_vec()).unwrap(), pair());
    }

    #[test]
    fn a_pair_has_a_key_and_a_value_type() {
        let (key, value) = pair().pair().unwrap();
        assert_eq!(key, RecordType::parse(vec![field("", "list", 1), field("", "text", 0)]).unwrap());
        assert_eq!(value, RecordType::parse(vec![field("", "u64", 0)]).unwrap());
        assert_eq!(RecordType::text().pair(), None);
        let named = vec![field("", "struct", 2), field("a", "u8", 0), field("b", "u8", 0)];
        assert!(!RecordType::parse(named).unwrap().is_pair());
    }

    #[test]
    fn each_mistake_is_named() {
        assert_eq!(problem(vec![]), "the type has no fields");
        assert_eq!(problem(vec![field("a", "text", 0); 1001]), "the type has 1001 fields, which is more than 1000");
        assert_eq!(
            problem(vec![field("a", "quaternion", 0)]),
            "field 0 `value` is of the kind `quaternion`, which this host does not know"
        );
        assert_eq!(problem(vec![field("a", "list", 0)]), "field 0 `value` (list) has 0 children, exactly 1 is needed");
        assert_eq!(problem(vec![field("a", "struct", 0)]), "field 0 `value` (struct) has 0 children, at least 1 is needed");
        assert_eq!(problem(vec![field("a", "u8", 7)]), "field 0 `value` (u8) has 7 children, none are needed");
        assert_eq!(
            problem(vec![field("a", "struct", u32::MAX), field("a", "u8", 0)]),
            "field 0 `value` has 4294967295 children, but the list of fields ends before them"
        );
        assert_eq!(
            problem(vec![field("a", "u8", 0), field("b", "u8", 0)]),
            "the type ends with field 0, but 2 fields are listed"
        );
        assert_eq!(
            problem(vec![field("a", "struct", 2), field("b", "u8", 0), field("b", "u8", 0)]),
            "field 2 `b` has the name of another member of its struct"
        );
        assert_eq!(
            problem(vec![field("a", "struct", 1), field("", "u8", 0)]),
            "the name of field 1 is 0 bytes long, not 1 to 256"
        );
        assert_eq!(
            problem(vec![field("a", "struct", 1), field(&"x".repeat(257), "u8", 0)]),
            "the name of field 1 is 257 bytes long, not 1 to 256"
        );
        let mut deep = vec![field("a", "list", 1); 32];
        deep.push(field("a", "u8", 0));
        assert_eq!(problem(deep.clone()), "field 32 `item` is nested deeper than 32 levels");
        assert!(RecordType::parse(deep.split_off(1)).is_ok());
        let mut labelled = field("a", "bytes", 0);
        labelled.metadata = vec![("type".into(), "x".repeat(1025))];
        assert!(problem(vec![labelled]).starts_with("the metadata of field 0 `value` has more than 16 entries"));
    }
}
