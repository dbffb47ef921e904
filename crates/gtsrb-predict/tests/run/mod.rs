//! A model's folder as training leaves it: a backbone that gives a picture's mean colour, and a
//! head that asks which colour is strongest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ran};

use artifact::embeddings::Storage;
use artifact::golden::{About, Golden, Pixels};
use artifact::head::Head;
use artifact::{Hash, Output, Work};
use embed::{Crop, Provider, View};
use ndarray::{Array1, Array2};
use onnx_graph::classifier::{self, Layer, classifier_model};
use onnx_graph::proto::{ModelProto, TensorProto};
use onnx_graph::{Builder, Element, Size, attribute};
use picture::Picture;
use serde_json::json;
use softmax::Model;

const SIZE: usize = 4;
const DIMS: usize = SIZE * SIZE * 3;

/// The classes: each a colour's channel.
pub const CLASSES: [&str; 3] = ["red", "green", "blue"];

/// A folder with a run and pictures in it.
pub struct Run {
    root: tempfile::TempDir,
}

impl Run {
    pub fn new() -> Self {
        let run = Self { root: tempfile::tempdir().unwrap() };
        let backbone = backbone();
        let view = View {
            backbone: Hash::of(&onnx_graph::write(&backbone)),
            size: SIZE,
            crop: Crop::Roi,
            margin: 0.0,
            filter: View::BILINEAR.into(),
            batch: 8,
            storage: Storage::F16,
            runtime: "1".into(),
            provider: Provider::Cpu,
            kernels: embed::Kernels::default(),
            resize: embed::Resize::default(),
            preprocessing: View::PREPROCESSING,
            augmentation: None,
        };
        let head = head(view.hash());
        let onnx = classifier(&backbone, &head, &view);
        let golden = golden(&onnx).to_bytes().unwrap();
        run.commit(&[
            ("head.safetensors", &head.to_bytes().unwrap()),
            ("classifier.onnx", &onnx),
            ("golden.safetensors", &golden),
        ]);
        run
    }

    pub fn dir(&self) -> PathBuf {
        self.root.path().join("runs/tiny")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn pictures(&self) -> PathBuf {
        self.file("pictures")
    }

    /// Draws a picture of class `label` into the folder of pictures.
    pub fn picture(&self, name: &str, label: usize) -> PathBuf {
        let mut colour = [40; 3];
        colour[label] = 210;
        self.coloured(name, colour)
    }

    /// Draws a picture of one colour, with a little noise.
    pub fn coloured(&self, name: &str, colour: [u8; 3]) -> PathBuf {
        let path = self.pictures().join(name);
        let pixels = (0..6 * 5 * 3).map(|i| colour[i % 3] + i as u8 % 7);
        let picture = Picture::new(6, 5, pixels.collect()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, picture.to_png().unwrap()).unwrap();
        path
    }

    /// The binary, to be run on this run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gtsrb-predict"));
        command.arg("--run").arg(self.dir()).args(args);
        command
    }

    /// Runs it on `paths`.
    pub fn predict(&self, flags: &[&str], paths: &[&Path]) -> Ran {
        self.command(flags).args(paths).output().unwrap()
    }

    /// The model's folder.
    pub fn model(&self) -> PathBuf {
        self.dir().join("model")
    }

    /// Replaces the model's files.
    pub fn commit(&self, files: &[(&str, &[u8])]) {
        // A process that another test is just starting may hold what this one had open.
        let output = loop {
            match Output::open(&self.model()) {
                Err(error) if error.fault() == stage::Fault::Busy => std::thread::yield_now(),
                output => break output.unwrap(),
            }
        };
        let staged = files.iter().map(|(name, bytes)| output.write(name, bytes).unwrap());
        let staged = staged.collect();
        let (tool, version) = ("gtsrb-train".into(), "1".into());
        let work = Work { tool, version, parameters: json!({}), inputs: BTreeMap::new() };
        output.commit(work, staged, BTreeMap::new(), BTreeMap::new()).unwrap();
    }
}

pub fn code(ran: &Ran) -> i32 {
    ran.status.code().unwrap()
}

pub fn errors(ran: &Ran) -> String {
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

pub fn lines(ran: &Ran) -> Vec<String> {
    String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect()
}

/// Whether ONNX Runtime is there; says so if not.
pub fn has_runtime() -> bool {
    let there = std::env::var_os("ORT_DYLIB_PATH").is_some();
    if !there {
        println!("skipped: ORT_DYLIB_PATH is not set (make test sets it)");
    }
    there
}

/// Pixels / 255, flattened.
fn backbone() -> ModelProto {
    let mut b = Builder::new("tiny", 18);
    let sizes = [Size::Open("n"), Size::Fixed(SIZE), Size::Fixed(SIZE), Size::Fixed(3)];
    b.input("image", Element::U8, &sizes);
    let float = b.node("Cast", &["image"], "float", vec![attribute::int("to", 1)]);
    let scale = b.initializer("scale", TensorProto::f32(&[], &[1.0 / 255.0]));
    let scaled = b.node("Mul", &[&float, &scale], "scaled", vec![]);
    let flat = b.node("Flatten", &[&scaled], "flat", vec![attribute::int("axis", 1)]);
    b.output(&flat, "embedding", Element::F32, &[Size::Open("n"), Size::Fixed(DIMS)]);
    b.finish().unwrap()
}

fn head(view: Hash) -> Head {
    let is_its = |(class, i): (usize, usize)| f32::from(u8::from(i % 3 == class));
    let weights = Array2::from_shape_fn((3, DIMS), is_its);
    Head {
        network: Model { weights, bias: Array1::zeros(3) }.into(),
        temperature: 2.0,
        classes: CLASSES.map(str::to_owned).into(),
        view,
        training: Hash::of(b"training"),
    }
}

fn classifier(backbone: &ModelProto, head: &Head, view: &View) -> Vec<u8> {
    let layers = head.network.layers().iter();
    let layers: Vec<_> = layers
        .map(|layer| Layer {
            weights: layer.weights.as_slice().unwrap(),
            bias: layer.bias.as_slice().unwrap(),
        })
        .collect();
    let head = classifier::Head { tower: None, layers: &layers, temperature: head.temperature };
    let metadata = [("preprocessing", &*view.parameters().to_string())];
    onnx_graph::write(&classifier_model(backbone, &head, &metadata).unwrap())
}

/// Of one picture of two pixels, which all shows one colour: each class has 16 pixels' sum.
pub fn golden(classifier: &[u8]) -> Golden {
    let colour = [255_u8, 51, 0];
    let logits = colour.map(|value| 16.0 * f32::from(value) / 255.0);
    let powers = logits.map(|z| (z / 2.0).exp());
    let sum: f32 = powers.iter().sum();
    Golden {
        about: About {
            classifier: Hash::of(classifier),
            runtime: "1".into(),
            tolerance: 0.01,
            paths: vec!["a.png".into()],
        },
        pictures: vec![Pixels { height: 2, width: 1, rgb: [colour, colour].concat() }],
        logits: Array2::from_shape_fn((1, 3), |(_, class)| logits[class]),
        probabilities: Array2::from_shape_fn((1, 3), |(_, class)| powers[class] / sum),
    }
}
