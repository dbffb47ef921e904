//! The `gtsrb-ingest` stage.
