//! The index of a run: which pictures it has, and under which keys their embeddings are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::{DataType, Field, Schema};
use ndarray::Array2;
use parquet::arrow::ArrowWriter;
use stage::{Error, Result};

use super::{Cache, Key, STAGE, key, keys_array, to_key};
use crate::images::{Image, Split};
use crate::table::{self, column, damaged, unwritten};
use crate::{Hash, Manifest};

/// One picture of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where its embedding is found.
    pub key: Key,
    /// Where it came from.
    pub path: String,
    /// Its class.
    pub label: i64,
    /// The physical object that it shows.
    pub track: Option<String>,
    /// Its place in the track.
    pub frame: Option<i32>,
}

impl Row {
    /// What the index says of `image`.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        Self {
            key: key(image),
            path: image.path.clone(),
            label: image.label,
            track: image.track.clone(),
            frame: image.frame,
        }
    }
}

fn index_schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::FixedSizeBinary(32), false),
        Field::new("path", DataType::Utf8, false),
        Field::new("label", DataType::Int64, false),
        Field::new("track", DataType::Utf8, true),
        Field::new("frame", DataType::Int32, true),
    ]))
}

/// Writes the index of one split to `sink`, and gives the sink back.
pub fn write_index<W: Write + Send>(sink: W, rows: &[Row]) -> Result<W> {
    let columns: Vec<ArrayRef> = vec![
        keys_array(rows.iter().map(|r| r.key))?,
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.path))),
        Arc::new(rows.iter().map(|r| r.label).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.track.as_deref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.frame).collect::<Int32Array>()),
    ];
    let batch = RecordBatch::try_new(index_schema(), columns)
        .map_err(|e| Error::internal(format!("cannot build an index: {e}")))?;
    let mut parquet =
        ArrowWriter::try_new(sink, index_schema(), Some(table::properties(&[]).build()))
            .map_err(|e| unwritten(&e))?;
    parquet.write(&batch).map_err(|e| unwritten(&e))?;
    parquet.into_inner().map_err(|e| unwritten(&e))
}

/// Reads the index that `stage` wrote to `path`; it has been verified.
pub(crate) fn read_index(path: &Path, stage: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in table::reader(path, 1 << 16, stage)? {
        let batch = batch.map_err(|e| damaged(path, &e, stage))?;
        rows.extend(rows_of(&batch).map_err(|e| damaged(path, e, stage))?);
    }
    Ok(rows)
}

fn rows_of(batch: &RecordBatch) -> std::result::Result<Vec<Row>, String> {
    let key: &FixedSizeBinaryArray = column(batch, "key")?;
    let path: &StringArray = column(batch, "path")?;
    let label: &Int64Array = column(batch, "label")?;
    let track: &StringArray = column(batch, "track")?;
    let frame: &Int32Array = column(batch, "frame")?;
    (0..batch.num_rows())
        .map(|row| {
            Ok(Row {
                key: to_key(key.value(row))?,
                path: path.value(row).to_owned(),
                label: label.value(row),
                track: track.is_valid(row).then(|| track.value(row).to_owned()),
                frame: frame.is_valid(row).then(|| frame.value(row)),
            })
        })
        .collect()
}

/// The embeddings of a run: `RUN/embeddings`. The manifest's parameters are the view, its
/// facts hold `view` (the plain view's hash), `dims`, `classes` and, where there are augmented
/// views of the training pictures, `augmented` (their hashes).
pub struct Embedded {
    dir: PathBuf,
    manifest: Manifest,
}

impl Embedded {
    /// Opens `RUN/embeddings`.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) or [`Data`](stage::Fault::Data) as
    /// [`Manifest::read`].
    pub fn open(run: &Path) -> Result<Self> {
        let dir = run.join("embeddings");
        let manifest = Manifest::read(&dir, STAGE)?;
        Ok(Self { dir, manifest })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The hash of the view that the embeddings were computed with.
    pub fn view(&self) -> Result<Hash> {
        self.fact("view")
    }

    /// The hashes of the augmented views that there are of the training pictures.
    pub fn augmented(&self) -> Result<Vec<Hash>> {
        Ok(self.fact::<Option<_>>("augmented")?.unwrap_or_default())
    }

    /// All of them, the plain one first.
    pub fn views(&self) -> Result<Vec<Hash>> {
        let mut views = vec![self.view()?];
        views.extend(self.augmented()?);
        Ok(views)
    }

    /// Numbers in an embedding.
    pub fn dims(&self) -> Result<usize> {
        self.fact("dims")
    }

    /// Class names; a label is an index here.
    pub fn classes(&self) -> Result<Vec<String>> {
        self.fact("classes")
    }

    fn fact<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.manifest.facts.get(name).cloned().unwrap_or_default();
        serde_json::from_value(value)
            .map_err(|e| damaged(&self.dir.join("manifest.json"), format!("{name}: {e}"), STAGE))
    }

    /// The pictures of `split` in order.
    pub fn rows(&self, split: Split) -> Result<Vec<Row>> {
        let name = format!("{}.parquet", split.as_str());
        self.manifest.verify(&self.dir, &name)?;
        read_index(&self.dir.join(name), STAGE)
    }

    /// The embeddings of `rows`, shape `[rows, dims]`, from the cache under `root`.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) if the cache no longer holds them.
    pub fn matrix(&self, root: &Path, rows: &[Row]) -> Result<Array2<f32>> {
        let cache = Cache::open(root, self.view()?)?;
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        cache.gather(&keys, self.dims()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_round_trip() {
        let row = |i: u8| Row {
            key: Hash::of(&[i]),
            path: format!("{i}.png"),
            label: i64::from(i),
            track: (i > 1).then(|| "t".to_owned()),
            frame: (i > 1).then_some(3),
        };
        let rows: Vec<_> = (0..4).map(row).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write_index(std::fs::File::create(&path).unwrap(), &rows).unwrap();
        let batch = table::reader(&path, 10, STAGE).unwrap().next().unwrap().unwrap();
        assert_eq!(rows_of(&batch).unwrap(), rows);
    }
}
