//! Parses the command line, starts the runtime, prints the error, sets the exit code.

use std::process::ExitCode;

use clap::Parser;
use healthcare_insights::{cli::Cli, report};

fn main() -> ExitCode {
    let cli = Cli::parse();
    report::start_logs(cli.log_format(), cli.verbosity());
    report::quiet_panics();
    // Has no effect in a build without failpoints. Only test builds have failpoints.
    let _failpoints = fail::FailScenario::setup();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime can't be started: {error}");
            return ExitCode::from(3);
        }
    };
    let code = match runtime.block_on(cli.execute()) {
        Ok(code) => code,
        Err(error) => report::failure(&error),
    };
    // A blocking read that was abandoned must not keep the process alive.
    runtime.shutdown_background();
    ExitCode::from(code)
}
