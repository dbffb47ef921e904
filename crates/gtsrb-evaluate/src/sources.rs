//! What is evaluated: the run's images, embeddings and model, checked to fit together.

use std::path::{Path, PathBuf};

use artifact::embeddings::{Cache, Embedded, Row};
use artifact::head::Head;
use artifact::images::{ImageSet, Split};
use artifact::{Answers, Manifest, Work};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, Axis};
use serde_json::json;
use stage::{Error, Result};

use crate::args::Settings;
use crate::training::{self, Training};

/// The stage that trains, for messages.
const TRAIN: &str = "gtsrb-train";

/// Training images that are read at a time: at 4,320 dimensions 9 MB.
const BLOCK: usize = 512;

/// The artifacts of a run that evaluation reads.
pub struct Sources {
    run: PathBuf,
    /// The pictures.
    pub images: ImageSet,
    embedded: Embedded,
    model: Manifest,
}

impl Sources {
    /// Opens the artifacts in the folder `run`.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) naming the stage to run first,
    /// [`Data`](stage::Fault::Data) without test images or with embeddings of others.
    pub fn open(run: &Path) -> Result<Self> {
        let images = ImageSet::open(run)?;
        if images.count(Split::Test) == 0 {
            return Err(Error::data(format!(
                "{} has no test images: nothing can be measured; ingest a set that has some",
                run.join("images").display()
            )));
        }
        let embedded = Embedded::open(run)?;
        let read = embedded.manifest().work.inputs.get("images");
        if read != Some(&images.manifest().content()) {
            return Err(Error::data(format!(
                "{} is of other images than {}: run gtsrb-extract again",
                run.join("embeddings").display(),
                run.join("images").display()
            )));
        }
        let model = Manifest::read(&run.join("model"), TRAIN)?;
        Ok(Self { run: run.to_owned(), images, embedded, model })
    }

    /// Name of the run: its folder's.
    #[must_use]
    pub fn name(&self) -> String {
        let folder = std::path::absolute(&self.run).unwrap_or_else(|_| self.run.clone());
        folder.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
    }

    /// What decides the bytes of the results.
    #[must_use]
    pub fn work(&self, settings: &Settings) -> Work {
        let inputs = [
            ("images", self.images.manifest()),
            ("embeddings", self.embedded.manifest()),
            ("model", &self.model),
        ];
        Work {
            tool: env!("CARGO_PKG_NAME").into(),
            version: crate::VERSION.into(),
            parameters: json!({
                "name": self.name(),
                "gallery": settings.gallery,
                "wished_accuracy": settings.wished_accuracy,
            }),
            inputs: inputs.map(|(name, m)| (name.to_owned(), m.content())).into(),
        }
    }

    /// The manifests of every stage that the run has, in the order of the stages.
    pub fn provenance(&self) -> Result<Vec<Manifest>> {
        let mut manifests = vec![self.images.manifest().clone()];
        // A run may have got its embeddings from elsewhere.
        let backbone = self.run.join("backbone");
        if backbone.join("manifest.json").exists() {
            manifests.push(Manifest::read(&backbone, "gtsrb-backbone")?);
        }
        manifests.extend([self.embedded.manifest().clone(), self.model.clone()]);
        Ok(manifests)
    }

    /// The head, if it is one for these embeddings.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) if it was trained on another view, on embeddings of
    /// another length or on other classes.
    pub fn head(&self) -> Result<Head> {
        let model = self.run.join("model");
        self.model.verify(&model, "head.safetensors")?;
        let path = model.join("head.safetensors");
        let head = Head::read(&path)?;
        let (view, dims) = (self.embedded.view()?, self.embedded.dims()?);
        let unfit = |what: &str, its: &dyn std::fmt::Display, theirs: &dyn std::fmt::Display| {
            let path = path.display();
            Error::data(format!(
                "{path} was trained on {what} {its}, the embeddings have {theirs}: run {TRAIN} again"
            ))
        };
        if head.view != view {
            return Err(unfit("view", &head.view, &view));
        }
        let its = head.network.features();
        if its != dims {
            return Err(unfit("dimensions", &its, &dims));
        }
        if head.classes != self.images.classes() {
            return Err(unfit(
                "classes",
                &head.classes.join(", "),
                &self.images.classes().join(", "),
            ));
        }
        Ok(head)
    }

