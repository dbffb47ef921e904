//! What the cache promises: nothing is computed twice, and nothing depends on its history.

use crate::run::{Run, TINY, damage, image, images, runtime};
use artifact::embeddings::{Cache, Storage};
use ndarray::Array2;

#[test]
fn cold_warm_and_half_warm_give_the_same_bytes() {
    if !runtime() {
        return;
    }
    let cold = Run::new(&images(0..100));
    let first = cold.extract(&[]);
    assert_eq!(first["state"], "done");
    assert_eq!((&first["summary"]["hits"], &first["summary"]["misses"]), (&0.into(), &100.into()));
    let (index, embeddings) = (cold.index(), cold.embeddings());
    assert_eq!(embeddings.1.dim(), (100, 64));

    let second = cold.extract(&[]);
    assert_eq!(second["state"], "current");
    assert_eq!(second["summary"]["hits"], 100);
    assert_eq!(cold.command(&["--skip-code"]).output().unwrap().status.code(), Some(99));
    assert_eq!(cold.index(), index);

    let half = Run::new(&images(30..70));
    half.extract(&[]);
    half.write_images(&images(0..100));
    let rest = half.extract(&["--batch", "8"]);
    assert_eq!((&rest["summary"]["hits"], &rest["summary"]["misses"]), (&40.into(), &60.into()));
    assert_eq!(rest["summary"]["why"][0], "the images changed");
    assert_eq!(half.index(), index);
    assert_eq!(half.embeddings(), embeddings);
}

#[test]
fn an_embedding_does_not_depend_on_its_neighbours() {
    if !runtime() {
        return;
    }
    let forward = Run::new(&images(0..45));
    let mut reversed = images(0..45);
    reversed.reverse();
    let backward = Run::new(&reversed);
    forward.extract(&[]);
    backward.extract(&[]);
    let ((rows, ours), (others, theirs)) = (forward.embeddings(), backward.embeddings());
    for (place, row) in rows.iter().enumerate() {
        assert_eq!(row.key, others[44 - place].key);
        assert_eq!(ours.row(place), theirs.row(44 - place));
    }
}

#[test]
fn a_changed_parameter_is_named_and_the_old_view_is_kept() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    assert_eq!(run.extract(&[])["summary"]["why"][0], "first extraction of this run");
    let before = run.embeddings();
    let changed = run.extract(&["--margin", "0.1", "--storage", "f32"]);
    assert_eq!(changed["summary"]["misses"], 20);
    let why = changed["summary"]["why"].to_string();
    assert!(why.contains("margin 0.0 -> 0.1") && why.contains("storage f16 -> f32"), "{why}");
    assert_ne!(run.embeddings().1, before.1);
    let back = run.extract(&[]);
    assert_eq!((&back["state"], &back["summary"]["misses"]), (&"done".into(), &0.into()));
    assert_eq!(run.embeddings(), before);
}

#[test]
fn with_nothing_to_compute_no_model_is_loaded() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..12));
    let first = run.extract(&["--device", "cpu"]);
    let (rows, matrix) = run.embeddings();
    // A graph that ONNX Runtime refuses.
    let mut refused = TINY.to_vec();
    let relu = refused.windows(4).position(|name| name == b"Relu").unwrap();
    refused[relu + 2] = b'x';
    run.write_backbone(&refused);
    run.fails(65, &["--device", "cpu"]);
    let views = std::fs::read_dir(run.cache()).unwrap().map(|view| view.unwrap().file_name());
    let mut views = views.map(|view| view.into_string().unwrap());
    let view = views.find(|view| first["summary"]["view"] != view.as_str()).unwrap();
    let view = view.parse().unwrap();
    let mut cache = Cache::open(&run.cache(), view).unwrap();
    let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
    let writer = Cache::lock(&run.cache(), view).unwrap();
    cache.append(&writer, &keys, Storage::F16, matrix.view()).unwrap();
    drop(writer);
    assert_eq!(run.extract(&["--device", "cpu"])["summary"]["hits"], 12);
    assert_eq!(run.embeddings(), (rows, matrix));
}

#[test]
fn equal_pictures_are_computed_once() {
    if !runtime() {
        return;
    }
    let mut twice = images(0..10);
    twice.extend(images(0..10));
    let run = Run::new(&twice);
    assert_eq!(run.extract(&[])["summary"]["misses"], 10);
    let (_, matrix) = run.embeddings();
    assert_eq!(matrix.row(3), matrix.row(13));
}

