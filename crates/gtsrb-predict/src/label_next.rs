//! Which pictures to label next: doubtful ones, and among them different ones.
//!
//! Doubt is a small margin between the two most probable classes (Scheffer, Decomain and Wrobel,
//! "Active hidden Markov models for information extraction", 2001). Ten times as many pictures as
//! wanted and at least a thousand are kept, those with the smallest margins, so that memory doesn't
//! grow with the pool.
//!
//! Difference is distance between gradient embeddings, g = (p − e) ⊗ x / |x|, where p are the
//! probabilities, e has a one at the best class and x is the picture's embedding: the gradient of
//! the head's loss if the best guess were true. It is long where the guess is doubtful, and points
//! elsewhere where other classes compete or the picture looks different (BADGE: Ash et al., "Deep
//! batch active learning by diverse, uncertain gradient lower bounds", 2020). Where BADGE draws at
//! random, the farthest picture from all that were chosen is taken (Gonzalez, "Clustering to
//! minimize the maximum intercluster distance", 1985), so that the same pool gives the same list.
//! The origin counts as chosen: a picture without a gradient teaches nothing.

use std::path::{Path, PathBuf};

use ndarray::ArrayView1;

/// Pictures that are kept for each one wanted.
const KEPT: usize = 10;

/// Pictures that are kept at least: many may be near-copies of one doubtful one.
const LEAST: usize = 1000;

/// A picture that might be chosen.
#[derive(Debug)]
pub struct Candidate {
    /// Its path.
    pub path: PathBuf,
    /// The best guess.
    pub label: usize,
    /// Its probability.
    pub probability: f32,
    /// The next best guess, the same where there is one class.
    pub second: usize,
    /// How much more probable the best guess is.
    pub margin: f32,
    /// In which place it came.
    place: u64,
    /// p − e, `[classes]`.
    residual: Vec<f32>,
    /// x / |x|, `[dims]`.
    direction: Vec<f32>,
}

impl Candidate {
    fn new(
        path: &Path,
        place: u64,
        probabilities: ArrayView1<'_, f32>,
        embedding: ArrayView1<'_, f32>,
    ) -> Self {
        let best = largest(probabilities, None);
        let second = largest(probabilities, Some(best));
        let mut residual = probabilities.to_vec();
        residual[best] -= 1.0;
        let length = embedding.dot(&embedding).sqrt();
        let scale = if length > 0.0 { length.recip() } else { 0.0 };
        Self {
            path: path.to_owned(),
            label: best,
            probability: probabilities[best],
            second,
            margin: probabilities[best] - probabilities[second],
            place,
            residual,
            direction: embedding.iter().map(|x| x * scale).collect(),
        }
    }

    /// g · h, where g and h are the gradient embeddings: outer products multiply factor by factor.
    fn product(&self, other: &Self) -> f32 {
        dot(&self.residual, &other.residual) * dot(&self.direction, &other.direction)
    }

    /// |g|²
    fn doubt(&self) -> f32 {
        self.product(self)
    }

    /// |g − h|²
    fn distance(&self, other: &Self) -> f32 {
        self.doubt() + other.doubt() - 2.0 * self.product(other)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    ArrayView1::from(a).dot(&ArrayView1::from(b))
}

/// Index of the largest value other than that at `except`, the first of equal ones.
fn largest(values: ArrayView1<'_, f32>, except: Option<usize>) -> usize {
    let others = values.iter().enumerate().filter(|(index, _)| Some(*index) != except);
    others
        .fold(
            (0, f32::NEG_INFINITY),
            |best, (index, &value)| {
                if value > best.1 { (index, value) } else { best }
            },
        )
        .0
}

/// The most doubtful pictures so far.
pub struct Pool {
    wanted: usize,
    /// How many are kept.
    limit: usize,
    seen: u64,
    kept: Vec<Candidate>,
}

impl Pool {
    /// For `wanted` pictures.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, limit: LEAST.max(KEPT.saturating_mul(wanted)), seen: 0, kept: Vec::new() }
    }

    /// Pictures that were added.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Adds a picture with its probabilities `[classes]` and its embedding `[dims]`.
    pub fn add(
        &mut self,
        path: &Path,
        probabilities: ArrayView1<'_, f32>,
        embedding: ArrayView1<'_, f32>,
    ) {
        self.kept.push(Candidate::new(path, self.seen, probabilities, embedding));
        self.seen += 1;
        // Now and then, so that not every picture costs a sort.
        if self.kept.len() >= self.limit.saturating_mul(2) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.kept.sort_by(|a, b| a.margin.total_cmp(&b.margin).then(a.place.cmp(&b.place)));
        self.kept.truncate(self.limit);
    }

    /// The pictures to label, the most doubtful first, then each the farthest from those before.
    pub fn choose(mut self) -> Vec<Candidate> {
        self.forget();
        let mut left = self.kept;
        let mut nearest: Vec<f32> = left.iter().map(Candidate::doubt).collect();
        let mut chosen: Vec<Candidate> = Vec::new();
        while chosen.len() < self.wanted && !left.is_empty() {
            let next = largest(ArrayView1::from(&nearest), None);
            nearest.remove(next);
            let next = left.remove(next);
            for (distance, candidate) in nearest.iter_mut().zip(&left) {
                *distance = distance.min(next.distance(candidate));
            }
            chosen.push(next);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn add(pool: &mut Pool, p: [f32; 3], x: [f32; 2]) {
        let path = format!("{}.png", pool.seen());
        pool.add(Path::new(&path), array![p[0], p[1], p[2]].view(), array![x[0], x[1]].view());
    }

    fn chosen(pool: Pool) -> Vec<String> {
        pool.choose().into_iter().map(|candidate| candidate.path.display().to_string()).collect()
    }

    #[test]
    fn copies_of_one_doubt_are_asked_about_once() {
        let mut pool = Pool::new(3);
        for _ in 0..20 {
            add(&mut pool, [0.98, 0.01, 0.01], [1.0, 0.0]);
        }
        for _ in 0..5 {
            add(&mut pool, [0.48, 0.5, 0.02], [0.7, 0.7]);
        }
        // Two other pairs of classes compete, a little less.
        add(&mut pool, [0.02, 0.53, 0.45], [0.7, 0.7]);
        add(&mut pool, [0.53, 0.02, 0.45], [0.7, 0.7]);
        assert_eq!(chosen(pool), ["20.png", "26.png", "25.png"]);
    }

    #[test]
    fn of_equal_doubts_different_pictures_come_first() {
        let mut pool = Pool::new(2);
        for x in [[1.0, 0.0], [0.9, 0.1], [0.0, 5.0]] {
            add(&mut pool, [0.5, 0.4, 0.1], x);
        }
        assert_eq!(chosen(pool), ["0.png", "2.png"]);
    }

    #[test]
    fn a_small_pool_is_given_whole_and_a_large_one_keeps_the_most_doubtful() {
        let mut pool = Pool::new(2);
        add(&mut pool, [1.0, 0.0, 0.0], [0.0, 0.0]);
        let [only] = &pool.choose()[..] else { panic!("one picture") };
        assert_eq!((only.label, only.second), (0, 1));
        assert!((only.margin - 1.0).abs() < 1e-6);
        let mut pool = Pool::new(1);
        for index in 0..3000_u16 {
            let p = 0.5 + f32::from((index + 30) % 3000) / 7500.0;
            add(&mut pool, [p, 1.0 - p, 0.0], [1.0, f32::from(index)]);
        }
        assert!(pool.kept.len() < 2 * LEAST);
        assert_eq!(chosen(pool), ["2970.png"]);
    }
}
