//! Outputs in a simulated store: which objects are visible at which time, and which objects stay.

use super::super::tests::storage;
use super::*;
use crate::env::Simulation;
use arrow::array::{ArrayRef, StringArray};
use std::path::Path;

const BATCH: Time = Time::from_ms(1000);

struct World {
    simulation: Simulation,
    output: ObjectsOutput,
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(0, Time::default());
        let objects = simulation.env().objects.outputs("s3://bucket/a").unwrap();
        let place = ObjectsPlace { url: "s3://bucket/a".to_owned(), name: "x".to_owned(), text: "s3:x", suffix: "txt" };
        let storage = storage(&simulation.env());
        let output = ObjectsOutput::new(objects, "`x`", place, FileFormat::Text, RecordType::text(), storage).unwrap();
        Self { simulation, output }
    }

    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.simulation.run(work).unwrap()
    }

    fn begin(&self) -> Result<Arc<dyn BatchWrite>, Error> {
        let output = ObjectsOutput { shared: self.output.shared.clone() };
        self.run(async move { output.begin(BATCH, Time::default()).await })
    }

    fn write(&self, batch: &Arc<dyn BatchWrite>, partition: u32, attempt: u32, lines: &[&str]) {
        let (batch, column) = (batch.clone(), Arc::new(StringArray::from(lines.to_vec())) as ArrayRef);
        let rows = RecordBatch::try_from_iter([("value", column)]).unwrap();
        let written = self.run(async move {
            let mut writer = batch.writer(partition, attempt).await?;
            writer.write(rows).await?;
            writer.finish().await
        });
        written.unwrap();
    }

    fn commit(&self, batch: &Arc<dyn BatchWrite>, partitions: u32) -> Result<(), Error> {
        let batch = batch.clone();
        self.run(async move { batch.commit(partitions).await })
    }

    /// Saves one whole batch with a partition for each text.
    fn save(&self, texts: &[&str]) {
        let batch = self.begin().unwrap();
        (0..).zip(texts).for_each(|(partition, text)| self.write(&batch, partition, 0, &[text]));
        self.commit(&batch, texts.len() as u32).unwrap();
    }

    /// All objects in the store, with their contents.
    fn objects(&self) -> Vec<(String, String)> {
        let files = self.simulation.files().into_iter().filter_map(|(path, bytes)| {
            let path = path.strip_prefix("/buckets/bucket/a").ok()?.to_str()?.to_owned();
            Some((path, String::from_utf8(bytes).unwrap()))
        });
        files.collect()
    }
}

fn saved(texts: &[&str]) -> Vec<(String, String)> {
    let part = |(partition, text): (usize, &&str)| (format!("x-1000.txt/part-{partition:05}"), format!("{text}\n"));
    let success = ("x-1000.txt/_SUCCESS".to_owned(), String::new());
    std::iter::once(success).chain(texts.iter().enumerate().map(part)).collect()
}

/// S6.04, S6.17: nothing is visible before the commit. A second run replaces the objects that the first has saved, also
/// if it has fewer partitions.
#[test]
fn a_batch_is_seen_when_it_is_committed_and_replaced_when_it_runs_again() {
    let world = World::new();
    let batch = world.begin().unwrap();
    world.write(&batch, 0, 0, &["a"]);
    let large = "b".repeat(KEPT_BYTES_MAX);
    world.write(&batch, 1, 0, &[&large]);
    assert_eq!(world.objects(), []);
    world.commit(&batch, 2).unwrap();
    assert_eq!(world.objects(), saved(&["a", &large]));
    world.save(&["c", "d", "e"]);
    assert_eq!(world.objects(), saved(&["c", "d", "e"]));
    world.save(&["f"]);
    assert_eq!(world.objects(), saved(&["f"]));
    world.save(&[]);
    assert_eq!(world.objects(), saved(&[]));
}

