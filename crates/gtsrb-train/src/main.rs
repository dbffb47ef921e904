//! `gtsrb-train`: embeddings to a linear head and a classifier in one file.

fn main() -> std::process::ExitCode {
    stage::main("train", option_env!("BUILD_COMMIT"), gtsrb_train::run)
}
