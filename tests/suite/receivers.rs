//! Receivers of an embedding program, in the whole host: in a simulated world, and as the process of the example.

use super::support::binary::{Directory, Running, Said};
use super::support::simulated::{Job, Outcome};
use async_trait::async_trait;
use host::receiver::{Receiver, ReceiverContext, ReceiverError, Receivers};
use host::time::Duration;
use millstream_tests::programs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

/// The state of a source's lines: how many there are, and how many of them were acknowledged.
#[derive(Default)]
struct Source {
    lines: u64,
    acknowledged: u64,
    /// The number of lines that were sent. Lines that were sent again count again.
    sent: u64,
}

/// Receives `word-NUMBER` for each line of a source. The source sends lines again that were not acknowledged, and the
/// connection breaks after every third line.
struct Reliable(Arc<Mutex<Source>>);

#[async_trait]
impl Receiver for Reliable {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        loop {
            let (lines, next) = {
                let mut source = self.0.lock().expect("nobody panics");
                source.sent += 1;
                (source.lines, source.acknowledged + 1)
            };
            if next > lines {
                return Ok(());
            }
            context.sleep(Duration::from_millis(70)).await;
            if next.is_multiple_of(3) && self.0.lock().expect("nobody panics").sent.is_multiple_of(2) {
                return Err(ReceiverError::new("lost"));
            }
            context.store_lines(&[format!("word-{next}")]).await?;
            self.0.lock().expect("nobody panics").acknowledged = next;
            if context.is_stopped() {
                return Ok(());
            }
        }
    }
}

fn reliable_job(source: &Arc<Mutex<Source>>) -> Job {
    let mut job = Job::on_queue("network_word_count", "");
    job.job_file = "[job]\nname = \"reliable\"\n\n[sources.lines]\ntype = \"custom\"\nreceiver = \"reliable\"\n\
                    restart_delay = \"300ms\"\n"
        .to_owned();
    let source = source.clone();
    job.receivers = Receivers::default().with("reliable", move |_| Ok(Box::new(Reliable(source.clone()))));
    job
}

/// The counted words, each with its count.
fn counted(outcome: &Outcome) -> Vec<(String, u64)> {
    outcome.totals().into_iter().collect()
}

/// S2.24, S2.45, S2.46: lines are acknowledged after the host has stored them. So each line is counted once, whatever
/// fails in between. When the receiver says that no more lines will come, an idle job ends.
#[test]
fn every_line_of_a_reliable_source_is_counted() {
    for seed in 0..5 {
        let source = Arc::new(Mutex::new(Source { lines: 20, ..Source::default() }));
        let outcome = reliable_job(&source).with_seed(seed).run();
        assert_eq!(outcome.result, Ok(()));
        let mut expected: Vec<_> = (1..=20).map(|number| (format!("word-{number}"), 1)).collect();
        expected.sort();
        assert_eq!(counted(&outcome), expected);
        let restarts = outcome.log.iter().filter(|line| line.contains("ReceiverError lines: lost; next try in 300 ms"));
        assert!(restarts.count() > 2, "{:#?}", outcome.log);
    }
}

/// S1.27, S2.46: a graceful stop processes all acknowledged lines, and no others.
#[test]
fn a_graceful_stop_processes_what_was_acknowledged() {
    for stop_ms in [0, 650, 2333] {
        let source = Arc::new(Mutex::new(Source { lines: u64::MAX, ..Source::default() }));
        let mut job = reliable_job(&source);
        job.stop_at = vec![super::support::simulated::START + Duration::from_millis(stop_ms)];
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()));
        let acknowledged = source.lock().expect("nobody panics").acknowledged;
        assert_eq!(counted(&outcome).len() as u64, acknowledged);
        assert!(counted(&outcome).iter().all(|(_, count)| *count == 1));
    }
}

/// Stores numbers, unreliably, with pauses between them.
struct Numbers(Vec<u64>);

#[async_trait]
impl Receiver for Numbers {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        for number in &self.0 {
            context.sleep(Duration::from_millis(400)).await;
            context.store_rows(context.rows_of_json(&[(*number).into()])?).await?;
        }
        Ok(())
    }
}

