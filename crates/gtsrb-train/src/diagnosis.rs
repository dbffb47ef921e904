//! What the numbers of a training mean, in words.

use softmax::Stop;

use crate::search::Trial;
use crate::train::Trained;

/// Accuracy that training loses on unseen tracks, from which on it is called overfitting.
const GAP: f64 = 0.02;

/// Accuracy on the training part itself, below which it is called underfitting.
const FITTED: f64 = 0.95;

/// Sentences on fit, penalty, convergence, calibration and classes without validation.
pub fn diagnose(trained: &Trained, classes: &[String]) -> Vec<String> {
    let best = trained.search.best();
    let mut sentences = vec![fit(best), penalty(trained), convergence(trained), calibration(best)];
    sentences.extend(unvalidated(&trained.unvalidated, classes));
    sentences
}

fn fit(best: &Trial) -> String {
    let (train, validation) = (best.train_accuracy, best.validation_accuracy);
    let numbers = format!(
        "{:.2} % right on the training part, {:.2} % on tracks kept out (log-loss {:.4} and {:.4})",
        100.0 * train,
        100.0 * validation,
        best.train_loss,
        best.validation_loss
    );
    if train < FITTED {
        format!(
            "Underfitting: {numbers}. The embeddings don't separate the classes: other taps, finer \
             grids or larger pictures help more than a weaker penalty."
        )
    } else if train - validation > GAP {
        format!(
            "Overfitting: {numbers}. More tracks a class help most; a stronger penalty was tried \
             and is worse."
        )
    } else {
        format!("A good fit: {numbers}.")
    }
}

fn penalty(trained: &Trained) -> String {
    let search = &trained.search;
    let (lambda, tried) = (search.best().lambda, search.path.len());
    let chosen = format!("The penalty {lambda:.0e} is the best of {tried}");
    if tried == 1 && search.skipped.is_empty() {
        format!("The penalty {lambda:.0e} was the only one tried.")
    } else if search.chosen == 0 {
        format!("{chosen}, and the strongest: an even stronger one may be better.")
    } else if search.chosen + 1 == tried {
        format!("{chosen}, and the weakest: an even weaker one may be better.")
    } else {
        format!("{chosen}; both a stronger and a weaker one are worse.")
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

fn calibration(best: &Trial) -> String {
    let temperature = best.temperature;
    let losses = format!(
        "log-loss {:.4} without and {:.4} with temperature {temperature:.2}",
        best.validation_loss, best.calibrated_loss
    );
    if temperature > 1.1 {
        format!("Overconfident on tracks kept out, which the temperature corrects: {losses}.")
    } else if temperature < 0.9 {
        format!("Too cautious on tracks kept out, which the temperature corrects: {losses}.")
    } else {
        format!("Well calibrated on tracks kept out: {losses}.")
    }
}

fn unvalidated(labels: &[usize], classes: &[String]) -> Option<String> {
    let names: Vec<&str> = labels.iter().map(|&label| classes[label].as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Not validated, because they have a single track: {}. Nothing is known about how well \
             they are recognised.",
            names.join(", ")
        )
    })
}
