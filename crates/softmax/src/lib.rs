//! Multinomial logistic regression on dense arrays.
//!
//! Rows of `f32` features in, weights and a bias out. The objective (natural logarithm, bias
//! not penalised) is
//!
//! ```text
//! f(W, b) = -(1/n) Σᵢ log softmax(W xᵢ + b)[yᵢ] + (λ/2) ‖W‖²
//! ```
//!
//! which is scikit-learn's `LogisticRegression` with `C = 1/(λ n)`. Rows may have weights vᵢ: the
//! first term is then `-(1/Σv) Σᵢ vᵢ log softmax(W xᵢ + b)[yᵢ]`, scikit-learn's `sample_weight`
//! with `C = 1/(λ Σv)`; and labels may be smoothed (see [`Samples`]). The objective is minimised
//! by L-BFGS with a strong Wolfe line search. Every sum over rows runs over fixed blocks that are
//! added in a fixed order, so the number of threads doesn't change a bit of the result. A machine
//! with other instructions (AVX-512, AVX2 with FMA, neither) may change the last bits.
//!
//! ```
//! use ndarray::array;
//! use softmax::{Model, Options, Samples, fit};
//!
//! let x = array![[0.0_f32, 1.0], [0.2, 0.9], [1.0, 0.1], [0.9, 0.0]];
//! let y = [0, 0, 1, 1];
//! let samples = Samples::new(x.view(), &y, 2)?;
//! let fit = fit(&samples, 1e-2, &Model::zeros(2, 2), &Options::default(), |_| true);
//! assert_eq!(fit.model.score(&samples).top1, 1.0);
//! # Ok::<(), softmax::Error>(())
//! ```

#![expect(clippy::needless_pass_by_value, reason = "views are references already")]

mod convolution;
mod error;
mod fast;
mod fit;
mod hidden;
mod kernel;
mod lbfgs;
mod line_search;
mod maps;
mod member;
mod model;
mod moments;
mod network;
mod objective;
mod precise;
mod probabilities;
mod residual;
mod samples;
mod sgd;
mod stack;
mod standardize;
mod step;
mod temperature;
mod tower;

pub use error::Error;
pub use fit::{Fit, Options, Step, fit};
pub use lbfgs::Stop;
pub use model::{Model, Score, score};
pub use moments::Moments;
pub use network::Network;
pub use objective::Objective;
pub use probabilities::{predicted, probabilities};
pub use samples::Samples;
pub use sgd::{Recipe, Trainer, batches, fit_network, order};
pub use standardize::Standardization;
pub use step::Optimizer;
pub use temperature::fit_temperature;
pub use tower::{Levels, Map, Tower};
