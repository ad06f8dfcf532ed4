//! Upgrades of a job over a plain socket with the write-ahead log: the new plugin gets retained blocks again.

use super::sockets::{check_three_upgrades, world};
use super::*;

const LOG: &str = "\n[receiver]\nwrite_ahead_log = true\n";

/// Requires that each word was counted once, and that windows and totals are those of the counted words. Returns the
/// numbers of the words.
fn check(saved: &Saved) -> BTreeSet<u64> {
    let number = |row: &String| -> u64 {
        let word = row.strip_prefix("(w").and_then(|rest| rest.strip_suffix(",1)"));
        word.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{row} is there more than once"))
    };
    let of = |output: &'static str| {
        let of_output = saved.iter().filter(move |((name, _), _)| name == output);
        of_output.map(move |((_, time), rows)| (*time, rows.iter().map(number).collect::<BTreeSet<_>>()))
    };
    let counts: BTreeMap<u64, BTreeSet<u64>> = of("counts").collect();
    let in_all: usize = counts.values().map(BTreeSet::len).sum();
    let of_span = |from: u64, through: u64| -> BTreeSet<u64> {
        counts.range(from..=through).flat_map(|(_, numbers)| numbers.iter().copied()).collect()
    };
    for (time, numbers) in of("recent") {
        assert_eq!(numbers, of_span(time - 3000, time), "the window at {time}");
    }
    for (time, numbers) in of("totals") {
        assert_eq!(numbers, of_span(0, time), "the totals at {time}");
    }
    let numbers = of_span(0, u64::MAX);
    assert_eq!(numbers.len(), in_all, "each word is in one batch");
    numbers
}

/// Requires that none is missing.
fn require_first(numbers: &BTreeSet<u64>) {
    assert!(numbers.len() >= 110 && numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
}

/// With the log, the windows of the new plugin are full at once, as if it had run from the beginning. Without the log,
/// they fill from the stream.
#[test]
fn logged_blocks_fill_the_windows_of_the_new_plugin() {
    for tables in [LOG, "\n[receiver]\nwrite_ahead_log = true\nwrite_ahead_log_copy = \"copy\"\n", ""] {
        let (status, saved) = world(1, tables).run_whole(|stage| async move {
            stage.until(9200).await;
            let options = UpgradeOptions { auto: true, batches: 1, carry_state: true, ..options() };
            stage.upgrades.start(options).expect("an upgrade can begin");
            stage.reached(Phase::is_over).await
        });
        assert_eq!(status.phase, Phase::Done, "{tables}: {status:?}");
        let (joined, full) = (status.joined_after_ms.expect("it joined"), status.full_from_ms.expect("it is warm"));
        let expected = if tables.is_empty() { joined + 4000 } else { joined + 1000 };
        assert_eq!(full, expected, "{tables}: {status:?}");
        let after = status.handed_over_after_ms.expect("it was handed over");
        assert!(saved.keys().any(|(output, batch)| output == "recent" && *batch > after));
        require_first(&check(&saved));
    }
}

/// A block that was received before a restart is given to the new plugin as well.
#[test]
fn blocks_from_before_a_restart_fill_the_windows_of_the_new_plugin() {
    let mut world = world(2, LOG);
    world.stop_after = Some(6);
    world.run_whole(|_| async {});
    let began_ms = 6000;
    world.stop_after = Some(18);
    let (status, saved) = world.run_whole(move |stage| async move {
        stage.until(began_ms + 100).await;
        let options = UpgradeOptions { auto: true, batches: 1, carry_state: true, ..options() };
        stage.upgrades.start(options).expect("an upgrade can begin");
        stage.reached(Phase::is_over).await
    });
    assert_eq!(status.phase, Phase::Done, "{status:?}");
    // The first host has made six batches.
    assert!(status.data_after_ms.is_some_and(|after| after < time_of(5)), "{status:?}");
    let numbers = check(&saved);
    // The first host has read the words up to its stop.
    let of_first = (0..160).take_while(|number| numbers.contains(number)).count();
    assert!(of_first >= 40 && (160..200).all(|number| numbers.contains(&number)), "{numbers:?}");
    assert!(!numbers.iter().any(|number| (of_first as u64..160).contains(number)), "{numbers:?}");
}

/// A hand-over, a rollback and an upgrade that is aborted lose and double nothing.
#[test]
fn no_logged_record_is_lost_or_doubled() {
    for seed in 0..3 {
        let mut saved = check_three_upgrades(seed, LOG);
        // Without state that is carried over, totals begin with the retained blocks.
        saved.retain(|(output, _), _| output != "totals");
        check(&saved);
    }
}

/// Wherever the machine crashes during an upgrade, each word is counted once, and windows and totals are whole. Only words
/// are missing that were not logged at the crash.
#[test]
fn a_crash_during_an_upgrade_loses_only_what_was_not_logged() {
    let script = |stage: Stage| async move {
        stage.until(3200).await;
        let options = UpgradeOptions { auto: true, keep: 3, carry_state: true, ..options() };
        stage.upgrades.start(options).expect("it begins");
        stage.reached(Phase::is_over).await
    };
    let of_upgrade = |seed| {
        let mut world = world(seed, LOG);
        world.stop_after = Some(14);
        world
    };
    let whole = of_upgrade(6);
    let (status, saved) = whole.run_whole(script);
    assert_eq!(status.phase, Phase::Done, "{status:?}");
    check(&saved);
    let writes = whole.simulation.writes();
    for write in (20..writes).step_by(writes as usize / 40) {
        let world = of_upgrade(6);
        world.simulation.halt_at_write(write);
        assert!(world.run(script).is_none(), "write {write} of {writes} halts the machine");
        world.simulation.crash(write);
        let ((), saved) = world.run_whole(|_| async {});
        let numbers = check(&saved);
        let last = numbers.last().copied().unwrap_or(0);
        let gap: Vec<u64> = (0..last).filter(|number| !numbers.contains(number)).collect();
        let is_one_gap = gap.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(is_one_gap && gap.last().is_none_or(|last| *last == 159), "write {write}: {gap:?}");
        assert_eq!(world.directories().len(), 1, "only the run that has the job is left");
    }
}

/// If the log cannot be read, the new plugin is withdrawn with the reason. The old plugin does not notice.
#[test]
fn a_log_that_cannot_be_read_withdraws_the_new_plugin() {
    let world = world(3, LOG);
    let disk = world.simulation.env().disk;
    let (status, saved) = world.run_whole(|stage| async move {
        stage.until(9200).await;
        disk.remove(Path::new("/jobs/checkpoint/ingest")).expect("it can be removed");
        let options = UpgradeOptions { auto: true, carry_state: true, ..options() };
        stage.upgrades.start(options).expect("an upgrade can begin");
        stage.reached(Phase::is_over).await
    });
    assert_eq!(status.phase, Phase::Withdrawn, "{status:?}");
    assert!(status.reason.as_ref().is_some_and(|reason| reason.contains("lines")), "{status:?}");
    require_first(&check(&saved));
}
