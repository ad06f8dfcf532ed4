//! [`Split`] and [`SplitWhitespace`]: iterators over the pieces of a text.
//!
//! Owns where pieces begin and end. Separators are found sixty-four bytes at a time. Never copies text.

use super::Text;
use super::mask::{BLOCK, first_of, places_of, white_space};

/// An iterator over the pieces of a text between occurrences of a character. Made by [`Text::split`].
pub struct Split {
    text: Text,
    separator: char,
    /// Where the next piece begins. `None` if there are no more pieces.
    start: Option<usize>,
    /// Where the block begins to which `separators` belongs.
    block: usize,
    /// The separators in that block which the iterator has not passed yet.
    separators: u64,
}

impl Split {
    #[inline(always)]
    pub(super) fn new(text: Text, separator: char) -> Self {
        // Masks cannot find a separator that is not ASCII, nor one that could be a zero behind the text: `str` finds
        // those.
        let separators = if is_mask(separator) { places_of(separator as u8, text.with_rest_of_chunk(), 0) } else { 0 };
        Self { text, separator, start: Some(0), block: 0, separators }
    }

    /// The position of the next separator, or the end of the text if there is none.
    #[inline(always)]
    fn next_separator(&mut self) -> usize {
        let end = self.text.len();
        loop {
            if self.separators != 0 {
                let at = self.block + self.separators.trailing_zeros() as usize;
                self.separators &= self.separators - 1;
                // The bytes behind the text belong to another text.
                return at.min(end);
            }
            self.block += BLOCK;
            if self.block >= end {
                return end;
            }
            self.separators = places_of(self.separator as u8, self.text.with_rest_of_chunk(), self.block);
        }
    }

    #[cold]
    #[inline(never)]
    fn find_by_str(&self, start: usize) -> usize {
        let rest = &self.text.as_str()[start..];
        rest.find(self.separator).map_or(self.text.len(), |at| start + at)
    }
}

/// Where the first `separator` of the text begins. `None` if there is no separator.
#[inline(always)]
pub(super) fn find(text: &Text, separator: char) -> Option<usize> {
    if separator.is_ascii() {
        first_of(separator as u8, text.with_rest_of_chunk(), text.len())
    } else {
        text.as_str().find(separator)
    }
}

/// Whether masks can find this separator.
#[inline(always)]
fn is_mask(separator: char) -> bool {
    separator.is_ascii() && separator != '\0'
}

impl Iterator for Split {
    type Item = Text;

    #[inline(always)]
    fn next(&mut self) -> Option<Text> {
        let start = self.start?;
        let end = if is_mask(self.separator) { self.next_separator() } else { self.find_by_str(start) };
        self.start = (end < self.text.len()).then(|| end + self.separator.len_utf8());
        // SAFETY: pieces begin at the beginning of the text or behind a separator, and end before the next one or with
        // the text. A separator that is found by masks is a byte of ASCII, which is a character.
        Some(unsafe { self.text.piece(start, end) })
    }

    /// The loop of `flat_map`. The state of the iteration stays in registers. `function` is called at only one place,
    /// so that the compiler inlines it into the loop.
    #[inline(always)]
    fn fold<B, F: FnMut(B, Text) -> B>(self, init: B, mut function: F) -> B {
        let Some(mut start) = self.start else { return init };
        let mut folded = init;
        let (readable, end) = (self.text.with_rest_of_chunk(), self.text.len());
        let (mut block, mut separators) = (self.block, self.separators);
        loop {
            let at = if separators != 0 {
                let at = block.wrapping_add(separators.trailing_zeros() as usize);
                separators &= separators.wrapping_sub(1);
                // The bytes behind the text belong to another text.
                at.min(end)
            } else if is_mask(self.separator) {
                block = block.wrapping_add(BLOCK);
                if block < end {
                    separators = places_of(self.separator as u8, readable, block);
                    continue;
                }
                end
            } else {
                self.find_by_str(start)
            };
            // SAFETY: as in `next`.
            folded = function(folded, unsafe { self.text.piece(start, at) });
            if at >= end {
                return folded;
            }
            start = at.wrapping_add(self.separator.len_utf8());
        }
    }
}

/// An iterator over the pieces of a text between white space. Made by [`Text::split_whitespace`].
pub struct SplitWhitespace {
    text: Text,
    /// Where the rest of the text begins.
    start: usize,
    /// Where the block begins whose white space is known.
    block: usize,
    spaces: u64,
    /// Whether the block has characters that are not ASCII, some of which may be white space.
    is_mixed: bool,
}

impl SplitWhitespace {
    pub(super) fn new(text: Text) -> Self {
        let mut split = Self { text, start: 0, block: 0, spaces: 0, is_mixed: false };
        split.look(0);
        split
    }

    #[inline(always)]
    fn look(&mut self, block: usize) {
        let (spaces, others) = white_space(self.text.with_rest_of_chunk(), block);
        (self.block, self.spaces, self.is_mixed) = (block, spaces, others != 0);
    }

    /// The first byte from `at` on that is white space, or the first that is not. `None` if a character that is not
    /// ASCII may come before it.
    #[inline(always)]
    fn first(&mut self, mut at: usize, is_space: bool) -> Option<usize> {
        let end = self.text.len();
        while at < end {
            if at >= self.block + BLOCK {
                self.look(at);
            }
            if self.is_mixed {
                return None;
            }
            let wanted = if is_space { self.spaces } else { !self.spaces };
            let wanted = wanted >> (at - self.block);
            if wanted != 0 {
                return Some(end.min(at + wanted.trailing_zeros() as usize));
            }
            at = self.block + BLOCK;
        }
        Some(end)
    }

    /// Finds the next piece by `str`.
    #[cold]
    #[inline(never)]
    fn next_of_str(&mut self) -> Option<Text> {
        let text = self.text.as_str();
        let rest = text[self.start..].trim_start();
        let start = text.len() - rest.len();
        let end = rest.find(char::is_whitespace).map_or(text.len(), |at| start + at);
        self.start = end;
        // SAFETY: `str` gives pieces that begin and end with characters.
        (start < end).then(|| unsafe { self.text.piece(start, end) })
    }
}

impl Iterator for SplitWhitespace {
    type Item = Text;

    #[inline]
    fn next(&mut self) -> Option<Text> {
        let Some(start) = self.first(self.start, false) else { return self.next_of_str() };
        let Some(end) = self.first(start, true) else { return self.next_of_str() };
        self.start = end;
        // SAFETY: white space that is found by masks is ASCII, each byte of which is a character, and lies in the text.
        (start < end).then(|| unsafe { self.text.piece(start, end) })
    }
}
