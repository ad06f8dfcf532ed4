//! Streams of enums whose variants hold data.

use millstream::{Date, Key, Output, Record, StreamingContext, Text};

/// What a user did.
#[derive(Record, Key, Clone)]
enum Action {
    Came,
    Moved { by: i64, on: Option<Date> },
    Said(Text),
    Drew(i32, Option<Text>),
    Did(Thing),
}

#[derive(Record, Key, Clone)]
enum Thing {
    Nothing,
    Several(Vec<Part>),
}

#[derive(Record, Key, Clone)]
struct Part(u8);

/// Operators on enums. `None` if there is no such operator.
pub fn enums(ctx: &StreamingContext, operator: &str) -> Option<Output> {
    Some(match operator {
        "enums" => {
            let actions = ctx.stream::<Action>("lines");
            actions.save_as_json_files("json", "");
            actions.save_as_text_files("text", "");
            actions.map(|action| (action, 1u64)).reduce_by_key(|a, b| a + b).print_n(100)
        }
        "states_of_enums" => {
            let actions = ctx.stream::<(Thing, Option<Action>)>("lines");
            let last = |new: Vec<Option<Action>>, last: Option<Action>| new.into_iter().flatten().last().or(last);
            actions.update_state_by_key(last).print_n(100)
        }
        _ => return None,
    })
}
