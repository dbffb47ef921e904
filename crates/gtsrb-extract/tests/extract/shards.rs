//! Several processes on one run or one cache: shares, merge, and who waits for whom.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::run::{Run, damage, images, runtime, stderr};

const SHARES: [&str; 3] = ["1/3", "2/3", "3/3"];

fn codes(processes: impl IntoIterator<Item = Child>) -> Vec<Option<i32>> {
    let ended = processes.into_iter().map(|process| process.wait_with_output().unwrap());
    ended.map(|output| output.status.code()).collect()
}

#[test]
fn shares_at_once_and_merged_equal_the_whole() {
    if !runtime() {
        return;
    }
    let whole = Run::new(&images(0..300));
    whole.extract(&[]);
    let run = Run::new(&images(0..300));
    let processes = SHARES.map(|share| run.command(&["--shard", share]).spawn().unwrap());
    assert_eq!(codes(processes), [Some(0); 3]);
    assert!(!run.dir().join("embeddings").exists());
    let merged = run.extract(&["merge", "--shards", "3"]);
    assert_eq!((&merged["state"], &merged["summary"]["misses"]), (&"done".into(), &0.into()));
    assert_eq!(run.index(), whole.index());
    assert_eq!(run.embeddings(), whole.embeddings());
    assert_eq!(run.extract(&["merge"])["state"], "current");
    assert_eq!(run.extract(&[])["state"], "current");
    assert_eq!(run.extract(&["--shard", "2/3"])["state"], "current");
}

#[test]
fn merge_says_which_share_is_missing_and_computes_nothing() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..60));
    let first = run.extract(&["--shard", "1/3"]);
    let count = first["summary"]["misses"].as_u64().unwrap();
    assert!(count > 0 && count < 60 && first["summary"]["images"] == count, "{first}");
    run.extract(&["--shard", "3/3"]);
    let message = run.fails(66, &["merge", "--shards", "3"]);
    assert!(message.contains("of shard 2/3") && !message.contains("1/3"), "{message}");
    assert!(!run.dir().join("embeddings/manifest.json").exists());
    assert_eq!(run.extract(&[])["state"], "done");
    assert!(run.fails(64, &["--shard", "4/3"]).contains("I/N"));
}

#[test]
fn merge_takes_over_what_other_caches_hold() {
    if !runtime() {
        return;
    }
    let whole = Run::new(&images(0..90));
    whole.extract(&[]);
    let run = Run::new(&images(0..90));
    let caches = SHARES.map(|share| run.path().join(share.replace('/', "-")));
    for (share, cache) in SHARES.iter().zip(&caches) {
        let done = run.command(&["--shard", share]).env("CACHE_DIR", cache).output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
    }
    let mut merge = vec!["merge", "--shards", "3"];
    merge.extend(caches.iter().flat_map(|cache| ["--from", cache.to_str().unwrap()]));
    // What is damaged elsewhere isn't taken over; the share can be computed again.
    damage(&part_of(&caches[1]));
    let message = run.fails(66, &merge);
    assert!(message.contains("not taken over") && message.contains("shard 2/3"), "{message}");
    run.extract(&["--shard", "2/3"]);
    run.extract(&merge);
    assert_eq!(run.index(), whole.index());
    assert_eq!(run.embeddings(), whole.embeddings());
    assert!(run.fails(66, &["merge", "--from", "/nowhere", "--margin", "0.5"]).contains("nowhere"));
}

fn part_of(cache: &Path) -> std::path::PathBuf {
    let view = std::fs::read_dir(cache.join("embeddings")).unwrap().next().unwrap().unwrap();
    let files = std::fs::read_dir(view.path()).unwrap().map(|file| file.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|e| e == "parquet")).unwrap()
}

#[test]
fn killed_anywhere_and_started_again_equals_the_whole() {
    if !runtime() {
        return;
    }
    let whole = Run::new(&images(0..400));
    whole.extract(&[]);
    let run = Run::new(&images(0..400));
    for step in 1..=6_u64 {
        let shard = format!("{}/2", 1 + step % 2);
        let args: &[&str] = if step % 3 == 0 { &[] } else { &["--shard", &shard] };
        let mut process = run.command(args).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(25 * step));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    run.extract(&["--shard", "1/2"]);
    run.extract(&[]);
    assert_eq!(run.index(), whole.index());
    assert_eq!(run.embeddings(), whole.embeddings());
    let view = run.parts()[0].parent().unwrap().to_owned();
    let names = std::fs::read_dir(view).unwrap().map(|e| e.unwrap().file_name());
    let left: Vec<_> = names.filter(|n| n.to_string_lossy().starts_with(".tmp-")).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
}

#[test]
fn two_runs_share_a_cache() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..200));
    let other = Run::new(&images(100..300));
    let second = |args: &[&str]| {
        let mut command = other.command(args);
        command.env("CACHE_DIR", run.cache().parent().unwrap());
        command
    };
    let ended = codes([run.command(&[]).spawn().unwrap(), second(&[]).spawn().unwrap()]);
    assert!(ended.contains(&Some(0)), "{ended:?}");
    assert!(ended.iter().all(|code| [Some(0), Some(75)].contains(code)), "{ended:?}");
    run.extract(&[]);
    assert!(second(&[]).status().unwrap().success());
    let alone = Run::new(&images(100..300));
    alone.extract(&[]);
    assert_eq!(other.index(), alone.index());
}

#[test]
fn images_without_recorded_keys_give_the_same() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..50));
    run.extract(&[]);
    let mut old = Run::new(&images(0..50));
    old.indexed = false;
    old.write_images(&images(0..50));
    old.extract(&[]);
    assert_eq!(run.index()[..2], old.index()[..2]);
    assert_eq!(run.embeddings(), old.embeddings());
}

#[cfg(unix)]
#[test]
fn nothing_is_for_everybody_to_write() {
    use std::os::unix::fs::PermissionsExt as _;
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    let careless = run.under(&["sh", "-c", "umask 000; exec \"$@\"", "sh"]).output().unwrap();
    assert!(careless.status.success());
    let mut folders = vec![run.cache(), run.dir().join("embeddings")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o002, 0, "{}", entry.path().display());
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
}
