//! The program `walk`: flags in, steps on clusters, exit code out.

mod checks;
mod cli;
mod command;
mod error;
mod matrix;
mod overlay;
mod settings;
mod steps;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, Command, WithProber};
use crate::command::{Shell, is_installed};
use crate::error::{Error, Result};
use crate::steps::{Walk, certs, check, images, ingress, istio, load, sample, watch};

fn main() -> ExitCode {
    let cli: Cli = match usage::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Ended(code)) => ExitCode::from(code),
        Err(error) => {
            let code = usage::complain("walk", &error);
            if matches!(error, Error::Failed(_)) { ExitCode::FAILURE } else { code }
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "walk", &mut script);
        // A closed pipe (`completions bash | head -1`) is not an error.
        let _ = std::io::stdout().write_all(&script);
        return Ok(());
    }
    let settings = settings::read(&cli.settings, &cli.set)?;
    let shell = Shell::new(cli.command.name(), cli.dry_run);
    let walk = Walk { settings: &settings, shell: &shell };
    match &cli.command {
        Command::Doctor => walk.checks().everything(),
        Command::Certs => certs::make(walk),
        Command::CertsInstall => certs::install(walk),
        Command::CertsUninstall => certs::uninstall(walk),
        Command::Install => istio::install(walk),
        Command::Status => istio::status(walk),
        Command::Uninstall => istio::uninstall(walk),
        Command::IngressInstall => ingress::install(walk),
        Command::IngressUninstall => ingress::uninstall(walk),
        Command::Docker => images::build(walk),
        Command::DockerPush => images::push(walk),
        Command::EchoInstall => sample::install(walk),
        Command::EchoStatus(flags) => sample::status(walk, &prober(flags)?),
        Command::EchoUninstall => sample::uninstall(walk),
        Command::Load(flags) => load::run(walk, &prober(flags)?),
        Command::CheckInstall => check::install(walk),
        Command::CheckUninstall => check::uninstall(walk),
        Command::WatchInstall => watch::install(walk),
        Command::WatchUninstall => watch::uninstall(walk),
        Command::Overlays => walk.overlays(None),
        Command::Completions { .. } => Ok(()),
    }
}

/// The program prober: as given, or the one beside this program.
fn prober(flags: &WithProber) -> Result<PathBuf> {
    let own = std::env::current_exe().unwrap_or_default();
    let prober = flags.prober.clone().unwrap_or_else(|| own.with_file_name("prober"));
    if is_installed(&prober.display().to_string()) {
        return Ok(prober);
    }
    let path = prober.display();
    Err(Error::ToCorrect(format!(
        "there is no program {path}; build it (cargo build --release --package prober), or name \
         another one with --prober"
    )))
}
