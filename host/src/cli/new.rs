//! `host new`: a plugin crate with a job file, which build and run at once.
//!
//! Owns the rule for names, the search for the SDK, and the files of the crate, whose texts are in `template/`. Never
//! overwrites a file: the crate gets a new directory.

use super::{called_name, print};
use crate::error::{Error, ErrorKind};
use crate::shown::{self, Shown as _};
use clap::Args;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the SDK lies in a clone of Millstream.
const SDK: &str = "plugins/millstream";

/// The longest name of a crate. The name of a job has at most 100 characters, and is used in paths.
const NAME_LENGTH_MAX: usize = 64;

/// Names that have another meaning in a Rust program. Cargo refuses most of these names too.
#[rustfmt::skip]
const TAKEN: &[&str] = &[
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue", "core", "crate", "do",
    "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "millstream", "mod", "move", "mut", "override", "priv", "proc_macro", "pub", "ref", "return", "self",
    "static", "std", "struct", "super", "test", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// The files of a crate, and their texts. `{{name}}`, `{{crate}}` and `{{sdk}}` stand for what differs.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("template/Cargo.toml.template")),
    (".cargo/config.toml", include_str!("template/cargo_config.toml.template")),
    (".gitignore", include_str!("template/gitignore.template")),
    ("README.md", include_str!("template/README.md.template")),
    ("batches.jsonl", include_str!("template/batches.jsonl.template")),
    ("job.toml", include_str!("template/job.toml.template")),
    ("rust-toolchain.toml", include_str!("template/rust-toolchain.toml.template")),
    ("src/lib.rs", include_str!("template/lib.rs.template")),
];

/// The arguments of `host new`.
#[derive(Args)]
pub struct NewArgs {
    /// The name of the crate, the job and their directory.
    name: String,
    /// Make the directory NAME in this one.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// Let the crate depend on the millstream crate at this path, by default that of the clone which the current directory
    /// is in. Without this option, the crate depends on the repository of Millstream, and can be shared.
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    path_sdk: Option<Option<PathBuf>>,
}

/// Makes the crate and says what to do next. `commit` is the commit that this program was built from; `None` if that is
/// not known.
pub fn new(args: &NewArgs, commit: Option<&str>) -> Result<ExitCode, Error> {
    let name = &args.name;
    check_name(name)?;
    let sdk = match &args.path_sdk {
        Some(path) => format!("{{ path = {} }}", quoted(&path.as_deref().map_or_else(find_sdk, given_sdk)?)?),
        None => from_repository(commit),
    };
    let directory = if args.path == Path::new(".") { PathBuf::from(name) } else { args.path.join(name) };
    let cannot =
        |path: &Path, error: &io::Error| Error::new(ErrorKind::User, format!("cannot make {}: {error}", path.shown()));
    fs::create_dir(&directory).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::AlreadyExists => "nothing is overwritten: choose another name, or another place with --path",
            io::ErrorKind::NotFound => "make the directory that --path names first",
            _ => "choose another place with --path",
        };
        cannot(&directory, &error).help(help)
    })?;
    for (file, template) in FILES {
        let text = template.replace("{{name}}", name).replace("{{crate}}", &name.replace('-', "_"));
        let path = directory.join(file);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = made.and_then(|()| fs::write(&path, text.replace("{{sdk}}", &sdk))) {
            // An unfinished directory would be in the way of the next try. If it cannot be removed, the next try says
            // so.
            let _ = fs::remove_dir_all(&directory);
            return Err(cannot(&path, &error).help("choose another place with --path"));
        }
    }
    print(&format!(
        "made {}: a plugin that counts words, its job and two batches\n\n\
         cd {}\ncargo test\ncargo build --release --target wasm32-wasip2\n{} run --stop-when-idle\n",
        directory.shown(),
        directory.shown(),
        command()
    ))
}

/// The dependency on the repository of Millstream, as a value of a manifest: at this commit, or else at its newest one.
fn from_repository(commit: Option<&str>) -> String {
    let repository = env!("CARGO_PKG_REPOSITORY");
    // A commit with changes is in no repository.
    match commit.filter(|commit| commit.chars().all(|digit| digit.is_ascii_hexdigit())) {
        Some(commit) => format!("{{ git = \"{repository}\", rev = \"{commit}\" }}"),
        None => format!("{{ git = \"{repository}\" }}"),
    }
}

/// The command that runs this program from any directory: the path of the program, or its name if it was called without
/// a path.
fn command() -> String {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    match std::env::current_exe() {
        Ok(path) if called.components().count() > 1 => path.shown().into_owned(),
        _ => called_name(),
    }
}

/// Checks that a name is valid for a cargo package, a Rust crate, a job and a directory alike.
fn check_name(name: &str) -> Result<(), Error> {
    let first = name.chars().next();
    let why = if first.is_none() {
        "it is empty".to_owned()
    } else if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_".contains(*c)) {
        format!("it contains {c:?}")
    } else if !first.is_some_and(|c| c.is_ascii_alphabetic()) {
        "it does not begin with a letter".to_owned()
    } else if name.len() > NAME_LENGTH_MAX {
        format!("it is longer than {NAME_LENGTH_MAX} characters")
    } else if TAKEN.contains(&name.replace('-', "_").to_ascii_lowercase().as_str()) {
        "Rust programs use it for something else".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::User, format!("{} cannot be the name of a crate: {why}", shown::name(name)))
        .help("begin with a letter and go on with letters, digits, `-` and `_`, as in `word-count`"))
}

