//! Outputs on a simulated disk: which files are visible at which time, and which files stay after failures.

use super::*;
use crate::block::SpillSettings;
use crate::config::Access;
use crate::data::schema::Field;
use crate::env::Simulation;
use crate::graph::{DescribedNode, ParameterValue};
use crate::memory::MemoryBudget;
use arrow::array::{ArrayRef, StringArray};
use std::path::{Path, PathBuf};

const BATCH: Time = Time::from_ms(1000);

fn field() -> Field {
    Field { name: "value".into(), kind: "text".into(), nullable: false, children: 0, metadata: Vec::new() }
}

fn described(kind: &str, parents: &[u32], parameters: &[(&str, &str)]) -> DescribedNode {
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), ParameterValue::Text((*value).to_owned()));
    let rows = if kind == "source" { vec![field()] } else { Vec::new() };
    let parameters = parameters.iter().map(text).collect();
    DescribedNode {
        kind: kind.to_owned(),
        name: None,
        parents: parents.to_vec(),
        parameters,
        rows,
        exchanged: None,
        state: None,
        earlier_state: None,
    }
}

/// A graph that saves one source in several places.
fn saving(places: &[(&str, &str)]) -> Graph {
    let mut nodes = vec![described("source", &[], &[("source", "lines")])];
    for (prefix, suffix) in places {
        nodes.push(described("save_as_text_files", &[0], &[("prefix", prefix), ("suffix", suffix)]));
    }
    Graph::from_described(&nodes).unwrap()
}

/// The storage of rows, with memory for one large columnar file.
pub(super) fn storage(env: &Env) -> RowStorage {
    let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
    RowStorage::new(&MemoryBudget::new(64 << 20, 0).unwrap(), env.disk.clone(), settings)
}

struct World {
    simulation: Simulation,
    graph: Graph,
}

impl World {
    /// A job in `/jobs` that saves to `out/x-TIME.txt`.
    fn new() -> Self {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/jobs/job.toml", "");
        Self { simulation, graph: saving(&[("out/x", "txt")]) }
    }

    fn open(&self) -> Result<Outputs, Error> {
        let objects = BTreeMap::from([("s3".to_owned(), "s3://bucket/prefix".to_owned())]);
        let grants = Grants::writing("/jobs").with_objects(objects);
        Outputs::open(
            &self.simulation.env(),
            "job",
            &self.graph,
            Granted::files(&grants),
            &storage(&self.simulation.env()),
        )
    }

    /// The only output, as a run that has just started sees it.
    fn output(&self) -> Arc<dyn Output> {
        self.open().unwrap().get(NodeId(1)).unwrap().clone()
    }

    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.simulation.run(work).unwrap()
    }

    fn begin(&self, output: &Arc<dyn Output>) -> Result<Arc<dyn BatchWrite>, Error> {
        let output = output.clone();
        self.run(async move { output.begin(BATCH, Time::default()).await })
    }

    fn write(&self, batch: &Arc<dyn BatchWrite>, partition: u32, attempt: u32, lines: &[&str]) -> Result<(), Error> {
        let (batch, column) = (batch.clone(), Arc::new(StringArray::from(lines.to_vec())) as ArrayRef);
        let rows = RecordBatch::try_from_iter([("value", column)]).unwrap();
        self.run(async move {
            let mut writer = batch.writer(partition, attempt).await?;
            writer.write(rows).await?;
            writer.finish().await
        })
    }

    fn commit(&self, batch: &Arc<dyn BatchWrite>, partitions: u32) -> Result<(), Error> {
        let batch = batch.clone();
        self.run(async move { batch.commit(partitions).await })
    }

    fn abort(&self, batch: &Arc<dyn BatchWrite>) {
        let batch = batch.clone();
        self.run(async move { batch.abort().await });
    }

    /// Saves one whole batch with a partition for each text.
    fn save(&self, output: &Arc<dyn Output>, texts: &[&str]) {
        let batch = self.begin(output).unwrap();
        (0..).zip(texts).for_each(|(partition, text)| self.write(&batch, partition, 0, &[text]).unwrap());
        self.commit(&batch, texts.len() as u32).unwrap();
    }

    /// All files in `/jobs/out`, with their contents.
    fn files(&self) -> Vec<(String, String)> {
        let files = self.simulation.files().into_iter();
        files
            .filter_map(|(path, bytes)| {
                let path = path.strip_prefix("/jobs/out").ok()?.to_str()?.to_owned();
                Some((path, String::from_utf8(bytes).unwrap()))
            })
            .collect()
    }

    fn directories(&self) -> Vec<String> {
        self.simulation.env().disk.list(Path::new("/jobs/out")).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    /// The name that a hidden directory of the output would have.
    fn hidden(&self, kind: &str) -> PathBuf {
        let batch = self.begin(&self.output()).unwrap();
        let name = self.directories().into_iter().find(|name| name.ends_with(".tmp")).unwrap();
        self.abort(&batch);
        Path::new("/jobs/out").join(name.replace(".tmp", kind))
    }
}

