//! Rule `circles`: no modules of a room import each other in a circle, neither directly nor through others.
//!
//! The table of `layers.rs` keeps the top-level modules of the host apart. This rule covers the modules inside each of
//! them, and the modules of the SDK. A module with all modules below it is compared with the modules beside it. A
//! module may share what it owns with the modules below it. A re-export is not an import: a file that imports a
//! re-exported name imports the module that owns the name. Code that is compiled for tests only does not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use millstream_tests::repository::{self, SourceFile};

use super::paths::{NamedPath, Paths};
use super::source::{Violation, is_test_module, require_none, syntax, test_only_lines, tokens};

const RULE: &str = "circles";

/// The source directories of the crates that the rule covers.
const CRATES: &[&str] = &["host/src", "plugins/millstream/src"];

/// The path of a module below the root of its crate.
type ModulePath = Vec<String>;

/// One file of a crate.
struct Module {
    file: SourceFile,
    syntax: syn::File,
    /// The re-exports of the file: the name, and the path from the root that the name stands for.
    exports: BTreeMap<String, ModulePath>,
}

/// The files of one crate, by their modules.
struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

impl Crate {
    fn of(source: &str, files: Vec<SourceFile>) -> Self {
        let mut modules = BTreeMap::new();
        for file in files.into_iter().filter(|file| !is_test_module(&file.path)) {
            let Some(module) = module_path(source, &file.path) else { continue };
            let syntax = syntax(&file);
            modules.insert(module, Module { file, syntax, exports: BTreeMap::new() });
        }
        let mut files = Self { modules };
        let exports: Vec<_> = files.modules.iter().map(|(path, module)| files.exports(path, &module.syntax)).collect();
        for (module, exports) in files.modules.values_mut().zip(exports) {
            module.exports = exports;
        }
        files
    }

    fn exports(&self, module: &ModulePath, syntax: &syn::File) -> BTreeMap<String, ModulePath> {
        let mut exports = BTreeMap::new();
        for item in &syntax.items {
            let syn::Item::Use(item) = item else { continue };
            if matches!(item.vis, syn::Visibility::Inherited) {
                continue;
            }
            let mut names = Vec::new();
            use_names(&item.tree, &mut Vec::new(), &mut names);
            for (name, parts) in names {
                if let Some(path) = self.seen_from_root(module, 0, &parts) {
                    exports.insert(name, path);
                }
            }
        }
        exports
    }

    /// The path from the root of the crate. `None` if the path leads out of the crate, or names something in the file
    /// itself.
    fn seen_from_root(&self, module: &ModulePath, depth: usize, parts: &[String]) -> Option<ModulePath> {
        let first = parts.first()?;
        let climbed = parts.iter().skip_while(|part| *part == "self").take_while(|part| *part == "super").count();
        let selfs = parts.iter().take_while(|part| *part == "self").count();
        let (base, rest) = match first.as_str() {
            "crate" => (&module[..0], &parts[1..]),
            "self" | "super" if climbed >= depth => {
                let kept = module.len().checked_sub(climbed - depth)?;
                (&module[..kept], &parts[selfs + climbed..])
            }
            "self" | "super" => return None,
            child if depth == 0 && self.has_child(module, child) => (module.as_slice(), parts),
            _ => return None,
        };
        Some(base.iter().chain(rest).cloned().collect())
    }

    fn has_child(&self, module: &ModulePath, name: &str) -> bool {
        let mut child = module.clone();
        child.push(name.to_owned());
        self.modules.contains_key(&child)
    }

    /// The module that owns the item at a path from the root.
    fn owner(&self, path: &[String], hops: usize) -> Option<ModulePath> {
        let length = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let module = path[..length].to_vec();
        let target = path.get(length).and_then(|name| self.modules[&module].exports.get(name));
        match target {
            Some(target) if hops > 0 => {
                let target: Vec<String> = target.iter().chain(&path[length + 1..]).cloned().collect();
                self.owner(&target, hops - 1)
            }
            _ => Some(module),
        }
    }

    /// The modules that a module imports, each with the line of one import.
    fn imports(&self, module: &ModulePath) -> BTreeMap<ModulePath, usize> {
        let Module { file, syntax, .. } = &self.modules[module];
        let skipped: Vec<_> = test_only_lines(syntax).into_iter().chain(export_lines(syntax)).collect();
        let paths = Paths::of(tokens(file));
        let mut imports = BTreeMap::new();
        for path in paths.written.iter().filter(|path| !skipped.iter().any(|lines| lines.contains(&path.line))) {
            let Some(owner) = self.imported(module, path, &paths) else { continue };
            if owner != *module {
                imports.entry(owner).or_insert(path.line);
            }
        }
        imports
    }

    fn imported(&self, module: &ModulePath, path: &NamedPath, paths: &Paths) -> Option<ModulePath> {
        const HOPS_MAX: usize = 8;
        let direct = self.seen_from_root(module, path.depth, &path.parts);
        let direct = direct.or_else(|| self.seen_from_root(module, 0, &paths.resolved(path)?))?;
        // A visibility such as `pub(super)` names a module around the file. It imports nothing from that module.
        (!module.starts_with(&direct)).then(|| self.owner(&direct, HOPS_MAX))?
    }

