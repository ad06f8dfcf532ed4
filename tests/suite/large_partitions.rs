//! Partitions that are larger than a plugin instance, or than the memory of the job. The rows and their order are those
//! of a job with enough memory.

use super::support::simulated::{Job, Outcome};

/// The memory of a small instance.
const MEMORY_MIB: u64 = 6;

/// Makes a job of the plugin `operators`. Each of its numbers 0 to 15 makes this many rows, and its instances have this
/// many MiB. If instances are small, the job has no memory left for data.
fn job(operator: &str, arguments: &str, memory_mib: u64) -> Job {
    let numbers: Vec<String> = (0..16).map(|n| n.to_string()).collect();
    let job = Job::on_queue("operators", &format!("[{}]\n", numbers.join(", ")));
    job.with_job_keys(&format!("parallelism = 2\nargs = {{ operator = \"{operator}\", {arguments} }}")).with_tables(
        &format!(
            "[engine]\nmemory = \"{}MiB\"\nthreads = 2\n\n[limits]\nmemory = \"{memory_mib}MiB\"\ntask_time = \"1m\"\n\
             result_size = \"1GiB\"\n",
            memory_mib * 3
        ),
    )
}

/// The outcome with small instances, after a comparison with the outcome with large instances.
fn same_with_little_memory(operator: &str, arguments: &str, memory_mib: u64) -> Outcome {
    let roomy = job(operator, arguments, 1024).run();
    assert_eq!(roomy.result, Ok(()), "{operator}");
    assert_eq!(roomy.retries, 0, "{operator}");
    let tight = job(operator, arguments, memory_mib).run();
    assert_eq!(tight.result, Ok(()), "{operator} with {memory_mib} MiB");
    assert_eq!(tight.output(), roomy.output(), "{operator} with {memory_mib} MiB");
    assert!(!roomy.batches()[0].1.is_empty(), "{}", roomy.printed);
    tight
}

/// The input is 16,000 texts of 500 bytes in two partitions of 4 MB. As lists in an instance of 6 MiB, they take more.
#[test]
fn groups_of_a_large_partition_come_out_as_those_of_a_small_one() {
    for keys in ["1000", "20000"] {
        let outcome =
            same_with_little_memory("large_groups", &format!("rows = \"1000\", keys = \"{keys}\""), MEMORY_MIB);
        assert_eq!(outcome.retries, 0, "a partition that is known to be large is not tried as a whole");
    }
    let again = job("large_groups", "rows = \"1000\", keys = \"1000\"", MEMORY_MIB);
    assert_eq!(again.clone().with_seed(1).run().output(), again.run().output());
}

#[test]
fn groups_in_a_transform_are_made_in_parts_too() {
    same_with_little_memory("large_groups_of_a_transform", "rows = \"1000\", keys = \"1000\"", MEMORY_MIB);
}

/// S3.12.
#[test]
fn a_reduction_of_many_large_values_is_made_in_parts() {
    same_with_little_memory("large_reduction", "rows = \"1000\"", MEMORY_MIB);
    // One key has all rows, and there is only one value.
    let roomy = job("large_reduction", "rows = \"1000\", keys = \"1\"", 1024).run();
    let tight = job("large_reduction", "rows = \"1000\", keys = \"1\"", MEMORY_MIB).run();
    assert_eq!((tight.result.clone(), tight.output()), (Ok(()), roomy.output()));
}

/// 160,000 keys of 4 bytes take little memory as columns, but much memory in the table of an instance.
#[test]
fn what_turns_out_to_be_too_large_is_made_in_parts() {
    let outcome = same_with_little_memory("large_distinct", "rows = \"10000\"", MEMORY_MIB);
    assert_eq!(outcome.retries, 2);
    assert!(outcome.log.iter().any(|line| line.contains("; it is tried again in smaller parts")), "{:#?}", outcome.log);
}

/// The record at which plugin code fails does not depend on the parts. Only one record fails, once.
#[test]
fn a_failure_in_a_part_tells_the_record_of_the_partition() {
    let arguments = "rows = \"1000\", keys = \"1000\", unlucky = \"15985\"";
    let [roomy, tight] = [1024, MEMORY_MIB].map(|memory| job("large_reduction", arguments, memory).run().error());
    assert!(roomy.contains("  an unlucky text"), "{roomy}");
    assert!(tight.contains(", record "), "{tight}");
    assert_eq!(tight, roomy);
}

#[test]
fn a_key_that_is_too_large_alone_is_named() {
    let tight = job("large_groups", "rows = \"1000\", keys = \"1\"", MEMORY_MIB).run().error();
    assert!(tight.contains(", key 0: it asked for "), "{tight}");
    assert!(
        tight.ends_with("\nhelp: what belongs to one key has to fit into an instance: raise limits.memory"),
        "{tight}"
    );
    // A cogroup brings the values of a key together in the host, and hands them to the plugin as one row.
    let mut cogroup = job("large_cogroup", "rows = \"1000\", keys = \"1\"", MEMORY_MIB);
    cogroup.job_file = cogroup.job_file.replace(&format!("memory = \"{}MiB\"", 3 * MEMORY_MIB), "memory = \"1GiB\"");
    let tight = cogroup.run().error();
    assert!(tight.contains(", key 0: it asked for "), "{tight}");
}

/// S15.22.
#[test]
fn a_sort_of_more_than_the_memory_of_the_job_spills() {
    let outcome = same_with_little_memory("large_sort", "rows = \"1000\"", 64);
    assert!(outcome.spilled_bytes > 2 * 16_000 * 500, "{} bytes: shuffle and runs", outcome.spilled_bytes);
}
