//! Values of every type, saved in every format and loaded again. `tests/interop` has other programs read these files.

use millstream::unit::{Nanos, Seconds};
use millstream::{
    Bytes, Chain, Compression, DStream, Date, Decimal, LocalDateTime, Parquet, Record, StreamingContext, Text,
    TimeOfDay, Timestamp, U64Column,
};

/// A column of each type that has one value.
#[derive(Record, Clone)]
struct Flat {
    id: i64,
    flag: bool,
    i_8: i8,
    i_16: i16,
    i_32: i32,
    u_8: u8,
    u_16: u16,
    u_32: u32,
    u_64: u64,
    f_32: f32,
    f_64: f64,
    text: Text,
    bytes: Bytes,
    option: Option<i64>,
    option_text: Option<Text>,
}

/// A value inside of other values.
#[derive(Record, Clone)]
struct Inner {
    name: Text,
    count: u64,
}

/// A column of each type that contains other types.
#[derive(Record, Clone)]
struct Deep {
    id: i64,
    pair: (Text, Option<u32>),
    list: Vec<Option<f64>>,
    structs: Vec<Inner>,
    lists: Vec<Vec<u8>>,
    inner: Option<Inner>,
}

/// Dates, times and decimals that all programs know.
#[derive(Record, Clone)]
struct Times {
    id: i64,
    at: Timestamp,
    second: Timestamp<Seconds>,
    local: Option<LocalDateTime>,
    day: Option<Date>,
    price: Option<Decimal<12, 2>>,
}

/// Times that Spark does not know, and a decimal of all digits.
#[derive(Record, Clone)]
struct Clocks {
    id: i64,
    clock: TimeOfDay,
    second: TimeOfDay<Seconds>,
    nano: Timestamp<Nanos>,
    wide: Decimal<38, 18>,
}

/// A record that other programs wrote.
#[derive(Record, Clone)]
struct Loaded {
    id: i64,
    small: u8,
    count: u64,
    text: Option<Text>,
    list: Vec<Option<f64>>,
}

fn save_flat<C: Chain<Out = Flat>>(flat: &DStream<Flat, C>) {
    flat.save_as_object_files("out:flat-arrow", "").name("flat-arrow");
    flat.save_as_parquet_files("out:flat-parquet", "").name("flat-parquet");
    flat.save_as_csv_files("out:flat-csv", "").name("flat-csv");
    flat.save_as_json_files("out:flat-json", "").name("flat-json");
    // Text has no columns: a line is the value as `print` shows it.
    let texts = flat.map(|row| (row.id, row.option_text));
    texts.save_as_text_files("out:flat-text", "").name("flat-text");
}

fn save_deep<C: Chain<Out = Deep>>(deep: &DStream<Deep, C>) {
    deep.save_as_object_files("out:deep-arrow", "").name("deep-arrow");
    deep.save_as_parquet_files("out:deep-parquet", "").name("deep-parquet");
    deep.save_as_json_files("out:deep-json", "").name("deep-json");
}

fn build(ctx: &StreamingContext) {
    if let Some(paths) = ctx.arg("load") {
        let paths: Vec<String> = paths.split(',').map(str::to_owned).collect();
        let of_times: Vec<String> = ctx.arg("load_times").unwrap_or_default().split(',').map(str::to_owned).collect();
        ctx.stream::<i64>("flat").foreach_rdd(move |rdd| {
            for path in &paths {
                let rows = rdd.context().parquet_file::<Loaded>(&format!("in:{path}"));
                rows.save_as_json_file(&format!("out:{path}"));
            }
            for path in &of_times {
                let rows = rdd.context().parquet_file::<Times>(&format!("in:{path}"));
                rows.save_as_json_file(&format!("out:{path}"));
            }
        });
        return;
    }
    let flat = ctx.stream::<Flat>("flat");
    save_flat(&flat);
    save_deep(&ctx.stream::<Deep>("deep"));
    let times = ctx.stream::<Times>("times");
    times.save_as_object_files("out:times-arrow", "").name("times-arrow");
    times.save_as_parquet_files("out:times-parquet", "").name("times-parquet");
    times.save_as_csv_files("out:times-csv", "").name("times-csv");
    times.save_as_json_files("out:times-json", "").name("times-json");
    ctx.stream::<Clocks>("clocks").save_as_parquet_files("out:clocks-parquet", "").name("clocks-parquet");
    let hashes = flat.map(|row| row.u_64.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let options = Parquet::default().compression(Compression::Zstd).u64_as(U64Column::Decimal);
    hashes.save_as_parquet_files_with("out:hashes", "", options).name("hashes");
    // A file without rows has the same schema as the other files.
    flat.filter(|_| false).save_as_parquet_files("out:none-parquet", "").name("none-parquet");
}
millstream::plugin!(build);
