//! Confident learning: which labels a classifier doubts that hadn't seen them (Northcutt, Jiang and
//! Chuang 2021).

use ndarray::ArrayView2;

/// A label in doubt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// Row of the picture.
    pub row: usize,
    /// The class that it seems to be of.
    pub seems: usize,
    /// Probability of its label less that of the class that it seems to be of.
    pub margin: f64,
}

/// The labels in doubt, the worst first: those of pictures that are given another class with at
/// least the confidence that this class's own pictures have on average. Of several such classes
/// the most probable counts, and its label if that is among them and no less probable.
///
/// `labels` are `[images]`, `probabilities` `[images, classes]` of fits that hadn't seen them.
#[must_use]
pub fn doubts(labels: &[usize], probabilities: ArrayView2<'_, f32>) -> Vec<Doubt> {
    let expected = own_confidence(labels, probabilities);
    let rows = labels.iter().zip(probabilities.rows()).enumerate();
    let mut doubts: Vec<Doubt> = rows
        .filter_map(|(row, (&label, p))| {
            let sure = (0..p.len()).filter(|&class| f64::from(p[class]) >= expected[class]);
            // Of equal ones the label, then the first.
            let better = |best: usize, class: usize| {
                if p[class] > p[best] || (p[class] >= p[best] && class == label) {
                    class
                } else {
                    best
                }
            };
            let seems = sure.reduce(better).filter(|&class| class != label)?;
            let margin = f64::from(p[label]) - f64::from(p[seems]);
            Some(Doubt { row, seems, margin })
        })
        .collect();
    doubts.sort_by(|a, b| a.margin.total_cmp(&b.margin).then(a.row.cmp(&b.row)));
    doubts
}

/// Mean probability of each class over the pictures labelled so, `[classes]`; infinite without
/// any.
fn own_confidence(labels: &[usize], probabilities: ArrayView2<'_, f32>) -> Vec<f64> {
    let mut sums = vec![(0.0, 0_u64); probabilities.ncols()];
    for (&label, row) in labels.iter().zip(probabilities.rows()) {
        sums[label].0 += f64::from(row[label]);
        sums[label].1 += 1;
    }
    let mean =
        |(sum, count): (f64, u64)| if count > 0 { sum / count as f64 } else { f64::INFINITY };
    sums.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_wrong_label_is_found_and_a_doubtful_picture_is_not() {
        let p = array![
            [0.9_f32, 0.1, 0.0],
            [0.8, 0.2, 0.0],
            [0.1, 0.9, 0.0],
            [0.2, 0.8, 0.0],
            // Labelled 0, surely a 1.
            [0.1, 0.9, 0.0],
            // Labelled 0, and no class is likely enough.
            [0.45, 0.55, 0.0],
        ];
        // Own confidence: 0 has (0.9 + 0.8 + 0.1 + 0.45) / 4 = 0.5625, 1 has 0.85.
        let found = doubts(&[0, 0, 1, 1, 0, 0], p.view());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].row, found[0].seems), (4, 1));
        assert!((found[0].margin + 0.8).abs() < 1e-6);
    }

    #[test]
    fn nothing_is_doubted_of_equal_probabilities_or_nothing() {
        let p = array![[0.5_f32, 0.5], [0.5, 0.5]];
        assert_eq!(doubts(&[0, 1], p.view()), []);
        assert_eq!(doubts(&[], ndarray::Array2::zeros((0, 2)).view()), []);
    }
}
