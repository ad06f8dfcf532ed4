//! Brokers that let nobody in without TLS and a password, and clusters whose leaders move.

use super::*;

const SECRET: &str = "c0rrect-horse";

/// A broker to which clients connect by TLS and SASL. The files of TLS are in a directory of the test.
fn guarded(directory: &Directory) -> Option<Broker> {
    let fixture = |name: &str| {
        let path = format!("{}/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("the fixture is there")
    };
    let (key, certificate) = (fixture("key.pem"), fixture("certificate.pem"));
    directory.write("server.pem", format!("{key}{certificate}"));
    directory.write("ca.pem", &certificate);
    let path = |name: &str| directory.path(name).display().to_string();
    let properties = format!(
        "listeners=SASL_SSL://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@CONTROLLER@,PLAINTEXT://127.0.0.1:@OTHER@\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL\n\
         sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_millstream=\"{SECRET}\";\n\
         listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
         ssl.keystore.type=PEM\nssl.keystore.location={}\n",
        path("server.pem")
    );
    let client = vec![
        ("security.protocol", "sasl_ssl".to_owned()),
        ("ssl.ca.location", path("ca.pem")),
        ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
        ("sasl.username", "millstream".to_owned()),
        ("sasl.password", SECRET.to_owned()),
    ];
    Broker::start(&properties, client)
}

/// The text of all files below a directory.
fn all_files(directory: std::path::PathBuf) -> String {
    let (mut directories, mut text) = (vec![directory], String::new());
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).expect("the directory can be read") {
            let path = entry.expect("the directory can be read").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let content = std::fs::read(&path).expect("the file can be read");
                text += &String::from_utf8_lossy(&content);
            }
        }
    }
    text
}

/// The host logs in by SASL over TLS, each way: as a reader of ranges, as a member of a group, and to write. Secrets are in no
/// log, no event and no checkpoint.
#[test]
fn the_host_logs_in_and_speaks_tls() {
    let files = Directory::new();
    let Some(broker) = guarded(&files) else { return };
    let topic = broker.topic(1);
    broker.send(&topic, 0, ["n0", "n1"]);
    let of_ca = format!("tls_ca = \"{}\"", files.path("ca.pem").display());
    let login = |password: &str| format!("{of_ca}\nuser = \"millstream\"\npassword = \"{password}\"\n");
    let by_ranges = |keys: &str| job(broker.address(), &format!("topics = \"{topic}\""), keys);
    let in_a_group = |keys: &str| receiver_job(broker.address(), &topic, keys);
    type JobFile<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(JobFile<'_>, String, bool); 5] = [
        (&by_ranges, login("env:KAFKA_SECRET"), true),
        (&by_ranges, login("file:secret.txt") + "sasl_mechanism = \"plain\"\n", true),
        (&in_a_group, login("file:secret.txt"), true),
        (&by_ranges, login("file:wrong.txt"), false),
        // The authorities of the system have not issued the certificate.
        (&by_ranges, login("file:secret.txt").replace(&of_ca, "tls = true"), false),
    ];
    for (job, keys, is_let_in) in cases {
        let directory = Directory::with_job("recoverable");
        directory.write("secret.txt", format!("{SECRET}\n"));
        directory.write("wrong.txt", "wrong-horse");
        let copies = broker.topic(1);
        let args = ("batch_ms = \"50\"", format!("batch_ms = \"50\", topic = \"{copies}\""));
        let place = format!("type = \"kafka\"\nservers = \"{}\"\ntopics = \"{copies}\"\n", broker.address());
        let text = job(&keys).replacen(args.0, &args.1, 1);
        directory.write("job.toml", format!("{text}\n[connections.kafka]\n{place}{keys}"));
        let mut command = directory.host(&["run", "job.toml", "--json", "--events", "events.jsonl"]);
        command.env("KAFKA_SECRET", SECRET);
        let mut host = Running::start(command);
        if is_let_in {
            wait_until_saved(&mut host, &directory, 2);
        } else {
            host.wait_for_err("InputError lines: ");
        }
        let said = host.stopped().err;
        let count = if is_let_in { 2 } else { 0 };
        assert_eq!(directory.saved_lines(), numbered(count), "{said}");
        assert_eq!(broker.read_back(&copies).len() as u64, count, "{said}");
        let shown = directory.run(&["explain", "job.toml"]);
        let events = std::fs::read_to_string(directory.path("events.jsonl")).expect("there are events");
        let all = said + &shown.out + &shown.err + &events + &all_files(directory.path("state"));
        assert!(!all.contains(SECRET) && !all.contains("wrong-horse"), "{all}");
    }
}

/// A cluster of three brokers, of which the first is the controller.
fn three() -> Option<[Broker; 3]> {
    let replicated = "default.replication.factor=3\noffsets.topic.replication.factor=1\n\
                      broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=300\nreplica.lag.time.max.ms=3000\n";
    let first = Broker::start(replicated, Vec::new())?;
    let voters = first.property("controller.quorum.voters");
    let other = |node: u32| {
        let properties = format!(
            "process.roles=broker\nnode.id={node}\ncontroller.quorum.voters={voters}\n\
             listeners=PLAINTEXT://127.0.0.1:@PORT@\n{replicated}"
        );
        Broker::start(&properties, Vec::new())
    };
    let (second, third) = (other(2)?, other(3)?);
    Some([first, second, third])
}

/// When the leader of a partition is killed, and another broker leads, each record is still saved once.
#[test]
fn a_leader_that_moves_loses_and_doubles_nothing() {
    let Some(mut brokers) = three() else { return };
    brokers[0].make_topic("moved", 4, 3);
    let directory = Directory::with_job("recoverable");
    let servers = brokers.each_ref().map(Broker::address).join(", ");
    directory.write("job.toml", job(&servers, "topics = \"moved\"", ""));
    let mut host = started(&directory);
    let mut next = 0;
    let mut send = |broker: &Broker, count: u64| {
        for partition in 0..4 {
            broker.send("moved", partition, (next..next + count).map(|number| format!("n{number}")));
            next += count;
        }
    };
    send(&brokers[0], 50);
    wait_until_saved(&mut host, &directory, 200);
    for (moved, node) in [(2, 3), (1, 2)] {
        assert!(brokers[0].leaders("moved").contains(&node), "it leads a partition");
        brokers[moved].kill();
        send(&brokers[0], 50);
        brokers[moved].resume();
        brokers[0].wait_for_replicas("moved", 3);
    }
    wait_until_saved(&mut host, &directory, 600);
    let log = host.stopped().err;
    assert_eq!(directory.saved_lines(), numbered(600), "{log}");
}
