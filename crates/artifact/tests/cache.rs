//! Whatever happens to a cache, in whatever order, an embedding that was committed is there
//! with the same bits, or known to be missing where its part was damaged.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use artifact::Hash;
use artifact::embeddings::{Cache, Key, Shard, Storage, remove};
use ndarray::Array2;
use proptest::prelude::*;

const DIMS: usize = 6;
const KEYS: u8 = 40;

fn key(number: u8) -> Key {
    Hash::of(&[number])
}

/// The one embedding that belongs to a key; half precision holds it.
fn rows(numbers: &[u8]) -> Array2<f32> {
    Array2::from_shape_fn((numbers.len(), DIMS), |(row, column)| {
        f32::from(numbers[row]) - column as f32 / 4.0
    })
}

#[derive(Clone, Debug)]
enum Step {
    /// What is missing of these is computed and added.
    Add(BTreeSet<u8>),
    /// The same by several shares, each from its own view of what is missing.
    Shards(BTreeSet<u8>, u32),
    /// A bit of some part changes.
    Flip(usize, usize),
    /// A part loses its end.
    Cut(usize, usize),
    Compact,
    /// Other views are removed.
    RemoveOthers,
    /// Some of another cache's embeddings are taken over.
    Adopt(BTreeSet<u8>),
    /// A writer dies in the middle of a part.
    LeaveTemporary,
    /// The record of parts found whole is lost or nonsense.
    ForgetChecked(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let numbers = || prop::collection::btree_set(0..KEYS, 1..12);
    prop_oneof![
        4 => numbers().prop_map(Step::Add),
        2 => (numbers(), 1..5_u32).prop_map(|(numbers, count)| Step::Shards(numbers, count)),
        2 => any::<(usize, usize)>().prop_map(|(part, at)| Step::Flip(part, at)),
        1 => any::<(usize, usize)>().prop_map(|(part, at)| Step::Cut(part, at)),
        2 => Just(Step::Compact),
        1 => Just(Step::RemoveOthers),
        1 => numbers().prop_map(Step::Adopt),
        1 => Just(Step::LeaveTemporary),
        1 => any::<bool>().prop_map(Step::ForgetChecked),
    ]
}

/// A cache and what must be in it.
struct Model {
    root: tempfile::TempDir,
    view: Hash,
    /// Which numbers were committed and not damaged since in every part that held them.
    held: BTreeSet<u8>,
}

impl Model {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root, view: Hash::of(b"view"), held: BTreeSet::new() }
    }

    fn parts(&self) -> Vec<PathBuf> {
        let dir = self.root.path().join(self.view.to_string());
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut parts: Vec<_> = entries.map(|entry| entry.path()).collect();
        parts.retain(|path| path.extension().is_some_and(|kind| kind == "parquet"));
        parts.sort();
        parts
    }

    /// Computes what is missing of `numbers`, as an extraction does.
    fn add(&mut self, numbers: &BTreeSet<u8>, shard: Option<Shard>) {
        let (root, view) = (self.root.path(), self.view);
        let writer = match shard {
            None => Cache::lock(root, view).unwrap(),
            Some(_) => Cache::share(root, view, shard).unwrap(),
        };
        let mut cache = Cache::open(root, view).unwrap();
        cache.forget_damaged().unwrap();
        cache.remove_damaged(&writer).unwrap();
        let mine = |n: &u8| shard.is_none_or(|shard| shard.has(&key(*n)));
        let missing: Vec<u8> =
            numbers.iter().copied().filter(|n| mine(n) && !cache.holds(&key(*n))).collect();
        if !missing.is_empty() {
            let keys: Vec<Key> = missing.iter().map(|n| key(*n)).collect();
            cache.append(&writer, &keys, Storage::F16, rows(&missing).view()).unwrap();
        }
        self.held.extend(numbers.iter().filter(|n| mine(n)));
    }

    /// Changes a part's bytes; what it alone held counts as lost.
    fn damage(&mut self, part: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let parts = self.parts();
        if parts.is_empty() {
            return;
        }
        let damaged = &parts[part % parts.len()];
        let mut bytes = std::fs::read(damaged).unwrap();
        if bytes.is_empty() {
            return;
        }
        change(&mut bytes);
        let before = std::fs::metadata(damaged).unwrap().modified().unwrap();
        std::fs::write(damaged, bytes).unwrap();
        // Clocks of file systems tick slowly; damage that looks like nothing is another test.
        let later = before + std::time::Duration::from_millis(10);
        std::fs::File::open(damaged).unwrap().set_modified(later).unwrap();
        let mut cache = Cache::open(self.root.path(), self.view).unwrap();
        cache.forget_damaged().unwrap();
        self.held.retain(|n| cache.holds(&key(*n)));
    }

    fn adopt(&mut self, numbers: &BTreeSet<u8>) {
        let mut other = Self::new();
        other.add(numbers, None);
        let writer = Cache::share(self.root.path(), self.view, None).unwrap();
        let mut cache = Cache::open(self.root.path(), self.view).unwrap();
        cache.forget_damaged().unwrap();
        let missing: HashSet<Key> =
            numbers.iter().map(|n| key(*n)).filter(|key| !cache.holds(key)).collect();
        cache.adopt(&writer, other.root.path(), &missing).unwrap();
        self.held.extend(numbers);
    }

    fn compact(&mut self) {
        let writer = Cache::lock(self.root.path(), self.view).unwrap();
        let mut cache = Cache::inspect(self.root.path(), self.view).unwrap();
        let done = cache.compact(&writer).unwrap();
        assert!(done.after <= done.before);
    }

    fn remove_others(&self) {
        let other = Hash::of(b"other");
        let writer = Cache::lock(self.root.path(), other).unwrap();
        let mut cache = Cache::open(self.root.path(), other).unwrap();
        cache.append(&writer, &[key(0)], Storage::F16, rows(&[9]).view()).unwrap();
        drop((writer, cache));
        assert!(remove(self.root.path(), other, || Ok(false)).unwrap());
    }

    fn run(&mut self, step: Step) {
        let dir = self.root.path().join(self.view.to_string());
        match step {
            Step::Add(numbers) => self.add(&numbers, None),
            Step::Shards(numbers, count) => {
                Shard::all(count).for_each(|shard| self.add(&numbers, Some(shard)));
            }
            Step::Flip(part, at) => self.damage(part, |bytes| {
                let at = at % bytes.len();
                bytes[at] ^= 1 << (at % 8);
            }),
            Step::Cut(part, at) => self.damage(part, |bytes| bytes.truncate(at % bytes.len())),
            Step::Compact => self.compact(),
            Step::RemoveOthers => self.remove_others(),
            Step::Adopt(numbers) => self.adopt(&numbers),
            Step::LeaveTemporary if dir.exists() => {
                std::fs::write(dir.join(".tmp-0-part"), "PAR1").unwrap();
            }
            Step::ForgetChecked(nonsense) if dir.exists() => {
                let text = if nonsense { "{\"a\": 1}" } else { "" };
                std::fs::write(dir.join(".checked"), text).unwrap();
            }
            Step::LeaveTemporary | Step::ForgetChecked(_) => {}
        }
    }

    /// Everything that must be there is, with its own bits; what is there besides is right too.
    fn check(&self) {
        let mut cache = Cache::open(self.root.path(), self.view).unwrap();
        cache.forget_damaged().unwrap();
        let there: Vec<u8> = (0..KEYS).filter(|n| cache.holds(&key(*n))).collect();
        assert!(self.held.iter().all(|n| there.contains(n)), "lost: {:?} {there:?}", self.held);
        let keys: Vec<Key> = there.iter().map(|n| key(*n)).collect();
        assert_eq!(cache.gather(&keys, DIMS).unwrap(), rows(&there));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_loses_or_changes_a_row(steps in prop::collection::vec(step(), 1..12)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step);
            model.check();
        }
    }

    /// The join by key finds exactly the keys that are there, in any order and repeated.
    #[test]
    fn the_join_is_by_key(
        held in prop::collection::btree_set(0..KEYS, 0..30),
        asked in prop::collection::vec(0..KEYS, 0..60),
    ) {
        let mut model = Model::new();
        if !held.is_empty() {
            model.add(&held, None);
        }
        let cache = Cache::open(model.root.path(), model.view).unwrap();
        let known: BTreeMap<u8, bool> =
            (0..KEYS).map(|n| (n, cache.holds(&key(n)))).collect();
        prop_assert!(known.iter().all(|(n, there)| held.contains(n) == *there));
        let keys: Vec<Key> = asked.iter().map(|n| key(*n)).collect();
        match cache.gather(&keys, DIMS) {
            Ok(found) => prop_assert_eq!(found, rows(&asked)),
            Err(error) => {
                prop_assert_eq!(error.fault(), stage::Fault::Missing);
                prop_assert!(asked.iter().any(|n| !held.contains(n)));
            }
        }
    }
}

