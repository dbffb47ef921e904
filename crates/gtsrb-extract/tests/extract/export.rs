//! A run's embeddings as one table.

use artifact::embeddings::{Embedded, EmbeddingWriter};
use artifact::images::Split;

use crate::run::{Run, damage, images, runtime};

/// The table that a run's embeddings make.
fn expected(run: &Run) -> Vec<u8> {
    let embedded = Embedded::open(&run.dir()).unwrap();
    let classes = embedded.classes().unwrap();
    let mut table = EmbeddingWriter::new(Vec::new(), classes, embedded.dims().unwrap()).unwrap();
    for split in Split::ALL {
        let rows = embedded.rows(split).unwrap();
        let numbers = embedded.matrix(&run.cache(), &rows).unwrap();
        table.add(split, &rows, numbers).unwrap();
    }
    table.finish().unwrap()
}

#[test]
fn an_export_has_every_embedding_in_the_order_of_the_images() {
    if !runtime() {
        return;
    }
    // The cache isn't filled in the order of the images, and holds a picture more.
    let run = Run::new(&images(30..71));
    run.extract(&[]);
    run.write_images(&images(0..70));
    run.extract(&[]);
    let file = run.file("embeddings.parquet", "an earlier one");
    let to = file.display().to_string();
    let said = run.extract(&["export", "--to", &to]);
    assert_eq!((&said["summary"]["rows"], &said["summary"]["dims"]), (&70.into(), &64.into()));
    assert!(std::fs::read(&file).unwrap() == expected(&run));

    // What can't be whole isn't there at all.
    std::fs::remove_file(&file).unwrap();
    damage(&run.parts()[0]);
    let said = run.fails(65, &["export", "--to", &to]);
    assert!(said.contains("run gtsrb-extract again"), "{said}");
    let left = std::fs::read_dir(run.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| name == "runs" || name == "cache"));
}

#[test]
fn an_export_says_where_it_cannot_be() {
    if !runtime() {
        return;
    }
    let run = Run::new(&images(0..2));
    let to = run.path().join("nowhere/x.parquet").display().to_string();
    assert!(run.fails(66, &["export", "--to", &to]).contains("run gtsrb-extract"));
    run.extract(&[]);
    assert!(run.fails(73, &["export", "--to", &to]).contains(&to));
    assert!(run.fails(73, &["export", "--to", "/"]).contains('/'));
}
