//! Files that driver functions read and write, on a simulated disk.

use super::super::tests::storage;
use super::*;
use crate::env::Simulation;
use crate::grants::Withheld;
use arrow::array::{ArrayRef, RecordBatch, StringArray};

struct World(Simulation);

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/jobs/job.toml", "");
        Self(simulation)
    }

    /// The files of a job whose run has just started.
    fn files(&self) -> DriverFiles {
        let job = Withheld { what: "the job file".to_owned(), path: "/jobs/job.toml".into(), from: Access::Read };
        let grants = Grants::writing("/jobs").withholding(vec![job]);
        DriverFiles::new(self.0.env().disk, "job", grants, storage(&self.0.env()))
    }

    fn begin(&self, position: usize, ms: u64, path: &str) -> Result<Option<Arc<dyn BatchWrite>>, String> {
        let (batch, ty) = (Time::from_ms(ms), RecordType::text());
        let format = FileFormat::Text;
        let save = Save { output: "out", position, batch, label: "`save` (node 5)", path, format, ty: &ty };
        self.files().begin(&save, true).map_err(|error| error.to_string())
    }

    fn write(&self, batch: &Arc<dyn BatchWrite>, line: &str) {
        let (batch, column) = (batch.clone(), Arc::new(StringArray::from(vec![line])) as ArrayRef);
        let rows = RecordBatch::try_from_iter([("value", column)]).unwrap();
        let written = self.0.run(async move {
            let mut writer = batch.writer(0, 0).await?;
            writer.write(rows).await?;
            writer.finish().await
        });
        written.unwrap().unwrap();
    }

    fn save(&self, position: usize, ms: u64, path: &str, line: &str) -> Result<bool, String> {
        let Some(batch) = self.begin(position, ms, path)? else { return Ok(false) };
        self.write(&batch, line);
        self.0.run(async move { batch.commit(1).await }).unwrap().map(|()| true).map_err(|error| error.to_string())
    }

    fn seen(&self) -> Vec<(String, String)> {
        let files = self.0.files().into_iter().filter(|(path, _)| !path.ends_with("job.toml"));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        files.map(|(path, bytes)| (path.display().to_string(), text(bytes))).collect()
    }
}

fn saved(path: &str, ms: u64, line: &str) -> Vec<(String, String)> {
    let maker = format!("job job, output out/0, batch {ms} ms\n");
    vec![(format!("/jobs/{path}/_SUCCESS"), maker), (format!("/jobs/{path}/part-00000"), format!("{line}\n"))]
}

/// S16.24, S16.26: saved rows are committed together with the id of the save. A committed save is skipped.
#[test]
fn a_save_is_committed_once() {
    let world = World::new();
    assert_eq!(world.save(0, 7, "out/x", "a"), Ok(true));
    assert_eq!(world.seen(), saved("out/x", 7, "a"));
    assert_eq!(world.save(0, 7, "out/x", "a"), Ok(false));
    assert_eq!(world.seen(), saved("out/x", 7, "a"));
}

#[test]
fn what_another_save_has_made_stays() {
    let world = World::new();
    world.save(0, 7, "out/x", "a").unwrap();
    let help = "help: move it away, or let the path have the batch's time in it, as in `out/counts-{time}`";
    for (position, ms) in [(0, 8), (1, 7)] {
        let told = format!(
            "output `save` (node 5) did not save batch 1970-01-01T00:00:00.00{ms}Z: /jobs/out/x is there already: it was saved by job job, output \
             out/0, batch 7 ms\n{help}"
        );
        assert_eq!(world.save(position, ms, "out/x", "b"), Err(told));
    }
    world.0.file("/jobs/mine/notes", "");
    world.0.file("/jobs/file", "");
    world.0.file("/jobs/empty/_SUCCESS", "");
    for (path, what) in [
        ("mine", "it is no data set that was saved"),
        ("file", "it is no data set that was saved"),
        ("empty", "a data set that some other program or output saved"),
    ] {
        let told = world.save(0, 7, path, "b").unwrap_err();
        assert_eq!(
            told,
            format!(
                "output `save` (node 5) did not save batch 1970-01-01T00:00:00.007Z: /jobs/{path} is there already: {what}\n{help}"
            )
        );
    }
}

#[test]
fn what_is_not_committed_is_not_seen_and_cleared_away() {
    let world = World::new();
    let hidden = |world: &World| world.seen().iter().filter(|(path, _)| path.contains("/.millstream-")).count();
    for (abandoned, next) in [(7, 7), (8, 9)] {
        let batch = world.begin(0, abandoned, &format!("out/{abandoned}")).unwrap().unwrap();
        world.write(&batch, "a");
        assert_eq!((world.seen().len() - hidden(&world), hidden(&world)), (if abandoned == 7 { 0 } else { 2 }, 1));
        // The host is killed, and starts again.
        assert_eq!(world.save(0, next, &format!("out/{next}"), "b"), Ok(true));
        assert_eq!(hidden(&world), 0, "{:?}", world.seen());
    }
    let batch = world.begin(0, 10, "out/10").unwrap().unwrap();
    world.write(&batch, "a");
    world.0.run(async move { batch.abort().await }).unwrap();
    let all = [saved("out/7", 7, "b"), saved("out/9", 9, "b")].concat();
    assert_eq!(world.seen(), all);
}

#[test]
fn a_file_is_written_whole() {
    let world = World::new();
    let files = world.files();
    assert_eq!(files.read("a/b", 9).unwrap(), None);
    files.write("a/b", b"1", true).unwrap();
    files.write("a/b", b"22", true).unwrap();
    assert_eq!(world.seen(), [("/jobs/a/b".to_owned(), "22".to_owned())]);
    assert_eq!(files.read("a/b", 2).unwrap().unwrap(), b"22");
    let told = |outcome: Result<(), Error>| outcome.unwrap_err().to_string();
    assert_eq!(
        told(files.read("a/b", 1).map(drop)),
        "cannot read `a/b`: it has more than limits.result_size = 1 bytes\nhelp: raise limits.result_size, or load it as a \
         data set"
    );
    world.0.file("/jobs/a/c/d", "");
    world.0.disk_space(2);
    assert!(told(files.write("a/b", b"333", true)).ends_with("help: make room on the disk"));
    assert_eq!(world.seen()[0], ("/jobs/a/b".to_owned(), "22".to_owned()));
    assert_eq!(world.seen().len(), 2);
    assert!(told(files.write("a/c", b"", true)).ends_with("help: there is a directory of that name"));
    for path in ["../a", "/a", "", "x:a", "a/.millstream-b", "a/.b/c", "job.toml", "job.toml/a"] {
        let error = files.write(path, b"", true).unwrap_err();
        assert!(error.message.starts_with("cannot write `") && error.help.is_some(), "{error}");
    }
}

#[test]
fn a_directory_stands_for_its_files() {
    let world = World::new();
    for name in ["b", "a", "_SUCCESS", ".part-0", "below/c"] {
        world.0.file(format!("/jobs/in/{name}"), "");
    }
    let list = |path: &str| {
        let entries = world.files().list(path).map_err(|error| error.to_string())?;
        Ok::<_, String>(entries.into_iter().map(|entry| entry.path.display().to_string()).collect::<Vec<_>>())
    };
    assert_eq!(list("in").unwrap(), ["/jobs/in/a", "/jobs/in/b"]);
    assert_eq!(list("in/below/c").unwrap(), ["/jobs/in/below/c"]);
    let told = list("in/below/d").unwrap_err();
    assert!(told.starts_with("cannot load `in/below/d`: ") && told.contains("job.directories"), "{told}");
}
