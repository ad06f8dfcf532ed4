//! Who may write to the place of an output: only one run at a time, of all jobs.
//!
//! Owns the lock files `.millstream-owner-HASH.lock` in the directories that outputs write to. There are three kinds.
//! One is for the prefix and the suffix of an output, so that two jobs do not replace each other's batches. One is for
//! the output itself, whose hidden directories are named after job and output. One is for the driver functions of a
//! job, in each directory that the job grants. The system releases a lock when the process ends, however it ends. If a
//! killed process has left a file, the next run takes the file over, and removes it when the run ends. Object stores
//! have no locks. For them, owns where a claim is stored; the caller that starts the run makes the claim.

use super::error::SaveError;
use super::identified;
use super::names::{dotted, pattern};
use crate::data::key::hash;
use crate::env::{Disk, Env, LockGuard};
use crate::error::{Error, ErrorKind};
use crate::grants::{GrantedPlace, Grants, RESERVED_PREFIX};
use crate::graph::{Graph, Operation};
use crate::shown::Shown as _;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The longest description of a lock's holder that is read, in bytes.
const HOLDER_BYTES_MAX: u64 = 4096;

/// The places that only this job may write to. Dropping the value, at the end of the job, releases the places.
#[derive(Default)]
pub struct OutputClaims {
    held: Vec<Held>,
}

/// A lock file that this job holds.
struct Held {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The lock is released after the file was removed. Otherwise a waiting process would get the lock of a file that
    /// has no name any more.
    _lock: LockGuard,
}

impl Drop for Held {
    fn drop(&mut self) {
        // If the file stays, the next run takes it over.
        let _ = self.disk.remove(&self.path);
    }
}

/// The right to write to a place in an object store.
pub trait Claim: Send + Sync {
    /// Checks that no other run has taken the place over.
    ///
    /// # Errors
    /// If another run has taken it over, or if the store does not answer.
    fn check(&self) -> Result<(), Error>;
}

/// The place of an output in an object store.
#[derive(Clone)]
pub struct StorePlace {
    /// The URL of the claim.
    pub claim_url: String,
    /// The output that writes, as in `output counts (save_as_text_files, node 3)`.
    pub writer: String,
    /// The place that it writes to.
    pub place: String,
    /// The claim that the output checks before each commit.
    claim: Arc<OnceLock<Arc<dyn Claim>>>,
}

impl StorePlace {
    /// Makes the place below `url` where the names of batches begin with `name` and end with `suffix`.
    pub(super) fn new(url: &str, name: &str, suffix: &str, writer: &str) -> Self {
        let hash = hash([name, suffix].join("\0").as_bytes());
        Self {
            claim_url: format!("{url}/{RESERVED_PREFIX}owner-{hash:016x}"),
            writer: format!("output {writer}"),
            place: format!("{url}/{name}-TIME_IN_MS{suffix}"),
            claim: Arc::default(),
        }
    }

    /// Sets the claim that the output checks. Only the first call has an effect.
    pub fn claimed(&self, claim: Arc<dyn Claim>) {
        let _ = self.claim.set(claim);
    }

    /// Checks that the place belongs to this run. Succeeds if no claim was set.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.claim.get().map_or(Ok(()), |claim| claim.check())
    }
}

/// What a lock file protects, for messages.
struct Subject {
    /// The output that writes, as in `output counts (save_as_text_files, node 3)`.
    writer: String,
    /// The place that it writes to.
    place: String,
}

fn lock_file(directory: &Path, what: &[&str]) -> PathBuf {
    directory.join(format!("{RESERVED_PREFIX}owner-{:016x}.lock", hash(what.join("\0").as_bytes())))
}

