//! Counts words as they are written, in each batch, in the last seconds and in total: the version that is replaced. See `v2` for the version
//! that takes its place.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let words = ctx.text_stream("lines").flat_map(|line| line.split_whitespace()).map(|word| (word, 1u64)).erase();
    words.reduce_by_key(|a, b| a + b).save_as_text_files("out:counts", "txt").name("counts");
    let recent = words.reduce_by_key_and_window(|a, b| a + b, (seconds(4), seconds(2)));
    recent.save_as_text_files("out:recent", "txt").name("recent");
    let totals = words.update_state_by_key(|ones, total: Option<u64>| Some(total.unwrap_or(0) + ones.len() as u64));
    totals.name("totals").save_as_text_files("out:totals", "txt").name("saved totals");
}
millstream::plugin!(build);
