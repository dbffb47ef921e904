//! `gtsrb-evaluate publish`: a gate, and behind it the switch to a new model.
//!
//! A release is a folder that `gtsrb-predict --run` reads: the run's model, and of its results what
//! tells how good it is. It is written whole before the link `current` points to it, so that
//! readers see the old one or the new one. An object store has no links: there `current` is a
//! second copy, whose manifests are replaced, each in one step.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use artifact::{Hash, HashBuilder, Manifest, Output, Staged, Work};
use serde::Serialize;
use serde_json::json;
use stage::{Error, Fault, Outcome, Result};

use crate::metrics::{Interval, Metrics};
use crate::words::{percent, percent_range};

/// The folder that predictions need, and the stage that writes it.
const MODEL: (&str, &str) = ("model", "gtsrb-train");
/// Results that a release holds: for programs, among them the next gate, and for people.
const RESULTS: [&str; 3] = ["MODEL_CARD.md", "metrics.json", "report.html"];
const EVALUATE: &str = "gtsrb-evaluate";
/// The link's name.
const CURRENT: &str = "current";

/// A release and how good it is.
#[derive(Debug, Serialize)]
pub struct Published {
    /// The link that points to it.
    pub current: PathBuf,
    /// Its folder.
    pub release: PathBuf,
    /// Share of test images that its model names right.
    pub top1: f64,
    /// 95 % interval of `top1`.
    pub top1_interval: Interval,
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let range = percent_range(self.top1_interval);
        write!(
            f,
            "published: {} is {}, top-1 {} (95 % interval {range})",
            self.current.display(),
            self.release.display(),
            percent(self.top1)
        )
    }
}

/// Publishes `run` in the folder `to` if it is good enough; with `only_look`, says whether it is.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) where a stage hasn't run, [`Data`](stage::Fault::Data)
/// where the stages' results don't belong together or the model is not good enough,
/// [`Busy`](stage::Fault::Busy) if another process publishes there.
pub fn publish(
    run: &Path,
    to: &Path,
    at_least: Option<f64>,
    only_look: bool,
) -> Result<Outcome<Published>> {
    let candidate = Candidate::read(run)?;
    let releases = stage::local(to)?;
    let earlier = Release::read(&releases.join(CURRENT))?;
    candidate.pass(at_least, earlier.as_ref())?;
    if only_look {
        return Ok(Outcome::Planned(candidate.plan(to)));
    }
    let name = candidate.name();
    let there = if releases == to {
        candidate.link(to, &name)?
    } else {
        let release = candidate.copy_to(&releases.join(&name))?;
        let current = candidate.copy_to(&releases.join(CURRENT))?;
        release && current
    };
    let published = candidate.published(to.join(CURRENT), to.join(&name));
    Ok(if there { Outcome::Current(published) } else { Outcome::Done(published) })
}

/// A run that may be published.
struct Candidate {
    run: PathBuf,
    results: Manifest,
    model: Manifest,
    release: Release,
    work: Work,
}

/// How good a model is, and on which images.
struct Release {
    metrics: Metrics,
    images: Option<Hash>,
}

impl Release {
    /// Reads the results in `dir`; there are none where nothing was published yet.
    fn read(dir: &Path) -> Result<Option<Self>> {
        let manifest = match Manifest::read(dir, EVALUATE) {
            Err(e) if e.fault() == Fault::Missing => return Ok(None),
            manifest => manifest?,
        };
        manifest.verify(dir, "metrics.json")?;
        let images = manifest.work.inputs.get("images").copied();
        Ok(Some(Self { metrics: Metrics::read(dir)?, images }))
    }
}

impl Candidate {
    /// Reads what `run` consists of and checks that it belongs together.
    fn read(run: &Path) -> Result<Self> {
        let results = Manifest::read(run, EVALUATE)?;
        let mut inputs = results.work.inputs.clone();
        inputs.insert("results".into(), results.content());
        let (name, stage) = MODEL;
        let model = Manifest::read(&run.join(name), stage)?;
        if inputs.get(name) != Some(&model.content()) {
            return Err(Error::data(format!(
                "{} changed since it was evaluated: run {EVALUATE} again",
                run.join(name).display()
            )));
        }
        let release = Release::read(run)?.ok_or_else(|| {
            Error::missing(format!("{} is gone: run {EVALUATE} first", run.display()))
        })?;
        let work = Work {
            tool: EVALUATE.into(),
            version: crate::VERSION.into(),
            parameters: json!({ "published": true }),
            inputs,
        };
        Ok(Self { run: run.to_owned(), results, model, release, work })
    }

