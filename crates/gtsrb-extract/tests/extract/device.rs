//! Where is computed, and what a GPU's settings do where there is none.

use crate::run::{Run, images, runtime, stderr};

#[test]
fn a_library_for_gpus_without_a_gpu_is_no_gpu() {
    let library = std::env::var("ORT_GPU_DYLIB_PATH").unwrap_or_default();
    if library.is_empty() {
        println!("skipped: ORT_GPU_DYLIB_PATH is not set (make setup DEVICE=cuda fetches it)");
        return;
    }
    let run = Run::new(&images(0..5));
    let command = |device: &str| {
        let mut command = run.command(&["--device", device]);
        command.env("ORT_DYLIB_PATH", &library);
        command.output().unwrap()
    };
    let cuda = command("cuda");
    if cuda.status.success() {
        println!("skipped: this machine has CUDA");
        return;
    }
    assert_eq!(cuda.status.code(), Some(69), "{}", stderr(&cuda));
    let said = stderr(&cuda);
    assert!(said.contains("CUDA is asked for but cannot be used: "), "{said}");
    assert!(said.contains("or use --device cpu") && said.trim().lines().count() == 1, "{said}");
    assert!(run.parts().is_empty() && !run.dir().join("embeddings/manifest.json").exists());

    let auto = command("auto");
    assert_eq!(auto.status.code(), Some(0), "{}", stderr(&auto));
    assert_eq!(stderr(&auto).matches("using the processor").count(), 1, "{}", stderr(&auto));
    let other = Run::new(&images(0..5));
    other.extract(&["--device", "cpu"]);
    assert_eq!(run.embeddings(), other.embeddings());
}

#[test]
fn settings_of_a_gpu_change_nothing_on_the_processor() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..10));
    let first = run.extract(&["--device", "cpu"]);
    let settings = ["--device", "cpu", "--tf32", "--nhwc", "--cuda-graph", "--batch", "8"];
    let second = run.extract(&settings);
    assert_eq!(second["state"], "current");
    assert_eq!(second["summary"]["view"], first["summary"]["view"]);
    assert!(second["summary"].get("gpu").is_none());
    let device = run.extract(&["--device", "cpu", "--resize", "device"]);
    assert_eq!(device["summary"]["why"][0], "resize none -> device");
    assert_eq!(device["summary"]["misses"], 10);
}
