//! The `gtsrb-ingest` binary.

fn main() {}
