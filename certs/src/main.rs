//! The program `certs`: flags in, exit code out. The library does the work.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use certs::{Cli, Command, generate, issue, show};
use clap::CommandFactory as _;

fn main() -> ExitCode {
    let cli = match usage::parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match run(cli.command).and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => usage::complain("certs", &format_args!("{error:#}")),
    }
}

/// Runs the command. Returns its output.
fn run(command: Command) -> Result<Vec<u8>> {
    Ok(match command {
        Command::Generate(flags) => generate(&flags.into())?.to_string().into(),
        Command::Workload(flags) => {
            let id = flags.spiffe_id()?;
            let end = issue(&flags.ca, &flags.out, &id, flags.key, flags.validity)?;
            format!("made      {}\n{id}, until {end}\n", flags.out.display()).into()
        }
        Command::Show(flags) => show(&flags.paths)?.into(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "certs", &mut script);
            script
        }
    })
}

/// Prints to stdout. A closed pipe (`certs show | head`) is not an error.
fn print(text: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
