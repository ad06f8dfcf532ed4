//! The cost of a join of two streams of 2^20 pairs of numbers, in which all keys are different: through the engine's
//! shuffle and join, and through DataFusion's own repartition and hash join, in turns, on two threads.
//!
//! `cargo bench -p millstream-tests --bench joins`. Prints the best and the median of the rounds, and their ratios.

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion_common::{JoinType, NullEquality};
use datafusion_execution::TaskContext;
use datafusion_physical_expr::expressions::col;
use datafusion_physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion_physical_plan::repartition::RepartitionExec;
use datafusion_physical_plan::test::TestMemoryExec;
use datafusion_physical_plan::{ExecutionPlan, Partitioning};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use host::block::{Block, BlockStore, InputPartition, RowStorage, SpillSettings};
use host::config::{self, Facts};
use host::context::StreamingContext;
use host::data::schema::{Field, RecordType};
use host::engine::{EmbeddedEngine, Engine, EngineParts, JobPlan, JobRequest, NoFaults};
use host::env::{RealExecutors, real};
use host::error::Error;
use host::graph::{DescribedNode, Graph, Intervals, JoinKind, ParameterValue, StageGraph, joined_rows};
use host::ids::{BlockId, NodeId, RunId};
use host::listener::ListenerBus;
use host::memory::MemoryBudget;
use host::output::{BatchWrite, PartitionWriter};
use host::state::StateStore;
use host::time::Time;
use host::variables::SharedVariables;
use millstream_tests::programs;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rows of each side.
const ROWS: u64 = 1 << 20;
/// Rows of a batch.
const BATCH_ROWS: u64 = 8192;
/// Partitions of each side, and of the join; and threads.
const PARTITIONS: u64 = 2;
const ROUNDS: usize = 9;

fn field(name: &str, kind: &str, children: u32) -> Field {
    Field { name: name.to_owned(), kind: kind.to_owned(), nullable: false, children, metadata: Vec::new() }
}

fn pairs() -> RecordType {
    let fields = vec![field("value", "struct", 2), field("0", "u64", 0), field("1", "u64", 0)];
    RecordType::parse(fields).expect("pairs are a type")
}

/// The rows of a side, by partition. An odd factor takes each key once, in another order.
fn side(factor: u64) -> Vec<Vec<RecordBatch>> {
    let batch = |start: u64| {
        let rows = start..start + BATCH_ROWS;
        let keys: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows.clone().map(|n| n * factor % ROWS)));
        let values: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows));
        RecordBatch::try_new(pairs().arrow().clone(), vec![keys, values]).expect("the rows are pairs")
    };
    let starts: Vec<u64> = (0..ROWS).step_by(BATCH_ROWS as usize).collect();
    starts
        .chunks(starts.len() / PARTITIONS as usize)
        .map(|starts| starts.iter().map(|at| batch(*at)).collect())
        .collect()
}

/// Counts rows and forgets them.
#[derive(Default)]
struct Counting(Arc<AtomicU64>);

