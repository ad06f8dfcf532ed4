//! A plugin that misbehaves on request: the job's argument `does` chooses how, and a line `boom` makes it do so.
//!
//! The plugin uses the raw bindings for mistakes that the SDK does not allow.

mod driver;
#[cfg(target_family = "wasm")]
mod exports;
mod memory;
mod shared;

use millstream::bindings::millstream::plugin::{runtime, types};
use millstream::{Level, StreamingContext, Text, milliseconds};

/// Emits text rows with these buffers, without the SDK.
fn emit(rows: u32, buffers: &[&[u8]]) {
    let mut data = Vec::new();
    let mut extents = Vec::new();
    for buffer in buffers {
        extents.push(types::Extent { offset: data.len() as u32, length: buffer.len() as u32 });
        data.extend_from_slice(buffer);
        data.resize(data.len().next_multiple_of(8), 0);
    }
    runtime::emit(&types::Chunk { rows, extents, data });
}

/// Little-endian offsets.
fn offsets(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + depth }
}

#[expect(clippy::disallowed_methods, reason = "that is what it is here for")]
fn misbehave(how: &str) {
    match how {
        "panic" => panic!("the plugin does not like this line"),
        "loop" => loop {
            std::hint::black_box(());
        },
        "allocate" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1u8; 1 << 20]));
            }
        }
        "recurse" => {
            std::hint::black_box(recurse(0));
        }
        "exit" => std::process::exit(0),
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "file" => drop(std::fs::read_to_string("/etc/words").expect("the words can be read")),
        "environment" => drop(std::env::var("HOME").expect("there is a home")),
        "socket" => drop(std::net::TcpStream::connect("127.0.0.1:80").expect("the server answers")),
        "thread" => std::thread::spawn(|| ()).join().expect("the thread ends"),
        "offsets-descend" => emit(2, &[&[], &offsets(&[0, 4, 2]), b"abcd"]),
        "offsets-beyond" => emit(1, &[&[], &offsets(&[0, 1000]), b"abcd"]),
        "offsets-negative" => emit(1, &[&[], &offsets(&[-4, 4]), b"abcd"]),
        "not-utf8" => emit(1, &[&[], &offsets(&[0, 4]), b"ab\xff\xfe"]),
        "cut-character" => emit(2, &[&[], &offsets(&[0, 1, 2]), "é".as_bytes()]),
        "buffers-missing" => emit(1, &[&[]]),
        "buffer-outside" => runtime::emit(&types::Chunk {
            rows: 1,
            extents: vec![types::Extent { offset: u32::MAX, length: u32::MAX }; 3],
            data: Vec::new(),
        }),
        "rows-missing" => emit(u32::MAX, &[&[], &offsets(&[0, 4]), b"abcd"]),
        "flood" => loop {
            emit(1, &[&[], &offsets(&[0, 1 << 20]), &vec![b'x'; 1 << 20]]);
        },
        "state" => runtime::emit_state(&types::Chunk { rows: 0, extents: Vec::new(), data: Vec::new() }),
        "log-flood" => (0..100_000).for_each(|line| millstream::log(Level::Info, &format!("line {line}"))),
        "log-long" => (0..900).for_each(|_| millstream::log(Level::Info, &"x".repeat(8000))),
        "print" => {
            println!("to standard output");
            // Standard error is not buffered, so each piece is a separate write.
            let (pieces, word) = (3, "another");
            eprint!("a line of {pieces} pieces and ");
            print!("half a line and ");
            eprintln!("{word}, \u{1b}[31mé");
            println!("the other half");
            millstream::log(Level::Warn, "a warning");
            eprint!("a line without an end");
        }
        "behave" => {}
        other => panic!("unknown behaviour {other}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "that is what it is here for")]
fn build(ctx: &StreamingContext) {
    let how = ctx.arg_or("does", "behave".to_owned());
    if memory::use_memory(ctx, &how) {
        return;
    }
    match how.as_str() {
        "describe-panic" => panic!("no graph today"),
        "describe-loop" => misbehave("loop"),
        "describe-allocate" => misbehave("allocate"),
        "describe-file" => misbehave("file"),
        "describe-emit" => misbehave("not-utf8"),
        "no-output" => {
            let _ = ctx.text_stream("lines");
            return;
        }
        "partitions" => {
            let _ = ctx.text_stream("lines").partitions(3);
        }
        "windows" => {
            let number = |name: &str| ctx.arg(name).and_then(|value| value.parse().ok()).unwrap_or(1);
            let mut lines = ctx.text_stream("lines").window(milliseconds(number("length")));
            for _ in 1..number("windows") {
                lines = lines.window(milliseconds(number("length")));
            }
            lines.print();
            return;
        }
        "name-escape" => {
            let _ = ctx.text_stream("lines").filter(|_| true).name("\u{1b}[2Jx\nerror: forged");
        }
        "random" => {
            // The environment of a program. None of it may differ between two runs.
            ctx.text_stream("lines")
                .map(|line| {
                    let map: std::collections::HashMap<u32, u32> = (0..5).map(|n| (n, n)).collect();
                    let order: Vec<u32> = map.into_keys().collect();
                    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                    let vars = std::env::vars().count();
                    let files = std::fs::read_dir("/").is_ok();
                    Text::from(format!("{line} {order:?} {now:?} {vars} {files}"))
                })
                .print();
            return;
        }
        _ if how.starts_with("driver-") || how.starts_with("shared-") => return driver::misbehave(ctx, how),
        _ => {}
    }
    ctx.text_stream("lines")
        .map(move |line| {
            if line == "boom" {
                misbehave(&how);
            }
            line
        })
        .name("fragile")
        .print();
}

// This does not use `plugin!`, because a driver function must be able to know that it runs again.
#[cfg(target_family = "wasm")]
const _: () = {
    type Exports = exports::Telling;
    millstream::bindings::export_plugin!(Exports with_types_in millstream::bindings);
};
#[cfg(not(target_family = "wasm"))]
const _: fn(&StreamingContext) = build;
