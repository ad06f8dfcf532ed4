//! The objects of each batch in an object store, below a name of their own.
//!
//! Owns the order in which the objects appear. An object store cannot rename a directory. So the last object of a
//! batch, `_SUCCESS`, says that all the others are there, and a reader of a batch looks for it first. Partitions are
//! uploaded while their tasks run, and become visible when the batch is committed:
//!
//! 1. If an earlier run of the batch has left `_SUCCESS`, that object is removed.
//! 2. The objects of all partitions are completed. Each of them replaces the object that had its name.
//! 3. Objects of partitions that only an earlier run had are removed.
//! 4. `_SUCCESS` is put.
//!
//! A crash between these steps leaves objects without `_SUCCESS`. The batch then runs again and writes its objects
//! again. Never knows the content of the objects.

use super::encoder::Part;
use super::encoding::FileEncoder;
use super::error::SaveError;
use super::names::{PART, SUCCESS, check_name, dotted, part_name};
use super::ownership::StorePlace;
use super::{BatchWrite, Output, PartitionWriter};
use crate::block::{Described, RowStorage, SpillError};
use crate::data::schema::RecordType;
use crate::env::{Objects, UPLOAD_PIECE_BYTES, Upload};
use crate::error::Error;
use crate::grants::{GrantError, check_suffix};
use crate::graph::FileFormat;
use crate::lock::lock;
use crate::shown::Shown as _;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// An object of at most this size is kept in memory until the commit, because an upload takes three requests.
const KEPT_BYTES_MAX: usize = 64 << 10;
/// How many objects are completed at the same time.
const COMPLETED_AT_ONCE: usize = 16;

/// An output that saves rows of one type in an object store.
pub(super) struct ObjectsOutput {
    shared: Arc<Shared>,
}

struct Shared {
    objects: Arc<dyn Objects>,
    /// The name of the output in messages.
    label: String,
    /// The URL below which all objects are.
    url: String,
    /// The beginning of the name of each batch.
    name: String,
    suffix: String,
    format: FileFormat,
    ty: RecordType,
    claim: StorePlace,
    storage: RowStorage,
}

/// The place in an object store at which an output saves its objects.
pub(super) struct ObjectsPlace<'a> {
    /// The prefix in the store.
    pub(super) url: String,
    /// The last part of the path.
    pub(super) name: String,
    /// The path as the plugin gives it, for messages.
    pub(super) text: &'a str,
    /// The suffix of the names of batches.
    pub(super) suffix: &'a str,
}

impl ObjectsOutput {
    /// Makes an output. `label` is its name in messages. No request is sent to the store.
    pub(super) fn new(
        objects: Arc<dyn Objects>,
        label: &str,
        place: ObjectsPlace<'_>,
        format: FileFormat,
        ty: RecordType,
        storage: RowStorage,
    ) -> Result<Self, GrantError> {
        let ObjectsPlace { url, name, text, suffix } = place;
        check_suffix(suffix)?;
        let suffix = dotted(suffix);
        check_name(&name, &suffix, text)?;
        let claim = StorePlace::new(&url, &name, &suffix, label);
        let shared = Shared { objects, label: label.to_owned(), url, name, suffix, format, ty, claim, storage };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The place, with `TIME_IN_MS` in place of the time.
    pub(super) fn pattern(&self) -> String {
        self.shared.claim.place.clone()
    }

    /// The place of the output, which a run has to claim.
    pub(super) fn claim(&self) -> StorePlace {
        self.shared.claim.clone()
    }
}

impl Output for ObjectsOutput {
    fn begin(&self, batch: Time, _: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        Box::pin(async move {
            let name = format!("{}-{}{}", self.shared.name, batch.as_ms(), self.shared.suffix);
            let work = Arc::new(ObjectsBatch { shared: self.shared.clone(), batch, name, finished: Mutex::default() });
            // Objects of somebody else are noticed before the batch is computed.
            work.found().await.map_err(|error| work.error(&error))?;
            Ok(Arc::new(Committing(work)) as Arc<dyn BatchWrite>)
        })
    }
}

/// The objects of one batch, while its tasks run.
struct ObjectsBatch {
    shared: Arc<Shared>,
    batch: Time,
    /// The beginning of the names of the batch's objects, before a `/`.
    name: String,
    /// For each partition: the object that its last attempt has made.
    finished: Mutex<BTreeMap<u32, Brought>>,
}

/// An object that is not visible yet.
enum Brought {
    Kept(Vec<u8>, Described),
    Uploaded(Box<dyn Upload>),
}

impl ObjectsBatch {
    fn error(&self, error: &SaveError) -> Error {
        error.of_output(&self.shared.label, self.batch)
    }