impl BatchWrite for Counting {
    fn writer(&self, _: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        let writer: Box<dyn PartitionWriter> = Box::new(Self(self.0.clone()));
        Box::pin(async move { Ok(writer) })
    }
    fn commit(&self, _: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl PartitionWriter for Counting {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        self.0.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    }
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// The engine, and a batch of two sources that are joined.
struct Ours {
    executors: RealExecutors,
    engine: EmbeddedEngine,
    request: JobRequest,
    rows: Arc<AtomicU64>,
}

impl Ours {
    fn new(sides: &[Vec<Vec<RecordBatch>>; 2]) -> Self {
        let (key, value) = pairs().pair().expect("pairs are pairs");
        let joined = joined_rows(JoinKind::Inner, &key, &[&value, &value]).expect("joined rows are a type");
        let node = |kind: &str, parents: &[u32], parameter: Option<(&str, ParameterValue)>, rows: &[Field]| {
            let parameters = parameter.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let (kind, parents, rows) = (kind.to_owned(), parents.to_vec(), rows.to_vec());
            DescribedNode {
                kind,
                name: None,
                parents,
                parameters,
                rows,
                exchanged: None,
                state: None,
                earlier_state: None,
            }
        };
        let source =
            |name: &str| node("source", &[], Some(("source", ParameterValue::Text(name.to_owned()))), pairs().fields());
        let print = node("print", &[2], Some(("rows", ParameterValue::Integer(1))), &[]);
        let described = [source("left"), source("right"), node("join", &[0, 1], None, joined.fields()), print];
        let graph = Arc::new(Graph::from_described(&described).expect("the graph is right"));
        let stages = Arc::new(StageGraph::cut(&graph, PARTITIONS as u32));
        let intervals = Intervals::of(&graph, Duration::from_secs(1)).expect("there are no windows");
        let intervals = Arc::new(intervals);
        let executors = RealExecutors::start(PARTITIONS as usize).expect("threads start");
        let env = real(&executors);
        let budget = MemoryBudget::new(1 << 30, 0).expect("the budget is large enough");
        let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
        let storage = RowStorage::new(&budget, env.disk.clone(), settings);
        let blocks = BlockStore::new(storage.clone(), u64::MAX);
        let block = |(sequence, rows): (u64, &Vec<RecordBatch>)| {
            let block = Block { id: BlockId { source: "s".to_owned(), sequence }, rows: rows.clone().into() };
            let (id, rows) = (block.id.clone(), block.row_count());
            blocks.put_at_once(block);
            InputPartition::Block { id, rows, checksum: None }
        };
        let left = (0..).zip(&sides[0]).map(block).collect();
        let right = (100..).zip(&sides[1]).map(block).collect();
        let rows: Arc<AtomicU64> = Arc::default();
        let job = stages.jobs[0].clone();
        let plan = Arc::new(JobPlan { graph, stages, calls: Arc::default(), loaded: Arc::default() });
        let request = JobRequest {
            plan,
            batch: Time::from_ms(1000),
            data_after: Time::default(),
            job,
            input: Arc::new([(NodeId(0), left), (NodeId(1), right)].into()),
            write: Some(Arc::new(Counting(rows.clone()))),
            cancel: None,
        };
        let engine = EmbeddedEngine::new(EngineParts {
            run: RunId::FIRST,
            env,
            job: "bench".to_owned(),
            arguments: Vec::new(),
            intervals,
            parallelism: PARTITIONS as u32,
            plugin: plugin(),
            variables: Arc::new(SharedVariables::new(storage.clone(), u64::MAX)),
            blocks,
            state: StateStore::new(storage.clone()),
            storage,
            budget,
            encodings: BTreeMap::new(),
            slots: PARTITIONS as usize,
            tries: Arc::new(|| 1),
            sample_interval: None,
            faults: Arc::new(NoFaults),
            listeners: ListenerBus::default(),
            ranges: std::sync::Arc::default(),
            may_be_gone: std::collections::BTreeSet::new(),
        });
        Self { executors, engine: engine.expect("the engine starts"), request, rows }
    }

    fn run(&self) -> u64 {
        self.rows.store(0, Ordering::Relaxed);
        self.executors.block_on(self.engine.run(self.request.clone())).expect("the batch runs");
        self.engine.forget(self.request.batch, &BTreeMap::new());
        self.rows.load(Ordering::Relaxed)
    }
}

/// The plugin that an engine needs. No step of the plugin runs here.
fn plugin() -> Arc<host::plugin::Plugin> {
    let job = "[job]\nname = \"bench\"\nplugin = \"p.wasm\"\n[sources.lines]\ntype = \"queue\"\npath = \"q\"\n";
    let settings = config::load(job, Path::new("job.toml"), &[], &Facts { cpus: 2 }).expect("the job file is right");
    StreamingContext::load_plugin(&settings, &programs::plugin("network_word_count")).expect("the plugin loads")
}

/// DataFusion on the same rows.
fn theirs(runtime: &tokio::runtime::Runtime, sides: &[Vec<Vec<RecordBatch>>; 2]) -> u64 {
    let schema = pairs().arrow().clone();
    let key = col("0", &schema).expect("the key is a column");
    let side = |rows: &[Vec<RecordBatch>]| {
        let rows = TestMemoryExec::try_new_exec(rows, schema.clone(), None).expect("the rows are pairs");
        let by_key = Partitioning::Hash(vec![key.clone()], PARTITIONS as usize);
        Arc::new(RepartitionExec::try_new(rows, by_key).expect("rows can be distributed"))
    };
    let on = vec![(key.clone(), key.clone())];
    let nulls = NullEquality::NullEqualsNothing;
    let (left, right) = (side(&sides[0]), side(&sides[1]));
    let join =
        HashJoinExec::try_new(left, right, on, None, &JoinType::Inner, None, PartitionMode::Partitioned, nulls, false);
    let join = Arc::new(join.expect("the sides can be joined"));
    let context = Arc::new(TaskContext::default());
    let partitions = (0..PARTITIONS as usize).map(|partition| {
        let (join, context) = (join.clone(), context.clone());
        runtime.spawn(async move {
            let mut rows = join.execute(partition, context).expect("the join starts");
            let mut count = 0;
            while let Some(batch) = rows.next().await {
                count += batch.expect("the join goes on").num_rows() as u64;
            }
            count
        })
    });
    let partitions: Vec<_> = partitions.collect();
    runtime.block_on(async {
        let mut count = 0;
        for partition in partitions {
            count += partition.await.expect("the join ends");
        }
        count
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn timed(run: impl FnOnce() -> u64) -> Duration {
    let start = Instant::now();
    assert_eq!(run(), ROWS);
    start.elapsed()
}

fn main() {
    let sides = [side(0x9e37_79b1), side(0x85eb_ca6b)];
    let ours = Ours::new(&sides);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(PARTITIONS as usize).enable_all().build().expect("threads start");
    let mut rounds: Vec<[Duration; 2]> =
        (0..=ROUNDS).map(|_| [timed(|| ours.run()), timed(|| theirs(&runtime, &sides))]).collect();
    // The first round warms up.
    rounds.remove(0);
    let sorted = |which: usize| {
        let mut times: Vec<f64> = rounds.iter().map(|times| times[which].as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (ours, theirs) = (sorted(0), sorted(1));
    for (name, at) in [("best", 0), ("median", ROUNDS / 2)] {
        println!(
            "{name}: {:.1} ms, DataFusion alone {:.1} ms, ratio {:.2}",
            ours[at],
            theirs[at],
            ours[at] / theirs[at]
        );
    }
}
