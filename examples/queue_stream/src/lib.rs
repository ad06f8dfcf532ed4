//! Counts numbers by their last digit, batch by batch, from a queue. Spark's `QueueStream`.

use millstream::*;

fn build(ctx: &StreamingContext) {
    ctx.stream::<u64>("numbers").map(|number| (number % 10, 1u64)).reduce_by_key(|a, b| a + b).print();
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn counts_by_the_last_digit() {
        let printed =
            testing::Job::new(super::build).batch("numbers", [1u64, 12, 11]).batch("numbers", [0u64; 0]).run();
        assert_eq!(printed[0].rows, ["(1,2)", "(2,1)"]);
        assert!(printed[1].rows.is_empty());
    }
}
