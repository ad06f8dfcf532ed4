//! Receivers in a simulated world, with a tracker that only writes down what it is told.

use super::*;
use crate::block::{BlockStore, SpillSettings, Storage};
use crate::config::WhenFull;
use crate::data::schema::{Field, RecordType};
use crate::env::{Env, Simulation};
use crate::listener::{Event, ListenerBus, StreamingListener};
use crate::memory::MemoryBudget;
use crate::time::{Duration, Time};
use arrow::array::{Array as _, RecordBatch, StringArray, UInt64Array};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

const BLOCK_INTERVAL: Duration = Duration::from_millis(200);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What happened, with times in ms.
type Log = Arc<Mutex<Vec<(u64, String)>>>;

struct World {
    simulation: Simulation,
    env: Env,
    store: BlockStore,
    log: Log,
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

/// What a run left behind.
struct Outcome {
    log: Vec<(u64, String)>,
    /// The records of the blocks that were reported, in order.
    blocks: Vec<Vec<String>>,
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
        let store = BlockStore::new(Storage::new(&budget, env.disk.clone(), spill), limit_bytes);
        Self { simulation, env, store, log: Log::default() }
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
        }
    }

    /// Runs a receiver of lines until it has ended, and stops it as `stops` says.
    fn run(self, make: Arc<MakeReceiver>, stops: &[(u64, StopReceiver)]) -> Outcome {
        self.run_with(WhenFull::Wait, RecordType::text(), make, stops, |_, _| {})
    }

    /// `recorded` is called for each block, before its receiver hears of it.
    fn run_with(
        self,
        when_full: WhenFull,
        rows: RecordType,
        make: Arc<MakeReceiver>,
        stops: &[(u64, StopReceiver)],
        recorded: impl Fn(&BlockStore, &StoredBlock) + Send + Sync + 'static,
    ) -> Outcome {
        let Self { simulation, env, store, log } = self;
        let listeners = ListenerBus::new(vec![Arc::new(Listener(env.clone(), log.clone()))]);
        let settings = Self::settings("lines", rows.clone(), when_full);
        let options = ReceiverOptions::new("lines", rows, BTreeMap::new());
        let blocks = Arc::new(Mutex::new(Vec::new()));
        let (kept, stops) = (blocks.clone(), stops.to_vec());
        let main = async move {
            let (reports, mut reported) = mpsc::channel::<BlockReport>(64);
            let handle = start(&env, settings, make, options, store.clone(), reports, listeners);
            let tracker = async move {
                while let Some(BlockReport { block, recorded: reply }) = reported.recv().await {
                    kept.lock().unwrap().push(texts(&store, &block.id));
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
            // The last report may be on its way.
            env.clock.sleep_until(env.clock.now() + ms(1)).await;
        };
        simulation.run(main).unwrap();
        let (log, blocks) = (log.lock().unwrap().clone(), blocks.lock().unwrap().clone());
        Outcome { log, blocks }
    }
}

fn world() -> World {
    World::new(1, 1 << 20)
}

/// S2.24: records given one by one are put into blocks, one for each block interval, in order.
#[test]
fn single_records_become_blocks_at_multiples_of_the_block_interval() {
    let run = |context: ReceiverContext, _| async move {
        for number in 0..5 {
            context.store_line(&format!("line {number}")).await?;
            context.sleep(ms(90)).await;
        }
        Ok(())
    };
    let outcome = world().run(making(run), &[]);
    let lines = |numbers: std::ops::Range<u32>| numbers.map(|number| format!("line {number}")).collect::<Vec<_>>();
    assert_eq!(outcome.blocks, [lines(0..3), lines(3..5)]);
    let events: Vec<&str> = outcome.log.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(events, ["ReceiverStarted lines", "ReceiverStopped lines"]);
}

/// S2.46: what a reliable receiver stores is in the store, and recorded, before it can acknowledge it.
#[test]
fn storing_a_block_returns_after_it_is_stored_and_recorded() {
    let seen: Log = Log::default();
    let (receiver_saw, tracker_saw) = (seen.clone(), seen.clone());
    let run = move |context: ReceiverContext, _| {
        let saw = receiver_saw.clone();
        async move {
            context.store_line("before").await?;
            for block in 0..3 {
                context.store_lines(&[format!("{block}a"), format!("{block}\nb")]).await?;
                saw.lock().unwrap().push((0, format!("acknowledged {block}")));
            }
            Ok(())
        }
    };
    let recorded = move |store: &BlockStore, block: &StoredBlock| {
        tracker_saw.lock().unwrap().push((0, format!("recorded {}", texts(store, &block.id)[0])));
    };
    let outcome = world().run_with(WhenFull::Wait, RecordType::text(), making(run), &[], recorded);
    let seen: Vec<String> = seen.lock().unwrap().iter().map(|(_, line)| line.clone()).collect();
    let expected = [
        "recorded before",
        "recorded 0a",
        "acknowledged 0",
        "recorded 1a",
        "acknowledged 1",
        "recorded 2a",
        "acknowledged 2",
    ];
    assert_eq!(seen, expected);
    assert_eq!(outcome.blocks[1], ["0a", "0\nb"], "a record may hold a line end");
}

/// S2.46, S2.51: a full store makes a reliable receiver wait, whatever the policy, and it acknowledges nothing meanwhile.
#[test]
fn a_reliable_receiver_waits_for_room() {
    let acknowledged = Arc::new(Mutex::new(0));
    let count = acknowledged.clone();
    let run = move |context: ReceiverContext, _| {
        let count = count.clone();
        async move {
            loop {
                context.store_lines(&["x".repeat(900)]).await?;
                *count.lock().unwrap() += 1;
            }
        }
    };
    for when_full in [WhenFull::Wait, WhenFull::DropNewest] {
        *acknowledged.lock().unwrap() = 0;
        let stops = [(5000, StopReceiver::Now)];
        let world = World::new(1, 4000);
        let outcome = world.run_with(when_full, RecordType::text(), making(run.clone()), &stops, |_, _| {});
        let acknowledged = *acknowledged.lock().unwrap();
        assert!((1..=4).contains(&acknowledged), "{acknowledged}");
        assert_eq!(outcome.blocks.len(), acknowledged);
    }
}

/// S2.51: data of an unreliable receiver for which there is no room is dropped if the job wants it, and told; nothing
/// fails, and nothing waits.
#[test]
fn a_full_store_drops_the_newest_block_if_the_job_wants_it() {
    let run = |context: ReceiverContext, _| async move {
        for number in 0..20 {
            context.store_line(&format!("{number} {}", "x".repeat(900))).await?;
            context.sleep(BLOCK_INTERVAL).await;
        }
        Ok(())
    };
    let world = World::new(1, 4000);
    let outcome = world.run_with(WhenFull::DropNewest, RecordType::text(), making(run), &[], |_, _| {});
    let dropped = outcome.at("RecordsDropped lines: 1 records").len();
    assert!(dropped >= 16 && outcome.blocks.len() + dropped == 20, "{:?}", outcome.log);
    assert_eq!(outcome.at("ReceiverStopped"), [5000], "it never waited");
}

/// S2.48: a receiver that fails is started again after the delay, with what it knew; an error can change the delay.
#[test]
fn a_failed_receiver_is_started_again_after_the_delay() {
    let run = |context: ReceiverContext, start| async move {
        context.store_line(&format!("start {start}")).await?;
        match start {
            1 => Err(ReceiverError::new("lost")),
            2 => Err(ReceiverError::new("busy").restart_after(ms(50))),
            3 => {
                context.report_error("odd record");
                context.sleep(ms(10)).await;
                Err(ReceiverError::new("gone").and_stop())
            }
            _ => unreachable!("it was to stop"),
        }
    };
    let outcome = world().run(making(run), &[]);
    assert_eq!(outcome.records(), ["start 1", "start 2", "start 3"]);
    let expected = [
        (1000, "ReceiverStarted lines"),
        (1000, "ReceiverError lines: lost; next try in 2000 ms"),
        (3000, "ReceiverStarted lines"),
        (3000, "ReceiverError lines: busy; next try in 50 ms"),
        (3050, "ReceiverStarted lines"),
        (3050, "ReceiverError lines: odd record"),
        (3060, "ReceiverError lines: gone"),
        (3060, "ReceiverStopped lines"),
    ];
    assert_eq!(outcome.log, expected.map(|(at, line)| (at, line.to_owned())));
}

/// A panic is an error of the receiver, not of the host. The next try begins anew.
#[test]
fn a_receiver_that_panics_is_made_again() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = starts.clone();
    let run = move |context: ReceiverContext, start| {
        let seen = seen.clone();
        async move {
            seen.lock().unwrap().push(start);
            context.store_line("kept").await?;
            if seen.lock().unwrap().len() == 3 {
                return Ok(());
            }
            panic!("no {start}")
        }
    };
    let outcome = world().run(making(run), &[]);
    assert_eq!(*starts.lock().unwrap(), [1, 1, 1]);
    assert_eq!(outcome.records(), ["kept", "kept", "kept"]);
    assert_eq!(outcome.at("ReceiverError lines: the receiver panicked: no 1; next try in 2000 ms"), [1000, 3000]);
}

