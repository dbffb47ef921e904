//! The `gtsrb-predict` binary.

fn main() -> std::process::ExitCode {
    stage::main("predict", option_env!("BUILD_COMMIT"), gtsrb_predict::run)
}
