//! Bad input: the exit code, a message that names file and reason, and nothing written.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "only tests use it")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{HEADER, Place, TEST, TRAIN, drawing, edit, mini, official, write};

/// Ingests a good set, breaks the source, and expects `code` with `wanted` in the message
/// and the earlier images as they were; then the repaired source must give them again.
fn broken(breaks: impl FnOnce(&Path), code: i32, wanted: &str) {
    let place = Place::new();
    let source = place.path("source");
    official(&source);
    place.ingest("run", &source, &[]).succeeds();
    let before = place.images("run");
    // Of two splits: pictures and index; the card, and the manifest.
    assert_eq!(before.len(), 6);
    breaks(&source);
    place.ingest("run", &source, &[]).fails(code, wanted);
    assert_eq!(place.images("run"), before, "earlier images were touched");
    place.ingest("new", &source, &[]).fails(code, wanted);
    assert_eq!(place.images("new").len(), 0, "something was written");
    // The source itself may be what was broken.
    let _ = fs::remove_dir_all(&source);
    official(&source);
    place.ingest("run", &source, &[]).succeeds();
    assert_eq!(place.images("run"), before);
}

const PICTURE: &str = "GTSRB/Final_Training/Images/00001/00000_00001.ppm";
const TABLE: &str = "GTSRB/Final_Training/Images/00001/GT-00001.csv";
const ROW: &str = "00000_00001.ppm;21;16;2;2;15;13;1";

#[test]
fn wrong_pictures() {
    type Break = fn(&Path);
    let cases: [(Break, i32, &str); 7] = [
        (
            |p| fs::write(p, &fs::read(p).unwrap()[..500]).unwrap(),
            65,
            "damaged: 487 bytes of pixels, not 1008",
        ),
        (|p| fs::write(p, "").unwrap(), 65, "the file is empty"),
        (|p| fs::write(p, "<html>").unwrap(), 65, "not a picture"),
        (
            |p| fs::write(p, drawing(22, 16, 3).to_ppm()).unwrap(),
            65,
            "22x16 pixels, but its table says 21x16",
        ),
        (|p| fs::write(p, b"P6 60000 60000 255\n").unwrap(), 65, "60000x60000 pixels are too many"),
        (|p| fs::remove_file(p).unwrap(), 66, "not there, but"),
        (|p| fs::rename(p, p.with_extension("PPM")).unwrap(), 66, "not there, but"),
    ];
    for (break_it, code, reason) in cases {
        let wanted = format!("{PICTURE}: {reason}");
        broken(|source| break_it(&source.join(PICTURE)), code, &wanted);
    }
}

#[test]
fn wrong_rows() {
    let row = |end: &str| format!("00000_00001.ppm;21;16;{end}");
    for (row, wanted) in [
        (row("2;2;15;13;43"), "GT-00001.csv:3: ClassId 43 is not 0 to 42"),
        (row("2;2;15;13;-1"), "ClassId -1 is not 0 to 42"),
        (row("2;2;15;13;0"), "ClassId 0 in the folder of class 1"),
        (row("2;2;15;13;7.0"), "GT-00001.csv:3: ClassId is \"7.0\", not a whole number"),
        (row("2;2;21;13;1"), "the ROI (2, 2)-(21, 13) is not inside 21x16 pixels"),
        (row("15;2;2;13;1"), "the ROI (15, 2)-(2, 13)"),
        (row("2;2;15;1"), "7 fields, not 8"),
        (format!("{ROW}\r\n00000_00001.ppm;21;16;2;2;15;12;1"), "differs from an earlier row"),
    ] {
        broken(|source| edit(&source.join(TABLE), ROW, &row), 65, wanted);
    }
}

