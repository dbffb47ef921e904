//! The readers of files that come from anywhere, each as a function of bytes: whatever these are,
//! it gives a value or an error. Mutations of good files try to make one panic.

use std::fs;
use std::path::PathBuf;

use artifact::Hash;
use artifact::embeddings::Cache;
use clap::Parser as _;
use stage::{Fault, Result};
use tempfile::TempDir;

use crate::noise;

/// A reader.
pub type Reader = fn(&[u8]);

/// All of them, by name.
pub const READERS: [(&str, Reader); 7] = [
    ("picture", picture),
    ("table", table),
    ("archive", archive),
    ("weights", weights),
    ("model", model),
    ("manifest", manifest),
    ("part", part),
];

thread_local! {
    /// A folder of this thread alone.
    static PLACE: TempDir = tempfile::tempdir().unwrap();
}

fn place() -> PathBuf {
    PLACE.with(|place| place.path().to_owned())
}

/// Writes `bytes` to `name` in a folder called `reader`.
fn file(reader: &str, name: &str, bytes: &[u8]) -> PathBuf {
    let path = place().join(reader).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// An error is right, a bug isn't.
fn typed<T>(result: Result<T>) {
    if let Err(error) = result {
        assert_ne!(error.fault(), Fault::Internal, "{error}");
    }
}

/// PPM, PNG, JPEG.
pub fn picture(bytes: &[u8]) {
    drop(picture::Picture::decode(bytes));
}

/// A table of pictures, in Kaggle's layout.
pub fn table(bytes: &[u8]) {
    let header = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n";
    file("table", "Train/0/00000_00000_00000.ppm", &noise(8, 8, 1));
    file("table", "Test/00000.ppm", &noise(8, 8, 2));
    let test = format!("{header}8,8,1,1,6,6,0,Test/00000.ppm\n");
    file("table", "Test.csv", test.as_bytes());
    let path = file("table", "Train.csv", bytes);
    ingest(&path.parent().unwrap().display().to_string(), &["--dry-run"]);
}

/// An official archive; its entries are read to their ends.
pub fn archive(bytes: &[u8]) {
    let class = "archive/GTSRB/Final_Training/Images/00000";
    file(class, "00000_00000.ppm", &noise(8, 8, 1));
    let row = "8;8;1;1;6;6";
    let header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2";
    let table = format!("{header};ClassId\r\n00000_00000.ppm;{row};0\r\n");
    file(class, "GT-00000.csv", table.as_bytes());
    let truth = format!("{header};ClassId\r\n00000.ppm;{row};0\r\n");
    file("archive", "GT-final_test.csv", truth.as_bytes());
    let path = file("archive", "GTSRB_Final_Test_Images.zip", bytes);
    ingest(&path.parent().unwrap().display().to_string(), &[]);
}

fn ingest(source: &str, more: &[&str]) {
    let run = place().join("run").display().to_string();
    let words = ["ingest", "--threads", "1", "--run", &run, "--source", source];
    let args = gtsrb_ingest::Args::parse_from(words.iter().chain(more));
    typed(gtsrb_ingest::run(&args));
}

/// `PyTorch`'s legacy format.
pub fn weights(bytes: &[u8]) {
    let path = file("weights", "x.pth", bytes).display().to_string();
    let run = place().join("run").display().to_string();
    let words = ["backbone", "--dry-run", "--run", &run, "--weights", &path];
    typed(gtsrb_backbone::run(&gtsrb_backbone::Args::parse_from(words)));
}

/// An ONNX model, and what can be tapped in it.
pub fn model(bytes: &[u8]) {
    let path = file("model", "x.onnx", bytes).display().to_string();
    typed(gtsrb_backbone::run(&gtsrb_backbone::Args::parse_from(["backbone", "describe", &path])));
}

/// The description of an artifact.
pub fn manifest(bytes: &[u8]) {
    let path = file("manifest", "manifest.json", bytes);
    typed(artifact::Manifest::read(path.parent().unwrap(), "stage"));
}

/// The keys, and the numbers in an embedding, of the seed for [`part`].
pub const PART: ([&[u8]; 3], usize) = ([b"a", b"b", b"c"], 4);

/// A part of the embedding cache, with the name that its bytes ask for: whoever may write into a
/// cache can do that.
pub fn part(bytes: &[u8]) {
    let (root, view) = (place().join("cache"), Hash::of(b"view"));
    // Of the one before.
    let _ = fs::remove_dir_all(&root);
    file(&format!("cache/{view}"), &format!("part-{}.parquet", Hash::of(bytes)), bytes);
    let keys = PART.0.map(Hash::of);
    typed(Cache::open(&root, view).and_then(|mut cache| {
        cache.forget_damaged()?;
        cache.gather(&keys, PART.1).map(drop)
    }));
}
