//! The `gtsrb-evaluate` binary.

fn main() -> std::process::ExitCode {
    stage::main("evaluate", option_env!("BUILD_COMMIT"), gtsrb_evaluate::run)
}
