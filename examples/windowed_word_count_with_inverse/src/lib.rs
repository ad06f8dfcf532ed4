//! Counts the words of the last 30 seconds, every 10 seconds, and computes each window from the window before. Spark's
//! `reduceByKeyAndWindow` with an inverse function.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let words = ctx.text_stream("lines").flat_map(|line| line.split(' ')).map(|word| (word, 1u64));
    let is_there = |(_, count): &(Text, u64)| *count > 0;
    words
        .reduce_by_key_and_window_inverse_filtered(|a, b| a + b, |a, b| a - b, (seconds(30), seconds(10)), is_there)
        .print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::{seconds, testing};

    #[test]
    fn a_word_leaves_when_its_last_batch_leaves() {
        let printed = testing::Job::new(super::build)
            .batch_interval(seconds(10))
            .batch("lines", ["hello"])
            .batch("lines", ["hello hello"])
            .batch("lines", [""; 0])
            .batch("lines", [""; 0])
            .batch("lines", [""; 0])
            .run();
        let rows: Vec<String> = printed.iter().map(|batch| batch.rows.join(" ")).collect();
        assert_eq!(rows, ["(hello,1)", "(hello,3)", "(hello,3)", "(hello,2)", ""]);
    }
}
