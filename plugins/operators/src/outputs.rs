//! Single outputs that save files or write to topics.

use crate::{Event, Parity, Reading, event, parity, reading};
use millstream::{Bytes, Chain, Cut, DStream, KafkaMessage, Output, Record, StreamingContext, Text};

/// Single values of many types.
#[derive(Record, Clone)]
struct Flat {
    n: i64,
    half: Option<f64>,
    parity: Parity,
    quoted: Option<Text>,
    raw: Bytes,
    event: Event,
}

fn flat(n: i64) -> Flat {
    let quoted = (n != 3).then(|| Text::from(if n == 2 { "" } else { "a \"b\",\nc" }));
    let half = (n > 2).then_some(n as f64 / 2.0);
    Flat { n, half, parity: parity(n), quoted, raw: Bytes(vec![n as u8, 255]), event: event(n) }
}

/// A tuple of structs, lists and options.
type Deep = (Text, Vec<(i64, Option<Text>)>, Option<Reading>, Flat);

fn deep<C: Chain<Out = i64>>(numbers: &DStream<i64, C>) -> DStream<Deep, impl Chain<Out = Deep> + use<C>> {
    numbers.map(|n| {
        let list = (0..n % 4).map(|at| (at, (at > 0).then(|| "x".into()))).collect();
        (Text::from("né"), list, (n % 2 == 1).then(|| reading(n)), flat(n))
    })
}

/// Two partitions of numbers, and their sum.
fn two<C: Chain<Out = i64>>(numbers: &DStream<i64, C>) -> (DStream<i64>, DStream<i64>) {
    let numbers = numbers.repartition(2).erase();
    let sum = numbers.reduce(|a, b| a + b).erase();
    (numbers, sum)
}

/// Rows in two partitions, saved in one format, and their sum. `None` if there is no such operator.
pub fn outputs(ctx: &StreamingContext, numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    let prefix = &ctx.arg_or("prefix", "out/numbers".to_owned());
    Some(match operator {
        "save_as_object_files" => {
            let (numbers, sum) = two(numbers);
            deep(&numbers).save_as_object_files(prefix, "arrow").name("numbers");
            sum.save_as_object_files("sum", "")
        }
        "save_as_parquet_files" => {
            let (numbers, sum) = two(numbers);
            deep(&numbers).save_as_parquet_files(prefix, "parquet").name("numbers");
            sum.save_as_parquet_files("sum", "")
        }
        "save_as_csv_files" => {
            let (numbers, sum) = two(numbers);
            numbers.map(flat).save_as_csv_files(prefix, "csv").name("numbers");
            sum.save_as_csv_files("sum", "")
        }
        "save_as_json_files" => {
            let (numbers, sum) = two(numbers);
            deep(&numbers).save_as_json_files(prefix, "json").name("numbers");
            sum.save_as_json_files("sum", "")
        }
        "save_to_kafka" => {
            let (numbers, sum) = two(numbers);
            numbers.map(|n| (Text::from(if n % 2 == 0 { "even" } else { "odd" }), reading(n))).save_to_kafka("pairs");
            numbers
                .map(|n| match n {
                    1 => KafkaMessage::default(),
                    n => KafkaMessage::of("x").key("k").header("n", n.to_string()).partition(1).timestamp_ms(n),
                })
                .save_to_kafka("kafka:messages")
                .name("messages");
            sum.save_to_kafka("sums")
        }
        "save_events_to_kafka" => numbers.map(event).save_to_kafka("events"),
        "save_lists_as_csv_files" => deep(numbers).save_as_csv_files(prefix, "csv").name("numbers"),
        _ => return None,
    })
}
