//! Pictures to embeddings on several threads.
//!
//! On the processor each thread takes the next pictures, decodes and frames them into its
//! model's input, and infers: nothing is handed over while it is in the cache, and no thread
//! waits for another. Where a model has more than one thread, or is on a GPU, other threads
//! decode and frame, so that none of those waits for that.
//!
//! Whoever gets ahead waits, so that memory doesn't grow with the number of pictures. Batches
//! carry numbers and come out in order, so that neither threads nor luck shape a result. A
//! thread that fails sends its error to the collector; when that one stops listening, all
//! others end by themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter::Fuse;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Scope};
use std::time::{Duration, Instant};

use stage::{Error, Result, check_interrupt};

use crate::{Bound, Effort, Framer, Gpu, Provider, View, placement};

/// How often a waiting collector looks for a signal.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(100);

/// Batches a thread that may be under way at once: how far one that takes long lets the
/// others get ahead.
const AHEAD: usize = 32;

/// How long a thread that frames and infers works before it hands on what it has: each time wakes
/// another thread,
const TURN: Duration = Duration::from_millis(50);
/// and how many batches that may be, for they are kept in memory.
const TOGETHER: usize = 8;

/// Sessions on a GPU, each with a thread and memory of its own: while one computes, the other
/// copies. A session that records a graph must be alone: CUDA takes what others do meanwhile,
/// such as an allocation, for a part of it and gives up.
const IN_FLIGHT: usize = 2;

/// A backbone that is ready to run, with several threads.
pub struct Pipeline {
    models: Vec<Bound>,
    gpu: Option<Gpu>,
    framer: Framer,
    batch: usize,
    /// Threads that decode and frame for the models; none where these do it themselves.
    framers: usize,
    /// Pictures that are handed on at once, at least.
    joined: usize,
}

/// The embeddings of one batch of pictures.
pub struct Batch<T> {
    /// What framing gave for each picture.
    pub items: Vec<T>,
    /// `[items, dims]`.
    pub embeddings: Vec<f32>,
}

/// The pictures, cut into batches for the threads that ask.
struct Source<I> {
    pictures: Mutex<Numbered<I>>,
    /// One for each job that is under way.
    tickets: SyncSender<()>,
    batch: usize,
}

struct Numbered<I> {
    next: u64,
    pictures: Fuse<I>,
}

/// Pictures that one thread takes.
struct Job<P> {
    number: u64,
    pictures: Vec<P>,
}

/// Puts pictures into a backbone's input.
struct Filler<'a, F> {
    framer: Framer,
    frame: &'a F,
}

/// A batch of pixels: `[batch, size, size, 3]`, zero after the last picture.
struct Framed<T> {
    number: u64,
    items: Vec<T>,
    pixels: Vec<u8>,
}

/// A queue's end that several threads read from.
type Shared<T> = Arc<Mutex<Receiver<T>>>;

/// Where finished batches and errors go.
type Done<T> = SyncSender<Result<(u64, Batch<T>)>>;

impl Pipeline {
    /// Opens one model a thread on the processor, or on a GPU two, after it was shown that the
    /// work really runs there. `onnx` is the backbone that `view` names; it gives `dims`
    /// numbers a picture. With `graph`, a GPU's kernels are recorded and replayed by one model,
    /// which changes no bit.
    ///
    /// # Errors
    /// As [`Bound::open`].
    pub fn open(
        onnx: &[u8],
        dims: usize,
        view: &View,
        effort: Effort,
        graph: bool,
    ) -> Result<Self> {
        let framer = Framer::new(view.framing(), view.resize).augmented(view.augmentation);
        let shape = framer.shape(view.batch);
        let onnx = &*with_resize(onnx, &framer)?;
        let (sessions, gpu) = match view.provider {
            Provider::Cpu => (effort.sessions, None),
            Provider::Cuda => {
                let nodes = placement(onnx, view.provider, view.kernels, &shape)?;
                (if graph { 1 } else { IN_FLIGHT }, Some(Gpu::of(nodes)))
            }
        };
        let graph = graph && view.provider == Provider::Cuda;
        // One after the other: ONNX Runtime has races where sessions are made at once.
        let load = |_| {
            check_interrupt()?;
            Bound::open(onnx, view, shape, dims, effort.threads, graph)
        };
        let models = (0..sessions).map(load).collect::<Result<Vec<_>>>()?;
        let alone = view.provider == Provider::Cpu && effort.threads == 1;
        let framers = if alone { 0 } else { effort.total() };
        Ok(Self { models, gpu, framer, batch: view.batch, framers, joined: 1 })
    }

