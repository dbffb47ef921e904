//! Crashes, failing system calls and disks: what has a name is whole, and the next run mends.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use torture::{Ground, disks_work, files, leftovers, run, strace_works, under, works};

/// More faults of a kind than any run has chances for.
const ENOUGH: usize = 200;

/// `command` with one system call of `kind` failing as `fault` says, the `nth` of its thread.
fn failing(command: &Command, kind: &str, fault: &str, nth: usize) -> Command {
    let inject = format!("inject={kind}:{fault}:when={nth}");
    under(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject], command)
}

/// Either nothing counts as made, or everything is as it was, or as it should be.
fn old_or_new(
    found: &BTreeMap<String, Vec<u8>>,
    old: &BTreeMap<String, Vec<u8>>,
    new: &BTreeMap<String, Vec<u8>>,
) {
    let counts = found.contains_key("manifest.json");
    assert!(!counts || found == old || found == new, "half an artifact: {:?}", found.keys());
}

/// A ground with an earlier artifact in `run`, that one, and the one that should follow.
type Prepared = (Ground, BTreeMap<String, Vec<u8>>, BTreeMap<String, Vec<u8>>);

fn prepared() -> Prepared {
    let ground = Ground::new();
    run(&mut ground.ingest("run")).well();
    let old = ground.images("run");
    ground.picture("cat/more.ppm", 99);
    run(&mut ground.ingest("golden")).well();
    let new = ground.images("golden");
    assert_ne!(old, new);
    (ground, old, new)
}

fn back_to(ground: &Ground, old: &BTreeMap<String, Vec<u8>>) {
    let images = ground.path("run/images");
    fs::remove_dir_all(&images).unwrap();
    fs::create_dir_all(&images).unwrap();
    for (name, bytes) in old {
        fs::write(images.join(name), bytes).unwrap();
    }
}

#[test]
fn killed_at_every_step_of_the_commit() {
    if !strace_works() {
        return;
    }
    let (ground, old, new) = prepared();
    for kind in ["/^rename", "fsync", "/^unlink"] {
        let killed = (1..ENOUGH).find(|&nth| {
            back_to(&ground, &old);
            let code = run(&mut failing(&ground.ingest("run"), kind, "signal=SIGKILL", nth)).code;
            old_or_new(&ground.images("run"), &old, &new);
            ground.recovers("run", &new);
            code == Some(0)
        });
        assert!(killed.is_some_and(|clean| clean > 1), "{kind} was never hit");
    }
}

#[test]
fn every_system_call_of_the_commit_fails_once() {
    if !strace_works() {
        return;
    }
    let (ground, old, new) = prepared();
    for (kind, error, codes) in [
        ("/^rename", "EIO", [73, 74]),
        ("/^rename", "EACCES", [73, 73]),
        ("fsync", "EIO", [74, 74]),
        ("ftruncate", "EIO", [74, 73]),
    ] {
        for nth in 1..ENOUGH {
            back_to(&ground, &old);
            let fault = format!("error={error}");
            let ended = run(&mut failing(&ground.ingest("run"), kind, &fault, nth));
            old_or_new(&ground.images("run"), &old, &new);
            if ended.code == Some(0) {
                assert!(nth > 1 || kind == "ftruncate", "{kind} was never hit");
                break;
            }
            ended.badly(&codes, "cannot write");
            assert!(leftovers(&ground.path("run/images")).is_empty(), "{kind} {nth}");
            ground.recovers("run", &new);
        }
    }
}

/// A line of a trace: what happened to which file.
fn order(trace: &str, needle: &str) -> Vec<usize> {
    let lines = trace.lines().enumerate();
    lines.filter(|(_, line)| line.contains(needle)).map(|(number, _)| number).collect()
}

#[test]
fn what_gets_its_name_is_on_disk_before() {
    if !strace_works() {
        return;
    }
    let ground = Ground::new();
    let trace = ground.path("trace");
    let calls = "trace=write,pwrite64,fsync,fdatasync,/^rename";
    let words = ["strace", "-f", "-y", "-qq", "-o", trace.to_str().unwrap(), "-e", calls];
    run(&mut under(&words, &ground.ingest("run"))).well();
    let trace = fs::read_to_string(&trace).unwrap();
    let folder = ground.path("run/images").display().to_string();
    let renames: Vec<_> = order(&trace, "rename")
        .into_iter()
        .filter(|&n| line(&trace, n).contains(&folder))
        .collect();
    assert_eq!(renames.len(), 6, "{trace}");
    for &rename in &renames {
        let temporary = line(&trace, rename).split('"').nth(1).unwrap();
        let of_it = |call: &str| -> Vec<usize> {
            let calls = order(&trace, temporary).into_iter();
            calls.filter(|&n| line(&trace, n).contains(call)).collect()
        };
        let (written, synced) = (of_it("write"), of_it("sync("));
        let last = *written.last().unwrap();
        assert!(synced.iter().any(|&n| last < n && n < rename), "{temporary} was not synced");
    }
    let last = *renames.last().unwrap();
    let folders = order(&trace, &format!("{folder}>)")).into_iter();
    let mut synced = folders.filter(|&n| line(&trace, n).contains("sync("));
    assert!(synced.any(|n| n > last), "the folder was not synced after the manifest:\n{trace}");
}

