//! What went wrong in a store, in our words: without secrets, on one line.

use std::error::Error as _;

use object_store::Error as Cause;
use object_store::client::HttpError;
use stage::Error;

/// Variables that hold secrets.
const SECRETS: [&str; 8] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

/// Longest cause that is repeated, in characters: servers answer with whole pages.
const LONGEST: usize = 300;

/// Whether the same again may succeed although the library gave up: the connection broke at a
/// place where the library can't know what the server did.
pub(crate) fn is_passing(error: &Cause) -> bool {
    let mut cause = error.source();
    while let Some(source) = cause {
        if source.is::<HttpError>() {
            return true;
        }
        cause = source.source();
    }
    false
}

/// The error for a person; `url` is the object's.
pub(crate) fn explain(error: &Cause, url: &str) -> Error {
    let cause = one_line(error);
    match error {
        Cause::NotFound { .. } => Error::missing(format!("{url} is not there")),
        Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => Error::config(format!(
            "{url}: access denied ({cause}): check the credentials in the environment and what \
             they allow"
        )),
        Cause::NotImplemented { .. } | Cause::NotSupported { .. } => Error::config(format!(
            "{url}: this store can't do what is needed ({cause}): take one with conditional \
             writes"
        )),
        _ => Error::unavailable(format!("{url}: the store doesn't answer as it should: {cause}")),
    }
}

/// The root cause, shortened, without secrets.
fn one_line(error: &Cause) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let mut text = root.to_string();
    for secret in SECRETS.iter().filter_map(|name| std::env::var(name).ok()) {
        text = hide(&text, &secret);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST).collect()
}

fn hide(text: &str, secret: &str) -> String {
    if secret.is_empty() { text.to_owned() } else { text.replace(secret, "***") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short_and_keep_secrets() {
        assert_eq!(hide("key=abc&x", "abc"), "key=***&x");
        assert_eq!(hide("key", ""), "key");
        let source = format!("first\n  second {}", "x".repeat(1000)).into();
        let error = Cause::Generic { store: "S3", source };
        assert!(!is_passing(&error));
        let text = explain(&error, "s3://b/x").to_string();
        assert!(text.contains("first second xx") && text.len() < 400, "{text}");
    }
}
