//! Fetches the bytes of an object and hands them, piece by piece, to a thread that waits for them. Where a response
//! breaks off, the next request goes on at the byte where it stopped. An object that has changed since it was listed is
//! an error.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::changed;
use super::files::InputFile;
use super::store::{PATIENCE, Remote};
use crate::error::{Error, Result};

/// The most pieces that wait for the reading thread.
const WAITING: usize = 4;

/// A fetch fails after this many requests in a row that brought no byte.
const ATTEMPTS: u32 = 2;

/// Starts to fetch an object from a byte on. The last message is an empty piece or an error. If the channel closes without either, the
/// fetch was stopped.
pub(super) fn fetch(
    remote: Remote,
    path: Path,
    file: InputFile,
    from: u64,
    runtime: &Handle,
    stop: CancellationToken,
) -> mpsc::Receiver<Result<Bytes>> {
    let (sender, pieces) = mpsc::channel(WAITING);
    runtime.spawn(async move {
        let end = tokio::select! {
            () = stop.cancelled() => return,
            () = sender.closed() => return,
            end = fetch_all(&remote, &path, &file, from, &sender) => end,
        };
        // A failed send means that the reader is gone, and nobody needs the message.
        let _ = sender.send(end.map(|()| Bytes::new())).await;
    });
    pieces
}

/// Fetches one range of an object into memory.
pub(super) async fn fetch_range(remote: &Remote, path: &Path, file: &InputFile, range: Range<u64>) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    let mut pieces = open(remote, path, file, Some(GetRange::Bounded(range)))
        .await?
        .into_stream();
    loop {
        match tokio::time::timeout(PATIENCE, pieces.next()).await {
            Err(_) => return Err(remote.silent()),
            Ok(None) => return Ok(bytes.freeze()),
            Ok(Some(piece)) => bytes.extend_from_slice(&piece.map_err(|error| named(&remote.explain(&error), file))?),
        }
    }
}

async fn fetch_all(
    remote: &Remote,
    path: &Path,
    file: &InputFile,
    from: u64,
    sender: &mpsc::Sender<Result<Bytes>>,
) -> Result<()> {
    let mut fetched = from;
    let mut fruitless = 0;
    while fetched < file.size {
        let before = fetched;
        let broke = match fetch_part(remote, path, file, &mut fetched, sender).await? {
            Part::Unwanted => return Ok(()),
            Part::Ended => Error::unreachable(format!("{} breaks off at byte {fetched}", file.path))
                .hint("check the storage and the network, then run the batch again"),
            Part::Broke(error) => error,
        };
        fruitless = if fetched > before { 0 } else { fruitless + 1 };
        if fetched < file.size && fruitless == ATTEMPTS {
            return Err(broke);
        }
    }
    Ok(())
}

/// How the response to one request ended.
enum Part {
    Ended,
    Broke(Error),
    Unwanted,
}

/// Sends one request for the bytes from `fetched` on and hands on what arrives. An error is one of opening the object,
/// which object_store has already retried.
async fn fetch_part(
    remote: &Remote,
    path: &Path,
    file: &InputFile,
    fetched: &mut u64,
    sender: &mpsc::Sender<Result<Bytes>>,
) -> Result<Part> {
    let range = (*fetched > 0).then_some(GetRange::Offset(*fetched));
    let mut pieces = open(remote, path, file, range).await?.into_stream();
    loop {
        match tokio::time::timeout(PATIENCE, pieces.next()).await {
            Err(_) => return Ok(Part::Broke(remote.silent())),
            Ok(None) => return Ok(Part::Ended),
            Ok(Some(Err(error))) => return Ok(Part::Broke(named(&remote.explain(&error), file))),
            Ok(Some(Ok(piece))) if piece.is_empty() => {}
            Ok(Some(Ok(piece))) => {
                *fetched += piece.len() as u64;
                if sender.send(Ok(piece)).await.is_err() {
                    return Ok(Part::Unwanted);
                }
            }
        }
    }
}

/// Opens the object that was listed. An object that has changed since is an error.
async fn open(remote: &Remote, path: &Path, file: &InputFile, range: Option<GetRange>) -> Result<GetResult> {
    // A weak etag (`W/...`) never matches `If-Match`, so it is compared below.
    let strong = file.etag.clone().filter(|etag| !etag.starts_with("W/"));
    let options = GetOptions::default().with_if_match(strong).with_range(range);
    let opened = tokio::time::timeout(PATIENCE, remote.store.get_opts(path, options)).await;
    let result = opened.map_err(|_| remote.silent())?;
    let result = match result {
        Err(object_store::Error::Precondition { .. }) => return Err(changed(&file.path)),
        result => result.map_err(|error| named(&remote.explain(&error), file))?,
    };
    // Not every server gives etags in its listings.
    let other = file.etag.is_some() && result.meta.e_tag != file.etag;
    if result.meta.size != file.size || other {
        return Err(changed(&file.path));
    }
    Ok(result)
}

fn named(error: &Error, file: &InputFile) -> Error {
    let mut named = Error::new(error.kind, format!("{} can't be read: {}", file.path, error.message));
    named.cause.clone_from(&error.cause);
    named.hint.clone_from(&error.hint);
    named
}
