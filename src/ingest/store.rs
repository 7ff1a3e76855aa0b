//! Opens object stores, from a URL, the `storage` settings of the source, and the environment. Secrets come from the
//! environment only. A store that does not answer is reported after a fixed time. Nothing is ever written to a store.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt,
    RetryConfig,
};
use url::Url;

use super::odd_keys::{Connector, OddKey, OddKeys};
use super::store_error::{explain, is_answer, lacks_bucket, misconfigured, silent};
use super::store_hosts;
use crate::error::{Error, Result};

/// How long a store may send nothing before it counts as unreachable.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A store, and the key or the pattern of keys that a URL names in it.
#[derive(Clone)]
pub(super) struct Remote {
    pub store: Arc<dyn ObjectStore>,
    /// Such as `s3://bucket`. The name of an object is this, a `/` and its key.
    pub base: String,
    /// The address of the store, for messages.
    pub endpoint: String,
    pub key: String,
    /// Whether the store can list its objects. An http or https server can't.
    pub lists: bool,
    odd: OddKeys,
}

/// The scheme of a URL. `None`: the text is a local path.
pub(super) fn scheme(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once("://")?;
    scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        .then_some(scheme)
}

impl Remote {
    /// Opens the store that a URL names. `storage` holds settings by their names in object_store.
    ///
    /// # Errors
    /// A URL that names no store, and a setting that the store does not know. Both are errors of the project.
    pub fn open(url: &str, storage: &[(String, String)]) -> Result<Self> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| Error::project(format!("`{url}` is no URL")))?;
        let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || key.is_empty() {
            return Err(
                Error::project(format!("`{scheme}://` needs a bucket and a path below it"))
                    .hint(format!("write it as {scheme}://bucket/path/file.json")),
            );
        }
        if host.contains('@') {
            return Err(Error::project("the input's URL holds a user name or a password")
                .hint("credentials of a store come from the environment"));
        }
        // It may become a part of the server's name: `evil.example#` in front of the rest.
        let is_bucket = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if matches!(scheme, "s3" | "s3a") && !host.chars().all(is_bucket) {
            return Err(
                Error::project("the name of a bucket has letters, digits, `-`, `.` and `_` only")
                    .hint("write it as s3://bucket/path/file.json"),
            );
        }
        store_hosts::check(url, storage, variable)?;
        let base = format!("{scheme}://{host}");
        let odd = OddKeys::default();
        let (store, endpoint, key, lists) = match scheme {
            "s3" | "s3a" => (
                s3(host, storage, &odd)?,
                endpoint_of(storage, "AWS_ENDPOINT"),
                key.to_owned(),
                true,
            ),
            "gs" => (gcs(host, storage, &odd)?, None, key.to_owned(), true),
            "az" | "azure" => (
                azure(host, storage)?,
                endpoint_of(storage, "AZURE_ENDPOINT"),
                key.to_owned(),
                true,
            ),
            "http" | "https" => (http(&base, storage)?, None, web_path(url)?, false),
            _ => {
                return Err(Error::project(format!("the scheme `{scheme}://` is not known"))
                    .hint("use a local path, s3://, gs://, az:// or https://"));
            }
        };
        let endpoint = endpoint.unwrap_or_else(|| base.clone());
        Ok(Self {
            store,
            base,
            endpoint,
            key,
            lists,
            odd,
        })
    }

    /// Looks up the object with exactly this key. `None`: there is none.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        let path = self.path(key)?;
        match tokio::time::timeout(PATIENCE, self.store.head(&path)).await {
            Err(_) => Err(self.silent()),
            Ok(Err(StoreError::NotFound { .. })) => self.missing(&path).await.map(|()| None),
            Ok(Err(error)) => Err(self.explain_at(key, &self.asked_again(&path, error).await)),
            Ok(Ok(meta)) => Ok(Some(meta)),
        }
    }

    fn path(&self, key: &str) -> Result<Path> {
        Path::parse(key).map_err(|_| {
            Error::project(format!("`{}/{key}` is no valid path of an object", self.base))
                .hint("it may have no empty part (`//`), no `.` or `..`, and no control character")
        })
    }

    /// Makes sure that a missing object is not a missing bucket. The answer to a HEAD request does not say which it is.
    async fn missing(&self, path: &Path) -> Result<()> {
        if !self.lists {
            return Ok(());
        }
        let parent = path.as_ref().rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut objects = self.store.list(Some(&Path::parse(parent).unwrap_or_default()));
        match tokio::time::timeout(PATIENCE, objects.next()).await {
            // Another error is no sign of a missing bucket. The right to list may be lacking.
            Ok(Some(Err(error))) if lacks_bucket(&error) => Err(self.explain_at(path.as_ref(), &error)),
            _ => Ok(()),
        }
    }

    /// Asks again with a request whose answer has a body, and so says why it is refused.
    async fn asked_again(&self, path: &Path, error: StoreError) -> StoreError {
        if !is_answer(&error) {
            return error;
        }
        let options = GetOptions::default().with_range(Some(GetRange::Bounded(0..1)));
        match tokio::time::timeout(PATIENCE, self.store.get_opts(path, options)).await {
            Ok(Err(told)) => told,
            _ => error,
        }
    }

    /// Lists all objects below `prefix`, which holds whole segments of their keys; and those of them that can't be
    /// fetched.
    pub async fn list(&self, prefix: &[&str]) -> Result<(Vec<ObjectMeta>, Vec<OddKey>)> {
        let prefix = self.path(&prefix.join("/"))?;
        let named = prefix.to_string();
        let mut objects = self
            .store
            .list(Some(&prefix))
            .map_err(|error| self.explain_at(&named, &error));
        let mut found = Vec::new();
        loop {
            match tokio::time::timeout(PATIENCE, objects.next()).await {
                Err(_) => return Err(self.silent()),
                Ok(None) => return Ok((found, self.odd.take())),
                Ok(Some(meta)) => found.push(meta?),
            }
        }
    }

    /// As [`Self::explain`], with the object or folder in front of the message.
    fn explain_at(&self, key: &str, error: &StoreError) -> Error {
        let explained = self.explain(error);
        let message = format!("{}/{key} can't be looked for: {}", self.base, explained.message);
        Error { message, ..explained }
    }

    /// Asks for the first object below `prefix`, to find out whether objects may be listed.
    pub async fn list_any(&self, prefix: &[&str]) -> Result<()> {
        let prefix = prefix.join("/");
        let path = Path::parse(&prefix)
            .map_err(|_| Error::project(format!("`{}/{prefix}` is no valid path of an object", self.base)))?;
        let mut objects = self.store.list(Some(&path));
        match tokio::time::timeout(PATIENCE, objects.next()).await {
            Err(_) => Err(self.silent()),
            Ok(Some(Err(error))) => Err(self.explain_at(&prefix, &error)),
            Ok(None | Some(Ok(_))) => Ok(()),
        }
    }

    /// Turns an error of the store into one for the user.
    pub fn explain(&self, error: &StoreError) -> Error {
        explain(error, &self.endpoint)
    }

    pub fn silent(&self) -> Error {
        silent(&self.endpoint, PATIENCE.as_secs())
    }
}