    /// Hands on batches together until they have `pictures`, for whoever works faster on many.
    /// Where pictures come slowly, what there is doesn't wait.
    #[must_use]
    pub fn joining(mut self, pictures: usize) -> Self {
        self.joined = pictures;
        self
    }

    /// The GPU that computes, if one does.
    #[must_use]
    pub fn gpu(&self) -> Option<&Gpu> {
        self.gpu.as_ref()
    }

    /// Computes the embeddings of `pictures` and hands them to `collect`, batch by batch in
    /// the pictures' order.
    ///
    /// `frame` lets the framer put a picture's pixels into place and gives what is to be
    /// remembered of it.
    ///
    /// # Errors
    /// The first error of the pictures, of `frame`, of a model or of `collect`;
    /// [`Interrupted`](stage::Fault::Interrupted) or [`Terminated`](stage::Fault::Terminated).
    pub fn run<P: Send, T: Send>(
        self,
        pictures: impl Iterator<Item = Result<P>> + Send,
        frame: impl Fn(P, &Framer, &mut [u8]) -> Result<T> + Sync,
        mut collect: impl FnMut(Batch<T>) -> Result<()>,
    ) -> Result<()> {
        let Self { models, gpu: _, framer, batch, framers, joined } = self;
        let ahead = if framers == 0 { AHEAD / TOGETHER } else { AHEAD };
        let (done, results) = sync_channel(ahead * models.len());
        let (tickets, returned) = sync_channel(ahead * (models.len() + framers));
        let source = &Source::new(pictures, tickets, batch);
        let filler = &Filler { framer, frame: &frame };
        // `move`: when the collector returns, its ends of the queues must close before the join.
        thread::scope(move |scope| {
            if framers == 0 {
                for mut model in models {
                    let done = done.clone();
                    start(scope, move || frame_and_infer(source, filler, &mut model, &done))?;
                }
            } else {
                let (framed, to_infer) = queue(2 * models.len());
                for _ in 0..framers {
                    let (output, done) = (framed.clone(), done.clone());
                    start(scope, move || frame_all(source, filler, &output, &done))?;
                }
                for mut model in models {
                    let (input, done) = (to_infer.clone(), done.clone());
                    start(scope, move || infer_all(&input, &done, &mut model))?;
                }
            }
            // Only the threads hold ends of the queues now, so that an end closes with them.
            drop(done);
            collect_all(&results, &returned, joined, &mut collect)
        })
    }
}

impl<P, I: Iterator<Item = Result<P>>> Source<I> {
    fn new(pictures: I, tickets: SyncSender<()>, batch: usize) -> Self {
        let pictures = Mutex::new(Numbered { next: 0, pictures: pictures.fuse() });
        Self { pictures, tickets, batch }
    }

    /// The next pictures, so many batches; `None` when there are no more, or when nobody takes them
    /// any more.
    fn next(&self, batches: usize) -> Option<Result<Job<P>>> {
        let mut numbered = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        self.tickets.send(()).ok()?;
        let count = batches * self.batch;
        match numbered.pictures.by_ref().take(count).collect::<Result<Vec<P>>>() {
            Ok(pictures) if pictures.is_empty() => None,
            Ok(pictures) => {
                numbered.next += 1;
                Some(Ok(Job { number: numbered.next - 1, pictures }))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl<F> Filler<'_, F> {
    /// Bytes of a batch of `count` pictures.
    fn bytes(&self, count: usize) -> usize {
        self.framer.shape(count).iter().product()
    }

    /// Puts `pictures` into `pixels`, with zeros after the last; gives what is to be remembered
    /// of each.
    fn fill<P, T>(
        &self,
        pictures: impl ExactSizeIterator<Item = P>,
        pixels: &mut [u8],
    ) -> Result<Vec<T>>
    where
        F: Fn(P, &Framer, &mut [u8]) -> Result<T>,
    {
        let (places, rest) = pixels.split_at_mut(self.bytes(pictures.len()));
        rest.fill(0);
        let places = places.chunks_exact_mut(self.bytes(1));
        let frame = |(picture, place)| (self.frame)(picture, &self.framer, place);
        pictures.zip(places).map(frame).collect()
    }
}

/// The backbone, with a resize in front of it where the device resizes.
pub(crate) fn with_resize<'a>(onnx: &'a [u8], framer: &Framer) -> Result<Cow<'a, [u8]>> {
    let Some(side) = framer.side() else {
        return Ok(Cow::Borrowed(onnx));
    };
    let model = onnx_graph::read(onnx).and_then(|m| onnx_graph::resize::in_front(&m, side));
    let model = model.map_err(|e| Error::data(format!("a resize before the backbone: {e}")))?;
    Ok(Cow::Owned(onnx_graph::write(&model)))
}

/// Starts a thread. Where that fails the scope ends, and with it the queues and other threads.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() + Send + 'scope,
) -> Result<()> {
    Builder::new().spawn_scoped(scope, work).map(drop).map_err(|e| Error::thread(&e))
}

