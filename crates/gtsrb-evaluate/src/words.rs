//! Numbers as people read them.

use crate::metrics::Interval;

/// A fraction as a percentage with two decimals: `97.58 %`.
#[must_use]
pub fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

/// An interval of fractions in percent, without the sign: `97.30 to 97.83`.
#[must_use]
pub fn percent_range([low, high]: Interval) -> String {
    format!("{:.2} to {:.2}", 100.0 * low, 100.0 * high)
}

/// A count with thousands apart: `12,630`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.975_811), "97.58 %");
        assert_eq!(percent_range([0.973, 0.978_34]), "97.30 to 97.83");
        assert_eq!(count(12_630), "12,630");
        assert_eq!(
            (count(0), count(999), count(1_000_000)),
            ("0".into(), "999".into(), "1,000,000".into())
        );
    }
}
