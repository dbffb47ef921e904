//! Convolutions over the maps of an embedding, in training.

use ndarray::{Array2, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;

use crate::Model;
use crate::convolution::{by_input, by_weights, convolve};
use crate::hidden::{Activation, Hidden};
use crate::maps::{WINDOW, cells, pool, rows, spread};
use crate::step::Rate;
use crate::tower::{Level, Levels};

/// The levels of one network, each a layer of its own.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    levels: Levels,
    layers: Vec<Hidden>,
}

/// What the way back needs of the way there.
pub(crate) struct Climb {
    steps: Vec<Step>,
    /// What came out, `[rows, outputs]`.
    pub(crate) output: Array2<f32>,
}

struct Step {
    input: Array2<f32>,
    activation: Activation,
    which: Array2<u8>,
}

impl Stack {
    /// Levels with first weights `[inputs, outputs]` by `weights(inputs, outputs)`.
    pub(crate) fn new(
        levels: &Levels,
        mut weights: impl FnMut(usize, usize) -> Array2<f32>,
    ) -> Self {
        let plan = levels.plan().into_iter().zip(&levels.channels);
        let layer = |(level, &channels): (Level, &usize)| {
            Hidden::new(weights(WINDOW * level.inputs(), channels), 0.0)
        };
        Self { levels: levels.clone(), layers: plan.map(layer).collect() }
    }

    /// The way there, for `x` `[rows, features]`.
    pub(crate) fn forward(&mut self, x: ArrayView2<f32>, random: &mut ChaCha8Rng) -> Climb {
        let (mut steps, mut before) = (Vec::new(), None);
        for (level, layer) in self.levels.plan().iter().zip(&mut self.layers) {
            let input = level.input(before.as_ref(), x);
            let sums = convolve(input.view(), level.side, layer.weights());
            let activation = layer.activate(sums, random);
            let (largest, which) = pool(activation.output.view(), level.side);
            steps.push(Step { input, activation, which });
            before = Some(largest);
        }
        let output = before.map(|map| rows(map.view(), self.levels.last_side()));
        Climb { steps, output: output.unwrap_or_default() }
    }

    /// The way back, from the loss's derivative by the output; moves the parameters.
    pub(crate) fn backward(&mut self, climb: &Climb, error: ArrayView2<f32>, rate: Rate) {
        let (side, outputs) = (self.levels.last_side(), error.ncols());
        let mut by_map = Array2::zeros((error.nrows() * side * side, outputs / (side * side)));
        cells(error, 0, side, by_map.view_mut());
        let steps = self.levels.plan().into_iter().zip(&climb.steps).zip(&mut self.layers);
        for ((level, step), layer) in steps.rev() {
            let by_output = spread(by_map.view(), &step.which, level.side);
            let errors = layer.back(&step.activation, by_output, rate);
            if level.before > 0 {
                by_map = by_input(errors.view(), level.side, layer.weights(), level.before);
            }
            let slope = by_weights(step.input.view(), level.side, errors.view());
            layer.follow(slope.view(), rate);
        }
    }

    /// The finished convolutions of `stacks` of equal shape side by side: each level gives the
    /// channels of one after those of the other, and none looks at another's.
    pub(crate) fn convolutions(stacks: &[&Self]) -> Vec<Model> {
        let Some(first) = stacks.first() else { return Vec::new() };
        let of_level = |(index, level): (usize, Level)| {
            let own: Vec<Model> = stacks.iter().map(|stack| stack.layers[index].layer()).collect();
            beside(&own, level.before, level.own)
        };
        first.levels.plan().into_iter().enumerate().map(of_level).collect()
    }

    #[cfg(test)]
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &crate::step::Parameter> {
        self.layers.iter().flat_map(Hidden::parameters)
    }

    #[cfg(test)]
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut crate::step::Parameter> {
        self.layers.iter_mut().flat_map(Hidden::parameters_mut)
    }
}

/// One convolution that does what `models` do, each of which takes, of every cell of the window,
/// `own` channels of its own and then `shared` ones.
fn beside(models: &[Model], own: usize, shared: usize) -> Model {
    let (outputs, all) = (models[0].bias.len(), own * models.len() + shared);
    let mut weights = Array2::zeros((outputs * models.len(), WINDOW * all));
    let mut bias = Vec::with_capacity(outputs * models.len());
    for (number, model) in models.iter().enumerate() {
        bias.extend(&model.bias);
        let rows = (outputs * number..outputs * (number + 1)).into();
        let mut weights = weights.slice_axis_mut(Axis(0), rows);
        for place in 0..WINDOW {
            let mut put = |from: usize, to: usize, length: usize| {
                let from = model.weights.slice_axis(Axis(1), (from..from + length).into());
                weights.slice_axis_mut(Axis(1), (to..to + length).into()).assign(&from);
            };
            put(place * (own + shared), place * all + number * own, own);
            put(place * (own + shared) + own, place * all + models.len() * own, shared);
        }
    }
    Model { weights, bias: bias.into() }
}
