//! Convolutions over the maps of an embedding, finished.

use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::convolution::{PICTURES, convolve};
use crate::maps::{WINDOW, cells, pool, rows};
use crate::network::rectify;
use crate::{Error, Model, Standardization};

/// A part of a row of features: `channels` maps of `side` × `side` numbers, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Numbers of a cell.
    pub channels: usize,
    /// Cells of a side.
    pub side: usize,
}

impl Map {
    /// How many numbers it is.
    #[must_use]
    pub fn length(self) -> usize {
        self.channels * self.side * self.side
    }
}

/// Which maps a row of features consists of, and what is made of them: level by level a 3 × 3
/// convolution, a rectifier, and the largest of each 2 × 2 cells. The first level takes the maps with
/// the longest side; each further one takes what the one before gives, and the maps of that side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// The maps, in the order of a row.
    pub maps: Vec<Map>,
    /// The channels that each level gives.
    pub channels: Vec<usize>,
}

/// What a level takes.
pub(crate) struct Level {
    /// Cells of a side.
    pub side: usize,
    /// The maps that join here, each with its place in a row.
    pub joining: Vec<(usize, Map)>,
    /// Channels that the level before gives.
    pub before: usize,
    /// Channels of the maps that join.
    pub own: usize,
}

impl Levels {
    /// Checks that every map joins at a level.
    ///
    /// # Errors
    /// [`Error::Maps`] if it doesn't.
    pub fn new(maps: Vec<Map>, channels: Vec<usize>) -> Result<Self, Error> {
        let levels = Self { maps, channels };
        let joined: usize = levels.plan().iter().map(|level| level.joining.len()).sum();
        let is_empty = |map: &Map| map.channels == 0 || map.side == 0;
        if levels.channels.is_empty()
            || levels.channels.contains(&0)
            || levels.last_side() == 0
            || levels.maps.iter().any(is_empty)
            || joined != levels.maps.len()
        {
            return Err(Error::Maps {
                sides: levels.maps.iter().map(|map| map.side).collect(),
                levels: levels.channels.len(),
            });
        }
        Ok(levels)
    }

    /// Numbers of a row.
    #[must_use]
    pub fn features(&self) -> usize {
        self.maps.iter().map(|map| map.length()).sum()
    }

    /// Numbers that come out: of each channel of the last level its cells.
    #[must_use]
    pub fn outputs(&self) -> usize {
        let side = self.last_side();
        self.channels.last().map_or(0, |channels| channels * side * side)
    }

    fn first_side(&self) -> usize {
        self.maps.iter().map(|map| map.side).max().unwrap_or(0)
    }

    /// Cells of a side of what comes out.
    #[must_use]
    pub fn last_side(&self) -> usize {
        self.first_side() >> self.channels.len()
    }

    /// What each level takes.
    pub(crate) fn plan(&self) -> Vec<Level> {
        let mut start = 0;
        let placed: Vec<(usize, Map)> = (self.maps.iter())
            .map(|&map| {
                start += map.length();
                (start - map.length(), map)
            })
            .collect();
        (0..self.channels.len())
            .map(|level| {
                let side = self.first_side() >> level;
                let joining: Vec<(usize, Map)> =
                    placed.iter().copied().filter(|(_, map)| map.side == side).collect();
                let own = joining.iter().map(|(_, map)| map.channels).sum();
                let before = level.checked_sub(1).map_or(0, |before| self.channels[before]);
                Level { side, joining, before, own }
            })
            .collect()
    }
}

impl Level {
    /// Channels of all it takes.
    pub(crate) fn inputs(&self) -> usize {
        self.before + self.own
    }

    /// What it takes: what the level `before` gave, then the maps of `x` that join.
    pub(crate) fn input(&self, before: Option<&Array2<f32>>, x: ArrayView2<f32>) -> Array2<f32> {
        let mut input = Array2::zeros((x.nrows() * self.side * self.side, self.inputs()));
        let (mut first, mut own) = input.view_mut().split_at(Axis(1), self.before);
        if let Some(before) = before {
            first.assign(before);
        }
        for &(start, map) in &self.joining {
            let (to, others) = own.split_at(Axis(1), map.channels);
            cells(x, start, map.side, to);
            own = others;
        }
        input
    }
}

/// Finished convolutions. What comes out of them is a row `[channels, cells]` of the last level.
#[derive(Debug, Clone, PartialEq)]
pub struct Tower {
    pub(crate) levels: Levels,
    /// Done to features first.
    pub(crate) standardization: Standardization,
    /// Of each level: weights `[channels, 9 · inputs]`, where the inputs of one cell of the 3 × 3
    /// window follow those of the one before.
    pub(crate) convolutions: Vec<Model>,
}

impl Tower {
    /// A tower of `convolutions`, which take `standardization` of the features.
    ///
    /// # Errors
    /// [`Error::Layers`] if their shapes don't fit `levels`.
    pub fn new(
        levels: Levels,
        standardization: Standardization,
        convolutions: Vec<Model>,
    ) -> Result<Self, Error> {
        let wanted = levels.plan().into_iter().zip(&levels.channels);
        let fits = wanted.zip(&convolutions).all(|((level, &channels), model)| {
            model.weights.dim() == (channels, WINDOW * level.inputs())
                && model.bias.len() == channels
        });
        let features = levels.features();
        let is_whole = convolutions.len() == levels.channels.len()
            && standardization.mean.len() == features
            && standardization.scale.len() == features;
        if !fits || !is_whole {
            let shapes = convolutions.iter().map(|model| (model.weights.dim(), model.bias.len()));
            return Err(Error::Layers { shapes: shapes.collect() });
        }
        Ok(Self { levels, standardization, convolutions })
    }

