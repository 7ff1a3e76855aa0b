//! Reads over http from a server that can misbehave. It stands for all stores, since one code reads them all.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::testing::{day, patients, source};
use super::super::{ReadStats, list};
use super::*;
use crate::error::Kind;

/// How the server answers a GET.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    /// It closes the connection after a third of the bytes that were asked for.
    BreaksOff,
    /// Its object has another etag than the one it told before.
    Changes,
}

struct Server {
    url: String,
    gets: Arc<AtomicUsize>,
}

async fn serve(body: Vec<u8>, mood: Mood) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let gets = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&gets);
    let body: Arc<[u8]> = body.into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&body), mood, Arc::clone(&counter)));
        }
    });
    Server { url, gets }
}

async fn answer(mut stream: TcpStream, body: Arc<[u8]>, mood: Mood, gets: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
    let get = request.starts_with("get");
    let range = request.split("range: bytes=").nth(1).map(|rest| {
        let (start, rest) = rest.split_once('-').unwrap();
        let end = rest.split("\r\n").next().unwrap();
        let end = end.parse::<usize>().map_or(body.len(), |end| (end + 1).min(body.len()));
        start.parse::<usize>().unwrap()..end
    });
    let (status, range, extra) = match range {
        None => ("200 OK", 0..body.len(), String::new()),
        Some(range) => {
            let extra = format!(
                "content-range: bytes {}-{}/{}\r\n",
                range.start,
                range.end - 1,
                body.len()
            );
            ("206 Partial Content", range, extra)
        }
    };
    let tag = if get && mood == Mood::Changes { "new" } else { "old" };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"{tag}\"\r\nlast-modified: Tue, 02 May 2023 00:00:00 GMT\r\nconnection: close\r\n{extra}\r\n",
        range.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    if !get {
        return;
    }
    gets.fetch_add(1, Ordering::Relaxed);
    let length = if mood == Mood::BreaksOff {
        range.len().div_ceil(3)
    } else {
        range.len()
    };
    let _ = stream.write_all(&body[range.start..range.start + length]).await;
}

async fn read_all(url: &str, format: Format) -> Result<(usize, u64)> {
    let source = source(url, format, patients());
    let listing = list(std::path::Path::new("/"), &source, day()).await?.unwrap();
    assert_eq!(listing.files()[0].path, url);
    let stats = Arc::new(ReadStats::default());
    let mut stream = listing.read(&source, 2, Arc::clone(&stats));
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch?.num_rows();
    }
    Ok((rows, stats.bytes.load(Ordering::Relaxed)))
}

fn people(count: usize) -> Vec<u8> {
    let person = |index| format!("{{\"id\":\"{index}\"}}");
    (0..count).map(person).collect::<Vec<_>>().concat().into_bytes()
}

#[tokio::test]
async fn a_remote_file_is_read() {
    let body = people(50_000);
    let server = serve(body.clone(), Mood::Good).await;
    let read = read_all(&format!("{}/in/a.json", server.url), Format::Json)
        .await
        .unwrap();
    assert_eq!(read, (50_000, body.len() as u64));
}

#[tokio::test]
async fn a_read_that_breaks_off_goes_on_where_it_stopped() {
    let body = people(20_000);
    let server = serve(body.clone(), Mood::BreaksOff).await;
    let read = read_all(&format!("{}/a.json", server.url), Format::Json).await.unwrap();
    assert_eq!(read, (20_000, body.len() as u64));
    assert!(server.gets.load(Ordering::Relaxed) > 3);
}

#[tokio::test]
async fn a_remote_file_that_changes_is_an_error() {
    let server = serve(people(10), Mood::Changes).await;
    let url = format!("{}/a.json", server.url);
    let error = read_all(&url, Format::Json).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{url} changed while it was read"));
}

#[tokio::test]
async fn parquet_is_read_in_ranges() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), people(100)).unwrap();
    let source = source("a.json", Format::Json, patients());
    let batches = super::super::testing::read(folder.path(), &source, 1).await.unwrap();
    let mut bytes = Vec::new();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(&mut bytes, batches[0].schema(), None).unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
    let server = serve(bytes, Mood::Good).await;
    assert_eq!(
        read_all(&format!("{}/a.parquet", server.url), Format::Parquet)
            .await
            .unwrap()
            .0,
        100
    );
}

#[tokio::test]
async fn a_store_that_dies_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = read_all(&format!("{url}/a.json"), Format::Json).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert_eq!(
        error.message,
        format!("{url}/a.json can't be looked for: the storage at {url} can't be reached")
    );
    assert!(error.why().unwrap().contains("refused"));
}