fn queue<T>(bound: usize) -> (SyncSender<T>, Shared<T>) {
    let (sender, receiver) = sync_channel(bound);
    (sender, Arc::new(Mutex::new(receiver)))
}

/// The next piece of work; `None` when there will be no more.
fn next<T>(queue: &Shared<T>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Frames pictures into a model's input and infers, on one thread.
fn frame_and_infer<P, T>(
    source: &Source<impl Iterator<Item = Result<P>>>,
    filler: &Filler<'_, impl Fn(P, &Framer, &mut [u8]) -> Result<T>>,
    model: &mut Bound,
    done: &Done<T>,
) {
    let mut batches = 1;
    while let Some(job) = source.next(batches) {
        let started = Instant::now();
        let result = job.and_then(|job| {
            let mut pictures = job.pictures.into_iter();
            let mut items = Vec::with_capacity(pictures.len());
            let mut embeddings = Vec::with_capacity(pictures.len() * model.dims());
            while pictures.len() > 0 {
                let framed = filler.fill(pictures.by_ref().take(source.batch), model.input())?;
                model.infer(framed.len(), &mut embeddings)?;
                items.extend(framed);
            }
            Ok((job.number, Batch { items, embeddings }))
        });
        let each = started.elapsed() / batches as u32;
        batches = TURN.div_duration_f32(each).clamp(1.0, TOGETHER as f32) as usize;
        let failed = result.is_err();
        if done.send(result).is_err() || failed {
            return;
        }
    }
}

/// Frames pictures for models that other threads run.
fn frame_all<P, T>(
    source: &Source<impl Iterator<Item = Result<P>>>,
    filler: &Filler<'_, impl Fn(P, &Framer, &mut [u8]) -> Result<T>>,
    framed: &SyncSender<Framed<T>>,
    done: &Done<T>,
) {
    while let Some(job) = source.next(1) {
        let batch = job.and_then(|job| {
            let mut pixels = vec![0; filler.bytes(source.batch)];
            let items = filler.fill(job.pictures.into_iter(), &mut pixels)?;
            Ok(Framed { number: job.number, items, pixels })
        });
        let sent = match batch {
            Ok(batch) => framed.send(batch).is_ok(),
            Err(error) => done.send(Err(error)).is_ok_and(|()| false),
        };
        if !sent {
            return;
        }
    }
}

fn infer_all<T>(framed: &Shared<Framed<T>>, done: &Done<T>, model: &mut Bound) {
    while let Some(Framed { number, items, pixels }) = next(framed) {
        let embeddings = model.run(&pixels, items.len());
        let result = embeddings.map(|embeddings| (number, Batch { items, embeddings }));
        if done.send(result).is_err() {
            return;
        }
    }
}

/// Hands batches on in the order of their numbers; those that are early wait. Some are joined
/// until they have `least` pictures or nothing has come for a while.
fn collect_all<T>(
    results: &Receiver<Result<(u64, Batch<T>)>>,
    returned: &Receiver<()>,
    least: usize,
    collect: &mut impl FnMut(Batch<T>) -> Result<()>,
) -> Result<()> {
    let mut early = BTreeMap::new();
    let mut number = 0;
    let mut joined: Option<Batch<T>> = None;
    loop {
        check_interrupt()?;
        match results.recv_timeout(LOOK_FOR_SIGNALS) {
            Ok(result) => {
                let (place, batch) = result?;
                early.insert(place, batch);
            }
            Err(RecvTimeoutError::Timeout) => joined.take().map_or(Ok(()), &mut *collect)?,
            Err(RecvTimeoutError::Disconnected) => {
                return joined.take().map_or(Ok(()), &mut *collect);
            }
        }
        while let Some(batch) = early.remove(&number) {
            number += 1;
            // There is one: its batch has come.
            let _ = returned.try_recv();
            let block = join(joined.take(), batch);
            if block.items.len() >= least {
                collect(block)?;
            } else {
                joined = Some(block);
            }
        }
    }
}

/// One batch after the other.
fn join<T>(first: Option<Batch<T>>, second: Batch<T>) -> Batch<T> {
    let Some(mut first) = first else {
        return second;
    };
    first.items.extend(second.items);
    first.embeddings.extend(second.embeddings);
    first
}
