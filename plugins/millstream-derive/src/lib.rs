//! The derive macros of the crate `millstream`, which re-exports them: plugins do not depend on this crate.
//!
//! Owns how a Rust type becomes a row type. The generated code calls a hidden module of `millstream`.

mod expand;
mod shape;
mod structure;
mod tagged;

use proc_macro::TokenStream;
use shape::Shape;
use syn::{DeriveInput, parse_macro_input};

/// Makes a type a record.
///
/// | type | travels as | prints as |
/// |---|---|---|
/// | struct with named fields | columns, named as the fields are | `(1,2)` |
/// | tuple struct | columns, as a tuple | `(1,2)` |
/// | enum whose variants hold no data | text: the name of the variant | `Red` |
/// | enum whose variants hold data | a text `type`, and a column for the data of each variant | `Moved(5)` |
/// | any type with `#[record(serde)]` | bytes: the value in serde's encoding | hexadecimal digits |
#[proc_macro_derive(Record, attributes(record))]
pub fn record(input: TokenStream) -> TokenStream {
    derive(&parse_macro_input!(input as DeriveInput), expand::record)
}

/// Makes a record a key: equal values have equal bytes, by which the host groups rows.
///
/// All fields must be keys too. With `#[record(serde)]`, the key is the value in serde's encoding, so equal values must
/// always have equal encodings. A `HashMap` or a `HashSet` cannot promise that. Floats are compared by their bits.
#[proc_macro_derive(Key, attributes(record))]
pub fn key(input: TokenStream) -> TokenStream {
    derive(&parse_macro_input!(input as DeriveInput), expand::key)
}

fn derive(input: &DeriveInput, expand: fn(&DeriveInput, &Shape) -> proc_macro2::TokenStream) -> TokenStream {
    let expanded = Shape::of(input).map(|shape| expand(input, &shape));
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}
