//! What happens to a file that is not needed any more: it stays, is removed or is moved.
//!
//! Owns the rule that a file is touched only if it is the file that was read, and unchanged. A file is first renamed to
//! a name that nobody else uses. So if another file takes the old name in the meantime, that file is not touched. Then
//! the renamed file is compared with the file that was read. Then it is removed or moved. If a host is killed between
//! these steps, its next start finds the renamed file and goes on with it.

use super::selection::TakenFile;
use crate::env::Disk;
use crate::listener::{Event, ListenerBus};
use crate::shown::Shown as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// What happens to a file that is not needed any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhenDone {
    /// The file stays.
    Keep,
    /// The file is removed.
    Delete,
    /// The file is moved into this directory.
    Move(PathBuf),
}

/// How many names are tried for a file in the directory to which it is moved.
const NAMES_MAX: u32 = 10_000;
/// How many bytes are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Files that are not needed any more, and what is to happen to them.
pub struct DoneFiles {
    pub(super) source: String,
    pub(super) when_done: WhenDone,
    pub(super) files: Vec<TakenFile>,
}

/// What happened to a file.
enum Outcome {
    Removed,
    Moved(PathBuf),
    /// The file was gone already.
    Gone,
    Left(String),
}

impl DoneFiles {
    /// Removes or moves the files. Waits for the disk.
    pub fn finish(self, disk: &dyn Disk, listeners: &ListenerBus) {
        let Self { source, when_done, files } = self;
        for file in files {
            let outcome = finish(disk, &file, &when_done).unwrap_or_else(|error| Outcome::Left(error.to_string()));
            let (source, file) = (source.clone(), file.path.shown().into_owned());
            listeners.post(&match outcome {
                Outcome::Gone => continue,
                Outcome::Removed => Event::FileDone { source, file, moved_to: None },
                Outcome::Moved(place) => Event::FileDone { source, file, moved_to: Some(place.shown().into_owned()) },
                Outcome::Left(reason) => Event::FileLeft { source, file, reason },
            });
        }
    }
}

