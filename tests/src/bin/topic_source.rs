//! `topic-source FILE --servers HOST:PORT --topic NAME [--partitions N] [--rate LINES_PER_SEC]`: sends the lines of a file to
//! a topic of Kafka, each as a message.
//!
//! If there is no such topic, it is made with `N` partitions, one by default. The messages go to the partitions in turn, at most
//! `LINES_PER_SEC` a second, by default as fast as the broker takes them. The program ends when the broker has all of them.

use futures::executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::error::Error;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const USAGE: &str = "usage: topic-source FILE --servers HOST:PORT --topic NAME [--partitions N] [--rate LINES_PER_SEC]";

/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The options of the command line.
#[derive(Debug, Default, PartialEq)]
struct Options {
    file: String,
    servers: String,
    topic: String,
    partitions: i32,
    /// Lines a second; `None` for no limit.
    rate: Option<f64>,
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("topic-source: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match send(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("topic-source: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { partitions: 1, ..Self::default() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--servers" => options.servers = value()?,
                "--topic" => options.topic = value()?,
                "--partitions" => {
                    let value = value()?;
                    let count = value.parse().ok().filter(|count| *count > 0);
                    options.partitions = count.ok_or_else(|| format!("`{value}` is not a number above 0"))?;
                }
                "--rate" => {
                    let value = value()?;
                    let rate = value.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
                    options.rate = Some(rate.ok_or_else(|| format!("`{value}` is not a number above 0"))?);
                }
                flag if flag.starts_with("--") => return Err(format!("unknown option {flag}")),
                file if options.file.is_empty() => options.file = file.to_owned(),
                other => return Err(format!("one FILE only, not also `{other}`")),
            }
        }
        for (name, given) in [("FILE", &options.file), ("--servers", &options.servers), ("--topic", &options.topic)] {
            if given.is_empty() {
                return Err(format!("{name} is missing"));
            }
        }
        Ok(options)
    }
}

#[expect(clippy::disallowed_methods, reason = "a load generator runs on the real clock")]
fn send(options: &Options) -> Result<(), Box<dyn Error>> {
    let text = std::fs::read(&options.file).map_err(|error| format!("cannot read {}: {error}", options.file))?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.servers).set("enable.idempotence", "true");
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let topic = NewTopic::new(&options.topic, options.partitions, TopicReplication::Fixed(1));
    for made in block_on(admin.create_topics([&topic], &AdminOptions::new()))? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(format!("cannot make topic {topic}: {code}").into()),
        }
    }
    let producer: BaseProducer = config.create()?;
    for (line, partition) in text.split(|byte| *byte == b'\n').zip((0..options.partitions).cycle()) {
        if line.is_empty() {
            continue;
        }
        let mut record = BaseRecord::<[u8], [u8]>::to(&options.topic).partition(partition).payload(line);
        while let Err((_, full)) = producer.send(record) {
            record = full;
            producer.poll(PATIENCE);
        }
        if let Some(rate) = options.rate {
            thread::sleep(Duration::from_secs_f64(1.0 / rate));
        }
    }
    producer.flush(PATIENCE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let parse = |text: &str| Options::parse(text.split(' ').map(str::to_owned));
        let options = parse("f --servers a:1 --topic t --partitions 2 --rate 0.5").unwrap();
        let (file, servers, topic) = ("f".to_owned(), "a:1".to_owned(), "t".to_owned());
        assert_eq!(options, Options { file, servers, topic, partitions: 2, rate: Some(0.5) });
        assert_eq!(parse("f --topic t"), Err("--servers is missing".to_owned()));
        assert_eq!(parse("f --partitions 0"), Err("`0` is not a number above 0".to_owned()));
        assert_eq!(parse("f g"), Err("one FILE only, not also `g`".to_owned()));
    }
}
