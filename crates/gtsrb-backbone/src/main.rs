//! The `gtsrb-backbone` binary.

fn main() -> std::process::ExitCode {
    stage::main("backbone", option_env!("BUILD_COMMIT"), gtsrb_backbone::run)
}
