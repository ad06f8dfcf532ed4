//! A server that speaks S3, on a free port of this machine, over a directory: a bucket is a subdirectory.
//!
//! Owns the threads of the server. The server can be stopped and started again on its port, like a server that is away
//! for a while.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The name of the only bucket.
pub const BUCKET: &str = "bucket";
const KEY: &str = "a-key-of-the-tests";
const SECRET: &str = "a-secret-of-the-tests";

/// The server. Dropping it stops the server and removes its objects.
pub struct Server {
    root: tempfile::TempDir,
    service: S3Service,
    address: SocketAddr,
    /// The threads of the server. `None` while the server is stopped.
    runtime: Option<Runtime>,
}

impl Server {
    /// Starts a server with an empty bucket.
    pub fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::create_dir(root.path().join(BUCKET)).expect("a temporary directory can be written to");
        let files = FileSystem::new(root.path()).expect("the directory is there");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let (service, any_port) = (service.build(), SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut server = Self { root, service, address: any_port, runtime: None };
        server.resume();
        server
    }

    /// Closes all connections, and refuses further ones.
    pub fn stop(&mut self) {
        self.runtime = None;
    }

    /// Serves again.
    pub fn resume(&mut self) {
        let runtime = Runtime::new().expect("threads can be started");
        let listener = runtime.block_on(TcpListener::bind(self.address)).expect("the port is free");
        self.address = listener.local_addr().expect("it has an address");
        let (service, connections) = (self.service.clone(), runtime.handle().clone());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move {
                    // If a client disconnects, this is not an error of the server.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        self.runtime = Some(runtime);
    }

    /// Gives a program the environment variables with which it reaches the server.
    pub fn tell(&self, mut command: Command) -> Command {
        command.env("AWS_ENDPOINT_URL", self.url()).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
        command
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The objects below a prefix of the bucket, with their contents.
    pub fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.root.path().join(BUCKET).join(prefix);
        let mut objects = BTreeMap::new();
        let mut directories: Vec<PathBuf> = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = std::fs::read_dir(&directory) else { continue };
            for entry in entries {
                let path = entry.expect("a directory can be listed").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    objects.insert(name(&root, &path), std::fs::read(&path).expect("a file can be read"));
                }
            }
        }
        objects
    }
}

fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).expect("it is below").to_str().expect("names are text").to_owned()
}
