//! Zip archives that are damaged or hostile.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "only tests use it")]

mod support;

use std::fs;

use support::{Place, TEST, TRAIN, official, pack};

/// The three archives of the small synthetic set.
fn archives(place: &Place) -> std::path::PathBuf {
    let (source, zips) = (place.path("source"), place.path("zips"));
    official(&source);
    fs::create_dir(&zips).unwrap();
    let mut train = Vec::new();
    for class in 0..2 {
        train.push(format!("{TRAIN}/{class:05}/GT-{class:05}.csv"));
        train.extend((0..6).map(|f| format!("{TRAIN}/{class:05}/{:05}_{:05}.ppm", f / 3, f % 3)));
    }
    let test: Vec<_> = (0..4).map(|n| format!("{TEST}/{n:05}.ppm")).collect();
    pack(&zips.join("GTSRB_Final_Training_Images.zip"), &source, &train);
    pack(&zips.join("GTSRB_Final_Test_Images.zip"), &source, &test);
    pack(&zips.join("GTSRB_Final_Test_GT.zip"), &source, &["GT-final_test.csv".to_owned()]);
    zips
}

#[test]
fn damaged_archives_never_give_other_images() {
    let place = Place::new();
    let zips = archives(&place);
    place.ingest("good", &zips, &[]).succeeds();
    let good = place.images("good");
    let archive = zips.join("GTSRB_Final_Training_Images.zip");
    let whole = fs::read(&archive).unwrap();
    for n in 0..64 {
        fs::write(&archive, &whole[..whole.len() * n / 64]).unwrap();
        place.ingest("cut", &zips, &[]).fails(65, "GTSRB_Final_Training_Images.zip");
        let mut flipped = whole.clone();
        flipped[whole.len() * n / 64 + n] ^= 1 << (n % 8);
        fs::write(&archive, flipped).unwrap();
        let call = place.ingest(&format!("flip{n}"), &zips, &[]);
        let images = place.images(&format!("flip{n}"));
        // A flip may hit what nobody reads, such as a time; names in the directory are read.
        match call.code {
            0 => assert_eq!(images, good, "flip {n}"),
            code => assert!(
                (code == 65 || code == 66) && images.is_empty(),
                "flip {n}: {}",
                call.stderr
            ),
        }
    }
}

#[test]
fn archives_that_lead_elsewhere() {
    let place = Place::new();
    let zips = archives(&place);
    let archive = zips.join("GTSRB_Final_Training_Images.zip");
    let whole = fs::read(&archive).unwrap();
    let replace = |from: &[u8], to: &[u8]| {
        let mut bytes = whole.clone();
        for at in 0..bytes.len() - from.len() {
            if bytes[at..].starts_with(from) {
                bytes[at..at + from.len()].copy_from_slice(to);
            }
        }
        fs::write(&archive, bytes).unwrap();
    };
    replace(b"GTSRB/Final_Training", b"../../../../Training");
    place.ingest("run", &zips, &[]).fails(65, "leads elsewhere");
    replace(b"00000/00000_00000.ppm", b"00000/00000_00001.ppm");
    place.ingest("run", &zips, &[]).fails(65, "GTSRB_Final_Training_Images.zip");
}
