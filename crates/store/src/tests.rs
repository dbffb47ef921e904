use futures_util::FutureExt as _;
use object_store::ObjectStoreExt as _;
use stage::Fault;

use super::*;

#[test]
fn objects_come_back_whole_and_by_ranges() {
    let (store, dir) = (Store::in_memory(), tempfile::tempdir().unwrap());
    for length in [0, 1, 3 << 20, (20 << 20) + 7] {
        let file = dir.path().join("file");
        let content: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        std::fs::write(&file, &content).unwrap();
        let name = format!("deep/{length}.bin");
        store.add(&name, &file).unwrap();
        // A second time nothing happens: what is there stays.
        std::fs::write(&file, vec![9; length]).unwrap();
        store.add(&name, &file).unwrap();
        let mut read = Vec::new();
        store
            .read(&name, length as u64, |piece| {
                read.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert!(read == content);
        assert_eq!(store.get(&name).unwrap().unwrap().0.len(), length);
    }
    let ranges = store.ranges("deep/3145728.bin", &[0..2, 250..253]).unwrap();
    assert_eq!((&ranges[0][..], &ranges[1][..]), (&[0, 1][..], &[250, 0, 1][..]));
    let listed: Vec<_> = store.list().unwrap().into_iter().map(|o| (o.name, o.bytes)).collect();
    assert_eq!(listed.len(), 4);
    assert_eq!(listed[0], ("deep/0.bin".to_owned(), 0));
    assert!(store.get("nothing").unwrap().is_none());
    assert_eq!(store.read("nothing", 3, |_| Ok(())).unwrap_err().fault(), Fault::Missing);
    assert_eq!(store.get("../up").unwrap_err().fault(), Fault::Usage);
}

#[test]
fn an_object_that_is_overwritten_while_it_is_read_is_no_mixture() {
    let (store, dir) = (Store::in_memory(), tempfile::tempdir().unwrap());
    // More ranges than are on their way at once.
    let (file, bytes) = (dir.path().join("file"), 6 * read::RANGE);
    std::fs::write(&file, vec![1; bytes as usize]).unwrap();
    store.add("x", &file).unwrap();
    let (path, other) = (store.path("x").unwrap(), vec![2; bytes as usize]);
    let mut seen = 0;
    let read = store.read("x", bytes, |piece| {
        assert!(piece.iter().all(|byte| *byte == 1), "of both");
        if seen == 0 {
            // In memory nothing has to be waited for.
            let put = store.bucket.put(&path, other.clone().into()).now_or_never();
            put.unwrap().unwrap();
        }
        seen += piece.len();
        Ok(())
    });
    let error = read.unwrap_err();
    assert_eq!(error.fault(), Fault::Busy);
    assert!(
        error.to_string().ends_with("/x was overwritten while it was read: run again"),
        "{error}"
    );
    assert!(seen < bytes as usize);
}

#[test]
fn of_two_writers_one_wins() {
    let store = Store::in_memory();
    store.replace("m", b"1", None).unwrap();
    assert_eq!(store.replace("m", b"2", None).unwrap_err().fault(), Fault::Busy);
    // Its own answer, lost and asked for again.
    store.replace("m", b"1", None).unwrap();
    let (_, first) = store.get("m").unwrap().unwrap();
    store.replace("m", b"2", Some(&first)).unwrap();
    let error = store.replace("m", b"3", Some(&first)).unwrap_err();
    assert_eq!(error.fault(), Fault::Busy);
    assert!(error.to_string().starts_with("memory://bucket/runs/a b/m was written by"), "{error}");
    assert_eq!(store.get("m").unwrap().unwrap().0, "2");
}

#[test]
fn a_store_that_is_down_is_given_up_in_time() {
    let store = Store::in_memory();
    let started = std::time::Instant::now();
    let never = patience::wait(
        store
            .patience
            .insist("s3://b/x", async || std::future::pending::<object_store::Result<()>>().await),
    );
    let error = never.unwrap().err().unwrap().explain("s3://b/x");
    assert_eq!(error.fault(), Fault::Unavailable);
    assert!(error.to_string().contains("2 seconds"), "{error}");
    assert!(started.elapsed() >= std::time::Duration::from_secs(2));
}
