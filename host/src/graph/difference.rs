//! The difference of two graphs: which operators are the same, how the others differ, and which states still fit.
//!
//! Owns how counterparts are found. Operators with the same name are counterparts. Without a name, operators of the
//! same kind that read the same operators are counterparts: the first and the first, the second and the second. Sources
//! are also distinguished by their parameters. Plain data made by pure functions, shown as text by `Display` and as JSON
//! by serde. The code of closures is not seen.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::explain::{ExplainedNode, Explanation, Parameter};
use super::kind::Kind;
use super::node::output_name;
use super::operation::StateForm;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::shown::escape_control;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The differences when one graph replaces another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GraphDifference {
    /// The operators that are in both graphs, in the order of the earlier graph.
    pub kept: Vec<Kept>,
    /// The operators that only the later graph has.
    pub new: Vec<ExplainedNode>,
    /// The operators that only the earlier graph has.
    pub gone: Vec<ExplainedNode>,
    /// The outputs of both graphs, by name.
    pub outputs: Vec<OutputPair>,
    /// Always false: a graph does not describe the code of closures, so the code is not compared.
    pub code_compared: bool,
}

/// An operator that is in both graphs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The operator in the earlier graph.
    pub before: ExplainedNode,
    /// The operator in the later graph.
    pub after: ExplainedNode,
    /// The differences between the two. Empty if they are the same.
    pub changes: Vec<Change>,
    /// Whether the later operator can begin with the state of the earlier one. `None` if the earlier operator has no
    /// state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateFit>,
}

/// Whether an operator can begin with the state of its counterpart in an earlier graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fit", rename_all = "snake_case")]
pub enum StateFit {
    /// It can: both operators have the same type of key and state.
    Fits,
    /// It can: the later operator migrates states of the earlier type.
    Migrates {
        /// The earlier type of the pairs of key and state.
        before: String,
        /// The later type of the pairs of key and state.
        after: String,
    },
    /// It cannot: the types of keys or states differ.
    OtherType {
        /// The earlier type of the pairs of key and state.
        before: String,
        /// The later type of the pairs of key and state.
        after: String,
    },
    /// It cannot: one of the states belongs together with the rows in a window, which are not carried over. If the later
    /// operator has a window, it makes its state from the rows of its own window.
    OfWindow,
    /// It cannot: the later operator has no state.
    NoState,
}

/// An output by the name under which it shows its results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutputPair {
    /// The name of the output; without one, its kind and its position among the outputs, as in `print-0`.
    pub output: String,
    /// The node of the earlier graph; `None` if that graph has no such output.
    pub before: Option<u32>,
    /// The node of the later graph; `None` if that graph has no such output.
    pub after: Option<u32>,
}

/// A difference between an operator and its counterpart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The property that differs: `kind`, `reads`, `rows`, `exchanges`, `state`, or `parameter` and the name of the parameter.
    pub what: String,
    /// The earlier value; `None` if there was none.
    pub before: Option<String>,
    /// The later value; `None` if there is none.
    pub after: Option<String>,
}

/// The identity of an operator in its graph. Operators of two graphs that have the same identity are counterparts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identity<'a> {
    Named(&'a str),
    Placed {
        kind: &'a str,
        /// The numbers of the operators that the operator reads.
        reads: Vec<usize>,
        /// The parameters of a source. They distinguish sources, which read no operators.
        parameters: Vec<String>,
        /// How many operators with the same properties come before the operator.
        before: usize,
    },
}

/// Gives counterparts the same number. An identity contains the numbers of the operators that are read, not their
/// identities. So a deep graph takes no longer than a flat one.
#[derive(Default)]
struct Numbers<'a>(BTreeMap<Identity<'a>, usize>);

impl<'a> Numbers<'a> {
    /// The numbers of the nodes of a graph, by position.
    fn of(&mut self, nodes: &'a [ExplainedNode]) -> Vec<usize> {
        let mut numbers: Vec<usize> = Vec::with_capacity(nodes.len());
        let mut seen: BTreeMap<(&str, Vec<usize>, Vec<String>), usize> = BTreeMap::new();
        for node in nodes {
            let identity = match &node.name {
                Some(name) => Identity::Named(name),
                None => {
                    let reads: Vec<usize> =
                        node.reads.iter().filter_map(|parent| numbers.get(*parent as usize).copied()).collect();
                    let parameter = |(name, value): (&String, &Parameter)| format!("{name}={value}");
                    let parameters: Vec<String> =
                        if reads.is_empty() { node.parameters.iter().map(parameter).collect() } else { Vec::new() };
                    let count = seen.entry((&node.kind, reads.clone(), parameters.clone())).or_default();
                    let before = *count;
                    *count = count.saturating_add(1);
                    Identity::Placed { kind: &node.kind, reads, parameters, before }
                }
            };
            let next = self.0.len();
            numbers.push(*self.0.entry(identity).or_insert(next));
        }
        numbers
    }
}

