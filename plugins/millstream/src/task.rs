//! Runs one stage on one partition: rows come in, go through the chain, and rows come out.
//!
//! Owns how a task is put together from the graph, and when rows leave the task. What a task emits depends on its input
//! alone: hash tables and columns are emptied at fixed sizes, never because of memory pressure or time.

use crate::aggregate::Aggregate;
use crate::chain::{self, AnyDriver, Chain, Driver, Erased, Rows};
use crate::chunk::{Chunk, Malformed};
use crate::combine::CombineTable;
use crate::ends::{Head, Tail, TaskError, is_chunk};
use crate::graph::{ExchangeCode, Fused, Graph, RowCode};
use crate::ids::NodeId;
use crate::key::Key;
use crate::pending::Accumulators;
use crate::place::{self, Place};
use crate::record::{Builder, Column, Record, read_column, write_chunk};
use crate::runtime;
use crate::stateful::{StateHead, StateTask, no_input};
use std::rc::Rc;

/// A pre-aggregation emits its rows when it has this many keys, or when the encodings of its keys take
/// [`COMBINE_KEY_BYTES`].
const COMBINE_KEYS: usize = 128 * 1024;
const COMBINE_KEY_BYTES: usize = 8 * 1024 * 1024;
/// A pre-aggregation whose results grow with each value, such as lists, also emits its rows after this much input.
const COMBINE_GROWN_BYTES: usize = 16 * 1024 * 1024;

/// The request to run a task.
pub(crate) struct TaskSpec {
    pub input: NodeId,
    pub steps: Vec<(NodeId, String)>,
    /// The partition that each step's node sees. 0 if the host does not say it.
    pub place: Place,
    pub traced: bool,
}

/// The tail that aggregates values by key before the shuffle.
struct CombineTail<C, A: Aggregate> {
    chain: C,
    aggregate: Rc<A>,
    table: CombineTable<A::Key, A::Acc>,
    traced: Option<NodeId>,
    /// How many bytes of input came in since the table was last empty.
    grown_bytes: usize,
}

impl<C: Chain<Out = A::In>, A: Aggregate> CombineTail<C, A> {
    fn new(chain: C, aggregate: Rc<A>, traced: Option<NodeId>) -> Self {
        Self { chain, aggregate, table: CombineTable::new(), traced, grown_bytes: 0 }
    }
}

/// Adds a row to the accumulator of its key.
#[inline(always)]
fn combine<A: Aggregate>(table: &mut CombineTable<A::Key, A::Acc>, aggregate: &A, traced: Option<NodeId>, row: A::In) {
    if let Some(node) = traced {
        chain::trace(node);
    }
    let (key, value) = aggregate.split(row);
    table.merge(&key, value, |value| aggregate.create(value), |acc, value| aggregate.add(acc, value));
    if table.len() >= COMBINE_KEYS || table.key_bytes() >= COMBINE_KEY_BYTES {
        emit_table::<A>(table);
    }
}

impl<C: Chain<Out = A::In>, A: Aggregate> Tail for CombineTail<C, A> {
    #[inline]
    fn push(&mut self, rows: &Rows) {
        let Self { chain, aggregate, table, traced, grown_bytes } = self;
        chain.run(rows, &mut |row| combine(table, &**aggregate, *traced, row));
        if A::GROWS {
            *grown_bytes += rows.bytes;
            if *grown_bytes >= COMBINE_GROWN_BYTES {
                emit_table::<A>(table);
                *grown_bytes = 0;
            }
        }
    }

    fn finish(&mut self, leaf: NodeId) {
        let Self { chain, aggregate, table, traced, .. } = self;
        chain.finish(leaf, &mut |row| combine(table, &**aggregate, *traced, row));
        emit_table::<A>(table);
    }
}