#[test]
fn a_damaged_part_is_found_and_computed_again() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    run.extract(&[]);
    let (index, embeddings) = (run.index(), run.embeddings());
    for cut in [false, true] {
        let part = run.parts().remove(0);
        if cut {
            let bytes = std::fs::read(&part).unwrap();
            std::fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
        } else {
            damage(&part);
        }
        let again = run.extract(&[]);
        assert_eq!(again["summary"]["misses"], 20);
        assert!(again["summary"]["why"].to_string().contains("damaged"), "{again}");
        assert_eq!(run.index(), index);
        assert_eq!(run.embeddings(), embeddings);
    }
}

#[test]
fn two_at_once_corrupt_nothing() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..400));
    let both = [0, 1].map(|_| run.command(&[]).spawn().unwrap());
    let codes = both.map(|process| process.wait_with_output().unwrap().status.code());
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert!(codes.iter().all(|code| [Some(0), Some(75)].contains(code)), "{codes:?}");
    assert_eq!(run.extract(&[])["state"], "current");
    let alone = Run::new(&images(0..400));
    alone.extract(&[]);
    assert_eq!(run.embeddings(), alone.embeddings());
}

#[test]
fn a_cache_that_is_held_or_read_only_serves_what_it_has() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    let first = run.extract(&[]);
    let view = first["summary"]["view"].as_str().unwrap().parse().unwrap();
    let _writer = Cache::lock(&run.cache(), view).unwrap();
    assert_eq!(run.extract(&[])["state"], "current");
    run.write_images(&images(5..15));
    assert_eq!(run.extract(&[])["summary"]["misses"], 0);
    run.write_images(&images(5..25));
    assert!(run.fails(75, &[]).contains(".lock"));
}

#[cfg(unix)]
#[test]
fn a_cache_for_everybody_to_write_is_named() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..20));
    let first = run.extract(&[]);
    let view = run.cache().join(first["summary"]["view"].as_str().unwrap());
    let warnings = || {
        let said = String::from_utf8(run.command(&[]).output().unwrap().stderr).unwrap();
        said.matches("everybody may write").count()
    };
    assert_eq!(warnings(), 0);
    std::fs::set_permissions(&view, Permissions::from_mode(0o777)).unwrap();
    assert_eq!(warnings(), 1);
}

#[test]
fn verify_finds_what_the_cache_has_wrong() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..30));
    let view: artifact::Hash =
        run.extract(&[])["summary"]["view"].as_str().unwrap().parse().unwrap();
    let good = run.extract(&["verify", "--rows", "12"]);
    assert_eq!(good["state"], "checked");
    assert_eq!((&good["summary"]["rows"], &good["summary"]["identical"]), (&12.into(), &12.into()));

    let (rows, matrix) = run.embeddings();
    std::fs::remove_file(&run.parts()[0]).unwrap();
    let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
    let mut cache = Cache::open(&run.cache(), view).unwrap();
    let writer = Cache::lock(&run.cache(), view).unwrap();
    let wrong: Array2<f32> = matrix * 1.1;
    cache.append(&writer, &keys, Storage::F16, wrong.view()).unwrap();
    drop(writer);
    let message = run.fails(65, &["verify", "--rows", "12"]);
    assert!(message.contains("12 of 12") && message.contains("Train/"), "{message}");
}

#[test]
fn tuning_is_remembered_and_changes_no_bit() {
    if !runtime() {
        return;
    }
    let names = |run: &Run| -> Vec<_> {
        run.parts().iter().map(|part| part.file_name().unwrap().to_owned()).collect()
    };
    let plain = Run::new(&images(0..50));
    plain.extract(&[]);
    let run = Run::new(&images(0..50));
    run.extract(&["--tune"]);
    let folder = run.cache().with_file_name("tuning");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    for effort in [None, Some("{\"sessions\":1,\"threads\":2}"), Some("{\"sessions\":999}")] {
        if let Some(effort) = effort {
            run.parts().iter().for_each(|part| std::fs::remove_file(part).unwrap());
            std::fs::write(files[0].path(), effort).unwrap();
            assert_eq!(run.extract(&[])["summary"]["misses"], 50);
        }
        // A part is named after its bytes.
        assert_eq!(names(&run), names(&plain));
        assert_eq!(run.index(), plain.index());
    }
}

#[test]
fn a_dry_run_says_what_would_be_computed() {
    if !runtime() {
        return;
    }
    let run = Run::new(&[image(1), image(2)]);
    let finished = run.command(&["--dry-run"]).output().unwrap();
    let text = String::from_utf8(finished.stdout).unwrap();
    assert!(text.contains("would compute 2 embeddings for 2 images on cpu"), "{text}");
    assert!(!run.dir().join("embeddings").exists());
}
