//! The page of a job: what it says is what the events file says, and only those who may see it do.

mod collector;
mod hostile;
mod kept;
mod metrics;

use super::support::binary::{Directory, Running};
use millstream_tests::http_client::{asks, get, post};
use millstream_tests::programs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

/// A job with a page, and where the page is.
struct Job {
    directory: Directory,
    host: Running,
    address: String,
}

impl Job {
    fn start(directory: Directory, args: &[&str]) -> Self {
        let args = [&["run", "job.toml", "--ui", "--events", "events.jsonl"], args].concat();
        let mut host = Running::start(directory.host(&args));
        host.wait_for_err("PageListens: http://");
        let rest = host.err().split_once("PageListens: http://").expect("it says where").1;
        let address = rest.split_once('/').expect("it is a URL").0.to_owned();
        Self { directory, host, address }
    }

    /// A job that counts the words of three batches, and then goes on without data.
    fn counting() -> Self {
        Self::start(Directory::with_job("network_word_count"), &[])
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = get(&self.address, path, &[]).expect("the page answers");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// Asks until the answer is as wanted.
    fn json_when(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.json(path);
            if is_wanted(&value) {
                return value;
            }
            std::thread::yield_now();
        }
    }

    /// Stops the job, and returns the lines of its events file.
    fn stopped(self) -> Vec<Value> {
        self.host.signal("INT");
        let said = self.host.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        let text = std::fs::read_to_string(self.directory.path("events.jsonl")).expect("the events file is there");
        text.lines().map(|line| serde_json::from_str(line).expect("an event is JSON")).collect()
    }
}

/// The batches that are done according to the events file, by their times.
fn batches_of(events: &[Value]) -> BTreeMap<u64, Value> {
    let done = events.iter().filter(|event| event["event"] == "BatchCompleted").map(|event| &event["batch"]);
    done.map(|batch| (batch["batch_time_ms"].as_u64().expect("a batch has a time"), batch.clone())).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// S1.11, S14.01, S14.03 to S14.05, S14.08: the page names the job; each batch that it shows has the records and delays
/// that the events file has.
#[test]
fn the_page_says_what_the_events_file_says() {
    let job = Job::counting();
    let done = |view: &Value| view["status"]["batches_completed"].as_u64() > Some(4);
    let view = job.json_when("/api/millstream/v1/job", done);
    assert_eq!((&view["status"]["job"], &view["status"]["state"]), (&json!("word-count"), &json!("running")));
    assert_eq!(view["sources"], json!([{ "id": 0, "name": "lines", "received": 3, "processed": 3, "errors": 0 }]));
    let page = job.json("/api/millstream/v1/batches?limit=1000");
    let log = job.json("/api/millstream/v1/log");
    let listed = page["batches"].as_array().expect("it is a list").clone();
    let first = listed.iter().rev().find(|batch| batch["records"] == 2).expect("the first batch is kept");
    let whole = job.json(&format!("/api/millstream/v1/batches/{}", first["time_ms"]));
    let graph = job.json("/api/millstream/v1/graph");
    let events = job.stopped();
    let batches = batches_of(&events);
    let mut compared = 0;
    for batch in listed.iter().filter(|batch| batch["status"] == "completed") {
        let told = &batches[&batch["time_ms"].as_u64().expect("a batch has a time")];
        assert_eq!(batch["records"], told["num_records"]);
        assert_eq!(batch["submission_ms"], told["submission_time_ms"]);
        for (member, event) in [
            ("scheduling_delay_ms", "scheduling_delay_ms"),
            ("processing_time_ms", "processing_time_ms"),
            ("total_delay_ms", "total_delay_ms"),
        ] {
            assert!((number(&batch[member]) - number(&told[event])).abs() < 0.002, "{batch} {told}");
        }
        compared += 1;
    }
    assert!(compared > 4, "{page}");
    let told = &batches[&first["time_ms"].as_u64().expect("a batch has a time")];
    assert_eq!(whole["inputs"][0]["name"], "lines");
    assert_eq!(whole["output_operations"][0]["name"], told["output_operations"][0]["name"]);
    let stages: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "StageCompleted" && event["stage"]["batch_time_ms"] == first["time_ms"])
        .map(|event| &event["stage"])
        .collect();
    assert_eq!(whole["stages"].as_array().map(Vec::len), Some(stages.len()));
    let same = |shown: &Value, told: &Value, members: &[&str]| {
        members.iter().for_each(|member| assert_eq!(number(&shown[*member]), number(&told[*member]), "{member}"));
    };
    const OF_ALL: [&str; 7] =
        ["rows_read", "rows_written", "bytes_read", "bytes_written", "duration_ms", "task_time_ms", "plugin_time_ms"];
    for (shown, told) in whole["stages"].as_array().into_iter().flatten().zip(&stages) {
        same(shown, told, &OF_ALL);
    }
    let tasks: Vec<&Value> = stages.iter().filter_map(|stage| stage["tasks"].as_array()).flatten().collect();
    assert_eq!(whole["tasks"].as_array().map(Vec::len), Some(tasks.len()));
    for (shown, told) in whole["tasks"].as_array().into_iter().flatten().zip(&tasks) {
        same(shown, told, &OF_ALL);
        same(shown, told, &["partition", "attempts"]);
        assert!(number(&told["plugin_time_ms"]) <= number(&told["task_time_ms"]), "{told}");
    }
    let read: f64 = tasks.iter().map(|task| number(&task["rows_read"])).sum();
    assert_eq!(read, stages.iter().map(|stage| number(&stage["rows_read"])).sum::<f64>());
    assert_eq!(graph["graph"]["nodes"][0]["kind"], "source");
    assert!(
        log["lines"]
            .as_array()
            .is_some_and(|lines| lines.iter().any(|line| line["text"] == "StreamingStarted word-count"))
    );
}

