//! The embeddings of one view, in immutable parts.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ndarray::ArrayView2;
use stage::{Error, Fault, Result};

use super::checked::Checked;
use super::elsewhere::Elsewhere;
use super::folder::{self, Writer};
use super::part::{self, Content, NewPart, Storage};
use super::{Key, STAGE, Shard};
use crate::lock::Lock;
use crate::place::{place_all, remove};
use crate::table::damaged;
use crate::{Hash, Staged};

/// Where an embedding is: part and row.
type Place = (usize, usize);

/// The embeddings of one view.
///
/// While it is open, its parts stay: whoever wants to remove some that others may need takes
/// the view for itself.
pub struct Cache {
    pub(super) dir: PathBuf,
    pub(super) view: Hash,
    pub(super) parts: Vec<PathBuf>,
    pub(super) places: HashMap<Key, Place>,
    damaged: Vec<PathBuf>,
    checked: Checked,
    elsewhere: Option<Elsewhere>,
    pub(super) in_use: Option<Lock>,
}

impl Cache {
    /// Reads which keys the cache under `root` holds of `view`; an empty cache is no error.
    /// A part whose keys can't be read, or that belongs to another view, is damaged: its
    /// embeddings count as missing.
    ///
    /// # Errors
    /// [`Busy`](stage::Fault::Busy) if parts are being removed and that takes long.
    pub fn open(root: &Path, view: Hash) -> Result<Self> {
        let cache = Self::inspect(root, view)?;
        folder::warn_of_everybody(&cache.dir);
        cache.in_use.iter().for_each(|lock| lock.set_time(SystemTime::now()));
        Ok(cache)
    }

    /// [`Cache::open`] for those who tidy up: it doesn't count as a use of the view.
    ///
    /// # Errors
    /// As [`Cache::open`].
    pub fn inspect(root: &Path, view: Hash) -> Result<Self> {
        let dir = folder::of(root, view);
        let elsewhere = Elsewhere::of(&dir)?;
        let in_use = folder::use_it(&dir)?;
        let found = part::list(&dir)?;
        let (parts, places, damaged) = (Vec::new(), HashMap::new(), Vec::new());
        let checked = Checked::read(&dir);
        let mut cache = Self { dir, view, parts, places, damaged, checked, elsewhere, in_use };
        for part in found {
            let content = part::content(&part, view);
            cache.add_if_sound(part, content)?;
        }
        let absent = cache.elsewhere.as_ref().map(|elsewhere| elsewhere.contents(view));
        for (part, content) in absent.transpose()?.into_iter().flatten() {
            cache.add_if_sound(part, content)?;
        }
        Ok(cache)
    }

