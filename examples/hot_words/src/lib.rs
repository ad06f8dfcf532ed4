//! The three words that were searched most in the last 60 seconds, every 10 seconds. A line is a user, a space and a
//! word.

use millstream::*;

/// How many words are shown.
const SHOWN: u64 = 3;

fn build(ctx: &StreamingContext) {
    ctx.text_stream("searches")
        .flat_map(|line| line.split_once(' '))
        .map(|(_, word)| (word, 1u64))
        .reduce_by_key_and_window(|a, b| a + b, (seconds(60), seconds(10)))
        .transform(|counts| {
            let ranked = counts.sort_by(|(_, count)| *count, false).zip_with_index();
            ranked.filter(|(_, rank)| *rank < SHOWN).map(|(count, _)| count)
        })
        .print();
}
millstream::plugin!(build);

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
        assert_eq!(printed[0].rows, ["(wasm,2)", "(rust,1)", "(tea,1)"]);
        assert_eq!(printed[1].rows, ["(wasm,3)", "(sea,2)", "(rust,1)"]);
    }
}
