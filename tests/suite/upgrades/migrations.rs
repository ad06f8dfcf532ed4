//! Upgrades to a plugin whose states have other types: the plugin migrates the states of the old one.

use super::*;

/// A world in which one plugin has many operators, which an argument chooses.
fn operators(seed: u64, operator: &str) -> World {
    let mut world = World::new(seed);
    let queue: String = (0..BATCHES as i64).map(|batch| format!("[{}, {}]\n", batch * 2 + 1, batch * 2 + 2)).collect();
    world.simulation.file("/jobs/queue.jsonl", queue);
    world.simulation.file("/jobs/v1.wasm", programs::plugin("operators"));
    let job_file = world.simulation.files()[Path::new("/jobs/job.toml")].clone();
    let set = [("job.args.operator".to_owned(), format!("\"{operator}\""))];
    let settings = config::load_bytes(job_file, Path::new("/jobs/job.toml"), &set, &Facts { cpus: 2 });
    world.settings = settings.expect("the job file is valid");
    world
}

/// Upgrades such a world to another operator, and returns the status at the end, and the rows that the last batch printed.
fn migrated(world: &World, operator: &str) -> (UpgradeStatus, Vec<String>) {
    let set = vec![("job.args.operator".to_owned(), format!("\"{operator}\""))];
    let (ended, status) = world
        .run(|stage| async move {
            stage.until(6200).await;
            let options = UpgradeOptions { plugin: None, auto: true, carry_state: true, set, ..options() };
            stage.upgrades.start(options).expect("an upgrade can begin");
            stage.reached(Phase::is_over).await
        })
        .expect("the machine does not halt");
    assert_eq!(ended, Ok(()), "log: {:#?}", world.simulation.log());
    let printed = world.simulation.printed();
    let last = printed.rsplit("Time: ").next().unwrap_or_default();
    let mut rows: Vec<String> =
        last.lines().skip(1).filter(|line| line.starts_with('(') || line.contains(": ")).map(str::to_owned).collect();
    rows.sort();
    (status.expect("the script ends before the job"), rows)
}

/// States of another type are migrated, key by key. Keys may be dropped.
#[test]
fn states_of_another_type_are_migrated() {
    let (status, rows) = migrated(&operators(7, "update_state_by_key"), "state_migrated");
    assert_eq!(status.phase, Phase::Done, "{status:?}");
    assert!(status.state[0].is_carried && status.state[0].keys == 3, "{status:?}");
    assert!(status.graph.iter().any(|line| line.contains("the plugin migrates")), "{status:?}");
    let joined = (status.joined_after_ms.expect("it has joined") - time_of(0)) / 1000 + 1;
    let sum_of = |key: i64, from: i64| (from..=BATCHES as i64 * 2).filter(|n| n % 3 == key).sum::<i64>();
    let batches = BATCHES - joined;
    // Key 0 was dropped, and counts from the first batch of the new plugin on.
    let expected = [(0, sum_of(0, joined as i64 * 2 + 1), 0), (1, sum_of(1, 1), 1000), (2, sum_of(2, 1), 1000)];
    let expected: Vec<String> = expected
        .iter()
        .map(|(key, sum, before)| {
            format!("({key},({sum},{}))", before + if *key == 0 { rows_since(joined) } else { batches })
        })
        .collect();
    assert_eq!(rows, expected);
    let (status, rows) = migrated(&operators(8, "map_with_state"), "map_with_state_migrated");
    assert_eq!(status.phase, Phase::Done, "{status:?}");
    assert!(status.state[0].is_carried, "{status:?}");
    assert!(rows.iter().any(|row| row == "1: 14"), "{rows:?}");
}

/// In how many batches after this number of batches key 0 has had state: from its first value on.
fn rows_since(joined: u64) -> u64 {
    let first = (joined as i64..BATCHES as i64).find(|batch| [batch * 2 + 1, batch * 2 + 2].iter().any(|n| n % 3 == 0));
    BATCHES - first.unwrap_or_default() as u64
}

/// A state that cannot be migrated stops the upgrade before the hand-over, and the reason names the key.
#[test]
fn a_state_that_cannot_be_migrated_stops_the_upgrade() {
    let (status, rows) = migrated(&operators(9, "update_state_by_key"), "state_migration_refused");
    assert_eq!((status.phase, status.handed_over_after_ms), (Phase::Withdrawn, None));
    let reason = status.reason.expect("there is a reason");
    assert!(reason.contains("key 2") && reason.contains("there is no place for it"), "{reason}");
    assert!(rows.iter().all(|row| !row.contains("1000")), "the old plugin goes on: {rows:?}");
}
