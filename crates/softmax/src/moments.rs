//! Mean and deviation of features that are read block by block.

use ndarray::{Array1, ArrayView2, Zip};

use crate::Standardization;
use crate::standardize::scale;

/// Mean and sum of squared deviations of each feature over the rows seen so far, in f64.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moments {
    rows: f64,
    mean: Array1<f64>,
    square: Array1<f64>,
}

impl Moments {
    /// Those of one block `[rows, features]`, in two passes.
    #[must_use]
    pub fn of(block: ArrayView2<'_, f32>) -> Self {
        let rows = block.nrows() as f64;
        let mut mean = Array1::zeros(block.ncols());
        for row in block.rows() {
            Zip::from(&mut mean).and(row).for_each(|sum, &value| *sum += f64::from(value));
        }
        mean /= rows.max(1.0);
        let mut square = Array1::zeros(block.ncols());
        for row in block.rows() {
            Zip::from(&mut square).and(row).and(&mean).for_each(|sum, &value, mean| {
                *sum += (f64::from(value) - mean).powi(2);
            });
        }
        Self { rows, mean, square }
    }

    /// Adds the rows of `other` (Chan, Golub & `LeVeque`, 1979, "Updating Formulae and a Pairwise
    /// Algorithm for Computing Sample Variances"). In another order the last bits differ.
    ///
    /// # Panics
    /// If both have rows, of different lengths.
    pub fn merge(&mut self, other: &Self) {
        if self.rows == 0.0 || other.rows == 0.0 {
            if self.rows == 0.0 {
                self.clone_from(other);
            }
            return;
        }
        let rows = self.rows + other.rows;
        let share = other.rows / rows;
        Zip::from(&mut self.mean)
            .and(&mut self.square)
            .and(&other.mean)
            .and(&other.square)
            .for_each(|mean, square, other_mean, other_square| {
                let difference = other_mean - *mean;
                *square += other_square + difference * difference * self.rows * share;
                *mean += difference * share;
            });
        self.rows = rows;
    }

    /// The standardisation by these moments.
    #[must_use]
    pub fn standardization(&self) -> Standardization {
        let rows = self.rows.max(1.0);
        Standardization {
            mean: self.mean.mapv(|mean| mean as f32),
            scale: Zip::from(&self.square)
                .and(&self.mean)
                .map_collect(|&square, &mean| scale(square / rows, mean)),
        }
    }
}
