//! A folder in an object store, such as Amazon S3 and what speaks its language, Google Cloud
//! Storage or Azure: objects are read whole, by ranges or listed; written where there are none;
//! and replaced only by those who know which one they replace.
//!
//! What fails in passing is tried again, with growing pauses, until [`stage::store_timeout`] has
//! gone by. Nothing here returns later than a second after a signal to stop.

mod connect;
mod each;
mod error;
mod patience;
mod read;
mod write;

use std::sync::Arc;

use object_store::path::Path;
use object_store::{DynObjectStore, UpdateVersion};
use stage::{Error, Result};

pub use each::each;
use patience::Patience;

/// A folder of objects.
#[derive(Clone)]
pub struct Store {
    bucket: Arc<DynObjectStore>,
    folder: Path,
    /// For messages.
    url: String,
    patience: Patience,
}

/// Which state of an object was read; replacing it asks for this one.
#[derive(Clone, Debug)]
pub struct Version(UpdateVersion);

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its path below the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Changes with its content.
    pub tag: String,
}

impl Store {
    /// The folder with this URL, with endpoint and credentials from the usual variables of the
    /// environment. Nothing is sent, unless the machine itself has to be asked for credentials.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config), naming the variables, without credentials.
    pub fn open(url: &str) -> Result<Self> {
        let (bucket, folder) = connect::connect(url)?;
        Ok(Self::of(bucket, folder, url, Patience::new(stage::store_timeout())))
    }

    /// An empty one in this process's memory, to try things out.
    #[must_use]
    pub fn in_memory() -> Self {
        let patience = Patience::new(std::time::Duration::from_secs(2));
        let bucket = Arc::new(object_store::memory::InMemory::new());
        Self::of(bucket, Path::from("runs/a b"), "memory://bucket/runs/a b", patience)
    }

    fn of(bucket: Arc<DynObjectStore>, folder: Path, url: &str, patience: Patience) -> Self {
        Self { bucket, folder, url: url.to_owned(), patience }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the object `name` is, for messages.
    #[must_use]
    pub fn url_of(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    fn path(&self, name: &str) -> Result<Path> {
        let named = Path::parse(name)
            .map_err(|e| Error::usage(format!("{}: no name of an object: {e}", self.url)))?;
        Ok(self.folder.parts().chain(named.parts()).collect())
    }
}

#[cfg(test)]
mod tests;
