//! How one start of a stage ended, for those who watch from outside: OpenLineage events and
//! Prometheus gauges in the run's folder.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;

use crate::common::SECTIONS;
use crate::{Common, Outcome, Result, gauges, lineage};

/// A command that ended.
pub(crate) struct Job {
    /// The stage, and after a dot its command if it isn't the stage's own: `extract.merge`.
    pub name: String,
    /// The pipeline: the name of the run's folder.
    pub pipeline: String,
    /// The run's folder.
    pub run: PathBuf,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Its exit code; 0 also where everything was up to date.
    pub code: u8,
    /// Why it failed.
    pub error: Option<String>,
    /// What it reports, as JSON.
    pub summary: Value,
}

impl Job {
    /// What `stage` did in a run that exists. Commands that only look and dry runs are no jobs.
    pub fn of<S: Serialize>(
        stage: &str,
        common: &Common,
        (began, took): (SystemTime, Duration),
        outcome: &Result<Outcome<S>>,
    ) -> Option<Self> {
        if !SECTIONS.contains(&stage) {
            return None;
        }
        let (summary, error) = match outcome {
            Ok(Outcome::Done(summary) | Outcome::Current(summary)) => {
                (serde_json::to_value(summary).ok()?, None)
            }
            Ok(_) => return None,
            Err(_) if common.dry_run => return None,
            Err(error) => (Value::Null, Some(error)),
        };
        let run = std::path::absolute(common.run_dir().ok()?).ok()?;
        // clap lets no flag stand before a command.
        let command = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
        Some(Self {
            name: command.map_or_else(|| stage.to_owned(), |command| format!("{stage}.{command}")),
            pipeline: run.file_name()?.to_string_lossy().into_owned(),
            run: run.is_dir().then_some(run)?,
            began,
            took,
            code: error.map_or(0, |error| error.fault().code()),
            error: error.map(ToString::to_string),
            summary,
        })
    }

    /// Tells those who watch. It is information only, so that failing to write it warns and no
    /// more.
    pub fn tell(&self) {
        let told = [("lineage.jsonl", lineage::append(self)), ("prometheus", gauges::write(self))];
        for (name, written) in told {
            if let Err(error) = written {
                tracing::warn!("cannot write {}: {error}", self.run.join(name).display());
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::Error;

    /// A training that took 2.5 seconds.
    pub fn job(run: &Path) -> Job {
        Job {
            name: "train".into(),
            pipeline: "quoted \"name\"".into(),
            run: run.to_owned(),
            began: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            took: Duration::from_millis(2500),
            code: 0,
            error: None,
            summary: json!({ "lambda": 1e-5, "classes": 43, "note": "text", "best": null }),
        }
    }

    #[test]
    fn what_only_looks_is_no_job() {
        let dir = tempfile::tempdir().unwrap();
        let common = Common { run: Some(dir.path().to_owned()), ..Common::default() };
        let of = |stage: &str, common: &Common, outcome: Result<Outcome<u8>>| {
            Job::of(stage, common, (SystemTime::now(), Duration::ZERO), &outcome)
        };
        let done = of("train", &common, Ok(Outcome::Done(3))).unwrap();
        assert_eq!((done.code, &done.summary), (0, &json!(3)));
        let failed = of("train", &common, Err(Error::data("no"))).unwrap();
        assert_eq!((failed.code, failed.error.as_deref()), (65, Some("no")));
        assert!(of("train", &common, Ok(Outcome::Checked(3))).is_none());
        assert!(of("train", &common, Ok(Outcome::Planned(String::new()))).is_none());
        assert!(of("predict", &common, Ok(Outcome::Done(3))).is_none());
        let elsewhere = Common { run: Some(dir.path().join("none")), ..Common::default() };
        assert!(of("train", &elsewhere, Err(Error::data("no"))).is_none());
    }
}
