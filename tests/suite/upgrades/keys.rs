//! Keys that are set while a job runs.

use super::*;

/// A job that would end with its first bad batch goes on, once the key says so. Other keys are refused, with the way to
/// change them.
#[test]
fn keys_are_set_while_a_job_runs() {
    let world = World::new(1).with_plugin("hostile.wasm");
    let job_file =
        String::from_utf8(world.simulation.files()[Path::new("/jobs/job.toml")].clone()).expect("it is text");
    let set = [("job.plugin", "\"hostile.wasm\""), ("job.args.does", "\"panic\"")];
    let set: Vec<_> = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let settings = config::load(&job_file, Path::new("/jobs/job.toml"), &set, &Facts { cpus: 2 });
    let world = World { settings: settings.expect("the job file is valid"), ..world };
    let (ended, told) = world
        .run(|stage| async move {
            stage.until(600).await;
            let set = |key: &str, value: &str| stage.upgrades.set(key, value).map_err(|error| error.to_string());
            let done = set("job.on_error", "continue").expect("this key can be set");
            let again = set("job.on_error", "continue").expect("this key can be set");
            let refused = ["job.parallelism", "sources.lines.path", "job.on_eror"].map(|key| set(key, "3"));
            (done, again, refused, set("job.on_error", "perhaps"))
        })
        .expect("the machine does not halt");
    assert_eq!(ended, Ok(()), "log: {:#?}", world.simulation.log());
    let (done, again, refused, wrong) = told.expect("the script ends before the job");
    assert_eq!((done.before, done.after.as_str()), (None, "\"continue\""));
    assert_eq!(again.before.as_deref(), Some("continue"));
    let [parallelism, source, unknown] = refused.map(|refused| refused.expect_err("this key cannot be set"));
    assert_eq!(
        parallelism,
        "key `job.parallelism` cannot be set while job words runs\nhelp: these keys can: job.on_error, job.stop_timeout, \
         receiver.max_rate, backpressure.enabled, backpressure.min_rate, engine.task_attempts; others change with an upgrade: `host upgrade JOB.TOML --set KEY=VALUE`"
    );
    assert!(source.ends_with("help: stop the job gracefully, change its job file, and start it again"), "{source}");
    assert!(unknown.starts_with("key `job.on_eror` cannot be set"), "{unknown}");
    assert!(wrong.expect_err("the value is wrong").contains("perhaps"));
    let log = world.simulation.log();
    assert!(
        log.iter().any(|line| line.ends_with("SettingChanged job.on_error: not given -> \"continue\"")),
        "{log:#?}"
    );
}

/// S12.18: both runs of an upgrade share the receivers. A rate that was set while the job runs is no obstacle to an upgrade;
/// a rate that only the new job file has is.
#[test]
fn a_rate_that_was_set_is_no_obstacle_to_an_upgrade() {
    let world = World::new(1);
    let ((done, refused), _) = world.run_whole(|stage| async move {
        stage.until(600).await;
        stage.upgrades.set("receiver.max_rate", "5000").expect("this key can be set");
        stage.until(2300).await;
        let mut asked = options();
        asked.set = vec![("backpressure.integral".to_owned(), "0.5".to_owned())];
        stage.upgrades.start(asked).expect("an upgrade can begin");
        let refused = stage.reached(Phase::is_over).await;
        let asked = UpgradeOptions { batches: 1, keep: 1, auto: true, ..options() };
        stage.upgrades.start(asked).expect("an upgrade can begin");
        (stage.reached(Phase::is_over).await, refused)
    });
    assert_eq!((done.phase, done.reason.clone()), (Phase::Done, None));
    let reason = refused.reason.unwrap_or_default();
    assert!(reason.contains("backpressure.integral was not given and is 0.5"), "{reason}");
}
