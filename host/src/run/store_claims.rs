//! Claims to the outputs of a job in object stores. They ensure that one job writes to each output, as far as a store
//! without locks allows that.
//!
//! Owns the claims `.millstream-owner-HASH/owner/epoch-NUMBER` beside the saved files of an output. They have the form
//! of claims to checkpoint directories. A claim is renewed regularly, checked before each commit, and removed at the
//! end. Never decides whether a claim is valid: see `checkpoint/owner.rs`.

use crate::checkpoint::{OwnerError, Ownership, RENEWAL};
use crate::env::{Env, advice, persistence};
use crate::error::{Error, ErrorKind, Persistence};
use crate::output::{Claim, StorePlace};
use std::sync::{Arc, Weak};

/// The claims of a job. They are given back when this value is dropped, at the end of the job.
#[derive(Default)]
pub(super) struct StoreClaims(Vec<Arc<StoreClaim>>);

/// The claim to the place of one output.
struct StoreClaim {
    ownership: Ownership,
    place: StorePlace,
}

impl Claim for StoreClaim {
    fn check(&self) -> Result<(), Error> {
        self.ownership.check().map_err(|error| explain(&self.place, &error))
    }
}

/// The error of a claim, in words for an output instead of a checkpoint directory.
fn explain(at: &StorePlace, error: &OwnerError) -> Error {
    let StorePlace { writer, place, .. } = at;
    let (kind, message, help, lasts) = match error {
        OwnerError::InUse { holder, .. } => (
            ErrorKind::User,
            format!("{writer} cannot write to {place}: {holder} does"),
            "stop that host, or give the output a place of its own; the place of a host that no longer runs is free \
             15 s after its last write"
                .to_owned(),
            Persistence::Permanent,
        ),
        OwnerError::Lost { holder, .. } => (
            ErrorKind::Unavailable,
            format!("{writer} does not write to {place} any more: {holder} does"),
            "that host took the place over when this one was silent for 15 s".to_owned(),
            Persistence::Permanent,
        ),
        OwnerError::Removed { .. } => (
            ErrorKind::Unavailable,
            format!("{writer} does not write to {place} any more: somebody removed the claim of this host"),
            "start the job again".to_owned(),
            Persistence::Permanent,
        ),
        OwnerError::Store { action, error, .. } => (
            ErrorKind::Unavailable,
            format!("{writer} cannot write to {place}: cannot {action}: {error}"),
            advice(error, place),
            persistence(error),
        ),
        OwnerError::Claim { name, error, .. } => (
            ErrorKind::Data,
            format!("{writer} cannot write to {place}: {name} below {} cannot be read: {error}", at.claim_url),
            "remove that object if you are sure that no host writes there".to_owned(),
            Persistence::Permanent,
        ),
    };
    Error::new(kind, message).help(help).lasting(lasts)
}

impl StoreClaims {
    /// Claims the places of outputs that the job has not claimed before, and gives each output its claim. If this fails,
    /// no place is claimed.
    pub(super) fn add(&mut self, env: &Env, job: &str, places: &[StorePlace]) -> Result<(), Error> {
        let env = Env { identity: format!("job {job}, {}", env.identity).into(), ..env.clone() };
        let mut claims = Self::default();
        for place in places {
            if let Some(claim) = self.0.iter().find(|claim| claim.place.claim_url == place.claim_url) {
                place.claimed(claim.clone());
                continue;
            }
            let store = env.objects.open(&place.claim_url).map_err(|error| {
                let message = format!("{} cannot write to {}: {error}", place.writer, place.place);
                Error::new(ErrorKind::User, message).help(advice(&error, &place.place))
            })?;
            let ownership = Ownership::take(store, &env).map_err(|error| explain(place, &error))?;
            let claim = Arc::new(StoreClaim { ownership, place: place.clone() });
            place.claimed(claim.clone());
            if claim.ownership.needs_renewal() {
                env.background.spawn("owner", Box::pin(renew(env.clone(), Arc::downgrade(&claim))));
            }
            claims.0.push(claim);
        }
        self.0.append(&mut claims.0);
        Ok(())
    }
}

impl Drop for StoreClaims {
    fn drop(&mut self) {
        self.0.iter().for_each(|claim| claim.ownership.withdraw());
    }
}

/// Renews a claim regularly, as long as this host has the place.
async fn renew(env: Env, claim: Weak<StoreClaim>) {
    loop {
        env.clock.sleep_until(env.clock.now() + RENEWAL).await;
        let Some(claim) = claim.upgrade() else { return };
        // Any other error is found again by the check before the next commit.
        if let Err(OwnerError::Lost { .. } | OwnerError::Removed { .. }) = claim.ownership.renew() {
            return;
        }
    }
}
