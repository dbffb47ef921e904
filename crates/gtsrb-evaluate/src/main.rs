//! The `gtsrb-evaluate` binary.

fn main() {}