/// The lock files of a job's outputs on disks. Directories that do not exist yet are created.
fn lock_files(env: &Env, job: &str, graph: &Graph, grants: &Grants) -> Result<BTreeMap<PathBuf, Subject>, Error> {
    let mut files = BTreeMap::new();
    for (id, node, _) in identified(job, graph) {
        let Operation::SaveAsFiles { prefix, suffix, .. } = &node.operation else { continue };
        let writer = format!("output {node}");
        let failed = |error| {
            let error = SaveError::from(error);
            Error::new(ErrorKind::User, format!("{writer} cannot be written: {error}")).help(error.help())
        };
        let GrantedPlace::Disk(place) = grants.resolve_place(prefix).map_err(failed)? else { continue };
        let directory = place.make_parent(&*env.disk).map_err(failed)?;
        for what in [&["place", place.name(), &dotted(suffix)], &["output", &*id.job, &*id.output]] {
            let subject = Subject { writer: writer.clone(), place: pattern(&place.path(), suffix) };
            files.insert(lock_file(&directory, what), subject);
        }
    }
    if graph.nodes().iter().any(|node| node.operation.is_driver()) {
        for directory in grants.directories() {
            // A directory that does not exist yet is created here, as the first write would create it.
            let around = directory.parent().unwrap_or(directory);
            let around = if around.as_os_str().is_empty() { Path::new(".") } else { around };
            if env.disk.canonicalize(directory).is_err() && env.disk.canonicalize(around).is_ok() {
                let _ = env.disk.create_directory(directory);
            }
            let Ok(directory) = env.disk.canonicalize(directory) else { continue };
            // Driver functions that may only read in a directory need no lock there.
            if env.disk.check_writable(&directory).is_ok() {
                let writer = format!("the driver functions of job {job}");
                let place = directory.shown().into_owned();
                files.insert(lock_file(&directory, &["driver functions", job]), Subject { writer, place });
            }
        }
    }
    Ok(files)
}

impl OutputClaims {
    /// Takes the places on disks of the outputs of a job's graph. Places that the job has taken before stay taken.
    ///
    /// # Errors
    /// If another job has one of the places, or if a directory cannot be written to. Then no place is taken.
    pub fn add(&mut self, env: &Env, job: &str, graph: &Graph, grants: &Grants) -> Result<(), Error> {
        let mut claims = Self::default();
        // The locks are taken in the order of their paths, so that one of two runs that start at the same time gets all
        // of them.
        for (path, subject) in lock_files(env, job, graph, grants)? {
            if self.held.iter().any(|held| held.path == path) {
                continue;
            }
            let Subject { writer, place } = subject;
            match env.disk.lock(&path) {
                Ok(Some(lock)) => {
                    let holder = format!("job {job}, {}, since {}\n", env.identity, env.clock.now());
                    // The description of the holder is only for people. The lock holds without it.
                    let _ = env.disk.create(&path).and_then(|mut file| file.write_all(holder.as_bytes()));
                    claims.held.push(Held { disk: env.disk.clone(), path, _lock: lock });
                }
                Ok(None) => {
                    let holder = holder(&*env.disk, &path).unwrap_or_else(|| "another run".to_owned());
                    return Err(Error::new(
                        ErrorKind::User,
                        format!("{writer} cannot write to {place}: {holder} does"),
                    )
                    .help("stop that host with `host stop`, or give the output a place of its own"));
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!(
                        "{writer}: nothing keeps a second run from writing to {place}, as its disk has no locks"
                    );
                }
                Err(error) => {
                    let error = SaveError::Disk { action: "lock", path, error };
                    let message = format!("{writer} cannot write to {place}: {error}");
                    return Err(Error::new(ErrorKind::Unavailable, message).help(error.help()));
                }
            }
        }
        self.held.append(&mut claims.held);
        Ok(())
    }
}

