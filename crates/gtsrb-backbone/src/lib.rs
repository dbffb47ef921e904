//! The `gtsrb-backbone` stage.
