//! Real frames, framed by us and by Pillow: equal to the last bit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test's helpers"
)]

use std::path::Path;
use std::process::Command;

use artifact::images::Roi;
use embed::{Crop, Framing};
use picture::Picture;

fn oracle(out: &Path, count: usize, size: usize, margin: f64) -> bool {
    let (Ok(python), Ok(mini)) = (std::env::var("ORACLE_PYTHON"), std::env::var("GTSRB_MINI"))
    else {
        println!("skipped: ORACLE_PYTHON or GTSRB_MINI is not set (make test sets them)");
        return false;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles/embeddings.py");
    let status = Command::new(python)
        .arg(script)
        .args([&mini, &out.display().to_string()])
        .args([count.to_string(), size.to_string(), margin.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    true
}

fn read(folder: &Path, number: usize, kind: &str) -> Vec<u8> {
    std::fs::read(folder.join(format!("{number}.{kind}"))).unwrap()
}

fn roi(text: &[u8]) -> Roi {
    let text = std::str::from_utf8(text).unwrap();
    let corners: Vec<i32> = text.split(' ').map(|corner| corner.parse().unwrap()).collect();
    Roi { x1: corners[0], y1: corners[1], x2: corners[2], y2: corners[3] }
}

#[test]
fn framing_equals_pillows() {
    let count = 120;
    // Up and down, even and odd.
    for (size, margin) in [(96, 0.0), (96, 0.25), (33, 0.0), (16, 0.1), (224, 0.0), (7, 1.0)] {
        let out = tempfile::tempdir().unwrap();
        if !oracle(out.path(), count, size, margin) {
            return;
        }
        let framing = Framing { crop: Crop::Roi, margin, size };
        for number in 0..count {
            let picture = Picture::decode(&read(out.path(), number, "ppm")).unwrap();
            let roi = roi(&read(out.path(), number, "roi"));
            let mut ours = vec![0; size * size * 3];
            framing.frame_picture(&picture, Some(&roi), &mut ours).unwrap();
            let theirs = read(out.path(), number, "rgb");
            assert!(ours == theirs, "frame {number} at {size}, margin {margin}");
        }
    }
}
