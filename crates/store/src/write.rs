//! Writing objects: new ones, and in the place of one that is known.

use std::fs::File;
use std::io::Read as _;
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{Error as Cause, MultipartUpload, ObjectStoreExt as _, PutMode, PutPayload};
use stage::{Error, Result};

use crate::patience::{Failure, wait};
use crate::{Store, Version};

/// Up to this size an object is sent in one request; larger ones in pieces of it.
const PIECE: u64 = 8 << 20;

/// Pieces of one object that are on their way at the same time.
const AHEAD: usize = 4;

/// The most pieces that stores take.
const PIECES: u64 = 10_000;

/// How long giving up an upload may take when the process has to end.
const ABORT: Duration = Duration::from_secs(2);

impl Store {
    /// Adds the file as an object, unless there is one of this name: the caller vouches that it
    /// has the same content.
    ///
    /// # Errors
    /// [`Unavailable`](stage::Fault::Unavailable) where the store doesn't answer in time,
    /// [`Config`](stage::Fault::Config) where it denies access; where the file can't be read.
    pub fn add(&self, name: &str, file: &FilePath) -> Result<()> {
        let (path, url) = (self.path(name)?, self.url_of(name));
        let cannot = |e: &std::io::Error| Error::read(file, e);
        let bytes = file.metadata().map_err(|e| cannot(&e))?.len();
        let added = if bytes <= PIECE {
            let content = std::fs::read(file).map_err(|e| cannot(&e))?;
            wait(self.put(&path, &url, content.into(), PutMode::Create))?.map(drop)
        } else {
            let opened = File::open(file).map_err(|e| cannot(&e))?;
            wait(self.upload(&path, &url, (opened, file), bytes))?
        };
        match added {
            Ok(()) | Err(Failure::Store(Cause::AlreadyExists { .. })) => Ok(()),
            Err(failure) => Err(failure.explain(&url)),
        }
    }

    /// Writes a small object in the place of that which was read as `expected`, or where there
    /// was none.
    ///
    /// # Errors
    /// As [`Store::add`]; [`Busy`](stage::Fault::Busy) if somebody else wrote it since;
    /// [`Config`](stage::Fault::Config) if the store doesn't heed such conditions.
    pub fn replace(&self, name: &str, bytes: &[u8], expected: Option<&Version>) -> Result<()> {
        let (path, url) = (self.path(name)?, self.url_of(name));
        let mode = match expected {
            Some(Version(version)) => PutMode::Update(version.clone()),
            None => PutMode::Create,
        };
        let put = self.put(&path, &url, PutPayload::from(bytes.to_vec()), mode);
        match wait(put)? {
            Ok(()) => self.heeds_conditions(&path, &url, bytes),
            Err(Failure::Store(Cause::AlreadyExists { .. } | Cause::Precondition { .. })) => {
                // An answer may have been lost: then it was this process that wrote it.
                match self.get(name)? {
                    Some((there, _)) if there == bytes => Ok(()),
                    _ => Err(Error::busy(format!(
                        "{url} was written by another process in the meantime: run again"
                    ))),
                }
            }
            Err(failure) => Err(failure.explain(&url)),
        }
    }

    /// That the store doesn't write where it is asked to write only if nothing is there: some
    /// that speak S3's language do, and of two machines that commit at once neither would know.
    /// `bytes` are those that are there.
    fn heeds_conditions(&self, path: &Path, url: &str, bytes: &[u8]) -> Result<()> {
        match wait(self.put(path, url, PutPayload::from(bytes.to_vec()), PutMode::Create))? {
            Err(Failure::Store(Cause::AlreadyExists { .. })) => Ok(()),
            Err(failure) => Err(failure.explain(url)),
            Ok(()) => Err(Error::config(format!(
                "{url}: this store overwrites what it is asked not to, so that of two machines \
                 one could undo the other's work: take one with conditional writes"
            ))),
        }
    }

    async fn put(
        &self,
        path: &Path,
        url: &str,
        content: PutPayload,
        mode: PutMode,
    ) -> std::result::Result<(), Failure> {
        let put = async || {
            self.bucket.put_opts(path, content.clone(), mode.clone().into()).await.map(drop)
        };
        self.patience.insist(url, put).await
    }

    /// Sends a large file in pieces, unless it is there. Whoever sends the same content at the
    /// same time does no harm.
    async fn upload(
        &self,
        path: &Path,
        url: &str,
        (file, name): (File, &FilePath),
        bytes: u64,
    ) -> std::result::Result<(), Failure> {
        let there = async || self.bucket.head(path).await.map(|found| found.size == bytes);
        match self.patience.insist(url, there).await {
            Ok(true) => return Ok(()),
            Ok(false) | Err(Failure::Store(Cause::NotFound { .. })) => {}
            Err(failure) => return Err(failure),
        }
        let start = async || self.bucket.put_multipart(path).await;
        let mut upload = self.patience.insist(url, start).await?;
        let sent = self.send(&mut upload, url, (file, name), bytes).await;
        if sent.is_err() {
            // What lies there in pieces costs money; it is invisible else, so that failing to
            // remove it is no error.
            let _ = tokio::time::timeout(ABORT, upload.abort()).await;
            // After a lost answer the upload was complete already.
            if matches!(self.patience.insist(url, there).await, Ok(true)) {
                return Ok(());
            }
        }
        sent
    }

    /// Sends the pieces and puts them together.
    async fn send(
        &self,
        upload: &mut Box<dyn MultipartUpload>,
        url: &str,
        (mut file, name): (File, &FilePath),
        bytes: u64,
    ) -> std::result::Result<(), Failure> {
        let size = PIECE.max(bytes.div_ceil(PIECES));
        let pieces = (0..bytes).step_by(size as usize).map(|start| {
            let mut piece = vec![0; size.min(bytes - start) as usize];
            let read = file.read_exact(&mut piece);
            let sent = read.map(|()| upload.put_part(piece.into()));
            async {
                let sent = sent.map_err(|e| Failure::Ours(Error::read(name, &e)))?;
                let ended = self.patience.watch(Instant::now(), url, sent).await?;
                ended.map_err(Failure::Store)
            }
        });
        stream::iter(pieces).buffer_unordered(AHEAD).try_for_each(async |()| Ok(())).await?;
        let complete = self.patience.watch(Instant::now(), url, upload.complete()).await?;
        complete.map(drop).map_err(Failure::Store)
    }
}
