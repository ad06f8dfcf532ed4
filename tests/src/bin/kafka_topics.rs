//! Makes and reads topics of a broker, for examples.
//!
//! * `kafka-topics ADDRESS make TOPIC PARTITIONS` makes a topic.
//! * `kafka-topics ADDRESS read TOPIC` prints the committed messages of a topic, each as `KEY VALUE`; `-` for what is absent.

use millstream_tests::arguments;
use millstream_tests::kafka_broker::Broker;
use std::process::ExitCode;

const USAGE: &str = "usage: kafka-topics ADDRESS make TOPIC PARTITIONS | read TOPIC";

fn main() -> ExitCode {
    arguments::end(run())
}

fn run() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [address, "make", topic, partitions] => {
            let partitions = partitions.parse().map_err(|_| format!("{partitions}: not a whole number"))?;
            Broker::at(address).make_topic(topic, partitions, 1);
        }
        [address, "read", topic] => {
            for message in Broker::at(address).read_back(topic) {
                let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
                println!("{} {}", part(message.key), part(message.value));
            }
        }
        _ => return Err(USAGE.to_owned()),
    }
    Ok(())
}
