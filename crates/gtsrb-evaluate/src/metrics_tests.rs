use ndarray::{Array2, array};
use proptest::prelude::*;

use super::*;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("class {i}")).collect()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} is not {b}");
}

/// One image per true class and guess, certain of the guess.
fn certain(pairs: &[(usize, usize)], classes: usize) -> (Vec<usize>, Array2<f32>) {
    let labels = pairs.iter().map(|(label, _)| *label).collect();
    let mut p = Array2::zeros((pairs.len(), classes));
    for (row, (_, guess)) in pairs.iter().enumerate() {
        p[[row, *guess]] = 1.0;
    }
    (labels, p)
}

#[test]
fn asymmetric_matrix_has_hand_computed_precision_and_recall() {
    // True class by rows: [3 1 0] [0 2 2] [0 0 1], columns are predictions.
    let pairs = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (1, 2), (1, 2), (2, 2)];
    let (labels, p) = certain(&pairs, 3);
    let m = all(&labels, &p);
    assert_eq!(m.confusion_true_by_predicted, [[3, 1, 0], [0, 2, 2], [0, 0, 1]]);
    let recall = [3.0 / 4.0, 2.0 / 4.0, 1.0];
    let precision = [1.0, 2.0 / 3.0, 1.0 / 3.0];
    let f1 = [6.0 / 7.0, 4.0 / 7.0, 2.0 / 4.0];
    for (i, class) in m.classes.iter().enumerate() {
        close(class.recall.unwrap(), recall[i]);
        close(class.precision.unwrap(), precision[i]);
        close(class.f1.unwrap(), f1[i]);
    }
    assert_eq!(m.classes.iter().map(|c| c.support).collect::<Vec<_>>(), [4, 4, 1]);
    assert_eq!(m.classes.iter().map(|c| c.predicted).collect::<Vec<_>>(), [3, 3, 3]);
    close(m.top1, 6.0 / 9.0);
    close(m.macro_recall, (0.75 + 0.5 + 1.0) / 3.0);
    close(m.ece, 3.0 / 9.0);
}

#[test]
fn class_without_images_has_no_recall_and_is_left_out() {
    let (labels, p) = certain(&[(0, 0), (0, 3), (1, 1)], 4);
    let m = all(&labels, &p);
    assert_eq!((m.classes[2].recall, m.classes[2].precision, m.classes[2].f1), (None, None, None));
    assert_eq!((m.classes[3].recall, m.classes[3].precision), (None, Some(0.0)));
    close(m.macro_recall, 0.75);
}

#[test]
fn clips_the_loss_of_a_certain_mistake() {
    let scored = score_all(&[1], &array![[1.0_f32, 0.0]]);
    close(scored[0].loss, 52.0 * std::f64::consts::LN_2);
}

#[test]
fn ties_go_to_the_lower_class() {
    let p = array![[0.25_f32, 0.25, 0.25, 0.25]];
    assert_eq!(score_all(&[0], &p)[0].rank, 0);
    assert_eq!(score_all(&[2], &p)[0].rank, 2);
    assert_eq!(score_all(&[2], &p)[0].predicted, 0);
}

#[test]
fn calibration_error_of_two_bins_by_hand() {
    // 0.9 twice with one hit: |1 - 1.8|; 0.6 (= 9 fifteenths) once, a hit: |1 - 0.6|.
    let p = array![[0.9_f32, 0.1], [0.9, 0.1], [0.4, 0.6]];
    let m = all(&[0, 1, 1], &p);
    assert!((m.ece - (0.8 + 0.4) / 3.0).abs() < 1e-7);
}

#[test]
fn recall_of_a_classifier_that_knows_one_class_is_inside_its_interval() {
    // Any resample with both classes has a recall of one half; the few others are not as many
    // on one side as on the other.
    let pairs = [(0, 0), (0, 0), (1, 0), (0, 0), (1, 0), (1, 0)];
    let (labels, p) = certain(&pairs, 2);
    let m = all(&labels, &p);
    let [low, high] = m.macro_recall_interval;
    assert!(low <= m.macro_recall && m.macro_recall <= high, "{low} {high}");
}

fn all(labels: &[usize], p: &Array2<f32>) -> Metrics {
    let scored = score_all(labels, p);
    let details = Details::plain(&scored, p);
    measure(&scored, &names(p.ncols()), &Units::images(labels.len()), details)
}

/// Random labels and normalised probabilities of up to 40 images and 6 classes.
fn samples() -> impl Strategy<Value = (Vec<usize>, Array2<f32>)> {
    (1_usize..40, 2_usize..7).prop_flat_map(|(images, classes)| {
        let labels = proptest::collection::vec(0..classes, images);
        let raw = proptest::collection::vec(0.01_f32..1.0, images * classes);
        (labels, raw).prop_map(move |(labels, raw)| {
            let mut p = Array2::from_shape_vec((images, classes), raw).unwrap();
            for mut row in p.rows_mut() {
                let sum = row.sum();
                row.mapv_inplace(|v| v / sum);
            }
            (labels, p)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn values_are_bounded_and_inside_their_intervals((labels, p) in samples()) {
        let m = all(&labels, &p);
        let total: u64 = m.confusion_true_by_predicted.iter().flatten().sum();
        prop_assert_eq!(total, labels.len() as u64);
        prop_assert!(m.top1 <= m.top5);
        let all = [(m.top1, m.top1_interval), (m.top5, m.top5_interval),
            (m.macro_recall, m.macro_recall_interval), (m.ece, m.ece_interval),
            (m.log_loss, m.log_loss_interval)];
        for (value, [low, high]) in all {
            prop_assert!(low <= value + 1e-9 && value <= high + 1e-9 && low >= 0.0);
        }
        for value in [m.top1, m.top5, m.macro_recall, m.ece] {
            prop_assert!((0.0..=1.0).contains(&value));
        }
    }

    #[test]
    fn order_of_images_does_not_matter((labels, p) in samples()) {
        let forward = all(&labels, &p);
        let turned: Vec<usize> = labels.iter().rev().copied().collect();
        let mut flipped = p.clone();
        flipped.invert_axis(ndarray::Axis(0));
        let backward = all(&turned, &flipped);
        prop_assert_eq!(&forward.classes, &backward.classes);
        prop_assert_eq!(
            &forward.confusion_true_by_predicted, &backward.confusion_true_by_predicted);
        prop_assert!((forward.log_loss - backward.log_loss).abs() < 1e-12);
        prop_assert!((forward.ece - backward.ece).abs() < 1e-12);
    }
}
