//! The `gtsrb-sample` binary.

fn main() {}
