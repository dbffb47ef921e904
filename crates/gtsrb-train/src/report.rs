//! What is said at the end, of a training or of a study.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::baselines::Baselines;
use crate::curve::Curve;
use crate::probe::Probed;
use crate::summary::Summary;

/// The result of what was asked for.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Report {
    /// A training.
    Trained(Summary),
    /// Accuracies by the number of pictures.
    Curve(Curve),
    /// Accuracies without training.
    Baselines(Baselines),
    /// Accuracies by layers.
    Probe(Probed),
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trained(summary) => summary.fmt(f),
            Self::Curve(curve) => curve.fmt(f),
            Self::Baselines(baselines) => baselines.fmt(f),
            Self::Probe(probe) => probe.fmt(f),
        }
    }
}

impl Display for Curve {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { counted, measured_on, measured_images, .. } = self;
        writeln!(
            f,
            "{counted} a class, images, % right on {measured_images} {measured_on} images"
        )?;
        for point in &self.points {
            writeln!(
                f,
                "{:>8.1} {:>8.0} {:>8.2} ± {:.2}",
                point.a_class,
                point.images,
                100.0 * point.mean,
                100.0 * point.deviation
            )?;
        }
        write!(f, "{}", self.conclusion)
    }
}

impl Display for Baselines {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "right on {} validation images:", self.validation_images)?;
        write!(f, " nearest class mean {:.2} %", 100.0 * self.nearest_mean)?;
        for neighbours in &self.neighbours {
            let (voters, accuracy) = (neighbours.voters, 100.0 * neighbours.accuracy);
            write!(f, ", {voters} nearest {accuracy:.2} %")?;
        }
        Ok(())
    }
}

/// Candidates that are listed.
const LISTED: usize = 12;

impl Display for Probed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<_> = self.candidates.iter().collect();
        sorted.sort_by(|a, b| a.log_loss.total_cmp(&b.log_loss));
        writeln!(f, "% right on {} images, log-loss, bytes, layers", self.validation_images)?;
        for candidate in sorted.into_iter().take(LISTED) {
            let about = &self.backbones[candidate.backbone];
            writeln!(
                f,
                "{:>7.2} {:>8.4} {:>7}  {} of {} at {} px",
                100.0 * candidate.accuracy,
                candidate.log_loss,
                candidate.bytes,
                candidate.taps.join(" + "),
                about.name,
                about.size
            )?;
        }
        let Some(best) = self.best.map(|best| &self.candidates[best]) else {
            return write!(f, "no layer fits into {} bytes a picture", self.budget);
        };
        let about = &self.backbones[best.backbone];
        write!(
            f,
            "the best within {} bytes a picture: size = {}, taps = {:?}",
            self.budget, about.size, best.taps
        )
    }
}
