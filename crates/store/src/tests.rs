use futures_util::FutureExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use stage::Fault;

use super::*;

type Answer<T> = object_store::Result<T>;

/// A store that writes whatever the conditions are.
#[derive(Debug)]
struct Careless(InMemory);

impl std::fmt::Display for Careless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("careless")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Careless {
    async fn put_opts(&self, at: &Path, is: PutPayload, options: PutOptions) -> Answer<PutResult> {
        self.0.put_opts(at, is, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }
    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Answer<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(at, options).await
    }
    async fn get_opts(&self, at: &Path, options: GetOptions) -> Answer<GetResult> {
        self.0.get_opts(at, options).await
    }
    fn delete_stream(
        &self,
        all: BoxStream<'static, Answer<Path>>,
    ) -> BoxStream<'static, Answer<Path>> {
        self.0.delete_stream(all)
    }
    fn list(&self, under: Option<&Path>) -> BoxStream<'static, Answer<ObjectMeta>> {
        self.0.list(under)
    }
    async fn list_with_delimiter(&self, under: Option<&Path>) -> Answer<ListResult> {
        self.0.list_with_delimiter(under).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Answer<()> {
        self.0.copy_opts(from, to, options).await
    }
}

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
fn a_store_that_ignores_conditions_is_refused() {
    let bucket = Arc::new(Careless(InMemory::new()));
    let store = Store { bucket, ..Store::in_memory() };
    let error = store.replace("m", b"1", None).unwrap_err();
    assert_eq!(error.fault(), Fault::Config);
    assert!(error.to_string().contains("take one with conditional writes"), "{error}");
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
