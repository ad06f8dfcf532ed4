//! `kill -9` while a job is upgraded: the next `host run` goes on with exactly one of the two plugins, and each record is
//! saved once.

use super::super::support::binary::{Running, Said, time_ms};
use super::super::support::upgraded_job::UpgradedJob;
use millstream_tests::programs;

const UPGRADE: [&str; 6] = ["upgrade", "job.toml", "--plugin", "v2.wasm", "--batches", "2"];

/// What the log of a start says when the job file still names the old plugin.
const WARNING: &str = "job words was upgraded after batch ";

/// Kills the host of a job.
fn kill(host: Running) -> Said {
    host.signal("KILL");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (None, ""), "{}", said.err);
    said
}

/// The batch after which a job was upgraded, as the log of a start says. `None` if the log says nothing of an upgrade.
fn upgraded_after(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once(WARNING)?;
    let (batch, _) = rest.split_once(": the plugin of run ")?;
    Some(time_ms(batch))
}

/// Kills the host in this step of an upgrade to the new plugin. The job goes on with the old plugin.
fn check_killed_before_the_hand_over(job: &UpgradedJob, step: &str) {
    let mut host = job.start();
    let client = Running::start(job.directory.host(&UPGRADE));
    host.wait_for_err(&format!("UpgradeChanged {step}"));
    kill(host);
    client.finish();
    let log = job.goes_on();
    assert_eq!(upgraded_after(&log), None, "{log}");
    assert!(log.contains("RecoveryStarted"), "{log}");
    assert_eq!(job.runs().len(), 1, "nothing is left of the run that was on trial");
    job.saved().require(|_| false);
}

/// D14: before the hand-over, nothing of the new plugin is left.
#[test]
fn a_host_that_is_killed_before_the_hand_over_goes_on_with_the_old_plugin() {
    let job = UpgradedJob::on_queue();
    for step in ["warming up", "comparing", "ready"] {
        check_killed_before_the_hand_over(&job, step);
    }
}

/// The same over files, which say themselves to which batch they belong.
#[test]
fn a_host_over_files_that_is_killed_before_the_hand_over_goes_on_with_the_old_plugin() {
    let job = UpgradedJob::on_files();
    for step in ["warming up", "ready"] {
        check_killed_before_the_hand_over(&job, step);
    }
}

/// Kills the host when the hand-over begins. The job goes on with the old plugin, or with the new one from a batch on
/// that the log names.
fn check_killed_during_the_hand_over(job: &UpgradedJob) {
    let mut host = job.start();
    job.succeeds(&UPGRADE);
    let commit = Running::start(job.directory.host(&["upgrade", "commit"]));
    host.wait_for_err("UpgradeChanged handing over");
    kill(host);
    commit.finish();
    let log = job.goes_on();
    let after = upgraded_after(&log);
    job.saved().require(|batch| after.is_some_and(|after| batch > after));
    assert_eq!(job.runs().len(), 1, "one of the two is left");
}

/// D14: a crash recovers to exactly one of the two.
#[test]
fn a_host_that_is_killed_during_the_hand_over_goes_on_with_one_of_the_two() {
    check_killed_during_the_hand_over(&UpgradedJob::on_queue());
    check_killed_during_the_hand_over(&UpgradedJob::on_files());
}

/// Kills the host after the hand-over. The job file still names the old plugin, and the job goes on with the new one.
fn check_killed_after_the_hand_over(job: &UpgradedJob) -> u64 {
    let host = job.start();
    job.succeeds(&UPGRADE);
    job.succeeds(&["upgrade", "commit"]);
    let after = job.status()["handed_over_after_ms"].as_u64().expect("it was handed over");
    kill(host);
    let log = job.goes_on();
    assert_eq!(upgraded_after(&log), Some(after), "{log}");
    assert!(log.contains(" is used in place of v1.wasm, until job.plugin names another plugin"), "{log}");
    assert_eq!(job.runs().len(), 1, "nothing is left of the old run");
    after
}

/// D14: after the hand-over, the new plugin goes on, whatever the job file names. A job file that names the new plugin is
/// that of an ordinary job.
#[test]
fn a_host_that_is_killed_after_the_hand_over_goes_on_with_the_new_plugin() {
    let job = UpgradedJob::on_queue();
    let after = check_killed_after_the_hand_over(&job);
    // Without the file, the plugin that was saved with the checkpoints is used.
    std::fs::rename(job.directory.path("v2.wasm"), job.directory.path("v3.wasm")).expect("the file is there");
    let log = job.goes_on();
    assert_eq!(upgraded_after(&log), Some(after), "{log}");
    job.edit_job_file("v1.wasm", "v3.wasm");
    let log = job.goes_on();
    assert!(log.contains("RecoveryStarted") && !log.contains("upgraded"), "{log}");
    let saved = job.saved();
    saved.require(|batch| batch > after);
    assert!(saved.counts().0 > 0 && saved.counts().1 > 0);
    // A third plugin is refused as for any job.
    let mut other = programs::plugin("upgrade_v2");
    // With an empty custom section, the component has another digest and does the same.
    other.extend([0, 2, 1, b'x']);
    job.directory.write("v3.wasm", other);
    let said = job.directory.run(&["run", "job.toml"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.error().contains(" in checkpoint belongs to another plugin: "), "{}", said.error());
}

/// The same over files.
#[test]
fn a_host_over_files_that_is_killed_after_the_hand_over_goes_on_with_the_new_plugin() {
    let job = UpgradedJob::on_files();
    let after = check_killed_after_the_hand_over(&job);
    let saved = job.saved();
    saved.require(|batch| batch > after);
    assert!(saved.counts().0 > 0 && saved.counts().1 > 0);
}

/// After a rollback, the old plugin goes on, also if the job file names the new one already.
#[test]
fn a_job_that_was_handed_back_goes_on_with_the_old_plugin() {
    for names_the_new_one in [false, true] {
        let job = UpgradedJob::on_queue();
        let host = job.start();
        if names_the_new_one {
            job.edit_job_file("v1.wasm", "v2.wasm");
        }
        job.succeeds(&["upgrade", "job.toml", "--batches", "2", "--auto", "--keep", "100000", "--plugin", "v2.wasm"]);
        job.succeeds(&["rollback"]);
        let status = job.status();
        let [over, back] =
            ["handed_over_after_ms", "handed_back_after_ms"].map(|after| status[after].as_u64().expect("it is there"));
        kill(host);
        let log = job.goes_on();
        assert_eq!(upgraded_after(&log), names_the_new_one.then_some(back), "{log}");
        job.saved().require(|batch| over < batch && batch <= back);
        assert_eq!(job.runs().len(), 1, "nothing is left of the new run");
    }
}
