//! The objects below a prefix of a bucket, and the thread on which requests for them run.
//!
//! Owns the operations that checkpoints and outputs share: names, lists, whole objects, removal.

use super::super::store::StoredPiece;
use super::failure::failure;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use object_store::path::Path;
use object_store::{Error as ObjectError, ObjectStore, ObjectStoreExt as _, PutPayload};
use std::io;
use std::sync::{Arc, mpsc};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Runs requests on a thread of its own.
#[derive(Debug)]
pub(super) struct Requests(Option<Runtime>);

impl Requests {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("object store").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn start_request(&self, request: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(request);
        }
    }

    /// Starts a request, and waits for it without blocking a thread. The request continues even if nobody waits any
    /// more.
    pub(super) fn run<T: Send + 'static>(
        &self,
        request: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, io::Result<T>> {
        let (send, receive) = oneshot::channel();
        self.start_request(async move {
            // Nobody may be waiting any more.
            let _ = send.send(request.await);
        });
        Box::pin(async move { receive.await.unwrap_or_else(|_| Err(io::Error::other("the request was given up"))) })
    }

    /// Starts a request, and blocks this thread until the request ends. The thread may belong to another runtime, where
    /// blocking on a future is not allowed.
    fn wait<T: Send + 'static>(&self, request: impl Future<Output = io::Result<T>> + Send + 'static) -> io::Result<T> {
        let (send, receive) = mpsc::sync_channel(1);
        let run = async move {
            // Nobody waits if the program is ending.
            let _ = send.send(request.await);
        };
        self.start_request(run);
        receive.recv().unwrap_or_else(|_| Err(io::Error::other("the request was given up")))
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for the runtime's end could happen on a thread of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// The objects whose names begin with a prefix in a bucket.
#[derive(Clone)]
pub(super) struct Client {
    store: Arc<dyn ObjectStore>,
    requests: Arc<Requests>,
    prefix: Path,
}

impl Client {
    pub(super) const fn new(store: Arc<dyn ObjectStore>, requests: Arc<Requests>, prefix: Path) -> Self {
        Self { store, requests, prefix }
    }

    /// The path of an object, or of a directory.
    pub(super) fn path(&self, name: &str) -> Path {
        let parts = name.split('/').filter(|part| !part.is_empty());
        parts.fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// The thread of the requests.
    pub(super) const fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    /// Starts a request, and waits for it without blocking a thread.
    pub(super) fn run<T: Send + 'static, F: Future<Output = io::Result<T>> + Send + 'static>(
        &self,
        request: impl FnOnce(Arc<dyn ObjectStore>) -> F,
    ) -> BoxFuture<'static, io::Result<T>> {
        self.requests.run(request(self.store.clone()))
    }

    /// Starts a request, and blocks this thread until the request ends.
    pub(super) fn wait<T: Send + 'static, F: Future<Output = io::Result<T>> + Send + 'static>(
        &self,
        request: impl FnOnce(Arc<dyn ObjectStore>) -> F,
    ) -> io::Result<T> {
        self.requests.wait(request(self.store.clone()))
    }
}

/// The objects directly in a directory, by the last parts of their names, and the paths of the directories in it.
pub(super) async fn listed(store: &Arc<dyn ObjectStore>, path: &Path) -> io::Result<(Vec<StoredPiece>, Vec<Path>)> {
    let prefix = (!path.as_ref().is_empty()).then_some(path);
    let listed = store.list_with_delimiter(prefix).await.map_err(failure)?;
    let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
    let objects = listed.objects.iter();
    let objects = objects.map(|object| StoredPiece { name: name(&object.location), bytes: object.size });
    Ok((objects.collect(), listed.common_prefixes))
}

/// Stores an object. An existing object with the name is replaced.
pub(super) async fn put(store: &Arc<dyn ObjectStore>, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
    store.put(path, PutPayload::from(bytes)).await.map(drop).map_err(failure)
}

/// Removes those of the objects that exist.
pub(super) async fn remove_all(store: &Arc<dyn ObjectStore>, paths: Vec<Path>) -> io::Result<()> {
    let gone: Vec<Result<Path, ObjectError>> = paths.into_iter().map(Ok).collect();
    let mut removed = store.delete_stream(stream::iter(gone).boxed());
    while let Some(removed) = removed.next().await {
        match removed {
            Ok(_) | Err(ObjectError::NotFound { .. }) => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Ok(())
}
