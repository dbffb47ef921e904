//! Measures a backbone alone: what extraction could at best reach on a device.
//!
//! Usage: `bound BACKBONE.onnx cpu|cuda BATCH SESSIONS SECONDS [tf32] [nhwc] [graph]`. Runs
//! nothing but inference on batches of noise that lie in memory, in as many sessions on as many
//! threads as said, all together for so many seconds. Prints images a second. Copies to and
//! from the device count; reading, decoding, resizing and writing don't take place.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use artifact::Hash;
use artifact::embeddings::Storage;
use embed::{Bound, Crop, Kernels, Provider, Resize, View};
use stage::{Error, Result};

const USAGE: &str = "bound BACKBONE.onnx cpu|cuda BATCH SESSIONS SECONDS [tf32] [nhwc] [graph]";

fn main() -> std::process::ExitCode {
    match run() {
        Ok(speed) => {
            #[expect(clippy::print_stdout, reason = "the result")]
            {
                println!("{speed:.1}");
            }
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::from(error.fault().code())
        }
    }
}

fn run() -> Result<f64> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, provider, numbers @ ..] = &arguments[..] else {
        return Err(Error::usage(USAGE));
    };
    let provider = match provider.as_str() {
        "cpu" => Provider::Cpu,
        "cuda" => Provider::Cuda,
        _ => return Err(Error::usage(USAGE)),
    };
    let has = |name: &str| numbers.iter().any(|argument| argument == name);
    let (kernels, graph) = (Kernels { tf32: has("tf32"), nhwc: has("nhwc") }, has("graph"));
    let numbers: Vec<usize> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let [batch, sessions, seconds] = numbers[..] else {
        return Err(Error::usage(USAGE));
    };
    let onnx = std::fs::read(path).map_err(|e| Error::read(Path::new(path), &e))?;
    let (size, dims) = sizes(&onnx)?;
    let (shape, view) = ([batch, size, size, 3], view(&onnx, size, batch, provider, kernels));
    let models = (0..sessions).map(|_| Bound::open(&onnx, &view, shape, dims, 1, graph));
    measure(models.collect::<Result<_>>()?, shape, Duration::from_secs(seconds as u64))
}

/// Size of pictures and of embeddings, as the backbone's own metadata tell them.
fn sizes(onnx: &[u8]) -> Result<(usize, usize)> {
    let model = onnx_graph::read(onnx).map_err(|e| Error::data(e.to_string()))?;
    let number = |key: &str| {
        let text = onnx_graph::metadata(&model, key).and_then(|text| text.parse().ok());
        text.ok_or_else(|| Error::data(format!("no number `{key}` in the backbone's metadata")))
    };
    Ok((number("size")?, number("dims")?))
}

fn view(onnx: &[u8], size: usize, batch: usize, provider: Provider, kernels: Kernels) -> View {
    View {
        backbone: Hash::of(onnx),
        size,
        crop: Crop::Roi,
        margin: 0.0,
        filter: View::BILINEAR.to_owned(),
        resize: Resize::Cpu,
        batch,
        storage: Storage::F16,
        runtime: String::new(),
        provider,
        kernels,
        preprocessing: View::PREPROCESSING,
        augmentation: None,
    }
}

/// Images a second of all models together, each on a thread.
fn measure(models: Vec<Bound>, shape: [usize; 4], time: Duration) -> Result<f64> {
    let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
    let pixels: Vec<u8> = (0..shape.iter().product()).map(noise).collect();
    let (pixels, batches, batch) = (&pixels, &AtomicU64::new(0), shape[0]);
    let (ready, longest) = (std::sync::Barrier::new(models.len()), &AtomicU64::new(0));
    let ready = &ready;
    std::thread::scope(|scope| {
        let work = |mut model: Bound| {
            scope.spawn(move || -> Result<()> {
                // The first runs of a session choose algorithms and record graphs.
                let warm = (0..3).try_for_each(|_| model.run(pixels, batch).map(drop));
                ready.wait();
                let started = Instant::now();
                warm?;
                while started.elapsed() < time {
                    model.run(pixels, batch)?;
                    batches.fetch_add(1, Ordering::Relaxed);
                }
                longest.fetch_max(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
                Ok(())
            })
        };
        let threads: Vec<_> = models.into_iter().map(work).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| Error::internal("a thread of the measurement failed"))?
        })
    })?;
    let images = batches.load(Ordering::Relaxed) * batch as u64;
    Ok(images as f64 / Duration::from_nanos(longest.load(Ordering::Relaxed)).as_secs_f64())
}