fn finish(disk: &dyn Disk, file: &TakenFile, when_done: &WhenDone) -> io::Result<Outcome> {
    let Some(id) = file.stamp.id else {
        return Ok(Outcome::Left("an earlier version of the host did not note which file it was".to_owned()));
    };
    if *when_done == WhenDone::Keep {
        return Ok(Outcome::Gone);
    }
    let held = file.path.with_file_name(format!(".millstream-{}-{}", id.inode, file.stamp.modified_ns));
    let is_it = |path: &Path| match disk.entry(path) {
        Ok(entry) => Ok(Some(entry.is_regular && entry.id == id && file.is_unchanged(&entry))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    match is_it(&held)? {
        // An earlier host was killed after it had renamed the file.
        Some(true) => {}
        Some(false) => return Ok(Outcome::Left(format!("{} is in the way", held.shown()))),
        None => match is_it(&file.path)? {
            None => return Ok(Outcome::Gone),
            Some(false) => return Ok(Outcome::Left("it changed after it was read".to_owned())),
            Some(true) => disk.rename(&file.path, &held)?,
        },
    }
    let outcome = match is_it(&held) {
        Ok(Some(true)) => take_away(disk, &held, &file.path, when_done),
        Ok(_) => Ok(Outcome::Left("it changed after it was read".to_owned())),
        Err(error) => Err(error),
    };
    if !matches!(outcome, Ok(Outcome::Removed | Outcome::Moved(_)))
        && let Err(error) = disk.rename_new(&held, &file.path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Ok(Outcome::Left(format!(
            "it is named {} now, because its own name cannot be restored: {error}",
            held.shown()
        )));
    }
    outcome
}

fn take_away(disk: &dyn Disk, held: &Path, path: &Path, when_done: &WhenDone) -> io::Result<Outcome> {
    match when_done {
        WhenDone::Keep => Ok(Outcome::Gone),
        WhenDone::Delete => {
            disk.remove(held)?;
            Ok(Outcome::Removed)
        }
        WhenDone::Move(directory) => {
            disk.create_directory(directory)?;
            let name = path.file_name().unwrap_or_default();
            let link = |from: &Path, to: &Path| disk.rename_new(from, to);
            let place = move_to(disk, held, &directory.join(name), &link)?;
            disk.sync_directory(directory)?;
            Ok(Outcome::Moved(place))
        }
    }
}

/// Moves a file to a path. If the path is taken, a number is added to the name. `link` gives the file a name that does
/// not exist yet. If `link` is not possible between the two directories, the file is copied.
fn move_to(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    link: &dyn Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    match with_free_name(to, &|to| link(from, to)) {
        Ok(place) => return Ok(place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    // The directory is on another file system, or the file system has no links.
    let copy = to.with_file_name(from.file_name().unwrap_or_default());
    let before = disk.entry(from)?;
    let mut written = disk.create(&copy)?;
    let mut read = disk.open(from, 0)?.take(before.bytes);
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = read.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        written.write_all(buffer.get(..count).unwrap_or_default())?;
    }
    written.sync()?;
    drop(written);
    if disk.entry(from)? != before || disk.size(&copy)? != before.bytes {
        disk.remove(&copy)?;
        return Err(io::Error::other("it changed while it was copied"));
    }
    let place = with_free_name(to, &|to| match disk.rename_new(&copy, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => match disk.entry(to) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => disk.rename(&copy, to),
            _ => Err(error),
        },
        renamed => renamed,
    })?;
    if let Some(directory) = to.parent() {
        disk.sync_directory(directory)?;
    }
    disk.remove(from)?;
    Ok(place)
}

/// Calls `take` with a path, and then with numbers added to the path, until a path is free.
fn with_free_name(path: &Path, take: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
    let mut free = path.to_owned();
    for number in 1..NAMES_MAX {
        match take(&free) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(format!(".{number}"));
                free = path.with_file_name(name);
            }
            taken => return taken.map(|()| free),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Simulation;
    use crate::time::Time;
    use std::collections::BTreeMap;

    fn world() -> Simulation {
        let simulation = Simulation::new(0, Time::from_ms(1000));
        simulation.file("/in/a", "one\n");
        simulation
    }

    fn taken(simulation: &Simulation) -> TakenFile {
        TakenFile::new(Time::from_ms(1000), &simulation.env().disk.entry(Path::new("/in/a")).unwrap())
    }

    fn run(simulation: &Simulation, file: &TakenFile, when_done: &WhenDone) -> String {
        match finish(&*simulation.env().disk, file, when_done).unwrap() {
            Outcome::Removed => "removed".to_owned(),
            Outcome::Moved(place) => format!("moved to {}", place.display()),
            Outcome::Gone => "gone".to_owned(),
            Outcome::Left(reason) => reason,
        }
    }

    fn files(simulation: &Simulation) -> BTreeMap<String, String> {
        let text = |(path, bytes): (PathBuf, Vec<u8>)| (path.display().to_string(), String::from_utf8(bytes).unwrap());
        simulation.files().into_iter().map(text).collect()
    }

    fn expect(simulation: &Simulation, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        assert_eq!(files(simulation), expected);
    }

    #[test]
    fn a_file_is_removed_or_moved_and_never_twice() {
        let simulation = world();
        let file = taken(&simulation);
        assert_eq!(run(&simulation, &file, &WhenDone::Delete), "removed");
        assert_eq!(run(&simulation, &file, &WhenDone::Delete), "gone");
        expect(&simulation, &[]);
        let to = WhenDone::Move("/done/deep".into());
        for place in ["/done/deep/a", "/done/deep/a.1", "/done/deep/a.2"] {
            simulation.file("/in/a", place);
            assert_eq!(run(&simulation, &taken(&simulation), &to), format!("moved to {place}"));
        }
        let moved = ["/done/deep/a", "/done/deep/a.1", "/done/deep/a.2"].map(|place| (place, place));
        expect(&simulation, &moved);
    }

    #[test]
    fn a_file_that_changed_is_not_touched() {
        let simulation = world();
        let file = taken(&simulation);
        simulation.env().disk.append(Path::new("/in/a")).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(run(&simulation, &file, &WhenDone::Delete), "it changed after it was read");
        simulation.file("/in/a", "one\n");
        assert_eq!(run(&simulation, &file, &WhenDone::Delete), "it changed after it was read");
        expect(&simulation, &[("/in/a", "one\n")]);
    }

    /// A host was killed after it had renamed a file, and another file has the old name now.
    #[test]
    fn what_was_begun_is_finished() {
        let simulation = world();
        let file = taken(&simulation);
        let held = format!("/in/.millstream-{}-{}", file.stamp.id.unwrap().inode, file.stamp.modified_ns);
        simulation.env().disk.rename(Path::new("/in/a"), Path::new(&held)).unwrap();
        simulation.file("/in/a", "new\n");
        assert_eq!(run(&simulation, &file, &WhenDone::Move("/done".into())), "moved to /done/a");
        expect(&simulation, &[("/done/a", "one\n"), ("/in/a", "new\n")]);
    }

    #[test]
    fn what_cannot_be_moved_keeps_its_name() {
        let simulation = world();
        simulation.file("/done", "a file");
        let file = taken(&simulation);
        assert!(finish(&*simulation.env().disk, &file, &WhenDone::Move("/done".into())).is_err());
        expect(&simulation, &[("/done", "a file"), ("/in/a", "one\n")]);
    }

    #[test]
    fn between_file_systems_a_file_is_copied() {
        let simulation = world();
        simulation.file("/done/a", "older\n");
        let disk = simulation.env().disk;
        disk.rename(Path::new("/in/a"), Path::new("/in/.held")).unwrap();
        let link = |_: &Path, _: &Path| Err(io::ErrorKind::CrossesDevices.into());
        let place = move_to(&*disk, Path::new("/in/.held"), Path::new("/done/a"), &link).unwrap();
        assert_eq!(place, Path::new("/done/a.1"));
        expect(&simulation, &[("/done/a", "older\n"), ("/done/a.1", "one\n")]);
    }
}
