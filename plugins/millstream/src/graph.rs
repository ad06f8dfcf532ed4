//! The graph that a program builds: its nodes as plain data, and the code of each node.
//!
//! Owns the untyped list of nodes, to which the typed interface adds. Never runs anything: see `task.rs`.

use crate::chain::{AnyDriver, Chain, Step};
use crate::chunk::{Chunk, Malformed};
use crate::ends::{EmitTail, Head, Tail};
use crate::ids::NodeId;
use crate::kind::Kind;
use crate::pending::Accumulators;
#[cfg(not(target_family = "wasm"))]
use crate::record::Column;
use crate::record::{Field, Record, fields_of, read_column};
use crate::stateful::StateCode;
use crate::time::Time;
use crate::{chain, chain::Driver, chain::Erased};
use std::any::Any;
use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The value of a parameter of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(i64),
    Text(String),
    Flag(bool),
    Duration(Duration),
}

/// A node as the host sees it, and the code of the node.
pub(crate) struct Node {
    pub kind: Kind,
    pub name: Option<String>,
    pub parents: Vec<NodeId>,
    pub parameters: Vec<(&'static str, Value)>,
    pub rows: Vec<Field>,
    pub exchanged: Option<Vec<Field>>,
    pub state: Option<Vec<Field>>,
    pub earlier_state: Option<Vec<Field>>,
    pub code: Code,
}

impl Node {
    /// The value of a parameter that is a span of time.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.parameters.iter().find_map(|(key, value)| match value {
            Value::Duration(span) if *key == name => Some(*span),
            _ => None,
        })
    }
}

/// The code of a node: what the node can do in a task.
#[derive(Default)]
pub(crate) struct Code {
    /// How the node's rows are read and written. `None` for outputs.
    pub rows: Option<RowCode>,
    /// The operator of the node, in its dynamic form.
    pub step: Option<Step>,
    /// How rows are aggregated before and after a shuffle.
    pub exchange: Option<ExchangeCode>,
    /// How the node works on its state. `None` if the node keeps no state.
    pub state: Option<StateCode>,
    /// How the test harness joins the rows of the node's parents.
    #[cfg(not(target_family = "wasm"))]
    pub joined: Option<Joined>,
    /// The fused chain that ends with emitting this node's rows.
    pub fused_emit: Option<Fused>,
    /// The fused chain that ends with pre-aggregating this node's rows.
    pub fused_combine: Option<Fused>,
    /// How the host sorts the node's rows, for tests.
    #[cfg(not(target_family = "wasm"))]
    pub sort: Option<SortCode>,
    /// The driver function of the node.
    pub driver: Option<DriverCode>,
}

/// Sorts rows as the host does.
#[cfg(not(target_family = "wasm"))]
pub(crate) type SortCode = Rc<dyn Fn(Vec<Chunk>) -> Vec<Chunk>>;

/// The code of a driver function. A `transform` returns the node of its data set; `foreach_rdd` returns `None`.
pub(crate) type DriverCode = Rc<dyn Fn(&Rc<Graph>, Time) -> Option<NodeId>>;

/// Joins the rows of each parent.
#[cfg(not(target_family = "wasm"))]
pub(crate) type Joined = Box<dyn Fn(Vec<Vec<Chunk>>) -> Vec<Chunk>>;

/// A column whose type is not known, and the number of its rows.
pub(crate) type AnyColumn = (Box<dyn Any>, usize);
type Decode = fn(Chunk) -> Result<AnyColumn, Malformed>;

/// How the rows of a node are read and written.
#[derive(Clone, Copy)]
pub(crate) struct RowCode {
    pub decode: Decode,
    pub leaf: fn(NodeId, bool) -> AnyDriver,
    pub emit: fn(AnyDriver) -> Option<Box<dyn Tail>>,
    /// Converts the rows to text, as `print` shows them.
    #[cfg(not(target_family = "wasm"))]
    pub show: fn(Chunk) -> Vec<String>,
}

impl RowCode {
    fn of<T: Record>() -> Self {
        Self {
            decode: |chunk| read_column::<T>(chunk).map(|(column, rows)| (Box::new(column) as Box<dyn Any>, rows)),
            leaf: chain::leaf::<T>,
            emit: |driver| {
                let driver = *driver.downcast::<Driver<T>>().ok()?;
                Some(Box::new(EmitTail::new(Erased(driver))))
            },
            #[cfg(not(target_family = "wasm"))]
            show: |chunk| {
                let Ok((column, rows)) = read_column::<T>(chunk) else { return Vec::new() };
                let show = |row| {
                    let mut text = String::new();
                    column.get(row).show(&mut text);
                    text
                };
                (0..rows).map(show).collect()
            },
        }
    }
}

type MakeTail = Box<dyn Fn() -> Box<dyn Tail>>;
/// Makes a tail behind a driver, for a node, traced or not. `None` if the driver is of another type.
type EndDriver = Box<dyn Fn(NodeId, AnyDriver, bool) -> Option<Box<dyn Tail>>>;

/// The aggregation around a shuffle.
pub(crate) struct ExchangeCode {
    pub combine: EndDriver,
    pub reduce: Box<dyn Fn(NodeId, bool) -> Box<dyn Head>>,
}

/// A fused chain with its tail.
pub(crate) struct Fused {
    /// The operators of the chain that rows of a given node pass through. `None` if the chain does not begin at that
    /// node.
    pub path: Box<dyn Fn(NodeId) -> Option<Vec<NodeId>>>,
    pub tail: MakeTail,
}

impl Fused {
    pub fn new<C: Chain>(chain: C, tail: impl Fn(C) -> Box<dyn Tail> + 'static) -> Self {
        let path = chain.clone();
        Self { path: Box::new(move |leaf| path.path(leaf)), tail: Box::new(move || tail(chain.clone())) }
    }
}

