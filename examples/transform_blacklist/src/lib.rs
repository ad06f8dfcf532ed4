//! Drops ad clicks of users who are on a blacklist, before the clicks are billed. Spark's `TransformBlacklist`.

use millstream::*;

/// The user of a line `TIME USER`.
fn user(line: &Text) -> Text {
    line.split(' ').nth(1).unwrap_or_else(|| "".into())
}

fn build(ctx: &StreamingContext) {
    let clicks = ctx.text_stream("lines").key_by(user);
    // The list of each batch. The list may change from batch to batch.
    let blacklist = ctx.text_stream("blacklist").map(|user| (user, true));
    let valid = clicks.transform_with(&blacklist, |clicks, blacklist, _| clicks.subtract_by_key(&blacklist).values());
    valid.print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn clicks_of_the_batch_s_blacklist_are_dropped() {
        let printed = testing::Job::new(super::build)
            .batch("lines", ["20180101 tom", "20180101 jack", "20180102 tom"])
            .batch("lines", ["20180103 tom", "20180103 jack"])
            .batch("blacklist", ["tom"])
            .batch("blacklist", ["jack"])
            .run();
        assert_eq!(printed[0].rows, ["20180101 jack"]);
        assert_eq!(printed[1].rows, ["20180103 tom"]);
    }
}
