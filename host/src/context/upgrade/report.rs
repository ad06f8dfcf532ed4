//! The report of an upgrade, and the events that tell of its steps.

use super::Upgrade;
use crate::listener::{Event, UpgradeInfo};
use crate::lock::lock;
use crate::shown::Shown as _;
use crate::time::Time;
use std::io::Write as _;

impl Upgrade {
    /// Reports the present phase as an event. `after` is the last batch before it takes effect.
    pub(super) fn tell(&self, after: Option<Time>) {
        let Some(status) = lock(&self.shared.state).status.clone() else { return };
        let plugin = match (&status.plugin, &self.options.plugin) {
            (plugin, _) if !plugin.is_empty() => plugin.clone(),
            (_, Some(plugin)) => plugin.shown().into_owned(),
            _ => "the plugin of the job file".to_owned(),
        };
        self.shared.job.listeners.post(&Event::UpgradeChanged(UpgradeInfo {
            step: status.phase.step(),
            plugin,
            after,
            compared: status.compared,
            differences: status.differences,
            reason: status.reason,
        }));
    }

    /// Writes the status to a file beside the job file. A report that cannot be written is only logged.
    pub(super) fn write_report(&self) {
        let job = &self.shared.job;
        let Some(mut status) = lock(&self.shared.state).status.clone() else { return };
        let directory = job.settings.job.directory.join(".millstream");
        let path = directory.join(format!("{}-upgrade-{}.json", job.settings.job.name, status.started_ms));
        status.report = Some(path.shown().into_owned());
        let written = serde_json::to_vec_pretty(&status).map_err(std::io::Error::other).and_then(|mut text| {
            text.push(b'\n');
            let _ = job.env.disk.create_directory(&directory);
            let mut file = job.env.disk.create(&path)?;
            file.write_all(&text)
        });
        match written {
            Ok(()) => self.change(|shown| shown.report = status.report),
            Err(error) => tracing::warn!("cannot write the report of the upgrade to {}: {error}", path.shown()),
        }
    }
}
