//! A run's folder as the stages before leave it: tiny pictures whose pixels are their own
//! embeddings.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ran};

use artifact::embeddings::{Cache, Row, Storage, key, write_index};
use artifact::images::{Image, Roi, Split, Writer};
use artifact::{Hash, Output, Staged, Work};
use embed::{Crop, Provider, View, Views};
use ndarray::Array2;
use onnx_graph::proto::TensorProto;
use onnx_graph::{Builder, Element, Size, attribute};
use serde_json::json;

pub const SIZE: usize = 4;
pub const DIMS: usize = SIZE * SIZE * 3;

/// The files of a model.
pub const FILES: [&str; 8] = [
    "head.safetensors",
    "partial.safetensors",
    "head.onnx",
    "classifier.onnx",
    "golden.safetensors",
    "training.json",
    "oof.parquet",
    "manifest.json",
];

/// A folder with `runs` and `cache` in it.
pub struct Run {
    pub root: tempfile::TempDir,
}

/// What the stages before are to leave.
pub struct Plan {
    pub classes: usize,
    /// Tracks of each class; classes without one have none.
    pub tracks: Vec<usize>,
    /// Whether all images are test images, too.
    pub test: bool,
    /// A class whose images aren't trained on.
    pub untrained: Option<i64>,
    /// Replaces a number of the embeddings.
    pub poison: Option<(usize, f32)>,
    /// Augmented views, in which pictures are a little brighter.
    pub augmented: u32,
    /// Numbers that an embedding is said to have.
    pub dims: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            classes: 3,
            tracks: vec![6; 3],
            test: false,
            untrained: None,
            poison: None,
            augmented: 0,
            dims: DIMS,
        }
    }
}

impl Run {
    pub fn new(plan: &Plan) -> Self {
        let run = Self { root: tempfile::tempdir().unwrap() };
        let dir = run.dir();
        let backbone = backbone();
        commit(&dir.join("backbone"), "gtsrb-backbone", &[], |output| {
            vec![output.write("backbone.onnx", &backbone).unwrap()]
        });
        let classes: Vec<String> = (0..plan.classes).map(|class| format!("sign {class}")).collect();
        let images = images(&plan.tracks);
        let work =
            commit(&dir.join("images"), "gtsrb-ingest", &[("classes", json!(classes))], |o| {
                let mut writer =
                    Writer::new(o.create(&Split::Train.file(0, 1)).unwrap(), &classes).unwrap();
                writer.write(&images).unwrap();
                vec![writer.finish().unwrap().finish(Some(images.len() as u64)).unwrap()]
            });
        run.embed(plan, &images, &classes, Hash::of(&backbone), work);
        run
    }

    pub fn dir(&self) -> PathBuf {
        self.root.path().join("runs/tiny")
    }

    pub fn model(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.dir().join("model").join(file)).unwrap()
    }

    fn embed(&self, plan: &Plan, images: &[Image], classes: &[String], backbone: Hash, set: Hash) {
        let views = Views { plain: view(backbone), augmented: plan.augmented };
        let keys: Vec<_> = images.iter().map(key).collect();
        let root = self.root.path().join("cache/embeddings");
        let all = std::iter::once(views.plain.clone()).chain(views.augmented());
        for (number, view) in all.enumerate() {
            let writer = Cache::lock(&root, view.hash()).unwrap();
            let mut cache = Cache::open(&root, view.hash()).unwrap();
            let pixels = pixels(images, plan.poison) * (1.0 + 0.1 * number as f32);
            cache.append(&writer, &keys, Storage::F32, pixels.view()).unwrap();
        }
        let view = &views.plain;
        let test = rows(images);
        let mut train = test.clone();
        train.retain(|row| Some(row.label) != plan.untrained);
        let test = if plan.test { &test[..] } else { &[] };
        let output = Output::open(&self.dir().join("embeddings")).unwrap();
        let staged = [("train.parquet", &train[..]), ("test.parquet", test)].map(|(name, rows)| {
            let file = write_index(output.create(name).unwrap(), rows).unwrap();
            file.finish(Some(rows.len() as u64)).unwrap()
        });
        let facts = [
            ("view", json!(view.hash())),
            ("dims", json!(plan.dims)),
            ("classes", json!(classes)),
            ("augmented", json!(views.augmented_hashes())),
        ];
        let work = Work {
            tool: "gtsrb-extract".into(),
            version: "1".into(),
            parameters: views.parameters(),
            inputs: BTreeMap::from([("images".to_owned(), set), ("backbone".to_owned(), backbone)]),
        };
        let facts = facts.map(|(name, fact)| (name.to_owned(), fact)).into();
        output.commit(work, staged.into(), BTreeMap::new(), facts).unwrap();
    }

    /// Runs the binary on this run.
    pub fn train(&self, flags: &[&str]) -> Ran {
        train(&self.dir(), self.root.path(), flags)
    }
}

/// Runs the binary on the run's folder `dir`.
pub fn train(dir: &Path, root: &Path, flags: &[&str]) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_gtsrb-train"))
        .args(flags)
        .arg("--run")
        .arg(dir)
        .env("CACHE_DIR", root.join("cache"))
        .output()
        .unwrap()
}

