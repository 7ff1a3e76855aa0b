//! Serves the embedded database on a port or a socket, for psql or a BI tool. It forwards bytes and parses only the start
//! of a connection.
//!
//! The port is on the loopback address, which every user of this machine can reach. So it asks for a password, which is
//! made anew at each start and printed once, in the URL. The database itself knows no password. The socket lies in a folder
//! that only this user may enter, and asks for none. It serves one client at a time. A second one is let in if the first leaves within two seconds, else it is
//! refused with SQLSTATE 53300. The embedded database alone would let it wait without an answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::door::{Door, Listen};
use super::server::{Embedded, Stream};
use crate::error::Result;

/// How long a second client waits for the first to leave.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a client may take to say the password.
const LOGIN: Duration = Duration::from_mins(1);
/// AuthenticationCleartextPassword (PostgreSQL manual, "Message Formats"). What is sent stays on this machine.
const PASSWORD_REQUEST: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];
/// Codes of the packets a connection may begin with (PostgreSQL manual, "Message Formats").
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The server's own limit for a startup packet.
const LONGEST_STARTUP: usize = 10_000;

/// An embedded database on a port or socket, until it is stopped or dropped.
pub struct Served {
    embedded: Arc<Embedded>,
    /// `None`: nobody else can come in.
    password: Option<Arc<str>>,
    door: Door,
    url: String,
}

/// Opens the embedded database of the project at `root`.
pub async fn serve_db(root: &Path, listen: Listen) -> Result<Served> {
    let start = || Embedded::start(Some(root.join(".pipeline").join("warehouse")));
    let (door, embedded) = match listen {
        Listen::Port(port) => {
            let door = Door::port(port).await?;
            (door, start().await?)
        }
        Listen::Socket => {
            let embedded = start().await?;
            (Door::socket(root)?, embedded)
        }
    };
    let password = door
        .is_open_to_others()
        .then(|| Arc::from(format!("{:032x}", rand::random::<u128>())));
    let url = door.url(embedded.user_and_database(), password.as_deref());
    Ok(Served {
        password,
        embedded: Arc::new(embedded),
        door,
        url,
    })
}

impl Served {
    /// The URL to give to psql.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `stop` is done; then ends the client's connection and shuts the database down.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let free = Arc::new(Semaphore::new(1));
        let mut clients = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.door.accept() => match accepted {
                    Ok(client) => {
                        clients.spawn(serve(client, self.embedded.clone(), self.password.clone(), free.clone()));
                    }
                    // Too many open files, or the client has left already. Neither ends the service.
                    Err(error) => {
                        tracing::warn!(%error, "a client could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = clients.join_next(), if !clients.is_empty() => {}
            }
        }
        clients.shutdown().await;
        self.embedded.stop().await;
    }
}

async fn serve(
    mut client: Box<dyn Stream + Send>,
    embedded: Arc<Embedded>,
    password: Option<Arc<str>>,
    free: Arc<Semaphore>,
) {
    if let Err(error) = serve_one(&mut *client, &embedded, password.as_deref(), &free).await {
        tracing::debug!(%error, "a client's connection ended");
    }
}

async fn serve_one(
    client: &mut (dyn Stream + Send),
    embedded: &Embedded,
    password: Option<&str>,
    free: &Semaphore,
) -> std::io::Result<()> {
    let Some(startup) = startup(client).await? else {
        return Ok(());
    };
    if let Some(password) = password {
        match tokio::time::timeout(LOGIN, is_let_in(client, password)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                let refusal = "the password is wrong; `pipeline serve-db` has printed it in the URL";
                return client.write_all(&error_response("28P01", refusal)).await;
            }
            // The client has left, perhaps to ask its user for the password.
            Ok(Err(_)) | Err(_) => return Ok(()),
        }
    }
    let Ok(Ok(_permit)) = tokio::time::timeout(PATIENCE, free.acquire()).await else {
        let refusal = "the embedded database serves one client at a time, and another is connected";
        return client.write_all(&error_response("53300", refusal)).await;
    };
    let mut database = embedded.dial().await?;
    database.write_all(&startup).await?;
    forward(client, &mut *database).await
}

/// Asks for the password and compares it, in a time that does not tell how much of it is right.
async fn is_let_in(client: &mut (dyn Stream + Send), password: &str) -> std::io::Result<bool> {
    client.write_all(&PASSWORD_REQUEST).await?;
    let (tag, length) = (client.read_u8().await?, client.read_u32().await?);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if tag != b'p' || !(4..=LONGEST_STARTUP).contains(&length) {
        return Ok(false);
    }
    let mut given = vec![0; length - 4];
    client.read_exact(&mut given).await?;
    let wanted = [password.as_bytes(), &[0]].concat();
    let differs = given.iter().zip(&wanted).fold(0, |differs, (a, b)| differs | (a ^ b));
    Ok(differs == 0 && given.len() == wanted.len())
}

/// Reads the packet that opens a session. `None` where the client wanted something else, or left.
async fn startup(client: &mut (dyn Stream + Send)) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        let (Ok(length), Ok(code)) = (client.read_u32().await, client.read_u32().await) else {
            return Ok(None);
        };
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        match code {
            SSL_REQUEST | GSS_REQUEST => client.write_all(b"N").await?,
            // The embedded database runs one statement at a time and can't be interrupted.
            CANCEL_REQUEST => return Ok(None),
            _ if !(8..=LONGEST_STARTUP).contains(&whole) => return Ok(None),
            _ => {
                let mut packet = [length.to_be_bytes(), code.to_be_bytes()].concat();
                let head = packet.len();
                packet.resize(whole, 0);
                client.read_exact(&mut packet[head..]).await?;
                return Ok(Some(packet));
            }
        }
    }
}

/// Forwards bytes both ways until the client has left. Then it reads the rest of what the database sends: closing a
/// connection with unread answers would end the embedded database's thread.
async fn forward(client: &mut (dyn Stream + Send), database: &mut (dyn Stream + Send)) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_database, mut to_database) = tokio::io::split(database);
    let requests = async {
        let copied = tokio::io::copy(&mut from_client, &mut to_database).await;
        to_database.shutdown().await?;
        copied
    };
    let answers = async {
        let copied = tokio::io::copy(&mut from_database, &mut to_client).await;
        if copied.is_err() {
            tokio::io::copy(&mut from_database, &mut tokio::io::sink()).await?;
        }
        to_client.shutdown().await?;
        copied
    };
    tokio::join!(requests, answers).1.map(drop)
}

/// An ErrorResponse of severity FATAL (PostgreSQL manual, "Error and Notice Message Fields").
fn error_response(code: &str, message: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', code), (b'M', message)] {
        body.push(field);
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&b"E"[..], &length.to_be_bytes(), &body].concat()
}
