//! Linear layers with rectifiers between them.

use ndarray::{Array2, ArrayView2};

use crate::model::by_blocks;
use crate::{Error, Model, Standardization, Tower};

/// A classifier of one or more linear layers: each one but the last is followed by a rectifier,
/// max(0, ·). With a single layer it is linear. Before them there may be convolutions.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    tower: Option<Tower>,
    /// At least one; each takes what the one before gives.
    layers: Vec<Model>,
}

impl From<Model> for Network {
    fn from(layer: Model) -> Self {
        Self { tower: None, layers: vec![layer] }
    }
}

impl Network {
    /// A network of `layers`, the one that takes the features first.
    ///
    /// # Errors
    /// [`Error::Layers`] if there is none, or if one's weights don't fit its bias or the layer
    /// before.
    pub fn new(layers: Vec<Model>) -> Result<Self, Error> {
        let fits_itself =
            |layer: &Model| layer.weights.nrows() == layer.bias.len() && !layer.weights.is_empty();
        let follows = |pair: &[Model]| pair[0].bias.len() == pair[1].weights.ncols();
        if layers.is_empty() || !layers.iter().all(fits_itself) || !layers.windows(2).all(follows) {
            let shapes = layers.iter().map(|layer| (layer.weights.dim(), layer.bias.len()));
            return Err(Error::Layers { shapes: shapes.collect() });
        }
        Ok(Self { tower: None, layers })
    }

    /// A network of parts that fit each other.
    pub(crate) fn of(tower: Option<Tower>, layers: Vec<Model>) -> Self {
        Self { tower, layers }
    }

    /// The same behind convolutions, whose rows it takes.
    ///
    /// # Errors
    /// [`Error::Layers`] if it takes others.
    pub fn behind(self, tower: Tower) -> Result<Self, Error> {
        if self.tower.is_some() || self.layers[0].weights.ncols() != tower.levels().outputs() {
            let shapes = self.layers.iter().map(|layer| (layer.weights.dim(), layer.bias.len()));
            return Err(Error::Layers { shapes: shapes.collect() });
        }
        Ok(Self { tower: Some(tower), ..self })
    }

    /// The convolutions, if there are some.
    #[must_use]
    pub fn tower(&self) -> Option<&Tower> {
        self.tower.as_ref()
    }

    /// The layers, the one that takes the features, or what the convolutions give, first.
    #[must_use]
    pub fn layers(&self) -> &[Model] {
        &self.layers
    }

    /// Number of features of a row.
    #[must_use]
    pub fn features(&self) -> usize {
        let layers = || self.layers[0].weights.ncols();
        self.tower.as_ref().map_or_else(layers, |tower| tower.levels().features())
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.layers[self.layers.len() - 1].bias.len()
    }

    /// The network of raw features that equals this one on standardised ones.
    #[must_use]
    pub fn on_raw(mut self, standardization: &Standardization) -> Self {
        match &mut self.tower {
            Some(tower) => tower.take_raw(standardization),
            None => self.layers[0] = standardization.fold(&self.layers[0]),
        }
        self
    }

    /// Logits `[rows, classes]` of `x` `[rows, features]`.
    ///
    /// # Panics
    /// If `x` hasn't as many columns as the first layer's weights.
    #[must_use]
    pub fn logits(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        by_blocks(x, self.classes(), |x| self.forward(x))
    }

    /// Logits of a few rows.
    fn forward(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut values = match &self.tower {
            Some(tower) => self.layers[0].forward(tower.forward(x).view()),
            None => self.layers[0].forward(x),
        };
        for layer in &self.layers[1..] {
            rectify(&mut values);
            values = layer.forward(values.view());
        }
        values
    }
}

/// max(0, ·) that leaves NaN as it is: what is no number must not look like one.
pub(crate) fn rectify(values: &mut Array2<f32>) {
    values.mapv_inplace(|value| if value < 0.0 { 0.0 } else { value });
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn layer(weights: Array2<f32>) -> Model {
        let bias = (0..weights.nrows()).map(|index| index as f32).collect();
        Model { weights, bias }
    }

    #[test]
    fn hidden_layers_are_rectified_and_the_last_is_not() {
        let hidden = layer(array![[1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]);
        let last = layer(array![[-1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]);
        let network = Network::new(vec![hidden, last]).unwrap();
        assert_eq!((network.features(), network.classes()), (2, 2));
        // Hidden: 3, 1 - 4 = -3 -> 0, 2 + 7 = 9. Logits: -3, 1 + 18.
        let x = array![[3.0, 4.0], [-3.0, -2.0]];
        // Second row: -3 -> 0, 1 + 2 = 3, 2 - 5 = -3 -> 0. Logits: 3, 1.
        assert_eq!(network.logits(x.view()), array![[-3.0, 19.0], [3.0, 1.0]]);
    }

    #[test]
    fn one_layer_is_the_linear_model() {
        let model = layer(array![[1.0, -2.0], [0.5, 3.0]]);
        let x = array![[1.0, 2.0], [-1.0, 0.0], [0.1, 0.2]];
        assert_eq!(Network::from(model.clone()).logits(x.view()), model.logits(x.view()));
    }

    #[test]
    fn what_is_no_number_stays_visible() {
        let network = vec![layer(array![[1.0]]), layer(array![[1.0], [2.0]])];
        let logits = Network::new(network).unwrap().logits(array![[f32::NAN]].view());
        assert!(logits.iter().all(|value| value.is_nan()));
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let (first, second) = (layer(Array2::zeros((3, 2))), layer(Array2::zeros((2, 4))));
        let error = Network::new(vec![first.clone(), second]).unwrap_err();
        assert!(error.to_string().contains("[3, 2]"), "{error}");
        assert!(Network::new(vec![]).is_err());
        let odd = Model { bias: ndarray::Array1::zeros(2), ..first };
        assert!(Network::new(vec![odd]).is_err());
    }
}
