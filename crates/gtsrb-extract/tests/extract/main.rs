//! The stage through its binary.

mod cache;
mod errors;
mod oracle;
mod run;
