//! Counts each word from the start of the job on. Spark's `StatefulNetworkWordCount`.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let count = StateSpec::function(|word: &Text, one: Option<u64>, count: &mut State<u64>| {
        let sum = count.get_option().copied().unwrap_or(0) + one.unwrap_or(0);
        count.update(sum);
        (word.clone(), sum)
    });
    let words = ctx.text_stream("lines").flat_map(|line| line.split(' ')).map(|word| (word, 1));
    words.map_with_state(count.initial_state(|| [("hello".into(), 1), ("world".into(), 1)])).print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn each_word_comes_with_its_count_so_far() {
        let job = testing::Job::new(super::build);
        let printed = job.batch("lines", ["hello you", "you"]).batch("lines", ["hello"]).run();
        assert_eq!(printed[0].rows, ["(hello,2)", "(you,1)", "(you,2)"]);
        assert_eq!(printed[1].rows, ["(hello,3)"]);
    }
}