/// S1.27: told to stop, a receiver stores what it holds and acknowledges it, and then ends.
#[test]
fn a_graceful_stop_lets_a_receiver_finish() {
    let run = |context: ReceiverContext, _| async move {
        context.stopped().await;
        assert!(context.is_stopped());
        context.sleep(ms(700)).await;
        context.store_lines(&["last block"]).await?;
        context.store_line("last line").await?;
        context.store_bytes(b"half a li").await?;
        Ok(())
    };
    let outcome = world().run(making(run), &[(1500, StopReceiver::Graceful)]);
    assert_eq!(outcome.records(), ["last block", "last line"]);
    assert_eq!(outcome.at("LineCutOff lines"), [2200]);
    assert_eq!(outcome.at("ReceiverStopped"), [2200]);
}

/// A receiver that does not end when it is told to is dropped after ten seconds, and what it gave counts.
#[test]
fn a_receiver_that_does_not_stop_is_dropped() {
    let run = |context: ReceiverContext, _| async move {
        context.store_line("given").await?;
        std::future::pending().await
    };
    let outcome = world().run(making(run), &[(1100, StopReceiver::Graceful)]);
    assert_eq!(outcome.records(), ["given"]);
    assert_eq!(outcome.at("ReceiverError lines: it did not stop within 10 s"), [11_100]);
    assert_eq!(outcome.at("ReceiverStopped"), [11_100]);
}

