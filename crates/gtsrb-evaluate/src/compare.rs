//! `gtsrb-evaluate compare`: two runs on the same test images, picture by picture.

mod difference;
mod mcnemar;
mod pairs;

use std::path::Path;

use stage::Result;

pub use difference::Comparison;
use pairs::Pairs;

/// Compares the runs in folders `a` and `b`, which must have been evaluated.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) naming the stage to run first,
/// [`Data`](stage::Fault::Data) if their classes or test images differ.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison> {
    Ok(Comparison::of(&Pairs::read(a, b)?, [a, b]))
}
