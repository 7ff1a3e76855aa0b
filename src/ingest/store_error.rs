//! Words the errors of object stores for the user. Their own texts may hold keys of objects, which may tell of people,
//! and answers of servers, which may quote credentials. So no foreign text is repeated: an error is known by its status
//! and its code, and everything that is said stands here.

use std::error::Error as StdError;
use std::io;

use object_store::Error as StoreError;

use super::odd_keys::NoListing;
use crate::error::{Error, Kind, Words as _};

/// What a code in the answer of a store means.
struct Meaning {
    /// The codes of S3, Google Cloud Storage and Azure.
    codes: &'static [&'static str],
    kind: Kind,
    /// After "the storage at ...".
    says: &'static str,
    hint: &'static str,
}

const RIGHTS: &str = "give the credentials the right to list the bucket and to read its objects; without the right to \
                      list, S3 refuses access also where an object is missing";
const REGION: &str = "set the bucket's region: `region` under `storage`, or AWS_REGION";
const NETWORK: &str = "check the endpoint, the region and the network";

const MEANINGS: [Meaning; 10] = [
    Meaning {
        codes: &["NoSuchBucket", "ContainerNotFound"],
        kind: Kind::Batch,
        says: "has no bucket of this name",
        hint: "check the bucket in the source's `path`, and `endpoint` and `region`",
    },
    Meaning {
        codes: &["NoSuchKey", "BlobNotFound"],
        kind: Kind::Batch,
        says: "has no such object any more",
        hint: "run the batch again once the objects are no longer moved or deleted",
    },
    Meaning {
        codes: &[
            "ExpiredToken",
            "ExpiredTokenException",
            "TokenRefreshRequired",
            "RequestExpired",
        ],
        kind: Kind::Unreachable,
        says: "refuses access: the credentials have expired",
        hint: "get new ones, and set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN together",
    },
    Meaning {
        codes: &["InvalidToken"],
        kind: Kind::Unreachable,
        says: "refuses access: the session token is not valid",
        hint: "set AWS_SESSION_TOKEN together with its keys, or unset it for keys that have none",
    },
    Meaning {
        codes: &["RequestTimeTooSkewed", "RequestInTheFuture"],
        kind: Kind::Unreachable,
        says: "refuses access: the clock of this machine is wrong",
        hint: "set the clock, for example with NTP: each request is signed with its time",
    },
    Meaning {
        codes: &["InvalidAccessKeyId"],
        kind: Kind::Unreachable,
        says: "refuses access: it does not know the access key",
        hint: "check AWS_ACCESS_KEY_ID, and that the key belongs to this endpoint",
    },
    Meaning {
        codes: &["SignatureDoesNotMatch", "AuthenticationFailed"],
        kind: Kind::Unreachable,
        says: "refuses access: the secret is not that of the access key",
        hint: "check the secret in the environment (AWS_SECRET_ACCESS_KEY), also for a missing or additional character",
    },
    Meaning {
        codes: &["InvalidObjectState"],
        kind: Kind::Batch,
        says: "keeps the object in an archive",
        hint: "restore the object from its archive storage class, then run the batch again",
    },
    Meaning {
        codes: &[
            "PermanentRedirect",
            "TemporaryRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "IncorrectEndpoint",
        ],
        kind: Kind::Unreachable,
        says: "keeps the bucket in another region",
        hint: REGION,
    },
    Meaning {
        codes: &[
            "SlowDown",
            "ServiceUnavailable",
            "ServerBusy",
            "InternalError",
            "OperationTimedOut",
        ],
        kind: Kind::Unreachable,
        says: "is overloaded or has a fault of its own",
        hint: "run the batch again later",
    },
];