/// Stopped while it waits for room: at once if need be, and a graceful stop can become one.
#[test]
fn a_stop_at_once_does_not_wait_for_a_store_that_is_full() {
    let run = |context: ReceiverContext, _| async move {
        loop {
            context.store_lines(&["x".repeat(900)]).await?;
        }
    };
    let stops = [(1500, StopReceiver::Graceful), (1600, StopReceiver::Now)];
    for stops in [&stops[..], &stops[1..]] {
        let outcome = World::new(1, 1).run(making(run), stops);
        assert_eq!(outcome.blocks.len(), 1, "the store takes one block in any case");
        assert_eq!(outcome.at("ReceiverStopped"), [1600]);
    }
}

/// What a receiver has left behind when it ended stores nothing any more, and does not make it look alive.
#[test]
fn a_receiver_that_has_ended_stores_nothing() {
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    let run = move |context: ReceiverContext, _| {
        let keep = keep.clone();
        async move {
            context.store_line("given").await?;
            *keep.lock().unwrap() = Some(context);
            Ok(())
        }
    };
    let world = world();
    let log = world.log.clone();
    let outcome = world.run(making(run), &[]);
    let context = kept.lock().unwrap().take().unwrap();
    assert_eq!(context.store_line("late").now_or_never(), Some(Err(StoreError::Stopped)));
    assert_eq!(context.store_lines(&["late"]).now_or_never(), Some(Err(StoreError::Stopped)));
    context.connected();
    assert_eq!((log.lock().unwrap().len(), outcome.log.len()), (2, 2));
    assert_eq!(outcome.records(), ["given"]);
}

