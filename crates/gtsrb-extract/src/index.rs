//! Which embeddings a run needs: the rows of its index.

use std::collections::HashSet;

use artifact::embeddings::{Cache, Embedded, Key, Row, key};
use artifact::images::{ImageSet, Split};
use stage::{Progress, Result, check_interrupt};

/// One row an image, in the images' order.
pub struct Index {
    /// Rows of the training images.
    pub train: Vec<Row>,
    /// Rows of the test images.
    pub test: Vec<Row>,
}

impl Index {
    /// Reads all images and computes their keys.
    pub fn of(images: &ImageSet) -> Result<Self> {
        let total = Split::ALL.iter().map(|&split| images.count(split)).sum();
        let progress = Progress::new("keys", total);
        let [train, test] = Split::ALL.map(|split| -> Result<Vec<Row>> {
            let mut rows = Vec::new();
            for batch in images.batches(split) {
                check_interrupt()?;
                let batch = batch?;
                progress.inc(batch.len() as u64);
                rows.extend(batch.into_iter().map(|image| Row {
                    key: key(&image),
                    path: image.path,
                    label: image.label,
                    track: image.track,
                    frame: image.frame,
                }));
            }
            Ok(rows)
        });
        Ok(Self { train: train?, test: test? })
    }

    /// The index that the run has.
    pub fn read(embedded: &Embedded) -> Result<Self> {
        Ok(Self { train: embedded.rows(Split::Train)?, test: embedded.rows(Split::Test)? })
    }

    /// The rows of one split.
    pub fn split(&self, split: Split) -> &[Row] {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.train.len() + self.test.len()
    }

    /// The keys that `cache` lacks. Equal pictures have one key.
    pub fn missing(&self, cache: &Cache) -> HashSet<Key> {
        let rows = self.train.iter().chain(&self.test);
        rows.map(|row| row.key).filter(|key| !cache.holds(key)).collect()
    }
}