/// Damage that changes neither size nor time is found by whoever reads the embeddings, who
/// makes sure that the next writer finds it too.
#[test]
fn silent_damage_is_found_on_use_and_mended_after() {
    let mut model = Model::new();
    let numbers: BTreeSet<u8> = (0..20).collect();
    model.add(&numbers, None);
    let part = model.parts().remove(0);
    flip_silently(&part);
    let (root, view) = (model.root.path(), model.view);
    let mut cache = Cache::open(root, view).unwrap();
    assert_eq!(cache.forget_damaged().unwrap(), 0);
    let error = cache.gather(&[key(3)], DIMS).unwrap_err();
    assert_eq!(error.fault().code(), 65);
    assert!(error.to_string().contains("run gtsrb-extract again"), "{error}");
    drop(cache);
    model.add(&numbers, None);
    model.check();
    assert!(!part.exists() || Hash::of_file(&part).is_ok());

    let part = model.parts().remove(0);
    flip_silently(&part);
    let error = Cache::inspect(model.root.path(), model.view).unwrap().verify().unwrap_err();
    assert!(error.to_string().contains("part-"), "{error}");
    model.add(&numbers, None);
    model.check();
}

fn flip_silently(part: &Path) {
    let modified = std::fs::metadata(part).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(part, bytes).unwrap();
    std::fs::File::open(part).unwrap().set_modified(modified).unwrap();
}
