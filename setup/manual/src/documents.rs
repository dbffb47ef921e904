//! Commands that documents show are commands that the binaries and the Makefile know. What becomes
//! of those that need no data of one's own is tried by `tests/documents/run.py`.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

use super::commands;

/// What a fragment such as `gtsrb-predict --label-next K` lacks, and a whole command must not.
const LACKING: [ErrorKind; 5] = [
    ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ErrorKind::InvalidValue,
    ErrorKind::MissingRequiredArgument,
    ErrorKind::MissingSubcommand,
    ErrorKind::ValueValidation,
];

/// A command of a document: a whole one in a block of its own, or perhaps a fragment in a sentence.
struct Shown {
    whole: bool,
    words: Vec<String>,
}

impl Shown {
    /// `words` without comment, redirection, prompt and folder of the program.
    fn new(whole: bool, line: &str) -> Option<Self> {
        let line = line.split(['#', '>', '|']).next()?.trim();
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let line = line.strip_prefix("bin/").unwrap_or(line);
        let ours = line.starts_with("gtsrb-") && !line.contains('─') || line.starts_with("make ");
        let words =
            || line.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect();
        ours.then(|| Self { whole, words: words() })
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Commands in the documents, each with the file that shows it. What has changed is history.
fn shown() -> Vec<(PathBuf, Shown)> {
    let files = ["", "docs", "setup/dist"].into_iter().flat_map(|folder| {
        root().join(folder).read_dir().unwrap().map(|entry| entry.unwrap().path())
    });
    let documents = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .filter(|path| !path.ends_with("CHANGELOG.md"));
    let of = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap().replace("\\\n", " ");
        in_document(&text).into_iter().map(move |shown| (path.clone(), shown))
    };
    documents.flat_map(of).collect()
}

/// Between each two grave accents there is code, in sentences as in fenced blocks; the latter begin
/// with three, so that nothing stands before.
fn in_document(text: &str) -> Vec<Shown> {
    let pieces: Vec<&str> = text.split('`').collect();
    let mut found = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        if place % 2 == 0 {
            let indented = piece.lines().filter(|line| line.starts_with("    "));
            // Whoever lists targets puts two spaces before what they do.
            let commands = indented.map(|line| line.trim().split("  ").next().unwrap_or_default());
            found.extend(commands.filter_map(|line| Shown::new(true, line)));
        } else if pieces[place - 1].is_empty() {
            found.extend(piece.lines().filter_map(|line| Shown::new(true, line)));
        } else {
            found.extend(Shown::new(false, piece));
        }
    }
    found
}

#[test]
fn binaries_know_every_command_that_documents_show() {
    let mut whole = 0;
    for (path, Shown { whole: is_whole, words }) in shown() {
        let is_pipeline = root().join(format!("pipelines/{}.toml", words[0])).exists();
        if words[0] == "make" || is_pipeline {
            continue;
        }
        let command = commands().into_iter().find(|command| command.get_name() == words[0]);
        let Some(command) = command else { panic!("{}: there is no {}", path.display(), words[0]) };
        if let Err(error) = command.try_get_matches_from(&words) {
            let fine = !is_whole && LACKING.contains(&error.kind());
            assert!(fine, "{}: {}: {error}", path.display(), words.join(" "));
        }
        whole += usize::from(is_whole);
    }
    assert!(whole > 20, "only {whole} whole commands");
}

#[test]
fn make_has_every_target_that_documents_show() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let rules = makefile.lines().filter_map(|line| line.split_once(':'));
    let targets: Vec<&str> = rules.flat_map(|(targets, _)| targets.split_whitespace()).collect();
    let mut found = 0;
    for (path, Shown { words, .. }) in shown().iter().filter(|(_, shown)| shown.words[0] == "make")
    {
        for target in
            words[1..].iter().take_while(|word| *word != "&&").filter(|word| !word.contains('='))
        {
            assert!(targets.contains(&target.as_str()), "{}: make {target}", path.display());
            found += 1;
        }
    }
    assert!(found > 40, "only {found} targets");
}
