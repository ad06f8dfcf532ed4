//! The plan node that joins. Its children are leaves, one for each parent.

use super::Join;
use super::input::Input;
use super::room::JoinRoom;
use super::run::Run;
use crate::engine::node::{Execution, PlanNode, Rows, Work};
use datafusion_common::Result;
use datafusion_execution::memory_pool::MemoryConsumer;
use datafusion_physical_plan::ExecutionPlan;
use futures::StreamExt as _;
use std::fmt;
use std::sync::Arc;

/// Joins the rows of its children.
#[derive(Debug)]
pub(in crate::engine) struct JoinChildren(Arc<Join>);

/// The plan node that joins.
pub(in crate::engine) type JoinExec = PlanNode<JoinChildren>;

impl JoinExec {
    pub(in crate::engine) fn new(children: Vec<Arc<dyn ExecutionPlan>>, join: Arc<Join>) -> Self {
        let schema = join.schema.clone();
        Self::of(JoinChildren(join), children, schema, 1)
    }
}

impl Work for JoinChildren {
    const NAME: &'static str = "JoinExec";

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.kind)
    }

    fn run(&self, execution: Execution<'_>) -> Result<Rows> {
        let room = execution.extension::<JoinRoom>("room for joins")?;
        let reservation = MemoryConsumer::new(self.0.kind.name()).register(execution.context.memory_pool());
        let inputs = execution.inputs()?.into_iter().map(|rows| Input::stream(rows, room.part_bytes)).collect();
        let run = Run::new(self.0.clone(), room, reservation, inputs);
        let rows =
            futures::stream::try_unfold(run, |mut run| async move { Ok(run.next().await?.map(|batch| (batch, run))) });
        Ok(rows.boxed())
    }
}
