//! The tasks of a stage, as events tell of them, and what they use.
//!
//! Owns which tasks are told of if a stage has too many.

use crate::time::{Duration, Time};
use std::borrow::Borrow;
use std::cmp::Reverse;

/// What code of the plugin has used in tasks, or in driver functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginUse {
    /// The time in code of the plugin.
    pub time: Duration,
    /// How many functions of the plugin were called.
    pub calls: u64,
    /// The largest memory of an instance, in bytes.
    pub memory_bytes: u64,
}

impl PluginUse {
    /// Adds what other instances have used.
    pub fn add(&mut self, other: Self) {
        self.time = self.time.saturating_add(other.time);
        self.calls = self.calls.saturating_add(other.calls);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
    }
}

/// The most tasks of a stage that are told one by one.
pub const TASKS_MAX: usize = 256;

/// What is known of one task of a stage that has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// The partition.
    pub partition: u32,
    /// The number of attempts.
    pub attempts: u32,
    /// When the first attempt began.
    pub start_time: Time,
    /// The time from the begin of the first attempt to the end of the last, pauses included.
    pub duration: Duration,
    /// The time of all attempts.
    pub task_time: Duration,
    /// The rows that the task read and wrote. These and the following numbers are zero if the task failed.
    pub rows_read: u64,
    /// See `rows_read`.
    pub rows_written: u64,
    /// The size in memory of these rows, in bytes.
    pub bytes_read: u64,
    /// See `bytes_read`.
    pub bytes_written: u64,
    /// What code of the plugin has used in the attempt that succeeded.
    pub plugin: PluginUse,
    /// Why the task failed.
    pub failure_reason: Option<String>,
}

/// Keeps at most `max` tasks: those that failed and those that took longest, in the order of partitions.
pub fn keep_tasks<T: Borrow<TaskInfo>>(tasks: &mut Vec<T>, max: usize) {
    if tasks.len() > max {
        tasks.sort_by_key(|task| {
            let task = task.borrow();
            (task.failure_reason.is_none(), Reverse(task.task_time), task.partition)
        });
        tasks.truncate(max);
        tasks.sort_by_key(|task| task.borrow().partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn task((partition, (ms, failed)): (u32, (u64, bool))) -> TaskInfo {
        let time = Duration::from_millis(ms);
        TaskInfo {
            partition,
            attempts: 1,
            start_time: Time::default(),
            duration: time,
            task_time: time,
            rows_read: 0,
            rows_written: 0,
            bytes_read: 0,
            bytes_written: 0,
            plugin: PluginUse::default(),
            failure_reason: failed.then(String::new),
        }
    }

    proptest! {
        /// No task that is dropped has failed while one that is kept has not, or took longer than such a one.
        #[test]
        fn the_tasks_that_say_most_are_kept(all in prop::collection::vec((0u64..9, any::<bool>()), 0..40), max in 0usize..40) {
            let all: Vec<TaskInfo> = (0..).zip(all).map(task).collect();
            let mut kept: Vec<&TaskInfo> = all.iter().collect();
            keep_tasks(&mut kept, max);
            prop_assert_eq!(kept.len(), all.len().min(max));
            prop_assert!(kept.is_sorted_by_key(|task| task.partition));
            let weight = |task: &TaskInfo| (task.failure_reason.is_some(), task.task_time);
            let least = kept.iter().map(|task| weight(task)).min();
            for dropped in all.iter().filter(|task| !kept.contains(task)) {
                prop_assert!(Some(weight(dropped)) <= least || max == 0);
            }
        }
    }
}
