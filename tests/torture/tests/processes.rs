//! Processes that meet, stop, lose their output or have an odd environment.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use torture::{Ground, run, strace_works, under, works};

#[test]
fn the_same_command_twice_at_once() {
    let ground = Ground::new();
    run(&mut ground.ingest("golden")).well();
    let golden = ground.images("golden");
    for round in 0..20 {
        let name = format!("run{round}");
        let both = [(), ()].map(|()| {
            ground.ingest(&name).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let codes = both.map(|child| {
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() || stderr.contains("is held by"), "{stderr}");
            output.status.code()
        });
        assert!(codes.contains(&Some(0)), "{codes:?}");
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 75))), "{codes:?}");
        assert!(ground.images(&name) == golden);
    }
}

#[test]
fn whatever_a_lock_file_holds() {
    let ground = Ground::new();
    let lock = ground.path("run/images/.lock");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    // Names of the living and of the dead: the truth is the operating system's lock.
    for text in ["", "garbage \u{1}", "process 1", &format!("process {}", std::process::id())] {
        fs::write(&lock, text).unwrap();
        run(&mut ground.ingest("run")).well();
    }
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    ground.picture("cat/more.ppm", 99);
    run(&mut ground.ingest("run")).badly(&[73], ".lock");
}

/// Starts an ingestion that takes its time for every file that it syncs.
fn slow(ground: &Ground) -> std::process::Child {
    let inject = "inject=fsync:delay_enter=300ms";
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject];
    let mut command = under(&words, &ground.ingest("run"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn until(done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_mins(1), "it never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_try_while_the_first_one_sleeps() {
    if !strace_works() {
        return;
    }
    let ground = Ground::new();
    run(&mut ground.ingest("golden")).well();
    let mut first = slow(&ground);
    until(|| fs::read_to_string(ground.path("run/images/.lock")).is_ok_and(|l| !l.is_empty()));
    let tracer = first.id().to_string();
    let kill = |signal: &str| {
        let stage = format!("pkill {signal} -P {tracer}");
        Command::new("sh").args(["-c", &stage]).status().unwrap();
    };
    for _ in 0..2 {
        kill("-STOP");
        run(&mut ground.ingest("run")).badly(&[75], "is held by another process (process ");
        kill("-CONT");
    }
    assert!(first.wait().unwrap().success());
    assert!(ground.images("run") == ground.images("golden"));
}

#[test]
fn a_lock_that_somebody_removes() {
    if !strace_works() {
        return;
    }
    let ground = Ground::new();
    let lock = ground.path("run/images/.lock");
    let mut first = slow(&ground);
    until(|| fs::read_to_string(&lock).is_ok_and(|text| !text.is_empty()));
    fs::remove_file(&lock).unwrap();
    let second = run(&mut ground.ingest("run"));
    let first = first.wait().unwrap().code();
    let codes = [first, second.code];
    assert!(codes.contains(&Some(0)), "{codes:?}: {second:?}");
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 74 | 75))), "{codes:?}");
    run(&mut ground.ingest("golden")).well();
    ground.recovers("run", &ground.images("golden"));
}

#[test]
fn nobody_reads_what_is_said() {
    let ground = Ground::new();
    let golden = {
        run(&mut ground.ingest("golden")).well();
        ground.images("golden")
    };
    for (number, (redirected, codes)) in [
        (">&-", &[0][..]),
        ("2>&-", &[0]),
        (">&- 2>&-", &[0]),
        ("2>/dev/full", &[0]),
        (">/dev/full", &[74]),
        ("| true", &[0]),
        ("2>&1 | true", &[0]),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("run{number}");
        let script = format!("set -o pipefail; \"$@\" {redirected}");
        let mut shell = under(&["bash", "-c", &script, "bash"], &ground.ingest(&name));
        let ended = run(&mut shell);
        assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{redirected}: {ended:?}");
        // What was made is whole, whoever was told.
        assert!(ground.images(&name) == golden, "{redirected}");
    }
}

#[test]
fn the_environment_of_cron() {
    let ground = Ground::new();
    run(&mut ground.ingest("golden")).well();
    let nothing = ground.path("nothing");
    fs::create_dir(&nothing).unwrap();
    for mask in ["000", "077"] {
        let name = format!("run{mask}");
        let script = format!("umask {mask}; cd /; exec \"$@\" <&-");
        let words = ["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", &script, "sh"];
        run(&mut under(&words, &ground.ingest(&name))).well();
        assert!(ground.images(&name) == ground.images("golden"));
        everything(&ground.path(&name), &|path| {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o002, 0, "{} is for everybody to write", path.display());
        });
    }
    // Nothing is taken from the folder that it happens to be started in.
    fs::write(nothing.join("libonnxruntime.so"), "no library").unwrap();
    let mut extract = ground.stage("extract", "golden");
    let ended = run(extract.current_dir(&nothing));
    assert!(ended.code.is_some_and(|code| [66, 69].contains(&code)), "{ended:?}");
}

fn everything(dir: &Path, look: &dyn Fn(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        look(&path);
        if path.is_dir() {
            everything(&path, look);
        }
    }
}

#[test]
fn other_threads_places_languages_and_clocks_give_the_same_bytes() {
    let ground = Ground::new();
    run(&mut ground.ingest("golden")).well();
    let golden = ground.images("golden");
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("1", &[("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Pacific/Apia")]),
        ("2", &[("LC_ALL", "de_DE.UTF-8"), ("HOME", "/nowhere")]),
        ("2", &[("LC_ALL", "C"), ("TZ", ":garbage")]),
        ("64", &[("OMP_NUM_THREADS", "abc"), ("RAYON_NUM_THREADS", "abc")]),
        ("3", &[("RUST_LOG", "trace"), ("COLUMNS", "1"), ("NO_COLOR", "1")]),
    ];
    for (number, (threads, variables)) in cases.iter().enumerate() {
        let name = format!("run{number}");
        let mut command = ground.stage("ingest", &name);
        command.arg("--source").arg(ground.path("source")).args(["--threads", threads]);
        command.envs(variables.iter().copied()).current_dir("/");
        run(&mut command).well();
        assert!(ground.images(&name) == golden, "{variables:?}");
    }
    if works(&["taskset", "-c", "0"]) {
        run(&mut under(&["taskset", "-c", "0"], &ground.ingest("pinned"))).well();
        assert!(ground.images("pinned") == golden);
    }
}

#[test]
fn the_second_signal_ends_it_at_once() {
    if !strace_works() {
        return;
    }
    let ground = Ground::new();
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let mut first = slow(&ground);
        until(|| fs::read_to_string(ground.path("run/images/.lock")).is_ok_and(|l| !l.is_empty()));
        let kill = format!("pkill {signal} -P {0}; sleep 0.1; pkill {signal} -P {0}", first.id());
        Command::new("sh").args(["-c", &kill]).status().unwrap();
        let started = Instant::now();
        let status = first.wait().unwrap();
        assert!(started.elapsed() < Duration::from_secs(5), "it didn't listen");
        let ended = status.code().or(status.signal().map(|signal| 128 + signal));
        assert_eq!(ended, Some(code));
        assert!(!ground.images("run").contains_key("manifest.json"));
    }
    run(&mut ground.ingest("golden")).well();
    ground.recovers("run", &ground.images("golden"));
}
