//! Compiled plugins on disk, so that a plugin is compiled once and not at each start.
//!
//! Owns the only files that the host reads from the user's cache, their names and their form. The files hold machine
//! code that runs outside of any sandbox. So a file is used only if its checksum is right, and if the file and its
//! directory belong to the user of this process and give no permissions to other users. No argument and no key of the
//! job file names such a file. A problem with the cache costs time, but never stops the job.

use crate::shown::Shown as _;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::Engine;

/// The most bytes of all files together. A plugin that is built with the SDK has about 1 MiB, an interpreter 33 MiB.
const BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The first bytes of each file: they identify the kind of file and the version of its form. The length and the
/// checksum of the rest follow.
const MAGIC: &[u8; 8] = b"MILLCODE";
const VERSION: u32 = 1;
const CHECKSUM_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 4 + 8 + CHECKSUM_BYTES;

/// The permissions that other users must not have on these files.
const OTHERS: u32 = 0o077;

/// A directory of compiled plugins that belongs to the user of this process.
#[derive(Clone, Debug)]
pub struct CacheDirectory {
    path: PathBuf,
    bytes_max: u64,
}

/// The identity of a compiled form: the component, the compiler and its settings from which it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    /// Makes the key of the compiled form that `engine` makes of a component.
    pub(super) fn new(engine: &Engine, component: &[u8]) -> Self {
        let mut settings = DigestHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut settings);
        // The component is named by its whole digest. The settings need only a short hash, because there are never many
        // of them.
        let component = digest(component);
        Self(format!("{component}-{:016x}.code", settings.finish()))
    }
}

/// Hashes with SHA-256, so that equal settings have equal hashes in every run.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// The SHA-256 digest of a component, in hexadecimal.
pub fn digest(component: &[u8]) -> String {
    hexadecimal(&Sha256::digest(component))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl CacheDirectory {
    /// The user's own directory: `millstream/plugins` in `$XDG_CACHE_HOME` or `~/.cache`. `None` if the user has no
    /// such directory.
    pub fn of_user() -> Option<Self> {
        let directory = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")))?;
        Some(Self::at(caches.join("millstream").join("plugins")))
    }

    /// Makes a cache in the directory `path`, which is created when the cache is first written to.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), bytes_max: BYTES_MAX }
    }

    /// The file of a key, whether it exists or not.
    pub(super) fn file(&self, key: &Key) -> PathBuf {
        self.path.join(&key.0)
    }

    /// The compiled form that [`CacheDirectory::store`] has stored under this key; `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged, or if somebody else may have written to it.
    pub(super) fn load(&self, key: &Key) -> io::Result<Option<Vec<u8>>> {
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match self.require_own() {
            Err(error) if is_missing(&error) => return Ok(None),
            owned => owned?,
        }
        // Opening a pipe would wait for the other end. This flag prevents waiting for anything that is not a file.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        match File::options().read(true).custom_flags(flags).open(self.file(key)) {
            Err(error) if is_missing(&error) => Ok(None),
            file => read(file?, key).map(Some),
        }
    }

    /// Stores a compiled form, and replaces any form with the same key. Then removes the oldest files if the files are
    /// too large together.
    ///
    /// # Errors
    /// If the form cannot be written, or if somebody else may write to the directory.
    pub(super) fn store(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        static STORED: AtomicU64 = AtomicU64::new(0);
        if code.len() as u64 > self.bytes_max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than the whole cache may be"));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        self.require_own()?;
        // Other processes see the complete file or no file. A temporary file that a crash leaves is removed when it is
        // old, as any other file is.
        let count = STORED.fetch_add(1, Ordering::Relaxed);
        let aside = self.path.join(format!("{}-{count}.new", std::process::id()));
        // The file may have been left by a killed process that had the same process id.
        let _ = fs::remove_file(&aside);
        let written = write(&aside, key, code).and_then(|()| fs::rename(&aside, self.file(key)));
        if written.is_err() {
            // The first error is the one that is reported.
            let _ = fs::remove_file(&aside);
        }
        written?;
        self.remove_oldest(key)
    }

    /// Removes the oldest files until the rest is small enough. The file of `newest` is never removed.
    fn remove_oldest(&self, newest: &Key) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let found = entry.metadata()?;
            let order = (entry.file_name() == newest.0.as_str(), found.modified()?);
            files.push((order, found.len(), entry.path()));
        }
        files.sort();
        let mut bytes = 0_u64;
        for (_, length, path) in files.into_iter().rev() {
            bytes = bytes.saturating_add(length);
            if bytes > self.bytes_max {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn require_own(&self) -> io::Result<()> {
        let found = fs::symlink_metadata(&self.path)?;
        if !found.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not one", self.path.shown())));
        }
        require_own(&found, &self.path)
    }
}

fn require_own(found: &Metadata, path: &Path) -> io::Result<()> {
    let why = if found.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if found.mode() & OTHERS != 0 {
        "is open to other users"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} {why}", path.shown())))
}

fn read(mut file: File, key: &Key) -> io::Result<Vec<u8>> {
    let damaged = |how: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: {how}", key.0));
    let found = file.metadata()?;
    require_own(&found, Path::new(&key.0))?;
    if !found.is_file() {
        return Err(damaged("it is no regular file"));
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|_| damaged("its header is cut short"))?;
    let length = found.len() - HEADER_BYTES as u64;
    let start = header_start(length);
    let Some(checksum) = header.strip_prefix(start.as_slice()) else {
        return Err(damaged("its header does not fit its length, or another version wrote it"));
    };
    let mut code = Vec::new();
    // Reads not more than the announced length, even if the file grows meanwhile.
    file.take(length).read_to_end(&mut code)?;
    if checksum != self::checksum(key, &code) {
        return Err(damaged("its checksum differs"));
    }
    Ok(code)
}

