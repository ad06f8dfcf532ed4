//! Ordinary and hostile ways to make the host use memory.

use millstream::{Rdd, StreamingContext, Text, files};
use std::sync::atomic::{AtomicU32, Ordering};

fn argument(ctx: &StreamingContext, name: &str) -> u32 {
    ctx.arg(name).and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// Emits pairs of bits in chunks, without the SDK. A row is two bits, and the host knows no smaller row.
fn pairs(chunks: u32, rows: u32) {
    let bits = vec![0xaa; rows.div_ceil(8) as usize];
    (0..chunks).for_each(|_| super::emit(rows, &[&[], &bits, &[], &bits]));
}

/// Counts its own calls, in a static variable.
fn calls() -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

/// Grows the memory by a mebibyte, and fills the new bytes. Returns whether all of them were zero.
#[cfg(target_family = "wasm")]
fn grown_memory_is_zero() -> bool {
    const PAGE_BYTES: usize = 64 << 10;
    let begin = core::arch::wasm32::memory_grow(0, 16);
    if begin == usize::MAX {
        return false;
    }
    // SAFETY: these pages are new, so nothing else uses them.
    let grown = unsafe { std::slice::from_raw_parts_mut((begin * PAGE_BYTES) as *mut u8, 16 * PAGE_BYTES) };
    let is_zero = grown.iter().all(|byte| *byte == 0);
    grown.fill(std::hint::black_box(0xaa));
    std::hint::black_box(grown);
    is_zero
}
#[cfg(not(target_family = "wasm"))]
fn grown_memory_is_zero() -> bool {
    true
}

/// A program that makes the host use memory. Returns false if `how` names another behaviour.
pub fn use_memory(ctx: &StreamingContext, how: &str) -> bool {
    let (chunks, rows) = (argument(ctx, "chunks"), argument(ctx, "rows"));
    if how == "many-sources" {
        let sources: Vec<_> = (0..rows).map(|n| ctx.text_stream(&format!("s{n}")).erase()).collect();
        ctx.union(sources).count().print();
        return true;
    }
    let lines = || ctx.text_stream("lines");
    let narrow = || {
        let emitted = move |_| {
            pairs(chunks, rows);
            None::<(bool, bool)>
        };
        lines().flat_map(emitted)
    };
    let long = || lines().flat_map(move |line| (0..rows).map(move |_| Text::from(line.repeat(1 << 10))));
    match how {
        "narrow-shuffle" => narrow().repartition(2).count().print(),
        "narrow-print" => narrow().print_n(u32::MAX),
        "narrow-sort" => narrow().transform(|rdd| rdd.sort_by_key(true)).count().print(),
        "narrow-parquet" => narrow().save_as_parquet_files("out:narrow", ""),
        "long-print" => long().print_n(u32::MAX),
        "long-json" => long().save_as_json_files("out:long", ""),
        "long-shuffle" => long().map(|line| (line, 1u64)).repartition(2).count().print(),
        "leftovers" => {
            let found = |line: Text| Text::from(format!("{line} {} {}", calls(), grown_memory_is_zero()));
            lines().map(found).print()
        }
        "one-row" => lines().map(move |_| vec![true; rows as usize]).print(),
        "many-partitions" => {
            let counts = lines().map(|line| (line, 1u64)).reduce_by_key(|a, b| a + b).partitions(rows);
            counts.map(|(line, n)| (n, line)).reduce_by_key(|a, _| a).partitions(rows).print()
        }
        "reads" => lines().foreach_rdd(move |rdd: Rdd<Text>| {
            if rdd.count() > 0 {
                (0..rows).for_each(|_| drop(files::read("out:large")));
            }
        }),
        _ => return false,
    };
    true
}
