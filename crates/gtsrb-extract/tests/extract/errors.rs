//! Whatever is wrong ends with one message, the right exit code and nothing half-written.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::run::{NAN, Run, images, picture_as_image, runtime, stderr};
use picture::Picture;

/// A library that calls itself ONNX Runtime 1.10.0.
const OLD: &str = r#"
    typedef struct { const void *(*api)(unsigned); const char *(*version)(void); } Base;
    static const void *api(unsigned version) { return (void *)0; }
    static const char *version(void) { return "1.10.0"; }
    static const Base base = { api, version };
    const Base *OrtGetApiBase(void) { return &base; }
"#;

fn with_library(run: &Run, library: &Path) -> String {
    let finished = run.command(&[]).env("ORT_DYLIB_PATH", library).output().unwrap();
    assert_eq!(finished.status.code(), Some(69), "{}", stderr(&finished));
    assert!(!run.dir().join("embeddings").exists());
    stderr(&finished)
}

#[test]
fn a_missing_or_wrong_library_is_unavailable() {
    let run = Run::new(&images(0..2));
    let missing = with_library(&run, Path::new("/nowhere/libonnxruntime.so"));
    for said in ["/nowhere/libonnxruntime.so", "wanted: 1.24", "make setup"] {
        assert!(missing.contains(said), "{missing}");
    }
    let text = run.file("libonnxruntime.so", "no library");
    assert!(with_library(&run, &text).contains("cannot be loaded"));
}

#[test]
fn without_the_variable_the_places_are_named() {
    let run = Run::new(&images(0..2));
    let finished = run.command(&[]).env_remove("ORT_DYLIB_PATH").output().unwrap();
    assert_eq!(finished.status.code(), Some(69));
    let message = stderr(&finished);
    assert!(message.contains("cache/downloads/onnxruntime: no "), "{message}");
    assert!(message.contains("target/"), "{message}");
}

fn compile(source: &Path, library: &Path) -> bool {
    let arguments = ["-shared", "-fPIC", "-o"];
    let compiler = Command::new("cc").args(arguments).args([library, source]).status();
    compiler.is_ok_and(|status| status.success())
}

#[test]
fn a_library_that_is_too_old_is_unavailable() {
    let run = Run::new(&images(0..2));
    let source = run.file("old.c", OLD);
    let library = source.with_file_name("libonnxruntime.so.1.10.0");
    if !compile(&source, &library) {
        println!("skipped: there is no C compiler");
        return;
    }
    let message = with_library(&run, &library);
    assert!(message.contains("too old (version 1.10.0)"), "{message}");
    let other = run.file("other.c", "int something;");
    let library = other.with_file_name("libother.so");
    assert!(compile(&other, &library));
    assert!(with_library(&run, &library).contains("is not ONNX Runtime"));
}

#[test]
fn cuda_is_not_replaced_by_the_processor() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..2));
    let finished = run.command(&["--device", "cuda"]).output().unwrap();
    if finished.status.success() {
        println!("skipped: this machine has CUDA");
        return;
    }
    assert_eq!(finished.status.code(), Some(69));
    assert!(stderr(&finished).contains("CUDA is asked for"), "{}", stderr(&finished));
    assert!(run.parts().is_empty());
    assert_eq!(run.extract(&["--device", "auto"])["summary"]["device"], "cpu");
}

#[test]
fn nan_is_never_cached() {
    if !runtime() {
        return;
    }
    let mut some = images(0..9);
    let black = Picture::new(20, 20, vec![0; 1200]).unwrap();
    some[5] = picture_as_image(&black, 5);
    let run = Run::new(&some);
    run.write_backbone(NAN);
    let message = run.fails(65, &[]);
    assert!(message.contains("NaN") && message.contains("Train/5.png"), "{message}");
    assert!(!message.contains("Train/4.png"), "{message}");
    assert!(!run.dir().join("embeddings/manifest.json").exists());
    run.write_images(&images(0..9));
    run.extract(&[]);
}

