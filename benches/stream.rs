//! Trains on embeddings that are several times as large as the memory that it may use.
//!
//! ```text
//! bench-stream make DIR     writes the embeddings: 2,000,000 rows of 1,280 numbers, 5 GB
//! bench-stream train DIR    trains on them and prints the figures as JSON
//! ```
//!
//! Two calls, so that the peak of the second is that of training alone. Rows are points around
//! one centre a class, sorted by class, as a pipeline would store them.

#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::path::Path;
use std::time::Instant;

use artifact::Hash;
use artifact::embeddings::{Cache, Key, Storage};
use gtsrb_train::stream::Stream;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, Axis};
use serde_json::json;
use softmax::{Optimizer, Recipe, score};
use stage::{Error, Result};

const ROWS: usize = 2_000_000;
const DIMS: usize = 1280;
const CLASSES: usize = 43;

/// Rows of a part of the cache.
const PART_ROWS: usize = 50_000;

/// Rows that are never trained on, spread over all.
const KEPT_OUT: usize = 20_000;

/// Bytes of embeddings in memory.
const MEMORY: u64 = 512 << 20;

/// What the whole process may use.
const LIMIT: u64 = 2 << 30;

const EPOCHS: usize = 2;

/// Centres are within ± this, noise within ±1: hard enough that not every row is right.
const SPREAD: f32 = 0.1;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", dir] => make(Path::new(dir)),
        ["train", dir] => train(Path::new(dir)),
        _ => Err(Error::usage("usage: bench-stream make|train DIR")),
    }
}

fn view() -> Hash {
    Hash::of(b"synthetic rows around one centre a class")
}

fn key(row: usize) -> Key {
    Hash::of(&row.to_le_bytes())
}

fn label(row: usize) -> usize {
    row * CLASSES / ROWS
}

/// Sebastiano Vigna's `SplitMix64`: a random number for each count.
fn mix(count: u64) -> u64 {
    let mut z = count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Adds numbers within ± `scale` to `to`: those of row `row` of the series `series`.
fn add(series: u64, row: usize, to: &mut [f32], scale: f32) {
    for (chunk, values) in to.chunks_mut(4).enumerate() {
        let bits = mix((series << 60) | (row * DIMS / 4 + chunk) as u64);
        for (place, value) in values.iter_mut().enumerate() {
            let number = f32::from((bits >> (16 * place)) as u16);
            *value += scale * (number / 32_768.0 - 1.0);
        }
    }
}

fn make(dir: &Path) -> Result<()> {
    let writer = Cache::lock(dir, view())?;
    let mut cache = Cache::open(dir, view())?;
    for start in (0..ROWS).step_by(PART_ROWS) {
        let keys: Vec<Key> = (start..start + PART_ROWS).map(key).collect();
        let mut x = Array2::zeros((PART_ROWS, DIMS));
        x.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(row, mut to)| {
            let to = to.as_slice_mut().unwrap_or_default();
            add(1, label(start + row), to, SPREAD);
            add(2, start + row, to, 1.0);
        });
        cache.append(&writer, &keys, Storage::F16, x.view())?;
        eprintln!("{} of {ROWS} rows", start + PART_ROWS);
    }
    Ok(())
}

fn train(dir: &Path) -> Result<()> {
    let started = Instant::now();
    let is_out = |row: &usize| row.is_multiple_of(ROWS / KEPT_OUT);
    let (out, rows): (Vec<usize>, Vec<usize>) = (0..ROWS).partition(is_out);
    let keys = |rows: &[usize]| -> Vec<Key> { rows.iter().map(|&row| key(row)).collect() };
    let labels = |rows: &[usize]| -> Vec<usize> { rows.iter().map(|&row| label(row)).collect() };
    let (y, out_y) = (labels(&rows), labels(&out));
    let cache = Cache::open(dir, view())?;
    let open = |rows: &[usize], labels| {
        let name = |key| format!("row {key}");
        Stream::new(std::slice::from_ref(&cache), &keys(rows), labels, DIMS, MEMORY, name)
    };
    let stream = open(&rows, &y)?;
    let verified = lap("hashed", started);
    let started = Instant::now();
    let by = stream.standardization()?;
    let measured = lap("mean and deviation", started);
    let started = Instant::now();
    let network = stream.fit(CLASSES, &recipe(), &by, |epoch, loss, _| {
        eprintln!("epoch {epoch}: loss {loss:.4}");
        true
    })?;
    let epoch = lap("trained", started) / EPOCHS as f64;
    let kept_out = open(&out, &out_y)?;
    let top1 = score(kept_out.logits(&network, &by)?.view(), &out_y).top1;
    let (bytes, peak) = ((2 * ROWS * DIMS) as u64, peak_bytes());
    let figures = json!({
        "rows": ROWS, "dims": DIMS, "classes": CLASSES, "epochs": EPOCHS,
        "bytes_on_disk": bytes, "memory_setting": MEMORY, "peak_bytes": peak,
        "ratio_of_disk_to_peak": bytes as f64 / peak as f64,
        "seconds_to_verify": verified, "seconds_of_standardisation": measured,
        "seconds_an_epoch": epoch, "rows_per_second": rows.len() as f64 / epoch,
        "top1_of_rows_kept_out": top1,
    });
    println!("{figures:#}");
    if peak > LIMIT {
        return Err(Error::internal(format!("{peak} bytes at the peak: the limit is {LIMIT}")));
    }
    Ok(())
}

fn recipe() -> Recipe {
    Recipe {
        levels: None,
        hidden: 0,
        members: 1,
        dropout: 0.0,
        smoothing: 0.0,
        optimizer: Optimizer::AdamW,
        learning_rate: 2e-3,
        weight_decay: 1e-2,
        batch: 256,
        epochs: EPOCHS,
        seed: 1,
    }
}

fn lap(what: &str, started: Instant) -> f64 {
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("{what} in {seconds:.1} s");
    seconds
}

/// The most memory that this process has had, as Linux knows it; 0 elsewhere.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or_default() * 1024
}
