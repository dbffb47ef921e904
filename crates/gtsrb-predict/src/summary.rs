//! What is said at the end.

use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::Serialize;

use crate::selftest::Tested;

/// What was done.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Summary {
    /// Pictures were classified.
    Predicted(Counts),
    /// Pictures to label were chosen.
    Chosen(Chosen),
    /// The model was tried.
    Tested(Tested),
    /// A page was written.
    Demo {
        /// The page's folder.
        folder: PathBuf,
    },
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

/// Counts of pictures to label.
#[derive(Serialize, Debug)]
pub struct Chosen {
    /// Pictures that were looked at.
    pub pictures: u64,
    /// Those to label.
    pub to_label: usize,
    /// Pictures that could not be read.
    pub bad: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Standard output holds the pictures alone.
            Self::Predicted(_) | Self::Chosen(_) => Ok(()),
            Self::Tested(tested) => tested.fmt(f),
            Self::Demo { folder } => {
                let folder = folder.display();
                writeln!(f, "page: {folder}/index.html")?;
                write!(f, "look at it: python3 -m http.server -d '{folder}'")
            }
        }
    }
}
