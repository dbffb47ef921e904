//! Content hashes: BLAKE3, written as 64 hexadecimal digits.

use std::fmt::{self, Debug, Display};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stage::{Error, Result, check_interrupt};

/// A BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Of bytes in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }

    /// Of a whole file; stops for signals, as files may be large and disks slow.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::read(path, &e))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            check_interrupt()?;
            match file.read(&mut buffer).map_err(|e| Error::read(path, &e))? {
                0 => return Ok(Self(hasher.finalize().into())),
                n => hasher.update(&buffer[..n]),
            };
        }
    }
}

/// Hashes a list of fields; each is preceded by its length, so that no two lists collide.
#[derive(Default)]
pub struct HashBuilder(blake3::Hasher);

impl HashBuilder {
    /// Adds one field.
    #[must_use]
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.add(bytes);
        self
    }

    /// Adds one field in place.
    pub fn add(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The hash of all fields so far.
    #[must_use]
    pub fn finish(&self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

impl Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(hash.into()))
            .map_err(|_| Error::data(format!("not a hash of 64 hexadecimal digits: {text:?}")))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let hash = Hash::of(b"sign");
        assert_eq!(hash.to_string().parse::<Hash>().unwrap(), hash);
        assert!("12".parse::<Hash>().is_err());
    }

    #[test]
    fn fields_have_borders() {
        let whole = HashBuilder::default().field("ab").field("c").finish();
        assert_ne!(whole, HashBuilder::default().field("a").field("bc").finish());
    }

    #[test]
    fn a_file_hashes_like_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, vec![7; 3_000_000]).unwrap();
        assert_eq!(Hash::of_file(&path).unwrap(), Hash::of(&vec![7; 3_000_000]));
        assert_eq!(Hash::of_file(&dir.path().join("y")).unwrap_err().fault().code(), 66);
    }
}
