//! The structural hash of a type: a number that changes when the type's definition changes.
//!
//! The hash is computed from the tokens of the definition: field and variant names, the types of fields as they are
//! written, and serde's attributes, which change the encoding. The hash does not cover the definitions of other types
//! that the definition names: when one of those types changes, the hash stays the same. Documentation, visibility,
//! other attributes and white space do not count.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Attribute, Data, DeriveInput, Fields};

/// The hash, in 16 hexadecimal digits.
pub fn hash(input: &DeriveInput) -> String {
    let mut text = String::new();
    serde_attributes(&input.attrs, &mut text);
    match &input.data {
        Data::Struct(data) => {
            text.push_str("struct ");
            fields(&data.fields, &mut text);
        }
        Data::Enum(data) => {
            text.push_str("enum ");
            for variant in &data.variants {
                serde_attributes(&variant.attrs, &mut text);
                text.push_str(&format!("{} ", variant.ident));
                fields(&variant.fields, &mut text);
            }
        }
        Data::Union(_) => {}
    }
    format!("{:016x}", fnv1a(text.as_bytes()))
}

fn fields(fields: &Fields, text: &mut String) {
    text.push_str("{ ");
    for (at, field) in fields.iter().enumerate() {
        serde_attributes(&field.attrs, text);
        match &field.ident {
            Some(name) => text.push_str(&name.to_string()),
            None => text.push_str(&at.to_string()),
        }
        text.push_str(" : ");
        let ty = &field.ty;
        tokens(quote::quote!(#ty), text);
        text.push_str(", ");
    }
    text.push_str("} ");
}

fn serde_attributes(attributes: &[Attribute], text: &mut String) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        tokens(quote::quote!(#attribute), text);
    }
}

/// Writes tokens with one space after each. The compiler's own form of tokens may differ between versions of the
/// compiler.
fn tokens(stream: TokenStream, text: &mut String) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("( ", ") "),
                    Delimiter::Brace => ("{ ", "} "),
                    Delimiter::Bracket => ("[ ", "] "),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                tokens(group.stream(), text);
                text.push_str(close);
            }
            leaf => text.push_str(&format!("{leaf} ")),
        }
    }
}

/// FNV-1a of 64 bits. The hash has to distinguish versions of one type. It need not withstand an attack.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        hash(&syn::parse_str(text).expect("it parses"))
    }

    #[test]
    fn the_hash_is_that_of_the_specification() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(of("struct A { x : u8 }").len(), 16);
    }

    #[test]
    fn what_changes_the_encoding_changes_the_hash() {
        let definitions = [
            "enum E { A, B(u8), C { x: Vec<u8> } }",
            "enum E { A, C { x: Vec<u8> }, B(u8) }",
            "enum E { A, B(u16), C { x: Vec<u8> } }",
            "enum E { A, B(u8), D { x: Vec<u8> } }",
            "enum E { A, B(u8), C { y: Vec<u8> } }",
            "enum E { A, B(u8), C { #[serde(skip)] x: Vec<u8> } }",
            "struct E { x: u8 }",
            "struct E { x: [u8; 2] }",
            "struct E(u8);",
            "struct E(u8, u8);",
        ];
        let mut hashes: Vec<String> = definitions.iter().map(|text| of(text)).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), definitions.len());
    }

    #[test]
    fn what_does_not_change_the_encoding_does_not_change_the_hash() {
        let plain = of("struct E { x: Vec<u8>, y: (u8,) }");
        assert_eq!(of("/// Words.\n#[derive(Clone)]\npub struct F{pub x:Vec< u8 >,/** y */ y: (u8 ,)}"), plain);
    }
}
