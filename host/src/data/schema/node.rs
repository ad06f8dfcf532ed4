//! The tree behind a type: for each field, the kind of its values, and the Arrow field that holds the values.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::super::decimal::Decimal;
use super::super::temporal::Temporal;
use super::{ROOT_NAME, TAG_NAME};
use arrow::datatypes::{DataType, FieldRef};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The kind of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::data) enum Kind {
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
    Temporal(Temporal),
    Decimal(Decimal),
    List,
    Struct,
}

impl Kind {
    /// The kinds with a name of their own, apart from dates and times.
    #[rustfmt::skip]
    const PLAIN: [Self; 15] = [
        Self::Bool, Self::I8, Self::I16, Self::I32, Self::I64, Self::U8, Self::U16, Self::U32, Self::U64,
        Self::F32, Self::F64, Self::Text, Self::Bytes, Self::List, Self::Struct,
    ];

    /// The kind that plugins call `name`, as [`Kind`] prints it. `None` if there is no such kind.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let decimal = || {
            let digits = name.strip_prefix("decimal(")?.strip_suffix(')')?;
            let (precision, scale) = digits.split_once(',')?;
            let decimal = Decimal::new(precision.parse().ok()?, scale.parse().ok()?)?;
            // A type has one name, so that it has one id.
            (decimal.to_string() == name).then_some(Self::Decimal(decimal))
        };
        let mut named = Self::PLAIN.into_iter().chain(Temporal::ALL.map(Self::Temporal));
        named.find(|kind| kind.name() == name).or_else(decimal)
    }

    /// The name of the kind, without its parameters.
    pub(in crate::data) const fn name(self) -> &'static str {
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
            Self::Temporal(temporal) => temporal.name(),
            Self::Decimal(_) => "decimal",
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

/// The name that plugins use.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal(decimal) => decimal.fmt(f),
            kind => f.write_str(kind.name()),
        }
    }
}

/// A field with its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Node {
    pub(in crate::data) kind: Kind,
    pub(in crate::data) field: FieldRef,
    pub(in crate::data) children: Vec<Self>,
    /// Whether the field is a struct whose members are called `0`, `1` and so on.
    pub(in crate::data) is_tuple: bool,
    /// The names of the variants, if the field is a struct that stands for an enum whose variants hold data.
    pub(in crate::data) variants: Option<Arc<[String]>>,
    /// The number of fields in this subtree, this field included.
    pub(super) fields: usize,
}

impl Node {
    pub(in crate::data) fn name(&self) -> &str {
        self.field.name()
    }

    pub(in crate::data) fn nullable(&self) -> bool {
        self.field.is_nullable()
    }

    /// Whether the field stands for an option of an option. Arrow has no such type, so plugins wrap the inner option.
    pub(in crate::data) fn wraps_option(&self) -> bool {
        match self.children.as_slice() {
            [inner] => self.kind == Kind::Struct && self.nullable() && inner.nullable() && inner.name() == ROOT_NAME,
            _ => false,
        }
    }

    /// How many buffers the field contributes to a chunk, with its children.
    pub(super) fn buffers(&self) -> usize {
        self.children.iter().map(Self::buffers).fold(self.kind.buffers(), usize::saturating_add)
    }

    pub(super) fn new(kind: Kind, name: &str, nullable: bool, children: Vec<Self>) -> Self {
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
            Kind::Temporal(temporal) => temporal.arrow(),
            Kind::Decimal(Decimal { precision, scale }) => DataType::Decimal128(precision, scale.cast_signed()),
            Kind::List => match children.first() {
                Some(item) => DataType::List(Arc::clone(&item.field)),
                None => DataType::Null,
            },
            Kind::Struct => DataType::Struct(children.iter().map(|child| Arc::clone(&child.field)).collect()),
        };
        let fields = children.iter().map(|child| child.fields).fold(1, usize::saturating_add);
        let numbered = children.iter().enumerate().all(|(at, child)| child.name() == at.to_string());
        let is_tuple = kind == Kind::Struct && numbered;
        let field = Arc::new(arrow::datatypes::Field::new(name, data_type, nullable));
        Self { kind, field, children, is_tuple, variants: None, fields }
    }

    /// The same field as an enum with these variants. `None` if the field is no struct of a text `type`, which is always
    /// there, and of members that may be absent and are called as variants are, in order.
    pub(super) fn with_variants(self, names: &str) -> Option<Self> {
        let variants: Arc<[String]> = names.split(',').map(str::to_owned).collect();
        let (tag, data) = self.children.split_first()?;
        let is_tag = self.kind == Kind::Struct && tag.kind == Kind::Text && !tag.nullable() && tag.name() == TAG_NAME;
        let mut rest = variants.iter();
        let is_data = |child: &Self| child.nullable() && rest.any(|variant| variant == child.name());
        let differ = variants.iter().collect::<HashSet<_>>().len() == variants.len();
        let is_enum = is_tag && data.iter().all(is_data) && differ && !variants.iter().any(String::is_empty);
        is_enum.then_some(Self { variants: Some(variants), ..self })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nullable() {
            f.write_str("option<")?;
            self.fmt_present(f)?;
            return f.write_str(">");
        }
        self.fmt_present(f)
    }
}

impl Node {
    /// Writes the type of values that are there.
    fn fmt_present(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.children.as_slice()) {
            (Kind::List, [item]) => write!(f, "list<{item}>")?,
            (Kind::Struct, [inner]) if self.wraps_option() => write!(f, "{inner}")?,
            (Kind::Struct, [_, data @ ..]) if self.variants.is_some() => {
                f.write_str("enum{")?;
                for (at, name) in self.variants.iter().flat_map(|names| names.iter()).enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    f.write_str(name)?;
                    if let Some(data) = data.iter().find(|data| data.name() == name) {
                        f.write_str(": ")?;
                        data.fmt_present(f)?;
                    }
                }
                f.write_str("}")?;
            }
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
            _ => write!(f, "{}", self.kind)?,
        }
        Ok(())
    }
}
