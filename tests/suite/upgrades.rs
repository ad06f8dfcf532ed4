//! Upgrades of running jobs in a simulated world: which run shows which batch, also if the machine crashes at any write.

mod keys;
mod migrations;
mod sockets;
mod streams;
mod write_ahead_log;

use super::support::plugins;
use super::support::simulated::START;
use host::config::{self, Facts, Settings};
use host::context::{RunOptions, Running, StreamingContext, Upgrades};
use host::env::{Env, Simulation, SimulationError};
use host::error::Error;
use host::listener::ListenerBus;
use host::receiver::Receivers;
use host::upgrade::{Phase, UpgradeControl, UpgradeOptions, UpgradeStatus};
use millstream_tests::programs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The saved rows of each output and batch.
type Saved = BTreeMap<(String, u64), Vec<String>>;

/// The lines of a batch.
fn lines(batch: u64) -> Vec<String> {
    let boom = (batch % 2 == 1).then(|| "boom".to_owned());
    (0..batch % 4 + 1).map(|line| format!("W{} w{}. B{batch}", line % 2, line % 2)).chain(boom).collect()
}

/// The number of batches of a job.
const BATCHES: u64 = 20;

/// The time of a batch, whose number counts from 0.
const fn time_of(number: u64) -> u64 {
    (START.as_ms() / 1000 + 1 + number) * 1000
}

/// A job over a queue, in a world of its own, with the old and the new plugin of the example `upgrade`.
struct World {
    simulation: Simulation,
    settings: Settings,
    /// The job stops after this many batches. `None` if it ends with its queue.
    stop_after: Option<u64>,
}

/// What a script can use.
struct Stage {
    env: Env,
    upgrades: Upgrades,
}

impl Stage {
    async fn until(&self, ms: u64) {
        self.env.clock.sleep_until(START + Duration::from_millis(ms)).await;
    }

    /// Waits until an upgrade has come as far as this.
    async fn reached(&self, is_reached: impl Fn(Phase) -> bool) -> UpgradeStatus {
        loop {
            let status = self.upgrades.status().expect("there is an upgrade");
            if is_reached(status.phase) || status.phase.is_over() {
                return status;
            }
            self.env.clock.sleep_until(self.env.clock.now() + Duration::from_millis(50)).await;
        }
    }
}

/// An upgrade to the new plugin that needs three batches to be ready.
fn options() -> UpgradeOptions {
    UpgradeOptions { plugin: Some("/jobs/v2.wasm".into()), batches: 3, keep: 4, ..UpgradeOptions::default() }
}

impl World {
    fn new(seed: u64) -> Self {
        Self::with_keys(seed, "")
    }

    fn with_keys(seed: u64, keys: &str) -> Self {
        let simulation = Simulation::new(seed, START);
        let queue: String = (0..BATCHES).map(|batch| format!("{:?}\n", lines(batch))).collect();
        simulation.file("/jobs/queue.jsonl", queue);
        simulation.file("/jobs/out/.keep", "");
        simulation.file("/jobs/v1.wasm", programs::plugin("upgrade"));
        simulation.file("/jobs/v2.wasm", programs::plugin("upgrade_v2"));
        simulation.file("/jobs/hostile.wasm", programs::plugin("hostile"));
        let job_file = format!(
            "[job]\nname = \"words\"\nplugin = \"v1.wasm\"\ncheckpoint = \"checkpoint\"\n\
             directories = {{ out = \"out\" }}\n{keys}\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
        );
        simulation.file("/jobs/job.toml", job_file.clone());
        let settings = config::load(&job_file, Path::new("/jobs/job.toml"), &[], &Facts { cpus: 2 });
        Self { simulation, settings: settings.expect("the job file is valid"), stop_after: None }
    }

    /// The same job with another plugin.
    fn with_plugin(mut self, plugin: &str) -> Self {
        let job_file = self.simulation.files()[Path::new("/jobs/job.toml")].clone();
        let set = [("job.plugin".to_owned(), format!("\"{plugin}\""))];
        let settings = config::load_bytes(job_file, Path::new("/jobs/job.toml"), &set, &Facts { cpus: 2 });
        self.settings = settings.expect("the job file is valid");
        self
    }

