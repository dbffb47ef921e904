//! Pictures to embeddings on several threads: one reads, some decode and frame, some infer.
//!
//! Between them are short queues, so that memory doesn't grow with the number of pictures and
//! whoever is ahead waits. Batches carry numbers; what comes out is put in order by whoever
//! collects it, so that neither threads nor luck shape a result. A thread that fails sends its
//! error to the collector; when that one stops listening, all others end by themselves.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use artifact::embeddings::{Key, key};
use artifact::images::Image;
use embed::{Framing, Input, Model, Provider, View, placement};
use stage::{Error, Result, check_interrupt};

use crate::backbone::Backbone;

/// How often a waiting collector looks for a signal.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(100);

/// What is computed, and with how many threads.
pub struct Pipeline {
    models: Vec<Model>,
    framing: Framing,
    batch: usize,
    dims: usize,
    framers: usize,
}

/// Images that belong to one inference.
struct Job {
    number: u64,
    images: Vec<Image>,
}

/// A batch of pixels: `[batch, size, size, 3]`, zero after the last picture.
struct Framed {
    number: u64,
    names: Vec<(Key, String)>,
    pixels: Vec<u8>,
}

/// Embeddings of one batch.
pub struct Embeddings {
    /// The batch's place among all, from 0 on without a gap.
    pub number: u64,
    /// Whose embeddings they are.
    pub keys: Vec<Key>,
    /// `[keys, dims]`.
    pub values: Vec<f32>,
}

/// A queue's end that several threads read from.
type Shared<T> = Arc<Mutex<Receiver<T>>>;

impl Pipeline {
    /// Opens one model a thread on the processor, or one model on a GPU after it was shown
    /// that the work really runs there.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn open(backbone: &Backbone, view: &View, threads: usize) -> Result<Self> {
        let sessions = match view.provider {
            Provider::Cpu => threads,
            Provider::Cuda => {
                let shape = [view.batch, view.size, view.size, 3];
                let nodes = placement(&backbone.onnx, view.provider, &shape)?;
                tracing::info!("nodes by provider: {nodes:?}");
                1
            }
        };
        // One after the other: ONNX Runtime has races where sessions are made at once.
        let load = |_| Model::load(&backbone.onnx, view.provider);
        let models = (0..sessions).map(load).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            models,
            framing: view.framing(),
            batch: view.batch,
            dims: backbone.dims,
            framers: threads,
        })
    }

    /// Computes the embeddings of `images` and hands them to `collect`, batch by batch, as
    /// they come.
    ///
    /// # Errors
    /// The first error of any thread or of `collect`;
    /// [`Interrupted`](stage::Fault::Interrupted) or [`Terminated`](stage::Fault::Terminated).
    pub fn run(
        self,
        images: impl Iterator<Item = Result<Image>> + Send,
        mut collect: impl FnMut(Embeddings) -> Result<()>,
    ) -> Result<()> {
        let Self { models, framing, batch, dims, framers } = self;
        let (jobs, to_frame) = queue(framers);
        let (framed, to_infer) = queue(2 * models.len());
        let (done, results) = sync_channel(32 * models.len());
        // `move`: when the collector returns, its end of the queue must close before the join.
        thread::scope(move |scope| {
            for _ in 0..framers {
                let (input, output, done) = (to_frame.clone(), framed.clone(), done.clone());
                scope.spawn(move || frame_all(&input, &output, &done, framing, batch));
            }
            for mut model in models {
                let (input, done) = (to_infer.clone(), done.clone());
                let shape = [batch, framing.size, framing.size, 3];
                scope.spawn(move || infer_all(&input, &done, &mut model, shape, dims));
            }
            // Only the threads hold ends of the queues now, so that an end closes with them.
            drop((to_frame, framed, to_infer));
            scope.spawn(move || read_all(images, &jobs, &done, batch));
            loop {
                check_interrupt()?;
                match results.recv_timeout(LOOK_FOR_SIGNALS) {
                    Ok(result) => collect(result?)?,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
        })
    }
}

fn queue<T>(bound: usize) -> (SyncSender<T>, Shared<T>) {
    let (sender, receiver) = sync_channel(bound);
    (sender, Arc::new(Mutex::new(receiver)))
}

/// The next piece of work; `None` when there will be no more.
fn next<T>(queue: &Shared<T>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Cuts the images into jobs. Ends early when nobody takes them any more.
fn read_all(
    mut images: impl Iterator<Item = Result<Image>>,
    jobs: &SyncSender<Job>,
    done: &SyncSender<Result<Embeddings>>,
    batch: usize,
) {
    for number in 0.. {
        match images.by_ref().take(batch).collect::<Result<Vec<Image>>>() {
            Ok(images) if images.is_empty() => return,
            Ok(images) => {
                if jobs.send(Job { number, images }).is_err() {
                    return;
                }
            }
            Err(error) => {
                // Without a collector there is nobody left to tell.
                let _ = done.send(Err(error));
                return;
            }
        }
    }
}

fn frame_all(
    jobs: &Shared<Job>,
    framed: &SyncSender<Framed>,
    done: &SyncSender<Result<Embeddings>>,
    framing: Framing,
    batch: usize,
) {
    while let Some(job) = next(jobs) {
        let sent = match frame(job, framing, batch) {
            Ok(batch) => framed.send(batch).is_ok(),
            Err(error) => done.send(Err(error)).is_ok(),
        };
        if !sent {
            return;
        }
    }
}

fn frame(job: Job, framing: Framing, batch: usize) -> Result<Framed> {
    let picture = framing.size * framing.size * 3;
    let mut pixels = vec![0; batch * picture];
    for (image, out) in job.images.iter().zip(pixels.chunks_exact_mut(picture)) {
        framing.frame(image, out)?;
    }
    let names = job.images.into_iter().map(|image| (key(&image), image.path)).collect();
    Ok(Framed { number: job.number, names, pixels })
}

fn infer_all(
    framed: &Shared<Framed>,
    done: &SyncSender<Result<Embeddings>>,
    model: &mut Model,
    shape: [usize; 4],
    dims: usize,
) {
    while let Some(batch) = next(framed) {
        if done.send(infer(batch, model, shape, dims)).is_err() {
            return;
        }
    }
}

fn infer(batch: Framed, model: &mut Model, shape: [usize; 4], dims: usize) -> Result<Embeddings> {
    let outputs = model.run(Input::U8 { shape: &shape, data: &batch.pixels })?;
    let (found, values) = outputs.f32("embedding")?;
    if *found != [shape[0], dims] {
        return Err(Error::data(format!(
            "the backbone gives embeddings of shape {found:?}, not {:?}; run gtsrb-backbone again",
            [shape[0], dims]
        )));
    }
    let values = &values[..batch.names.len() * dims];
    finite(values, dims, &batch.names)?;
    let keys = batch.names.into_iter().map(|(key, _)| key).collect();
    Ok(Embeddings { number: batch.number, keys, values: values.to_vec() })
}

/// NaN and infinity must never reach the cache.
fn finite(values: &[f32], dims: usize, names: &[(Key, String)]) -> Result<()> {
    let bad: Vec<&str> = values
        .chunks_exact(dims)
        .zip(names)
        .filter(|(row, _)| row.iter().any(|value| !value.is_finite()))
        .map(|(_, (_, path))| path.as_str())
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Error::data(format!(
        "the backbone gives NaN or infinity for {}: check its weights and its normalisation",
        bad.join(", ")
    )))
}
