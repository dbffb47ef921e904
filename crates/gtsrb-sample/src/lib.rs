//! The `gtsrb-sample` stage.
