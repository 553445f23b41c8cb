//! The images of echo and prober: built, and pushed.

use super::Walk;
use crate::command::Command;
use crate::error::Result;

/// Builds both images.
pub(crate) fn build(walk: Walk<'_>) -> Result<()> {
    for (target, image) in images(walk) {
        let build = docker(walk).environment("DOCKER_BUILDKIT", "1").word("build");
        walk.shell.run(&of_image(arguments(walk, build), target, image).word("."))?;
    }
    Ok(())
}

/// Pushes both images; for several platforms they are built, too.
pub(crate) fn push(walk: Walk<'_>) -> Result<()> {
    for (target, image) in images(walk) {
        let command = docker(walk);
        let command = match walk.settings.docker.platforms.as_str() {
            "" => command.word("push").word(image),
            platforms => {
                let build = arguments(walk, command.words("buildx build"));
                let build = build.word("--platform").word(platforms);
                of_image(build, target, image).word("--push").word(".")
            }
        };
        walk.shell.run(&command)?;
    }
    Ok(())
}

fn images(walk: Walk<'_>) -> [(&str, &str); 2] {
    [("echo", &walk.settings.echo_image), ("prober", &walk.settings.prober_image)]
}

fn docker(walk: Walk<'_>) -> Command {
    let (program, words) = walk.settings.docker.program.split_first().expect("it is not empty");
    words.iter().fold(Command::new(program), |command, word| command.word(word))
}

fn of_image(command: Command, target: &str, image: &str) -> Command {
    command.word("--target").word(target).word("--tag").word(image)
}

/// What both images are built with: for `prober --version`, the commit and the time of it, which
/// is also that of the image.
fn arguments(walk: Walk<'_>, command: Command) -> Command {
    let docker = &walk.settings.docker;
    let argument = |command: Command, name: &str, value: &str| {
        command.word("--build-arg").word(format!("{name}={value}"))
    };
    let command = docker.flags.iter().fold(command, |command, flag| command.word(flag));
    let command = argument(command, "VERSION", &docker.tag);
    let revision = git(walk, "rev-parse HEAD").unwrap_or_else(|| "unknown".to_owned());
    let mut command = argument(command, "REVISION", &revision);
    if let Some(time) = git(walk, "log -1 --format=%ct") {
        command = argument(command, "SOURCE_DATE_EPOCH", &time);
    }
    match &docker.builder {
        Some(builder) => argument(command, "BUILDER", builder),
        None => command,
    }
}

/// What git answers. Nothing outside of a repository.
fn git(walk: Walk<'_>, words: &str) -> Option<String> {
    let answer = walk.shell.try_ask_again(&Command::new("git").words(words)).ok()?;
    let said = answer.stdout.trim();
    Some(said.to_owned()).filter(|said| answer.succeeded && !said.is_empty())
}
