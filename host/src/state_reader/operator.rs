//! The choice of an operator by name.

use super::error::StateReadError;
use crate::listener::OperatorState;

/// Chooses the operator that a text means: the operator of this name, else the only one of this kind, else the one at
/// this position in the graph. Without a text, the only operator is meant. Returns the position in the list.
///
/// # Errors
/// Returns an error if there is no such operator, or if several operators may be meant.
pub(super) fn choose(operators: &[OperatorState], wanted: Option<&str>) -> Result<usize, StateReadError> {
    let known = || operators.iter().map(OperatorState::label).collect();
    let Some(wanted) = wanted else {
        return match operators {
            [] => Err(StateReadError::NoOperator),
            [_] => Ok(0),
            _ => Err(StateReadError::SeveralOperators { known: known() }),
        };
    };
    let which = |is_meant: &dyn Fn(&OperatorState) -> bool| -> Vec<usize> {
        operators.iter().enumerate().filter(|(_, operator)| is_meant(operator)).map(|(at, _)| at).collect()
    };
    let candidates = [
        which(&|operator| operator.name.as_deref() == Some(wanted)),
        which(&|operator| operator.kind == wanted),
        which(&|operator| wanted.parse() == Ok(operator.node)),
    ];
    match candidates.into_iter().find(|found| !found.is_empty()).as_deref() {
        Some([only]) => Ok(*only),
        Some(_) => Err(StateReadError::SeveralOperators { known: known() }),
        None if operators.is_empty() => Err(StateReadError::NoOperator),
        None => Err(StateReadError::UnknownOperator { wanted: wanted.to_owned(), known: known() }),
    }
}
