//! The `gtsrb-extract` binary.

fn main() -> std::process::ExitCode {
    stage::main("extract", option_env!("BUILD_COMMIT"), gtsrb_extract::run)
}
