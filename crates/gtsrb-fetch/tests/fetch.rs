//! Downloads from a server that behaves like the worst of them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod server;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser as _;
use gtsrb_fetch::{Args, Summary, fetch};
use md5::{Digest as _, Md5};
use server::{End, Reply, Server, Turn, cut, gives, head, honest, says};
use signs::archives::Archive;
use stage::{Outcome, Result};
use tempfile::TempDir;

/// The name under which tests fetch.
const NAME: &str = "signs.zip";

/// What is fetched: more than a pipe or a socket holds at once.
fn content() -> Vec<u8> {
    (0_u32..300_000).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 16).to_le_bytes()).collect()
}

fn archive(name: &'static str, content: &[u8]) -> Archive {
    let md5 = format!("{:032x}", u128::from_be_bytes(Md5::digest(content).into()));
    Archive { name, bytes: content.len() as u64, md5: md5.leak() }
}

/// Fetches NAME from `server` into `dir` with little patience.
fn call(dir: &Path, server: &Server) -> Result<Outcome<Summary>> {
    call_all(dir, server, &[archive(NAME, &content())])
}

fn call_all(dir: &Path, server: &Server, archives: &[Archive]) -> Result<Outcome<Summary>> {
    let to = dir.to_str().unwrap();
    let mirror = &server.url;
    fetch(&Args::parse_from(["x", "--to", to, "--mirror", mirror, "--patience", "0.3"]), archives)
}

/// A call that must succeed with the right bytes and nothing else in the folder.
fn succeeds(dir: &Path, server: &Server) {
    call(dir, server).unwrap();
    assert!(fs::read(dir.join(NAME)).unwrap() == content());
    assert_eq!(names(dir), [".lock", "manifest.json", NAME]);
}

/// A call that must fail so and leave no archive.
fn fails(dir: &Path, server: &Server, code: u8, wanted: &str) {
    let error = call(dir, server).unwrap_err();
    assert_eq!(error.fault().code(), code, "{error}");
    assert!(error.to_string().contains(wanted), "{error}");
    assert!(error.to_string().contains(NAME), "{error}");
    assert!(!dir.join(NAME).exists() && !dir.join("manifest.json").exists());
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A folder in which half of NAME has arrived from `server`.
fn half(server: &Server) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    fs::write(dir.path().join("signs.zip.part"), &content[..content.len() / 2]).unwrap();
    notes(dir.path(), &format!("{}/{NAME}", server.url));
    dir
}

fn notes(dir: &Path, url: &str) {
    let notes = format!(r#"{{"url":"{url}","version":"\"one\""}}"#);
    fs::write(dir.join("signs.zip.part.json"), notes).unwrap();
}

#[test]
fn archives_arrive_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(content(), vec![]);
    let archives = ["a.zip", "b.zip", "c.zip"].map(|name| archive(name, &content()));
    call_all(dir.path(), &server, &archives).unwrap();
    assert_eq!(names(dir.path()), [".lock", "a.zip", "b.zip", "c.zip", "manifest.json"]);
    let mut paths: Vec<_> = server.asked().into_iter().map(|ask| ask.path).collect();
    paths.sort();
    assert_eq!(paths, ["/a.zip", "/b.zip", "/c.zip"]);
    assert_eq!(server.asked()[0].header("accept-encoding"), Some("identity"));
    let again = call_all(dir.path(), &server, &archives).unwrap();
    assert!(matches!(again, Outcome::Current(_)));
    // What was damaged is fetched again, what was brought by hand isn't.
    fs::write(dir.path().join("b.zip"), "x").unwrap();
    fs::remove_file(dir.path().join("manifest.json")).unwrap();
    call_all(dir.path(), &server, &archives).unwrap();
    assert_eq!(server.asked().len(), 4);
    assert!(fs::read(dir.path().join("b.zip")).unwrap() == content());
}

#[test]
fn a_cut_connection_goes_on_where_it_was() {
    let whole = content().len();
    for end in [End::Close, End::Reset] {
        for count in [0, 1, whole / 2, whole - 1] {
            let dir = tempfile::tempdir().unwrap();
            let server = Server::new(content(), vec![cut(count, end)]);
            succeeds(dir.path(), &server);
            let [first, second] = &server.asked()[..] else { panic!("{:?}", server.asked()) };
            assert_eq!(first.header("range"), None);
            // A reset may take along what was on its way.
            assert!(second.start <= count, "{second:?}");
            if second.start > 0 {
                assert_eq!(second.header("if-range"), Some(server::ETAG));
            }
            if matches!(end, End::Close) {
                assert_eq!(second.start, count);
            }
        }
    }
}

#[test]
fn a_server_that_always_cuts_is_given_up_and_the_part_kept() {
    let dir = tempfile::tempdir().unwrap();
    let cuts = |_| cut(1000, End::Close);
    let server = Server::new(content(), (0..5).map(cuts).collect());
    fails(dir.path(), &server, 69, "the connection was cut after 5000 of 1200000 bytes");
    assert_eq!(fs::metadata(dir.path().join("signs.zip.part")).unwrap().len(), 5000);
    succeeds(dir.path(), &server);
    assert_eq!(server.asked().last().unwrap().start, 5000);
}

