//! Lists and reads from a server that answers as S3 does, with keys and refusals that the server of tests/s3 can't
//! give.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::super::testing::{day, patients, source};
use super::super::{ReadStats, list};
use super::*;
use crate::error::{Error, Kind};
use crate::model::{OnMalformed, OnMissing, Source};

/// Answers a request, given by its first line such as `GET /bucket/in/a.json HTTP/1.1`, with a status and a body.
type Answer = fn(&str) -> (u16, String);

async fn serve(answer: Answer) -> String {
    serve_together(answer, 1).await
}

/// Serves objects only when so many of them have been asked for.
async fn serve_together(answer: Answer, together: usize) -> String {
    let together = Arc::new(Barrier::new(together));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(respond(stream, answer, Arc::clone(&together)));
        }
    });
    endpoint
}

async fn respond(mut stream: TcpStream, answer: Answer, together: Arc<Barrier>) {
    let Some(request) = request(&mut stream).await else {
        return;
    };
    let line = request.lines().next().unwrap();
    if !line.contains("list-type") {
        together.wait().await;
    }
    answer_with(&mut stream, &request, answer(line), "").await;
}

/// Reads the head of a request.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return None;
        }
        request.push(byte[0]);
    }
    Some(String::from_utf8(request).unwrap())
}

/// `further` are lines of the head.
async fn answer_with(stream: &mut TcpStream, request: &str, (status, body): (u16, String), further: &str) {
    let line = request.lines().next().unwrap_or_default();
    let partial = if request.contains("range: bytes=") && status == 200 {
        format!("content-range: bytes 0-{}/{}\r\n", body.len() - 1, body.len())
    } else {
        String::new()
    };
    let status = if partial.is_empty() { status } else { 206 };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\netag: \"e\"\r\nlast-modified: Tue, 02 May 2023 00:00:00 GMT\r\nconnection: close\r\n{partial}{further}\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    if !line.starts_with("HEAD") {
        let _ = stream.write_all(body.as_bytes()).await;
    }
}

fn in_bucket(endpoint: &str, path: &str) -> Source {
    let mut source = source(path, Format::Json, patients());
    source.input.on_malformed = OnMalformed::Quarantine;
    source.input.storage = [
        ("endpoint", endpoint),
        ("allow_http", "true"),
        ("region", "us-east-1"),
        ("access_key_id", "AKIATEST"),
        ("secret_access_key", "CANARY-SECRET"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    source
}

const GOOD: &str = r#"[{"id":"a"},{"id":"b"}]"#;

fn listed(keys: &[&str]) -> (u16, String) {
    let entry = |key: &&str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2023-05-02T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <Size>{}</Size></Contents>",
            GOOD.len()
        )
    };
    let entries: String = keys.iter().map(entry).collect();
    let root = "ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
    (
        200,
        format!("<?xml version=\"1.0\"?><{root}><Name>bucket</Name>{entries}</ListBucketResult>"),
    )
}

fn odd_keys(request: &str) -> (u16, String) {
    if request.contains("list-type=2") {
        listed(&[
            "in//CANARY-1.json",
            "in/a.json",
            "in/CANARY&#x9;2.json",
            "in/../CANARY-3.json",
            "in/100%25 &amp; +.json",
            "in/z.json",
            "in/other.txt",
            "in//other.txt",
        ])
    } else if request.contains("/in/a.json")
        || request.contains("/in/z.json")
        || request.contains("/in/100%2525%20%26%20%2B.json")
    {
        (200, GOOD.to_owned())
    } else {
        (404, "<Error><Code>NoSuchKey</Code></Error>".to_owned())
    }
}

/// Objects that can't be fetched are refused by their place, and their neighbours are read.
#[tokio::test]
async fn objects_with_odd_keys_are_refused_and_the_others_are_read() {
    let endpoint = serve(odd_keys).await;
    let source = in_bucket(&endpoint, "s3://bucket/in/*.json");
    let listing = list(std::path::Path::new("/"), &source, day()).await.unwrap().unwrap();
    let stats = Arc::new(ReadStats::default());
    let mut stream = listing.read(&source, 2, Arc::clone(&stats));
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    assert_eq!(rows, 6);
    let refused = stats.take_refused();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!(stats.read.load(Ordering::Relaxed), 9);
    for one in &refused {
        assert_eq!(one.check, "unreadable");
        assert!(
            one.file.as_deref().unwrap().starts_with("s3://bucket/in/*.json#"),
            "{one:?}"
        );
        assert!(one.reason.contains("key can't be read"), "{one:?}");
        assert!(!format!("{one:?}").contains("CANARY"), "{one:?}");
    }
}

