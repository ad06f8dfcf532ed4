//! The source of type `http`: real clients of the real program, and the whole host in a simulated world.

use super::support::binary::{Directory, Running};
use super::support::simulated::{Death, Job, START};
use host::env::Env;
use millstream_tests::http_client::{exchange, parsed, post, request};
use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const JOB: &str = "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"50ms\"\n\n\
                   [sources.lines]\ntype = \"http\"\naddress = \"127.0.0.1:0\"\npath = \"/lines\"\n";

/// Starts the job, and returns the address at which the job takes requests.
fn started(directory: &Directory, args: &[&str], scheme: &str) -> (Running, String) {
    let mut host = Running::start(directory.host(&[&["run", "job.toml"], args].concat()));
    host.wait_for_err("ReceiverListens lines: ");
    let before = format!("ReceiverListens lines: {scheme}://");
    let rest = host.err().split_once(&before).expect("it listens").1.to_owned();
    (host, rest.split_once("/lines").expect("it says its path").0.to_owned())
}

/// A job that saves its lines.
const SAVING: &str = "[job]\nname = \"saved\"\nplugin = \"recoverable.wasm\"\nbatch_interval = \"50ms\"\n\
                      directories = { out = \".\" }\nargs = { batch_ms = \"50\" }\n\n\
                      [sources.lines]\ntype = \"http\"\naddress = \"127.0.0.1:0\"\npath = \"/lines\"\n";

/// Stops the host. Returns the sums of the counts that it printed, by word, and its log.
fn stopped(host: Running) -> (BTreeMap<String, u64>, String) {
    let said = host.stopped();
    let mut totals = BTreeMap::new();
    for line in said.out.lines() {
        let pair =
            line.strip_prefix('(').and_then(|line| line.strip_suffix(')')).and_then(|line| line.rsplit_once(','));
        if let Some((word, Ok(count))) = pair.map(|(word, count)| (word, count.parse::<u64>())) {
            *totals.entry(word.to_owned()).or_default() += count;
        }
    }
    (totals, said.err)
}

/// S2.45, S2.46: clients send numbered records at once, lose connections, and send again what was not answered, with the
/// same key: each of 1,000 records is counted once.
#[test]
fn each_record_of_clients_that_send_again_is_counted_once() {
    const CLIENTS: u64 = 5;
    const RECORDS: u64 = 200;
    let directory = Directory::with_job("recoverable");
    directory.write("job.toml", SAVING);
    let (host, address) = started(&directory, &[], "http");
    let client = |client: u64| {
        let address = address.clone();
        move || {
            for number in 0..RECORDS {
                let record = format!("w{client}-{number}");
                let key = format!("Idempotency-Key: \"{record}\"");
                let sent = request("/lines", &[&key], &record);
                if number % 7 == client {
                    // This client does not wait for the answer.
                    let mut connection = TcpStream::connect(&address).expect("the host listens");
                    io::Write::write_all(&mut connection, &sent).expect("the host reads");
                } else if number % 7 == client + 1 {
                    // Half a request is no request.
                    let mut connection = TcpStream::connect(&address).expect("the host listens");
                    io::Write::write_all(&mut connection, &sent[..sent.len() - 3]).expect("the host reads");
                }
                let first = post(&address, "/lines", &[&key], &record).expect("the host answers");
                assert_eq!(first, (200, "{\"records\":1}".to_owned()), "{record}");
                if number % 11 == 0 {
                    assert_eq!(post(&address, "/lines", &[&key], &record).expect("the host answers"), first);
                }
            }
        }
    };
    let clients: Vec<_> = (0..CLIENTS).map(|number| thread::spawn(client(number))).collect();
    clients.into_iter().for_each(|client| client.join().expect("a client is served"));
    let expected: BTreeMap<String, u64> =
        (0..CLIENTS).flat_map(|client| (0..RECORDS).map(move |number| (format!("w{client}-{number}"), 1))).collect();
    stopped(host);
    assert_eq!(directory.saved_lines(), expected);
}

fn tls_client(address: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls/certificate.pem");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("there is a certificate")).expect("it can be trusted");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("it is an address");
    let client = ClientConnection::new(Arc::new(config), name).expect("the configuration is complete");
    StreamOwned::new(client, TcpStream::connect(address).expect("the host listens"))
}

