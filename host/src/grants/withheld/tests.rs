//! The rule, on paths of a few short names, so that paths often overlap.

use super::*;
use proptest::prelude::*;

fn path(names: &[String]) -> PathBuf {
    Path::new("/").join(names.join("/"))
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", ".a", "job.toml"]).prop_map(str::to_owned)
}

fn names(least: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), least..5)
}

proptest! {
    /// A written path is not hidden. It is not a withheld path, is not below one, and is not above one.
    #[test]
    fn what_is_reached_is_neither_hidden_nor_withheld(
        root in names(0), below in names(1), theirs in prop::collection::vec(names(1), 0..3), read in any::<bool>(),
    ) {
        let access = if read { Access::Read } else { Access::Write };
        let target = path(&[root.clone(), below.clone()].concat());
        let withheld: Vec<Withheld> =
            theirs.iter().map(|names| Withheld { what: "x".to_owned(), path: path(names), from: Access::Read }).collect();
        let target = Target { root: &path(&root), path: &target, access, goes_on: false };
        let is_hidden = below.iter().any(|name| name.starts_with('.'));
        let is_withheld = withheld.iter().any(|of| {
            target.path.starts_with(&of.path) || access == Access::Write && of.path.starts_with(target.path)
        });
        prop_assert_eq!(refusal(&target, &withheld).is_some(), is_hidden || is_withheld);
        // Fewer paths may be written than read.
        let only_writing: Vec<Withheld> =
            withheld.iter().map(|of| Withheld { from: Access::Write, ..of.clone() }).collect();
        prop_assert_eq!(refusal(&target, &only_writing).is_some(), is_hidden || is_withheld && !read);
    }

    /// An output adds the time of a batch to its path. The longer path does not reach a withheld path either.
    #[test]
    fn what_an_output_adds_reaches_nothing_more(below in names(1), theirs in names(1), added in "[a-z.0-9-]{0,4}") {
        let withheld = [Withheld { what: "x".to_owned(), path: path(&theirs), from: Access::Read }];
        let (prefix, written) = (path(&below), PathBuf::from(format!("{}{added}", path(&below).display())));
        let root = Path::new("/");
        let target = |path, goes_on| Target { root, path, access: Access::Write, goes_on };
        if refusal(&target(&prefix, true), &withheld).is_none() {
            prop_assert_eq!(refusal(&target(&written, false), &withheld), None);
        }
    }

    /// A name that a pattern can match is not reached.
    #[test]
    fn what_a_pattern_matches_is_not_reached(
        below in names(1), pattern in prop::collection::vec("[ab*?.]{1,3}|\\[ab\\]|\\*\\*", 1..4), goes_on in any::<bool>(),
    ) {
        let withheld = [Withheld { what: "x".to_owned(), path: path(&pattern), from: Access::Write }];
        let target = path(&below);
        let target = Target { root: Path::new("/"), path: &target, access: Access::Write, goes_on };
        let matches = |pattern: &String, name: &String| glob::Pattern::new(pattern).is_ok_and(|it| it.matches(name));
        let depth = pattern.iter().position(|name| name == "**").unwrap_or(pattern.len());
        let is_matched = pattern[..depth].iter().zip(&below).all(|(pattern, name)| matches(pattern, name));
        if is_matched {
            prop_assert!(refusal(&target, &withheld).is_some());
        }
    }
}

#[test]
fn a_hidden_directory_is_granted_where_the_job_file_itself_is_or_where_it_is_spelt_out() {
    let hidden =
        |job: &str, root: &str, written: &str| hidden_in_root(Path::new(job), Path::new(root), Path::new(written));
    let refused = |name: &str| Some(name.to_owned());
    assert_eq!(hidden("/home/.x/job", "/home/.x/job/out", "out"), None);
    assert_eq!(hidden("/home/.x/job", "/home/.x", ".."), None);
    assert_eq!(hidden("/job", "/srv/.data/out", "/srv/.data/out"), None);
    assert_eq!(hidden("/job", "/srv/.data/out", "/srv/link/out"), refused(".data"));
    assert_eq!(hidden("/job", "/srv/.data", "/srv/.data"), refused(".data"));
    assert_eq!(hidden("/job", "/job/.git/out", "/job/.git/out"), refused(".git"));
    assert_eq!(hidden("/a/job", "/a/.git/hooks", "../.git/hooks"), refused(".git"));
    assert_eq!(hidden("/job", "/", "/"), None);
}
