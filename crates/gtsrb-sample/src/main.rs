//! The `gtsrb-sample` binary.

fn main() -> std::process::ExitCode {
    stage::main("sample", option_env!("BUILD_COMMIT"), gtsrb_sample::run)
}
