//! The place that a command looks at: a checkpoint directory, or a job that has one.
//!
//! Owns how a path or URL is understood. Never writes to the directory and takes no lock.

use super::job::{SetArgs, load};
use crate::checkpoint::RunsError;
use crate::config::{Location, Settings};
use crate::context::{checkpoint_store, open_store};
use crate::env::{DiskStore, Env, Store};
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use std::path::Path;
use std::sync::Arc;

/// The place that a command looks at.
pub enum Place {
    /// A checkpoint directory.
    Directory(Arc<dyn Store>),
    /// A job, by its file.
    Job(Box<Settings>),
}

impl Place {
    /// The place at a path: a directory or URL, or the file of a job.
    ///
    /// # Errors
    /// Returns an error if nothing is there, or if the job file is wrong.
    pub fn find(place: &Path, set: &SetArgs, env: &Env) -> Result<Self, Error> {
        let url = place.to_str().filter(|place| place.starts_with("s3://"));
        match env.disk.size(place) {
            _ if url.is_some() => {
                open_store(env, &Location::Objects(url.unwrap_or_default().to_owned())).map(Self::Directory)
            }
            Ok(_) => Ok(Self::Job(Box::new(load(place, set, env)?))),
            Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
                Ok(Self::Directory(Arc::new(DiskStore::new(env.disk.clone(), place.to_path_buf()))))
            }
            Err(error) => {
                let message = format!("cannot look for a checkpoint in {}: {error}", place.shown());
                Err(Error::new(ErrorKind::User, message)
                    .help("name the directory in job.checkpoint, or the job file that names it"))
            }
        }
    }

    /// The checkpoint directory. It contains claims, checkpoints or an allocation log.
    ///
    /// # Errors
    /// Returns an error if the job has no checkpoint directory, or if the directory contains none of these.
    pub fn checkpoint(&self, env: &Env) -> Result<Arc<dyn Store>, Error> {
        let store = match self {
            Self::Directory(store) => store.clone(),
            Self::Job(settings) => checkpoint_store(env, settings)?,
        };
        let unreadable = |error| {
            let name = "the directory".to_owned();
            Error::from(RunsError { name, place: store.describe(), error })
        };
        let parts = ["owner", "runs", "ingest"];
        let directories = store.directories("").map_err(unreadable)?;
        if !parts.iter().any(|part| directories.iter().any(|name| name == part)) {
            let message = format!("there is no checkpoint in {}", store.describe());
            return Err(Error::new(ErrorKind::User, message)
                .help("name the directory in job.checkpoint; a job writes there once it runs"));
        }
        Ok(store)
    }
}
