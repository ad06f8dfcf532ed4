//! The shape of a type: how the macros make a record of it. For a type that cannot be a record: why, and what to do
//! instead.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitInt, Member, Result, Type};

/// The column that names the variant of an enum with data.
const TAG_NAME: &str = "type";
/// The longest name of a field that the host accepts, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Attributes of serde that need a format which stores names. The format of records stores no names.
const SELF_DESCRIBING: [&str; 4] = ["untagged", "tag", "flatten", "skip_serializing_if"];

/// One field of a struct or a variant.
#[derive(Clone)]
pub struct Field {
    /// The name or the index of the field in Rust.
    pub member: Member,
    /// The name of the field's column.
    pub name: String,
    /// The type of the field.
    pub ty: Type,
}

/// A variant of an enum.
pub struct Variant {
    /// The name of the variant.
    pub ident: Ident,
    /// The data of the variant.
    pub data: VariantData,
}

/// The data of a variant.
pub enum VariantData {
    /// No data.
    None,
    /// One field without a name.
    One(Box<Type>),
    /// Several fields, or fields with names.
    Members(Vec<Field>),
}

impl VariantData {
    /// The fields of the variant.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::None => Vec::new(),
            Self::One(ty) => vec![Field { member: Member::from(0), name: "0".to_owned(), ty: Type::clone(ty) }],
            Self::Members(fields) => fields.clone(),
        }
    }
}

/// How the macros make a record of a type.
pub enum Shape {
    /// A struct: a column for each field.
    Struct(Vec<Field>),
    /// An enum without data: text.
    Choice(Vec<Ident>),
    /// An enum with data: a struct with the name of the variant and its data.
    Tagged(Vec<Variant>),
    /// Bytes that serde makes.
    Serde {
        /// The version of the type, which its author counts.
        version: u32,
        /// The structural hash of the type.
        structure: String,
    },
}

impl Shape {
    /// The shape of a type, if it can be a record.
    pub fn of(input: &DeriveInput) -> Result<Self> {
        refuse_generics(input)?;
        refuse_inner_attributes(input)?;
        let attribute = Options::of(&input.attrs)?;
        if let Some(span) = attribute.serde {
            if !cfg!(feature = "serde") {
                return Err(Error::new(span, "`#[record(serde)]` needs the feature `serde` of the crate `millstream`"));
            }
            refuse_self_describing(input)?;
            return Ok(Self::Serde {
                version: attribute.version.unwrap_or(1),
                structure: crate::structure::hash(input),
            });
        }
        match &input.data {
            Data::Struct(data) => members(&input.ident, &data.fields).map(Self::Struct),
            Data::Enum(data) => variants(input, data),
            Data::Union(data) => Err(Error::new(
                data.union_token.span,
                "a union does not say which of its fields holds a value: use an enum with `#[record(serde)]`",
            )),
        }
    }
}

/// The content of `#[record(..)]`.
#[derive(Default)]
struct Options {
    serde: Option<Span>,
    version: Option<u32>,
}

impl Options {
    fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("record")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("serde") {
                    options.serde = Some(meta.path.span());
                    return Ok(());
                }
                if meta.path.is_ident("version") {
                    let number: LitInt = meta.value()?.parse()?;
                    options.version = Some(number.base10_parse()?);
                    return Ok(());
                }
                Err(meta.error("unknown: there are `serde` and, with it, `version = 2`"))
            })?;
            if options.version.is_some() && options.serde.is_none() {
                let message = "a version is for types that travel as bytes: `#[record(serde, version = 2)]`";
                return Err(Error::new_spanned(attribute, message));
            }
        }
        Ok(options)
    }
}

fn refuse_generics(input: &DeriveInput) -> Result<()> {
    let generics = &input.generics;
    if let Some(lifetime) = generics.lifetimes().next() {
        let message = "a record outlives the chunk it came in, so it cannot borrow: \
                       use `Text` for a `&str`, which copies nothing, and `Bytes` or a `Vec` for a slice";
        return Err(Error::new_spanned(lifetime, message));
    }
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        let message = "a generic type cannot be derived as a record: write a type without parameters for each row \
                       type, or use a tuple";
        return Err(Error::new_spanned(generics, message));
    }
    Ok(())
}

