//! Enums whose variants hold no data as records: a value is a text, the name of its variant.
//!
//! Owns how names are converted back to values. `#[derive(Record)]` lists the names.

use super::variable::{BytesBuilder, BytesColumn};
use super::{Builder, ChunkReader, ChunkWriter, Column, Malformed};
use std::marker::PhantomData;

/// An enum whose variants hold no data.
pub trait Choice: Sized + 'static {
    /// The name of the enum, for messages.
    const TYPE: &'static str;
    /// The names of its variants.
    const NAMES: &'static [&'static str];
    /// The position of this variant among the names.
    fn position(&self) -> usize;
    /// The variant at this position; `None` if there is no such variant.
    fn at(position: usize) -> Option<Self>;
}

/// The name of a value.
pub fn name_of<T: Choice>(value: &T) -> &'static str {
    T::NAMES.get(value.position()).copied().unwrap_or_default()
}

/// The position of the variant with this name; `None` if there is none.
pub(crate) fn position_of<T: Choice>(name: &[u8]) -> Option<usize> {
    T::NAMES.iter().position(|known| known.as_bytes() == name)
}

/// The message about a text that is not the name of a variant.
pub(crate) fn unknown<T: Choice>(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    format!("`{name}` is no variant of `{}`, which has `{}`", T::TYPE, T::NAMES.join("`, `"))
}

/// A column of positions of variants.
pub struct ChoiceColumn<T> {
    /// The position of each row. `None` if the text of the row is empty, as it is where an optional value is absent.
    positions: Vec<Option<usize>>,
    kind: PhantomData<T>,
}

impl<T: Choice> Column for ChoiceColumn<T> {
    type Item = T;
    fn read(source: &mut ChunkReader, rows: usize, _: bool) -> Result<Self, Malformed> {
        let names = BytesColumn::<T>::read_pieces(source, rows)?;
        let position = |row| {
            let name = names.piece(row);
            let position = position_of::<T>(name);
            if position.is_none() && !name.is_empty() {
                return Err(Malformed(unknown::<T>(name).into()));
            }
            Ok(position)
        };
        Ok(Self { positions: (0..rows).map(position).collect::<Result<_, _>>()?, kind: PhantomData })
    }
    #[inline]
    fn get(&self, row: usize) -> T {
        self.positions[row].and_then(T::at).unwrap_or_else(|| panic!("{}", unknown::<T>(b"")))
    }
}

/// Collects names of variants, one for each row.
pub struct ChoiceBuilder<T>(BytesBuilder<T>);

impl<T> Default for ChoiceBuilder<T> {
    fn default() -> Self {
        Self(BytesBuilder::default())
    }
}

impl<T: Choice> Builder for ChoiceBuilder<T> {
    type Item = T;
    #[inline]
    fn push(&mut self, item: T) {
        self.0.push_bytes(name_of(&item).as_bytes());
    }
    fn push_absent(&mut self) {
        self.0.push_bytes(&[]);
    }
    fn bytes(&self) -> usize {
        self.0.held()
    }
    fn write(&mut self, out: &mut ChunkWriter, _: bool) {
        self.0.write_pieces(out);
    }
}
