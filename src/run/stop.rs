//! Handles Ctrl-C and SIGTERM. The first signal stops the batches cleanly, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};

/// Tells whether a signal has come.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub token: CancellationToken,
    signal: Arc<AtomicI32>,
}

impl Stop {
    /// The number of the signal that came first.
    pub(super) fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// The error of an invocation that a signal has stopped while it still waited for the database.
    pub(super) fn before_any_batch(&self) -> Error {
        let kind = Kind::Interrupted(self.signal().unwrap_or(2));
        Error::new(kind, "stopped before any batch began")
    }
}

/// Begins to listen for signals.
pub(super) fn on_signals() -> Stop {
    let stop = Stop {
        token: CancellationToken::new(),
        signal: Arc::default(),
    };
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            let signal = next().await;
            if told.token.is_cancelled() {
                // What a killed run leaves behind, the next run removes.
                std::process::exit(128 + signal);
            }
            told.signal.store(signal, Ordering::SeqCst);
            told.token.cancel();
        }
    });
    stop
}

/// Ends the process at a signal, for commands that have nothing to stop cleanly: what they had begun in the database is
/// rolled back. The first process of a container has to ask for that: its signals are ignored otherwise.
pub fn end_on_signals() {
    tokio::spawn(async {
        let signal = next().await;
        std::process::exit(128 + signal);
    });
}

#[cfg(unix)]
async fn next() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    }
}

#[cfg(not(unix))]
async fn next() -> i32 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => 2,
        Err(_) => std::future::pending().await,
    }
}
