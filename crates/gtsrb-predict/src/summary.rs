//! What is said at the end.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::selftest::Tested;

/// What was done.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Summary {
    /// Pictures were classified.
    Predicted(Counts),
    /// The model was tried.
    Tested(Tested),
}

/// Counts of pictures.
#[derive(Serialize, Debug, Default)]
pub struct Counts {
    /// Pictures that were classified.
    pub pictures: u64,
    /// Those of them whose best probability was below the threshold.
    pub unsure: u64,
    /// Pictures that could not be.
    pub bad: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Standard output holds predictions alone.
            Self::Predicted(_) => Ok(()),
            Self::Tested(tested) => tested.fmt(f),
        }
    }
}