impl GraphDifference {
    /// The difference when the graph `before` is replaced by the graph `after`.
    pub fn between(before: &Explanation, after: &Explanation) -> Self {
        let outputs = output_pairs(before, after);
        let (before, after) = (before.nodes.as_slice(), after.nodes.as_slice());
        let mut numbers = Numbers::default();
        let (before_numbers, after_numbers) = (numbers.of(before), numbers.of(after));
        let by_number: BTreeMap<usize, &ExplainedNode> = after_numbers.iter().copied().zip(after).collect();
        let reads = |node: &ExplainedNode, numbers: &[usize]| -> Vec<Option<usize>> {
            node.reads.iter().map(|parent| numbers.get(*parent as usize).copied()).collect()
        };
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        for (number, node) in before_numbers.iter().zip(before) {
            let Some(counterpart) = by_number.get(number) else {
                gone.push(node.clone());
                continue;
            };
            let mut changes = Vec::new();
            push_change(&mut changes, "kind", Some(node.kind.clone()), Some(counterpart.kind.clone()));
            if reads(node, &before_numbers) != reads(counterpart, &after_numbers) {
                let what = "reads".to_owned();
                let (before, after) = (Some(read_names(node, before)), Some(read_names(counterpart, after)));
                changes.push(Change { what, before, after });
            }
            push_properties(&mut changes, node, counterpart);
            let state = StateFit::of(node, counterpart);
            kept.push(Kept { before: node.clone(), after: (*counterpart).clone(), changes, state });
        }
        let known: BTreeSet<usize> = before_numbers.into_iter().collect();
        let new = after_numbers.iter().zip(after).filter(|(number, _)| !known.contains(number));
        Self { kept, new: new.map(|(_, node)| node.clone()).collect(), gone, outputs, code_compared: false }
    }

    /// The operators of both graphs whose state can be carried over: the earlier node and the later node.
    pub fn carried(&self) -> impl Iterator<Item = (NodeId, NodeId)> {
        let fits = |kept: &&Kept| matches!(kept.state, Some(StateFit::Fits | StateFit::Migrates { .. }));
        let fitting = self.kept.iter().filter(fits);
        fitting.map(|kept| (NodeId(kept.before.node), NodeId(kept.after.node)))
    }

    /// Whether no operator differs, as far as graphs tell.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty() && self.kept.iter().all(|kept| kept.changes.is_empty())
    }
}

impl StateFit {
    /// `None` if the earlier operator has no state.
    fn of(before: &ExplainedNode, after: &ExplainedNode) -> Option<Self> {
        let earlier = before.types.state.as_ref()?;
        let Some(later) = &after.types.state else { return Some(Self::NoState) };
        let after_types = &after.types;
        let is_windowed =
            |node: &ExplainedNode| Kind::named(&node.kind).and_then(Kind::state_form) == Some(StateForm::Window);
        Some(if is_windowed(before) || is_windowed(after) {
            Self::OfWindow
        } else if earlier != later {
            let (before, after) = type_texts(Some(earlier), Some(later));
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            match &after_types.earlier_state {
                Some(migrated) if migrated == earlier => Self::Migrates { before, after },
                _ => Self::OtherType { before, after },
            }
        } else {
            Self::Fits
        })
    }
}

/// The outputs of both graphs, by name.
fn output_pairs(before: &Explanation, after: &Explanation) -> Vec<OutputPair> {
    let names = |explanation: &Explanation| -> BTreeMap<String, u32> {
        let outputs = explanation.outputs.iter().enumerate();
        let named = outputs.filter_map(|(position, output)| {
            let node = explanation.nodes.get(output.node as usize)?;
            Some((output_name(node.name.as_deref(), &node.kind, position), output.node))
        });
        named.collect()
    };
    let (before, after) = (names(before), names(after));
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let pair = |name: &String| OutputPair {
        output: name.clone(),
        before: before.get(name).copied(),
        after: after.get(name).copied(),
    };
    all.into_iter().map(pair).collect()
}

