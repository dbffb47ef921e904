//! A network in training, one of several whose logits are averaged.

use matrix::product;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::hidden::{Hidden, drop_units, let_through};
use crate::stack::Stack;
use crate::step::{Parameter, Rate};
use crate::tower::nothing;
use crate::{Levels, Model, Network, Recipe, Tower};

/// Convolutions and a hidden layer, if there are some, and the last layer.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) stack: Option<Stack>,
    pub(crate) hidden: Option<Hidden>,
    pub(crate) last: Last,
}

impl Member {
    /// One with first weights from `random`.
    pub(crate) fn new(
        features: usize,
        classes: usize,
        recipe: &Recipe,
        random: &mut ChaCha8Rng,
    ) -> Self {
        let mut uniform = |inputs: usize, outputs| {
            let limit = (inputs as f32).sqrt().recip();
            Array2::from_shape_simple_fn((inputs, outputs), || random.random_range(-limit..limit))
        };
        let stack = recipe.levels.as_ref().map(|levels| Stack::new(levels, &mut uniform));
        let features = recipe.levels.as_ref().map_or(features, Levels::outputs);
        let units = recipe.hidden;
        let hidden = (units > 0).then(|| Hidden::new(uniform(features, units), recipe.dropout));
        let last = match (&stack, &hidden) {
            // A linear classifier needs no chance.
            (None, None) => Array2::zeros((features, classes)),
            (_, None) => uniform(features, classes),
            (_, Some(_)) => uniform(units, classes),
        };
        Self { stack, hidden, last: Last::new(last) }
    }

    /// One step on rows `x` with labels `y`; gives their mean loss before it.
    pub(crate) fn step(
        &mut self,
        x: ArrayView2<f32>,
        y: &[usize],
        recipe: &Recipe,
        rate: Rate,
        random: &mut ChaCha8Rng,
    ) -> f64 {
        let mut climb = self.stack.as_mut().map(|stack| stack.forward(x, random));
        if let Some(climb) = &mut climb {
            drop_units(&mut climb.output, recipe.dropout, random);
        }
        let x = climb.as_ref().map_or(x, |climb| climb.output.view());
        let activation = self.hidden.as_mut().map(|hidden| hidden.forward(x, random));
        let inputs = activation.as_ref().map_or(x, |activation| activation.output.view());
        let mut error = self.last.logits(inputs);
        let loss = residuals(&mut error, y, recipe.smoothing);
        // A linear classifier has nothing before its last layer.
        let mut back = (self.hidden.is_some() || self.stack.is_some())
            .then(|| product(error.view(), self.last.weights.values.t()));
        self.last.descend(inputs, error.view(), rate);
        if let (Some(hidden), Some(activation), Some(by_output)) =
            (&mut self.hidden, &activation, &mut back)
        {
            let errors = hidden.back(activation, std::mem::take(by_output), rate);
            if self.stack.is_some() {
                *by_output = hidden.by_inputs(errors.view());
            }
            hidden.descend(x, errors.view(), rate);
        }
        if let (Some(stack), Some(climb), Some(mut error)) = (&mut self.stack, &climb, back) {
            let_through(&mut error, &climb.output, recipe.dropout);
            stack.backward(climb, error.view(), rate);
        }
        loss
    }
}

/// The network in which `members` stand side by side: each layer gives the units of one after
/// those of the other, and the last one the mean of their logits.
pub(crate) fn finished(members: &[Member], levels: Option<&Levels>) -> Network {
    let stacks: Vec<&Stack> = members.iter().filter_map(|member| member.stack.as_ref()).collect();
    let tower = levels.map(|levels| {
        let channels = levels.channels.iter().map(|channels| channels * members.len()).collect();
        let levels = Levels { channels, ..levels.clone() };
        let standardization = nothing(levels.features());
        Tower { levels, standardization, convolutions: Stack::convolutions(&stacks) }
    });
    let hidden = members.iter().filter_map(|member| member.hidden.as_ref());
    let hidden: Vec<Model> = hidden.map(Hidden::layer).collect();
    let hidden = (!hidden.is_empty()).then(|| side_by_side(&hidden, tower.is_some()));
    let last: Vec<Model> = members.iter().map(|member| member.last.layer()).collect();
    let layers = hidden.into_iter().chain([mean(&last)]).collect();
    Network::of(tower, layers)
}

