//! Images at rest: Parquet files that hold the encoded pictures with their labels, made by
//! ingest, in `RUN/images/`.
//!
//! Columns: `image` {`bytes`, `path`}, `label`, `roi` {`x1`, `y1`, `x2`, `y2`}, `width`,
//! `height`, `track`, `frame`, `pixels`. The metadata tell Hugging Face `datasets` that
//! `image` is a picture and `label` a class with a name.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::basic::Compression;
use parquet::schema::types::ColumnPath;
use serde_json::{Value, json};
use stage::{Error, Result};

use crate::embeddings::Row;
use crate::table::{self, column, damaged};
use crate::{Hash, Manifest};

mod pick;

pub use pick::Pick;

/// The stage that writes images, for messages.
const STAGE: &str = "gtsrb-ingest";

/// Rows of a row group: what a reader holds at a time.
pub const GROUP_ROWS: usize = 1000;

/// Bytes of pictures in a page, the least that is read to get one of them.
const PAGE_BYTES: usize = 64 << 10;

/// The sign's box in its picture, in pixels; all corners belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roi {
    /// Left.
    pub x1: i32,
    /// Top.
    pub y1: i32,
    /// Right, inclusive.
    pub x2: i32,
    /// Bottom, inclusive.
    pub y2: i32,
}

/// One labelled picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// PNG, JPEG or PPM.
    pub bytes: Vec<u8>,
    /// Where it came from, relative to the source, with `/`.
    pub path: String,
    /// Its class.
    pub label: i64,
    /// The sign's box.
    pub roi: Roi,
    /// Pixels across, decoded.
    pub width: i32,
    /// Pixels down, decoded.
    pub height: i32,
    /// The physical object that it shows; pictures of one track are near-copies.
    pub track: Option<String>,
    /// Its place in the track.
    pub frame: Option<i32>,
    /// BLAKE3 of the decoded RGB pixels with their dimensions.
    pub pixels: Hash,
}

/// Which part of the data a picture belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// What the head may learn from.
    Train,
    /// What is looked at only in the end.
    Test,
}

impl Split {
    /// Both, in the order of files.
    pub const ALL: [Self; 2] = [Self::Train, Self::Test];

    /// `train` or `test`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    /// The name of the split's file `index` of `count`.
    #[must_use]
    pub fn file(self, index: usize, count: usize) -> String {
        format!("{}-{index:05}-of-{count:05}.parquet", self.as_str())
    }
}

// No column holds nulls but `track` and `frame`. All are nullable nevertheless: Hugging Face
// `datasets` takes a column's feature from the metadata only if its type is exactly the one
// that it would write itself, and it writes no others.

fn roi_fields() -> Fields {
    ["x1", "y1", "x2", "y2"].map(|name| Field::new(name, DataType::Int32, true)).to_vec().into()
}

fn image_fields() -> Fields {
    vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)]
        .into()
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("image", DataType::Struct(image_fields()), true),
        Field::new("label", DataType::Int64, true),
        Field::new("roi", DataType::Struct(roi_fields()), true),
        Field::new("width", DataType::Int32, true),
        Field::new("height", DataType::Int32, true),
        Field::new("track", DataType::Utf8, true),
        Field::new("frame", DataType::Int32, true),
        Field::new("pixels", DataType::FixedSizeBinary(32), true),
    ]))
}

/// The features of Hugging Face `datasets`, as that library writes them itself.
fn hugging_face(classes: &[String]) -> Value {
    let value = |dtype: &str| json!({ "dtype": dtype, "_type": "Value" });
    json!({ "info": { "features": {
        "image": { "_type": "Image" },
        "label": { "names": classes, "_type": "ClassLabel" },
        "roi": {
            "x1": value("int32"), "y1": value("int32"),
            "x2": value("int32"), "y2": value("int32"),
        },
        "width": value("int32"),
        "height": value("int32"),
        "track": value("string"),
        "frame": value("int32"),
        "pixels": value("fixed_size_binary[32]"),
    }}})
}