/// Empties a table: emits the keys and accumulators as pairs.
#[cold]
#[inline(never)]
fn emit_table<A: Aggregate>(table: &mut CombineTable<A::Key, A::Acc>) {
    let mut columns = <(<A::Key as Record>::Builder, <A::Acc as Record>::Builder)>::default();
    let mut rows = 0;
    table.drain(|key, acc| {
        A::Key::push_encoded(key, &mut columns.0);
        columns.1.push(acc);
        rows += 1;
        if is_chunk(&columns, rows) {
            runtime::emit(write_chunk(&mut columns, rows));
            rows = 0;
        }
    });
    if rows > 0 {
        runtime::emit(write_chunk(&mut columns, rows));
    }
}

/// The head that aggregates values by key after the shuffle.
struct ReduceHead<A: Aggregate> {
    aggregate: Rc<A>,
    table: CombineTable<A::Key, A::Acc>,
    traced: Option<NodeId>,
}

impl<A: Aggregate> Head for ReduceHead<A> {
    fn push(&mut self, chunk: Chunk) -> Result<(), Malformed> {
        let (column, rows) = read_column::<(A::Key, A::Acc)>(chunk)?;
        let aggregate = &*self.aggregate;
        for row in 0..rows {
            if let Some(node) = self.traced {
                chain::trace(node);
                chain::next_record();
            }
            let (key, acc) = column.get(row);
            self.table.merge(&key, acc, |acc| acc, |first, second| aggregate.merge(first, second));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn FnMut(Chunk) -> Result<(), TaskError>) -> Result<(), TaskError> {
        let mut builder = <A::Out as Record>::Builder::default();
        let mut rows = 0;
        let mut outcome = Ok(());
        if self.table.len() == 0
            && let Some(row) = self.aggregate.when_empty()
        {
            builder.push(row);
            rows = 1;
        }
        self.table.drain(|key, acc| {
            self.aggregate.push_out(key, acc, &mut builder);
            rows += 1;
            if is_chunk(&builder, rows) && outcome.is_ok() {
                outcome = out(write_chunk(&mut builder, rows));
                rows = 0;
            }
        });
        outcome?;
        if rows > 0 { out(write_chunk(&mut builder, rows)) } else { Ok(()) }
    }
}

/// Makes the code of an aggregation around a shuffle.
pub(crate) fn exchange<A: Aggregate>(aggregate: Rc<A>) -> ExchangeCode {
    let for_reduce = Rc::clone(&aggregate);
    ExchangeCode {
        combine: Box::new(move |node, driver: AnyDriver, traced| {
            let chain = Erased(*driver.downcast::<Driver<A::In>>().ok()?);
            Some(Box::new(CombineTail::new(chain, Rc::clone(&aggregate), traced.then_some(node))))
        }),
        reduce: Box::new(move |node, traced| {
            let aggregate = Rc::clone(&for_reduce);
            Box::new(ReduceHead { aggregate, table: CombineTable::new(), traced: traced.then_some(node) })
        }),
    }
}

/// Makes the fused chain that ends with the aggregation before a shuffle.
pub(crate) fn fused_combine<C: Chain<Out = A::In>, A: Aggregate>(chain: C, aggregate: Rc<A>) -> Fused {
    Fused::new(chain, move |chain| Box::new(CombineTail::new(chain, Rc::clone(&aggregate), None)))
}

/// The part of a task between its first decoded rows and its tail.
pub(crate) struct Body {
    leaf: NodeId,
    rows: RowCode,
    tail: Box<dyn Tail>,
}

impl Body {
    fn push(&mut self, chunk: Chunk) -> Result<(), TaskError> {
        let bytes = chunk.data.len();
        let (column, rows) = (self.rows.decode)(chunk)?;
        self.tail.push(&Rows { node: self.leaf, column, rows, bytes });
        Ok(())
    }
}

/// A running task.
pub(crate) struct Task {
    work: Work,
    accumulators: Rc<Accumulators>,
}

impl Task {
    pub fn open(graph: &Graph, spec: &TaskSpec) -> Result<Self, TaskError> {
        // Updates that `build` or a driver function has made do not belong to the task.
        graph.accumulators.forget();
        Ok(Self { work: Work::open(graph, spec)?, accumulators: Rc::clone(&graph.accumulators) })
    }

    pub fn push(&mut self, input: u32, chunk: Chunk) -> Result<(), TaskError> {
        self.work.push(input, chunk)
    }

