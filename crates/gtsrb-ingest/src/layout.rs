//! The arrangements of sources: each becomes one list of pictures with their classes.

mod folder;
mod kaggle;
mod official;
mod rows;

use artifact::Hash;
use artifact::images::Roi;
use stage::{Error, Result};

use crate::args::{Layout, Settings};
use crate::bad::Bad;
use crate::tree::Tree;

/// A picture that a source claims to have.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its path in the source.
    pub key: String,
    /// The path that is stored: the same for a folder and for an archive of it.
    pub path: String,
    /// Its class, an index into the class names.
    pub label: i64,
    /// The sign's box; the whole picture if there is none.
    pub roi: Option<Roi>,
    /// Width and height that it should have.
    pub size: Option<(i64, i64)>,
    /// The physical sign, unique over all classes.
    pub track: Option<String>,
    /// Its place in the track.
    pub frame: Option<i32>,
}

/// What a source consists of.
#[derive(Debug)]
pub struct Listing {
    /// Which arrangement it is.
    pub layout: Layout,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Pictures to learn from.
    pub train: Vec<Item>,
    /// Pictures to be tested with; `None` if the source doesn't say which.
    pub test: Option<Vec<Item>>,
    /// Rows and files that can't be used.
    pub bad: Vec<Bad>,
    /// The tables that were read.
    pub tables: Vec<(String, Hash)>,
    /// Rows that repeat an earlier one exactly.
    pub repeated_rows: u64,
    /// Pictures that no row names.
    pub unlisted: Vec<String>,
}

impl Listing {
    /// How many pictures there should be.
    pub fn total(&self) -> usize {
        self.train.len() + self.test.as_ref().map_or(0, Vec::len) + self.bad.len()
    }
}

/// Lists the pictures of `tree`, arranged as `settings` say or as can be seen.
pub fn list(tree: &mut Tree, settings: &Settings) -> Result<Listing> {
    let layout = match settings.layout {
        Layout::Auto if official::is_here(tree) => Layout::Official,
        Layout::Auto if kaggle::is_here(tree) => Layout::Kaggle,
        Layout::Auto => Layout::Folder,
        given => given,
    };
    let listing = match layout {
        Layout::Official => official::list(tree, settings)?,
        Layout::Kaggle => kaggle::list(tree)?,
        Layout::Folder | Layout::Auto => folder::list(tree)?,
    };
    if let Some(first) = listing.unlisted.first() {
        let count = listing.unlisted.len();
        tracing::warn!(
            "{count} pictures without a row are left out, the first is {}",
            tree.shown(first)
        );
    }
    if listing.repeated_rows > 0 {
        tracing::warn!("{} rows repeat an earlier row and are left out", listing.repeated_rows);
    }
    if listing.total() == 0 {
        return Err(Error::data(format!("{} holds no pictures", tree.root().display())));
    }
    Ok(listing)
}

/// Whether a name's ending promises a picture, of a format that is read or not.
fn is_picture(path: &str) -> bool {
    const ENDINGS: [&str; 15] = [
        "png", "jpg", "jpeg", "jpe", "ppm", "heic", "heif", "avif", "webp", "gif", "bmp", "tif",
        "tiff", "jxl", "pgm",
    ];
    let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, e)| e);
    ending.is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
}

fn sign_names() -> Vec<String> {
    signs::CLASS_NAMES.map(str::to_owned).to_vec()
}
