//! Log lines on stderr, and what a panic may say.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Starts logging to stderr: warnings, with `-v` what the program does, with `-vv` details; `RUST_LOG` decides otherwise.
///
/// The libraries below stay at warnings: at debug level some of them log the statements and values they handle.
pub fn start_logs(format: LogFormat, verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let ours = std::env::var("RUST_LOG")
        .ok()
        .filter(|l| is_level(l))
        .unwrap_or_else(|| level.to_owned());
    let filter = EnvFilter::new(format!("error,healthcare_insights={ours}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start (in a test) keeps the first.
    let _ = match format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder
            .with_target(false)
            .with_ansi(super::colored())
            .without_time()
            .try_init(),
    };
}

fn is_level(text: &str) -> bool {
    ["off", "error", "warn", "info", "debug", "trace"].contains(&text.to_ascii_lowercase().as_str())
}

/// Makes a panic name its place and nothing else: its message may quote a value.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        super::message(&format!(
            "error: internal error{place}\nhint: this is a defect of the program, please report it"
        ));
    }));
}
