//! All embeddings in few dimensions: what the map shows, and what finds near and far pictures in
//! seconds.

use artifact::embeddings::Row;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Slice};
use softmax::Standardization;
use stage::Result;

use crate::principal::{principal, project};
use crate::sources::Sources;

/// Dimensions that are kept.
const DIRECTIONS: usize = 64;

/// Test images that say which these are; of more, evenly chosen ones.
const LOOKED_AT: usize = 4096;

/// Test and training images along the principal directions of the test images' embeddings, each
/// feature scaled to mean 0 and deviation 1 over the test images.
pub struct Space {
    standardization: Standardization,
    /// Every feature of the test images, standardised, `[images, features]`.
    pub features: Array2<f32>,
    /// The sum of their squares.
    pub variance: f64,
    /// The test images, `[images, directions]`.
    pub test: Array2<f32>,
    /// The training images, `[images, directions]`.
    pub train: Array2<f32>,
    /// What the index says of the training images.
    pub rows: Vec<Row>,
    /// Their classes.
    pub labels: Vec<usize>,
    /// How far each is from the mean of its class, in units of how far those of the class are (root
    /// of the mean square).
    pub remoteness: Vec<f64>,
}

impl Space {
    /// Places the test images, whose embeddings are `x` `[images, features]`, and those that were
    /// trained on, which are read block by block.
    pub fn of(sources: &Sources, mut x: Array2<f32>) -> Result<Self> {
        let standardization = Standardization::fit(x.view());
        standardization.apply(x.view_mut());
        let step = x.nrows().div_ceil(LOOKED_AT).max(1);
        let some = x.slice_axis(Axis(0), Slice::from(..).step_by(step as isize));
        let directions = principal(some, DIRECTIONS);
        let test = project(x.view(), directions.view());
        let (rows, labels) = sources.train_rows()?;
        let mut train = Array2::zeros((rows.len(), directions.nrows()));
        let blocks = sources.in_blocks(&rows, |mut block| {
            standardization.apply(block.view_mut());
            project(block.view(), directions.view())
        })?;
        for (places, block) in blocks {
            for (place, row) in places.into_iter().zip(block.rows()) {
                train.row_mut(place).assign(&row);
            }
        }
        let variance = x.rows().into_iter().map(|row| f64::from(row.dot(&row))).sum();
        let remoteness = remoteness(train.view(), &labels, sources.images.classes().len());
        Ok(Self { standardization, features: x, variance, test, train, rows, labels, remoteness })
    }

    /// Every feature of the training images `rows`, standardised, `[rows, features]`.
    pub fn train_features(&self, sources: &Sources, rows: &[usize]) -> Result<Array2<f32>> {
        let rows: Vec<Row> = rows.iter().map(|&row| self.rows[row].clone()).collect();
        let mut x = sources.embeddings(&rows)?;
        self.standardization.apply(x.view_mut());
        Ok(x)
    }
}

/// How far the rows of `x` `[rows, directions]` are from the mean of their class, in units of how
/// far those of the class are (root of the mean square); 0 where all of a class are in one place.
fn remoteness(x: ArrayView2<'_, f32>, labels: &[usize], classes: usize) -> Vec<f64> {
    let mut means = Array2::<f64>::zeros((classes, x.ncols()));
    let mut counts = vec![0.0; classes];
    for (row, &label) in x.rows().into_iter().zip(labels) {
        means.row_mut(label).zip_mut_with(&row, |mean, &value| *mean += f64::from(value));
        counts[label] += 1.0;
    }
    for (mut mean, &count) in means.axis_iter_mut(Axis(0)).zip(&counts) {
        mean /= f64::max(count, 1.0);
    }
    let square = |(row, &label): (ArrayView1<'_, f32>, &usize)| {
        let parts = row.iter().zip(means.row(label));
        parts.map(|(&value, mean)| (f64::from(value) - mean).powi(2)).sum::<f64>()
    };
    let squares: Vec<f64> = x.rows().into_iter().zip(labels).map(square).collect();
    let mut spread = vec![0.0; classes];
    for (square, &label) in squares.iter().zip(labels) {
        spread[label] += square / counts[label];
    }
    let share = |(square, &label): (f64, &usize)| {
        if spread[label] > 0.0 { (square / spread[label]).sqrt() } else { 0.0 }
    };
    squares.into_iter().zip(labels).map(share).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn remoteness_is_measured_by_the_class_s_own_spread() {
        let x = array![[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0], [0.0, -3.0], [100.0, 0.0]];
        let found = remoteness(x.view(), &[0, 0, 0, 0, 2], 3);
        assert_eq!(found, [1.0, 1.0, 1.0, 1.0, 0.0]);
        // The mean is 1, the mean square distance (1 + 1 + 1 + 9) / 4 = 3.
        let found = remoteness(array![[0.0], [0.0], [0.0], [4.0]].view(), &[0; 4], 1);
        assert!((found[3] - 3.0_f64.sqrt()).abs() < 1e-12);
        assert!((found[0] - 3.0_f64.sqrt().recip()).abs() < 1e-12);
    }
}
