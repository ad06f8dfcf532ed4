//! Disks that are full, read-only, or out of reach.

use crate::env::Simulation;
use crate::time::Time;
use std::io::{self, Write as _};
use std::path::Path;

fn kind<T>(outcome: io::Result<T>) -> Option<io::ErrorKind> {
    outcome.err().map(|error| error.kind())
}

#[test]
fn a_read_only_directory_keeps_its_entries_but_not_their_content() {
    let simulation = Simulation::new(0, Time::default());
    simulation.file("/d/f", "old");
    simulation.read_only("/d");
    let disk = simulation.env().disk;
    let denied = Some(io::ErrorKind::PermissionDenied);
    assert_eq!(kind(disk.create(Path::new("/d/g"))), denied);
    assert_eq!(kind(disk.append(Path::new("/d/g"))), denied);
    assert_eq!(kind(disk.lock(Path::new("/d/g")).map(drop)), denied);
    assert_eq!(kind(disk.create_directory(Path::new("/d/e/e"))), denied);
    assert_eq!(kind(disk.rename(Path::new("/d/f"), Path::new("/f"))), denied);
    assert_eq!(kind(disk.remove(Path::new("/d/f"))), denied);
    assert_eq!(kind(disk.check_writable(Path::new("/d"))), denied);
    disk.create(Path::new("/d/f")).unwrap().write_all(b"new").unwrap();
    assert_eq!(simulation.files()[Path::new("/d/f")], b"new");
}

#[test]
fn files_are_out_of_reach_for_their_time_and_below_their_path_only() {
    let simulation = Simulation::new(0, Time::from_ms(0));
    simulation.file("/far/f", "far");
    simulation.file("/near/f", "near");
    simulation.disk_unreachable(Time::from_ms(10), Time::from_ms(20), "/far", io::ErrorKind::TimedOut);
    let env = simulation.env();
    let seen = simulation.run(async move {
        let (far, near) = (Path::new("/far/f"), Path::new("/near/f"));
        let mut writer = env.disk.append(far).unwrap();
        let scratch = env.disk.scratch(Some(Path::new("/far"))).unwrap();
        let mut seen = Vec::new();
        for at in [9, 10, 19, 20] {
            env.clock.sleep_until(Time::from_ms(at)).await;
            let disk = &env.disk;
            let outcomes = [
                kind(disk.read(far, 10)),
                kind(disk.list(Path::new("/far"))),
                kind(disk.open(far, 0)),
                kind(disk.canonicalize(Path::new("/near/../far/f"))),
                kind(disk.check_writable(Path::new("/far"))),
                kind(disk.create_directory(Path::new("/far/d"))),
                kind(disk.create(Path::new("/far/new"))),
                kind(disk.append(far)),
                kind(disk.size(far)),
                kind(disk.lock(far).map(drop)),
                kind(disk.rename(far, far)),
                kind(disk.rename(near, Path::new("/far/new")).and_then(|()| disk.rename(Path::new("/far/new"), near))),
                kind(disk.remove(Path::new("/far/new"))),
                kind(disk.sync_directory(Path::new("/far"))),
                kind(disk.scratch(Some(Path::new("/far"))).map(drop)),
                kind(scratch.append(b"1")),
                kind(scratch.read_at(0, 1)),
                kind(writer.write_all(b"1")),
                kind(writer.sync()),
            ];
            assert_eq!(kind(disk.read(near, 10)), None);
            assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "at {at}: {outcomes:?}");
            seen.push(outcomes[0]);
        }
        seen
    });
    let timed_out = Some(io::ErrorKind::TimedOut);
    assert_eq!(seen.unwrap(), [None, timed_out, timed_out, None]);
    assert_eq!(simulation.files()[Path::new("/far/f")], b"far11");
}

#[test]
fn a_sync_after_a_failed_one_promises_nothing() {
    let lost = |is_created_anew: bool| {
        (0..50).any(|seed| {
            let simulation = Simulation::new(0, Time::from_ms(0));
            simulation.file("/d/f", "");
            simulation.disk_unreachable(Time::from_ms(10), Time::from_ms(20), "/d/f", io::ErrorKind::TimedOut);
            let env = simulation.env();
            let main = async move {
                let mut file = env.disk.append(Path::new("/d/f")).unwrap();
                file.write_all(b"1").unwrap();
                env.clock.sleep_until(Time::from_ms(10)).await;
                assert!(file.sync().is_err());
                env.clock.sleep_until(Time::from_ms(20)).await;
                if is_created_anew {
                    file = env.disk.create(Path::new("/d/f")).unwrap();
                    file.write_all(b"1").unwrap();
                }
                file.sync().unwrap();
            };
            simulation.run(main).unwrap();
            simulation.crash(seed);
            simulation.files()[Path::new("/d/f")] != b"1"
        })
    };
    assert!(lost(false) && !lost(true));
}
