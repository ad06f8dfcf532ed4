//! Outputs in an object store that speaks S3.
//!
//! Owns how an object is stored in pieces: as a multipart upload, whose object the store shows only when the upload is
//! complete. Requests run on the thread that all stores share; waiting for a request blocks no thread.

use super::super::objects::{Objects, Upload};
use super::super::store::StoredPiece;
use super::client::{Client, Requests, listed, put, remove_all};
use super::failure::failure;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};
use std::io;
use std::sync::Arc;

/// The objects whose names begin with a prefix in a bucket.
pub(super) struct S3Objects(Client);

impl S3Objects {
    pub(super) const fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Objects for S3Objects {
    fn list(&self, directory: &str) -> BoxFuture<'_, io::Result<Vec<StoredPiece>>> {
        let path = self.0.path(directory);
        self.0.run(|store| async move {
            let (mut pieces, below) = listed(&store, &path).await?;
            let directories = below.iter().map(|path| path.filename().unwrap_or_default().to_owned() + "/");
            pieces.extend(directories.map(|name| StoredPiece { name, bytes: 0 }));
            Ok(pieces)
        })
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>> {
        let path = self.0.path(name);
        self.0.run(|store| async move { put(&store, &path, bytes).await })
    }

    fn upload(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Upload>>> {
        let (requests, path) = (self.0.requests().clone(), self.0.path(name));
        self.0.run(|store| async move {
            let upload = store.put_multipart(&path).await.map_err(failure)?;
            Ok(Box::new(S3Upload { upload: Some(upload), requests }) as Box<dyn Upload>)
        })
    }

    fn remove(&self, names: Vec<String>) -> BoxFuture<'_, io::Result<()>> {
        let paths: Vec<Path> = names.iter().map(|name| self.0.path(name)).collect();
        self.0.run(|store| async move { remove_all(&store, paths).await })
    }
}

struct S3Upload {
    /// The upload; `None` when it is complete.
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
            // If this fails, the store keeps parts that are not visible. A rule of the bucket can remove them.
            self.requests.start_request(async move {
                let _ = upload.abort().await;
            });
        }
    }
}
