//! Two runs on one ingest: both get the same batches, and neither affects the other.

use super::support::plugins;
use super::support::simulated::{CHECKPOINT, START};
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use host::config::{self, Facts, Settings};
use host::context::{OtherOptions, OtherRun, Program, RunOptions, Running, StreamingContext};
use host::data::schema::RecordType;
use host::data::text;
use host::env::{Clock, Connection, Env, Simulation};
use host::error::Error;
use host::ids::RunId;
use host::ingest::StopRequest;
use host::listener::{Event, StreamingListener};
use host::output::{BatchWrite, MakeObserver, Output, PartitionWriter};
use host::receiver::Receivers;
use host::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The rows of each batch.
type Batches = BTreeMap<u64, Vec<String>>;

/// Takes the rows of each batch. A commit takes the given time.
#[derive(Clone)]
struct Collected {
    batches: Arc<Mutex<Batches>>,
    ty: RecordType,
    clock: Arc<dyn Clock>,
    commit_takes: Duration,
}

struct CollectedBatch {
    output: Collected,
    batch: Time,
    rows: Arc<Mutex<BTreeMap<u32, Vec<String>>>>,
}

struct CollectedPartition {
    ty: RecordType,
    partition: u32,
    written: Vec<String>,
    rows: Arc<Mutex<BTreeMap<u32, Vec<String>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Output for Collected {
    fn begin(&self, batch: Time, _: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        let write = CollectedBatch { output: self.clone(), batch, rows: Arc::default() };
        Box::pin(async move { Ok(Arc::new(write) as Arc<dyn BatchWrite>) })
    }
}

impl BatchWrite for CollectedBatch {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        let (ty, rows) = (self.output.ty.clone(), self.rows.clone());
        let writer = CollectedPartition { ty, partition, written: Vec::new(), rows };
        Box::pin(async move { Ok(Box::new(writer) as Box<dyn PartitionWriter>) })
    }

    fn commit(&self, _: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let clock = &self.output.clock;
            clock.sleep_until(clock.now() + self.output.commit_takes).await;
            let rows: Vec<String> = lock(&self.rows).values().flatten().cloned().collect();
            assert_eq!(lock(&self.output.batches).insert(self.batch.as_ms(), rows), None, "a batch comes once");
            Ok(())
        })
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl PartitionWriter for CollectedPartition {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        for row in 0..rows.num_rows() {
            let mut shown = String::new();
            text::write_row(&rows, &self.ty, row, &mut shown).expect("a row can be shown");
            self.written.push(shown);
        }
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        lock(&self.rows).insert(self.partition, self.written);
        Box::pin(async { Ok(()) })
    }
}

/// Records the runs that events belong to.
#[derive(Default)]
struct Runs(Mutex<BTreeSet<RunId>>);

impl StreamingListener for Runs {
    fn on_event(&self, _: &Event) {
        panic!("each event is of a run");
    }

    fn on_event_of(&self, run: RunId, _: &Event) {
        lock(&self.0).insert(run);
    }
}

/// A job in a world of its own that counts the words of a server. The server sends `w0`, `w1` and so on, one every 125
/// ms. So a batch has at most eight words, and `print` shows all of them.
struct World {
    simulation: Simulation,
    settings: Settings,
}

impl World {
    fn new(seed: u64, keys: &str) -> Self {
        let simulation = Simulation::new(seed, START);
        // No word comes at the very end of a block or a batch, where it could belong to either of two.
        let delay_ms = |number: u64| if number == 0 { 130 } else { 125 };
        let word = |number| (Duration::from_millis(delay_ms(number)), format!("w{number}\n").into_bytes());
        simulation.server("server:9999", vec![Connection { sends: (0..400).map(word).collect(), stays_open: true }]);
        let job_file = format!(
            "[job]\nname = \"two\"\nplugin = \"plugin.wasm\"\nbatch_interval = \"1s\"\n{keys}\n\n\
             [sources.lines]\ntype = \"socket\"\naddress = \"server:9999\"\n"
        );
        let settings = config::load(&job_file, Path::new("/jobs/job.toml"), &[], &Facts { cpus: 2 });
        Self { simulation, settings: settings.expect("the job file is valid") }
    }

