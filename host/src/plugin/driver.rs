//! The host functions that driver functions call, in instances whose code can wait for the host.
//!
//! Owns the linking of such code. The code runs on a stack of its own, so that waiting for the host blocks no thread.
//! Never answers a call itself: see [`Functions`].

use super::bindings::millstream::plugin::{data_sets, files, nodes, replays, topics, types};
use super::failure::Failure;
use super::functions::{Functions, Step};
use super::load_error::LoadError;
use super::nodes::node;
use super::state::TaskState;
use super::words::foreign;
use crate::block::OffsetRange;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use wasmtime::component::{Component, ComponentExportIndex, HasSelf, InstancePre, Linker};

fn out_of_place(state: &mut TaskState, what: &str) -> wasmtime::Error {
    state.fail(Failure::BrokenData(format!("`{what}` was called at a time when it is not allowed")))
}

impl TaskState {
    /// Returns the object that answers driver functions, if the instance is at this step.
    fn at_step(&mut self, step: Step, what: &str) -> wasmtime::Result<&mut dyn Functions> {
        if self.driver.as_ref().is_none_or(|functions| functions.step() != step) {
            return Err(out_of_place(self, what));
        }
        self.driver
            .as_deref_mut()
            .map(|functions| functions as _)
            .ok_or_else(|| wasmtime::Error::msg("no function runs"))
    }
}

impl data_sets::Host for TaskState {
    fn begin(&mut self, node: types::NodeId) -> wasmtime::Result<()> {
        let Some(begun) = self.driver.as_mut().and_then(|functions| functions.begin(NodeId(node))) else {
            return Err(out_of_place(self, "data-sets.begin"));
        };
        if let Some(operators) = begun.operators {
            self.log.begin_task(operators, begun.batch, 0);
        }
        self.begin_at(begun.seed, begun.batch, 0);
        Ok(())
    }

    async fn run(
        &mut self,
        made: Vec<nodes::Node>,
        wanted: types::NodeId,
        limit: Option<u64>,
    ) -> wasmtime::Result<Option<Vec<types::Chunk>>> {
        let made: Vec<DescribedNode> = made.into_iter().map(node).collect();
        self.stopwatch.stop();
        let answer = self.at_step(Step::InFunction, "data-sets.run")?.run(made, NodeId(wanted), limit).await;
        self.stopwatch.start();
        let bytes_max = self.result_bytes;
        let chunks = answer.and_then(|answer| {
            // An output returns no rows, but the call has succeeded all the same.
            let chunks = answer.map(|answer| answer.map_or(Ok(Vec::new()), |answer| answer.chunks(bytes_max)));
            chunks.transpose()
        });
        chunks.map_err(|failure| self.fail(failure))
    }

    fn slice(
        &mut self,
        of: types::NodeId,
        first: types::BatchTime,
        last: types::BatchTime,
    ) -> wasmtime::Result<Vec<types::BatchTime>> {
        let (of, first, last) = (NodeId(of), Time::from_ms(first), Time::from_ms(last));
        self.stopwatch.stop();
        let times = self.at_step(Step::InFunction, "data-sets.slice")?.slice(of, first, last);
        self.stopwatch.start();
        times.map(|times| times.into_iter().map(Time::as_ms).collect()).map_err(|failure| self.fail(failure))
    }

    fn end(&mut self, made: Vec<nodes::Node>, answer: Option<types::NodeId>) -> wasmtime::Result<()> {
        let made: Vec<DescribedNode> = made.into_iter().map(node).collect();
        let outcome = self.at_step(Step::InFunction, "data-sets.end")?.end(made, answer.map(NodeId));
        outcome.map_err(|failure| self.fail(failure))
    }
}

impl nodes::Host for TaskState {}

impl files::Host for TaskState {
    fn write(&mut self, path: String, content: Vec<u8>) -> wasmtime::Result<()> {
        let limit = self.result_bytes;
        self.stopwatch.stop();
        let functions = self.at_step(Step::InFunction, "files.write")?;
        let written = if content.len() as u64 > limit {
            Err(Failure::FileTooLarge { path: foreign(&path), limit })
        } else {
            functions.write(path, content)
        };
        self.stopwatch.start();
        written.map_err(|failure| self.fail(failure))
    }

