//! What driver functions did, and what they find when they run again.
//!
//! Owns the record of a function's steps and their answers, and the comparison of a function that runs again with it. A
//! function that asks for anything else than the first time fails. Never asks the host for anything.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::bindings::exports::millstream::plugin::tasks;
use super::driver::{Answer, RowsStream, Step};
use super::failure::Failure;
use super::instance::{TaskProgram, foreign};
use crate::data::key;
use crate::data::schema::RecordType;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use arrow::array::RecordBatch;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// What a driver function did.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    /// The node whose function was called.
    pub node: NodeId,
    /// The id of the first node that it makes.
    pub first: NodeId,
    /// Seeded random numbers in the function.
    pub seed: u64,
    /// What it asked for, in order.
    pub steps: Vec<RecordedStep>,
    /// How it ended, if it has.
    pub end: Option<RecordedEnd>,
}

/// Names what a driver function did in a batch. With the batch, it names the record among all of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    /// The node whose function was called.
    pub node: NodeId,
    /// The id of the first node that it makes.
    pub first: NodeId,
}

impl RecordedCall {
    /// Its name.
    pub const fn id(&self) -> RecordId {
        RecordId { node: self.node, first: self.first }
    }
}

impl RecordId {
    pub(super) const fn request(self) -> tasks::Replay {
        tasks::Replay { node: self.node.0, first: self.first.0 }
    }
}

/// What a step takes beside what it holds.
const STEP_BYTES: usize = 256;
/// What a node takes in the record, in the graph and in its plan, beside its texts.
const NODE_BYTES: usize = 2048;

/// What nodes that a function made take in memory, about.
pub fn made_bytes(made: &[DescribedNode]) -> usize {
    let fields = |node: &DescribedNode| node.rows.len().saturating_add(node.exchanged.as_ref().map_or(0, Vec::len));
    made.iter()
        .map(|node| {
            let parts = fields(node).saturating_add(node.parameters.len());
            NODE_BYTES.saturating_add(STEP_BYTES.saturating_mul(parts))
        })
        .sum()
}

/// Something that a driver function asked for.
#[derive(Clone, Debug)]
pub enum RecordedStep {
    /// An action.
    Action(RecordedAction),
    /// The data sets of a stream in an interval.
    Slice {
        /// The stream.
        of: NodeId,
        /// Where the interval begins.
        first: Time,
        /// Where it ends.
        last: Time,
        /// The times of the data sets.
        times: Vec<Time>,
    },
    /// A file that it wrote.
    Write {
        /// What the function calls it.
        path: String,
        /// The hash of its content.
        hash: u64,
    },
    /// A file that it read.
    Read {
        /// What the function calls it.
        path: String,
        /// What it held, if it was there.
        content: Option<Arc<[u8]>>,
    },
}

impl RecordedStep {
    /// What the record of it takes in memory, about, but for the rows of an answer, which are stored.
    pub fn bytes(&self) -> usize {
        let bytes = match self {
            Self::Action(action) => made_bytes(&action.made),
            Self::Slice { times, .. } => size_of_val(times.as_slice()),
            Self::Write { path, .. } => path.len(),
            Self::Read { path, content } => {
                path.len().saturating_add(content.as_ref().map_or(0, |content| content.len()))
            }
        };
        bytes.saturating_add(STEP_BYTES)
    }

    fn made(&self) -> usize {
        match self {
            Self::Action(action) => action.made.len(),
            _ => 0,
        }
    }

    fn to_words(&self) -> String {
        match self {
            Self::Action(action) => format!("the rows of node {}", action.wanted),
            Self::Slice { of, .. } => format!("a slice of node {of}"),
            Self::Write { path, .. } => format!("a write to `{path}`"),
            Self::Read { path, .. } => format!("a read of `{path}`"),
        }
    }
}

/// A data set that a driver function asked for.
#[derive(Clone, Debug)]
pub struct RecordedAction {
    /// What it had made since it asked before.
    pub made: Vec<DescribedNode>,
    /// The data set.
    pub wanted: NodeId,
    /// How many of its rows.
    pub limit: Option<u64>,
    /// The answer: the rows, or none if it was an output. Absent while the data set is computed.
    pub answer: Option<Option<Arc<Answer>>>,
}

