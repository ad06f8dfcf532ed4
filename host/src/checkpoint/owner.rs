//! Who may write to a checkpoint directory: one host at a time.
//!
//! Owns the lock `owner/lock`, and decides when a claim is written or removed. `claim.rs` has the form of claims. Each
//! host that takes a directory over writes a claim with a new, larger epoch and removes the older claims. A host that
//! finds a larger epoch than its own has lost the directory, and must not show results any more.
//!
//! Where the storage has locks, the lock of a host that died is free at once. The lock of a host that only sleeps is
//! not. Where the storage has no locks, an owner renews its claim. Another host may take the directory over when the
//! claim was not renewed for [`LEASE`], or at once if the process of the owner is known to have ended. A claim has a
//! name that only one host can create. So if several hosts come at the same time, one of them gets the directory.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::claim::{DIRECTORY, HandedOver, Owner, OwnerError, current, encode, epoch, who};
use crate::env::{Clock, Env, LockGuard, Store};
use crate::lock::lock;
use crate::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

/// The name of the lock.
const LOCK: &str = "owner/lock";

/// How often a claim is renewed, in a storage without locks.
pub const RENEWAL: Duration = Duration::from_secs(5);

/// Whether a host holds the lock of a directory right now. `None` if this cannot be known without taking the lock.
///
/// # Errors
/// Returns the error of the storage.
pub fn is_locked(store: &dyn Store) -> io::Result<Option<bool>> {
    store.is_locked(LOCK)
}

/// The right to write to a directory. The right ends when this value is dropped or the process ends.
pub struct Ownership {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The claim, as it was written when this host became the owner. `claimed` has the parts that have changed since.
    owner: Owner,
    /// The lock, if the storage has locks.
    lock: Option<LockGuard>,
    /// The host that has taken the directory over; `None` if the claims were removed. Empty while this host has the
    /// directory.
    lost_to: OnceLock<Option<String>>,
    /// The parts of the claim that change. Locked while the claim is written or removed, so that a renewal that began
    /// earlier does not bring an earlier claim back.
    claimed: Mutex<Claimed>,
}

/// The parts of a claim that change while a host has a directory.
#[derive(Clone)]
struct Claimed {
    /// The run whose outputs are shown.
    run: String,
    /// How the run got the job from another run.
    handed_over: Option<HandedOver>,
    /// Whether this host gave the directory back.
    has_ended: bool,
}

impl Ownership {
    /// Takes a directory over. The run whose outputs are shown stays the same.
    ///
    /// # Errors
    /// Returns an error if another host has the directory or the storage fails.
    pub fn take(store: Arc<dyn Store>, env: &Env) -> Result<Self, OwnerError> {
        let failed = |action| {
            let place = store.describe();
            move |error| OwnerError::Store { action, place, error }
        };
        let in_use = |owner: Option<Owner>, is_lease| {
            let holder = owner.map_or_else(|| "another host".to_owned(), |owner| who(&owner));
            Err(OwnerError::InUse { place: store.describe(), holder, is_lease })
        };
        let guard = match store.lock(LOCK) {
            Ok(Some(guard)) => Some(guard),
            Ok(None) => return in_use(current(&*store)?, false),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            Err(error) => return Err(failed("take the lock")(error)),
        };
        let before = current(&*store)?;
        let now = env.clock.now();
        if guard.is_none() && before.as_ref().is_some_and(|owner| owner.holds(now, &*env.processes)) {
            return in_use(before, true);
        }
        let next = before.as_ref().map_or(1, |owner| owner.epoch.saturating_add(1));
        let (run, handed_over) = before.map(|owner| (owner.run, owner.handed_over)).unwrap_or_default();
        let claimed = Claimed { run: run.clone(), handed_over: handed_over.clone(), has_ended: false };
        let owner = Owner {
            epoch: next,
            run,
            handed_over,
            holder: env.identity.to_string(),
            since_ms: now.as_ms(),
            renewed_ms: now.as_ms(),
            is_locked: guard.is_some(),
            is_released: false,
            process: env.processes.this(),
        };
        let taken = Self {
            store: store.clone(),
            clock: env.clock.clone(),
            owner,
            lock: guard,
            lost_to: OnceLock::new(),
            claimed: Mutex::new(claimed),
        };
        let (name, bytes) = encode(&taken.owner, || taken.store.describe())?;
        match store.create(&name, &bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return in_use(current(&*store)?, true),
            Err(error) => return Err(failed("write the owner")(error)),
        }
        // Another host may have written a claim and removed it in the meantime, so that the name was free again.
        taken.check()?;
        for piece in taken.store.list(DIRECTORY).unwrap_or_default() {
            if epoch(&piece.name).is_some_and(|epoch| epoch.saturating_add(1) < taken.owner.epoch) {
                let _ = taken.store.remove(&format!("{DIRECTORY}/{}", piece.name));
            }
        }
        Ok(taken)
    }

