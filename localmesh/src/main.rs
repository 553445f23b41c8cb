//! The program `localmesh`: arguments, signals, output, exit codes.

mod cli;
mod interrupt;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::CommandFactory as _;
use localmesh::action::{self, Asked};
use localmesh::scenario::{self, Outcome, Place};
use localmesh::summary::{headline, summary};
use localmesh::topology::{self, Shape};
use localmesh::{Companion, Error, Mesh, Options, Tools, guard, remote};
use printable::{clean, clean_lines};

use crate::cli::{Cli, Command, Form, MeshArgs, ScenarioArgs};
use crate::interrupt::Interrupt;

/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;
/// The interval of checks whether processes have ended.
const WATCH: Duration = Duration::from_millis(100);
/// The same while a program runs in the foreground.
const POLL: Duration = Duration::from_millis(20);
/// Certificates are valid for a day and renewed after half of it, as in Istio.
const RENEW: Duration = Duration::from_secs(12 * 60 * 60);

fn main() -> ExitCode {
    let cli: Cli = match usage::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match cli.command {
        Command::Up(args) => up(&args),
        Command::Demo { mesh, prober } => demo(&mesh, &prober),
        Command::Do { which, words } => act(which.block, &words),
        Command::Run { mesh, scenarios } => run(&mesh, &scenarios),
        Command::State { which, output } => state(which.block, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "localmesh", &mut script);
            // A closed pipe (`completions bash | head -1`) is not an error.
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
    let interrupt = Interrupt::listen().context("cannot handle signals")?;
    let tools = find_tools(args.envoy.as_deref(), args.bin_dir.as_deref())?;
    let mut mesh = match start(args, &tools, &interrupt) {
        Err(Error::Interrupted) => return Ok(ExitCode::SUCCESS),
        started => started?,
    };
    let cwd = std::env::current_dir().unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    // A closed stdout must not stop the mesh.
    let text = summary(&mesh, &tools, &cwd);
    let _ = write!(stdout, "{}", clean_lines(&text)).and_then(|()| stdout.flush());

    let mut issued = SystemTime::now();
    while !interrupt.asked() {
        // Requests are answered at once; a signal waits at most this long.
        mesh.serve(WATCH).context("the mesh's socket")?;
        tell_ended(&mut mesh);
        if mesh.died_out() {
            anyhow::bail!("all processes of the mesh have ended");
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

/// Changes a mesh that runs in another process, or prints help about that.
fn act(block: u8, words: &[String]) -> anyhow::Result<ExitCode> {
    // Neither help nor the refusal of an invalid action needs a running mesh.
    let said = match Asked::parse(words) {
        Ok(Asked::Help(text)) => Some(text),
        Ok(Asked::Action(_, own)) => {
            let words = action::without_block(words);
            remote::perform(own.unwrap_or(block), &words)?.map(|said| said + "\n")
        }
        Err(why) => anyhow::bail!("{why} (see {})", action::see(words)),
    };
    // A closed pipe is not an error.
    let _ = write!(std::io::stdout(), "{}", clean_lines(&said.unwrap_or_default()));
    Ok(ExitCode::SUCCESS)
}

/// Prints the state of a mesh that runs in another process.
fn state(block: u8, form: Form) -> anyhow::Result<ExitCode> {
    let state = remote::state(block)?;
    let text = match form {
        Form::Text => clean_lines(&localmesh::state::text(&state)).into_owned(),
        Form::Json => serde_json::to_string_pretty(&state)? + "\n",
    };
    // A closed pipe is not an error.
    let _ = write!(std::io::stdout(), "{text}");
    Ok(ExitCode::SUCCESS)
}

/// Tests a mesh once. Returns prober's exit code.
fn demo(args: &MeshArgs, prober_args: &[OsString]) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen().context("cannot handle signals")?;
    let tools = find_tools(args.envoy.as_deref(), args.bin_dir.as_deref())?;
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
        mesh.serve(POLL).context("the mesh's socket")?;
        if interrupt.asked() {
            prober.interrupt();
            mesh.stop();
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
}

/// Runs scenarios one by one, and prints a line for each.
fn run(args: &ScenarioArgs, paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let scenarios = scenario::read(paths)?;
    let interrupt = Interrupt::listen().context("cannot handle signals")?;
    let tools = find_tools(args.envoy.as_deref(), args.bin_dir.as_deref())?;
    let place = Place { block: args.block, tools: &tools, keep: args.keep.as_deref() };
    let mut stdout = std::io::stdout().lock();
    // A closed stdout must not stop the mesh.
    let _ = writeln!(stdout, "{}", Outcome::heading());
    let mut missed = 0;
    for scenario in &scenarios {
        if args.stories {
            let _ = writeln!(stdout, "\n{}", clean_lines(&scenario.story));
        }
        let outcome = match scenario::run(scenario, &place, &|| interrupt.asked()) {
            Err(Error::Interrupted) => return Ok(ExitCode::from(INTERRUPTED)),
            // This error names its scenario already.
            Err(error @ Error::Scenario { .. }) => return Err(error.into()),
            outcome => outcome.with_context(|| scenario.name.clone())?,
        };
        missed += usize::from(!outcome.passed());
        let _ = writeln!(stdout, "{}", clean_lines(&outcome.line()));
    }
    let passed = scenarios.len() - missed;
    let _ = writeln!(stdout, "\n{passed} of {} scenarios met their expectations", scenarios.len());
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn find_tools(envoy: Option<&Path>, bin_dir: Option<&Path>) -> Result<Tools, Error> {
    let tools = Tools::find(envoy, bin_dir)?;
    if let Some(warning) = tools.envoy.warning() {
        tell(&format_args!("localmesh: warning: {warning}"));
    }
    Ok(tools)
}

fn start(args: &MeshArgs, tools: &Tools, interrupt: &Interrupt) -> Result<Mesh, Error> {
    let shape = args.topology.as_deref().map(topology::file::read).transpose()?;
    let options = Options {
        shape: shape.unwrap_or_else(Shape::two_clusters),
        block: args.block,
        ingress_port: args.ingress_port,
        isolate: args.isolate,
        dir: args.dir.clone(),
    };
    Mesh::start(&options, tools, &|| interrupt.asked())
}

/// Reports processes that have ended unexpectedly. The mesh keeps running, so that users can
/// kill a process and see what happens.
fn tell_ended(mesh: &mut Mesh) {
    for (name, status, log) in mesh.ended() {
        tell(&format_args!(
            "localmesh: {name} ended ({status}); the mesh keeps running without it"
        ));
        for line in log {
            tell(&format_args!("  | {line}"));
        }
    }
}

/// Prints a line to stderr, safe to print: processes name files and repeat requests in their logs.
fn tell(line: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "{}", clean(&line.to_string()));
}