pub fn code(ran: &Ran) -> i32 {
    ran.status.code().unwrap()
}

pub fn errors(ran: &Ran) -> String {
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

/// Whether ONNX Runtime is there; says so if not.
pub fn has_runtime() -> bool {
    let there = std::env::var_os("ORT_DYLIB_PATH").is_some();
    if !there {
        println!("skipped: ORT_DYLIB_PATH is not set (make test sets it)");
    }
    there
}

fn commit(
    dir: &Path,
    tool: &str,
    facts: &[(&str, serde_json::Value)],
    files: impl FnOnce(&Output) -> Vec<Staged>,
) -> Hash {
    let output = Output::open(dir).unwrap();
    let staged = files(&output);
    let work = Work {
        tool: tool.into(),
        version: "1".into(),
        parameters: json!({}),
        inputs: BTreeMap::new(),
    };
    let facts = facts.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect();
    output.commit(work, staged, BTreeMap::new(), facts).unwrap().content()
}

/// Pixels / 255, colour by colour: a layer of three maps.
fn backbone() -> Vec<u8> {
    let mut b = Builder::new("tiny", 18);
    let sizes = [Size::Open("n"), Size::Fixed(SIZE), Size::Fixed(SIZE), Size::Fixed(3)];
    b.input("image", Element::U8, &sizes);
    let float = b.node("Cast", &["image"], "float", vec![attribute::int("to", 1)]);
    let scale = b.initializer("scale", TensorProto::f32(&[], &[1.0 / 255.0]));
    let scaled = b.node("Mul", &[&float, &scale], "scaled", vec![]);
    let order = vec![attribute::ints("perm", &[0, 3, 1, 2])];
    let planes = b.node("Transpose", &[&scaled], "planes", order);
    let flat = b.node("Flatten", &[&planes], "flat", vec![attribute::int("axis", 1)]);
    b.output(&flat, "embedding", Element::F32, &[Size::Open("n"), Size::Fixed(DIMS)]);
    let mut model = b.finish().unwrap();
    for (key, value) in [("backbone", "tiny"), ("size", "4"), ("taps", "planes:4"), ("dims", "48")]
    {
        onnx_graph::set_metadata(&mut model, key, value);
    }
    onnx_graph::write(&model)
}

/// Five frames a track: a colour for the class, a shade for the track, noise for the frame.
fn view(backbone: Hash) -> View {
    View {
        backbone,
        size: SIZE,
        crop: Crop::Roi,
        margin: 0.0,
        filter: View::BILINEAR.into(),
        batch: 8,
        storage: Storage::F32,
        runtime: "1".into(),
        provider: Provider::Cpu,
        kernels: embed::Kernels::default(),
        resize: embed::Resize::default(),
        preprocessing: View::PREPROCESSING,
        augmentation: None,
    }
}

/// The embeddings of `images`, of which one may have another number.
fn pixels(images: &[Image], poison: Option<(usize, f32)>) -> Array2<f32> {
    let mut x = Array2::from_shape_fn((images.len(), DIMS), |(row, column)| {
        let png = image::load_from_memory(&images[row].bytes).unwrap().to_rgb8();
        let (colour, cell) = (column / (SIZE * SIZE), column % (SIZE * SIZE));
        f32::from(png.as_raw()[cell * 3 + colour]) / 255.0
    });
    if let Some((row, value)) = poison {
        x[[row, 5]] = value;
    }
    x
}

fn rows(images: &[Image]) -> Vec<Row> {
    let row = |image: &Image| Row {
        key: key(image),
        path: image.path.clone(),
        label: image.label,
        track: image.track.clone(),
        frame: image.frame,
    };
    images.iter().map(row).collect()
}

fn images(tracks: &[usize]) -> Vec<Image> {
    let mut images = Vec::new();
    for (label, &tracks) in tracks.iter().enumerate() {
        for track in 0..tracks {
            for frame in 0..5 {
                images.push(image_of(label, track, frame));
            }
        }
    }
    images
}

fn image_of(label: usize, track: usize, frame: usize) -> Image {
    let noise = Hash::of(&[label as u8, track as u8, frame as u8]).0;
    let pixels: Vec<u8> = (0..DIMS)
        .map(|index| {
            let colour = if index % 3 == label % 3 { 110 } else { 60 };
            colour + (track * 7 % 20) as u8 + noise[index % 32] / 4
        })
        .collect();
    let picture = image::RgbImage::from_raw(SIZE as u32, SIZE as u32, pixels).unwrap();
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
    let last = SIZE as i32 - 1;
    Image {
        path: format!("{label}/{track:05}_{frame:05}.png"),
        label: label as i64,
        roi: Roi { x1: 0, y1: 0, x2: last, y2: last },
        width: SIZE as i32,
        height: SIZE as i32,
        track: Some(format!("{track:05}")),
        frame: Some(frame as i32),
        pixels: Hash::of(picture.as_raw()),
        bytes,
    }
}
