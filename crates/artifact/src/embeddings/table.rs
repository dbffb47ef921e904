//! Embeddings beside what is known of their pictures, in one table for other tools.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use ndarray::Array2;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use stage::{Error, Result};

use super::{Row, part_rows};
use crate::images::Split;
use crate::table::{element, properties, unwritten};

/// Writes columns `path`, `split`, `label`, `class`, `track` and `embedding`, a row a picture.
pub struct EmbeddingWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    classes: Vec<String>,
}

impl<W: Write + Send> EmbeddingWriter<W> {
    /// Starts a file of embeddings of `dims` numbers; a label is an index of `classes`.
    ///
    /// # Errors
    /// What the sink says.
    pub fn new(sink: W, classes: Vec<String>, dims: usize) -> Result<Self> {
        let schema = schema(dims);
        // Embeddings don't shrink, and are nearly all of it.
        let properties = properties(&[])
            .set_compression(Compression::UNCOMPRESSED)
            .set_dictionary_enabled(false)
            .set_max_row_group_row_count(Some(part_rows(dims)))
            .build();
        let writer = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties))
            .map_err(|e| unwritten(&e))?;
        Ok(Self { writer, schema, classes })
    }

    /// Adds pictures of `split` with their embeddings, `[rows, dims]`.
    ///
    /// # Errors
    /// What the sink says; [`Internal`](stage::Fault::Internal) where the lengths differ.
    pub fn add(&mut self, split: Split, rows: &[Row], embeddings: Array2<f32>) -> Result<()> {
        let batch = self
            .batch(split, rows, embeddings)
            .map_err(|e| Error::internal(format!("a table of embeddings: {e}")))?;
        self.writer.write(&batch).map_err(|e| unwritten(&e))
    }

    fn batch(
        &self,
        split: Split,
        rows: &[Row],
        embeddings: Array2<f32>,
    ) -> std::result::Result<RecordBatch, ArrowError> {
        let dims = embeddings.ncols() as i32;
        let numbers = Float32Array::from_iter_values(embeddings);
        let class = |row: &Row| self.classes.get(row.label as usize).map(String::as_str);
        let texts = |column: StringArray| -> ArrayRef { Arc::new(column) };
        let columns = vec![
            texts(StringArray::from_iter_values(rows.iter().map(|row| &row.path))),
            texts(StringArray::from_iter_values(rows.iter().map(|_| split.as_str()))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.label))),
            texts(rows.iter().map(class).collect()),
            texts(rows.iter().map(|row| row.track.as_deref()).collect()),
            Arc::new(FixedSizeListArray::try_new(
                element(DataType::Float32),
                dims,
                Arc::new(numbers),
                None,
            )?),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }

    /// Completes the file; gives the sink back.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(self) -> Result<W> {
        self.writer.into_inner().map_err(|e| unwritten(&e))
    }
}

fn schema(dims: usize) -> Arc<Schema> {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let embedding = DataType::FixedSizeList(element(DataType::Float32), dims as i32);
    Arc::new(Schema::new(vec![
        text("path"),
        text("split"),
        Field::new("label", DataType::Int64, false),
        text("class"),
        Field::new("track", DataType::Utf8, true),
        Field::new("embedding", embedding, false),
    ]))
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Float32Type, Int64Type};
    use arrow_select::concat::concat_batches;
    use bytes::Bytes;
    use ndarray::array;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::Hash;

    fn row(path: &str, label: i64, track: Option<&str>) -> Row {
        let (key, track) = (Hash::of(path.as_bytes()), track.map(str::to_owned));
        Row { key, path: path.to_owned(), label, track, frame: None }
    }

    #[test]
    fn a_row_a_picture_of_either_split() {
        let classes = ["no", "yes"].map(str::to_owned).to_vec();
        let mut table = EmbeddingWriter::new(Vec::new(), classes, 2).unwrap();
        let train = [row("a", 1, Some("t")), row("b", 0, None)];
        table.add(Split::Train, &train, array![[1.0, 2.0], [3.0, 4.0]]).unwrap();
        table.add(Split::Test, &[row("c", 1, None)], array![[-0.5, 6.0]]).unwrap();
        assert!(table.add(Split::Test, &train, array![[0.0, 0.0]]).is_err());
        let file = Bytes::from(table.finish().unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
        let all = concat_batches(&batches[0].schema(), &batches).unwrap();
        let texts = |name: &str| -> Vec<Option<String>> {
            let column = all.column_by_name(name).unwrap().as_string::<i32>();
            column.iter().map(|text| text.map(str::to_owned)).collect()
        };
        let some = |words: [&str; 3]| words.map(|word| Some(word.to_owned())).to_vec();
        assert_eq!(texts("path"), some(["a", "b", "c"]));
        assert_eq!(texts("split"), some(["train", "train", "test"]));
        assert_eq!(texts("class"), some(["yes", "no", "yes"]));
        assert_eq!(texts("track"), [Some("t".to_owned()), None, None]);
        let labels = all.column_by_name("label").unwrap().as_primitive::<Int64Type>();
        assert_eq!(labels.values(), &[1, 0, 1]);
        let numbers = all.column_by_name("embedding").unwrap().as_fixed_size_list();
        assert_eq!(numbers.value_length(), 2);
        let numbers = numbers.values().as_primitive::<Float32Type>();
        assert_eq!(numbers.values(), &[1.0, 2.0, 3.0, 4.0, -0.5, 6.0]);
    }
}
