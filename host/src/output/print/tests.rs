//! Printed text, for people and for programs, in pieces.

use super::printing::PIECE_BYTES;
use super::*;
use crate::block::SpillSettings;
use crate::env::Simulation;
use crate::memory::MemoryBudget;
use arrow::array::{ArrayRef, StringArray};
use std::io;
use std::sync::{Arc, Mutex};

/// Pieces of text.
struct Pieces {
    json: bool,
    terminal: bool,
    pieces: Mutex<Vec<String>>,
}

impl Console for Pieces {
    fn write(&self, text: &str) -> io::Result<()> {
        self.pieces.lock().unwrap().push(text.to_owned());
        Ok(())
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }

    fn takes_json(&self) -> bool {
        self.json
    }
}

/// The pieces that are printed with this many bytes of memory.
fn print(
    partitions: &[Vec<RecordBatch>],
    limit: u32,
    (json, terminal): (bool, bool),
    memory: u64,
) -> Result<Vec<String>, Error> {
    print_titled(None, partitions, limit, (json, terminal), memory)
}

fn print_titled(
    title: Option<&str>,
    partitions: &[Vec<RecordBatch>],
    limit: u32,
    (json, terminal): (bool, bool),
    memory: u64,
) -> Result<Vec<String>, Error> {
    let console = Arc::new(Pieces { json, terminal, pieces: Mutex::default() });
    let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
    let disk = Simulation::new(0, Time::default()).env().disk;
    let storage = RowStorage::new(&MemoryBudget::new(memory, 0).unwrap(), disk, settings);
    let names = ("print-0".to_owned(), title.map(str::to_owned));
    let output = PrintOutput::new(console.clone(), storage.clone(), names, RecordType::text(), limit);
    let partitions = partitions.to_vec();
    futures::executor::block_on(async move {
        let batch = output.begin(Time::from_ms(1_357_008_430_000), Time::default()).await?;
        for (partition, rows) in (0..).zip(partitions) {
            let mut writer = batch.writer(partition, 0).await?;
            for rows in rows {
                writer.write(rows).await?;
            }
            writer.finish().await?;
        }
        batch.commit(0).await
    })?;
    assert_eq!(storage.memory_bytes(), 0);
    Ok(std::mem::take(&mut *console.pieces.lock().unwrap()))
}

fn lines(lines: &[&str]) -> Vec<RecordBatch> {
    let column: ArrayRef = Arc::new(StringArray::from(lines.to_vec()));
    vec![RecordBatch::try_from_iter([("value", column)]).unwrap()]
}

fn shown(partitions: &[Vec<RecordBatch>], limit: u32, terminal: bool) -> String {
    print(partitions, limit, (false, terminal), 0).unwrap().concat()
}

#[test]
fn has_the_form_that_spark_prints() {
    let rule = "-".repeat(43);
    assert_eq!(
        shown(&[lines(&["a"]), lines(&["b"])], 10, false),
        format!("{rule}\nTime: 1357008430000 ms\n{rule}\na\nb\n\n")
    );
}

/// Of several outputs, each is named. On a terminal, the time is readable.
#[test]
fn people_read_the_name_of_the_output_and_the_time() {
    let rule = "-".repeat(43);
    let named = print_titled(Some("counts\u{1b}"), &[lines(&["a"])], 10, (false, false), 0).unwrap().concat();
    assert_eq!(named, format!("{rule}\nTime: 1357008430000 ms\nOutput: counts\\u{{1b}}\n{rule}\na\n\n"));
    assert_eq!(shown(&[lines(&["a"])], 10, true), format!("{rule}\nTime: 2013-01-01T02:47:10Z\n{rule}\na\n\n"));
}

#[test]
fn says_that_there_are_more_only_when_there_are() {
    assert!(!shown(&[lines(&["a", "b"])], 2, false).contains("..."));
    assert!(shown(&[lines(&["a"]), lines(&["b", "c"])], 2, false).ends_with("a\nb\n...\n\n"));
}

#[test]
fn a_terminal_gets_no_control_characters() {
    assert!(shown(&[lines(&["\u{1b}[2J"])], 10, true).contains("\\u{1b}[2J"));
    assert!(shown(&[lines(&["\u{1b}[2J"])], 10, false).contains("\u{1b}[2J"));
}

#[test]
fn a_program_gets_one_json_object_a_line() {
    let json = |partitions: &[Vec<RecordBatch>], limit| print(partitions, limit, (true, false), 0).unwrap().concat();
    let rest = "\"event\":\"Printed\",\"batch_time_ms\":1357008430000,\"output\":\"print-0\"";
    let two = [lines(&["a\u{1b}\n"]), lines(&["b"])];
    assert_eq!(json(&two, 2), format!("{{{rest},\"rows\":[\"a\\u001b\\n\",\"b\"],\"more\":false}}\n"));
    assert_eq!(json(&two, 1), format!("{{{rest},\"rows\":[\"a\\u001b\\n\"],\"more\":true}}\n"));
    assert_eq!(json(&[], 1), format!("{{{rest},\"rows\":[],\"more\":false}}\n"));
}

/// However many rows there are, and without memory for them, the text is never in memory as a whole.
#[test]
fn many_rows_are_printed_in_pieces() {
    let many = lines(&vec!["some words of a line"; 30_000]);
    for json in [false, true] {
        let pieces = print(&[many.clone(), many.clone()], u32::MAX, (json, false), 0).unwrap();
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES), "{json}");
        let text = pieces.concat();
        assert_eq!(text.matches("some words of a line").count(), 60_000);
        if json {
            let printed: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(printed["rows"].as_array().map(Vec::len), Some(60_000));
        }
    }
    // A few of the rows take little memory until they are printed.
    let pieces = print(&[many], 10, (false, false), 1 << 20).unwrap();
    assert_eq!(pieces.concat().matches("some words of a line").count(), 10);
}

#[test]
fn a_row_whose_text_does_not_fit_is_an_error_that_says_what_to_do() {
    let long = lines(&["\u{1b}".repeat(1 << 22).as_str()]);
    let error = print(std::slice::from_ref(&long), 1, (false, true), 1 << 20).unwrap_err();
    assert!(error.message.starts_with("cannot print batch 2013-01-01T02:47:10Z: "), "{error:?}");
    assert!(error.help.is_some_and(|help| help.contains("raise engine.memory")));
    let shorter = lines(&["\u{1b}".repeat(1 << 16).as_str()]);
    let printed = print(&[shorter], 1, (false, true), 1 << 20).unwrap().concat();
    assert_eq!(printed.matches("\\u{1b}").count(), 1 << 16);
}
