//! The paths that a plugin may name, and the targets of links on a real disk.

use super::*;
use crate::env::{Env, RealExecutors, real};
use proptest::prelude::*;
use std::os::unix::fs::symlink;

fn directory(path: &str, access: Access) -> GrantedDirectory {
    GrantedDirectory { path: PathBuf::from(path), access }
}

fn grants() -> Grants {
    let named = [
        ("out", directory("/var/out", Access::Write)),
        ("near", directory("shared", Access::Write)),
        ("lists", directory("/srv/lists", Access::Read)),
    ];
    Grants::new(PathBuf::from("/jobs"), named.map(|(name, granted)| (name.to_owned(), granted)).into())
}

fn refusal(text: &str) -> String {
    grants().resolve(text, Access::Write).unwrap_err().to_string()
}

#[test]
fn a_path_is_below_what_it_names_or_below_out() {
    let path = |text| grants().resolve(text, Access::Write).unwrap().path();
    assert_eq!(path("counts"), Path::new("/var/out/counts"));
    assert_eq!(path("a/b.c/counts d"), Path::new("/var/out/a/b.c/counts d"));
    assert_eq!(path("out:a/ä"), Path::new("/var/out/a/ä"));
    assert_eq!(path("near:x"), Path::new("shared/x"));
    assert_eq!(grants().resolve("lists:x", Access::Read).unwrap().path(), Path::new("/srv/lists/x"));
    assert_eq!(Grants::writing("").resolve("a/b", Access::Write).unwrap().path(), Path::new("a/b"));
}

#[test]
fn what_is_not_granted_is_refused() {
    let told = |grants: &Grants, text, access| {
        let error = grants.resolve(text, access).unwrap_err();
        format!("{error}; {}", error.help())
    };
    let (nothing, lists) = (
        Grants::new(PathBuf::from("/jobs"), BTreeMap::new()),
        BTreeMap::from([("lists".to_owned(), directory("/srv", Access::Read))]),
    );
    let lists = Grants::new(PathBuf::from("/jobs"), lists);
    for access in [Access::Read, Access::Write] {
        assert_eq!(
            told(&nothing, "counts", access),
            "the path `counts` names no directory, and the job grants none called `out`; grant it in the job file: directories \
             = { out = \"out\" } under [job]"
        );
    }
    assert_eq!(
        told(&lists, "counts", Access::Write),
        "the path `counts` names no directory, and the job grants none called `out`; grant it in the job file: directories = { \
         out = \"out\" } under [job]; or name one of those that it grants, `lists`, as in `lists:counts`"
    );
    assert_eq!(
        told(&lists, "lists:x", Access::Write),
        "the path `lists:x` is below the directory `lists`, which the job grants for reading only; give `lists` the access \
         \"write\" in job.directories, or name another directory"
    );
}

#[test]
fn whatever_could_lead_elsewhere_is_refused() {
    let long = "a".repeat(256);
    let deep = "a/".repeat(512) + "a";
    let absolute = "is absolute";
    let dots = "has a name `.` or `..`";
    let empty = "has an empty name between or behind its `/`";
    let control = "has control characters";
    let cases = [
        ("", "is empty"),
        ("out:", "is empty"),
        ("/etc/passwd", absolute),
        ("//server/share", absolute),
        ("out:/etc", absolute),
        ("..", dots),
        ("a/../b", dots),
        ("out:..", dots),
        ("./a", dots),
        ("a/.", dots),
        ("a//b", empty),
        ("a/", empty),
        ("a\\b", "has a backslash"),
        ("C:\\b", "has a backslash"),
        ("out:C:/b", "has a second `:`"),
        ("a\0b", control),
        ("a\nb", control),
        ("a\u{1b}[2Jb", control),
        ("a\u{202e}b", control),
        (".millstream-x", "has a name that begins with `.`, which is hidden"),
        ("near:a/.git/x", "has a name that begins with `.`, which is hidden"),
        (&long, "has a name of more than 255 bytes"),
        (&deep, "is longer than 1024 bytes"),
    ];
    for (text, fault) in cases {
        assert_eq!(refusal(text), format!("the path `{}` {fault}", shown(text)));
    }
    assert_eq!(refusal("C:/x"), "the path `C:/x` is below the directory `C`, which the job does not grant");
    let help = grants().resolve("C:/x", Access::Write).unwrap_err().help();
    assert_eq!(help, "job.directories grants `lists`, `near`, `out`");
    assert!(refusal(&"/".repeat(100_000)).len() < 300);
}

