//! Numbers that tests choose by chance, and those that whoever runs the tests gives them.

use std::str::FromStr;

/// A small generator of numbers, which repeats with its seed.
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number, below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64: any seed will do, and neighbouring seeds give unlike numbers.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

/// The value of an environment variable of the tests. `None` if it is not set.
///
/// # Panics
/// If it is set to something else, so that nobody believes in a choice that was not made.
pub fn given<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var_os(name)?;
    let parsed = value.to_str().and_then(|value| value.parse().ok());
    Some(parsed.unwrap_or_else(|| panic!("bad value {value:?} of the environment variable {name}")))
}
