//! [`PageReader`]: reads the pages of a partition's state. Consecutive pieces of a page read the page once.

use super::parts::Piece;
use crate::state::{Layout, OpenPage, Page, StateError};
use arrow::array::RecordBatch;
use std::sync::Arc;

/// Reads pages. At most one page is in memory.
pub(super) struct PageReader {
    layout: Arc<Layout>,
    /// Removals at this time or before are left out of rows.
    forgotten_ms: u64,
    current: Current,
}

/// The page that was read last.
#[derive(Default)]
struct Current {
    page: Option<Arc<Page>>,
    open: OpenPage,
    /// The row of each key. `None` if nobody has asked for the rows.
    rows: Option<RecordBatch>,
}

impl PageReader {
    pub(super) fn new(layout: &Arc<Layout>, forgotten_ms: u64) -> Self {
        Self { layout: layout.clone(), forgotten_ms, current: Current::default() }
    }

    /// Opens the page of a piece.
    pub(super) fn open(&mut self, piece: Piece<'_>) -> Result<&OpenPage, StateError> {
        let is_current = match (piece.page.page, &self.current.page) {
            (Some(page), Some(current)) => Arc::ptr_eq(page, current),
            (None, None) => true,
            _ => false,
        };
        if !is_current {
            // The memory of the page before is free before the next page is read.
            self.current = Current::default();
            if let Some(page) = piece.page.page {
                self.current = Current { page: Some(page.clone()), open: page.open(&self.layout)?, rows: None };
            }
        }
        Ok(&self.current.open)
    }

    /// All rows of a piece, those of removed keys included.
    pub(super) fn rows(&mut self, piece: Piece<'_>) -> Result<RecordBatch, StateError> {
        let forgotten_ms = self.forgotten_ms;
        self.open(piece)?;
        let Current { page: Some(_), open, rows } = &mut self.current else {
            return Ok(RecordBatch::new_empty(self.layout.schema().clone()));
        };
        let all = match rows {
            Some(rows) => rows,
            none => none.insert(open.newest(forgotten_ms)?),
        };
        let of_piece = piece.rows_of(all);
        if piece.is_last() {
            self.current = Current::default();
        }
        Ok(of_piece)
    }
}