    fn cannot(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> SaveError {
        let url = format!("{}/{}/{name}", self.shared.url, self.name);
        move |error| SaveError::Store { action, url, error }
    }

    fn part_name(&self, partition: u32) -> String {
        part_name(partition, self.shared.format)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    fn finished(&self) -> MutexGuard<'_, BTreeMap<u32, Brought>> {
        lock(&self.finished)
    }

    /// The names of the existing objects. It is an error if there are objects that no output has made: they must not be
    /// replaced.
    async fn found(&self) -> Result<BTreeSet<String>, SaveError> {
        let found = self.shared.objects.list(&self.name).await.map_err(self.cannot("list", ""))?;
        let is_foreign = |name: &str| name != SUCCESS && (!name.starts_with(PART) || name.ends_with('/'));
        let names: BTreeSet<String> = found.into_iter().map(|piece| piece.name).collect();
        match names.iter().find(|name| is_foreign(name)) {
            Some(name) => {
                let path = PathBuf::from(format!("{}/{}", self.shared.url, self.name));
                let what = format!("it holds `{}`, which no output has put there", name.shown());
                Err(SaveError::InTheWay { path, what })
            }
            None => Ok(names),
        }
    }

    async fn commit(&self, partitions: u32) -> Result<(), SaveError> {
        let mut finished = std::mem::take(&mut *self.finished());
        if let Some(missing) = (0..partitions).find(|partition| !finished.contains_key(partition)) {
            return Err(SaveError::Missing(PathBuf::from(self.path(&self.part_name(missing)))));
        }
        // Dropping an upload gives it up. These are the uploads of partitions that the last stage does not have.
        drop(finished.split_off(&partitions));
        let mut old = self.found().await?;
        if old.remove(SUCCESS) {
            let gone = vec![self.path(SUCCESS)];
            self.shared.objects.remove(gone).await.map_err(self.cannot("remove", SUCCESS))?;
        }
        let complete = |(partition, brought): (u32, Brought)| async move {
            let name = self.part_name(partition);
            let completed = match brought {
                Brought::Kept(bytes, _room) => self.shared.objects.put(&self.path(&name), bytes).await,
                Brought::Uploaded(upload) => upload.complete().await,
            };
            completed.map_err(self.cannot("write", &name))
        };
        let completed = stream::iter(finished).map(complete).buffer_unordered(COMPLETED_AT_ONCE);
        completed.try_collect::<Vec<()>>().await?;
        let current: BTreeSet<String> = (0..partitions).map(|partition| self.part_name(partition)).collect();
        old.retain(|name| !current.contains(name));
        if !old.is_empty() {
            let gone = old.iter().map(|name| self.path(name)).collect();
            self.shared
                .objects
                .remove(gone)
                .await
                .map_err(self.cannot("remove what is left of an earlier run in", ""))?;
        }
        let done = self.shared.objects.put(&self.path(SUCCESS), Vec::new());
        done.await.map_err(self.cannot("write", SUCCESS))
    }
}

/// The handle of a batch that the engine and the scheduler use.
struct Committing(Arc<ObjectsBatch>);

impl BatchWrite for Committing {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        let batch = self.0.clone();
        Box::pin(async move {
            let Shared { format, ty, storage, .. } = &*batch.shared;
            let encoder = FileEncoder::new(*format, ty, storage).map_err(|error| batch.error(&error))?;
            let writer = ObjectWriter { batch, partition, encoder, bytes: Vec::new(), upload: None };
            Ok(Box::new(writer) as Box<dyn PartitionWriter>)
        })
    }

