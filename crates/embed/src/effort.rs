//! How many sessions of how many threads compute: a matter of speed alone, which changes no
//! bit of an embedding.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stage::{Error, Result, check_interrupt};

use crate::bound::Bound;
use crate::pipeline::with_resize;
use crate::{Framer, View};

/// Sessions beside each other, and the threads of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// Sessions; each computes batches of its own.
    pub sessions: usize,
    /// Threads of a session.
    pub threads: usize,
}

impl Effort {
    /// A session of one thread for each of `threads`: that scales linearly and survives a busy
    /// neighbour, so that it is the choice where nothing was measured.
    #[must_use]
    pub fn plain(threads: usize) -> Self {
        Self { sessions: threads, threads: 1 }
    }

    /// What may be fastest with `threads` in all: as many, and half as many, because
    /// processors with two threads a core may have nothing left for the second.
    #[must_use]
    pub fn candidates(threads: usize) -> Vec<Self> {
        let mut found = vec![Self::plain(threads)];
        for total in [threads, threads / 2] {
            let of = |each: usize| Self { sessions: total / each, threads: each };
            let powers = (0..usize::BITS).map(|power| 1 << power);
            found.extend(powers.take_while(|&each| each <= total).map(of));
        }
        found.dedup();
        found
    }

    /// Threads in all.
    #[must_use]
    pub fn total(self) -> usize {
        self.sessions.saturating_mul(self.threads)
    }

    /// Images a second of the backbone alone on the processor; takes `time` and some more.
    ///
    /// # Errors
    /// As [`Bound::open`].
    pub fn measure(self, onnx: &[u8], dims: usize, view: &View, time: Duration) -> Result<f64> {
        let framer = Framer::new(view.framing(), view.resize);
        let shape = framer.shape(view.batch);
        let onnx = &*with_resize(onnx, &framer)?;
        let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
        let pixels: Vec<u8> = (0..shape.iter().product()).map(noise).collect();
        let mut models = Vec::new();
        for _ in 0..self.sessions {
            check_interrupt()?;
            let mut model = Bound::open(onnx, view, shape, dims, self.threads, false)?;
            // The first run of a session prepares it.
            model.run(&pixels, view.batch)?;
            models.push(model);
        }
        let (batches, pixels, started) = (&AtomicU64::new(0), &pixels, Instant::now());
        thread::scope(|scope| {
            let start = |mut model: Bound| {
                let work = move || -> Result<()> {
                    while started.elapsed() < time {
                        model.run(pixels, view.batch)?;
                        batches.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                };
                Builder::new().spawn_scoped(scope, work).map_err(|e| Error::thread(&e))
            };
            let threads = models.into_iter().map(start).collect::<Result<Vec<_>>>()?;
            threads.into_iter().try_for_each(|thread| {
                thread.join().map_err(|_| Error::internal("a measuring thread failed"))?
            })
        })?;
        let images = batches.load(Ordering::Relaxed) * view.batch as u64;
        Ok(images as f64 / started.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_one_is_tried_first_and_none_twice() {
        let found = |threads| {
            let found = Effort::candidates(threads).into_iter();
            found.map(|effort| (effort.sessions, effort.threads)).collect::<Vec<_>>()
        };
        assert_eq!(found(1), [(1, 1)]);
        assert_eq!(found(2), [(2, 1), (1, 2), (1, 1)]);
        assert_eq!(found(6), [(6, 1), (3, 2), (1, 4), (3, 1), (1, 2)]);
    }
}
