//! Counts the words of messages of Kafka, which tabs separate. Spark's `KafkaStreaming`, with a receiver for each thread.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let threads = ctx.arg_or("threads", 1u32);
    let pairs = |number| ctx.stream::<(Option<Text>, Text)>(&format!("messages-{number}"));
    let values: Vec<_> = (1..=threads.max(1)).map(|number| pairs(number).values()).collect();
    ctx.union(values).flat_map(|value| value.split('\t')).map(|word| (word, 1u64)).reduce_by_key(|a, b| a + b).print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::{Text, testing};

    #[test]
    fn counts_the_words_of_all_receivers() {
        let message = |value: &str| (None::<Text>, Text::from(value));
        let job = testing::Job::new(super::build).arg("threads", "2");
        let printed =
            job.batch("messages-1", [message("to\tbe")]).batch("messages-2", [message("or\tnot\tto\tbe")]).run();
        assert_eq!(printed[0].rows, ["(to,2)", "(be,2)", "(or,1)", "(not,1)"]);
    }
}
