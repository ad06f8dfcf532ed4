//! Panics of host code. Each panic is caught where its future is polled, and reported to the code that runs the host.
//!
//! Owns [`Panic`], the record of the first panic, and the hook that notes where a panic happened. Never decides what a
//! panic means for a run.

use crate::error::{Error, ErrorKind};
use crate::time::Time;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};
use tokio::sync::watch;

/// A panic of host code, which is a defect of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// The part of the host that panicked, as in `the actor "tracker"`.
    pub what: String,
    /// The batch that this part worked on; `None` if it did not work on a batch.
    pub batch: Option<Time>,
    /// Where the panic happened, and its message.
    pub message: String,
}

/// Shows a panic as `the actor "tracker" panicked at host/src/tracker.rs:7:5: no such block`.
impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked {}", self.what, self.message)
    }
}

/// The error of a batch whose code panicked. The run ends with an error that says more.
impl From<&Panic> for Error {
    fn from(panic: &Panic) -> Self {
        Self::new(ErrorKind::Internal, panic.to_string()).help("please report this")
    }
}

/// The record of the first panic of host code in a world. Later panics are most often a consequence of the first.
#[derive(Clone)]
pub struct Panics(Arc<watch::Sender<State>>);

#[derive(Default)]
struct State {
    /// The batch that the host has begun last.
    batch: Option<Time>,
    first: Option<Panic>,
}

impl Default for Panics {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }
}

impl Panics {
    /// Notes which batch the host begins to work on. A panic that has no batch of its own is reported with this one.
    pub fn works_on(&self, batch: Time) {
        self.0.send_if_modified(|state| {
            state.batch = Some(batch);
            false
        });
    }

    /// Records a panic. Only the first panic is kept.
    pub fn report(&self, panic: Panic) {
        self.0.send_if_modified(|state| {
            let is_first = state.first.is_none();
            if is_first {
                state.first = Some(Panic { batch: panic.batch.or(state.batch), ..panic });
            }
            is_first
        });
    }

    /// Forgets the panics of a program that has ended. The world exists longer than the program.
    pub(super) fn forget(&self) {
        self.0.send_replace(State::default());
    }

    /// The first panic; `None` if nothing has panicked.
    pub fn found(&self) -> Option<Panic> {
        self.0.borrow().first.clone()
    }

    /// Waits for the first panic. Waits for ever if nothing panics.
    pub fn first(&self) -> BoxFuture<'static, Panic> {
        let mut states = self.0.subscribe();
        Box::pin(async move {
            let found = states.wait_for(|state| state.first.is_some()).await.ok().and_then(|state| state.first.clone());
            match found {
                Some(panic) => panic,
                None => std::future::pending().await,
            }
        })
    }
}

thread_local! {
    /// How many guarded futures are being polled on this thread, one inside the other.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic inside a guard happened, and its message.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a future, and catches its panic. `what` names the future in messages, as in `the task of stage 2, partition 0`.
pub fn catch_panic<F: Future>(
    what: impl Into<String>,
    batch: Option<Time>,
    future: F,
) -> impl Future<Output = Result<F::Output, Panic>> {
    note_places();
    let what = what.into();
    let guarded = Guarded(Box::pin(future));
    AssertUnwindSafe(guarded)
        .catch_unwind()
        .map(move |outcome| outcome.map_err(|payload| Panic { what, batch, message: message(&*payload) }))
}

/// Calls a function, and catches its panic.
pub fn catch_panic_of<T>(what: impl Into<String>, call: impl FnOnce() -> T) -> Result<T, Panic> {
    note_places();
    let guarded = || {
        let _guard = Guard::enter();
        call()
    };
    std::panic::catch_unwind(AssertUnwindSafe(guarded)).map_err(|payload| Panic {
        what: what.into(),
        batch: None,
        message: message(&*payload),
    })
}

/// The place and the message of a panic, as in `at host/src/x.rs:7:5: index out of bounds`.
fn message(payload: &(dyn Any + Send)) -> String {
    LAST.take().unwrap_or_else(|| format!("without a place: {}", text(payload)))
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}

/// Installs a hook that notes the place of a guarded panic. The program's own hook does not print such a panic, because
/// the code that catches it reports it once.
fn note_places() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook_of_program = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if GUARDS.get() == 0 {
                return hook_of_program(info);
            }
            let place = info.location().map_or_else(String::new, |place| format!("at {place}: "));
            LAST.set(Some(format!("{place}{}", text(info.payload()))));
            if std::env::var_os("RUST_BACKTRACE").is_some() {
                hook_of_program(info);
            }
        }));
    });
}

struct Guard;

impl Guard {
    fn enter() -> Self {
        GUARDS.set(GUARDS.get() + 1);
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDS.set(GUARDS.get() - 1);
    }
}

/// A future that marks its thread while the future is polled.
struct Guarded<F>(Pin<Box<F>>);

impl<F: Future> Future for Guarded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _guard = Guard::enter();
        self.0.as_mut().poll(cx)
    }
}

/// Prepares a future for an executor: if the future panics, the panic is recorded and the future ends.
pub(super) fn recorded(panics: Panics, name: &'static str, future: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if let Err(panic) = catch_panic(format!("the actor `{name}`"), None, future).await {
            panics.report(panic);
        }
    })
}
