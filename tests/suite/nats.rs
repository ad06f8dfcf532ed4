//! The source of type `nats`: real servers and the real program, and the whole host in a simulated world.

use super::support::binary::{Directory, Running};
use super::support::nats_server::{Client, Server};
use super::support::numbers::numbered;
use super::support::simulated::{Death, Job, START};
use std::time::Duration;

/// A job that saves its lines.
fn job(server: &str, keys: &str, tables: &str) -> String {
    format!(
        "[job]\nname = \"saved\"\nplugin = \"recoverable.wasm\"\nbatch_interval = \"50ms\"\n\
         directories = {{ out = \".\" }}\nargs = {{ batch_ms = \"50\" }}\n\n\
         [sources.lines]\ntype = \"nats\"\nservers = \"{server}\"\nstream = \"EVENTS\"\nrestart_delay = \"20ms\"\n{keys}{tables}"
    )
}

/// Waits until a consumer has acknowledged all messages of the stream, or all but those that are given up.
fn wait_until_acknowledged(host: &mut Running, client: &mut Client, consumer: &str, count: u64) {
    while client.consumer("EVENTS", consumer)["ack_floor"]["stream_seq"] != count {
        host.wait_for_more_out("\"event\":\"BatchCompleted\"", 1);
    }
}

/// S2.45, S2.46: messages that were in the stream before the job started and messages that come are saved once and
/// acknowledged, though the server is killed and started again.
#[test]
fn a_server_that_is_started_again_loses_and_doubles_nothing() {
    let Some(mut server) = Server::start() else { return };
    let directory = Directory::with_job("recoverable");
    let tables = "ack_wait = \"1s\"\nmax_ack_pending = 64\n";
    directory.write("job.toml", job(server.address(), tables, ""));
    let mut client = server.client();
    client.make_stream("EVENTS", "events.>");
    let mut next = 0;
    let mut publish = |client: &mut Client, count: u64| {
        for _ in 0..count {
            client.publish("events.a", &format!("n{next}")).expect("the stream takes it");
            next += 1;
        }
    };
    publish(&mut client, 300);
    let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
    host.wait_for_err("ReceiverStarted lines");
    for round in 0..3 {
        wait_until_acknowledged(&mut host, &mut client, "millstream=saved=lines", 300 + 100 * round);
        // The last messages are on their way when the server is killed.
        publish(&mut client, 100);
        server.kill();
        server.resume();
        client = server.client();
    }
    wait_until_acknowledged(&mut host, &mut client, "millstream=saved=lines", 600);
    publish(&mut client, 100);
    wait_until_acknowledged(&mut host, &mut client, "millstream=saved=lines", 700);
    let info = client.consumer("EVENTS", "millstream=saved=lines");
    assert_eq!(info["config"]["ack_policy"], "explicit", "{info}");
    assert_eq!((&info["config"]["max_ack_pending"], &info["num_ack_pending"]), (&64.into(), &0.into()), "{info}");
    let log = host.stopped().err;
    assert_eq!(directory.saved_lines(), numbered(700), "{log}");
    // The next start goes on behind them.
    publish(&mut client, 10);
    let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
    wait_until_acknowledged(&mut host, &mut client, "millstream=saved=lines", 710);
    host.stopped();
    assert_eq!(directory.saved_lines(), numbered(710));
}

/// Messages that are no records are given up and reported, with the number in the stream; only those of the subject are
/// read.
#[test]
fn bad_messages_are_named_and_given_up() {
    let Some(server) = Server::start() else { return };
    let directory = Directory::with_job("recoverable");
    let keys = "format = \"json-lines\"\nfilter_subject = \"events.*.in\"\nconsumer = \"mine\"\n";
    directory.write("job.toml", job(server.address(), keys, ""));
    let mut client = server.client();
    client.make_stream("EVENTS", "events.>");
    for (subject, payload) in [
        ("events.a.in", "\"n0\"\n\"n1\""),
        ("events.a.out", "\"n9\""),
        ("events.b.in", "\"n"),
        ("events.b.in", "\"n2\""),
    ] {
        client.publish(subject, payload).expect("the stream takes it");
    }
    let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
    host.wait_for_err("MessagesGivenUp lines: 1 message of stream `EVENTS`; message 3 is no record: line 1, column ");
    wait_until_acknowledged(&mut host, &mut client, "mine", 4);
    host.stopped();
    assert_eq!(directory.saved_lines(), numbered(3));
}

