//! Files in memory, compared with files on disk.

use crate::env::{RealExecutors, Simulation, real};
mod crash;
mod faults;

use super::*;
use std::io::Write as _;

/// Performs the same steps on a disk, and returns all results.
fn steps(disk: &dyn Disk, root: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut see = |what: &str, outcome: io::Result<()>| {
        seen.push(format!("{what}: {:?}", outcome.map_err(|error| error.kind())));
    };
    let write = |path: &str, text: &str| {
        disk.create(&root.join(path)).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync()
        })
    };
    see("write without a directory", write("a/b/one", "1"));
    see("make a/b", disk.create_directory(&root.join("a/b")));
    see("make it again", disk.create_directory(&root.join("a/b")));
    see("write one", write("a/b/one", "1"));
    see("write it again", write("a/b/one", "22"));
    see("write to a directory", write("a/b", "1"));
    see("make a directory below a file", disk.create_directory(&root.join("a/b/one/two")));
    see("can write", disk.check_writable(&root.join("a/b")));
    see("can write to a file", disk.check_writable(&root.join("a/b/one")));
    see("can write to nothing", disk.check_writable(&root.join("a/c")));
    see("rename a file", disk.rename(&root.join("a/b/one"), &root.join("a/b/two")));
    see("write another", write("file", "1"));
    see("rename nothing", disk.rename(&root.join("a/b/one"), &root.join("a/b/two")));
    see("rename a file onto a directory", disk.rename(&root.join("file"), &root.join("a/b")));
    see("rename a file onto its directory", disk.rename(&root.join("a/b/two"), &root.join("a")));
    see("rename a directory onto a file", disk.rename(&root.join("a"), &root.join("file")));
    see("rename a directory into itself", disk.rename(&root.join("a"), &root.join("a/b/a")));
    see("rename to no directory", disk.rename(&root.join("a/b/two"), &root.join("c/two")));
    see("rename to itself", disk.rename(&root.join("a/b/two"), &root.join("a/b/two")));
    see("read a directory", disk.read(&root.join("a/b"), 10).map(drop));
    see("read below a file", disk.read(&root.join("file/two"), 10).map(drop));
    see("remove below a file", disk.remove(&root.join("file/two")));
    see("list a file", disk.list(&root.join("file")).map(drop));
    see("make a directory for a file", disk.create_directory(&root.join("file")));
    see("sync nothing", disk.sync_directory(&root.join("c")));
    see("remove a file", disk.remove(&root.join("file")));
    see("rename a directory", disk.rename(&root.join("a/b"), &root.join("a/c")));
    see("sync", disk.sync_directory(&root.join("a")));
    see("read", disk.read(&root.join("a/c/two"), 10).map(|bytes| assert_eq!(bytes, b"22")));
    see("find", disk.canonicalize(&root.join("a/./c/../c/two")).map(|path| assert!(path.ends_with("a/c/two"))));
    see("find nothing", disk.canonicalize(&root.join("a/b")).map(drop));
    let names = disk.list(&root.join("a")).map(|entries| {
        assert_eq!(entries.iter().map(|entry| (&*entry.name, entry.is_directory)).collect::<Vec<_>>(), [("c", true)]);
    });
    see("list", names);
    see("remove a directory", disk.remove(&root.join("a/c")));
    see("remove nothing", disk.remove(&root.join("a/c")));
    see("list what is empty", disk.list(&root.join("a")).map(|entries| assert!(entries.is_empty())));
    see("list nothing", disk.list(&root.join("a/c")).map(drop));
    seen
}

