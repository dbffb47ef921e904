//! The official archives as they are published: where, how large, with which hash.

use crate::layout::{TEST_ARCHIVE, TEST_TRUTH_ARCHIVE, TRAIN_ARCHIVE};

/// A published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its name.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its MD5 hash, in hexadecimal digits.
    pub md5: &'static str,
}

/// Where the data set is published (University of Copenhagen).
pub const HOME: &str = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370";

/// All that training and testing need.
pub const ARCHIVES: [Archive; 3] = [
    Archive { name: TRAIN_ARCHIVE, bytes: 276_294_756, md5: "f33fd80ac59bff73c82d25ab499e03a3" },
    Archive { name: TEST_ARCHIVE, bytes: 88_978_620, md5: "c7e4e6327067d32654124b0fe9e82185" },
    Archive { name: TEST_TRUTH_ARCHIVE, bytes: 99_620, md5: "fe31e9c9270bbcd7b84b7f21a9d9d9e5" },
];
