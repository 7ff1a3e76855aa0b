//! Tests against the crate itself: a server on this machine gives fixed answers, and object_store makes errors of them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, ToSocketAddrs as _};

use futures::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, RetryConfig};

use super::*;

/// A store whose server gives this answer to every request.
fn store(answer: &'static str) -> impl ObjectStore {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match client.read(&mut piece) {
                    Ok(read) if read > 0 => request.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            let _ = client.write_all(answer.as_bytes());
        }
    });
    built(&endpoint)
}

fn built(endpoint: &str) -> impl ObjectStore + use<> {
    AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_region("eu-central-1")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_skip_signature(true)
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        })
        .build()
        .unwrap()
}

/// Asks for an object whose key holds words that other errors begin with.
async fn get(store: &impl ObjectStore) -> Outcome {
    let key = Path::from("header/latest/meta-data of ETag Header missing.json");
    outcome(&store.get(&key).await.err().unwrap())
}

fn answer(status: u16, code: &str) -> Outcome {
    let code = (!code.is_empty()).then(|| code.to_owned());
    Outcome::Answer { status, code }
}

#[tokio::test]
async fn answers_are_told_by_status_and_code() {
    for (text, expected) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 41\r\nConnection: close\r\n\r\n<Error><Code>ExpiredToken</Code></Error> ",
            answer(403, "ExpiredToken"),
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            answer(404, ""),
        ),
        (
            "HTTP/1.1 503 Slow\r\nContent-Length: 28\r\nConnection: close\r\n\r\n<Code>SlowDown</Code>       ",
            answer(503, "SlowDown"),
        ),
        (
            "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            Outcome::Redirect,
        ),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", Outcome::NotUnderstood),
        ("", Outcome::Broken(Broken::Cut)),
    ] {
        assert_eq!(get(&store(text)).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_page_that_is_no_listing_is_not_understood() {
    let store = store("HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n<html><h1></html>");
    let error = store.list(None).next().await.unwrap().err().unwrap();
    assert_eq!(outcome(&error), Outcome::NotUnderstood, "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_by_the_system() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let found = get(&built(&format!("http://127.0.0.1:{port}"))).await;
    let Outcome::Broken(Broken::System(said)) = found else {
        panic!("{found:?}")
    };
    assert!(said.contains("onnection refused"), "{said}");
}

#[test]
fn a_host_that_is_not_known_has_this_text() {
    let error = ("host.invalid", 0).to_socket_addrs().err().unwrap();
    assert!(
        error.raw_os_error().is_none() && error.to_string().starts_with(LOOKUP),
        "{error}"
    );
    let error = HttpError::new(HttpErrorKind::Connect, error);
    let error = StoreError::Generic {
        store: "S3",
        source: Box::new(error),
    };
    assert_eq!(outcome(&error), Outcome::Broken(Broken::UnknownHost));
}

#[test]
fn a_certificate_is_known_by_its_type() {
    for (error, expected) in [
        (
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer),
            Broken::Certificate,
        ),
        (rustls::Error::HandshakeNotComplete, Broken::Tls),
    ] {
        let error = HttpError::new(HttpErrorKind::Connect, io::Error::other(error));
        let error = StoreError::Generic {
            store: "S3",
            source: Box::new(error),
        };
        assert_eq!(outcome(&error), Outcome::Broken(expected));
    }
}

#[test]
fn a_request_for_credentials_is_known_by_its_path() {
    assert!(asks_a_machine("PUT http://169.254.169.254/latest/api/token in 1s - x"));
    assert!(asks_a_machine(
        "GET http://metadata.google.internal/computeMetadata/v1/x in 1s"
    ));
    assert!(!asks_a_machine("GET http://host/bucket/latest/api/token in 1s"));
    assert!(!asks_a_machine("GET REDACTED in 1s"));
}

#[test]
fn a_missing_setting_is_named() {
    let error = AmazonS3Builder::new().build().err().unwrap();
    assert_eq!(missing_setting(&error), Some("Missing bucket name"), "{error}");
    let keyless = AmazonS3Builder::new().with_bucket_name("b").with_access_key_id("x");
    let error = keyless.build().err().unwrap();
    assert_eq!(missing_setting(&error), Some("Missing SecretAccessKey"), "{error}");
}
