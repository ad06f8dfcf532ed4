//! What a running host takes: memory, open files, threads and disk; and whether it grows.

use millstream_tests::numbers::{largest, quantile};
use std::fs;
use std::path::{Path, PathBuf};

/// The directories of the job that must not grow. The events file is not in them: it holds all events by design.
const DIRECTORIES: [&str; 5] = ["checkpoint/ingest", "checkpoint/runs", "in", "out", "spill"];
const MIB: f64 = 1024.0 * 1024.0;
/// How much the last third may be above the second one, as a part of the second one.
const GROWTH: f64 = 1.1;

/// A value that is looked at again and again.
struct Series {
    name: String,
    unit: &'static str,
    /// How much the last third may be above the second one in any case.
    constant: f64,
    values: Vec<f64>,
}

/// The samples of a host.
pub struct Samples {
    process: u32,
    directory: PathBuf,
    series: Vec<Series>,
}

impl Samples {
    /// The samples of a process, whose job is in a directory.
    pub fn of(process: u32, directory: &Path) -> Self {
        let series = |name: String, unit, constant| Series { name, unit, constant, values: Vec::new() };
        let mut all = vec![
            series("resident memory".to_owned(), "MiB", 16.0),
            series("open files".to_owned(), "", 8.0),
            series("threads".to_owned(), "", 4.0),
        ];
        for directory in DIRECTORIES {
            all.push(series(format!("size of {directory}"), "MiB", 0.5));
            all.push(series(format!("files of {directory}"), "", 8.0));
        }
        Self { process, directory: directory.to_owned(), series: all }
    }

    /// Looks once.
    ///
    /// # Errors
    /// Returns an error if the system does not tell what the process takes.
    pub fn take(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot look at the host: {error}");
        let process = PathBuf::from(format!("/proc/{}", self.process));
        let status = fs::read_to_string(process.join("status")).map_err(failed)?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().ok());
            number.ok_or_else(|| format!("the system does not tell {name}"))
        };
        let open_files = fs::read_dir(process.join("fd")).map_err(failed)?.count();
        let mut values = vec![number("VmRSS:")? / 1024.0, open_files as f64, number("Threads:")?];
        for directory in DIRECTORIES {
            let (bytes, files) = size(&self.directory.join(directory));
            values.extend([bytes as f64 / MIB, files as f64]);
        }
        self.series.iter_mut().zip(values).for_each(|(series, value)| series.values.push(value));
        Ok(())
    }

    /// The last values, as a line.
    pub fn shown(&self) -> String {
        let last = |series: &Series| series.values.last().copied().unwrap_or_default();
        let shown = self.series.iter().map(|series| format!("{} {:.1}{}", series.name, last(series), series.unit));
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Checks that nothing has grown, and that the delays of the batches have not, in ms. Prints all comparisons.
    ///
    /// # Errors
    /// Returns an error that names everything that has grown.
    pub fn check(mut self, delays: &[f64], interval_ms: f64) -> Result<(), String> {
        self.series.push(Series {
            name: "delay".to_owned(),
            unit: "ms",
            constant: interval_ms / 2.0,
            values: delays.to_vec(),
        });
        let mut grown = Vec::new();
        for Series { name, unit, constant, values } in &self.series {
            let third = values.len() / 3;
            let of = |values: &[f64]| if name == "delay" { quantile(values, 0.9) } else { largest(values) };
            let (second, last) = (of(&values[third..2 * third]), of(&values[2 * third..]));
            let is_flat = last <= second * GROWTH + constant;
            println!("{name}: {second:.1} {unit}, then {last:.1} {unit}: {}", if is_flat { "flat" } else { "GROWS" });
            if !is_flat {
                grown.push(name.as_str());
            }
        }
        if grown.is_empty() { Ok(()) } else { Err(format!("grows: {}", grown.join(", "))) }
    }
}

/// The bytes and the number of files below a directory. What is removed in the meantime is left out.
fn size(directory: &Path) -> (u64, u64) {
    let Ok(entries) = fs::read_dir(directory) else { return (0, 0) };
    let mut size = (0, 0);
    for entry in entries.flatten() {
        let (bytes, files) = match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => self::size(&entry.path()),
            Ok(metadata) => (metadata.len(), 1),
            Err(_) => (0, 0),
        };
        size = (size.0 + bytes, size.1 + files);
    }
    size
}
