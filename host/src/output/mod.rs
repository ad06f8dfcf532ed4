//! Output operations: what happens to the rows of each batch.
//!
//! Owns the traits that the engine and the scheduler use, and the implementation of each output. The rows of a
//! partition go from its task to a [`PartitionWriter`], never through the driver. When all tasks have finished, the
//! batch is committed. Never computes rows and never decides whether a task runs again.
//!
//! `print` is at-least-once: a batch that runs again prints again. Outputs that save files are idempotent: a batch that
//! runs again replaces what it has saved.

mod batch_directory;
mod batch_objects;
mod batch_rows;
mod columnar;
mod driver_files;
mod encoder;
mod encoding;
mod error;
mod files;
mod format;
mod handover;
mod kafka;
mod names;
mod observed;
mod ownership;
mod print;
mod row_file;
mod withheld;

pub use driver_files::{DriverFiles, Save};
pub use handover::Handover;
use observed::Observed;
pub use ownership::{Claim, OutputClaims, StorePlace};
pub use row_file::RowFile;
use withheld::Withheld;

use crate::block::RowStorage;
use crate::config::ConnectionSettings;
use crate::data::schema::RecordType;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::grants::{GrantError, GrantedPlace, GrantedTopic, Grants, granted_topic};
use crate::graph::{FileFormat, Graph, Node, Operation, output_name};
use crate::ids::NodeId;
use crate::lock::lock;
use crate::time::Time;
use arrow::array::RecordBatch;
use batch_directory::BatchDirectories;
use batch_objects::{ObjectsOutput, ObjectsPlace};
use futures::future::BoxFuture;
use kafka::KafkaOutput;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// An output of a job.
pub trait Output: Send + Sync {
    /// Begins to take the rows of a batch. Removes what an earlier run of the batch or of the program has left
    /// unfinished. `zero` is the time before the first batch of the job. With it, batches of a job that was started
    /// anew are told apart.
    fn begin(&self, batch: Time, zero: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>>;
}

/// One batch of an output. The caller that begins a batch also commits or aborts it.
pub trait BatchWrite: Send + Sync {
    /// Makes a writer for an attempt at a partition. The attempts at a partition run one after the other.
    fn writer(&self, partition: u32, attempt: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>>;

    /// Makes everything visible at once that the writers of all `partitions` have finished, and nothing else.
    fn commit(&self, partitions: u32) -> BoxFuture<'_, Result<(), Error>>;

    /// Whether a commit that failed can be tried again. Such a commit makes nothing visible twice.
    fn can_commit_again(&self) -> bool {
        false
    }

    /// Removes everything that was written for the batch. Anything that cannot be removed now is removed when the
    /// output begins its next batch.
    fn abort(&self) -> BoxFuture<'_, ()>;
}

/// Takes the rows of one attempt at a partition, in order. If the writer is dropped before it is finished, none of its
/// rows become visible.
pub trait PartitionWriter: Send {
    /// Takes the next rows.
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>>;

    /// Ends the rows of the attempt. If another attempt runs later, it replaces this one.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;
}

/// What a job grants to the outputs of its plugin.
#[derive(Clone, Copy)]
pub struct Granted<'a> {
    /// The directories and object stores.
    pub grants: &'a Grants,
    /// The connections, with the topics that they grant.
    pub connections: &'a BTreeMap<String, ConnectionSettings>,
}

impl<'a> Granted<'a> {
    /// Grants no topics.
    pub const fn files(grants: &'a Grants) -> Self {
        static NO_CONNECTIONS: BTreeMap<String, ConnectionSettings> = BTreeMap::new();
        Self { grants, connections: &NO_CONNECTIONS }
    }
}

/// The identity of an output. Together with the batch and the partition, it identifies everything that an output makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OutputId {
    /// The job's name.
    job: String,
    /// The name that the plugin gives the output, or its kind and its position among the outputs: `print-0`.
    output: String,
}

/// Makes the observer of an output. Gets the node of the output, the name of the output and the type of its rows.
pub type MakeObserver = dyn Fn(&Node, &str, &RecordType) -> Arc<dyn Output> + Send + Sync;

/// All outputs of a run.
pub struct Outputs {
    by_node: BTreeMap<NodeId, Arc<dyn Output>>,
    /// The outputs that have rows: their nodes, names and types.
    with_rows: Vec<(Node, String, RecordType)>,
    /// The observers of outputs, by the nodes of the outputs.
    observers: Mutex<BTreeMap<NodeId, Arc<dyn Output>>>,
    /// The places of outputs in object stores.
    store_places: Vec<StorePlace>,
}

