//! The upgrade of a running job: what users ask for, what is observed of the two runs, and what follows.
//!
//! Owns the options of an upgrade, the facts about the old and the new run, the pure decision that follows from facts,
//! and the status that users see. Never starts, stops or changes a run: `context/upgrade.rs` does.

mod decision;
mod options;
mod status;
mod tally;

pub use decision::{Decision, Facts, Withdrawal, decide};
pub use options::UpgradeOptions;
pub use status::{CarriedState, ChangedKey, Phase, RunReport, SetKey, StageTime, UpgradeStatus};
pub use tally::{RunTally, Tallies};

use crate::error::Error;

/// The changes of a running job, as clients of its control socket ask for them: upgrades, and keys that are set.
pub trait UpgradeControl: Send + Sync {
    /// Begins an upgrade. It goes on by itself: the status says how far it has come.
    ///
    /// # Errors
    /// Returns an error if an upgrade goes on already.
    fn start(&self, options: UpgradeOptions) -> Result<UpgradeStatus, Error>;

    /// The status of the upgrade that goes on, or of the last one that has ended.
    ///
    /// # Errors
    /// Returns an error if there was no upgrade since the host was started.
    fn status(&self) -> Result<UpgradeStatus, Error>;

    /// Asks the new run to take the job over. With `force`, it does so even if it is not ready.
    ///
    /// # Errors
    /// Returns an error if no new run waits for this.
    fn commit(&self, force: bool) -> Result<UpgradeStatus, Error>;

    /// Ends the new run before it takes the job over.
    ///
    /// # Errors
    /// Returns an error if there is no such run.
    fn abort(&self) -> Result<UpgradeStatus, Error>;

    /// Asks the old run to take the job back.
    ///
    /// # Errors
    /// Returns an error if no old run is kept.
    fn rollback(&self) -> Result<UpgradeStatus, Error>;

    /// Sets a key of the job file for the running job, until its host ends.
    ///
    /// # Errors
    /// Returns an error if the key cannot be set while the job runs, or if the value is wrong.
    fn set(&self, key: &str, value: &str) -> Result<SetKey, Error>;
}
