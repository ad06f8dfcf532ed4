//! Tests of the flat layout: every buffer is checked, and exactly those chunks are accepted that arrow accepts.

use super::super::arbitrary::{rows, ty};
use super::super::{json, text};
use super::*;
use crate::data::schema::RecordType;
use arrow::array::{Array, RecordBatch};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn pair() -> RecordType {
    ty(&[("", "struct", 2), ("0", "text", 0), ("1", "u64", 0)])
}

fn encoded(batch: &RecordBatch, ty: &RecordType) -> (Vec<(u32, u32)>, Vec<u8>) {
    let (mut directory, mut data) = (vec![(9, 9)], vec![9]);
    encode(batch, ty, &mut directory, &mut data).unwrap();
    (directory, data)
}

fn problem(ty: &RecordType, rows: u32, directory: &[(u32, u32)], data: &[u8]) -> String {
    decode(ty, rows, directory, data.to_vec()).unwrap_err().to_string()
}

fn i32s(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn the_layout_is_the_documented_one() {
    let batch = json::records(&pair(), &[json!(["ab", 1]), json!(["", 2]), json!(["c", 3])]).unwrap();
    let (directory, data) = encoded(&batch, &pair());
    assert_eq!(directory, [(0, 0), (0, 16), (16, 3), (24, 0), (24, 24)]);
    let expected = [i32s(&[0, 2, 2, 3]), b"abc\0\0\0\0\0".to_vec(), i32s(&[1, 0, 2, 0, 3, 0])].concat();
    assert_eq!(data, expected);

    let lists = ty(&[("", "?list", 1), ("", "?bool", 0)]);
    let batch = json::records(&lists, &[json!([true, null]), json!(null), json!([true])]).unwrap();
    let (directory, data) = encoded(&batch, &lists);
    assert_eq!(directory, [(0, 1), (8, 16), (24, 1), (32, 1)]);
    assert_eq!((data[0], &data[8..24], data[24], data[32]), (0b101, i32s(&[0, 2, 2, 3]).as_slice(), 0b101, 0b101));
}

#[test]
fn nothing_is_copied() {
    let mut data = i32s(&[0, 1, 2, 7, 7, 7]);
    data.extend(b"ab");
    let start = data.as_ptr();
    let batch = decode(&RecordType::text(), 2, &[(0, 0), (0, 12), (24, 2)], data).unwrap();
    let column = batch.column(0).to_data();
    assert_eq!(column.buffers()[0].as_ptr(), start);
    assert_eq!(column.buffers()[1].as_ptr(), start.wrapping_add(24));
}

/// Offsets and bytes of two texts, `ab` and `c`, and two numbers. The chunks differ only in the places of the buffers.
#[test]
fn buffers_that_are_misaligned_or_overlap_are_refused() {
    let data = vec![0; 64];
    let pair = |directory: [(u32, u32); 5]| decode(&pair(), 1, &directory, data.clone()).map_err(|e| e.to_string());
    // Buffers may be in any order, with gaps, and the places of empty buffers do not matter.
    assert!(pair([(7, 0), (32, 8), (16, 3), (64, 0), (0, 8)]).is_ok());
    assert!(pair([(0, 0), (0, 8), (8, 0), (0, 0), (8, 8)]).is_ok());
    let refused = |directory, expected: &str| assert_eq!(pair(directory).unwrap_err(), expected);
    refused([(0, 0), (4, 8), (16, 3), (0, 0), (24, 8)], "buffer 1 starts at byte 4, which is not a multiple of 8");
    refused([(0, 0), (0, 8), (17, 3), (0, 0), (24, 8)], "buffer 2 starts at byte 17, which is not a multiple of 8");
    refused([(0, 0), (0, 8), (0, 8), (0, 0), (8, 8)], "buffers 1 and 2 overlap at byte 0");
    refused([(0, 0), (0, 17), (24, 3), (0, 0), (16, 8)], "buffers 1 and 4 overlap at byte 16");
    refused([(0, 0), (32, 32), (8, 25), (0, 0), (0, 8)], "buffers 2 and 1 overlap at byte 32");
    // A bitmap that marks no value as absent takes its place as well.
    refused([(16, 1), (0, 8), (16, 1), (0, 0), (24, 8)], "buffers 0 and 2 overlap at byte 16");
}

#[test]
fn a_chunk_has_a_limit_of_rows_and_of_values_in_lists() {
    let bools = ty(&[("", "bool", 0)]);
    let bits = |rows: usize| (rows as u32, vec![(0, 0), (0, rows.div_ceil(8) as u32)], vec![0xff; rows.div_ceil(8)]);
    let (rows, directory, data) = bits(ROWS_MAX);
    let batch = decode(&bools, rows, &directory, data).unwrap();
    assert_eq!(encoded(&batch, &bools).0, directory);
    let (rows, directory, data) = bits(ROWS_MAX + 1);
    let error = decode(&bools, rows, &directory, data).unwrap_err();
    assert_eq!(error.to_string(), "the chunk has 1048577 rows, a chunk has at most 1048576");
    // Two more overlaps, in the host's own chunks.
    let many = arrow::compute::concat_batches(batch.schema_ref(), [&batch, &batch.slice(0, 1)]).unwrap();
    assert_eq!(encode(&many, &bools, &mut Vec::new(), &mut Vec::new()), Err(ChunkError::Rows { rows: ROWS_MAX + 1 }));
    let rows_of = |slices: &mut dyn Iterator<Item = RecordBatch>| slices.map(|s| s.num_rows()).collect::<Vec<_>>();
    assert_eq!(rows_of(&mut chunks(&many, usize::MAX)), [ROWS_MAX, 1]);
    assert_eq!(rows_of(&mut pieces(many)), [[PIECE_ROWS; ROWS_MAX / PIECE_ROWS].as_slice(), &[1]].concat());

    let lists = ty(&[("", "list", 1), ("", "bool", 0)]);
    let values = (VALUES_MAX + 1) as u32;
    let data = [i32s(&[0, values as i32]), vec![0; values.div_ceil(8) as usize]].concat();
    let error = decode(&lists, 1, &[(0, 0), (0, 8), (0, 0), (8, values.div_ceil(8))], data).unwrap_err();
    let expected = "column `value` (list): the lists of buffer 1 hold 134217729 values, a field has at most 134217728";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn text_may_start_anywhere_in_its_bytes() {
    let data = [i32s(&[1, 2, 4, 0]), b"\xffa\xc3\xa9\xff".to_vec()].concat();
    let batch = decode(&RecordType::text(), 2, &[(0, 0), (0, 12), (16, 5)], data).unwrap();
    assert_eq!(batch, json::records(&RecordType::text(), &[json!("a"), json!("é")]).unwrap());
}

#[test]
fn without_rows_buffers_may_be_empty() {
    let ty = ty(&[("", "struct", 3), ("a", "list", 1), ("", "text", 0), ("b", "?i64", 0), ("c", "bool", 0)]);
    let batch = decode(&ty, 0, &[(0, 0); 9], Vec::new()).unwrap();
    assert_eq!(batch, json::records(&ty, &[]).unwrap());
    let (directory, data) = encoded(&batch, &ty);
    assert_eq!(decode(&ty, 0, &directory, data).unwrap(), batch);
}

#[test]
fn each_mistake_is_named() {
    let data = [i32s(&[0, 1, 2, 3]), b"abc\0\0\0\0\0".to_vec(), vec![0; 24]].concat();
    let ok = [(0, 0), (0, 16), (16, 3), (24, 0), (24, 24)];
    assert!(decode(&pair(), 3, &ok, data.clone()).is_ok());
    let with = |at: usize, extent: (u32, u32)| {
        let mut directory = ok;
        directory[at] = extent;
        directory
    };
    assert_eq!(problem(&pair(), 3, &ok[..4], &data), "the chunk has 4 buffers, its type needs 5");
    assert_eq!(
        problem(&pair(), 3, &with(2, (u32::MAX, u32::MAX)), &data),
        "buffer 2 is 4294967295 bytes long from byte 4294967295, but the data ends at byte 48"
    );
    assert_eq!(problem(&pair(), 3, &with(0, (0, 16)), &data), "buffers 0 and 1 overlap at byte 0");
    assert_eq!(
        problem(&pair(), 3, &with(4, (24, 17)), &data),
        "column `1` (u64): buffer 4 is 17 bytes long, 24 are needed for 3 rows"
    );
    assert_eq!(problem(&pair(), u32::MAX, &ok, &data), "the chunk has 4294967295 rows, a chunk has at most 1048576");
    assert_eq!(
        problem(&pair(), 1 << 20, &ok, &data),
        "column `0` (text): buffer 1 is 16 bytes long, 4194308 are needed for 1048576 rows"
    );
    assert_eq!(
        problem(&pair(), 3, &with(2, (16, 2)), &data),
        "column `0` (text): the last offset is 3, but buffer 2 is 2 bytes long"
    );
    assert_eq!(
        problem(&pair(), 3, &with(3, (48, 1)), &[data.clone(), vec![1]].concat()),
        "column `1` (u64): row 1 is absent, but the field is not optional"
    );
    let offsets = |offsets: &[i32], text: &str| {
        let mut data = i32s(offsets);
        data.resize(data.len().next_multiple_of(8), 0);
        [data, text.as_bytes().to_vec()].concat()
    };
    let text = |rows: u32, data: &[u8]| {
        let offsets = 4 * (rows + 1);
        let start = offsets.next_multiple_of(8);
        problem(&RecordType::text(), rows, &[(0, 0), (0, offsets), (start, data.len() as u32 - start)], data)
    };
    assert_eq!(text(1, &offsets(&[-1, 1], "a")), "column `value` (text): the offsets in buffer 1 start at -1");
    assert_eq!(
        text(3, &offsets(&[0, 2, 1, 2], "ab")),
        "column `value` (text): the offsets in buffer 1 fall from 2 to 1 in row 1"
    );
    assert_eq!(text(2, &offsets(&[0, 1, 2], "é")), "column `value` (text): row 0 is not valid UTF-8");
    let nested = ty(&[("", "struct", 1), ("a", "list", 1), ("", "?struct", 1), ("b", "i16", 0)]);
    let data = [i32s(&[0, 2]), vec![3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]].concat();
    assert_eq!(
        problem(&nested, 1, &[(0, 0), (0, 8), (8, 1), (9, 0), (16, 3)], &data),
        "column `a.item.b` (i16): buffer 4 is 3 bytes long, 4 are needed for 2 rows"
    );
}

#[test]
fn a_batch_of_another_type_is_not_written() {
    let batch = json::records(&RecordType::text(), &[json!("a")]).unwrap();
    let written = encode(&batch, &pair(), &mut Vec::new(), &mut Vec::new());
    assert_eq!(written.unwrap_err().to_string(), "the batch has 1 columns, 2 are needed");
    let written = encode(&batch, &ty(&[("", "u8", 0)]), &mut Vec::new(), &mut Vec::new());
    assert_eq!(written.unwrap_err().to_string(), "column `value` is of the arrow type Utf8, u8 is needed");
    let optional = ty(&[("", "?text", 0)]);
    let batch = json::records(&optional, &[json!(null)]).unwrap();
    let written = encode(&batch, &RecordType::text(), &mut Vec::new(), &mut Vec::new());
    assert_eq!(written.unwrap_err().to_string(), "column `value` (text) has 1 absent values, but is not optional");
}

/// Arrow lets a member be absent where its struct is absent, even if the type has no absent members.
#[test]
fn members_of_an_absent_struct_need_no_validity() {
    let ty = ty(&[("", "?struct", 1), ("a", "u8", 0)]);
    let arrow::datatypes::DataType::Struct(members) = ty.arrow().field(0).data_type().clone() else { unreachable!() };
    let values: arrow::array::ArrayRef = Arc::new(arrow::array::UInt8Array::from(vec![Some(1), None, Some(3)]));
    let nulls = arrow::buffer::NullBuffer::from(vec![true, false, false]);
    let structs = arrow::array::StructArray::try_new(members, vec![values], Some(nulls)).unwrap();
    let batch = RecordBatch::try_new(Arc::clone(ty.arrow()), vec![Arc::new(structs)]).unwrap();
    let (directory, data) = encoded(&batch, &ty);
    assert_eq!(directory, [(0, 1), (8, 0), (8, 3)]);
    let expected = json::records(&ty, &[json!({"a": 1}), json!(null), json!(null)]).unwrap();
    assert_eq!(decode(&ty, 3, &directory, data).unwrap(), expected);
}

#[test]
fn a_batch_is_cut_into_chunks_of_about_the_size() {
    let lines: Vec<_> = (0..1000).map(|n| json!("x".repeat(n % 50))).collect();
    let batch = json::records(&RecordType::text(), &lines).unwrap();
    let slices: Vec<_> = chunks(&batch, 1000).collect();
    assert_eq!(arrow::compute::concat_batches(batch.schema_ref(), &slices).unwrap(), batch);
    for slice in &slices[..slices.len() - 1] {
        let size = encoded(slice, &RecordType::text()).1.len();
        assert!((900..=1016).contains(&size), "{size}");
    }
    assert_eq!(chunks(&batch, 0).count(), 1000);
    assert_eq!(chunks(&batch, usize::MAX).count(), 1);
    assert_eq!(chunks(&batch.slice(0, 0), 10).count(), 0);
}

/// The kinds of damage to a chunk.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Extent(prop::sample::Index, i32, i32),
    Swap(prop::sample::Index, prop::sample::Index),
    Rows(u32),
    Truncate(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        2 => (index(), -9..9i32, -9..9i32).prop_map(|(at, offset, length)| Damage::Extent(at, offset, length)),
        1 => (index(), index()).prop_map(|(a, b)| Damage::Swap(a, b)),
        1 => prop_oneof![0..20u32, any::<u32>()].prop_map(Damage::Rows),
        1 => index().prop_map(Damage::Truncate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn decoding_gives_the_batch_back(
        (ty, values, batch) in rows(12),
        ends in any::<[prop::sample::Index; 2]>(),
        shift in 0..8usize,
        order in any::<[prop::sample::Index; 8]>(),
    ) {
        let mut ends = ends.map(|end| end.index(values.len() + 1));
        ends.sort_unstable();
        let [start, end] = ends;
        let slice = batch.slice(start, end - start);
        let (mut directory, data) = encoded(&slice, &ty);
        prop_assert!(directory.iter().all(|extent| extent.0 % 8 == 0));

        let alone = json::records(&ty, &values[start..end]).unwrap();
        prop_assert_eq!(encoded(&alone, &ty), (directory.clone(), data.clone()));

        // The buffers may be in any order, with gaps, and `data` may begin at any address.
        let mut moved = vec![0xff; 8 * shift];
        let mut places: Vec<usize> = (0..directory.len()).collect();
        order.iter().enumerate().for_each(|(at, with)| {
            let count = places.len();
            if count > 0 {
                places.swap(at % count, with.index(count));
            }
        });
        for at in places {
            let (offset, length) = directory[at];
            moved.resize(moved.len().next_multiple_of(8), 0xff);
            directory[at].0 = moved.len() as u32;
            moved.extend(&data[offset as usize..(offset + length) as usize]);
        }
        let decoded = decode(&ty, slice.num_rows() as u32, &directory, moved).unwrap();
        prop_assert_eq!(&decoded, &slice);
        prop_assert_eq!(decoded.schema(), batch.schema());
        // The values of absent rows are written as well, so encoding a second time loses nothing.
        prop_assert_eq!(encoded(&decoded, &ty), encoded(&slice, &ty));
    }

    #[test]
    fn a_damaged_chunk_is_refused_or_still_valid(
        (ty, _, batch) in rows(12), damages in proptest::collection::vec(damage(), 1..4),
    ) {
        let (mut directory, mut data) = encoded(&batch, &ty);
        let mut rows = batch.num_rows() as u32;
        for damage in damages {
            match damage {
                Damage::Flip(at, bits) if !data.is_empty() => {
                    let at = at.index(data.len());
                    data[at] ^= bits;
                }
                Damage::Extent(at, offset, length) => {
                    let extent = at.get_mut(&mut directory);
                    *extent = (extent.0.wrapping_add_signed(offset), extent.1.wrapping_add_signed(length));
                }
                Damage::Swap(a, b) => {
                    let length = directory.len();
                    directory.swap(a.index(length), b.index(length));
                }
                Damage::Rows(damaged) => rows = damaged,
                Damage::Truncate(at) => data.truncate(at.index(data.len() + 1)),
                Damage::Flip(..) => {}
            }
        }
        let decoded = decode(&ty, rows, &directory, data);
        // All damage is found before arrow sees the columns.
        prop_assert!(!matches!(decoded, Err(ChunkError::Arrow(_))), "{:?}", decoded);
        let places = || directory.iter().filter(|extent| extent.1 > 0).map(|&(offset, length)| offset..offset + length);
        if let Ok(decoded) = decoded {
            prop_assert!(places().all(|place| place.start % 8 == 0), "misaligned");
            let apart = |a: &std::ops::Range<u32>, b: &std::ops::Range<u32>| a.end <= b.start || b.end <= a.start;
            let pairs = places().enumerate().flat_map(|(at, a)| places().skip(at + 1).map(move |b| (a.clone(), b)));
            prop_assert!(pairs.into_iter().all(|(a, b)| apart(&a, &b)), "overlapping");
            prop_assert_eq!(decoded.num_rows(), rows as usize);
            for column in decoded.columns() {
                column.to_data().validate_full().unwrap();
            }
            let (directory, data) = encoded(&decoded, &ty);
            let again = decode(&ty, rows, &directory, data.clone()).unwrap();
            prop_assert_eq!(encoded(&again, &ty), (directory, data));
            let mut out = String::new();
            for row in 0..decoded.num_rows() {
                text::write_row(&decoded, &ty, row, &mut out).unwrap();
                json::row_to_json(&decoded, &ty, row).unwrap();
            }
        }
    }

    /// The same for text: exactly those texts are accepted that arrow accepts. (Arrow checks the places of texts even
    /// if all of them are empty. This difference is not observable.)
    #[test]
    fn text_is_accepted_as_arrow_accepts_it(
        bytes in prop_oneof!["[aé€]{0,6}".prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..8)],
        offsets in proptest::collection::vec(-1..12i32, 2..5),
    ) {
        let rows = offsets.len() - 1;
        let mut data = i32s(&offsets);
        let length = data.len() as u32;
        let start = length.next_multiple_of(8);
        data.resize(start as usize, 0);
        data.extend(&bytes);
        let directory = [(0, 0), (0, length), (start, bytes.len() as u32)];
        let all_empty = (0..=bytes.len() as i32).contains(&offsets[0]) && offsets.iter().all(|&o| o == offsets[0]);
        let accepted = decode(&RecordType::text(), rows as u32, &directory, data).is_ok();
        let arrow = arrow::array::ArrayData::builder(arrow::datatypes::DataType::Utf8)
            .len(rows)
            .add_buffer(arrow::buffer::Buffer::from_vec(offsets))
            .add_buffer(arrow::buffer::Buffer::from_vec(bytes))
            .build();
        prop_assert_eq!(accepted, arrow.is_ok() || all_empty);
    }
}