impl Outputs {
    /// Opens the outputs of `graph`. Nothing is written yet. The memory that rows need while they are written comes
    /// from `storage`.
    ///
    /// # Errors
    /// All known problems of the places that the outputs write to.
    pub fn open(
        env: &Env,
        job: &str,
        graph: &Graph,
        granted: Granted<'_>,
        storage: &RowStorage,
    ) -> Result<Self, Error> {
        let mut outputs: BTreeMap<NodeId, Arc<dyn Output>> = BTreeMap::new();
        let mut store_places = Vec::new();
        let mut problems = Problems::default();
        for (id, node, ty) in identified(job, graph) {
            match &node.operation {
                Operation::SaveAsFiles { format, prefix, suffix } => {
                    match open_files(env, &id, node, granted.grants, (prefix, suffix), (*format, ty), storage) {
                        Ok(opened) => {
                            problems.check(node, opened.pattern, opened.checked);
                            outputs.insert(node.id, opened.output);
                            store_places.extend(opened.store_place);
                        }
                        Err(error) => problems.add(node, &error, error.help()),
                    }
                }
                Operation::SaveToKafka { topic } => match granted_topic(granted.connections, topic) {
                    Ok(topic) => {
                        let output = KafkaOutput::new(env, &id, node.to_string(), &topic, ty, storage.clone());
                        outputs.insert(node.id, Arc::new(output));
                    }
                    Err(error) => problems.add(node, &error, error.help()),
                },
                Operation::Print { rows } => {
                    let (console, storage) = (env.console.clone(), storage.clone());
                    let names = (id.output.clone(), title(&id, node, graph));
                    outputs.insert(node.id, Arc::new(print::PrintOutput::new(console, storage, names, ty, *rows)));
                }
                _ => {}
            }
        }
        let with_rows = identified(job, graph).into_iter().filter(|(_, node, _)| outputs.contains_key(&node.id));
        let with_rows = with_rows.map(|(id, node, ty)| (node.clone(), id.output, ty)).collect();
        problems.into_result().map(|()| Self { by_node: outputs, with_rows, observers: Mutex::default(), store_places })
    }

    /// Gives each output that has rows an observer, which gets the same rows from the next batch on. With `None`,
    /// removes the observers. A failure of an observer is not a failure of the output.
    pub fn observe(&self, make: Option<&MakeObserver>) {
        let made = |make: &MakeObserver| {
            let observer = |(node, name, ty): &(Node, String, RecordType)| (node.id, make(node, name, ty));
            self.with_rows.iter().map(observer).collect()
        };
        *lock(&self.observers) = make.map(made).unwrap_or_default();
    }

    /// The names of the outputs that have rows, and the types of the rows.
    pub fn with_rows(&self) -> impl Iterator<Item = (&str, &RecordType)> {
        self.with_rows.iter().map(|(_, name, ty)| (name.as_str(), ty))
    }

    /// Begins to take the rows of a batch of an output of a job that began after the time `zero`. If the results of the batch are not shown, only the observer of
    /// the output gets the rows. `None` if the node has no output here.
    ///
    /// # Errors
    /// The error of the output.
    pub async fn begin(
        &self,
        node: NodeId,
        (batch, zero): (Time, Time),
        is_shown: bool,
    ) -> Option<Result<Arc<dyn BatchWrite>, Error>> {
        let output = self.by_node.get(&node)?;
        let observer = lock(&self.observers).get(&node).cloned();
        let begun =
            if is_shown { output.begin(batch, zero).await } else { Ok(Arc::new(Withheld) as Arc<dyn BatchWrite>) };
        let output = match begun {
            Ok(output) => output,
            Err(error) => return Some(Err(error)),
        };
        let Some(observer) = observer else { return Some(Ok(output)) };
        Some(Ok(match observer.begin(batch, zero).await {
            Ok(observer) => Arc::new(Observed { output, observer }),
            Err(_) => output,
        }))
    }

    /// The places of outputs in object stores.
    pub fn store_places(&self) -> &[StorePlace] {
        &self.store_places
    }
}

/// An output that saves files.
struct OpenFiles {
    output: Arc<dyn Output>,
    /// The path at which the output saves its files.
    pattern: String,
    /// The result of checking the path.
    checked: Result<(), GrantError>,
    /// The place in an object store; `None` if the output saves files on a disk.
    store_place: Option<StorePlace>,
}