#[test]
fn odd_answers_to_a_range() {
    let ignores: Turn = Box::new(|ask, content| {
        let whole = server::Ask { start: 0, head: vec![], ..ask.clone() };
        honest(&whole, content)
    });
    let shifted: Turn = Box::new(|ask, content| {
        let reply = honest(ask, content);
        let start = format!("bytes {}-", ask.start);
        Reply { head: reply.head.replace(&start, &format!("bytes {}-", ask.start + 1)), ..reply }
    });
    let changed: Turn = Box::new(|ask, content| {
        let reply = honest(ask, content);
        Reply { head: reply.head.replace("one", "two"), ..reply }
    });
    let several = gives(
        "206 Partial Content\r\ncontent-type: multipart/byteranges; boundary=x\r\nconnection: close",
        b"--x\r\n\r\nabc",
    );
    let none = says("416 Range Not Satisfiable\r\ncontent-length: 0\r\nconnection: close");
    for turn in [ignores, shifted, changed, several, none] {
        let server = Server::new(content(), vec![turn]);
        let dir = half(&server);
        succeeds(dir.path(), &server);
        assert_eq!(server.asked()[0].start, content().len() / 2);
    }
}

#[test]
fn a_wrong_splice_is_fetched_from_its_start() {
    let other: Turn = Box::new(|ask, content| {
        let other: Vec<u8> = content.iter().map(|byte| !byte).collect();
        honest(ask, &other)
    });
    let server = Server::new(content(), vec![other]);
    let dir = half(&server);
    succeeds(dir.path(), &server);
    let starts: Vec<_> = server.asked().iter().map(|ask| ask.start).collect();
    assert_eq!(starts, [content().len() / 2, 0]);
    // A whole one is there already: nothing is asked.
    let dir = half(&server);
    fs::write(dir.path().join("signs.zip.part"), content()).unwrap();
    succeeds(dir.path(), &server);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn lies_about_the_length() {
    let close = "\r\nconnection: close";
    let long = vec![b'x'; 3_000_000];
    for (head, body, code, wanted) in [
        ("content-length: 10", &long[..10], 65, "10 bytes, the published one 1200000"),
        ("content-length: 3000000", &long[..], 65, "3000000 bytes"),
        ("x-length: none", &long[..], 65, "its MD5 is"),
        ("x-length: none", &long[..10], 69, "cut after 10 of"),
        ("content-length: -5", &long[..10], 69, "cannot get"),
        ("content-length: 1200000\r\ncontent-encoding: gzip", &long[..10], 69, "packed"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let text: &'static str = format!("200 OK\r\n{head}{close}").leak();
        let server = Server::new(vec![], (0..5).map(|_| gives(text, body)).collect());
        fails(dir.path(), &server, code, wanted);
        let part = fs::metadata(dir.path().join("signs.zip.part")).map_or(0, |part| part.len());
        assert!(part <= content().len() as u64);
    }
    // Without end, in pieces.
    let piece = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
    let dir = tempfile::tempdir().unwrap();
    let text = "200 OK\r\ntransfer-encoding: chunked\r\nconnection: close";
    let server = Server::new(vec![], vec![gives(text, &piece.repeat(40))]);
    fails(dir.path(), &server, 65, "its MD5 is");
}

#[test]
fn wrong_bytes_are_refused_and_not_kept() {
    let page = b"<!DOCTYPE html><title>Please log in</title>";
    let long_page = [page.as_slice(), &vec![b' '; content().len() - page.len()]].concat();
    for (body, wanted) in [
        (page.to_vec(), "looks like a web page"),
        (long_page, "looks like a web page"),
        (vec![7; content().len()], "the published one"),
        (vec![], "0 bytes"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(body, vec![]);
        fails(dir.path(), &server, 65, wanted);
        assert_eq!(names(dir.path()), [".lock"]);
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn statuses_that_pass_and_that_stay() {
    let dir = tempfile::tempdir().unwrap();
    let closed = ["503 Busy", "429 Too Many Requests", "500 Oops"];
    let turn =
        |status: &str| says(format!("{status}\r\ncontent-length: 0\r\nconnection: close").leak());
    let server = Server::new(content(), closed.map(turn).into());
    succeeds(dir.path(), &server);
    assert_eq!(server.asked().len(), 4);
    for status in ["404 Not Found", "403 Forbidden", "204 No Content"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(content(), vec![turn(status)]);
        fails(dir.path(), &server, 69, status);
        assert_eq!(server.asked().len(), 1);
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(content(), (0..5).map(|_| turn("503 Busy")).collect());
    fails(dir.path(), &server, 69, "503");
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn redirects_are_followed_so_far() {
    let honest = Server::new(content(), vec![]);
    let to = |url: &str| {
        let head =
            format!("302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close");
        says(head.leak())
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(vec![], vec![to(&format!("{}/elsewhere", honest.url))]);
    succeeds(dir.path(), &server);
    assert_eq!(honest.asked()[0].path, "/elsewhere");
    for url in ["/again", "file:///etc/passwd", "http://user:secret@127.0.0.1:1/x?sig=secret"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(vec![], (0..60).map(|_| to(url)).collect());
        fails(dir.path(), &server, 69, "cannot get");
        let error = call(dir.path(), &server).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert!(server.asked().len() <= 22, "{}", server.asked().len());
    }
}

#[test]
fn silence_and_slowness_are_not_waited_for() {
    let drip: fn(usize) -> Turn = |_| cut(100, End::Drip);
    let silent: fn(usize) -> Turn = |_| cut(100, End::Silence);
    let mute: fn(usize) -> Turn =
        |_| Box::new(|_, _| Reply { end: End::Silence, ..head("200 OK\r\nx-endless: ") });
    let endless: fn(usize) -> Turn = |_| {
        Box::new(|_, _| Reply { body: b"x: ".to_vec(), end: End::Drip, ..head("100 Continue") })
    };
    for (turn, wanted) in [(drip, "1024 bytes a second"), (silent, ""), (mute, ""), (endless, "")] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(content(), (0..5).map(turn).collect());
        fails(dir.path(), &server, 69, wanted);
    }
}

#[test]
fn poisoned_parts() {
    let starts = |server: &Server| server.asked().iter().map(|a| a.start).collect::<Vec<_>>();
    // Of another address, and longer than the file.
    let server = Server::new(content(), vec![]);
    let dir = half(&server);
    notes(dir.path(), "http://other.invalid/signs.zip");
    succeeds(dir.path(), &server);
    assert_eq!(starts(&server), [0]);
    let dir = half(&server);
    fs::write(dir.path().join("signs.zip.part"), vec![0; content().len() + 1]).unwrap();
    succeeds(dir.path(), &server);
    // A link is not written through, a folder not removed.
    let dir = half(&server);
    let (part, mine) = (dir.path().join("signs.zip.part"), dir.path().join("mine"));
    fs::write(&mine, "mine").unwrap();
    fs::remove_file(&part).unwrap();
    symlink(&mine, &part).unwrap();
    fails(dir.path(), &server, 73, "no plain file");
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
    fs::remove_file(&part).unwrap();
    fs::create_dir(&part).unwrap();
    fails(dir.path(), &server, 73, "no plain file");
    assert_eq!(starts(&server), [0, 0]);
}

/// The real program, with the official archives.
fn program(dir: &Path, mirror: &str, patience: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gtsrb-fetch"));
    command.env_clear().args(["--mirror", mirror, "--patience", patience]);
    command.env("CACHE_DIR", dir).current_dir(dir).stdin(Stdio::null());
    command
}

#[test]
fn without_a_network_the_remedy_is_told() {
    for mirror in ["http://127.0.0.1:1", "http://nowhere.invalid"] {
        let dir = tempfile::tempdir().unwrap();
        let output = program(dir.path(), mirror, "2").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{stderr}");
        let lines: Vec<_> = stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{stderr}");
        for wanted in ["error: ", mirror, "--mirror", "GTSRB=DIR"] {
            assert!(lines[0].contains(wanted), "{stderr}");
        }
        assert_eq!(names(&dir.path().join("downloads/gtsrb")), [".lock"]);
    }
}

#[test]
fn one_fetch_at_a_time_and_a_signal_keeps_the_parts() {
    let dir = tempfile::tempdir().unwrap();
    let head = "200 OK\r\ncontent-length: 99620\r\netag: \"one\"";
    let part = |_| -> Turn {
        Box::new(move |ask, _| {
            if ask.path.contains("_GT") {
                Reply { head: head.into(), body: vec![1; 5000], end: End::Silence }
            } else {
                Reply { end: End::Silence, ..server::head("100 Continue") }
            }
        })
    };
    let server = Server::new(vec![], (0..40).map(part).collect());
    let mut first = program(dir.path(), &server.url, "60");
    let mut first = first.stderr(Stdio::null()).spawn().unwrap();
    let path = dir.path().join("downloads/gtsrb/GTSRB_Final_Test_GT.zip.part");
    until(|| fs::metadata(&path).is_ok_and(|part| part.len() == 5000));

    let second = program(dir.path(), &server.url, "2").output().unwrap();
    assert_eq!(second.status.code(), Some(75));

    let pid = first.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = Instant::now();
    let status = first.wait().unwrap();
    assert!(ended.elapsed() < Duration::from_secs(5), "it didn't listen");
    assert_eq!(status.code(), Some(143));

    let asked = server.asked().len();
    let third = program(dir.path(), &server.url, "0.2").output().unwrap();
    assert_eq!(third.status.code(), Some(69));
    let resumed = server.asked()[asked..].iter().any(|ask| ask.start == 5000);
    assert!(resumed, "{:?}", &server.asked()[asked..]);
}

fn until(done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_mins(1), "it never happened");
        sleep(Duration::from_millis(10));
    }
}
