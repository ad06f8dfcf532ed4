//! Driver functions that load, save, read and write files, and that read earlier data sets.

use millstream::unit::{Nanos, Seconds};
use millstream::{
    Chain, DStream, Date, Decimal, LocalDateTime, Rdd, Record, StreamingContext, Text, Time, TimeOfDay, Timestamp,
    files, seconds,
};

/// A record of a file of names.
#[derive(Clone, Record)]
struct Name {
    number: i64,
    name: Text,
    age: Option<u8>,
}

/// A record of dates, times and a decimal.
#[derive(Clone, Record)]
struct Sale {
    at: Timestamp,
    day: Option<Date>,
    clock: TimeOfDay<Seconds>,
    local: LocalDateTime<Nanos>,
    price: Decimal<12, 2>,
}

/// An enum whose variants hold data.
#[derive(Clone, Record)]
enum Change {
    None,
    Renamed { number: i64, name: Option<Text> },
    Added(i64),
    Removed(Option<u8>),
}

/// A record that files of all formats except CSV can hold.
#[derive(Clone, Record)]
struct Nested {
    pair: (i64, Option<Text>),
    list: Vec<Option<(u8, f64)>>,
    name: Option<Name>,
}

fn name(n: i64) -> Name {
    let name = match n % 3 {
        0 => Text::from(""),
        1 => Text::from("a \"quoted\", two\nlines"),
        _ => Text::from(format!("name {n}")),
    };
    Name { number: n, name, age: u8::try_from(n).ok().filter(|n| n % 2 == 0) }
}

/// The beginning of an hour, before or after 1970.
fn hour(n: i64) -> Timestamp {
    Timestamp::from_count((n - 4) * 3_600_000_000)
}

fn sale(n: i64) -> Sale {
    let day = Date::from_days(n as i32 - 4);
    Sale {
        at: hour(n),
        day: (n % 3 > 0).then_some(day),
        clock: TimeOfDay::new(n as u8, 59, 59).unwrap_or_else(|| panic!("{n} is no hour")),
        local: LocalDateTime::from_count(n - 4),
        price: Decimal::from_unscaled(i128::from(n - 4) * 1_050).unwrap_or_default(),
    }
}

fn change(n: i64) -> Change {
    match n % 4 {
        0 => Change::None,
        1 => Change::Renamed { number: n, name: (n > 2).then(|| Text::from("né")) },
        2 => Change::Added(-n),
        _ => Change::Removed(u8::try_from(n).ok().filter(|n| n % 2 == 0)),
    }
}

fn nested(n: i64) -> Nested {
    let list = (0..n % 4).map(|at| (at != 1).then_some((at as u8, at as f64 / 2.0))).collect();
    let absent = n % 2 == 0;
    Nested { pair: (n, absent.then(|| Text::from("even"))), list, name: (!absent).then(|| name(n)) }
}

fn path(what: &str, time: Time) -> String {
    format!("out/{what}-{}", time.as_ms())
}

/// Names of numbers, from a file.
fn named<C: Chain<Out = i64>>(numbers: &Rdd<i64, C>, names: &Rdd<Name, impl Chain<Out = Name>>) -> Rdd<(i64, String)> {
    let names = names.map(|name| (name.number, (name.name, name.age)));
    numbers.map(|n| (n, n)).join(&names).map_values(|(_, (name, age))| format!("{name} {age:?}")).erase()
}

/// The numbers and names of a file.
fn names_of(rdd: &Rdd<i64>) -> Rdd<(i64, Text)> {
    rdd.context().csv_file::<Name>("data/names.csv").map(|name| (name.number, name.name)).erase()
}

fn write_names(time: Time) {
    let names: Vec<String> = (1..9).map(|n| format!("{n},from {time}\n")).collect();
    files::write("data/names.csv", format!("number,name\n{}", names.concat()));
}

fn save<T: Record + Clone + 'static>(rdd: &Rdd<i64>, make: fn(i64) -> T, time: Time) {
    let rows = rdd.map(make).cache();
    let context = rdd.context();
    let [parquet, json] = ["parquet", "json"].map(|format| path(format, time));
    rows.save_as_parquet_file(&parquet);
    rows.save_as_json_file(&json);
    context.parquet_file::<T>(&parquet).save_as_text_file(&path("from-parquet", time));
    context.json_file::<T>(&json).save_as_text_file(&path("from-json", time));
}

