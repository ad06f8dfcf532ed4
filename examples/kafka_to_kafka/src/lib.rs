//! Reads payments from a topic of Kafka, and writes the sum of each user to another topic, exactly once. Lines that are no
//! payments go to a third topic.

use millstream::*;

/// The user and the amount of a line such as `ada 12`. `None` if the line is no payment.
fn payment(line: &Text) -> Option<(Text, u64)> {
    let (user, amount) = line.split_once(' ')?;
    Some((user, amount.parse().ok()?))
}

fn build(ctx: &StreamingContext) {
    let lines = ctx.text_stream("payments").erase();
    lines
        .filter(|line| payment(line).is_none())
        .map(|line| KafkaMessage::of(&line).header("reason", "not a user and an amount"))
        .save_to_kafka("refused")
        .name("refused");
    lines.flat_map(|line| payment(&line)).reduce_by_key(|a, b| a + b).save_to_kafka("sums").name("sums");
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn payments_are_summed_and_other_lines_refused() {
        let lines = ["ada 12", "bob 1", "ada", "ada 3", "bob x"];
        let written = testing::Job::new(super::build).batch("payments", lines).run();
        let refused = |line: &str| {
            let hex: String = line.bytes().map(|byte| format!("{byte:02x}")).collect();
            let reason: String = "not a user and an amount".bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("(None,Some({hex}),[(reason,Some({reason}))],None,None)")
        };
        assert_eq!(written[0].rows, [refused("ada"), refused("bob x")]);
        assert_eq!(written[1].rows, ["(ada,15)", "(bob,1)"]);
    }
}
