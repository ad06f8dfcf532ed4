//! Counts the words of each batch. Spark's `NetworkWordCount`.

use millstream::*;

fn build(ctx: &StreamingContext) {
    ctx.text_stream("lines")
        .flat_map(|line| line.split(' '))
        .map(|word| (word, 1u64))
        .reduce_by_key(|a, b| a + b)
        .print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn counts_words_batch_by_batch() {
        let printed =
            testing::Job::new(super::build).batch("lines", ["hello world", "hello"]).batch("lines", ["bye"]).run();
        assert_eq!(printed[0].rows, ["(hello,2)", "(world,1)"]);
        assert_eq!(printed[1].rows, ["(bye,1)"]);
    }
}
