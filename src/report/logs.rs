//! Writes log lines to stderr, and limits what a panic may print.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// The target of the lines that say how far a run is. They are logged whatever `-v` says.
pub(super) const PROGRESS: &str = "healthcare_insights::progress";

/// Starts logging to stderr. The default level is warnings, `-v` adds the program's steps and `-vv` adds details.
/// `RUST_LOG`, if it is the name of a level, decides instead.
///
/// The libraries that we use log only errors, because at debug level some of them log the statements and values they
/// handle.
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
    let quieter = ["off", "error"].contains(&ours.to_ascii_lowercase().as_str());
    let progress = if quieter { "off" } else { "info" };
    let filter = EnvFilter::new(format!("error,healthcare_insights={ours},{PROGRESS}={progress}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start, as in a test, keeps the first logger.
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

/// Makes a panic print its place in the code but not its message, because the message may contain a value.
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
