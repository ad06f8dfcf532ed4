//! The hand-over from one run to the other, and the end of the run that is not needed any more.
//!
//! Owns the order of the steps: the batch after which results change hands is chosen between two batches; both runs
//! finish that batch; the decision is written to the owner record; and only then does the other run show results. Results
//! of later batches wait meanwhile. If the host goes down, the owner record says which run shows which batches.

use super::super::beside::OtherRun;
use super::super::checkpoint::store;
use super::super::job::JobRun;
use super::super::{read_job_file, read_plugin};
use super::prepare::is_of_ingest;
use super::{Over, Pair, Request, Upgrade};
use crate::checkpoint::{HandedOver, Ownership, current_owner, end_trial, remove_run, save_plugin, saved_plugin};
use crate::comparison::Side;
use crate::config;
use crate::error::{Error, ErrorKind, Persistence};
use crate::lock::lock;
use crate::plugin::digest;
use crate::time::{Duration, Time};
use crate::upgrade::Phase;
use std::sync::Arc;
use tokio::sync::watch;

/// The pause after the owner record could not be written.
const PAUSE: Duration = Duration::from_secs(1);

fn failed(message: impl Into<String>) -> Over {
    Over::withdrawn(Error::new(ErrorKind::Unavailable, message).help("look at the log, and upgrade again"))
}

impl Upgrade {
    /// Hands the job over to one side of a pair. Returns the last batch of the other side.
    ///
    /// # Errors
    /// If the job is not handed over, returns why. The run that has shown results goes on to do so.
    pub(super) async fn hand_over(&mut self, pair: &Pair, to: Side) -> Result<Time, Over> {
        let job = self.shared.job.clone();
        let (from, to) = match to {
            Side::New => (&pair.old, &pair.new.run),
            Side::Old => (&pair.new.run, &pair.old),
        };
        let handover = job.runs.handover().clone();
        let open = handover.clone();
        let Some(after) = job.ingest.between_batches(move |last| open.open(last)).await else {
            return Err(failed("the job makes no more batches"));
        };
        let handed_over = self.hand_over_after(from, to, after).await;
        if handed_over.is_err() {
            handover.keep();
            return handed_over;
        }
        job.ingest.wait_for(to.id).await;
        to.priority.set_low(false);
        from.priority.set_low(true);
        job.states.show(&to.states);
        *lock(&job.owner) = to.clone();
        self.mark(to);
        handed_over
    }

    async fn hand_over_after(&mut self, from: &JobRun, to: &JobRun, after: Time) -> Result<Time, Over> {
        let job = self.shared.job.clone();
        let is_back = self.phase() == Phase::HandingBack;
        for run in [from, to] {
            tokio::select! {
                biased;
                is_done = is_done(run.done.clone(), after) => if !is_done {
                    return Err(failed(format!("{} ended before it had processed batch {after}", run.id)));
                },
                () = aborted(&mut self.requests), if !is_back => {
                    return Err(Over { phase: Phase::Aborted, reason: None });
                }
            }
        }
        let before =
            job.ingest.ownership().and_then(|ownership| Some((from.directory.clone()?, ownership.handed_over())));
        if let (Some(ownership), Some(to_run), Some(from_run)) =
            (job.ingest.ownership(), &to.directory, &from.directory)
        {
            if let Some(checkpoints) = &to.checkpoints {
                checkpoints.written().await.map_err(Over::withdrawn)?;
            }
            let set = to.settings.overrides.iter().filter(|(key, _)| !is_of_ingest(key)).cloned().collect();
            let record =
                HandedOver::new(after, (from_run, self.options.keep_old_run), &self.digest_in_job_file(from), set);
            self.write_owner(ownership, to_run, Some(record)).await?;
        }
        if job.runs.hand_to(to.id).is_some() {
            return Ok(after);
        }
        if let (Some(ownership), Some((run, handed_over))) = (job.ingest.ownership(), before) {
            self.write_owner(ownership, &run, handed_over).await?;
        }
        Err(failed(format!("{} has ended", to.id)))
    }

    /// Records that a run shows results, so that a restart needs it. If this fails, the next start records it.
    fn mark(&self, to: &JobRun) {
        let job = &self.shared.job;
        if let (Some(to), Ok(store)) = (&to.directory, store(&job.env, &job.settings))
            && let Err(error) = end_trial(&*store, to)
        {
            tracing::warn!("run {to} in {} stays marked as a run on trial: {error}", store.describe());
        }
    }