    /// The number of this owner among all owners of the directory.
    pub const fn epoch(&self) -> u64 {
        self.owner.epoch
    }

    /// Makes `run` the run whose outputs are shown, in place of the run that this was before. The run must have a
    /// checkpoint. `handed_over` says how the run got the job from another run; `None` if the job begins with the run.
    ///
    /// # Errors
    /// Returns an error if the storage fails. Then it is not known which of the two runs the claim names.
    pub fn point_to(&self, run: &str, handed_over: Option<HandedOver>) -> Result<(), OwnerError> {
        let mut claimed = lock(&self.claimed);
        let now = Claimed { run: run.to_owned(), handed_over, ..claimed.clone() };
        self.write(&self.claim(&now))?;
        *claimed = now;
        Ok(())
    }

    /// The run whose outputs are shown.
    pub fn run(&self) -> String {
        lock(&self.claimed).run.clone()
    }

    /// How the run whose outputs are shown got the job from another run. `None` if the job began with the run.
    pub fn handed_over(&self) -> Option<HandedOver> {
        lock(&self.claimed).handed_over.clone()
    }

    /// The claim as it is now.
    fn claim(&self, claimed: &Claimed) -> Owner {
        Owner { run: claimed.run.clone(), handed_over: claimed.handed_over.clone(), ..self.owner.clone() }
    }

    /// Whether the claim has to be renewed to stay valid.
    pub const fn needs_renewal(&self) -> bool {
        self.lock.is_none()
    }

    /// Renews the claim. Writes nothing if the directory was given back.
    ///
    /// # Errors
    /// Returns an error if another host has the directory or the storage fails.
    pub fn renew(&self) -> Result<(), OwnerError> {
        let claimed = lock(&self.claimed);
        if claimed.has_ended {
            return Ok(());
        }
        self.check()?;
        self.write(&Owner { renewed_ms: self.clock.now().as_ms(), ..self.claim(&claimed) })
    }

    /// Gives the directory back, so that the next host need not wait.
    pub fn release(&self) {
        let mut claimed = lock(&self.claimed);
        claimed.has_ended = true;
        // If this fails, the claim ends when the lock is released or when its time has passed.
        if self.check().is_ok() {
            let _ = self.write(&Owner { is_released: true, ..self.claim(&claimed) });
        }
    }

    /// Gives the directory back and removes the claims. Nothing is left that shows who had the directory.
    pub fn withdraw(&self) {
        let mut claimed = lock(&self.claimed);
        claimed.has_ended = true;
        // If this fails, the claim ends when the lock is released or when its time has passed.
        if self.check().is_err() {
            return;
        }
        for piece in self.store.list(DIRECTORY).unwrap_or_default() {
            if epoch(&piece.name).is_some_and(|epoch| epoch <= self.owner.epoch) {
                let _ = self.store.remove(&format!("{DIRECTORY}/{}", piece.name));
            }
        }
    }

    /// Makes sure that no other host has taken the directory over. This must be called before any result is shown.
    ///
    /// # Errors
    /// Returns an error if another host has taken the directory over or the storage does not answer.
    pub fn check(&self) -> Result<(), OwnerError> {
        let lost = |to: Option<String>| {
            let place = self.store.describe();
            match self.lost_to.get_or_init(|| to).clone() {
                Some(holder) => OwnerError::Lost { place, holder },
                None => OwnerError::Removed { place },
            }
        };
        if let Some(holder) = self.lost_to.get() {
            return Err(lost(holder.clone()));
        }
        if self.lock.is_some() {
            // No host can take the directory over while this host holds the lock, unless somebody moves the directory.
            let failed = |error| OwnerError::Store { action: "list the owners", place: self.store.describe(), error };
            let pieces = self.store.list(DIRECTORY).map_err(failed)?;
            let newest = pieces.iter().filter_map(|piece| epoch(&piece.name)).max();
            return match newest {
                Some(epoch) if epoch == self.owner.epoch => Ok(()),
                Some(epoch) => {
                    let owner = current(&*self.store).ok().flatten();
                    Err(lost(Some(
                        owner.map_or_else(|| format!("another host, its owner number {epoch}"), |owner| who(&owner)),
                    )))
                }
                None => Err(lost(None)),
            };
        }
        match current(&*self.store)? {
            Some(owner) if owner.epoch == self.owner.epoch && owner.is_of(&self.owner) => Ok(()),
            Some(owner) => Err(lost(Some(who(&owner)))),
            None => Err(lost(None)),
        }
    }

