//! Which pictures are meant: files, folders, patterns, and lines of standard input; those of
//! folders and lines are found as they are needed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use glob::{MatchOptions, glob_with};
use stage::{Error, Result, check_interrupt};

/// Stands for standard input.
const STDIN: &str = "-";

/// How files of folders are told to be pictures. Files that are named are read whatever
/// their name.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "ppm"];

/// How often the wait for a line looks for a signal.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(100);

/// A picture's path, or what was given and why it is none.
pub type Found = std::result::Result<PathBuf, (PathBuf, Error)>;

/// What the command line means: patterns become what they match, in alphabetical order; whatever
/// is there under just this name is no pattern.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing), naming the first path that isn't there or pattern that
/// nothing matches; [`Usage`](stage::Fault::Usage) where a pattern can't be understood.
pub fn expand(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for path in given {
        match fs::metadata(path) {
            Err(e) if !is_stdin(path) => paths.extend(matches(path, &e)?),
            _ => paths.push(path.clone()),
        }
    }
    Ok(paths)
}

/// What the pattern `path` matches; `error` says why it is no file.
fn matches(path: &Path, error: &io::Error) -> Result<Vec<PathBuf>> {
    let Some(pattern) = path.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Err(Error::read(path, error));
    };
    // As in shells: names that begin with a dot are meant only where the pattern has the dot.
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let found = glob_with(pattern, options)
        .map_err(|e| Error::usage(format!("{pattern}: {e}")))?
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| Error::read(e.path(), e.error()))?;
    if found.is_empty() {
        return Err(Error::missing(format!("nothing matches {pattern}")));
    }
    Ok(found)
}

/// The pictures of `given` in order; a folder's in the order of their paths' bytes.
pub fn pictures(given: Vec<PathBuf>) -> impl Iterator<Item = Found> + Send {
    given.into_iter().flat_map(|path| -> Box<dyn Iterator<Item = Found> + Send> {
        if is_stdin(&path) {
            return Box::new(lines().flat_map(|line| match line {
                Ok(line) => walk(PathBuf::from(line)),
                Err(e) => Walk::failed(PathBuf::from(STDIN), Error::read(Path::new(STDIN), &e)),
            }));
        }
        Box::new(walk(path))
    })
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// The lines of standard input that aren't empty.
fn lines() -> impl Iterator<Item = io::Result<String>> + Send {
    let (sender, lines) = sync_channel(64);
    // Nobody waits for this thread: a read may last for ever.
    let reader = std::thread::Builder::new().spawn(move || {
        let mut lines = io::stdin().lines();
        while lines.next().is_some_and(|line| sender.send(line).is_ok()) {}
    });
    let failed = reader.err().map(Err);
    failed
        .into_iter()
        .chain(std::iter::from_fn(move || next_line(&lines)))
        .filter(|line| line.as_ref().map_or(true, |line| !line.is_empty()))
}

fn next_line(lines: &Receiver<io::Result<String>>) -> Option<io::Result<String>> {
    loop {
        match lines.recv_timeout(LOOK_FOR_SIGNALS) {
            Ok(line) => return Some(line),
            Err(RecvTimeoutError::Timeout) if check_interrupt().is_ok() => {}
            Err(_) => return None,
        }
    }
}

/// The pictures in or under a path.
struct Walk {
    /// What is still to be looked at, the next one last.
    left: Vec<Found>,
}

fn walk(path: PathBuf) -> Walk {
    let folder = path.is_dir();
    let mut walk = Walk { left: Vec::new() };
    if folder {
        walk.open(path);
    } else {
        walk.left.push(Ok(path));
    }
    walk
}

impl Walk {
    fn failed(path: PathBuf, error: Error) -> Self {
        Self { left: vec![Err((path, error))] }
    }

    /// Adds a folder's pictures and folders; those whose names begin with a dot are left out.
    fn open(&mut self, folder: PathBuf) {
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match entries {
            Err(e) => {
                let error = Error::read(&folder, &e);
                self.left.push(Err((folder, error)));
            }
            Ok(entries) => {
                let mut paths: Vec<PathBuf> =
                    entries.into_iter().filter(is_wanted).map(|entry| entry.path()).collect();
                paths.sort_by(|a, b| b.as_os_str().cmp(a.as_os_str()));
                self.left.extend(paths.into_iter().map(Ok));
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            match self.left.pop()? {
                Ok(path) if is_folder(&path) => self.open(path),
                found => return Some(found),
            }
        }
    }
}

/// Links to folders are not followed: they may lead in circles.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn is_wanted(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let hidden = name.as_encoded_bytes().starts_with(b".");
    let ending = Path::new(&name).extension().and_then(|ending| ending.to_str());
    let picture = ending.is_some_and(|ending| ENDINGS.contains(&&*ending.to_ascii_lowercase()));
    !hidden && (picture || entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_byte_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/2.PNG", "b/10.jpg", "a.ppm", "c.jpeg", "b/x.csv", ".d/1.png", "B.png"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let named = dir.path().join("b/x.csv");
        let found: Vec<PathBuf> =
            pictures(vec![dir.path().to_owned(), named]).map(std::result::Result::unwrap).collect();
        let names = ["B.png", "a.ppm", "b/10.jpg", "b/2.PNG", "c.jpeg", "b/x.csv"];
        assert_eq!(found, names.map(|name| dir.path().join(name)));
    }

    #[test]
    fn patterns_become_what_they_match() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/2.png", "b/1.png", "a/x/3.png", "b/.4.png", "b/5.jpg", "[1].png"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let expand = |name: &str| expand(&[dir.path().join(name)]);
        let is = |pattern: &str, names: &[&str]| {
            let expected: Vec<PathBuf> = names.iter().map(|name| dir.path().join(name)).collect();
            assert_eq!(expand(pattern).unwrap(), expected, "{pattern}");
        };
        is("b/*.png", &["b/1.png", "b/2.png"]);
        is("**/[23].png", &["a/x/3.png", "b/2.png"]);
        is("?", &["a", "b"]);
        is("[1].png", &["[1].png"]);
        assert_eq!(expand("b/*.ppm").unwrap_err().fault(), stage::Fault::Missing);
        assert_eq!(expand("b/***").unwrap_err().fault(), stage::Fault::Usage);
    }

    #[test]
    fn what_is_not_there_is_told_before_anything_is_done() {
        let error = expand(&[PathBuf::from("-"), PathBuf::from("/nowhere/x.png")]).unwrap_err();
        assert_eq!(error.fault(), stage::Fault::Missing);
        assert!(error.to_string().contains("/nowhere/x.png"));
    }
}
