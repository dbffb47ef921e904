//! `gtsrb-fetch`: the official archives, fetched and verified.

fn main() -> std::process::ExitCode {
    stage::main("fetch", option_env!("BUILD_COMMIT"), gtsrb_fetch::run)
}
