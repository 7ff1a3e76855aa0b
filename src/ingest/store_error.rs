//! Words the errors of object stores for the user. Their own texts may hold keys of objects, which may tell of people,
//! and answers of servers, which may quote credentials. So no foreign text is repeated: an error is known by its status
//! and its code, and everything that is said stands here.

mod answer;

use std::io;

use object_store::Error as StoreError;

use self::answer::{Broken, Outcome, cause_of, missing_setting, outcome};
use crate::error::{Error, Kind};

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
    let unreachable = |says: &str| Error::unreachable(format!("the storage at {endpoint} {says}"));
    if matches!(error, StoreError::InvalidPath { .. }) {
        return Error::batch(format!(
            "the storage at {endpoint} lists an object whose key can't be read"
        ))
        .hint("keys may have no empty part, no `.` or `..`, and no control character: copy it to another key");
    }
    match outcome(error) {
        Outcome::Answer { status, code } => match code.as_deref().and_then(meaning) {
            Some(meaning) => {
                let message = format!("the storage at {endpoint} {}", meaning.says);
                Error::new(meaning.kind, message).hint(meaning.hint)
            }
            None => answered(status, endpoint),
        },
        Outcome::Redirect => unreachable("keeps the bucket in another region").hint(REGION),
        Outcome::NoCredentials => Error::unreachable(format!("there are no credentials for the storage at {endpoint}"))
            .hint(
                "set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a bucket that \
                 anyone may read, set `skip_signature: true` under `storage`",
            ),
        Outcome::NotUnderstood => unreachable("gives an answer that can't be understood")
            .hint("check `endpoint`: it must be that of an object store, and not of its console or of a proxy"),
        Outcome::Broken(broken) => unreachable("can't be reached").cause(cause(broken)).hint(NETWORK),
    }
}

fn meaning(code: &str) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|meaning| meaning.codes.contains(&code))
}

/// The error of an answer with this status, and with no code that is known.
fn answered(status: u16, endpoint: &str) -> Error {
    let unreachable = |says: &str| Error::unreachable(format!("the storage at {endpoint} {says}"));
    let answers = format!("it answers with status {status}");
    match status {
        401 | 403 => unreachable("refuses access").hint(RIGHTS),
        404 => Error::batch(format!(
            "the storage at {endpoint} has no such object or bucket any more"
        ))
        .hint("check the bucket, and run the batch again once the objects are no longer moved or deleted"),
        300..=399 => unreachable("keeps the bucket in another region").hint(REGION),
        400 => unreachable("does not accept the request")
            .cause(answers)
            .hint("check `endpoint` and `region` under `storage`, and the credentials in the environment"),
        429 | 500..=599 => unreachable("is overloaded or has a fault of its own")
            .cause(answers)
            .hint("run the batch again later"),
        _ => unreachable("can't be read")
            .cause(answers)
            .hint("check `endpoint` under `storage`"),
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
    match outcome(error) {
        Outcome::Answer { status, .. } => status != 404,
        Outcome::Redirect => true,
        Outcome::NoCredentials | Outcome::NotUnderstood | Outcome::Broken(_) => false,
    }
}

/// Whether the error says that the bucket does not exist.
pub(super) fn lacks_bucket(error: &StoreError) -> bool {
    match outcome(error) {
        Outcome::Answer { code: Some(code), .. } => matches!(code.as_str(), "NoSuchBucket" | "ContainerNotFound"),
        _ => false,
    }
}

/// Why a store can't be reached.
fn cause(broken: Broken) -> String {
    match broken {
        Broken::System(said) => return said,
        Broken::UnknownHost => "the name of its host is not known",
        Broken::Certificate => "its TLS certificate is not trusted",
        Broken::Tls => "no TLS connection can be made",
        Broken::TimedOut => "no answer in time",
        Broken::Cut => "the connection broke off",
        Broken::Other => "the request failed",
    }
    .to_owned()
}

/// What is wrong with a setting. The texts of these errors may quote values.
fn setting(error: &StoreError) -> String {
    if let Some(missing) = missing_setting(error) {
        return missing.to_owned();
    }
    if cause_of::<serde_json::Error>(error).is_some() {
        return "a file of credentials is not the JSON that is expected".to_owned();
    }
    match cause_of::<io::Error>(error) {
        Some(error) => format!("a file of credentials can't be read: {}", error.kind()),
        None => "a setting is not valid".to_owned(),
    }
}

#[cfg(test)]
mod tests;