    /// Runs the job until its queue is used up, and a script beside it. `None` if the machine halts before that.
    fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        script: impl FnOnce(Stage) -> F + Send + 'static,
    ) -> Option<(Result<(), Error>, Option<T>)> {
        let (env, settings) = (self.simulation.env(), self.settings.clone());
        let (note, stop_after) = (self.simulation.note(), self.stop_after);
        let main = async move {
            let context =
                StreamingContext::with_loader(env.clone(), settings, &plugins::loader(), &Receivers::default());
            let stop_when_idle = stop_after.is_none();
            let options = RunOptions { stop_after, stop_when_idle, listeners: noted(note), ..RunOptions::default() };
            let mut running: Running = match context.and_then(|context| context.start(options)) {
                Ok(running) => running,
                Err(error) => return (Err(error), None),
            };
            let upgrades = running.upgrades(plugins::loader());
            let mut told = None;
            let ended = {
                let ended = running.await_termination();
                let script = script(Stage { env, upgrades });
                tokio::pin!(ended, script);
                tokio::select! {
                    biased;
                    ended = &mut ended => ended,
                    value = &mut script => {
                        told = Some(value);
                        ended.await
                    }
                }
            };
            (ended, told)
        };
        match self.simulation.run(main) {
            Ok(ended) => Some(ended),
            Err(SimulationError::Halted { .. }) => None,
            Err(error) => panic!("{error}; log: {:#?}", self.simulation.log()),
        }
    }

    /// Runs the job to its end, and a script beside it. Returns the result of the script, and the saved rows.
    fn run_whole<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        script: impl FnOnce(Stage) -> F + Send + 'static,
    ) -> (T, Saved) {
        let (ended, told) = self.run(script).expect("the machine does not halt");
        assert_eq!(ended, Ok(()), "log: {:#?}", self.simulation.log());
        (told.expect("the script ends before the job"), self.saved())
    }

    /// The directories of runs that have files.
    fn directories(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let mut directories = BTreeMap::<String, Vec<PathBuf>>::new();
        for path in self.simulation.files().into_keys() {
            let Ok(below) = path.strip_prefix("/jobs/checkpoint/runs") else { continue };
            let Some(run) = below.iter().next() else { continue };
            directories.entry(run.to_string_lossy().into_owned()).or_default().push(path);
        }
        directories
    }

    /// The rows that are saved now.
    fn saved(&self) -> Saved {
        let mut saved = Saved::new();
        for (path, bytes) in self.simulation.files() {
            let Ok(below) = path.strip_prefix("/jobs/out") else { continue };
            let mut parts = below.iter().map(|part| part.to_string_lossy().into_owned());
            let (Some(directory), Some(file)) = (parts.next(), parts.next()) else { continue };
            let Some((output, batch)) = directory.trim_end_matches(".txt").rsplit_once('-') else { continue };
            let Ok(batch) = batch.parse() else { continue };
            let rows = saved.entry((output.to_owned(), batch)).or_default();
            if file.starts_with("part-") {
                rows.extend(String::from_utf8(bytes).expect("rows are text").lines().map(str::to_owned));
            }
        }
        saved
    }
}

fn noted(note: impl Fn(&str) + Send + Sync + 'static) -> ListenerBus {
    struct Noted<F>(F);
    impl<F: Fn(&str) + Send + Sync> host::listener::StreamingListener for Noted<F> {
        fn on_event(&self, event: &host::listener::Event) {
            (self.0)(&event.to_string());
        }
    }
    ListenerBus::new(vec![std::sync::Arc::new(Noted(note))])
}

/// The counts of a batch, as the old or the new plugin saves them.
fn counts(batch: u64, is_new: bool) -> BTreeSet<String> {
    let mut counts = BTreeMap::<String, u64>::new();
    for line in lines(batch) {
        for word in line.split_whitespace() {
            let word = if is_new { word.trim_end_matches('.').to_lowercase() } else { word.to_owned() };
            *counts.entry(word).or_default() += 1;
        }
    }
    counts.into_iter().map(|(word, count)| format!("({word},{count})")).collect()
}

/// Requires that each batch was saved once, by the old plugin through `after`, and by the new one after it. With
/// `None`, the old plugin saved all batches.
fn require_one_run_for_each_batch(saved: &Saved, mut is_new: impl FnMut(u64) -> bool) {
    for number in 0..BATCHES {
        let batch = time_of(number);
        let rows = saved.get(&("counts".to_owned(), batch)).unwrap_or_else(|| panic!("batch {batch} is missing"));
        let rows_once: BTreeSet<String> = rows.iter().cloned().collect();
        assert_eq!(rows.len(), rows_once.len(), "batch {batch}: {rows:?}");
        assert_eq!(rows_once, counts(number, is_new(batch)), "batch {batch}");
    }
}

