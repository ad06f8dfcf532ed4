//! Enums as records. A value whose variants hold no data is a text: the name of the variant. If variants hold data, the
//! text is the member `type` of a struct, and each variant with data has a member of its own.
//!
//! Owns how names are converted back to values. `#[derive(Record)]` lists the names.

use super::variable::{BytesBuilder, BytesColumn};
use super::{Builder, ChunkReader, ChunkWriter, Column, Field, Malformed, Record};
use std::marker::PhantomData;

/// An enum.
pub trait Named: Sized + 'static {
    /// The name of the enum, for messages.
    const TYPE: &'static str;
    /// The names of its variants.
    const NAMES: &'static [&'static str];
    /// The position of this variant among the names.
    fn position(&self) -> usize;
}

/// An enum whose variants hold no data.
pub trait Choice: Named {
    /// The variant at this position; `None` if there is no such variant.
    fn at(position: usize) -> Option<Self>;
}

/// The name of a value.
pub fn name_of<T: Named>(value: &T) -> &'static str {
    T::NAMES.get(value.position()).copied().unwrap_or_default()
}

/// The position of the variant with this name; `None` if there is none.
pub(crate) fn position_of<T: Named>(name: &[u8]) -> Option<usize> {
    T::NAMES.iter().position(|known| known.as_bytes() == name)
}

/// The message about a text that is not the name of a variant.
pub(crate) fn unknown<T: Named>(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    format!("`{name}` is no variant of `{}`, which has `{}`", T::TYPE, T::NAMES.join("`, `"))
}

/// The struct that an enum travels as whose variants hold data. `names` are the names of all variants, with commas.
pub fn tagged_field(name: &str, members: u32, names: &str) -> Field {
    Field { metadata: vec![("variants", names.to_owned())], ..Field::group(name, members) }
}

/// Fails because a value names a variant and does not hold its data.
///
/// # Panics
/// Always.
pub fn without_data<T: Named>(position: usize) -> T {
    let name = T::NAMES.get(position).copied().unwrap_or_default();
    panic!("a `{}` of the variant `{name}` lacks the data of the variant", T::TYPE)
}

/// Appends the data of a variant, in parentheses, as the host prints it.
pub fn show_data<T: Record>(data: &T, out: &mut String) {
    let mut fields = Vec::new();
    T::describe("data", &mut fields);
    let is_struct = |field: &Field| field.kind == "struct" && !field.nullable && field.metadata.is_empty();
    if fields.first().is_some_and(is_struct) {
        return data.show(out);
    }
    out.push('(');
    data.show(out);
    out.push(')');
}

/// A column of positions of variants.
pub struct ChoiceColumn<T> {
    /// The position of each row. `None` if the text of the row is empty, as it is where an optional value is absent.
    positions: Vec<Option<usize>>,
    kind: PhantomData<T>,
}

impl<T: Named> ChoiceColumn<T> {
    /// Reads the names of variants.
    pub fn read_names(source: &mut ChunkReader, rows: usize) -> Result<Self, Malformed> {
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

    /// The position of the variant of a row.
    #[inline]
    pub fn position(&self, row: usize) -> usize {
        self.positions[row].unwrap_or_else(|| panic!("{}", unknown::<T>(b"")))
    }
}

impl<T: Choice> Column for ChoiceColumn<T> {
    type Item = T;
    fn read(source: &mut ChunkReader, rows: usize, _: bool) -> Result<Self, Malformed> {
        Self::read_names(source, rows)
    }
    #[inline]
    fn get(&self, row: usize) -> T {
        T::at(self.position(row)).unwrap_or_else(|| panic!("{}", unknown::<T>(b"")))
    }
}

/// Collects names of variants, one for each row.
pub struct ChoiceBuilder<T>(BytesBuilder<T>);

impl<T> Default for ChoiceBuilder<T> {
    fn default() -> Self {
        Self(BytesBuilder::default())
    }
}

impl<T: Named> ChoiceBuilder<T> {
    /// Appends the name of a value's variant.
    #[inline]
    pub fn push_name(&mut self, value: &T) {
        self.0.push_bytes(name_of(value).as_bytes());
    }

    /// Appends an empty name.
    pub fn push_no_name(&mut self) {
        self.0.push_bytes(&[]);
    }

    /// About how many bytes the names take.
    pub fn held(&self) -> usize {
        self.0.held()
    }

    /// Moves the names into a chunk.
    pub fn write_names(&mut self, out: &mut ChunkWriter) {
        self.0.write_pieces(out);
    }
}

impl<T: Choice> Builder for ChoiceBuilder<T> {
    type Item = T;
    #[inline]
    fn push(&mut self, item: T) {
        self.push_name(&item);
    }
    fn push_absent(&mut self) {
        self.push_no_name();
    }
    fn bytes(&self) -> usize {
        self.held()
    }
    fn write(&mut self, out: &mut ChunkWriter, _: bool) {
        self.write_names(out);
    }
}
