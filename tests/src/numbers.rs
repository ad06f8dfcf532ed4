//! Means, quantiles and ratios.

/// The mean. Zero if there are no numbers.
pub fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

/// The number below which `share` of the numbers lie. Zero if there are no numbers.
pub fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The median. Zero if there are no numbers.
pub fn median(numbers: &[f64]) -> f64 {
    quantile(numbers, 0.5)
}

/// The largest number. Zero if there are no numbers.
pub fn largest(numbers: &[f64]) -> f64 {
    quantile(numbers, 1.0)
}