/// S6.04: outputs can be saved in object stores. Driver functions have no files there.
#[test]
fn a_path_may_be_in_an_object_store() {
    let stores = BTreeMap::from([("s3".to_owned(), "s3://bucket/prefix".to_owned())]);
    let grants = grants().with_objects(stores);
    let objects = |text| match grants.resolve_place(text).unwrap() {
        GrantedPlace::Objects(url, name) => (url, name),
        GrantedPlace::Disk(path) => panic!("{text} is on the disk: {path:?}"),
    };
    assert_eq!(objects("s3:x"), ("s3://bucket/prefix".to_owned(), "x".to_owned()));
    assert_eq!(objects("s3:a/b/x"), ("s3://bucket/prefix/a/b".to_owned(), "x".to_owned()));
    assert_eq!(
        grants.resolve_place("out:x").unwrap(),
        GrantedPlace::Disk(GrantedPath { goes_on: true, ..grants.resolve("out:x", Access::Write).unwrap() })
    );
    for text in ["s3:", "s3:/x", "s3:../x", "s3:a//x", "s3:a:x", "s3:.millstream-x", "S3:x", "s3:a\nb", "s3:a\\b"] {
        assert!(grants.resolve_place(text).is_err(), "{text}");
    }
    let error = grants.resolve("s3:x", Access::Read).unwrap_err();
    assert_eq!(error.to_string(), "the path `s3:x` is below `s3`, which is an object store");
    assert_eq!(error.help(), "outputs can be saved there; driver functions use directories");
    let help = grants.resolve("S3:x", Access::Read).unwrap_err().help();
    assert_eq!(help, "job.directories grants `lists`, `near`, `out`, `s3`");
    let out =
        Grants::new(PathBuf::new(), BTreeMap::new()).with_objects([("out".to_owned(), "s3://b".to_owned())].into());
    assert_eq!(out.resolve_place("a/x").unwrap(), GrantedPlace::Objects("s3://b/a".to_owned(), "x".to_owned()));
}

#[test]
fn a_suffix_has_no_separator() {
    assert!(check_suffix("").is_ok() && check_suffix("tar.gz").is_ok());
    assert!(["a/b", "a:b", "a\\b", "a\0", "\n"].iter().all(|part| check_suffix(part).is_err()));
}

/// The directories `jobs` and `other`, side by side, and the files of the machine.
struct World {
    directory: tempfile::TempDir,
    env: Env,
}

impl World {
    fn new() -> Self {
        let executors = RealExecutors::start(1).unwrap();
        let world = Self { directory: tempfile::tempdir().unwrap(), env: real(&executors) };
        ["jobs", "other"].iter().for_each(|name| std::fs::create_dir(world.path(name)).unwrap());
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        std::fs::canonicalize(self.directory.path()).unwrap().join(name)
    }

    fn granted(&self, text: &str) -> GrantedPath {
        Grants::writing(self.path("jobs")).resolve(text, Access::Write).unwrap()
    }

    fn make(&self, text: &str) -> Result<PathBuf, GrantError> {
        self.granted(text).make_parent(&*self.env.disk)
    }

    fn check(&self, text: &str) -> Result<(), GrantError> {
        self.granted(text).check_parent(&*self.env.disk)
    }
}

#[test]
fn directories_are_made_and_checking_makes_none() {
    let world = World::new();
    world.check("a/b/c").unwrap();
    assert!(!world.path("jobs/a").exists());
    assert_eq!(world.make("a/b/c").unwrap(), world.path("jobs/a/b"));
    assert!(world.path("jobs/a/b").is_dir() && !world.path("jobs/a/b/c").exists());
    assert_eq!(world.make("c").unwrap(), world.path("jobs"));
}

