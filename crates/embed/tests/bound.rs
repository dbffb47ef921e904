//! Fixed shapes in memory that stays, on the real ONNX Runtime. The processor stands in for a
//! GPU: the code is the same, the memory ordinary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test's helpers"
)]

use artifact::Hash;
use artifact::embeddings::Storage;
use embed::{Batch, Bound, Crop, Effort, Input, Kernels, Model, Pipeline, Provider, Resize, View};
use stage::Fault;

/// 16 pixels to 64 numbers; see `tests/oracles/tiny_backbone.py`.
const TINY: &[u8] = include_bytes!("../../gtsrb-extract/tests/fixtures/tiny.onnx");
const PICTURE: usize = 16 * 16 * 3;
const SHAPE: [usize; 4] = [8, 16, 16, 3];

fn runtime() -> bool {
    let set = std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty());
    if !set {
        println!("skipped: ORT_DYLIB_PATH is not set (make test sets it)");
    }
    set
}

fn view() -> View {
    View {
        backbone: Hash::of(TINY),
        size: 16,
        crop: Crop::Full,
        margin: 0.0,
        filter: View::BILINEAR.into(),
        batch: 8,
        storage: Storage::F32,
        runtime: "1".into(),
        provider: Provider::Cpu,
        kernels: Kernels::default(),
        resize: Resize::Cpu,
        preprocessing: View::PREPROCESSING,
        augmentation: None,
    }
}

/// Noise that differs from picture to picture.
fn pictures(count: usize, seed: usize) -> Vec<u8> {
    let noise = |i: usize| ((i + seed).wrapping_mul(2_654_435_761) >> 13) as u8;
    (0..count * PICTURE).map(noise).collect()
}

/// As any user of ONNX Runtime would compute it, a picture at a time.
fn plain(data: &[u8]) -> Vec<f32> {
    let mut model = Model::load(TINY, Provider::Cpu).unwrap();
    let one = |data| {
        let outputs = model.run(Input::U8 { shape: &[1, 16, 16, 3], data }).unwrap();
        outputs.f32("embedding").unwrap().1.to_vec()
    };
    data.chunks_exact(PICTURE).flat_map(one).collect()
}

#[test]
fn memory_that_stays_gives_the_bits_of_a_plain_run() {
    if !runtime() {
        return;
    }
    for graph in [false, true] {
        let mut bound = Bound::open(TINY, &view(), SHAPE, 64, 1, graph).unwrap();
        // Full, partial and full again: nothing of a batch may show in the next.
        for (count, seed) in [(8, 0), (3, 1), (1, 2), (8, 3)] {
            let data = pictures(count, seed);
            let found = bound.run(&data, count).unwrap();
            assert_eq!(found, plain(&data), "{count} pictures, graph {graph}");
        }
        let error = bound.run(&pictures(9, 0), 9).unwrap_err();
        assert_eq!(error.fault(), Fault::Internal);
    }
}

#[test]
fn another_output_than_the_named_one_is_a_data_error() {
    if !runtime() {
        return;
    }
    let error = Bound::open(TINY, &view(), SHAPE, 63, 1, false).err().unwrap();
    assert_eq!(error.fault(), Fault::Data);
    assert!(error.to_string().contains("float32 [n, 63]; run gtsrb-backbone"), "{error}");
    let mut wrong = Bound::open(TINY, &view(), [8, 8, 8, 3], 64, 1, false).unwrap();
    assert_eq!(wrong.run(&[0; 8 * 8 * 8 * 3], 8).unwrap_err().fault(), Fault::Data);
}

#[test]
fn a_pipeline_gives_the_bits_of_plain_runs_in_order() {
    if !runtime() {
        return;
    }
    for (count, sessions, threads) in [(1, 1, 1), (8, 2, 1), (21, 3, 1), (21, 2, 2)] {
        let data = pictures(count, 7);
        let effort = Effort { sessions, threads };
        let pipeline = Pipeline::open(TINY, 64, &view(), effort, false).unwrap();
        assert_eq!(pipeline.gpu(), None);
        let (mut places, mut found) = (Vec::new(), Vec::new());
        let frame = |place: usize, _: &_, out: &mut [u8]| {
            out.copy_from_slice(&data[place * PICTURE..][..PICTURE]);
            Ok(place)
        };
        let collect = |batch: Batch<usize>| {
            places.extend(batch.items);
            found.extend(batch.embeddings);
            Ok(())
        };
        pipeline.run((0..count).map(Ok), frame, collect).unwrap();
        assert_eq!(places, (0..count).collect::<Vec<_>>());
        assert_eq!(found, plain(&data), "{count} pictures, {effort:?}");
    }
}

#[test]
fn joined_batches_are_the_same_pictures_at_once() {
    if !runtime() {
        return;
    }
    let data = pictures(445, 7);
    let pipeline = Pipeline::open(TINY, 64, &view(), Effort::plain(2), false).unwrap().joining(20);
    let (mut counts, mut found) = (Vec::new(), Vec::new());
    let frame = |place: usize, _: &_, out: &mut [u8]| {
        out.copy_from_slice(&data[place * PICTURE..][..PICTURE]);
        Ok(place)
    };
    let collect = |block: Batch<usize>| {
        counts.push(block.items.len());
        found.extend(block.embeddings);
        Ok(())
    };
    pipeline.run((0..445).map(Ok), frame, collect).unwrap();
    // Those that the machine was slow with may come alone, the last are fewer, and a thread hands on
    // up to eight batches.
    assert!(counts.iter().all(|count| *count < 20 + 8 * 8), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 445);
    assert_eq!(found, plain(&data));
}
