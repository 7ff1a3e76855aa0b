//! A swap whose COMMIT is answered late, as it is by a server that deletes large files of old partitions.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

/// A proxy to the server that passes nothing back after a swap's COMMIT until `open` allows it. Returns its port.
async fn gate(server: u16, open: watch::Receiver<bool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = TcpStream::connect(("127.0.0.1", server)).await.unwrap().into_split();
            let (committing, swapped) = watch::channel(false);
            tokio::spawn(forward(from_client, to_server, committing));
            tokio::spawn(answer(from_server, to_client, swapped, open.clone()));
        }
    });
    port
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, committing: watch::Sender<bool>) {
    let (mut buffer, mut swapping) = (Vec::with_capacity(1 << 16), false);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        let has = |what: &[u8]| buffer.windows(what.len()).any(|bytes| bytes == what);
        swapping |= has(b"ATTACH PARTITION");
        if swapping && has(b"COMMIT\0") {
            committing.send_replace(true);
        }
        if to.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    swapped: watch::Receiver<bool>,
    mut open: watch::Receiver<bool>,
) {
    let mut buffer = Vec::with_capacity(1 << 16);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        if *swapped.borrow() && open.wait_for(|open| *open).await.is_err() {
            return;
        }
        if to.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
    }
}

/// Fails after a minute, for work that would hang if it waited for the answer.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), work)
        .await
        .expect("it waits for the answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_has_ended_when_it_is_seen_not_when_the_old_files_are_gone() {
    let Some(world) = World::server().await else { return };
    let rows = |value: &'static str| [("a", value)];
    world
        .load(&world.locks(), &day(2), &[("patients", &rows("old"))])
        .await
        .unwrap();

    let (open, opened) = watch::channel(false);
    let port = gate(testing::server().unwrap().port, opened).await;
    let name = world.database.as_ref().unwrap();
    let through = format!("host=127.0.0.1 port={port} user=postgres dbname={name}");
    let slow = Warehouse::open(testing::database(&through), 2).await.unwrap();
    let locks = BatchLocks::new(slow.clone());
    let run = locks.start_run(&day(2), &record(), false).await.unwrap();
    let staged = world.stage(&run, &[("patients", &rows("new"))]).await.unwrap();
    let connection = slow.acquire().await.unwrap();
    let (summary, stop) = (Summary::default(), CancellationToken::new());
    let swap = run.swap(connection, &world.entities, staged, summary, &stop);
    // This would hang if the swap did not look at the run's row.
    Box::pin(soon(swap)).await.unwrap();
    assert_eq!(world.rows("patients").await, ["(a,new,source_b,2023-05-02)"]);
    assert_eq!(world.state().await, (vec!["committed".to_owned(); 2], vec![]));

    // The swap's session is not given to others before it has answered. So both get the other session.
    for _ in 0..2 {
        let other = soon(slow.acquire()).await.unwrap();
        assert_eq!(soon(texts(&other, "SELECT 'served'")).await, ["served"]);
    }
    let waiting = tokio::time::timeout(Duration::from_millis(300), slow.reserve(2)).await;
    assert!(waiting.is_err(), "the session was given back before it had answered");
    open.send_replace(true);
    let both = soon(slow.reserve(2)).await.unwrap();
    assert_eq!(both.len(), 2);
}
