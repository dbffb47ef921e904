//! Every layout, on real frames where `GTSRB_MINI` names them.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "only tests use it")]

mod support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use artifact::images::{Image, ImageSet, Split};
use image::codecs::jpeg::JpegEncoder;
use picture::Picture;
use support::{HEADER, Place, TEST, TRAIN, drawing, mini, official, real_or_drawn, unpack, write};

fn rows(run: &Path, split: Split) -> Vec<Image> {
    let set = ImageSet::open(run).unwrap();
    set.batches(split).flat_map(Result::unwrap).collect()
}

fn jpeg(content: u32) -> Vec<u8> {
    let picture = drawing(64, 48, content * 31);
    let mut bytes = Vec::new();
    JpegEncoder::new(&mut bytes)
        .encode(picture.rgb(), 64, 48, image::ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// Two classes of 40 pictures.
fn folder(root: &Path) {
    for (class, name) in ["bus", "Straße 7"].iter().enumerate() {
        for n in 0..40 {
            write(&root.join(name).join(format!("IMG_{n}.JPG")), jpeg(class as u32 * 40 + n));
        }
    }
}

#[test]
fn archives_and_folders_give_the_same_bytes() {
    let Some(mini) = mini() else { return };
    let place = Place::new();
    let call = place.ingest("zip", &mini, &["--json"]);
    call.succeeds();
    assert!(call.stdout.starts_with("1290 training and 860 test pictures of 43 classes"));
    let source = place.path("source");
    for part in ["Training_Images", "Test_Images", "Test_GT"] {
        unpack(&mini.join(format!("GTSRB_Final_{part}.zip")), &source);
    }
    place.ingest("folder", &source, &["--threads", "1"]).succeeds();
    assert_eq!(place.images("zip"), place.images("folder"));

    // The folder inside, with the table of classes put beside the test pictures.
    fs::rename(source.join("GT-final_test.csv"), source.join(TEST).join("GT-final_test.csv"))
        .unwrap();
    place.ingest("inside", &source.join("GTSRB"), &[]).succeeds();
    assert_eq!(place.images("zip"), place.images("inside"));
}

#[test]
fn stored_rows_are_those_of_the_source() {
    let place = Place::new();
    official(&place.path("source"));
    place.ingest("run", &place.path("source"), &[]).succeeds();
    let train = rows(&place.path("run"), Split::Train);
    assert_eq!(train.len(), 12);
    let row = &train[7];
    assert_eq!(row.path, format!("{TRAIN}/00001/00000_00001.ppm"));
    assert_eq!((row.label, row.frame, row.track.as_deref()), (1, Some(1), Some("00001_00000")));
    assert_eq!((row.width, row.height), (21, 16));
    assert_eq!((row.roi.x1, row.roi.y1, row.roi.x2, row.roi.y2), (2, 2, 15, 13));
    let picture = Picture::decode(&row.bytes).unwrap();
    assert_eq!(picture, drawing(21, 16, 101));
    assert_eq!(picture.hash(), row.pixels.0);
    let test = rows(&place.path("run"), Split::Test);
    assert_eq!(test.iter().map(|i| i.label).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert!(test.iter().all(|i| i.track.is_none() && i.frame.is_none()));
}

#[test]
fn the_competitions_folders_are_read() {
    let place = Place::new();
    let source = place.path("source/deeper");
    official(&source);
    fs::rename(source.join(TRAIN), source.join("GTSRB/Training")).unwrap();
    place.ingest("run", &place.path("source"), &[]).succeeds();
    let train = rows(&place.path("run"), Split::Train);
    assert_eq!(train[0].path, "GTSRB/Training/00000/00000_00000.ppm");
    assert_eq!((train.len(), train[0].track.as_deref()), (12, Some("00000_00000")));
}

#[test]
fn kaggle_gives_the_same_pictures() {
    let place = Place::new();
    let source = real_or_drawn(&place);
    place.ingest("official", &source, &[]).succeeds();
    let kaggle = place.path("kaggle");
    for (split, part) in [(Split::Train, "Train"), (Split::Test, "Test")] {
        let mut table = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n".to_owned();
        for row in rows(&place.path("official"), split) {
            let name = row.path.rsplit('/').next().unwrap().replace(".ppm", ".png");
            let path = match split {
                Split::Train => format!("{part}/{0}/{0:05}_{name}", row.label),
                Split::Test => format!("{part}/{name}"),
            };
            let roi = row.roi;
            let (width, height, label) = (row.width, row.height, row.label);
            let corners = format!("{},{},{},{}", roi.x1, roi.y1, roi.x2, roi.y2);
            writeln!(table, "{width},{height},{corners},{label},/code/{path}").unwrap();
            write(&kaggle.join(path), row.bytes);
        }
        write(&kaggle.join(format!("{part}.csv")), table);
    }
    write(&kaggle.join("Test/GT-final_test.csv"), HEADER);
    place.ingest("run", &kaggle, &[]).succeeds();
    for split in Split::ALL {
        let (ours, theirs) =
            (rows(&place.path("run"), split), rows(&place.path("official"), split));
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.into_iter().zip(theirs) {
            assert_eq!(a, Image { path: a.path.clone(), ..b });
        }
    }
}

#[test]
fn folders_are_parted_and_kept_byte_for_byte() {
    let place = Place::new();
    let source = place.path("signs");
    folder(&source);
    for junk in [".DS_Store", "bus/Thumbs.db", "bus/notes.txt", "__MACOSX/bus/._IMG_0.JPG"] {
        write(&source.join(junk), "junk");
    }
    place.ingest("run", &source, &[]).succeeds();
    let set = ImageSet::open(&place.path("run")).unwrap();
    assert_eq!(set.classes(), ["Straße 7", "bus"]);
    let (train, test) =
        (rows(&place.path("run"), Split::Train), rows(&place.path("run"), Split::Test));
    assert_eq!((train.len(), test.len()), (64, 16));
    assert_eq!(test.iter().filter(|i| i.label == 0).count(), 8);
    for row in train.iter().chain(&test) {
        assert_eq!(row.bytes, fs::read(source.join(&row.path)).unwrap());
        assert_eq!((row.width, row.height), (64, 48));
        assert_eq!((row.roi.x1, row.roi.y1, row.roi.x2, row.roi.y2), (0, 0, 63, 47));
    }
    place.ingest("again", &source, &["--seed", "2"]).succeeds();
    assert_ne!(rows(&place.path("again"), Split::Test), test);
    place.ingest("half", &source, &["--test", "0.5"]).succeeds();
    assert_eq!(rows(&place.path("half"), Split::Test).len(), 40);
}

#[test]
fn stored_pixels_are_the_pictures() {
    let place = Place::new();
    let source = place.path("signs");
    folder(&source);
    write(&source.join("bus/a.png"), drawing(9, 7, 5000).to_png().unwrap());
    write(&source.join("bus/b.ppm"), drawing(7, 9, 5001).to_ppm());
    place.ingest("file", &source, &[]).succeeds();
    place.ingest("pixels", &source, &["--store", "pixels"]).succeeds();
    for split in Split::ALL {
        let files = rows(&place.path("file"), split);
        for (file, pixels) in files.into_iter().zip(rows(&place.path("pixels"), split)) {
            let picture = Picture::decode(&file.bytes).unwrap();
            assert_eq!(pixels, Image { bytes: picture.to_ppm(), ..file });
        }
    }
}

#[test]
fn equal_pictures_stay_on_one_side() {
    let place = Place::new();
    let source = place.path("signs");
    folder(&source);
    for n in 0..20 {
        let name = source.join(format!("bus/IMG_{n}.JPG"));
        fs::copy(&name, source.join(format!("bus/copy {n}.jpeg"))).unwrap();
    }
    place.ingest("run", &source, &[]).succeeds();
    let manifest = ImageSet::open(&place.path("run")).unwrap().manifest().clone();
    let counters: BTreeMap<_, _> = manifest.counters;
    assert_eq!(counters["duplicates_across_splits"], 0);
    assert_eq!(counters["duplicates_within_train"] + counters["duplicates_within_test"], 20);
}

#[test]
fn labels_are_corrected() {
    let place = Place::new();
    let source = place.path("signs");
    folder(&source);
    let labels = place.path("labels.csv");
    let flags = ["--labels", labels.to_str().unwrap()];
    place.ingest("run", &source, &flags).fails(66, "labels.csv");
    write(&labels, "path,label\nbus/IMG_3.JPG,0\nbus/IMG_4.JPG,exclude\nbus/IMG_5.JPG,\n");
    place.ingest("run", &source, &flags).succeeds();
    let all = || [Split::Train, Split::Test].map(|split| rows(&place.path("run"), split)).concat();
    let label = |name: &str| all().iter().find(|i| i.path.ends_with(name)).map(|i| i.label);
    assert_eq!(all().len(), 79);
    let found = ["bus/IMG_3.JPG", "bus/IMG_4.JPG", "bus/IMG_5.JPG"].map(label);
    assert_eq!(found, [Some(0), None, Some(1)]);
    // What the file says decides, not its name.
    write(&labels, "path,label\nbus/IMG_3.JPG,bus\n");
    place.ingest("run", &source, &flags).succeeds();
    assert_eq!((all().len(), label("bus/IMG_3.JPG")), (80, Some(1)));
    write(&labels, "path,label\nbus/IMG_99.JPG,1\n");
    place.ingest("run", &source, &flags).fails(65, "bus/IMG_99.JPG");
    write(&labels, "path,label\nbus/IMG_3.JPG,tram\n");
    place.ingest("run", &source, &flags).fails(65, "tram");
    assert_eq!(all().len(), 80);
}

#[test]
fn train_and_test_folders_are_kept_apart() {
    let place = Place::new();
    let source = place.path("signs");
    folder(&source.join("train"));
    write(&source.join("test/bus/a.png"), drawing(9, 9, 5000).to_png().unwrap());
    write(&source.join("test/Straße 7/b.ppm"), drawing(9, 9, 5001).to_ppm());
    place.ingest("run", &source, &[]).succeeds();
    assert_eq!(rows(&place.path("run"), Split::Train).len(), 80);
    let test = rows(&place.path("run"), Split::Test);
    assert_eq!(test[0].path, "test/Straße 7/b.ppm");
    assert!(test[0].bytes.starts_with(b"\x89PNG") && test.len() == 2);
    write(&source.join("test/tram/c.png"), drawing(9, 9, 5002).to_png().unwrap());
    place.ingest("run", &source, &[]).fails(65, "class tram has no training pictures");
}

#[test]
fn a_part_for_validation_is_the_test_or_learned_from() {
    let place = Place::new();
    let source = place.path("signs");
    folder(&source.join("training"));
    write(&source.join("val/bus/a.png"), drawing(9, 9, 5000).to_png().unwrap());
    let counts = || [Split::Train, Split::Test].map(|split| rows(&place.path("run"), split).len());
    let call = place.ingest("run", &source, &[]);
    call.succeeds();
    assert!(call.stderr.contains("folder val are the test"), "{}", call.stderr);
    assert_eq!(counts(), [80, 1]);
    write(&source.join("testing/bus/b.png"), drawing(9, 9, 5001).to_png().unwrap());
    write(&source.join("testing/Straße 7/c.png"), drawing(9, 9, 5002).to_png().unwrap());
    let call = place.ingest("run", &source, &[]);
    call.succeeds();
    assert!(call.stderr.contains("folder val is learned from"), "{}", call.stderr);
    assert_eq!(counts(), [81, 2]);
    fs::rename(source.join("training"), place.path("away")).unwrap();
    place.ingest("run", &source, &[]).fails(65, "no folder train beside them");
}

#[test]
fn other_tools_read_it() {
    let Some(python) = std::env::var_os("ORACLE_PYTHON") else {
        println!("skipped: ORACLE_PYTHON is not set (make test sets it)");
        return;
    };
    let place = Place::new();
    let source = real_or_drawn(&place);
    for store in ["file", "pixels"] {
        place.ingest(store, &source, &["--store", store]).succeeds();
        read_with_other_tools(&python, &place, &place.path(store));
    }
}

fn read_with_other_tools(python: &OsStr, place: &Place, run: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles/read_images.py");
    let output = std::process::Command::new(python)
        .arg(script)
        .arg(run)
        .arg(place.path("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", place.path("huggingface"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Fails where the same pictures make other bytes: then raise the number in `VERSION` of `lib.rs`,
/// so that nobody takes the old ones as up to date, and write both here.
#[test]
fn other_bytes_have_another_revision() {
    let place = Place::new();
    official(&place.path("source"));
    place.ingest("run", &place.path("source"), &[]).succeeds();
    let manifest: serde_json::Value =
        serde_json::from_slice(&place.images("run")["manifest.json"]).unwrap();
    let tables = manifest["outputs"].as_object().unwrap().iter();
    let tables = tables.filter(|(name, _)| name.ends_with(".parquet"));
    let hashes: String = tables.map(|(_, file)| file["hash"].to_string()).collect();
    let version = manifest["work"]["version"].as_str().unwrap();
    let made = (version.rsplit('+').next(), artifact::Hash::of(hashes.as_bytes()).to_string());
    assert_eq!((made.0, &made.1[..16]), (Some("1"), "06f3203c761c742a"));
}