/// The crate at a path that the user gave: the SDK itself, or a clone.
fn given_sdk(path: &Path) -> Result<PathBuf, Error> {
    let found = [path.to_owned(), path.join(SDK)].into_iter().find(|path| is_sdk(path));
    found.and_then(|path| path.canonicalize().ok()).ok_or_else(|| {
        Error::new(ErrorKind::User, format!("there is no millstream crate at {}", path.shown()))
            .help(format!("give the directory {SDK} of a clone of Millstream"))
    })
}

/// The crate in the nearest clone, from the current directory upwards.
fn find_sdk() -> Result<PathBuf, Error> {
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).map_err(|error| {
        Error::new(ErrorKind::User, format!("cannot find the current directory: {error}")).help("change to another one")
    })?;
    let found = here.ancestors().map(|directory| directory.join(SDK)).find(|path| is_sdk(path));
    found.ok_or_else(|| {
        Error::new(ErrorKind::User, "cannot find the millstream crate: the current directory is not in a clone of it")
            .help(format!("give its path, as in `--path-sdk ~/millstream/{SDK}`"))
    })
}

/// Whether a directory holds the package `millstream`.
fn is_sdk(path: &Path) -> bool {
    let manifest = path.join("Cargo.toml");
    // A manifest that is no regular file, such as a pipe, is not opened, because reading it could wait for ever.
    let manifest = if manifest.is_file() { fs::read_to_string(manifest).unwrap_or_default() } else { String::new() };
    manifest.lines().any(|line| line.split_whitespace().eq(["name", "=", "\"millstream\""]))
}

/// A path as a TOML string.
fn quoted(path: &Path) -> Result<String, Error> {
    let text = path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(|| {
        Error::new(ErrorKind::User, format!("a manifest cannot name the path {}", path.shown()))
            .help("move the clone to a path of printable text")
    })?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_would_refuse_are_refused() {
        for (name, why) in [
            ("", "it is empty"),
            ("a.b", "it contains '.'"),
            ("../x", "it contains '.'"),
            ("a b", "it contains ' '"),
            ("caf\u{e9}", "it contains '\u{e9}'"),
            ("1st", "it does not begin with a letter"),
            ("-x", "it does not begin with a letter"),
            ("test", "Rust programs use it for something else"),
            ("proc-macro", "Rust programs use it for something else"),
            ("Millstream", "Rust programs use it for something else"),
        ] {
            let message = check_name(name).expect_err(name).message;
            assert_eq!(message, format!("`{name}` cannot be the name of a crate: {why}"));
        }
        assert!(check_name(&"x".repeat(65)).is_err());
        for name in ["traffic", "word-count", "word_count2", &"x".repeat(64)] {
            assert_eq!(check_name(name), Ok(()));
        }
    }

    #[test]
    fn a_crate_depends_on_the_repository_at_the_commit_of_the_program() {
        let repository = env!("CARGO_PKG_REPOSITORY");
        assert!(repository.starts_with("https://"), "{repository}");
        let expected = format!("{{ git = \"{repository}\", rev = \"0123456789ab\" }}");
        assert_eq!(from_repository(Some("0123456789ab")), expected);
        for unknown in [None, Some("unknown"), Some("0123456789ab-dirty")] {
            assert_eq!(from_repository(unknown), format!("{{ git = \"{repository}\" }}"));
        }
    }

    /// What the job file shows in comments is right: the keys exist, and have these values.
    #[test]
    fn the_comments_of_the_job_file_are_keys() {
        let text = include_str!("template/job.toml.template").replace("{{name}}", "traffic");
        let is_shown =
            |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let shown = |line: &str| line.strip_prefix("# ").filter(|rest| is_shown(rest)).unwrap_or(line).to_owned();
        let with_comments: Vec<String> = text.lines().map(shown).collect();
        let load =
            |text: &str| crate::config::load(text, Path::new("job.toml"), &[], &crate::config::Facts { cpus: 2 });
        let (plain, full) = (load(&text).unwrap(), load(&with_comments.join("\n")).unwrap());
        assert_eq!((plain.job.checkpoint.is_some(), plain.sources.len()), (false, 1));
        assert_eq!((full.job.checkpoint.is_some(), full.sources.len()), (true, 2));
    }

    #[test]
    fn a_path_becomes_toml() {
        assert_eq!(quoted(Path::new("/a b/c\"\\")).as_deref(), Ok(r#""/a b/c\"\\""#));
        assert!(quoted(Path::new("/a\nb")).is_err());
    }

    /// The compiler of the repository is the one that the SDK is tested with.
    #[test]
    fn the_compiler_is_ours() {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rust-toolchain.toml");
        assert_eq!(
            fs::read_to_string(ours).expect("it can be read"),
            include_str!("template/rust-toolchain.toml.template")
        );
    }
}