#[test]
fn wrong_tables_and_folders() {
    type Break = fn(&Path);
    let cases: [(Break, i32, &str); 9] = [
        (|s| edit(&s.join(TABLE), "Roi.X1", "X1"), 65, "no column Roi.X1"),
        (|s| edit(&s.join("GT-final_test.csv"), ";ClassId", ""), 65, "GTSRB_Final_Test_GT.zip"),
        (
            |s| {
                fs::rename(
                    s.join("GT-final_test.csv"),
                    s.join(TEST).join("GT-final_test.test.csv"),
                )
                .unwrap();
            },
            66,
            "GTSRB_Final_Test_GT.zip",
        ),
        (|s| fs::remove_dir_all(s.join(TEST)).unwrap(), 66, "GTSRB_Final_Test_Images.zip"),
        (|s| fs::remove_dir_all(s.join(TRAIN)).unwrap(), 66, "GTSRB_Final_Training_Images.zip"),
        (|s| fs::remove_file(s.join(TABLE)).unwrap(), 66, "GT-00001.csv is not there"),
        (
            |s| fs::rename(s.join(TRAIN).join("00001"), s.join(TRAIN).join(" 1")).unwrap(),
            65,
            "must be numbers",
        ),
        (|s| fs::remove_dir_all(s).unwrap(), 66, "source"),
        (
            |s| {
                fs::remove_dir_all(s).unwrap();
                fs::create_dir(s).unwrap();
            },
            65,
            "one folder a class",
        ),
    ];
    for (break_it, code, wanted) in cases {
        broken(break_it, code, wanted);
    }
}

#[test]
fn one_picture_in_two_classes() {
    let other = format!("{TRAIN}/00000/00000_00001.ppm");
    broken(
        |source| assert!(fs::copy(source.join(&other), source.join(PICTURE)).is_ok()),
        65,
        &format!(
            "{other}: of class Speed limit (20km/h), but the same picture is in class Speed \
             limit (30km/h): {PICTURE}"
        ),
    );
}

#[test]
fn special_files() {
    broken(|source| symlink("gone.ppm", source.join("dangling.ppm")).unwrap(), 66, "dangling.ppm");
    let pipe = |source: &Path| {
        assert!(Command::new("mkfifo").arg(source.join("pipe.ppm")).status().unwrap().success());
    };
    broken(pipe, 65, "pipe.ppm is a pipe");
    broken(|source| symlink("/dev/zero", source.join("zero.ppm")).unwrap(), 65, "zero.ppm");
    let place = Place::new();
    official(&place.path("source"));
    symlink(".", place.path("source/loop")).unwrap();
    let call = place.ingest("run", &place.path("source"), &[]);
    call.succeeds();
    assert!(call.stderr.contains("loop: a link to a folder, not followed"), "{}", call.stderr);
}

#[test]
fn skipping_writes_the_others() {
    let place = Place::new();
    let source = place.path("source");
    official(&source);
    fs::write(source.join(PICTURE), "P6 1 1 255\n").unwrap();
    fs::copy(source.join(TEST).join("00000.ppm"), source.join(TEST).join("00001.ppm")).unwrap();
    write(&source.join(TRAIN).join("00000/more.ppm"), drawing(9, 9, 9).to_ppm());
    edit(
        &source.join(TRAIN).join("00000/GT-00000.csv"),
        HEADER,
        &format!("{HEADER}00000_00000.ppm;20;16;2;2;15;13;0\n"),
    );
    let call = place.ingest("run", &source, &["--on-error", "skip"]);
    call.succeeds();
    let manifest: Value = serde_json::from_slice(&place.images("run")["manifest.json"]).unwrap();
    for (counter, count) in [
        ("train_images", 11),
        ("test_images", 2),
        ("rejected", 3),
        ("unlisted_pictures", 1),
        ("repeated_rows", 1),
    ] {
        assert_eq!(manifest["counters"][counter], count, "{counter}");
    }
    let rejected = manifest["facts"]["rejected"].as_array().unwrap();
    assert_eq!(rejected[2]["path"], PICTURE);
    assert!(rejected[0]["reason"].as_str().unwrap().contains("same picture"));
}

