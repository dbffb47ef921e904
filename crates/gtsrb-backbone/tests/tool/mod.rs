//! How the tests call the tool.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The stage with `run` as its folder.
pub fn backbone(run: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gtsrb-backbone"));
    command.arg("--run").arg(run);
    command
}

/// The folder of oracles, golden files and small models.
pub fn oracles() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles")
}

/// Everything that a program said.
pub fn text(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}
