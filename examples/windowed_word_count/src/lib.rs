//! Counts the words of the last 30 seconds, every 10 seconds. Spark's `reduceByKeyAndWindow`.

use millstream::*;

fn build(ctx: &StreamingContext) {
    ctx.text_stream("lines")
        .flat_map(|line| line.split(' '))
        .map(|word| (word, 1u64))
        .reduce_by_key_and_window(|a, b| a + b, (seconds(30), seconds(10)))
        .print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::{seconds, testing};

    #[test]
    fn a_word_counts_for_thirty_seconds() {
        let printed = testing::Job::new(super::build)
            .batch_interval(seconds(10))
            .batch("lines", ["hello"])
            .batch("lines", ["hello world"])
            .batch("lines", [""; 0])
            .batch("lines", ["bye"])
            .run();
        assert_eq!(printed[1].rows, ["(hello,2)", "(world,1)"]);
        assert_eq!(printed[2].rows, ["(hello,2)", "(world,1)"]);
        assert_eq!(printed[3].rows, ["(hello,1)", "(world,1)", "(bye,1)"]);
    }
}
