//! The `gtsrb-evaluate` stage.

mod args;
mod figures;
mod gallery;
mod interval;
mod metrics;
mod predict;
mod report;
mod summary;
mod tables;
mod training;
mod words;