/// The ways to log in, and TLS. Secrets are in no log, no event and no checkpoint.
#[test]
fn the_host_logs_in_and_speaks_tls() {
    const SECRET: &str = "c0rrect-horse";
    // A pair that was made for this test.
    const NKEY: &str = "UARNZMD2JK67YUHOCZR6IORYVTZJ5SREEJ7N74PHZHRXOV252KBMUOMS";
    const SEED: &str = "SUAHX2GL66CL5BHG4BMSOKU4ZNRNIS6GXPHKSHEPNMA7SQTMS5ORPYND3M";
    let tls = "tls { cert_file: \"certificate.pem\", key_file: \"key.pem\" }";
    let cases = [
        (
            format!("authorization {{ user: \"u\", password: \"{SECRET}\" }}"),
            "user = \"u\"\npassword = \"env:NATS_SECRET\"\n",
            SECRET,
            format!("{{\"user\":\"u\",\"pass\":\"{SECRET}\"}}"),
        ),
        (
            format!("authorization {{ token: \"{SECRET}\" }}\n{tls}"),
            "token = \"file:secret.txt\"\ntls_ca = \"certificate.pem\"\n",
            SECRET,
            String::new(),
        ),
        (
            format!("authorization {{ users: [ {{ nkey: \"{NKEY}\" }}, {{ user: \"u\", password: \"p\" }} ] }}"),
            "nkey_seed = \"file:secret.txt\"\n",
            SEED,
            "{\"user\":\"u\",\"pass\":\"p\"}".to_owned(),
        ),
        ("include accounts.conf".to_owned(), "credentials = \"file:secret.txt\"\n", CREDENTIALS, String::new()),
    ];
    for (config, keys, secret, connect) in cases {
        let Some(server) = Server::with_files(&config, &["tls/certificate.pem", "tls/key.pem", "nats/accounts.conf"])
        else {
            return;
        };
        let directory = Directory::with_job("recoverable");
        let certificate = std::fs::read(format!("{}/fixtures/tls/certificate.pem", env!("CARGO_MANIFEST_DIR")));
        directory.write("certificate.pem", certificate.expect("the fixture is there"));
        directory.write("secret.txt", format!("{secret}\n"));
        let text = job(server.address(), keys, "").replace("[job]\n", "[job]\ncheckpoint = \"state\"\n");
        directory.write("job.toml", text);
        let started = |secret: &str| {
            let mut command = directory.host(&["run", "job.toml", "--events", "events.jsonl"]);
            command.env("NATS_SECRET", secret);
            Running::start(command)
        };
        let mut host = started(secret);
        if connect.is_empty() {
            // Whom the server lets in, it tells that there is no such stream.
            host.wait_for_err("ReceiverError lines: cannot read stream `EVENTS`");
            host.wait_for_err("stream not found");
        } else {
            let mut client = Client::connect(server.address(), &connect).expect("the server lets the test in");
            client.make_stream("EVENTS", "events.>");
            client.publish("events.a", "n0").expect("the stream takes it");
            host.wait_for_err("ReceiverStarted lines");
            while directory.saved_lines().is_empty() {
                std::thread::yield_now();
            }
        }
        let mut said = host.stopped().err;
        // With another secret, the server lets nobody in.
        let wrong = match secret {
            SEED => OTHER_SEED.to_owned(),
            CREDENTIALS => CREDENTIALS.replace(seed_of(CREDENTIALS), OTHER_SEED),
            _ => "wrong-horse".to_owned(),
        };
        directory.write("secret.txt", wrong);
        let mut host = started("wrong-horse");
        host.wait_for_err("ReceiverError lines: cannot read stream `EVENTS`");
        assert!(host.err().contains("authorization"), "{}", host.err());
        said += &host.stopped().err;
        let mut directories = vec![directory.path("state")];
        let mut files = vec![directory.path("events.jsonl")];
        while let Some(next) = directories.pop() {
            for entry in std::fs::read_dir(next).expect("the directory can be read") {
                let path = entry.expect("the directory can be read").path();
                if path.is_dir() { directories.push(path) } else { files.push(path) }
            }
        }
        for file in files {
            let content = std::fs::read(&file).expect("the file can be read");
            said += &String::from_utf8_lossy(&content);
        }
        for hidden in [if secret == CREDENTIALS { seed_of(secret) } else { secret }, "wrong-horse", OTHER_SEED] {
            assert!(!said.contains(hidden), "{said}");
        }
    }
}

