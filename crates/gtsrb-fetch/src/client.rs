//! Talking HTTP: one request, its limits, and what can be said about its failure.

use std::io;
use std::time::Duration;

use signs::archives::Archive;
use stage::{Error, Fault};
use ureq::http::header::{IF_RANGE, RANGE};
use ureq::{Agent, Body};

use crate::args::Settings;

/// How an attempt failed.
#[derive(Debug)]
pub enum Failure {
    /// Another attempt may succeed; this is the reason.
    Passing(String),
    /// No other attempt would.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Whether there was a connection, which was lost: otherwise nobody was reached, or not who was
/// asked for.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    let lost = [BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof];
    lost.contains(&error.kind())
}

/// A server with the archives.
pub struct Client {
    agent: Agent,
    mirror: String,
    /// How long the server may be silent or too slow.
    pub patience: Duration,
}

impl Client {
    /// A client with the limits of `settings`; connects to nobody yet.
    pub fn new(settings: &Settings) -> Self {
        let patience = Some(settings.patience);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Whoever asked for encryption isn't redirected to an address without it.
            .https_only(settings.mirror.starts_with("https:"))
            .max_redirects(10)
            // An archive is compressed; packed once more, its ranges are others.
            .accept_encoding("identity")
            .user_agent(concat!("gtsrb-fetch/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(patience)
            .timeout_connect(patience)
            .timeout_send_request(patience)
            .timeout_recv_response(patience)
            .timeout_per_read(patience)
            .build()
            .into();
        Self { agent, mirror: settings.mirror.clone(), patience: settings.patience }
    }

    /// The address of `archive`.
    pub fn url(&self, archive: &Archive) -> String {
        format!("{}/{}", self.mirror, archive.name)
    }

    /// Asks for the bytes of `url` from `offset` on, if the file still is of this `version`.
    pub fn get(
        &self,
        url: &str,
        offset: u64,
        version: Option<&str>,
    ) -> Result<ureq::http::Response<Body>, Failure> {
        let mut request = self.agent.get(url);
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
            if let Some(version) = version {
                request = request.header(IF_RANGE, version);
            }
        }
        request.call().map_err(|error| self.failure(&error, offset))
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.agent.clone().shutdown();
    }

    fn failure(&self, error: &ureq::Error, offset: u64) -> Failure {
        let unusable = |reason: &str| Failure::Final(Error::unavailable(reason));
        match error {
            // None of these messages shows where a redirect led: it may hold a secret.
            ureq::Error::RequireHttpsOnly(_) => unusable("redirected to one without encryption"),
            ureq::Error::TooManyRedirects => unusable("redirected more than ten times"),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => unusable("redirected to no address"),
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                unusable(&format!("no encrypted connection: {error}"))
            }
            // Where nothing has come yet, it's the network or the name, not a bad minute.
            ureq::Error::HostNotFound if offset == 0 => unusable("its host isn't found"),
            ureq::Error::Io(e) if offset == 0 && !is_loss(e) => unusable(&e.to_string()),
            ureq::Error::Timeout(_) => Failure::Passing(self.silent()),
            ureq::Error::Io(e) => Failure::Passing(e.to_string()),
            other => Failure::Passing(other.to_string()),
        }
    }

    /// That nothing came for too long.
    pub fn silent(&self) -> String {
        format!("nothing came for {} seconds", self.patience.as_secs_f64())
    }

    /// That what `archive`'s address gives isn't the archive.
    pub fn refuse(&self, archive: &Archive, reason: &str) -> Error {
        Error::data(format!(
            "{} is not the published archive: {reason}; name another server with --mirror",
            self.url(archive)
        ))
    }

    /// Names the address that can't be used, and the way around it.
    pub fn unavailable(&self, archive: &Archive, error: &Error) -> Error {
        if error.fault() != Fault::Unavailable {
            return error.clone();
        }
        Error::unavailable(format!(
            "cannot get {}: {error}; name another server with --mirror, or bring the archives here \
             by other means: make all PIPELINE=gtsrb GTSRB=DIR reads them from DIR, and the Kaggle \
             layout as well",
            self.url(archive)
        ))
    }
}
