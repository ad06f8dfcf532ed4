//! Compares the operators of two graphs: which of them are the same, and how they differ.
//!
//! Owns how counterparts are found. Operators with the same name are counterparts. Without a name, operators of the
//! same kind that read the same operators are counterparts: the first and the first, the second and the second. Sources
//! are also distinguished by their parameters.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::ExplainedNode;
use crate::shown::escape_control;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// The differences when one graph replaces another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The operators that are in both graphs, in the order of the earlier graph.
    pub kept: Vec<Kept>,
    /// The operators that only the later graph has.
    pub new: Vec<ExplainedNode>,
    /// The operators that only the earlier graph has.
    pub gone: Vec<ExplainedNode>,
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
}

/// A difference between an operator and its counterpart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The property that differs: `kind`, `reads`, `rows`, `exchanges`, or `parameter` and the name of the parameter.
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
                    let parameter = |(name, value): (&String, &super::Parameter)| format!("{name}={value}");
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

/// Compares the nodes of two graphs.
pub fn compare(before: &[ExplainedNode], after: &[ExplainedNode]) -> Comparison {
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
            let names = |node: &ExplainedNode, graph: &[ExplainedNode]| {
                let named = node.reads.iter().filter_map(|parent| graph.get(*parent as usize));
                named.map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            let what = "reads".to_owned();
            let (before, after) = (Some(names(node, before)), Some(names(counterpart, after)));
            changes.push(Change { what, before, after });
        }
        let all: std::collections::BTreeSet<&String> =
            node.parameters.keys().chain(counterpart.parameters.keys()).collect();
        for name in all {
            let value = |node: &ExplainedNode| node.parameters.get(name).map(ToString::to_string);
            push_change(&mut changes, &format!("parameter {name}"), value(node), value(counterpart));
        }
        push_change(&mut changes, "rows", node.rows.clone(), counterpart.rows.clone());
        push_change(&mut changes, "exchanges", node.exchanges.clone(), counterpart.exchanges.clone());
        kept.push(Kept { before: node.clone(), after: (*counterpart).clone(), changes });
    }
    let known: std::collections::BTreeSet<usize> = before_numbers.into_iter().collect();
    let new = after_numbers.iter().zip(after).filter(|(number, _)| !known.contains(number));
    Comparison { kept, new: new.map(|(_, node)| node.clone()).collect(), gone, code_compared: false }
}

fn push_change(changes: &mut Vec<Change>, what: &str, before: Option<String>, after: Option<String>) {
    if before != after {
        changes.push(Change { what: what.to_owned(), before, after });
    }
}

/// Shows one operator a line, its differences below it, and the totals at the end.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut changed = 0;
        for Kept { before, after, changes } in &self.kept {
            let word = if changes.is_empty() { "same   " } else { "changed" };
            changed = usize::saturating_add(changed, usize::from(!changes.is_empty()));
            let moved = if before.node == after.node { String::new() } else { format!(", now node {}", after.node) };
            writeln!(f, "{word}  {before}{moved}")?;
            for Change { what, before, after } in changes {
                let value = |value: &Option<String>| escape_control(value.as_deref().unwrap_or("none")).into_owned();
                writeln!(f, "           {}: {} -> {}", escape_control(what), value(before), value(after))?;
            }
        }
        self.gone.iter().try_for_each(|node| writeln!(f, "gone     {node}"))?;
        self.new.iter().try_for_each(|node| writeln!(f, "new      {node}"))?;
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
