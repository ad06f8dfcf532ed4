//! Enums whose variants hold data: a text `type`, which names the variant, and a column for the data of each variant.
//!
//! The data of a variant with one unnamed field is that field. The data of any other variant is a struct, which is made
//! here and derived as any other struct.

use crate::expand;
use crate::shape::{Field, Shape, Variant, VariantData};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{DeriveInput, Index, Member, Type};

/// A variant, as the generated code sees it.
struct Case<'a> {
    ident: &'a Ident,
    /// The type of its data, and the position of its column. `None` if it has no data.
    data: Option<(Type, Index)>,
    /// What follows the name of the variant, in a pattern and in an expression alike.
    fields: TokenStream,
    /// The data, made of the names that `fields` binds; as a pattern, it binds them again.
    packed: TokenStream,
}

impl Case<'_> {
    fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

/// Names for the fields of a variant, and the variant's fields with these names.
fn bound(fields: &[Field]) -> (Vec<Ident>, TokenStream) {
    let names: Vec<Ident> = (0..fields.len()).map(|at| format_ident!("__field_{at}")).collect();
    let members = fields.iter().map(|field| &field.member);
    let apart = quote!({ #(#members: #names),* });
    (names, apart)
}

/// The structs that hold the data of variants, with their derived code, and the cases.
fn cases<'a>(input: &DeriveInput, variants: &'a [Variant]) -> (TokenStream, Vec<Case<'a>>) {
    let (vis, mut structs, mut column) = (&input.vis, TokenStream::new(), 0_usize);
    let mut cases = Vec::new();
    for Variant { ident, data } in variants {
        let (ty, fields, packed) = match data {
            VariantData::None => {
                cases.push(Case { ident, data: None, fields: quote!(), packed: quote!() });
                continue;
            }
            VariantData::One(ty) => (Type::clone(ty), quote!((__data)), quote!(__data)),
            VariantData::Members(members) => {
                let name = format_ident!("__{}", ident.unraw());
                let (_, apart) = bound(members);
                let types = members.iter().map(|Field { ty, .. }| ty);
                let item: DeriveInput = match members.first() {
                    Some(Field { member: Member::Named(_), .. }) => {
                        let names = members.iter().map(|field| &field.member);
                        syn::parse_quote!(#vis struct #name { #(#names: #types),* })
                    }
                    _ => syn::parse_quote!(#vis struct #name(#(#types),*);),
                };
                let derived = expand::record(&item, &Shape::Struct(members.clone()));
                structs.extend(quote!(#[doc(hidden)] #item #derived));
                (syn::parse_quote!(#name), apart.clone(), quote!(#name #apart))
            }
        };
        column += 1;
        cases.push(Case { ident, data: Some((ty, Index::from(column))), fields, packed });
    }
    (structs, cases)
}

/// The implementation of `Record`.
pub fn record(input: &DeriveInput, variants: &[Variant]) -> TokenStream {
    let ident = &input.ident;
    let (structs, cases) = cases(input, variants);
    let (columns, builders) = (columns(input, &cases), builders(input, &cases));
    let type_name = ident.unraw().to_string();
    let names: Vec<String> = cases.iter().map(Case::name).collect();
    let listed = names.join(",");
    let (idents, at): (Vec<_>, Vec<_>) = cases.iter().enumerate().map(|(at, case)| (case.ident, at)).unzip();
    let (data_names, types, _) = with_data(&cases);
    let members = u32::try_from(types.len() + 1).unwrap_or(u32::MAX);
    let show = variants.iter().map(|Variant { ident: variant, data }| match data {
        VariantData::None => quote!(#ident::#variant => {}),
        VariantData::One(_) => quote!(#ident::#variant(__data) => __m::choice::show_data(__data, __out),),
        VariantData::Members(members) => {
            let (names, apart) = bound(members);
            let rest = names.iter().enumerate().map(|(at, name)| {
                let separator = (at > 0).then(|| quote!(__out.push(',');));
                quote!(#separator __m::Record::show(#name, __out);)
            });
            quote!(#ident::#variant #apart => { __out.push('('); #(#rest)* __out.push(')'); })
        }
    });
    quote! {
        #structs
        #columns
        #builders

        #[automatically_derived]
        impl __m::choice::Named for #ident {
            const TYPE: &'static str = #type_name;
            const NAMES: &'static [&'static str] = &[#(#names),*];
            fn position(&self) -> usize {
                match self {
                    #(Self::#idents { .. } => #at,)*
                }
            }
        }

        #[automatically_derived]
        impl __m::Record for #ident {
            type Column = __Columns;
            type Builder = __Builders;
            const FLAT: bool = true;
            fn describe(__name: &str, __fields: &mut ::std::vec::Vec<__m::Field>) {
                __fields.push(__m::choice::tagged_field(__name, #members, #listed));
                __fields.push(__m::Field::leaf("type", "text"));
                #(<::std::option::Option<#types> as __m::Record>::describe(#data_names, __fields);)*
            }
            fn show(&self, __out: &mut ::std::string::String) {
                __out.push_str(__m::choice::name_of(self));
                match self {
                    #(#show)*
                }
            }
        }
    }
}

/// Of the variants with data: their names, the types of the data, and the positions of the columns.
fn with_data<'a>(cases: &'a [Case<'_>]) -> (Vec<String>, Vec<&'a Type>, Vec<&'a Index>) {
    let mut parts = (Vec::new(), Vec::new(), Vec::new());
    for case in cases {
        if let Some((ty, column)) = &case.data {
            parts.0.push(case.name());
            parts.1.push(ty);
            parts.2.push(column);
        }
    }
    parts
}

/// The columns, from which values are read.
fn columns(input: &DeriveInput, cases: &[Case<'_>]) -> TokenStream {
    let (ident, vis) = (&input.ident, &input.vis);
    let (_, types, _) = with_data(cases);
    let get = cases.iter().enumerate().map(|(at, Case { ident: variant, data, fields, packed })| match data {
        None => quote!(#at => #ident::#variant),
        Some((_, column)) => quote! {
            #at => match __m::Column::get(&self.#column, __row) {
                ::std::option::Option::Some(#packed) => #ident::#variant #fields,
                ::std::option::Option::None => __m::choice::without_data::<#ident>(#at),
            }
        },
    });
    quote! {
        #[doc(hidden)]
        #vis struct __Columns(
            __m::choice::ChoiceColumn<#ident>,
            #(<::std::option::Option<#types> as __m::Record>::Column,)*
        );

        #[automatically_derived]
        impl __m::Column for __Columns {
            type Item = #ident;
            fn read(
                __source: &mut __m::ChunkReader,
                __rows: usize,
                __root: bool,
            ) -> ::std::result::Result<Self, __m::Malformed> {
                __m::read_group(__source, __root)?;
                ::std::result::Result::Ok(Self(
                    __m::choice::ChoiceColumn::read_names(__source, __rows)?,
                    #(<<::std::option::Option<#types> as __m::Record>::Column as __m::Column>::read(__source, __rows, false)?,)*
                ))
            }
            #[inline]
            fn get(&self, __row: usize) -> #ident {
                match self.0.position(__row) {
                    #(#get,)*
                    __position => __m::choice::without_data::<#ident>(__position),
                }
            }
        }
    }
}

/// The builders, into which values are written.
fn builders(input: &DeriveInput, cases: &[Case<'_>]) -> TokenStream {
    let (ident, vis) = (&input.ident, &input.vis);
    let (_, types, columns) = with_data(cases);
    let push = cases.iter().map(|Case { ident: variant, data, fields, packed }| {
        let own = data.as_ref().map(|(_, column)| column.index);
        let values = columns.iter().map(|column| {
            if own == Some(column.index) {
                quote!(__m::Builder::push(&mut self.#column, ::std::option::Option::Some(#packed));)
            } else {
                quote!(__m::Builder::push_absent(&mut self.#column);)
            }
        });
        quote!(#ident::#variant #fields => { #(#values)* })
    });
    quote! {
        #[doc(hidden)]
        #[derive(Default)]
        #vis struct __Builders(
            __m::choice::ChoiceBuilder<#ident>,
            #(<::std::option::Option<#types> as __m::Record>::Builder,)*
        );

        #[automatically_derived]
        impl __m::Builder for __Builders {
            type Item = #ident;
            #[inline]
            fn push(&mut self, __item: #ident) {
                self.0.push_name(&__item);
                match __item {
                    #(#push)*
                }
            }
            fn push_absent(&mut self) {
                self.0.push_no_name();
                #(__m::Builder::push_absent(&mut self.#columns);)*
            }
            #[inline]
            fn bytes(&self) -> usize {
                self.0.held() #(+ __m::Builder::bytes(&self.#columns))*
            }
            fn write(&mut self, __out: &mut __m::ChunkWriter, __root: bool) {
                __m::write_group(__out, __root);
                self.0.write_names(__out);
                #(__m::Builder::write(&mut self.#columns, __out, false);)*
            }
        }
    }
}

/// The bodies of `encode`, `decode` and `compare`. A key has the encoding of the struct that the enum travels as.
pub fn key(input: &DeriveInput, variants: &[Variant]) -> (TokenStream, TokenStream, TokenStream) {
    let ident = &input.ident;
    let with_data: Vec<&Variant> =
        variants.iter().filter(|variant| !matches!(variant.data, VariantData::None)).collect();
    let last_of = |at: usize| if at + 1 == with_data.len() { quote!(__last) } else { quote!(false) };
    let encode = variants.iter().map(|Variant { ident: variant, data }| {
        let fields = data.fields();
        let (names, apart) = bound(&fields);
        let columns = with_data.iter().enumerate().map(|(at, column)| {
            if column.ident != *variant {
                return quote!(__out.push(0););
            }
            let values = fields.iter().zip(&names).enumerate().map(|(member, (Field { ty, .. }, name))| {
                let last = if member + 1 == fields.len() { last_of(at) } else { quote!(false) };
                quote!(<#ty as __m::Key>::encode(#name, #last, __out);)
            });
            quote!(__out.push(1); #(#values)*)
        });
        quote!(#ident::#variant #apart => { #(#columns)* })
    });
    let decode = with_data.iter().enumerate().map(|(at, Variant { ident: variant, data })| {
        let fields = data.fields();
        let values = fields.iter().enumerate().map(|(member, Field { member: name, ty, .. })| {
            let last = if member + 1 == fields.len() { last_of(at) } else { quote!(false) };
            quote!(#name: <#ty as __m::Key>::decode(__bytes, #last))
        });
        quote! {
            if <bool as __m::Key>::decode(__bytes, false) {
                __found = ::std::option::Option::Some(#ident::#variant { #(#values),* });
            }
        }
    });
    let without = variants.iter().enumerate().filter(|(_, variant)| matches!(variant.data, VariantData::None));
    let without = without.map(|(at, Variant { ident: variant, .. })| quote!(#at => #ident::#variant,));
    let compare = with_data.iter().map(|Variant { ident: variant, data }| {
        let fields = data.fields();
        let (names, apart) = bound(&fields);
        let others: Vec<Ident> = (0..fields.len()).map(|at| format_ident!("__other_{at}")).collect();
        let members = fields.iter().map(|field| &field.member);
        let types = fields.iter().map(|field| &field.ty);
        quote! {
            (#ident::#variant #apart, #ident::#variant { #(#members: #others),* }) => {
                ::std::cmp::Ordering::Equal #(.then_with(|| <#types as __m::Key>::compare(#names, #others)))*
            }
        }
    });
    (
        quote! {
            __m::choice_key::encode(self, false, __out);
            match self {
                #(#encode)*
            }
        },
        quote! {
            let __position = __m::choice_key::decode_position::<#ident>(__bytes, false);
            let mut __found = ::std::option::Option::None;
            #(#decode)*
            match (__found, __position) {
                (::std::option::Option::Some(__found), _) => __found,
                (::std::option::Option::None, __position) => match __position {
                    #(#without)*
                    __position => __m::choice::without_data::<#ident>(__position),
                },
            }
        },
        quote! {
            match (self, __other) {
                #(#compare)*
                _ => __m::choice_key::compare(self, __other),
            }
        },
    )
}
