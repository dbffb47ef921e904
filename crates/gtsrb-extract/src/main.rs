//! The `gtsrb-extract` binary.

fn main() {}
