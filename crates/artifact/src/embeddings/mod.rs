//! Embeddings at rest: a cache that knows each by the content that it was computed from, and
//! the index of a run, which names what training reads.
//!
//! The cache's folder `ROOT/VIEW/` belongs to one view, that is one backbone with one
//! preprocessing. It holds immutable parts, each a Parquet file {`key`, `embedding`} named
//! after the hash of its bytes. A run's index (`RUN/embeddings/train.parquet`, `test.parquet`)
//! holds keys and no place, so that it doesn't matter in which order the cache was filled.
//!
//! Where `ROOT` mirrors a folder in an object store, parts that only the store has count too.

mod blocks;
mod cache;
mod checked;
mod compact;
mod elsewhere;
mod folder;
mod index;
mod pages;
mod part;
mod shard;
mod table;
mod views;

use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray};
use stage::{Error, Result};

pub use blocks::Blocks;
pub use cache::Cache;
pub use compact::Compacted;
pub use folder::Writer;
pub(crate) use index::read_index;
pub use index::{Embedded, Row, write_index};
pub use part::{NewPart, Storage};
pub use shard::Shard;
pub use table::EmbeddingWriter;
pub use views::{ViewFolder, describe, remove, views};

use crate::Hash;
use crate::images::Image;

/// The stage that writes embeddings, for messages.
const STAGE: &str = "gtsrb-extract";

/// How many rows a full part has, where an embedding has `dims` numbers: at most 8,192, and
/// as many as make 64 MiB of f32, which takes seconds to compute.
#[must_use]
pub fn part_rows(dims: usize) -> usize {
    (16_usize << 20).div_ceil(dims.max(1)).min(8192)
}

/// Names the content that an embedding was computed from, within one view.
pub type Key = Hash;

/// The key of a picture: its encoded bytes and its ROI.
#[must_use]
pub fn key(image: &Image) -> Key {
    // What `HashBuilder` would hash, put together: BLAKE3 is several times as fast on one run
    // of bytes as on pieces.
    let mut fields = Vec::with_capacity(image.bytes.len() + 64);
    let mut field = |bytes: &[u8]| {
        fields.extend((bytes.len() as u64).to_le_bytes());
        fields.extend(bytes);
    };
    field(&image.bytes);
    for corner in [image.roi.x1, image.roi.y1, image.roi.x2, image.roi.y2] {
        field(&corner.to_le_bytes());
    }
    Hash::of(&fields)
}

fn keys_array(keys: impl ExactSizeIterator<Item = Key>) -> Result<ArrayRef> {
    if keys.len() == 0 {
        return Ok(Arc::new(FixedSizeBinaryArray::new_null(32, 0)));
    }
    let array = FixedSizeBinaryArray::try_from_iter(keys.map(|key| key.0))
        .map_err(|e| Error::internal(format!("cannot build a column of keys: {e}")))?;
    Ok(Arc::new(array))
}

fn to_key(bytes: &[u8]) -> std::result::Result<Key, String> {
    bytes.try_into().map(Hash).map_err(|_| "column key: not a hash".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashBuilder;
    use crate::images::Roi;

    #[test]
    fn a_key_is_the_hash_of_bytes_and_roi() {
        for length in [0, 1, 5000] {
            let image = Image {
                bytes: vec![7; length],
                path: "a.png".into(),
                label: 1,
                roi: Roi { x1: 1, y1: 2, x2: 3, y2: -4 },
                width: 9,
                height: 9,
                track: None,
                frame: None,
                pixels: Hash::of(b""),
            };
            let fields = HashBuilder::default().field(&image.bytes);
            let corners = [1_i32, 2, 3, -4].map(i32::to_le_bytes);
            let expected = corners.into_iter().fold(fields, HashBuilder::field).finish();
            assert_eq!(key(&image), expected);
        }
    }
}
