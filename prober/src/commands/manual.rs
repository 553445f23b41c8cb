//! `prober man` and `prober completions`, generated from the flags.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Error;
use crate::cli::Cli;
use crate::output::delivery;

/// Prints a man page in roff, of the program or of one command; returns the exit code.
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

/// Returns the exit code.
pub(crate) fn completions(shell: Shell, out: &mut dyn Write) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "prober", &mut script);
    delivery::print(out, &script)?;
    Ok(0)
}