/// The holder of a lock, as the lock file describes it; `None` if the file says nothing.
fn holder(disk: &dyn Disk, path: &Path) -> Option<String> {
    let text = String::from_utf8(disk.read(path, HOLDER_BYTES_MAX).ok()?).ok()?;
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.shown().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Access;
    use crate::data::schema::Field;
    use crate::env::Simulation;
    use crate::grants::GrantedDirectory;
    use crate::graph::{DescribedNode, ParameterValue};
    use crate::time::Time;

    /// A job that saves to each of these prefixes.
    fn graph(prefixes: &[(&str, &str)]) -> Graph {
        let rows =
            Field { name: "value".into(), kind: "text".into(), nullable: false, children: 0, metadata: Vec::new() };
        let text = |name: &str, value: &str| (name.to_owned(), ParameterValue::Text(value.to_owned()));
        let node = |kind: &str, parents: &[u32], parameters, rows: &[Field]| DescribedNode {
            kind: kind.to_owned(),
            name: None,
            parents: parents.to_vec(),
            parameters,
            rows: rows.to_vec(),
            exchanged: None,
            state: None,
            earlier_state: None,
        };
        let mut nodes = vec![node("source", &[], vec![text("source", "lines")], std::slice::from_ref(&rows))];
        for (prefix, suffix) in prefixes {
            nodes.push(node("save_as_text_files", &[0], vec![text("prefix", prefix), text("suffix", suffix)], &[]));
        }
        Graph::from_described(&nodes).unwrap()
    }

    fn take(simulation: &Simulation, job: &str, prefixes: &[(&str, &str)]) -> Result<OutputClaims, String> {
        let granted = GrantedDirectory { path: "/data".into(), access: Access::Write };
        let grants = Grants::new("/jobs".into(), BTreeMap::from([("data".to_owned(), granted)]));
        let mut claims = OutputClaims::default();
        let added = claims.add(&simulation.env(), job, &graph(prefixes), &grants);
        added.map(|()| claims).map_err(|error| error.to_string())
    }

    fn world() -> Simulation {
        let simulation = Simulation::new(1, Time::from_ms(5));
        simulation.file("/data/input", "");
        simulation
    }

    #[test]
    fn a_place_has_one_writer() {
        let simulation = world();
        let first = take(&simulation, "one", &[("data:out/counts", "txt")]).unwrap();
        let refused = take(&simulation, "one", &[("data:out/counts", "txt")]).err().unwrap();
        assert!(refused.contains("cannot write to /data/out/counts-TIME_IN_MS.txt: job one, "), "{refused}");
        assert!(refused.contains(", since 1970-01-01T00:00:00.005Z does\nhelp: stop that host"), "{refused}");
        // Another job, the same prefix; and the same job after its prefix was changed.
        assert!(take(&simulation, "two", &[("data:out/counts", "txt")]).is_err());
        assert!(take(&simulation, "one", &[("data:out/others", "txt")]).is_err());
        // Another job beside it.
        drop(take(&simulation, "two", &[("data:out/others", "txt"), ("data:out/counts", "csv")]).unwrap());
        drop(first);
        assert!(simulation.files().keys().all(|path| !path.starts_with("/data/out")), "{:?}", simulation.files());
        take(&simulation, "two", &[("data:out/counts", "txt")]).unwrap();
    }

    /// A second graph of a job may write to the places of the first graph.
    #[test]
    fn a_job_keeps_its_places_and_adds_others() {
        let simulation = world();
        let mut claims = take(&simulation, "one", &[("data:a/counts", "")]).unwrap();
        let granted = GrantedDirectory { path: "/data".into(), access: Access::Write };
        let grants = Grants::new("/jobs".into(), BTreeMap::from([("data".to_owned(), granted)]));
        let both = graph(&[("data:a/counts", ""), ("data:b/counts", "")]);
        claims.add(&simulation.env(), "one", &both, &grants).unwrap();
        assert!(take(&simulation, "two", &[("data:a/counts", "")]).is_err());
        assert!(take(&simulation, "two", &[("data:b/counts", "")]).is_err());
    }

    #[test]
    fn who_gets_some_of_the_places_gives_them_back() {
        let simulation = world();
        let _first = take(&simulation, "one", &[("data:b/counts", "")]).unwrap();
        assert!(take(&simulation, "two", &[("data:a/counts", ""), ("data:b/counts", "")]).is_err());
        take(&simulation, "three", &[("data:a/counts", "")]).unwrap();
    }
}
