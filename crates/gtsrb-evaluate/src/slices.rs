//! Accuracy by what the pictures are like: which conditions the classifier can't cope with.

use serde::{Deserialize, Serialize};

use crate::interval::wilson;
use crate::metrics::{Interval, Scored};
use crate::survey::Look;

/// Parts of about equal size that a measured property is cut into.
const PARTS: usize = 5;

/// The test images divided by one property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slicing {
    /// What they are divided by.
    pub by: String,
    /// Every image is in one of these.
    pub slices: Vec<Slice>,
}

/// Test images that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// What that is.
    pub name: String,
    /// How many there are.
    pub images: u64,
    /// Share of them whose most probable class is the true one.
    pub top1: f64,
    /// 95 % interval of that (Wilson, each image for itself).
    pub top1_interval: Interval,
}

/// Divides `scored` images by size, brightness and sharpness of the sign, `looks` of the same
/// images, and by the sign's group, for GTSRB's `classes`.
#[must_use]
pub fn slice_all(scored: &[Scored], looks: &[Look], classes: &[String]) -> Vec<Slicing> {
    let property = |value: fn(&Look) -> f64| looks.iter().map(value).collect::<Vec<f64>>();
    let whole = |v: f64| format!("{v:.0}");
    let mut all = vec![
        by_value("longer side in pixels", scored, &property(|l| f64::from(l.side)), whole),
        by_value("brightness, 0 to 255", scored, &property(|l| l.brightness), whole),
        by_value(
            "sharpness (variance of the Laplacian)",
            scored,
            &property(|l| l.sharpness),
            whole,
        ),
    ];
    all.extend(by_group(scored, classes));
    all
}

/// Parts of about equal size, from the lowest values to the highest; equal values stay together.
fn by_value(by: &str, scored: &[Scored], values: &[f64], show: fn(f64) -> String) -> Slicing {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut starts: Vec<f64> = (0..PARTS).map(|i| sorted[i * sorted.len() / PARTS]).collect();
    starts.dedup_by(|a, b| a.to_bits() == b.to_bits());
    let part = |i: usize| {
        let next = starts.get(i + 1).copied().unwrap_or(f64::INFINITY);
        let inside = |v: f64| v >= starts[i] && v < next;
        let members = scored.iter().zip(values).filter(|(_, v)| inside(**v)).map(|(s, _)| s);
        let highest = sorted.iter().rev().copied().find(|v| inside(*v)).unwrap_or(starts[i]);
        Slice::of(format!("{} to {}", show(starts[i]), show(highest)), members)
    };
    Slicing { by: by.to_owned(), slices: (0..starts.len()).filter_map(part).collect() }
}

/// The six groups of the benchmark's paper; `None` for other classes.
fn by_group(scored: &[Scored], classes: &[String]) -> Option<Slicing> {
    if classes != signs::CLASS_NAMES {
        return None;
    }
    let group = |s: &Scored| u8::try_from(s.label).ok().and_then(signs::group);
    let slice = |wanted: signs::Group| {
        let members = scored.iter().filter(|s| group(s) == Some(wanted));
        Slice::of(wanted.name().to_owned(), members)
    };
    let slices = signs::Group::ALL.into_iter().filter_map(slice).collect();
    Some(Slicing { by: "group of signs".to_owned(), slices })
}

impl Slice {
    /// `None` without members.
    fn of<'a>(name: String, members: impl Iterator<Item = &'a Scored>) -> Option<Self> {
        let (images, hits) =
            members.fold((0, 0), |(n, hits), s| (n + 1, hits + u64::from(s.correct())));
        (images > 0).then(|| Self {
            name,
            images,
            top1: hits as f64 / images as f64,
            top1_interval: wilson(hits, images),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(label: usize, right: bool) -> Scored {
        let predicted = if right { label } else { label + 1 };
        Scored { label, predicted, rank: 0, confidence: 1.0, loss: 0.0 }
    }

    #[test]
    fn parts_are_of_equal_size_and_keep_equal_values_together() {
        let all: Vec<Scored> = (0..100).map(|i| scored(0, i % 20 < 15)).collect();
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let whole = |v: f64| format!("{v:.0}");
        let parts = by_value("x", &all, &values, whole).slices;
        let names: Vec<_> = parts.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["0 to 19", "20 to 39", "40 to 59", "60 to 79", "80 to 99"]);
        assert!(parts.iter().all(|p| p.images == 20 && (p.top1 - 0.75).abs() < 1e-12));
        let tied: Vec<f64> = (0..100).map(|i| if i < 70 { 1.0 } else { 2.0 }).collect();
        let parts = by_value("x", &all, &tied, whole).slices;
        let sizes: Vec<_> = parts.iter().map(|p| (p.name.as_str(), p.images)).collect();
        assert_eq!(sizes, [("1 to 1", 70), ("2 to 2", 30)]);
    }

    #[test]
    fn groups_are_the_benchmark_s_and_only_for_its_classes() {
        let names = signs::CLASS_NAMES.map(str::to_owned);
        let all = [scored(0, true), scored(1, false), scored(14, true)];
        let slices = by_group(&all, &names).unwrap().slices;
        let found: Vec<_> = slices.iter().map(|s| (s.name.as_str(), s.images, s.top1)).collect();
        assert_eq!(found, [("speed limits", 2, 0.5), ("unique", 1, 1.0)]);
        assert_eq!(by_group(&all, &names[..42]), None);
    }
}
