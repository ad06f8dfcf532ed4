//! Columns of text from offsets and bytes that are not checked yet.
//!
//! Owns the check of text, and finds the row whose text is wrong. Never knows where the bytes came from.

use arrow::array::StringArray;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};

/// Why offsets and bytes are no column of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotText {
    /// The bytes of this row are not UTF-8.
    Utf8 { row: usize },
    /// The offsets end outside of the bytes, or there are not as many validity bits as rows.
    Lengths,
}

/// Makes a column of the rows `offsets[n]..offsets[n + 1]` of `values`. Bytes outside of all rows may be anything.
/// Bytes of rows that `nulls` marks as absent have to be UTF-8. Copies offsets that do not start at 0, and nothing
/// else.
pub(super) fn text_array(
    offsets: OffsetBuffer<i32>,
    values: &Buffer,
    nulls: Option<NullBuffer>,
) -> Result<StringArray, NotText> {
    let (first, last) = bounds(&offsets).ok_or(NotText::Lengths)?;
    if last > values.len() || nulls.as_ref().is_some_and(|nulls| nulls.len() + 1 != offsets.len()) {
        return Err(NotText::Lengths);
    }
    let used = values.slice_with_length(first, last - first);
    // All bytes of an Arrow text column have to be UTF-8, so the bytes before the first row are left out.
    let offsets = if first == 0 { offsets } else { rebased(&offsets) };
    StringArray::try_new(offsets.clone(), used.clone(), nulls).map_err(|_| fault(&offsets, &used))
}

/// The first and the last offset. `None` if one is negative, or the last offset is less than the first.
fn bounds(offsets: &[i32]) -> Option<(usize, usize)> {
    let first = usize::try_from(*offsets.first()?).ok()?;
    let last = usize::try_from(*offsets.last()?).ok()?;
    (first <= last).then_some((first, last))
}

/// Offsets that start at 0, with the same lengths of rows.
fn rebased(offsets: &OffsetBuffer<i32>) -> OffsetBuffer<i32> {
    let first = offsets.first().copied().unwrap_or_default();
    OffsetBuffer::new(offsets.iter().map(|offset| offset - first).collect())
}

/// Finds where `values` is not UTF-8, or where an offset lies inside a character.
fn fault(offsets: &[i32], values: &[u8]) -> NotText {
    let row = match std::str::from_utf8(values) {
        Err(error) => offsets.partition_point(|&offset| offset as usize <= error.valid_up_to()),
        Ok(text) => {
            let inside = |&offset: &i32| !text.is_char_boundary(offset as usize);
            offsets.iter().position(inside).unwrap_or_default()
        }
    };
    NotText::Utf8 { row: row.saturating_sub(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offsets(offsets: &[i32]) -> OffsetBuffer<i32> {
        OffsetBuffer::new(offsets.to_vec().into())
    }

    #[test]
    fn rows_may_start_after_bytes_that_are_not_text() {
        let array = text_array(offsets(&[2, 4, 4, 5]), &Buffer::from(b"\xff\xc3abc\xc3"), None).unwrap();
        assert_eq!(array.iter().flatten().collect::<Vec<_>>(), ["ab", "", "c"]);
    }

    #[test]
    fn the_row_that_is_not_text_is_named() {
        let values = Buffer::from("aé€".as_bytes());
        assert!(text_array(offsets(&[0, 1, 3, 6]), &values, None).is_ok());
        assert_eq!(text_array(offsets(&[0, 1, 2, 6]), &values, None), Err(NotText::Utf8 { row: 1 }));
        assert_eq!(text_array(offsets(&[0, 1, 3, 5]), &values, None), Err(NotText::Utf8 { row: 2 }));
        assert_eq!(text_array(offsets(&[2, 3]), &values, None), Err(NotText::Utf8 { row: 0 }));
        assert_eq!(text_array(offsets(&[0, 7]), &values, None), Err(NotText::Lengths));
        assert_eq!(text_array(offsets(&[0, 1]), &values, Some(NullBuffer::new_null(2))), Err(NotText::Lengths));
    }

    proptest! {
        /// Rows are accepted exactly if each of them is UTF-8 on its own.
        #[test]
        fn nothing_but_text_is_accepted(
            pieces in proptest::collection::vec(prop_oneof![
                "[aé€😀]{0,3}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..3),
            ], 0..5),
            mut cuts in proptest::collection::vec(0..40usize, 1..6),
        ) {
            let bytes = pieces.concat();
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
            cuts.sort_unstable();
            let rows = cuts.windows(2).map(|ends| std::str::from_utf8(&bytes[ends[0]..ends[1]]).ok());
            let rows: Option<Vec<&str>> = rows.collect();
            let ends: Vec<i32> = cuts.iter().map(|&cut| cut as i32).collect();
            let array = text_array(offsets(&ends), &Buffer::from_vec(bytes.clone()), None).ok();
            prop_assert_eq!(array.as_ref().map(|array| array.iter().flatten().collect::<Vec<_>>()), rows);
        }
    }
}