/// Each operator is timed on the rows of a sample, and the operators of a stage share its time in the plugin.
#[test]
fn operators_are_timed_on_samples() {
    let job = Job::counting();
    let is_timed = |stage: &Value| number(&stage["operators"][0]["sampled_rows"]) > 0.0;
    let all_timed =
        |view: &Value| view["stages"].as_array().is_some_and(|all| all.len() == 2 && all.iter().all(is_timed));
    let graph = job.json_when("/api/millstream/v1/graph", all_timed);
    let (status, metrics) = get(&job.address, "/metrics", &[]).expect("the page answers");
    let events = job.stopped();
    let mut timed = Vec::new();
    for stage in graph["stages"].as_array().into_iter().flatten() {
        let operators = stage["operators"].as_array().expect("it is a list");
        let shares: f64 = operators.iter().map(|operator| number(&operator["share"])).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{stage}");
        assert!((0.0..=1.0).contains(&number(&stage["plugin_part"])) && number(&stage["plugin_part"]) > 0.0, "{stage}");
        timed.extend(operators.iter().map(|operator| (operator["node"].clone(), operator["role"].clone())));
    }
    let sampled = events.iter().filter(|event| event["event"] == "OperatorsSampled");
    let of_event: Vec<_> = sampled.filter_map(|event| event["operators"].as_array()).flatten().collect();
    for (node, role) in &timed {
        assert!(
            of_event.iter().any(|told| told["node"] == *node && told["role"] == *role),
            "{node} {role}: {events:?}"
        );
    }
    assert_eq!(status, 200);
    let samples = metrics.lines().filter(|line| line.starts_with("millstream_operator_sampled_rows_total{"));
    assert_eq!(samples.count(), timed.len(), "{metrics}");
}

#[test]
fn nothing_is_timed_if_nobody_wants_that() {
    let job = Job::start(Directory::with_job("network_word_count"), &["--set", "ui.sample_interval=0s"]);
    // Both stages have run on rows, which a sample would have read before.
    let has_run = |stage: &Value| number(&stage["output"]["rows"]) > 0.0;
    let graph = job.json_when("/api/millstream/v1/graph", |view| {
        view["stages"].as_array().is_some_and(|all| all.len() == 2 && all.iter().all(has_run))
    });
    let stages = graph["stages"].as_array().into_iter().flatten();
    let operators: Vec<&Value> = stages.filter_map(|stage| stage["operators"].as_array()).flatten().collect();
    assert!(operators.len() > 2, "{graph}");
    for operator in operators {
        assert_eq!((&operator["share"], &operator["sampled_rows"]), (&Value::Null, &json!(0)), "{operator}");
    }
    assert!(!job.stopped().iter().any(|event| event["event"] == "OperatorsSampled"));
}

