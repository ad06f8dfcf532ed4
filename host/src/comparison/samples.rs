//! Examples of differences, as short texts.

use super::Side;
use super::hashes::RowHash;
use super::result::{Sample, SampleKind};
use crate::data::chunk;
use crate::data::schema::RecordType;
use crate::data::text;
use crate::shown;
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use std::collections::BTreeMap;

/// Rows that take more bytes than this are not shown, only their size.
const ROW_BYTES_MAX: usize = 64 * 1024;
/// How many rows of a group are looked at on each side.
const ROWS_OF_GROUP_MAX: usize = 16;
/// How many rows of a group are shown of each side.
const ROWS_SHOWN_MAX: usize = 3;

/// A row as `print` shows it, on one line, shortened.
pub(super) fn row_text(ty: &RecordType, rows: &RecordBatch, row: usize) -> String {
    let bytes = chunk::row_bytes(rows, row..row + 1);
    if bytes > ROW_BYTES_MAX {
        return format!("(a row of about {bytes} bytes)");
    }
    let mut text = String::new();
    match text::write_row(rows, ty, row, &mut text) {
        Ok(()) => shown::value(&text),
        Err(error) => format!("({error})"),
    }
}

/// A value of a column of a pair, as `print` shows it. `ty` is the type of the value, as [`RecordType::pair`] gives it.
fn value_text(ty: &RecordType, column: &ArrayRef, row: usize) -> String {
    let schema = ty.arrow();
    let is_column = matches!(schema.fields().as_ref(), [field] if field.data_type() == column.data_type());
    let columns = match column.as_struct_opt() {
        // The members of a tuple or struct are the columns of its type.
        Some(members) if !is_column => members.columns().to_vec(),
        _ => vec![column.clone()],
    };
    match RecordBatch::try_new(schema.clone(), columns) {
        Ok(values) => row_text(ty, &values, row),
        Err(error) => format!("({})", shown::value(&error.to_string())),
    }
}

/// The rows of a group on one side, as far as they are of interest.
#[derive(Default)]
struct Rows {
    /// The hash and the text of the first rows.
    first: Vec<(u64, String)>,
    count: u64,
}

impl Rows {
    /// The values of a key. If there are many, only those that the other side does not have. `None` if there are no
    /// values on this side.
    fn values(&self, other: &Self) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let is_short = self.count.max(other.count) <= ROWS_SHOWN_MAX as u64;
        let mut others: Vec<u64> = other.first.iter().map(|(hash, _)| *hash).collect();
        let is_own = |(hash, _): &&(u64, String)| match others.iter().position(|other| other == hash) {
            Some(at) if !is_short => {
                others.swap_remove(at);
                false
            }
            _ => true,
        };
        let own: Vec<&str> = self.first.iter().filter(is_own).map(|(_, text)| text.as_str()).collect();
        let shown = own.iter().take(ROWS_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = own.len().saturating_sub(ROWS_SHOWN_MAX) as u64 + self.count - self.first.len() as u64;
        Some(match (own.as_slice(), more) {
            ([], _) => shown::counted(self.count, "value"),
            ([_], 0) => shown,
            (_, 0) => format!("[{shown}]"),
            (_, more) => format!("[{shown} and {more} more]"),
        })
    }

    /// The row that all rows of the group equal, and how often each side has the row. `None` if there are no rows on this
    /// side.
    fn row(&self, other: &Self) -> Option<String> {
        let (_, text) = self.first.first()?;
        Some(match (self.count, other.count) {
            (1, 0) => text.clone(),
            (count, 0) => format!("{text} ({count} times)"),
            (count, others) => format!("{text} ({count} times, {others} in the other version)"),
        })
    }
}

/// A group that is to be shown.
struct Group {
    kind: SampleKind,
    key: Option<String>,
    old: Rows,
    new: Rows,
}

/// The groups that are to be shown.
pub(super) struct Chosen<'a> {
    ty: &'a RecordType,
    /// The types of key and value. `None` if rows are not pairs.
    pair: Option<(RecordType, RecordType)>,
    groups: BTreeMap<u64, Group>,
}

impl<'a> Chosen<'a> {
    pub(super) fn new(ty: &'a RecordType) -> Self {
        Self { ty, pair: ty.pair(), groups: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Chooses a group that differs, unless there are already `most` groups of its kind.
    pub(super) fn choose(&mut self, kind: SampleKind, group: u64, most: usize) {
        if self.groups.values().filter(|group| group.kind == kind).count() < most {
            self.groups.insert(group, Group { kind, key: None, old: Rows::default(), new: Rows::default() });
        }
    }

    /// Looks at rows of a side, which have these hashes.
    pub(super) fn see(&mut self, side: Side, slice: &RecordBatch, hashes: &[RowHash]) {
        for (row, hash) in hashes.iter().enumerate() {
            let Some(group) = self.groups.get_mut(&hash.group) else { continue };
            let rows = match side {
                Side::Old => &mut group.old,
                Side::New => &mut group.new,
            };
            rows.count += 1;
            let most = if self.pair.is_some() { ROWS_OF_GROUP_MAX } else { 1 };
            if rows.first.len() >= most {
                continue;
            }
            let text = match (&self.pair, slice.columns()) {
                (Some((key, value)), [keys, values]) => {
                    group.key.get_or_insert_with(|| value_text(key, keys, row));
                    value_text(value, values, row)
                }
                _ => row_text(self.ty, slice, row),
            };
            rows.first.push((hash.row, text));
        }
    }

    pub(super) fn into_samples(self) -> Vec<Sample> {
        let is_pair = self.pair.is_some();
        let sample = |Group { kind, key, old, new }: Group| {
            let text = |own: &Rows, other: &Rows| if is_pair { own.values(other) } else { own.row(other) };
            let old_text = text(&old, &new).filter(|_| kind != SampleKind::OnlyNew);
            let new_text = text(&new, &old).filter(|_| kind != SampleKind::OnlyOld);
            Sample { kind, key, old: old_text, new: new_text, ..Sample::default() }
        };
        self.groups.into_values().map(sample).collect()
    }
}
