//! Records of any type, whatever a receiver does; and options of receivers.

use super::*;
use proptest::prelude::*;

/// Rows of another type than the type that the plugin reads are refused, and the receiver is not started again because
/// of them.
#[test]
fn rows_have_the_type_that_the_plugin_reads() {
    let run = |context: ReceiverContext, _| async move {
        assert_eq!(context.record_type(), &pairs());
        let rows = context.rows_of_json(&[serde_json::json!(["a", 1]), serde_json::json!(["b", 2])])?;
        context.store_rows(rows.clone()).await?;
        // The names of columns do not matter.
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

/// A step of a receiver with one record.
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

    /// Whatever a receiver does, however it is scheduled, and whenever it is stopped: each record is stored once and in
    /// order, and acknowledged records are stored. After a graceful stop, all records that it has given are stored.
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

/// An option that is missing, unknown or of the wrong form is found before anything starts. So is a receiver that is
/// not registered.
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
