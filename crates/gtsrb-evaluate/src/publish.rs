//! `gtsrb-evaluate publish`: a gate, and behind it the switch to a new model.
//!
//! A release is a folder that `gtsrb-predict --run` reads: the run's backbone, model and results
//! and what its embeddings say of themselves. It is written whole before the link `current`
//! points to it, so that readers see the old one or the new one.

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

/// The stages whose folders a release holds, and the binaries that write them.
const PARTS: [(&str, &str); 3] =
    [("backbone", "gtsrb-backbone"), ("embeddings", "gtsrb-extract"), ("model", "gtsrb-train")];
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
    /// What the release consists of, folder by folder; `""` is the run itself.
    parts: Vec<(&'static str, Manifest)>,
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
        let mut parts = vec![("", results)];
        for (part, stage) in PARTS {
            let manifest = Manifest::read(&run.join(part), stage)?;
            let seen = inputs.insert(part.into(), manifest.content());
            if seen.is_some_and(|seen| seen != manifest.content()) {
                return Err(Error::data(format!(
                    "{} changed since it was evaluated: run {EVALUATE} again",
                    run.join(part).display()
                )));
            }
            parts.push((part, manifest));
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
        Ok(Self { run: run.to_owned(), parts, release, work })
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

    /// Copies every file and every part's manifest.
    fn stage(&self, output: &Output) -> Result<Vec<Staged>> {
        let mut staged = Vec::new();
        for (part, manifest) in &self.parts {
            let dir = self.run.join(part);
            for name in manifest.outputs.keys() {
                let copy = copy(&dir.join(name), &inside(part, name), output)?;
                if copy.record().hash != manifest.outputs[name].hash {
                    return Err(Error::data(format!(
                        "{} differs from its manifest: run {} again",
                        dir.join(name).display(),
                        manifest.work.tool
                    )));
                }
                staged.push(copy);
            }
            // The run's own is the release's, which lists the files of all parts.
            if !part.is_empty() {
                let name = "manifest.json";
                staged.push(copy(&dir.join(name), &inside(part, name), output)?);
            }
        }
        Ok(staged)
    }

    fn published(self, current: PathBuf, release: PathBuf) -> Published {
        let Metrics { top1, top1_interval, .. } = self.release.metrics;
        Published { current, release, top1, top1_interval }
    }
}

/// The name in the release of file `name` of `part`.
fn inside(part: &str, name: &str) -> String {
    if part.is_empty() { name.to_owned() } else { format!("{part}/{name}") }
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
