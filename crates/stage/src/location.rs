//! Where a run or a cache lies: a local folder, or a URL of an object store. Stages work on
//! local folders; what has a URL is worked on in its mirror, `$CACHE_DIR/mirror/s3/BUCKET/PATH`
//! for `s3://BUCKET/PATH`, so that a path under the mirror names an object and the other way
//! round.

use std::path::{Component, Path, PathBuf, absolute};
use std::sync::OnceLock;
use std::time::Duration;

use crate::{Error, Result, cache_dir};

/// The schemes of URLs: Amazon S3 and what speaks its language, Google Cloud Storage, Azure.
const SCHEMES: [&str; 3] = ["s3", "gs", "az"];

/// How long a store may fail where no flag says so, in seconds.
pub(crate) const STORE_TIMEOUT: u64 = 300;

static TIMEOUT: OnceLock<Duration> = OnceLock::new();

/// The local folder of what a user named: a path stays as it is, a URL becomes its mirror.
///
/// # Errors
/// [`Usage`](crate::Fault::Usage) if it looks like a URL and is none that can be used.
pub fn local(named: &Path) -> Result<PathBuf> {
    let Some((scheme, rest)) = named.to_str().and_then(|text| text.split_once("://")) else {
        return Ok(named.to_owned());
    };
    let path = Path::new(rest);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let sound = !rest.contains(['@', '?', '#', ':', '\\']) && path.components().all(plain);
    if SCHEMES.contains(&scheme) && sound && !rest.is_empty() {
        return Ok(mirrors().join(scheme).join(path));
    }
    // It isn't repeated: people put passwords into URLs.
    Err(Error::usage(
        "a URL must be s3://BUCKET/PATH, gs://BUCKET/PATH or az://CONTAINER/PATH; endpoint and \
         credentials come from the environment",
    ))
}

/// The URL that the folder or file at `path` mirrors, if it does.
#[must_use]
pub fn url_of(path: &Path) -> Option<String> {
    let mirrors = mirrors();
    let mirrors = if path.is_absolute() { absolute(mirrors).ok()? } else { mirrors };
    let inside = path.strip_prefix(mirrors).ok()?.to_str()?;
    let (scheme, rest) = inside.split_once('/')?;
    SCHEMES.contains(&scheme).then(|| format!("{scheme}://{}", rest.trim_end_matches('/')))
}

/// How long a store may fail on end before a stage gives up.
#[must_use]
pub fn store_timeout() -> Duration {
    *TIMEOUT.get_or_init(|| Duration::from_secs(STORE_TIMEOUT))
}

/// Sets [`store_timeout`], once.
pub(crate) fn set_store_timeout(seconds: u64) {
    // A second time there would be only in tests.
    let _ = TIMEOUT.set(Duration::from_secs(seconds));
}

fn mirrors() -> PathBuf {
    cache_dir().join("mirror")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_and_its_mirror_name_each_other() {
        let run = local(Path::new("s3://bucket/runs/my run")).unwrap();
        assert!(run.ends_with("mirror/s3/bucket/runs/my run"), "{}", run.display());
        let part = url_of(&run.join("images")).unwrap();
        assert_eq!(part, "s3://bucket/runs/my run/images");
        let whole = absolute(run.join("images")).unwrap();
        assert_eq!(url_of(&whole), Some(part));
        assert_eq!(local(Path::new("runs/a")).unwrap(), Path::new("runs/a"));
        assert_eq!(url_of(Path::new("runs/a")), None);
        assert_eq!(url_of(&mirrors()), None);
    }

    #[test]
    fn other_urls_are_refused_and_not_repeated() {
        for url in ["ftp://host/x", "s3://key:secret@bucket/x", "s3://", "gs://b/../c", "s3://b/?x"]
        {
            let error = local(Path::new(url)).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Usage);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
