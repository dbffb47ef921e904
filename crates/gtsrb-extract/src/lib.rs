//! The `gtsrb-extract` stage.
