//! The `localmesh` program: arguments, signals, what is printed, exit codes.

mod cli;
mod interrupt;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::CommandFactory as _;
use localmesh::summary::{headline, summary};
use localmesh::topology::Shape;
use localmesh::{Companion, Error, Mesh, Options, Tools, guard};

use crate::cli::{Cli, Command, MeshArgs};
use crate::interrupt::Interrupt;

/// The exit code after ctrl-c.
const INTERRUPTED: u8 = 130;
/// How often the processes are looked at.
const WATCH: Duration = Duration::from_millis(100);
/// Certificates last a day; they are renewed at half of it, as in Istio.
const RENEW: Duration = Duration::from_secs(12 * 60 * 60);

fn main() -> ExitCode {
    let cli: Cli = match usage::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match cli.command {
        Command::Up(args) => up(&args),
        Command::Demo { mesh, prober } => demo(&mesh, &prober),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "localmesh", &mut script);
            // A closed pipe (`completions bash | head -1`) is no error.
            let _ = std::io::stdout().write_all(&script);
            Ok(ExitCode::SUCCESS)
        }
        Command::Guard { parent, command } => {
            let program = command.first().map(|p| p.display().to_string()).unwrap_or_default();
            Err(anyhow::Error::new(guard::become_program(parent, &command)).context(program))
        }
    };
    done.unwrap_or_else(|error| match error.downcast_ref::<Error>() {
        Some(Error::Interrupted) => ExitCode::from(INTERRUPTED),
        _ => usage::complain("localmesh", &format_args!("{error:#}")),
    })
}

/// Runs the mesh until it is asked to stop.
fn up(args: &MeshArgs) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen().context("signals")?;
    let tools = find_tools(args)?;
    let mut mesh = match start(args, &tools, &interrupt) {
        Err(Error::Interrupted) => return Ok(ExitCode::SUCCESS),
        started => started?,
    };
    let cwd = std::env::current_dir().unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    // A reader who has gone away is no reason to stop.
    let _ = write!(stdout, "{}", summary(&mesh, &tools, &cwd)).and_then(|()| stdout.flush());

    let mut issued = SystemTime::now();
    while !interrupt.wait(WATCH) {
        tell_ended(&mut mesh);
        if mesh.programs().all(|(_, pid)| pid.is_none()) {
            anyhow::bail!("no process of the mesh is left");
        }
        // Wall-clock time: certificates age while a laptop sleeps.
        if issued.elapsed().is_ok_and(|age| age > RENEW) {
            mesh.renew_certificates()?;
            issued = SystemTime::now();
        }
    }
    mesh.stop();
    Ok(ExitCode::SUCCESS)
}

/// Tests the mesh once; the exit code is prober's.
fn demo(args: &MeshArgs, prober_args: &[OsString]) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen().context("signals")?;
    let tools = find_tools(args)?;
    let mut mesh = start(args, &tools, &interrupt)?;
    tell(&headline(&mesh, &tools));

    let mut arguments = vec!["matrix".into(), mesh.matrix_path().into()];
    arguments.extend_from_slice(prober_args);
    let mut prober = Companion::start(&tools, &tools.prober, &arguments)?;
    loop {
        tell_ended(&mut mesh);
        if let Some(status) = prober.ended() {
            mesh.stop();
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return code.map(ExitCode::from).with_context(|| format!("prober: {status}"));
        }
        if interrupt.wait(WATCH) {
            prober.interrupt();
            mesh.stop();
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
}

fn find_tools(args: &MeshArgs) -> Result<Tools, Error> {
    let tools = Tools::find(args.envoy.as_deref(), args.bin_dir.as_deref())?;
    if let Some(warning) = tools.envoy.warning() {
        tell(&format_args!("localmesh: warning: {warning}"));
    }
    Ok(tools)
}

fn start(args: &MeshArgs, tools: &Tools, interrupt: &Interrupt) -> Result<Mesh, Error> {
    let options = Options {
        shape: Shape::two_clusters(),
        block: args.block,
        ingress_port: args.ingress_port,
        dir: args.dir.clone(),
    };
    Mesh::start(&options, tools, &|| interrupt.asked())
}

/// Says which processes have ended by themselves. The mesh goes on without
/// them: ending one by hand is a way to see what happens.
fn tell_ended(mesh: &mut Mesh) {
    for (name, status, log) in mesh.ended() {
        tell(&format_args!("localmesh: {name} ended ({status}); the mesh goes on without it"));
        for line in log {
            tell(&format_args!("  | {line}"));
        }
    }
}

fn tell(line: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