    pub fn finish(&mut self) -> Result<(), TaskError> {
        self.work.finish()?;
        self.accumulators.hand_over();
        Ok(())
    }
}

/// What a task does with its rows.
enum Work {
    /// Rows go through the steps.
    Stage { head: Option<Box<dyn Head>>, body: Option<Body> },
    /// A node works on its state.
    State(Box<dyn StateHead>),
}

impl Work {
    fn open(graph: &Graph, spec: &TaskSpec) -> Result<Self, TaskError> {
        chain::restart_trace();
        place::set_place(spec.place.clone());
        let nodes = graph.nodes();
        let node = |id: NodeId| nodes.get(&id).ok_or_else(|| TaskError::Unsupported(format!("node {id}")));
        let unsupported =
            |id: NodeId, role: &str| TaskError::Unsupported(format!("role `{role}` of node {id}, or its place"));

        if let [(id, role)] = spec.steps.as_slice()
            && let Some(state) = &node(*id)?.code.state
        {
            let task = StateTask { time: spec.place.batch, traced: spec.traced.then_some(*id) };
            return state.open(role, task).map(Self::State).ok_or_else(|| unsupported(*id, role));
        }

        let mut steps = spec.steps.as_slice();
        let mut leaf = spec.input;
        let mut head = None;
        if let Some(((id, role), rest)) = steps.split_first()
            && role == "reduce"
        {
            let exchange = node(*id)?.code.exchange.as_ref().ok_or_else(|| unsupported(*id, role))?;
            head = Some((exchange.reduce)(*id, spec.traced));
            leaf = *id;
            steps = rest;
        }
        let mut combine = None;
        if let Some(((id, role), rest)) = steps.split_last()
            && role == "combine"
        {
            combine = Some(*id);
            steps = rest;
        }
        if let Some((id, role)) = steps.iter().find(|(_, role)| role != "apply") {
            return Err(unsupported(*id, role));
        }
        if head.is_some() && steps.is_empty() && combine.is_none() {
            return Ok(Self::Stage { head, body: None });
        }

        let rows = node(leaf)?.code.rows.ok_or_else(|| unsupported(leaf, "input"))?;
        let path: Vec<NodeId> = steps.iter().map(|(id, _)| *id).collect();
        let end = path.last().copied().unwrap_or(leaf);
        let fused = match combine {
            Some(id) => node(id)?.code.fused_combine.as_ref(),
            None => node(end)?.code.fused_emit.as_ref(),
        };
        let tail = match fused.filter(|fused| !spec.traced && (fused.path)(leaf).as_ref() == Some(&path)) {
            Some(fused) => (fused.tail)(),
            None => {
                let mut driver = (rows.leaf)(leaf, spec.traced);
                for id in path {
                    let step = node(id)?.code.step.as_ref().ok_or_else(|| unsupported(id, "apply"))?;
                    driver = step(driver, spec.traced).ok_or_else(|| unsupported(id, "apply"))?;
                }
                match combine {
                    Some(id) => node(id)?
                        .code
                        .exchange
                        .as_ref()
                        .and_then(|exchange| (exchange.combine)(id, driver, spec.traced))
                        .ok_or_else(|| unsupported(id, "combine"))?,
                    None => node(end)?
                        .code
                        .rows
                        .and_then(|rows| (rows.emit)(driver))
                        .ok_or_else(|| unsupported(end, "emit"))?,
                }
            }
        };
        Ok(Self::Stage { head, body: Some(Body { leaf, rows, tail }) })
    }

