//! `prober man` and `prober completions`: made of the flags themselves.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Error;
use crate::cli::Cli;
use crate::output::delivery;

/// Prints the man page of the program, or of one of its commands, as roff; returns the exit code.
pub(crate) fn page(command: Option<&str>, out: &mut dyn Write) -> Result<u8, Error> {
    let mut program = Cli::command();
    program.build();
    let page = match command {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            let found = found.ok_or_else(|| Error::UnknownCommand(name.to_owned()))?;
            found.display_name(format!("prober-{name}"))
        }
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).render(&mut roff)?;
    delivery::print(out, &roff)?;
    Ok(0)
}

/// Prints a completion script; returns the exit code.
pub(crate) fn completions(shell: Shell, out: &mut dyn Write) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "prober", &mut script);
    delivery::print(out, &script)?;
    Ok(0)
}
