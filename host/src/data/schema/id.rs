//! The id of a type, which is the same in all runs and versions of the host.

use super::Field;
use sha2::{Digest as _, Sha256};

/// The id of a type: SHA-256 of its list of fields. The hash covers, for each field, the name, the kind, whether a
/// value may be absent, the number of children, and the metadata of a user's type. The length of each text comes before
/// the text. Equal types have equal ids in every version.
pub fn schema_id(fields: &[Field]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    hash.update((fields.len() as u64).to_le_bytes());
    for field in fields {
        text(&mut hash, &field.name);
        text(&mut hash, &field.kind);
        hash.update([u8::from(field.nullable)]);
        hash.update(field.children.to_le_bytes());
        hash.update((field.metadata.len() as u64).to_le_bytes());
        for (name, value) in &field.metadata {
            text(&mut hash, name);
            text(&mut hash, value);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: &str) -> Field {
        Field { name: name.to_owned(), kind: kind.to_owned(), nullable: false, children: 0, metadata: Vec::new() }
    }

    #[test]
    fn ids_tell_types_apart_and_never_change() {
        let hexadecimal =
            |fields: &[Field]| schema_id(fields).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = field("value", "text");
        assert_eq!(&hexadecimal(std::slice::from_ref(&text))[..16], "d7b4baacb98db389");
        let others = [
            vec![field("value", "bytes")],
            vec![field("valuet", "ext")],
            vec![Field { nullable: true, ..text.clone() }],
            vec![Field { metadata: vec![("name".to_owned(), "T".to_owned())], ..text.clone() }],
            vec![text.clone(), text.clone()],
        ];
        for other in &others {
            assert_ne!(schema_id(other), schema_id(std::slice::from_ref(&text)));
        }
    }
}
