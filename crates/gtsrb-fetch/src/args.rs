//! Flags.

use std::path::PathBuf;
use std::time::Duration;

use signs::archives::HOME;
use stage::{Common, Error, Result, cache_dir};

/// Fetches the official archives of GTSRB (365 MB) and verifies them; what was interrupted goes on
/// where it was.
#[derive(clap::Parser, Debug)]
#[command(
    version,
    after_help = "Example:\n  gtsrb-fetch --to ~/GTSRB && make all PIPELINE=gtsrb GTSRB=~/GTSRB"
)]
pub struct Args {
    /// The folder for the archives [default: downloads/gtsrb in `$CACHE_DIR` or `cache`]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// The address of a folder with the archives, http or https
    #[arg(long, value_name = "URL", default_value = HOME)]
    mirror: String,
    /// How long a server may be silent, or slower than 1 KiB a second
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    patience: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// What was asked for, checked.
#[derive(Debug)]
pub struct Settings {
    /// The folder for the archives.
    pub to: PathBuf,
    /// Address of the folder that holds them, without a slash at its end.
    pub mirror: String,
    /// How long a server may be silent or too slow.
    pub patience: Duration,
}

impl Settings {
    /// The settings of this call.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        if !(args.patience > 0.0 && args.patience <= 3600.0) {
            return Err(Error::usage("--patience must be more than 0 and at most 3600 seconds"));
        }
        Ok(Self {
            to: args.to.clone().unwrap_or_else(|| cache_dir().join("downloads").join("gtsrb")),
            mirror: address(&args.mirror)?,
            patience: Duration::from_secs_f64(args.patience),
        })
    }
}

/// A mirror's address that can be shown: it holds no password and no token.
fn address(mirror: &str) -> Result<String> {
    let known = mirror.starts_with("https://") || mirror.starts_with("http://");
    if !known || mirror.contains(['@', '?', '#']) || mirror.contains(char::is_whitespace) {
        return Err(Error::usage(
            "--mirror must be the address of a folder, http://… or https://…, without user name, \
             password, ? or #",
        ));
    }
    Ok(mirror.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_folders() {
        assert_eq!(address("https://a.b/c/").unwrap(), "https://a.b/c");
        assert_eq!(address(HOME).unwrap(), HOME);
        for wrong in ["a.b/c", "file:///etc", "http://u:secret@a.b/", "https://a.b/c?sig=secret"] {
            let error = address(wrong).unwrap_err();
            assert_eq!(error.fault().code(), 64, "{wrong}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
