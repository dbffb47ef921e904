//! Pictures of all sizes, resized by the graph in front of a backbone: bit for bit what the
//! processor's framing gives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test's helpers"
)]

use artifact::Hash;
use artifact::embeddings::Storage;
use artifact::images::Roi;
use embed::{Batch, Crop, Effort, Framer, Kernels, Pipeline, Provider, Resize, View};
use onnx_graph::{Builder, Element, Size, attribute};
use picture::Picture;

fn runtime() -> bool {
    let set = std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty());
    if !set {
        println!("skipped: ORT_DYLIB_PATH is not set (make test sets it)");
    }
    set
}

/// A backbone whose embedding is its pixels.
fn pixels(size: usize) -> Vec<u8> {
    let mut b = Builder::new("pixels", 18);
    let side = Size::Fixed(size);
    b.input("image", Element::U8, &[Size::Open("n"), side, side, Size::Fixed(3)]);
    let to = attribute::int("to", Element::F32 as i64);
    let floats = b.node("Cast", &["image"], "floats", vec![to]);
    let flat = b.node("Flatten", &[&floats], "flat", vec![attribute::int("axis", 1)]);
    let dims = [Size::Open("n"), Size::Fixed(size * size * 3)];
    b.output(&flat, "embedding", Element::F32, &dims);
    onnx_graph::write(&b.finish().unwrap())
}

fn view(size: usize, resize: Resize) -> View {
    View {
        backbone: Hash::of(b"pixels"),
        size,
        crop: Crop::Roi,
        margin: 0.0,
        filter: View::BILINEAR.into(),
        resize,
        batch: 4,
        storage: Storage::F32,
        runtime: "1".into(),
        provider: Provider::Cpu,
        kernels: Kernels::default(),
        preprocessing: View::PREPROCESSING,
        augmentation: None,
    }
}

/// Noise of assorted sizes: up, down, the same, clearly taller than wide, larger than a slot.
fn pictures() -> Vec<Picture> {
    let sizes = [1, 2, 5, 16, 25, 33, 47, 96, 97, 121, 128, 129, 200];
    let pairs = sizes.iter().flat_map(|&w| sizes.iter().map(move |&h| (w, h)));
    let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 11) as u8;
    pairs
        .map(|(width, height)| {
            let bytes = (0..width * height * 3).map(|i| noise(i + width * 31 + height)).collect();
            Picture::new(width as u32, height as u32, bytes).unwrap()
        })
        .collect()
}

/// What the backbone sees of each picture without its first column.
fn seen(pictures: &[Picture], size: usize, resize: Resize) -> Vec<f32> {
    let (onnx, mut all) = (pixels(size), Vec::new());
    let pipeline =
        Pipeline::open(&onnx, size * size * 3, &view(size, resize), Effort::plain(2), false)
            .unwrap();
    let frame = |picture: &Picture, framer: &Framer, out: &mut [u8]| {
        let (x2, y2) = (picture.width() as i32 - 1, picture.height() as i32 - 1);
        framer.frame_picture(picture, Some(&Roi { x1: 1.min(x2), y1: 0, x2, y2 }), out)
    };
    let collect = |batch: Batch<()>| {
        all.extend(batch.embeddings);
        Ok(())
    };
    pipeline.run(pictures.iter().map(Ok), frame, collect).unwrap();
    all
}

#[test]
fn a_resize_in_the_graph_gives_the_bits_of_framing() {
    if !runtime() {
        return;
    }
    let pictures = pictures();
    for size in [96, 33, 16, 150] {
        let wanted = seen(&pictures, size, Resize::Cpu);
        let found = seen(&pictures, size, Resize::Device);
        let rows = wanted.chunks_exact(size * size * 3).zip(found.chunks_exact(size * size * 3));
        for ((wanted, found), picture) in rows.zip(&pictures) {
            let (width, height) = (picture.width(), picture.height());
            assert!(wanted == found, "{width} x {height} to {size}");
        }
        assert_eq!(wanted.len(), found.len());
    }
}
