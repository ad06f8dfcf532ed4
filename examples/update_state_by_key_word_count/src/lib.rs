//! Counts each word from the start of the job on, and prints all counts in each batch. Spark's `updateStateByKey`.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let words = ctx.text_stream("lines").flat_map(|line| line.split(' ')).map(|word| (word, 1u64));
    words
        .update_state_by_key(|ones, count: Option<u64>| Some(count.unwrap_or(0) + ones.iter().sum::<u64>()))
        .initial_state(|| [("hello".into(), 1), ("world".into(), 1)])
        .print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn all_words_keep_their_counts() {
        let job = testing::Job::new(super::build);
        let mut printed = job.batch("lines", ["hello you", "you"]).batch("lines", [""; 0]).run();
        for batch in &mut printed {
            batch.rows.sort();
            assert_eq!(batch.rows, ["(hello,2)", "(world,1)", "(you,2)"]);
        }
    }
}