/// S13.01: the new plugin runs beside the old one, is compared with it, and takes over between two batches.
#[test]
fn a_new_plugin_takes_a_job_over_between_two_batches() {
    for seed in 0..3 {
        let (status, saved) = World::new(seed).run_whole(|stage| async move {
            stage.until(3200).await;
            stage.upgrades.start(options()).expect("an upgrade can begin");
            let ready = stage.reached(|phase| phase == Phase::Ready).await;
            assert_eq!(ready.phase, Phase::Ready, "{ready:?}");
            stage.upgrades.commit(false).expect("it is ready");
            let handed_over = stage.reached(|phase| phase == Phase::HandedOver).await;
            assert_eq!(handed_over.phase, Phase::HandedOver, "{handed_over:?}");
            stage.reached(Phase::is_over).await
        });
        assert_eq!((status.phase, status.reason.clone()), (Phase::Done, None), "seed {seed}");
        let after = status.handed_over_after_ms.expect("it was handed over");
        assert!(after >= time_of(5), "{status:?}");
        require_one_run_for_each_batch(&saved, |batch| batch > after);
        assert!(status.compared >= 3 && status.differences > 0, "{status:?}");
        let compared = status.outputs.iter().find(|output| output.output == "counts").expect("it is compared");
        assert!(compared.batches_different >= 3 && compared.rows.rows_only_old > 0, "{compared:?}");
    }
}

/// S13.05, S13.06: the new plugin has a fresh directory, and nothing is left of the old one unless it is to be kept.
#[test]
fn the_directory_of_the_old_run_is_kept_on_request() {
    for keep_old_run in [false, true] {
        let world = World::new(1);
        world.run_whole(move |stage| async move {
            stage.until(3200).await;
            let options = UpgradeOptions { auto: true, keep: 1, keep_old_run, ..options() };
            stage.upgrades.start(options).expect("an upgrade can begin");
            let status = stage.reached(Phase::is_over).await;
            assert_eq!(status.phase, Phase::Done, "{status:?}");
        });
        let directories = world.directories();
        assert_eq!(directories.len(), if keep_old_run { 2 } else { 1 }, "{directories:?}");
        let files = world.simulation.files();
        let reports = files.keys().filter(|path| path.starts_with("/jobs/.millstream")).count();
        assert_eq!(reports, 1);
    }
}

/// The old plugin gets the job back.
#[test]
fn a_rollback_gives_the_job_back_to_the_old_plugin() {
    let (status, saved) = World::new(2).run_whole(|stage| async move {
        stage.until(3200).await;
        stage.upgrades.start(UpgradeOptions { auto: true, keep: 100, ..options() }).expect("an upgrade can begin");
        stage.reached(|phase| phase == Phase::HandedOver).await;
        stage.until(12_200).await;
        stage.upgrades.rollback().expect("the old run is kept");
        stage.reached(Phase::is_over).await
    });
    assert_eq!((status.phase, status.reason.clone()), (Phase::RolledBack, None));
    let (over, back) = (status.handed_over_after_ms.expect("there"), status.handed_back_after_ms.expect("and back"));
    assert!(back >= over + 3000, "{over} {back}");
    require_one_run_for_each_batch(&saved, |batch| (over + 1..=back).contains(&batch));
}

/// A new plugin that was aborted leaves nothing behind, and the job can be upgraded again.
#[test]
fn an_upgrade_can_be_aborted_at_any_time() {
    let world = World::new(3);
    let (refused, saved) = world.run_whole(|stage| async move {
        for at in [3200, 5200, 9200] {
            stage.until(at).await;
            stage.upgrades.start(options()).expect("an upgrade can begin");
            let refused = stage.upgrades.start(options()).expect_err("one at a time");
            assert!(refused.to_string().starts_with("job words is being upgraded to"), "{refused}");
            stage.until(at + 1500).await;
            stage.upgrades.abort().expect("it can be aborted");
            let status = stage.reached(Phase::is_over).await;
            assert_eq!(status.phase, Phase::Aborted, "{status:?}");
        }
        stage.upgrades.commit(false).expect_err("there is no new run").to_string()
    });
    assert_eq!(
        refused,
        "the upgrade of job words is aborted: no new run waits for this\n\
         help: begin an upgrade with `host upgrade JOB.TOML --plugin NEW.wasm`"
    );
    require_one_run_for_each_batch(&saved, |_| false);
}

