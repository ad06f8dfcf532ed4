//! Unix sockets to which only their owner can connect, from the moment at which they exist.
//!
//! The sockets are in directories that only their owner can enter, so that no other user can lock the directory or take
//! a name in it. A socket gets its mode before it gets its name, so that there is no moment at which other users could
//! connect. If a path is too long for the address of a socket, the address uses the file descriptor of the directory
//! instead.

use super::Clock;
use super::local::{Duplex, LocalListener, LocalSockets};
use crate::shown::Shown as _;
use crate::time::Duration;
use futures::future::BoxFuture;
use rustix::fs::Mode;
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// The longest path that fits into the address of a socket on all systems.
const PATH_BYTES_MAX: usize = 100;
/// How many programs may wait until the listener accepts them.
const BACKLOG: u32 = 16;
/// How often a program tries to lock a directory in which another program is about to listen, and the pause between two
/// tries. The other program needs the lock for less than a millisecond.
const TURNS_MAX: u32 = 100;
const TURN_PAUSE: Duration = Duration::from_millis(10);

/// The user id of the superuser.
const ROOT: u32 = 0;
/// The permission bits of all users except the owner.
const OTHERS: u32 = 0o077;

/// The sockets of the machine.
pub(super) struct UnixSockets {
    pub(super) clock: Arc<dyn Clock>,
}

/// A name in an open directory.
struct Place {
    directory: File,
    path: PathBuf,
}

impl Place {
    fn open(directory: &Path, name: &str) -> io::Result<Self> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let path = directory.join(name);
        // Only a directory is opened: opening a pipe would wait for its other end.
        let flags = rustix::fs::OFlags::DIRECTORY.bits().cast_signed();
        let opened = File::options().read(true).custom_flags(flags).open(directory)?;
        let path = if path.as_os_str().len() <= PATH_BYTES_MAX {
            path
        } else {
            Path::new("/proc/self/fd").join(opened.as_raw_fd().to_string()).join(name)
        };
        Ok(Self { directory: opened, path })
    }

    /// Opens a directory in order to listen in it. The directory is created if it does not exist. Other users cannot
    /// enter it.
    fn open_private(directory: &Path, name: &str) -> io::Result<Self> {
        let made = DirBuilder::new().mode(0o700).create(directory);
        made.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
        let found = std::fs::symlink_metadata(directory)?;
        if !found.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "a file or a link has the name of its directory"));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its directory belongs to another user"));
        }
        let place = Self::open(directory, name)?;
        if found.mode() & OTHERS != 0 {
            place.directory.set_permissions(Permissions::from_mode(0o700))?;
        }
        Ok(place)
    }

    /// Waits until no other program is about to listen in the directory. Then other programs have to wait until this
    /// place is dropped or [`Place::give_way`] is called.
    async fn take_turn(&self, clock: &dyn Clock) -> io::Result<()> {
        for _ in 0..TURNS_MAX {
            match self.directory.try_lock() {
                Ok(()) => return Ok(()),
                // Some file systems have no locks on directories. The only risk is this: if two programs start at once,
                // and a name was left behind, one of the programs cannot be reached.
                Err(TryLockError::Error(_)) => return Ok(()),
                Err(TryLockError::WouldBlock) => clock.sleep_until(clock.now() + TURN_PAUSE).await,
            }
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "another program keeps the directory locked"))
    }

    /// Lets other programs listen in the directory. The directory stays open as long as its listener exists.
    fn give_way(directory: &File) {
        // If there is no lock, there is nothing to release.
        let _ = directory.unlock();
    }

    /// Whether a program listens under the name. If none does, the name is free afterwards.
    async fn is_in_use(&self) -> io::Result<bool> {
        let found = match std::fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if !found.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket has that name"));
        }
        match UnixStream::connect(&self.path).await {
            Ok(_) => Ok(true),
            // The program listens, but its queue of waiting connections is full.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(&self.path)?;
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn bind(self) -> io::Result<Listener> {
        let socket = UnixSocket::new_stream()?;
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        socket.bind(&self.path)?;
        let bound = std::fs::symlink_metadata(&self.path)?;
        let identity = (bound.dev(), bound.ino());
        let listener = socket.listen(BACKLOG)?;
        let listener = Listener { place: self, identity, listener, is_closed: AtomicBool::new(false) };
        if bound.mode() & OTHERS != 0 {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the file system does not keep others out"));
        }
        Ok(listener)
    }
}