/// The end of a driver function.
#[derive(Clone, Debug)]
pub struct RecordedEnd {
    /// What it had made since it asked before.
    pub made: Vec<DescribedNode>,
    /// The data set that it returned.
    pub answer: Option<NodeId>,
}

/// Functions that run again, and then a task.
pub(super) struct Again {
    pub task: TaskProgram,
    /// What the functions did before, in the order in which they run again.
    records: Vec<Arc<RecordedCall>>,
    /// The call that runs, and its next action.
    at: (usize, usize),
    pub step: Step,
    pub input: RowsStream,
    pub ready: VecDeque<RecordBatch>,
}

impl Again {
    pub fn new(task: TaskProgram, records: Vec<Arc<RecordedCall>>, input: RowsStream) -> Self {
        Self { task, records, at: (0, 0), step: Step::Building, input, ready: VecDeque::new() }
    }

    /// The call that runs next or now.
    pub fn call(&self) -> Option<&RecordedCall> {
        self.records.get(self.at.0).map(|record| &**record)
    }

    fn recorded(&self) -> Option<&RecordedStep> {
        self.call()?.steps.get(self.at.1)
    }

    /// The function asked for something else than the first time.
    fn asked_other(&self, asked: &str) -> Failure {
        let before =
            self.recorded().map_or("had ended there".to_owned(), |step| format!("had asked for {}", step.to_words()));
        self.differs(format!("it asked for {asked}, and {before} before"))
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
                Err(self
                    .differs(format!("it made {again} where it had made {first} (node {})", known.saturating_add(at))))
            }
        }
    }

    /// The recorded answer, or nothing if the task's place is here.
    pub fn run(
        &mut self,
        made: &[DescribedNode],
        wanted: NodeId,
        limit: Option<u64>,
    ) -> Result<Option<Option<Arc<Answer>>>, Failure> {
        let Some(RecordedStep::Action(recorded)) = self.recorded() else {
            return Err(self.asked_other(&format!("the rows of node {wanted}")));
        };
        self.compare(&recorded.made, made)?;
        if (recorded.wanted, recorded.limit) != (wanted, limit) {
            let first = recorded.wanted;
            return Err(self.differs(format!("it asked for rows of node {wanted}, and had asked for those of {first}")));
        }
        let answer = recorded.answer.clone();
        self.at.1 = self.at.1.saturating_add(1);
        Ok(answer)
    }

    /// The recorded times.
    pub fn slice(&mut self, of: NodeId, first: Time, last: Time) -> Result<Vec<Time>, Failure> {
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

    /// Compares what is written. It was written the first time.
    pub fn write(&mut self, path: &str, content: &[u8]) -> Result<(), Failure> {
        match self.recorded() {
            Some(RecordedStep::Write { path: known, hash }) if known == path => {
                if *hash != key::hash(content) {
                    let path = foreign(path);
                    return Err(self.differs(format!("it wrote something else to `{path}` than before")));
                }
            }
            _ => return Err(self.asked_other(&format!("a write to `{}`", foreign(path)))),
        }
        self.at.1 = self.at.1.saturating_add(1);
        Ok(())
    }

    /// The recorded content.
    pub fn read(&mut self, path: &str) -> Result<Option<Arc<[u8]>>, Failure> {
        let content = match self.recorded() {
            Some(RecordedStep::Read { path: known, content }) if known == path => content.clone(),
            _ => return Err(self.asked_other(&format!("a read of `{}`", foreign(path)))),
        };
        self.at.1 = self.at.1.saturating_add(1);
        Ok(content)
    }

    pub fn end(&mut self, made: &[DescribedNode], answer: Option<NodeId>) -> Result<(), Failure> {
        let (call, action) = self.at;
        let recorded = self.records.get(call);
        let ended = recorded.filter(|call| call.steps.len() == action).and_then(|call| call.end.as_ref());
        let Some(ended) = ended else {
            return Err(self.differs("it ended, and had asked for rows there before".to_owned()));
        };
        self.compare(&ended.made, made)?;
        if ended.answer != answer {
            let name = |node: Option<NodeId>| node.map_or("no data set".to_owned(), |node| format!("node {node}"));
            let (first, again) = (name(ended.answer), name(answer));
            return Err(self.differs(format!("it returned {again}, and had returned {first}")));
        }
        self.at = (call.saturating_add(1), 0);
        Ok(())
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
