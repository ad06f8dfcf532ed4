//! State, and batches of values for state, that are larger than the memory of the job. The rows and their order are those
//! of a job with enough memory.

use super::support::simulated::{Job, Outcome};

const MIB: u64 = 1 << 20;

/// Makes a job of the plugin `operators` that keeps state. Its instances have `instance_mib`, and the rest of the job has
/// `data_mib`. In the second batch come a few texts, in the third batch none, and in the fourth batch those of the first
/// batch once more.
fn job(operator: &str, arguments: &str, instance_mib: u64, data_mib: u64) -> Job {
    let numbers: Vec<String> = (0..16).map(|n| n.to_string()).collect();
    let all = numbers.join(", ");
    let job = Job::on_queue("operators", &format!("[{all}]\n[3, 20]\n[]\n[{all}]\n"));
    let job = job.with_job_keys(&format!("parallelism = 1\nargs = {{ operator = \"{operator}\", {arguments} }}"));
    let memory_mib = instance_mib * 3 + data_mib;
    job.with_checkpoint().with_tables(&format!(
        "[engine]\nmemory = \"{memory_mib}MiB\"\nthreads = 2\n\n[limits]\nmemory = \"{instance_mib}MiB\"\n\
         task_time = \"1m\"\nresult_size = \"1GiB\"\n"
    ))
}

/// The outcome without memory for data, after a comparison with the outcome with much memory.
fn same_without_memory(operator: &str, arguments: &str, instance_mib: u64) -> Outcome {
    let roomy = job(operator, arguments, instance_mib, 2048).run();
    assert_eq!(roomy.result, Ok(()), "{operator}");
    assert_eq!(roomy.spilled_bytes, 0, "{operator}");
    let tight = job(operator, arguments, instance_mib, 0).run();
    assert_eq!(tight.result, Ok(()), "{operator} without memory");
    assert_eq!(tight.output(), roomy.output(), "{operator} without memory");
    assert_eq!((tight.retries, roomy.retries), (0, 0), "{operator}");
    assert!(tight.spilled_bytes > 9 * MIB, "{operator}: {} bytes", tight.spilled_bytes);
    let batches = roomy.batches();
    assert!(batches.iter().all(|(_, lines)| lines.len() == 1), "{operator}: {}", roomy.printed);
    assert!(batches[0].1 != batches[1].1 && batches[1].1 != batches[3].1, "{operator}: {}", roomy.printed);
    tight
}

/// S4.06, S15.22. The batch has 17,600 texts of 500 bytes in one partition. The copies that the work on all of them at
/// once would need take more than the memory that work may take without a reservation.
#[test]
fn values_of_a_partition_need_not_fit_into_memory() {
    for keys in ["300", "100000"] {
        same_without_memory("large_update_by_key", &format!("rows = \"1100\", keys = \"{keys}\""), 8);
    }
}

/// The values that leave and enter a window do not fit into memory.
#[test]
fn values_that_move_a_window_need_not_fit_into_memory() {
    same_without_memory("large_inverse", "rows = \"1100\"", 8);
}

/// All keys of the initial state, and those of the batches, time out in one batch.
#[test]
fn records_and_keys_that_time_out_need_not_fit_into_memory() {
    same_without_memory("large_mapping", "rows = \"1100\"", 8);
}

/// The function gets a whole partition, which needs a large instance. The host needs no memory for the partition.
#[test]
fn a_partition_needs_memory_only_in_the_instance() {
    same_without_memory("large_update_by_partition", "rows = \"1100\"", 128);
    let small = job("large_update_by_partition", "rows = \"1100\"", 8, 0).run().error();
    assert!(small.contains("`update_state_by_partition` (node "), "{small}");
    assert!(small.contains(", partition ") && small.contains("limits.memory = 8388608 bytes"), "{small}");
    assert!(small.contains("the function all keys of a partition at once: so far, "), "{small}");
    assert!(small.contains("help: raise limits.memory"), "{small}");
}
