//! Training on more embeddings than fit into memory, because there are many pictures or several
//! views of them: they are read from the cache in blocks, in a new order in every epoch.

use artifact::embeddings::{Blocks, Cache, Key};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayViewMut2, Axis};
use softmax::{Moments, Network, Recipe, Standardization, Trainer, batches, order};
use stage::{Error, Result, check_interrupt};

/// Rows that are read at a time by one thread, at most. They lie together in the cache, so mostly
/// show one class.
const BLOCK_ROWS: usize = 1024;

/// Blocks that memory holds at a time, at least: a step's rows come from as many places. With few
/// of them the steps would go after one set of classes and then after another.
const BLOCKS: usize = 256;

/// Embeddings of some pictures, with their labels.
pub struct Stream<'a> {
    /// Of each view, the plain one first.
    views: Vec<Blocks<'a>>,
    labels: &'a [usize],
    dims: usize,
    /// Rows in memory at a time.
    room: usize,
    /// What an error calls a key.
    name: Box<dyn Fn(usize) -> String + 'a>,
}

/// Rows in memory.
struct Group {
    /// Standardised, `[rows, dims]`.
    x: Array2<f32>,
    /// Which of the stream's keys each row belongs to.
    keys: Vec<usize>,
}

impl<'a> Stream<'a> {
    /// The embeddings of `keys`, whose labels are `labels`, of which about `memory` bytes are in
    /// memory at a time. Each of the `caches` has a view of all of them, the first one the plain
    /// view. Errors call a key, given by its place, by its `name`.
    ///
    /// # Errors
    /// Those of [`Cache::blocks`].
    pub fn new(
        caches: &'a [Cache],
        keys: &[Key],
        labels: &'a [usize],
        dims: usize,
        memory: u64,
        name: impl Fn(usize) -> String + 'a,
    ) -> Result<Self> {
        let room = (memory / (size_of::<f32>() * dims) as u64) as usize;
        let rows = BLOCK_ROWS.min(room / BLOCKS).max(1);
        let views = caches.iter().map(|cache| cache.blocks(keys, dims, rows));
        Ok(Self { views: views.collect::<Result<_>>()?, labels, dims, room, name: Box::new(name) })
    }

