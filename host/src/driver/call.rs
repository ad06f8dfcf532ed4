//! The functions of the host that a running driver function can call.
//!
//! Owns what each call of the host does, in order, and the record of the calls: actions, saves, loaded files, slices,
//! small files, ranges of topics. Never computes rows itself.

use super::collected::Collected;
use super::{Batch, State};
use crate::block::{FileVersion, LoadedFormat, LoadedPart, OffsetRange};
use crate::data::key;
use crate::error::{Error, ErrorKind};
use crate::graph::{Beginning, DescribedNode, FileFormat, Node, Operation};
use crate::ids::NodeId;
use crate::lock::lock;
use crate::output::{BatchWrite, Save};
use crate::plugin::{Answer, Cancel, DataSets, Failure, RecordedAction, RecordedEnd, RecordedStep, made_bytes};
use crate::time::{Duration, Time, whole_ms};
use crate::variables::{VariableAnswer, VariableCall};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};

/// The most data sets that a slice may have.
const SLICE_MAX: u64 = 1000;

/// The state of one execution of a driver function.
pub(super) struct CallDataSets {
    batch: Arc<Batch>,
    node: NodeId,
    /// The error of a call of the host that failed. Such an error explains more than the end of the function, which
    /// follows from it.
    failed: Arc<Mutex<Option<Error>>>,
    /// How many data sets the function has saved.
    saves: usize,
    /// Says whether the function has taken too long.
    cancel: Cancel,
}

fn broken(error: crate::graph::CallError) -> Failure {
    Failure::BrokenData(error.to_string())
}

fn loaded_format(format: FileFormat) -> Option<LoadedFormat> {
    Some(match format {
        FileFormat::Text => LoadedFormat::Text,
        FileFormat::Csv => LoadedFormat::Csv,
        FileFormat::Json => LoadedFormat::Json,
        FileFormat::Parquet(_) => LoadedFormat::Parquet,
        FileFormat::Arrow => return None,
    })
}

impl CallDataSets {
    pub(super) fn new(batch: Arc<Batch>, node: NodeId, failed: Arc<Mutex<Option<Error>>>, cancel: Cancel) -> Self {
        Self { batch, node, failed, saves: 0, cancel }
    }

    /// Returns an error if the function has taken too long.
    fn in_time(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() { Err(Failure::Cancelled) } else { Ok(()) }
    }

    /// Makes the failure that ends the function with this error.
    fn fail(&self, error: Error) -> Failure {
        let failure = Failure::Action(error.message.clone());
        *lock(&self.failed) = Some(error);
        failure
    }

    /// Makes the failure that ends the function with an error. The name of the node and the batch are added to its
    /// message.
    fn fail_here(&self, state: &State, error: Error) -> Failure {
        let node = state.graph.node(self.node).map(ToString::to_string).unwrap_or_default();
        let message = format!("driver function of {node} failed on batch {}: {}", self.batch.batch, error.message);
        self.fail(Error { message, ..error })
    }

