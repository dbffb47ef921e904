//! The `gtsrb-sample` binary.

fn main() -> std::process::ExitCode {
    stage::main("sample", gtsrb_sample::run)
}