/// The job file names no page: the new run of an upgrade knows of the page all the same.
#[test]
fn operators_of_a_new_plugin_are_timed_too() {
    let directory = Directory::with_job("network_word_count");
    let text = std::fs::read_to_string(directory.path("job.toml")).expect("the job file is there");
    let text = text.replace("type = \"queue\"\npath = \"queue.jsonl\"\n", "type = \"log-file\"\npath = \"app.log\"\n");
    // Long enough for a machine on which other tests run: a job that falls behind is not upgraded.
    let text = text.replace("\"20ms\"", "\"200ms\"\ncheckpoint = \"checkpoint\"");
    directory.write("job.toml", text);
    directory.write("app.log", "");
    // An additional section, which means nothing, makes it another component.
    directory.write("next.wasm", [&*programs::plugin("network_word_count"), &[0, 3, 1, b'v', 1]].concat());
    let mut job = Job::start(directory, &[]);
    job.host.wait_for_err("BatchCompleted");
    job.host.wait_for_socket(&job.directory);
    for command in
        [["upgrade", "job.toml", "--plugin", "next.wasm", "--batches", "1"].as_slice(), &["upgrade", "commit"]]
    {
        let said = job.directory.run(command);
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    let log = job.directory.path("app.log");
    let is_timed = |stage: &Value| stage["run_id"] != 0 && number(&stage["operators"][0]["sampled_rows"]) > 0.0;
    job.json_when("/api/millstream/v1/graph", |view| {
        let lines = std::fs::OpenOptions::new().append(true).open(&log).and_then(|mut file| file.write_all(b"a b\n"));
        lines.expect("the log can be written");
        view["stages"].as_array().is_some_and(|all| all.iter().any(is_timed))
    });
    job.stopped();
}

/// S14.01: Spark's REST interface, with Spark's paths, fields and units.
#[test]
fn tools_for_spark_find_what_they_expect() {
    const BASE: &str = "/api/v1/applications/word-count/streaming";
    let job = Job::counting();
    let statistics =
        job.json_when(&format!("{BASE}/statistics"), |value| value["numTotalCompletedBatches"].as_u64() > Some(4));
    let members = |value: &Value| {
        let mut names: Vec<String> = value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(
        members(&statistics),
        "avgInputRate avgProcessingTime avgSchedulingDelay avgTotalDelay batchDuration numActiveBatches \
         numActiveReceivers numInactiveReceivers numProcessedRecords numReceivedRecords numReceivers \
         numRetainedCompletedBatches numTotalCompletedBatches startTime"
    );
    assert_eq!((&statistics["batchDuration"], &statistics["numReceivedRecords"]), (&json!(20), &json!(3)));
    let batches = job.json(&format!("{BASE}/batches?status=COMPLETED"));
    let batches = batches.as_array().expect("it is a list");
    let oldest = batches.last().expect("there are batches");
    assert_eq!(
        members(oldest),
        "batchDuration batchId batchTime inputSize numActiveOutputOps numCompletedOutputOps numFailedOutputOps \
         numTotalOutputOps processingTime schedulingDelay status totalDelay"
    );
    assert_eq!((&oldest["status"], &oldest["inputSize"]), (&json!("COMPLETED"), &json!(2)));
    assert!(oldest["batchTime"].as_str().is_some_and(|time| time.len() == 26 && time.ends_with("GMT")), "{oldest}");
    let one = format!("{BASE}/batches/{}", oldest["batchId"]);
    assert_eq!(&job.json(&one), oldest);
    let operations = job.json(&format!("{one}/operations"));
    assert_eq!(members(&operations[0]), "description duration endTime jobIds name outputOpId startTime");
    assert_eq!(job.json(&format!("{one}/operations/0")), operations[0]);
    assert_eq!(job.json(&format!("{BASE}/receivers")), json!([]));
    assert_eq!(job.json("/api/v1/applications")[0]["id"], "word-count");
    let missing = [
        ("/api/v1/applications/other/streaming/statistics".to_owned(), "unknown app other"),
        (format!("{BASE}/batches/17"), "unknown batch: 17"),
        (format!("{one}/operations/9"), "unknown output operation: 9"),
        (format!("{BASE}/receivers/5"), "unknown receiver: 5"),
    ];
    for (path, text) in missing {
        assert_eq!(get(&job.address, &path, &[]).expect("it answers"), (404, text.to_owned()), "{path}");
    }
    let events = batches_of(&job.stopped());
    for batch in batches {
        let told = &events[&batch["batchId"].as_u64().expect("a batch has an id")];
        assert_eq!(batch["inputSize"], told["num_records"]);
        assert_eq!(number(&batch["processingTime"]), number(&told["processing_time_ms"]).floor());
        assert_eq!(number(&batch["totalDelay"]), number(&told["total_delay_ms"]).floor());
    }
}

/// S14.02: a receiver that loses its server and finds it again is shown with its error and its records, on the page and to
/// tools for Spark.
#[test]
fn receivers_are_shown_with_their_records_and_errors() {
    const BASE: &str = "/api/v1/applications/word-count/streaming";
    let directory = Directory::with_job("network_word_count");
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("it has an address");
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"20ms\"\n\n\
             [sources.lines]\ntype = \"socket\"\naddress = \"{address}\"\nreconnect_delay = \"20ms\"\n"
        ),
    );
    let job = Job::start(directory, &[]);
    drop(server.accept().expect("the receiver connects"));
    let (mut connection, _) = server.accept().expect("the receiver connects again");
    connection.write_all(b"to be\nor not\n").expect("the receiver reads");
    let view = job.json_when("/api/millstream/v1/job", |view| view["sources"][0]["processed"] == 2);
    let receiver = &view["status"]["receivers"][0];
    assert_eq!((&receiver["name"], &receiver["active"]), (&json!("lines"), &json!(true)));
    assert_eq!(view["sources"][0]["errors"], 1);
    let spark = job.json(&format!("{BASE}/receivers/0"));
    assert_eq!((&spark["streamName"], &spark["isActive"]), (&json!("lines"), &json!(true)));
    assert_eq!(spark["lastErrorMessage"], receiver["last_error"]);
    assert_eq!(job.json(&format!("{BASE}/receivers"))[0]["streamId"], 0);
    assert_eq!(job.json(&format!("{BASE}/statistics"))["numActiveReceivers"], 1);
    drop(connection);
    let events = job.stopped();
    let errors = events.iter().filter(|event| event["event"] == "ReceiverError");
    let first = errors.map(|event| &event["receiver"]["last_error_message"]).next();
    assert_eq!(first, Some(&receiver["last_error"]));
}

