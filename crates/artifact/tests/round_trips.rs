//! What is written is read back, whatever it holds.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;

use artifact::embeddings::{Embedded, Row, write_index};
use artifact::head::Head;
use artifact::images::{Image, ImageSet, Roi, Split, Writer};
use artifact::{Answers, Hash, Manifest, Output, Predictions, Work};
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use serde_json::{Value, json};
use softmax::Model;

fn work(tool: &str, parameters: Value) -> Work {
    Work { tool: tool.into(), version: "1".into(), parameters, inputs: BTreeMap::new() }
}

fn image() -> impl Strategy<Value = Image> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    let (track, frame) = (prop::option::of(any::<String>()), any::<Option<i32>>());
    let numbers = any::<(i64, [i32; 4], [i32; 2], [u8; 32])>();
    (bytes, any::<String>(), track, frame, numbers).prop_map(
        |(bytes, path, track, frame, (label, [x1, y1, x2, y2], [width, height], pixels))| Image {
            bytes,
            path,
            label,
            roi: Roi { x1, y1, x2, y2 },
            width,
            height,
            track,
            frame,
            pixels: Hash(pixels),
        },
    )
}

/// Values of any kind, as settings hold them.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
        ]
    })
}

/// `rows` times `columns` numbers.
fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f32>> {
    let numbers = prop::collection::vec(-1e30_f32..1e30, rows * columns);
    numbers.prop_map(move |n| Array2::from_shape_vec((rows, columns), n).unwrap())
}

/// Paths of images, their classes, and a probability for each class, as numbers of any size.
fn predictions() -> impl Strategy<Value = (Vec<String>, Vec<usize>, Array2<f32>)> {
    (1usize..60, 1usize..6).prop_flat_map(|(rows, classes)| {
        let paths = prop::collection::vec(any::<String>(), rows);
        (paths, prop::collection::vec(0..classes, rows), matrix(rows, classes))
    })
}

/// A head of one layer.
fn head() -> impl Strategy<Value = Head> {
    let sizes = (2usize..6, 1usize..9);
    sizes.prop_flat_map(|(classes, dims)| {
        let names = prop::collection::vec(any::<String>(), classes);
        let layer = (matrix(classes, dims), matrix(1, classes), 0.1_f32..10.0);
        (names, layer, any::<[[u8; 32]; 2]>()).prop_map(|(classes, layer, [view, training])| {
            let (weights, bias, temperature) = layer;
            let bias: Array1<f32> = bias.into_iter().collect();
            let network = Model { weights, bias }.into();
            Head { network, temperature, classes, view: Hash(view), training: Hash(training) }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn images_come_back(images in prop::collection::vec(image(), 1..60), classes: Vec<String>) {
        let run = tempfile::tempdir().unwrap();
        let output = Output::open(&run.path().join("images")).unwrap();
        let file = output.create(&Split::Train.file(0, 1)).unwrap();
        let mut writer = Writer::new(file, &classes).unwrap();
        writer.write(&images).unwrap();
        let file = writer.finish().unwrap().finish(Some(images.len() as u64)).unwrap();
        let facts = BTreeMap::from([("classes".to_owned(), json!(classes))]);
        let work = work("gtsrb-ingest", json!({}));
        output.commit(work, vec![file], BTreeMap::new(), facts).unwrap();
        let set = ImageSet::open(run.path()).unwrap();
        prop_assert_eq!(set.classes(), classes);
        let read: Vec<Image> = set.batches(Split::Train).flat_map(Result::unwrap).collect();
        prop_assert_eq!(read, images);
    }

    #[test]
    fn an_index_comes_back(images in prop::collection::vec(image(), 0..60)) {
        let rows: Vec<Row> = images.iter().map(Row::of).collect();
        let run = tempfile::tempdir().unwrap();
        let output = Output::open(&run.path().join("embeddings")).unwrap();
        let files = Split::ALL.map(|split| {
            let file = output.create(&format!("{}.parquet", split.as_str())).unwrap();
            write_index(file, &rows).unwrap().finish(None).unwrap()
        });
        let work = work("gtsrb-extract", json!({}));
        output.commit(work, files.into(), BTreeMap::new(), BTreeMap::new()).unwrap();
        let embedded = Embedded::open(run.path()).unwrap();
        for split in Split::ALL {
            prop_assert_eq!(&embedded.rows(split).unwrap(), &rows);
        }
    }

    #[test]
    fn predictions_come_back((paths, labels, probabilities) in predictions()) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("predictions.parquet");
        let names: Vec<&str> = paths.iter().map(String::as_str).collect();
        let written = Predictions {
            paths: &names,
            labels: Some(&labels),
            predicted: &labels,
            probabilities: probabilities.view(),
            folds: None,
        };
        written.write(std::fs::File::create(&file).unwrap()).unwrap();
        let read = Answers::read(&file, "gtsrb-evaluate").unwrap();
        prop_assert_eq!(read, Answers { paths, labels, probabilities });
    }

    #[test]
    fn a_head_comes_back(head in head()) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("head.safetensors");
        std::fs::write(&file, head.to_bytes().unwrap()).unwrap();
        prop_assert_eq!(Head::read(&file).unwrap(), head);
    }

    #[test]
    fn a_manifest_comes_back(
        parameters in value(),
        fact in value(),
        version: String,
        files in prop::collection::btree_map("[a-z]{1,8}(/[a-z]{1,8})?\\.x", any::<Vec<u8>>(), 0..5),
        counter: u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let output = Output::open(dir.path()).unwrap();
        let staged = files.iter().map(|(name, bytes)| output.write(name, bytes).unwrap()).collect();
        let work = Work { version, ..work("t", parameters) };
        let counters = BTreeMap::from([(work.version.clone(), counter)]);
        let facts = BTreeMap::from([("fact".to_owned(), fact)]);
        let written = output.commit(work, staged, counters, facts).unwrap();
        let read = Manifest::read(dir.path(), "t").unwrap();
        prop_assert_eq!((&read.outputs, &read.counters), (&written.outputs, &written.counters));
        // What decides about being up to date: the same work is, another isn't.
        let output = Output::open(dir.path()).unwrap();
        prop_assert!(output.current(&written.work).unwrap().is_some());
        let other = Work { version: format!("{}+", written.work.version), ..written.work };
        prop_assert!(output.current(&other).unwrap().is_none());
    }
}
