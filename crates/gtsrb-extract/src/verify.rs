//! `gtsrb-extract verify`: some embeddings computed anew and compared with the cache.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use artifact::Hash;
use artifact::embeddings::{Cache, Embedded, Key, Row, Storage};
use artifact::images::{Image, ImageSet};
use embed::{Device, Effort, Provider, Runtime, View, Views};
use half::f16;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use stage::{Error, Outcome, Result};

use crate::args::Args;
use crate::backbone::Backbone;
use crate::index::Index;
use crate::pipeline::Pipeline;
use crate::summary::{Summary, Verified};

/// The largest difference that is no error, as a share of the embedding's largest number.
/// One machine gives equal bits; other processors and library versions round differently,
/// and half precision keeps 11 bits.
const TOLERANCE: f64 = 2e-3;

/// Computes `rows` random embeddings of each of the run's views anew.
pub fn verify(args: &Args, rows: usize, seed: u64) -> Result<Outcome<Summary>> {
    let run = args.common.run_dir()?;
    let images = ImageSet::open(&run)?;
    let embedded = Embedded::open(&run)?;
    let views = Views::from_parameters(&embedded.manifest().work.parameters).map_err(|e| {
        e.context(format!("{}: run gtsrb-extract again", run.join("embeddings").display()))
    })?;
    let backbone = backbone_of(&run, &views.plain)?;
    let (index, recorded) = (Index::of(&images)?, Index::read(&embedded)?);
    let mut verified = Verified::default();
    for view in views.all() {
        let paths = draw(&recorded.of_splits(view.splits()), rows, seed);
        let wanted: HashSet<Key> = paths.keys().copied().collect();
        let drawn = index.pick(&images, &wanted);
        let effort = Effort::plain(args.common.threads());
        let pipeline = Pipeline::open(&backbone, &view, effort, false)?;
        verified.add(&compare(&view, pipeline, drawn, &paths, backbone.dims)?);
    }
    Ok(Outcome::Checked(Summary::Verified(verified)))
}

/// Computes the embeddings of the `drawn` images, whose keys and paths are `paths`, and compares
/// them with the view's cache.
fn compare(
    view: &View,
    pipeline: Pipeline,
    drawn: impl Iterator<Item = Result<(Key, Image)>> + Send,
    paths: &HashMap<Key, String>,
    dims: usize,
) -> Result<Verified> {
    let keys: Vec<Key> = paths.keys().copied().collect();
    let cache = Cache::open(&stage::embeddings_dir()?, view.hash())?;
    let stored = cache.gather(&keys, dims)?;
    let places: HashMap<Key, usize> = keys.iter().copied().zip(0..).collect();
    let mut comparison = Comparison::default();
    pipeline.run(drawn, |batch| {
        for (key, values) in batch.keys.iter().zip(batch.values.chunks_exact(dims)) {
            let stored = stored.row(places[key]);
            comparison.add(&paths[key], values, stored.iter().copied(), view.storage);
        }
        Ok(())
    })?;
    comparison.verdict(&view.hash())
}

/// The backbone that the run's embeddings were computed with.
fn backbone_of(run: &Path, view: &View) -> Result<Backbone> {
    let backbone = Backbone::open(run)?;
    if backbone.hash != view.backbone {
        return Err(Error::data(format!(
            "{}: the backbone changed after the embeddings were computed; run gtsrb-extract first",
            run.display()
        )));
    }
    if view.provider == Provider::Cuda {
        let shape = [view.batch, view.size, view.size, 3];
        Device::Cuda.choose(&backbone.onnx, view.kernels, &shape)?;
    }
    let runtime = Runtime::load()?.version();
    if runtime != view.runtime {
        tracing::warn!("computed with ONNX Runtime {}, compared with {runtime}", view.runtime);
    }
    Ok(backbone)
}

/// Keys of `rows` random images of the `index`, and their paths.
fn draw(index: &Index, rows: usize, seed: u64) -> HashMap<Key, String> {
    let all: Vec<&Row> = index.rows().collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let places = rand::seq::index::sample(&mut random, all.len(), rows.min(all.len()));
    places.into_iter().map(|place| (all[place].key, all[place].path.clone())).collect()
}

/// Rows compared so far.
#[derive(Default)]
struct Comparison {
    rows: usize,
    identical: usize,
    largest: f64,
    wrong: Vec<String>,
}

impl Comparison {
    fn add(
        &mut self,
        path: &str,
        computed: &[f32],
        stored: impl Iterator<Item = f32> + Clone,
        storage: Storage,
    ) {
        let rounded = |value: f32| match storage {
            Storage::F16 => f16::from_f32(value).to_f32(),
            Storage::F32 => value,
        };
        let scale = stored.clone().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let difference = |(new, old): (f32, f32)| f64::from((new - old).abs()) / f64::from(scale);
        let values = computed.iter().copied().map(rounded);
        // A NaN would be lost in `max`, and equals nothing.
        let differences = values.zip(stored).map(difference);
        let difference =
            differences.map(|d| if d.is_nan() { f64::INFINITY } else { d }).fold(0.0, f64::max);
        self.rows += 1;
        self.identical += usize::from(difference == 0.0);
        if difference > TOLERANCE {
            self.wrong.push(path.to_owned());
        }
        self.largest = if difference <= self.largest { self.largest } else { difference };
    }

    fn verdict(self, view: &Hash) -> Result<Verified> {
        if self.wrong.is_empty() {
            let Self { rows, identical, largest, .. } = self;
            return Ok(Verified { rows, identical, largest_difference: largest });
        }
        let (count, rows, largest) = (self.wrong.len(), self.rows, self.largest);
        let named: Vec<String> = self.wrong.into_iter().take(5).collect();
        Err(Error::data(format!(
            "{count} of {rows} embeddings are not what the cache holds (largest difference \
             {largest:.1e} of the embedding's largest number): {}; remove {} and run \
             gtsrb-extract again",
            named.join(", "),
            stage::embeddings_dir()?.join(view.to_string()).display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(computed: &[f32], stored: &[f32], storage: Storage) -> Result<Verified> {
        let mut comparison = Comparison::default();
        comparison.add("a.png", computed, stored.iter().copied(), storage);
        comparison.verdict(&Hash::of(b"view"))
    }

    #[test]
    fn rounding_to_storage_is_no_difference() {
        let stored = f16::from_f32(0.1).to_f32();
        assert_eq!(compared(&[0.1, 4.0], &[stored, 4.0], Storage::F16).unwrap().identical, 1);
        assert_eq!(compared(&[0.1, 4.0], &[stored, 4.0], Storage::F32).unwrap().identical, 0);
    }

    #[test]
    fn a_difference_or_nan_is_an_error_that_names_the_image() {
        for stored in [[0.2, 4.0], [f32::NAN, 4.0]] {
            let error = compared(&[0.1, 4.0], &stored, Storage::F32).unwrap_err();
            assert_eq!(error.fault(), stage::Fault::Data);
            assert!(error.to_string().contains("a.png"));
        }
    }
}