/// An open page hears of the job at once, and again when batches are done.
#[test]
fn an_open_page_hears_what_happens() {
    let job = Job::counting();
    let mut connection = TcpStream::connect(&job.address).expect("the page listens");
    let host = format!("Host: {}", job.address);
    connection.write_all(&asks("/api/millstream/v1/events", &[&host])).expect("the page reads");
    let mut lines = BufReader::new(connection).lines().map(|line| line.expect("the page goes on"));
    let mut next = || {
        let line = lines.find(|line| line.starts_with("data: ")).expect("the page goes on");
        let view: Value = serde_json::from_str(&line["data: ".len()..]).expect("the text is JSON");
        view["status"]["batches_completed"].as_u64().expect("it is a number")
    };
    let (first, mut last) = (next(), 0);
    while last <= first + 3 {
        last = next();
    }
    job.stopped();
}

/// A failed batch is found by its status, and has its error; and the sentence says that outputs fail.
#[test]
fn batches_that_fail_are_found() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"fine\", \"boom\"]\n");
    // The sentence is about the last twenty batches.
    let sets = ["job.args.does=panic", "job.on_error=continue", "job.batch_interval=500ms"];
    let job = Job::start(directory, &sets.map(|set| ["--set", set]).concat());
    let failed = job.json_when("/api/millstream/v1/batches?status=failed", |page| page["total"].as_u64() > Some(0));
    let batch = job.json(&format!("/api/millstream/v1/batches/{}", failed["batches"][0]["time_ms"]));
    let view = job.json("/api/millstream/v1/job");
    assert_eq!(view["health"]["grade"], "bad", "{view}");
    assert!(view["sentence"].as_str().is_some_and(|text| text.contains("outputs failed in ")), "{view}");
    let failure = batch["output_operations"][0]["failure"].as_str().expect("an output has failed").to_owned();
    let events = batches_of(&job.stopped());
    let told = &events[&batch["time_ms"].as_u64().expect("a batch has a time")];
    assert_eq!(told["output_operations"][0]["failure_reason"], failure);
}

/// The signs of life for containers: 200 while batches run.
#[test]
fn containers_see_whether_the_job_lives() {
    let job = Job::counting();
    job.json_when("/api/millstream/v1/job", |view| view["status"]["state"] == "running");
    for path in ["/health", "/ready"] {
        assert_eq!(get(&job.address, path, &[]).expect("it answers"), (200, "{\"state\":\"running\"}".to_owned()));
    }
    job.stopped();
}

