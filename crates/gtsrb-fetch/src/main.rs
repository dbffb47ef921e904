//! `gtsrb-fetch`: the official archives, fetched and verified.

fn main() -> std::process::ExitCode {
    stage::main("fetch", gtsrb_fetch::run)
}
