//! Parses the command line, starts the runtime, prints the error, sets the exit code.

use std::panic::resume_unwind;
use std::process::ExitCode;

use clap::Parser;
use healthcare_insights::{STACK_BYTES, cli::Cli, report};

fn main() -> ExitCode {
    let cli = Cli::parse();
    report::start_logs(cli.log_format(), cli.verbosity());
    report::quiet_panics();
    // Has no effect in a build without failpoints. Only test builds have failpoints.
    let _failpoints = fail::FailScenario::setup();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime can't be started: {error}");
            return ExitCode::from(3);
        }
    };
    // The process's first thread has the stack that the system gives it.
    let executed = std::thread::scope(|scope| {
        let execute = || runtime.block_on(cli.execute());
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        thread
            .spawn_scoped(scope, execute)
            .map(|running| running.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let code = match executed {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => report::failure(&error),
        Err(error) => {
            eprintln!("error: no thread can be started: {error}");
            3
        }
    };
    // A blocking read that was abandoned must not keep the process alive.
    runtime.shutdown_background();
    ExitCode::from(code)
}