fn write(path: &Path, key: &Key, code: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&header_start(code.len() as u64))?;
    file.write_all(&checksum(key, code))?;
    file.write_all(code)
}

/// The header without the checksum.
fn header_start(length: u64) -> Vec<u8> {
    [MAGIC.as_slice(), &VERSION.to_le_bytes(), &length.to_le_bytes()].concat()
}

/// The checksum covers the key, too, so that a file under the name of another key is noticed.
fn checksum(key: &Key, code: &[u8]) -> [u8; CHECKSUM_BYTES] {
    Sha256::new().chain_update(&key.0).chain_update(code).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn key(name: &str) -> Key {
        Key(format!("{name}.code"))
    }

    fn cache() -> (tempfile::TempDir, CacheDirectory) {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let cache = CacheDirectory::at(directory.path().join("deep/plugins"));
        (directory, cache)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode of an own file can be set");
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o777
    }

    #[test]
    fn what_was_stored_is_loaded_by_its_key_only() {
        let (_directory, cache) = cache();
        assert_eq!(cache.load(&key("a")).expect("no directory is no error"), None);
        cache.store(&key("a"), b"code").expect("it can be stored");
        cache.store(&key("a"), b"new code").expect("it can be replaced");
        assert_eq!(cache.load(&key("a")).expect("it is sound").as_deref(), Some(b"new code".as_slice()));
        assert_eq!(cache.load(&key("b")).expect("no file is no error"), None);
        let names: Vec<_> = fs::read_dir(&cache.path).expect("it can be listed").collect();
        assert_eq!(names.len(), 1, "nothing is left aside");
        assert_eq!((mode(&cache.path), mode(&cache.file(&key("a")))), (0o700, 0o600));
    }

    #[test]
    fn a_damaged_file_is_not_loaded() {
        let (_directory, cache) = cache();
        let (file, code) = (cache.file(&key("a")), vec![7; 1000]);
        let refused = |bytes: &[u8], how: &str| {
            fs::write(&file, bytes).expect("it can be written");
            let error = cache.load(&key("a")).expect_err("it is damaged").to_string();
            assert!(error.contains("a.code is damaged: ") && error.contains(how), "{error}");
        };
        cache.store(&key("a"), &code).expect("it can be stored");
        let whole = fs::read(&file).expect("it is there");
        for length in [0, 1, HEADER_BYTES - 1] {
            refused(&whole[..length], "its header is cut short");
        }
        for length in [HEADER_BYTES, whole.len() - 1] {
            refused(&whole[..length], "its header does not fit");
        }
        refused(&[whole.as_slice(), &[0]].concat(), "its header does not fit");
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            refused(&flipped, if at < HEADER_BYTES - CHECKSUM_BYTES { "its header" } else { "its checksum differs" });
        }
        cache.store(&key("b"), &code).expect("it can be stored");
        refused(&fs::read(cache.file(&key("b"))).expect("it is there"), "its checksum differs");
    }

    #[test]
    fn a_file_that_others_may_write_is_not_loaded() {
        let (_directory, cache) = cache();
        let file = cache.file(&key("a"));
        let refused = |why: &str| {
            let error = cache.load(&key("a")).expect_err("others may have written it");
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(error.to_string().contains(why), "{error}");
        };
        cache.store(&key("a"), b"code").expect("it can be stored");
        for mode in [0o660, 0o602, 0o644] {
            set_mode(&file, mode);
            refused("a.code is open to other users");
        }
        set_mode(&file, 0o600);
        for mode in [0o777, 0o755, 0o770] {
            set_mode(&cache.path, mode);
            refused("plugins is open to other users");
            cache.store(&key("a"), b"code").expect_err("others may write there");
        }
        set_mode(&cache.path, 0o700);
        assert!(cache.load(&key("a")).expect("all is well again").is_some());
        // Only the administrator can give files away.
        if rustix::process::geteuid().is_root() {
            chown(&file, Some(65534), None).expect("the owner can be set");
            refused("a.code belongs to another user");
            chown(&file, Some(0), None).expect("the owner can be set");
            chown(&cache.path, Some(65534), None).expect("the owner can be set");
            refused("plugins belongs to another user");
        }
    }

    #[test]
    fn a_link_to_a_directory_is_not_a_cache() {
        let (directory, cache) = cache();
        cache.store(&key("a"), b"code").expect("it can be stored");
        let link = directory.path().join("link");
        symlink(&cache.path, &link).expect("a link can be made");
        CacheDirectory::at(link).load(&key("a")).expect_err("it is not its own directory");
    }

    #[test]
    fn the_oldest_files_are_removed() {
        let (_directory, mut cache) = cache();
        cache.bytes_max = 3 * (HEADER_BYTES as u64 + 100);
        for name in ["a", "b", "c", "d"] {
            cache.store(&key(name), &[0; 100]).expect("it can be stored");
            // The next one is newer, also by a coarse clock.
            let written = fs::metadata(cache.file(&key(name))).and_then(|found| found.modified()).expect("it is there");
            let earlier = written - std::time::Duration::from_secs(u64::from(b'z' - name.as_bytes()[0]));
            let file = File::options().write(true).open(cache.file(&key(name))).expect("it can be opened");
            file.set_modified(earlier).expect("its time can be set");
        }
        let is_there = |name| cache.load(&key(name)).expect("it is sound").is_some();
        assert_eq!(["a", "b", "c", "d"].map(is_there), [false, true, true, true]);
        cache.store(&key("e"), &[0; 1000]).expect_err("it is larger than the cache");
    }
}
