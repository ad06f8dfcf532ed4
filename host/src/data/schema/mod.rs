//! The type of a row: a tree of fields, as a plugin declares it and as Arrow sees it.
//!
//! Owns [`Field`] and [`RecordType`], and every limit on what a type may look like. Never touches values.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod compose;
mod error;
mod id;
mod node;

#[cfg(test)]
mod tests;

pub use error::SchemaError;
pub use id::schema_id;
pub(super) use node::{Kind, Node};

use arrow::datatypes::{Schema, SchemaRef};
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
/// The name of the text that says which variant a value of an enum is.
const TAG_NAME: &str = "type";
/// The metadata of a struct that stands for an enum: the names of its variants, with commas.
const VARIANTS: &str = "variants";

/// One field of a type, in a pre-order list: the `children` fields that follow belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Tuple members are called `0`, `1` and so on.
    pub name: String,
    /// One of `bool`, `i8` to `i64`, `u8` to `u64`, `f32`, `f64`, `text`, `bytes`, `list`, `struct`, the kinds of dates
    /// and times, such as `timestamp[us]`, and `decimal(precision,scale)`.
    pub kind: String,
    /// Whether a value may be absent.
    pub nullable: bool,
    /// The number of direct children of this field, which follow it in the list.
    pub children: u32,
    /// The identity of a user's type that travels as `bytes`, which the host compares and does not interpret. Of a struct
    /// that stands for an enum whose variants hold data: `variants`, the names of the variants with commas between them.
    pub metadata: Vec<(String, String)>,
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
    /// Returns the first rule that the type breaks.
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
        Self::of_kind(Kind::Text)
    }

    /// The type of bytes: one column `value` of bytes that are always there.
    pub fn bytes() -> Self {
        Self::of_kind(Kind::Bytes)
    }

    /// The type of single values of a kind without children.
    fn of_kind(kind: Kind) -> Self {
        let field = Field {
            name: ROOT_NAME.to_owned(),
            kind: kind.name().to_owned(),
            nullable: false,
            children: 0,
            metadata: Vec::new(),
        };
        Self::assemble(vec![field], Node::new(kind, ROOT_NAME, false, Vec::new()))
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

    /// The types of key and value of a pair, each as a row type of its own. `None` if rows are not pairs.
    pub fn pair(&self) -> Option<(Self, Self)> {
        match self.0.root.children.as_slice() {
            [key, value] if self.is_pair() => {
                Some((self.part(1, key)?, self.part(key.fields.saturating_add(1), value)?))
            }
            _ => None,
        }
    }

    /// The member `node`, whose fields start at `start`, as a type of its own.
    fn part(&self, start: usize, node: &Node) -> Option<Self> {
        let mut fields = self.0.fields.get(start..start.checked_add(node.fields)?)?.to_vec();
        ROOT_NAME.clone_into(&mut fields.first_mut()?.name);
        let root = Node {
            variants: node.variants.clone(),
            ..Node::new(node.kind, ROOT_NAME, node.nullable(), node.children.clone())
        };
        Some(Self::assemble(fields, root))
    }

    /// The name of the first user's type in this type whose bytes only the plugin can read, as the plugin names it.
    /// `None` if there is no such type.
    pub fn opaque(&self) -> Option<&str> {
        let mut metadata = self.0.fields.iter().flat_map(|field| &field.metadata);
        metadata.find(|(key, _)| key == "type").map(|(_, name)| name.as_str())
    }

    /// Whether values are single dates, times or decimals, which JSON has as strings.
    pub fn is_temporal_or_decimal(&self) -> bool {
        matches!(self.0.root.kind, Kind::Temporal(_) | Kind::Decimal(_))
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

    /// Whether the members of the root are the columns, in place of the root itself.
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
    /// Takes the next field and its children. The caller has checked that there is a next field.
    fn node(&mut self, depth: usize) -> Result<Node, SchemaError> {
        let position = self.next;
        self.next = self.next.saturating_add(1);
        let Some(field) = self.fields.get(position) else { return Err(SchemaError::Empty) };
        let length = field.name.len();
        if length == 0 || length > NAME_BYTES_MAX {
            return Err(SchemaError::NameLength { position, length });
        }
        let (name, nullable, children) = (field.name.clone(), field.nullable, field.children);
        let variants = field.metadata.iter().find(|(key, _)| key == VARIANTS).map(|(_, names)| names.clone());
        if depth > DEPTH_MAX {
            return Err(SchemaError::TooDeep { position, name });
        }
        let too_long = |(key, value): &(String, String)| key.len().max(value.len()) > METADATA_BYTES_MAX;
        if field.metadata.len() > METADATA_MAX || field.metadata.iter().any(too_long) {
            return Err(SchemaError::Metadata { position, name });
        }
        let Some(kind) = Kind::parse(&field.kind) else {
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
            let node = self.node(depth.saturating_add(1))?;
            if !names.insert(node.name().to_owned()) {
                return Err(SchemaError::DuplicateName { position: at, name: node.name().to_owned() });
            }
            nodes.push(node);
        }
        let node = Node::new(kind, &name, nullable, nodes);
        match variants {
            Some(names) => node.with_variants(&names).ok_or(SchemaError::Variants { position, name }),
            None => Ok(node),
        }
    }
}