#[test]
fn links_may_lead_around_but_not_out() {
    let world = World::new();
    std::fs::create_dir(world.path("jobs/real")).unwrap();
    symlink("real", world.path("jobs/around")).unwrap();
    assert_eq!(world.make("around/x/y").unwrap(), world.path("jobs/real/x"));
    for (link, target) in [("up", ".."), ("out", "../other"), ("absolute", "/"), ("beside", "../jobs2")] {
        std::fs::create_dir_all(world.path("jobs2")).unwrap();
        symlink(target, world.path("jobs").join(link)).unwrap();
        let text = format!("{link}/x/y");
        for refused in [world.make(&text).map(drop), world.check(&text)] {
            assert!(matches!(refused, Err(GrantError::LeadsOut { .. })), "{link}: {refused:?}");
        }
    }
    assert!(!world.path("other/x").exists() && !world.path("x").exists() && !world.path("jobs2/x").exists());
    // The granted directory itself may be a link, because the author of the job file chose it.
    symlink("jobs", world.path("link")).unwrap();
    let granted = Grants::writing(world.path("link")).resolve("z", Access::Write).unwrap();
    assert_eq!(granted.make_parent(&*world.env.disk).unwrap(), world.path("jobs"));
}

#[test]
fn what_cannot_be_made_is_told() {
    let world = World::new();
    std::fs::write(world.path("jobs/file"), "").unwrap();
    symlink("nowhere", world.path("jobs/dangling")).unwrap();
    let is_fault = |refused: Result<(), GrantError>| matches!(refused, Err(GrantError::Directory { .. }));
    assert!(is_fault(world.make("file/x").map(drop)) && is_fault(world.make("dangling/x").map(drop)));
    assert!(is_fault(world.check("file/x")) && is_fault(world.check("file/x/y")));
    let missing = Grants::writing(world.path("nothing/at/all")).resolve("x", Access::Write).unwrap();
    let error = missing.check_parent(&*world.env.disk).unwrap_err();
    assert_eq!(error.help(), format!("make the directory {}", world.path("nothing/at/all").display()));
}

/// The granted directory itself is created when it is written to, and not when it is read.
#[test]
fn a_granted_directory_is_made_where_its_parent_is() {
    let world = World::new();
    let grants = Grants::writing(world.path("jobs/out"));
    grants.resolve("a/b", Access::Read).unwrap().find(&*world.env.disk).unwrap_err();
    let place = grants.resolve("a/b", Access::Write).unwrap();
    place.check_parent(&*world.env.disk).unwrap();
    assert!(!world.path("jobs/out").exists());
    assert_eq!(place.make_parent(&*world.env.disk).unwrap(), world.path("jobs/out/a"));
}

/// However a grant is written, it reaches neither hidden names, nor withheld paths, nor paths above them.
#[test]
fn no_grant_reaches_what_is_withheld() {
    let world = World::new();
    for name in ["jobs/.cargo", "jobs/in", "jobs/ck", "jobs/sub"] {
        std::fs::create_dir(world.path(name)).unwrap();
    }
    for name in ["jobs/job.toml", "jobs/p.wasm", "jobs/q.jsonl", "jobs/.cargo/config.toml", "jobs/sub/f"] {
        std::fs::write(world.path(name), "").unwrap();
    }
    symlink(".", world.path("jobs/dot")).unwrap();
    symlink("../.cargo", world.path("jobs/sub/hidden")).unwrap();
    symlink(world.path("jobs"), world.path("elsewhere")).unwrap();
    let withheld = |what: &str, path: &str, from| Withheld { what: what.to_owned(), path: world.path(path), from };
    let withheld = [
        withheld("the job file", "jobs/job.toml", Access::Read),
        withheld("the plugin", "jobs/dot/p.wasm", Access::Read),
        withheld("the checkpoint directory", "jobs/ck", Access::Read),
        withheld("source `a`", "jobs/in", Access::Write),
        withheld("source `b`", "jobs/q.jsonl", Access::Write),
        withheld("source `c`", "jobs/logs/*/x", Access::Write),
        withheld("the checkpoint directory", "jobs/later/ck", Access::Read),
    ];
    let roots =
        ["jobs", "jobs/dot", "elsewhere", "jobs/../jobs", "jobs/sub/.."].map(|root| (world.path(root), "".to_owned()));
    let above = (PathBuf::from("/"), format!("{}/", world.path("jobs").strip_prefix("/").unwrap().display()));
    let disk = &*world.env.disk;
    // Temporary directories are hidden, so they cannot be reached from the root.
    let is_reachable = !above.1.contains("/.");
    for (root, before) in roots.into_iter().chain(is_reachable.then_some(above)) {
        let out = GrantedDirectory { path: root.clone(), access: Access::Write };
        let grants =
            Grants::new(world.path("jobs"), BTreeMap::from([("out".to_owned(), out)])).withholding(withheld.to_vec());
        grants.check(disk).unwrap();
        let path = |text: &str, access| grants.resolve(&format!("{before}{text}"), access).unwrap();
        for text in [
            "job.toml",
            "job.toml/x",
            "p.wasm",
            "ck",
            "ck/runs/x",
            "later",
            "later/ck/y",
            "sub/hidden/config.toml",
            "dot/ck/x",
            "dot/dot/job.toml",
        ] {
            let refused = path(text, Access::Write).make_parent(disk);
            assert!(
                matches!(refused, Err(GrantError::Withheld { .. })),
                "{text} below {}: {refused:?}",
                root.display()
            );
        }
        for text in ["in/x", "in", "q.jsonl", "logs", "logs/a", "logs/a/x", "logs/a/x/y", "dot/in/x"] {
            let refused = path(text, Access::Write).check_parent(disk);
            assert!(
                matches!(refused, Err(GrantError::Withheld { .. })),
                "{text} below {}: {refused:?}",
                root.display()
            );
            assert!(path(text, Access::Read).find(disk).is_ok(), "{text}: sources can be read");
        }
        for text in ["job.toml", "p.wasm", "ck/x", "sub/hidden/config.toml"] {
            let refused = path(text, Access::Read).find(disk);
            assert!(
                matches!(refused, Err(GrantError::Withheld { .. })),
                "{text} below {}: {refused:?}",
                root.display()
            );
        }
        for text in ["x", "sub/x", "inn/x", "job.toml2", "logs/a/z/x", "ck2/x"] {
            path(text, Access::Write).check_parent(disk).unwrap();
        }
        let (directory, job) = (path("dot", Access::Read), world.path("jobs/job.toml"));
        assert!(!directory.reaches(disk, &job) && directory.reaches(disk, &world.path("jobs/sub/f")));
    }
    assert!(!world.path("jobs/logs").exists() && !world.path("jobs/later").exists());
}

