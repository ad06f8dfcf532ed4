//! Batches in time, with an engine whose batches take a given time: delays, and the events about them.
//!
//! These tests are here because this module can use all others. Batch clock, tracker and scheduler are put together,
//! without the rest of a run.

use crate::block::{BlockStore, RowStorage, SpillSettings};
use crate::config::{Facts, LiveSettings, load};
use crate::data::schema::Field;
use crate::engine::{Engine, JobPlan, JobRequest};
use crate::env::{Env, Simulation};
use crate::error::Error;
use crate::grants::Grants;
use crate::graph::{DescribedNode, Graph, Intervals, ParameterValue, StageGraph};
use crate::ids::{NodeId, RunId};
use crate::ingest::{CatchUp, ClockSettings, Ingest, IngestParts, Rates, Sources, StopRequest};
use crate::listener::{Event, ListenerBus, StreamingListener};
use crate::memory::MemoryBudget;
use crate::output::{Granted, Handover, Outputs};
use crate::plugin::RecordedCall;
use crate::run::RunTaker;
use crate::scheduler::{JobScheduler, SchedulerParts, StateTap};
use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

const INTERVAL: Duration = Duration::from_millis(1000);

/// An engine whose batches take the given times, one after the other.
struct SlowEngine {
    env: Env,
    durations_ms: Mutex<Vec<u64>>,
}

impl Engine for SlowEngine {
    fn run(&self, _: JobRequest) -> BoxFuture<'_, Result<u32, Error>> {
        Box::pin(async move {
            let duration = self.durations_ms.lock().unwrap().pop().unwrap_or(0);
            self.env.clock.sleep_until(self.env.clock.now() + Duration::from_millis(duration)).await;
            Ok(0)
        })
    }

    fn record(&self, _: Time, _: &[RecordedCall]) {}

    fn records_read(&self, _: Time) -> BTreeMap<String, u64> {
        BTreeMap::from([("lines".to_owned(), 7)])
    }

    fn newly_read(&self, _: Time) -> Vec<crate::block::ReadPart> {
        Vec::new()
    }

    fn nothing(&self, _: Time, _: &[NodeId]) {}

    fn forget(&self, _: Time, _: &BTreeMap<NodeId, Time>) {}
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl StreamingListener for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A source of lines that are printed.
fn graph() -> Graph {
    let value = Field { name: "value".into(), kind: "text".into(), nullable: false, children: 0, metadata: Vec::new() };
    let node = |kind: &str, parents: &[u32], parameter: (&str, ParameterValue), rows: &[Field]| DescribedNode {
        kind: kind.to_owned(),
        name: None,
        parents: parents.to_vec(),
        parameters: vec![(parameter.0.to_owned(), parameter.1)],
        rows: rows.to_vec(),
        exchanged: None,
        state: None,
        earlier_state: None,
    };
    let described = [
        node("source", &[], ("source", ParameterValue::Text("lines".to_owned())), &[value]),
        node("print", &[0], ("rows", ParameterValue::Integer(10)), &[]),
    ];
    Graph::from_described(&described).unwrap()
}

/// The events of a run whose batches take these times.
fn run(durations_ms: &[u64]) -> Vec<Event> {
    let simulation = Simulation::new(1, Time::from_ms(500));
    let env = simulation.env();
    let graph = Arc::new(graph());
    let heard = Arc::new(Heard::default());
    let listeners = ListenerBus::new(vec![heard.clone()]);
    let budget = MemoryBudget::new(1 << 30, 0).unwrap();
    let spill = SpillSettings { directory: None, limit_bytes: 0, compressed: false };
    let storage = RowStorage::new(&budget, env.disk.clone(), spill);
    let store = BlockStore::new(storage.clone(), 1 << 20);
    let durations_ms: Vec<u64> = durations_ms.iter().rev().copied().collect();
    let settings = ClockSettings {
        first: env.clock.now().next_multiple(INTERVAL),
        catch_up: CatchUp::default(),
        interval: INTERVAL,
        stop_after: Some(durations_ms.len() as u64),
        stop_when_idle: false,
    };
    let main = async move {
        let ingest = Ingest::start(IngestParts {
            env: env.clone(),
            blocks: store,
            sources: Sources::default(),
            listeners: listeners.clone(),
            rates: Rates::unlimited(),
            history: None,
            ownership: None,
        });
        let (_stop, stopping) = watch::channel(StopRequest::None);
        let (batches, queued) = mpsc::channel(1000);
        let taker = RunTaker::new(graph.clone(), listeners.clone(), batches, Arc::default());
        let ingest = ingest.make_batches(settings, taker.keeping(None), stopping.clone());
        let job = "[job]\nname = \"job\"\nplugin = \"p.wasm\"\n";
        let job_settings = load(job, "/jobs/job.toml".as_ref(), &[], &Facts { cpus: 1 }).unwrap();
        let stages = Arc::new(StageGraph::cut_ahead(&graph, 1));
        let parts = SchedulerParts {
            needs: crate::graph::Needs::default(),
            engine: Arc::new(SlowEngine { env: env.clone(), durations_ms: Mutex::new(durations_ms) }),
            outputs: Arc::new(
                Outputs::open(&env, "job", &graph, Granted::files(&Grants::writing("/jobs")), &storage).unwrap(),
            ),
            intervals: Arc::new(Intervals::of(&graph, INTERVAL).unwrap()),
            env,
            run: RunId::FIRST,
            handover: Arc::new(Handover::new(None)),
            tracker: ingest.tracker().clone(),
            plan: Arc::new(JobPlan { graph, stages, calls: Arc::default(), loaded: Arc::default() }),
            drivers: None,
            listeners,
            live: Arc::new(LiveSettings::new(&job_settings)),
            batch_interval: INTERVAL,
            beginning: None,
            checkpoints: None,
            done: watch::Sender::new(Time::default()),
            tap: Arc::new(StateTap::new(crate::state::StateStore::new(storage.clone()), Vec::new())),
        };
        JobScheduler::new(parts, stopping).run(queued).await
    };
    simulation.run(main).unwrap().unwrap();
    let events = heard.0.lock().unwrap();
    events.clone()
}