#[test]
fn pictures_that_are_not_read_are_named() {
    let place = Place::new();
    for class in ["a", "b"] {
        for n in 0..4u32 {
            let picture = drawing(9, 9, n + u32::from(class == "b") * 10);
            write(
                &place.path("source").join(class).join(format!("{n}.png")),
                picture.to_png().unwrap(),
            );
        }
    }
    write(&place.path("source/a/IMG_1.HEIC"), b"\0\0\0\x18ftypheic\0\0\0\0");
    write(&place.path("source/loose.jpg"), "x");
    let call = place.ingest("run", &place.path("source"), &[]);
    call.fails(65, "a/IMG_1.HEIC: HEIC is not supported; convert it to PNG or JPEG");
    assert!(call.stderr.contains("loose.jpg: not in the folder of a class"), "{}", call.stderr);
}

#[test]
fn folders_that_are_not_classes() {
    type Arrange = fn(&dyn Fn(&str));
    let cases: [(Arrange, &str); 9] = [
        (|_| (), "no PNG or JPEG pictures"),
        (|add| add("1.png"), "1 pictures, but in no folder of a class"),
        (|add| add("1.png"), "if they are one class, give the folder above"),
        (|add| add("flowers.tar.gz"), "if they are in flowers.tar.gz, unpack it first"),
        (|add| add("cat/1.png"), "cat is the only folder with pictures; arrange them as CLASS/"),
        (|add| add("all/cat/1.png"), "if the folders in all are the classes, give that folder"),
        (
            |add| ["cat/1.png", "dog/1.png"].into_iter().for_each(add),
            "no picture to test with: add",
        ),
        (
            |add| ["train/cat/1.png", "train/dog/1.png", "new/cat/2.png"].into_iter().for_each(add),
            "the folder new is beside train, but the parts are train, val and test alone",
        ),
        (
            |add| {
                ["train/a/1.png", "train/b/1.png", "test/c/1.png", "test/a/2.png"]
                    .into_iter()
                    .for_each(add);
            },
            "test/c/1.png: class c has no training pictures",
        ),
    ];
    for (arrange, wanted) in cases {
        let place = Place::new();
        fs::create_dir(place.path("source")).unwrap();
        let content = std::cell::Cell::new(0);
        arrange(&|name| {
            content.set(content.get() + 1);
            let picture = drawing(9, 9, content.get()).to_png().unwrap();
            write(&place.path("source").join(name), picture);
        });
        let call = place.ingest("run", &place.path("source"), &[]);
        call.fails(65, wanted);
        assert!(place.images("run").is_empty());
    }
}

#[test]
fn an_archive_in_place_of_a_folder_is_to_be_unpacked() {
    let place = Place::new();
    write(&place.path("pictures.zip"), "PK");
    let call = place.ingest("run", &place.path("pictures.zip"), &[]);
    call.fails(65, "pictures.zip is not a folder; give the folder with the pictures");
    assert!(call.stderr.contains("unpack other archives first"), "{}", call.stderr);
}

#[test]
fn a_class_without_a_picture_that_can_be_used_is_named() {
    let place = Place::new();
    for n in 0..12u32 {
        let class = ["cat", "dog", "broken"][n as usize / 4];
        let picture = if class == "broken" { vec![] } else { drawing(9, 9, n).to_png().unwrap() };
        write(&place.path("source").join(class).join(format!("{n}.png")), picture);
    }
    let source = place.path("source");
    place.ingest("run", &source, &[]).fails(65, "broken/10.png: the file is empty");
    let call = place.ingest("run", &source, &["--on-error", "skip"]);
    call.succeeds();
    let wanted = "class broken has no picture that can be used: it is never predicted";
    assert!(call.stderr.contains(wanted), "{}", call.stderr);
}

