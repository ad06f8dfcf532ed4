//! Driver functions that run again, in a task that needs their closures. The record of their first run answers their
//! calls.
//!
//! Owns the comparison of a function with its record. A function that does not ask for the same as the first time
//! fails. Never asks the host for anything.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::answer::CHUNK_BYTES;
use super::bindings::millstream::plugin::types;
use super::crossing::encode;
use super::data_sets::RowsStream;
use super::failure::Failure;
use super::functions::{Answered, Begun, Functions, Step};
use super::program::TaskProgram;
use super::record::{RecordedCall, RecordedStep};
use super::words::foreign;
use crate::block::OffsetRange;
use crate::data::schema::RecordType;
use crate::data::{chunk, key};
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use crate::variables::{VariableAnswer, VariableCall};
use arrow::array::RecordBatch;
use futures::StreamExt as _;
use futures::future::{self, BoxFuture};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Answers functions that run again, and then lets a task run.
pub(super) struct Replay {
    task: TaskProgram,
    /// The records of the functions, in the order in which they run again.
    records: Vec<Arc<RecordedCall>>,
    /// The index of the function that runs, and the index of its next step.
    at: (usize, usize),
    step: Step,
    input: RowsStream,
    ready: VecDeque<RecordBatch>,
}

impl Replay {
    pub(super) fn new(task: TaskProgram, records: Vec<Arc<RecordedCall>>, input: RowsStream) -> Self {
        Self { task, records, at: (0, 0), step: Step::Building, input, ready: VecDeque::new() }
    }

    /// The record of the function that runs now, or that runs next.
    fn call(&self) -> Option<&RecordedCall> {
        self.records.get(self.at.0).map(|record| &**record)
    }

    fn recorded(&self) -> Option<&RecordedStep> {
        self.call()?.steps.get(self.at.1)
    }

    /// The failure of a function that does not ask for the same as the first time.
    fn asked_other(&self, asked: &str) -> Failure {
        let before =
            self.recorded().map_or("had ended there".to_owned(), |step| format!("had asked for {}", step.to_words()));
        self.differs(format!("it asked for {asked}, but the first time it {before}"))
    }

    fn differs(&self, what: String) -> Failure {
        let node = self.call().map_or(self.task.input, |call| call.node);
        Failure::NotDeterministic(format!("when the function of node {node} ran again, {what}"))
    }

    fn compare(&self, first: &[DescribedNode], again: &[DescribedNode]) -> Result<(), Failure> {
        let known: usize = self.call().map_or(0, |call| {
            let made = call.steps.iter().take(self.at.1).map(RecordedStep::made);
            made.fold(call.first.0 as usize, usize::saturating_add)
        });
        let longest = first.len().max(again.len());
        match (0..longest).find(|at| first.get(*at) != again.get(*at)) {
            None => Ok(()),
            Some(at) => {
                let describe = |node: Option<&DescribedNode>| node.map_or("nothing".to_owned(), Made::to_words);
                let (first, again) = (describe(first.get(at)), describe(again.get(at)));
                Err(self.differs(format!(
                    "it made {again}, but the first time it had made {first} (node {})",
                    known.saturating_add(at)
                )))
            }
        }
    }

    /// The recorded answer; `None` if the task has to run at this point.
    fn answer(&mut self, made: &[DescribedNode], wanted: NodeId, limit: Option<u64>) -> Result<Answered, Failure> {
        let Some(RecordedStep::Action(recorded)) = self.recorded() else {
            return Err(self.asked_other(&format!("the rows of node {wanted}")));
        };
        self.compare(&recorded.made, made)?;
        if (recorded.wanted, recorded.limit) != (wanted, limit) {
            let first = recorded.wanted;
            return Err(self.differs(format!(
                "it asked for rows of node {wanted}, but the first time it had asked for \
                                             those of {first}"
            )));
        }
        let answer = recorded.answer.clone();
        self.at.1 = self.at.1.saturating_add(1);
        Ok(answer)
    }
}

impl Functions for Replay {
    fn step(&self) -> Step {
        self.step
    }

    fn begin(&mut self, node: NodeId) -> Option<Begun> {
        if !matches!(self.step, Step::Building | Step::InFunction) {
            return None;
        }
        let seed = self.call().filter(|call| call.node == node).map(|call| call.seed)?;
        self.step = Step::InFunction;
        Some(Begun { seed, batch: self.task.batch, operators: None })
    }