    /// What it is made of.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The maps that each level takes besides what the one before gives, with their places in a
    /// row.
    #[must_use]
    pub fn inputs(&self) -> Vec<Vec<(usize, Map)>> {
        self.levels.plan().into_iter().map(|level| level.joining).collect()
    }

    /// What is done to features first.
    #[must_use]
    pub fn standardization(&self) -> &Standardization {
        &self.standardization
    }

    /// The convolution of each level, see [`Tower`].
    #[must_use]
    pub fn convolutions(&self) -> &[Model] {
        &self.convolutions
    }

    /// From now on it takes raw features instead of standardised ones.
    pub(crate) fn take_raw(&mut self, standardization: &Standardization) {
        self.standardization = standardization.clone();
    }

    /// The rows that come out for rows `x` of features. No bit of one depends on the others.
    pub(crate) fn forward(&self, x: ArrayView2<f32>) -> Array2<f32> {
        let mut output = Array2::zeros((x.nrows(), self.levels.outputs()));
        let blocks = output.axis_chunks_iter_mut(Axis(0), PICTURES).into_par_iter();
        blocks.zip(x.axis_chunks_iter(Axis(0), PICTURES)).for_each(|(mut to, x)| {
            // Products of other shapes may be summed in another order.
            let mut whole = Array2::zeros((PICTURES, x.ncols()));
            let mut own = whole.slice_axis_mut(Axis(0), (..x.nrows()).into());
            own.assign(&x);
            self.standardization.apply(own);
            to.assign(&self.climb(whole.view()).slice_axis(Axis(0), (..x.nrows()).into()));
        });
        output
    }

    /// What comes out for a few standardised rows.
    fn climb(&self, x: ArrayView2<f32>) -> Array2<f32> {
        let mut before: Option<Array2<f32>> = None;
        for (level, model) in self.levels.plan().iter().zip(&self.convolutions) {
            let input = level.input(before.as_ref(), x);
            let mut map = convolve(input.view(), level.side, model.weights.t()) + &model.bias;
            rectify(&mut map);
            before = Some(pool(map.view(), level.side).0);
        }
        before.map(|map| rows(map.view(), self.levels.last_side())).unwrap_or_default()
    }
}

/// The standardisation that leaves features as they are.
pub(crate) fn nothing(features: usize) -> Standardization {
    Standardization { mean: Array1::zeros(features), scale: Array1::ones(features) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(channels: usize, side: usize) -> Map {
        Map { channels, side }
    }

    #[test]
    fn every_map_joins_where_its_side_is_reached() {
        let levels = Levels::new(vec![map(3, 6), map(2, 12), map(5, 6)], vec![8, 16]).unwrap();
        assert_eq!((levels.features(), levels.outputs()), (8 * 36 + 2 * 144, 16 * 9));
        let plan = levels.plan();
        assert_eq!((plan[0].side, plan[0].inputs()), (12, 2));
        assert_eq!((plan[1].side, plan[1].inputs()), (6, 8 + 3 + 5));
        assert_eq!(plan[1].joining[1].0, 3 * 36 + 2 * 144);
    }

    #[test]
    fn maps_that_no_level_takes_are_refused() {
        for (maps, channels) in [
            (vec![map(2, 12), map(2, 5)], vec![4, 4]),
            (vec![map(2, 12), map(2, 6)], vec![4]),
            (vec![map(2, 2)], vec![4, 4]),
            (vec![map(0, 4)], vec![4]),
            (vec![map(2, 4)], vec![]),
            (vec![], vec![4]),
        ] {
            let error = Levels::new(maps.clone(), channels).unwrap_err();
            assert!(matches!(error, Error::Maps { .. }), "{maps:?}");
        }
    }

    #[test]
    fn pictures_do_not_depend_on_their_company() {
        let number = |(row, column)| 1.0 / (1.0 + (row * 31 + column * 17) as f32 % 23.0) - 0.2;
        let levels = Levels::new(vec![map(24, 12), map(120, 6)], vec![64, 40]).unwrap();
        let model = |inputs: usize, outputs| Model {
            weights: Array2::from_shape_fn((outputs, WINDOW * inputs), number),
            bias: Array1::ones(outputs),
        };
        let convolutions = vec![model(24, 64), model(64 + 120, 40)];
        let x = Array2::from_shape_fn((45, levels.features()), number);
        let tower = Tower::new(levels, nothing(x.ncols()), convolutions).unwrap();
        let all = tower.forward(x.view());
        for rows in [0..1, 1..2, 7..8, 5..30, 44..45] {
            let part = |all: &Array2<f32>| all.slice_axis(Axis(0), rows.clone().into()).to_owned();
            assert_eq!(tower.forward(part(&x).view()), part(&all));
        }
    }
}