/// Why a program cannot run. The cases are those of `wit/graph.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// An argument cannot be used.
    Argument { name: String, why: String },
    /// The program is wrong in itself.
    Program(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument { name, why } => write!(f, "argument `{name}`: {why}"),
            Self::Program(problem) => f.write_str(problem),
        }
    }
}

/// The nodes that a program has made so far, and those that a running driver function has made.
pub(crate) struct Graph {
    nodes: RefCell<BTreeMap<NodeId, Node>>,
    /// The id of the next node.
    next: Cell<NodeId>,
    /// The first node that the host has not been told about yet.
    untold: Cell<NodeId>,
    arguments: Vec<(String, String)>,
    /// The arguments that the program has asked for.
    arguments_read: RefCell<BTreeSet<String>>,
    problem: RefCell<Option<Problem>>,
    /// How long persisted data sets are kept after their batch. `None` if they are kept only until their batch is done.
    pub remember: Cell<Option<Duration>>,
    /// The updates of accumulators that this instance has made.
    pub accumulators: Rc<Accumulators>,
}

impl Graph {
    pub fn new(arguments: Vec<(String, String)>) -> Self {
        Self {
            nodes: RefCell::default(),
            next: Cell::default(),
            untold: Cell::default(),
            arguments,
            arguments_read: RefCell::default(),
            problem: RefCell::default(),
            remember: Cell::default(),
            accumulators: Rc::default(),
        }
    }

    /// Adds a node that produces rows of type `T`.
    pub fn add<T: Record>(&self, kind: Kind, parents: Vec<NodeId>, code: Code) -> NodeId {
        let code = Code { rows: Some(RowCode::of::<T>()), ..code };
        self.push(kind, parents, Vec::new(), fields_of::<T>(), code)
    }

    /// Adds an output of the rows of `parent`.
    pub fn add_output(&self, kind: Kind, parent: NodeId, parameters: Vec<(&'static str, Value)>) -> NodeId {
        self.push(kind, vec![parent], parameters, Vec::new(), Code::default())
    }

    fn push(
        &self,
        kind: Kind,
        parents: Vec<NodeId>,
        parameters: Vec<(&'static str, Value)>,
        rows: Vec<Field>,
        code: Code,
    ) -> NodeId {
        let id = self.next.get();
        self.next.set(id + 1);
        let node = Node {
            kind,
            name: None,
            parents,
            parameters,
            rows,
            exchanged: None,
            state: None,
            earlier_state: None,
            code,
        };
        self.nodes.borrow_mut().insert(id, node);
        id
    }

    /// Changes an existing node.
    pub fn change(&self, node: NodeId, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.borrow_mut().get_mut(&node) {
            change(node);
        }
    }

    /// Begins a driver function: new nodes belong to the function from here on, and the first of them has the id
    /// `first`.
    pub fn begin_call(&self, first: NodeId) {
        self.next.set(first);
        self.untold.set(first);
    }

    /// Calls `tell` with each node that the host has not been told about yet, and returns the results.
    pub fn tell<R>(&self, tell: impl Fn(&Node) -> R) -> Vec<R> {
        let told = self.nodes.borrow().range(self.untold.get()..self.next.get()).map(|(_, node)| tell(node)).collect();
        self.untold.set(self.next.get());
        told
    }

    /// Whether the host has been told about this node. Such a node must not change any more.
    pub fn is_told(&self, node: NodeId) -> bool {
        node < self.untold.get()
    }

    /// Whether the node keeps state between batches.
    pub fn has_state(&self, node: NodeId) -> bool {
        self.nodes.borrow().get(&node).is_some_and(|node| node.code.state.is_some())
    }

    /// Notes that the program is invalid. Only the first problem is reported.
    pub fn invalid(&self, problem: String) {
        self.problem.borrow_mut().get_or_insert(Problem::Program(problem));
    }

    /// Notes that the program cannot use an argument. Only the first problem is reported.
    pub fn invalid_argument(&self, name: &str, why: String) {
        self.problem.borrow_mut().get_or_insert_with(|| Problem::Argument { name: name.to_owned(), why });
    }

    pub fn problem(&self) -> Option<Problem> {
        self.problem.borrow().clone()
    }

    /// The value of an argument. Notes that the program has asked for it.
    pub fn argument(&self, name: &str) -> Option<&str> {
        self.arguments_read.borrow_mut().insert(name.to_owned());
        self.arguments.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The arguments that the program has asked for.
    #[cfg(target_family = "wasm")]
    pub fn arguments_read(&self) -> Vec<String> {
        self.arguments_read.borrow().iter().cloned().collect()
    }

    /// The sources that the program reads.
    #[cfg(not(target_family = "wasm"))]
    pub fn sources(&self) -> BTreeSet<String> {
        let nodes = self.nodes.borrow();
        let parameters = nodes.values().filter(|node| node.kind == Kind::Source).flat_map(|node| &node.parameters);
        let names = parameters.filter_map(|(_, value)| if let Value::Text(name) = value { Some(name) } else { None });
        names.cloned().collect()
    }

    /// The time from one data set of a node to the next; `None` if it is the batch interval.
    pub fn slide(&self, node: NodeId) -> Option<Duration> {
        let nodes = self.nodes.borrow();
        let mut node = nodes.get(&node)?;
        loop {
            if let Some(slide) = node.duration("slide") {
                return Some(slide);
            }
            node = nodes.get(node.parents.first()?)?;
        }
    }

    pub fn nodes(&self) -> Ref<'_, BTreeMap<NodeId, Node>> {
        self.nodes.borrow()
    }
}
