//! What the numbers of a training mean, in words.

use softmax::Stop;

use crate::search::{Search, Trial};
use crate::split::Counts;
use crate::train::Trained;

/// Accuracy that training loses on unseen tracks, from which on it is called overfitting.
const GAP: f64 = 0.02;

/// Accuracy on the training part itself, below which it is called underfitting.
const FITTED: f64 = 0.95;

/// Sentences on fit, penalty, convergence, calibration and classes without validation.
pub fn diagnose(trained: &Trained, classes: &[String]) -> Vec<String> {
    let search = &trained.search;
    let mut sentences = vec![
        fit(search.best(), &trained.counts),
        penalty(search),
        convergence(trained),
        calibration(search),
    ];
    sentences.extend(unvalidated(&trained.unvalidated, classes));
    sentences
}

fn fit(best: &Trial, counts: &Counts) -> String {
    let (train, validation) = (best.train_accuracy, best.validation_accuracy);
    let numbers = format!(
        "{:.2} % right on the training part, {:.2} % on the validation part, {} (log-loss {:.4} \
         and {:.4})",
        100.0 * train,
        100.0 * validation,
        kept_out(counts),
        best.train_loss,
        best.validation_loss
    );
    if train < FITTED {
        format!(
            "Underfitting: {numbers}. Under this penalty the embeddings don't separate the \
             classes; other taps, finer grids or larger pictures separate them better."
        )
    } else if train - validation > GAP {
        format!(
            "Overfitting: {numbers}. More tracks a class help, and so do embeddings that need \
             less fitting: other taps, finer grids or larger pictures."
        )
    } else {
        format!("A good fit: {numbers}.")
    }
}

fn kept_out(counts: &Counts) -> String {
    let &Counts { validation_images: images, validation_tracks: tracks, .. } = counts;
    if tracks < images {
        format!("{images} images of {tracks} tracks kept out")
    } else {
        format!("{images} images kept out")
    }
}

fn penalty(search: &Search) -> String {
    let (lambda, tried) = (search.best().lambda, search.path.len());
    let chosen = format!("The penalty {lambda:e} is the best of {tried}");
    if tried == 1 {
        format!("The penalty {lambda:e} was the only one tried.")
    } else if search.chosen == 0 {
        format!("{chosen}, and the strongest: an even stronger one may be better.")
    } else if search.chosen + 1 == tried {
        format!("{chosen}, and the weakest: an even weaker one may be better.")
    } else {
        format!("{chosen}; both a stronger and a weaker one are no better.")
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

fn calibration(search: &Search) -> String {
    let best = search.best();
    let (temperature, loss) = search.calibration();
    let losses = format!(
        "log-loss {:.4} without and {loss:.4} with temperature {temperature:.2}",
        best.validation_loss
    );
    if best.is_flawless() {
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

fn unvalidated(labels: &[usize], classes: &[String]) -> Option<String> {
    let names: Vec<&str> = labels.iter().map(|&label| classes[label].as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Not validated, because they have a single track or picture: {}. Nothing is known about how well \
             they are recognised.",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use softmax::Model;

    use super::*;

    fn trial(lambda: f64, validation_accuracy: f64) -> Trial {
        Trial {
            lambda,
            iterations: 9,
            evaluations: 11,
            stop: Stop::Decrease,
            gradient_norm: 1e-3,
            objective: 0.1,
            train_loss: 0.01,
            train_accuracy: 1.0,
            validation_loss: 0.02,
            validation_accuracy,
            temperature: 0.05,
            calibrated_loss: 0.0,
            losses: vec![],
            validation_curve: vec![],
        }
    }

    fn search(path: Vec<Trial>, chosen: usize) -> Search {
        Search { path, chosen, model: Model::zeros(2, 1), skipped: vec![] }
    }

    #[test]
    fn penalties_are_compared_with_those_that_were_tried() {
        let words = |lambdas: &[f64], chosen| {
            penalty(&search(lambdas.iter().map(|&l| trial(l, 0.9)).collect(), chosen))
        };
        assert_eq!(words(&[2.5e-3], 0), "The penalty 2.5e-3 was the only one tried.");
        assert!(words(&[0.1, 0.01], 0).ends_with("an even stronger one may be better."));
        assert!(words(&[0.1, 0.01], 1).ends_with("an even weaker one may be better."));
        assert!(words(&[0.1, 0.01, 1e-3], 1).ends_with("are no better."));
    }

    #[test]
    fn without_mistakes_no_temperature_is_fitted() {
        let flawless = search(vec![trial(0.1, 1.0)], 0);
        assert_eq!(flawless.calibration(), (1.0, 0.02));
        assert!(calibration(&flawless).contains("no temperature is fitted"));
        let other = search(vec![trial(0.1, 0.99)], 0);
        assert_eq!(other.calibration(), (0.05, 0.0));
        assert!(calibration(&other).starts_with("Too cautious"));
    }

    #[test]
    fn images_kept_out_are_of_tracks_only_where_there_are_some() {
        let counts = |validation_tracks| Counts {
            validation: 0.2,
            seed: 1,
            train_tracks: 8,
            validation_tracks,
            train_images: 80,
            validation_images: 20,
        };
        assert_eq!(kept_out(&counts(2)), "20 images of 2 tracks kept out");
        assert_eq!(kept_out(&counts(20)), "20 images kept out");
    }
}
