//! Finds objects in a listing whose keys the crate object_store can't take: with an empty part, `.`, `..`, a control
//! character, or white space at an end. One of them would fail the whole listing, and name the key in its error. So
//! they are taken out of the responses before object_store reads them, and are remembered.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::path::Path;

/// An object that was listed and can't be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OddKey {
    /// It may tell of a person, so it goes into no message.
    pub key: String,
    /// In bytes.
    pub size: u64,
    pub etag: Option<String>,
}

/// The odd keys that the listings of one store met. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct OddKeys(Arc<Mutex<Vec<OddKey>>>);

impl OddKeys {
    /// Takes out the keys that were met so far.
    pub fn take(&self) -> Vec<OddKey> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The response to a listing, without the objects that have odd keys.
    fn cleaned(&self, response: Bytes) -> Bytes {
        let Ok(text) = std::str::from_utf8(&response) else {
            return response;
        };
        let (mut kept, mut rest, mut odd) = (String::new(), text, Vec::new());
        while let Some((entry, before, after)) = element(rest, "Contents") {
            let key = content(entry, "Key").unwrap_or_default();
            if is_fit(&key) {
                kept.push_str(&rest[..rest.len() - after.len()]);
            } else {
                kept.push_str(before);
                let size = content(entry, "Size").and_then(|size| size.trim().parse().ok());
                let size = size.unwrap_or(0);
                // A key that ends with `/` and holds nothing stands for a folder.
                if size > 0 || !key.ends_with('/') {
                    odd.push(OddKey {
                        size,
                        etag: content(entry, "ETag").map(Cow::into_owned),
                        key: key.into_owned(),
                    });
                }
            }
            rest = after;
        }
        if kept.len() + rest.len() == text.len() {
            return response;
        }
        kept.push_str(rest);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(odd);
        kept.into()
    }
}

/// Whether object_store gives this key back as it is, and can fetch its object.
fn is_fit(key: &str) -> bool {
    key.trim() == key && Path::parse(key).is_ok_and(|path| path.as_ref() == key)
}

/// The first element with this name: what it holds, and what stands before and after it.
fn element<'a>(xml: &'a str, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (before, rest) = xml.split_once(&open)?;
    let (within, after) = rest.split_once(&close)?;
    Some((within, before, after))
}

/// The text of the first element with this name.
fn content<'a>(xml: &'a str, name: &str) -> Option<Cow<'a, str>> {
    element(xml, name).map(|(text, ..)| unescaped(text))
}

/// Replaces the references of XML, such as `&amp;` and `&#9;`.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (name, after) = after.split_once(';').unwrap_or((after, ""));
        let number = match name.strip_prefix("#x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => name.strip_prefix('#').and_then(|digits| digits.parse().ok()),
        };
        let known = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => number.and_then(char::from_u32),
        };
        plain.push(known.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = after;
    }
    plain.push_str(rest);
    plain.into()
}

/// Makes clients whose listings hold no odd keys.
#[derive(Debug)]
pub(super) struct Connector(pub OddKeys);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Client {
            client,
            odd: self.0.clone(),
        }))
    }
}

/// An answer to a request for a listing that holds none.
#[derive(Debug)]
pub(super) struct NoListing;

impl fmt::Display for NoListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is no listing")
    }
}

impl std::error::Error for NoListing {}

#[derive(Debug)]
struct Client {
    client: HttpClient,
    odd: OddKeys,
}

impl HttpService for Client {
    // As the macro `async_trait` writes it, which the trait is declared with.
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let query = request.uri().query().unwrap_or_default();
            let lists = query.split('&').any(|pair| pair == "list-type=2");
            let response = self.client.execute(request).await?;
            if !lists || !response.status().is_success() {
                return Ok(response);
            }
            let (mut head, body) = response.into_parts();
            let body = body.bytes().await?;
            // object_store takes any XML for a listing without objects, such as the page of a proxy.
            if memchr::memmem::find(&body, b"<ListBucketResult").is_none() {
                return Err(HttpError::new(HttpErrorKind::Decode, NoListing));
            }
            let body = self.odd.cleaned(body);
            head.headers.remove("content-length");
            Ok(HttpResponse::from_parts(head, body.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(keys: &[&str]) -> String {
        let entry =
            |key: &&str| format!("<Contents><Key>{key}</Key><Size>7</Size><ETag>&quot;e&quot;</ETag></Contents>");
        format!(
            "<L><Name>b</Name>{}<Z/></L>",
            keys.iter().map(entry).collect::<String>()
        )
    }

    #[test]
    fn odd_keys_are_taken_out_and_the_others_stay() {
        let odd = OddKeys::default();
        let good = ["in/a.json", "in/a&amp;b%20 +#?é.json", "in/..a/b..json"];
        let bad = [
            "in//a",
            "in/a&#9;b",
            "in/a&#x9;b",
            "in/../a",
            "./a",
            "/a",
            " a",
            "a\u{7f}",
            "f/",
        ];
        let mixed = listing(&[
            "in//a",
            "in/a.json",
            "in/a&#x9;b",
            "in/a&amp;b%20 +#?é.json",
            "in/..a/b..json",
            "f/",
        ]);
        assert_eq!(odd.cleaned(mixed.into()), listing(&good));
        let found: Vec<String> = odd.take().into_iter().map(|odd| odd.key).collect();
        assert_eq!(found, ["in//a", "in/a\tb", "f/"]);
        for key in bad {
            assert_eq!(odd.cleaned(listing(&[key]).into()), listing(&[]), "{key:?}");
            let found = odd.take();
            assert_eq!((found[0].size, found[0].etag.as_deref()), (7, Some("\"e\"")));
        }
        let folder = "<L><Contents><Key>in/f/</Key><Size>0</Size></Contents></L>";
        assert_eq!(odd.cleaned(folder.into()), "<L></L>");
        assert_eq!(odd.take(), []);
    }
}
