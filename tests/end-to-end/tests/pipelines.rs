//! Whole pipelines: the fixed places are filled, a second run does nothing, and what is
//! interrupted anywhere ends in the same bytes.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use artifact::embeddings::Embedded;
use artifact::head::Head;
use artifact::images::{Image, ImageSet, Split};
use end_to_end::{Place, SMALL, json, ready, root, snapshot, succeed, texts, variable};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn check_fixed_places(run: &Path) {
    let metrics = json(&run.join("metrics.json"));
    for name in ["top1", "top5", "macro_recall", "log_loss", "ece", "test_images"] {
        assert!(metrics[name].is_number(), "metrics.json lacks {name}");
    }
    for name in ["images", "model", "embeddings", "backbone", "."] {
        assert!(run.join(name).join("manifest.json").is_file(), "{name} has no manifest");
    }
    for name in ["head.safetensors", "head.onnx", "classifier.onnx", "training.json"] {
        assert!(run.join("model").join(name).is_file(), "model/{name} is not there");
    }
    for name in ["predictions.parquet", "submission.csv", "report.html"] {
        assert!(run.join(name).is_file(), "{name} is not there");
    }
    let timings = json(&run.join("timings.json"));
    for stage in ["ingest", "backbone", "extract", "train", "evaluate"] {
        assert!(timings[stage]["seconds"].is_number(), "timings.json lacks {stage}");
        assert!(timings[stage]["peak_resident_bytes"].is_number());
    }
}

#[test]
fn a_second_run_does_nothing_whatever_the_file_times() {
    if !ready() {
        return;
    }
    let place = Place::new();
    let config = place.config("sample", SMALL);
    let (stdout, stderr) = succeed(&mut place.make(&[&config]));
    let run = place.run("sample");
    check_fixed_places(&run);
    let last: Vec<_> = stdout.lines().rev().take(2).collect();
    assert!(last.iter().any(|l| l.contains("top-1")), "no accuracy at the end:\n{stdout}{stderr}");
    assert!(last.iter().any(|l| l.contains("report.html")), "no report at the end:\n{stdout}");

    let before = snapshot(&run);
    let modified = |name: &str| std::fs::metadata(run.join(name)).unwrap().modified().unwrap();
    let written = modified("metrics.json");
    succeed(Command::new("touch").arg(run.join("images/manifest.json")));
    succeed(Command::new("touch").args(["-d", "2040-01-01"]).arg(run.join("model/manifest.json")));
    let (again, _) = succeed(&mut place.make(&[&config]));
    assert_eq!(snapshot(&run), before);
    assert_eq!(modified("metrics.json"), written, "work was done again");
    assert!(again.contains("top-1"), "an up-to-date run tells its result too:\n{again}");
}

#[test]
fn damage_is_mended_by_the_next_run() {
    if !ready() {
        return;
    }
    let place = Place::new();
    let config = place.config("sample", SMALL);
    succeed(&mut place.make(&[&config]));
    let run = place.run("sample");
    let before = snapshot(&run);
    for name in ["images/train-00000-of-00001.parquet", "model/head.safetensors", "metrics.json"] {
        let path = run.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        std::fs::remove_file(run.join("embeddings/manifest.json")).unwrap();
        succeed(&mut place.make(&[&config]));
        assert_eq!(snapshot(&run), before, "after damage to {name}");
    }
}

