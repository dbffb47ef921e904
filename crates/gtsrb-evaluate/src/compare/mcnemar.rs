//! McNemar's test: whether one of two classifiers is right more often on the same pictures.

/// Two-sided p of the exact test: under the hypothesis that both are as good, each picture on
/// which exactly one is right is a toss of a fair coin (McNemar 1947; exact binomial form). The
/// arguments are how often only the one and only the other is right.
#[must_use]
pub fn mcnemar(only_a: u64, only_b: u64) -> f64 {
    let tosses = only_a + only_b;
    let fewer = only_a.min(only_b);
    // ln of C(tosses, i) / 2^tosses, from i = 0 on.
    let mut log = -(tosses as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for i in 0..=fewer {
        tail += log.exp();
        log += ((tosses - i) as f64 / (i + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12 * b.max(1e-3), "{a} is not {b}");
    }

    #[test]
    fn few_tosses_by_hand() {
        close(mcnemar(0, 0), 1.0);
        close(mcnemar(3, 3), 1.0);
        close(mcnemar(0, 5), 2.0 / 32.0);
        // 1 + 7 + 21 of 128.
        close(mcnemar(2, 5), 2.0 * 29.0 / 128.0);
        close(mcnemar(5, 2), mcnemar(2, 5));
    }

    #[test]
    fn many_tosses_neither_overflow_nor_vanish() {
        assert!(mcnemar(6000, 6000) <= 1.0 && mcnemar(6000, 6000) > 0.99);
        assert!(mcnemar(0, 12_630) < 1e-300);
        // Normal approximation with continuity correction: z = (600 - 500 - 1) / sqrt(1100).
        assert!((mcnemar(500, 600) - 0.002_838).abs() < 2e-5, "{}", mcnemar(500, 600));
    }
}
