//! The kinds of nodes that the SDK makes are exactly the kinds that the host knows.

use std::collections::BTreeSet;

use host::graph::KINDS;
use millstream_tests::repository;
use syn::visit::{self, Visit};

/// Collects the names in `Kind::name` of the SDK.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_lit_str(&mut self, name: &'ast syn::LitStr) {
        self.0.insert(name.value());
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

/// The compiler ensures that every kind of the SDK is in this file, and that the SDK makes every kind in the file.
fn kinds_of_the_sdk() -> BTreeSet<String> {
    let file = repository::file("plugins/millstream/src/kind.rs").expect("the SDK has a file of its kinds");
    let mut names = Names::default();
    visit::visit_file(&mut names, &syn::parse_file(&file.text).expect("the file can be parsed"));
    names.0
}

#[test]
fn the_sdk_makes_the_kinds_that_the_host_knows_and_no_others() {
    let of_the_host: BTreeSet<String> = KINDS.iter().map(|kind| kind.name.to_owned()).collect();
    assert_eq!(kinds_of_the_sdk(), of_the_host);
}