    fn add_if_sound(&mut self, part: PathBuf, content: Result<Content>) -> Result<()> {
        match content {
            Ok(content) => self.add(part, &content.keys),
            Err(e) if e.fault() == Fault::Data => {
                tracing::warn!("{e}");
                // What the store has of it is looked at next.
                if !self.can_do_without(&part)? {
                    self.damaged.push(part);
                }
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Removes a damaged part that is only a copy; gives whether it was one.
    fn can_do_without(&self, part: &Path) -> Result<bool> {
        let copy = part.exists() && self.elsewhere.as_ref().is_some_and(|there| there.has(part));
        if copy {
            remove(part)?;
        }
        Ok(copy)
    }

    /// What `part` says of itself, wherever it is.
    fn content(&self, part: &Path) -> Result<Content> {
        match &self.elsewhere {
            Some(elsewhere) if !part.exists() => elsewhere.content(part, self.view),
            _ => part::content(part, self.view),
        }
    }

    /// Waits until the store that this cache mirrors has all parts, those of an earlier process
    /// that was interrupted among them. Nothing where it mirrors none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn settle(&mut self) -> Result<()> {
        let Some(elsewhere) = &mut self.elsewhere else { return Ok(()) };
        self.parts.iter().try_for_each(|part| elsewhere.send(part))?;
        elsewhere.settle()
    }

    fn add(&mut self, part: PathBuf, keys: &[Key]) {
        // Equal rows make an equal part.
        let known = self.parts.iter().position(|known| *known == part);
        let index = known.unwrap_or(self.parts.len());
        self.places.extend(keys.iter().enumerate().map(|(row, key)| (*key, (index, row))));
        if known.is_none() {
            self.parts.push(part);
        }
    }

    /// Whether the embedding of `key` is there.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// Hashes the parts that changed since they were last found whole, and forgets what is in
    /// those whose bytes aren't what their name says. Gives how many parts are damaged in all.
    pub fn forget_damaged(&mut self) -> Result<usize> {
        let here = |part: &PathBuf| self.elsewhere.is_none() || part.exists();
        let changed = |part: &&PathBuf| here(part) && !self.checked.knows(part);
        let changed: Vec<PathBuf> = self.parts.iter().filter(changed).cloned().collect();
        let mut found = HashSet::new();
        for part in &changed {
            if !self.checked.check(part, part::is_whole)? {
                tracing::warn!("{} is damaged", part.display());
                if !self.can_do_without(part)? {
                    found.insert(part.clone());
                }
            }
        }
        if !changed.is_empty() {
            self.checked.save();
        }
        if !found.is_empty() {
            self.drop_parts(&found)?;
            self.damaged.extend(found);
        }
        Ok(self.damaged.len())
    }

    /// Goes on without some parts; what another part holds too stays known.
    pub(super) fn drop_parts(&mut self, dropped: &HashSet<PathBuf>) -> Result<()> {
        self.places.clear();
        for part in std::mem::take(&mut self.parts) {
            if !dropped.contains(&part) {
                let keys = self.content(&part)?.keys;
                self.add(part, &keys);
            }
        }
        Ok(())
    }

    /// Removes the damaged parts; another writer may have done it before.
    pub fn remove_damaged(&mut self, _writer: &Writer) -> Result<()> {
        self.damaged.drain(..).try_for_each(|part| remove(&part))
    }

    /// Adds embeddings, shape `[keys, dims]`, as one new part: whole or not at all.
    pub fn append(
        &mut self,
        writer: &Writer,
        keys: &[Key],
        storage: Storage,
        embeddings: ArrayView2<f32>,
    ) -> Result<PathBuf> {
        let mut part = self.new_part(writer, storage, embeddings.ncols())?;
        part.write(keys, embeddings)?;
        self.add_part(part)
    }

    /// Starts a part for embeddings of `dims` numbers that come bit by bit.
    ///
    /// # Errors
    /// [`Create`](stage::Fault::Create) if it can't be written.
    pub fn new_part(&self, writer: &Writer, storage: Storage, dims: usize) -> Result<NewPart> {
        NewPart::new(writer.create("part")?, self.view, storage, dims)
    }

    /// Adds a part, whole or not at all; gives its place.
    ///
    /// # Errors
    /// Where it can't be written; those of the store.
    pub fn add_part(&mut self, part: NewPart) -> Result<PathBuf> {
        let (file, keys) = part.finish()?;
        self.place(&file, &keys)
    }

    /// Gives a part that was written its name.
    fn place(&mut self, written: &Staged, keys: &[Key]) -> Result<PathBuf> {
        written.check()?;
        let part = self.dir.join(part::name(written.record().hash));
        place_all([(written, part.clone())])?;
        // Its bytes were hashed on their way to the file.
        self.checked.check(&part, |_| Ok::<_, Error>(true))?;
        self.checked.save();
        self.add(part.clone(), keys);
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.send(&part)?;
        }
        Ok(part)
    }

    /// Takes over the parts of the same view under `other`, which may be in a store, that hold
    /// some of `wanted`. Gives how many were taken; one that is damaged isn't, and is named.
    ///
    /// # Errors
    /// Where a file can't be read or written; those of the store.
    pub fn adopt(&mut self, writer: &Writer, other: &Path, wanted: &HashSet<Key>) -> Result<usize> {
        let other = Self::open(other, self.view)?;
        let useful: HashSet<usize> =
            wanted.iter().filter_map(|key| other.places.get(key)).map(|place| place.0).collect();
        let useful = other.parts.iter().enumerate().filter(|(i, _)| useful.contains(i));
        let useful: Vec<&PathBuf> = useful.map(|(_, part)| part).collect();
        if let Some(elsewhere) = &other.elsewhere {
            elsewhere.bring(useful.iter().copied())?;
        }
        let mut taken = 0;
        for part in useful {
            let keys = part::content(part, self.view)?.keys;
            let mut copy = writer.create("part")?;
            let mut source = std::fs::File::open(part).map_err(|e| Error::read(part, &e))?;
            std::io::copy(&mut source, &mut copy).map_err(|e| Error::io(e.to_string()))?;
            let copy = copy.finish(Some(keys.len() as u64))?;
            if part.file_name() == Some(part::name(copy.record().hash).as_ref()) {
                self.place(&copy, &keys)?;
                taken += 1;
            } else {
                tracing::warn!("{} is damaged: not taken over", part.display());
            }
        }
        Ok(taken)
    }

    /// Takes the folder of `view` under `root` for one writer; to be done before it is opened.
    ///
    /// # Errors
    /// [`Busy`](stage::Fault::Busy) if another process writes it,
    /// [`Create`](stage::Fault::Create) if it can't be written.
    pub fn lock(root: &Path, view: Hash) -> Result<Writer> {
        Writer::alone(&folder::of(root, view))
    }

    /// Takes the folder of `view` under `root` for a writer beside others: of one share of a
    /// run, or of no embeddings of its own; to be done before it is opened.
    ///
    /// # Errors
    /// [`Busy`](stage::Fault::Busy) if a process writes all of it or the same share,
    /// [`Create`](stage::Fault::Create) if it can't be written.
    pub fn share(root: &Path, view: Hash, shard: Option<Shard>) -> Result<Writer> {
        Writer::beside_others(&folder::of(root, view), shard)
    }

    /// For each part its rows that hold some of `keys`, as (row in the part, place in `keys`).
    /// Parts that have some are here then.
    pub(super) fn wanted(&self, keys: &[Key]) -> Result<Vec<Vec<Place>>> {
        let mut wanted = vec![Vec::new(); self.parts.len()];
        for (target, key) in keys.iter().enumerate() {
            let (part, row) = self.places.get(key).ok_or_else(|| {
                Error::missing(format!(
                    "{} lacks embeddings of this run: run {STAGE} again",
                    self.dir.display()
                ))
            })?;
            wanted[*part].push((*row, target));
        }
        if let Some(elsewhere) = &self.elsewhere {
            let read = self.parts.iter().zip(&wanted).filter(|(_, rows)| !rows.is_empty());
            elsewhere.bring(read.map(|(part, _)| part))?;
        }
        Ok(wanted)
    }

    /// Hashes every part.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data), naming each that is damaged.
    pub fn verify(&mut self) -> Result<()> {
        let mut wrong: Vec<PathBuf> = self.damaged.clone();
        for part in &self.parts {
            if !self.checked.check(part, part::is_whole)? {
                part::distrust(part);
                wrong.push(part.clone());
            }
        }
        self.checked.save();
        let reason = "its bytes are not what its name says";
        let named: Vec<String> =
            wrong.iter().map(|part| damaged(part, reason, STAGE).to_string()).collect();
        if named.is_empty() { Ok(()) } else { Err(Error::data(named.join("\n  "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn keys(n: u8) -> Vec<Key> {
        (0..n).map(|i| Hash::of(&[i])).collect()
    }

    #[test]
    fn parts_are_found_again_in_any_order() {
        let root = tempfile::tempdir().unwrap();
        let view = Hash::of(b"view");
        for storage in [Storage::F16, Storage::F32] {
            let mut cache = Cache::open(root.path(), view).unwrap();
            let writer = Cache::lock(root.path(), view).unwrap();
            let keys = keys(3);
            let first = array![[1.0, -2.0], [0.5, 0.25]];
            cache.append(&writer, &keys[..2], storage, first.view()).unwrap();
            cache.append(&writer, &keys[2..], storage, array![[3.0, 4.0]].view()).unwrap();
            let again = Cache::open(root.path(), view).unwrap();
            let order = [keys[2], keys[0], keys[2], keys[1]];
            let expected = array![[3.0, 4.0], [1.0, -2.0], [3.0, 4.0], [0.5, 0.25]];
            assert_eq!(again.gather(&order, 2).unwrap(), expected);
            assert_eq!(cache.gather(&order, 2).unwrap(), expected);
            assert!(again.gather(&[Hash::of(b"?")], 2).is_err());
            assert!(again.gather(&order, 3).is_err());
        }
        assert!(!Cache::open(root.path(), Hash::of(b"other")).unwrap().holds(&keys(1)[0]));
    }

    #[test]
    fn a_damaged_part_is_found_and_dropped() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(root.path(), Hash::of(b"v")).unwrap();
        let writer = Cache::lock(root.path(), cache.view).unwrap();
        let rows = Array2::from_elem((50, 8), 0.5);
        cache.append(&writer, &keys(50), Storage::F16, rows.view()).unwrap();
        let part = cache.parts[0].clone();
        let mut bytes = std::fs::read(&part).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&part, bytes).unwrap();
        assert_eq!(cache.gather(&keys(1), 8).unwrap_err().fault().code(), 65);
        assert_eq!(cache.forget_damaged().unwrap(), 1);
        assert!(!cache.holds(&keys(1)[0]));
        cache.remove_damaged(&writer).unwrap();
        assert!(!part.exists());
    }

    #[test]
    fn a_part_of_another_view_or_without_end_is_damaged() {
        let root = tempfile::tempdir().unwrap();
        let mut first = Cache::open(root.path(), Hash::of(b"first")).unwrap();
        let writer = Cache::lock(root.path(), first.view).unwrap();
        first.append(&writer, &keys(2), Storage::F32, Array2::zeros((2, 8)).view()).unwrap();
        let mut second = Cache::open(root.path(), Hash::of(b"second")).unwrap();
        let writer = Cache::lock(root.path(), second.view).unwrap();
        let name = first.parts[0].file_name().unwrap();
        std::fs::copy(&first.parts[0], second.dir.join(name)).unwrap();
        std::fs::write(second.dir.join("part-0.parquet"), "PAR1").unwrap();
        std::fs::create_dir(second.dir.join("part-1.parquet")).unwrap();
        second = Cache::open(root.path(), second.view).unwrap();
        assert!(!second.holds(&keys(1)[0]));
        assert_eq!(second.forget_damaged().unwrap(), 2);
        second.remove_damaged(&writer).unwrap();
        assert_eq!(part::list(&second.dir).unwrap(), Vec::<PathBuf>::new());
    }
}
