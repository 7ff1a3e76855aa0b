//! A pooler in transaction mode, as far as the program meets one: its clients share one session of the server, each for
//! the length of a transaction.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::warehouse::Warehouse;
use crate::warehouse::testing::{database, server};

/// The one session, and what it said when it began.
type Shared = Arc<Mutex<Option<(TcpStream, Vec<u8>)>>>;

/// A message with its type and length; the first one of a client has no type.
fn message(stream: &mut TcpStream, has_type: bool) -> Option<Vec<u8>> {
    let mut bytes = vec![0; if has_type { 5 } else { 4 }];
    stream.read_exact(&mut bytes).ok()?;
    let length = u32::from_be_bytes(bytes[bytes.len() - 4..].try_into().unwrap());
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut body).ok()?;
    bytes.extend(body);
    Some(bytes)
}

/// What the server says until it is ready; whether no transaction is open then.
fn answer(server: &mut TcpStream) -> Option<(Vec<u8>, bool)> {
    let mut all = Vec::new();
    loop {
        let one = message(server, true)?;
        all.extend(&one);
        if one[0] == b'Z' {
            return Some((all, one[5] == b'I'));
        }
    }
}

fn serve(mut client: TcpStream, shared: &Shared, port: u16) -> Option<()> {
    let startup = message(&mut client, false)?;
    let mut session = shared.lock().unwrap();
    if session.is_none() {
        let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
        server.write_all(&startup).ok()?;
        let (said, _) = answer(&mut server)?;
        *session = Some((server, said));
    }
    client.write_all(&session.as_ref()?.1).ok()?;
    drop(session);
    loop {
        let mut asked = message(&mut client, true)?;
        let mut session = shared.lock().unwrap();
        let (server, _) = session.as_mut()?;
        loop {
            // A query or a Sync asks for an answer; without one there is more to come.
            while !matches!(asked[0], b'Q' | b'S' | b'X') {
                server.write_all(&asked).ok()?;
                asked = message(&mut client, true)?;
            }
            if asked[0] == b'X' {
                return None;
            }
            server.write_all(&asked).ok()?;
            let (said, idle) = answer(server)?;
            client.write_all(&said).ok()?;
            if idle {
                break;
            }
            asked = message(&mut client, true)?;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_refused() {
    let Some(server) = server() else { return };
    let name = server.create().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let port = server.port;
    std::thread::spawn(move || {
        let shared = Shared::default();
        for client in listener.incoming().flatten() {
            let shared = shared.clone();
            std::thread::spawn(move || serve(client, &shared, port));
        }
    });
    let conninfo = format!("host=127.0.0.1 port={own} user=postgres dbname={name} sslmode=disable");
    let warehouse = Warehouse::open(database(&conninfo), 2).await.unwrap();
    let error = warehouse.dedicated().await.err().unwrap();
    assert_eq!(
        error.message,
        format!("127.0.0.1:{own}/{name} is a pooler that gives one session to several clients")
    );
    assert!(error.hint.unwrap().contains("session mode"));
    // The server itself is not taken for one.
    let direct = server.open(&name, 2).await;
    assert!(direct.dedicated().await.unwrap().is_some());
}