    fn push(&mut self, input: u32, chunk: Chunk) -> Result<(), TaskError> {
        match self {
            Self::State(head) => head.push(input, chunk),
            Self::Stage { .. } if input != 0 => Err(no_input(input)),
            Self::Stage { head: Some(head), .. } => Ok(head.push(chunk)?),
            Self::Stage { body: Some(body), .. } => body.push(chunk),
            Self::Stage { .. } => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), TaskError> {
        let (head, body) = match self {
            Self::State(head) => {
                head.finish();
                return Ok(());
            }
            Self::Stage { head, body } => (head, body),
        };
        if let Some(head) = head {
            chain::restart_trace();
            match body {
                Some(body) => head.finish(&mut |chunk| body.push(chunk))?,
                None => head.finish(&mut |chunk| {
                    runtime::emit(chunk);
                    Ok(())
                })?,
            }
        }
        if let Some(body) = body {
            body.tail.finish(body.leaf);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamingContext;
    use crate::runtime::{take_emitted, take_trace};

    /// Word count: nodes 0 to 3 are source, flat_map, map, reduce_by_key.
    fn graph() -> Rc<Graph> {
        let ctx = StreamingContext::new(Vec::new());
        let words = ctx.text_stream("lines").flat_map(|line| line.split(' ')).map(|word| (word, 1u64));
        words.reduce_by_key(|a, b| a + b).print();
        ctx.graph
    }

    fn lines(lines: &[&str]) -> Chunk {
        let mut builder = <crate::Text as Record>::Builder::default();
        lines.iter().for_each(|line| builder.push((*line).into()));
        write_chunk(&mut builder, lines.len())
    }

    fn run(steps: &[(NodeId, &str)], traced: bool, input: NodeId, chunks: Vec<Chunk>) -> Vec<Chunk> {
        let steps = steps.iter().map(|(node, role)| (*node, (*role).to_owned())).collect();
        let mut task = Task::open(&graph(), &TaskSpec { input, steps, place: Place::default(), traced }).unwrap();
        chunks.into_iter().for_each(|chunk| task.push(0, chunk).unwrap());
        task.finish().unwrap();
        take_emitted()
    }

    const MAP_SIDE: [(NodeId, &str); 3] = [(1, "apply"), (2, "apply"), (3, "combine")];

    #[test]
    fn a_traced_task_emits_the_same_and_reports_each_record_before_each_operator() {
        let input = || vec![lines(&["a b", "b"]), lines(&["c"])];
        let plain = run(&MAP_SIDE, false, 0, input());
        assert!(take_trace().is_empty());
        assert_eq!(run(&MAP_SIDE, true, 0, input()), plain);
        // An operator goes on after later operators have seen a value.
        let word = |line| [(2, line), (3, line), (2, line), (1, line)];
        let lines = [[(1, 0)].as_slice(), &word(0), &word(0), &[(1, 1)], &word(1), &[(1, 2)], &word(2)];
        assert_eq!(take_trace(), lines.concat());
        let reduced = run(&[(3, "reduce")], true, 3, plain);
        assert_eq!(take_trace(), [(3, 0), (3, 1), (3, 2)]);
        assert_eq!(reduced[0].rows, 3);
    }

    #[test]
    fn a_stage_may_begin_and_end_at_any_node() {
        let words = run(&[(1, "apply")], false, 0, vec![lines(&["a b", "b"])]);
        let whole = run(&MAP_SIDE, false, 0, vec![lines(&["a b", "b"])]);
        assert_eq!(run(&[(2, "apply"), (3, "combine")], false, 1, words), whole);
    }

    #[test]
    fn what_the_plugin_does_not_have_is_refused_by_name() {
        let refused = |input, steps: &[(NodeId, &str)]| {
            let steps = steps.iter().map(|(node, role)| (*node, (*role).to_owned())).collect();
            match Task::open(&graph(), &TaskSpec { input, steps, place: Place::default(), traced: false }) {
                Err(TaskError::Unsupported(what)) => what,
                _ => panic!("it was accepted"),
            }
        };
        assert_eq!(refused(9, &[]), "node 9");
        assert_eq!(refused(0, &[(1, "juggle")]), "role `juggle` of node 1, or its place");
        assert_eq!(refused(0, &[(3, "combine")]), "role `combine` of node 3, or its place");
        assert_eq!(refused(0, &[(3, "combine"), (1, "apply")]), "role `combine` of node 3, or its place");
        assert_eq!(refused(0, &[(1, "reduce")]), "role `reduce` of node 1, or its place");
    }
}