/// More steps: appending, sizes and locks.
fn more_steps(disk: &dyn Disk, root: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut see = |what: &str, outcome: io::Result<()>| {
        seen.push(format!("{what}: {:?}", outcome.map_err(|error| error.kind())));
    };
    let append = |path: &str, text: &str| {
        disk.append(&root.join(path)).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync()
        })
    };
    see("append to a new file", append("log", "ab"));
    see("append to it again", append("log", "cd"));
    see("append to a directory", append("a", "1"));
    see("append without a directory", append("b/log", "1"));
    see("append below a file", append("log/log", "1"));
    see("read", disk.read(&root.join("log"), 10).map(|bytes| assert_eq!(bytes, b"abcd")));
    let writer = disk.append(&root.join("log"));
    see("rename what is written", disk.rename(&root.join("log"), &root.join("other")));
    see("write on", writer.and_then(|mut file| file.write_all(b"e")));
    see("rename it back", disk.rename(&root.join("other"), &root.join("log")));
    see("read it", disk.read(&root.join("log"), 10).map(|bytes| assert_eq!(bytes, b"abcde")));
    see("size", disk.size(&root.join("log")).map(|bytes| assert_eq!(bytes, 5)));
    see("size of a directory", disk.size(&root.join("a")).map(drop));
    see("size of nothing", disk.size(&root.join("b")).map(drop));
    let first = disk.lock(&root.join("lock"));
    see("lock", first.as_ref().map(|guard| assert!(guard.is_some())).map_err(|error| error.kind().into()));
    see("lock twice", disk.lock(&root.join("lock")).map(|guard| assert!(guard.is_none())));
    see("lock another", disk.lock(&root.join("log")).map(|guard| assert!(guard.is_some())));
    drop(first);
    see("lock again", disk.lock(&root.join("lock")).map(|guard| assert!(guard.is_some())));
    see("lock a directory", disk.lock(&root.join("a")).map(drop));
    see("lock without a directory", disk.lock(&root.join("b/lock")).map(drop));
    see("locks keep the content", disk.size(&root.join("log")).map(|bytes| assert_eq!(bytes, 5)));
    for path in ["lock", "log"] {
        see("remove", disk.remove(&root.join(path)));
    }
    let scratch = disk.scratch(Some(root)).unwrap();
    assert_eq!((scratch.append(b"abc").unwrap(), scratch.append(b"de").unwrap()), (0, 3));
    assert_eq!((scratch.read_at(0, 3).unwrap(), scratch.read_at(2, 3).unwrap()), (b"abc".to_vec(), b"cde".to_vec()));
    see("read beyond the end", scratch.read_at(3, 3).map(drop));
    see("list the directory of a scratch file", disk.list(root).map(|entries| assert_eq!(entries.len(), 1)));
    seen
}

/// The parts of a file's identity that stay the same after each operation.
fn identities(disk: &dyn Disk, root: &Path) -> Vec<bool> {
    let write = |path: &str, text: &str| disk.create(&root.join(path)).unwrap().write_all(text.as_bytes()).unwrap();
    let entry = |path: &str| disk.entry(&root.join(path)).unwrap();
    write("one", "1");
    write("two", "2");
    let (one, two, directory) = (entry("one"), entry("two"), disk.entry(root).unwrap());
    let mut seen = vec![one.id == two.id, one.is_regular, directory.is_regular, directory.id == one.id];
    seen.push(one.modified_ns / 1_000_000 == one.modified.as_ms());
    write("one", "1, written again");
    seen.push(entry("one").id == one.id);
    disk.append(&root.join("one")).unwrap().write_all(b"+").unwrap();
    seen.push(entry("one").id == one.id);
    disk.rename(&root.join("one"), &root.join("two")).unwrap();
    seen.extend([entry("two").id == one.id, disk.entry(&root.join("./two")).unwrap().id == one.id]);
    disk.rename_new(&root.join("two"), &root.join("three")).unwrap();
    seen.push(entry("three").id == one.id);
    seen.push(disk.list(root).unwrap().iter().any(|entry| entry.name == "three" && entry.id == one.id));
    disk.remove(&root.join("three")).unwrap();
    write("three", "1");
    seen.push(entry("three").id == one.id);
    seen
}

/// S2.16: files are distinguished by their identity, and not by their names.
#[test]
fn a_file_is_the_same_whatever_its_name() {
    let executors = RealExecutors::start(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let simulation = Simulation::new(0, Time::from_ms(1_000_000));
    simulation.env().disk.create_directory(Path::new("/root")).unwrap();
    let in_memory = identities(&*simulation.env().disk, Path::new("/root"));
    assert_eq!(in_memory, [false, true, false, false, true, true, true, true, true, true, true, false]);
    let mut on_disk = identities(&*real(&executors).disk, directory.path());
    // A number may be used again. If files have no time of birth, the last file looks like the first.
    on_disk.pop();
    assert_eq!(on_disk, in_memory[..in_memory.len() - 1]);
}

#[test]
fn files_in_memory_behave_as_files_on_disk() {
    let executors = RealExecutors::start(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let on_disk = real(&executors).disk;
    let simulation = Simulation::new(0, Time::default());
    simulation.env().disk.create_directory(Path::new("/root")).unwrap();
    let in_memory = simulation.env().disk;
    assert_eq!(steps(&*in_memory, Path::new("/root")), steps(&*on_disk, directory.path()));
    assert_eq!(more_steps(&*in_memory, Path::new("/root")), more_steps(&*on_disk, directory.path()));
}

#[test]
fn a_full_disk_takes_what_fits() {
    let simulation = Simulation::new(0, Time::default());
    simulation.file("/f", "");
    let mut file = simulation.env().disk.create(Path::new("/f")).unwrap();
    simulation.disk_space(3);
    assert_eq!(file.write_all(b"12345").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(simulation.files()[Path::new("/f")], b"123");
}
