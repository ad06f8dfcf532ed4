//! Sorts the words of each batch by how often they occur, and saves them as text files.

use millstream::*;

fn build(ctx: &StreamingContext) {
    ctx.text_stream("lines")
        .flat_map(|line| line.split(' '))
        .map(|word| (word, 1u64))
        .reduce_by_key(|a, b| a + b)
        .transform(|counts| counts.sort_by(|(_, count)| *count, false))
        .save_as_text_files("out:counts", "txt")
        .name("sorted_counts");
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn the_most_frequent_word_comes_first() {
        let saved = testing::Job::new(super::build).batch("lines", ["to be or", "not to be to"]).run();
        assert_eq!(saved[0].rows, ["(to,3)", "(be,2)", "(or,1)", "(not,1)"]);
    }
}
