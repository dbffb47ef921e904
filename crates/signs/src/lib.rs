//! signs.
