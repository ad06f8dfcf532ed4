//! Receivers in a simulated world, with a tracker that only records the reports that it gets.

mod blocks;
mod http;
mod life;
mod nats;
mod rates;
mod records;

use super::*;
use crate::block::{BlockStore, RowStorage, SpillSettings};
use crate::config::WhenFull;
use crate::data::schema::{Field, RecordType};
use crate::env::{Env, Simulation};
use crate::listener::{Event, ListenerBus, StreamingListener};
use crate::memory::MemoryBudget;
use crate::time::{Duration, Time};
use arrow::array::{Array as _, RecordBatch, StringArray, UInt64Array};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

const BLOCK_INTERVAL: Duration = Duration::from_millis(200);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The type of pairs of a text and a number.
pub(super) fn pairs() -> RecordType {
    struct_of(["0", "1"])
}

/// The type of structs of a text and a number, with these names.
fn struct_of([text, number]: [&str; 2]) -> RecordType {
    let field = |name: &str, kind: &str, children| Field {
        name: name.into(),
        kind: kind.into(),
        nullable: false,
        children,
        metadata: Vec::new(),
    };
    RecordType::parse(vec![field("value", "struct", 2), field(text, "text", 0), field(number, "u64", 0)]).unwrap()
}

/// What happened, with times in ms.
type Log = Arc<Mutex<Vec<(u64, String)>>>;

struct World {
    simulation: Simulation,
    env: Env,
    store: BlockStore,
    log: Log,
    rate_limit: watch::Receiver<Option<u64>>,
    /// See [`ReceiverContext::known_keys`].
    known_keys: Vec<String>,
}

struct Listener(Env, Log);

impl StreamingListener for Listener {
    fn on_event(&self, event: &Event) {
        self.1.lock().unwrap().push((self.0.clock.now().as_ms(), event.to_string()));
    }
}

/// A receiver that is a function of its context and of how many times it was started.
struct Function<F>(F, u32);

#[async_trait]
impl<F> Receiver for Function<F>
where
    F: Fn(ReceiverContext, u32) -> BoxFuture<'static, Result<(), ReceiverError>> + Send,
{
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        self.1 += 1;
        (self.0)(context.clone(), self.1).await
    }
}

fn making<F, R>(run: F) -> Arc<MakeReceiver>
where
    F: Fn(ReceiverContext, u32) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<(), ReceiverError>> + Send + 'static,
{
    Arc::new(move |_| {
        let run = run.clone();
        Ok(Box::new(Function(move |context, start| Box::pin(run(context, start)) as BoxFuture<'static, _>, 0)))
    })
}

/// The results of a run.
struct Outcome {
    log: Vec<(u64, String)>,
    /// The records of the blocks that were reported, in order.
    blocks: Vec<Vec<String>>,
    /// The keys of these blocks that have one.
    keys: Vec<String>,
}

impl Outcome {
    fn at(&self, what: &str) -> Vec<u64> {
        self.log.iter().filter(|(_, line)| line.starts_with(what)).map(|(at, _)| *at).collect()
    }

    fn records(&self) -> Vec<String> {
        self.blocks.concat()
    }
}

fn texts(store: &BlockStore, id: &crate::ids::BlockId) -> Vec<String> {
    let rows = store.get(id).unwrap().read(0).map(Result::unwrap);
    let text = |rows: RecordBatch| {
        let column = rows.column(0).as_any().downcast_ref::<StringArray>().unwrap().clone();
        column.iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
    };
    rows.flat_map(text).collect()
}

impl World {
    fn new(seed: u64, limit_bytes: u64) -> Self {
        let simulation = Simulation::new(seed, Time::from_ms(1000));
        let env = simulation.env();
        let budget = MemoryBudget::new(1 << 30, 0).unwrap();
        let spill = SpillSettings { directory: None, limit_bytes: 0, compressed: false };
        let store = BlockStore::new(RowStorage::new(&budget, env.disk.clone(), spill), limit_bytes);
        Self { simulation, env, store, log: Log::default(), rate_limit: watch::channel(None).1, known_keys: Vec::new() }
    }

    fn settings(source: &str, rows: RecordType, when_full: WhenFull) -> ReceiverSettings {
        ReceiverSettings {
            source: source.to_owned(),
            stream_id: 0,
            rows,
            restart_delay: ms(2000),
            max_line_bytes: 1000,
            encoding: crate::encoding::Encoding::UTF_8,
            block_interval: BLOCK_INTERVAL,
            when_full,
            first_block: 0,
            rate_limit: watch::channel(None).1,
            known_keys: Vec::new(),
        }
    }

    /// Runs a receiver of lines until it has ended, and stops it as `stops` says.
    fn run(self, make: Arc<MakeReceiver>, stops: &[(u64, StopReceiver)]) -> Outcome {
        self.run_with(WhenFull::Wait, RecordType::text(), make, stops, |_, _| {})
    }

    /// `recorded` is called for each block, before the receiver of the block is told.
    fn run_with(
        self,
        when_full: WhenFull,
        rows: RecordType,
        make: Arc<MakeReceiver>,
        stops: &[(u64, StopReceiver)],
        recorded: impl Fn(&BlockStore, &StoredBlock) + Send + Sync + 'static,
    ) -> Outcome {
        let Self { simulation, env, store, log, rate_limit, known_keys } = self;
        let listeners = ListenerBus::new(vec![Arc::new(Listener(env.clone(), log.clone()))]);
        let settings = ReceiverSettings { rate_limit, known_keys, ..Self::settings("lines", rows.clone(), when_full) };
        let options = ReceiverOptions::new("lines", rows, BTreeMap::new());
        let blocks = Arc::new(Mutex::new(Vec::new()));
        let keys = Arc::new(Mutex::new(Vec::new()));
        let (kept, kept_keys, stops) = (blocks.clone(), keys.clone(), stops.to_vec());
        let main = async move {
            let (reports, mut reported) = mpsc::channel::<BlockReport>(64);
            let handle = start(&env, settings, make, options, store.clone(), reports, listeners);
            let tracker = async move {
                while let Some(BlockReport { block, key, recorded: reply, .. }) = reported.recv().await {
                    kept.lock().unwrap().push(texts(&store, &block.id));
                    kept_keys.lock().unwrap().extend(key);
                    recorded(&store, &block);
                    if let Some(reply) = reply {
                        let _ = reply.send(());
                    }
                }
            };
            env.control.spawn("tracker", Box::pin(tracker));
            for (at, request) in stops {
                env.clock.sleep_until(Time::from_ms(at)).await;
                handle.stop(request);
            }
            handle.ended().await;
            assert!(handle.has_ended());
            // The last report may not have arrived yet.
            env.clock.sleep_until(env.clock.now() + ms(1)).await;
        };
        simulation.run(main).unwrap();
        let (log, blocks) = (log.lock().unwrap().clone(), blocks.lock().unwrap().clone());
        let keys = keys.lock().unwrap().clone();
        Outcome { log, blocks, keys }
    }
}

fn world() -> World {
    World::new(1, 1 << 20)
}
