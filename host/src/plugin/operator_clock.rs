//! The time that each operator of a traced task takes.
//!
//! Owns which operator gets which time. A traced plugin says before each row which operator sees the row next, and again when
//! an operator goes on after a later one: the time until the next report is that of the operator. So the reading of a row counts
//! for the operator that worked before. The time before the first report belongs to no operator.

use super::limits::Moment;
use crate::ids::NodeId;
use crate::time::Duration;

/// Counts the time of operators.
#[derive(Debug, Default)]
pub(super) struct OperatorClock {
    times: Vec<(NodeId, Duration)>,
    /// The operator whose time runs, as its place in `times`, and since when.
    running: Option<(usize, Moment)>,
}

impl OperatorClock {
    /// The time of `operator` runs from here on.
    pub(super) fn switch(&mut self, operator: NodeId) {
        self.pause();
        let known = self.times.iter().position(|(node, _)| *node == operator);
        let place = known.unwrap_or_else(|| {
            self.times.push((operator, Duration::ZERO));
            self.times.len() - 1
        });
        self.running = Some((place, Moment::now()));
    }

    /// No time runs from here on.
    pub(super) fn pause(&mut self) {
        let Some((place, since)) = self.running.take() else { return };
        let took = since.elapsed();
        if let Some((_, time)) = self.times.get_mut(place) {
            *time += took;
        }
    }

    /// The operators in the order in which they first saw a row, with their times.
    pub(super) fn take(&mut self) -> Vec<(NodeId, Duration)> {
        self.pause();
        std::mem::take(&mut self.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(span: Duration) {
        let begun = Moment::now();
        while begun.elapsed() < span {}
    }

    #[test]
    fn each_operator_gets_the_time_after_its_name() {
        const SHORT: Duration = Duration::from_micros(200);
        const LONG: Duration = Duration::from_millis(2);
        let mut clock = OperatorClock::default();
        wait(LONG);
        for _ in 0..3 {
            clock.switch(NodeId(7));
            wait(SHORT);
            clock.switch(NodeId(2));
            wait(LONG);
            clock.pause();
            wait(LONG);
        }
        let times = clock.take();
        let nodes: Vec<u32> = times.iter().map(|(node, _)| node.0).collect();
        assert_eq!(nodes, [7, 2]);
        assert!(times[0].1 >= 3 * SHORT && times[1].1 >= 3 * LONG, "{times:?}");
        assert!(clock.take().is_empty());
    }
}