    fn commit(&self, partitions: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.0.shared.claim.check()?;
            self.0.commit(partitions).await.map_err(|error| self.0.error(&error))
        })
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        // Dropping an upload gives it up.
        self.0.finished().clear();
        Box::pin(std::future::ready(()))
    }
}

impl Part for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Takes the rows of an attempt at a partition.
struct ObjectWriter {
    batch: Arc<ObjectsBatch>,
    partition: u32,
    encoder: FileEncoder,
    /// The bytes that were encoded and not uploaded yet.
    bytes: Vec<u8>,
    upload: Option<Box<dyn Upload>>,
}

/// Uploads `bytes` as the next piece of an object. Begins the upload if this is the first piece.
async fn add(
    batch: &ObjectsBatch,
    partition: u32,
    upload: &mut Option<Box<dyn Upload>>,
    bytes: Vec<u8>,
) -> Result<(), SaveError> {
    let name = batch.part_name(partition);
    let upload = match upload {
        Some(upload) => upload,
        None => {
            let begun = batch.shared.objects.upload(&batch.path(&name)).await;
            upload.insert(begun.map_err(batch.cannot("write", &name))?)
        }
    };
    upload.add(bytes).await.map_err(batch.cannot("write", &name))
}

impl ObjectWriter {
    async fn upload_whole_pieces(&mut self) -> Result<(), SaveError> {
        while self.bytes.len() >= UPLOAD_PIECE_BYTES {
            let rest = self.bytes.split_off(UPLOAD_PIECE_BYTES);
            let piece = std::mem::replace(&mut self.bytes, rest);
            add(&self.batch, self.partition, &mut self.upload, piece).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), SaveError> {
        self.upload_whole_pieces().await?;
        let Self { batch, partition, encoder, mut bytes, mut upload } = self;
        let _room = encoder.finish(&mut bytes)?;
        while bytes.len() > UPLOAD_PIECE_BYTES {
            let rest = bytes.split_off(UPLOAD_PIECE_BYTES);
            add(&batch, partition, &mut upload, std::mem::replace(&mut bytes, rest)).await?;
        }
        // Many partitions may keep their objects in memory, so the memory of these bytes is taken from the budget.
        let kept = if upload.is_none() && bytes.len() <= KEPT_BYTES_MAX {
            batch.shared.storage.descriptions(bytes.len()).ok()
        } else {
            None
        };
        if kept.is_none() && !bytes.is_empty() {
            add(&batch, partition, &mut upload, std::mem::take(&mut bytes)).await?;
        }
        let brought = match (upload, kept) {
            (Some(upload), _) => Brought::Uploaded(upload),
            (None, Some(room)) => Brought::Kept(bytes, room),
            (None, None) => Brought::Kept(bytes, batch.shared.storage.descriptions(0).map_err(SpillError::from)?),
        };
        // The upload of an earlier attempt is given up.
        drop(batch.finished().insert(partition, brought));
        Ok(())
    }
}

impl PartitionWriter for ObjectWriter {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            // A piece that is being uploaded is in memory together with the next piece.
            let waiting = self.bytes.capacity() + self.upload.as_ref().map_or(0, |_| UPLOAD_PIECE_BYTES);
            let written = self.encoder.write(&rows, waiting, &mut self.bytes);
            written.map_err(|error| self.batch.error(&error))?;
            self.upload_whole_pieces().await.map_err(|error| self.batch.error(&error))
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let batch = self.batch.clone();
            Self::finish(*self).await.map_err(|error| batch.error(&error))
        })
    }
}

#[cfg(test)]
mod tests;
