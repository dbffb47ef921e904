//! Files at rest: content hashes, manifests, atomic commits and locks, and the formats that
//! stages hand to each other.
//!
//! An artifact is a folder with a `manifest.json`. Whoever writes it holds the folder's lock
//! through an [`Output`]; whoever reads it starts from its [`Manifest`].
//!
//! The folder may be the mirror of one in an object store ([`stage::local`]): reading the manifest
//! brings it up to date, committing writes to the store first.

mod answers;
pub mod certainty;
pub mod embeddings;
mod file;
pub mod golden;
mod hash;
pub mod head;
pub mod images;
mod link;
mod listing;
mod lock;
mod manifest;
mod markdown;
mod mirror;
mod output;
mod place;
mod predictions;
mod sheet;
mod table;

pub use answers::Answers;
pub use file::{FileWriter, Staged};
pub use hash::{Hash, HashBuilder};
pub use link::switch;
pub use listing::{fetch_folder, folders_in_store};
pub use manifest::{FORMAT, FileRecord, Manifest, Work};
pub use markdown::markdown;
pub use output::Output;
pub use predictions::{PredictionWriter, Predictions};
pub use sheet::harmless;
pub use table::properties;
