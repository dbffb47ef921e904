//! One error type: a message for a person and a fault that fixes the exit code.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;

/// What went wrong, as far as a scheduler must know; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The command line makes no sense.
    Usage = 64,
    /// Input was read and is wrong.
    Data = 65,
    /// Input isn't there.
    Missing = 66,
    /// A library, device or service can't be used.
    Unavailable = 69,
    /// A bug of ours.
    Internal = 70,
    /// An output can't be opened, made or renamed.
    Create = 73,
    /// A device failed while reading or writing.
    Io = 74,
    /// Somebody else holds the lock, or input changed underfoot: the same command later works.
    Busy = 75,
    /// A setting or the environment is wrong.
    Config = 78,
    /// SIGINT.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl Fault {
    /// The exit code of this fault.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// A message that names the file, the reason and the remedy, and its [`Fault`].
#[derive(Debug, Clone)]
pub struct Error {
    fault: Fault,
    message: String,
}

/// What every fallible function of the stages returns.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! shorthands {
    ($($(#[$doc:meta])* $name:ident => $fault:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(message: impl Into<String>) -> Self {
            Self::new(Fault::$fault, message)
        }
    )+};
}

impl Error {
    /// An error with `fault` and a message for a person.
    #[must_use]
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }

    shorthands! {
        /// [`Fault::Usage`].
        usage => Usage,
        /// [`Fault::Data`].
        data => Data,
        /// [`Fault::Missing`].
        missing => Missing,
        /// [`Fault::Unavailable`].
        unavailable => Unavailable,
        /// [`Fault::Internal`].
        internal => Internal,
        /// [`Fault::Create`].
        create => Create,
        /// [`Fault::Io`].
        io => Io,
        /// [`Fault::Busy`].
        busy => Busy,
        /// [`Fault::Config`].
        config => Config,
    }

    /// A failed open or read of `path`: [`Fault::Missing`] if it isn't there, else [`Fault::Io`].
    #[must_use]
    pub fn read(path: &Path, error: &io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::Missing,
            _ => Fault::Io,
        };
        Self::new(fault, format!("cannot read {}: {error}", path.display()))
    }

    /// A failed creation or write of `path`: [`Fault::Io`] if the device failed or is full,
    /// else [`Fault::Create`].
    #[must_use]
    pub fn write(path: &Path, error: &io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::WriteZero => Fault::Io,
            _ if error.raw_os_error() == Some(5) => Fault::Io, // EIO has no kind of its own
            _ => Fault::Create,
        };
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space",
            io::ErrorKind::FileTooLarge => "; raise the limit of file sizes (ulimit -f)",
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                "; make it writable or choose another folder"
            }
            _ => "",
        };
        Self::new(fault, format!("cannot write {}: {error}{remedy}", path.display()))
    }

    /// A thread that can't be started: [`Fault::Io`].
    #[must_use]
    pub fn thread(error: &impl Display) -> Self {
        Self::io(format!(
            "cannot start a thread: {error}: give fewer by --threads, or raise the limit (ulimit -u)"
        ))
    }

    /// Which fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The same fault, its message behind `what`.
    #[must_use]
    pub fn context(self, what: impl Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_follow_the_io_error() {
        let path = Path::new("a/b");
        let missing = Error::read(path, &io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(missing.fault(), Fault::Missing);
        assert!(missing.to_string().contains("a/b"));
        assert_eq!(Error::read(path, &io::Error::from_raw_os_error(20)).fault(), Fault::Missing);
        assert_eq!(Error::read(path, &io::Error::from_raw_os_error(5)).fault(), Fault::Io);
        let full = Error::write(path, &io::Error::from_raw_os_error(28));
        assert_eq!(full.fault(), Fault::Io);
        assert!(full.to_string().ends_with("; free some space"), "{full}");
        assert_eq!(Error::write(path, &io::Error::from_raw_os_error(5)).fault(), Fault::Io);
        assert_eq!(Error::write(path, &io::Error::from_raw_os_error(30)).fault(), Fault::Create);
    }

    #[test]
    fn context_keeps_the_fault() {
        let error = Error::data("row 3 is short").context("x.csv");
        assert_eq!(
            (error.fault().code(), error.to_string().as_str()),
            (65, "x.csv: row 3 is short")
        );
    }
}
