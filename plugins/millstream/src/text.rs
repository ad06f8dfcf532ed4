//! [`Text`]: a piece of a chunk's text, shared instead of copied.
//!
//! Owns the type and the methods that cut a text into smaller pieces. Never copies text, except where a method says so.

mod mask;
mod number;
mod parse;
mod pattern;
mod split;

pub use pattern::{Chars, Pattern, Pieces};
pub use split::{Split, SplitWhitespace};

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

/// Text that shares the memory of the chunk that it came from. It dereferences to `str`. A clone only increments a
/// counter.
///
/// The methods of `Text` that cut text, such as [`Text::split`], return pieces that own a share of the memory, so that
/// a closure may return them. The methods of `str` can be called too, but their results borrow the text and cannot
/// leave the closure.
#[derive(Clone)]
pub struct Text {
    start: *const u8,
    length: usize,
    owner: Rc<Vec<u8>>,
}

impl Text {
    /// Makes the piece of `owner` at `start..end`.
    ///
    /// # Panics
    /// If the range is outside of `owner`.
    ///
    /// # Safety
    /// The range must be UTF-8.
    #[inline(always)]
    pub(crate) unsafe fn from_shared(owner: Rc<Vec<u8>>, start: usize, end: usize) -> Self {
        let bytes = &owner[start..end];
        Self { start: bytes.as_ptr(), length: bytes.len(), owner }
    }

    /// The text as a string slice.
    #[inline(always)]
    pub fn as_str(&self) -> &str {
        // SAFETY: `start..start + length` lies in the vector that `owner` keeps alive and that nobody can change while
        // it is shared; it was UTF-8 when this piece was cut, and pieces are only cut at character boundaries.
        unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.start, self.length)) }
    }

    /// The bytes of the text, followed by the rest of the chunk's bytes behind the text. Only the former are text.
    #[inline(always)]
    pub(crate) fn with_rest_of_chunk(&self) -> &[u8] {
        let offset = self.start as usize - self.owner.as_ptr() as usize;
        &self.owner[offset..]
    }

    /// Makes the piece of this text from byte `start` to byte `end`.
    ///
    /// # Safety
    /// `start <= end <= self.len()`, and both must be at boundaries of characters.
    #[inline(always)]
    unsafe fn piece(&self, start: usize, end: usize) -> Self {
        debug_assert!(self.as_str().get(start..end).is_some());
        // SAFETY: the caller says that `start` lies in the text, and so in the vector that `owner` keeps alive.
        let from = unsafe { self.start.add(start) };
        Self { start: from, length: end.wrapping_sub(start), owner: Rc::clone(&self.owner) }
    }

    /// Makes the piece of this text that `piece` covers. `piece` is a slice of this text.
    #[inline(always)]
    fn share(&self, piece: &str) -> Self {
        debug_assert!(self.as_str().as_bytes().as_ptr_range().start <= piece.as_ptr());
        Self { start: piece.as_ptr(), length: piece.len(), owner: Rc::clone(&self.owner) }
    }

    /// Returns the pieces between occurrences of `separator`, empty pieces included, as [`str::split`] does. The separator
    /// is a `char` or a string.
    ///
    /// ```
    /// use millstream::Text;
    /// let words: Vec<Text> = Text::from("to be  or").split(' ').collect();
    /// assert_eq!(words, ["to", "be", "", "or"]);
    /// assert_eq!(Text::from("a, b").split(", ").collect::<Vec<_>>(), ["a", "b"]);
    /// ```
    #[inline]
    pub fn split<P: Pattern>(&self, separator: P) -> P::Split {
        separator.split(self)
    }

    /// Returns at most `count` pieces, as [`str::splitn`] does: the last piece is the rest of the text. The separator is a
    /// `char` or a string.
    ///
    /// ```
    /// use millstream::Text;
    /// let pieces: Vec<Text> = Text::from("GET /a b HTTP").splitn(2, ' ').collect();
    /// assert_eq!(pieces, ["GET", "/a b HTTP"]);
    /// ```
    pub fn splitn<P: Pattern>(&self, count: usize, separator: P) -> Pieces {
        separator.splitn(self, count)
    }

    /// Returns the pieces between runs of white space, without empty pieces, as [`str::split_whitespace`] does.
    ///
    /// ```
    /// use millstream::Text;
    /// let words: Vec<Text> = Text::from("  to be\tor ").split_whitespace().collect();
    /// assert_eq!(words, ["to", "be", "or"]);
    /// ```
    #[inline]
    pub fn split_whitespace(&self) -> SplitWhitespace {
        SplitWhitespace::new(self.clone())
    }

    /// Returns the text before and the text after the first `separator`; `None` if there is no separator. The separator is
    /// a `char` or a string.
    ///
    /// ```
    /// use millstream::Text;
    /// let (key, value) = Text::from("lang=en=us").split_once('=').unwrap();
    /// assert_eq!((key.as_str(), value.as_str()), ("lang", "en=us"));
    /// ```
    // Inlined by force: a call gives its results through memory, in words of other sizes than they are read in.
    #[inline(always)]
    pub fn split_once<P: Pattern>(&self, separator: P) -> Option<(Self, Self)> {
        let (start, end) = separator.first(self)?;
        // SAFETY: only types of this crate are patterns, and they find a piece of text: it begins at `start` and ends at `end`.
        unsafe { Some((self.piece(0, start), self.piece(end, self.len()))) }
    }

    /// Returns the text without white space at its beginning and its end.
    ///
    /// ```
    /// assert_eq!(millstream::Text::from(" a b ").trim(), "a b");
    /// ```
    #[must_use]
    #[inline]
    pub fn trim(&self) -> Self {
        self.share(self.as_str().trim())
    }

    /// Returns the text without white space at its beginning.
    ///
    /// ```
    /// assert_eq!(millstream::Text::from(" a b ").trim_start(), "a b ");
    /// ```
    #[must_use]
    pub fn trim_start(&self) -> Self {
        self.share(self.as_str().trim_start())
    }

    /// Returns the text without white space at its end.
    ///
    /// ```
    /// assert_eq!(millstream::Text::from(" a b ").trim_end(), " a b");
    /// ```
    #[must_use]
    pub fn trim_end(&self) -> Self {
        self.share(self.as_str().trim_end())
    }

    /// Returns the text behind `prefix`; `None` if the text does not begin with it. The prefix is a `char` or a string.
    ///
    /// ```
    /// use millstream::Text;
    /// assert_eq!(Text::from("user=tom").strip_prefix("user=").unwrap(), "tom");
    /// assert!(Text::from("tom").strip_prefix('#').is_none());
    /// ```
    pub fn strip_prefix<P: Pattern>(&self, prefix: P) -> Option<Self> {
        prefix.strip_prefix(self.as_str()).map(|piece| self.share(piece))
    }

    /// Returns the text before `suffix`; `None` if the text does not end with it. The suffix is a `char` or a string.
    ///
    /// ```
    /// assert_eq!(millstream::Text::from("20%").strip_suffix('%').unwrap(), "20");
    /// ```
    pub fn strip_suffix<P: Pattern>(&self, suffix: P) -> Option<Self> {
        suffix.strip_suffix(self.as_str()).map(|piece| self.share(piece))
    }

    /// Returns the characters of the text.
    ///
    /// ```
    /// let digits = millstream::Text::from("a1b2").chars().filter(char::is_ascii_digit).count();
    /// assert_eq!(digits, 2);
    /// ```
    pub fn chars(&self) -> Chars {
        Chars::new(self.clone())
    }

    /// Makes a text of a slice of this text, such as a method of `str` returns it. Copies nothing.
    ///
    /// ```
    /// use millstream::Text;
    /// let line = Text::from("level=warn; disk full");
    /// let (before, _) = line.as_str().split_at(10);
    /// assert_eq!(line.slice_ref(before), "level=warn");
    /// ```
    ///
    /// # Panics
    /// If `piece` is not a piece of this text. An empty text is a piece of every text.
    #[must_use]
    pub fn slice_ref(&self, piece: &str) -> Self {
        if piece.is_empty() {
            return self.share(&self.as_str()[..0]);
        }
        let (whole, part) = (self.as_bytes().as_ptr_range(), piece.as_bytes().as_ptr_range());
        assert!(whole.start <= part.start && part.end <= whole.end, "`slice_ref` needs a piece of the text");
        self.share(piece)
    }

    /// Returns the bytes `range` of the text; `None` if the range is out of bounds or would cut a character.
    ///
    /// ```
    /// assert_eq!(millstream::Text::from("2026-11-21").slice(0..4).unwrap(), "2026");
    /// ```
    #[inline]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Option<Self> {
        self.as_str().get(range).map(|piece| self.share(piece))
    }
}

