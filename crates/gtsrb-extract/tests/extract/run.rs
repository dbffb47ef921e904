//! A run in a temporary folder: images and a backbone as the stages before leave them, and
//! the real binary called on them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Finished, Stdio};

use artifact::embeddings::{Embedded, Row, write_index};
use artifact::images::{Image, Roi, Split, Writer};
use artifact::{Hash, Output, Work};
use ndarray::Array2;
use picture::Picture;
use serde_json::{Value, json};

pub const TINY: &[u8] = include_bytes!("../fixtures/tiny.onnx");
pub const NAN: &[u8] = include_bytes!("../fixtures/nan.onnx");

/// Whether the real runtime is there; says so when it isn't.
pub fn runtime() -> bool {
    let set = std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty());
    if !set {
        println!("skipped: ORT_DYLIB_PATH is not set (make test sets it)");
    }
    set
}

/// A noisy picture of its own size, with a ROI inside.
pub fn image(number: u32) -> Image {
    let (width, height) = (20 + number % 13, 18 + number % 17);
    let noise = |i: u32| ((i ^ number.wrapping_mul(977)).wrapping_mul(2_654_435_761) >> 13) as u8;
    let rgb = (0..width * height * 3).map(noise).collect();
    picture_as_image(&Picture::new(width, height, rgb).unwrap(), number)
}

pub fn picture_as_image(picture: &Picture, number: u32) -> Image {
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    Image {
        bytes: picture.to_png().unwrap(),
        path: format!("Train/{number}.png"),
        label: i64::from(number % 2),
        roi: Roi { x1: 2, y1: 3, x2: width - 3, y2: height - 2 },
        width,
        height,
        track: Some(format!("0-{}", number / 30)),
        frame: Some((number % 30) as i32),
        pixels: Hash(picture.hash()),
    }
}

pub fn images(numbers: std::ops::Range<u32>) -> Vec<Image> {
    numbers.map(image).collect()
}

/// A run's folder and a cache.
pub struct Run {
    folder: tempfile::TempDir,
    name: &'static str,
    /// Whether the images come with their keys, as ingest writes them now.
    pub indexed: bool,
}

impl Run {
    /// A run with these images (the last fifth of them for the test) and the tiny backbone.
    pub fn new(images: &[Image]) -> Self {
        let run = Self { folder: tempfile::tempdir().unwrap(), name: "a", indexed: true };
        run.write_images(images);
        run.write_backbone(TINY);
        run
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("runs").join(self.name)
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache/embeddings")
    }

    pub fn write_images(&self, images: &[Image]) {
        let output = Output::open(&self.dir().join("images")).unwrap();
        let classes = ["no".to_owned(), "yes".to_owned()];
        let (train, test) = images.split_at(images.len() - images.len() / 5);
        let mut staged = Vec::new();
        for (split, images) in [(Split::Train, train), (Split::Test, test)] {
            let file = output.create(&split.file(0, 1)).unwrap();
            let mut writer = Writer::new(file, &classes).unwrap();
            writer.write(images).unwrap();
            let (file, rows) = writer.finish_indexed().unwrap();
            staged.push(file.finish(Some(images.len() as u64)).unwrap());
            if self.indexed {
                let file = output.create(&split.index()).unwrap();
                staged.push(write_index(file, &rows).unwrap().finish(None).unwrap());
            }
        }
        let facts = BTreeMap::from([("classes".to_owned(), json!(classes))]);
        output.commit(work("gtsrb-ingest"), staged, BTreeMap::new(), facts).unwrap();
    }

    pub fn write_backbone(&self, onnx: &[u8]) {
        let output = Output::open(&self.dir().join("backbone")).unwrap();
        let staged = output.write("backbone.onnx", onnx).unwrap();
        let nothing = BTreeMap::new();
        output.commit(work("gtsrb-backbone"), vec![staged], nothing, BTreeMap::new()).unwrap();
    }

    /// The binary, to be run on this run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gtsrb-extract"));
        command
            .args(args)
            .args(["--run", &self.dir().display().to_string(), "--json", "--threads", "2"])
            .env("CACHE_DIR", self.folder.path().join("cache"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The same behind the words of another program, such as `prlimit --nproc=3`.
    pub fn under(&self, words: &[&str]) -> Command {
        let command = self.command(&[]);
        let mut outer = Command::new(words[0]);
        outer.args(&words[1..]).arg(command.get_program()).args(command.get_args());
        outer.env("CACHE_DIR", self.folder.path().join("cache"));
        outer
    }

    /// Runs it; it must succeed. Gives the JSON line.
    pub fn extract(&self, args: &[&str]) -> Value {
        let finished = self.command(args).output().unwrap();
        assert_eq!(finished.status.code(), Some(0), "{}", stderr(&finished));
        let stdout = String::from_utf8(finished.stdout).unwrap();
        serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
    }

    /// Runs it; it must fail with `code`. Gives what it said.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let finished = self.command(args).output().unwrap();
        assert_eq!(finished.status.code(), Some(code), "{}", stderr(&finished));
        stderr(&finished)
    }

    /// The bytes of both index files and of the manifest.
    pub fn index(&self) -> Vec<Vec<u8>> {
        let folder = self.dir().join("embeddings");
        ["train.parquet", "test.parquet", "manifest.json"]
            .map(|name| std::fs::read(folder.join(name)).unwrap())
            .into()
    }

    /// All rows and their embeddings, as training sees them.
    pub fn embeddings(&self) -> (Vec<Row>, Array2<f32>) {
        let embedded = Embedded::open(&self.dir()).unwrap();
        let mut rows = embedded.rows(Split::Train).unwrap();
        rows.extend(embedded.rows(Split::Test).unwrap());
        let matrix = embedded.matrix(&self.cache(), &rows).unwrap();
        (rows, matrix)
    }

    /// The files of all views that hold embeddings.
    pub fn parts(&self) -> Vec<PathBuf> {
        let views = std::fs::read_dir(self.cache()).into_iter().flatten().flatten();
        let files = views.flat_map(|view| std::fs::read_dir(view.path()).unwrap().flatten());
        let mut parts: Vec<PathBuf> = files.map(|file| file.path()).collect();
        parts.retain(|path| path.extension().is_some_and(|kind| kind == "parquet"));
        parts.sort();
        parts
    }

    /// Writes a text file beside the run.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }
}

fn work(tool: &str) -> Work {
    Work {
        tool: tool.to_owned(),
        version: "1".to_owned(),
        parameters: json!({}),
        inputs: BTreeMap::new(),
    }
}

pub fn stderr(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stderr).into_owned()
}

/// Changes one byte in the middle of a file.
pub fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
