//! Random numbers of tests, and numbers that the caller of the tests sets.

use std::collections::BTreeMap;
use std::str::FromStr;

/// A small generator of numbers. The same seed gives the same numbers.
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number. It is below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64: any seed works, and neighbouring seeds give different numbers.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

/// The lines `n0`, `n1` and so on, each once: what a job has saved that got `count` numbered records.
pub fn numbered(count: u64) -> BTreeMap<String, u64> {
    (0..count).map(|number| (format!("n{number}"), 1)).collect()
}

/// The value of an environment variable of the tests. `None` if it is not set.
///
/// # Panics
/// If the variable has a value of another form. Otherwise the caller would believe in a choice that has no effect.
pub fn given<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var_os(name)?;
    let parsed = value.to_str().and_then(|value| value.parse().ok());
    Some(parsed.unwrap_or_else(|| panic!("bad value {value:?} of the environment variable {name}")))
}
