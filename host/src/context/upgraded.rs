//! The plugin and the settings of a job that was upgraded and whose job file still names the old plugin.
//!
//! Owns the rule which plugin a start uses. The plugin of the job file counts, unless the run in the checkpoint directory
//! took the job over while the job file named this very plugin.

use super::checkpoint::store;
use super::upgrade::is_of_ingest;
use super::{read_job_file, read_plugin};
use crate::checkpoint::{current_owner, read_run, saved_plugin};
use crate::config::{self, Settings};
use crate::env::{Env, advice, persistence};
use crate::error::{Error, ErrorKind};
use crate::plugin::digest;
use crate::shown::Shown as _;

/// The component that a job starts with, and its settings.
pub(super) struct Upgraded {
    pub(super) plugin: Vec<u8>,
    pub(super) settings: Settings,
}

impl Upgraded {
    /// Finds the component and the settings with which a job starts.
    ///
    /// # Errors
    /// Returns an error if there is no plugin, or if the plugin of the run that took the job over cannot be read.
    pub(super) fn find(env: &Env, settings: &Settings) -> Result<Self, Error> {
        let plugin = read_plugin(env, settings)?;
        let of_job_file = Self { plugin, settings: settings.clone() };
        if settings.job.checkpoint.is_none() {
            return Ok(of_job_file);
        }
        let store = store(env, settings)?;
        // Every problem of the directory is reported when the job is resumed.
        let Ok(Some(owner)) = current_owner(&*store) else { return Ok(of_job_file) };
        let Some(handed_over) = owner.handed_over else { return Ok(of_job_file) };
        if handed_over.job_plugin != digest(&of_job_file.plugin) {
            return Ok(of_job_file);
        }
        let Ok(run) = read_run(&*store, &owner.run, false) else { return Ok(of_job_file) };
        let Some((.., metadata)) = run.newest else { return Ok(of_job_file) };
        let limit = settings.limits.plugin_size_bytes;
        let unreadable = |error: &std::io::Error| {
            let place = store.describe();
            let message = format!("cannot read the plugin of run {} in {place}: {error}", owner.run);
            Error::new(ErrorKind::Unavailable, message).help(advice(error, &place)).lasting(persistence(error))
        };
        let saved = saved_plugin(&*store, &owner.run, limit).map_err(|error| unreadable(&error))?;
        let Some(plugin) = saved.filter(|saved| digest(saved) == metadata.run.plugin_digest) else {
            // It is the plugin of the job file, or the run cannot be resumed: the check of the run says so.
            return Ok(of_job_file);
        };
        if metadata.run.plugin_digest != handed_over.job_plugin {
            tracing::warn!(
                "job {} was upgraded after batch {}: the plugin of run {} is used in place of {}, until job.plugin names \
                 another plugin",
                settings.job.name,
                handed_over.after(),
                owner.run,
                settings.job.plugin.shown()
            );
        }
        // Keys of the ingest are never set by an upgrade.
        let set: Vec<_> = handed_over.set.iter().filter(|(key, _)| !is_of_ingest(key)).cloned().collect();
        if set.is_empty() {
            return Ok(Self { plugin, ..of_job_file });
        }
        let bytes = read_job_file(env, &settings.job.file)?;
        let keys: Vec<&str> = set.iter().map(|(key, _)| key.as_str()).collect();
        tracing::warn!("the upgrade has set {}, which holds until job.plugin names another plugin", keys.join(", "));
        // The job may have a page that its file does not name.
        let address = settings.ui.address;
        let mut settings = config::load_again(bytes, settings, &set)?;
        settings.ui.address = address;
        Ok(Self { plugin, settings })
    }
}
