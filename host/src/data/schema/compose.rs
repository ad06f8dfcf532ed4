//! Types that are made of other types: tuples, options and lists.

use super::{Field, Kind, ROOT_NAME, RecordType, SchemaError};

impl RecordType {
    /// The type of tuples with members of these types.
    ///
    /// # Errors
    /// If the type would be too large.
    pub fn tuple(members: &[&Self]) -> Result<Self, SchemaError> {
        let mut fields = vec![parent(Kind::Struct, members.len())];
        for (at, member) in members.iter().enumerate() {
            let mut member = member.fields().to_vec();
            if let Some(root) = member.first_mut() {
                root.name = at.to_string();
            }
            fields.append(&mut member);
        }
        Self::parse(fields)
    }

    /// The type of values of this type that may be absent. An option of an option is a struct that contains the inner
    /// option.
    ///
    /// # Errors
    /// If the type would be too large.
    pub fn optional(&self) -> Result<Self, SchemaError> {
        let mut fields = self.fields().to_vec();
        if self.is_optional() {
            fields.insert(0, parent(Kind::Struct, 1));
        }
        if let Some(root) = fields.first_mut() {
            root.nullable = true;
        }
        Self::parse(fields)
    }

    /// The type of lists of this type.
    ///
    /// # Errors
    /// If the type would be too large.
    pub fn list(&self) -> Result<Self, SchemaError> {
        let mut fields = self.fields().to_vec();
        fields.insert(0, parent(Kind::List, 1));
        Self::parse(fields)
    }

    /// The type of numbers from 0 to 4,294,967,295.
    pub fn number() -> Self {
        Self::of_kind(Kind::U32)
    }

    /// Whether values of this type may be absent.
    pub fn is_optional(&self) -> bool {
        self.root().nullable()
    }
}

/// A field that has `children` fields below it. The name of the root of a type is also the right name for its only
/// member.
fn parent(kind: Kind, children: usize) -> Field {
    let children = u32::try_from(children).unwrap_or(u32::MAX);
    Field { name: ROOT_NAME.to_owned(), kind: kind.name().to_owned(), nullable: false, children, metadata: Vec::new() }
}
