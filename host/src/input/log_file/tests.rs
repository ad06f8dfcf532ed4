//! A log file in a simulated world: appended to, rotated, truncated, and read by a host that restarts.

use super::*;
use crate::block::RangeRows;
use crate::env::Simulation;
use arrow::array::AsArray as _;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Write as _;

const LOG: &str = "/logs/app.log";

fn settings(reads_existing: bool) -> LogFileSettings {
    LogFileSettings {
        source: "lines".to_owned(),
        path: LOG.into(),
        reads_existing,
        max_line_bytes: 1000,
        encoding: Encoding::UTF_8,
        slide: Duration::from_secs(1),
    }
}

/// A job with one source, as far as the source sees the job.
struct World {
    simulation: Simulation,
    env: Env,
    log: LogFile,
    reads_existing: bool,
    /// The positions, as the allocation log has them.
    positions: BTreeMap<String, i64>,
    /// The ranges of all batches.
    ranges: Vec<LogRange>,
    lost: Vec<String>,
    batches: u64,
    rotations: u32,
}

impl World {
    fn new(content: &str, reads_existing: bool) -> Self {
        let simulation = Simulation::new(0, Time::from_ms(1000));
        simulation.file("/logs/other", "other\n");
        let env = simulation.env();
        simulation.file(LOG, content);
        let log = LogFile::start(&env, settings(reads_existing)).unwrap();
        let (positions, ranges, lost) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { simulation, env, log, reads_existing, positions, ranges, lost, batches: 0, rotations: 0 }
    }