impl LocalSockets for UnixSockets {
    fn listen<'a>(
        &'a self,
        directory: &'a Path,
        name: &'a str,
    ) -> BoxFuture<'a, io::Result<Option<Box<dyn LocalListener>>>> {
        Box::pin(async move {
            let place = Place::open_private(directory, name)?;
            // If two programs find the same name left behind, they must not both take it.
            place.take_turn(&*self.clock).await?;
            let directory = place.directory.try_clone()?;
            let outcome = match place.is_in_use().await {
                Ok(true) => Ok(None),
                Ok(false) => place.bind().map(|listener| Some(Box::new(listener) as Box<dyn LocalListener>)),
                Err(error) => Err(error),
            };
            Place::give_way(&directory);
            outcome
        })
    }

    fn connect<'a>(&'a self, directory: &'a Path, name: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let place = Place::open(directory, name)?;
            let stream = UnixStream::connect(&place.path).await?;
            // If other users may write to the directory, the name may lead to a program of theirs.
            let (own, peer) = users(&stream)?;
            if !may_answer(own, peer) {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user listens there"));
            }
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

/// The users of both sides: the user of this program, and the user of the other program.
fn users(stream: &UnixStream) -> io::Result<(u32, u32)> {
    Ok((rustix::process::geteuid().as_raw(), stream.peer_cred()?.uid()))
}

/// Whether a host of the user `own` accepts a program of the user `peer`: the user must be the same, or the superuser.
const fn may_ask(own: u32, peer: u32) -> bool {
    peer == own || peer == ROOT
}

/// Whether a program of the user `own` trusts a host of the user `peer`. The superuser may use the hosts of all users.
const fn may_answer(own: u32, peer: u32) -> bool {
    may_ask(own, peer) || own == ROOT
}

struct Listener {
    place: Place,
    /// The identity of the socket's file.
    identity: (u64, u64),
    listener: UnixListener,
    is_closed: AtomicBool,
}

