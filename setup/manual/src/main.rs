//! Writes a page of the manual for each binary and each of its subcommands, and completions for
//! shells, where systems look for them below a prefix such as `/usr/local`.
//!
//! usage: `manual PREFIX`

use std::fs::create_dir_all;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate_to};

/// Shells, and the folder of each for completions.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions"),
    (Shell::Fish, "share/fish/vendor_completions.d"),
    (Shell::Zsh, "share/zsh/site-functions"),
];

fn main() -> io::Result<()> {
    let prefix = std::env::args_os().nth(1);
    let prefix = prefix.ok_or_else(|| io::Error::other("usage: manual PREFIX"))?;
    write(prefix.as_ref())
}

fn write(prefix: &Path) -> io::Result<()> {
    let pages = prefix.join("share/man/man1");
    create_dir_all(&pages)?;
    for command in commands() {
        clap_mangen::generate_to(command, &pages)?;
    }
    for (shell, folder) in SHELLS {
        let folder = prefix.join(folder);
        create_dir_all(&folder)?;
        for mut command in commands() {
            let name = command.get_name().to_owned();
            generate_to(shell, &mut command, name, &folder)?;
        }
    }
    Ok(())
}

/// The command lines of all binaries.
fn commands() -> [Command; 8] {
    [
        gtsrb_backbone::Args::command(),
        gtsrb_evaluate::Args::command(),
        gtsrb_extract::Args::command(),
        gtsrb_fetch::Args::command(),
        gtsrb_ingest::Args::command(),
        gtsrb_predict::Args::command(),
        gtsrb_sample::Args::command(),
        gtsrb_train::Args::command(),
    ]
}

#[cfg(test)]
mod documents;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_in_the_manual_and_completed() {
        let prefix = tempfile::tempdir().unwrap();
        write(prefix.path()).unwrap();
        for command in commands() {
            let name = command.get_name();
            let read = |path: &str| std::fs::read_to_string(prefix.path().join(path)).unwrap();
            let page = read(&format!("share/man/man1/{name}.1"));
            let completed = read(&format!("share/bash-completion/completions/{name}.bash"));
            for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(completed.contains(&format!("--{flag}")), "{name} --{flag}");
                let flag = flag.replace('-', "\\-");
                assert!(page.contains(&format!("\\-\\-{flag}")), "{name} --{flag}");
            }
            for subcommand in command.get_subcommands() {
                read(&format!("share/man/man1/{name}-{}.1", subcommand.get_name()));
            }
        }
    }
}
