//! Pictures that can't be used: collected, reported, listed.

use std::fmt::Display;

use serde::Serialize;
use stage::{Error, Fault, Result};

use crate::args::OnError;

/// How many are reported one by one; the rest is counted.
const REPORTED: usize = 20;

/// A picture that can't be used, and why.
#[derive(Serialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bad {
    /// The picture's path, or the table's row.
    pub path: String,
    /// Why it can't be used.
    pub reason: String,
    /// Whether it isn't there at all.
    #[serde(skip)]
    pub missing: bool,
}

impl Bad {
    /// A picture that is there, but wrong.
    pub fn new(path: impl Into<String>, reason: impl Display) -> Self {
        Self { path: path.into(), reason: reason.to_string(), missing: false }
    }

    /// A picture that a table names, but that isn't there.
    pub fn missing(path: impl Into<String>, reason: impl Display) -> Self {
        Self { missing: true, ..Self::new(path, reason) }
    }
}

/// Reports the first of `bad`, and fails if that is what `on_error` asks for.
///
/// # Errors
/// [`Missing`](Fault::Missing) if all of them are not there, else [`Data`](Fault::Data).
pub fn report(bad: &[Bad], total: usize, on_error: OnError) -> Result<()> {
    let Some(first) = bad.first() else {
        return Ok(());
    };
    for Bad { path, reason, .. } in bad.iter().take(REPORTED) {
        tracing::warn!("{}: {reason}", shown(path));
    }
    if bad.len() > REPORTED {
        tracing::warn!("and {} more", bad.len() - REPORTED);
    }
    if on_error == OnError::Skip {
        return Ok(());
    }
    let fault = if bad.iter().all(|b| b.missing) { Fault::Missing } else { Fault::Data };
    let Bad { path, reason, .. } = first;
    Err(Error::new(
        fault,
        format!(
            "{} of {total} pictures are bad, the first is {}: {reason}; repair or remove them, \
             or leave them out with --on-error skip",
            bad.len(),
            shown(path)
        ),
    ))
}

/// A path for a message: control characters would let a file's name write to the terminal.
pub fn shown(path: &str) -> String {
    let hostile =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if path.chars().any(hostile) { path.escape_default().to_string() } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_ones_are_missing() {
        let gone = Bad::missing("a", "not there");
        let broken = Bad::new("b", "damaged");
        let fault = |bad: &[Bad]| report(bad, 9, OnError::Fail).unwrap_err().fault();
        assert_eq!(fault(std::slice::from_ref(&gone)), Fault::Missing);
        assert_eq!(fault(&[gone.clone(), broken]), Fault::Data);
        assert!(report(&[gone], 9, OnError::Skip).is_ok());
        assert!(report(&[], 9, OnError::Fail).is_ok());
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        assert_eq!(shown("Straße 1.png"), "Straße 1.png");
        assert_eq!(shown("a\u{1b}[2J\n"), "a\\u{1b}[2J\\n");
    }
}