/// Refuses `#[record(..)]` on fields and variants, because the attribute belongs to the type.
fn refuse_inner_attributes(input: &DeriveInput) -> Result<()> {
    let of_fields = |fields: &Fields| fields.iter().flat_map(|field| field.attrs.clone()).collect::<Vec<_>>();
    let attributes = match &input.data {
        Data::Struct(data) => of_fields(&data.fields),
        Data::Enum(data) => {
            let of_variant = |variant: &syn::Variant| [variant.attrs.clone(), of_fields(&variant.fields)].concat();
            data.variants.iter().flat_map(of_variant).collect()
        }
        Data::Union(_) => Vec::new(),
    };
    match attributes.iter().find(|attribute| attribute.path().is_ident("record")) {
        Some(attribute) => {
            Err(Error::new_spanned(attribute, "`#[record(..)]` stands before the type, not inside of it"))
        }
        None => Ok(()),
    }
}

fn members(name: &Ident, fields: &Fields) -> Result<Vec<Field>> {
    if fields.is_empty() {
        return Err(Error::new(name.span(), "a record needs at least one field: a row without content has no columns"));
    }
    let member = |(member, field): (Member, &syn::Field)| {
        if names(&field.ty, name) {
            let message = "a type that contains itself has no columns: derive serde's `Serialize` and `Deserialize` \
                           too, and write `#[record(serde)]` before the type";
            return Err(Error::new_spanned(&field.ty, message));
        }
        let column = match &member {
            Member::Named(name) => name.unraw().to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        if column.len() > NAME_BYTES_MAX {
            let message = format!("the name of a column has at most {NAME_BYTES_MAX} bytes");
            return Err(Error::new_spanned(&field.ident, message));
        }
        Ok(Field { member, name: column, ty: field.ty.clone() })
    };
    fields.members().zip(fields).map(member).collect()
}

/// Whether a type names the type `name` that it is in.
fn names(ty: &Type, name: &Ident) -> bool {
    fn found(tokens: TokenStream, name: &Ident) -> bool {
        let mut after_colon = false;
        tokens.into_iter().any(|tree| {
            let in_path = after_colon;
            after_colon = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == ':');
            match tree {
                TokenTree::Ident(ident) => !in_path && (ident == *name || ident == "Self"),
                TokenTree::Group(group) => found(group.stream(), name),
                _ => false,
            }
        })
    }
    found(quote::quote!(#ty), name)
}

fn variants(input: &DeriveInput, data: &syn::DataEnum) -> Result<Shape> {
    if data.variants.is_empty() {
        return Err(Error::new(input.ident.span(), "an enum without variants has no values: give it some"));
    }
    if data.variants.iter().all(|variant| matches!(variant.fields, Fields::Unit)) {
        return Ok(Shape::Choice(data.variants.iter().map(|variant| variant.ident.clone()).collect()));
    }
    let variant = |variant: &syn::Variant| {
        let ident = variant.ident.clone();
        if ident.unraw() == TAG_NAME {
            return Err(Error::new(
                ident.span(),
                "`type` is the column that names the variant: give the variant another name",
            ));
        }
        let data = match &variant.fields {
            Fields::Unit => VariantData::None,
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let [field] = <[Field; 1]>::try_from(members(&input.ident, &variant.fields)?)
                    .map_err(|_| Error::new(ident.span(), "one field is expected"))?;
                VariantData::One(Box::new(field.ty))
            }
            fields if fields.is_empty() => {
                return Err(Error::new(ident.span(), "a variant with braces needs a field in them: remove the braces"));
            }
            fields => VariantData::Members(members(&input.ident, fields)?),
        };
        Ok(Variant { ident, data })
    };
    data.variants.iter().map(variant).collect::<Result<_>>().map(Shape::Tagged)
}

fn refuse_self_describing(input: &DeriveInput) -> Result<()> {
    let mut attributes: Vec<&Attribute> = input.attrs.iter().collect();
    match &input.data {
        Data::Struct(data) => attributes.extend(data.fields.iter().flat_map(|field| &field.attrs)),
        Data::Enum(data) => {
            for variant in &data.variants {
                attributes.extend(&variant.attrs);
                attributes.extend(variant.fields.iter().flat_map(|field| &field.attrs));
            }
        }
        Data::Union(_) => {}
    }
    for attribute in attributes.into_iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let syn::Meta::List(list) = &attribute.meta else { continue };
        for tree in list.tokens.clone() {
            if let TokenTree::Ident(word) = tree
                && SELF_DESCRIBING.iter().any(|refused| word == refused)
            {
                let message = format!(
                    "`{word}` needs a format that names what it holds, and the compact one of `#[record(serde)]` does not"
                );
                return Err(Error::new(word.span(), message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Result<Shape> {
        Shape::of(&syn::parse_str(text).expect("it parses"))
    }

    fn refused(text: &str) -> String {
        shape(text).err().unwrap_or_else(|| panic!("{text} is accepted")).to_string()
    }

    #[test]
    fn columns_are_named_as_fields_are() {
        let names = |text: &str| match shape(text) {
            Ok(Shape::Struct(fields)) => fields.into_iter().map(|field| field.name).collect::<Vec<_>>(),
            Ok(_) => panic!("{text}: another shape"),
            Err(error) => panic!("{text}: {error}"),
        };
        assert_eq!(names("struct P { x: u8, r#type: Vec<other::P> }"), ["x", "type"]);
        assert_eq!(names("struct P(u8, u8);"), ["0", "1"]);
    }

    #[test]
    fn an_enum_without_data_is_a_choice() {
        let Ok(Shape::Choice(variants)) = shape("enum C { Red = 2, Green }") else { panic!("another shape") };
        assert_eq!(variants, ["Red", "Green"]);
    }

    #[test]
    fn an_enum_with_data_is_tagged() {
        let Ok(Shape::Tagged(variants)) = shape("enum E { A, B(u8), C { d: u8, e: u8 }, F(u8, u8) }") else {
            panic!("another shape")
        };
        let counts: Vec<usize> = variants.iter().map(|variant| variant.data.fields().len()).collect();
        assert_eq!(counts, [0, 1, 2, 2]);
    }

    #[test]
    fn what_cannot_be_a_record_says_what_can() {
        for (text, said) in [
            ("struct A<'a>(&'a str);", "use `Text` for a `&str`"),
            ("struct A<T>(T);", "write a type without parameters for each row type"),
            ("struct A<const N: usize>([u8; N]);", "write a type without parameters for each row type"),
            ("struct A;", "a record needs at least one field"),
            ("struct A {}", "a record needs at least one field"),
            ("struct A { next: Option<Box<A>> }", "a type that contains itself has no columns"),
            ("struct A(Vec<Self>);", "a type that contains itself has no columns"),
            ("union A { a: u8, b: i8 }", "use an enum with `#[record(serde)]`"),
            ("enum A {}", "an enum without variants has no values"),
            ("enum A { B, C(Vec<A>) }", "a type that contains itself has no columns"),
            ("enum A { r#type(u8) }", "give the variant another name"),
            ("enum A { B(u8), C {} }", "remove the braces"),
            ("#[record(bytes)] struct A(u8);", "unknown: there are `serde`"),
            ("#[record(version = 2)] struct A(u8);", "`#[record(serde, version = 2)]`"),
            ("struct A(#[record(serde)] u8);", "stands before the type"),
            ("enum A { #[record(serde)] B }", "stands before the type"),
        ] {
            let message = refused(text);
            assert!(message.contains(said), "{text}: {message}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_carries_what_has_no_columns() {
        let version = |text: &str| match shape(text) {
            Ok(Shape::Serde { version, .. }) => version,
            Ok(_) => panic!("{text}: another shape"),
            Err(error) => panic!("{text}: {error}"),
        };
        assert_eq!(version("#[record(serde)] enum A { B, C(Box<A>) }"), 1);
        assert_eq!(version("#[record(serde, version = 7)] struct A;"), 7);
        for attribute in ["untagged", "tag = \"kind\""] {
            let message = refused(&format!("#[record(serde)] #[serde({attribute})] enum A {{ B }}"));
            assert!(message.contains("needs a format that names what it holds"), "{message}");
        }
        refused("#[record(serde)] struct A { #[serde(flatten)] b: B }");
        refused("#[record(serde)] enum A { B { #[serde(default, skip_serializing_if = \"f\")] b: B } }");
        assert_eq!(version("#[record(serde)] #[serde(rename_all = \"kebab-case\")] struct A { b: B }"), 1);
    }

    #[cfg(not(feature = "serde"))]
    #[test]
    fn serde_without_its_feature_is_refused() {
        assert!(refused("#[record(serde)] enum A { B }").contains("needs the feature `serde`"));
    }
}