/// A variable of the environment. The servers of this crate's own tests are on this machine.
fn variable(name: &str) -> Option<String> {
    if cfg!(test) && name == store_hosts::LISTED {
        return Some("127.0.0.1".to_owned());
    }
    std::env::var(name).ok()
}

/// Retries only a few times and quickly, so that an unreachable store is known within about [`PATIENCE`].
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(12),
    }
}

/// The time limits of a request. object_store's own limit covers the whole request with its response, so a large object
/// that is read slowly would exceed it. It is set so high that it does not matter: [`super::fetch`] watches for silence
/// instead.
const CLIENT: [(ClientConfigKey, &str); 2] = [
    (ClientConfigKey::Timeout, "7 days"),
    (ClientConfigKey::ConnectTimeout, "5 seconds"),
];

fn s3(bucket: &str, storage: &[(String, String)], odd: &OddKeys) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_http_connector(Connector(odd.clone()))
        .with_retry(retries());
    for (key, value) in CLIENT {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    for (name, value) in storage {
        builder = builder.with_config(setting::<AmazonS3ConfigKey>(name, "S3")?, value);
    }
    Ok(Arc::new(builder.build().map_err(|error| misconfigured(&error))?))
}

fn gcs(bucket: &str, storage: &[(String, String)], odd: &OddKeys) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(bucket)
        .with_http_connector(Connector(odd.clone()))
        .with_retry(retries());
    for (key, value) in CLIENT {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    for (name, value) in storage {
        builder = builder.with_config(setting::<GoogleConfigKey>(name, "Google Cloud Storage")?, value);
    }
    Ok(Arc::new(builder.build().map_err(|error| misconfigured(&error))?))
}