/// The operators that an operator reads, in words.
fn read_names(node: &ExplainedNode, graph: &[ExplainedNode]) -> String {
    let named = node.reads.iter().filter_map(|parent| graph.get(*parent as usize));
    named.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Adds the differences of parameters and types.
fn push_properties(changes: &mut Vec<Change>, before: &ExplainedNode, after: &ExplainedNode) {
    let all: BTreeSet<&String> = before.parameters.keys().chain(after.parameters.keys()).collect();
    for name in all {
        let value = |node: &ExplainedNode| node.parameters.get(name).map(ToString::to_string);
        push_change(changes, &format!("parameter {name}"), value(before), value(after));
    }
    let types = [
        ("rows", &before.types.rows, &after.types.rows),
        ("exchanges", &before.types.exchanged, &after.types.exchanged),
        ("state", &before.types.state, &after.types.state),
    ];
    for (what, before, after) in types {
        if before != after {
            let (before, after) = type_texts(before.as_ref(), after.as_ref());
            changes.push(Change { what: what.to_owned(), before, after });
        }
    }
}

/// Two types in words. If they differ only in users' types, these are named.
fn type_texts(before: Option<&RecordType>, after: Option<&RecordType>) -> (Option<String>, Option<String>) {
    let texts = [before, after].map(|ty| ty.map(ToString::to_string));
    let differ = texts[0] != texts[1];
    let text = |ty: Option<&RecordType>, text: Option<String>| match (ty, text) {
        (Some(ty), Some(text)) if !differ => Some(format!("{text} with {}", user_types(ty))),
        (_, text) => text,
    };
    let [before_text, after_text] = texts;
    (text(before, before_text), text(after, after_text))
}

/// The users' types inside a type, with everything that identifies them.
fn user_types(ty: &RecordType) -> String {
    let types = ty.fields().iter().filter(|field| !field.metadata.is_empty()).map(|field| {
        let parts = field.metadata.iter().map(|(name, value)| format!("{name} {value}"));
        parts.collect::<Vec<_>>().join(" ")
    });
    types.collect::<Vec<_>>().join(", ")
}

fn push_change(changes: &mut Vec<Change>, what: &str, before: Option<String>, after: Option<String>) {
    if before != after {
        changes.push(Change { what: what.to_owned(), before, after });
    }
}

/// Shows one operator a line, its differences below it, and the totals at the end.
impl fmt::Display for GraphDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut changed = 0;
        for Kept { before, after, changes, state } in &self.kept {
            let word = if changes.is_empty() { "same   " } else { "changed" };
            changed = usize::saturating_add(changed, usize::from(!changes.is_empty()));
            let moved = if before.node == after.node { String::new() } else { format!(", now node {}", after.node) };
            writeln!(f, "{word}  {before}{moved}")?;
            // A state that cannot be carried over says itself how its type differs.
            let is_told = |change: &&Change| {
                change.what == "state" && matches!(state, Some(StateFit::OtherType { .. } | StateFit::Migrates { .. }))
            };
            for Change { what, before, after } in changes.iter().filter(|change| !is_told(change)) {
                let value = |value: &Option<String>| escape_control(value.as_deref().unwrap_or("none")).into_owned();
                writeln!(f, "           {}: {} -> {}", escape_control(what), value(before), value(after))?;
            }
            if let Some(state) = state {
                writeln!(f, "           {state}")?;
            }
        }
        for node in &self.gone {
            writeln!(f, "gone     {node}")?;
            if node.types.state.is_some() {
                writeln!(f, "           its state is dropped")?;
            }
        }
        for node in &self.new {
            writeln!(f, "new      {node}")?;
            if node.types.state.is_some() {
                writeln!(f, "           it begins without state")?;
            }
        }
        let same = self.kept.len().saturating_sub(changed);
        writeln!(f, "\n{same} same, {changed} changed, {} gone, {} new", self.gone.len(), self.new.len())?;
        writeln!(f, "Code in closures is not compared: an operator that is the same may compute something else.")?;
        if self.gone.iter().chain(&self.new).any(|node| node.name.is_none()) {
            writeln!(
                f,
                "Operators are matched by name, those without one by kind and place: `.name()` keeps them apart."
            )?;
        }
        Ok(())
    }
}

/// Shows the fact as a line below an operator.
impl fmt::Display for StateFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fits => f.write_str("its state can be carried over"),
            Self::Migrates { before, after } => {
                let (before, after) = (escape_control(before), escape_control(after));
                write!(f, "its state can be carried over: the plugin migrates {before} to {after}")
            }
            Self::OtherType { before, after } => {
                let (before, after) = (escape_control(before), escape_control(after));
                write!(f, "its state cannot be carried over: its type was {before} and is {after}")
            }
            Self::OfWindow => f.write_str(
                "its state cannot be carried over: the state of a window is made from the rows of the window",
            ),
            Self::NoState => f.write_str("its state is dropped: the operator has no state any more"),
        }
    }
}

#[cfg(test)]
mod tests;