/// Starts `command` as a process group of its own, so that a signal reaches every stage.
fn start(command: &mut Command) -> Child {
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn interrupted_anywhere_ends_in_the_same_bytes() {
    if !ready() {
        return;
    }
    let golden = Place::new();
    let config = golden.config("sample", SMALL);
    let started = Instant::now();
    succeed(&mut golden.make(&[&config]));
    let whole = started.elapsed();
    let expected = snapshot(&golden.run("sample"));

    for step in 1..=8 {
        let signal = if step % 2 == 0 { "-KILL" } else { "-INT" };
        let delay = whole.mul_f64(f64::from(step) / 9.0);
        let place = Place::new();
        let config = place.config("sample", SMALL);
        let mut child = start(&mut place.make(&[&config]));
        sleep(delay);
        // It may have ended already; then the rerun has nothing to do.
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
        wait(&mut child, Duration::from_secs(20));
        succeed(&mut place.make(&[&config]));
        assert_eq!(snapshot(&place.run("sample")), expected, "{signal} after {delay:?}");
    }
}

fn wait(child: &mut Child, limit: Duration) {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < limit, "still running {limit:?} after a signal");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn real_signs_and_the_exported_classifier() {
    let (Some(signs), Some(python)) = (variable("GTSRB_MINI"), variable("ORACLE_PYTHON")) else {
        return;
    };
    if !ready() {
        return;
    }
    let place = Place::new();
    succeed(&mut place.make(&["PIPELINE=gtsrb-linear", &format!("GTSRB={signs}")]));
    let run = place.run("gtsrb-linear");
    check_fixed_places(&run);
    let metrics = json(&run.join("metrics.json"));
    assert_eq!(metrics["test_images"], 860);
    assert!(metrics["top1"].as_f64().unwrap() > 0.75, "{metrics}");

    check_classifier(&run, &python);
    check_predictions(&run, place.path());
    check_shards(&run, place.path());

    // Two heads with convolutions and a hidden layer, which learn from another view, too.
    let text = std::fs::read_to_string(root().join("pipelines/gtsrb-fast.toml")).unwrap();
    let text = text.replace("[extract]", "[extract]\naugment = 1");
    let text = text.replace("convolutions = [96, 192]", "convolutions = [32, 64]\nmembers = 2");
    let text = text.replace("hidden = 256", "hidden = 64");
    let text = text.replace("epochs = 10", "epochs = 60");
    let config = place.config("gtsrb-linear", &text);
    succeed(&mut place.make(&["PIPELINE=gtsrb-linear", &format!("GTSRB={signs}"), &config]));
    let head = Head::read(&run.join("model/head.safetensors")).unwrap();
    let widths: Vec<_> = head.network.layers().iter().map(|layer| layer.bias.len()).collect();
    assert_eq!(widths, [128, 43]);
    assert_eq!(head.network.tower().unwrap().levels().channels, [64, 128]);
    let top1 = json(&run.join("metrics.json"))["top1"].as_f64().unwrap();
    assert!(top1 > 0.75, "{top1}");
    check_classifier(&run, &python);
    check_predictions(&run, place.path());
}

/// The exported file, run by Python on pictures that Pillow cropped and resized.
fn check_classifier(run: &Path, python: &str) {
    let oracle = root().join("tests/oracles/classifier_onnx.py");
    let (stdout, _) = succeed(Command::new(python).arg(oracle).arg(run));
    let agreement: serde_json::Value = serde_json::from_str(stdout.trim()).unwrap();
    assert_eq!(agreement["images"], 860);
    for kind in ["resized_by_pillow", "resized_inside"] {
        assert!(agreement[kind].as_f64().unwrap() >= 0.999, "{agreement}");
    }
}

/// Three processes at once and a merge, with a cache of their own, give what one gave.
fn check_shards(run: &Path, place: &Path) {
    let other = place.join("runs/shards");
    for folder in ["images", "backbone"] {
        std::fs::create_dir_all(other.join(folder)).unwrap();
        for file in std::fs::read_dir(run.join(folder)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), other.join(folder).join(file.file_name())).unwrap();
        }
    }
    let cache = place.join("cache of shards");
    let extract = |arguments: &[&str]| {
        let mut command = Command::new(root().join("target/release/gtsrb-extract"));
        command.args(arguments).arg("--run").arg(&other).env("CACHE_DIR", &cache);
        command
    };
    let shards = ["1/3", "2/3", "3/3"].map(|shard| extract(&["--shard", shard]).spawn().unwrap());
    assert!(shards.map(|mut shard| shard.wait().unwrap().success()).iter().all(|ended| *ended));
    succeed(&mut extract(&["merge", "--shards", "3"]));
    assert_eq!(snapshot(&other.join("embeddings")), snapshot(&run.join("embeddings")));
    let matrix = |run: &Path, cache: &Path| {
        let embedded = Embedded::open(run).unwrap();
        let rows = embedded.rows(Split::Train).unwrap();
        embedded.matrix(&cache.join("embeddings"), &rows).unwrap()
    };
    assert!(matrix(&other, &cache) == matrix(run, &place.join("cache")));
}

