//! Reads, checks, builds, cuts, counts and writes ONNX graphs.
//!
//! The messages of the format are our own ([`proto`]); nothing here runs a model. Shapes are
//! inferred for concrete inputs ([`shapes::infer`]), so that every number that is reported or
//! built into a graph was computed from numbers: an operator that isn't known gives an unknown
//! shape, never a guessed one.

pub mod attribute;
mod builder;
pub mod classifier;
mod count;
mod cut;
mod error;
mod float16;
pub mod pool;
pub mod proto;
pub mod quantise;
mod random;
mod read;
pub mod resize;
pub mod shapes;
mod tensor;

pub use builder::{Builder, Size};
pub use count::{Count, count};
pub use cut::cut;
pub use error::{Error, Result};
pub use float16::to_f16;
pub use proto::ModelProto;
pub use random::randomise;
pub use read::{graph, metadata, read, set_metadata, write};
pub use tensor::Element;
