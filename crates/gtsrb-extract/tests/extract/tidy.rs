//! `gtsrb-extract cache`: seen, checked, made smaller, and nothing lost.

use std::time::{Duration, SystemTime};

use artifact::embeddings::Cache;
use serde_json::Value;

use crate::run::{Run, damage, images, runtime};

fn cache(run: &Run, args: &[&str]) -> Value {
    let runs = run.dir().parent().unwrap().display().to_string();
    let lists = ["ls", "gc"].contains(&args[0]);
    let more: &[&str] = if lists { &["--runs", &runs] } else { &[] };
    run.extract(&[&["cache"], args, more].concat())
}

/// Makes the view of a run look unused for 40 days.
fn age(run: &Run, view: &str) {
    let marker = run.cache().join(view).join(".used");
    let past = SystemTime::now() - Duration::from_hours(40 * 24);
    std::fs::File::options().write(true).open(marker).unwrap().set_modified(past).unwrap();
}

#[test]
fn ls_shows_what_a_view_is_and_who_refers_to_it() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    let first = run.extract(&["--margin", "0.5"]);
    run.extract(&[]);
    let list = cache(&run, &["ls"]);
    let views = list["summary"]["views"].as_array().unwrap();
    assert_eq!(views.len(), 2);
    for view in views {
        let old = view["view"] == first["summary"]["view"];
        assert_eq!((&view["embeddings"], &view["parts"]), (&20.into(), &1.into()));
        assert_eq!(view["runs"].as_array().unwrap().len(), usize::from(!old));
        assert_eq!(view["about"]["parameters"]["margin"], if old { 0.5 } else { 0.0 });
    }
}

#[test]
fn gc_removes_what_nobody_refers_to_and_nobody_used() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    let old = run.extract(&["--margin", "0.5"])["summary"]["view"].as_str().unwrap().to_owned();
    let now = run.extract(&[])["summary"]["view"].as_str().unwrap().to_owned();
    assert_eq!(cache(&run, &["gc"])["summary"]["views"], serde_json::json!([]));
    age(&run, &old);
    age(&run, &now);
    cache(&run, &["gc", "--dry-run"]);
    {
        // A reader in the middle keeps it.
        let view = old.parse().unwrap();
        let _reader = Cache::inspect(&run.cache(), view).unwrap();
        assert_eq!(cache(&run, &["gc"])["summary"]["views"], serde_json::json!([]));
    }
    assert!(run.cache().join(&old).exists());
    let removed = cache(&run, &["gc"]);
    assert_eq!(removed["summary"]["views"][0]["view"], old.as_str());
    assert!(!run.cache().join(&old).exists());
    run.embeddings();
    assert_eq!(run.extract(&[])["state"], "current");

    // What can't be read might refer to anything.
    std::fs::write(run.dir().join("embeddings/manifest.json"), "{").unwrap();
    let runs = run.dir().parent().unwrap().display().to_string();
    run.fails(65, &["cache", "gc", "--runs", &runs]);
    run.fails(66, &["cache", "gc", "--runs", "/nowhere"]);
}

#[test]
fn verify_names_damaged_parts_and_extract_mends_them() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    run.extract(&[]);
    let embeddings = run.embeddings();
    assert_eq!(cache(&run, &["verify"])["summary"]["views"][0]["embeddings"], 20);
    let part = run.parts().remove(0);
    let modified = std::fs::metadata(&part).unwrap().modified().unwrap();
    damage(&part);
    // As a disk does it: without a trace.
    std::fs::File::open(&part).unwrap().set_modified(modified).unwrap();
    assert_eq!(run.extract(&[])["state"], "current");
    let message = run.fails(65, &["cache", "verify"]);
    let name = part.file_name().unwrap().to_string_lossy().into_owned();
    assert!(message.contains(&name) && message.contains("gtsrb-extract again"), "{message}");
    let mended = run.extract(&[]);
    assert!(mended["summary"]["why"].to_string().contains("damaged"), "{mended}");
    assert_eq!(run.embeddings(), embeddings);
    cache(&run, &["verify"]);
}

#[test]
fn compact_keeps_every_row() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..10));
    for night in 1..=5 {
        run.write_images(&images(0..10 * night));
        run.extract(&[]);
    }
    let (index, embeddings) = (run.index(), run.embeddings());
    assert_eq!(run.parts().len(), 5);
    cache(&run, &["compact", "--dry-run"]);
    assert_eq!(run.parts().len(), 5);
    let done = cache(&run, &["compact"]);
    let view = &done["summary"]["views"][0];
    assert_eq!((&view["parts_before"], &view["parts"]), (&5.into(), &1.into()));
    assert_eq!(run.parts().len(), 1);
    assert_eq!(run.extract(&[])["state"], "current");
    assert_eq!((run.index(), run.embeddings()), (index, embeddings));
    assert_eq!(cache(&run, &["compact"])["summary"]["views"], serde_json::json!([]));
}
