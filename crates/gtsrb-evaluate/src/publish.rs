//! `gtsrb-evaluate publish`: a gate, and behind it the switch to a new model.
//!
//! A release is a folder that `gtsrb-predict --run` reads: the run's model, and of its results what
//! tells how good it is. It is written whole before the link `current` points to it, so that
//! readers see the old one or the new one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use artifact::{Hash, HashBuilder, Manifest, Output, Staged, Work};
use serde::Serialize;
use serde_json::json;
use stage::{Error, Outcome, Result};

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
    if stage::local(to)? != to {
        return Err(Error::usage("--to must be a local folder: a link is switched in it"));
    }
    let candidate = Candidate::read(run)?;
    let link = to.join(CURRENT);
    let earlier = Release::read(&link)?;
    candidate.pass(at_least, earlier.as_ref())?;
    if only_look {
        return Ok(Outcome::Planned(candidate.plan(to)));
    }
    // For its lock: nothing is committed to the folder itself.
    let _alone = Output::open(to)?;
    let name = candidate.name();
    let output = Output::open(&to.join(&name))?;
    let whole = output.current(&candidate.work)?.is_some();
    if !whole {
        let files = candidate.stage(&output)?;
        output.commit(candidate.work.clone(), files, BTreeMap::new(), BTreeMap::new())?;
    }
    let there = std::fs::read_link(&link).is_ok_and(|target| target == Path::new(&name));
    if !there {
        artifact::switch(&link, &name)?;
    }
    let published = candidate.published(link, to.join(&name));
    Ok(if whole && there { Outcome::Current(published) } else { Outcome::Done(published) })
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
        if !dir.join("manifest.json").exists() {
            return Ok(None);
        }
        let manifest = Manifest::read(dir, EVALUATE)?;
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
            version: env!("CARGO_PKG_VERSION").into(),
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

    /// Copies the model with its manifest, and some results; the release's own manifest lists all.
    fn stage(&self, output: &Output) -> Result<Vec<Staged>> {
        let kept = |name: &&String| RESULTS.contains(&name.as_str());
        let results = self.results.outputs.keys().filter(kept);
        let mut staged = results
            .map(|name| self.copy(&self.results, name, name, output))
            .collect::<Result<Vec<_>>>()?;
        for name in self.model.outputs.keys() {
            staged.push(self.copy(&self.model, name, &in_model(name), output)?);
        }
        let name = in_model("manifest.json");
        staged.push(copy(&self.run.join(&name), &name, output)?);
        Ok(staged)
    }

    /// Copies the run's file `path`, which `manifest` calls `name`.
    fn copy(&self, manifest: &Manifest, name: &str, path: &str, to: &Output) -> Result<Staged> {
        let from = self.run.join(path);
        let copy = copy(&from, path, to)?;
        if copy.record().hash != manifest.outputs[name].hash {
            let (from, tool) = (from.display(), &manifest.work.tool);
            return Err(Error::data(format!("{from} differs from its manifest: run {tool} again")));
        }
        Ok(copy)
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

fn copy(from: &Path, name: &str, output: &Output) -> Result<Staged> {
    let mut file = File::open(from).map_err(|e| Error::read(from, &e))?;
    let mut writer = output.create(name)?;
    let mut block = vec![0; 1 << 20];
    loop {
        stage::check_interrupt()?;
        let read = file.read(&mut block).map_err(|e| Error::read(from, &e))?;
        if read == 0 {
            return writer.finish(None);
        }
        writer.write_all(&block[..read]).map_err(|e| Error::io(e.to_string()))?;
    }
}
