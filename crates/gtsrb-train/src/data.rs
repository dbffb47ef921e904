//! What training reads: the run's embeddings with their labels, and the backbone and images
//! that they were made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use artifact::embeddings::{Embedded, Row};
use artifact::images::{ImageSet, Split as Part};
use artifact::{Hash, Manifest};
use embed::{View, Views};
use ndarray::{Array2, ArrayView2};
use onnx_graph::ModelProto;
use stage::{Error, Result, embeddings_dir};

/// Who writes backbones.
pub const BACKBONE_STAGE: &str = "gtsrb-backbone";
const BACKBONE_FILE: &str = "backbone.onnx";

/// The artifacts of the stages before, known to belong together.
pub struct Inputs {
    /// The run's folder.
    pub run: PathBuf,
    /// The run's embeddings.
    pub embedded: Embedded,
    /// The run's images.
    pub images: ImageSet,
    /// What the embeddings were computed with.
    pub view: View,
    /// The view's hash.
    pub view_hash: Hash,
    /// The hashes of the augmented views of the training images.
    pub augmented: Vec<Hash>,
    /// Class names.
    pub classes: Vec<String>,
}

impl Inputs {
    /// Opens them.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where a stage before hasn't run,
    /// [`Data`](stage::Fault::Data) where the embeddings are of other images.
    pub fn open(run: &Path) -> Result<Self> {
        let embedded = Embedded::open(run)?;
        let images = ImageSet::open(run)?;
        let recorded = embedded.manifest().work.inputs.get("images").copied();
        if recorded != Some(images.manifest().content()) {
            return Err(Error::data(format!(
                "{} is of other images than {}: run gtsrb-extract again",
                run.join("embeddings").display(),
                run.join("images").display()
            )));
        }
        let view = Views::from_parameters(&embedded.manifest().work.parameters)?.plain;
        let (view_hash, augmented) = (embedded.view()?, embedded.augmented()?);
        let classes = embedded.classes()?;
        Ok(Self { run: run.to_owned(), embedded, images, view, view_hash, augmented, classes })
    }

    /// The backbone's graph.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) if it is damaged or not the one of the embeddings.
    pub fn backbone(&self) -> Result<ModelProto> {
        let (path, bytes) = backbone_file(&self.run)?;
        if Hash::of(&bytes) != self.view.backbone {
            return Err(Error::data(format!(
                "the embeddings were computed with another backbone than {}: run gtsrb-extract \
                 again",
                path.display()
            )));
        }
        onnx_graph::read(&bytes).map_err(|e| {
            Error::data(format!("{}: {e}; run {BACKBONE_STAGE} again", path.display()))
        })
    }

    /// The training images in order: two classes at least, each label below their number, none
    /// that only test images are of.
    pub fn rows(&self) -> Result<Vec<Row>> {
        let rows = self.embedded.rows(Part::Train)?;
        let is_class = |label: i64| (0..self.classes.len() as i64).contains(&label);
        if let Some(row) = rows.iter().find(|row| !is_class(row.label)) {
            return Err(Error::data(format!(
                "{} has label {}, but there are {} classes: run gtsrb-extract again",
                row.path,
                row.label,
                self.classes.len()
            )));
        }
        let Some(first) = rows.first() else {
            return Err(Error::data("there are no training images: run gtsrb-ingest on some"));
        };
        if rows.iter().all(|row| row.label == first.label) {
            return Err(Error::data(format!(
                "all {} training images are of class {}; training needs at least two classes",
                rows.len(),
                self.classes[first.label as usize]
            )));
        }
        self.require_trained(&rows)?;
        Ok(rows)
    }

    /// A class of test images must have training images; one without any is none of this set.
    fn require_trained(&self, rows: &[Row]) -> Result<()> {
        let trained: BTreeSet<i64> = rows.iter().map(|row| row.label).collect();
        let test = self.embedded.rows(Part::Test)?;
        let name = |label: i64| usize::try_from(label).ok().and_then(|l| self.classes.get(l));
        let absent = |row: &&Row| name(row.label).is_some() && !trained.contains(&row.label);
        let Some(first) = test.iter().find(absent) else { return Ok(()) };
        let of_class: Vec<&str> = test
            .iter()
            .filter(|row| row.label == first.label)
            .map(|row| row.path.as_str())
            .collect();
        Err(Error::data(format!(
            "class {} has test images ({}) but no training image: give it some, or take those out",
            name(first.label).map_or("", String::as_str),
            listed(&of_class)
        )))
    }

    /// The embeddings of `rows`, shape `[rows, dims]`.
    pub fn matrix(&self, rows: &[Row]) -> Result<Array2<f32>> {
        self.embedded.matrix(&embeddings_dir()?, rows)
    }
}

/// The file of the backbone in the folder `run`, verified, and where it is.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) where there is none, [`Data`](stage::Fault::Data) if it isn't
/// what its manifest says.
pub fn backbone_file(run: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let dir = run.join("backbone");
    Manifest::read(&dir, BACKBONE_STAGE)?.verify(&dir, BACKBONE_FILE)?;
    let path = dir.join(BACKBONE_FILE);
    let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
    Ok((path, bytes))
}

/// The labels of `rows`, checked by [`Inputs::rows`].
pub fn labels(rows: &[Row]) -> Vec<usize> {
    rows.iter().map(|row| row.label as usize).collect()
}

/// Images that an error names.
const NAMED: usize = 4;

/// The first of `paths`, and how many more there are.
fn listed(paths: &[&str]) -> String {
    let named = paths[..paths.len().min(NAMED)].join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Says what is wrong with the embeddings `x` of `rows`, in the user's words.
pub fn describe(error: &softmax::Error, rows: &[Row], x: ArrayView2<'_, f32>) -> Error {
    let softmax::Error::NotFinite { row, column, value } = *error else {
        // Labels, weights and shapes were made by this stage.
        return Error::internal(error.to_string());
    };
    let others = x.rows().into_iter().zip(rows).skip(row + 1);
    let others: Vec<&str> = others
        .filter(|(x, _)| x.iter().any(|value| !value.is_finite()))
        .map(|(_, row)| row.path.as_str())
        .collect();
    let also = if others.is_empty() {
        String::new()
    } else {
        format!(", and those of {} hold such numbers too", listed(&others))
    };
    Error::data(format!(
        "the embedding of {} holds {value} at position {column}{also}; embeddings must be finite: \
         remove the cache's folder of this view and run gtsrb-extract again",
        rows[row].path
    ))
}
