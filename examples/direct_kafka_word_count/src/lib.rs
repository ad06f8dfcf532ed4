//! Counts the words of messages of Kafka, which tabs separate. Spark's `KafkaStreamingDirect`.

use millstream::*;

fn build(ctx: &StreamingContext) {
    ctx.kafka_stream("messages")
        .values()
        .flat_map(|value| value.split('\t'))
        .map(|word| (word, 1u64))
        .reduce_by_key(|a, b| a + b)
        .print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::{KafkaRecord, testing};

    #[test]
    fn counts_the_words_of_values() {
        let messages = ["to\tbe", "or\tnot\tto be"].map(KafkaRecord::of_value);
        let printed = testing::Job::new(super::build).batch("messages", messages).run();
        assert_eq!(printed[0].rows, ["(to,1)", "(be,1)", "(or,1)", "(not,1)", "(to be,1)"]);
    }
}
