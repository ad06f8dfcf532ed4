//! Outputs to simulated topics: what readers see after attempts, failures, other runs and other jobs.

use super::super::tests::storage;
use super::super::{Granted, Outputs};
use super::messages::ID_HEADER;
use super::*;
use crate::config::{self, ConnectionSettings, Facts};
use crate::data::schema::Field;
use crate::env::{Simulation, WrittenMessage};
use crate::grants::Grants;
use crate::graph::{DescribedNode, Graph, ParameterValue};
use crate::ids::NodeId;
use arrow::array::{ArrayRef, StringArray};
use std::path::Path;

const ZERO: Time = Time::from_ms(1000);

fn node(kind: &str, parents: &[u32], (name, value): (&str, &str)) -> DescribedNode {
    let field = Field { name: "value".into(), kind: "text".into(), nullable: false, children: 0, metadata: Vec::new() };
    DescribedNode {
        kind: kind.to_owned(),
        name: (kind == "save_to_kafka").then(|| "all".to_owned()),
        parents: parents.to_vec(),
        parameters: vec![(name.to_owned(), ParameterValue::Text(value.to_owned()))],
        rows: if kind == "source" { vec![field] } else { Vec::new() },
        exchanged: None,
        state: None,
        earlier_state: None,
    }
}

/// A job that writes its lines to a topic.
struct World {
    simulation: Simulation,
    graph: Graph,
    connections: BTreeMap<String, ConnectionSettings>,
}

impl World {
    fn new(topic: &str, keys: &str) -> Self {
        let text = format!(
            "[job]\nname = \"j\"\nplugin = \"p.wasm\"\n[connections.kafka]\ntype = \"kafka\"\nservers = \"k:1\"\n\
             topics = \"clean, by-*\"\n{keys}"
        );
        let settings = config::load(&text, Path::new("/jobs/job.toml"), &[], &Facts { cpus: 1 }).unwrap();
        let nodes = [node("source", &[], ("source", "lines")), node("save_to_kafka", &[0], ("topic", topic))];
        Self {
            simulation: Simulation::new(0, Time::default()),
            graph: Graph::from_described(&nodes).unwrap(),
            connections: settings.connections,
        }
    }

    fn open(&self) -> Result<Outputs, Error> {
        let (env, grants) = (self.simulation.env(), Grants::writing("/jobs"));
        let granted = Granted { grants: &grants, connections: &self.connections };
        Outputs::open(&env, "j", &self.graph, granted, &storage(&env))
    }

    /// The only output, as a run that has just started sees it.
    fn output(&self) -> Arc<dyn Output> {
        self.open().unwrap().get(NodeId(1)).unwrap().clone()
    }

    /// Makes a batch whose partitions hold these lines, and commits the batch this many times, or until it succeeds.
    fn save(
        &self,
        output: &Arc<dyn Output>,
        (zero, batch): (Time, u64),
        partitions: &[&[&str]],
        commits: usize,
    ) -> Result<(), Error> {
        let (output, partitions) = (output.clone(), partitions.iter().map(|lines| lines.to_vec()));
        let columns: Vec<ArrayRef> = partitions.map(|lines| Arc::new(StringArray::from(lines)) as ArrayRef).collect();
        let work = async move {
            let write = output.begin(Time::from_ms(batch), zero).await?;
            for (partition, column) in (0..).zip(&columns) {
                let rows = RecordBatch::try_from_iter([("value", column.clone())]).unwrap();
                // The first attempt is given up in the middle.
                let mut writer = write.writer(partition, 0).await?;
                writer.write(rows.clone()).await?;
                drop(writer);
                let mut writer = write.writer(partition, 1).await?;
                writer.write(rows).await?;
                writer.finish().await?;
            }
            let mut outcome = Ok(());
            for _ in 0..commits {
                outcome = write.commit(columns.len() as u32).await;
                if outcome.is_ok() {
                    break;
                }
            }
            outcome
        };
        self.simulation.run(work).unwrap()
    }

