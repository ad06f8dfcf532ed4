//! Operators on many rows, made from a few numbers: more rows than fit into an instance, or into the memory of the job.

use millstream::{Chain, Cut, DStream, Output, Record, State, StateSpec, StreamingContext, Text, seconds};

fn argument(ctx: &StreamingContext, name: &str) -> Option<u64> {
    ctx.arg(name).and_then(|number| number.parse().ok())
}

/// A number that looks like a random one.
fn scrambled(n: u64) -> u64 {
    (n ^ (n >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// A text of 500 bytes.
fn text(n: u64) -> String {
    format!("{n:0500}")
}

/// The number of such a text.
fn number(text: &str) -> u64 {
    text.trim_start_matches('0').parse().unwrap_or(0)
}

/// A hash that distinguishes lists of rows, also by their order.
fn digest(hash: u64, n: u64) -> u64 {
    scrambled(hash ^ n)
}

/// One row that stands for all texts of a key.
fn group((key, texts): (u64, Vec<Text>)) -> (u64, u64, u64) {
    (key, texts.len() as u64, texts.iter().map(|text| number(text)).fold(0, digest))
}

/// One row for each partition: its number of rows, and a digest of them. It shows whether the partition was divided.
fn partitions<T: Record>(rows: &DStream<T>, number: impl Fn(T) -> [u64; 3] + 'static) -> Output {
    let digest_of = move |rows: &mut dyn Iterator<Item = T>| {
        rows.fold((0u64, 0), |(count, hash), row| (count + 1, number(row).into_iter().fold(hash, digest)))
    };
    rows.map_partitions(move |mut rows| Some(digest_of(&mut rows))).print_n(100)
}

/// Operators on large partitions. `None` if there is no such operator.
pub fn large(ctx: &StreamingContext, numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    if !operator.starts_with("large_") {
        return None;
    }
    let rows = argument(ctx, "rows").unwrap_or(1000);
    // The rows are distributed in turn, so that no map task is large.
    let many = numbers.flat_map(move |n| n as u64 * rows..(n as u64 + 1) * rows).repartition(16);
    let keys = argument(ctx, "keys").unwrap_or(u64::MAX);
    let texts = many.map(move |n| (scrambled(n) % keys, text(n)));
    Some(match operator {
        "large_groups" => {
            let texts = texts.map(|(key, text)| (key, Text::from(text)));
            partitions(&texts.group_by_key().map(group).erase(), <[u64; 3]>::from)
        }
        "large_groups_of_a_transform" => {
            let groups = texts.transform(|rdd| {
                let count = rdd.count();
                let groups = rdd.map(|(key, text)| (key, Text::from(text))).group_by_key();
                groups.map(group).map(move |(key, texts, digest)| (key, texts + count, digest))
            });
            partitions(&groups.erase(), <[u64; 3]>::from)
        }
        "large_reduction" => {
            // Only rows that the shuffle brings together are merged in this way.
            let unlucky = argument(ctx, "unlucky").map_or_else(|| "x".to_owned(), text);
            let max = |a: String, b| if a > b { a } else { b };
            let last = texts.combine_by_key(
                |text| text,
                max,
                move |a, b| {
                    assert!(b != unlucky, "an unlucky text");
                    max(a, b)
                },
            );
            partitions(&last.erase(), |(key, text)| [key, number(&text), 0])
        }
        "large_distinct" => partitions(&many.map(|n| scrambled(n) as u32).distinct().erase(), |n| [u64::from(n), 0, 0]),
        "large_cogroup" => {
            let texts = texts.map(|(key, text)| (key, Text::from(text)));
            let groups = texts.cogroup(&numbers.map(|n| (n as u64, n)));
            partitions(&groups.map(|(key, (texts, _))| group((key, texts))).erase(), <[u64; 3]>::from)
        }
        "large_sort" => {
            let sorted = texts.map(|(key, text)| (key % 1000, text)).transform(|rdd| rdd.sort_by_key(false));
            partitions(&sorted.erase(), |(key, text)| [key, number(&text), 0])
        }
        _ => return states(&texts, operator),
    })
}

/// A state: how many texts a key had, a digest of all of them, and the last one.
type Seen = (u64, u64, String);

fn seen(texts: &[Text], before: Option<Seen>) -> Seen {
    let (count, hash, last) = before.unwrap_or_default();
    let last = texts.last().map_or(last, ToString::to_string);
    (count + texts.len() as u64, texts.iter().map(|text| number(text)).fold(hash, digest), last)
}

/// Digests of all states.
fn digests<C: Chain<Out = (u64, Seen)>>(states: &DStream<(u64, Seen), C>) -> Output {
    let small = states.map(|(key, (count, hash, last))| (digest(key, count), hash, number(&last)));
    partitions(&small.erase(), <[u64; 3]>::from)
}

/// Operators that keep state of large partitions. `None` if there is no such operator.
fn states<C: Chain<Out = (u64, String)>>(texts: &DStream<(u64, String), C>, operator: &str) -> Option<Output> {
    let initial = || (0..17_000u64).map(|n| (scrambled(n), (1, n, text(n))));
    Some(match operator {
        "large_update_by_key" => {
            let texts = texts.map(|(key, text)| (key, Text::from(text)));
            // Some keys leave at their third text.
            let states = texts.update_state_by_key(|texts: Vec<Text>, before| {
                Some(seen(&texts, before)).filter(|(count, ..)| count % 3 > 0 || count % 2 > 0)
            });
            digests(&states.initial_state(initial))
        }
        "large_update_by_partition" => {
            let texts = texts.map(|(key, text)| (key, Text::from(text)));
            let states = texts.update_state_by_partition(|keys| {
                let states =
                    keys.map(|(key, texts, before): (u64, Vec<Text>, Option<Seen>)| (key, seen(&texts, before)));
                states.filter(|(key, _)| key % 5 > 0).collect::<Vec<_>>()
            });
            digests(&states)
        }
        "large_mapping" => {
            let spec = StateSpec::function(|key: &u64, text: Option<String>, state: &mut State<Seen>| {
                let before = state.get_option().cloned();
                let Some(text) = text else { return (*key, before.unwrap_or_default()) };
                let after = seen(&[Text::from(text)], before);
                state.update(after.clone());
                (*key, after)
            });
            let spec = spec.initial_state(initial).timeout(seconds(1));
            digests(&texts.map_with_state(spec).into_stream())
        }
        "large_inverse" => {
            let values = texts.map(|(key, text)| (key, (0..50).map(|n| number(&text) * n).collect::<Vec<u64>>()));
            let with = |a: Vec<u64>, b: Vec<u64>, f: fn(u64, u64) -> u64| -> Vec<u64> {
                a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect()
            };
            let sums = values.reduce_by_key_and_window_inverse_filtered(
                move |a, b| with(a, b, u64::wrapping_add),
                move |a, b| with(a, b, u64::wrapping_sub),
                seconds(2),
                |(_, sums)| sums.iter().any(|sum| *sum > 0),
            );
            partitions(&sums.map(|(key, sums)| (key, sums[1], sums[49])).erase(), <[u64; 3]>::from)
        }
        _ => return None,
    })
}
