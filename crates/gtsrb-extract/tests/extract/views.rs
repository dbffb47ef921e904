//! Augmented views: more embeddings of the training images, in folders of their own.

use std::time::{Duration, SystemTime};

use artifact::embeddings::{Cache, Embedded};
use artifact::images::Split;

use crate::run::{Run, images, runtime};

/// Of 50 images 10 are for the test.
const IMAGES: std::ops::Range<u32> = 0..50;

#[test]
fn views_are_of_training_images_and_leave_the_plain_one_alone() {
    if !runtime() {
        return;
    }
    let (plain, run) = (Run::new(&images(IMAGES)), Run::new(&images(IMAGES)));
    plain.extract(&[]);
    let ran = run.extract(&["--augment", "2"]);
    let summary = &ran["summary"];
    assert_eq!((&summary["misses"], &summary["augmented"]), (&130.into(), &2.into()));
    assert_eq!(run.index()[..2], plain.index()[..2]);
    assert_eq!(run.embeddings(), plain.embeddings());

    let embedded = Embedded::open(&run.dir()).unwrap();
    let rows = embedded.rows(Split::Train).unwrap();
    let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
    let of = |view| Cache::open(&run.cache(), view).unwrap().gather(&keys, 64).unwrap();
    let views: Vec<_> = embedded.views().unwrap().into_iter().map(of).collect();
    assert_eq!(views.len(), 3);
    for row in 0..rows.len() {
        assert!(views[0].row(row) != views[1].row(row) && views[1].row(row) != views[2].row(row));
    }
    let augmented = Cache::open(&run.cache(), embedded.augmented().unwrap()[0]).unwrap();
    assert!(embedded.rows(Split::Test).unwrap().iter().all(|row| !augmented.holds(&row.key)));
}

#[test]
fn what_is_there_is_used_and_more_or_fewer_views_are_another_artifact() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(IMAGES));
    run.extract(&["--augment", "1"]);
    let index = run.index();
    assert_eq!(run.extract(&["--augment", "1"])["state"], "current");
    let more = run.extract(&["--augment", "2"]);
    assert_eq!((&more["summary"]["hits"], &more["summary"]["misses"]), (&90.into(), &40.into()));
    assert!(more["summary"]["why"].to_string().contains("augmentation"), "{more}");
    let back = run.extract(&["--augment", "1"]);
    assert_eq!((&back["state"], &back["summary"]["misses"]), (&"done".into(), &0.into()));
    assert_eq!(run.index(), index);
    assert!(run.fails(78, &["--augment", "65"]).contains("at most 64"));
}

#[test]
fn verify_computes_every_view_anew() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(IMAGES));
    run.extract(&["--augment", "2"]);
    let verified = run.extract(&["verify", "--rows", "20"]);
    assert_eq!(
        (&verified["summary"]["rows"], &verified["summary"]["identical"]),
        (&60.into(), &60.into())
    );
}

#[test]
fn shares_of_views_are_merged() {
    if !runtime() {
        return;
    }
    let whole = Run::new(&images(IMAGES));
    whole.extract(&["--augment", "2"]);
    let run = Run::new(&images(IMAGES));
    run.extract(&["--augment", "2", "--shard", "1/2"]);
    let message = run.fails(66, &["merge", "--augment", "2", "--shards", "2"]);
    assert!(message.contains("of shard 2/2"), "{message}");
    run.extract(&["--augment", "2", "--shard", "2/2"]);
    assert_eq!(run.extract(&["merge", "--augment", "2"])["summary"]["misses"], 0);
    assert_eq!(run.index(), whole.index());
    assert_eq!(run.extract(&["--augment", "2"])["state"], "current");
}

#[test]
fn gc_keeps_the_views_that_a_run_refers_to() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(IMAGES));
    run.extract(&["--augment", "2"]);
    let past = SystemTime::now() - Duration::from_hours(40 * 24);
    let age = || {
        for view in std::fs::read_dir(run.cache()).unwrap() {
            let marker =
                std::fs::File::options().write(true).open(view.unwrap().path().join(".used"));
            marker.unwrap().set_modified(past).unwrap();
        }
    };
    let runs = run.dir().parent().unwrap().display().to_string();
    age();
    let kept = run.extract(&["cache", "gc", "--runs", &runs]);
    assert_eq!(kept["summary"]["views"], serde_json::json!([]));
    run.extract(&["--augment", "1"]);
    age();
    let removed = run.extract(&["cache", "gc", "--runs", &runs]);
    let removed = removed["summary"]["views"].as_array().unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0]["about"]["parameters"]["augmentation"]["view"], 2);
}
