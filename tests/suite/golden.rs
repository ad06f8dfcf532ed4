//! Golden streams: batches in, printed batches and saved files out, through the real WebAssembly path.
//!
//! Each file of `tests/golden` is a test of its own, named by its path: `golden::operators::map` is the file
//! `operators/map.stream`. `tests/golden/README.md` describes the files. Each golden runs twice, under shuffled
//! schedules, with a failure injected into each of its tasks in turn, without memory for its data, with a crash after
//! each of its batches and at points of writing: the output is the same byte for byte. At other parallelisms the output
//! is the same but for the order. With `MILLSTREAM_BLESS=1` the expected output is rewritten.

mod file;
mod matrix;
mod reruns;

use self::matrix::Golden;
use super::support::simulated::Job;
use host::engine::{FaultInjector, FaultPoint};
use host::ids::TaskId;

/// Makes a test of each golden file, and the list `GOLDENS` of their names. A directory is a module.
macro_rules! goldens {
    ($($name:ident),* $(,)? ; $($directory:ident { $($below:ident),* $(,)? })*) => {
        /// The golden files that are tests.
        const GOLDENS: &[&str] = &[
            $(stringify!($name),)*
            $($(concat!(stringify!($directory), "/", stringify!($below)),)*)*
        ];

        $(
            #[test]
            fn $name() {
                Golden::run(stringify!($name)).check_in_matrix();
            }
        )*

        $(
            mod $directory {
                use super::Golden;

                $(
                    #[test]
                    fn $below() {
                        let name = concat!(stringify!($directory), "/", stringify!($below));
                        Golden::run(name).check_in_matrix();
                    }
                )*
            }
        )*
    };
}

// S1.01, S1.03, S1.05, S2.07, S2.23, S3.01, S3.02, S3.03, S3.12, S6.02, S6.03 and S16.03 are the word count. S3.14 to
// S3.17, S6.08 and the operations of data sets are in `driver`. S3.02 to S3.12 and similar rows, one operator each, are
// in `operators`.
goldens! {
    network_word_count;
    driver {
        accumulator_means,
        accumulators,
        action_inside,
        another_shape_each_batch,
        between_operators,
        broadcast,
        cache,
        cartesian,
        coalesce,
        csv_file,
        distinct,
        first_of_floats,
        group_by,
        identity,
        intersection,
        join,
        join_of_a_window,
        join_on_times,
        json_file,
        map,
        map_partitions_with_index,
        of_a_transform,
        of_several,
        of_several_types,
        parallelize,
        read_and_write,
        reused_function,
        sample,
        save_and_load,
        save_and_load_enums,
        save_and_load_nested,
        save_and_load_plain,
        save_and_load_times,
        save_as_text_file,
        save_in_transform,
        slice,
        slice_of_a_window,
        slice_of_this_batch,
        sort_by,
        sort_floats,
        statistics,
        subtract,
        take_sample,
        text_file,
        time,
        two_outputs,
        with,
        zip,
        zip_with_index,
    }
    operators {
        aggregate_by_key,
        cogroup,
        cogroup3,
        combine_by_key,
        count,
        count_by_value,
        count_by_value_and_window,
        count_by_window,
        enums,
        filter,
        filter_map,
        flat_map,
        flat_map_values,
        fold_by_key,
        full_outer_join,
        glom,
        group_by_key,
        group_by_key_and_window,
        inverse_beside_states,
        join,
        join_after_shuffles,
        join_of_itself,
        join_of_options,
        join_of_unions,
        join_of_windows,
        join_on_floats,
        join_on_records,
        join_on_times,
        keys,
        keys_of_many_types,
        left_outer_join,
        map,
        map_partitions,
        map_values,
        map_with_state,
        map_with_state_and_timeout,
        optional_states,
        parse,
        persist,
        random_split,
        records_of_a_source,
        reduce,
        reduce_by_key,
        reduce_by_key_and_window,
        reduce_by_key_and_window_inverse,
        reduce_by_key_and_window_inverse_filtered,
        reduce_by_window,
        reduce_by_window_inverse,
        repartition,
        right_outer_join,
        sales,
        save_as_csv_files,
        save_as_json_files,
        save_as_object_files,
        save_as_parquet_files,
        save_as_text_files,
        save_to_kafka,
        serde_records,
        serde_records_as_keys,
        serde_records_as_values,
        shared,
        state_of_a_window,
        state_of_empty_partitions,
        state_of_states,
        state_snapshots,
        states_by_times,
        states_of_enums,
        statistics,
        structs,
        structs_as_keys,
        structs_as_values,
        text_pieces,
        times,
        times_of_crates,
        transform_of_a_window,
        types,
        union,
        union_after_shuffles,
        union_of_chains,
        union_of_itself,
        union_of_partitions,
        units,
        update_state_by_key,
        update_state_by_key_from_initial_state,
        update_state_by_key_with_time,
        update_state_by_partition,
        values,
        window,
        window_every_third_batch,
        window_of_a_shuffle,
        window_of_a_transform,
        window_of_batches,
        window_of_partitions,
        window_of_states,
        window_of_windows,
        windows_of_a_source,
        windows_of_one_stream,
    }
}

