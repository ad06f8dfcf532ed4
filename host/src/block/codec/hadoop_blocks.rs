//! The block format in which Hadoop, and so Spark, writes Snappy and LZ4.
//!
//! A block begins with the length of its content. Parts of the content follow, each with its compressed length. All
//! lengths are four bytes, big-endian. Nothing marks the end of a file: a file that ends between two blocks is
//! complete.

use super::Scratch;
use std::io::{self, BufRead, Read};

/// The largest accepted block, in bytes of content. Hadoop's default is 256 KiB.
const BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Decompresses a part of a block, and returns the length of its content.
type Decompress = fn(&[u8], &mut [u8]) -> io::Result<usize>;

/// Reads blocks, one after the other.
pub(super) struct HadoopBlocks<R> {
    file: R,
    scratch: Scratch,
    decompress: Decompress,
    /// How many bytes of the block's content are in parts that have not been read yet.
    missing: usize,
    compressed: Vec<u8>,
    content: Vec<u8>,
    /// How many bytes of `content` the caller has taken.
    given: usize,
}

impl<R: BufRead> HadoopBlocks<R> {
    pub(super) fn new(file: R, scratch: Scratch, decompress: Decompress) -> Self {
        Self { file, scratch, decompress, missing: 0, compressed: Vec::new(), content: Vec::new(), given: 0 }
    }

    /// Reads parts until there is content. Returns false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        while self.given == self.content.len() {
            if self.missing == 0 {
                if self.file.fill_buf()?.is_empty() {
                    return Ok(false);
                }
                self.missing = self.length("a block")?;
                continue;
            }
            let length = self.length("a part of a block")?;
            self.scratch.hold(super::READ_BYTES + length + self.missing)?;
            self.compressed.resize(length, 0);
            self.file.read_exact(&mut self.compressed)?;
            self.content.resize(self.missing, 0);
            let count = (self.decompress)(&self.compressed, &mut self.content)?;
            if count == 0 {
                return Err(io::Error::other("a part of a block is empty"));
            }
            self.content.truncate(count);
            self.missing -= count;
            self.given = 0;
        }
        Ok(true)
    }

    fn length(&mut self, what: &str) -> io::Result<usize> {
        let mut bytes = [0; 4];
        self.file.read_exact(&mut bytes)?;
        let length = u32::from_be_bytes(bytes) as usize;
        if length > BLOCK_BYTES_MAX {
            return Err(io::Error::other(format!("{what} has {length} bytes, and at most {BLOCK_BYTES_MAX} are read")));
        }
        Ok(length)
    }
}

impl<R: BufRead> Read for HadoopBlocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.fill()? {
            return Ok(0);
        }
        let count = self.content.get(self.given..).unwrap_or_default().read(buffer)?;
        self.given += count;
        Ok(count)
    }
}