impl LocalListener for Listener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            loop {
                let (stream, _) = self.listener.accept().await?;
                // If the other program has already closed the connection, its user is unknown and is not accepted.
                if users(&stream).is_ok_and(|(own, peer)| may_ask(own, peer)) {
                    return Ok(Box::new(stream) as Box<dyn Duplex>);
                }
            }
        })
    }

    fn close(&self) {
        if self.is_closed.swap(true, Ordering::Relaxed) {
            return;
        }
        // Somebody may have removed the file, and another program may listen under the name now.
        let is_ours =
            std::fs::symlink_metadata(&self.place.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if is_ours && let Err(error) = std::fs::remove_file(&self.place.path) {
            tracing::warn!("cannot remove the socket {}: {error}", self.place.path.shown());
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Env, RealExecutors, real};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn run<T>(future: impl AsyncFnOnce(Env) -> T) -> T {
        let executors = RealExecutors::start(1).unwrap();
        let outcome = executors.block_on(future(real(&executors)));
        executors.shutdown();
        outcome
    }

    /// Only programs of the host's own user and of the superuser are accepted, whether or not the host runs as the
    /// superuser.
    #[test]
    fn only_the_same_user_and_root_are_listened_to() {
        let users = [0, 1, 1000, 65_534];
        for (own, peer) in users.into_iter().flat_map(|own| users.map(|peer| (own, peer))) {
            assert_eq!(may_ask(own, peer), peer == own || peer == 0, "{own} is asked by {peer}");
            assert_eq!(may_answer(own, peer), peer == own || peer == 0 || own == 0, "{own} asks {peer}");
        }
    }

    #[test]
    fn others_cannot_enter_the_directory() {
        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (made, old) = (root.path().join("made"), root.path().join("old"));
        std::fs::create_dir(&old).unwrap();
        std::fs::set_permissions(&old, Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink("old", root.path().join("link")).unwrap();
        run(async |env| {
            for directory in [&made, &old] {
                let _listener = env.local.listen(directory, "s").await.unwrap().unwrap();
                assert_eq!(mode(directory), 0o700);
            }
            let refused = env.local.listen(&root.path().join("link"), "s").await.err().unwrap();
            assert_eq!(refused.kind(), io::ErrorKind::NotADirectory);
        });
    }

    #[test]
    fn programs_talk_however_long_the_path_is() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&long).unwrap();
        for directory in [root.path(), &long] {
            run(async |env| {
                let listener = env.local.listen(directory, ".job.sock").await.unwrap().unwrap();
                let mode = std::fs::symlink_metadata(directory.join(".job.sock")).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                let mut client = env.local.connect(directory, ".job.sock").await.unwrap();
                client.write_all(b"x").await.unwrap();
                let mut server = listener.accept().await.unwrap();
                assert_eq!(server.read_u8().await.unwrap(), b'x');
                assert!(env.local.listen(directory, ".job.sock").await.unwrap().is_none(), "it is in use");
                drop(listener);
                assert!(!directory.join(".job.sock").exists());
            });
        }
    }

    #[test]
    fn what_a_dead_program_left_is_taken_over_and_a_file_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        run(async |env| {
            let listener = env.local.listen(root.path(), "s").await.unwrap().unwrap();
            // Another program has replaced the file, so the file must not be removed.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, "a file").unwrap();
            drop(listener);
            let refused = env.local.listen(root.path(), "s").await.err().unwrap();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&path).unwrap(), b"a file");
            let nowhere = env.local.connect(root.path(), "other").await.err().unwrap();
            assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
        });
    }
    /// However many programs start in a directory at once, each name that was left behind gets exactly one new
    /// listener.
    #[test]
    fn programs_that_start_at_once_share_names_and_directories() {
        let root = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c"];
        for name in names {
            drop(std::os::unix::net::UnixListener::bind(root.path().join(name)).unwrap());
        }
        // Another program is about to listen there, so all others have to wait.
        let other = File::open(root.path()).unwrap();
        other.lock().unwrap();
        let starts: Vec<_> = names.into_iter().cycle().take(12).collect();
        let threads: Vec<_> = starts
            .into_iter()
            .map(|name| {
                let directory = root.path().to_path_buf();
                std::thread::spawn(move || {
                    let executors = RealExecutors::start(1).unwrap();
                    let env = real(&executors);
                    let listener = executors.block_on(async { env.local.listen(&directory, name).await.unwrap() });
                    (name, listener, executors)
                })
            })
            .collect();
        other.unlock().unwrap();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for name in names {
            let listeners = ended.iter().filter(|(of, listener, _)| *of == name && listener.is_some());
            assert_eq!(listeners.count(), 1, "{name}");
            run(async |env| drop(env.local.connect(root.path(), name).await.unwrap()));
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("elsewhere");
        std::os::unix::fs::symlink(&target, root.path().join("s")).unwrap();
        run(async |env| {
            for is_there in [false, true] {
                if is_there {
                    std::fs::write(&target, "a file").unwrap();
                }
                let refused = env.local.listen(root.path(), "s").await.err().unwrap();
                assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
                assert!(std::fs::symlink_metadata(root.path().join("s")).unwrap().file_type().is_symlink());
                assert_eq!(target.exists(), is_there);
            }
        });
        assert_eq!(std::fs::read(&target).unwrap(), b"a file");
    }
}