/// A store that was closed takes nothing, so nothing must be acknowledged.
#[test]
fn a_block_that_no_batch_will_read_is_refused() {
    let world = world();
    world.store.close();
    let seen = Arc::new(Mutex::new(None));
    let kept = seen.clone();
    let run = move |context: ReceiverContext, _| {
        let kept = kept.clone();
        async move {
            *kept.lock().unwrap() = Some(context.store_lines(&["lost"]).await);
            Ok(())
        }
    };
    let outcome = world.run(making(run), &[]);
    assert_eq!(*seen.lock().unwrap(), Some(Err(StoreError::Stopped)));
    assert!(outcome.blocks.is_empty());
}

fn pairs() -> RecordType {
    let field = |name: &str, kind: &str, children| Field {
        name: name.into(),
        kind: kind.into(),
        nullable: false,
        children,
        metadata: Vec::new(),
    };
    RecordType::parse(vec![field("value", "struct", 2), field("0", "text", 0), field("1", "u64", 0)]).unwrap()
}

/// Rows of another type than the plugin reads are refused, and the receiver is not started again and again for it.
#[test]
fn rows_have_the_type_that_the_plugin_reads() {
    let run = |context: ReceiverContext, _| async move {
        assert_eq!(context.record_type(), &pairs());
        let rows = context.rows_of_json(&[serde_json::json!(["a", 1]), serde_json::json!(["b", 2])])?;
        context.store_rows(rows.clone()).await?;
        // The names of columns are not what matters.
        let named = RecordBatch::try_from_iter([("k", rows.column(0).clone()), ("v", rows.column(1).clone())]);
        context.store_block(vec![named.unwrap()]).await?;
        assert!(matches!(context.rows_of_json(&[serde_json::json!(["a", "b"])]), Err(StoreError::Rows { .. })));
        let swapped = RecordBatch::try_from_iter([("k", rows.column(1).clone()), ("v", rows.column(0).clone())]);
        assert!(matches!(context.store_rows(swapped.unwrap()).await, Err(StoreError::WrongType { .. })));
        let number = Arc::new(UInt64Array::from(vec![1])) as arrow::array::ArrayRef;
        let less = RecordBatch::try_from_iter([("k", number)]).unwrap();
        assert!(matches!(context.store_block(vec![less]).await, Err(StoreError::WrongType { .. })));
        context.store_line("text").await?;
        unreachable!("lines are not what the plugin reads")
    };
    let world = world();
    let outcome = world.run_with(WhenFull::Wait, pairs(), making(run), &[], |_, _| {});
    assert_eq!(outcome.records(), ["a", "b", "a", "b"]);
    let expected = "ReceiverError lines: the plugin reads (text, u64) from source `lines`, but its receiver gives lines \
                    of text";
    assert_eq!(outcome.at(expected).len(), 1, "{:?}", outcome.log);
    assert_eq!(outcome.at("ReceiverStopped"), [1000]);
}

