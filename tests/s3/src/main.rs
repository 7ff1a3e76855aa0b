//! Serves a folder as S3 for the tests: `s3-server FOLDER ACCESS_KEY SECRET_KEY [PORT]`. It prints the port it listens on
//! and lives until its standard input ends, so that it never outlives the test that started it.
use std::error::Error;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(key), Some(secret)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: s3-server FOLDER ACCESS_KEY SECRET_KEY [PORT]".into());
    };
    let port: u16 = args.next().as_deref().unwrap_or("0").parse()?;
    let files = FileSystem::new(folder).map_err(|error| format!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(key, secret));
    let service = builder.build();

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("{}", listener.local_addr()?.port());
    let mut stdin = tokio::io::stdin();
    let mut byte = [0];
    loop {
        tokio::select! {
            read = stdin.read(&mut byte) => if read? == 0 { return Ok(()) },
            accepted = listener.accept() => {
                let (socket, _) = accepted?;
                let service = service.clone();
                tokio::spawn(async move {
                    // A client that hangs up is no failure of the server.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        }
    }
}