fn line(text: &str, number: usize) -> &str {
    text.lines().nth(number).unwrap()
}

#[test]
fn a_manifest_of_anything_is_made_anew() {
    let ground = Ground::new();
    run(&mut ground.ingest("run")).well();
    let golden = ground.images("run");
    let manifest = ground.path("run/images/manifest.json");
    let deep = "[".repeat(1_000_000);
    for text in ["", "{}", "null", &deep, "{\"format\":1}", "\u{0}\u{0}\u{0}"] {
        fs::write(&manifest, text).unwrap();
        fs::remove_file(ground.path("run/images/source.stat")).ok();
        let mut again = ground.ingest("run");
        assert_eq!(run(again.arg("--skip-code")).code, Some(0), "{text:.20}");
        assert!(ground.images("run") == golden);
    }
    // As an input it is an error that says what to do.
    for text in ["", "{}", &deep] {
        fs::write(&manifest, text).unwrap();
        let ended = run(&mut ground.stage("extract", "run"));
        ended.badly(&[65, 66], "again");
    }
}

#[test]
fn only_temporary_files_of_ours_are_swept() {
    let ground = Ground::new();
    let images = ground.path("run/images");
    fs::create_dir_all(&images).unwrap();
    for number in 0..1000 {
        fs::write(images.join(format!(".tmp-{number:016x}-old.parquet")), "x").unwrap();
    }
    for foreign in ["foo.tmp", ".hidden", "tmp-1"] {
        fs::write(images.join(foreign), "mine").unwrap();
    }
    run(&mut ground.ingest("run")).well();
    assert!(leftovers(&images).is_empty());
    for foreign in ["foo.tmp", ".hidden", "tmp-1"] {
        assert_eq!(fs::read(images.join(foreign)).unwrap(), b"mine");
    }
}

/// Runs `script` with a disk of its own, made with `options`, at `$D`; `"$@"` is `command`.
fn with_disk(options: &str, script: &str, ground: &Ground, command: &Command) -> torture::Ended {
    let dir = ground.path("run");
    fs::create_dir_all(&dir).unwrap();
    let script = format!("mount -t tmpfs -o {options} none \"$D\" && {{ {script}; }}");
    let mut outer = under(&["unshare", "-m", "sh", "-c", &script, "sh"], command);
    run(outer.env("D", &dir))
}

#[test]
fn a_full_disk() {
    if !disks_work() {
        return;
    }
    let ground = Ground::new();
    for number in 100..300 {
        ground.picture(&format!("cat/{number}.ppm"), number);
    }
    run(&mut ground.ingest("golden")).well();
    let golden = ground.images("golden");
    let need: usize = golden.values().map(Vec::len).sum();
    let rest = "\"$@\"; echo code $?; ls -A \"$D/images\" | grep '^.tmp-'; \
                mount -o remount,size=64m,nr_inodes=1000 \"$D\"; \
                \"$@\" 2>/dev/null && cp -r \"$D/images\" \"$D.kept\"";
    let mut full = 0;
    for step in 0..20 {
        let size = 4096 + need * (step * 5 + 1) / 100;
        let ended = with_disk(&format!("size={size}"), rest, &ground, &ground.ingest("run"));
        if ended.stdout.contains("code 74") || ended.stdout.contains("code 73") {
            full += 1;
            assert!(ended.stderr.contains("free some space"), "{ended:?}");
        }
        assert!(!ended.stdout.contains(".tmp-"), "{ended:?}");
        assert!(files(&ground.path("run.kept")) == golden, "{ended:?}");
        fs::remove_dir_all(ground.path("run.kept")).unwrap();
    }
    assert!(full > 10, "the disk was full {full} times only");
    let ended = with_disk("nr_inodes=6", rest, &ground, &ground.ingest("run"));
    assert!(ended.stdout.contains("code 7") && files(&ground.path("run.kept")) == golden);
}

#[test]
fn a_disk_that_is_read_only() {
    if !disks_work() {
        return;
    }
    let ground = Ground::new();
    let script = "mkdir \"$D/images\"; mount -o remount,ro \"$D\"; \"$@\"";
    let ended = with_disk("size=9m", script, &ground, &ground.ingest("run"));
    ended.badly(&[73], "make it writable");
    fs::write(ground.path("file"), "x").unwrap();
    run(&mut ground.ingest("file")).badly(&[73], "file");
    run(&mut ground.ingest("file/below")).badly(&[73], "file");
}

