//! Compiled plugins in the user's cache, and the process that compiles, through the real binary.

use super::support::binary::{Directory, Running, Said};
use host::config::{self, Facts};
use host::context::StreamingContext;
use host::plugin::{CacheDirectory, CompilerProcess, PluginLoader};
use millstream_tests::programs;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const COMPILED: &str = "compiled the plugin; kept in ";
const NOT_KEPT: &str = "compiled the plugin; not kept: ";
const TAKEN: &str = "the plugin is compiled already: ";
const UNUSABLE: &str = "the plugin's compiled form cannot be used: ";

/// A job that counts words, and a cache directory that only it uses.
struct Job(Directory);

impl Job {
    fn new() -> Self {
        Self(Directory::with_job("network_word_count"))
    }

    fn caches(&self) -> PathBuf {
        self.0.path("caches")
    }

    fn plugins(&self) -> PathBuf {
        self.caches().join("millstream/plugins")
    }

    /// The only file of the cache.
    fn file(&self) -> PathBuf {
        let mut files: Vec<PathBuf> = paths(&self.plugins());
        let file = files.pop().expect("the cache has a file");
        assert_eq!(files, [""; 0].map(PathBuf::from), "and no other");
        file
    }

    fn run(&self) -> Said {
        let mut command = self.0.host(&["run", "job.toml", "--stop-when-idle"]);
        command.env("XDG_CACHE_HOME", self.caches()).env("MILLSTREAM_LOG", "info,host::plugin=debug");
        Running::start(command).finish()
    }

    /// Requires that a run counts correctly, and prints these messages about the compiled plugin and no others.
    fn require(&self, expected: &[&str]) {
        let said = self.run();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        assert!(said.out.contains("(to,2)\n"), "{}", said.out);
        for words in [COMPILED, NOT_KEPT, TAKEN, UNUSABLE] {
            assert_eq!(said.err.contains(words), expected.contains(&words), "{words}: {}", said.err);
        }
    }
}

fn paths(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it can be listed");
    entries.map(|entry| entry.expect("it can be listed").path()).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode of an own file can be set");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o777
}

#[test]
fn the_first_run_compiles_and_the_second_does_not() {
    let job = Job::new();
    job.require(&[COMPILED]);
    let file = job.file();
    assert_eq!((mode(&job.plugins()), mode(&file)), (0o700, 0o600));
    let written = fs::metadata(&file).expect("it is there").ino();
    job.require(&[TAKEN]);
    assert_eq!(fs::metadata(job.file()).expect("it is there").ino(), written, "it was not written again");
}

#[test]
fn another_plugin_has_another_file() {
    let job = Job::new();
    job.require(&[COMPILED]);
    // An empty custom section with the name `a` changes only the bytes of the component.
    let changed = [programs::plugin("network_word_count").as_slice(), &[0, 2, 1, b'a']].concat();
    job.0.write("network_word_count.wasm", changed);
    job.require(&[COMPILED]);
    assert_eq!(paths(&job.plugins()).len(), 2);
}

#[test]
fn a_damaged_file_is_replaced() {
    let job = Job::new();
    job.require(&[COMPILED]);
    let file = job.file();
    let whole = fs::read(&file).expect("it can be read");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() / 2], &[], &flipped] {
        fs::write(&file, damaged).expect("it can be written");
        job.require(&[UNUSABLE, COMPILED]);
        assert!(fs::read(job.file()).expect("it can be read") == whole, "compiling gives the same bytes");
        job.require(&[TAKEN]);
    }
}

#[test]
fn a_file_that_others_may_write_is_not_loaded_but_replaced() {
    let job = Job::new();
    job.require(&[COMPILED]);
    set_mode(&job.file(), 0o666);
    job.require(&[UNUSABLE, COMPILED]);
    assert_eq!(mode(&job.file()), 0o600);
    job.require(&[TAKEN]);
}

#[test]
fn a_directory_that_others_may_write_is_not_used() {
    let job = Job::new();
    job.require(&[COMPILED]);
    set_mode(&job.plugins(), 0o777);
    job.require(&[UNUSABLE, NOT_KEPT]);
}

#[test]
fn a_cache_that_cannot_be_written_costs_nothing_but_time() {
    let job = Job::new();
    // Root can write to every directory, so a file stands in the place of the directory.
    job.0.write("caches", "not a directory");
    job.require(&[UNUSABLE, NOT_KEPT]);
}

#[test]
fn a_cache_that_can_only_be_read_is_read() {
    let job = Job::new();
    job.require(&[COMPILED]);
    set_mode(&job.plugins(), 0o500);
    set_mode(&job.file(), 0o400);
    job.require(&[TAKEN]);
    set_mode(&job.plugins(), 0o700);
}

#[test]
fn a_user_without_a_home_has_no_cache() {
    let job = Job::new();
    let mut command = job.0.host(&["check", "job.toml"]);
    command.env_remove("XDG_CACHE_HOME").env_remove("HOME").env("MILLSTREAM_LOG", "debug");
    let said = Running::start(command).finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert!(!said.err.contains(COMPILED) && !said.err.contains(NOT_KEPT), "{}", said.err);
}

/// The message of a host that gives its compiler this much time and memory.
fn compile_within(time_max: Duration, address_space_max: u64, plugin: &[u8]) -> String {
    let cache = tempfile::tempdir().expect("a temporary directory can be made");
    let job_file = "[job]\nname = \"limited\"\nplugin = \"plugin.wasm\"\n";
    let settings = config::load(job_file, Path::new("/jobs/job.toml"), &[], &Facts { cpus: 2 });
    // SAFETY: the program was just built from the sources from which this test was built.
    let compiler = unsafe { CompilerProcess::of_host(programs::host()) }.with_limits(time_max, address_space_max);
    let loader = PluginLoader::new(Some(CacheDirectory::at(cache.path().join("plugins"))), Some(compiler));
    let loaded = StreamingContext::load_plugin_with(&loader, &settings.expect("the job file is right"), plugin);
    match loaded {
        Ok(_) => "loaded".to_owned(),
        Err(error) => {
            assert!(!cache.path().join("plugins").exists(), "nothing is kept of a failure");
            error.to_string()
        }
    }
}

const LONG: Duration = Duration::from_secs(600);
const LARGE: u64 = 4 << 30;

#[test]
fn a_plugin_that_takes_too_long_to_compile_is_refused() {
    let plugin = programs::plugin("network_word_count");
    assert_eq!(compile_within(LONG, LARGE, &plugin), "loaded");
    let said = compile_within(Duration::from_millis(1), LARGE, &plugin);
    let expected = "cannot load plugin /jobs/plugin.wasm: compiling it takes longer than 0.001 s\nhelp: make the ";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn a_plugin_that_takes_too_much_memory_to_compile_is_refused() {
    const LENGTH: u32 = 48 << 20;
    // A custom section: its length in groups of 7 bits, with a mark on all groups but the last, and its empty name.
    let length: Vec<u8> = (0..5).map(|at| (LENGTH >> (7 * at)) as u8 & 0x7f | if at < 4 { 0x80 } else { 0 }).collect();
    let section = [[0].as_slice(), &length, &vec![0; LENGTH as usize]].concat();
    let plugin = [programs::plugin("network_word_count"), section].concat();
    assert_eq!(compile_within(LONG, LARGE, &plugin), "loaded");
    // This is enough memory for the program to start.
    let said = compile_within(LONG, 96 << 20, &plugin);
    let expected =
        "cannot load plugin /jobs/plugin.wasm: compiling it takes more than 100663296 bytes of memory\nhelp: ";
    assert!(said.starts_with(expected), "{said}");
}