    fn run(
        &mut self,
        made: Vec<DescribedNode>,
        wanted: NodeId,
        limit: Option<u64>,
    ) -> BoxFuture<'_, Result<Answered, Failure>> {
        Box::pin(future::ready(self.answer(&made, wanted, limit)))
    }

    /// The recorded times of a stream's data sets.
    fn slice(&mut self, of: NodeId, first: Time, last: Time) -> Result<Vec<Time>, Failure> {
        let times = match self.recorded() {
            Some(RecordedStep::Slice { of: known, first: from, last: to, times })
                if (*known, *from, *to) == (of, first, last) =>
            {
                times.clone()
            }
            _ => return Err(self.asked_other(&format!("a slice of node {of}"))),
        };
        self.at.1 = self.at.1.saturating_add(1);
        Ok(times)
    }

    /// Compares a write with its record. Nothing is written, because the file was written the first time.
    fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Failure> {
        match self.recorded() {
            Some(RecordedStep::Write { path: known, hash }) if *known == path => {
                if *hash != key::hash(&content) {
                    let path = foreign(&path);
                    return Err(self.differs(format!("it wrote something else to `{path}` than before")));
                }
            }
            _ => return Err(self.asked_other(&format!("a write to `{}`", foreign(&path)))),
        }
        self.at.1 = self.at.1.saturating_add(1);
        Ok(())
    }

    /// The recorded content of a file.
    fn read(&mut self, path: String, _: u64) -> Result<Option<Arc<[u8]>>, Failure> {
        let content = match self.recorded() {
            Some(RecordedStep::Read { path: known, content }) if *known == path => content.clone(),
            _ => return Err(self.asked_other(&format!("a read of `{}`", foreign(&path)))),
        };
        self.at.1 = self.at.1.saturating_add(1);
        Ok(content)
    }

    /// The recorded ranges of a source.
    fn ranges(&mut self, source: String) -> Result<Vec<OffsetRange>, Failure> {
        let ranges = match self.recorded() {
            Some(RecordedStep::Ranges { source: known, ranges }) if *known == source => ranges.clone(),
            _ => return Err(self.asked_other(&format!("the ranges of source `{}`", foreign(&source)))),
        };
        self.at.1 = self.at.1.saturating_add(1);
        Ok(ranges)
    }

    /// Compares a commit with its record. Nobody is told of the offsets again.
    fn commit(&mut self, source: String, ranges: Vec<OffsetRange>) -> Result<(), Failure> {
        match self.recorded() {
            Some(RecordedStep::Commit { source: known, ranges: first }) if *known == source && *first == ranges => {}
            _ => return Err(self.asked_other(&format!("a commit of offsets of source `{}`", foreign(&source)))),
        }
        self.at.1 = self.at.1.saturating_add(1);
        Ok(())
    }

    /// The recorded answer of a call for a shared variable. Nothing is changed, because the call did so the first time.
    fn variable(&mut self, call: VariableCall) -> Result<VariableAnswer, Failure> {
        let asked = call.words();
        let answer = match self.recorded() {
            Some(RecordedStep::Variable { asked: known, hash, answer }) if *known == asked => {
                if *hash != call.hash() {
                    return Err(self.differs(format!("it asked for {asked} with another value or type than before")));
                }
                answer.clone()
            }
            _ => return Err(self.asked_other(&asked)),
        };
        self.at.1 = self.at.1.saturating_add(1);
        Ok(answer)
    }

    fn end(&mut self, made: Vec<DescribedNode>, answer: Option<NodeId>) -> Result<(), Failure> {
        let (call, action) = self.at;
        let recorded = self.records.get(call);
        let ended = recorded.filter(|call| call.steps.len() == action).and_then(|call| call.end.as_ref());
        let Some(ended) = ended else {
            return Err(self.differs("it ended where it had asked for rows the first time".to_owned()));
        };
        self.compare(&ended.made, &made)?;
        if ended.answer != answer {
            let name = |node: Option<NodeId>| node.map_or("no data set".to_owned(), |node| format!("node {node}"));
            let (first, again) = (name(ended.answer), name(answer));
            return Err(self.differs(format!("it returned {again}, and had returned {first}")));
        }
        self.at = (call.saturating_add(1), 0);
        Ok(())
    }

    fn begin_task(&mut self) -> Option<TaskProgram> {
        if self.step != Step::InFunction {
            return None;
        }
        self.step = Step::InTask;
        Some(self.task.clone())
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<types::Chunk>, Failure>> {
        Box::pin(async move {
            loop {
                if let Some(rows) = self.ready.pop_front() {
                    return encode(&rows, &self.task.input_type).map(Some);
                }
                match self.input.next().await {
                    None => return Ok(None),
                    Some(rows) => self.ready.extend(chunk::chunks(&rows?, CHUNK_BYTES)),
                }
            }
        })
    }

    fn end_task(&mut self) -> bool {
        let runs = self.step == Step::InTask;
        if runs {
            self.step = Step::Done;
        }
        runs
    }
}

/// A described node in a message.
trait Made {
    fn to_words(&self) -> String;
}

impl Made for DescribedNode {
    fn to_words(&self) -> String {
        struct Words<'a>(&'a DescribedNode);
        impl fmt::Display for Words<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0.name.as_ref().unwrap_or(&self.0.kind))?;
                let parents: Vec<String> = self.0.parents.iter().map(ToString::to_string).collect();
                write!(f, " of {}", parents.join(" and "))?;
                match RecordType::parse(self.0.rows.clone()) {
                    Ok(ty) => write!(f, " with rows {ty}"),
                    Err(_) => Ok(()),
                }
            }
        }
        foreign(&Words(self).to_string())
    }
}