    /// Ids and values of the messages of a topic.
    fn written(&self, topic: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let shown = |message: &WrittenMessage| {
            let (name, id) = message.headers.last().unwrap();
            assert_eq!(name, ID_HEADER);
            (text(id), text(message.value.as_ref().unwrap()))
        };
        self.simulation.topics().get(topic).map(|messages| messages.iter().map(shown).collect()).unwrap_or_default()
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn each_message_says_what_it_is_and_a_batch_that_runs_again_is_written_once() {
    let world = World::new("clean", "");
    let first = world.output();
    world.save(&first, (ZERO, 2000), &[&["a", "b"], &[], &["c"]], 1).unwrap();
    let all = pairs(&[("j/all/2000/0/0", "a"), ("j/all/2000/0/1", "b"), ("j/all/2000/2/0", "c")]);
    assert_eq!(world.written("clean"), all);
    // The host died before the batch counted as done. The next one has other earlier batches, too.
    let second = world.output();
    world.save(&second, (ZERO, 2000), &[&["a", "b"], &[], &["c"]], 1).unwrap();
    world.save(&second, (ZERO, 3000), &[&["d"]], 1).unwrap();
    let more = [all.clone(), pairs(&[("j/all/3000/0/0", "d")])].concat();
    assert_eq!(world.written("clean"), more);
    // The first host still runs. It takes the id over only after the caller has checked that it may show results.
    world.save(&first, (ZERO, 3000), &[&["d"]], 1).unwrap();
    assert_eq!(world.written("clean"), more);
    // A job that begins anew has batches of its own, also if they have the same times.
    world.save(&world.output(), (Time::from_ms(1500), 2000), &[&["e"]], 1).unwrap();
    assert_eq!(world.written("clean").len(), 5);
}

#[test]
fn a_commit_whose_outcome_is_not_known_is_repeated_and_writes_once() {
    let world = World::new("kafka:clean", "");
    world.simulation.writes_to_topics_fail(2);
    let output = world.output();
    let numbers: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
    for (at, number) in (2..).zip(&numbers) {
        world.save(&output, (ZERO, at * 1000), &[&[number]], 3).unwrap();
    }
    let values: Vec<String> = world.written("clean").into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, numbers);
}

#[test]
fn without_transactions_a_message_that_is_written_again_has_the_same_id() {
    let world = World::new("by-country", "delivery = \"idempotent\"\n");
    for _ in 0..2 {
        world.save(&world.output(), (ZERO, 2000), &[&["a"]], 1).unwrap();
    }
    assert_eq!(world.written("by-country"), pairs(&[("j/all/2000/0/0", "a"), ("j/all/2000/0/0", "a")]));
}

#[test]
fn brokers_that_are_away_fail_a_commit_for_a_time() {
    let world = World::new("clean", "");
    world.simulation.topics_away(Time::default(), Time::from_ms(100));
    let error = world.save(&world.output(), (ZERO, 2000), &[&["a"]], 1).unwrap_err();
    assert_eq!(error.persistence, crate::error::Persistence::Transient);
    assert_eq!(
        error.to_string(),
        "output `all` (save_to_kafka, node 1) did not write batch 1970-01-01T00:00:02Z to topic `clean` of connection `kafka`: the \
         brokers are away\nhelp: wait until the brokers are back"
    );
    // A batch without rows needs no broker.
    world.save(&world.output(), (ZERO, 2000), &[&[], &[]], 1).unwrap();
}

#[test]
fn a_topic_that_is_not_granted_is_refused() {
    let refused = |topic| World::new(topic, "").open().err().map(|error| error.to_string());
    let begin = "output `all` (save_to_kafka, node 1) cannot be written: ";
    assert_eq!(
        refused("other"),
        Some(format!(
            "{begin}connection `kafka` does not grant topic `other`\nhelp: add it to the topics of the connection: \
             connections.kafka.topics = \"other\""
        ))
    );
    assert!(
        refused("x:clean").unwrap().starts_with(&format!("{begin}topic `x:clean` belongs to connection `x`, which"))
    );
    assert!(refused("cl ean").unwrap().contains("`cl ean` is no name of a topic"));
    assert!(refused("").unwrap().contains("is no name of a topic"));
    assert_eq!((refused("by-"), refused("kafka:clean")), (None, None));
}
