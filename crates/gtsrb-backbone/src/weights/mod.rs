//! Finding and reading what the user calls weights.

mod pickle;
mod state_dict;
mod value;

use std::path::{Path, PathBuf};

use artifact::Hash;
use onnx_graph::ModelProto;
use stage::{Error, Result};

pub use state_dict::{StateDict, StateDictError};

/// The weights that set-up fetches: name, file, and the file's BLAKE3, which tells a damaged
/// download from a good one where its structure doesn't.
const KNOWN: &str = "efficientnet-lite0";
const KNOWN_FILE: &str = "efficientnet-lite0-57934424.pth";
const KNOWN_HASH: &str = "ebc7ee3e987e187d1e6033b34cc7d03f20b4d34c394d5df426444dfab7bc1089";

/// What a weights file holds.
pub enum Content {
    /// Tensors by name, from a `.pth` file.
    StateDict(StateDict),
    /// A graph with its weights.
    Onnx(Box<ModelProto>),
}

/// A weights file that was read.
pub struct Weights {
    /// The file's name without folder and extension.
    pub name: String,
    /// Of the whole file.
    pub hash: Hash,
    /// What is in it.
    pub content: Content,
}

/// The file that the setting `weights` means: a name that set-up knows (`$BACKBONE_WEIGHTS`
/// replaces its file), or a path.
pub fn find(setting: &str) -> Result<PathBuf> {
    if setting != KNOWN {
        let path = PathBuf::from(setting);
        if !path.exists() && path.components().count() == 1 && path.extension().is_none() {
            return Err(Error::missing(format!(
                "backbone.weights is {setting:?}, which is neither a file nor a known name; \
                 known is {KNOWN}"
            )));
        }
        return Ok(path);
    }
    if let Some(path) = std::env::var_os("BACKBONE_WEIGHTS").filter(|p| !p.is_empty()) {
        return Ok(path.into());
    }
    let places = stage::setup_dirs(KNOWN).into_iter().map(|folder| folder.join(KNOWN_FILE));
    let places: Vec<PathBuf> = places.collect();
    let found = places.iter().find(|path| path.exists());
    found.cloned().ok_or_else(|| {
        let tried: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        Error::missing(format!(
            "the weights of {KNOWN} are not there ({}): run `make setup`, or set \
             BACKBONE_WEIGHTS to a .pth or .onnx file",
            tried.join(", ")
        ))
    })
}

/// Reads a weights file whole.
///
/// # Errors
/// [`Data`](stage::Fault::Data), naming the file, if it isn't what it should be.
pub fn read(path: &Path) -> Result<Weights> {
    let bytes = std::fs::read(path).map_err(|e| Error::read(path, &e))?;
    let hash = Hash::of(&bytes);
    let file = path.display();
    let known = path.file_name().is_some_and(|n| n == KNOWN_FILE);
    if known && hash.to_string() != KNOWN_HASH {
        return Err(Error::data(format!(
            "{file} is damaged: its content is not that of the published file; remove it and \
             run `make setup`"
        )));
    }
    let content = content(path, bytes).map_err(|e| Error::data(format!("{file}: {e}")))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Weights { name, hash, content })
}

fn content(path: &Path, bytes: Vec<u8>) -> std::result::Result<Content, String> {
    const ZIP: &[u8] = b"PK\x03\x04";
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let onnx = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
    if onnx {
        return onnx_graph::read(&bytes)
            .map(|model| Content::Onnx(Box::new(model)))
            .map_err(|e| e.to_string());
    }
    if bytes.starts_with(ZIP) {
        return Err("this .pth has the zip format of newer PyTorch; save it again with \
                    torch.save(model.state_dict(), FILE, \
                    _use_new_zipfile_serialization=False), or export the model to ONNX"
            .into());
    }
    StateDict::read(bytes).map(Content::StateDict).map_err(|e| e.to_string())
}
