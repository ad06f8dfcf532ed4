//! Lists as records: of any length, and of one length.

use super::variable::{Offsets, push_offset};
use super::{Builder, ChunkReader, ChunkWriter, Column, Field, Malformed, Record};

/// A column of lists, one for each row.
pub struct ListColumn<T: Record> {
    offsets: Offsets,
    items: T::Column,
}

/// Collects lists, one for each row.
pub struct ListBuilder<T: Record> {
    offsets: Vec<u8>,
    items: T::Builder,
    count: usize,
}

impl<T: Record> Default for ListBuilder<T> {
    fn default() -> Self {
        Self { offsets: Vec::new(), items: T::Builder::default(), count: 0 }
    }
}

impl<T: Record> Record for Vec<T> {
    type Column = ListColumn<T>;
    type Builder = ListBuilder<T>;
    fn describe(name: &str, fields: &mut Vec<Field>) {
        fields.push(Field { children: 1, ..Field::leaf(name, "list") });
        T::describe("item", fields);
    }
    fn show(&self, out: &mut String) {
        show_list(self, out);
    }
}

fn show_list<T: Record>(items: &[T], out: &mut String) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        item.show(out);
    }
    out.push(']');
}

impl<T: Record> Column for ListColumn<T> {
    type Item = Vec<T>;
    fn read(source: &mut ChunkReader, rows: usize, _: bool) -> Result<Self, Malformed> {
        source.buffer()?;
        let offsets = Offsets::read(source, rows)?;
        let count = if rows == 0 { 0 } else { offsets.get(rows) };
        Ok(Self { offsets, items: T::Column::read(source, count, false)? })
    }
    #[inline]
    fn get(&self, row: usize) -> Vec<T> {
        (self.offsets.get(row)..self.offsets.get(row + 1)).map(|at| self.items.get(at)).collect()
    }
}

impl<T: Record> ListColumn<T> {
    /// Merges the items of a row, in order; `None` if the row has no items.
    #[inline]
    pub(crate) fn reduce(&self, row: usize, function: impl Fn(T, T) -> T) -> Option<T> {
        (self.offsets.get(row)..self.offsets.get(row + 1)).map(|at| self.items.get(at)).reduce(function)
    }
}

impl<T: Record> ListBuilder<T> {
    fn push_items(&mut self, items: impl IntoIterator<Item = T>) {
        for item in items {
            self.count += 1;
            self.items.push(item);
        }
        push_offset(&mut self.offsets, self.count);
    }
}

impl<T: Record> Builder for ListBuilder<T> {
    type Item = Vec<T>;
    fn push(&mut self, items: Vec<T>) {
        self.push_items(items);
    }
    fn push_absent(&mut self) {
        push_offset(&mut self.offsets, self.count);
    }
    fn bytes(&self) -> usize {
        self.offsets.len() + self.items.bytes()
    }
    fn write(&mut self, out: &mut ChunkWriter, _: bool) {
        out.field();
        out.buffer(&self.offsets);
        self.items.write(out, false);
        self.offsets.clear();
        self.count = 0;
    }
}

/// A column of lists of one length.
pub struct ArrayColumn<T: Record, const N: usize>(ListColumn<T>);

/// Collects lists of one length.
pub struct ArrayBuilder<T: Record, const N: usize>(ListBuilder<T>);

impl<T: Record, const N: usize> Default for ArrayBuilder<T, N> {
    fn default() -> Self {
        Self(ListBuilder::default())
    }
}

/// A list of `N` items. A list of another length makes the task fail.
impl<T: Record, const N: usize> Record for [T; N] {
    type Column = ArrayColumn<T, N>;
    type Builder = ArrayBuilder<T, N>;
    fn describe(name: &str, fields: &mut Vec<Field>) {
        Vec::<T>::describe(name, fields);
    }
    fn show(&self, out: &mut String) {
        show_list(self, out);
    }
}

