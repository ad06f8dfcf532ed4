//! How near two names are.
//!
//! Owns the distance and how large it may be. Knows no names.

/// The candidate nearest to `word`, if near enough: a third of its letters may differ, one always.
/// `blockInterval` and `block-interval` count as `block_interval`.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().filter_map(|candidate| Some((distance(word, candidate)?, candidate)));
    scored.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Names longer than this are near to no key; comparing them would only take time.
const LONGEST_WORD_BYTES: usize = 128;

/// How many letters differ; none if too many.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    if word.len() > LONGEST_WORD_BYTES {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    let distance = strsim::damerau_levenshtein(&snake_case(word), &snake_case(candidate));
    (distance <= limit).then_some(distance)
}

/// `blockInterval` and `block-interval` as `block_interval`.
pub(super) fn snake_case(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        if c.is_uppercase() && out.ends_with(|last: char| last.is_lowercase()) {
            out.push('_');
        }
        if c == '-' || c == ' ' { out.push('_') } else { out.extend(c.to_lowercase()) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_enough_is_a_third_of_the_letters() {
        let known = ["type", "address", "block_interval"];
        assert_eq!(nearest("adress", known), Some("address"));
        assert_eq!(nearest("tpye", known), Some("type"));
        assert_eq!(nearest("blockIntervall", known), Some("block_interval"));
        assert_eq!(nearest("Block-Interval", known), Some("block_interval"));
        assert_eq!(nearest("checkpoint", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
