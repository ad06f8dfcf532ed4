//! The code that the macros generate.
//!
//! All generated code stands in a block of its own, and paths of the standard library begin at its root. So names in
//! the program do not matter.

use crate::shape::{Field, Shape};
use crate::tagged;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{DeriveInput, Index};

/// The implementation of `Record`.
pub fn record(input: &DeriveInput, shape: &Shape) -> TokenStream {
    let implementation = match shape {
        Shape::Struct(fields) => struct_record(input, fields),
        Shape::Choice(variants) => choice_record(input, variants),
        Shape::Tagged(variants) => tagged::record(input, variants),
        Shape::Serde { version, structure } => serde_record(input, *version, structure),
    };
    quote! {
        const _: () = {
            use ::millstream::__private as __m;
            #implementation
        };
    }
}

/// The implementation of `Key`.
pub fn key(input: &DeriveInput, shape: &Shape) -> TokenStream {
    let ident = &input.ident;
    let mut checks = Requirement::default();
    let (encode, decode, compare) = match shape {
        Shape::Struct(fields) => {
            checks = Requirement::of(fields, "is_key", &quote!(__m::Key));
            let (mut encode, mut decode) = (TokenStream::new(), TokenStream::new());
            let mut compare = quote!(::std::cmp::Ordering::Equal);
            for (at, Field { member, ty, .. }) in fields.iter().enumerate() {
                // A member is last in the key if it is the last member of a struct that is last in the key.
                let last = if at + 1 == fields.len() { quote!(__last) } else { quote!(false) };
                encode.extend(quote!(<#ty as __m::Key>::encode(&self.#member, #last, __out);));
                decode.extend(quote!(#member: <#ty as __m::Key>::decode(__bytes, #last),));
                compare.extend(quote!(.then_with(|| <#ty as __m::Key>::compare(&self.#member, &__other.#member))));
            }
            (encode, quote!(Self { #decode }), compare)
        }
        Shape::Tagged(variants) => tagged::key(input, variants),
        Shape::Choice(_) => (
            quote!(__m::choice_key::encode(self, __last, __out);),
            quote!(__m::choice_key::decode(__bytes, __last)),
            quote!(__m::choice_key::compare(self, __other)),
        ),
        Shape::Serde { .. } => (
            quote!(__m::serde_key::encode(self, __last, __out);),
            quote!(__m::serde_key::decode(__bytes, __last)),
            quote!(__m::serde_key::compare(self, __other)),
        ),
    };
    let Requirement { checks, bounds } = checks;
    quote! {
        const _: () = {
            use ::millstream::__private as __m;
            #checks
            #[automatically_derived]
            impl __m::Key for #ident #bounds {
                fn encode(&self, __last: bool, __out: &mut ::std::vec::Vec<u8>) {
                    #encode
                }
                fn compare(&self, __other: &Self) -> ::std::cmp::Ordering {
                    #compare
                }
                fn decode(__bytes: &mut &[u8], __last: bool) -> Self {
                    #decode
                }
            }
        };
    }
}

/// The requirement that the types of fields must meet.
#[derive(Default)]
struct Requirement {
    /// The one place at which the compiler reports a field whose type does not meet the requirement.
    checks: TokenStream,
    /// Keeps the compiler from reporting the field again at each other use. The lifetime is not used: with a lifetime,
    /// the compiler accepts a bound that does not hold.
    bounds: TokenStream,
}

impl Requirement {
    fn of(fields: &[Field], check: &str, bound: &TokenStream) -> Self {
        let types = fields.iter().map(|field| &field.ty);
        let checks = fields.iter().map(|Field { ty, .. }| {
            let check = Ident::new(check, Span::call_site());
            quote_spanned!(ty.span()=> const _: fn() = __m::#check::<#ty>;)
        });
        Self { checks: quote!(#(#checks)*), bounds: quote!(where #(for<'__a> #types: #bound,)*) }
    }
}

fn struct_record(input: &DeriveInput, fields: &[Field]) -> TokenStream {
    let (ident, vis) = (&input.ident, &input.vis);
    let names: Vec<_> = fields.iter().map(|field| &field.name).collect();
    let members: Vec<_> = fields.iter().map(|field| &field.member).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let Requirement { checks, bounds } = Requirement::of(fields, "is_record", &quote!(__m::Record));
    let at: Vec<_> = (0..fields.len()).map(Index::from).collect();
    let count = u32::try_from(fields.len()).unwrap_or(u32::MAX);
    let separators = (0..fields.len()).map(|at| (at > 0).then(|| quote!(__out.push(',');)));
    quote! {
        #checks

        #[doc(hidden)]
        #vis struct __Columns(#(<#types as __m::Record>::Column,)*) #bounds;

        #[doc(hidden)]
        #vis struct __Builders(#(<#types as __m::Record>::Builder,)*) #bounds;

        #[automatically_derived]
        impl ::std::default::Default for __Builders #bounds {
            fn default() -> Self {
                Self(#(<<#types as __m::Record>::Builder as ::std::default::Default>::default(),)*)
            }
        }

        #[automatically_derived]
        impl __m::Record for #ident #bounds {
            type Column = __Columns;
            type Builder = __Builders;
            const FLAT: bool = true;
            fn describe(__name: &str, __fields: &mut ::std::vec::Vec<__m::Field>) {
                __fields.push(__m::Field::group(__name, #count));
                #(<#types as __m::Record>::describe(#names, __fields);)*
            }
            fn show(&self, __out: &mut ::std::string::String) {
                __out.push('(');
                #(
                    #separators
                    <#types as __m::Record>::show(&self.#members, __out);
                )*
                __out.push(')');
            }
        }

        #[automatically_derived]
        impl __m::Column for __Columns #bounds {
            type Item = #ident;
            fn read(
                __source: &mut __m::ChunkReader,
                __rows: usize,
                __root: bool,
            ) -> ::std::result::Result<Self, __m::Malformed> {
                __m::read_group(__source, __root)?;
                ::std::result::Result::Ok(Self(
                    #(<<#types as __m::Record>::Column as __m::Column>::read(__source, __rows, false)?,)*
                ))
            }
            #[inline]
            fn get(&self, __row: usize) -> #ident {
                #ident { #(#members: __m::Column::get(&self.#at, __row),)* }
            }
        }

        #[automatically_derived]
        impl __m::Builder for __Builders #bounds {
            type Item = #ident;
            #[inline]
            fn push(&mut self, __item: #ident) {
                #(__m::Builder::push(&mut self.#at, __item.#members);)*
            }
            fn push_absent(&mut self) {
                #(__m::Builder::push_absent(&mut self.#at);)*
            }
            #[inline]
            fn bytes(&self) -> usize {
                0 #(+ __m::Builder::bytes(&self.#at))*
            }
            fn write(&mut self, __out: &mut __m::ChunkWriter, __root: bool) {
                __m::write_group(__out, __root);
                #(__m::Builder::write(&mut self.#at, __out, false);)*
            }
        }
    }
}

fn choice_record(input: &DeriveInput, variants: &[Ident]) -> TokenStream {
    use syn::ext::IdentExt as _;
    let ident = &input.ident;
    let type_name = ident.unraw().to_string();
    let names = variants.iter().map(|variant| variant.unraw().to_string());
    let at = 0..variants.len();
    let positions = at.clone();
    quote! {
        #[automatically_derived]
        impl __m::choice::Named for #ident {
            const TYPE: &'static str = #type_name;
            const NAMES: &'static [&'static str] = &[#(#names),*];
            fn position(&self) -> usize {
                match self {
                    #(Self::#variants => #at,)*
                }
            }
        }

        #[automatically_derived]
        impl __m::choice::Choice for #ident {
            fn at(__position: usize) -> ::std::option::Option<Self> {
                match __position {
                    #(#positions => ::std::option::Option::Some(Self::#variants),)*
                    _ => ::std::option::Option::None,
                }
            }
        }

        #[automatically_derived]
        impl __m::Record for #ident {
            type Column = __m::choice::ChoiceColumn<#ident>;
            type Builder = __m::choice::ChoiceBuilder<#ident>;
            fn describe(__name: &str, __fields: &mut ::std::vec::Vec<__m::Field>) {
                __fields.push(__m::Field::leaf(__name, "text"));
            }
            fn show(&self, __out: &mut ::std::string::String) {
                __out.push_str(__m::choice::name_of(self));
            }
        }
    }
}

fn serde_record(input: &DeriveInput, version: u32, structure: &str) -> TokenStream {
    use syn::ext::IdentExt as _;
    let ident = &input.ident;
    let type_name = ident.unraw().to_string();
    quote! {
        #[automatically_derived]
        impl __m::serde::SerdeRecord for #ident {
            const TYPE: &'static str = #type_name;
            const VERSION: u32 = #version;
            const STRUCTURE: &'static str = #structure;
        }

        #[automatically_derived]
        impl __m::Record for #ident {
            type Column = __m::serde::SerdeColumn<#ident>;
            type Builder = __m::serde::SerdeBuilder<#ident>;
            fn describe(__name: &str, __fields: &mut ::std::vec::Vec<__m::Field>) {
                __fields.push(__m::serde::field::<#ident>(__name));
            }
            fn show(&self, __out: &mut ::std::string::String) {
                __m::serde::show(self, __out);
            }
        }
    }
}
