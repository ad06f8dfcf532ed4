//! What is kept of a job in its checkpoint directory: for the next host, and for readers after the end.

use super::Job;
use crate::support::binary::{Directory, Running};
use millstream_tests::http_client::get;
use serde_json::Value;

fn ended_page(directory: &Directory) -> (Running, String) {
    let mut page = Running::start(directory.host(&["ui", "state"]));
    page.wait_for_out("http://");
    let address = page.out().trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
    (page, address)
}

/// The page of a job after its end shows the batches that the page of the running job has shown. The next host goes on with
/// the timelines and batches, and its numbers begin anew.
#[test]
fn a_job_is_shown_after_its_end_and_goes_on_after_a_restart() {
    let directory = Directory::with_job("network_word_count");
    let args = ["--set", "job.checkpoint=state"];
    let job = Job::start(directory, &args);
    job.json_when("/api/millstream/v1/job", |view| view["status"]["batches_completed"].as_u64() > Some(4));
    let page = job.json("/api/millstream/v1/batches?status=completed");
    let oldest = page["batches"].as_array().and_then(|batches| batches.last()).expect("a batch is done").clone();
    job.host.signal("INT");
    let Job { directory, host, .. } = job;
    assert_eq!(host.finish().code, Some(0));

    let (page, address) = ended_page(&directory);
    let json = |path: &str| -> Value {
        let (status, body) = get(&address, path, &[]).expect("the page answers");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("it is JSON")
    };
    let view = json("/api/millstream/v1/job");
    assert_eq!((&view["status"]["state"], &view["records_processed"]), (&"stopped".into(), &3.into()));
    assert!(view["saved_ms"].is_u64() && view["ended_ms"].is_u64(), "{view}");
    let batch = json(&format!("/api/millstream/v1/batches/{}", oldest["time_ms"]));
    assert_eq!(batch["processing_time_ms"], oldest["processing_time_ms"]);
    assert_eq!(get(&address, "/ready", &[]).expect("it answers").0, 503);
    page.signal("INT");
    assert_eq!(page.finish().code, Some(0));

    let job = Job::start(directory, &args);
    job.json_when("/api/millstream/v1/job", |view| view["status"]["batches_completed"].as_u64() > Some(0));
    let batch = job.json(&format!("/api/millstream/v1/batches/{}", oldest["time_ms"]));
    assert_eq!(batch["processing_time_ms"], oldest["processing_time_ms"]);
    let view = job.json("/api/millstream/v1/job");
    assert_eq!(view["records_processed"], 0, "{view}");
    job.stopped();
}

/// A directory without a history, and a history that cannot be read.
#[test]
fn a_job_of_which_nothing_is_kept_is_not_shown() {
    let directory = Directory::with_job("network_word_count");
    let said = directory.run(&["run", "job.toml", "--stop-when-idle", "--set", "job.checkpoint=state"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = directory.run(&["ui", "state"]);
    assert_eq!(said.code, Some(2));
    assert!(said.error().starts_with("error: state has no history of a page\nhelp: "), "{}", said.err);
    std::fs::create_dir_all(directory.path("state/ui")).expect("the directory can be made");
    directory.write("state/ui/history.json", "{\"form\": 1, \"notes\": 7}");
    let said = directory.run(&["ui", "state"]);
    assert_eq!(said.code, Some(5));
    assert!(said.error().starts_with("error: cannot read ui/history.json in state: "), "{}", said.err);
    // The job runs all the same.
    let job = Job::start(directory, &["--set", "job.checkpoint=state"]);
    job.json_when("/api/millstream/v1/job", |view| view["status"]["state"] == "running");
    job.stopped();
}
