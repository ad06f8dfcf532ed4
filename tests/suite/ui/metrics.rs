//! The metrics of a job: Prometheus understands them, and they say what the events file says.

use super::{Job, batches_of, number};
use millstream_tests::http_client::get;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The samples of a text in the format of Prometheus, by name and labels. Checks the form of the text.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut typed) = (BTreeMap::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type has a name");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "{name} has two types");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            let family = name.split('{').next().expect("a sample has a name");
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| family.strip_suffix(suffix));
            assert!(typed.contains(family) || base.is_some_and(|base| typed.contains(base)), "{line}");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "{name} comes twice");
        }
    }
    samples
}

/// Has Prometheus' own tool check a text. Skipped where there is no such tool. The tool may complain only of the style of
/// Spark's names.
fn check_with_promtool(text: &str) {
    let mut tool = Command::new("promtool");
    tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut tool = match tool.spawn() {
        Ok(tool) => tool,
        Err(error) => return println!("skipped: promtool cannot be started: {error}"),
    };
    tool.stdin.take().expect("it reads").write_all(text.as_bytes()).expect("it reads everything");
    let said = tool.wait_with_output().expect("it ends");
    let complaints = String::from_utf8_lossy(&said.stderr);
    let is_of_style = |line: &str| line.starts_with("spark_streaming_") && line.contains("'snake_case'");
    assert_eq!(complaints.lines().find(|line| !is_of_style(line)), None);
}

/// S14.04, S14.05, S14.08: counters, histograms and Spark's gauges.
#[test]
fn metrics_say_what_the_events_file_says() {
    let job = Job::counting();
    job.json_when("/api/millstream/v1/job", |view| view["status"]["batches_completed"].as_u64() > Some(4));
    let (status, text) = get(&job.address, "/metrics", &[]).expect("it answers");
    assert_eq!(status, 200);
    check_with_promtool(&text);
    let samples = samples(&text);
    let value = |name: &str| samples[&format!("{name}{{application=\"word-count\"}}")];
    assert_eq!(value("millstream_records_processed_total"), 3.0);
    assert_eq!(samples["millstream_source_records_total{application=\"word-count\",source=\"lines\"}"], 3.0);
    let done = value("millstream_batches_completed_total");
    assert_eq!(value("millstream_batch_processing_seconds_count"), done);
    assert_eq!(samples["millstream_batch_processing_seconds_bucket{application=\"word-count\",le=\"+Inf\"}"], done);
    assert_eq!(value("spark_streaming_totalCompletedBatches"), done);
    let consumers = samples.iter().filter(|(name, _)| name.starts_with("millstream_memory_bytes{"));
    let taken: f64 = consumers.map(|(_, bytes)| bytes).sum();
    let instances = samples["millstream_memory_bytes{application=\"word-count\",consumer=\"plugin instances\"}"];
    assert!(0.0 < instances && instances <= taken && taken <= value("millstream_memory_budget_bytes"), "{text}");
    let (_, spark) = get(&job.address, "/metrics/prometheus", &[]).expect("it answers");
    let gauge = "metrics_word_count_driver_word_count_StreamingMetrics_streaming_totalProcessedRecords_Value";
    assert!(spark.contains(&format!("{gauge}{{type=\"gauges\"}} 3\n")), "{spark}");
    let events = job.stopped();
    let first = batches_of(&events).into_values().take(done as usize);
    let seconds: f64 = first.map(|batch| number(&batch["processing_time_ms"]) / 1e3).sum();
    assert!((value("millstream_batch_processing_seconds_sum") - seconds).abs() < 1e-4, "{seconds}");
}

/// The names of metrics in an expression of the dashboard.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("millstream_"))
}

/// The dashboard for Grafana shows metrics that a job has.
#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let dashboard = millstream_tests::repository::root().join("docs/grafana/millstream.json");
    let text = std::fs::read_to_string(dashboard).expect("the dashboard is there");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let directory = super::Directory::with_job("network_word_count");
    let job = Job::start(directory, &["--set", "job.checkpoint=state"]);
    job.json_when("/api/millstream/v1/job", |view| view["status"]["checkpoint"]["written_ms"].is_u64());
    let (_, metrics) = get(&job.address, "/metrics", &[]).expect("it answers");
    let known: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let mut shown = 0;
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten()) {
        for name in names(target["expr"].as_str().expect("a target has an expression")) {
            assert!(known.contains(name.strip_suffix("_bucket").unwrap_or(name)), "{name}");
            shown += 1;
        }
    }
    assert!(shown > 15, "{shown}");
    job.stopped();
}

/// Prometheus itself scrapes the job, and has its figures. Skipped where there is no Prometheus.
#[test]
fn prometheus_scrapes_a_job() {
    let job = Job::counting();
    job.json_when("/api/millstream/v1/job", |view| view["records_processed"] == 3);
    let directory = super::Directory::new();
    directory.write(
        "prometheus.yml",
        format!(
            "scrape_configs:\n  - job_name: host\n    scrape_interval: 1s\n    static_configs:\n      - targets: [\"{}\"]\n",
            job.address
        ),
    );
    let mut command = Command::new("prometheus");
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]);
    command.current_dir(directory.path("."));
    if let Err(error) = Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status()
    {
        println!("skipped: prometheus cannot be started: {error}");
        job.stopped();
        return;
    }
    let mut prometheus = super::Running::start(command);
    prometheus.wait_for_err("msg=\"Listening on\"");
    let line =
        prometheus.err().lines().find(|line| line.contains("msg=\"Listening on\"")).expect("it says where").to_owned();
    let address = line.rsplit_once("address=").expect("it says where").1.trim().to_owned();
    let query = "/api/v1/query?query=millstream_records_processed_total";
    let result = loop {
        let (_, body) = get(&address, query, &[]).expect("Prometheus answers");
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        let result = answer["data"]["result"][0].clone();
        if !result.is_null() {
            break result;
        }
        std::thread::yield_now();
    };
    assert_eq!(result["value"][1], "3", "{result}");
    assert_eq!((&result["metric"]["application"], &result["metric"]["job"]), (&"word-count".into(), &"host".into()));
    drop(prometheus);
    job.stopped();
}
