//! Classifies a picture by a run's `classifier.onnx`, with nothing of this workspace.

#![expect(clippy::print_stdout, reason = "what it is for")]

use std::error::Error;

use ort::session::Session;
use ort::value::Tensor;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, library, model, picture] = &arguments[..] else {
        return Err("usage: classify LIBONNXRUNTIME CLASSIFIER.onnx PICTURE".into());
    };
    // The library is loaded at run time; nothing of it is compiled in.
    let environment = ort::init_from(library)?.build()?;
    let mut session = Session::builder(&environment)?.commit_from_file(model)?;
    let classes = session.metadata()?.custom("classes").ok_or("no class names")?;
    let classes: Vec<String> = serde_json::from_str(&classes)?;

    let picture = image::open(picture)?.into_rgb8();
    let shape = [1, picture.height() as usize, picture.width() as usize, 3];
    let image = Tensor::from_array((shape, picture.into_raw()))?;
    let outputs = session.run(ort::inputs!["image" => image])?;
    let (_, labels) = outputs["label"].try_extract_tensor::<i64>()?;
    let (_, probabilities) = outputs["probabilities"].try_extract_tensor::<f32>()?;
    let label = labels[0] as usize;
    println!("{}: {:.1} %", classes[label], 100.0 * probabilities[label]);
    Ok(())
}
