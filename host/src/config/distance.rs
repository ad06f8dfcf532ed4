//! The distance between two names.
//!
//! Owns how the distance is computed, and how large it may be. Knows no names of keys.

/// The candidate nearest to `word`; `None` if no candidate is near enough. A third of the letters may differ, and one
/// letter may always differ. `blockInterval` and `block-interval` count as `block_interval`.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().filter_map(|candidate| Some((distance(word, candidate)?, candidate)));
    scored.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// A name longer than this is not near to any key. Comparing it would only take time.
const LONGEST_WORD_BYTES: usize = 128;

/// The number of letters that differ; `None` if there are too many.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    if word.len() > LONGEST_WORD_BYTES {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    let distance = strsim::damerau_levenshtein(&snake_case(word), &snake_case(candidate));
    (distance <= limit).then_some(distance)
}

/// Converts `blockInterval` and `block-interval` to `block_interval`.
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
