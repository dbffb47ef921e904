//! The `gtsrb-train` stage.