    /// The rows of the test images and their true classes, checked.
    pub fn test_rows(&self) -> Result<(Vec<Row>, Vec<usize>)> {
        self.rows(Split::Test)
    }

    /// The rows of the training images and their classes, checked.
    pub fn train_rows(&self) -> Result<(Vec<Row>, Vec<usize>)> {
        self.rows(Split::Train)
    }

    fn rows(&self, split: Split) -> Result<(Vec<Row>, Vec<usize>)> {
        let rows = self.embedded.rows(split)?;
        let labels = rows.iter().map(|row| self.label(split, row)).collect::<Result<_>>()?;
        Ok((rows, labels))
    }

    fn label(&self, split: Split, row: &Row) -> Result<usize> {
        let classes = self.images.classes().len();
        let label = usize::try_from(row.label).ok().filter(|label| *label < classes);
        label.ok_or_else(|| {
            Error::data(format!(
                "{} image {} has class {}, there are classes 0 to {}: run gtsrb-ingest again",
                split.as_str(),
                row.path,
                row.label,
                classes.saturating_sub(1)
            ))
        })
    }

    /// Embeddings `[rows, dims]` of `rows` from the cache.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) naming a picture whose embedding isn't all finite: no
    /// number would be left of the metrics.
    pub fn embeddings(&self, rows: &[Row]) -> Result<Array2<f32>> {
        let x = self.embedded.matrix(&stage::embeddings_dir()?, rows)?;
        let broken = x
            .axis_iter(Axis(0))
            .into_par_iter()
            .zip(rows)
            .find_first(|(x, _)| x.iter().any(|v| !v.is_finite()));
        match broken {
            None => Ok(x),
            Some((_, row)) => Err(Error::data(format!(
                "the embedding of {} isn't all finite numbers: remove the cache's folder of this \
                 view and run gtsrb-extract again",
                row.path
            ))),
        }
    }

    /// What `each` makes of the embeddings of `rows`, block by block `[rows of the block, dims]`,
    /// so that they are never in memory all together. With each result which of `rows` it is of.
    pub fn in_blocks<T: Send>(
        &self,
        rows: &[Row],
        each: impl Fn(Array2<f32>) -> T + Sync,
    ) -> Result<Vec<(Vec<usize>, T)>> {
        let cache = Cache::open(&stage::embeddings_dir()?, self.embedded.view()?)?;
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        let dims = self.embedded.dims()?;
        let blocks = cache.blocks(&keys, dims, BLOCK)?;
        let read = |block: usize| {
            stage::check_interrupt()?;
            let places = blocks.keys(block).to_vec();
            let mut x = Array2::zeros((places.len(), dims));
            blocks.read(block, x.view_mut())?;
            Ok((places, each(x)))
        };
        (0..blocks.len()).into_par_iter().map(read).collect()
    }

    /// What fits say of training pictures that they hadn't seen, if training kept it.
    pub fn kept_out(&self) -> Result<Option<Answers>> {
        let (model, name) = (self.run.join("model"), "oof.parquet");
        if !self.model.outputs.contains_key(name) {
            return Ok(None);
        }
        self.model.verify(&model, name)?;
        let answers = Answers::read(&model.join(name), TRAIN)?;
        let (classes, wanted) = (answers.probabilities.ncols(), self.images.classes().len());
        if classes != wanted {
            return Err(Error::data(format!(
                "{} is of {classes} classes, there are {wanted}: run {TRAIN} again",
                model.join(name).display()
            )));
        }
        Ok(Some(answers))
    }

    /// How training went.
    pub fn training(&self) -> Result<Training> {
        let model = self.run.join("model");
        self.model.verify(&model, "training.json")?;
        training::read(&model)
    }

    /// What would be done, in words.
    #[must_use]
    pub fn plan(&self) -> String {
        format!(
            "would classify {} test images with {} and write metrics.json, predictions.parquet, \
             submission.csv, report.html and report/*.{{svg,png}} into {}",
            self.images.count(Split::Test),
            self.run.join("model/head.safetensors").display(),
            self.run.display()
        )
    }
}
