//! What a server's answer means for a part.

use std::io::Read as _;

use signs::archives::Archive;
use stage::Error;
use ureq::Body;
use ureq::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED,
};
use ureq::http::{Response, StatusCode};

use crate::client::Failure;
use crate::verify::{kind_of, wrong_size};

/// What to do with the bytes that follow.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// They go on where the part ends.
    Rest,
    /// They are the whole file, of this version.
    Whole(Option<String>),
    /// There are none that fit the part: ask for the whole file.
    Restart(&'static str),
}

/// Reads the head of `response` to a request from `offset` on.
///
/// # Errors
/// [`Data`](stage::Fault::Data) where the file has another size than `archive`,
/// [`Unavailable`](stage::Fault::Unavailable) where asking again is of no use.
pub fn read(
    response: &mut Response<Body>,
    archive: &Archive,
    offset: u64,
    version: Option<&str>,
) -> Result<Answer, Failure> {
    let status = response.status();
    let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
    if status.is_success() && header(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Error::unavailable("it comes packed, though asked for as it is").into());
    }
    match status {
        StatusCode::PARTIAL_CONTENT if offset > 0 => {
            let found = version_of(response);
            if found.is_some() && found.as_deref() != version {
                return Ok(Answer::Restart("the file has changed"));
            }
            match header(CONTENT_RANGE).and_then(range) {
                Some((start, total)) if start == offset => match total {
                    Some(total) if total != archive.bytes => Err(size(total, archive, "")),
                    _ => Ok(Answer::Rest),
                },
                _ => Ok(Answer::Restart("the server sent another range")),
            }
        }
        StatusCode::OK => {
            let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
            match length {
                Some(length) if length != archive.bytes => {
                    let mut start = Vec::new();
                    // Only to say what it looks like.
                    let _ = response.body_mut().as_reader().take(512).read_to_end(&mut start);
                    Err(size(length, archive, kind_of(&start)))
                }
                _ => Ok(Answer::Whole(version_of(response))),
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
            Ok(Answer::Restart("the server has no such range"))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(passing(status)),
        _ if status.is_server_error() => Err(passing(status)),
        _ => Err(Error::unavailable(format!("the server answers {status}")).into()),
    }
}

fn passing(status: StatusCode) -> Failure {
    Failure::Passing(format!("the server answers {status}"))
}

fn size(found: u64, archive: &Archive, kind: &str) -> Failure {
    Error::data(format!("{}{kind}", wrong_size(found, archive))).into()
}

/// The server's name for the file's version that may stand in `If-Range`.
fn version_of(response: &Response<Body>) -> Option<String> {
    let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
    let strong = header(ETAG).filter(|tag| !tag.starts_with("W/"));
    strong.or_else(|| header(LAST_MODIFIED)).map(str::to_owned)
}

/// Start and total of a `Content-Range`: `bytes START-END/TOTAL`, TOTAL perhaps `*`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = span.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range("bytes 10-99/100"), Some((10, Some(100))));
        assert_eq!(range("bytes 10-99/*"), Some((10, None)));
        for wrong in ["bytes */100", "10-99/100", "bytes 10-99", "bytes -1-2/3", "bytes 1-2/x"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