    /// The blocks of the plain view.
    fn plain(&self) -> &Blocks<'a> {
        &self.views[0]
    }

    /// How many views there are of each key.
    #[must_use]
    pub fn views(&self) -> usize {
        self.views.len()
    }

    /// The label of every key.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        self.labels
    }

    /// Mean and deviation of every feature in the plain view, in one pass.
    ///
    /// # Errors
    /// A part that can't be read, an embedding that isn't finite, or an interrupt.
    pub fn standardization(&self) -> Result<Standardization> {
        let view = self.plain();
        let all: Vec<usize> = (0..view.len()).collect();
        let mut moments = Moments::default();
        for blocks in self.groups(view, &all) {
            check_interrupt()?;
            let group = self.read(view, blocks, None)?;
            let parts: Vec<Moments> = group
                .x
                .axis_chunks_iter(Axis(0), BLOCK_ROWS)
                .into_par_iter()
                .map(Moments::of)
                .collect();
            for part in &parts {
                moments.merge(part);
            }
        }
        Ok(moments.standardization())
    }

    /// Trains on all rows, in each epoch on the next view of them, in the last one on the plain
    /// view. After each epoch `observe` sees its number (from 1), its mean loss and the network,
    /// and ends the training by returning false.
    ///
    /// # Errors
    /// Those of [`Self::standardization`].
    pub fn fit(
        &self,
        classes: usize,
        recipe: &Recipe,
        standardization: &Standardization,
        mut observe: impl FnMut(usize, f64, &Trainer) -> bool,
    ) -> Result<Network> {
        let mut trainer = Trainer::new(self.dims, classes, self.labels.len(), recipe);
        for epoch in 0..recipe.epochs {
            let mut loss = 0.0;
            let view = &self.views[view_of(epoch, recipe.epochs, self.views.len())];
            let blocks = order(view.len(), recipe.seed, epoch);
            for (index, blocks) in self.groups(view, &blocks).into_iter().enumerate() {
                let group = self.read(view, blocks, Some(standardization))?;
                // Groups of one epoch are shuffled differently.
                let seed = recipe.seed ^ ((index as u64 + 1) << 32);
                let rows = order(group.keys.len(), seed, epoch);
                for batch in batches(rows.len(), recipe.batch) {
                    check_interrupt()?;
                    let x = group.x.select(Axis(0), &rows[batch.clone()]);
                    let y: Vec<usize> =
                        rows[batch].iter().map(|&row| self.labels[group.keys[row]]).collect();
                    loss += trainer.step(x.view(), &y) * y.len() as f64;
                }
            }
            if !observe(epoch + 1, loss / self.labels.len() as f64, &trainer) {
                break;
            }
        }
        Ok(trainer.network())
    }

    /// Logits `[keys, classes]` of every row in the plain view, in the order of the keys.
    ///
    /// # Errors
    /// Those of [`Self::standardization`].
    pub fn logits(&self, network: &Network, by: &Standardization) -> Result<Array2<f32>> {
        let mut logits = Array2::zeros((self.labels.len(), network.classes()));
        let view = self.plain();
        let all: Vec<usize> = (0..view.len()).collect();
        for blocks in self.groups(view, &all) {
            check_interrupt()?;
            let group = self.read(view, blocks, Some(by))?;
            for (&key, found) in group.keys.iter().zip(network.logits(group.x.view()).rows()) {
                logits.row_mut(key).assign(&found);
            }
        }
        Ok(logits)
    }

    /// `blocks` of `view` in stretches that fit into memory: at least one block each.
    fn groups<'b>(&self, view: &Blocks<'_>, mut blocks: &'b [usize]) -> Vec<&'b [usize]> {
        let mut groups = Vec::new();
        while !blocks.is_empty() {
            let mut rows = 0;
            let fits = |&&block: &&usize| {
                rows += view.keys(block).len();
                rows <= self.room
            };
            let count = blocks.iter().take_while(fits).count().max(1);
            let (group, rest) = blocks.split_at(count);
            groups.push(group);
            blocks = rest;
        }
        groups
    }

    /// Reads some blocks, each thread another one, to places that are known before.
    fn read(
        &self,
        view: &Blocks<'_>,
        blocks: &[usize],
        by: Option<&Standardization>,
    ) -> Result<Group> {
        let keys: Vec<usize> = blocks.iter().flat_map(|&block| view.keys(block)).copied().collect();
        let mut x = Array2::zeros((keys.len(), self.dims));
        let mut places: Vec<(usize, ArrayViewMut2<'_, f32>)> = Vec::new();
        let mut rest = x.view_mut();
        for &block in blocks {
            let (place, after) = rest.split_at(Axis(0), view.keys(block).len());
            places.push((block, place));
            rest = after;
        }
        places.into_par_iter().try_for_each(|(block, mut place)| {
            view.read(block, place.view_mut())?;
            if let Some(standardization) = by {
                standardization.apply(place);
            }
            Ok::<_, Error>(())
        })?;
        let broken = x
            .axis_iter(Axis(0))
            .into_par_iter()
            .position_first(|row| row.iter().any(|value| !value.is_finite()));
        match broken {
            None => Ok(Group { x, keys }),
            Some(row) => Err(Error::data(format!(
                "the embedding of {} holds numbers that aren't finite: remove the cache's folder \
                 of this view and run gtsrb-extract again",
                (self.name)(keys[row])
            ))),
        }
    }
}

/// Which of `views` an epoch (from 0) is of, so that they take turns and the last of all epochs,
/// at the lowest rates, is of the first view: as pictures are when the head is used.
fn view_of(epoch: usize, epochs: usize, views: usize) -> usize {
    let to_come = epochs - 1 - epoch;
    (views - to_come % views) % views
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_take_turns_until_the_plain_one() {
        let turns = |epochs, views| -> Vec<usize> {
            (0..epochs).map(|epoch| view_of(epoch, epochs, views)).collect()
        };
        assert_eq!(turns(7, 3), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(turns(5, 3), [2, 0, 1, 2, 0]);
        assert_eq!(turns(2, 7), [6, 0]);
        assert_eq!(turns(3, 1), [0; 3]);
    }
}
