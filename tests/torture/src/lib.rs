//! Makes the stages' life hard and looks at what is left: exit code, messages, artifacts.
//!
//! Faults come from the system's own tools: `strace` lets system calls fail or kills in the middle
//! of them, `unshare` gives a test a disk of its own, `prlimit` takes resources away. Where a tool
//! is missing or not allowed, the test says so and passes; `make torture` counts it as skipped.

#![expect(clippy::unwrap_used, reason = "a test that can't start has failed")]
#![expect(clippy::missing_panics_doc, reason = "test support panics by design")]
#![expect(clippy::must_use_candidate, reason = "callers choose what they look at")]

pub mod readers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A stage's program.
pub fn program(stage: &str) -> PathBuf {
    root().join("target/release").join(format!("gtsrb-{stage}"))
}

/// `command` behind the words of a tool, such as `prlimit --nofile=32`.
pub fn under(words: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(words[0]);
    outer.args(&words[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdin(Stdio::null());
    outer
}

/// Whether `words` run here; says that the test is skipped where they don't.
#[expect(clippy::print_stdout, reason = "said where a test's output is")]
pub fn works(words: &[&str]) -> bool {
    let tried = Command::new(words[0])
        .args(&words[1..])
        .arg("true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let works = tried.is_ok_and(|status| status.success());
    if !works {
        println!("skipped: {:?} doesn't work here", words.join(" "));
    }
    works
}

/// Whether system calls can be made to fail.
pub fn strace_works() -> bool {
    works(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO:when=9"])
}

/// Whether a test can have disks of its own.
pub fn disks_work() -> bool {
    works(&["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt && exec \"$0\""])
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none after a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// That all went well.
    pub fn well(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// That it failed with one of `codes` and with one error line, which holds `wanted`.
    pub fn badly(&self, codes: &[i32], wanted: &str) -> &Self {
        let code = self.code.unwrap_or(-1);
        assert!(codes.contains(&code), "{code} is none of {codes:?}: {self:?}");
        let errors: Vec<_> = self.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self:?}");
        assert!(errors[0].contains(wanted), "{wanted:?} is not in {:?}", errors[0]);
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> Ended {
    Ended::of(&command.stdin(Stdio::null()).output().unwrap())
}

/// A folder with pictures of two classes, and runs over them.
pub struct Ground {
    dir: TempDir,
}

impl Default for Ground {
    fn default() -> Self {
        Self::new()
    }
}

impl Ground {
    /// Eight pictures a class.
    pub fn new() -> Self {
        let ground = Self { dir: tempfile::Builder::new().prefix("torture ").tempdir().unwrap() };
        for number in 0..16_u32 {
            let class = if number % 2 == 0 { "cat" } else { "dog" };
            ground.picture(&format!("{class}/{number}.ppm"), number);
        }
        ground
    }

    /// A path in the ground.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Adds a picture of noise to the source.
    pub fn picture(&self, name: &str, seed: u32) -> PathBuf {
        let path = self.path("source").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, noise(24, 24, seed)).unwrap();
        path
    }

    /// A stage's program with an empty environment, on the run `run`.
    pub fn stage(&self, stage: &str, run: &str) -> Command {
        let mut command = Command::new(program(stage));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("CACHE_DIR", self.path("cache"));
        command.arg("--run").arg(self.path(run));
        command
    }

    /// Ingestion of the source into `run`, in one thread: so that system calls are counted the
    /// same way each time.
    pub fn ingest(&self, run: &str) -> Command {
        let mut command = self.stage("ingest", run);
        command.arg("--source").arg(self.path("source")).args(["--threads", "1"]);
        command
    }

    /// The images of `run`, hidden files aside.
    pub fn images(&self, run: &str) -> BTreeMap<String, Vec<u8>> {
        files(&self.path(run).join("images"))
    }

    /// That `run` ends in the bytes of `golden`, and nothing else is left beside them.
    pub fn recovers(&self, run: &str, golden: &BTreeMap<String, Vec<u8>>) {
        crate::run(&mut self.ingest(run)).well();
        assert!(self.images(run) == *golden, "other bytes after the fault");
        let left = leftovers(&self.path(run).join("images"));
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// The bytes of a picture that no other seed gives.
pub fn noise(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let pixels = (0..width * height * 3).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[2]
    });
    let mut bytes = format!("P6\n{width} {height}\n255\n").into_bytes();
    bytes.extend(pixels);
    bytes
}

/// Name and bytes of each file in `dir`, but of hidden ones and of those that only tell times.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .filter(|(name, path)| !name.starts_with('.') && name != "source.stat" && path.is_file())
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect()
}

/// Names of temporary files in `dir`.
pub fn leftovers(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".tmp-"))
        .collect()
}
