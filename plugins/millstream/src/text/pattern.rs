//! [`Pattern`], [`Pieces`] and [`Chars`]: what a text is cut by, and the pieces that come out.
//!
//! Owns the iterators whose speed matters less than that of `split.rs`. Never copies text.

use super::split::find;
use super::{Split, Text};

mod sealed {
    /// Keeps types of users from being patterns, because [`Text`](super::Text) trusts the places that a pattern finds.
    pub trait Sealed {}
}

/// What a [`Text`] is cut by: a `char`, or a string. Only the types listed below are patterns.
#[diagnostic::on_unimplemented(
    message = "a `Text` cannot be cut by `{Self}`",
    label = "neither a `char` nor a `&str`",
    note = "other patterns belong to `str`: `text.as_str().split(..)` gives pieces that borrow, and `text.slice_ref(piece)` \
            makes a `Text` of such a piece"
)]
pub trait Pattern: sealed::Sealed {
    /// The iterator over the pieces between occurrences of the pattern.
    type Split: Iterator<Item = Text> + 'static;

    /// Cuts the text at every occurrence.
    #[doc(hidden)]
    fn split(self, text: &Text) -> Self::Split;

    /// Cuts the text into at most `count` pieces.
    #[doc(hidden)]
    fn splitn(self, text: &Text, count: usize) -> Pieces;

    /// Where the first occurrence begins and ends.
    #[doc(hidden)]
    fn first(self, text: &Text) -> Option<(usize, usize)>;

    /// The text without the pattern at its beginning.
    #[doc(hidden)]
    fn strip_prefix(self, text: &str) -> Option<&str>;

    /// The text without the pattern at its end.
    #[doc(hidden)]
    fn strip_suffix(self, text: &str) -> Option<&str>;
}

/// Makes texts of pieces that borrow `text`.
fn pieces<'a>(text: &'a Text, borrowed: impl Iterator<Item = &'a str>) -> Pieces {
    Pieces(borrowed.map(|piece| text.share(piece)).collect::<Vec<_>>().into_iter())
}

impl sealed::Sealed for char {}

impl Pattern for char {
    type Split = Split;

    #[inline(always)]
    fn split(self, text: &Text) -> Split {
        Split::new(text.clone(), self)
    }
    fn splitn(self, text: &Text, count: usize) -> Pieces {
        pieces(text, text.as_str().splitn(count, self))
    }
    #[inline(always)]
    fn first(self, text: &Text) -> Option<(usize, usize)> {
        let at = find(text, self)?;
        Some((at, at.wrapping_add(self.len_utf8())))
    }
    fn strip_prefix(self, text: &str) -> Option<&str> {
        text.strip_prefix(self)
    }
    fn strip_suffix(self, text: &str) -> Option<&str> {
        text.strip_suffix(self)
    }
}

macro_rules! strings {
    ($($string:ty)*) => {$(
        impl sealed::Sealed for $string {}

        impl Pattern for $string {
            type Split = Pieces;

            fn split(self, text: &Text) -> Pieces {
                let pattern: &str = self;
                pieces(text, text.as_str().split(pattern))
            }
            fn splitn(self, text: &Text, count: usize) -> Pieces {
                let pattern: &str = self;
                pieces(text, text.as_str().splitn(count, pattern))
            }
            fn first(self, text: &Text) -> Option<(usize, usize)> {
                let pattern: &str = self;
                let at = text.as_str().find(pattern)?;
                Some((at, at + pattern.len()))
            }
            fn strip_prefix(self, text: &str) -> Option<&str> {
                let pattern: &str = self;
                text.strip_prefix(pattern)
            }
            fn strip_suffix(self, text: &str) -> Option<&str> {
                let pattern: &str = self;
                text.strip_suffix(pattern)
            }
        }
    )*};
}

strings!(&str & String & Text);

/// An iterator over pieces of a text. Made by [`Text::split`] with a string, and by [`Text::splitn`].
pub struct Pieces(std::vec::IntoIter<Text>);

impl Iterator for Pieces {
    type Item = Text;

    fn next(&mut self) -> Option<Text> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl DoubleEndedIterator for Pieces {
    fn next_back(&mut self) -> Option<Text> {
        self.0.next_back()
    }
}

/// An iterator over the characters of a text. Made by [`Text::chars`].
pub struct Chars {
    text: Text,
    /// The bytes whose characters are left.
    left: std::ops::Range<usize>,
}

impl Chars {
    pub(super) fn new(text: Text) -> Self {
        Self { left: 0..text.len(), text }
    }

    fn left(&self) -> &str {
        &self.text.as_str()[self.left.clone()]
    }
}

impl Iterator for Chars {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let next = self.left().chars().next()?;
        self.left.start += next.len_utf8();
        Some(next)
    }
}

impl DoubleEndedIterator for Chars {
    fn next_back(&mut self) -> Option<char> {
        let last = self.left().chars().next_back()?;
        self.left.end -= last.len_utf8();
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_those_of_str(text in "[ab é]{0,30}", pattern in "[ab é]{0,3}", count in 0usize..5, cut in 0usize..30) {
            let whole = Text::from(text.as_str());
            let cut = (cut..=text.len()).find(|cut| text.is_char_boundary(*cut)).unwrap_or(0);
            for piece in [0..text.len(), 0..cut, cut..text.len()] {
                let (ours, theirs) = (whole.slice(piece.clone()).unwrap(), &text[piece]);
                let pattern = pattern.as_str();
                prop_assert_eq!(ours.split(pattern).collect::<Vec<_>>(), theirs.split(pattern).collect::<Vec<_>>());
                prop_assert_eq!(
                    ours.splitn(count, pattern).collect::<Vec<_>>(),
                    theirs.splitn(count, pattern).collect::<Vec<_>>()
                );
                prop_assert_eq!(
                    ours.splitn(count, 'a').collect::<Vec<_>>(),
                    theirs.splitn(count, 'a').collect::<Vec<_>>()
                );
                let once = ours.split_once(pattern);
                let once = once.as_ref().map(|(before, rest)| (before.as_str(), rest.as_str()));
                prop_assert_eq!(once, theirs.split_once(pattern));
                prop_assert!(ours.strip_prefix(pattern).as_deref() == theirs.strip_prefix(pattern));
                prop_assert!(ours.strip_suffix('a').as_deref() == theirs.strip_suffix('a'));
                prop_assert_eq!((&*ours.trim_start(), &*ours.trim_end()), (theirs.trim_start(), theirs.trim_end()));
                prop_assert!(ours.chars().eq(theirs.chars()) && ours.chars().rev().eq(theirs.chars().rev()));
            }
        }
    }

    #[test]
    fn a_character_is_read_from_both_ends_once() {
        let mut chars = Text::from("aéb").chars();
        assert_eq!((chars.next(), chars.next_back(), chars.next()), (Some('a'), Some('b'), Some('é')));
        assert_eq!((chars.next(), chars.next_back()), (None, None));
    }

    #[test]
    #[should_panic(expected = "needs a piece of the text")]
    fn text_of_another_place_is_no_piece() {
        let _ = Text::from("hello").slice_ref("hello");
    }
}