    /// Runs `main` on the job, and then runs the job to its end. Returns the printed rows of each batch.
    fn run<T: Send + 'static, F: Future<Output = (Running, T)> + Send + 'static>(
        &self,
        main: impl FnOnce(Running, Programs) -> F + Send + 'static,
    ) -> (T, Batches) {
        let (env, settings) = (self.simulation.env(), self.settings.clone());
        let programs = Programs { env: env.clone(), settings: settings.clone() };
        let done = async move {
            let context = StreamingContext::with_program(env, settings, programs.load(), &Receivers::default())?;
            let (mut running, done) = main(context.start(RunOptions::default())?, programs).await;
            running.stop(StopRequest::Graceful);
            running.await_termination().await.map(|()| done)
        };
        let done = self.simulation.run(done).expect("the world goes on").expect("the job ends well");
        (done, printed(&self.simulation.printed()))
    }
}

/// The parts from which runs are made.
struct Programs {
    env: Env,
    settings: Settings,
}

impl Programs {
    /// The plugin, loaded for one run.
    fn load(&self) -> Program {
        let plugin = plugins::load("network_word_count", &self.settings);
        Program::describe(&self.settings, plugin.expect("the plugin can be loaded")).expect("it describes a graph")
    }

    async fn until(&self, ms: u64) {
        self.env.clock.sleep_until(START + Duration::from_millis(ms)).await;
    }

    /// Starts a second run, whose commits take this long.
    async fn attach(
        &self,
        running: &Running,
        commit_takes: Duration,
        options: OtherOptions,
    ) -> (OtherRun, Arc<Mutex<Batches>>) {
        let batches = Arc::<Mutex<Batches>>::default();
        let (into, clock) = (batches.clone(), self.env.clock.clone());
        let observe: Arc<MakeObserver> = Arc::new(move |_, _, ty| {
            Arc::new(Collected { batches: into.clone(), ty: ty.clone(), clock: clock.clone(), commit_takes })
        });
        let options = OtherOptions { observe: Some(observe), ..options };
        (running.attach(self.load(), options).await.expect("a second run can be attached"), batches)
    }
}

fn printed(text: &str) -> Batches {
    let mut batches = Batches::new();
    for line in text.lines() {
        match (line.strip_prefix("Time: ").and_then(|rest| rest.strip_suffix(" ms")), batches.last_entry()) {
            (Some(time), _) => drop(batches.insert(time.parse().expect("a time is a number"), Vec::new())),
            (None, Some(mut last)) if line.starts_with('(') => last.get_mut().push(line.to_owned()),
            _ => {}
        }
    }
    batches
}

/// The rows of batches from the one after `after` through `last`.
fn between(batches: &Batches, after: Time, last: u64) -> Batches {
    batches.range(after.as_ms() + 1..=last).map(|(batch, rows)| (*batch, rows.clone())).collect()
}

/// Requires that the first run counted each word that the server sent before the end once.
fn require_each_once(first: &Batches, at_least: usize) {
    let mut words: Vec<String> = first.values().flatten().cloned().collect();
    words.sort_by_key(|row| row.len());
    let expected: Vec<String> = (0..words.len()).map(|number| format!("(w{number},1)")).collect();
    let sorted = |rows: &[String]| rows.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&words), sorted(&expected));
    assert!(words.len() >= at_least, "only {} words came", words.len());
}

#[test]
fn two_runs_get_the_same_batches() {
    for seed in 0..5 {
        let runs = Arc::new(Runs::default());
        let listeners: Vec<Arc<dyn StreamingListener>> = vec![runs.clone()];
        let ((after, last, second), first) = World::new(seed, "").run(|running, world| async move {
            world.until(2200).await;
            let options = OtherOptions { listeners, ..OtherOptions::default() };
            let (mut second, batches) = world.attach(&running, Duration::ZERO, options).await;
            assert_eq!(second.id(), RunId(1));
            world.until(6200).await;
            let last = second.detach().await.expect("batches are made");
            assert_eq!(second.await_termination().await, Ok(()));
            world.until(8200).await;
            let batches = lock(&batches).clone();
            (running, (second.after(), last, batches))
        });
        require_each_once(&first, 60);
        assert_eq!(last.since(after), Duration::from_secs(4));
        assert_eq!(second, between(&first, after, last.as_ms()), "seed {seed}");
        assert_eq!(*lock(&runs.0), BTreeSet::from([RunId(1)]));
    }
}

