//! Runs and caches in object stores: the same bytes as on a disk, whatever the store does.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use artifact::embeddings::Embedded;
use artifact::images::Split;
use end_to_end::store::{Machine, Server};
use end_to_end::{Place, SMALL, json, ready, snapshot, succeed, texts};

/// The sample pipeline's stages, for those that are run one by one.
const STAGES: [&str; 3] = ["gtsrb-sample", "gtsrb-ingest", "gtsrb-backbone"];

/// What tests without inference draw.
const TINY: &str = "[sample]\ntracks = 1\ntest = 43\n[ingest]\nlayout = \"official\"\n[backbone]\nsize = 64\ntaps = [\"block2:3\"]\n";

fn config(place: &Place, text: &str) -> PathBuf {
    let argument = place.config("sample", text);
    PathBuf::from(argument.strip_prefix("CONFIG=").unwrap())
}

/// Waits until `ready`, at most a minute.
fn wait_until(what: &str, ready: impl Fn() -> bool) {
    for _ in 0..6000 {
        if ready() {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("{what} never came");
}

fn ends_with(code: i32, output: &Output) -> String {
    let (stdout, stderr) = texts(output);
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("topsecret"), "{stderr}");
    stderr
}

/// A whole run by `make` on `machine`, and again on one that has nothing.
fn pipeline(place: &Place, endpoint: &str, text: &str) {
    let local = place.config("sample", text);
    succeed(&mut place.make(&[&local]));
    let expected = snapshot(&place.run("sample"));
    let first = Machine::new(place, "first", endpoint);
    let mut make = place.make(&[&local]);
    first.on_store(&mut make);
    succeed(&mut make);
    assert_eq!(snapshot(&first.mirror()), expected);

    let second = Machine::new(place, "second", endpoint);
    let mut make = place.make(&[&local]);
    second.on_store(&mut make);
    let (_, log) = succeed(&mut make);
    for stage in ["sample", "backbone", "extract", "train", "evaluate"] {
        assert!(log.contains(&format!("{stage}: up to date")), "{stage} worked again: {log}");
    }
    assert_eq!(snapshot(&second.mirror()), expected);

    // A copy that lost a bit is fetched again.
    let copy = second.mirror().join("model/head.safetensors");
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    succeed(&mut second.stage("gtsrb-evaluate", &place.path().join("sample.toml")));
    assert_eq!(snapshot(&second.mirror()), expected);
}

#[test]
fn a_store_that_fails_holds_the_same_bytes() {
    let place = Place::new();
    if !ready() {
        return;
    }
    if let Some(server) = Server::faulty(&place, 5, 0.05, 1) {
        pipeline(&place, &server.endpoint, SMALL);
    }
}

#[test]
fn moto_agrees() {
    if !ready() {
        return;
    }
    if let Some(server) = Server::moto() {
        // A part of the cache is sent in pieces.
        let large = SMALL.replace("\"block2:3\"", "\"block2:8\"");
        let large = format!("{large}[extract]\nstorage = \"f32\"\n");
        pipeline(&Place::new(), &server.endpoint, &large);
    }
}

/// The index of a run, and its embeddings in the order of their rows.
fn embedded(run: &Path, cache: &Path) -> (Vec<artifact::embeddings::Row>, Vec<f32>) {
    let embedded = Embedded::open(run).unwrap();
    let rows: Vec<_> = Split::ALL.iter().flat_map(|s| embedded.rows(*s).unwrap()).collect();
    let values = embedded.matrix(cache, &rows).unwrap().into_iter().collect();
    (rows, values)
}

#[test]
fn workers_that_die_end_in_the_unsharded_bytes() {
    const WORKERS: usize = 8;
    const KILLED: usize = 3;
    let place = Place::new();
    if !ready() {
        return;
    }
    let Some(server) = Server::faulty(&place, 20, 0.02, 2) else { return };
    let config = config(&place, SMALL);
    succeed(&mut place.make(&[&format!("CONFIG={}", config.display())]));
    let first = Machine::new(&place, "first", &server.endpoint);
    for stage in STAGES {
        let mut command = first.stage(stage, &config);
        if stage == "gtsrb-ingest" {
            command.args(["--source", "s3://bucket/runs/sample/data"]);
        }
        succeed(&mut command);
    }

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = u64::from(now.subsec_nanos());
    println!("the moments of dying are drawn from {seed}");
    let machines: Vec<_> = (1..=WORKERS)
        .map(|worker| Machine::new(&place, &format!("worker {worker}"), &server.endpoint))
        .collect();
    let work = |worker: usize| {
        let mut command = machines[worker].stage("gtsrb-extract", &config);
        command.args(["--threads", "1", "--shard", &format!("{}/{WORKERS}", worker + 1)]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut running: Vec<_> = (0..WORKERS).map(|worker| work(worker).spawn().unwrap()).collect();
    for (order, worker) in [1, 4, 6].into_iter().enumerate().take(KILLED) {
        let milliseconds = seed.rotate_left(7 * order as u32) % 1500;
        sleep(Duration::from_millis(milliseconds));
        running[worker].kill().unwrap();
        running[worker].wait().unwrap();
        running[worker] = work(worker).spawn().unwrap();
    }
    for mut worker in running {
        assert!(worker.wait().unwrap().success());
    }
    let last = Machine::new(&place, "last", &server.endpoint);
    let merge = ["merge", "--shards", "8", "--config"];
    succeed(last.command("gtsrb-extract", &merge).arg(&config));

    let files = |run: &Path| snapshot(&run.join("embeddings"));
    assert_eq!(files(&last.mirror()), files(&place.run("sample")));
    // Training fetches the parts.
    succeed(&mut last.stage("gtsrb-train", &config));
    let cache = last.mirror().ancestors().nth(2).unwrap().join("embeddings");
    let local = place.path().join("cache/embeddings");
    assert_eq!(embedded(&last.mirror(), &cache), embedded(&place.run("sample"), &local));
    assert_eq!(
        snapshot(&last.mirror().join("model")),
        snapshot(&place.run("sample").join("model"))
    );
}

#[test]
fn models_are_published_in_a_store_and_embeddings_taken_from_it() {
    let place = Place::new();
    if !ready() {
        return;
    }
    let Some(server) = Server::faulty(&place, 5, 0.02, 6) else { return };
    let text = config(&place, SMALL);
    let argument = format!("CONFIG={}", text.display());
    succeed(&mut place.make(&[&argument]));
    let first = Machine::new(&place, "first", &server.endpoint);
    let mut make = place.make(&[&argument]);
    first.on_store(&mut make);
    succeed(&mut make);

    publish_and_predict(&place, &text, &server);
    take_embeddings(&place, &text, &server);
}

/// Publishes on one machine and predicts on another.
fn publish_and_predict(place: &Place, config: &Path, server: &Server) {
    let publish = |machine: &str, flags: &[&str]| {
        let machine = Machine::new(place, machine, &server.endpoint);
        let mut publish = machine.command("gtsrb-evaluate", &["publish", "--config"]);
        publish.arg(config).args(["--to", "s3://bucket/models", "--skip-code"]).args(flags);
        publish.output().unwrap()
    };
    let current = server.path("models/current/manifest.json");
    ends_with(65, &publish("second", &["--at-least", "1"]));
    ends_with(0, &publish("second", &["--dry-run"]));
    assert!(!current.exists());
    ends_with(0, &publish("second", &[]));
    let published = std::fs::read(&current).unwrap();
    // Where it isn't known, too.
    ends_with(99, &publish("third", &[]));
    ends_with(65, &publish("third", &["--at-least", "1"]));
    assert_eq!(std::fs::read(&current).unwrap(), published);

    let run = place.run("sample");
    let picture = run.join("data/GTSRB/Final_Test/Images/00000.ppm");
    let predict = |command: &mut Command, run: &str| {
        succeed(command.args(["--json", "--run", run]).arg(&picture)).0
    };
    let fourth = Machine::new(place, "fourth", &server.endpoint);
    let there = predict(&mut fourth.command("gtsrb-predict", &[]), "s3://bucket/models/current");
    let here = predict(&mut fourth.command("gtsrb-predict", &[]), run.to_str().unwrap());
    assert_eq!(there, here);
}

/// Writes a local run's index from embeddings in the store.
fn take_embeddings(place: &Place, config: &Path, server: &Server) {
    let machine = Machine::new(place, "fifth", &server.endpoint);
    let (run, local) = (place.run("sample"), place.path().join("taken"));
    let expected = snapshot(&run.join("embeddings"));
    std::fs::remove_dir_all(run.join("embeddings")).unwrap();
    let mut merge = machine.command("gtsrb-extract", &["merge", "--from", "s3://bucket"]);
    merge.arg("--config").arg(config).arg("--run").arg(&run).env("EMBEDDINGS_DIR", &local);
    succeed(&mut merge);
    assert_eq!(snapshot(&run.join("embeddings")), expected);

    // Which runs refer to what a local cache holds is known of those in the store, too.
    let mut list = machine.command("gtsrb-extract", &["cache", "ls"]);
    let (list, _) = succeed(list.env("EMBEDDINGS_DIR", &local));
    assert!(list.contains("s3/bucket/runs/sample"), "{list}");
    let message =
        ends_with(64, &machine.command("gtsrb-extract", &["cache", "gc"]).output().unwrap());
    assert!(message.contains("EMBEDDINGS_DIR"), "{message}");
}

#[test]
fn of_two_machines_that_write_one_wins() {
    let place = Place::new();
    let Some(server) = Server::faulty(&place, 300, 0.0, 3) else { return };
    let config = config(&place, TINY);
    let machine = Machine::new(&place, "first", &server.endpoint);
    let mut sample = machine.stage("gtsrb-sample", &config);
    let sample = sample.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let data = server.path("runs/sample/data");
    wait_until("an object", || data.exists());
    // Another machine is faster.
    std::fs::write(data.join("manifest.json"), "another's").unwrap();
    let message = ends_with(75, &sample.wait_with_output().unwrap());
    assert!(
        message.contains("s3://bucket/runs/sample/data/manifest.json was written"),
        "{message}"
    );
    assert_eq!(std::fs::read_to_string(data.join("manifest.json")).unwrap(), "another's");
    assert!(!machine.mirror().join("data/manifest.json").exists());
}

#[test]
fn an_upload_that_is_killed_leaves_what_was_there() {
    let place = Place::new();
    let Some(server) = Server::faulty(&place, 100, 0.0, 4) else { return };
    let config = config(&place, TINY);
    let machine = Machine::new(&place, "first", &server.endpoint);
    succeed(&mut machine.stage("gtsrb-sample", &config));
    let manifest = server.path("runs/sample/data/manifest.json");
    let before = std::fs::read(&manifest).unwrap();
    let objects = || {
        let found = Command::new("find").arg(&server.folder).args(["-type", "f"]).output().unwrap();
        texts(&found).0.lines().count()
    };
    for signal in ["KILL", "TERM"] {
        let there = objects();
        let mut again = machine.stage("gtsrb-sample", &config);
        again.args(["--seed", if signal == "KILL" { "2" } else { "3" }]);
        let mut again = again.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_until("an upload", || objects() > there);
        succeed(Command::new("kill").args(["-s", signal, &again.id().to_string()]));
        let code = again.wait().unwrap().code();
        assert_eq!(code, if signal == "KILL" { None } else { Some(143) });
        assert_eq!(std::fs::read(&manifest).unwrap(), before);
    }
    succeed(&mut machine.stage("gtsrb-sample", &config));
    succeed(machine.stage("gtsrb-sample", &config).args(["--seed", "2"]));
    let seed = &json(&manifest)["work"]["parameters"]["seed"];
    assert_eq!(seed.as_u64(), Some(2));
}

#[test]
fn a_store_that_is_away_ends_a_stage_with_the_right_code() {
    let place = Place::new();
    let config = config(&place, TINY);
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let machine = Machine::new(&place, "first", &endpoint);
    let mut sample = machine.stage("gtsrb-sample", &config);
    let message = ends_with(69, &sample.args(["--store-timeout", "1"]).output().unwrap());
    assert!(message.contains("s3://bucket/runs/sample/data/manifest.json"), "{message}");

    let mut sample = machine.stage("gtsrb-sample", &config);
    sample.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    sample.env("AWS_METADATA_ENDPOINT", &endpoint);
    let message = ends_with(78, &sample.output().unwrap());
    assert!(message.contains("AWS_ACCESS_KEY_ID"), "{message}");

    let mut url = machine.stage("gtsrb-sample", &config);
    ends_with(64, &url.args(["--run", "s3://key:topsecret@bucket/x"]).output().unwrap());
}

#[test]
fn a_wrong_secret_is_named_and_not_told() {
    let place = Place::new();
    let Some(server) = Server::faulty(&place, 0, 0.0, 5) else { return };
    let config = config(&place, TINY);
    let machine = Machine::new(&place, "first", &server.endpoint);
    let mut sample = machine.stage("gtsrb-sample", &config);
    let denied = sample.env("AWS_SECRET_ACCESS_KEY", "topsecret").output().unwrap();
    let message = ends_with(78, &denied);
    assert!(message.contains("access denied"), "{message}");
    let found = Command::new("grep").args(["-rl", "topsecret"]).arg(place.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
