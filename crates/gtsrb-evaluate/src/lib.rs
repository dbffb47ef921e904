//! The `gtsrb-evaluate` stage.