fn saved(texts: &[&str]) -> Vec<(String, String)> {
    let part = |(partition, text): (usize, &&str)| (format!("x-1000.txt/part-{partition:05}"), format!("{text}\n"));
    let success = ("x-1000.txt/_SUCCESS".to_owned(), String::new());
    std::iter::once(success).chain(texts.iter().enumerate().map(part)).collect()
}

/// S6.04: a directory named by prefix, time and suffix, with a file for each partition.
#[test]
fn a_batch_is_seen_when_it_is_committed() {
    let world = World::new();
    let batch = world.begin(&world.output()).unwrap();
    world.write(&batch, 1, 0, &["b", "c\nd"]).unwrap();
    world.write(&batch, 0, 0, &[]).unwrap();
    assert!(world.directories().iter().all(|name| name.starts_with(".millstream-job-save_as_text_files-0-")));
    world.commit(&batch, 2).unwrap();
    let expected = [("x-1000.txt/_SUCCESS", ""), ("x-1000.txt/part-00000", ""), ("x-1000.txt/part-00001", "b\nc\nd\n")];
    assert_eq!(world.files(), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert_eq!(world.directories(), ["x-1000.txt"]);
}

#[test]
fn a_batch_without_partitions_is_an_empty_directory() {
    let world = World::new();
    world.save(&world.output(), &[]);
    assert_eq!(world.files(), saved(&[]));
}

/// S6.17, S16.23: the second run of a batch replaces the files that the first has saved, also if it has fewer
/// partitions.
#[test]
fn a_batch_that_runs_again_replaces_what_it_saved() {
    let world = World::new();
    let output = world.output();
    world.save(&output, &["a", "b", "c"]);
    world.save(&output, &["d"]);
    assert_eq!(world.files(), saved(&["d"]));
    world.save(&world.output(), &["d"]);
    assert_eq!((world.files(), world.directories()), (saved(&["d"]), vec!["x-1000.txt".to_owned()]));
}

#[test]
fn the_last_attempt_at_a_partition_counts_and_unfinished_ones_do_not() {
    let world = World::new();
    let batch = world.begin(&world.output()).unwrap();
    world.write(&batch, 0, 0, &["first"]).unwrap();
    world.write(&batch, 0, 1, &["second"]).unwrap();
    let unfinished = batch.clone();
    let writer = world.run(async move { unfinished.writer(0, 2).await }).unwrap();
    // The partition does not belong to the last stage, as if another stage had written it.
    world.write(&batch, 7, 0, &["stray"]).unwrap();
    world.commit(&batch, 1).unwrap();
    drop(writer);
    assert_eq!(world.files(), saved(&["second"]));
}

#[test]
fn a_partition_that_is_missing_is_not_passed_over() {
    let world = World::new();
    let batch = world.begin(&world.output()).unwrap();
    world.write(&batch, 0, 0, &["a"]).unwrap();
    let error = world.commit(&batch, 2).unwrap_err();
    assert!(error.message.ends_with("part-00001 was not written"), "{error}");
    world.abort(&batch);
    assert_eq!(world.directories(), [""; 0]);
}

#[test]
fn what_a_crash_left_is_cleared_away_at_the_next_start() {
    let world = World::new();
    let (building, old) = (world.hidden(".tmp"), world.hidden(".old"));
    let other = |path: &Path| path.to_str().unwrap().replace("-1000.", "-2000.");
    // The state between steps 2 and 3 of a commit: the old files have their hidden name, and the new files are not in
    // place.
    world.simulation.file(building.join("part-00000"), "new\n");
    world.simulation.file(old.join("part-00000"), "old\n");
    world.simulation.file(old.join("_SUCCESS"), "");
    // The state after step 3, for another batch; and a directory that belongs to another output.
    world.simulation.file(Path::new(&other(&old)).join("part-00000"), "older\n");
    world.simulation.file("/jobs/out/x-2000.txt/_SUCCESS", "");
    world.simulation.file("/jobs/out/.millstream-job-other-0123456789abcdef-1000.tmp/part-00000", "");
    let batch = world.begin(&world.output()).unwrap();
    let expected = [
        (".millstream-job-other-0123456789abcdef-1000.tmp/part-00000", ""),
        ("x-1000.txt/_SUCCESS", ""),
        ("x-1000.txt/part-00000", "old\n"),
        ("x-2000.txt/_SUCCESS", ""),
    ];
    assert_eq!(world.files(), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    world.write(&batch, 0, 0, &["new"]).unwrap();
    world.commit(&batch, 1).unwrap();
    assert_eq!(&world.files()[1..3], saved(&["new"]));
}

#[test]
fn what_no_output_has_put_there_stays() {
    for (file, what) in [
        ("/jobs/out/x-1000.txt", "it is not a directory"),
        ("/jobs/out/x-1000.txt/letter", "it holds `letter`, which no output has put there"),
        ("/jobs/out/x-1000.txt/part-00000/deep", "it holds `part-00000`, which no output has put there"),
    ] {
        let world = World::new();
        world.simulation.file(file, "dear");
        let error = world.begin(&world.output()).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "output `save_as_text_files` (node 1) did not save batch 1970-01-01T00:00:01Z: /jobs/out/x-1000.txt is in the way: \
                 {what}\nhelp: move it away, or give the output another prefix"
            )
        );
        assert_eq!(world.simulation.files()[Path::new(file)], b"dear");
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_behind() {
    let world = World::new();
    world.save(&world.output(), &["old"]);
    for space in 0..12 {
        let batch = world.begin(&world.output()).unwrap();
        world.simulation.disk_space(space);
        let written = world.write(&batch, 0, 0, &["five!"]).and_then(|()| world.write(&batch, 1, 0, &["five!"]));
        let error = written.unwrap_err();
        assert!(error.message.contains("cannot write /jobs/out/.millstream-"), "{error}");
        assert!(error.help.unwrap().starts_with("make room on the disk of /jobs/out/"));
        world.abort(&batch);
        assert_eq!((world.files(), world.directories()), (saved(&["old"]), vec!["x-1000.txt".to_owned()]));
    }
    world.simulation.disk_space(12);
    world.save(&world.output(), &["five!", "five!"]);
    assert_eq!(world.files(), saved(&["five!", "five!"]));
}

#[test]
fn a_directory_that_becomes_read_only_is_told() {
    let world = World::new();
    let output = world.output();
    let batch = world.begin(&output).unwrap();
    world.write(&batch, 0, 0, &["a"]).unwrap();
    world.simulation.read_only("/jobs/out");
    let expected = |when| {
        format!(
            "output `save_as_text_files` (node 1) did not save batch 1970-01-01T00:00:01Z: cannot {when} the directory /jobs/out: \
             permission denied\nhelp: whoever runs the host needs the right to write in /jobs/out"
        )
    };
    assert_eq!(world.commit(&batch, 1).unwrap_err().to_string(), expected("write to"));
    assert_eq!(world.begin(&output).err().unwrap().to_string(), expected("write to"));
    let error = world.open().err().unwrap();
    assert_eq!(
        error.message,
        "output `save_as_text_files` (node 1) cannot be written: cannot write to the directory /jobs/out: permission denied"
    );
}

#[test]
fn all_that_is_wrong_with_outputs_is_told_at_once() {
    let mut world = World::new();
    let long = "l".repeat(231);
    world.graph =
        saving(&[("/etc/x", ""), ("a/x", "b/c"), ("same", "txt"), ("same", "txt"), ("same", ""), (&long, "txt")]);
    let error = world.open().err().unwrap();
    let expected = [
        "4 mistakes in the outputs:".to_owned(),
        "  output `save_as_text_files` (node 1) cannot be written: the path `/etc/x` is absolute".to_owned(),
        "  output `save_as_text_files` (node 2) cannot be written: the suffix `b/c` has a `/` or `:`".to_owned(),
        "  output `save_as_text_files` (node 4) writes to /jobs/same-TIME_IN_MS.txt, as output `save_as_text_files` \
         (node 3) does"
            .to_owned(),
        format!(
            "  output `save_as_text_files` (node 6) cannot be written: the path `{}...` ends in a name that leaves no \
             room for a time and a suffix",
            "l".repeat(200)
        ),
    ];
    assert_eq!(error.message, expected.join("\n"));
    assert_eq!(error.kind, ErrorKind::User);
}

#[test]
fn people_are_told_where_files_go() {
    let grants = Grants::writing("/var/out");
    let grants = grants.with_objects(BTreeMap::from([("s3".to_owned(), "s3://bucket/prefix".to_owned())]));
    let graph = saving(&[("out:a/x", ""), ("y", "txt"), ("../z", ""), ("s3:a/x", "txt"), ("s3:y", "")]);
    let told: Vec<String> = destinations(&graph, Granted::files(&grants)).into_iter().map(|(_, path)| path).collect();
    let of_stores = ["s3://bucket/prefix/a/x-TIME_IN_MS.txt", "s3://bucket/prefix/y-TIME_IN_MS"];
    assert_eq!(told, [&["/var/out/a/x-TIME_IN_MS", "/var/out/y-TIME_IN_MS.txt"][..], &of_stores].concat());
}

/// The test uses a real disk, because only a real disk has links.
#[test]
fn links_are_looked_at_before_each_commit() {
    let executors = crate::env::RealExecutors::start(1).unwrap();
    let disk = crate::env::real(&executors).disk;
    let directory = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(directory.path()).unwrap();
    ["jobs/out", "other", "jobs/near"].iter().for_each(|name| std::fs::create_dir_all(root.join(name)).unwrap());
    let grants = Grants::writing(root.join("jobs"));
    let id = OutputId { job: "job".to_owned(), output: "x".to_owned() };
    let place = grants.resolve("out/x", Access::Write).unwrap();
    let directories = BatchDirectories::new(disk, &id, "`x`", place, ("out/x", "")).unwrap();
    let begin = |ms| {
        let batch = directories.begin(Time::from_ms(ms)).unwrap();
        batch.part("part-00000", 0).and_then(batch_directory::PartFile::finish).unwrap();
        batch
    };
    let names = || std::iter::once("part-00000".to_owned());
    let swap = |target: &str| {
        let link = root.join("jobs/out");
        std::fs::rename(&link, root.join("jobs/aside")).unwrap();
        std::os::unix::fs::symlink(root.join(target), &link).unwrap();
    };
    let back = || {
        std::fs::remove_file(root.join("jobs/out")).unwrap();
        std::fs::rename(root.join("jobs/aside"), root.join("jobs/out")).unwrap();
    };
    for (target, problem) in [("other", "leads out of"), ("jobs/near", "it has become a link to")] {
        let batch = begin(1000);
        swap(target);
        let error = batch.error(&batch.commit(names()).unwrap_err());
        assert!(error.message.contains(problem), "{error}");
        assert_eq!(std::fs::read_dir(root.join(target)).unwrap().count(), 0);
        back();
        batch.abort();
    }
    // The directory of the batch itself may not be a link either.
    std::os::unix::fs::symlink(root.join("other"), root.join("jobs/out/x-2000")).unwrap();
    let error = directories.begin(Time::from_ms(2000)).err().unwrap();
    assert!(error.message.ends_with(&format!("it is a link to {}", root.join("other").display())), "{error}");
    begin(3000).commit(names()).unwrap();
    assert!(root.join("jobs/out/x-3000/_SUCCESS").exists());
}
