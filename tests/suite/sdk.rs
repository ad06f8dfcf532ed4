//! What the documentation of the SDK says of its operators: every method can be found by its name in Spark, and the README
//! lists every operator.

use millstream_tests::repository;
use std::collections::{BTreeMap, BTreeSet};
use syn::{Attribute, Expr, ImplItem, Item, Lit, Meta, Type, Visibility};

/// The types whose methods are operators, or begin streams and data sets.
const OPERATORS_OF: [&str; 6] = ["DStream", "Flow", "Rdd", "StreamingContext", "DriverContext", "MapWithStateDStream"];

/// A public name of the SDK.
#[derive(Debug)]
struct Named {
    name: String,
    /// The type to which the method belongs; empty for types and functions.
    of: String,
    doc: String,
    aliases: BTreeSet<String>,
}

impl Named {
    fn new(name: &syn::Ident, of: &str, attributes: &[Attribute]) -> Self {
        let mut named =
            Self { name: name.to_string(), of: of.to_owned(), doc: String::new(), aliases: BTreeSet::new() };
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
            match &attribute.meta {
                Meta::NameValue(value) => {
                    if let Expr::Lit(syn::ExprLit { lit: Lit::Str(line), .. }) = &value.value {
                        named.doc.push_str(line.value().trim());
                        named.doc.push(' ');
                    }
                }
                Meta::List(list) => {
                    let text = list.tokens.to_string();
                    let alias = text.strip_prefix("alias").and_then(|rest| rest.split('"').nth(1));
                    named.aliases.extend(alias.map(str::to_owned));
                }
                Meta::Path(_) => {}
            }
        }
        named
    }

    fn is_called(&self, spark: &str) -> bool {
        self.name == spark || self.aliases.contains(spark)
    }
}

/// The public types, functions and methods of the SDK.
fn named() -> Vec<Named> {
    let files = repository::files(&["plugins/millstream/src"], "rs").expect("the SDK can be read");
    let mut all = Vec::new();
    for file in files {
        for item in syn::parse_file(&file.text).expect("the SDK can be parsed").items {
            match item {
                Item::Fn(item) if is_public(&item.vis) => all.push(Named::new(&item.sig.ident, "", &item.attrs)),
                Item::Struct(item) if is_public(&item.vis) => all.push(Named::new(&item.ident, "", &item.attrs)),
                Item::Enum(item) if is_public(&item.vis) => all.push(Named::new(&item.ident, "", &item.attrs)),
                Item::Type(item) if is_public(&item.vis) => all.push(Named::new(&item.ident, "", &item.attrs)),
                Item::Impl(item) if item.trait_.is_none() => {
                    let Type::Path(of) = &*item.self_ty else { continue };
                    let of = of.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
                    for method in item.items {
                        if let ImplItem::Fn(method) = method
                            && is_public(&method.vis)
                        {
                            all.push(Named::new(&method.sig.ident, &of, &method.attrs));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    all
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The names in Spark that a documentation gives, as in "Spark: `socketTextStream`, `textFileStream`.".
fn spark_names(doc: &str) -> Vec<String> {
    let mut names = Vec::new();
    for mut rest in doc.split("Spark: ").skip(1) {
        while let Some((name, after)) = rest.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
            names.extend(short_name(name));
            let Some(more) = after.strip_prefix(", ") else { break };
            rest = more;
        }
    }
    names
}

/// The last part of a name, without arguments: `option` of `write.option("compression", ..)`.
fn short_name(name: &str) -> Option<String> {
    let name = name.split('(').next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(char::is_alphanumeric);
    is_name.then(|| name.to_owned())
}

/// The rows of the README's tables of operators: the methods of each row, and their names in Spark.
fn rows() -> Vec<(BTreeSet<String>, Vec<String>)> {
    let readme = repository::file("plugins/millstream/README.md").expect("the SDK has a README").text;
    let tables = readme.split("## Streams").nth(1).and_then(|rest| rest.split("\n## ").next());
    let lines = tables.expect("the README has a section `Streams`").lines();
    let lines =
        lines.filter(|line| line.starts_with('|') && !line.starts_with("|---") && !line.starts_with("| Method |"));
    let row = |line: &str| {
        let line = line.replace("\\|", "/");
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let methods = methods(cells.get(1).copied().unwrap_or_default());
        let spark = cells.get(3).copied().unwrap_or_default().split('`').skip(1).step_by(2).filter_map(short_name);
        (methods, spark.collect())
    };
    lines.map(row).collect()
}

/// The names before an opening parenthesis.
fn methods(cell: &str) -> BTreeSet<String> {
    let cell = cell.replace("::<T>", "");
    let pieces: Vec<&str> = cell.split('(').collect();
    let called = pieces.split_last().map_or(&[][..], |(_, called)| called);
    let name = |piece: &&str| {
        let begin = piece.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        piece[begin..].to_owned()
    };
    called.iter().map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_method_has_its_name_in_spark_as_an_alias() {
    let all = named();
    let mut lacking = Vec::new();
    let mut found = 0;
    for named in &all {
        for spark in spark_names(&named.doc) {
            found += 1;
            if !named.is_called(&spark) {
                lacking.push(format!("{}::{} lacks #[doc(alias = \"{spark}\")]", named.of, named.name));
            }
        }
    }
    assert_eq!(lacking, Vec::<String>::new());
    assert!(found > 100, "only {found} names were found");
}

#[test]
fn the_readme_lists_every_operator() {
    let listed: BTreeSet<String> = rows().into_iter().flat_map(|(methods, _)| methods).collect();
    let all = named();
    let operators = all.iter().filter(|named| OPERATORS_OF.contains(&named.of.as_str()));
    let missing: BTreeSet<&str> =
        operators.map(|named| named.name.as_str()).filter(|name| !listed.contains(*name)).collect();
    assert_eq!(missing, BTreeSet::new(), "these operators are in no table of plugins/millstream/README.md");
    let known: BTreeSet<&str> = all.iter().map(|named| named.name.as_str()).collect();
    let unknown: BTreeSet<&String> = listed.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert_eq!(unknown, BTreeSet::new(), "plugins/millstream/README.md lists methods that do not exist");
}

#[test]
fn a_name_of_spark_in_the_readme_is_a_name_of_its_methods() {
    let mut by_name: BTreeMap<String, Vec<Named>> = BTreeMap::new();
    for named in named() {
        by_name.entry(named.name.clone()).or_default().push(named);
    }
    let mut lacking = Vec::new();
    for (methods, spark) in rows() {
        let all: Vec<&Named> = methods.iter().filter_map(|name| by_name.get(name)).flatten().collect();
        let has = |spark: &String| all.iter().any(|named| named.is_called(spark));
        lacking.extend(spark.into_iter().filter(|spark| !has(spark)).map(|spark| format!("{methods:?}: {spark}")));
    }
    assert_eq!(lacking, Vec::<String>::new());
}

#[test]
fn names_are_found_in_documentation_and_tables() {
    assert_eq!(spark_names("Merges. Spark: `a`, `b.c(x, ..)`, which `d`. Spark: `e`."), ["a", "c", "e"]);
    let found = methods("`map_with_state(StateSpec::function(f))`, `ctx.stream::<T>(\"name\")`; `x`");
    assert_eq!(found, ["function", "map_with_state", "stream"].map(String::from).into());
}
