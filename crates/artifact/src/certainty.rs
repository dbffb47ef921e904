//! How sure a model is of its answers, and from which confidence on they can be relied on.

use crate::Answers;

/// The accuracy wished of answers where no setting says another.
pub const WISHED_ACCURACY: f64 = 0.99;

/// Confidence of an answer (the probability of the class that it names) and whether it is right.
pub type Answer = (f64, bool);

impl Answers {
    /// What is said of each image: the most probable class, the first of equal ones.
    #[must_use]
    pub fn certainty(&self) -> Vec<Answer> {
        let said = softmax::predicted(self.probabilities.view());
        let answer = |(row, (class, label)): (usize, (&usize, &usize))| {
            (f64::from(self.probabilities[[row, *class]]), class == label)
        };
        said.iter().zip(&self.labels).enumerate().map(answer).collect()
    }
}

/// Answers from the most confident one down to one confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// That one; of equal confidences all answers count.
    pub confidence: f64,
    /// How many answers.
    pub images: usize,
    /// How many of them are wrong.
    pub wrong: usize,
}

/// One step for each confidence that occurs, from the highest to the lowest.
#[must_use]
pub fn steps(answers: &[Answer]) -> Vec<Step> {
    let mut sorted = answers.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut steps: Vec<Step> = Vec::new();
    let mut wrong = 0;
    for (before, (confidence, right)) in sorted.into_iter().enumerate() {
        wrong += usize::from(!right);
        let step = Step { confidence, images: before + 1, wrong };
        match steps.last_mut() {
            Some(last) if last.confidence.to_bits() == confidence.to_bits() => *last = step,
            _ => steps.push(step),
        }
    }
    steps
}

/// The lowest confidence from which at least the share `wished` of answers is right.
#[must_use]
pub fn choose(answers: &[Answer], wished: f64) -> Option<f64> {
    let reached = |step: &&Step| (step.images - step.wrong) as f64 >= wished * step.images as f64;
    steps(answers).iter().rev().find(reached).map(|step| step.confidence)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const ANSWERS: [Answer; 6] =
        [(0.9, true), (0.8, true), (0.8, false), (0.7, true), (0.6, true), (0.5, false)];

    #[test]
    fn an_answer_is_the_first_of_the_most_probable_classes() {
        let paths = ["a", "b", "c"].map(str::to_owned).into();
        let probabilities = array![[0.25_f32, 0.75], [0.5, 0.5], [0.5, 0.5]];
        let answers = Answers { paths, labels: vec![1, 0, 1], probabilities };
        assert_eq!(answers.certainty(), [(0.75, true), (0.5, true), (0.5, false)]);
    }

    #[test]
    fn the_threshold_covers_as_much_as_the_wish_allows() {
        let chosen = |wished| choose(&ANSWERS, wished);
        assert_eq!(chosen(1.0), Some(0.9));
        assert_eq!(chosen(0.8), Some(0.6));
        assert_eq!(chosen(0.5), Some(0.5));
        assert_eq!(choose(&[(0.9, false)], 0.5), None);
    }
}
