//! The `gtsrb-train` binary.

fn main() {}