#[test]
fn another_disk_and_another_temporary_folder() {
    if !disks_work() {
        return;
    }
    let ground = Ground::new();
    run(&mut ground.ingest("golden")).well();
    let mut ingest = ground.ingest("run");
    ingest.env("TMPDIR", "/nowhere");
    let kept = "\"$@\" && cp -r \"$D/images\" \"$D.kept\"";
    with_disk("size=9m", kept, &ground, &ingest).well();
    assert!(files(&ground.path("run.kept")) == ground.images("golden"));
    // A link to a folder elsewhere is followed.
    fs::create_dir(ground.path("elsewhere")).unwrap();
    symlink(ground.path("elsewhere"), ground.path("linked")).unwrap();
    run(&mut ground.ingest("linked")).well();
    assert!(files(&ground.path("elsewhere/images")) == ground.images("golden"));
}

#[test]
fn a_bad_sector_in_an_input() {
    if !strace_works() {
        return;
    }
    let ground = Ground::new();
    let bad = ground.path("source/dog/3.ppm").display().to_string();
    let inject = "inject=read,pread64:error=EIO";
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", &bad, "-e", inject];
    run(&mut under(&words, &ground.ingest("run"))).badly(&[74], "dog/3.ppm");
    assert!(ground.images("run").is_empty());
    run(&mut ground.ingest("run")).well();
}

#[test]
fn a_file_system_without_locks() {
    if !strace_works() {
        return;
    }
    let ground = Ground::new();
    let locks = failing(&ground.ingest("run"), "flock", "error=ENOLCK", 1);
    run(&mut { locks }).badly(&[78], "file system without locks");
    let stale = ground.path("source/cat/2.ppm").display().to_string();
    let inject = "inject=read,pread64:error=ESTALE";
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", &stale, "-e", inject];
    run(&mut under(&words, &ground.ingest("run"))).badly(&[74], "cat/2.ppm");
    run(&mut ground.ingest("run")).well();
}

#[test]
fn an_input_that_shrinks_while_it_is_read() {
    if !strace_works() {
        return;
    }
    let ground = Ground::new();
    let path = ground.path("source/dog/3.ppm");
    let whole = fs::read(&path).unwrap();
    let inject = "inject=read,pread64:delay_enter=1s:when=1";
    let place = path.display().to_string();
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", &place, "-e", inject];
    let mut ingest = under(&words, &ground.ingest("run"));
    let child = ingest.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(600));
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Where the machine is slow it was cut before anybody looked, and is a wrong picture.
    assert!(matches!(output.status.code(), Some(75 | 65)), "{stderr}");
    assert!(stderr.contains("dog/3.ppm"), "{stderr}");
    assert!(ground.images("run").is_empty());
}

#[test]
fn few_file_handles_and_small_files() {
    if !works(&["prlimit", "--nofile=32"]) {
        return;
    }
    let ground = Ground::new();
    run(&mut ground.ingest("golden")).well();
    run(&mut under(&["prlimit", "--nofile=32"], &ground.ingest("run"))).well();
    assert!(ground.images("run") == ground.images("golden"));
    let ended = run(&mut under(&["prlimit", "--fsize=2000"], &ground.ingest("small")));
    ended.badly(&[74], "ulimit");
    assert!(
        ground.images("small").is_empty() && leftovers(&ground.path("small/images")).is_empty()
    );
}

/// Another user than root, whom rights and limits mean something to.
const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

#[test]
fn few_processes() {
    let few = [&NOBODY[..], &["prlimit", "--nproc=1"]].concat();
    if !works(&few) {
        return;
    }
    let ground = Ground::new();
    run(&mut ground.ingest("golden")).well();
    fs::set_permissions(ground.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let ended = run(&mut under(&few, &ground.ingest("run")));
    if ended.stderr.starts_with("setpriv") || ended.stderr.starts_with("prlimit") {
        println!("skipped: another user can't run the programs here");
        return;
    }
    ended.badly(&[74], "--threads");
    assert!(ground.images("run").is_empty());
    ground.recovers("run", &ground.images("golden"));
}

#[test]
fn without_rights_nothing_is_written() {
    if !works(&NOBODY) {
        return;
    }
    let ground = Ground::new();
    fs::set_permissions(ground.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    run(&mut ground.ingest("run")).well();
    let before = ground.images("run");
    ground.picture("cat/more.ppm", 99);
    let ended = run(&mut under(&NOBODY, &ground.ingest("run")));
    // Where the programs themselves can't be reached, there is nothing to try.
    if ended.stderr.starts_with("setpriv") {
        println!("skipped: another user can't run the programs here");
        return;
    }
    ended.badly(&[73], "make it writable");
    assert!(ground.images("run") == before);
}