#[test]
fn what_becomes_of_folders_is_said() {
    let place = Place::new();
    for n in 0..11u32 {
        let class = ["a cat", "<b>dog</b>", "single"][n as usize / 5];
        let picture = drawing(9, 9, n).to_png().unwrap();
        write(&place.path("source").join(class).join(format!("{n}.png")), picture);
    }
    write(&place.path("source/a cat/notes"), "");
    // None of these is a class.
    for (name, content) in [(".DS_Store/x.png", 90), ("__MACOSX/b/._1.png", 91)] {
        write(&place.path("source").join(name), drawing(9, 9, content).to_png().unwrap());
    }
    write(&place.path("source/Thumbs.db/x"), "");
    fs::create_dir(place.path("source/empty")).unwrap();
    let call = place.ingest("run", &place.path("source"), &[]);
    call.succeeds();
    assert!(call.stdout.contains("3 classes"), "{}", call.stdout);
    for line in ["  a cat: 4 training, 1 test", "  single: 1 training, 0 test"] {
        assert!(call.stdout.lines().any(|l| l == line), "{line:?} is not in: {}", call.stdout);
    }
    assert!(!call.stdout.contains("set: "), "{}", call.stdout);
    for warning in [
        "class single has no two different pictures",
        "without a picture's ending are left out, such as",
        "1 folders hold no PNG or JPEG pictures and are no classes, such as empty",
    ] {
        assert!(call.stderr.contains(warning), "{warning:?} is not in: {}", call.stderr);
    }
}

#[test]
fn wrong_settings() {
    let place = Place::new();
    official(&place.path("source"));
    let config = place.path("x.toml");
    let config = config.to_str().unwrap();
    for (text, wanted) in [
        ("[ingest]\nsorce = \"x\"\n", "sorce"),
        ("[ingst]\n", "ingst"),
        ("[ingest]\ntest = 1.0\n", "no share"),
        ("[ingest]\non_error = \"stop\"\n", "stop"),
    ] {
        write(Path::new(config), text);
        place.ingest("run", &place.path("source"), &["--config", config]).fails(78, wanted);
    }
    let none = Command::new(env!("CARGO_BIN_EXE_gtsrb-ingest"))
        .arg("--run")
        .arg(place.path("run"))
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(64));
    assert!(!place.path("run").exists());
}

#[test]
fn up_to_date_means_the_same_content() {
    let place = Place::new();
    let source = place.path("source");
    official(&source);
    let ingest =
        |flags: &[&str]| place.ingest("run", &source, &[&["--skip-code"], flags].concat()).code;
    let plan = place.ingest("run", &source, &["--dry-run"]);
    assert!(plan.stdout.contains("12 training pictures and 4 test pictures"), "{}", plan.stdout);
    assert!(!place.path("run").exists());
    assert_eq!((ingest(&[]), ingest(&[])), (0, 99));
    let before = place.images("run");
    // Touched, but the same; then really another picture; then back.
    let picture = source.join(PICTURE);
    let bytes = fs::read(&picture).unwrap();
    fs::write(&picture, &bytes).unwrap();
    assert_eq!((ingest(&[]), ingest(&[])), (99, 99));
    fs::write(&picture, drawing(21, 16, 77).to_ppm()).unwrap();
    assert_eq!((ingest(&[]), ingest(&[])), (0, 99));
    assert_ne!(place.images("run"), before);
    fs::write(&picture, &bytes).unwrap();
    assert_eq!(ingest(&[]), 0);
    assert_eq!(place.images("run"), before);
    // Damaged outputs are made anew.
    fs::write(place.path("run/images/train-00000-of-00001.parquet"), "x").unwrap();
    assert_eq!((ingest(&[]), ingest(&[])), (0, 99));
    assert_eq!(place.images("run"), before);
    assert_eq!(ingest(&["--on-error", "skip"]), 0);
}

#[test]
fn a_signal_leaves_all_or_nothing() {
    let Some(mini) = mini() else { return };
    let place = Place::new();
    place.ingest("good", &mini, &[]).succeeds();
    let good = place.images("good");
    for (n, signal) in ["-INT", "-TERM", "-KILL", "-KILL", "-INT", "-KILL"].iter().enumerate() {
        let run = format!("run{n}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_gtsrb-ingest"))
            .arg("--run")
            .arg(place.path(&run))
            .arg("--source")
            .arg(&mini)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + 60 * n as u64));
        let _ = Command::new("kill").args([*signal, &child.id().to_string()]).status();
        let code = child.wait().unwrap().code();
        assert!(matches!(code, None | Some(0 | 130 | 143)), "{code:?}");
        let images = place.images(&run);
        assert!(!images.contains_key("manifest.json") || images == good);
        place.ingest(&run, &mini, &[]).succeeds();
        assert_eq!(place.images(&run), good);
    }
}
