//! Streams of dates, times and decimals.

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use millstream::unit::{Millis, Nanos, Seconds};
use millstream::{
    Bytes, Date, Decimal, Key, LocalDateTime, Output, Record, State, StateSpec, StreamingContext, Text, TimeOfDay,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A sale, as a queue has it.
#[derive(Record, Key, Clone, Serialize, Deserialize)]
struct Sale {
    at: Timestamp,
    day: Option<Date>,
    price: Decimal<12, 2>,
}

/// A value of each kind of dates and times, and decimals.
#[derive(Record, Key, Clone)]
struct All {
    at: Timestamp<Nanos>,
    second: Timestamp<Seconds>,
    local: LocalDateTime<Millis>,
    time: Option<TimeOfDay>,
    clock: TimeOfDay<Seconds>,
    dates: Vec<Option<Date>>,
    wide: (Decimal<38, 18>, Decimal<5, 0>),
}

/// A sale that travels as bytes.
#[derive(Record, Key, Clone, Serialize, Deserialize)]
#[record(serde)]
struct Packed(Sale, TimeOfDay<Millis>, Option<LocalDateTime>, Bytes);

fn packed(sale: Sale) -> Packed {
    let (time, local) = (sale.at.time_of_day(), sale.at.in_utc());
    Packed(
        sale,
        TimeOfDay::from_count(time.count() / 1_000).unwrap_or_else(|| panic!("{time}")),
        Some(local),
        Bytes(vec![]),
    )
}

/// Operators on dates, times and decimals. `None` if there is no such operator.
pub fn times(ctx: &StreamingContext, operator: &str) -> Option<Output> {
    let hour = |sale: &Sale| sale.at.floor(Duration::from_secs(3_600));
    Some(match operator {
        "times" => {
            let all = ctx.stream::<All>("lines");
            all.save_as_text_files("text", "");
            all.save_as_json_files("json", "");
            all.map(|all| (all.at, all.second, all.time, all.wide.0)).save_as_csv_files("csv", "");
            all.map(|all| (all, 1u64)).reduce_by_key(|a, b| a + b).print_n(100)
        }
        "sales" => {
            let sales = ctx.stream::<Sale>("lines");
            sales.map(move |sale| (hour(&sale), sale.price)).reduce_by_key(|a, b| a + b).print_n(100);
            sales.map(|sale| ((sale.day, sale.price), 1u64)).reduce_by_key(|a, b| a + b).print_n(100);
            sales
                .map(|sale| (packed(sale), 1u64))
                .group_by_key()
                .map(|(key, counts)| (key.0.at, key.2, counts))
                .print_n(100)
        }
        "join_on_times" => {
            let sales = ctx.stream::<Sale>("lines");
            let prices = sales.map(move |sale| (hour(&sale), sale.price));
            let days = sales.filter(|sale| sale.day.is_some()).map(move |sale| (hour(&sale), sale.day));
            prices.left_outer_join(&days).print_n(100)
        }
        // Types of other crates.
        "times_of_crates" => {
            let sales = ctx.stream::<(DateTime<Utc>, Option<NaiveDate>, rust_decimal::Decimal)>("lines");
            let weeks = sales.map(|(at, day, price)| ((day.map(|day| day.iso_week().week()), at.date_naive()), price));
            let local = sales.map(|(at, ..)| (at.naive_utc(), at.time()));
            local.count_by_value().print_n(100);
            weeks.reduce_by_key(|a, b| a * b).print_n(100)
        }
        "states_by_times" => {
            let sales = ctx.stream::<Sale>("lines").map(|sale| ((sale.day, Text::from("all")), sale.price));
            let sum = |_: &(Option<Date>, Text), price: Option<Decimal<12, 2>>, state: &mut State<Decimal<12, 2>>| {
                let total = state.get_option().copied().unwrap_or_default() + price.unwrap_or_default();
                state.update(total);
                total
            };
            sales.map_with_state(StateSpec::function(sum)).into_stream().print_n(100);
            let by_price = sales.map(|((day, _), price)| (price, day));
            by_price
                .update_state_by_key(|days, last: Option<Date>| days.into_iter().flatten().max().or(last))
                .print_n(100)
        }
        _ => return None,
    })
}
