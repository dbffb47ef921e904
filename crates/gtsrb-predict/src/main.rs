//! The `gtsrb-predict` binary.

fn main() -> std::process::ExitCode {
    stage::main("predict", gtsrb_predict::run)
}
