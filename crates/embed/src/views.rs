//! The views of one run.

use artifact::Hash;
use serde_json::Value;
use stage::Result;

use crate::View;

/// A plain view of every picture, and augmented ones of those that are trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Views {
    /// The plain view.
    pub plain: View,
    /// How many augmented ones there are: numbers 1 to this.
    pub augmented: u32,
}

impl Views {
    /// The augmented views in the order of their numbers.
    pub fn augmented(&self) -> impl Iterator<Item = View> {
        (1..=self.augmented).map(|number| self.plain.augmented(number))
    }

    /// All views, the plain one first.
    pub fn all(&self) -> impl Iterator<Item = View> {
        std::iter::once(self.plain.clone()).chain(self.augmented())
    }

    /// The names of the augmented ones.
    #[must_use]
    pub fn augmented_hashes(&self) -> Vec<Hash> {
        self.augmented().map(|view| view.hash()).collect()
    }

    /// As a manifest records them: the parameters of the last one, of which all others are told.
    #[must_use]
    pub fn parameters(&self) -> Value {
        self.augmented().last().as_ref().unwrap_or(&self.plain).parameters()
    }

    /// The views that a manifest recorded.
    ///
    /// # Errors
    /// As [`View::from_parameters`].
    pub fn from_parameters(parameters: &Value) -> Result<Self> {
        let last = View::from_parameters(parameters)?;
        let augmented = last.augmentation.map_or(0, |augmentation| augmentation.view);
        Ok(Self { plain: View { augmentation: None, ..last }, augmented })
    }
}
