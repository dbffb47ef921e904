//! From encoded pictures to embeddings: what a view is, how a picture becomes the pixels
//! that a backbone sees, and ONNX Runtime found, checked and run.
//!
//! Shared by extraction, by the check of an exported classifier and by prediction. It knows
//! nothing of files at rest and nothing of signs.

mod augment;
mod bound;
mod cuda;
mod device;
mod effort;
mod framing;
mod gpu;
mod model;
mod pipeline;
mod placement;
mod resize;
mod runtime;
mod slot;
mod view;
mod views;

pub use augment::Augmentation;
pub use bound::Bound;
pub use cuda::Kernels;
pub use device::Device;
pub use effort::Effort;
pub use framing::{Framing, box_of};
pub use gpu::Gpu;
pub use model::{Input, Model, Outputs, Port};
pub use pipeline::{Batch, Pipeline};
pub use placement::{Placement, placement};
pub use runtime::Runtime;
pub use slot::Framer;
pub use view::{Crop, Provider, Resize, View};
pub use views::Views;