/// Writes one Parquet file of images.
pub struct Writer<W: Write + Send> {
    parquet: ArrowWriter<W>,
    rows: Vec<Row>,
}

impl<W: Write + Send> Writer<W> {
    /// Starts a file on `sink`, with the names of all classes.
    pub fn new(sink: W, classes: &[String]) -> Result<Self> {
        let bytes = ColumnPath::new(vec!["image".into(), "bytes".into()]);
        let features = hugging_face(classes).to_string();
        // In the Arrow schema, for where a file embeds one, pyarrow looks nowhere else.
        let schema = schema()
            .as_ref()
            .clone()
            .with_metadata(HashMap::from([("huggingface".to_owned(), features)]));
        let properties = table::properties(&[])
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            // PNG and JPEG are compressed already.
            .set_column_compression(bytes.clone(), Compression::UNCOMPRESSED)
            .set_column_data_page_size_limit(bytes.clone(), PAGE_BYTES)
            .set_column_dictionary_enabled(bytes, false)
            .build();
        let parquet = ArrowWriter::try_new(sink, Arc::new(schema), Some(properties))
            .map_err(|e| table::unwritten(&e))?;
        Ok(Self { parquet, rows: Vec::new() })
    }

    /// Adds rows.
    pub fn write(&mut self, images: &[Image]) -> Result<()> {
        let batch = to_batch(images)?;
        self.rows.extend(images.iter().map(Row::of));
        self.parquet.write(&batch).map_err(|e| table::unwritten(&e))
    }

    /// Writes the footer and gives the sink back.
    pub fn finish(self) -> Result<W> {
        self.finish_indexed().map(|(sink, _)| sink)
    }

    /// Writes the footer; gives the sink back, and what the split's index says of the rows.
    pub fn finish_indexed(self) -> Result<(W, Vec<Row>)> {
        let sink = self.parquet.into_inner().map_err(|e| table::unwritten(&e))?;
        Ok((sink, self.rows))
    }
}

fn to_batch(images: &[Image]) -> Result<RecordBatch> {
    let int32 = |value: fn(&Image) -> i32| -> ArrayRef {
        Arc::new(images.iter().map(value).collect::<Int32Array>())
    };
    let image = StructArray::new(
        image_fields(),
        vec![
            Arc::new(BinaryArray::from_iter_values(images.iter().map(|i| &i.bytes))),
            Arc::new(StringArray::from_iter_values(images.iter().map(|i| &i.path))),
        ],
        None,
    );
    let roi = StructArray::new(
        roi_fields(),
        vec![int32(|i| i.roi.x1), int32(|i| i.roi.y1), int32(|i| i.roi.x2), int32(|i| i.roi.y2)],
        None,
    );
    let internal = |e| Error::internal(format!("cannot build a batch of images: {e}"));
    let pixels = if images.is_empty() {
        FixedSizeBinaryArray::new_null(32, 0)
    } else {
        FixedSizeBinaryArray::try_from_iter(images.iter().map(|i| i.pixels.0)).map_err(internal)?
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(image),
        Arc::new(images.iter().map(|i| i.label).collect::<Int64Array>()),
        Arc::new(roi),
        int32(|i| i.width),
        int32(|i| i.height),
        Arc::new(images.iter().map(|i| i.track.as_deref()).collect::<StringArray>()),
        Arc::new(images.iter().map(|i| i.frame).collect::<Int32Array>()),
        Arc::new(pixels),
    ];
    RecordBatch::try_new(schema(), columns).map_err(internal)
}

