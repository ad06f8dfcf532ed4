//! Keeps a receiver running: starts it, starts it again after an error, and stops it.
//!
//! Owns the life of one receiver, as an actor. If the receiver has to stop gracefully, its records are stored and
//! reported before the actor ends.

use super::context::ReceiverContext;
use super::error::{ReceiverError, Restart};
use super::registry::{MakeReceiver, ReceiverOptions};
use super::settings::{ReceiverSettings, StopReceiver};
use super::{BlockReport, Receiver};
use crate::block::BlockStore;
use crate::env::Env;
use crate::listener::{ListenerBus, ReceiverReporter};
use crate::time::Duration;
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// How long a receiver may take to stop, unless it waits for the host. The value is Spark's.
const STOP_TIME: Duration = Duration::from_secs(10);

/// A running receiver.
pub struct ReceiverHandle {
    stop: watch::Sender<StopReceiver>,
    ended: watch::Receiver<bool>,
}

impl ReceiverHandle {
    /// Asks the receiver to stop. A later request does not weaken an earlier one.
    pub fn stop(&self, request: StopReceiver) {
        self.stop.send_if_modified(|stop| {
            let is_stronger = *stop != StopReceiver::Now && *stop != request;
            if is_stronger {
                *stop = request;
            }
            is_stronger
        });
    }

    /// Waits until the receiver has ended.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut ended = self.ended.clone();
        async move {
            // An error means that the receiver has already ended.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    /// Whether the receiver will store nothing more.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}

/// Starts a receiver. The receiver reports each stored block to `reports`.
pub fn start(
    env: &Env,
    settings: ReceiverSettings,
    make: Arc<MakeReceiver>,
    options: ReceiverOptions,
    store: BlockStore,
    reports: mpsc::Sender<BlockReport>,
    listeners: ListenerBus,
) -> ReceiverHandle {
    let (stop, stopping) = watch::channel(StopReceiver::No);
    let (end, ended) = watch::channel(false);
    let restart_delay = settings.restart_delay;
    let clock = env.clock.clone();
    let context = ReceiverContext::new(clock, settings, store, reports, listeners, stopping.clone());
    let supervisor = Supervisor { env: env.clone(), make, options, receiver: None, context, stopping, restart_delay };
    env.control.spawn(
        "receiver",
        Box::pin(async move {
            supervisor.run().await;
            end.send_replace(true);
        }),
    );
    ReceiverHandle { stop, ended }
}

struct Supervisor {
    env: Env,
    make: Arc<MakeReceiver>,
    options: ReceiverOptions,
    receiver: Option<Box<dyn Receiver>>,
    context: ReceiverContext,
    stopping: watch::Receiver<StopReceiver>,
    restart_delay: Duration,
}

impl Supervisor {
    async fn run(mut self) {
        let mut stopping = self.stopping.clone();
        // Stops even if the receiver waits for room in the store.
        tokio::select! {
            biased;
            () = stop_now(&mut stopping) => {}
            () = self.run_until_stopped() => {}
        }
        // Futures that the receiver has started may still have a context.
        self.context.close();
        self.context.reporter(ReceiverReporter::stopped);
    }

    async fn run_until_stopped(&mut self) {
        while !self.context.is_stopped() {
            let outcome = self.run_once().await;
            self.context.abandon_line().await;
            let Err(error) = outcome else { break };
            let delay = match error.restart {
                Restart::AsConfigured => Some(self.restart_delay),
                Restart::After(delay) => Some(delay),
                Restart::Never => None,
            };
            self.context.failed(error.message, delay);
            let Some(delay) = delay else { break };
            tokio::select! {
                biased;
                () = self.context.stopped() => {}
                () = self.context.sleep(delay) => {}
            }
        }
        self.context.abandon_line().await;
    }

    /// Runs the receiver until it ends, or until it is dropped because it does not stop.
    async fn run_once(&mut self) -> Result<(), ReceiverError> {
        let receiver = match &mut self.receiver {
            Some(receiver) => receiver,
            none => none
                .insert((self.make)(&mut self.options.clone()).map_err(|error| ReceiverError::new(error.to_string()))?),
        };
        let context = self.context.clone();
        let mut run = AssertUnwindSafe(receiver.run(&context)).catch_unwind();
        let patience = async {
            context.stopped().await;
            loop {
                self.env.clock.sleep(STOP_TIME).await;
                if !context.waits_for_host() {
                    return;
                }
            }
        };
        let cutting = context.keep_cutting();
        tokio::pin!(patience, cutting);
        let outcome = tokio::select! {
            biased;
            () = &mut patience => {
                let seconds = STOP_TIME.as_secs();
                Ok(Err(ReceiverError::new(format!("it did not stop within {seconds} s, and was dropped")).and_stop()))
            }
            () = &mut cutting => Ok(Ok(())),
            outcome = &mut run => outcome,
        };
        drop(run);
        outcome.unwrap_or_else(|panic| {
            // The panic may have left the receiver half changed, so the next attempt makes a new one.
            self.receiver = None;
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(ReceiverError::new(format!("the receiver panicked: {text}")))
        })
    }
}

/// Resolves when the receiver has to stop at once.
async fn stop_now(stopping: &mut watch::Receiver<StopReceiver>) {
    // An error means that nobody is left who waits for the records.
    let _ = stopping.wait_for(|stop| *stop == StopReceiver::Now).await;
}