/// S2.04: several receivers run at the same time, each with its own options, and store records of the type that the
/// plugin reads.
#[test]
fn several_receivers_receive_at_the_same_time() {
    let source = |name: &str, numbers: &str| {
        format!(
            "[sources.{name}]\ntype = \"custom\"\nreceiver = \"numbers\"\noptions = {{ numbers = \"{numbers}\" }}\n"
        )
    };
    let mut job = Job::on_queue("operators", "");
    job.job_file = "[job]\nname = \"numbers\"\nparallelism = 1\nargs = { operator = \"union_of_many\" }\n".to_owned();
    job = job.with_tables(&source("lines", "1 2 3 4")).with_tables(&source("more", "10 20 30"));
    job.receivers = Receivers::default().with("numbers", |options| {
        let numbers = options.required("numbers")?;
        Ok(Box::new(Numbers(numbers.split(' ').filter_map(|number| number.parse().ok()).collect())))
    });
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    let batches: Vec<Vec<String>> = outcome.batches().into_iter().map(|(_, lines)| lines).collect();
    // The receivers begin half a second before the first batch.
    assert_eq!(batches, [vec!["1", "10"], vec!["2", "3", "20", "30"], vec!["4"]]);
}

/// A program that embeds the host reports mistakes in the options before it starts. The plain host has no receivers.
#[test]
fn receivers_and_options_that_do_not_exist_are_told() {
    let embedding = programs::native("custom_receiver");
    let directory = Directory::with_job("network_word_count");
    let said = |program: &std::path::Path, source: &str| -> Said {
        let source = format!(
            "[job]\nname = \"wc\"\nplugin = \"network_word_count.wasm\"\n[sources.lines]\ntype = \"custom\"\n{source}\n"
        );
        directory.write("job.toml", source);
        Running::start(directory.program(program, &["check", "job.toml"])).finish()
    };
    let refused = |program, source: &str, expected: &str| {
        let said = said(program, source);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(2), "", expected));
    };
    refused(
        programs::host(),
        "receiver = \"acknowledged-lines\"",
        "error: there is no receiver `acknowledged-lines` for source `lines`\n\
         help: the program `host` has no receivers of its own: embed the host in a program that registers this one, as \
         examples/custom_receiver does\n",
    );
    refused(
        &embedding,
        "receiver = \"acked-lines\"",
        "error: there is no receiver `acked-lines` for source `lines`\n\
         help: this program has the receivers `acknowledged-lines`\n",
    );
    refused(
        &embedding,
        "receiver = \"acknowledged-lines\"",
        "error: `sources.lines.options.address` is missing\n\
         help: add `address = \"...\"` to `options` of [sources.lines]\n",
    );
    refused(
        &embedding,
        "receiver = \"acknowledged-lines\"\noptions = { address = \"a:1\", adress = \"b:1\" }",
        "error: unknown option `sources.lines.options.adress`\n\
         help: the receiver has the options `address`\n",
    );
    let right = "receiver = \"acknowledged-lines\"\noptions = { address = \"no-such-host.invalid:1\" }";
    assert_eq!(said(&embedding, right).code, Some(0), "checking connects to nothing");
}

/// The example, against a server that breaks its connection in the middle of a line, and sends lines again that were
/// not acknowledged. The acknowledged lines and the counted lines are the same, once each.
#[test]
fn the_example_receives_every_line_once() {
    let directory = Directory::with_job("network_word_count");
    let job = include_str!("../../examples/custom_receiver/job.toml").replace("\"1s\"", "\"50ms\"");
    directory.write("job.toml", job);
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("a server has an address");
    let serving = thread::spawn(move || {
        let (mut first, _) = server.accept().expect("the host connects");
        first.write_all(b"1 one\n2 two\n3 three\n").expect("the host is there");
        let mut answers = BufReader::new(first.try_clone().expect("a socket can be shared")).lines();
        while answers.next().is_some_and(|line| line.is_ok_and(|line| line != "ack 3")) {}
        first.write_all(b"4 four\n5 fi").expect("the host is there");
        drop((first, answers));
        let (mut second, _) = server.accept().expect("the host connects again");
        // Line 4 may have been acknowledged, but the server did not get the acknowledgement.
        second.write_all(b"4 four\n5 five\n6 six\nend\n").expect("the host is there");
        let answers = BufReader::new(second).lines().map_while(Result::ok);
        answers.last()
    });
    let address = format!("sources.lines.options.address={address}");
    let args = ["run", "job.toml", "--stop-when-idle", "--set", &address];
    let said = Running::start(directory.program(&programs::native("custom_receiver"), &args)).finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert!(said.err.contains("ReceiverError lines: "), "{}", said.err);
    let mut counted: Vec<&str> = said.out.lines().filter(|line| line.starts_with('(')).collect();
    counted.sort_unstable();
    assert_eq!(counted, ["(five,1)", "(four,1)", "(one,1)", "(six,1)", "(three,1)", "(two,1)"]);
    assert_eq!(serving.join().expect("the server does not panic").as_deref(), Some("ack 6"));
}