fn from_batch(batch: &RecordBatch) -> std::result::Result<Vec<Image>, String> {
    let required = ["image", "label", "roi", "width", "height", "pixels"];
    let nulls = |name: &&str| batch.column_by_name(name).is_some_and(|c| c.null_count() > 0);
    if let Some(name) = required.into_iter().find(nulls) {
        return Err(format!("column {name} holds nulls"));
    }
    let image = RecordBatch::from(column::<StructArray>(batch, "image")?.clone());
    let roi = RecordBatch::from(column::<StructArray>(batch, "roi")?.clone());
    let bytes: &BinaryArray = column(&image, "bytes")?;
    let path: &StringArray = column(&image, "path")?;
    let label: &Int64Array = column(batch, "label")?;
    let corner = |name| column::<Int32Array>(&roi, name);
    let (x1, y1, x2, y2) = (corner("x1")?, corner("y1")?, corner("x2")?, corner("y2")?);
    let width: &Int32Array = column(batch, "width")?;
    let height: &Int32Array = column(batch, "height")?;
    let track: &StringArray = column(batch, "track")?;
    let frame: &Int32Array = column(batch, "frame")?;
    let pixels: &FixedSizeBinaryArray = column(batch, "pixels")?;
    let rows = 0..batch.num_rows();
    rows.map(|row| {
        Ok(Image {
            bytes: bytes.value(row).to_vec(),
            path: path.value(row).to_owned(),
            label: label.value(row),
            roi: Roi { x1: x1.value(row), y1: y1.value(row), x2: x2.value(row), y2: y2.value(row) },
            width: width.value(row),
            height: height.value(row),
            track: track.is_valid(row).then(|| track.value(row).to_owned()),
            frame: frame.is_valid(row).then(|| frame.value(row)),
            pixels: Hash(pixels.value(row).try_into().map_err(|_| "column pixels: not a hash")?),
        })
    })
    .collect()
}

/// The images of a run.
pub struct ImageSet {
    dir: PathBuf,
    manifest: Manifest,
    classes: Vec<String>,
}

impl ImageSet {
    /// Opens `RUN/images`.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) or [`Data`](stage::Fault::Data) as
    /// [`Manifest::read`].
    pub fn open(run: &Path) -> Result<Self> {
        let dir = run.join("images");
        let manifest = Manifest::read(&dir, STAGE)?;
        let classes = manifest.facts.get("classes").cloned().unwrap_or_default();
        let classes = serde_json::from_value(classes)
            .map_err(|e| damaged(&dir.join("manifest.json"), format!("classes: {e}"), STAGE))?;
        Ok(Self { dir, manifest, classes })
    }

    /// The manifest; its facts hold `classes`.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Class names; a label is an index here.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How many images `split` has.
    #[must_use]
    pub fn count(&self, split: Split) -> u64 {
        self.files(split).filter_map(|name| self.manifest.outputs[name].rows).sum()
    }

    fn files(&self, split: Split) -> impl Iterator<Item = &String> {
        let prefix = format!("{}-", split.as_str());
        self.manifest.outputs.keys().filter(move |name| name.starts_with(&prefix))
    }

    /// The images of `split` in order, a row group at a time; each file is verified before
    /// it is read.
    #[must_use]
    pub fn batches(&self, split: Split) -> Batches<'_> {
        let files: Vec<_> = self.files(split).cloned().collect();
        Batches { set: self, files: files.into_iter(), open: None }
    }
}

/// An iterator over row groups.
pub struct Batches<'a> {
    set: &'a ImageSet,
    files: std::vec::IntoIter<String>,
    open: Option<(PathBuf, ParquetRecordBatchReader)>,
}

impl Batches<'_> {
    fn read(&mut self) -> Result<Option<Vec<Image>>> {
        loop {
            if let Some((path, reader)) = &mut self.open {
                match reader.next() {
                    Some(batch) => {
                        let batch = batch.map_err(|e| damaged(path, &e, STAGE))?;
                        return from_batch(&batch).map(Some).map_err(|e| damaged(path, e, STAGE));
                    }
                    None => self.open = None,
                }
            }
            let Some(name) = self.files.next() else {
                return Ok(None);
            };
            self.set.manifest.verify(&self.set.dir, &name)?;
            let path = self.set.dir.join(name);
            let reader = table::reader(&path, GROUP_ROWS, STAGE)?;
            self.open = Some((path, reader));
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Vec<Image>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().map_err(|e| self.set.blame(e)).transpose()
    }
}

#[cfg(test)]
mod tests;
