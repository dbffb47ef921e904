//! ONNX Runtime alone: what extraction could at best reach.
//!
//! Usage: raw RUN HELD BATCH SESSIONS IMAGES. Takes the backbone of the run, keeps the pixels of
//! its first HELD images in memory as batches, says `ready` and waits for a line. Then it runs
//! nothing but inference on them, again and again, until that were IMAGES: as many sessions as
//! said, each on one thread, all together.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use artifact::images::{ImageSet, Split};
use embed::{Crop, Framing, Input, Model, Provider};
use stage::{Error, Result};

const USAGE: &str = "raw RUN HELD BATCH SESSIONS IMAGES";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, numbers @ ..] = &arguments[..] else {
        return Err(Error::usage(USAGE));
    };
    let numbers: Vec<usize> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let [held, batch, sessions, images] = numbers[..] else {
        return Err(Error::usage(USAGE));
    };
    let run = Path::new(run);
    let path = run.join("backbone/backbone.onnx");
    let models = (0..sessions).map(|_| Model::open(&path, Provider::Cpu));
    let mut models = models.collect::<Result<Vec<_>>>()?;
    let size = models.first().and_then(|model| model.metadata("size"));
    let size = size.and_then(|size| size.parse().ok()).unwrap_or(96);
    let batches = batches(run, held, batch, size)?;
    // The first run of a session prepares it.
    infer(&mut models, &batches, [batch, size, size, 3], sessions)?;
    wait()?;
    infer(&mut models, &batches, [batch, size, size, 3], images.div_ceil(batch))
}

/// Says that all is ready and waits for the word.
fn wait() -> Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "ready")
        .and_then(|()| output.flush())
        .and_then(|()| std::io::stdin().read_line(&mut String::new()))
        .map_err(|e| Error::io(e.to_string()))?;
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

/// Runs all models together until they have done `count` batches of `shape`.
fn infer(models: &mut [Model], batches: &[Vec<u8>], shape: [usize; 4], count: usize) -> Result<()> {
    let next = &AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let threads = models.iter_mut().map(|model| {
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok(());
                    }
                    let data = &batches[number % batches.len()];
                    model.run(Input::U8 { shape: &shape, data })?;
                }
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| Error::internal("a thread of the measurement failed"))?
        })
    })
}