    /// The gate: at least `at_least` of the test images right, and not fewer than the lower
    /// bound of what is published now.
    fn pass(&self, at_least: Option<f64>, earlier: Option<&Release>) -> Result<()> {
        let top1 = self.release.metrics.top1;
        let refuse = |bound: f64, whose: &str| {
            Err(Error::data(format!(
                "{}: top-1 {} is below {}, {whose}: nothing is published; see its report.html",
                self.run.display(),
                percent(top1),
                percent(bound)
            )))
        };
        if let Some(bound) = at_least.filter(|bound| top1 < *bound) {
            return refuse(bound, "which --at-least asks for");
        }
        let Some(earlier) = earlier else { return Ok(()) };
        if earlier.images != self.release.images {
            tracing::warn!("the published model was measured on other images than this one");
        }
        let [low, _] = earlier.metrics.top1_interval;
        if top1 < low {
            return refuse(low, "the lower bound of the published model's 95 % interval");
        }
        Ok(())
    }

    /// The release's folder: equal releases have equal names.
    fn name(&self) -> String {
        let mut hash = HashBuilder::default();
        for (name, content) in &self.work.inputs {
            hash.add(name);
            hash.add(content.0);
        }
        hash.finish().to_string().chars().take(16).collect()
    }

    fn plan(&self, to: &Path) -> String {
        format!(
            "would publish {} (top-1 {}) as {}",
            self.run.display(),
            percent(self.release.metrics.top1),
            to.join(self.name()).display()
        )
    }

    /// Makes the release `name` in the local folder `to` and points the link there; gives whether
    /// both were so before.
    fn link(&self, to: &Path, name: &str) -> Result<bool> {
        // For its lock: nothing is committed to the folder itself.
        let _alone = Output::open(to)?;
        let output = Output::open(&to.join(name))?;
        let whole = output.current(&self.work)?.is_some();
        if !whole {
            let mut files = self.stage_results(&output)?;
            files.extend(self.stage_model(&in_model(""), &output)?);
            let manifest = in_model("manifest.json");
            files.push(copy(&self.run.join(&manifest), &manifest, None, &output)?);
            output.commit(self.work.clone(), files, BTreeMap::new(), BTreeMap::new())?;
        }
        let link = to.join(CURRENT);
        let there = std::fs::read_link(&link).is_ok_and(|target| target == Path::new(name));
        if !there {
            artifact::switch(&link, name)?;
        }
        Ok(whole && there)
    }

    /// Makes `dir`, the mirror of a folder in a store, hold the release: its model first, an
    /// artifact like the run's, and then its results. Gives whether it held it before.
    fn copy_to(&self, dir: &Path) -> Result<bool> {
        let output = Output::open(&dir.join(MODEL.0))?;
        let model = output.current(&self.model.work)?.is_some();
        if !model {
            let Manifest { work, counters, facts, .. } = self.model.clone();
            let files = self.stage_model("", &output)?;
            output.commit(work, files, counters, facts)?;
        }
        let output = Output::open(dir)?;
        let results = output.current(&self.work)?.is_some();
        if !results {
            let files = self.stage_results(&output)?;
            output.commit(self.work.clone(), files, BTreeMap::new(), BTreeMap::new())?;
        }
        Ok(model && results)
    }

    /// Copies some results.
    fn stage_results(&self, to: &Output) -> Result<Vec<Staged>> {
        let kept = RESULTS.into_iter().filter(|name| self.results.outputs.contains_key(*name));
        kept.map(|name| copy_of(&self.run, &self.results, name, name, to)).collect()
    }

    /// Copies the model's files, as `prefix` and their names.
    fn stage_model(&self, prefix: &str, to: &Output) -> Result<Vec<Staged>> {
        let (dir, model) = (self.run.join(MODEL.0), &self.model);
        let names = model.outputs.keys();
        names.map(|name| copy_of(&dir, model, name, &format!("{prefix}{name}"), to)).collect()
    }

    fn published(self, current: PathBuf, release: PathBuf) -> Published {
        let Metrics { top1, top1_interval, .. } = self.release.metrics;
        Published { current, release, top1, top1_interval }
    }
}

/// Where file `name` of the model is in a run and in a release.
fn in_model(name: &str) -> String {
    format!("{}/{name}", MODEL.0)
}

/// Copies the file `name` of the artifact in `dir` as `target`, if it is what `manifest` says.
fn copy_of(
    dir: &Path,
    manifest: &Manifest,
    name: &str,
    target: &str,
    to: &Output,
) -> Result<Staged> {
    let (from, record) = (dir.join(name), &manifest.outputs[name]);
    let copy = copy(&from, target, record.rows, to)?;
    if copy.record().hash != record.hash {
        let (from, tool) = (from.display(), &manifest.work.tool);
        return Err(Error::data(format!("{from} differs from its manifest: run {tool} again")));
    }
    Ok(copy)
}

fn copy(from: &Path, name: &str, rows: Option<u64>, output: &Output) -> Result<Staged> {
    let mut file = File::open(from).map_err(|e| Error::read(from, &e))?;
    let mut writer = output.create(name)?;
    let mut block = vec![0; 1 << 20];
    loop {
        stage::check_interrupt()?;
        let read = file.read(&mut block).map_err(|e| Error::read(from, &e))?;
        if read == 0 {
            return writer.finish(rows);
        }
        writer.write_all(&block[..read]).map_err(|e| Error::io(e.to_string()))?;
    }
}
