//! The help about actions, and the errors of words that are not an action. Pure.

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::Line;

/// The words and the meaning of each action.
#[must_use]
pub fn help() -> String {
    let mut text = String::new();
    for action in Line::command().get_subcommands() {
        let about = action.get_about().map(ToString::to_string).unwrap_or_default();
        let usage = action.clone().disable_help_flag(true).render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        text.push_str(&format!("{usage}\n    {about}\n"));
    }
    text.push_str("\n'localmesh do ACTION --help' explains one action, with an example.\n");
    text
}

/// The command that prints help about these words.
#[must_use]
pub fn see<S: AsRef<str>>(words: &[S]) -> String {
    match words.first() {
        Some(first) if names().iter().any(|name| name == first.as_ref()) => {
            format!("localmesh do {} --help", first.as_ref())
        }
        _ => "localmesh do help".to_owned(),
    }
}

/// The help that the words ask for, or one line that says what is wrong with them. `first` is
/// the first word.
pub(super) fn read(error: &clap::Error, first: &str) -> Result<String, String> {
    match error.kind() {
        ErrorKind::DisplayHelp => Ok(error.render().to_string()),
        ErrorKind::InvalidSubcommand => Err(unknown(first)),
        _ => Err(usage::one_line(error)),
    }
}

fn unknown(action: &str) -> String {
    let names = names();
    match usage::nearest(action, names.iter().map(String::as_str).chain(["help"])) {
        Some(near) => format!("unknown action '{action}'; did you mean '{near}'?"),
        None => format!("unknown action '{action}'; known: {}", names.join(", ")),
    }
}

fn names() -> Vec<String> {
    Line::command().get_subcommands().map(|action| action.get_name().to_owned()).collect()
}
