//! An object store for tests, with Amazon S3's interface over a folder, that does its work late,
//! refuses it, or loses its answers.
//!
//! usage: `store-with-faults FOLDER MILLISECONDS SHARE SEED`
//!
//! Every request takes `MILLISECONDS` longer, and of all requests the `SHARE` (0 to 1) fails in
//! one of four ways. Access key and secret are `key` and `secret`. The first line of standard
//! output is the port.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What goes wrong with a request.
#[derive(Clone, Copy)]
enum Fault {
    /// 500 before anything was done.
    Internal,
    /// 503 before anything was done.
    SlowDown,
    /// It is done, and half of the answer comes.
    Cut,
    /// It is done, and no answer comes.
    Lost,
}

const FAULTS: [Fault; 4] = [Fault::Internal, Fault::SlowDown, Fault::Cut, Fault::Lost];

struct Faulty {
    store: S3Service,
    latency: Duration,
    share: f64,
    random: Mutex<StdRng>,
}

impl Faulty {
    fn draw(&self) -> Option<Fault> {
        let mut random = self.random.lock().expect("nobody panics with it");
        random.random_bool(self.share).then(|| FAULTS[random.random_range(0..FAULTS.len())])
    }

    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        tokio::time::sleep(self.latency).await;
        let fault = self.draw();
        match fault {
            Some(Fault::Internal) => {
                return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
            }
            Some(Fault::SlowDown) => {
                return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"));
            }
            _ => {}
        }
        let answer =
            self.store.call(request.map(Into::into)).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = match fault {
            None => body.map_err(io::Error::other).boxed_unsync(),
            Some(Fault::Cut) => cut(body.collect().await.map_err(io::Error::other)?.to_bytes()),
            // An error of the service closes the connection.
            Some(_) => return Err(io::Error::other("lost")),
        };
        Ok(Response::from_parts(head, body))
    }
}

fn refusal(status: StatusCode, code: &str) -> Response<Body> {
    let text = format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
    let mut response =
        Response::new(Full::from(text).map_err(|e: Infallible| match e {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// The first half of `body`, and then the connection breaks.
fn cut(body: Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    let frames = [Ok(Frame::data(half)), Err(io::Error::other("cut"))];
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, latency, share, seed] = &arguments[..] else {
        return Err("usage: store-with-faults FOLDER MILLISECONDS SHARE SEED".into());
    };
    let files = s3s_fs::FileSystem::new(folder).map_err(|e| format!("{folder}: {e:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let faulty = Arc::new(Faulty {
        store: builder.build(),
        latency: Duration::from_millis(latency.parse()?),
        share: share.parse()?,
        random: Mutex::new(StdRng::seed_from_u64(seed.parse()?)),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        let faulty = Arc::clone(&faulty);
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let faulty = Arc::clone(&faulty);
                async move { faulty.answer(request).await }
            });
            let server = Builder::new(TokioExecutor::new());
            // It ends in an error whenever an answer was cut or lost.
            let _ = server.serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}
