//! The binary, from the outside.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gtsrb-sample")).args(args).output().unwrap()
}

fn draw(run_dir: &Path, seed: &str, threads: &str) -> PathBuf {
    let dir = run_dir.to_str().unwrap();
    let small = ["--tracks", "1", "--test", "45", "--quiet"];
    let output = run(&[&["--run", dir, "--seed", seed, "--threads", threads], &small[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    run_dir.join("data")
}

/// Every file but the lock, by its path in the folder.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".lock") {
                let name = path.strip_prefix(root).unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// A table's rows of fields, after checks of its header and line ends.
fn rows(table: &[u8], header: &str) -> Vec<Vec<String>> {
    let text = std::str::from_utf8(table).unwrap();
    assert!(text.ends_with("\r\n"));
    let mut lines = text.split_terminator("\r\n");
    assert_eq!(lines.next(), Some(header));
    lines.map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

const HEADER: &str = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2";

/// Checks a picture against its row: exact PPM, box inside with its border.
fn check(picture: &[u8], row: &[String]) {
    let number: Vec<usize> = row[1..].iter().map(|field| field.parse().unwrap()).collect();
    let (width, height) = (number[0], number[1]);
    let header = format!("P6\n{width} {height}\n255\n");
    assert!(picture.starts_with(header.as_bytes()), "{}", row[0]);
    assert_eq!(picture.len(), header.len() + width * height * 3, "{}", row[0]);
    let [left, top, right, bottom] = number[2..6] else { panic!("{row:?}") };
    assert!(left >= 2 && top >= 2 && left + 10 < right && top + 10 < bottom, "{row:?}");
    assert!(right < width && bottom < height, "{row:?}");
}

#[test]
fn the_layout_is_the_official_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&draw(dir.path(), "1", "2"));
    let header = format!("{HEADER};ClassId");
    for class in 0..43 {
        let folder = PathBuf::from(format!("GTSRB/Final_Training/Images/{class:05}"));
        let rows = rows(&files[&folder.join(format!("GT-{class:05}.csv"))], &header);
        assert_eq!(rows.len(), 30);
        for (frame, row) in rows.iter().enumerate() {
            assert_eq!(row[0], format!("00000_{frame:05}.ppm"));
            assert_eq!(row[7], class.to_string());
            check(&files[&folder.join(&row[0])], row);
        }
        let width = |frame: usize| rows[frame][1].parse::<u32>().unwrap();
        assert!(width(29) > width(0), "class {class} doesn't grow");
    }
    let folder = PathBuf::from("GTSRB/Final_Test/Images");
    let truth = rows(&files[Path::new("GT-final_test.csv")], &header);
    let blind = rows(&files[&folder.join("GT-final_test.test.csv")], HEADER);
    assert_eq!(truth.len(), 45);
    for (number, (row, blind)) in truth.iter().zip(&blind).enumerate() {
        assert_eq!(row[0], format!("{number:05}.ppm"));
        assert_eq!(row[..7], blind[..]);
        check(&files[&folder.join(&row[0])], row);
    }
    assert_eq!(files.len(), 43 * 31 + 45 + 3);
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let one = files(&draw(dirs[0].path(), "7", "1"));
    let two = files(&draw(dirs[1].path(), "7", "2"));
    assert!(one == two);
    let other = files(&draw(dirs[2].path(), "8", "2"));
    let differ = one.iter().filter(|(name, bytes)| other.get(*name) != Some(*bytes)).count();
    assert_eq!(differ, one.len());
}

/// If this fails, pictures have changed for everybody: say so in the changelog and raise the
/// version, or find out what made this machine differ.
#[test]
fn pictures_have_not_drifted() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&draw(dir.path(), "1", "2"));
    let mut hasher = blake3::Hasher::new();
    for class in [0, 12, 14, 28, 40, 42] {
        for frame in [0, 15, 29] {
            let name = format!("GTSRB/Final_Training/Images/{class:05}/00000_{frame:05}.ppm");
            hasher.update(&files[Path::new(&name)]);
        }
    }
    let golden = "e166da4585be9b83f072353adba0ccd01071d9bb1db3dda679747a8f4e86b23f";
    assert_eq!(hasher.finalize().to_hex().as_str(), golden);
}

#[test]
fn a_second_run_is_up_to_date_and_a_plan_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let planned = run(&["--run", path, "--dry-run"]);
    assert!(planned.status.success());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    draw(dir.path(), "3", "2");
    let flags = ["--run", path, "--seed", "3", "--tracks", "1", "--test", "45", "--skip-code"];
    assert_eq!(run(&flags).status.code(), Some(99));
}

#[test]
fn mistakes_in_settings_are_configuration_errors() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("sample.toml");
    let path = config.to_str().unwrap();
    for (text, named) in [("track = 3", "track"), ("tracks = 0", "tracks"), ("test = 0", "test")] {
        fs::write(&config, format!("[sample]\n{text}\n")).unwrap();
        let output = run(&["--config", path, "--run", dir.path().to_str().unwrap()]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{message}");
        assert!(message.contains(named), "{message}");
        assert!(!dir.path().join("data").exists());
    }
    assert_eq!(run(&["--no-such-flag"]).status.code(), Some(64));
}
