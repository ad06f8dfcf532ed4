//! Outputs in an object store that speaks S3.
//!
//! Owns how an object that comes in pieces gets there: as an upload in parts, which the store shows when it is completed.
//! Requests run on the thread of all stores; who waits for them does not hold a thread.

use super::super::objects::{Objects, Upload};
use super::super::store::StoredPiece;
use super::{Requests, failure, remove_all};
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};
use std::io;
use std::sync::Arc;

/// What begins with a prefix in a bucket.
pub(super) struct S3Objects {
    store: Arc<dyn ObjectStore>,
    requests: Arc<Requests>,
    prefix: Path,
}

impl S3Objects {
    pub(super) const fn new(store: Arc<dyn ObjectStore>, requests: Arc<Requests>, prefix: Path) -> Self {
        Self { store, requests, prefix }
    }

    fn path(&self, name: &str) -> Path {
        let parts = name.split('/').filter(|part| !part.is_empty());
        parts.fold(self.prefix.clone(), |path, part| path.join(part))
    }
}

impl Objects for S3Objects {
    fn list(&self, directory: &str) -> BoxFuture<'_, io::Result<Vec<StoredPiece>>> {
        let (store, path) = (self.store.clone(), self.path(directory));
        let listed = async move {
            let prefix = (!path.as_ref().is_empty()).then_some(&path);
            let listed = store.list_with_delimiter(prefix).await.map_err(failure)?;
            let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
            let objects = listed.objects.iter();
            let objects = objects.map(|object| StoredPiece { name: name(&object.location), bytes: object.size });
            let directories = listed.common_prefixes.iter();
            let directories = directories.map(|path| StoredPiece { name: name(path) + "/", bytes: 0 });
            Ok(objects.chain(directories).collect())
        };
        self.requests.run(listed)
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>> {
        let (store, path) = (self.store.clone(), self.path(name));
        let put = async move { store.put(&path, PutPayload::from(bytes)).await.map(drop).map_err(failure) };
        self.requests.run(put)
    }

    fn upload(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Upload>>> {
        let (store, requests, path) = (self.store.clone(), self.requests.clone(), self.path(name));
        self.requests.run(async move {
            let upload = store.put_multipart(&path).await.map_err(failure)?;
            Ok(Box::new(S3Upload { upload: Some(upload), requests }) as Box<dyn Upload>)
        })
    }

    fn remove(&self, names: Vec<String>) -> BoxFuture<'_, io::Result<()>> {
        let store = self.store.clone();
        let paths: Vec<Path> = names.iter().map(|name| self.path(name)).collect();
        self.requests.run(async move { remove_all(&store, paths).await })
    }
}

struct S3Upload {
    /// Absent when it is completed.
    upload: Option<Box<dyn MultipartUpload>>,
    requests: Arc<Requests>,
}

impl Upload for S3Upload {
    fn add(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>> {
        let Some(upload) = &mut self.upload else { return Box::pin(async { Err(io::ErrorKind::BrokenPipe.into()) }) };
        let part = upload.put_part(PutPayload::from(bytes));
        self.requests.run(async move { part.await.map_err(failure) })
    }

    fn complete(mut self: Box<Self>) -> BoxFuture<'static, io::Result<()>> {
        let (upload, requests) = (self.upload.take(), self.requests.clone());
        Box::pin(async move {
            let Some(mut upload) = upload else { return Err(io::ErrorKind::BrokenPipe.into()) };
            requests.run(async move { upload.complete().await.map(drop).map_err(failure) }).await
        })
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            // What the store keeps if this fails nobody sees; a rule of the bucket can remove it.
            self.requests.start_request(async move {
                let _ = upload.abort().await;
            });
        }
    }
}
