//! The parts of a view that lie in an object store, where the view's folder is a mirror.
//!
//! A part that only the store has counts like others: its keys are read by ranges, and the whole
//! is fetched when an embedding in it is wanted. New parts are sent while the next ones are
//! computed.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use stage::{Error, Result};
use store::{Store, each};

use super::STAGE;
use super::part::{self, Content};
use crate::Hash;
use crate::mirror::fetch;
use crate::place::{folder_of, place_all};
use crate::table::damaged;

/// Bytes at the end of a part that hold its footer; those of a full one are a tenth of it.
const FOOTER: u64 = 64 << 10;

/// How many parts are sent at the same time.
const AT_ONCE: usize = 2;

/// What the store holds of a view, and what is on its way there.
pub(super) struct Elsewhere {
    store: Store,
    /// Parts there, by their paths in the mirror, with their sizes.
    there: HashMap<PathBuf, u64>,
    sending: VecDeque<JoinHandle<Result<()>>>,
}

impl Elsewhere {
    /// What the store holds of the view in the folder `dir`; nothing if that is no mirror.
    pub fn of(dir: &Path) -> Result<Option<Self>> {
        let Some(url) = stage::url_of(dir) else { return Ok(None) };
        std::fs::create_dir_all(dir).map_err(|e| Error::write(dir, &e))?;
        let store = Store::open(&url)?;
        let listed = store.list()?.into_iter().filter(|object| part::is_name(&object.name));
        let there = listed.map(|object| (dir.join(object.name), object.bytes)).collect();
        Ok(Some(Self { store, there, sending: VecDeque::new() }))
    }

    /// Whether the store has `part`.
    pub fn has(&self, part: &Path) -> bool {
        self.there.contains_key(part)
    }

    /// The parts that only the store has, with what they say of themselves.
    pub fn contents(&self, view: Hash) -> Result<Vec<(PathBuf, Result<Content>)>> {
        let mut absent: Vec<_> = self.there.keys().filter(|part| !part.exists()).cloned().collect();
        absent.sort();
        each(&absent, |part| Ok((part.clone(), self.content(part, view))))
    }

    /// [`part::content`] of a part in the store.
    pub fn content(&self, part: &Path, view: Hash) -> Result<Content> {
        let Some(&bytes) = self.there.get(part) else {
            return Err(Error::missing(format!("{} is gone", part.display())));
        };
        let bad = |e: ParquetError| damaged(Path::new(&self.url(part)), &e, STAGE);
        let mut pieces = Pieces { bytes, held: Vec::new() };
        let footer = bytes.saturating_sub(FOOTER)..bytes;
        self.get(part, &mut pieces, std::iter::once(footer).collect())?;
        let about =
            ArrowReaderMetadata::load(&pieces, ArrowReaderOptions::default()).map_err(bad)?;
        let keys = about.metadata().row_groups().iter().filter_map(|group| {
            let (start, length) = group.columns().first()?.byte_range();
            Some(start..start + length)
        });
        self.get(part, &mut pieces, keys.collect())?;
        part::content_of(pieces, Path::new(&self.url(part)), view)
    }

    fn get(&self, part: &Path, pieces: &mut Pieces, ranges: Vec<Range<u64>>) -> Result<()> {
        let read = self.store.ranges(&name(part), &ranges)?;
        pieces.held.extend(ranges.into_iter().map(|range| range.start).zip(read));
        Ok(())
    }

    fn url(&self, part: &Path) -> String {
        self.store.url_of(&name(part))
    }

    /// Fetches those of `parts` that aren't here.
    pub fn bring<'a>(&self, parts: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
        let absent: Vec<_> = parts.filter(|part| !part.exists()).collect();
        each(&absent, |part| {
            let (name, bytes) = (name(part), self.there.get(*part).copied().unwrap_or_default());
            let whole = |hash: &Hash| part::name(*hash) == name;
            let staged = fetch(&self.store, &name, bytes, folder_of(part), &name, whole)?;
            place_all([(&staged, (*part).clone())])
        })
        .map(drop)
    }

    /// Begins to send `part`, unless the store has it.
    pub fn send(&mut self, part: &Path) -> Result<()> {
        if self.has(part) {
            return Ok(());
        }
        while self.sending.len() >= AT_ONCE {
            self.wait_for_one()?;
        }
        let bytes = part.metadata().map_err(|e| Error::read(part, &e))?.len();
        let (store, path) = (self.store.clone(), part.to_owned());
        let sending = Builder::new().spawn(move || store.add(&name(&path), &path));
        self.sending.push_back(sending.map_err(|e| Error::thread(&e))?);
        self.there.insert(part.to_owned(), bytes);
        Ok(())
    }

    /// Waits until everything was sent.
    pub fn settle(&mut self) -> Result<()> {
        while !self.sending.is_empty() {
            self.wait_for_one()?;
        }
        Ok(())
    }

    fn wait_for_one(&mut self) -> Result<()> {
        let Some(sending) = self.sending.pop_front() else { return Ok(()) };
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // After an error: what is on its way arrives, or is given up at a signal.
        for sending in self.sending.drain(..) {
            let _ = sending.join();
        }
    }
}

fn name(part: &Path) -> String {
    part.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Some pieces of a file.
struct Pieces {
    bytes: u64,
    /// Each with the place that it begins at.
    held: Vec<(u64, Bytes)>,
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Pieces {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        use bytes::Buf as _;
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let piece = self.from(start)?;
        if length > piece.len() {
            return Err(absent(start));
        }
        Ok(piece.slice(..length))
    }
}

impl Pieces {
    /// What is held from `start` on.
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let within = |(at, piece): &&(u64, Bytes)| (*at..*at + piece.len() as u64).contains(&start);
        let (at, piece) = self.held.iter().find(within).ok_or_else(|| absent(start))?;
        Ok(piece.slice((start - at) as usize..))
    }
}

fn absent(start: u64) -> ParquetError {
    ParquetError::General(format!("its footer names bytes at {start} as keys that are none"))
}
