//! The client of a bucket, made from a URL and the environment.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, CredentialProvider, DynObjectStore, RetryConfig,
};
use stage::{Error, Result};

use crate::patience::wait;

/// How long a machine may take to say what credentials it has.
const ASK: Duration = Duration::from_secs(5);

/// How long connecting may take before it is tried again.
const CONNECT: &str = "5 seconds";

/// How long one request may take, of at most [`crate::read::RANGE`] bytes or so.
const REQUEST: &str = "60 seconds";

/// Bucket and path of `url`.
pub(crate) fn connect(url: &str) -> Result<(Arc<DynObjectStore>, Path)> {
    let unusable = |e: &dyn std::fmt::Display| Error::usage(format!("{url}: {e}"));
    let (scheme, rest) = url.split_once("://").ok_or_else(|| unusable(&"no URL"))?;
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = Path::parse(path).map_err(|e| unusable(&e))?;
    // Another part of the process may have chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = match scheme {
        "s3" => amazon(bucket)?,
        "gs" => google(bucket)?,
        "az" => azure(bucket)?,
        other => return Err(unusable(&format!("unknown scheme {other}"))),
    };
    Ok((store, path))
}

fn amazon(bucket: &str) -> Result<Arc<DynObjectStore>> {
    let wrong = |e: object_store::Error| Error::config(format!("s3://{bucket}: {e}"));
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry());
    for (key, value) in limits() {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    let store = builder.build().map_err(wrong)?;
    let known = ["AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE"];
    ask(known, store.credentials(), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")?;
    Ok(Arc::new(store))
}

fn google(bucket: &str) -> Result<Arc<DynObjectStore>> {
    let wrong = |e: object_store::Error| Error::config(format!("gs://{bucket}: {e}"));
    let mut builder =
        GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry());
    for (key, value) in limits() {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    let store = builder.build().map_err(wrong)?;
    let known = ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"];
    ask(known, store.credentials(), "GOOGLE_SERVICE_ACCOUNT")?;
    Ok(Arc::new(store))
}

fn azure(container: &str) -> Result<Arc<DynObjectStore>> {
    let wrong = |e: object_store::Error| Error::config(format!("az://{container}: {e}"));
    let mut builder =
        MicrosoftAzureBuilder::from_env().with_container_name(container).with_retry(retry());
    for (key, value) in limits() {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    let store = builder.build().map_err(wrong)?;
    let known = ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_KEY"];
    ask(known, store.credentials(), "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY")?;
    Ok(Arc::new(store))
}

/// Where none of the variables `known` says what the credentials are, finds out whether the
/// machine has some: else every request would wait for an answer that never comes.
///
/// # Errors
/// [`Config`](stage::Fault::Config), naming `wanted`, the variables to set.
fn ask<C>(
    known: [&str; 2],
    provider: &Arc<dyn CredentialProvider<Credential = C>>,
    wanted: &str,
) -> Result<()> {
    if known.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return Ok(());
    }
    let answer = wait(async { tokio::time::timeout(ASK, provider.get_credential()).await })?;
    if matches!(answer, Ok(Ok(_))) {
        return Ok(());
    }
    Err(Error::config(format!(
        "no credentials for the object store: set {wanted} in the environment"
    )))
}

/// For all providers the same.
fn limits() -> [(ClientConfigKey, &'static str); 2] {
    [(ClientConfigKey::ConnectTimeout, CONNECT), (ClientConfigKey::Timeout, REQUEST)]
}

/// The library tries again what servers refuse in passing, and what it knows to be harmless.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 1000,
        retry_timeout: stage::store_timeout(),
    }
}
