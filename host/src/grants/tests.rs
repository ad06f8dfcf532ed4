//! What a plugin may call a path, and where links lead on a real disk.

use super::*;
use crate::env::{Env, RealExecutors, real};
use proptest::prelude::*;
use std::os::unix::fs::symlink;

fn grants() -> Grants {
    let named = [("out", "/var/out"), ("near", "shared")].map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
    Grants::new(PathBuf::from("/jobs"), named.into())
}

fn refusal(text: &str) -> String {
    grants().resolve(text).unwrap_err().to_string()
}

#[test]
fn a_path_is_below_the_job_or_below_what_it_names() {
    let path = |text| grants().resolve(text).unwrap().path();
    assert_eq!(path("counts"), Path::new("/jobs/counts"));
    assert_eq!(path("a/b.c/counts d"), Path::new("/jobs/a/b.c/counts d"));
    assert_eq!(path("out:a/ä"), Path::new("/var/out/a/ä"));
    assert_eq!(path("near:x"), Path::new("shared/x"));
    assert_eq!(Grants::new(PathBuf::new(), BTreeMap::new()).resolve("a/b").unwrap().path(), Path::new("a/b"));
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
        (".millstream-x", "has a name that begins with `.millstream-`, as only those of the host do"),
        (&long, "has a name of more than 255 bytes"),
        (&deep, "is longer than 1024 bytes"),
    ];
    for (text, fault) in cases {
        assert_eq!(refusal(text), format!("the path `{}` {fault}", shown(text)));
    }
    assert_eq!(refusal("C:/x"), "the path `C:/x` is below the directory `C`, which the job does not grant");
    assert_eq!(grants().resolve("C:/x").unwrap_err().help(), "job.directories grants `near`, `out`");
    assert!(refusal(&"/".repeat(100_000)).len() < 300);
}

#[test]
fn a_suffix_has_no_separator() {
    assert!(check_suffix("").is_ok() && check_suffix("tar.gz").is_ok());
    assert!(["a/b", "a:b", "a\\b", "a\0", "\n"].iter().all(|part| check_suffix(part).is_err()));
}

/// A directory `jobs` and a directory `other`, side by side, and the files of the machine.
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
        Grants::new(self.path("jobs"), BTreeMap::new()).resolve(text).unwrap()
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
    // The granted directory itself may be a link: who wrote the job file chose it.
    symlink("jobs", world.path("link")).unwrap();
    let granted = Grants::new(world.path("link"), BTreeMap::new()).resolve("z").unwrap();
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
    let missing = Grants::new(world.path("nothing"), BTreeMap::new()).resolve("x").unwrap();
    let error = missing.check_parent(&*world.env.disk).unwrap_err();
    assert_eq!(error.help(), format!("make the directory {}", world.path("nothing").display()));
}

/// Pieces of paths, harmless and not.
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
    /// Whatever a plugin says: what is accepted is, taken apart, plain names below a granted directory.
    #[test]
    fn what_is_accepted_stays_below(text in pieces()) {
        if let Ok(granted) = grants().resolve(&text) {
            let path = granted.path();
            let roots = [Path::new("/jobs"), Path::new("/var/out"), Path::new("shared")];
            let root = roots.into_iter().find(|root| path.starts_with(root)).expect("it is below a granted directory");
            let rest = path.strip_prefix(root).unwrap();
            prop_assert!(rest.components().count() > 0);
            prop_assert!(rest.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{:?}", path);
            prop_assert!(!path.to_str().unwrap().contains(['\0', '\n', '\\']));
        }
    }

    /// Plain names are accepted, and say themselves.
    #[test]
    fn plain_names_are_accepted(names in prop::collection::vec("[a-zA-Z0-9_-][a-zA-Z0-9._ -]{0,20}", 1..6)) {
        let text = names.join("/");
        prop_assert_eq!(grants().resolve(&text).unwrap().path(), Path::new("/jobs").join(&text));
        prop_assert_eq!(grants().resolve(&format!("out:{text}")).unwrap().path(), Path::new("/var/out").join(&text));
    }

    /// No message is long or has control characters, whatever the text.
    #[test]
    fn refusals_can_be_shown(text in any::<String>()) {
        if let Err(error) = grants().resolve(&text) {
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