    /// Writes the owner record. Tries again while the storage does not say which run the record names: a write that seems
    /// to fail may have been done.
    async fn write_owner(
        &self,
        ownership: &Arc<Ownership>,
        run: &str,
        handed_over: Option<HandedOver>,
    ) -> Result<(), Over> {
        let clock = self.shared.job.env.clock.clone();
        loop {
            let error = match ownership.point_to(run, handed_over.clone()) {
                Ok(()) => return Ok(()),
                Err(error) => Error::from(error),
            };
            match self.named_run() {
                Some(named) if named == run => {}
                Some(_) if error.persistence == Persistence::Permanent => return Err(Over::withdrawn(error)),
                _ => {}
            }
            tracing::warn!("cannot hand over yet: {}; results wait", error.message);
            clock.sleep(PAUSE).await;
        }
    }

    /// The run that the owner record on stable storage names. `None` if that cannot be read.
    fn named_run(&self) -> Option<String> {
        let job = &self.shared.job;
        let store = store(&job.env, &job.settings).ok()?;
        current_owner(&*store).ok()?.map(|owner| owner.run)
    }

    /// SHA-256 of the plugin that the job file names now. If it cannot be read, that of the plugin of `run`.
    fn digest_in_job_file(&self, run: &JobRun) -> String {
        let job = &self.shared.job;
        let now = read_job_file(&job.env, &job.settings.job.file);
        let now = now.and_then(|bytes| Ok(config::load_again(bytes, &job.settings, &[])?));
        let read = now.and_then(|now| read_plugin(&job.env, &now));
        read.map_or_else(|_| run.plugin.digest().to_owned(), |bytes| digest(&bytes))
    }

    /// Saves the plugin of the old run in the directory of the run, so that the run can be resumed after it got the job
    /// back. If the plugin's file has changed since, the plugin is not saved.
    pub(super) fn save_plugin_of(&self, run: &JobRun) {
        let job = &self.shared.job;
        let (Some(directory), Ok(store)) = (&run.directory, store(&job.env, &job.settings)) else { return };
        let limit = run.settings.limits.plugin_size_bytes;
        if let Ok(Some(_)) = saved_plugin(&*store, directory, limit) {
            return;
        }
        let Ok(bytes) = read_plugin(&job.env, &run.settings) else { return };
        if digest(&bytes) == run.plugin.digest()
            && let Err(error) = save_plugin(&*store, directory, &bytes)
        {
            tracing::warn!("cannot save the old plugin in {}: {error}", store.describe());
        }
    }

    /// Ends the new run, which shows no results, and removes its directory.
    pub(super) async fn end_new(&self, mut new: OtherRun) {
        new.detach().await;
        new.cancel();
        // How the run ends does not matter any more.
        let _ = new.await_termination().await;
        self.remove(new.run.directory.as_deref());
    }

    /// Ends the old run, after the new run has taken the job over. Removes the directory of the old run, unless it is to
    /// be kept.
    pub(super) async fn end_old(&self, pair: Pair) {
        let Pair { old, old_is_over, comparing, .. } = pair;
        let job = &self.shared.job;
        comparing.end(job);
        job.ingest.detach(old.id).await;
        if let Some(mut is_over) = old_is_over {
            // Nothing is ever sent: the channel closes when the run has ended.
            let _ = is_over.changed().await;
        }
        if !self.options.keep_old_run {
            self.remove(old.directory.as_deref());
        }
    }

    fn remove(&self, directory: Option<&str>) {
        let job = &self.shared.job;
        let (Some(directory), Ok(store)) = (directory, store(&job.env, &job.settings)) else { return };
        if let Err(error) = remove_run(&*store, directory) {
            tracing::warn!("the directory of run {directory} stays: {error}");
        }
    }
}

/// Waits until a run has done a batch. Returns false if the run has ended before that.
async fn is_done(mut done: watch::Receiver<Time>, batch: Time) -> bool {
    done.wait_for(|done| *done >= batch).await.is_ok()
}

/// Resolves when the user asks to end the upgrade.
async fn aborted(requests: &mut tokio::sync::mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        if request == Request::Abort {
            return;
        }
    }
    std::future::pending().await
}
