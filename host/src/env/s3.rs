//! Object stores that speak S3. This file stores checkpoints, and `objects.rs` stores outputs.
//!
//! Owns the crate `object_store`: no other module uses it. An object cannot grow. So a piece that grows is a sequence
//! of objects `NAME.pieces/NUMBER`. Each of these objects is created once and never replaced. Reading, listing and
//! removing treat them as one piece. A call waits for the network on the thread that makes the call, which may be any
//! thread; the requests run on a thread of the store's own. Never takes credentials from anywhere but the environment
//! variables.

mod client;
mod failure;
mod objects;

use self::client::{Client, Requests, listed, put, remove_all};
use self::failure::failure;
use self::objects::S3Objects;
use super::{Appender, LockGuard, ObjectStores, Objects, Store, StoredPiece};
use crate::lock::lock;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error as ObjectError, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMode, PutOptions, PutPayload, RetryConfig,
};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is appended to the name of a piece that grows, before the `/` of its objects.
const PIECES: &str = ".pieces";
/// A piece with this many objects is long.
const PIECES_MAX: u32 = 256;
/// How many objects of a piece are read at the same time.
const READ_AT_ONCE: usize = 16;
/// The longest times of requests.
#[derive(Clone, Copy)]
struct Patience {
    /// The longest time to make a connection.
    connect: Duration,
    /// The longest time of one request.
    request: Duration,
    /// How many times a request is sent again, and for how long. After a pause, the caller tries again, too.
    retries: usize,
    retry: Duration,
}

/// These times are shorter than the time for which a claim on a checkpoint directory is valid.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(3),
    request: Duration::from_secs(8),
    retries: 3,
    retry: Duration::from_secs(5),
};

/// The times for outputs. Their pieces are larger, and nothing else waits for them.
const PATIENCE_OF_OUTPUTS: Patience = Patience {
    connect: Duration::from_secs(5),
    request: Duration::from_secs(60),
    retries: 5,
    retry: Duration::from_secs(30),
};

/// Opens object stores. The environment variables say how to reach them.
#[derive(Default)]
pub(super) struct S3 {
    /// The thread of the requests. It is started with the first store.
    requests: Mutex<Option<Arc<Requests>>>,
}

impl S3 {
    fn requests(&self) -> io::Result<Arc<Requests>> {
        // No code runs between a panic and the next use of the lock.
        let mut requests = lock(&self.requests);
        if let Some(requests) = &*requests {
            return Ok(requests.clone());
        }
        Ok(requests.insert(Arc::new(Requests::start()?)).clone())
    }
}

fn of_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl ObjectStores for S3 {
    fn open(&self, url: &str) -> io::Result<Arc<dyn Store>> {
        let (bucket, prefix) = split(url)?;
        let store = Arc::new(connect(&bucket, PATIENCE, of_environment)?);
        Ok(Arc::new(S3Store::new(Client::new(store, self.requests()?, prefix), url)))
    }

    fn outputs(&self, url: &str) -> io::Result<Arc<dyn Objects>> {
        let (bucket, prefix) = split(url)?;
        let store = Arc::new(connect(&bucket, PATIENCE_OF_OUTPUTS, of_environment)?);
        Ok(Arc::new(S3Objects::new(Client::new(store, self.requests()?, prefix))))
    }
}

/// The bucket and the prefix of a URL.
fn split(url: &str) -> io::Result<(String, Path)> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a URL such as s3://bucket/prefix");
    let rest = url.strip_prefix("s3://").ok_or_else(invalid)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(invalid());
    }
    let prefix = Path::parse(prefix).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok((bucket.to_owned(), prefix))
}