    /// One violation for each set of modules that stand beside each other and import each other.
    fn circles(&self) -> Vec<Violation> {
        let imports: BTreeMap<_, _> = self.modules.keys().map(|module| (module, self.imports(module))).collect();
        let mut violations = Vec::new();
        for parent in self.modules.keys() {
            let mut graph: Siblings<'_> = BTreeMap::new();
            for (module, imports) in imports.iter().filter(|(module, _)| module.starts_with(parent)) {
                let Some(name) = module.get(parent.len()) else { continue };
                let siblings = graph.entry(name.as_str()).or_default();
                for (import, line) in imports.iter().filter(|(import, _)| import.starts_with(parent)) {
                    if let Some(sibling) = import.get(parent.len()).filter(|sibling| *sibling != name) {
                        siblings.entry(sibling.as_str()).or_insert((module, *line));
                    }
                }
            }
            violations.extend(self.circles_of(&graph));
        }
        violations
    }

    fn circles_of(&self, graph: &Siblings<'_>) -> Vec<Violation> {
        let mut told = BTreeSet::new();
        let mut violations = Vec::new();
        for start in graph.keys() {
            let Some(circle) = shortest_circle(graph, start).filter(|_| !told.contains(start)) else { continue };
            told.extend(circle.iter().copied());
            let steps = circle.windows(2).filter_map(|pair| graph[pair[0]].get(pair[1]).map(|import| (pair, import)));
            let steps = steps.map(|(pair, (module, line))| {
                format!("{} imports {} ({}:{line})", pair[0], pair[1], self.modules[*module].file.path)
            });
            let message = format!("a circle: {}. Move what both need below both", steps.collect::<Vec<_>>().join(", "));
            let (module, line) = graph[start][circle[1]];
            violations.push(Violation::new(RULE, &self.modules[module].file, line, message));
        }
        violations
    }
}

/// Modules that stand beside each other, by name. For each: the modules that it imports, with the importing module and
/// the line of one import.
type Siblings<'a> = BTreeMap<&'a str, BTreeMap<&'a str, (&'a ModulePath, usize)>>;

/// The shortest way from a module through its imports back to itself, with the module at both ends. `None` if there is
/// no such way.
fn shortest_circle<'a>(graph: &Siblings<'a>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let imports = way.last().and_then(|last| graph.get(last)).into_iter().flat_map(BTreeMap::keys);
        for import in imports {
            let longer = || way.iter().copied().chain([*import]).collect();
            if *import == start {
                return Some(longer());
            }
            if seen.insert(*import) {
                ways.push_back(longer());
            }
        }
    }
    None
}

/// The names that a `use` declares, and the paths that they stand for.
fn use_names(tree: &syn::UseTree, prefix: &mut Vec<String>, names: &mut Vec<(String, Vec<String>)>) {
    let full = |last: &syn::Ident, prefix: &[String]| {
        let last = last.to_string();
        let last = (last != "self").then_some(last);
        prefix.iter().cloned().chain(last).collect::<Vec<_>>()
    };
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            use_names(&path.tree, prefix, names);
            prefix.pop();
        }
        syn::UseTree::Name(name) => {
            let path = full(&name.ident, prefix);
            names.extend(path.last().cloned().map(|name| (name, path)));
        }
        syn::UseTree::Rename(rename) => names.push((rename.rename.to_string(), full(&rename.ident, prefix))),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| use_names(tree, prefix, names)),
        syn::UseTree::Glob(_) => {}
    }
}

/// The lines of a file's re-exports.
fn export_lines(syntax: &syn::File) -> Vec<std::ops::RangeInclusive<usize>> {
    let lines = |item: &syn::Item| match item {
        syn::Item::Use(item) if !matches!(item.vis, syn::Visibility::Inherited) => {
            Some(item.use_token.span.start().line..=item.semi_token.span.end().line)
        }
        _ => None,
    };
    syntax.items.iter().filter_map(lines).collect()
}

/// The module of a file of a crate; `None` for programs, which are crates of their own.
fn module_path(source: &str, path: &str) -> Option<ModulePath> {
    let below = path.strip_prefix(source)?.strip_prefix('/')?.strip_suffix(".rs")?;
    let mut module: ModulePath = below.split('/').map(str::to_owned).collect();
    if below == "main" || module.first().is_some_and(|first| first == "bin") {
        return None;
    }
    if below == "lib" || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    Some(module)
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = |source: &&str| {
        let files = repository::files(&[source], "rs").expect("the crate can be read");
        Crate::of(source, files).circles()
    };
    require_none(&CRATES.iter().flat_map(circles).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| SourceFile::new(format!("host/src/{path}"), *text)).collect();
        Crate::of("host/src", files).circles().into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn a_circle_is_found_through_re_exports_macros_and_modules_below() {
        let room = ("block/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;");
        let b = ("block/b/inner.rs", "fn f() { log!(crate::block::A) }");
        let found = circles(&[room, ("block/a.rs", "use super::B;"), ("block/b.rs", "mod inner;"), b]);
        let message = "a circle: a imports b (host/src/block/a.rs:1), b imports a (host/src/block/b/inner.rs:1). \
                       Move what both need below both";
        assert_eq!(found, [message]);
        let root = ("lib.rs", "mod a; mod b; mod c;");
        let files = [root, ("a.rs", "use crate::b;"), ("b.rs", "use crate::c::C;"), ("c.rs", "use crate::a::A;")];
        assert_eq!(circles(&files).len(), 1);
    }

    #[test]
    fn a_re_export_a_test_and_a_module_around_make_none() {
        let room = ("block/mod.rs", "mod a;\nmod b;\npub use a::A;\npub trait Block {}\nfn f() { a::g() }");
        let tests = "use super::Block;\n#[cfg(test)]\nmod tests { use super::super::b::B; }";
        assert_eq!(circles(&[room, ("block/a.rs", tests), ("block/b.rs", "use super::A;")]), Vec::<String>::new());
    }
}