/// A link to a withheld path is withheld as well: a program that replaces the link replaces the file that it stands
/// for.
#[test]
fn links_to_what_is_withheld_cannot_be_replaced() {
    let world = World::new();
    for name in ["jobs/lists", "other/ck", "other/in"] {
        std::fs::create_dir_all(world.path(name)).unwrap();
    }
    for name in ["other/job.toml", "other/q.jsonl"] {
        std::fs::write(world.path(name), "").unwrap();
    }
    let links = [
        ("lists/current.toml", "jobs/job.toml"),
        ("../../other/job.toml", "jobs/lists/current.toml"),
        ("../other/ck", "jobs/ck"),
        ("../other/q.jsonl", "jobs/q.jsonl"),
        ("../other", "jobs/data"),
        ("loop", "jobs/loop"),
    ];
    links.iter().for_each(|(target, link)| symlink(target, world.path(link)).unwrap());
    let withheld = |what: &str, path: &str, from| Withheld { what: what.to_owned(), path: world.path(path), from };
    let withheld = vec![
        withheld("the job file", "jobs/lists/../job.toml", Access::Read),
        withheld("the checkpoint directory", "jobs/ck", Access::Read),
        withheld("source `a`", "jobs/q.jsonl", Access::Write),
        withheld("source `b`", "jobs/data/in", Access::Write),
        withheld("source `c`", "jobs/loop/in", Access::Write),
    ];
    let out = GrantedDirectory { path: world.path("jobs"), access: Access::Write };
    let grants = Grants::new(world.path("jobs"), BTreeMap::from([("out".to_owned(), out)])).withholding(withheld);
    let disk = &*world.env.disk;
    for (text, what) in [
        ("job.toml", "the job file"),
        ("lists", "the job file"),
        ("lists/current.toml", "the job file"),
        ("ck", "the checkpoint directory"),
        ("q.jsonl", "source `a`"),
        ("data", "source `b`"),
        ("loop", "source `c`"),
    ] {
        let refused = grants.resolve(text, Access::Write).unwrap().make_parent(disk).unwrap_err().to_string();
        assert!(refused.contains(what), "{text}: {refused}");
    }
    for text in ["x", "lists/x", "q.jsonl2"] {
        grants.resolve(text, Access::Write).unwrap().make_parent(disk).unwrap();
    }
}