/// The layer that gives the units of all `layers`, one after the other. If they are `apart`, each
/// takes inputs of its own, else all take the same.
fn side_by_side(layers: &[Model], apart: bool) -> Model {
    let (units, inputs) = layers[0].weights.dim();
    let all = if apart { inputs * layers.len() } else { inputs };
    let mut weights = Array2::zeros((units * layers.len(), all));
    let own = weights.axis_chunks_iter_mut(Axis(0), units);
    for (number, (mut own, layer)) in own.zip(layers).enumerate() {
        let first = if apart { number * inputs } else { 0 };
        own.slice_axis_mut(Axis(1), (first..first + inputs).into()).assign(&layer.weights);
    }
    Model { weights, bias: layers.iter().flat_map(|layer| layer.bias.clone()).collect() }
}

/// The layer that gives the mean of `layers`, each of which takes inputs of its own.
fn mean(layers: &[Model]) -> Model {
    let share = (layers.len() as f32).recip();
    let (classes, inputs) = layers[0].weights.dim();
    let mut weights = Array2::zeros((classes, inputs * layers.len()));
    let mut bias = Array1::zeros(classes);
    for (mut own, layer) in weights.axis_chunks_iter_mut(Axis(1), inputs).zip(layers) {
        own.assign(&(&layer.weights * share));
        bias.scaled_add(share, &layer.bias);
    }
    Model { weights, bias }
}

/// The last layer of a member.
#[derive(Debug, Clone)]
pub(crate) struct Last {
    /// `[hidden units or features, classes]`
    pub(crate) weights: Parameter,
    /// `[1, classes]`
    pub(crate) bias: Parameter,
}

impl Last {
    /// A layer with these first weights.
    fn new(weights: Array2<f32>) -> Self {
        let bias = Array2::zeros((1, weights.ncols()));
        Self { weights: Parameter::new(weights), bias: Parameter::new(bias) }
    }

    fn logits(&self, inputs: ArrayView2<'_, f32>) -> Array2<f32> {
        product(inputs, self.weights.values.view()) + &self.bias.values
    }

    /// A step against the loss's derivative by the logits.
    fn descend(&mut self, inputs: ArrayView2<'_, f32>, error: ArrayView2<'_, f32>, rate: Rate) {
        self.weights.descend(inputs, error, rate);
        let ones = Array2::ones((error.nrows(), 1));
        self.bias.descend(ones.view(), error, rate.without_decay());
    }

    /// The finished layer.
    pub(crate) fn layer(&self) -> Model {
        let weights = self.weights.values.t().as_standard_layout().into_owned();
        Model { weights, bias: self.bias.values.row(0).to_owned() }
    }
}

/// Replaces logits `[rows, classes]` by the derivative of the mean loss by them and gives that
/// loss: cross-entropy with a `smoothing` share of each target spread over all classes.
pub(crate) fn residuals(logits: &mut Array2<f32>, y: &[usize], smoothing: f32) -> f64 {
    let (rows, classes) = logits.dim();
    let spread = smoothing / classes as f32;
    let scale = (rows as f32).recip();
    let mut loss = 0.0;
    for (mut row, &label) in logits.rows_mut().into_iter().zip(y) {
        let max = row.fold(f32::NEG_INFINITY, |max, &value| max.max(value));
        let sum: f32 = row.iter().map(|value| (value - max).exp()).sum();
        let log_sum = max + sum.ln();
        let mean = row.iter().map(|value| log_sum - value).sum::<f32>() * spread;
        loss += f64::from((1.0 - smoothing) * (log_sum - row[label]) + mean);
        row.mapv_inplace(|value| scale * ((value - log_sum).exp() - spread));
        row[label] -= scale * (1.0 - smoothing);
    }
    loss / rows as f64
}
