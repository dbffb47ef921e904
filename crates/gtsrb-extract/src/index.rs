//! Which embeddings a run needs: the rows of its index.

use std::collections::HashSet;
use std::sync::Arc;

use artifact::embeddings::{Cache, Embedded, Key, Row, Shard};
use artifact::images::{Image, ImageSet, Split};
use stage::{Progress, Result, check_interrupt};

/// One row an image, in the images' order. Copies share the rows.
pub struct Index {
    train: Arc<[Row]>,
    test: Arc<[Row]>,
}

impl Index {
    /// The images' keys: as ingest recorded them, or computed from all of the images.
    pub fn of(images: &ImageSet) -> Result<Self> {
        let [train, test] = Split::ALL.map(|split| match images.index(split)? {
            Some(rows) => Ok(rows),
            None => compute(images, split),
        });
        Ok(Self { train: train?.into(), test: test?.into() })
    }

    /// The index that the run has.
    pub fn read(embedded: &Embedded) -> Result<Self> {
        let [train, test] = Split::ALL.map(|split| embedded.rows(split));
        Ok(Self { train: train?.into(), test: test?.into() })
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

    /// The same with the images of these `splits` alone.
    pub fn of_splits(&self, splits: &[Split]) -> Self {
        let of = |split, rows: &Arc<[Row]>| {
            if splits.contains(&split) { Arc::clone(rows) } else { Arc::default() }
        };
        Self { train: of(Split::Train, &self.train), test: of(Split::Test, &self.test) }
    }

    /// The rows of all images.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.train.iter().chain(self.test.iter())
    }

    /// How many images belong to `shard`.
    pub fn share(&self, shard: Option<Shard>) -> usize {
        self.keys(shard).count()
    }

    /// The keys of all images, or of those of `shard`.
    fn keys(&self, shard: Option<Shard>) -> impl Iterator<Item = Key> {
        let keys = self.rows().map(|row| row.key);
        keys.filter(move |key| shard.is_none_or(|shard| shard.has(key)))
    }

    /// The first image of each `wanted` key, in the images' order, with its key; no other is
    /// read.
    pub fn pick<'a>(
        &self,
        images: &'a ImageSet,
        wanted: &HashSet<Key>,
    ) -> impl Iterator<Item = Result<(Key, Image)>> + Send + use<'a> {
        let mut wanted = wanted.clone();
        let picks = Split::ALL.map(|split| {
            let rows = self.split(split).iter().map(|row| row.key).enumerate();
            let rows: Vec<_> = rows.filter(|(_, key)| wanted.remove(key)).collect();
            (split, rows)
        });
        picks.into_iter().flat_map(|(split, rows)| images.pick(split, rows))
    }

    /// The keys, of all or of `shard`, that `cache` lacks. Equal pictures have one key.
    pub fn missing(&self, cache: &Cache, shard: Option<Shard>) -> HashSet<Key> {
        self.keys(shard).filter(|key| !cache.holds(key)).collect()
    }
}

/// Reads all images of `split` and computes their keys.
fn compute(images: &ImageSet, split: Split) -> Result<Vec<Row>> {
    let progress = Progress::new("keys", images.count(split));
    let mut rows = Vec::new();
    for batch in images.batches(split) {
        check_interrupt()?;
        let batch = batch?;
        progress.inc(batch.len() as u64);
        rows.extend(batch.iter().map(Row::of));
    }
    Ok(rows)
}