/// Each golden file is listed, and each listed file exists.
#[test]
fn each_golden_file_is_a_test() {
    let (mut listed, found) = (GOLDENS.to_vec(), file::names());
    listed.sort_unstable();
    assert_eq!(listed, found, "the list in tests/suite/golden.rs is not that of the files in tests/golden");
}

/// S2.04, S3.07: several sources bring data at the same time, and a union makes one stream of them.
#[test]
fn several_sources_become_one_stream() {
    let mut job = Job::on_queue("operators", "[1, 2]\n[3]\n")
        .with_job_keys("parallelism = 1\nargs = { operator = \"union_of_many\" }")
        .with_tables("[sources.more]\ntype = \"queue\"\npath = \"more.jsonl\"\n");
    job.files.push(("more.jsonl".to_owned(), "[10]\n[]\n[20]\n".to_owned()));
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    let batches: Vec<Vec<String>> = outcome.batches().into_iter().map(|(_, lines)| lines).collect();
    assert_eq!(batches, [vec!["1", "2", "10"], vec!["3"], vec!["20"]]);
}

/// S3.13: at other parallelisms the same counts come out, in another order.
#[test]
fn parallelism_changes_the_order_only() {
    let at = |parallelism: u32| {
        let queue = "[\"b a b\", \"c\", \"a a\"]\n[\"d e\", \"e f g h i\"]\n[]\n";
        let outcome =
            Job::on_queue("network_word_count", queue).with_job_keys(&format!("parallelism = {parallelism}")).run();
        assert_eq!(outcome.result, Ok(()));
        let mut lines: Vec<String> = outcome.printed.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert!(at(1).contains(&"(a,3)".to_owned()));
    assert_eq!((at(1), at(1)), (at(2), at(3)));
}

/// A task that fails for a reason outside the plugin at each attempt ends the run, with that reason.
#[test]
fn a_task_that_fails_too_often_ends_the_run() {
    struct AlwaysFails;
    impl FaultInjector for AlwaysFails {
        fn fails(&self, task: TaskId, _: u32, point: FaultPoint) -> bool {
            task.stage.0 == 1 && task.partition == 1 && point == FaultPoint::Begin
        }
    }
    let outcome = Golden::run("network_word_count").job().with_faults(AlwaysFails).run();
    assert_eq!(outcome.retries, 3);
    assert_eq!(
        outcome.error(),
        "operator `reduce_by_key` (node 3) failed on batch 2001-09-09T01:46:41Z, partition 1: injected failure: Begin\n\
         help: set job.on_error = \"continue\" to go on with the next batch when this happens; the host has tried 4 times: \
         the warnings above tell of each attempt"
    );
}
