//! Counts the words of text files that appear in a directory. Spark's `HdfsWordCount`.

use millstream::*;

fn build(ctx: &StreamingContext) {
    ctx.text_stream("files")
        .flat_map(|line| line.split_whitespace())
        .map(|word| (word, 1u64))
        .reduce_by_key(|a, b| a + b)
        .print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn counts_the_words_of_all_lines() {
        let printed = testing::Job::new(super::build).batch("files", ["to be  or", "", " not to be"]).run();
        assert_eq!(printed[0].rows, ["(to,2)", "(be,2)", "(or,1)", "(not,1)"]);
    }
}
