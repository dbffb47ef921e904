//! Writing, reading and picking images.

use super::*;
use crate::{Output, Work};
use std::collections::BTreeMap;

fn image(n: i32) -> Image {
    Image {
        bytes: vec![n as u8; 40 + n as usize % 7],
        path: format!("a/{n}.png"),
        label: i64::from(n % 3),
        roi: Roi { x1: 1, y1: 2, x2: n, y2: n + 1 },
        width: n + 10,
        height: n + 20,
        track: (n % 2 == 0).then(|| format!("t{n}")),
        frame: (n % 2 == 0).then_some(n),
        pixels: Hash::of(&[n as u8]),
    }
}

fn commit(run: &Path, images: &[Image], classes: &[String]) {
    let output = Output::open(&run.join("images")).unwrap();
    let mut writer =
        Writer::new(output.create(&Split::Train.file(0, 1)).unwrap(), classes).unwrap();
    writer.write(images).unwrap();
    let staged = writer.finish().unwrap().finish(Some(images.len() as u64)).unwrap();
    let work = Work {
        tool: STAGE.into(),
        version: "1".into(),
        parameters: json!({}),
        inputs: BTreeMap::new(),
    };
    let facts = BTreeMap::from([("classes".to_owned(), json!(classes))]);
    output.commit(work, vec![staged], BTreeMap::new(), facts).unwrap();
}

#[test]
fn round_trip_over_several_row_groups() {
    let run = tempfile::tempdir().unwrap();
    let images: Vec<_> = (0..2500).map(image).collect();
    let classes = ["x", "y", "z"].map(str::to_owned).to_vec();
    commit(run.path(), &images, &classes);
    let set = ImageSet::open(run.path()).unwrap();
    assert_eq!((set.classes(), set.count(Split::Train)), (classes.as_slice(), 2500));
    let batches: Vec<_> = set.batches(Split::Train).map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
    assert_eq!(batches.concat(), images);
    assert_eq!(set.batches(Split::Test).count(), 0);
}

#[test]
fn picked_images_are_verified_one_by_one() {
    let run = tempfile::tempdir().unwrap();
    let images: Vec<_> = (0..2500).map(image).collect();
    commit(run.path(), &images, &["x".to_owned()]);
    let set = ImageSet::open(run.path()).unwrap();
    let wanted = |rows: &[usize]| -> Vec<_> {
        rows.iter().map(|&row| (row, crate::embeddings::key(&images[row]))).collect()
    };
    let rows = [0, 3, 4, 5, 998, 999, 1000, 2499];
    let found: Vec<_> = set.pick(Split::Train, wanted(&rows)).map(Result::unwrap).collect();
    let expected = wanted(&rows).into_iter().map(|(row, key)| (key, images[row].clone()));
    assert_eq!(found, expected.collect::<Vec<_>>());
    let mut wrong = wanted(&rows);
    wrong[2].1 = wrong[1].1;
    let error = set.pick(Split::Train, wrong).nth(2).unwrap().unwrap_err();
    assert_eq!(error.fault().code(), 65);

    // Another ingest has replaced them: that is nobody's damage.
    commit(run.path(), &images[5..], &["x".to_owned()]);
    let error = set.pick(Split::Train, wanted(&rows)).next().unwrap().unwrap_err();
    assert_eq!(error.fault().code(), 75);
    let error = set.batches(Split::Train).next().unwrap().unwrap_err();
    assert_eq!(error.fault().code(), 75);
}

#[test]
fn a_damaged_file_is_not_read() {
    let run = tempfile::tempdir().unwrap();
    commit(run.path(), &[image(1)], &["x".to_owned()]);
    let path = run.path().join("images").join(Split::Train.file(0, 1));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let set = ImageSet::open(run.path()).unwrap();
    let error = set.batches(Split::Train).next().unwrap().unwrap_err();
    assert_eq!(error.fault().code(), 65);
    assert!(error.to_string().contains(STAGE));
}
