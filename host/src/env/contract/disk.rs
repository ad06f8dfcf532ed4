//! [`Disk`](super::super::Disk), from every executor. `memory_disk/tests` compares both disks step by step.

use super::{in_each_world, on, write};
use std::io::{self, Read as _};

#[test]
fn every_executor_can_use_the_disk() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let seen = {
                let (world, path) = (world.clone(), world.root.join(name));
                on(&*executor, async move {
                    write(&world, &path, "text")?;
                    let disk = &world.env.disk;
                    let _lock = disk.lock(&path)?.ok_or(io::ErrorKind::WouldBlock)?;
                    let mut rest = String::new();
                    disk.open(&path, 2)?.read_to_string(&mut rest)?;
                    let scratch = disk.scratch(Some(&world.root))?;
                    let at = scratch.append(b"abc")?;
                    io::Result::Ok((rest, disk.size(&path)?, scratch.read_at(at, 3)?))
                })
            };
            assert_eq!(seen.await.unwrap().unwrap(), ("xt".to_owned(), 4, b"abc".to_vec()), "{name}");
        }
    });
}

#[test]
fn what_is_no_link_leads_nowhere() {
    in_each_world(async |world| {
        let path = world.root.join("a");
        write(&world, &path, "text").unwrap();
        for path in [path, world.root.clone(), world.root.join("nothing")] {
            assert_eq!(world.env.disk.link(&path), None);
        }
    });
}

/// An open reader continues to read the file that it has opened, even if the name is removed or given to another file.
#[test]
fn an_open_file_is_read_to_its_end() {
    in_each_world(async |world| {
        let (path, other) = (world.root.join("a"), world.root.join("b"));
        write(&world, &path, "first").unwrap();
        write(&world, &other, "second").unwrap();
        let mut reader = world.env.disk.open(&path, 0).unwrap();
        world.env.disk.rename(&other, &path).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first");
        assert_eq!(world.env.disk.read(&path, 6).unwrap(), b"second");
    });
}

/// If two programs ask for the same lock at the same time, exactly one gets it, on all executors.
#[test]
fn of_two_that_lock_a_file_one_succeeds() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let path = world.root.join(format!("{name}.lock"));
            let held = world.env.disk.lock(&path).unwrap();
            assert!(held.is_some());
            let again = |held: bool| {
                let (disk, path) = (world.env.disk.clone(), path.clone());
                let asked = on(&*executor, async move { disk.lock(&path).unwrap().is_some() });
                async move { assert_eq!(asked.await, Some(held), "{name}") }
            };
            again(false).await;
            drop(held);
            again(true).await;
        }
    });
}
