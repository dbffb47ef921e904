//! Real frames through the stage, against Pillow and ONNX Runtime's Python package.

use std::path::Path;
use std::process::Command;

use crate::run::{Run, picture_as_image, runtime};
use artifact::images::{Image, Roi};
use picture::Picture;

fn read(folder: &Path, number: usize, kind: &str) -> Vec<u8> {
    std::fs::read(folder.join(format!("{number}.{kind}"))).unwrap()
}

fn frame(folder: &Path, number: usize) -> Image {
    let picture = Picture::decode(&read(folder, number, "ppm")).unwrap();
    let text = String::from_utf8(read(folder, number, "roi")).unwrap();
    let corners: Vec<i32> = text.split(' ').map(|corner| corner.parse().unwrap()).collect();
    let roi = Roi { x1: corners[0], y1: corners[1], x2: corners[2], y2: corners[3] };
    Image { roi, ..picture_as_image(&picture, number as u32) }
}

#[test]
fn embeddings_of_real_frames_equal_pythons() {
    let (Ok(python), Ok(mini)) = (std::env::var("ORACLE_PYTHON"), std::env::var("GTSRB_MINI"))
    else {
        println!("skipped: ORACLE_PYTHON or GTSRB_MINI is not set (make test sets them)");
        return;
    };
    if !runtime() {
        return;
    }
    let (count, out) = (200, tempfile::tempdir().unwrap());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(python)
        .arg(here.join("../../tests/oracles/embeddings.py"))
        .args([&mini, &out.path().display().to_string(), "200", "16", "0.1"])
        .arg(here.join("tests/fixtures/tiny.onnx"))
        .status()
        .unwrap();
    assert!(status.success());

    let frames: Vec<Image> = (0..count).map(|number| frame(out.path(), number)).collect();
    let run = Run::new(&frames);
    run.extract(&["--margin", "0.1", "--storage", "f32"]);
    let (_, matrix) = run.embeddings();
    for (number, row) in matrix.rows().into_iter().enumerate() {
        let bytes = read(out.path(), number, "f32");
        let expected = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        let largest = row.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest < 1e-5, "frame {number}: {largest}");
    }
    // A resize in the graph changes no bit.
    let other = Run::new(&frames);
    other.extract(&["--margin", "0.1", "--storage", "f32", "--resize", "device"]);
    assert_eq!(other.embeddings().1, matrix);
}
