//! The three words that were searched most in the last 60 seconds, every 10 seconds. A line is a user, a space and a word.

use millstream::*;

/// How many words are shown.
const SHOWN: usize = 3;

fn build(ctx: &StreamingContext) {
    ctx.text_stream("searches")
        .flat_map(|line| line.split_once(' '))
        .map(|(_, word)| (word, 1u64))
        .reduce_by_key_and_window(|a, b| a + b, (seconds(60), seconds(10)))
        .partitions(1)
        .map_partitions(most_frequent)
        .print();
}
millstream::plugin!(build);

/// The most frequent words; of equally frequent ones the first in the alphabet.
fn most_frequent(words: impl Iterator<Item = (Text, u64)>) -> Vec<(Text, u64)> {
    let mut words: Vec<_> = words.collect();
    words.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    words.truncate(SHOWN);
    words
}

#[cfg(test)]
mod tests {
    use millstream::{seconds, testing};

    #[test]
    fn the_most_frequent_words_come_first() {
        let printed = testing::Job::new(super::build)
            .batch_interval(seconds(10))
            .batch("searches", ["ann rust", "bob wasm", "ann tea", "eve wasm", "eve sea"])
            .batch("searches", ["bob sea", "not-a-search", "bob wasm"])
            .run();
        assert_eq!(printed[0].rows, ["(wasm,2)", "(rust,1)", "(sea,1)"]);
        assert_eq!(printed[1].rows, ["(wasm,3)", "(sea,2)", "(rust,1)"]);
    }
}
