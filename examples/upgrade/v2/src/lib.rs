//! Counts words without regard to case and punctuation, in each batch, in the last seconds and in total: the new version of the example
//! `upgrade`.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let word = |word: Text| word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
    let words = ctx.text_stream("lines").flat_map(|line| line.split_whitespace());
    let words =
        words.map(move |written| (Text::from(word(written)), 1u64)).filter(|(word, _)| !word.is_empty()).erase();
    words.reduce_by_key(|a, b| a + b).save_as_text_files("out:counts", "txt").name("counts");
    let recent = words.reduce_by_key_and_window(|a, b| a + b, (seconds(4), seconds(2)));
    recent.save_as_text_files("out:recent", "txt").name("recent");
    let totals = words.update_state_by_key(|ones, total: Option<u64>| Some(total.unwrap_or(0) + ones.len() as u64));
    totals.name("totals").save_as_text_files("out:totals", "txt").name("saved totals");
}
millstream::plugin!(build);