/// The end of the job waits for a second run, which processes the batches that it was given.
#[test]
fn a_second_run_ends_with_the_job() {
    let ((after, second), first) = World::new(7, "").run(|running, world| async move {
        world.until(1200).await;
        let (second, batches) = world.attach(&running, Duration::from_millis(300), OtherOptions::default()).await;
        world.until(5200).await;
        (running, (second.after(), batches))
    });
    assert_eq!(*lock(&second), between(&first, after, u64::MAX));
    assert!(lock(&second).len() >= 4);
}

/// A batch is kept until the slower of two runs is done with it, and is then released.
#[test]
fn blocks_are_kept_until_the_slower_run_is_done() {
    let ((after, last, kept, second), first) = World::new(3, "").run(|running, world| async move {
        world.until(1200).await;
        let (mut second, batches) = world.attach(&running, Duration::from_secs(3), OtherOptions::default()).await;
        world.until(6200).await;
        let last = second.detach().await.expect("batches are made");
        // The second run is not done with its second batch. Each batch has five blocks.
        let kept = running.ingest().blocks().len();
        assert!(lock(&batches).len() <= 2, "{batches:?}");
        assert_eq!(second.await_termination().await, Ok(()));
        let then = running.ingest().blocks().len();
        world.until(20_000).await;
        let batches = lock(&batches).clone();
        (running, (second.after(), last, (kept, then), batches))
    });
    assert_eq!(second, between(&first, after, last.as_ms()));
    assert_eq!(second.len(), 5);
    assert!(kept.0 >= 3 * 5 && kept.1 <= 5, "{kept:?}");
    require_each_once(&first, 150);
}

/// A cancelled run releases its data, and the other run is not affected.
#[test]
fn a_cancelled_run_leaves_the_other_alone() {
    let alone = World::new(3, "").run(|running, world| async move { (running, world.until(12_200).await) }).1;
    let ((kept, outcome, second), first) = World::new(3, "").run(|running, world| async move {
        world.until(1200).await;
        let (mut second, batches) = world.attach(&running, Duration::from_secs(100), OtherOptions::default()).await;
        world.until(6200).await;
        let before = running.ingest().blocks().len();
        second.cancel();
        let outcome = second.await_termination().await;
        let after = running.ingest().blocks().len();
        world.until(12_200).await;
        (running, ((before, after), outcome, batches))
    });
    assert_eq!(outcome, Ok(()));
    assert!(kept.0 >= 4 * 5 && kept.1 <= 5, "{kept:?}");
    assert_eq!(*lock(&second), Batches::new());
    assert!(first.keys().eq(alone.keys()));
    require_each_once(&first, 90);
}

/// A second run has a directory of its own below the checkpoint directory, which still belongs to the first run.
#[test]
fn a_second_run_keeps_checkpoints_of_its_own() {
    let world = World::new(5, &format!("checkpoint = \"{CHECKPOINT}\""));
    let (after, first) = world.run(|running, world| async move {
        world.until(2200).await;
        let options = OtherOptions { has_checkpoints: true, ..OtherOptions::default() };
        let (mut second, _) = world.attach(&running, Duration::ZERO, options).await;
        world.until(6200).await;
        second.detach().await.expect("batches are made");
        assert_eq!(second.await_termination().await, Ok(()));
        (running, second.after())
    });
    let runs = Path::new("/jobs").join(CHECKPOINT).join("runs");
    let files = world.simulation.files();
    let names: BTreeSet<_> = files.keys().filter_map(|path| path.strip_prefix(&runs).ok()?.iter().next()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    // The job continues as if there had been no second run.
    let (_, both) = world.run(|running, world| async move { (running, world.until(12_200).await) });
    assert!(both.len() > first.len());
    assert!(both.contains_key(&after.as_ms()));
}

/// A second run for which there is not enough memory is refused, and the first run continues.
#[test]
fn a_second_run_without_memory_is_refused() {
    let (refused, first) = World::new(1, "").run(|running, world| async move {
        world.until(1200).await;
        let options = OtherOptions { memory_bytes: Some(1 << 20), ..OtherOptions::default() };
        let refused = running.attach(world.load(), options).await.err().expect("there is no room");
        world.until(3200).await;
        (running, refused.to_string())
    });
    assert!(refused.starts_with("there is not enough memory for a second run: "), "{refused}");
    require_each_once(&first, 20);
}