/// Makes a client for a bucket, from the environment variables.
fn connect(bucket: &str, patience: Patience, variable: impl Fn(&str) -> Option<String>) -> io::Result<AmazonS3> {
    let missing = |names: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{names} is not set"));
    let required = |name: &str| variable(name).ok_or_else(|| missing(name));
    let key = required("AWS_ACCESS_KEY_ID")?;
    let secret = required("AWS_SECRET_ACCESS_KEY")?;
    let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let region = match (region, &endpoint) {
        (Some(region), _) => region,
        // Servers of other vendors than Amazon accept any region.
        (None, Some(_)) => "us-east-1".to_owned(),
        (None, None) => return Err(missing("AWS_REGION")),
    };
    let allows_http = variable("AWS_ALLOW_HTTP").is_some_and(|value| matches!(value.as_str(), "true" | "1"));
    if let Some(endpoint) = &endpoint
        && endpoint.starts_with("http://")
        && !allows_http
    {
        let message = format!("AWS_ENDPOINT_URL is {endpoint}, which is not encrypted, and AWS_ALLOW_HTTP is not true");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let client = ClientOptions::new()
        .with_timeout(patience.request)
        .with_connect_timeout(patience.connect)
        .with_allow_http(allows_http);
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(2),
        ..BackoffConfig::default()
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_access_key_id(key)
        .with_secret_access_key(secret)
        .with_client_options(client)
        .with_retry(RetryConfig { backoff, max_retries: patience.retries, retry_timeout: patience.retry });
    if let Some(token) = variable("AWS_SESSION_TOKEN") {
        builder = builder.with_token(token);
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build().map_err(failure)
}

/// A store of the objects whose names begin with a prefix in a bucket.
struct S3Store {
    client: Client,
    place: String,
}

impl S3Store {
    fn new(client: Client, place: &str) -> Self {
        Self { client, place: place.to_owned() }
    }

    /// The objects and the directories directly in a directory.
    fn listed(&self, directory: &str) -> io::Result<(Vec<StoredPiece>, Vec<Path>)> {
        let path = self.client.path(directory);
        self.client.wait(|store| async move { listed(&store, &path).await })
    }
}

impl Store for S3Store {
    fn read(&self, name: &str, max_bytes: u64) -> io::Result<Vec<u8>> {
        let path = self.client.path(name);
        self.client.wait(|store| async move {
            match whole(store.get(&path).await, max_bytes).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => read_pieces(&store, &path, max_bytes).await,
                found => found,
            }
        })
    }

    fn list(&self, directory: &str) -> io::Result<Vec<StoredPiece>> {
        let (mut pieces, below) = self.listed(directory)?;
        for grown in below {
            let name = grown.filename().and_then(|name| name.strip_suffix(PIECES)).map(str::to_owned);
            let Some(name) = name else { continue };
            let objects = self.client.wait(|store| async move { list_pieces(&store, &grown).await })?;
            // If the directory has no objects, it was removed while this listing ran.
            if !objects.is_empty() {
                pieces.push(StoredPiece { name, bytes: objects.iter().map(|object| object.size).sum() });
            }
        }
        pieces.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pieces)
    }

    fn directories(&self, directory: &str) -> io::Result<Vec<String>> {
        let (_, below) = self.listed(directory)?;
        let names = below.iter().filter_map(Path::filename).filter(|name| !name.ends_with(PIECES));
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, bytes) = (self.client.path(name), bytes.to_vec());
        self.client.wait(|store| async move { put(&store, &path, bytes).await })
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, bytes) = (self.client.path(name), bytes.to_vec());
        self.client.wait(|store| async move { create(&store, &path, bytes).await })
    }

    fn appender(&self, name: &str) -> io::Result<Box<dyn Appender>> {
        // Objects that an earlier appender of this name has left do not belong to this piece.
        self.remove(name)?;
        Ok(Box::new(PieceAppender {
            client: self.client.clone(),
            path: pieces_of(&self.client.path(name)),
            next: 0,
            waiting: Vec::new(),
        }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.client.path(name);
        self.client.wait(|store| async move {
            let pieces = list_pieces(&store, &pieces_of(&path)).await?;
            let gone = std::iter::once(path).chain(pieces.into_iter().map(|piece| piece.location));
            remove_all(&store, gone.collect()).await
        })
    }

    fn lock(&self, _: &str) -> io::Result<Option<LockGuard>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "object stores have no locks"))
    }

    fn describe(&self) -> String {
        self.place.clone()
    }
}

struct PieceAppender {
    client: Client,
    /// The path below which the objects of the piece are.
    path: Path,
    next: u32,
    /// The bytes of the next object.
    waiting: Vec<u8>,
}

impl Appender for PieceAppender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let path = self.path.clone().join(format!("{:06}", self.next));
        let bytes = std::mem::take(&mut self.waiting);
        self.client.wait(|store| async move { create(&store, &path, bytes).await })?;
        self.next += 1;
        Ok(())
    }

    fn is_long(&self) -> bool {
        self.next >= PIECES_MAX
    }
}

/// The path below which the objects of a piece that grows are.
fn pieces_of(path: &Path) -> Path {
    let name = format!("{}{PIECES}", path.filename().unwrap_or_default());
    let above: Vec<_> = path.parts().collect();
    above.into_iter().rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect::<Path>().join(name)
}

/// The objects of a piece that grows, in order.
async fn list_pieces(store: &Arc<dyn ObjectStore>, path: &Path) -> io::Result<Vec<ObjectMeta>> {
    let mut objects: Vec<ObjectMeta> = store.list(Some(path)).try_collect().await.map_err(failure)?;
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(objects)
}

/// The content of a piece that grows.
async fn read_pieces(store: &Arc<dyn ObjectStore>, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let objects = list_pieces(store, &pieces_of(path)).await?;
    if objects.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let names = objects.iter().enumerate();
    let gap = |(number, object): (usize, &ObjectMeta)| object.location.filename() != Some(&format!("{number:06}"));
    if names.clone().any(gap) {
        let message = format!("not all objects below {} are there", pieces_of(path));
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    if objects.iter().map(|object| object.size).sum::<u64>() > max_bytes {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let read = objects.into_iter().map(|object| {
        let store = store.clone();
        async move { whole(store.get(&object.location).await, max_bytes).await }
    });
    let parts: Vec<Vec<u8>> = stream::iter(read).buffered(READ_AT_ONCE).try_collect().await?;
    Ok(parts.concat())
}

/// The content of an object of at most `max_bytes`.
async fn whole(found: Result<GetResult, ObjectError>, max_bytes: u64) -> io::Result<Vec<u8>> {
    let found = found.map_err(failure)?;
    if found.meta.size > max_bytes {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(found.bytes().await.map_err(failure)?.to_vec())
}

/// Creates an object that must not exist. If an earlier request of this call has created it, and only the answer was
/// lost, that is not a failure.
async fn create(store: &Arc<dyn ObjectStore>, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let max_bytes = bytes.len() as u64;
    match store.put_opts(path, PutPayload::from(bytes.clone()), options).await {
        Ok(_) => Ok(()),
        Err(error @ ObjectError::AlreadyExists { .. }) => match whole(store.get(path).await, max_bytes).await {
            Ok(found) if found == bytes => Ok(()),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(other) if other.kind() == io::ErrorKind::FileTooLarge => Err(io::ErrorKind::AlreadyExists.into()),
            // Another client's request has collided with this one, and has failed as well.
            Err(other) if other.kind() == io::ErrorKind::NotFound => Err(io::Error::other(error)),
            Err(other) => Err(other),
        },
        Err(error) => Err(failure(error)),
    }
}

#[cfg(test)]
pub(super) mod tests;
