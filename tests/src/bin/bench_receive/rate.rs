//! How many bytes a socket receiver takes: without the log, with the log, and what the machine could do.

use crate::flood::{self, Flood};
use crate::processors::{self, Rate};
use crate::{Options, job};
use millstream_tests::live::{LiveHost, pause};
use millstream_tests::numbers::median;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a rate is not measured at the beginning.
const WARM_UP: Duration = Duration::from_millis(1500);
/// The batch interval.
const INTERVAL_MS: u64 = 200;
/// The size at which a file of the log is closed.
const SEGMENT_BYTES: u64 = 64 << 20;
/// The header of a document of the log: its kind, version, size and checksum.
const HEADER_BYTES: u64 = 24;

/// Measures all rates, round by round.
///
/// # Errors
/// Returns an error if a host or a server fails.
pub fn measure(directory: &Path, options: &Options) -> Result<(), String> {
    let (mut parts, mut of_reading, mut groups, mut for_each) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let [mut without, mut with, mut files, mut reads] = [const { Vec::new() }; 4];
    for round in 0..=options.rounds {
        // The first round compiles the plugin, and is not counted.
        let is_first = round == 0;
        let off = receive(&directory.join(format!("off-{round}")), options, false)?;
        let on = receive(&directory.join(format!("on-{round}")), options, true)?;
        let Some(group) = on.1 else { return Err("the log has no group".to_owned()) };
        let (off, on) = (off.0, on.0);
        let file = write(&directory.join(format!("file-{round}")), options, group)?;
        let read = read(options)?;
        // The next round needs the space.
        let _ = fs::remove_dir_all(directory);
        if is_first {
            continue;
        }
        let smaller = off.bytes_per_second.min(file);
        parts.push(on.bytes_per_second / smaller);
        of_reading.push(off.bytes_per_second / read.bytes_per_second);
        println!(
            "log off {}, log on {}, write and sync {:.0} MB/s in groups of {:.1} MB, read {}",
            off.shown(),
            on.shown(),
            file / 1e6,
            group / 1e6,
            read.shown()
        );
        groups.push(group);
        [&mut without, &mut with].into_iter().zip([&off, &on]).for_each(|(all, one)| all.push(one.bytes_per_second));
        files.push(file);
        for_each.push(off.for_each() / read.for_each());
        reads.push(read.bytes_per_second);
    }
    let mb = |rates: &[f64]| median(rates) / 1e6;
    println!(
        "medians: log off {:.0} MB/s, log on {:.0} MB/s, write and sync {:.0} MB/s, read {:.0} MB/s, groups {:.1} MB",
        mb(&without),
        mb(&with),
        mb(&files),
        mb(&reads),
        mb(&groups)
    );
    println!("log off / a loop that only reads: {:.2} of {of_reading:.2?}", median(&of_reading));
    println!("the same for each processor: {:.2} of {for_each:.2?}", median(&for_each));
    println!("log on / the smaller of log off and write and sync: {:.2} of {parts:.2?}", median(&parts));
    Ok(())
}

/// Lets a job receive. Returns the rate and, if the job has a log, the mean size of its groups in bytes.
fn receive(directory: &Path, options: &Options, has_log: bool) -> Result<(Rate, Option<f64>), String> {
    let flood = Flood::start(flood::text(options.line_bytes))?;
    let mut host = LiveHost::start(directory, &job("count", flood.address(), INTERVAL_MS, has_log)?)?;
    host.wait_for_batches(1)?;
    let process = host.process();
    let (bytes_per_second, before, after) = flood.rate(WARM_UP, options.seconds, || processors::of_process(process))?;
    let group = groups(&directory.join("checkpoint/ingest"));
    host.events.read()?;
    if let Some(batch) = host.events.batches.last() {
        println!("{} batches, the last {:.0} ms late", host.events.batches.len(), batch.lateness_ms());
    }
    host.kill()?;
    Ok((Rate::new(bytes_per_second, before, after, options.seconds), group))
}

/// The mean size of the groups of the log, in bytes. `None` if there is no group.
fn groups(ingest: &Path) -> Option<f64> {
    let (mut bytes, mut groups) = (0, 0);
    for entry in fs::read_dir(ingest).ok()?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("received-") {
            // A file may be removed in the meantime.
            let (of_file, in_file) = File::open(entry.path()).and_then(groups_of).unwrap_or_default();
            bytes += of_file;
            groups += in_file;
        }
    }
    (groups > 0).then(|| bytes as f64 / groups as f64)
}

/// The bytes and the number of groups of a file of the log. The first number of each document is that of its group.
fn groups_of(mut file: File) -> io::Result<(u64, u64)> {
    let length = file.metadata()?.len();
    let (mut at, mut groups) = (0, BTreeSet::new());
    while at + HEADER_BYTES < length {
        let mut head = [0; HEADER_BYTES as usize + 5];
        file.seek(SeekFrom::Start(at))?;
        if file.read(&mut head)? < head.len() {
            break;
        }
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        groups.insert(match head[24] {
            251 => number(&head[25..27]),
            252 => number(&head[25..29]),
            small => u64::from(small),
        });
        at += HEADER_BYTES + number(&head[8..16]);
    }
    Ok((at.min(length), groups.len() as u64))
}

/// Writes the lines to files like those of the log, one after the other, with one sync for each `group` bytes. Returns the
/// bytes a second.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn write(directory: &Path, options: &Options, group: f64) -> Result<f64, String> {
    let failed = |error: io::Error| format!("cannot write a file: {error}");
    fs::create_dir_all(directory).map_err(failed)?;
    let (text, group) = (flood::text(options.line_bytes), group as u64);
    let (begun, mut written, mut name) = (Instant::now(), 0, 0);
    while begun.elapsed() < Duration::from_secs(options.seconds) {
        let path = directory.join(name.to_string());
        name += 1;
        let mut file = File::create(&path).map_err(failed)?;
        let mut in_file = 0;
        while in_file < SEGMENT_BYTES && begun.elapsed() < Duration::from_secs(options.seconds) {
            let mut in_group = 0;
            while in_group < group {
                let piece = text.get(..usize::try_from(group - in_group).unwrap_or(text.len())).unwrap_or(&text);
                file.write_all(piece).map_err(failed)?;
                in_group += piece.len() as u64;
            }
            file.sync_data().map_err(failed)?;
            in_file += in_group;
        }
        written += in_file;
        fs::remove_file(&path).map_err(failed)?;
    }
    Ok(written as f64 / begun.elapsed().as_secs_f64())
}

/// Reads from the same server, and does nothing else.
fn read(options: &Options) -> Result<Rate, String> {
    let flood = Flood::start(flood::text(options.line_bytes))?;
    let (reader, thread) = flood::read_only(flood.address())?;
    let (rate, before, after) = flood.rate(WARM_UP / 3, options.seconds, || thread.seconds())?;
    drop(flood);
    pause(Duration::from_millis(1));
    reader.join().map_err(|_| "the reader panicked".to_owned())?.map_err(|error| format!("cannot read: {error}"))?;
    Ok(Rate::new(rate, before, after, options.seconds))
}