/// S14.04, S14.05, S14.08: processing time, the wait for earlier batches, and the sum of both, with the times from
/// which they follow.
#[test]
fn the_delays_of_a_batch_add_up() {
    let events = run(&[1500, 200, 0]);
    let completed: Vec<[Option<u64>; 6]> = events
        .iter()
        .filter_map(|event| if let Event::BatchCompleted(info) = event { Some(info) } else { None })
        .map(|info| {
            let ms = |delay: Option<Duration>| delay.map(crate::time::whole_ms);
            [
                Some(info.submission_time.as_ms()),
                info.processing_start_time.map(Time::as_ms),
                info.processing_end_time.map(Time::as_ms),
                ms(info.scheduling_delay),
                ms(info.processing_delay),
                ms(info.total_delay()),
            ]
        })
        .collect();
    let rows = [[1000, 1000, 2500, 0, 1500, 1500], [2000, 2500, 2700, 500, 200, 700], [3000, 3000, 3000, 0, 0, 0]];
    assert_eq!(completed, rows.map(|row| row.map(Some)));
}

/// S14.07: the events of a batch, in order, with the data that is known at each event.
#[test]
fn a_batch_is_told_of_from_its_submission_to_its_end() {
    let events = run(&[1500, 0]);
    let names: Vec<String> =
        events.iter().map(|event| event.to_string().split(": ").next().unwrap().to_owned()).collect();
    let one = |batch: u64| {
        ["BatchStarted", "OutputOperationStarted", "OutputOperationCompleted", "BatchCompleted"]
            .map(|name| format!("{name} {}", Time::from_ms(batch)))
    };
    let mut expected = vec!["BatchSubmitted 1970-01-01T00:00:01Z".to_owned()];
    expected.extend(one(1000));
    // The second batch waits while the first runs.
    expected.insert(3, "BatchSubmitted 1970-01-01T00:00:02Z".to_owned());
    expected.extend(one(2000));
    assert_eq!(names, expected);
    let Some(Event::BatchSubmitted(submitted)) = events.first() else { panic!("{events:?}") };
    assert_eq!((submitted.scheduling_delay, submitted.total_delay()), (None, None));
    assert_eq!(submitted.inputs[&0].num_records, 0);
    let Some(Event::BatchCompleted(completed)) = events.last() else { panic!("{events:?}") };
    assert_eq!((completed.inputs[&0].name.as_str(), completed.inputs[&0].num_records), ("lines", 7));
    assert_eq!(completed.output_operations[&0].name, "print-0");
    assert_eq!(completed.output_operations[&0].duration, Some(Duration::ZERO));
}

/// S14.06: batches that take longer than the interval make the job fall behind, which is reported once. When batches
/// get shorter, the job catches up.
#[test]
fn a_job_falls_behind_and_catches_up() {
    let events = run(&[[1300; 8].as_slice(), &[10; 12]].concat());
    let lags: Vec<(bool, u64, u64, u64)> = events
        .iter()
        .filter_map(|event| match event {
            Event::FallingBehind(lag) => Some((true, lag)),
            Event::CaughtUp(lag) => Some((false, lag)),
            _ => None,
        })
        .map(|(is_behind, lag)| {
            let ms = crate::time::whole_ms;
            (is_behind, lag.batch_time.as_ms(), ms(lag.scheduling_delay), ms(lag.processing_delay_average))
        })
        .collect();
    assert_eq!(lags, [(true, 5000, 1200, 1300), (false, 14_000, 0, 10)]);
}