#[test]
fn the_last_attempt_at_a_partition_counts_and_others_do_not() {
    let world = World::new();
    let batch = world.begin().unwrap();
    world.write(&batch, 0, 0, &["first"]);
    world.write(&batch, 0, 1, &["second"]);
    world.write(&batch, 7, 0, &["stray"]);
    let unfinished = batch.clone();
    let writer = world.run(async move { unfinished.writer(0, 2).await }).unwrap();
    world.commit(&batch, 1).unwrap();
    drop(writer);
    assert_eq!(world.objects(), saved(&["second"]));
}

#[test]
fn a_batch_that_is_aborted_or_lacks_a_partition_leaves_what_was_there() {
    let world = World::new();
    world.save(&["old", "older"]);
    let batch = world.begin().unwrap();
    world.write(&batch, 0, 0, &["new"]);
    let error = world.commit(&batch, 2).unwrap_err();
    assert!(error.message.ends_with("x-1000.txt/part-00001 was not written"), "{error}");
    let aborted = batch.clone();
    world.run(async move { aborted.abort().await });
    assert_eq!(world.objects(), saved(&["old", "older"]));
}

/// Wherever a commit stops: a reader that sees `_SUCCESS` sees the old objects or the new objects, and the next run
/// completes the commit.
#[test]
fn a_commit_that_stops_leaves_no_success_or_all() {
    let last = {
        let world = World::new();
        world.save(&["a", "b", "c"]);
        let before = world.simulation.writes();
        world.save(&["d", "e"]);
        world.simulation.writes() - before
    };
    let mut without_success = 0;
    for stop in 1..=last {
        let world = World::new();
        world.save(&["a", "b", "c"]);
        let batch = world.begin().unwrap();
        world.write(&batch, 0, 0, &["d"]);
        world.write(&batch, 1, 0, &["e"]);
        world.simulation.halt_at_write(world.simulation.writes() + stop);
        let _ = world.simulation.run(async move { batch.commit(2).await });
        world.simulation.kill();
        // A real store shows no incomplete object. An object that the simulated store was writing has a hidden name.
        let seen: Vec<_> = world.objects().into_iter().filter(|(name, _)| !name.contains("/.")).collect();
        if seen.iter().any(|(name, _)| name.ends_with(SUCCESS)) {
            assert!(seen == saved(&["a", "b", "c"]) || seen == saved(&["d", "e"]), "{stop}: {seen:?}");
        } else {
            without_success += 1;
        }
        world.save(&["d", "e"]);
        let seen: Vec<_> = world.objects().into_iter().filter(|(name, _)| !name.contains("/.")).collect();
        assert_eq!(seen, saved(&["d", "e"]), "{stop}");
    }
    assert!(without_success >= 4, "{without_success} of {last}");
}

#[test]
fn what_no_output_has_put_there_stays() {
    for (name, what) in [("letter", "letter"), ("part-00000/deep", "part-00000/")] {
        let world = World::new();
        let file = format!("/buckets/bucket/a/x-1000.txt/{name}");
        world.simulation.file(&file, "dear");
        assert_eq!(
            world.begin().err().unwrap().to_string(),
            format!(
                "output `x` did not save batch 1970-01-01T00:00:01Z: s3://bucket/a/x-1000.txt is in the way: it holds `{what}`, which no \
                 output has put there\nhelp: move it away, or give the output another prefix"
            )
        );
        assert_eq!(world.simulation.files()[Path::new(&file)], b"dear");
    }
}

#[test]
fn a_store_that_is_out_of_reach_is_told() {
    let world = World::new();
    let kind = io::ErrorKind::ConnectionRefused;
    world.simulation.disk_unreachable(Time::default(), Time::from_ms(10), "/buckets", kind);
    assert_eq!(
        world.begin().err().unwrap().to_string(),
        "output `x` did not save batch 1970-01-01T00:00:01Z: cannot list s3://bucket/a/x-1000.txt/: connection refused\n\
         help: is the object store up, and can this machine reach it?"
    );
}
