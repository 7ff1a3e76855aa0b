//! Tells a supervisor, such as Kubernetes, how a server of the cluster is: `GET /health/live` and `GET /health/ready`, by
//! plain HTTP. Neither names anything.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};

/// Asks a server whether it can take work. If not, it says why.
pub(super) type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), &'static str>> + Send + Sync>;

/// Answers until the handle is dropped. Returns where.
///
/// # Errors
/// The address can't be listened on.
pub(super) async fn serve(address: SocketAddr, ready: Ready) -> Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let unusable = |error| {
        Error::unreachable(format!("{address} can't be listened on"))
            .cause(error)
            .hint("name an address of this machine and a free port: --health IP:PORT")
    };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let bound = listener.local_addr().map_err(unusable)?;
    let ready = move || {
        let asked = ready();
        async move {
            match asked.await {
                Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
            }
        }
    };
    let routes = Router::new()
        .route("/health/live", get(async || "live\n"))
        .route("/health/ready", get(ready));
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::warn!(%error, "health is not told any more");
        }
    });
    Ok((bound, AbortOnDropHandle::new(serving)))
}
