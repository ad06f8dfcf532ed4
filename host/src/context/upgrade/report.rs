//! The report of an upgrade, and the events that tell of its steps.

use super::Upgrade;
use crate::listener::{Event, UpgradeInfo};
use crate::lock::lock;
use crate::shown::Shown as _;
use crate::time::Time;
use crate::upgrade::UpgradeStatus;
use std::io::Write as _;

impl Upgrade {
    /// Reports the present phase as an event. `after` is the last batch before it takes effect.
    pub(super) fn tell(&self, after: Option<Time>) {
        let status = lock(&self.shared.state).status.clone();
        if let Some(status) = status {
            self.tell_of(status, after);
        }
    }

    /// Reports the phase of a status as an event.
    pub(super) fn tell_of(&self, status: UpgradeStatus, after: Option<Time>) {
        self.shared.job.listeners.post(&Event::UpgradeChanged(UpgradeInfo {
            step: status.phase.step(),
            plugin: status.plugin,
            after,
            compared: status.compared,
            differences: status.differences,
            reason: status.reason,
        }));
    }

    /// Writes a status to a file beside the job file, and the path of the file into the status. A report that cannot be
    /// written is only logged.
    pub(super) fn write_report(&self, status: &mut UpgradeStatus) {
        let job = &self.shared.job;
        let directory = job.settings.job.directory.join(".millstream");
        let path = directory.join(format!("{}-upgrade-{}.json", job.settings.job.name, status.started_ms));
        status.report = Some(path.shown().into_owned());
        let written = serde_json::to_vec_pretty(status).map_err(std::io::Error::other).and_then(|mut text| {
            text.push(b'\n');
            let _ = job.env.disk.create_directory(&directory);
            let mut file = job.env.disk.create(&path)?;
            file.write_all(&text)
        });
        if let Err(error) = written {
            status.report = None;
            tracing::warn!("cannot write the report of the upgrade to {}: {error}", path.shown());
        }
    }
}