    fn read(&mut self, path: String) -> wasmtime::Result<Option<Vec<u8>>> {
        let limit = self.result_bytes;
        self.stopwatch.stop();
        let content = self.at_step(Step::InFunction, "files.read")?.read(path, limit);
        self.stopwatch.start();
        content.map(|content| content.map(|content| content.to_vec())).map_err(|failure| self.fail(failure))
    }
}

impl topics::Host for TaskState {
    fn ranges(&mut self, source: String) -> wasmtime::Result<Vec<topics::OffsetRange>> {
        self.stopwatch.stop();
        let ranges = self.at_step(Step::InFunction, "topics.ranges")?.ranges(source);
        self.stopwatch.start();
        let given = |OffsetRange { topic, partition, first, end }| topics::OffsetRange { topic, partition, first, end };
        ranges.map(|ranges| ranges.into_iter().map(given).collect()).map_err(|failure| self.fail(failure))
    }

    fn commit(&mut self, source: String, ranges: Vec<topics::OffsetRange>) -> wasmtime::Result<()> {
        let taken = |topics::OffsetRange { topic, partition, first, end }| OffsetRange { topic, partition, first, end };
        self.stopwatch.stop();
        let functions = self.at_step(Step::InFunction, "topics.commit")?;
        let committed = functions.commit(source, ranges.into_iter().map(taken).collect());
        self.stopwatch.start();
        committed.map_err(|failure| self.fail(failure))
    }
}

impl replays::Host for TaskState {
    fn begin(&mut self) -> wasmtime::Result<()> {
        match self.driver.as_mut().and_then(|functions| functions.begin_task()) {
            Some(task) => {
                self.begin_task(&task);
                Ok(())
            }
            None => Err(out_of_place(self, "replays.begin")),
        }
    }

    async fn next(&mut self) -> wasmtime::Result<Option<types::Chunk>> {
        self.stopwatch.stop();
        let next = self.at_step(Step::InTask, "replays.next")?.next().await;
        self.stopwatch.start();
        next.map_err(|failure| self.fail(failure))
    }

    fn done(&mut self) -> wasmtime::Result<()> {
        match self.driver.as_mut().is_some_and(|functions| functions.end_task()) {
            true => Err(wasmtime::Error::msg("the task is done")),
            false => Err(out_of_place(self, "replays.done")),
        }
    }
}

/// A component that is linked so that its code can wait for the host.
#[derive(Clone)]
pub(super) struct DriverPlugin {
    pub(super) pre: InstancePre<TaskState>,
    pub(super) open: ComponentExportIndex,
    pub(super) invoke: ComponentExportIndex,
}

impl DriverPlugin {
    /// Adds the host functions that driver functions need to `linker`.
    pub(super) fn new(linker: &mut Linker<TaskState>, component: &Component) -> Result<Self, LoadError> {
        type State = HasSelf<TaskState>;
        data_sets::add_to_linker::<_, State>(linker, |state| state).map_err(LoadError::Engine)?;
        files::add_to_linker::<_, State>(linker, |state| state).map_err(LoadError::Engine)?;
        topics::add_to_linker::<_, State>(linker, |state| state).map_err(LoadError::Engine)?;
        replays::add_to_linker::<_, State>(linker, |state| state).map_err(LoadError::Engine)?;
        let pre = linker.instantiate_pre(component).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let export = |interface: &str, function: &str| {
            let ty = component.component_type();
            let wanted = format!("millstream:plugin/{interface}");
            let full = ty.exports(component.engine()).map(|(name, _)| name.to_owned());
            let full = full.into_iter().find(|name| name.split('@').next() == Some(&wanted));
            let missing = || LoadError::NotAPlugin(format!("{wanted}.{function}"));
            let (_, instance) = component.get_export(None, &full.ok_or_else(missing)?).ok_or_else(missing)?;
            component.get_export(Some(&instance), function).map(|(_, index)| index).ok_or_else(missing)
        };
        Ok(Self { open: export("tasks", "open")?, invoke: export("driver", "invoke")?, pre })
    }
}
