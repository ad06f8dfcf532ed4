//! Rule `size`: a file has at most 500 lines besides its tests, a function at most 100.
//!
//! Test modules do not count as lines of the file, whether they are inline, files `tests.rs` or files below `tests/`.
//! The functions in test modules are checked as well.

use millstream_tests::repository::SourceFile;
use syn::visit::{self, Visit};

use super::source::{Violation, check_all, is_test_module, require_none, rust_files, syntax, test_lines};

const RULE: &str = "size";
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 100;

fn too_long(file: &SourceFile) -> Vec<Violation> {
    let syntax = syntax(file);
    let mut long = LongFunctions { file, violations: Vec::new() };
    long.visit_file(&syntax);
    let mut violations = long.violations;
    let in_tests: usize = test_lines(&syntax).into_iter().map(Iterator::count).sum();
    let lines = file.text.lines().count() - in_tests;
    if lines > FILE_LINES_MAX && !is_test_module(&file.path) {
        let message = format!("{lines} lines besides tests, at most {FILE_LINES_MAX}: split it by what it does");
        violations.push(Violation::new(RULE, file, FILE_LINES_MAX + 1, message));
    }
    violations
}

struct LongFunctions<'a> {
    file: &'a SourceFile,
    violations: Vec<Violation>,
}

impl LongFunctions<'_> {
    fn check(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.fn_token.span.start().line;
        let lines = block.brace_token.span.close().end().line + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let message = format!("`{}` has {lines} lines, at most {FUNCTION_LINES_MAX}", signature.ident);
            self.violations.push(Violation::new(RULE, self.file, first, message));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.check(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn files_and_functions_are_short() {
    require_none(&check_all(&rust_files(), too_long));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        too_long(&SourceFile::new("host/src/block.rs", text)).into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let items = "const A: u8 = 1;\n".repeat(500);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{items}}}\n");
        assert_eq!(messages(&format!("{items}{tests}")), Vec::<String>::new());
        assert!(messages(&format!("{items}{tests}const B: u8 = 1;\n"))[0].starts_with("501 lines"));
        assert!(is_test_module("host/src/block/tests.rs") && is_test_module("host/src/block/tests/disk.rs"));
        assert!(!is_test_module("tests/suite/golden.rs"));
    }

    #[test]
    fn a_long_function_is_found_wherever_it_is() {
        let body = "{\n".to_owned() + &"f();\n".repeat(98) + "}";
        assert_eq!(messages(&format!("fn f() {body}")), Vec::<String>::new());
        let body = body.replacen('\n', "\n\n", 1);
        assert_eq!(messages(&format!("fn f() {body}")), ["`f` has 101 lines, at most 100"]);
        assert_eq!(messages(&format!("impl A {{ fn g() {body} }} trait B {{ fn h() {body} }}")).len(), 2);
        assert_eq!(messages(&format!("mod inner {{ fn f() {{ fn nested() {body} }} }}")).len(), 2);
    }
}
