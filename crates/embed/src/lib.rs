//! From encoded pictures to embeddings: what a view is, how a picture becomes the pixels
//! that a backbone sees, and ONNX Runtime found, checked and run.
//!
//! Shared by extraction, by the check of an exported classifier and by prediction. It knows
//! nothing of files at rest and nothing of signs.

mod cuda;
mod framing;
mod model;
mod pipeline;
mod placement;
mod resize;
mod runtime;
mod view;

pub use cuda::Device;
pub use framing::{Framing, box_of};
pub use model::{Input, Model, Outputs, Port};
pub use pipeline::{Batch, Pipeline};
pub use placement::{Placement, placement};
pub use runtime::Runtime;
pub use view::{Crop, Provider, View};
