//! The beginning of an upgrade: the new job file and plugin are read, checked and compared with those of the old run, and
//! the new run joins the job.

use super::super::beside::{OtherOptions, attach};
use super::super::carry::Carry;
use super::super::checkpoint::store;
use super::super::{Program, StreamingContext, read_job_file, read_plugin};
use super::comparing::Comparing;
use super::state::States;
use super::{Pair, Upgrade};
use crate::checkpoint::save_plugin;
use crate::config::{self, Change, KeyChange, Settings};
use crate::env::{advice, persistence};
use crate::error::{Error, ErrorKind};
use crate::graph::{Explanation, GraphDifference};
use crate::lock::lock;
use crate::shown::Shown as _;
use crate::upgrade::ChangedKey;

/// The keys of a job file that belong to the ingest, which both runs share.
const OF_INGEST: [&str; 7] =
    ["job.name", "job.batch_interval", "job.checkpoint", "job.max_catch_up", "sources.", "receiver.", "backpressure."];

impl Upgrade {
    /// Reads and checks the new plugin, and attaches its run.
    ///
    /// # Errors
    /// Returns an error if the plugin cannot be used, or if it does not fit the job. The job goes on.
    pub(super) async fn prepare(&self) -> Result<Pair, Error> {
        let job = self.shared.job.clone();
        let old = lock(&job.owner).clone();
        let settings = self.settings(&old.settings)?;
        let shown = settings.job.plugin.shown().into_owned();
        self.change(|status| status.plugin.clone_from(&shown));
        let mut changed = config::changes(&old.settings.given, &settings.given);
        // A key of the ingest that was set while the job runs holds for both runs already.
        let set: Vec<_> = lock(&job.set).iter().map(|(key, _)| key.clone()).collect();
        changed.retain(|change| !is_of_ingest(&change.key) || !set.contains(&change.key));
        refuse_changes_of_ingest(&changed)?;
        self.save_plugin_of(&old);
        let bytes = read_plugin(&job.env, &settings)?;
        let plugin = StreamingContext::load_plugin_with(&self.shared.loader, &settings, &bytes)?;
        let digest = plugin.digest().to_owned();
        let program = Program::describe(&settings, plugin)?;
        if digest == old.plugin.digest() && changed.is_empty() {
            let message = format!("{shown} is the plugin that runs already, with the same settings");
            return Err(Error::new(ErrorKind::User, message).help("name the new plugin with --plugin"));
        }
        let keys = changed.iter().map(told).collect();
        self.change(|status| {
            status.keys = keys;
            status.old_digest = old.plugin.digest().to_owned();
            status.new_digest = digest;
            status.old_run.clone_from(&old.directory);
        });
        let explained = |nodes, graph, settings: &Settings| Explanation::new(nodes, graph, settings.job.parallelism);
        let difference = GraphDifference::between(
            &explained(&old.described, &old.graph, &old.settings),
            &explained(&program.described, &program.graph, &settings),
        );
        let states = States::of(&difference, self.options.carry_state);
        self.change(|status| status.graph = difference.to_string().lines().map(str::to_owned).collect());
        let begins_empty = states.begins_empty;
        let carry = Carry { tap: old.tap.clone(), operators: states.carried.clone() };
        let carry = (!carry.operators.is_empty()).then_some(carry);
        let options = OtherOptions {
            memory_bytes: Some(self.options.memory_bytes.unwrap_or(settings.engine.memory_bytes)),
            settings: Some(settings),
            has_checkpoints: job.ingest.ownership().is_some(),
            has_low_priority: true,
            ..OtherOptions::default()
        };
        let new = attach(&job, program, options, carry).await?;
        if let Some(directory) = &new.run.directory {
            let store = store(&job.env, &job.settings)?;
            if let Err(error) = save_plugin(&*store, directory, &bytes) {
                self.end_new(new).await;
                let message = format!("cannot save the new plugin in {}: {error}", store.describe());
                let help = advice(&error, &store.describe());
                return Err(Error::new(ErrorKind::Unavailable, message).help(help).lasting(persistence(&error)));
            }
        }
        let reach = new.intervals.reach_of_all();
        let next = new.after() + job.settings.job.batch_interval;
        // With all data since the beginning of the job, nothing is missing.
        let has_all = new.data_after <= job.beginning.data_after;
        let full_from = if has_all { next } else { next.max(new.data_after + reach) };
        let told = states.told(&new.carried);
        self.change(|status| {
            status.new_run.clone_from(&new.run.directory);
            status.joined_after_ms = Some(new.after().as_ms());
            status.data_after_ms = Some(new.data_after.as_ms());
            status.full_from_ms = Some(full_from.as_ms());
            status.exact_from_ms = (has_all || !begins_empty).then_some(full_from.as_ms());
            status.state = told;
        });
        let comparing = Comparing::begin(&job, &old, &new.run, full_from);
        let old_is_over = job.runs.is_over(old.id);
        Ok(Pair { old, old_is_over, new, comparing, full_from })
    }

    /// The settings of the new run: the job file as it is now, with the keys that the user sets.
    fn settings(&self, old: &Settings) -> Result<Settings, Error> {
        let job = &self.shared.job;
        let more = [lock(&job.set).as_slice(), &self.options.set].concat();
        let mut settings = config::load_again(read_job_file(&job.env, &job.settings.job.file)?, old, &more)?;
        // The job may have a page that its file does not name.
        settings.ui.address = job.settings.ui.address;
        if let Some(plugin) = &self.options.plugin {
            settings.job.plugin.clone_from(plugin);
        }
        Ok(settings)
    }
}

/// Whether a key belongs to the ingest, which both runs share.
pub(in crate::context) fn is_of_ingest(key: &str) -> bool {
    let is_meant = |of_ingest: &&str| key == *of_ingest || (of_ingest.ends_with('.') && key.starts_with(*of_ingest));
    OF_INGEST.iter().any(is_meant)
}

/// Refuses changes of keys that both runs share.
fn refuse_changes_of_ingest(changed: &[KeyChange]) -> Result<(), Error> {
    let Some(change) = changed.iter().find(|change| is_of_ingest(&change.key)) else { return Ok(()) };
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not given".to_owned());
    let message = format!(
        "{} was {} and is {}: both runs share what this key sets",
        change.key,
        value(&change.before),
        value(&change.after)
    );
    Err(Error::new(ErrorKind::User, message)
        .help("stop the job gracefully and start it again, with --fresh if its results depend on the key"))
}

fn told(change: &KeyChange) -> ChangedKey {
    let needs = match change.change {
        Change::Harmless => "live",
        Change::Restart => "restart",
        Change::Fresh => "fresh_run",
    };
    let KeyChange { key, before, after, .. } = change.clone();
    ChangedKey { key, before, after, needs: needs.to_owned() }
}