/// Only who knows the token sees the job and stops the job.
#[test]
fn the_job_is_stopped_by_who_knows_the_token() {
    let directory = Directory::with_job("network_word_count");
    directory.write("token.txt", "c0rrect-horse\n");
    let job = Job::start(directory, &["--set", "ui.token=file:token.txt"]);
    let known = "Authorization: Bearer c0rrect-horse";
    let status = |head: &[&str]| get(&job.address, "/api/millstream/v1/job", head).expect("it answers").0;
    assert_eq!([status(&[]), status(&["Authorization: Bearer wrong"]), status(&[known])], [401, 401, 200]);
    assert_eq!(get(&job.address, "/metrics", &[]).expect("it answers").0, 401);
    assert_eq!(get(&job.address, "/health", &[]).expect("it answers").0, 200);
    assert_eq!(get(&job.address, "/", &[]).expect("it answers").0, 200);
    let settings = get(&job.address, "/api/millstream/v1/settings", &[known]).expect("it answers").1;
    assert!(settings.contains("file:token.txt") && !settings.contains("c0rrect-horse"), "{settings}");
    let stop = |head: &[&str]| post(&job.address, "/api/millstream/v1/stop", head, "").expect("it answers").0;
    assert_eq!([stop(&[]), stop(&[known, "Origin: http://evil.example"]), stop(&[known])], [401, 403, 202]);
    let said = job.host.finish();
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("stopping, as the page of the job wants it"), "{}", said.err);
    assert!(!said.err.contains("c0rrect-horse"), "{}", said.err);
}

/// The address must be one of this machine, or there is a token; and it must be free.
#[test]
fn a_page_that_cannot_be_served_is_refused() {
    let directory = Directory::with_job("network_word_count");
    let said = directory.run(&["check", "job.toml", "--set", "ui.address=0.0.0.0:4040"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("takes requests of other machines, which needs a `token`"), "{}", said.err);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = format!("ui.address={}", taken.local_addr().expect("it has an address"));
    let said = directory.run(&["run", "job.toml", "--stop-when-idle", "--set", &address]);
    assert_eq!(said.code, Some(2));
    assert!(said.error().starts_with("error: the page of the job cannot be served at 127.0.0.1:"), "{}", said.err);
}

/// Where a value has other members than its schema requires. `place` names the value.
fn misfits(value: &Value, schema: &Value, all: &Value, place: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().expect("a reference has a name");
        return misfits(value, &all["components"]["schemas"][name], all, place);
    }
    if let Some(one) = schema["oneOf"].as_array() {
        return if value.is_null() { Vec::new() } else { misfits(value, &one[0], all, place) };
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = json!({ "type": "object", "required": [], "properties": {} });
        for part in parts {
            let name = part["$ref"].as_str().and_then(|name| name.rsplit('/').next());
            let part = name.map_or(part, |name| &all["components"]["schemas"][name]);
            for (name, property) in part["properties"].as_object().into_iter().flatten() {
                whole["properties"][name] = property.clone();
            }
        }
        whole["required"] =
            whole["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        return misfits(value, &whole, all, place);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is_of = |name: &&str| match *name {
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        name => name == "null" && value.is_null(),
    };
    if !types.iter().any(is_of) {
        return vec![format!("{place} is {value}, and not {types:?}")];
    }
    let mut found = Vec::new();
    if let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for name in members.keys().filter(|name| !properties.contains_key(*name)) {
            found.push(format!("{place}.{name} is not described"));
        }
        for (name, property) in properties {
            match members.get(name) {
                Some(member) => found.extend(misfits(member, property, all, &format!("{place}.{name}"))),
                None => found.push(format!("{place}.{name} is missing")),
            }
        }
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(misfits(item, &schema["items"], all, &format!("{place}[{at}]")));
    }
    found
}

/// Each answer has exactly the members that the description of the interface says.
#[test]
fn answers_are_as_they_are_described() {
    let job = Job::counting();
    let all = job.json("/api/millstream/v1/openapi.json");
    job.json_when("/api/millstream/v1/job", |view| view["status"]["batches_completed"].as_u64() > Some(4));
    let newest = job.json("/api/millstream/v1/batches")["batches"][3]["time_ms"].to_string();
    let mut checked = 0;
    for (path, described) in all["paths"].as_object().expect("it has paths") {
        let schema = &described["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        if !schema.is_null() {
            let answer = job.json(&path.replace("{time}", &newest));
            assert_eq!(misfits(&answer, schema, &all, path), Vec::<String>::new());
            checked += 1;
        }
    }
    assert_eq!(checked, 8);
    job.stopped();
}
