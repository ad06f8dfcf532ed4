//! Every 20 seconds, prints where the ads were shown that were clicked in the last 20 seconds. Joins two windowed streams.
//! A line of `clicks` is an ad, a space and a user; a line of `shown` an ad, a space and a page.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let slide = seconds(20);
    let clicks = ctx.text_stream("clicks").flat_map(|line| line.split_once(' ')).window((seconds(20), slide));
    let shown = ctx.text_stream("shown").flat_map(|line| line.split_once(' ')).window((minutes(1), slide));
    clicks.join(&shown).print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::{seconds, testing};

    #[test]
    fn a_click_finds_what_was_shown_in_the_last_minute() {
        let printed = testing::Job::new(super::build)
            .batch_interval(seconds(20))
            .batch("shown", ["ad1 news", "ad2 mail"])
            .batch("clicks", [""; 0])
            .batch("clicks", ["ad1 ann"])
            .batch("clicks", ["ad1 bob", "ad3 bob"])
            .batch("clicks", ["ad1 eve"])
            .run();
        let rows: Vec<_> = printed.into_iter().map(|batch| batch.rows).collect();
        assert_eq!(rows, [vec![], vec!["(ad1,(ann,news))".to_owned()], vec!["(ad1,(bob,news))".to_owned()], vec![]]);
    }
}
