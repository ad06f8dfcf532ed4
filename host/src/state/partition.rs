//! [`PartitionState`]: the state of one partition, as pages in the order of hashes.

use super::error::StateError;
use super::layout::Layout;
use super::page::{Found, Page};
use super::page_rows::PageRows;
use super::patch::Patch;
use crate::block::RowStorage;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use std::sync::Arc;

/// The state of one partition after a batch. It never changes, and clones share it.
#[derive(Clone, Debug, Default)]
pub struct PartitionState {
    pages: Arc<[Arc<Page>]>,
}

/// A page of a partition, and the hashes that belong to the page.
#[derive(Clone, Copy, Debug)]
pub struct PageRange<'a> {
    /// The page. `None` if the partition has no state.
    pub page: Option<&'a Arc<Page>>,
    /// The smallest hash of the page.
    pub first: u64,
    /// The smallest hash of the next page. `None` if there is no next page.
    pub end: Option<u64>,
}

impl PartitionState {
    /// The pages. Together they have all hashes, and there is at least one.
    pub fn pages(&self) -> impl Iterator<Item = PageRange<'_>> {
        let ends = self.pages.iter().skip(1).map(|page| Some(page.first())).chain([None]);
        let with_pages = self.pages.iter().zip(ends).enumerate().map(|(at, (page, end))| PageRange {
            page: Some(page),
            first: if at == 0 { 0 } else { page.first() },
            end,
        });
        let without = self.pages.is_empty().then_some(PageRange { page: None, first: 0, end: None });
        without.into_iter().chain(with_pages)
    }

    /// The number of keys that have state.
    pub fn keys(&self) -> u64 {
        self.pages.iter().map(|page| page.keys()).sum()
    }

    /// The bytes of the stored rows.
    pub fn bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.bytes()).sum()
    }

    /// The pages that changed after a time.
    pub fn changed_after(&self, time_ms: u64) -> impl Iterator<Item = &Arc<Page>> {
        self.pages.iter().filter(move |page| page.newest_ms() > time_ms)
    }
}

/// Makes the next state of a partition, page by page in order.
pub struct PartitionWriter {
    storage: RowStorage,
    layout: Arc<Layout>,
    /// Removals at this time or before are saved, and are forgotten where a page is written anew.
    forgotten_ms: u64,
    pages: Vec<Arc<Page>>,
    /// The pieces of the next page.
    next: PageRows,
    /// Whether a piece of the next page differs from the page before the batch.
    is_changed: bool,
}

impl PartitionWriter {
    /// Makes a writer. Removals at `forgotten_ms` or before are forgotten.
    pub fn new(storage: &RowStorage, layout: &Arc<Layout>, forgotten_ms: u64) -> Self {
        Self {
            storage: storage.clone(),
            layout: layout.clone(),
            forgotten_ms,
            pages: Vec::new(),
            next: PageRows::default(),
            is_changed: false,
        }
    }

    /// The time up to which removals are forgotten.
    pub fn forgotten_ms(&self) -> u64 {
        self.forgotten_ms
    }

    /// Adds a page as it is.
    pub fn keep(&mut self, page: Option<&Arc<Page>>) {
        self.pages.extend(page.cloned());
    }

    /// Adds sorted rows in place of a page that begins at `first`.
    ///
    /// # Errors
    /// Returns an error if the rows cannot be stored.
    pub fn write(&mut self, first: u64, rows: RecordBatch) -> Result<(), StateError> {
        self.piece(rows, true)?;
        self.end_page(None, first)
    }

    /// Adds sorted rows to the next page. `is_changed` says whether they differ from those of the page that they are in
    /// place of.
    ///
    /// # Errors
    /// Returns an error if the rows cannot be stored.
    pub fn piece(&mut self, rows: RecordBatch, is_changed: bool) -> Result<(), StateError> {
        self.is_changed |= is_changed;
        self.next.push(&self.storage, rows)
    }

    /// Ends a page. Its pieces are in place of `before`, which is kept if no piece has changed, and begin at `first`.
    ///
    /// # Errors
    /// Returns an error if the rows cannot be read or stored.
    pub fn end_page(&mut self, before: Option<&Arc<Page>>, first: u64) -> Result<(), StateError> {
        let rows = std::mem::take(&mut self.next);
        if std::mem::take(&mut self.is_changed) {
            self.pages.extend(Page::write(&self.storage, first, rows)?.into_iter().map(Arc::new));
        } else {
            self.keep(before);
        }
        Ok(())
    }

    /// Adds a page with changes: sorted rows that count more than those of the page. `found` has the row of each key in
    /// the page. Afterwards, `keys` keys of the page have state.
    ///
    /// # Errors
    /// Returns an error if the page cannot be read, or the changes cannot be stored.
    pub fn change(
        &mut self,
        at: PageRange<'_>,
        changes: &RecordBatch,
        found: &[Option<Found>],
        keys: u64,
    ) -> Result<(), StateError> {
        let Some(page) = at.page else { return self.write(at.first, changes.clone()) };
        if changes.num_rows() == 0 {
            self.keep(at.page);
            return Ok(());
        }
        let removed = super::removed(changes);
        let stays = |row: usize| match found.get(row) {
            Some(Some(Found { leaf: 0, row: at })) if !removed.value(row) => Some(Patch { row: *at, by: row }),
            _ => None,
        };
        let patches: Vec<Patch> = (0..changes.num_rows()).filter_map(stays).collect();
        let patched = page.patched(&self.storage, &self.layout, changes, &patches)?.map(Arc::new);
        let (page, changes) = match patched {
            None => (page.clone(), changes.clone()),
            Some(page) if patches.len() == changes.num_rows() => {
                self.pages.push(page);
                return Ok(());
            }
            Some(page) => {
                let rest = (0..changes.num_rows()).map(|row| Some(stays(row).is_none())).collect::<BooleanArray>();
                (page, filter_record_batch(changes, &rest)?)
            }
        };
        match page.changed(&self.storage, changes.clone(), keys)? {
            Some(changed) => self.pages.push(Arc::new(changed)),
            None => {
                let rows = page.open(&self.layout)?.with(&self.layout, changes, self.forgotten_ms)?;
                self.write(at.first, rows)?;
            }
        }
        Ok(())
    }

    /// The state of all pages.
    pub fn finish(self) -> PartitionState {
        PartitionState { pages: self.pages.into() }
    }
}
