//! The job as a whole, sent again to every open page when it has changed: server-sent events.
//!
//! Owns the pace. One text is made for all pages. A page that reads slowly gets the newest text and misses those between.

use crate::env::Clock;
use crate::time::Duration;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, unfold};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::watch;

/// The shortest time between two texts.
const PACE: Duration = Duration::from_millis(500);
/// How often a page hears something although nothing has changed, so that it knows that the host is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The most pages at a time.
const PAGES_MAX: usize = 64;

/// What is sent.
#[async_trait]
pub(super) trait Told: Send + Sync {
    /// Changes whenever the text changes.
    fn version(&self) -> (u64, bool);
    /// The text, on one line.
    fn text(&self) -> String;
    /// Resolves when nothing more is to be sent.
    async fn closed(&self);
}

/// Sends texts to pages. Clones send to the same pages.
#[derive(Clone)]
pub(super) struct Live {
    text: watch::Sender<Arc<str>>,
    pages: Arc<AtomicUsize>,
    /// Whether the text is the last one.
    has_ended: Arc<AtomicBool>,
}

/// An open page. Dropping the value closes it.
struct OpenPage {
    texts: watch::Receiver<Arc<str>>,
    clock: Arc<dyn Clock>,
    pages: Arc<AtomicUsize>,
    has_ended: Arc<AtomicBool>,
    is_first: bool,
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        self.pages.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    pub(super) fn new() -> Self {
        Self { text: watch::channel(Arc::from("")).0, pages: Arc::default(), has_ended: Arc::default() }
    }

    /// The events for one more page. `None` if there are too many pages.
    pub(super) fn open(&self, clock: &Arc<dyn Clock>, told: &dyn Told) -> Option<BoxStream<'static, Bytes>> {
        if self.pages.fetch_add(1, Ordering::Relaxed) >= PAGES_MAX {
            self.pages.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let texts = self.text.subscribe();
        let (pages, has_ended) = (self.pages.clone(), self.has_ended.clone());
        let page = OpenPage { texts, clock: clock.clone(), pages, has_ended, is_first: true };
        self.text.send_replace(told.text().into());
        Some(unfold(page, next).boxed())
    }

    /// Makes texts for the open pages until the job has stopped being shown.
    pub(super) async fn run(self, told: Arc<dyn Told>, clock: Arc<dyn Clock>) {
        let mut last = None;
        loop {
            tokio::select! {
                biased;
                () = told.closed() => break,
                () = clock.sleep(PACE) => {}
            }
            let version = told.version();
            if self.text.receiver_count() > 0 && last != Some(version) {
                last = Some(version);
                self.text.send_replace(told.text().into());
            }
        }
        // The last text says how the job has ended. After it, the streams of all pages end.
        self.has_ended.store(true, Ordering::Release);
        self.text.send_replace(told.text().into());
    }
}

/// The next piece for a page.
async fn next(mut page: OpenPage) -> Option<(Bytes, OpenPage)> {
    if !std::mem::take(&mut page.is_first) {
        if page.has_ended.load(Ordering::Acquire) && !page.texts.has_changed().unwrap_or(false) {
            return None;
        }
        tokio::select! {
            biased;
            changed = page.texts.changed() => changed.ok()?,
            () = page.clock.sleep(KEEP_ALIVE) => return Some((Bytes::from_static(b": still here\n\n"), page)),
        }
    }
    let text = page.texts.borrow_and_update().clone();
    Some((Bytes::from(format!("event: job\ndata: {text}\n\n")), page))
}