fn saves<C: Chain<Out = i64>>(numbers: &DStream<i64, C>, function: &str) -> bool {
    match function {
        "save_as_text_file" => numbers.map(|n| n * 2).foreach_rdd_with_time(|rdd, time| {
            if !rdd.is_empty() {
                rdd.save_as_text_file(&path("numbers", time));
                let odd = rdd.filter(|n| n % 4 == 2).map(|n| (n, n % 3)).reduce_by_key(|a, b| a + b);
                odd.save_as_text_file(&path("odd", time));
                rdd.save_as_object_file(&path("arrow", time));
            }
        }),
        "save_in_transform" => {
            let saved = numbers.transform_with_time(|rdd, time| {
                let doubled = rdd.map(|n| n * 2);
                doubled.save_as_text_file(&path("before", time));
                let sum = doubled.reduce(|a, b| a + b).unwrap_or(0);
                files::write(&path("sum", time), sum.to_string());
                doubled.map(move |n| (n, sum))
            });
            saved.print_n(100)
        }
        "save_and_load" => numbers.foreach_rdd_with_time(|rdd, time| {
            let csv = path("csv", time);
            rdd.map(name).save_as_csv_file(&csv);
            rdd.context().csv_file::<Name>(&csv).save_as_text_file(&path("from-csv", time));
            save(&rdd, name, time);
        }),
        "save_and_load_nested" => numbers.foreach_rdd_with_time(|rdd, time| save(&rdd, nested, time)),
        "save_and_load_plain" => numbers.foreach_rdd_with_time(|rdd, time| {
            save(&rdd, |n| (n % 3 > 0).then_some(n as f64), time);
            let csv = path("csv", time);
            rdd.map(|n| (n % 3 > 0).then_some(n)).save_as_csv_file(&csv);
            rdd.context().csv_file::<Option<i64>>(&csv).save_as_text_file(&path("from-csv", time));
        }),
        "save_and_load_enums" => numbers.foreach_rdd_with_time(|rdd, time| save(&rdd, change, time)),
        "save_and_load_times" => numbers.foreach_rdd_with_time(|rdd, time| {
            let csv = path("csv", time);
            rdd.map(sale).save_as_csv_file(&csv);
            rdd.context().csv_file::<Sale>(&csv).save_as_text_file(&path("from-csv", time));
            save(&rdd, sale, time);
        }),
        "save_twice" => numbers.foreach_rdd(|rdd| rdd.save_as_text_file("out/numbers")),
        _ => return false,
    };
    true
}

fn loads<C: Chain<Out = i64>>(numbers: &DStream<i64, C>, function: &str) -> bool {
    match function {
        "csv_file" => numbers.transform(|rdd| named(&rdd, &rdd.context().csv_file("names.csv"))).print_n(100),
        "join_on_times" => {
            let joined = numbers.transform(|rdd| {
                let sales = rdd.context().csv_file::<Sale>("sales.csv").map(|sale| (sale.at, (sale.day, sale.price)));
                rdd.map(|n| (hour(n), n)).join(&sales)
            });
            joined.print_n(100)
        }
        "json_file" => numbers.transform(|rdd| named(&rdd, &rdd.context().json_file("names"))).print_n(100),
        "text_file" => {
            let longer = |rdd: Rdd<i64>| {
                // The file is read twice: for its length, and for its lines.
                let lines = rdd.context().text_file("lines.txt");
                let count = lines.count() as i64;
                rdd.filter(move |n| *n <= count).map(|n| n.to_string()).union(&lines.map(|line| line.to_string()))
            };
            numbers.transform(longer).print_n(100)
        }
        // S5.08: each window is joined with the content that the file has when the batch runs.
        "join_of_a_window" => {
            let windows = numbers.window(seconds(2));
            windows.transform(|rdd| named(&rdd, &rdd.context().csv_file("names.csv"))).print_n(100)
        }
        "read_and_write" => numbers.foreach_rdd(|rdd| {
            let total = files::read("out/total").and_then(|total| String::from_utf8(total).ok()?.parse().ok());
            let total = total.unwrap_or(0) + rdd.fold(0, |a: i64, b| a + b);
            files::write("out/total", total.to_string());
            // Tasks run the function again. They then get the content that the function read first.
            let above: i64 = rdd.filter(move |n| *n * 2 > total).count() as i64;
            files::write(&format!("out/above-{total}"), above.to_string());
        }),
        // S5.09: the next batch reads the file that a batch writes.
        "replaced_file" => {
            let names = numbers.transform(|rdd| rdd.map(|n| (n, n)).join(&names_of(&rdd)).map_values(|(_, name)| name));
            names.print_n(100);
            numbers.foreach_rdd_with_time(|_, time| write_names(time))
        }
        "changed_file" => numbers.foreach_rdd_with_time(|rdd, time| {
            let names = names_of(&rdd);
            rdd.union(&names.keys()).count();
            write_names(time);
            names.count();
        }),
        "changed_for_another" => {
            numbers.foreach_rdd_with_time(|rdd, time| {
                names_of(&rdd).count();
                write_names(time);
            });
            numbers.foreach_rdd(|rdd| drop(names_of(&rdd).collect()))
        }
        "write_outside" => numbers.foreach_rdd(|_| files::write("../out", "x")),
        "write_in_a_task" => numbers
            .map(|n| {
                files::write("out", "x");
                n
            })
            .print(),
        _ => return false,
    };
    true
}