fn open_files(
    env: &Env,
    id: &OutputId,
    node: &Node,
    grants: &Grants,
    (prefix, suffix): (&str, &str),
    (format, ty): (FileFormat, RecordType),
    storage: &RowStorage,
) -> Result<OpenFiles, GrantError> {
    let storage = storage.clone();
    let label = node.to_string();
    match grants.resolve_place(prefix)? {
        GrantedPlace::Disk(place) => {
            let directories = BatchDirectories::new(env.disk.clone(), id, &label, place, (prefix, suffix))?;
            let (pattern, checked) = (directories.pattern(), directories.check());
            let output = Arc::new(files::FilesOutput::new(directories, format, ty, storage));
            Ok(OpenFiles { output, pattern, checked, store_place: None })
        }
        GrantedPlace::Objects(url, name) => {
            let objects = env.objects.outputs(&url).map_err(|error| GrantError::Store { url: url.clone(), error })?;
            let place = ObjectsPlace { url, name, text: prefix, suffix };
            let output = ObjectsOutput::new(objects, &label, place, format, ty, storage)?;
            let (pattern, store_place) = (output.pattern(), Some(output.claim()));
            Ok(OpenFiles { output: Arc::new(output), pattern, checked: Ok(()), store_place })
        }
    }
}

/// For messages: each output that writes somewhere, as its node, and the place. The place of an output that saves files is
/// the path of the files of a batch, in which `TIME` stands for the batch's time. Outputs whose places are not granted are
/// left out.
pub fn destinations<'a>(graph: &'a Graph, granted: Granted<'_>) -> Vec<(&'a Node, String)> {
    let destination = |node: &'a Node| match &node.operation {
        Operation::SaveToKafka { topic } => {
            let GrantedTopic { connection, topic, .. } = granted_topic(granted.connections, topic).ok()?;
            Some((node, format!("topic {topic} of connection {connection}")))
        }
        Operation::SaveAsFiles { prefix, suffix, .. } => {
            let path = match granted.grants.resolve_place(prefix).ok()? {
                GrantedPlace::Disk(place) => place.path(),
                GrantedPlace::Objects(url, name) => PathBuf::from(format!("{url}/{name}")),
            };
            Some((node, names::pattern(&path, suffix)))
        }
        _ => None,
    };
    graph.outputs().filter_map(destination).collect()
}

/// The outputs, with their identities and the types of their rows.
fn identified<'a>(job: &str, graph: &'a Graph) -> Vec<(OutputId, &'a Node, RecordType)> {
    let identify = |(position, node): (usize, &'a Node)| {
        let rows = node.parents.first().and_then(|parent| graph.node(*parent)?.rows.clone())?;
        let output = output_name(node.name.as_deref(), &node.kind, position);
        Some((OutputId { job: job.to_owned(), output }, node, rows))
    };
    graph.outputs().enumerate().filter_map(identify).collect()
}

/// What people read above the rows of a `print`: the name of the output, and that of its stream if only the stream was given
/// one. `None` if the job has no other `print`.
fn title(id: &OutputId, node: &Node, graph: &Graph) -> Option<String> {
    let prints = graph.outputs().filter(|output| matches!(output.operation, Operation::Print { .. })).count();
    let of_stream = node.parents.first().and_then(|parent| graph.node(*parent)?.name.as_ref());
    (prints > 1).then(|| match of_stream.filter(|_| node.name.is_none()) {
        Some(stream) => format!("{} of {stream}", id.output),
        None => id.output.clone(),
    })
}

/// Collects the problems of outputs.
#[derive(Default)]
struct Problems {
    found: Vec<String>,
    help: Option<String>,
    /// The directories so far, each with the output that uses it.
    taken: BTreeMap<String, String>,
}

impl Problems {
    fn add(&mut self, node: &Node, error: &dyn std::error::Error, help: String) {
        self.found.push(format!("output {node} cannot be written: {error}"));
        self.help.get_or_insert(help);
    }

    fn check(&mut self, node: &Node, pattern: String, checked: Result<(), GrantError>) {
        if let Err(error) = checked {
            self.add(node, &error, error.help());
        }
        if let Some(other) = self.taken.insert(pattern.clone(), node.to_string()) {
            self.found.push(format!("output {node} writes to {pattern}, as output {other} does"));
            self.help.get_or_insert("give each output a prefix or suffix of its own".to_owned());
        }
    }

    fn into_result(self) -> Result<(), Error> {
        let message = match self.found.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            many => format!("{} mistakes in the outputs:\n  {}", many.len(), many.join("\n  ")),
        };
        let error = Error::new(ErrorKind::User, message);
        Err(self.help.map_or(error.clone(), |help| error.help(help)))
    }
}

#[cfg(test)]
impl Outputs {
    fn get(&self, node: NodeId) -> Option<&Arc<dyn Output>> {
        self.by_node.get(&node)
    }
}

#[cfg(test)]
mod tests;