/// Copies the text.
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// Uses the memory of the string, without copying the text.
impl From<String> for Text {
    fn from(text: String) -> Self {
        let owner = Rc::new(text.into_bytes());
        Self { start: owner.as_ptr(), length: owner.len(), owner }
    }
}

impl Deref for Text {
    type Target = str;
    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn split_gives_what_str_gives(
            text in "[ab é\0]{0,30}|[abcdefg]{0,70} [ab é]{50,150}",
            separator in prop::sample::select(vec![' ', 'a', 'é', '\0']),
            cut in 0usize..40,
        ) {
            let whole = Text::from(text.as_str());
            let cut = (cut..=text.len()).find(|cut| text.is_char_boundary(*cut)).unwrap_or(0);
            // The bytes behind a text in its chunk are not part of the text.
            for piece in [0..text.len(), 0..cut, cut..text.len()] {
                let split = || whole.slice(piece.clone()).unwrap().split(separator);
                let theirs: Vec<&str> = text[piece.clone()].split(separator).collect();
                prop_assert_eq!(split().collect::<Vec<Text>>(), &theirs[..]);
                // The loop of `flat_map`, from the beginning and after the first piece.
                for skipped in 0..2 {
                    let (mut rest, mut folded) = (split(), Vec::new());
                    folded.extend(rest.by_ref().take(skipped));
                    rest.for_each(|piece| folded.push(piece));
                    prop_assert_eq!(folded, &theirs[..]);
                }
                let once = whole.slice(piece.clone()).unwrap().split_once(separator);
                let once = once.as_ref().map(|(before, rest)| (before.as_str(), rest.as_str()));
                prop_assert_eq!(once, text[piece.clone()].split_once(separator));
            }
        }

        #[test]
        fn split_whitespace_gives_what_str_gives(
            text in "[ab\t\u{2003}é]{0,30}|[ab \r\n\x0b\x1c]{0,200}|[abc]{0,70}[ab \u{2003}]{50,150}",
            cut in 0usize..40,
        ) {
            let whole = Text::from(text.as_str());
            let cut = (cut..=text.len()).find(|cut| text.is_char_boundary(*cut)).unwrap_or(0);
            for piece in [0..text.len(), 0..cut, cut..text.len()] {
                let ours: Vec<Text> = whole.slice(piece.clone()).unwrap().split_whitespace().collect();
                let theirs: Vec<&str> = text[piece].split_whitespace().collect();
                prop_assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn a_piece_outlives_the_text_it_was_cut_from() {
        let piece = {
            let text = Text::from(String::from("hello world"));
            text.split(' ').nth(1)
        };
        assert_eq!(piece.as_deref(), Some("world"));
    }
}
