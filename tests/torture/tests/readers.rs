//! Any bytes to any reader: an answer or an error, never a panic.

use artifact::Hash;
use artifact::embeddings::{Cache, Storage};
use ndarray::Array2;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use torture::readers::{PART, READERS};
use torture::{files, root};

/// Good files for a reader.
fn seeds(reader: &str) -> Vec<Vec<u8>> {
    let files = files(&root().join("tests/torture/seeds").join(reader));
    assert!(!files.is_empty(), "no seeds for {reader}");
    files.into_values().collect()
}

/// A few flips, cuts, repetitions and insertions.
fn mutate(random: &mut ChaCha8Rng, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..random.random_range(1..=8) {
        let at = random.random_range(0..=bytes.len());
        let length = random.random_range(0..=(bytes.len() - at).min(40));
        match random.random_range(0..6) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 if at < bytes.len() => bytes[at] = [0, 0x7f, 0x80, 0xff][random.random_range(0..4)],
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..at + length)),
            _ => {
                let copy = bytes[at..at + length].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

/// `count` mutations for each reader, the same each time.
fn try_all(count: usize) {
    for (name, reader) in READERS {
        let seeds = seeds(name);
        for seed in &seeds {
            reader(seed);
        }
        for (number, seed) in seeds.iter().cycle().take(count).enumerate() {
            let bytes = mutate(&mut ChaCha8Rng::seed_from_u64(number as u64), seed);
            let read = std::panic::catch_unwind(|| reader(&bytes));
            assert!(read.is_ok(), "{name} panics at mutation {number}");
        }
    }
}

/// A seed of another layout would be refused at once, and test nothing.
#[test]
fn the_seed_of_a_part_is_one() {
    let (dir, view) = (tempfile::tempdir().unwrap(), Hash::of(b"view"));
    let (keys, dims) = (PART.0.map(Hash::of), PART.1);
    let writer = Cache::lock(dir.path(), view).unwrap();
    let mut cache = Cache::open(dir.path(), view).unwrap();
    let rows = Array2::from_shape_fn((keys.len(), dims), |(row, column)| (row + column) as f32);
    cache.append(&writer, &keys, Storage::F16, rows.view()).unwrap();
    let made = files(&dir.path().join(view.to_string()));
    let made = made.into_iter().find(|(name, _)| name.starts_with("part-")).unwrap().1;
    assert!(seeds("part").contains(&made), "put this there: {made:?}");
}

#[test]
fn hundreds_of_mutations_of_each_format() {
    try_all(300);
}

#[test]
#[ignore = "slow: make torture"]
fn ten_thousand_mutations_of_each_format() {
    try_all(10_000);
}
