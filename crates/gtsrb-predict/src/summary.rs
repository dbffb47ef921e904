//! What is said at the end.

use std::fmt::{self, Display};

use serde::Serialize;

/// Counts of pictures.
#[derive(Serialize, Debug, Default)]
pub struct Summary {
    /// Pictures that were classified.
    pub pictures: u64,
    /// Those of them whose best probability was below the threshold.
    pub unsure: u64,
    /// Pictures that could not be.
    pub bad: u64,
}

/// Nothing: standard output holds predictions alone.
impl Display for Summary {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
