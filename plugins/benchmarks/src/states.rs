//! The programs that `bench-state` measures. The records are made from numbers: each number stands for many records.

use millstream::{State, StateSpec, StreamingContext, seconds};

/// An odd number. The upper bits of products with it look random.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Builds a program. A number `n` below zero stands for `rows` keys, from `(-n - 1) * rows` on. Any other number stands
/// for `rows` random keys.
pub fn build(ctx: &StreamingContext, program: &str) {
    let argument = |name: &str| ctx.arg(name).and_then(|number| number.parse().ok()).unwrap_or(1u64);
    let (rows, keys, length, snapshot) =
        (argument("rows"), argument("keys"), argument("length"), argument("checkpoint"));
    let numbers = ctx.stream::<i64>("numbers");
    let pairs = numbers.flat_map(move |n| {
        let first = if n < 0 { (-n - 1) as u64 * rows } else { n as u64 * rows };
        let key = move |at: u64| if n < 0 { at } else { (at.wrapping_mul(SCATTER) >> 24) % keys };
        (first..first + rows).map(move |at| (key(at), 1u64))
    });
    let snapshot = seconds(snapshot);
    match program {
        "state-map" => {
            let counts = StateSpec::function(|_: &u64, one: Option<u64>, count: &mut State<u64>| {
                let next = count.get_option().copied().unwrap_or(0) + one.unwrap_or(0);
                count.update(next);
                next
            });
            pairs.map_with_state(counts).checkpoint(snapshot).reduce(|a, b| a.max(b)).print()
        }
        "state-update" => {
            let counts = pairs
                .update_state_by_key(|ones, count: Option<u64>| Some(count.unwrap_or(0) + ones.iter().sum::<u64>()));
            counts.checkpoint(snapshot).print()
        }
        "state-inverse" => {
            let sums = pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, seconds(length));
            sums.checkpoint(snapshot).print()
        }
        "state-none" => pairs.reduce_by_key(|a, b| a + b).print(),
        other => panic!("there is no program {other}"),
    };
}
