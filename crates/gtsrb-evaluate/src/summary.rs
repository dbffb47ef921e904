//! What the stage tells the user in the end.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stage::Result;

use crate::compare::Comparison;
use crate::metrics::{Interval, Metrics};
use crate::publish::Published;
use crate::words::{count, percent, percent_range};

/// What is said in the end.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Summary {
    /// Of a run that was evaluated.
    Evaluated(Headline),
    /// Of two runs that were compared.
    Compared(Comparison),
    /// Of a model that was published.
    Published(Published),
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Evaluated(headline) => headline.fmt(f),
            Self::Compared(comparison) => comparison.fmt(f),
            Self::Published(published) => published.fmt(f),
        }
    }
}

/// The headline numbers and where the rest is.
#[derive(Debug, Clone, Serialize)]
pub struct Headline {
    top1: f64,
    top1_interval: Interval,
    top5: f64,
    macro_recall: f64,
    log_loss: f64,
    ece: f64,
    test_images: u64,
    metrics: PathBuf,
    report: PathBuf,
}

impl Headline {
    /// The summary of `metrics` in the folder `run`.
    #[must_use]
    pub fn new(metrics: &Metrics, run: &Path) -> Self {
        Self {
            top1: metrics.top1,
            top1_interval: metrics.top1_interval,
            top5: metrics.top5,
            macro_recall: metrics.macro_recall,
            log_loss: metrics.log_loss,
            ece: metrics.ece,
            test_images: metrics.test_images,
            metrics: run.join("metrics.json"),
            report: run.join("report.html"),
        }
    }

    /// The summary of the results that are in the folder `run`.
    pub fn read(run: &Path) -> Result<Self> {
        Ok(Self::new(&Metrics::read(run)?, run))
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            f,
            "top-5 {}, macro recall {}, log-loss {:.4}, calibration error {}",
            percent(self.top5),
            percent(self.macro_recall),
            self.log_loss,
            percent(self.ece)
        )?;
        writeln!(
            f,
            "top-1 {} (95 % interval {}), {} test images",
            percent(self.top1),
            percent_range(self.top1_interval),
            count(self.test_images)
        )?;
        write!(f, "report: {}", self.report.display())
    }
}
