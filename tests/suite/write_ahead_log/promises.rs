//! The cells of the tables in README, "What is promised", that no other test shows. `write_ahead_log.rs` and
//! `recovery.rs` show those of sockets, and of reliable receivers with the log; `outputs.rs` and `driver_files.rs` those of
//! saved files and driver functions.

use super::*;
use host::time::Time;

const DEATHS: [Death; 3] =
    [Death::AfterBatch(3), Death::AtWrite { write: 61, seed: 1 }, Death::AtWrite { write: 40, seed: 2 }];

/// The lines of each batch that has some.
fn lines(outcome: &Outcome) -> BTreeMap<u64, Vec<String>> {
    assert_eq!((&outcome.result, lost(outcome)), (&Ok(()), vec![]), "{:#?}", outcome.log);
    received(outcome).lines()
}

/// Without the log, only records are lost that were acknowledged and not processed when the host died.
#[test]
fn a_reliable_receiver_without_the_log_loses_what_was_not_processed() {
    let mut all_lost = BTreeSet::new();
    for seed in 0..8 {
        let (mut job, source) = reliable_job(60);
        job.job_file = job.job_file.replace(LOG, "");
        job.stop_after = Some(20);
        let deaths = [Death::AtWrite { write: 30 + 13 * seed, seed }];
        let outcome = job.run_through(&deaths);
        assert_eq!(outcome.result, Ok(()));
        assert_eq!(source.lock().expect("nobody panics").acknowledged, 60);
        let numbers = numbers(&outcome);
        let lost: Vec<u64> = (1..=60).filter(|number| !numbers.contains_key(number)).collect();
        assert!(lost.windows(2).all(|pair| pair[1] == pair[0] + 1), "seed {seed}: {lost:?}");
        // One call whose acknowledgement got lost.
        assert!(numbers.values().filter(|count| **count > 1).count() <= 3, "seed {seed}: {numbers:?}");
        all_lost.extend(lost);
    }
    assert!(!all_lost.is_empty() && all_lost.len() < 60, "{all_lost:?}");
}

/// A queue, with and without the log.
#[test]
fn each_line_of_a_queue_is_processed_once() {
    let queue: String = (0..12).map(|batch| format!("[\"n{batch} w\", \"n{} v\"]\n", batch + 100)).collect();
    for tables in ["", LOG] {
        let job = Job::on_queue("recoverable", &queue).with_checkpoint().with_tables(tables);
        let plain = lines(&job.run());
        assert_eq!(plain.values().flatten().count(), 24);
        assert_eq!(lines(&job.run_through(&DEATHS)), plain, "{tables}");
    }
}

/// Files, with and without the log.
#[test]
fn each_file_is_processed_once() {
    for tables in ["", LOG] {
        let mut job = Job::on_queue("recoverable", "");
        job.job_file = "[job]\nname = \"files\"\n[sources.lines]\ntype = \"text-files\"\npath = \"in\"\n".to_owned();
        job.files = vec![("in/.keep".to_owned(), String::new())];
        let file = |number: u64| {
            let modified = START + Duration::from_millis(1100 + number * 1000);
            (Time::from_ms(0), modified, format!("in/{number:03}"), format!("n{number} w\n"))
        };
        job.appearing = (0..8).map(file).collect();
        job.stop_after = Some(12);
        let job = job.with_checkpoint().with_tables(tables);
        let plain = lines(&job.run());
        assert_eq!(plain.values().flatten().count(), 8);
        assert_eq!(lines(&job.run_through(&DEATHS)), plain, "{tables}");
    }
}

/// A log file that is there from the beginning, with and without the log.
#[test]
fn each_line_of_a_log_file_is_processed_once() {
    for tables in ["", LOG] {
        let mut job = Job::on_queue("recoverable", "");
        job.job_file = "[job]\nname = \"log\"\n[sources.lines]\ntype = \"log-file\"\npath = \"app.log\"\n\
                        start = \"beginning\"\n"
            .to_owned();
        job.files = vec![("app.log".to_owned(), (0..40).map(|number| format!("n{number} w\n")).collect())];
        job.stop_after = Some(8);
        let job = job.with_checkpoint().with_tables(tables);
        let flat = |outcome: &Outcome| -> Vec<String> { lines(outcome).into_values().flatten().collect() };
        let plain = flat(&job.run());
        assert_eq!(plain.len(), 40);
        assert_eq!(flat(&job.run_through(&DEATHS)), plain, "{tables}");
    }
}

/// `print` shows each batch at least once, and the same each time.
#[test]
fn each_batch_is_printed_at_least_once() {
    let queue: String = (0..12).map(|batch| format!("[\"n{batch} w\"]\n")).collect();
    let mut is_twice = false;
    for tables in ["", LOG] {
        let job = Job::on_queue("recoverable", &queue).with_checkpoint().with_tables(tables);
        let job = job.with_job_keys("args = { print = \"all\" }");
        let plain = job.run();
        assert_eq!(plain.result, Ok(()));
        let printed = |outcome: &Outcome| -> BTreeMap<String, String> {
            outcome.printed_once().into_iter().filter(|(_, rows)| rows.contains('n')).collect()
        };
        for write in [50, 55, 60, 65, 70] {
            let outcome = job.run_through(&[Death::AtWrite { write, seed: write }]);
            assert_eq!(outcome.result, Ok(()));
            assert_eq!(printed(&outcome), printed(&plain), "{tables}");
            is_twice |= outcome.printed.matches("Time: ").count() > outcome.printed_once().len();
        }
    }
    assert!(is_twice, "no batch was printed again");
}
