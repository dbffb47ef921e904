//! The `gtsrb-evaluate` binary.

fn main() -> std::process::ExitCode {
    stage::main("evaluate", gtsrb_evaluate::run)
}
