//! A server on this machine that answers as its script says, one turn a request, and honestly when
//! the script is at its end. It records what it was asked.

#![expect(clippy::unwrap_used, reason = "a test that can't start has failed")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The version that honest answers name.
pub const ETAG: &str = "\"one\"";

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub path: String,
    /// Its lines, in lower case.
    pub head: Vec<String>,
    /// Where its range begins.
    pub start: usize,
}

impl Ask {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// What happens behind the bytes of an answer.
#[derive(Clone, Copy)]
pub enum End {
    Close,
    /// With a TCP reset.
    Reset,
    /// Nothing more comes, for longer than anybody in these tests is patient.
    Silence,
    /// A byte now and then, for ever.
    Drip,
}

/// An answer.
pub struct Reply {
    pub head: String,
    pub body: Vec<u8>,
    pub end: End,
}

/// How one request is answered.
pub type Turn = Box<dyn Fn(&Ask, &[u8]) -> Reply + Send>;

pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Ask>>>,
}

impl Server {
    /// Serves `content` under every name.
    pub fn new(content: Vec<u8>, script: Vec<Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, content) = (Arc::new(Mutex::new(script.into_iter())), Arc::new(content));
        let records = Arc::clone(&asked);
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, content) = (Arc::clone(&script), Arc::clone(&content));
                let records = Arc::clone(&records);
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(ask) = read(&stream) else { return };
                    records.lock().unwrap().push(ask.clone());
                    let turn = script.lock().unwrap().next();
                    let reply = turn.map_or_else(|| honest(&ask, &content), |t| t(&ask, &content));
                    // The client may have gone.
                    let _ = send(&mut stream, &reply);
                });
            }
        });
        Self { url, asked }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Ask> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads a request, but for its last byte: a socket that is closed with bytes unread is reset.
fn read(mut stream: &TcpStream) -> Option<Ask> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let text = String::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let head: Vec<String> = lines.map(str::to_lowercase).collect();
    let mut ask = Ask { path, head, start: 0 };
    let range = ask.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-'));
    ask.start = range.map_or(0, |start| start.parse().unwrap());
    Some(ask)
}

fn send(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 {}\r\n\r\n", reply.head).as_bytes())?;
    stream.write_all(&reply.body)?;
    if let End::Reset = reply.end {
        // What was sent should arrive before the reset overtakes it.
        thread::sleep(Duration::from_millis(50));
        return Ok(());
    }
    stream.read_exact(&mut [0])?;
    match reply.end {
        End::Close | End::Reset => {}
        End::Silence => thread::sleep(Duration::from_mins(1)),
        End::Drip => loop {
            thread::sleep(Duration::from_millis(20));
            stream.write_all(b"x")?;
        },
    }
    Ok(())
}

/// What a good server says.
pub fn honest(ask: &Ask, content: &[u8]) -> Reply {
    let whole = content.len();
    let unchanged = ask.header("if-range").is_none_or(|version| version == ETAG);
    let start = if unchanged { ask.start } else { 0 };
    if start > 0 && start >= whole {
        return head("416 Range Not Satisfiable\r\ncontent-length: 0");
    }
    let body = content[start..].to_vec();
    let length = body.len();
    let head = if start > 0 {
        format!("206 Partial Content\r\ncontent-range: bytes {start}-{}/{whole}\r\n", whole - 1)
    } else {
        "200 OK\r\n".to_owned()
    };
    let head = format!("{head}content-length: {length}\r\netag: {ETAG}\r\nconnection: close");
    Reply { head, body, end: End::Close }
}

/// An answer without a body.
pub fn head(head: &str) -> Reply {
    Reply { head: head.to_owned(), body: Vec::new(), end: End::Close }
}

/// Only a head.
pub fn says(text: &'static str) -> Turn {
    Box::new(move |_, _| head(text))
}

/// Other bytes under a head of their own.
pub fn gives(text: &'static str, body: &[u8]) -> Turn {
    let body = body.to_vec();
    Box::new(move |_, _| Reply { body: body.clone(), ..head(text) })
}

/// An honest answer of which only `count` bytes arrive.
pub fn cut(count: usize, end: End) -> Turn {
    Box::new(move |ask, content| {
        let mut reply = honest(ask, content);
        reply.body.truncate(count);
        Reply { end, ..reply }
    })
}