/// A new plugin that fails is withdrawn with the reason, and the old one does not notice.
#[test]
fn a_new_plugin_that_fails_is_withdrawn() {
    let alone = World::new(4).run_whole(|_| async {}).1;
    let (reasons, saved) = World::new(4).run_whole(|stage| async move {
        let mut reasons = Vec::new();
        let hostile = |does: &str| UpgradeOptions {
            plugin: Some("/jobs/hostile.wasm".into()),
            set: vec![("job.args.does".to_owned(), format!("\"{does}\""))],
            ..options()
        };
        let tried = [
            hostile("panic"),
            hostile("allocate"),
            hostile("describe-panic"),
            UpgradeOptions { plugin: Some("/jobs/none.wasm".into()), ..options() },
            UpgradeOptions { plugin: Some("/jobs/v1.wasm".into()), ..options() },
            UpgradeOptions { set: vec![("job.batch_interval".to_owned(), "2s".to_owned())], ..options() },
            UpgradeOptions { max_diff: Some(0), ..options() },
            UpgradeOptions { memory_bytes: Some(1 << 20), ..options() },
        ];
        for options in tried {
            stage.upgrades.start(options).expect("an upgrade can begin");
            let status = stage.reached(Phase::is_over).await;
            assert_eq!(status.phase, Phase::Withdrawn, "{status:?}");
            reasons.push(status.reason.expect("there is a reason"));
        }
        reasons
    });
    let begins = [
        "`print` (node 2) of the new plugin failed at batch ",
        "`print` (node 2) of the new plugin failed at batch ",
        "plugin /jobs/hostile.wasm failed to describe its graph: ",
        "cannot read plugin /jobs/none.wasm",
        "/jobs/v1.wasm is the plugin that runs already",
        "job.batch_interval was not given and is \"2s\": both runs share what this key sets",
        "the results of both runs have ",
        "there is not enough memory for a second run: ",
    ];
    for (reason, begin) in reasons.iter().zip(begins) {
        assert!(reason.starts_with(begin), "{reason:?} does not begin with {begin:?}");
    }
    assert_eq!(saved, alone);
}

/// Inputs that can be read again fill the windows of the new plugin at once, and rebuild its state as far back as they
/// reach: its results are as if it had run from the beginning.
#[test]
fn retained_inputs_warm_the_new_plugin_up() {
    let alone = World::new(1).with_plugin("v2.wasm").run_whole(|_| async {}).1;
    let (status, saved) = World::new(2).run_whole(|stage| async move {
        stage.until(9200).await;
        stage.upgrades.start(UpgradeOptions { auto: true, batches: 1, ..options() }).expect("an upgrade can begin");
        stage.reached(Phase::is_over).await
    });
    assert_eq!(status.phase, Phase::Done, "{status:?}");
    let (data_after, full) = (status.data_after_ms.expect("it has joined"), status.full_from_ms.expect("it is warm"));
    assert_eq!(full, time_of(9), "the windows were full at once: {status:?}");
    assert!(data_after <= full - 5000, "{status:?}");
    assert_eq!(status.exact_from_ms, None, "totals began without state: {status:?}");
    let after = status.handed_over_after_ms.expect("it was handed over");
    let of_new = |saved: &Saved| -> Saved {
        let is_new = |output: &str, batch: u64| output != "totals" && batch > after;
        let of_new = saved.iter().filter(|((output, batch), _)| is_new(output, *batch));
        of_new.map(|(key, rows)| (key.clone(), rows.clone())).collect()
    };
    assert!(of_new(&saved).keys().any(|(output, _)| output == "recent"));
    assert_eq!(of_new(&saved), of_new(&alone));
}

/// State of operators whose name and types agree is carried over: totals go on where the old plugin left them.
#[test]
fn state_is_carried_over_on_request() {
    let (status, saved) = World::with_keys(5, "parallelism = 3").run_whole(|stage| async move {
        stage.until(4200).await;
        let set = vec![("job.parallelism".to_owned(), "2".to_owned())];
        let options = UpgradeOptions { auto: true, carry_state: true, set, ..options() };
        stage.upgrades.start(options).expect("an upgrade can begin");
        stage.reached(Phase::is_over).await
    });
    assert_eq!(status.phase, Phase::Done, "{status:?}");
    let state = &status.state[0];
    assert!(state.is_carried && state.keys > 0 && state.operator.contains("`totals`"), "{state:?}");
    assert!(
        status.graph.iter().any(|line| line == "1 same, 1 changed, 0 gone, 0 new" || line.contains(" same, ")),
        "{status:?}"
    );
    assert_eq!(status.exact_from_ms, status.full_from_ms);
    require_carried_totals(&saved, status.joined_after_ms.expect("it has joined"));
}

