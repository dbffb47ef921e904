//! The `gtsrb-backbone` binary.

fn main() {}
