//! A text in ranges of whole lines, one for each thread of a native program.

/// Cuts the text after line ends into at most `count` ranges of about the same size: the first, and the others.
pub fn ranges(text: &[u8], count: usize) -> (&[u8], Vec<&[u8]>) {
    let size = text.len().div_ceil(count).max(1);
    let cut = |text: &[u8]| memchr::memchr(b'\n', text.get(size - 1..)?).map(|at| size + at);
    let mut first = None;
    let mut others = Vec::new();
    let mut rest = text;
    while let Some(at) = cut(rest) {
        let (range, after) = rest.split_at(at);
        if first.is_none() {
            first = Some(range)
        } else {
            others.push(range)
        }
        rest = after;
    }
    if first.is_some() && !rest.is_empty() {
        others.push(rest);
    }
    (first.unwrap_or(text), others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_at_line_ends_and_lose_nothing() {
        let (first, others) = ranges(b"aaaa\nb\nc\ndddddd\n", 3);
        assert_eq!(first, b"aaaa\nb\n");
        assert_eq!(others, [&b"c\ndddddd\n"[..]]);
        assert_eq!(ranges(b"no end", 4), (&b"no end"[..], vec![]));
    }
}