fn azure(container: &str, storage: &[(String, String)]) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(container)
        .with_retry(retries());
    for (key, value) in CLIENT {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    for (name, value) in storage {
        builder = builder.with_config(setting::<AzureConfigKey>(name, "Azure")?, value);
    }
    Ok(Arc::new(builder.build().map_err(|error| misconfigured(&error))?))
}

fn http(base: &str, storage: &[(String, String)]) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = HttpBuilder::new().with_url(base).with_retry(retries());
    for (key, value) in CLIENT {
        builder = builder.with_config(key, value);
    }
    if base.starts_with("http://") {
        builder = builder.with_config(ClientConfigKey::AllowHttp, "true");
    }
    for (name, value) in storage {
        builder = builder.with_config(setting::<ClientConfigKey>(name, "https")?, value);
    }
    Ok(Arc::new(builder.build().map_err(|error| misconfigured(&error))?))
}

fn setting<K: FromStr>(name: &str, store: &str) -> Result<K> {
    K::from_str(&name.to_ascii_lowercase()).map_err(|_| {
        Error::project(format!(
            "`storage` has the setting `{name}`, which {store} does not know"
        ))
        .hint("settings are named as object_store names them: endpoint, region, allow_http, ...")
    })
}

/// The path of an https URL, in the form that object_store wants. A URL with a query is refused, since object_store
/// would drop the query silently.
fn web_path(url: &str) -> Result<String> {
    let parsed = Url::parse(url).map_err(|error| Error::project("the input's URL is not valid").cause(error))?;
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(
            Error::project("an https input can't have a query (`?...`) or a fragment (`#...`), nor a pattern")
                .hint("name exactly one file; over https nothing can be listed"),
        );
    }
    let path = Path::from_url_path(parsed.path()).map_err(|_| Error::project("the input's URL has no valid path"))?;
    Ok(path.to_string())
}

fn endpoint_of(storage: &[(String, String)], variable: &str) -> Option<String> {
    let named = storage
        .iter()
        .find(|(name, _)| name.to_ascii_lowercase().contains("endpoint"));
    let text = named
        .map(|(_, value)| value.clone())
        .or_else(|| std::env::var(variable).ok())
        .or_else(|| std::env::var(format!("{variable}_URL")).ok())?;
    let url = Url::parse(&text).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn urls_are_told_from_paths() {
        assert_eq!(scheme("s3://bucket/a"), Some("s3"));
        assert_eq!(scheme("data/a.json"), None);
        assert_eq!(scheme("C:\\data\\a.json"), None);
    }

    #[test]
    fn a_url_is_taken_apart() {
        let remote = Remote::open("s3://bucket/in/*.json", &storage(&[("region", "eu-1")])).unwrap();
        assert_eq!(
            (remote.base.as_str(), remote.key.as_str(), remote.lists),
            ("s3://bucket", "in/*.json", true)
        );
        let remote = Remote::open("https://host:8443/a%20b/c.json", &[]).unwrap();
        assert_eq!(
            (remote.base.as_str(), remote.key.as_str()),
            ("https://host:8443", "a b/c.json")
        );
        assert!(!remote.lists);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (url, part) in [
            ("s3://bucket", "needs a bucket and a path"),
            ("ftp://host/a", "scheme `ftp://` is not known"),
            ("https://user:pw@host/a", "user name or a password"),
            ("https://host/a.json?x=1", "query"),
            ("s3://evil.example#/a", "the name of a bucket"),
        ] {
            let error = Remote::open(url, &[]).err().unwrap();
            assert!(error.message.contains(part), "{url}: {error}");
            assert!(!format!("{error:?}").contains("pw@"));
        }
        let error = Remote::open("s3://b/k", &storage(&[("regoin", "x")])).err().unwrap();
        assert!(error.message.contains("`regoin`"), "{error}");
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_unreachable_and_named() {
        // The listener is bound and then dropped, so that nothing listens at its port.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let settings = storage(&[
            ("endpoint", &endpoint),
            ("allow_http", "true"),
            ("skip_signature", "true"),
        ]);
        let remote = Remote::open("s3://bucket/in/a.json", &settings).unwrap();
        let error = remote.head("in/a.json").await.unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::Unreachable);
        assert!(error.message.contains(&endpoint), "{error}");
        let error = remote.list(&["in"]).await.unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::Unreachable);
    }
}