/// With a certificate, connections use TLS, and the client can tell whom it speaks to. Only clients that know the token
/// are served. The token is in no log and in no checkpoint.
#[test]
fn with_tls_and_a_token_only_clients_with_the_token_are_served() {
    let directory = Directory::with_job("network_word_count");
    for file in ["certificate.pem", "key.pem"] {
        let content = std::fs::read(format!("{}/fixtures/tls/{file}", env!("CARGO_MANIFEST_DIR")));
        directory.write(file, content.expect("the fixture is there"));
    }
    let keys = "token = \"file:token.txt\"\ntls_certificate = \"certificate.pem\"\ntls_key = \"key.pem\"\n";
    directory.write("job.toml", JOB.replace("[sources", "checkpoint = \"state\"\n[sources") + keys);
    directory.write("token.txt", "c0rrect-horse\n");
    let (host, address) = started(&directory, &["--events", "events.jsonl"], "https");
    let send = |head: &[&str]| exchange(&mut tls_client(&address), &request("/lines", head, "one two"));
    assert_eq!(send(&[]).expect("it is answered").0, 401);
    assert_eq!(send(&["Authorization: Bearer wrong-horse"]).expect("it is answered").0, 401);
    assert_eq!(send(&["Authorization: Bearer c0rrect-horse"]).expect("it is answered").0, 200);
    // Without TLS there is no answer in HTTP.
    let plain = post(&address, "/lines", &["Authorization: Bearer c0rrect-horse"], "three");
    assert!(plain.is_err() || plain.is_ok_and(|(status, _)| status == 0));
    let (totals, log) = stopped(host);
    assert_eq!(totals.into_keys().collect::<Vec<_>>(), ["one", "two"]);
    assert!(log.contains("refused a request with 401") && !log.contains("c0rrect-horse"), "{log}");
    let mut directories = vec![directory.path("state")];
    let mut files = vec![directory.path("events.jsonl")];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).expect("the directory can be read") {
            let path = entry.expect("the directory can be read").path();
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 2, "{files:?}");
    for file in files {
        let content = std::fs::read(&file).expect("the file can be read");
        assert!(!content.windows(13).any(|bytes| bytes == b"c0rrect-horse"), "{}", file.display());
    }
}

/// The token may come from the environment.
#[test]
fn the_token_may_be_in_the_environment() {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", JOB.to_owned() + "token = \"env:PUSH_TOKEN\"\n");
    let mut command = directory.host(&["run", "job.toml"]);
    command.env("PUSH_TOKEN", "c0rrect-horse");
    let mut host = Running::start(command);
    host.wait_for_err("ReceiverListens lines: http://");
    let rest = host.err().split_once("ReceiverListens lines: http://").expect("it listens").1.to_owned();
    let address = rest.split_once("/lines").expect("it says its path").0;
    assert_eq!(post(address, "/lines", &[], "a").expect("it is answered").0, 401);
    assert_eq!(post(address, "/lines", &["Authorization: Bearer c0rrect-horse"], "a").expect("it is answered").0, 200);
    assert_eq!(stopped(host).0, BTreeMap::from([("a".to_owned(), 1)]));
}

/// What cannot be served is said before the job starts, and by `check`.
#[test]
fn a_source_that_cannot_be_served_is_refused() {
    let directory = Directory::with_job("network_word_count");
    let refused = |keys: &str, expected: &str| {
        directory.write("job.toml", JOB.to_owned() + keys);
        let said = directory.run(&["check", "job.toml"]);
        assert_eq!((said.code, said.err.as_str()), (Some(2), expected));
    };
    refused(
        "token = \"file:none.txt\"\n",
        "error: source `lines`: cannot read its `token`, none.txt: No such file or directory (os error 2)\n\
         help: the path is relative to the job file, and the host must be allowed to read it\n",
    );
    refused(
        "token = \"env:MILLSTREAM_NO_SUCH_TOKEN\"\n",
        "error: source `lines`: the environment variable MILLSTREAM_NO_SUCH_TOKEN is not set\n\
         help: set it for the host, or name a file as in `token = \"file:token.txt\"`\n",
    );
    directory.write("empty.pem", "");
    refused(
        "tls_certificate = \"empty.pem\"\ntls_key = \"empty.pem\"\n",
        "error: source `lines`: empty.pem cannot be used for TLS: it has no certificate\n\
         help: tls_certificate is a PEM file of certificates, that of the host first; tls_key is a PEM file with its key\n",
    );
    let said = directory.run(&["check", "job.toml", "--set", "sources.lines.token=\"s3cret\""]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("`sources.lines.token` does not say where the secret is"), "{}", said.err);
    assert!(!said.err.contains("s3cret"), "{}", said.err);
}

