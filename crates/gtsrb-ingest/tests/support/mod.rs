//! Calls the real binary on sources made here.
#![allow(dead_code, missing_docs, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "only tests use it"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use picture::Picture;
use tempfile::TempDir;

/// What a call did.
pub struct Call {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Call {
    /// Asserts the exit code and that the error names `wanted`.
    pub fn fails(&self, code: i32, wanted: &str) {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        let error = self.stderr.lines().find(|line| line.starts_with("error: ingest: "));
        assert!(error.is_some(), "no error line: {}", self.stderr);
        assert!(self.stderr.contains(wanted), "{wanted:?} is not in: {}", self.stderr);
    }

    pub fn succeeds(&self) {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
    }
}

/// A folder for sources and runs.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Ingests `source` into the run `run`.
    pub fn ingest(&self, run: &str, source: &Path, flags: &[&str]) -> Call {
        let output = Command::new(env!("CARGO_BIN_EXE_gtsrb-ingest"))
            .arg("--run")
            .arg(self.path(run))
            .arg("--source")
            .arg(source)
            .args(flags)
            .output()
            .unwrap();
        Call {
            code: output.status.code().expect("no signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The bytes of all files in a run's images, but what depends on the source's times.
    pub fn images(&self, run: &str) -> BTreeMap<String, Vec<u8>> {
        let Ok(entries) = fs::read_dir(self.path(run).join("images")) else {
            return BTreeMap::new();
        };
        entries
            .map(|entry| entry.unwrap())
            .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
            .filter(|(name, _)| name != ".lock" && name != "source.stat")
            .collect()
    }
}

/// The folder with the small real set's archives, or a word that the test is skipped.
pub fn mini() -> Option<PathBuf> {
    let folder = std::env::var_os("GTSRB_MINI").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: GTSRB_MINI is not set (make test sets it)");
    }
    folder
}

/// Unpacks an archive.
pub fn unpack(archive: &Path, target: &Path) {
    let mut zip = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).unwrap();
        let path = target.join(entry.name().unwrap().as_ref());
        if entry.is_dir() {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        write(&path, bytes);
    }
}

/// Packs files below `root` into an archive, in the order given.
pub fn pack(archive: &Path, root: &Path, names: &[String]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(archive).unwrap());
    for name in names {
        zip.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&fs::read(root.join(name)).unwrap()).unwrap();
    }
    zip.finish().unwrap();
}

pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A picture that no other `content` gives.
pub fn drawing(width: u32, height: u32, content: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|i| (i * 7 + content * 13 + i * content / 11) as u8);
    let mut rgb: Vec<u8> = rgb.collect();
    rgb[..4].copy_from_slice(&content.to_le_bytes());
    Picture::new(width, height, rgb).unwrap()
}

pub const HEADER: &str = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n";
pub const TRAIN: &str = "GTSRB/Final_Training/Images";
pub const TEST: &str = "GTSRB/Final_Test/Images";

/// Writes the official layout: 2 classes of 2 tracks of 3 frames, and 4 test pictures.
pub fn official(root: &Path) {
    let mut truth = HEADER.to_owned();
    for class in 0..2u32 {
        let folder = root.join(TRAIN).join(format!("{class:05}"));
        let mut table = HEADER.to_owned();
        for frame in 0..6u32 {
            let (name, picture) = (
                format!("{:05}_{:05}.ppm", frame / 3, frame % 3),
                drawing(20 + frame, 16, class * 100 + frame),
            );
            write(&folder.join(&name), picture.to_ppm());
            let width = 20 + frame;
            write!(table, "{name};{width};16;2;2;15;13;{class}\r\n").unwrap();
        }
        write(&folder.join(format!("GT-{class:05}.csv")), table);
        for number in [class, class + 2] {
            let name = format!("{number:05}.ppm");
            write(&root.join(TEST).join(&name), drawing(18, 18, 1000 + number).to_ppm());
            write!(truth, "{name};18;18;3;3;14;14;{class}\r\n").unwrap();
        }
    }
    write(&root.join("GT-final_test.csv"), truth);
}

/// Replaces `from` by `to` in a file, where it must occur.
pub fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// The small real set, or without it a synthetic one in `place`.
pub fn real_or_drawn(place: &Place) -> PathBuf {
    mini().unwrap_or_else(|| {
        official(&place.path("source"));
        place.path("source")
    })
}
