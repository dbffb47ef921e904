//! How often pictures count, so that large classes don't drown small ones.

use serde::{Deserialize, Serialize};

/// The effective number's β: from about 1 / (1 - β) pictures on, more of a class add little.
const BETA: f64 = 0.999;

/// Weights of classes.
#[derive(Serialize, Deserialize, clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Each picture counts once.
    None,
    /// Each class counts alike: a picture counts 1 / nₖ (scikit-learn's `class_weight`).
    Balanced,
    /// Each class counts by its effective number of pictures, (1 - βⁿ) / (1 - β): a picture
    /// counts (1 - β) / (1 - βⁿ) (Cui et al., 2019, "Class-Balanced Loss Based on Effective
    /// Number of Samples").
    EffectiveNumber,
}

impl ClassWeights {
    /// The weight of each row, by its label; their scale doesn't matter. `None` where each
    /// row counts once.
    pub fn of(self, labels: &[usize], classes: usize) -> Option<Vec<f32>> {
        let mut counts = vec![0_i32; classes];
        for &label in labels {
            counts[label] += 1;
        }
        let weight = |count: i32| match self {
            Self::None => 1.0,
            Self::Balanced => f64::from(count).recip(),
            Self::EffectiveNumber => (1.0 - BETA) / (1.0 - BETA.powi(count)),
        };
        (self != Self::None)
            .then(|| labels.iter().map(|&label| weight(counts[label]) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [usize; 5] = [0, 0, 0, 0, 2];

    #[test]
    fn balanced_classes_count_alike() {
        assert_eq!(ClassWeights::None.of(&LABELS, 3), None);
        let weights = ClassWeights::Balanced.of(&LABELS, 3).unwrap();
        assert_eq!(weights, [0.25, 0.25, 0.25, 0.25, 1.0]);
    }

    /// β = 0.999: 1 / (1 + β + β² + β³) for four pictures, 1 for a single one.
    #[test]
    fn effective_numbers_are_between_none_and_balanced() {
        let weights = ClassWeights::EffectiveNumber.of(&LABELS, 3).unwrap();
        assert!((f64::from(weights[0]) - 1.0 / 3.994_003_999).abs() < 1e-6, "{weights:?}");
        assert!((weights[4] - 1.0).abs() < 1e-6);
    }
}