/// Turns an error of the store at `endpoint` into one for the user.
pub(super) fn explain(error: &StoreError, endpoint: &str) -> Error {
    let text = error.to_string();
    if let Some(code) = code(&text)
        && let Some(meaning) = MEANINGS.iter().find(|meaning| meaning.codes.contains(&code))
    {
        let message = format!("the storage at {endpoint} {}", meaning.says);
        return Error::new(meaning.kind, message).hint(meaning.hint);
    }
    let unreachable = |says: &str| Error::unreachable(format!("the storage at {endpoint} {says}"));
    match error {
        StoreError::NotFound { .. } => return gone(endpoint),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            return unreachable("refuses access").hint(RIGHTS);
        }
        StoreError::InvalidPath { .. } => {
            return Error::batch(format!(
                "the storage at {endpoint} lists an object whose key can't be read"
            ))
            .hint("keys may have no empty part, no `.` or `..`, and no control character: copy it to another key");
        }
        _ => {}
    }
    match status(&text) {
        Some(401 | 403) => unreachable("refuses access").hint(RIGHTS),
        Some(404) => gone(endpoint),
        Some(300..=399) => unreachable("keeps the bucket in another region").hint(REGION),
        Some(status @ 400) => unreachable("does not accept the request")
            .cause(answers(status))
            .hint("check `endpoint` and `region` under `storage`, and the credentials in the environment"),
        Some(status @ (429 | 500..=599)) => unreachable("is overloaded or has a fault of its own")
            .cause(answers(status))
            .hint("run the batch again later"),
        Some(status) => unreachable("can't be read")
            .cause(answers(status))
            .hint("check `endpoint` under `storage`"),
        None if text.contains("Received redirect without LOCATION") => {
            unreachable("keeps the bucket in another region").hint(REGION)
        }
        None if asks_for_credentials(&text) => {
            Error::unreachable(format!("there are no credentials for the storage at {endpoint}")).hint(
                "set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a bucket that \
                 anyone may read, set `skip_signature: true` under `storage`",
            )
        }
        None if deepest(error).is::<NoListing>() || is_no_store(&text) => {
            unreachable("gives an answer that can't be understood")
                .hint("check `endpoint`: it must be that of an object store, and not of its console or of a proxy")
        }
        None => unreachable("can't be reached").cause(cause(error)).hint(NETWORK),
    }
}

/// The error of a store that sends nothing for so many seconds.
pub(super) fn silent(endpoint: &str, seconds: u64) -> Error {
    Error::unreachable(format!("the storage at {endpoint} can't be reached"))
        .cause(format!("no answer within {seconds} seconds"))
        .hint(NETWORK)
}

/// The error of settings with which a store can't be opened.
pub(super) fn misconfigured(error: &StoreError) -> Error {
    Error::project("the input's storage is not set up")
        .cause(setting(error))
        .hint("settings without secrets go under `storage`, credentials into the environment (AWS_ACCESS_KEY_ID, ...)")
}

/// Whether the error is an answer of the server, which may say more on another request.
pub(super) fn is_answer(error: &StoreError) -> bool {
    let text = error.to_string();
    !matches!(error, StoreError::NotFound { .. })
        && (status(&text).is_some() || text.contains("Received redirect without LOCATION"))
}

/// Whether the error says that the bucket does not exist.
pub(super) fn lacks_bucket(error: &StoreError) -> bool {
    matches!(code(&error.to_string()), Some("NoSuchBucket" | "ContainerNotFound"))
}

fn gone(endpoint: &str) -> Error {
    Error::batch(format!(
        "the storage at {endpoint} has no such object or bucket any more"
    ))
    .hint("check the bucket, and run the batch again once the objects are no longer moved or deleted")
}

fn answers(status: u16) -> String {
    format!("it answers with status {status}")
}

/// The code in the body of an answer: `<Code>...</Code>`.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.trim())
}

/// The HTTP status of an answer, from the text that object_store makes of it.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// Without credentials in the environment, object_store asks the cloud's own machines for them.
fn asks_for_credentials(text: &str) -> bool {
    [
        "/latest/api/token",
        "/latest/meta-data",
        "/computeMetadata/",
        "/metadata/identity",
    ]
    .iter()
    .any(|part| text.contains(part))
}

fn is_no_store(text: &str) -> bool {
    [
        "Got invalid list response",
        "Unable to extract metadata",
        "Header",
        "header",
    ]
    .iter()
    .any(|part| text.contains(part))
}

fn deepest(error: &StoreError) -> &(dyn StdError + 'static) {
    let mut deepest: &(dyn StdError + 'static) = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest
}

/// Why a store can't be reached.
fn cause(error: &StoreError) -> String {
    let deepest = deepest(error);
    if let Some(error) = deepest.downcast_ref::<io::Error>()
        && error.raw_os_error().is_some()
    {
        return error.words();
    }
    let text = deepest.to_string();
    let known = [
        ("failed to lookup address", "the name of its host is not known"),
        ("ertificate", "its TLS certificate is not trusted"),
        ("timed out", "no answer in time"),
        ("onnection", "the connection broke off"),
        ("end of file", "the connection broke off"),
        ("body", "the connection broke off"),
    ];
    let known = known.iter().find(|(part, _)| text.contains(part));
    known.map_or("the request failed", |(_, said)| said).to_owned()
}

/// What is wrong with a setting. The texts of these errors may quote values.
fn setting(error: &StoreError) -> String {
    let deepest = deepest(error);
    if deepest.is::<serde_json::Error>() {
        return "a file of credentials is not the JSON that is expected".to_owned();
    }
    if let Some(error) = deepest.downcast_ref::<io::Error>() {
        return format!("a file of credentials can't be read: {}", error.kind());
    }
    let text = deepest.to_string();
    // Such as "Missing region". These name settings only.
    if text.starts_with("Missing") && text.len() < 60 {
        text
    } else {
        "a setting is not valid".to_owned()
    }
}

#[cfg(test)]
mod tests;
