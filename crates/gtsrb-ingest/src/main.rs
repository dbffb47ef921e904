//! `gtsrb-ingest`: pictures and their classes, in whatever layout they come, to Parquet.

fn main() -> std::process::ExitCode {
    stage::main("ingest", option_env!("BUILD_COMMIT"), gtsrb_ingest::run)
}
