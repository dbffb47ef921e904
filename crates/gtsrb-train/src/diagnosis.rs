//! What the numbers of a training mean, in words.

use softmax::Stop;

use crate::judgement::Judgement;
use crate::search::Search;
use crate::settings::Rule;
use crate::split::{Counts, Split};
use crate::train::Trained;
use crate::warm::Change;

/// Accuracy that training loses on unseen tracks, from which on it is called overfitting.
const GAP: f64 = 0.02;

/// Accuracy on the training part itself, below which it is called underfitting.
const FITTED: f64 = 0.95;

/// Half the 95 % interval of the validation accuracy, above which tracks are too few.
const SURE: f64 = 0.02;

/// Sentences on fit, its certainty, penalty, convergence, calibration and classes without
/// validation.
pub fn diagnose(trained: &Trained, rule: Rule, classes: &[String]) -> Vec<String> {
    let (search, counts) = (&trained.search, &trained.split.counts);
    let chosen = &search.trial().judgement;
    let mut sentences = vec![fit(chosen, counts)];
    sentences.extend(certainty(chosen, counts));
    sentences.extend(folds(chosen));
    sentences.push(penalty(search, rule));
    sentences.push(convergence(trained));
    sentences.push(calibration(chosen));
    sentences.extend(trained.change.as_ref().map(Change::sentence));
    sentences.extend(unvalidated(&trained.split, classes));
    sentences
}

/// How well the training part is learned and the validation part recognised.
pub fn fit(judged: &Judgement, counts: &Counts) -> String {
    let (train, validation) = (judged.train_accuracy, judged.validation_accuracy);
    let numbers = format!(
        "{:.2} % right on the training part, {:.2} % on the validation part, {} (log-loss {:.4} \
         and {:.4})",
        100.0 * train,
        100.0 * validation,
        kept_out(counts),
        judged.train_loss,
        judged.validation_loss
    );
    if train < FITTED {
        format!(
            "Underfitting: {numbers}. Fitted like this, the embeddings don't separate the \
             classes; other taps, finer grids or larger pictures separate them better."
        )
    } else if train - validation > GAP {
        let more = counts.unit();
        format!(
            "Overfitting: {numbers}. More {more} a class help, and so do embeddings that need \
             less fitting: other taps, finer grids or larger pictures."
        )
    } else {
        format!("A good fit: {numbers}.")
    }
}

fn kept_out(counts: &Counts) -> String {
    let &Counts { validation_images: images, validation_tracks: tracks, folds, .. } = counts;
    let of_tracks =
        if counts.has_tracks() { format!(" of {tracks} tracks") } else { String::new() };
    let turns = if folds > 1 { format!(" in {folds} turns") } else { String::new() };
    format!("{images} images{of_tracks} kept out{turns}")
}

/// Whether the validation part is large enough to tell settings apart.
pub fn certainty(judged: &Judgement, counts: &Counts) -> Option<String> {
    let half = 1.96 * judged.accuracy_error;
    let what = counts.unit();
    let number =
        if counts.has_tracks() { counts.validation_tracks } else { counts.validation_images };
    (half > SURE).then(|| {
        format!(
            "Too few {what} to be sure: the accuracy on the {number} that were kept out is known \
             to ± {:.1} points (95 %). More {what}, or cross-validation (folds = 5), would show \
             smaller differences.",
            100.0 * half,
        )
    })
}

fn folds(judged: &Judgement) -> Option<String> {
    let (mean, deviation) = judged.spread()?;
    let accuracies = || judged.folds.iter().map(|fold| 100.0 * fold.accuracy);
    Some(format!(
        "Over {} folds the accuracy is {:.2} % on average, with a standard deviation of {:.2} \
         points: from {:.2} to {:.2} %.",
        judged.folds.len(),
        100.0 * mean,
        100.0 * deviation,
        accuracies().fold(f64::INFINITY, f64::min),
        accuracies().fold(f64::NEG_INFINITY, f64::max),
    ))
}

fn penalty(search: &Search, rule: Rule) -> String {
    let (lambda, tried) = (search.trial().lambda, search.path.len());
    let chosen = match rule {
        Rule::Best => format!("The penalty {lambda:e} is the best of {tried}"),
        Rule::OneSe => format!(
            "The penalty {lambda:e} is the strongest of {tried} within one standard error of the \
             best"
        ),
    };
    if tried == 1 {
        format!("The penalty {lambda:e} was the only one tried.")
    } else if search.chosen == 0 {
        format!("{chosen}, and the strongest that was tried: an even stronger one may do as well.")
    } else if search.chosen + 1 == tried {
        format!("{chosen}, and the weakest that was tried: an even weaker one may be better.")
    } else if rule == Rule::Best {
        format!("{chosen}; both a stronger and a weaker one are no better.")
    } else {
        format!("{chosen}.")
    }
}

fn convergence(trained: &Trained) -> String {
    let refit = &trained.refit;
    let numbers = format!(
        "{} iterations on everything, the gradient's norm is {:.1e} of that at zero weights",
        refit.iterations, refit.gradient_norm
    );
    match refit.stop {
        Stop::Iterations => format!(
            "Not converged: {numbers}, and the iterations ran out. Raise max_iterations, or \
             tolerance."
        ),
        Stop::Precision => format!("Converged to the precision of the numbers: {numbers}."),
        _ => format!("Converged: {numbers}."),
    }
}

