//! The `gtsrb-backbone` binary.

fn main() -> std::process::ExitCode {
    stage::main("backbone", gtsrb_backbone::run)
}