const CREDENTIALS: &str = include_str!("../fixtures/nats/user.creds");

/// The seed in a credentials file.
fn seed_of(credentials: &str) -> &str {
    let seed = credentials.lines().find(|line| line.starts_with("SU"));
    seed.expect("the fixture has a seed")
}

/// Another seed, which the server does not know.
const OTHER_SEED: &str = "SUAJRQQE336XLNBVHVFF4CXV2WQXCZTD6OQZY5XX4HFLG57T24TEKVQ4IU";

/// What cannot be read is said before the job starts, and by `check`.
#[test]
fn a_source_that_cannot_be_read_is_refused() {
    let directory = Directory::with_job("recoverable");
    directory.write("job.toml", job("127.0.0.1:4222", "token = \"env:MILLSTREAM_NO_SUCH_TOKEN\"\n", ""));
    let said = directory.run(&["check", "job.toml"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (
            Some(2),
            "error: source `lines`: the environment variable MILLSTREAM_NO_SUCH_TOKEN is not set\n\
             help: set it for the host, or name a file as in `token = \"file:token.txt\"`\n"
        )
    );
}

/// S2.46, S12.13: the host dies at any write, and the machine loses what was not synced; the server of the stream loses
/// acknowledgements, and goes away for a while. Under the write-ahead log, each message is saved once.
#[test]
fn messages_survive_crashes_once() {
    for seed in 0..12 {
        let mut job = simulated(seed).with_checkpoint();
        job.job_file += "\n[receiver]\nwrite_ahead_log = true\n";
        job.streams_away = Some((START + Duration::from_secs(9 + seed % 5), START + Duration::from_secs(16)));
        job.verdicts_lost = 2 + seed % 7;
        let outcome = job.run_through(&Death::three(seed));
        assert_eq!(outcome.result, Ok(()), "{seed}");
        assert_eq!(outcome.saved_lines(), numbered(MESSAGES), "{seed}");
    }
}

/// The number of messages of a simulated job.
const MESSAGES: u64 = 400;

/// A simulated job over a stream to which a message comes every 37 ms.
fn simulated(seed: u64) -> Job {
    let mut job = Job::on_queue("recoverable", "").with_seed(seed);
    job.job_file = "[job]\nname = \"stream\"\n\n[sources.lines]\ntype = \"nats\"\nservers = \"nats:4222\"\n\
                    stream = \"EVENTS\"\nack_wait = \"2s\"\nmax_ack_pending = 50\n"
        .to_owned();
    job.files = Vec::new();
    job.messages =
        (0..MESSAGES).map(|number| (START + Duration::from_millis(37 * number), format!("n{number}"))).collect();
    job.stop_at = vec![START + Duration::from_secs(60)];
    job
}
