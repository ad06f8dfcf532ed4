//! The cost of calls into a plugin, and the cost of a batch that has almost nothing to do.
//!
//! `cargo bench -p millstream-tests`. Groups: `boundary` (a chunk of lines through a filter that keeps all lines, a
//! million lines a second per element), `instance` (an instance is made, opened and finished), `batch` (a two-stage
//! word count of ten lines a partition).

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use host::block::{Block, BlockStore, InputPartition, RowStorage, SpillSettings};
use host::config::{self, Facts, Settings};
use host::context::StreamingContext;
use host::data::schema::RecordType;
use host::engine::{EmbeddedEngine, Engine, EngineParts, JobPlan, JobRequest, NoFaults};
use host::env::{RealExecutors, real};
use host::grants::Grants;
use host::graph::{Graph, Intervals, StageGraph};
use host::ids::{BlockId, NodeId, RunId};
use host::listener::ListenerBus;
use host::memory::MemoryBudget;
use host::output::{Granted, Outputs};
use host::plugin::{Plugin, TaskInstance, TaskProgram, TaskStep};
use host::state::StateStore;
use host::time::{Duration, Time};
use host::variables::SharedVariables;
use millstream_tests::programs;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Lines of this many bytes.
const LINE_BYTES: usize = 80;

fn settings(parallelism: usize) -> Settings {
    let job = format!(
        "[job]\nname = \"bench\"\nplugin = \"p.wasm\"\nparallelism = {parallelism}\n[sources.lines]\ntype = \"queue\"\npath = \"q\"\n"
    );
    config::load(&job, Path::new("job.toml"), &[], &Facts { cpus: 2 }).expect("the job file is right")
}

fn loaded(plugin: &str) -> Arc<Plugin> {
    StreamingContext::load_plugin(&settings(2), &programs::plugin(plugin)).expect("the plugin loads")
}

fn lines(count: usize) -> RecordBatch {
    let line = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor inc";
    assert_eq!(line.len(), LINE_BYTES);
    let column: ArrayRef = Arc::new(StringArray::from(vec![line; count]));
    RecordBatch::try_new(RecordType::text().arrow().clone(), vec![column]).expect("lines are text")
}

/// A task that passes lines through node 1 of `plugin`.
fn pass_through(input: RecordType) -> TaskProgram {
    TaskProgram {
        batch: Time::from_ms(1000),
        partition: 0,
        arguments: Arc::new([]),
        seed: 0,
        input: NodeId(0),
        input_type: input.clone(),
        more_inputs: Vec::new(),
        steps: Arc::new([TaskStep { node: NodeId(1), role: "apply", partition: 0 }]),
        replays: Arc::default(),
        operators: Arc::new([]),
        output_type: input,
        state_type: None,
        traced: false,
        is_quiet: true,
    }
}

fn boundary(c: &mut Criterion) {
    let plugin = loaded("hostile");
    let program = pass_through(RecordType::text());
    let mut group = c.benchmark_group("boundary");
    for rows in [1, 100, 1000, 10_000] {
        let batch = lines(rows);
        group.throughput(Throughput::Elements(10 * rows as u64));
        group.bench_function(BenchmarkId::new("identity, rows a chunk", rows), |b| {
            b.iter_batched_ref(
                || TaskInstance::open(&plugin, &program, None).expect("the task opens"),
                |task| (0..10).for_each(|_| drop(task.push(0, &batch).expect("the rows pass"))),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn instance(c: &mut Criterion) {
    let plugin = loaded("network_word_count");
    let program = pass_through(RecordType::text());
    c.bench_function("instance, opened and finished", |b| {
        b.iter(|| {
            let mut task = TaskInstance::open(&plugin, &program, None).expect("the task opens");
            task.finish().expect("the task finishes")
        });
    });
}

/// An engine for word count with its batch of one block a partition.
struct Job {
    executors: RealExecutors,
    engine: EmbeddedEngine,
    request: JobRequest,
}

impl Job {
    fn new(partitions: usize) -> Self {
        let settings = settings(partitions);
        let plugin = loaded("network_word_count");
        let described = plugin.describe(&[]).expect("the plugin describes itself");
        let graph = Arc::new(Graph::from_described(&described.nodes).expect("the graph is right"));
        let stages = Arc::new(StageGraph::cut(&graph, settings.job.parallelism));
        let budget = MemoryBudget::new(1 << 30, 0).expect("the budget is large enough");
        let executors = RealExecutors::start(2).expect("threads start");
        let spill = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
        let storage = RowStorage::new(&budget, real(&executors).disk, spill);
        let blocks = BlockStore::new(storage.clone(), u64::MAX);
        let mut ids = Vec::new();
        for sequence in 0..partitions as u64 {
            let id = BlockId { source: "lines".to_owned(), sequence };
            blocks.put_at_once(Block { id: id.clone(), rows: vec![lines(10)].into() });
            ids.push(InputPartition::Block { id, rows: 10, checksum: None });
        }
        let outputs = Outputs::open(&real(&executors), "bench", &graph, Granted::files(&Grants::writing("")), &storage);
        let outputs = outputs.expect("nothing is saved");
        let begun = outputs.begin(stages.jobs[0].output, (Time::from_ms(1000), Time::default()), true);
        let write = executors.block_on(begun).expect("it prints").expect("printing begins");
        let job = stages.jobs[0].clone();
        let intervals = Arc::new(Intervals::of(&graph, Duration::from_secs(1)).expect("there are no windows"));
        let plan = Arc::new(JobPlan { graph, stages, calls: Arc::default(), loaded: Arc::default() });
        let request = JobRequest {
            plan,
            batch: Time::from_ms(1000),
            data_after: Time::default(),
            job,
            input: Arc::new([(NodeId(0), ids)].into()),
            write: Some(write),
            cancel: None,
        };
        let engine = EmbeddedEngine::new(EngineParts {
            run: RunId::FIRST,
            env: real(&executors),
            job: "bench".to_owned(),
            arguments: Vec::new(),
            intervals,
            parallelism: settings.job.parallelism,
            plugin,
            variables: Arc::new(SharedVariables::new(storage.clone(), settings.limits.result_size_bytes)),
            blocks,
            state: StateStore::new(storage.clone()),
            storage,
            budget,
            encodings: BTreeMap::new(),
            slots: 2,
            tries: Arc::new(|| 1),
            sample_interval: None,
            faults: Arc::new(NoFaults),
            listeners: ListenerBus::default(),
            ranges: std::sync::Arc::default(),
            may_be_gone: std::collections::BTreeSet::new(),
        });
        Self { executors, engine: engine.expect("the engine starts"), request }
    }

    fn run(&self) -> u32 {
        let partitions = self.executors.block_on(self.engine.run(self.request.clone())).expect("the batch runs");
        self.engine.forget(self.request.batch, &BTreeMap::new());
        partitions
    }
}

fn batch(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch");
    for partitions in [1, 2, 8] {
        let job = Job::new(partitions);
        group.bench_function(BenchmarkId::new("two stages, partitions", partitions), |b| b.iter(|| job.run()));
    }
    group.finish();
}

criterion_group!(benches, boundary, instance, batch);
criterion_main!(benches);