/// S1.27, S2.46: numbered records, sent again until they are answered, by clients that lose connections; and a graceful
/// stop of the whole host in between. Each record that was answered is counted, and no record is counted twice.
#[test]
fn a_graceful_stop_counts_what_was_answered() {
    for seed in 0..10 {
        let mut job = Job::on_queue("recoverable", "").with_seed(seed);
        job.job_file = "[job]\nname = \"http\"\n\n[sources.lines]\ntype = \"http\"\naddress = \"127.0.0.1:8080\"\n\
                        max_requests = 2\nmax_wait = \"20ms\"\n"
            .to_owned();
        job.files = Vec::new();
        job.clients = Some(Arc::new(|env: &Env| clients(env, &Arc::default())));
        job.stop_at = vec![START + Duration::from_millis(100 + seed * 171)];
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()));
        let totals = outcome.saved_lines();
        assert!(totals.values().all(|count| *count == 1), "{seed}: {totals:?}");
        // The clients print which records were answered.
        let answered: Vec<String> =
            outcome.printed.lines().filter_map(|line| line.strip_prefix("answered ")).map(str::to_owned).collect();
        assert!(answered.len() > 10, "{seed}: {}", answered.len());
        for record in &answered {
            assert!(totals.contains_key(record), "{seed}: {record} was answered");
        }
        // A record may have been stored whose client did not wait for the answer, and the host stopped.
        assert!(totals.len() <= answered.len() + 3, "{seed}: {} of {}", answered.len(), totals.len());
    }
}

/// S12.13, S2.46: the host dies at any write, and the machine loses what was not synced. Under the write-ahead log, each
/// record of clients that send again until they are answered is saved once.
#[test]
fn records_survive_crashes_once() {
    for seed in 0..12 {
        let mut job = Job::on_queue("recoverable", "").with_seed(seed).with_checkpoint();
        job.job_file = job.job_file.split("[sources").next().unwrap_or_default().to_owned()
            + "[sources.lines]\ntype = \"http\"\naddress = \"127.0.0.1:8080\"\nmax_wait = \"20ms\"\n\n\
               [receiver]\nwrite_ahead_log = true\n";
        job.files = Vec::new();
        let progress = Arc::new(Progress::default());
        let of_clients = progress.clone();
        job.clients = Some(Arc::new(move |env: &Env| clients(env, &of_clients)));
        job.stop_at = vec![START + Duration::from_secs(40)];
        let outcome = job.run_through(&Death::three(seed));
        assert_eq!(outcome.result, Ok(()), "{seed}");
        let expected: BTreeMap<String, u64> =
            (0..3).flat_map(|client| (0..RECORDS).map(move |number| (format!("w{client}-{number}"), 1))).collect();
        assert_eq!(outcome.saved_lines(), expected, "{seed}");
    }
}

/// How many records each client of a simulated job sends.
const RECORDS: u64 = 300;

/// The number of answered records of each client, over all lives of the host.
type Progress = Mutex<BTreeMap<u64, u64>>;

/// Starts three clients, which go on after the last record that was answered.
fn clients(env: &Env, progress: &Arc<Progress>) {
    for client in 0..3 {
        let (world, progress) = (env.clone(), progress.clone());
        let run = async move {
            let answered = || progress.lock().unwrap_or_else(PoisonError::into_inner);
            let first = answered().get(&client).copied().unwrap_or_default();
            for number in first..RECORDS {
                let record = format!("w{client}-{number}");
                let mut tries = 0;
                while !is_answered(&world, &record, number + tries).await.unwrap_or_default() {
                    tries += 1;
                    world.clock.sleep(Duration::from_millis(1)).await;
                }
                answered().insert(client, number + 1);
                // A machine that has stopped prints nothing.
                let _ = world.console.write(&format!("answered {record}\n"));
                world.clock.sleep(Duration::from_millis(number % 30)).await;
            }
        };
        env.control.spawn("client", Box::pin(run));
    }
}

/// Sends a record with its number as the key, and loses the connection now and then, as `choice` decides: before the end
/// of the request, or before the answer.
async fn is_answered(env: &Env, record: &str, choice: u64) -> io::Result<bool> {
    let mut connection = env.network.connect("127.0.0.1:8080").await?;
    let sent = request("/", &[&format!("Idempotency-Key: {record}")], record);
    let end = if choice % 5 == 1 { sent.len() / 2 } else { sent.len() };
    connection.write_all(&sent[..end]).await?;
    env.clock.sleep(Duration::from_millis(choice % 3)).await;
    if end < sent.len() || choice % 7 == 2 {
        return Ok(false);
    }
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(parsed(&answer).0 == 200)
}