/// Requires the totals of a job in which the old plugin has counted the batches through `joined_after`, and the new plugin
/// those after it.
fn require_carried_totals(saved: &Saved, joined_after: u64) {
    let mut totals = BTreeMap::<String, u64>::new();
    for number in 0..BATCHES {
        let is_new = time_of(number) > joined_after;
        for line in lines(number) {
            for word in line.split_whitespace() {
                let word = if is_new { word.trim_end_matches('.').to_lowercase() } else { word.to_owned() };
                *totals.entry(word).or_default() += 1;
            }
        }
    }
    let last = time_of(BATCHES - 1);
    let rows: BTreeSet<String> = saved[&("totals".to_owned(), last)].iter().cloned().collect();
    assert_eq!(rows, totals.into_iter().map(|(word, total)| format!("({word},{total})")).collect());
}

/// A hand-over does not wait for a batch of the new run, if the new run has joined after the last batch.
#[test]
fn a_new_plugin_takes_over_right_after_joining() {
    for seed in 0..3 {
        let (status, saved) = World::new(seed).run_whole(|stage| async move {
            stage.until(3200).await;
            stage.upgrades.start(UpgradeOptions { carry_state: true, ..options() }).expect("an upgrade can begin");
            let joined = stage.reached(|phase| matches!(phase, Phase::WarmingUp | Phase::Comparing)).await;
            assert_eq!(joined.compared, 0, "{joined:?}");
            stage.upgrades.commit(true).expect("the user forces it");
            stage.reached(Phase::is_over).await
        });
        assert_eq!((status.phase, status.reason.clone()), (Phase::Done, None), "seed {seed}: {status:?}");
        let after = status.handed_over_after_ms.expect("it was handed over");
        assert_eq!(Some(after), status.joined_after_ms, "no batch came between: {status:?}");
        require_one_run_for_each_batch(&saved, |batch| batch > after);
        require_carried_totals(&saved, after);
    }
}

/// State is carried from a run that has just been resumed and has done no batch since.
#[test]
fn state_is_carried_right_after_a_resume() {
    for seed in 0..3 {
        let mut world = World::new(seed);
        world.stop_after = Some(4);
        world.run_whole(|_| async {});
        world.stop_after = None;
        let resumed_at = world.simulation.env().clock.now();
        let (status, saved) = world.run_whole(move |stage| async move {
            let options = UpgradeOptions { auto: true, carry_state: true, ..options() };
            stage.upgrades.start(options).expect("an upgrade can begin");
            assert_eq!(stage.env.clock.now(), resumed_at, "no batch has been made since the resume");
            stage.reached(Phase::is_over).await
        });
        assert_eq!((status.phase, status.reason.clone()), (Phase::Done, None), "seed {seed}: {status:?}");
        assert!(status.state[0].is_carried && status.state[0].keys > 0, "{status:?}");
        let after = status.handed_over_after_ms.expect("it was handed over");
        require_one_run_for_each_batch(&saved, |batch| batch > after);
        require_carried_totals(&saved, status.joined_after_ms.expect("it has joined"));
    }
}

/// How many writes of a hand-over are tried as the last ones before a crash.
const STEP: u64 = 7;

/// Wherever the machine crashes during an upgrade, the job goes on with exactly one of the two plugins: each batch is
/// saved once, by the old plugin through some batch, and by the new one after it.
#[test]
fn a_crash_at_any_write_recovers_to_one_of_the_two() {
    let script = |stage: Stage| async move {
        stage.until(3200).await;
        stage
            .upgrades
            .start(UpgradeOptions { auto: true, keep: 3, carry_state: true, ..options() })
            .expect("it begins");
        stage.reached(Phase::is_over).await
    };
    let whole = World::new(6);
    whole.run_whole(script);
    let writes = whole.simulation.writes();
    let mut hands = BTreeSet::new();
    for write in (20..writes).step_by(STEP as usize) {
        let world = World::new(6);
        world.simulation.halt_at_write(write);
        assert!(world.run(script).is_none(), "write {write} of {writes} halts the machine");
        world.simulation.crash(write);
        let ((), saved) = world.run_whole(|_| async {});
        let is_new = |batch: u64| {
            let number = (batch - time_of(0)) / 1000;
            let rows: BTreeSet<String> = saved[&("counts".to_owned(), batch)].iter().cloned().collect();
            rows == counts(number, true)
        };
        let first = (0..BATCHES).map(time_of).find(|batch| is_new(*batch));
        hands.insert(first);
        require_one_run_for_each_batch(&saved, |batch| first.is_some_and(|first| batch >= first));
        let directories = world.directories();
        assert_eq!(directories.len(), 1, "only the run that has the job is left: {directories:?}");
    }
    assert!(hands.len() >= 2, "some crashes come before the hand-over, and some after it: {hands:?}");
}