impl<T: Record, const N: usize> Column for ArrayColumn<T, N> {
    type Item = [T; N];
    fn read(source: &mut ChunkReader, rows: usize, root: bool) -> Result<Self, Malformed> {
        Ok(Self(ListColumn::read(source, rows, root)?))
    }
    fn get(&self, row: usize) -> [T; N] {
        let (start, end) = (self.0.offsets.get(row), self.0.offsets.get(row + 1));
        assert!(end - start == N, "a list has {} items: the record has an array of {N} here", end - start);
        std::array::from_fn(|at| self.0.items.get(start + at))
    }
}

impl<T: Record, const N: usize> Builder for ArrayBuilder<T, N> {
    type Item = [T; N];
    fn push(&mut self, items: [T; N]) {
        self.0.push_items(items);
    }
    fn push_absent(&mut self) {
        self.0.push_absent();
    }
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
    fn write(&mut self, out: &mut ChunkWriter, root: bool) {
        self.0.write(out, root);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{chunk_of, fields_of, read_column, rows_of};
    use super::Column;
    use crate::Key;
    use proptest::prelude::*;

    type Row = ([i64; 2], [[char; 3]; 1], Option<[u8; 0]>);

    proptest! {
        #[test]
        fn arrays_and_characters_come_back(rows in prop::collection::vec(any::<([i64; 2], [[char; 3]; 1], bool)>(), 0..9)) {
            let rows: Vec<Row> = rows.into_iter().map(|(a, b, there)| (a, b, there.then_some([]))).collect();
            prop_assert_eq!(rows_of::<Row>(chunk_of(rows.clone())), rows.clone());
            for row in rows {
                let (mut bytes, mut of_lists) = (Vec::new(), Vec::new());
                row.encode(true, &mut bytes);
                let texts: Vec<String> = row.1[0].iter().map(char::to_string).collect();
                (row.0.to_vec(), vec![texts], row.2.map(|none| none.to_vec())).encode(true, &mut of_lists);
                prop_assert_eq!(Row::decode(&mut bytes.as_slice(), true), row);
                prop_assert_eq!(bytes, of_lists);
            }
        }
    }

    #[test]
    fn they_are_lists_and_texts_to_the_host() {
        assert_eq!(fields_of::<([i64; 2], [char; 3])>(), fields_of::<(Vec<i64>, Vec<String>)>());
    }

    #[test]
    fn a_unit_comes_back_and_is_a_text_to_the_host() {
        type Row = ((), Option<()>, Vec<()>);
        let rows: Vec<Row> = vec![((), Some(()), vec![(), ()]), ((), None, vec![])];
        assert_eq!(rows_of::<Row>(chunk_of(rows.clone())), rows);
        assert_eq!(fields_of::<((), Option<()>)>(), fields_of::<(String, Option<String>)>());
        for row in rows {
            let (mut bytes, mut of_texts) = (Vec::new(), Vec::new());
            row.encode(true, &mut bytes);
            let text = || "()".to_owned();
            let texts: Vec<String> = row.2.iter().map(|()| text()).collect();
            (text(), row.1.map(|()| text()), texts).encode(true, &mut of_texts);
            assert_eq!(Row::decode(&mut bytes.as_slice(), true), row);
            assert_eq!(bytes, of_texts);
        }
    }

    #[test]
    fn another_length_is_refused() {
        let refused = |work: fn()| *std::panic::catch_unwind(work).unwrap_err().downcast::<String>().unwrap();
        let list = refused(|| _ = read_column::<[i64; 2]>(chunk_of(vec![vec![1i64]])).unwrap().0.get(0));
        assert_eq!(list, "a list has 1 items: the record has an array of 2 here");
        let text = refused(|| _ = read_column::<char>(chunk_of(vec!["ab".to_owned()])).unwrap().0.get(0));
        assert_eq!(text, "\"ab\" is not a single character: the record has a `char` here");
        let unit = refused(|| read_column::<()>(chunk_of(vec!["ab".to_owned()])).unwrap().0.get(0));
        assert_eq!(unit, "\"ab\" is not `()`: the record has a `()` here");
    }
}
