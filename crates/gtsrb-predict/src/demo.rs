//! A page that classifies pictures in a browser: static files in `RUN/demo/`, with the run's
//! `classifier.onnx` and ONNX Runtime's build for browsers beside it.

mod reference;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifact::images::ImageSet;
use artifact::{Hash, Manifest, Output, Staged, Work};
use serde::Serialize;
use serde_json::json;
use stage::{Common, Error, Outcome, Result};

use crate::classifier::{Classifier, TRAIN};
use crate::summary::Summary;
use crate::threshold;
use reference::{Reference, references};

const TOOL: &str = "gtsrb-predict";
/// Raise the number with every change of what is made of the same inputs.
const VERSION: &str = artifact::version!(1);

const MODEL: &str = "classifier.onnx";

/// The page itself, the same for every run.
const PAGE: [(&str, &str); 3] = [
    ("index.html", include_str!("demo/index.html")),
    ("demo.css", include_str!("demo/demo.css")),
    ("demo.js", include_str!("demo/demo.js")),
];

/// What set-up fetches, and the page loads: its folder and its files.
const RUNTIME: (&str, [&str; 2]) =
    ("onnxruntime-web", ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"]);

/// Writes the page.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) without a model, its training images, or the runtime.
pub fn run(common: &Common) -> Result<Outcome<Summary>> {
    let run = common.run_dir()?;
    let sources = Sources::open(&run)?;
    let folder = run.join("demo");
    if common.dry_run {
        return Ok(Outcome::Planned(format!("would write a page to {}", folder.display())));
    }
    let output = Output::open(&folder)?;
    let work = sources.work();
    let summary = Summary::Demo { folder };
    if output.current(&work)?.is_some() {
        return Ok(Outcome::Current(summary));
    }
    let references = common.in_threads(|| sources.references())?;
    let files = sources.stage(references, &output)?;
    output.commit(work, files, BTreeMap::new(), BTreeMap::new())?;
    Ok(Outcome::Done(summary))
}

/// What the page is made of.
struct Sources {
    /// The run's name.
    name: String,
    model: PathBuf,
    classifier: Classifier,
    /// Answers of a lower probability are unsure.
    threshold: f32,
    images: ImageSet,
    /// The runtime's files.
    runtime: Vec<(String, Vec<u8>)>,
    inputs: BTreeMap<String, Hash>,
}

/// What the page reads about the run, `demo.json`.
#[derive(Serialize)]
struct Facts<'a> {
    name: &'a str,
    threshold: f32,
    /// Whether pictures of the run were cut to the box of what they show.
    cut: bool,
    classes: Vec<Class<'a>>,
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    /// The file of its picture, and how much wider than high it was.
    reference: Option<(String, f64)>,
}

impl Sources {
    fn open(run: &Path) -> Result<Self> {
        let classifier = Classifier::open(&run.join("model"))?;
        let dir = run.join("model");
        let trained = Manifest::read(&dir, TRAIN)?;
        trained.verify(&dir, MODEL)?;
        let images = ImageSet::open(run)?;
        let runtime = runtime()?;
        let mut inputs = BTreeMap::from([
            ("images".to_owned(), images.manifest().content()),
            ("model".to_owned(), trained.content()),
        ]);
        inputs.extend(runtime.iter().map(|(name, bytes)| (name.clone(), Hash::of(bytes))));
        inputs.extend(PAGE.map(|(name, text)| (name.to_owned(), Hash::of(text.as_bytes()))));
        let name = run.canonicalize().map_err(|e| Error::read(run, &e))?;
        Ok(Self {
            name: name.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            model: dir.join(MODEL),
            classifier,
            threshold: threshold::of_run(run),
            images,
            runtime,
            inputs,
        })
    }

    fn work(&self) -> Work {
        Work {
            tool: TOOL.to_owned(),
            version: VERSION.to_owned(),
            parameters: json!({ "name": self.name, "threshold": self.threshold }),
            inputs: self.inputs.clone(),
        }
    }

    fn references(&self) -> Result<Vec<Option<Reference>>> {
        let classes = self.classifier.classes().len();
        references(&self.images, &self.classifier.view().framing(), classes)
    }

    /// Writes every file, to be committed together; `references` has one a class.
    fn stage(&self, references: Vec<Option<Reference>>, output: &Output) -> Result<Vec<Staged>> {
        let model = std::fs::read(&self.model).map_err(|e| Error::read(&self.model, &e))?;
        let mut files = vec![output.write(MODEL, &model)?];
        for (name, text) in PAGE {
            files.push(output.write(name, text.as_bytes())?);
        }
        for (name, bytes) in &self.runtime {
            files.push(output.write(name, bytes)?);
        }
        let mut classes = Vec::new();
        for (name, reference) in self.classifier.classes().iter().zip(references) {
            let file = format!("references/{:05}.png", classes.len());
            let reference = match reference {
                None => None,
                Some(Reference { png, aspect }) => {
                    files.push(output.write(&file, &png)?);
                    Some((file, aspect))
                }
            };
            classes.push(Class { name, reference });
        }
        let cut = self.classifier.view().crop == embed::Crop::Roi;
        let facts = Facts { name: &self.name, threshold: self.threshold, cut, classes };
        let facts = serde_json::to_vec(&facts)
            .map_err(|e| Error::internal(format!("cannot write demo.json: {e}")))?;
        files.push(output.write("demo.json", &facts)?);
        Ok(files)
    }
}

/// The names and bytes of the runtime's files: from `$ONNXRUNTIME_WEB`, or from where set-up
/// puts them.
fn runtime() -> Result<Vec<(String, Vec<u8>)>> {
    let (folder, files) = RUNTIME;
    let own = std::env::var_os("ONNXRUNTIME_WEB").filter(|path| !path.is_empty());
    let place =
        own.map_or_else(|| stage::cache_dir().join("downloads").join(folder), PathBuf::from);
    let read = |name: &str| {
        let path = place.join("dist").join(name);
        let bytes = std::fs::read(&path).map_err(|e| {
            Error::missing(format!(
                "cannot read {}: {e}: `make demo` fetches it, or set ONNXRUNTIME_WEB to a folder \
                 of the package {folder}",
                path.display()
            ))
        })?;
        Ok((format!("{folder}/{name}"), bytes))
    };
    files.into_iter().map(read).collect()
}
