//! Reading objects.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{Error as Cause, GetOptions, ObjectStoreExt as _, UpdateVersion};
use stage::{Error, Result};

use crate::patience::{Failure, wait};
use crate::{Object, Store, Version};

/// What is asked for at a time, in bytes.
pub(crate) const RANGE: u64 = 8 << 20;

/// How many ranges of one object are on their way at the same time.
const AHEAD: usize = 4;

impl Store {
    /// The whole of a small object and which state of it this is; none where there is none.
    ///
    /// # Errors
    /// [`Unavailable`](stage::Fault::Unavailable) where the store doesn't answer in time,
    /// [`Config`](stage::Fault::Config) where it denies access. So do all others here.
    pub fn get(&self, name: &str) -> Result<Option<(Bytes, Version)>> {
        let (path, url) = (self.path(name)?, self.url_of(name));
        let read = wait(self.patience.insist(&url, async || {
            let found = self.bucket.get(&path).await?;
            let about = found.meta.clone();
            Ok((found.bytes().await?, about))
        }))?;
        match read {
            Ok((bytes, about)) => {
                let version = UpdateVersion { e_tag: about.e_tag, version: about.version };
                Ok(Some((bytes, Version(version))))
            }
            Err(Failure::Store(Cause::NotFound { .. })) => Ok(None),
            Err(failure) => Err(failure.explain(&url)),
        }
    }

    /// Some ranges of an object, at once.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where there is none.
    pub fn ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (path, url) = (self.path(name)?, self.url_of(name));
        let read = self.patience.insist(&url, async || self.bucket.get_ranges(&path, ranges).await);
        wait(read)?.map_err(|failure| failure.explain(&url))
    }

    /// Hands the `bytes` bytes of an object to `sink`, in order, while further ones are on their
    /// way.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where there is none, [`Busy`](stage::Fault::Busy) if it
    /// is overwritten meanwhile; what `sink` says.
    pub fn read(
        &self,
        name: &str,
        bytes: u64,
        mut sink: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let (path, url) = (self.path(name)?, self.url_of(name));
        let get = async |range: Range<u64>| {
            let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
            let read = async || {
                let found = self.bucket.get_opts(&path, options.clone()).await?;
                let tag = found.meta.e_tag.clone();
                Ok((found.bytes().await?, tag))
            };
            self.patience.insist(&url, read).await.map_err(|failure| failure.explain(&url))
        };
        let starts = (0..bytes).step_by(RANGE as usize);
        let ranges = starts.map(|start| get(start..bytes.min(start + RANGE)));
        wait(async {
            let (mut read, mut first) = (stream::iter(ranges).buffered(AHEAD), None);
            while let Some((piece, tag)) = read.try_next().await? {
                if *first.get_or_insert_with(|| tag.clone()) != tag {
                    return Err(Error::busy(format!(
                        "{url} was overwritten while it was read: run again"
                    )));
                }
                sink(&piece)?;
            }
            Ok(())
        })?
    }

    /// All objects below the folder, by name.
    pub fn list(&self) -> Result<Vec<Object>> {
        let listed = self.patience.insist(&self.url, async || {
            self.bucket.list(Some(&self.folder)).try_collect::<Vec<_>>().await
        });
        let listed = wait(listed)?.map_err(|failure| failure.explain(&self.url))?;
        let mut objects: Vec<Object> = listed
            .into_iter()
            .filter_map(|object| {
                let below: Option<object_store::path::Path> =
                    object.location.prefix_match(&self.folder).map(Iterator::collect);
                let tag = object.e_tag.unwrap_or_else(|| object.last_modified.to_string());
                Some(Object { name: below?.to_string(), bytes: object.size, tag })
            })
            .collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }
}
