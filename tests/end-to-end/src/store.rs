//! Object stores that tests start: one of ours, which fails on purpose, and moto's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Place, root, variable};

/// The bucket that there is.
pub const BUCKET: &str = "bucket";

/// A server of objects, ended when dropped.
pub struct Server {
    process: Child,
    /// `http://HOST:PORT`.
    pub endpoint: String,
    /// Where its objects are files, if they are.
    pub folder: PathBuf,
}

impl Server {
    /// Ours, over a folder in `place`, with so many milliseconds more for each request, of which
    /// `share` fail. None where `make test-store` hasn't compiled it.
    pub fn faulty(place: &Place, milliseconds: u32, share: f64, seed: u64) -> Option<Self> {
        let folder = place.path().join("objects");
        std::fs::create_dir_all(folder.join(BUCKET)).unwrap();
        let mut command = Command::new(variable("STORE_SERVER")?);
        command.arg(&folder).args([milliseconds.to_string(), share.to_string()]);
        command.arg(seed.to_string()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let endpoint = format!("http://127.0.0.1:{}", port.trim());
        Some(Self { process, endpoint, folder })
    }

    /// moto's, which keeps objects in memory. None where `make test-store` hasn't installed it.
    pub fn moto() -> Option<Self> {
        let program = variable("MOTO_SERVER")?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let endpoint = format!("http://127.0.0.1:{port}");
        let server = Self { process, endpoint, folder: PathBuf::new() };
        let address = format!("127.0.0.1:{port}");
        let mut connection = loop {
            match TcpStream::connect(&address) {
                Ok(connection) => break connection,
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
            }
        };
        let host = format!("Host: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        write!(connection, "PUT /{BUCKET} HTTP/1.1\r\n{host}").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Some(server)
    }

    /// The object's or folder's place on disk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(BUCKET).join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A computer of its own, which has nothing but the store in common with others.
pub struct Machine<'a> {
    endpoint: &'a str,
    cache: PathBuf,
}

impl<'a> Machine<'a> {
    /// A new one called `name`, with its files in `place`.
    pub fn new(place: &Place, name: &str, endpoint: &'a str) -> Self {
        Self { endpoint, cache: place.path().join("machines").join(name) }
    }

    /// Where it keeps what it has of the run.
    pub fn mirror(&self) -> PathBuf {
        self.cache.join("mirror/s3").join(BUCKET).join("runs/sample")
    }

    /// Lets `command` work on the store.
    pub fn on_store(&self, command: &mut Command) {
        let url = |folder: &str| format!("s3://{BUCKET}/{folder}");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("RUNS_DIR", url("runs")).env("EMBEDDINGS_DIR", url("embeddings"));
        command.env("CACHE_DIR", &self.cache).env("AWS_ENDPOINT_URL", self.endpoint);
        command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
        command.env("AWS_ALLOW_HTTP", "true").stdin(Stdio::null());
    }

    /// A stage on the store.
    pub fn stage(&self, binary: &str, config: &Path) -> Command {
        let mut command = self.command(binary, &["--config"]);
        command.arg(config);
        command
    }

    /// A program on the store.
    pub fn command(&self, binary: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(root().join("target/release").join(binary));
        command.args(arguments);
        self.on_store(&mut command);
        command
    }
}
