//! Upgrades of a job whose source cannot be read twice: a plain socket.

use super::*;
use host::env::Connection;

/// A job that counts the words of a server, which sends `w0`, `w1` and so on, one every 125 ms. The server goes on with the
/// word after the last one when its second connection begins. `tables` are added to the job file.
pub(super) fn world(seed: u64, tables: &str) -> World {
    let mut world = World::new(seed);
    let delay_ms = |number: u64| if number == 0 { 130 } else { 125 };
    let word = |number| (Duration::from_millis(delay_ms(number)), format!("w{number}\n").into_bytes());
    let connection = |words: std::ops::Range<u64>| Connection { sends: words.map(word).collect(), stays_open: false };
    world.simulation.server("server:9999", vec![connection(0..160), connection(160..400)]);
    read_from(&mut world, &format!("type = \"socket\"\naddress = \"server:9999\"\n{tables}"));
    world.stop_after = Some(24);
    world
}

/// Gives the job of a world another source, which has these keys. Tables may follow.
pub(super) fn read_from(world: &mut World, source: &str) {
    let job_file =
        String::from_utf8(world.simulation.files()[Path::new("/jobs/job.toml")].clone()).expect("it is text");
    let (job, _) = job_file.split_once("[sources.lines]").expect("it has a source");
    let job_file = format!("{job}[sources.lines]\n{source}");
    world.simulation.file("/jobs/job.toml", job_file.clone());
    let settings = config::load(&job_file, Path::new("/jobs/job.toml"), &[], &Facts { cpus: 2 });
    world.settings = settings.expect("the job file is valid");
}

/// The blocks of a socket are received once, and both runs read them. No record is lost, doubled or skipped when the new
/// plugin takes over, when the old one gets the job back, and when a plugin is withdrawn.
#[test]
fn no_record_of_a_socket_is_lost_or_doubled() {
    for seed in 0..3 {
        check_three_upgrades(seed, "");
    }
}

/// As [`three_upgrades`], over a socket.
pub(super) fn check_three_upgrades(seed: u64, tables: &str) -> Saved {
    three_upgrades(world(seed, tables), seed)
}

/// Upgrades a job, hands it over and back, and aborts an upgrade. Requires that each word was counted once. Returns the saved
/// rows.
pub(super) fn three_upgrades(world: World, seed: u64) -> Saved {
    let (ended, phases) = world
        .run(|stage| async move {
            let mut phases = Vec::new();
            for (at, ends) in [(2300, Phase::Done), (9300, Phase::RolledBack), (15_300, Phase::Aborted)] {
                stage.until(at).await;
                let is_new = ends == Phase::Done;
                let plugin = if is_new { "/jobs/v2.wasm" } else { "/jobs/v1.wasm" };
                let asked = UpgradeOptions {
                    plugin: Some(plugin.into()),
                    batches: 1,
                    keep: if is_new { 1 } else { 50 },
                    auto: ends != Phase::Aborted,
                    ..options()
                };
                stage.upgrades.start(asked).expect("an upgrade can begin");
                if ends == Phase::Done {
                    phases.push(stage.reached(Phase::is_over).await.phase);
                    continue;
                }
                let came = stage.reached(|phase| phase == Phase::HandedOver || phase == Phase::Ready).await;
                let asked = if came.phase == Phase::Ready { stage.upgrades.abort() } else { stage.upgrades.rollback() };
                asked.expect("it can be ended");
                phases.push(stage.reached(Phase::is_over).await.phase);
            }
            phases
        })
        .expect("the machine does not halt");
    assert_eq!(ended, Ok(()), "log: {:#?}", world.simulation.log());
    let phases = phases.expect("the script ends before the job");
    assert_eq!(phases, [Phase::Done, Phase::RolledBack, Phase::Aborted], "seed {seed}");
    let saved = world.saved();
    let mut words: Vec<String> =
        saved.iter().filter(|((output, _), _)| output == "counts").flat_map(|(_, rows)| rows.clone()).collect();
    words.sort_by_key(|row| (row.len(), row.clone()));
    let expected: Vec<String> = (0..words.len()).map(|number| format!("(w{number},1)")).collect();
    assert_eq!(words, expected, "seed {seed}");
    assert!(words.len() >= 110, "only {} words came", words.len());
    saved
}
