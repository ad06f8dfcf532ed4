//! Saves the lines of each batch, and the counts of the words of the last batches: for tests of what a job does after a
//! crash. The job's argument `batch_ms` is its batch interval.

use millstream::{StreamingContext, milliseconds};

fn build(ctx: &StreamingContext) {
    let batch_ms = ctx.arg("batch_ms").and_then(|ms| ms.parse().ok()).unwrap_or(1000);
    let batches = |count: u64| milliseconds(batch_ms * count);
    let lines = ctx.text_stream("lines");
    lines.save_as_text_files("out/lines", "txt").name("lines");
    let words = lines.flat_map(|line| line.split(' ')).map(|word| (word, 1u64)).erase();
    words.reduce_by_key_and_window(|a, b| a + b, batches(3)).save_as_text_files("out/counts", "txt").name("counts");
    // A window over windows reaches further back than any of them.
    words
        .window((batches(4), batches(2)))
        .keys()
        .window((batches(4), batches(4)))
        .count_by_value()
        .save_as_text_files("out/deep", "txt")
        .name("deep");
}
millstream::plugin!(build);
