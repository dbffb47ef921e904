//! The stage through its binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test's helpers"
)]

mod cache;
mod device;
mod errors;
mod export;
mod oracle;
mod run;
mod shards;
mod tidy;
mod views;