    /// Adds the nodes that the function made to the graph.
    fn take(&self, state: &mut State, made: &[DescribedNode]) -> Result<(), Failure> {
        let known = state.graph.nodes().len();
        Arc::make_mut(&mut state.graph).extend(made).map_err(broken)?;
        let graph = state.graph.clone();
        for node in graph.nodes().iter().skip(known) {
            match &node.operation {
                Operation::Load { format, path } => {
                    let parts = self.load(state, *format, path).map_err(|error| self.fail_here(state, error))?;
                    Arc::make_mut(&mut state.loaded).insert(node.id, parts);
                }
                Operation::Slice { of, time } => {
                    self.check_slice(state, *of, *time).map_err(|error| self.fail_here(state, error))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The parts of the files that a path names. A file that was loaded before in this batch is read in the same
    /// version.
    fn load(&self, state: &mut State, format: FileFormat, path: &str) -> Result<Vec<LoadedPart>, Error> {
        let files = self.batch.run.files.list(path)?;
        let mut parts = Vec::new();
        for file in files.into_iter().map(FileVersion::from) {
            let known = state.versions.entry(file.path.clone()).or_insert(file);
            parts.extend(loaded_format(format).into_iter().flat_map(|format| LoadedPart::parts(known, format)));
        }
        Ok(parts)
    }

    /// Checks that the data set that a slice refers to can be computed now.
    fn check_slice(&self, state: &State, of: NodeId, time: Time) -> Result<(), Error> {
        let Some(stream) = state.graph.node(of) else { return Ok(()) };
        let waits = stream.operation == Operation::Transform || !state.graph.transforms_before(of).is_empty();
        if time < self.batch.batch || (time == self.batch.batch && !waits) {
            return Ok(());
        }
        let message = format!("the data set of {stream} of batch {time} is not made yet");
        Err(Error::new(ErrorKind::User, message)
            .help("end the slice before this batch, or give the stream to `transform_with`"))
    }

    /// Adds the nodes that the function made to the graph, and records the action. Returns the node whose rows the
    /// function asks for.
    fn ask(&self, action: RecordedAction) -> Result<Node, Failure> {
        let mut state = self.batch.lock();
        self.take(&mut state, &action.made)?;
        state.graph.check_wanted(action.wanted).map_err(broken)?;
        let node = state.graph.node(action.wanted).cloned();
        let unknown = || Failure::BrokenData(format!("there is no node {}", action.wanted));
        let node = node.ok_or_else(unknown)?;
        self.record(&mut state, RecordedStep::Action(action))?;
        Ok(node)
    }

    /// Records a step of the function, for the tasks that run the function again.
    fn record(&self, state: &mut State, step: RecordedStep) -> Result<(), Failure> {
        self.hold(state, step.bytes())?;
        if let Some(call) = state.calls.last_mut() {
            call.steps.push(step);
        }
        Ok(())
    }

    /// Reserves memory for the record of the function.
    fn hold(&self, state: &mut State, bytes: usize) -> Result<(), Failure> {
        state.recorded_bytes += bytes;
        state.recorded.resize(state.recorded_bytes).map_err(|error| {
            let message = format!("what it did so far takes too much memory: {error}");
            let error = Error::new(ErrorKind::Unavailable, message);
            self.fail_here(state, error.help("let driver functions do or read less, or raise engine.memory"))
        })
    }

    fn answered(&self, answer: Option<Answer>) {
        let mut state = self.batch.lock();
        let step = state.calls.last_mut().and_then(|call| call.steps.last_mut());
        if let Some(RecordedStep::Action(action)) = step {
            action.answer = Some(answer.map(Arc::new));
        }
    }

    /// Saves the rows that an action reads, unless they are saved already.
    async fn save(&mut self, action: &Node, format: FileFormat, path: &str) -> Result<(), Error> {
        let missing = || Error::new(ErrorKind::Internal, format!("{action} has no rows")).help("please report this");
        let parent = action.parents.first().copied().ok_or_else(missing)?;
        let (position, label) = (self.saves, action.to_string());
        self.saves += 1;
        let (output, ty) = {
            let state = self.batch.lock();
            let ty = state.graph.node(parent).and_then(|parent| parent.rows.clone()).ok_or_else(missing)?;
            (self.output(&state), ty)
        };
        let batch = self.batch.batch;
        let save = Save { output: &output, position, batch, label: &label, path, format, ty: &ty };
        let Some(write) = self.batch.run.files.begin(&save, self.batch.is_shown)? else { return Ok(()) };
        let computed = self.batch.compute(Some(self.node), parent, Some(write.clone()), Some(self.cancel.clone()));
        let outcome = match computed.await {
            Ok(partitions) => write.commit(partitions).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            write.abort().await;
        }
        outcome
    }

    /// The name of the function's node in the identity of what it writes.
    fn output(&self, state: &State) -> String {
        let position = self.batch.run.plan.graph.outputs().position(|output| output.id == self.node);
        let position = position.map_or_else(|| self.node.to_string(), |position| position.to_string());
        match state.graph.node(self.node) {
            Some(Node { name: Some(name), .. }) => name.clone(),
            Some(node) => format!("{}-{position}", node.kind),
            None => position,
        }
    }

    async fn collect(&self, wanted: &Node, limit: Option<u64>) -> Result<Option<Answer>, Failure> {
        let none = || Failure::BrokenData(format!("node {} has no rows", wanted.id));
        let ty = wanted.rows.clone().ok_or_else(none)?;
        let rows_wanted = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let storage = &self.batch.run.storage;
        let collected = Arc::new(Collected::new(rows_wanted, storage));
        let write: Arc<dyn BatchWrite> = collected.clone();
        let computed = self.batch.compute(Some(self.node), wanted.id, Some(write), Some(self.cancel.clone())).await;
        computed.map_err(|error| self.fail(error))?;
        Ok(Some(Answer { partitions: collected.take(), limit: rows_wanted, ty, storage: storage.clone() }))
    }
}

impl DataSets for CallDataSets {
    fn run(
        &mut self,
        made: Vec<DescribedNode>,
        wanted: NodeId,
        limit: Option<u64>,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        async move {
            self.in_time()?;
            let wanted = self.ask(RecordedAction { made, wanted, limit, answer: None })?;
            let answer = match &wanted.operation {
                Operation::SaveAsFile { format, path } => {
                    self.save(&wanted, *format, path).await.map_err(|error| self.fail(error))?;
                    None
                }
                _ => self.collect(&wanted, limit).await?,
            };
            self.answered(answer.clone());
            Ok(answer)
        }
        .boxed()
    }

    fn slice(&mut self, of: NodeId, first: Time, last: Time) -> Result<Vec<Time>, Failure> {
        self.in_time()?;
        let mut state = self.batch.lock();
        let stream = state.graph.stream(of).map_err(broken)?.to_string();
        let (batch, Beginning { zero, data_after }) = (self.batch.batch, self.batch.beginning);
        if last > batch {
            let error = Error::new(ErrorKind::User, format!("a slice of {stream} ends at {last}, after the batch"));
            return Err(self.fail_here(&state, error.help("let it end at the batch's time or before")));
        }
        let slide_ms = whole_ms(self.batch.run.intervals.slide(of)).max(1);
        // Data sets are numbered from the first one, which is one slide after the zero time.
        let number = |time: Time| whole_ms(time.since(zero)) / slide_ms;
        let (first_number, last_number) = (number(first).max(number(data_after) + 1), number(last));
        let count = (last_number + 1).saturating_sub(first_number);
        if count > SLICE_MAX {
            let message = format!("a slice of {stream} has {count} data sets, which is more than {SLICE_MAX}");
            let error = Error::new(ErrorKind::User, message).help("let it begin later, or use a window");
            return Err(self.fail_here(&state, error));
        }
        let time = |number: u64| zero + Duration::from_millis(number.saturating_mul(slide_ms));
        let times: Vec<Time> = (first_number..first_number + count).map(time).collect();
        self.record(&mut state, RecordedStep::Slice { of, first, last, times: times.clone() })?;
        Ok(times)
    }

    fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Failure> {
        self.in_time()?;
        let written = self.batch.run.files.write(&path, &content, self.batch.is_shown);
        let mut state = self.batch.lock();
        written.map_err(|error| self.fail_here(&state, error))?;
        self.record(&mut state, RecordedStep::Write { path, hash: key::hash(&content) })
    }

    fn read(&mut self, path: String, limit: u64) -> Result<Option<Arc<[u8]>>, Failure> {
        self.in_time()?;
        let content = self.batch.run.files.read(&path, limit);
        let mut state = self.batch.lock();
        let content = content.map_err(|error| self.fail_here(&state, error))?.map(Arc::from);
        self.record(&mut state, RecordedStep::Read { path, content: content.clone() })?;
        Ok(content)
    }

    fn ranges(&mut self, source: String) -> Result<Vec<OffsetRange>, Failure> {
        self.in_time()?;
        let ranges = self.batch.offset_ranges(&source);
        let mut state = self.batch.lock();
        let ranges = ranges.map_err(|error| self.fail_here(&state, error))?;
        self.record(&mut state, RecordedStep::Ranges { source, ranges: ranges.clone() })?;
        Ok(ranges)
    }

    fn commit(&mut self, source: String, ranges: Vec<OffsetRange>) -> Result<(), Failure> {
        self.in_time()?;
        let committed = self.batch.commit_offsets(&source, &ranges);
        let mut state = self.batch.lock();
        committed.map_err(|error| self.fail_here(&state, error))?;
        self.record(&mut state, RecordedStep::Commit { source, ranges })
    }

    fn variable(&mut self, call: VariableCall) -> Result<VariableAnswer, Failure> {
        self.in_time()?;
        let (asked, hash) = (call.words(), call.hash());
        let answer = self.batch.run.variables.answer(call)?;
        let step = RecordedStep::Variable { asked, hash, answer: answer.clone() };
        self.record(&mut self.batch.lock(), step)?;
        Ok(answer)
    }

    fn end(&mut self, made: Vec<DescribedNode>, answer: Option<NodeId>) -> Result<(), Failure> {
        let mut state = self.batch.lock();
        self.hold(&mut state, made_bytes(&made))?;
        self.take(&mut state, &made)?;
        Arc::make_mut(&mut state.graph).end_call(answer).map_err(broken)?;
        if let Some(call) = state.calls.last_mut() {
            call.end = Some(RecordedEnd { made, answer });
        }
        Ok(())
    }
}