    fn write(&self, owner: &Owner) -> Result<(), OwnerError> {
        let (name, bytes) = encode(owner, || self.store.describe())?;
        let failed = |error| OwnerError::Store { action: "write the owner", place: self.store.describe(), error };
        self.store.put(&name, &bytes).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::claim::LEASE;
    use super::*;
    use crate::env::{DiskStore, Simulation};
    use crate::error::Error;
    use crate::time::Time;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A store with locks, and one behind a network, which has none.
    fn stores(simulation: &Simulation) -> (Arc<dyn Store>, Arc<dyn Store>) {
        let env = simulation.env();
        (Arc::new(DiskStore::new(env.disk, "/checkpoint".into())), env.objects.open("s3://bucket/prefix").unwrap())
    }

    /// A host with a name of its own, in the simulated process.
    fn host(simulation: &Simulation, identity: &str) -> Env {
        Env { identity: identity.into(), ..simulation.env() }
    }

    #[test]
    fn a_second_host_is_refused_until_the_first_is_gone() {
        let simulation = Simulation::new(0, Time::from_ms(5));
        let (store, _) = stores(&simulation);
        let take = |identity: &str| Ownership::take(store.clone(), &host(&simulation, identity));
        let first = take("process 1 on m").unwrap();
        assert_eq!((first.epoch(), first.needs_renewal()), (1, false));
        assert_eq!(
            take("process 2 on m").err().map(|error| Error::from(error).to_string()),
            Some(
                "checkpoint directory /checkpoint is in use by process 1 on m, since 1970-01-01T00:00:00.005Z\n\
                 help: stop that host with `host stop`, or give this job a checkpoint directory of its own"
                    .to_owned()
            )
        );
        assert!(first.check().is_ok());
        drop(first);
        let second = take("process 2 on m").unwrap();
        assert_eq!(second.epoch(), 2);
        assert_eq!(current(&*store).unwrap().unwrap().holder, "process 2 on m");
    }

    /// Without locks, a host that sleeps for too long loses the directory, and notices this before it shows a result.
    #[test]
    fn an_owner_that_slept_too_long_has_lost_the_directory() {
        let simulation = Simulation::new(0, Time::default());
        let (_, store) = stores(&simulation);
        let env = simulation.env();
        let main = {
            let clock = env.clock.clone();
            async move {
                let take =
                    |identity: &str| Ownership::take(store.clone(), &Env { identity: identity.into(), ..env.clone() });
                let first = take("a").unwrap();
                assert!(first.needs_renewal());
                clock.sleep_until(Time::default() + LEASE - Duration::from_millis(1)).await;
                assert!(matches!(take("b"), Err(OwnerError::InUse { .. })));
                first.renew().unwrap();
                clock.sleep_until(Time::default() + LEASE * 2).await;
                let second = take("b").unwrap();
                assert!(matches!(first.check(), Err(OwnerError::Lost { .. })));
                assert!(matches!(first.renew(), Err(OwnerError::Lost { .. })));
                first.release();
                second.check().unwrap();
                second.release();
                // A directory that was given back can be taken at once.
                assert_eq!(take("c").unwrap().epoch(), 3);
            }
        };
        simulation.run(main).unwrap();
    }

    #[test]
    fn the_run_of_a_directory_is_kept() {
        let simulation = Simulation::new(0, Time::default());
        let (store, _) = stores(&simulation);
        let take = || Ownership::take(store.clone(), &simulation.env()).unwrap();
        take().point_to("run-1", None).unwrap();
        assert_eq!(take().run(), "run-1");
        let handed_over = Some(HandedOver::new(Time::from_ms(7000), ("run-1", false), "0123", Vec::new()));
        let owner = take();
        owner.point_to("run-2", handed_over.clone()).unwrap();
        drop(owner);
        let owner = take();
        assert_eq!((owner.run(), owner.handed_over()), ("run-2".to_owned(), handed_over));
    }

    /// Without locks, the directory of a process that has ended is free at once.
    #[test]
    fn the_directory_of_a_process_that_ended_is_free() {
        let simulation = Simulation::new(0, Time::default());
        let (_, store) = stores(&simulation);
        let take = || Ownership::take(store.clone(), &simulation.env());
        let first = take().unwrap();
        let refused = take().err().map(|error| Error::from(error).to_string()).unwrap();
        assert_eq!(
            refused,
            "checkpoint directory s3://bucket/prefix is in use by a process of the simulation, since 1970-01-01T00:00:00Z\n\
             help: stop that host, or give this job a checkpoint directory of its own; the directory of a host that \
             no longer runs is free 15 s after its last write"
        );
        first.check().unwrap();
        simulation.kill();
        assert_eq!(take().unwrap().epoch(), 2);
        assert!(matches!(first.check(), Err(OwnerError::Lost { .. })));
    }

    /// Without locks, another host may make the same claim just before this host makes it.
    #[test]
    fn of_two_hosts_that_come_at_the_same_time_one_is_refused() {
        let simulation = Simulation::new(0, Time::default());
        let (_, store) = stores(&simulation);
        let hasty = host(&simulation, "hasty");
        let taker = store.clone();
        let other = Meddled::new(&store, "create", move || drop(Ownership::take(taker.clone(), &hasty).unwrap()));
        let refused = Ownership::take(other, &host(&simulation, "slow")).err().map(|error| error.to_string());
        assert_eq!(
            refused.as_deref(),
            Some("checkpoint directory s3://bucket/prefix is in use by hasty, since 1970-01-01T00:00:00Z")
        );
        assert_eq!(current(&*store).unwrap().unwrap().holder, "hasty");
    }

    /// A renewal may be at work when the run ends. The claim that it writes must not stay.
    #[test]
    fn a_renewal_brings_no_claim_back() {
        type End = fn(&Ownership);
        let ends: [(End, Option<bool>); 2] = [(Ownership::withdraw, None), (Ownership::release, Some(true))];
        for (end, released) in ends {
            let simulation = Simulation::new(0, Time::default());
            let (_, store) = stores(&simulation);
            let ending: Arc<Mutex<Option<std::thread::JoinHandle<()>>>> = Arc::default();
            let owner: Arc<OnceLock<Arc<Ownership>>> = Arc::default();
            let meddled = Meddled::new(&store, "put", {
                let (ending, owner) = (ending.clone(), owner.clone());
                move || {
                    let owner = owner.get().unwrap().clone();
                    *lock(&ending) = Some(std::thread::spawn(move || end(&owner)));
                    // The other thread has every chance to end the claim before this renewal writes it.
                    (0..10_000).for_each(|_| std::thread::yield_now());
                }
            });
            let taken = Arc::new(Ownership::take(meddled, &simulation.env()).unwrap());
            owner.set(taken.clone()).ok().unwrap();
            taken.renew().unwrap();
            lock(&ending).take().unwrap().join().unwrap();
            assert_eq!(current(&*store).unwrap().map(|claim| claim.is_released), released);
            taken.renew().unwrap();
            assert_eq!(current(&*store).unwrap().map(|claim| claim.is_released), released);
        }
    }

    /// A store in which something happens just before it is first asked to do one thing.
    struct Meddled {
        store: Arc<dyn Store>,
        at: &'static str,
        meddle: Box<dyn Fn() + Send + Sync>,
        has_happened: AtomicBool,
    }

    impl Meddled {
        fn new(store: &Arc<dyn Store>, at: &'static str, meddle: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
            Arc::new(Self { store: store.clone(), at, meddle: Box::new(meddle), has_happened: AtomicBool::new(false) })
        }

        fn before(&self, what: &str) {
            if what == self.at && !self.has_happened.swap(true, Ordering::Relaxed) {
                (self.meddle)();
            }
        }
    }

    impl Store for Meddled {
        fn read(&self, name: &str, max_bytes: u64) -> io::Result<Vec<u8>> {
            self.store.read(name, max_bytes)
        }
        fn list(&self, directory: &str) -> io::Result<Vec<crate::env::StoredPiece>> {
            self.store.list(directory)
        }
        fn directories(&self, directory: &str) -> io::Result<Vec<String>> {
            self.store.directories(directory)
        }
        fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.before("put");
            self.store.put(name, bytes)
        }
        fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.before("create");
            self.store.create(name, bytes)
        }
        fn appender(&self, name: &str) -> io::Result<Box<dyn crate::env::Appender>> {
            self.store.appender(name)
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            self.store.remove(name)
        }
        fn lock(&self, name: &str) -> io::Result<Option<LockGuard>> {
            self.store.lock(name)
        }
        fn describe(&self) -> String {
            self.store.describe()
        }
    }

    #[test]
    fn a_directory_that_was_removed_is_lost() {
        let simulation = Simulation::new(0, Time::default());
        let (store, _) = stores(&simulation);
        let owner = Ownership::take(store, &simulation.env()).unwrap();
        simulation.env().disk.remove(std::path::Path::new("/checkpoint")).unwrap();
        assert_eq!(
            owner.check().map_err(|error| Error::from(error).to_string()),
            Err("the claim of this host in checkpoint directory /checkpoint is gone: somebody removed it, or moved the \
                 directory\nhelp: bring the directory back before the job is started again"
                .to_owned())
        );
    }
}