#[test]
fn a_hidden_directory_is_not_granted() {
    let world = World::new();
    ["jobs/.cargo", "other/.git", "other/.git/hooks"]
        .iter()
        .for_each(|name| std::fs::create_dir(world.path(name)).unwrap());
    symlink(".cargo", world.path("jobs/plain")).unwrap();
    for (path, name) in [
        ("jobs/.cargo", ".cargo"),
        ("jobs/plain", ".cargo"),
        ("jobs/plain/x", ".cargo"),
        ("jobs/../other/.git", ".git"),
    ] {
        let out = GrantedDirectory { path: world.path(path), access: Access::Read };
        let grants = Grants::new(world.path("jobs"), BTreeMap::from([("out".to_owned(), out)]));
        let Err(GrantError::HiddenRoot { name: found, .. }) = grants.check(&*world.env.disk) else { panic!("{path}") };
        assert_eq!(found, name);
        let used = grants.resolve("f", Access::Read).unwrap().find(&*world.env.disk);
        assert!(matches!(used, Err(GrantError::HiddenRoot { .. } | GrantError::Directory { .. })), "{path}: {used:?}");
    }
}

/// Parts of paths, harmless and harmful.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        5 => "[a-c.]{1,3}",
        3 => Just("/".to_owned()),
        1 => prop::sample::select(vec!["..", ".", ":", "out:", "\\", "\0", "~", " ", "//", "C:", "%2e%2e", "\u{ff0e}\u{ff0e}"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// For any text of a plugin: an accepted path consists of plain names below a granted directory.
    #[test]
    fn what_is_accepted_stays_below(text in pieces(), write in any::<bool>()) {
        let access = if write { Access::Write } else { Access::Read };
        if let Ok(granted) = grants().resolve(&text, access) {
            let path = granted.path();
            let roots = [Path::new("/var/out"), Path::new("shared"), Path::new("/srv/lists")];
            let root = roots.into_iter().find(|root| path.starts_with(root)).expect("it is below a granted directory");
            prop_assert!(!write || root != Path::new("/srv/lists"));
            let rest = path.strip_prefix(root).unwrap();
            prop_assert!(rest.components().count() > 0);
            for part in rest.components() {
                prop_assert!(matches!(part, std::path::Component::Normal(name) if !name.to_str().unwrap().starts_with('.')), "{:?}", path);
            }
            prop_assert!(!path.to_str().unwrap().contains(['\0', '\n', '\\']));
        }
    }

    /// Plain names are accepted and stay unchanged.
    #[test]
    fn plain_names_are_accepted(names in prop::collection::vec("[a-zA-Z0-9_-][a-zA-Z0-9._ -]{0,20}", 1..6)) {
        let text = names.join("/");
        for text in [text.clone(), format!("out:{text}")] {
            let path = grants().resolve(&text, Access::Write).unwrap().path();
            prop_assert_eq!(path, Path::new("/var/out").join(text.trim_start_matches("out:")));
        }
    }

    /// No message is long or has control characters, whatever the text is.
    #[test]
    fn refusals_can_be_shown(text in any::<String>()) {
        if let Err(error) = grants().resolve(&text, Access::Write) {
            let said = format!("{error}{}", error.help());
            prop_assert!(said.len() < 4000 && !said.contains(char::is_control), "{said:?}");
        }
    }
}

#[test]
fn what_is_read_is_below_the_granted_directory() {
    let world = World::new();
    let find = |text: &str| world.granted(text).find(&*world.env.disk);
    assert_eq!(find("a/b").unwrap(), None);
    std::fs::create_dir(world.path("jobs/a")).unwrap();
    std::fs::write(world.path("jobs/a/b"), "").unwrap();
    std::fs::write(world.path("other/secret"), "").unwrap();
    assert_eq!(find("a/b").unwrap(), Some(world.path("jobs/a/b")));
    assert_eq!(find("a").unwrap(), Some(world.path("jobs/a")));
    symlink("a/b", world.path("jobs/around")).unwrap();
    assert_eq!(find("around").unwrap(), Some(world.path("jobs/a/b")));
    symlink("../other/secret", world.path("jobs/file")).unwrap();
    symlink("../other", world.path("jobs/out")).unwrap();
    for text in ["file", "out", "out/secret"] {
        assert!(matches!(find(text), Err(GrantError::LeadsOut { .. })), "{text}");
    }
    assert!(find("a/b/c").is_err());
}