/// What a receiver does with one record.
#[derive(Clone, Copy, Debug)]
enum Step {
    Line,
    Block,
    Rest(u64),
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => Just(Step::Line), 2 => Just(Step::Block), 2 => (0u64..300).prop_map(Step::Rest), 1 => Just(Step::Fail)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a receiver does, however it is scheduled and whenever it is stopped: each record is stored once and in
    /// order, what was acknowledged is stored, and after a graceful stop so is everything that it gave.
    #[test]
    fn records_are_stored_once_and_in_order(
        steps in prop::collection::vec(step(), 0..30),
        stop_at in 1000u64..4000,
        is_graceful: bool,
        seed: u64,
    ) {
        let given = Arc::new(Mutex::new((0u64, Vec::new(), Vec::new(), steps.into_iter())));
        let shared = given.clone();
        let run = move |context: ReceiverContext, _| {
            let given = shared.clone();
            async move {
                loop {
                    let (number, step) = {
                        let mut given = given.lock().unwrap();
                        let Some(step) = given.3.next().filter(|_| !context.is_stopped()) else { return Ok(()) };
                        given.0 += 1;
                        (given.0.to_string(), step)
                    };
                    match step {
                        Step::Line => {
                            context.store_line(&number).await?;
                            given.lock().unwrap().1.push(number);
                        }
                        Step::Block => {
                            context.store_lines(std::slice::from_ref(&number)).await?;
                            let mut given = given.lock().unwrap();
                            given.1.push(number.clone());
                            given.2.push(number);
                        }
                        Step::Rest(time) => context.sleep(ms(time)).await,
                        Step::Fail => return Err(ReceiverError::new("again").restart_after(ms(100))),
                    }
                }
            }
        };
        let request = if is_graceful { StopReceiver::Graceful } else { StopReceiver::Now };
        let outcome = World::new(seed, 1 << 20).run(making(run), &[(stop_at, request)]);
        let numbers: Vec<u64> = outcome.records().iter().map(|text| text.parse().unwrap()).collect();
        prop_assert!(numbers.is_sorted_by(|first, second| first < second), "{numbers:?}");
        let (_, given, acknowledged, _) = &*given.lock().unwrap();
        let is_stored = |number: &String| outcome.records().contains(number);
        prop_assert!(acknowledged.iter().all(is_stored));
        prop_assert!(!is_graceful || given.iter().all(is_stored));
    }
}

/// An option that is missing, unknown or of the wrong form is found before anything starts, as is a receiver that
/// nobody brings.
#[test]
fn options_are_checked() {
    struct Idle;
    #[async_trait]
    impl Receiver for Idle {
        async fn run(&mut self, _: &ReceiverContext) -> Result<(), ReceiverError> {
            Ok(())
        }
    }
    let receivers = Receivers::default().with("ticker", |options| {
        options.required("address")?;
        options.parsed::<u32>("rate", "a whole number")?;
        Ok(Box::new(Idle))
    });
    let found = |name: &str, given: &[(&str, &str)]| {
        let given = given.iter().map(|(option, value)| ((*option).to_owned(), (*value).to_owned())).collect();
        let options = ReceiverOptions::new("ticks", RecordType::text(), given);
        receivers.find(name, &options).map(drop).map_err(|error| format!("{error}; {}", error.help()))
    };
    assert_eq!(found("ticker", &[("address", "a")]), Ok(()));
    assert_eq!(found("ticker", &[("address", "a"), ("rate", "5")]), Ok(()));
    let refused = |name, given| found(name, given).unwrap_err();
    assert_eq!(
        refused("ticker", &[]),
        "`sources.ticks.options.address` is missing; add `address = \"...\"` to `options` of [sources.ticks]"
    );
    assert_eq!(
        refused("ticker", &[("address", "a"), ("rat", "5")]),
        "unknown option `sources.ticks.options.rat`; the receiver has the options `address`, `rate`"
    );
    assert_eq!(
        refused("ticker", &[("address", "a"), ("rate", "fast")]),
        "sources.ticks.options.rate = \"fast\" is not a whole number; the receiver's documentation says what it takes"
    );
    assert_eq!(
        refused("tiker", &[]),
        "there is no receiver `tiker` for source `ticks`; this program has the receivers `ticker`"
    );
}
