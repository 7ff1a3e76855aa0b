//! Reads what an error of object_store says. The crate (0.13.2) keeps its errors of requests, headers and settings to
//! itself: `client::retry::RequestError` and the like are private. So an answer's status, its code and these errors are
//! known by the crate's fixed texts alone. This is the only file that looks at them, always at the start of the error
//! that has the text: a key or an answer that holds such words decides nothing. A test compares them with what the crate
//! makes of real answers.

use std::error::Error as StdError;
use std::io;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

use super::super::odd_keys::NoListing;
use crate::error::Words as _;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has answered with an HTTP status, and with a code in the body: `<Code>...</Code>`.
    Answer { status: u16, code: Option<String> },
    /// The server redirects and does not say where to. S3 does so for a bucket of another region.
    Redirect,
    /// Without credentials in the environment, object_store has asked the cloud's own machines for them in vain.
    NoCredentials,
    /// The answer is not that of an object store.
    NotUnderstood,
    /// There was no whole answer, with the reason.
    Broken(Broken),
}

/// Why there was no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// An error of the operating system, in its words.
    System(String),
    UnknownHost,
    Certificate,
    Tls,
    TimedOut,
    Cut,
    Other,
}

/// The start of an error of a request that was answered with another status than 2xx.
const STATUS: &str = "Server returned non-2xx status code: ";
/// The start of an error of a request whose answer has status 200 and an error in its body.
const RESPONSE: &str = "Server returned error response: ";
const REDIRECT: &str = "Received redirect without LOCATION";
/// The start of an error of any request; method and URL follow.
const REQUEST: &str = "Error performing ";
/// Paths at which the clouds' machines give credentials to what runs on them.
const MACHINES: [&str; 4] = [
    "/latest/api/token",
    "/latest/meta-data",
    "/computeMetadata/",
    "/metadata/identity",
];
/// The starts of errors of answers that are no listing or lack what an object store says of an object.
const NOT_UNDERSTOOD: [&str; 11] = [
    "Got invalid list response",
    "Unable to extract metadata from headers",
    "ETag Header missing",
    "Received header containing non-ASCII data",
    "Last-Modified Header missing",
    "Content-Length Header missing",
    "Invalid last modified",
    "Invalid content length",
    "Content-Range header",
    "Failed to parse value for CONTENT_RANGE header",
    "Received non-partial response when range requested",
];
/// Settings that are missing. The texts name settings only.
const MISSING: [&str; 5] = [
    "Missing bucket name",
    "Missing AccessKeyId",
    "Missing SecretAccessKey",
    "Account must be specified",
    "Container name must be specified",
];
/// The start of std's error of a host whose name is not known (Rust 1.95). It has no kind of its own.
const LOOKUP: &str = "failed to lookup address";

pub(super) fn outcome(error: &StoreError) -> Outcome {
    let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    let after = |start: &str| texts.iter().find_map(|text| text.strip_prefix(start));
    if let Some(answer) = after(STATUS) {
        let (status, body) = answer.split_at_checked(3).unwrap_or_default();
        if let Ok(status) = status.parse() {
            return Outcome::Answer {
                status,
                code: code(body),
            };
        }
    }
    if let Some(body) = after(RESPONSE) {
        return Outcome::Answer {
            status: 500,
            code: code(body),
        };
    }
    if after(REDIRECT).is_some() {
        return Outcome::Redirect;
    }
    if after(REQUEST).is_some_and(asks_a_machine) {
        return Outcome::NoCredentials;
    }
    if cause_of::<NoListing>(error).is_some() || NOT_UNDERSTOOD.iter().any(|text| after(text).is_some()) {
        return Outcome::NotUnderstood;
    }
    status_of(error).map_or_else(
        || Outcome::Broken(broken(error)),
        |status| Outcome::Answer { status, code: None },
    )
}

/// Whether a request, as method and URL, is one for credentials.
fn asks_a_machine(request: &str) -> bool {
    let url = request.split(' ').nth(1).and_then(|url| url.split_once("://"));
    let path = url.and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    path.is_some_and(|path| MACHINES.iter().any(|start| path.starts_with(start)))
}

/// The text of a setting that is missing, if that is what the error says. It names the setting only.
pub(super) fn missing_setting(error: &StoreError) -> Option<&'static str> {
    let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    MISSING
        .into_iter()
        .find(|missing| texts.iter().any(|text| text == missing))
}

/// The error and its causes. An [`io::Error`] leaves out the error that it holds; this gives that as well.
fn chain<'a>(error: &'a StoreError) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let first: &'a (dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |error| {
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match held {
            Some(held) => Some(held as &(dyn StdError + 'static)),
            None => (**error).source(),
        }
    })
}

/// The first of the error and its causes that is of this type.
pub(super) fn cause_of<T: StdError + 'static>(error: &StoreError) -> Option<&T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The code in the body of an answer.
fn code(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.trim().to_owned())
}

/// The status that object_store has made a variant of.
fn status_of(error: &StoreError) -> Option<u16> {
    Some(match error {
        StoreError::NotModified { .. } => 304,
        StoreError::Unauthenticated { .. } => 401,
        StoreError::PermissionDenied { .. } => 403,
        StoreError::NotFound { .. } => 404,
        StoreError::AlreadyExists { .. } => 409,
        StoreError::Precondition { .. } => 412,
        _ => return None,
    })
}

fn broken(error: &StoreError) -> Broken {
    if let Some(error) = cause_of::<rustls::Error>(error) {
        return match error {
            rustls::Error::InvalidCertificate(_) => Broken::Certificate,
            _ => Broken::Tls,
        };
    }
    let io: Vec<&io::Error> = chain(error).filter_map(|error| error.downcast_ref()).collect();
    if let Some(error) = io.iter().find(|error| error.raw_os_error().is_some()) {
        return Broken::System(error.words());
    }
    if io.iter().any(|error| error.to_string().starts_with(LOOKUP)) {
        return Broken::UnknownHost;
    }
    if io.iter().any(|error| error.kind() == io::ErrorKind::TimedOut) {
        return Broken::TimedOut;
    }
    match cause_of::<HttpError>(error).map(HttpError::kind) {
        Some(HttpErrorKind::Timeout) => Broken::TimedOut,
        Some(HttpErrorKind::Connect | HttpErrorKind::Request | HttpErrorKind::Interrupted | HttpErrorKind::Decode) => {
            Broken::Cut
        }
        _ => Broken::Other,
    }
}

#[cfg(test)]
mod tests;