/// What the temperature changes.
pub fn calibration(judged: &Judgement) -> String {
    let (temperature, loss) = judged.calibration();
    let losses = format!(
        "log-loss {:.4} without and {loss:.4} with temperature {temperature:.2}",
        judged.validation_loss
    );
    if judged.is_flawless() {
        "Everything in the validation part is right: how far to trust a confidence isn't known, \
         and no temperature is fitted."
            .to_owned()
    } else if temperature > 1.1 {
        format!("Overconfident on the validation part, which the temperature corrects: {losses}.")
    } else if temperature < 0.9 {
        format!("Too cautious on the validation part, which the temperature corrects: {losses}.")
    } else {
        format!("Well calibrated on the validation part: {losses}.")
    }
}

/// Classes of which nothing was kept out.
pub fn unvalidated(split: &Split, classes: &[String]) -> Option<String> {
    let names: Vec<&str> = split.unvalidated.iter().map(|&label| classes[label].as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Not validated, because none of their {} could be kept out: {}. Nothing is known about \
             how well they are recognised.",
            split.counts.unit(),
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use softmax::Model;

    use super::*;
    use crate::judgement::Fold;
    use crate::kept_out::KeptOut;
    use crate::trial::Trial;

    fn trial(lambda: f64) -> Trial {
        Trial {
            lambda,
            iterations: 9,
            evaluations: 11,
            stop: Stop::Decrease,
            gradient_norm: 1e-3,
            objective: 0.1,
            judgement: judgement(0.9),
            losses: vec![],
            curve: vec![],
        }
    }

    fn judgement(validation_accuracy: f64) -> Judgement {
        Judgement {
            train_loss: 0.01,
            train_accuracy: 1.0,
            validation_loss: 0.02,
            validation_accuracy,
            accuracy_error: 0.001,
            temperature: 0.05,
            calibrated_loss: 0.0,
            standard_error: 0.0,
            folds: vec![],
        }
    }

    fn search(path: Vec<Trial>, chosen: usize) -> Search {
        let counts = counts(1);
        let split = Split { rows: vec![], turns: vec![], folds: 1, counts, unvalidated: vec![] };
        let kept = KeptOut::of(&split, 0..1);
        let logits = Array2::zeros((0, 2));
        Search {
            first: path[0].lambda,
            path,
            chosen,
            model: Model::zeros(2, 1),
            skipped: vec![],
            kept,
            logits,
        }
    }

    /// 100 images of five times as many tracks as are kept out.
    fn counts(validation_tracks: usize) -> Counts {
        Counts {
            validation: 0.2,
            folds: 1,
            seed: 1,
            tracks: 5 * validation_tracks,
            images: 100,
            train_tracks: 4 * validation_tracks,
            validation_tracks,
            train_images: 80,
            validation_images: 20,
        }
    }

    #[test]
    fn penalties_are_compared_with_those_that_were_tried() {
        let words = |lambdas: &[f64], chosen| {
            let path = lambdas.iter().map(|&l| trial(l)).collect();
            penalty(&search(path, chosen), Rule::Best)
        };
        assert_eq!(words(&[2.5e-3], 0), "The penalty 2.5e-3 was the only one tried.");
        assert!(words(&[0.1, 0.01], 0).ends_with("an even stronger one may do as well."));
        assert!(words(&[0.1, 0.01], 1).ends_with("an even weaker one may be better."));
        assert!(words(&[0.1, 0.01, 1e-3], 1).ends_with("are no better."));
        let one_se = search([1.0, 0.1, 0.01].map(trial).into(), 1);
        assert!(penalty(&one_se, Rule::OneSe).contains("1e-1 is the strongest of 3 within"));
    }

    #[test]
    fn without_mistakes_no_temperature_is_fitted() {
        let flawless = judgement(1.0);
        assert_eq!(flawless.calibration(), (1.0, 0.02));
        assert!(calibration(&flawless).contains("no temperature is fitted"));
        let other = judgement(0.99);
        assert_eq!(other.calibration(), (0.05, 0.0));
        assert!(calibration(&other).starts_with("Too cautious"));
    }

    #[test]
    fn only_sets_with_tracks_read_of_tracks() {
        assert_eq!(kept_out(&counts(2)), "20 images of 2 tracks kept out");
        assert_eq!(kept_out(&counts(20)), "20 images kept out");
        let over = judgement(0.9);
        assert!(fit(&over, &counts(2)).contains("More tracks a class help"));
        let folder = fit(&over, &counts(20));
        assert!(folder.starts_with("Overfitting") && !folder.contains("track"), "{folder}");
        let unsure = Judgement { accuracy_error: 0.02, ..over };
        let folder = certainty(&unsure, &counts(20)).unwrap();
        assert!(folder.contains("± 3.9 points") && !folder.contains("track"), "{folder}");
        assert!(certainty(&unsure, &counts(2)).unwrap().contains("on the 2 that"));
        assert_eq!(certainty(&judgement(0.9), &counts(2)), None);
    }

    #[test]
    fn what_training_does_not_learn_is_underfitting() {
        let under = Judgement { train_accuracy: 0.8, ..judgement(0.79) };
        assert!(fit(&under, &counts(2)).starts_with("Underfitting: 80.00 %"));
        assert!(fit(&judgement(0.99), &counts(2)).starts_with("A good fit"));
    }

    #[test]
    fn folds_are_told_with_mean_and_spread() {
        let fold = |accuracy| Fold { images: 10, accuracy, calibrated_loss: 0.1 };
        let judged = Judgement { folds: vec![fold(0.9), fold(0.94)], ..judgement(0.92) };
        let words = folds(&judged).unwrap();
        assert!(words.starts_with("Over 2 folds the accuracy is 92.00 %"), "{words}");
        assert!(words.contains("2.83 points: from 90.00 to 94.00 %"), "{words}");
    }
}
