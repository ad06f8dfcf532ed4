//! Driver functions that run for the first time: the host answers their calls.

use super::data_sets::{DataSets, DriverCall};
use super::failure::Failure;
use super::functions::{Answered, Begun, Functions, Step};
use crate::block::OffsetRange;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use crate::variables::{VariableAnswer, VariableCall};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Answers the calls of a function that runs for the first time.
pub(super) struct Live {
    call: DriverCall,
    data_sets: Box<dyn DataSets>,
    step: Step,
}

impl Live {
    pub(super) fn new(call: DriverCall, data_sets: Box<dyn DataSets>) -> Self {
        Self { call, data_sets, step: Step::Building }
    }
}

impl Functions for Live {
    fn step(&self) -> Step {
        self.step
    }

    fn begin(&mut self, node: NodeId) -> Option<Begun> {
        if self.step != Step::Building || self.call.node != node {
            return None;
        }
        self.step = Step::InFunction;
        let operators: Arc<[_]> = Arc::new([(self.call.node, self.call.operator.clone())]);
        Some(Begun { seed: self.call.seed, batch: self.call.batch, operators: Some(operators) })
    }

    fn run(
        &mut self,
        made: Vec<DescribedNode>,
        wanted: NodeId,
        limit: Option<u64>,
    ) -> BoxFuture<'_, Result<Answered, Failure>> {
        Box::pin(async move {
            let answer = self.data_sets.run(made, wanted, limit).await?;
            Ok(Some(answer.map(Arc::new)))
        })
    }

    fn slice(&mut self, of: NodeId, first: Time, last: Time) -> Result<Vec<Time>, Failure> {
        self.data_sets.slice(of, first, last)
    }

    fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Failure> {
        self.data_sets.write(path, content)
    }

    fn read(&mut self, path: String, limit: u64) -> Result<Option<Arc<[u8]>>, Failure> {
        self.data_sets.read(path, limit)
    }

    fn ranges(&mut self, source: String) -> Result<Vec<OffsetRange>, Failure> {
        self.data_sets.ranges(source)
    }

    fn commit(&mut self, source: String, ranges: Vec<OffsetRange>) -> Result<(), Failure> {
        self.data_sets.commit(source, ranges)
    }

    fn variable(&mut self, call: VariableCall) -> Result<VariableAnswer, Failure> {
        self.data_sets.variable(call)
    }

    fn end(&mut self, made: Vec<DescribedNode>, answer: Option<NodeId>) -> Result<(), Failure> {
        self.step = Step::Done;
        self.data_sets.end(made, answer)
    }
}
