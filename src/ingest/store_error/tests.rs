use std::error::Error as StdError;

use super::*;

const CANARY: &str = "CANARY-73911937";

fn texts(text: &str) -> Box<dyn StdError + Send + Sync> {
    text.to_owned().into()
}

/// Errors of every kind, each with a canary wherever a text fits.
fn foreign(text: &str) -> Vec<StoreError> {
    let path = CANARY.to_owned();
    vec![
        StoreError::Generic {
            store: "S3",
            source: texts(text),
        },
        StoreError::NotFound {
            path: path.clone(),
            source: texts(text),
        },
        StoreError::InvalidPath {
            source: object_store::path::Path::parse(format!("a//{CANARY}")).unwrap_err(),
        },
        StoreError::InvalidPath {
            source: object_store::path::Path::parse(format!("a\t{CANARY}")).unwrap_err(),
        },
        StoreError::NotSupported { source: texts(text) },
        StoreError::AlreadyExists {
            path: path.clone(),
            source: texts(text),
        },
        StoreError::Precondition {
            path: path.clone(),
            source: texts(text),
        },
        StoreError::NotModified {
            path: path.clone(),
            source: texts(text),
        },
        StoreError::NotImplemented {
            operation: path.clone(),
            implementer: path.clone(),
        },
        StoreError::PermissionDenied {
            path: path.clone(),
            source: texts(text),
        },
        StoreError::Unauthenticated {
            path: path.clone(),
            source: texts(text),
        },
        StoreError::UnknownConfigurationKey { store: "S3", key: path },
    ]
}

#[test]
fn no_text_of_a_store_is_repeated() {
    let answers = [
        format!("Server returned non-2xx status code: 403 Forbidden: <Error><Code>{CANARY}</Code></Error>"),
        format!("Server returned non-2xx status code: 500 {CANARY}: {CANARY}"),
        format!("Server returned error response: <Key>{CANARY}</Key> SlowDown"),
        format!("Got invalid list response: {CANARY}"),
        format!("Missing {CANARY} https://{CANARY}@host: a text that is longer than the name of a setting is"),
        format!("certificate of {CANARY}"),
        format!("connection to {CANARY}"),
        CANARY.to_owned(),
    ];
    for answer in answers {
        for error in foreign(&answer) {
            for said in [explain(&error, "s3://bucket"), misconfigured(&error)] {
                assert!(!format!("{said:?} {said}").contains("CANARY"), "{said:?}");
                assert!(said.hint.is_some(), "{said:?}");
            }
        }
    }
}

#[test]
fn every_answer_has_its_own_message_and_remedy() {
    let network = NETWORK;
    for (answer, kind, part) in [
        (
            "400 Bad Request: <Error><Code>ExpiredToken</Code></Error>",
            Kind::Unreachable,
            "have expired",
        ),
        (
            "403 Forbidden: <Error><Code>RequestTimeTooSkewed</Code></Error>",
            Kind::Unreachable,
            "clock",
        ),
        (
            "403 Forbidden: <Error><Code>InvalidAccessKeyId</Code></Error>",
            Kind::Unreachable,
            "access key",
        ),
        (
            "403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code></Error>",
            Kind::Unreachable,
            "secret",
        ),
        (
            "403 Forbidden: <Error><Code>AccessDenied</Code></Error>",
            Kind::Unreachable,
            "refuses access",
        ),
        (
            "403 Forbidden: <Error><Code>InvalidObjectState</Code></Error>",
            Kind::Batch,
            "archive",
        ),
        ("403 Forbidden: ", Kind::Unreachable, "refuses access"),
        (
            "404 Not Found: <Error><Code>NoSuchBucket</Code></Error>",
            Kind::Batch,
            "no bucket of this name",
        ),
        (
            "404 Not Found: <Error><Code>NoSuchKey</Code></Error>",
            Kind::Batch,
            "no such object",
        ),
        ("404 Not Found: ", Kind::Batch, "no such object or bucket"),
        (
            "301 Moved Permanently: <Error><Code>PermanentRedirect</Code></Error>",
            Kind::Unreachable,
            "region",
        ),
        (
            "400 Bad Request: <Error><Code>AuthorizationHeaderMalformed</Code></Error>",
            Kind::Unreachable,
            "region",
        ),
        ("400 Bad Request: ", Kind::Unreachable, "does not accept the request"),
        (
            "503 Service Unavailable: <Error><Code>SlowDown</Code></Error>",
            Kind::Unreachable,
            "overloaded",
        ),
    ] {
        let source = texts(&format!("Server returned non-2xx status code: {answer}"));
        let said = explain(&StoreError::Generic { store: "S3", source }, "http://host");
        assert_eq!(said.kind, kind, "{answer}: {said}");
        assert!(said.message.contains(part), "{answer}: {said}");
        assert!(said.message.starts_with("the storage at http://host "), "{said}");
        assert!(
            said.hint.as_deref().is_some_and(|hint| hint != network),
            "{answer}: {said:?}"
        );
    }
}
