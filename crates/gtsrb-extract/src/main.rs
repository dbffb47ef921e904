//! The `gtsrb-extract` binary.

fn main() -> std::process::ExitCode {
    stage::main("extract", gtsrb_extract::run)
}