fn slices<C: Chain<Out = i64>>(ctx: &StreamingContext, numbers: &DStream<i64, C>, function: &str) -> bool {
    match function {
        "slice" => {
            ctx.remember(seconds(3));
            let kept = numbers.map(|n| n * 10).cache();
            let all = kept.clone();
            let looked_back = kept.transform_with_time(move |rdd, time| {
                let slices = all.slice(time - seconds(2), time);
                let counts: Vec<u64> = slices.iter().map(Rdd::count).collect();
                let number = slices.len() as u64;
                let rows = slices.iter().fold(rdd, |rdd, slice| rdd.union(slice).erase());
                rows.map(move |n| (n, number, counts.clone()))
            });
            looked_back.print_n(100)
        }
        // A time between two data sets stands for the data set before. There is a data set every two batches.
        "slice_of_a_window" => {
            let windows = numbers.window((seconds(2), seconds(2))).cache();
            ctx.remember(seconds(4));
            let all = windows.clone();
            let times = numbers.transform_with_time(move |rdd, time| {
                let ends = time.as_ms() / 2000 * 2000;
                let before: u64 = all.slice(time - seconds(3), time - seconds(1)).iter().map(Rdd::count).sum();
                rdd.map(move |n| (n, before, ends))
            });
            times.print_n(100)
        }
        // No other node reads the stream.
        "slice_of_this_batch" => {
            let tens = numbers.map(|n| n * 10);
            let other = tens.clone();
            numbers.transform_with_time(move |rdd, time| rdd.union(&other.slice(time, time)[0])).print_n(100)
        }
        "slice_not_kept" => {
            let all = numbers.map(|n| n + 1);
            numbers.map(|n| n * 2).foreach_rdd_with_time(move |_, time| {
                all.slice(time - seconds(1), time).iter().for_each(|rdd| assert!(rdd.count() > 0));
            })
        }
        "slice_of_the_future" => {
            let all = numbers.map(|n| n + 1);
            numbers.map(|n| n * 2).foreach_rdd_with_time(move |_, time| drop(all.slice(time, time + seconds(1))))
        }
        "slice_of_itself" => {
            let other = numbers.transform(|rdd| rdd.map(|n| n + 1));
            let all = other.clone();
            numbers.foreach_rdd_with_time(move |_, time| assert!(all.slice(time, time)[0].count() > 0));
            other.print_n(100)
        }
        _ => return false,
    };
    true
}

/// Functions that do something with the path in the job's argument `path`.
fn with_a_path<C: Chain<Out = i64>>(ctx: &StreamingContext, numbers: &DStream<i64, C>, function: &str) -> bool {
    let path = ctx.arg("path").unwrap_or_default();
    match function {
        "write_path" => numbers.foreach_rdd(move |_| files::write(&path, "written by a plugin")),
        "read_path" => numbers
            .transform(move |rdd| {
                let read = files::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                rdd.map(move |_| read.clone())
            })
            .print(),
        "load_path" => numbers.transform(move |rdd| rdd.context().text_file(&path)).print_n(100),
        _ => return false,
    };
    true
}

/// Runs the function of this name, if there is one.
pub fn functions<C: Chain<Out = i64>>(ctx: &StreamingContext, numbers: &DStream<i64, C>, function: &str) -> bool {
    with_a_path(ctx, numbers, function)
        || saves(numbers, function)
        || loads(numbers, function)
        || slices(ctx, numbers, function)
}
