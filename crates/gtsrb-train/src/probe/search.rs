//! Which layers, on which grids, are tried together.

use stage::Result;

use crate::judgement::Judgement;
use crate::tap::Tap;

/// Layers that are tried together with others: the best ones alone.
const KEPT: usize = 6;

/// A single layer is tried on longer grids than the budget allows, up to these numbers: what the
/// budget costs shows by them.
const LONGEST: usize = 12_000;

/// Layers on grids, `(layer, cells a side)`, in the layers' order.
pub type Parts = Vec<(usize, usize)>;

/// Something that was tried.
pub struct Found {
    /// What.
    pub parts: Parts,
    /// How good a head on it is.
    pub judgement: Judgement,
}

/// Tries every layer of `taps` on every grid by `judge`, then the best ones in twos, and then the
/// best two with each of the others. Those that are tried together have at most `budget` numbers.
pub fn search(
    taps: &[Tap],
    budget: usize,
    judge: impl Fn(&[(usize, usize)]) -> Result<Judgement>,
) -> Result<Vec<Found>> {
    let attempt = |parts: Parts| -> Result<Found> {
        let judgement = judge(&parts)?;
        Ok(Found { parts, judgement })
    };
    let mut found: Vec<Found> =
        singles(taps).map(|part| attempt(vec![part])).collect::<Result<_>>()?;
    let kept = best_grids(&found);
    let twos =
        kept.iter().enumerate().flat_map(|(i, &a)| kept[i + 1..].iter().map(move |&b| [a, b]));
    let mut twos: Vec<Found> = twos
        .filter_map(|parts| within(taps, &parts, budget))
        .map(attempt)
        .collect::<Result<_>>()?;
    twos.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let best: Vec<usize> =
        twos.first().iter().flat_map(|best| &best.parts).map(|part| part.0).collect();
    let (first, others): (Parts, Parts) = kept.into_iter().partition(|part| best.contains(&part.0));
    found.append(&mut twos);
    if !first.is_empty() {
        for other in others {
            let parts = within(taps, &[&first[..], &[other]].concat(), budget);
            found.extend(parts.map(attempt).transpose()?);
        }
    }
    Ok(found)
}

/// Every layer on every grid.
fn singles(taps: &[Tap]) -> impl Iterator<Item = (usize, usize)> {
    let parts = taps.iter().enumerate().flat_map(|(i, tap)| tap.grids().map(move |grid| (i, grid)));
    parts.filter(|&part| numbers(taps, &[part]) <= LONGEST)
}

/// Numbers of an embedding of `parts`.
fn numbers(taps: &[Tap], parts: &[(usize, usize)]) -> usize {
    parts.iter().map(|&(tap, grid)| taps[tap].channels * grid * grid).sum()
}

/// These layers, in their order, on the grids that together hold most of `budget` numbers; none is
/// finer than in `parts`, where it is best alone.
fn within(taps: &[Tap], parts: &[(usize, usize)], budget: usize) -> Option<Parts> {
    let mut tried = vec![Parts::new()];
    for &(tap, finest) in parts {
        let grids: Vec<usize> = taps[tap].grids().filter(|&grid| grid <= finest).collect();
        let with = |parts: &Parts| {
            let parts = parts.clone();
            grids.iter().map(move |&grid| [&parts[..], &[(tap, grid)]].concat()).collect::<Vec<_>>()
        };
        tried = tried.iter().flat_map(with).collect();
    }
    tried.retain(|parts| numbers(taps, parts) <= budget);
    let mut most = tried.into_iter().max_by_key(|parts| numbers(taps, parts))?;
    most.sort_unstable();
    Some(most)
}

/// The layers that are best alone, each on its best grid.
fn best_grids(singles: &[Found]) -> Parts {
    let mut sorted: Vec<&Found> = singles.iter().collect();
    sorted.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let mut kept = Parts::new();
    for part in sorted.iter().flat_map(|found| &found.parts) {
        if kept.iter().all(|(tap, _)| *tap != part.0) {
            kept.push(*part);
        }
    }
    kept.truncate(KEPT);
    kept
}

fn loss(found: &Found) -> f64 {
    found.judgement.calibrated_loss
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn tap(channels: usize, grid: usize) -> Tap {
        Tap { layer: "layer".into(), grid, channels, start: 0 }
    }

    fn judged(calibrated_loss: f64) -> Judgement {
        Judgement {
            train_loss: 0.0,
            train_accuracy: 1.0,
            validation_loss: 0.0,
            validation_accuracy: 1.0,
            accuracy_error: 0.0,
            temperature: 1.0,
            calibrated_loss,
            standard_error: 0.0,
            folds: vec![],
        }
    }

    #[test]
    fn the_best_layers_are_tried_together() {
        let taps = [tap(8, 4), tap(8, 2), tap(2000, 4)];
        let seen = RefCell::new(Vec::new());
        // The second layer is best, and finer is better; the third is too long on its finest grid.
        let found = search(&taps, 8000, |parts| {
            seen.borrow_mut().push(parts.to_vec());
            let value = |&(tap, grid): &(usize, usize)| grid as f64 * [1.0, 4.0, 1.5][tap];
            Ok(judged(-parts.iter().map(value).sum::<f64>()))
        });
        let found = found.unwrap();
        let singles = [(0, 4), (0, 2), (0, 1), (1, 2), (1, 1), (2, 2), (2, 1)].map(|p| vec![p]);
        let seen = seen.into_inner();
        assert_eq!(seen[..7], singles);
        // The third is joined on the grid that fits into the budget beside others.
        assert_eq!(seen[7..10], [vec![(0, 4), (1, 2)], vec![(1, 2), (2, 1)], vec![(0, 4), (2, 1)]]);
        assert_eq!(seen[10..], [vec![(0, 4), (1, 2), (2, 1)]]);
        assert_eq!(found.len(), seen.len());
    }
}
