//! The demo page: its answers in a browser are those of `gtsrb-predict`.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::images::{ImageSet, Split};
use end_to_end::{Place, ready, root, snapshot, succeed, texts, variable};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;

fn predict() -> Command {
    Command::new(root().join("target/release/gtsrb-predict"))
}

/// A JPEG file whose EXIF segment says that the camera was turned.
fn turned(sign: RgbImage) -> Vec<u8> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&sign).unwrap();
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() + 2) as u16;
    [&jpeg[..2], &[0xff, 0xe1], &length.to_be_bytes(), &exif, &jpeg[2..]].concat()
}

/// Every twentieth test sign, cut out and saved, each third with some transparency, others as
/// photographs of a turned camera.
fn signs(run: &Path, folder: PathBuf) -> PathBuf {
    std::fs::create_dir(&folder).unwrap();
    let images = ImageSet::open(run).unwrap();
    let images = images.batches(Split::Test).flat_map(|batch| batch.unwrap());
    for (place, image) in images.step_by(20).enumerate() {
        let picture = image::load_from_memory(&image.bytes).unwrap();
        let (roi, side) = (image.roi, |first: i32, last: i32| (last - first + 1) as u32);
        let (width, height) = (side(roi.x1, roi.x2), side(roi.y1, roi.y2));
        let mut sign = picture.crop_imm(roi.x1 as u32, roi.y1 as u32, width, height).to_rgba8();
        if place % 3 == 0 {
            sign.enumerate_pixels_mut().for_each(|(x, _, pixel)| pixel[3] = (x * 5) as u8);
        }
        if place % 5 == 1 {
            let sign = image::DynamicImage::ImageRgba8(sign).to_rgb8();
            std::fs::write(folder.join(format!("{place:04}.jpg")), turned(sign)).unwrap();
        } else {
            sign.save(folder.join(format!("{place:04}.png"))).unwrap();
        }
    }
    folder
}

/// Compares the page of `run` with `gtsrb-predict`: probabilities may differ by `tolerance`.
fn check_answers(run: &Path, place: &Path, tolerance: &str) {
    let signs = signs(run, place.join("signs"));
    let (said, _) =
        succeed(predict().arg("--run").arg(run).args(["--json", "--top", "5"]).arg(signs));
    let answers = place.join("answers.jsonl");
    std::fs::write(&answers, said).unwrap();
    let mut node = Command::new("node");
    node.arg(root().join("tests/browser/demo.mjs"))
        .arg(run.join("demo"))
        .args([&answers, Path::new(tolerance)]);
    assert_eq!(succeed(&mut node).0, "the demo works\n");
}

/// A second time there is nothing to do; damage is mended; without the runtime nothing is touched.
fn check_artifact(run: &Path) {
    let demo = |flags: &[&str], runtime: Option<&str>| {
        let mut command = predict();
        command.arg("demo").arg("--run").arg(run).args(flags);
        runtime.map(|folder| command.env("ONNXRUNTIME_WEB", folder));
        command.output().unwrap()
    };
    let before = snapshot(&run.join("demo"));
    assert_eq!(demo(&["--skip-code"], None).status.code(), Some(99));
    std::fs::write(run.join("demo/demo.json"), "{}").unwrap();
    let lost = demo(&[], Some("/nowhere"));
    assert_eq!(lost.status.code(), Some(66));
    assert!(texts(&lost).1.contains("set ONNXRUNTIME_WEB"), "{}", texts(&lost).1);
    let (stdout, _) = texts(&demo(&[], None));
    assert!(stdout.contains("python3 -m http.server -d"), "{stdout}");
    assert_eq!(snapshot(&run.join("demo")), before);
}

#[test]
fn the_page_answers_as_predict_does() {
    if !ready() || ["ONNXRUNTIME_WEB", "CHROMIUM"].iter().any(|name| variable(name).is_none()) {
        return;
    }
    let signs = variable("GTSRB_MINI").map(|signs| format!("GTSRB={signs}"));
    let pipeline = if signs.is_some() { "gtsrb" } else { "sample" };
    // The embeddings that gtsrb-predict computes are rounded as they are at rest, to 16 bits; those
    // in the browser aren't, and are summed in another order. Where a sum is rounded to a byte, that
    // can be another byte. Decoders of JPEG may differ by a grey level.
    let kinds = [("f32", 0, "0.005"), ("f32", 32, "0.02"), ("int8", 0, "0.1"), ("f16", 0, "0.02")];
    for (precision, hidden, tolerance) in kinds {
        eprintln!("{precision}, {hidden} hidden units");
        let place = Place::new();
        let config = format!(
            "[sample]\ntracks = 2\n[backbone]\nsize = 64\ntaps = [\"block4:4\"]\n\
             precision = \"{precision}\"\n[train]\nvalidation = 0.5\nhidden = {hidden}\n"
        );
        let config = place.config(pipeline, &config);
        let mut make = place.make(&["demo", &config, &format!("PIPELINE={pipeline}")]);
        succeed(make.args(signs.as_deref()));
        let run = place.run(pipeline);
        check_answers(&run, place.path(), tolerance);
        check_artifact(&run);
    }
}