#[test]
fn a_damaged_picture_is_named() {
    if !runtime() {
        return;
    }
    let mut some = images(0..9);
    some[7].bytes.truncate(60);
    let message = Run::new(&some).fails(65, &[]);
    assert!(message.contains("Train/7.png"), "{message}");
}

#[test]
fn missing_stages_and_wrong_settings_are_named() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..2));
    for (setting, named) in
        [("margin = 2.0", "margin"), ("batch = 0", "batch"), ("crops = 1", "crops")]
    {
        let config = run.file("x.toml", &format!("[extract]\n{setting}\n"));
        let message = run.fails(78, &["--config", &config.display().to_string()]);
        assert!(message.contains(named), "{message}");
    }
    assert!(run.fails(64, &["--storage", "f8"]).contains("f16"));
    run.write_backbone(b"no model");
    assert!(run.fails(65, &[]).contains("backbone.onnx"));
    std::fs::remove_dir_all(run.dir().join("backbone")).unwrap();
    assert!(run.fails(66, &[]).contains("gtsrb-backbone"));
    std::fs::remove_dir_all(run.dir().join("images")).unwrap();
    assert!(run.fails(66, &[]).contains("gtsrb-ingest"));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_soon_and_keeps_what_was_finished() {
    if !runtime() {
        return;
    }
    // Large pictures that compress to little take long to decode; ROIs make them different.
    let large = Picture::new(1500, 1500, vec![90; 1500 * 1500 * 3]).unwrap();
    let base = picture_as_image(&large, 0);
    let different = |number: i32| {
        let mut image = base.clone();
        (image.path, image.roi.x1) = (format!("{number}.png"), number);
        image
    };
    let run = Run::new(&(0..5000).map(different).collect::<Vec<_>>());
    let process = run.command(&[]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let signalled = Instant::now();
    let finished = process.wait_with_output().unwrap();
    assert_eq!(finished.status.code(), Some(143), "{}", stderr(&finished));
    assert!(signalled.elapsed() < Duration::from_secs(5));
    assert!(!run.dir().join("embeddings/manifest.json").exists());
    let plan = run.command(&["--dry-run"]).output().unwrap();
    let text = String::from_utf8(plan.stdout).unwrap();
    let left: u32 = text.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!(left > 0 && left < 5000, "{text}");
}

#[cfg(unix)]
#[test]
fn a_file_over_the_size_limit_is_an_io_error() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..400));
    let finished = run.under(&["sh", "-c", "ulimit -f 8; exec \"$@\"", "sh"]).output().unwrap();
    let message = stderr(&finished);
    assert_eq!(finished.status.code(), Some(74), "{message}");
    assert!(message.contains("-part: File too large"), "{message}");
    assert!(run.parts().is_empty());
    assert_eq!(run.extract(&[])["state"], "done");
}

/// The number of threads is the user's, not the process's: another user than root, who has none.
#[cfg(target_os = "linux")]
#[test]
fn too_few_threads_are_an_io_error() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    std::fs::create_dir_all(run.cache()).unwrap();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let opened = Command::new("chmod").args(["-R", "a+rwX"]).arg(run.path()).status();
    assert!(opened.unwrap().success());
    for threads in 1..20 {
        let limit = format!("--nproc={threads}");
        let few = [&nobody[..], &["prlimit", &limit]].concat();
        let finished = match run.under(&few).output() {
            Ok(finished) if !stderr(&finished).starts_with(['s', 'p']) => finished,
            _ => return println!("skipped: another user can't run the programs here"),
        };
        let message = stderr(&finished);
        if finished.status.success() {
            assert!(threads > 2, "two threads are more than {threads}");
            return;
        }
        assert_eq!(finished.status.code(), Some(74), "{threads}: {message}");
        assert!(message.contains("give fewer by --threads"), "{message}");
        assert!(run.parts().is_empty());
    }
    panic!("twenty threads are too few");
}

#[cfg(target_os = "linux")]
#[test]
fn a_lost_standard_error_is_no_error() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..5));
    run.extract(&[]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert!(run.command(&[]).stderr(full).status().unwrap().success());
    let finished = run.command(&[]).output().unwrap();
    assert!(stderr(&finished).contains("extract: up to date"), "{}", stderr(&finished));
}
