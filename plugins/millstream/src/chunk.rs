//! The flat form in which rows cross the plugin boundary: a list of buffers, all in one piece of bytes.
//!
//! Owns reading and writing this form, buffer by buffer. `wit/types.wit` describes the form. Never knows the type of a
//! row.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

/// Where a buffer lies in the data of a chunk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub offset: u32,
    pub length: u32,
}

/// Rows in flat form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    pub rows: u32,
    pub extents: Vec<Extent>,
    pub data: Vec<u8>,
}

/// The error that a chunk does not have the form that its type requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub Cow<'static, str>);

impl From<&'static str> for Malformed {
    fn from(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the buffers of a chunk, in order.
pub struct ChunkReader {
    extents: Vec<Extent>,
    next: usize,
    pub(crate) data: Rc<Vec<u8>>,
}

impl ChunkReader {
    pub(crate) fn new(chunk: Chunk) -> Self {
        Self { extents: chunk.extents, next: 0, data: Rc::new(chunk.data) }
    }

    /// Where the next buffer lies in `data`.
    pub(crate) fn buffer(&mut self) -> Result<Range<usize>, Malformed> {
        let extent = self.extents.get(self.next).ok_or(Malformed::from("it has too few buffers"))?;
        self.next += 1;
        let (start, length) = (extent.offset as usize, extent.length as usize);
        if start > self.data.len() || length > self.data.len() - start {
            return Err(Malformed::from("a buffer lies outside of its data"));
        }
        Ok(start..start + length)
    }

    /// Where the next buffer lies in `data`. The buffer must hold at least `bytes` bytes.
    pub(crate) fn buffer_of(&mut self, bytes: usize) -> Result<Range<usize>, Malformed> {
        let range = self.buffer()?;
        if range.len() < bytes {
            return Err(Malformed::from("a buffer is too short for its rows"));
        }
        Ok(range)
    }

    /// Goes back by one buffer, so that the buffer that was read last is read once more.
    pub(crate) fn put_back(&mut self) {
        self.next -= 1;
    }
}

/// Writes the buffers of a chunk, in order.
#[derive(Default)]
pub struct ChunkWriter {
    extents: Vec<Extent>,
    data: Vec<u8>,
    validity: Option<Vec<u8>>,
}

impl ChunkWriter {
    /// Appends a buffer at the next multiple of 8.
    pub(crate) fn buffer(&mut self, bytes: &[u8]) {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let extent = Extent { offset: self.data.len() as u32, length: bytes.len() as u32 };
        self.extents.push(extent);
        self.data.extend_from_slice(bytes);
    }

    /// Sets the validity bitmap of the next field.
    pub(crate) fn set_validity(&mut self, bitmap: Vec<u8>) {
        self.validity = Some(bitmap);
    }

    /// Begins a field: appends the bitmap that was set for it, or an empty buffer if none was set.
    pub(crate) fn field(&mut self) {
        let bitmap = self.validity.take().unwrap_or_default();
        self.buffer(&bitmap);
    }

    pub(crate) fn finish(self, rows: usize) -> Chunk {
        Chunk { rows: rows as u32, extents: self.extents, data: self.data }
    }
}
