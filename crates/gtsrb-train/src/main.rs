//! `gtsrb-train`: embeddings to a linear head and a classifier in one file.

fn main() -> std::process::ExitCode {
    stage::main("train", gtsrb_train::run)
}
