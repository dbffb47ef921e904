//! Measures ONNX Runtime alone: what extraction could at best reach.
//!
//! Usage: raw RUN IMAGES BATCH SESSIONS SECONDS. Takes the backbone and the first images of
//! the run, keeps their pixels in memory as batches, and runs nothing but inference on them:
//! as many sessions as said, each on one thread, all together for so many seconds. Prints
//! images a second.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use artifact::images::{ImageSet, Split};
use embed::{Crop, Framing, Input, Model, Provider};
use stage::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, numbers @ ..] = &arguments[..] else {
        return Err(Error::usage("raw RUN IMAGES BATCH SESSIONS SECONDS"));
    };
    let numbers: Vec<usize> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let [images, batch, sessions, seconds] = numbers[..] else {
        return Err(Error::usage("raw RUN IMAGES BATCH SESSIONS SECONDS"));
    };
    let run = Path::new(run);
    let path = run.join("backbone/backbone.onnx");
    let models = (0..sessions).map(|_| Model::open(&path, Provider::Cpu));
    let models = models.collect::<Result<Vec<_>>>()?;
    let size = models.first().and_then(|model| model.metadata("size"));
    let size = size.and_then(|size| size.parse().ok()).unwrap_or(96);
    let batches = batches(run, images, batch, size)?;
    let speed = measure(models, &batches, batch, size, Duration::from_secs(seconds as u64))?;
    #[expect(clippy::print_stdout, reason = "the result")]
    {
        println!("{speed:.1}");
    }
    Ok(())
}

/// Full batches of pixels, `[batch, size, size, 3]`.
fn batches(run: &Path, images: usize, batch: usize, size: usize) -> Result<Vec<Vec<u8>>> {
    let framing = Framing { crop: Crop::Roi, margin: 0.0, size };
    let set = ImageSet::open(run)?;
    let mut batches = vec![vec![0; batch * size * size * 3]; images / batch];
    let places = batches.iter_mut().flat_map(|batch| batch.chunks_exact_mut(size * size * 3));
    let found = set.batches(Split::Train).flat_map(|group| match group {
        Ok(images) => images.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    });
    for (image, place) in found.zip(places) {
        framing.frame(&image?, place)?;
    }
    Ok(batches)
}

/// Images a second of all models together.
fn measure(
    models: Vec<Model>,
    batches: &[Vec<u8>],
    batch: usize,
    size: usize,
    time: Duration,
) -> Result<f64> {
    let (next, shape) = (&AtomicUsize::new(0), [batch, size, size, 3]);
    let infer = |model: &mut Model| -> Result<()> {
        let number = next.fetch_add(1, Ordering::Relaxed);
        model.run(Input::U8 { shape: &shape, data: &batches[number % batches.len()] })?;
        Ok(())
    };
    let mut models = models;
    // The first run of a session prepares it.
    models.iter_mut().try_for_each(infer)?;
    next.store(0, Ordering::Relaxed);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads = models.iter_mut().map(|model| {
            scope.spawn(move || {
                while started.elapsed() < time {
                    infer(model)?;
                }
                Ok(())
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| Error::internal("a thread of the measurement failed"))?
        })
    })?;
    let images = next.load(Ordering::Relaxed) * batch;
    Ok(images as f64 / started.elapsed().as_secs_f64())
}