/// `gtsrb-predict` says of the test signs, cut out and saved, what evaluation said, to the bit.
fn check_predictions(run: &Path, place: &Path) {
    let (signs, table) = (place.join("signs"), place.join("said.parquet"));
    std::fs::create_dir_all(&signs).unwrap();
    let images = ImageSet::open(run).unwrap();
    let images = images.batches(Split::Test).flat_map(|batch| batch.unwrap());
    for (place, Image { bytes, roi, .. }) in images.enumerate() {
        let picture = image::load_from_memory(&bytes).unwrap();
        let side = |first: i32, last: i32| (last - first + 1) as u32;
        let (width, height) = (side(roi.x1, roi.x2), side(roi.y1, roi.y2));
        let sign = picture.crop_imm(roi.x1 as u32, roi.y1 as u32, width, height);
        sign.to_rgb8().save(signs.join(format!("{place:04}.png"))).unwrap();
    }
    let predict = root().join("target/release/gtsrb-predict");
    succeed(Command::new(predict).arg("--run").arg(run).arg(&signs).arg("--parquet").arg(&table));
    let read = |path: &Path| {
        let file = std::fs::File::open(path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        reader.with_batch_size(2000).build().unwrap().next().unwrap().unwrap()
    };
    let (said, expected) = (read(&table), read(&run.join("predictions.parquet")));
    assert_eq!(said.num_rows(), 860);
    for column in ["predicted", "probabilities"] {
        assert_eq!(said.column_by_name(column), expected.column_by_name(column), "{column}");
    }
}

#[test]
fn your_own_pictures_in_one_command() {
    if !ready() {
        return;
    }
    let Some(signs) = variable("GTSRB_MINI") else { return };
    let place = Place::new();
    let data = place.path().join("Ada's \"own\" pictures");
    // Warning triangles and blue arrows, as JPEG, forty of each.
    for (classes, name) in [([18, 25], "warning"), ([35, 38], "blue arrow")] {
        for class in classes {
            write_jpegs(Path::new(&signs), class, &data.join(name), 20);
        }
    }
    succeed(&mut place.make(&["PIPELINE=folder", &format!("DATA={}", data.display())]));
    let run = place.run("folder");
    check_fixed_places(&run);
    let metrics = json(&run.join("metrics.json"));
    assert_eq!(metrics["test_images"], 16);
    assert!(metrics["top1"].as_f64().unwrap() > 0.9, "{metrics}");
}

/// Chosen among unlabelled ones, copied, labelled, and trained on.
#[test]
fn pictures_worth_labelling_become_training_pictures() {
    let Some(signs) = variable("GTSRB_MINI").filter(|_| ready()) else { return };
    let place = Place::new();
    let folder = |name: &str| place.path().join(name);
    let (data, new, chosen) = (folder("data"), folder("new"), folder("chosen"));
    for (class, name) in [(18, "warning"), (35, "blue arrow")] {
        write_jpegs(Path::new(&signs), class, &data.join(name), 15);
    }
    for class in [25, 38] {
        write_jpegs(Path::new(&signs), class, &new, 10);
    }
    let make = |labels: &str| {
        let config = format!(
            "[ingest]\n{labels}\n[backbone]\nsize = 64\ntaps = [\"block4:2\"]\n[extract]\ncrop = \"full\"\n"
        );
        let config = place.config("folder", &config);
        succeed(&mut place.make(&[
            "PIPELINE=folder",
            &format!("DATA={}", data.display()),
            &config,
        ]));
    };
    make("");
    let mut next = Command::new(root().join("target/release/gtsrb-predict"));
    next.arg("--run").arg(place.run("folder")).arg(&new).arg("--copy-to").arg(&chosen);
    let (table, _) = succeed(next.args(["--label-next", "6"]));
    // A person sees what each shows; here their names tell.
    let label = |path: &str| if path.contains("-25_") { "warning" } else { "blue arrow" };
    let paths = table.lines().skip(1).map(|line| line.split(',').next().unwrap());
    let rows: Vec<String> = paths.map(|path| format!("{path},{}", label(path))).collect();
    let labels = folder("chosen.csv");
    std::fs::write(&labels, format!("path,label\n{}\n", rows.join("\n"))).unwrap();
    succeed(Command::new("cp").arg("-r").arg(chosen.join(".")).arg(&data));
    make(&format!("labels = {labels:?}"));
    let images = ImageSet::open(&place.run("folder")).unwrap();
    let all: Vec<Image> = [Split::Train, Split::Test]
        .into_iter()
        .flat_map(|split| images.batches(split).flat_map(|batch| batch.unwrap()))
        .collect();
    assert_eq!(all.len(), 36);
    for image in all.iter().filter(|image| image.path.contains('-')) {
        assert_eq!(images.classes()[image.label as usize], label(&image.path), "{}", image.path);
    }
}

fn write_jpegs(signs: &Path, class: u32, folder: &Path, count: usize) {
    let file = std::fs::File::open(signs.join("GTSRB_Final_Training_Images.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let prefix = format!("GTSRB/Final_Training/Images/{class:05}/");
    let is_ppm = |name: &String| Path::new(name).extension().is_some_and(|e| e == "ppm");
    let wanted = |name: &String| name.starts_with(&prefix) && is_ppm(name);
    let names = archive.file_names().map(|name| name.unwrap().into_owned());
    let mut names: Vec<_> = names.filter(wanted).collect();
    names.sort();
    std::fs::create_dir_all(folder).unwrap();
    for name in &names[names.len() - count..] {
        let mut bytes = Vec::new();
        std::io::copy(&mut archive.by_name(name).unwrap(), &mut bytes).unwrap();
        let stem = Path::new(name).file_stem().unwrap().to_string_lossy();
        let picture = image::load_from_memory(&bytes).unwrap();
        picture.save(folder.join(format!("{class}_{stem}.jpg"))).unwrap();
    }
}

#[test]
fn without_data_make_says_how_to_get_it() {
    let nobody = "MIRROR=http://127.0.0.1:1";
    for (pipeline, remedy) in
        [("gtsrb", "GTSRB_Final_Training_Images.zip"), ("folder", "DIR/cat/1.jpg")]
    {
        let place = Place::new();
        let output = place.make(&[&format!("PIPELINE={pipeline}"), nobody]).output().unwrap();
        let (_, stderr) = texts(&output);
        assert!(!output.status.success());
        assert!(stderr.contains(remedy) && stderr.contains("make all PIPELINE="), "{stderr}");
        assert!(!place.run(pipeline).join("images").exists());
    }
}

#[test]
fn the_sample_pipeline_takes_no_pictures() {
    for given in ["DATA=x", "GTSRB=x"] {
        let place = Place::new();
        let output = place.make(&[given]).output().unwrap();
        let (_, stderr) = texts(&output);
        assert!(!output.status.success());
        assert!(stderr.contains("add PIPELINE=folder"), "{stderr}");
        assert!(!place.run("sample").exists());
    }
}

/// Pipelines of real signs that differ in precision alone.
fn precision(name: &str) -> String {
    format!(
        "[backbone]\ntaps = [\"block4:6\", \"block7:6\"]\nprecision = \"{name}\"\n\
         [extract]\nmargin = 0.05\n"
    )
}

#[test]
fn int8_keeps_accuracy_and_its_calibration() {
    let (Some(signs), Some(python)) = (variable("GTSRB_MINI"), variable("ORACLE_PYTHON")) else {
        return;
    };
    if !ready() {
        return;
    }
    let place = Place::new();
    let run_of = |name: &str| {
        let config = place.config(name, &precision(name));
        let arguments = [&format!("PIPELINE={name}"), &config, &format!("GTSRB={signs}")];
        succeed(&mut place.make(&arguments.map(String::as_str)));
        place.run(name)
    };
    let (whole, int8) = (run_of("f32"), run_of("int8"));
    let top1 = |run: &Path| json(&run.join("metrics.json"))["top1"].as_f64().unwrap();
    assert!(top1(&int8) > top1(&whole) - 0.02, "{} after {}", top1(&int8), top1(&whole));
    let oracle = root().join("tests/oracles/backbone_int8.py");
    let (stdout, _) = succeed(Command::new(python).arg(oracle).args([&whole, &int8]));
    let cosines: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let number = |key: &str| cosines[key].as_f64().unwrap();
    assert_eq!(cosines["images"], 860);
    assert!(number("ours") > 0.975 && number("ours_least") > 0.85, "{cosines}");
    assert!(number("ours") > number("onnxruntime") - 0.002, "{cosines}");

    // From the start the same bytes; with other images the calibration that is there.
    let before = snapshot(&int8.join("backbone"));
    std::fs::remove_dir_all(int8.join("backbone")).unwrap();
    run_of("int8");
    assert_eq!(snapshot(&int8.join("backbone")), before);
    let manifest = int8.join("images/manifest.json");
    let ingest = root().join("target/release/gtsrb-ingest");
    let earlier = json(&manifest);
    let sample = place.path().join("runs/sample/data");
    let tool = |name: &str| Command::new(root().join("target/release").join(name));
    let small = place.config("sample", SMALL);
    let small = small.strip_prefix("CONFIG=").unwrap();
    succeed(
        tool("gtsrb-sample")
            .args(["--run".as_ref(), sample.parent().unwrap()])
            .args(["--config", small]),
    );
    succeed(Command::new(ingest).arg("--run").arg(&int8).arg("--source").arg(&sample));
    assert_ne!(json(&manifest), earlier);
    let config = place.path().join("int8.toml");
    succeed(tool("gtsrb-backbone").arg("--run").arg(&int8).arg("--config").arg(&config));
    assert_eq!(snapshot(&int8.join("backbone")), before);
}
