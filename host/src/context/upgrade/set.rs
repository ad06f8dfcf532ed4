//! Keys of the job file that are set while the job runs.
//!
//! Owns which keys that are, and the advice for the others.

use super::super::read_job_file;
use super::Upgrades;
use super::prepare::is_of_ingest;
use crate::config::{self, LIVE_KEYS};
use crate::error::{Error, ErrorKind};
use crate::listener::Event;
use crate::lock::lock;
use crate::receiver::RateSettings;
use crate::shown;
use crate::upgrade::SetKey;

impl Upgrades {
    /// Sets a key of the running job, until its host ends.
    pub(super) fn set_key(&self, key: &str, value: &str) -> Result<SetKey, Error> {
        let job = &self.shared.job;
        let name = &job.settings.job.name;
        if !LIVE_KEYS.contains(&key) {
            let message = format!("key {} cannot be set while job {name} runs", shown::name(key));
            let help = if is_of_ingest(key) {
                "stop the job gracefully, change its job file, and start it again".to_owned()
            } else {
                format!(
                    "these keys can: {}; others change with an upgrade: `host upgrade JOB.TOML --set KEY=VALUE`",
                    LIVE_KEYS.join(", ")
                )
            };
            return Err(Error::new(ErrorKind::User, message).help(help));
        }
        let owner = lock(&job.owner).clone();
        let bytes = read_job_file(&job.env, &job.settings.job.file)?;
        let mut set = lock(&job.set);
        let before = set.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.clone());
        let before = before.or_else(|| owner.settings.given.get(key).cloned());
        let more = [set.as_slice(), &[(key.to_owned(), value.to_owned())]].concat();
        let settings = config::load_again(bytes, &owner.settings, &more)?;
        owner.live.apply(&settings);
        job.live.apply(&settings);
        job.ingest.rates().set(&RateSettings::of(&settings));
        *set = more;
        let after = settings.given.get(key).cloned().unwrap_or_else(|| value.to_owned());
        let told = SetKey { key: key.to_owned(), before, after };
        let SetKey { key, before, after } = told.clone();
        job.listeners.post(&Event::SettingChanged { key, before, after });
        Ok(told)
    }
}
