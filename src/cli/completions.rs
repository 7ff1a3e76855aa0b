//! `pipeline completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell that will read the script
    shell: Shell,
}

pub(super) fn execute(arguments: &Arguments) -> u8 {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "pipeline", &mut std::io::stdout());
    0
}