/// The same for Parquet, whose files are opened elsewhere; and a batch with nothing else fails, by its place.
#[tokio::test]
async fn a_batch_of_one_odd_key_fails_and_does_not_name_it() {
    let endpoint = serve(|_| listed(&["in//CANARY.x"])).await;
    for format in [Format::Json, Format::Parquet] {
        let mut source = in_bucket(&endpoint, "s3://bucket/in/*.x");
        source.input.format = format;
        let error = failure(&source).await;
        assert_eq!(error.kind, Kind::Batch);
        assert!(
            error
                .message
                .starts_with("s3://bucket/in/*.x#1 is an object whose key can't be read"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

async fn failure(source: &Source) -> Error {
    let listing = match list(std::path::Path::new("/"), source, day()).await {
        Err(error) => return error,
        Ok(listing) => listing.unwrap(),
    };
    let mut stream = listing.read(source, 2, Arc::default());
    loop {
        if let Err(error) = stream.next().await.expect("an error") {
            return error;
        }
    }
}

/// An error of the server is told by its code, whether objects are listed, looked up or read.
#[tokio::test]
async fn a_refusal_says_why() {
    fn refusal(status: u16, code: &str) -> (u16, String) {
        let body = format!("<Error><Code>{code}</Code><Key>CANARY</Key><Message>CANARY</Message></Error>");
        (status, body)
    }
    let cases: [(Answer, &str, Kind); 7] = [
        (
            |_| refusal(400, "ExpiredToken"),
            "credentials have expired",
            Kind::Unreachable,
        ),
        (
            |_| refusal(403, "RequestTimeTooSkewed"),
            "clock of this machine",
            Kind::Unreachable,
        ),
        (|_| refusal(403, "AccessDenied"), "refuses access", Kind::Unreachable),
        (
            |_| refusal(404, "NoSuchBucket"),
            "has no bucket of this name",
            Kind::Batch,
        ),
        (
            |_| refusal(301, "PermanentRedirect"),
            "another region",
            Kind::Unreachable,
        ),
        (
            |_| refusal(400, "AuthorizationHeaderMalformed"),
            "another region",
            Kind::Unreachable,
        ),
        (
            |_| (200, "<html>CANARY</html>".to_owned()),
            "can't be understood",
            Kind::Unreachable,
        ),
    ];
    for (answer, part, kind) in cases {
        let endpoint = serve(answer).await;
        for path in ["s3://bucket/in/*.json", "s3://bucket/in/a.json"] {
            let mut source = in_bucket(&endpoint, path);
            // A missing bucket is no day without input.
            source.input.on_missing = OnMissing::Skip;
            if part.contains("understood") && !path.contains('*') {
                continue;
            }
            let error = failure(&source).await;
            assert_eq!(error.kind, kind, "{path}: {error}");
            assert!(error.message.contains(part), "{path}: {error}");
            assert!(!error.hint.as_deref().unwrap().contains("network"), "{path}: {error:?}");
            assert!(!format!("{error:?}").contains("CANARY"), "{path}: {error:?}");
        }
    }
}

/// An object that was listed and is refused when it is read.
#[tokio::test]
async fn an_object_that_can_t_be_read_says_why() {
    let cases: [(Answer, &str, Kind); 3] = [
        (
            |line| {
                if line.contains("list-type") {
                    listed(&["in/CANARY.json"])
                } else {
                    (403, "<Error><Code>InvalidObjectState</Code></Error>".to_owned())
                }
            },
            "keeps the object in an archive",
            Kind::Batch,
        ),
        (
            |line| {
                if line.contains("list-type") {
                    listed(&["in/CANARY.json"])
                } else {
                    (403, "<Error><Code>AccessDenied</Code></Error>".to_owned())
                }
            },
            "refuses access",
            Kind::Unreachable,
        ),
        (
            |line| {
                if line.contains("list-type") {
                    listed(&["in/CANARY.json"])
                } else {
                    (404, "<Error><Code>NoSuchKey</Code></Error>".to_owned())
                }
            },
            "has no such object any more",
            Kind::Batch,
        ),
    ];
    for (answer, part, kind) in cases {
        let endpoint = serve(answer).await;
        let error = failure(&in_bucket(&endpoint, "s3://bucket/in/*.json")).await;
        assert_eq!(error.kind, kind, "{error}");
        assert!(
            error.message.starts_with("s3://bucket/in/*.json#1 can't be read: "),
            "{error}"
        );
        assert!(error.message.contains(part), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

/// Where no credentials are set, object_store asks the cloud's machines for them. That nothing answers there is not
/// the user's network.
#[tokio::test]
async fn missing_credentials_are_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut source = in_bucket(&closed, "s3://bucket/in/*.json");
    source.input.storage.retain(|(name, _)| !name.contains("access_key"));
    source.input.storage.push(("metadata_endpoint".to_owned(), closed));
    let error = failure(&source).await;
    assert!(error.message.contains("there are no credentials"), "{error}");
    assert!(error.hint.unwrap().contains("AWS_ACCESS_KEY_ID"));
}

/// From a distant store, each object takes as long as a round trip. So many of them are asked for at once.
#[tokio::test]
async fn small_objects_are_fetched_ahead() {
    fn fifty(line: &str) -> (u16, String) {
        if line.contains("list-type") {
            let keys: Vec<String> = (0..50).map(|number| format!("in/{number}.json")).collect();
            listed(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        } else {
            (200, GOOD.to_owned())
        }
    }
    let endpoint = serve_together(fifty, 50).await;
    let source = in_bucket(&endpoint, "s3://bucket/in/*.json");
    let listing = list(std::path::Path::new("/"), &source, day()).await.unwrap().unwrap();
    let mut stream = listing.read(&source, 2, Arc::default());
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    assert_eq!(rows, 100);
}

/// A redirect of a plain input is followed, to another host as well. Nothing is sent there that tells who asks.
#[tokio::test]
async fn no_credentials_follow_a_redirect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = format!("http://localhost:{}/in/a.json", listener.local_addr().unwrap().port());
    let (heads, mut seen) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = request(&mut stream).await.unwrap_or_default();
            answer_with(&mut stream, &head, (200, GOOD.to_owned()), "").await;
            heads.send(head).unwrap();
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = format!("http://{}/in/a.json", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = request(&mut stream).await.unwrap_or_default();
            let to = format!("location: {other}\r\nset-cookie: session=CANARY\r\n");
            answer_with(&mut stream, &head, (302, String::new()), &to).await;
        }
    });
    let source = source(&place, Format::Json, patients());
    let listing = list(std::path::Path::new("/"), &source, day()).await.unwrap().unwrap();
    let mut stream = listing.read(&source, 2, Arc::default());
    let mut records = 0;
    while let Some(batch) = stream.next().await {
        records += batch.unwrap().num_rows();
    }
    assert_eq!(records, 2);
    let mut asked = 0;
    while let Ok(head) = seen.try_recv() {
        let names: Vec<String> = head
            .lines()
            .skip(1)
            .filter_map(|line| Some(line.split_once(':')?.0.to_lowercase()))
            .collect();
        for name in &names {
            let known = [
                "accept",
                "host",
                "range",
                "referer",
                "user-agent",
                "if-match",
                "accept-encoding",
            ];
            assert!(known.contains(&name.as_str()), "{head}");
        }
        asked += 1;
    }
    assert!(asked > 0);
    // A user name and a password in the URL would be the only credentials that a web server gets.
    let with_user = place.replace("http://", "http://user:CANARY@");
    let error = failure(&super::super::testing::source(&with_user, Format::Json, patients())).await;
    assert!(error.message.contains("a user name or a password"), "{error}");
    assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
}