    fn append(&self, text: &str) {
        self.env.disk.append(Path::new(LOG)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Gives the file another name, and makes a new file, as `logrotate` does.
    fn rotate(&mut self) {
        self.rotations += 1;
        let old = PathBuf::from(format!("{LOG}.{}", self.rotations));
        self.env.disk.rename(Path::new(LOG), &old).unwrap();
        self.simulation.file(LOG, "");
    }

    /// Makes a batch. Returns its lines.
    fn batch(&mut self) -> Vec<String> {
        self.batches += 1;
        let batch = Time::from_ms(self.batches * 1000);
        let may_have_data = self.log.next_data(&self.env, batch) == Some(batch);
        let NewData { partitions, blocks, events } = self.log.read(&self.env, batch).unwrap();
        assert!(blocks.is_empty() && (may_have_data || partitions.is_empty()), "{partitions:?}");
        assert_eq!(self.log.is_used_up(), partitions.is_empty());
        self.lost.extend(events.iter().map(ToString::to_string));
        let first = self.ranges.len();
        for partition in partitions {
            let InputPartition::Range(range) = partition else { panic!("{partition:?}") };
            let known = self.positions.remove(&range.partition);
            assert_eq!(known.unwrap_or(range.from), range.from);
            if !range.is_last {
                self.positions.insert(range.partition.clone(), range.until);
            }
            self.ranges.push(range);
        }
        self.ranges[first..].to_vec().iter().flat_map(|range| self.read(range).unwrap().0).collect()
    }

    /// The lines of a range, and its checksum.
    fn read(&self, range: &LogRange) -> Result<(Vec<String>, Option<u64>), String> {
        if range.is_empty() {
            return Ok((Vec::new(), None));
        }
        let mut rows: Box<dyn RangeRows> =
            self.log.reader.open(range).map_err(|error| error.explain("lines", Time::from_ms(9)).message)?;
        let mut lines = Vec::new();
        while let Some(chunk) = futures::executor::block_on(rows.next_chunk()).map_err(|error| error.to_string())? {
            lines.extend(chunk.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok((lines, rows.checksum()))
    }

    /// Starts the host again, as after a crash.
    fn restart(&mut self) {
        self.log = LogFile::start(&self.env, settings(self.reads_existing)).unwrap();
        let given = self.ranges.iter().cloned().map(InputPartition::Range).collect();
        let history = InputHistory {
            started: Time::from_ms(1000),
            last_batch: (self.batches > 0).then(|| Time::from_ms(self.batches * 1000)),
            next_block: 0,
            checksum: None,
            log_positions: self.positions.clone(),
            given: vec![(Time::from_ms(1000), given)],
            needed: Vec::new(),
            is_outcome_known: &|_| true,
        };
        self.log.resume(history).unwrap();
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Append(String),
    Rotate,
    Batch,
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => "[a-c]{0,3}\n?".prop_map(Happening::Append),
        1 => Just(Happening::Rotate),
        2 => Just(Happening::Batch),
        1 => Just(Happening::Restart),
    ]
}

proptest! {
    /// Every line is given to one batch, in the order in which the lines were written, however the file is rotated and
    /// the host restarted. A range that is read again has the same lines.
    #[test]
    fn each_line_is_read_once(happenings in prop::collection::vec(happening(), 0..30)) {
        let mut world = World::new("", true);
        let (mut expected, mut file, mut found) = (String::new(), String::new(), Vec::new());
        // A file that appears and is renamed between two batches is not seen.
        let mut was_seen = false;
        for happening in happenings.into_iter().chain([Happening::Batch, Happening::Batch]) {
            match happening {
                Happening::Append(text) => {
                    world.append(&text);
                    file.push_str(&text);
                }
                Happening::Rotate if was_seen => {
                    was_seen = false;
                    world.rotate();
                    // The end of a file ends its last line.
                    let is_cut = !file.is_empty() && !file.ends_with('\n');
                    expected.push_str(&std::mem::take(&mut file));
                    expected.push_str(if is_cut { "\n" } else { "" });
                }
                Happening::Rotate => {}
                Happening::Batch => {
                    found.extend(world.batch());
                    was_seen = true;
                }
                Happening::Restart => world.restart(),
            }
        }
        world.append("end\n");
        file.push_str("end\n");
        found.extend(world.batch());
        expected.push_str(&file);
        prop_assert_eq!(&found, &expected.lines().map(str::to_owned).collect::<Vec<_>>());
        prop_assert_eq!(&world.lost, &Vec::<String>::new());
        let again: Vec<String> = world.ranges.iter().flat_map(|range| world.read(range).unwrap().0).collect();
        prop_assert_eq!(again, found);
    }
}

#[test]
fn a_line_is_read_when_its_end_is_there() {
    let mut world = World::new("one\ntw", true);
    assert_eq!(world.batch(), ["one"]);
    assert_eq!(world.batch(), [""; 0]);
    world.append("o\nthree\n");
    assert_eq!(world.batch(), ["two", "three"]);
    let [_, second] = &world.ranges[..] else { panic!("{:?}", world.ranges) };
    assert_eq!((second.from, second.until, second.is_last), (4, 14, false));
    assert_eq!(world.log.reader.line_of(second, 1).as_deref(), Some("file /logs/app.log, line 3"));
}

#[test]
fn a_job_that_begins_at_the_end_reads_what_is_appended() {
    let mut world = World::new("old\nne", false);
    world.append("w\n");
    assert_eq!(world.batch(), ["new"]);
    let mut world = World::new("old\n", false);
    assert_eq!(world.batch(), [""; 0]);
    // The first batch has logged the position.
    world.append("new\n");
    world.restart();
    assert_eq!(world.batch(), ["new"]);
}

#[test]
fn a_large_file_is_read_in_parts_that_end_at_line_ends() {
    let line = format!("{}\n", "x".repeat(999));
    let mut world = World::new(&line.repeat(70_000), true);
    let rows = world.batch().len();
    let ends: Vec<i64> = world.ranges.iter().map(|range| range.until).collect();
    assert_eq!((rows, ends), (70_000, vec![33_555_000, 67_110_000, 70_000_000]));
}

#[test]
fn what_followed_in_a_file_that_is_gone_is_lost_and_told() {
    let mut world = World::new("one\n", true);
    assert_eq!(world.batch(), ["one"]);
    world.env.disk.remove(Path::new(LOG)).unwrap();
    world.simulation.file(LOG, "two\n");
    assert_eq!(world.batch(), ["two"]);
    let name = &world.ranges[0].partition;
    let expected =
        format!("DataLost lines: whatever followed position 4 of {name} is lost: the file is not in /logs any more");
    assert_eq!(world.lost, [expected]);
    assert_eq!(world.positions.len(), 1);
    let error = world.read(&world.ranges[0]).unwrap_err();
    let expected = format!(
        "source `lines` cannot read batch 1970-01-01T00:00:00.009Z: the file of partition {name} is not in /logs any more; the batch reads its \
         bytes 0 to 4"
    );
    assert_eq!(error, expected);
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let mut world = World::new("one\ntwo\n", true);
    assert_eq!(world.batch(), ["one", "two"]);
    let mut file = world.env.disk.create(Path::new(LOG)).unwrap();
    file.write_all(b"three\n").unwrap();
    assert_eq!(world.batch(), ["three"]);
    let first = world.ranges[0].clone();
    let expected = format!(
        "DataLost lines: whatever followed position 8 of {} is lost: /logs/app.log was truncated, and is read from its \
         beginning",
        first.partition
    );
    assert_eq!(world.lost, [expected]);
    // The old lines are gone, however long the file becomes. The host knows this after a restart, too.
    world.append("four\nfive\n");
    for _ in 0..2 {
        assert!(world.read(&first).unwrap_err().contains("was truncated"));
        world.restart();
    }
    assert_eq!(world.batch(), ["four", "five"]);
}

#[test]
fn a_file_that_was_written_over_is_noticed_at_the_end_of_a_line() {
    let mut world = World::new("one\ntwo\n", true);
    assert_eq!(world.batch(), ["one", "two"]);
    let first = LogRange { checksum: world.read(&world.ranges[0]).unwrap().1, ..world.ranges[0].clone() };
    assert_eq!(world.read(&first).unwrap().0, ["one", "two"]);
    let mut file = world.env.disk.create(Path::new(LOG)).unwrap();
    file.write_all(b"other lines\n").unwrap();
    assert!(world.read(&first).unwrap_err().contains("holds something else there"));
    assert_eq!(world.batch(), ["other lines"]);
    assert!(world.lost[0].ends_with("was written over, and is read from its beginning"));
}

#[test]
fn a_log_has_one_line_a_line() {
    let start = |path: &str, content: &[u8]| {
        let simulation = Simulation::new(0, Time::from_ms(1000));
        simulation.file("/logs/app.log", content);
        let path = path.into();
        LogFile::start(&simulation.env(), LogFileSettings { path, ..settings(true) }).map(|log| (simulation, log))
    };
    let refused = |path: &str| start(path, b"").map(drop).unwrap_err().message;
    assert_eq!(refused("/logs/app.log.gz"), "source `lines` follows /logs/app.log.gz, which is compressed");
    assert_eq!(refused("/logs"), "source `lines` cannot follow /logs: it is no regular file");
    assert!(refused("/none/app.log").starts_with("source `lines` cannot follow /none: "));
    let (simulation, mut log) = start(LOG, b"\xff\xfea\0\n\0").unwrap();
    let ranges = log.read(&simulation.env(), Time::from_ms(2000)).unwrap().partitions;
    let [InputPartition::Range(range)] = &ranges[..] else { panic!("{ranges:?}") };
    let error = log.reader.open(range).map(drop).unwrap_err();
    assert_eq!(error.problem, "/logs/app.log begins with the byte order mark of UTF-16LE");
}
