//! Whether the images are in their registry.

use super::Checks;
use crate::command::{Command, is_installed};
use crate::error::Result;

/// What registries say of an image that they do not have.
const MISSING: [&str; 4] = ["no such manifest", "manifest unknown", "not found", "does not exist"];

impl Checks<'_> {
    /// What a registry says for certain is a problem. That it cannot be asked from here is not.
    pub(super) fn images(&self) -> Result<()> {
        if !is_installed("docker") {
            self.note("whether the images are pushed is not known: docker is not here");
            return Ok(());
        }
        for image in [&self.settings.echo_image, &self.settings.prober_image] {
            let ask = |flags: &str| {
                let command = Command::new("docker").words("manifest inspect").words(flags);
                self.shell.try_ask(&command.word(image))
            };
            let answer = ask("")?;
            // The second try is for a registry without TLS; what the first one said is told.
            if answer.succeeded || ask("--insecure")?.succeeded {
                self.fine(&format!("{image} is pushed"));
                continue;
            }
            let said = format!("{}{}", answer.stdout, answer.stderr);
            if MISSING.iter().any(|missing| said.contains(missing)) {
                self.to_do(format!(
                    "{image} is not pushed; run: make docker docker-push (the name is \
                     image-repository and tag in {}); if the clusters have it all the same, say \
                     IMAGES_PUSHED=1",
                    self.settings.file
                ))?;
            } else {
                let why = answer.complaint();
                self.note(&format!("whether {image} is pushed is not known: {why}"));
            }
        }
        Ok(())
    }
}
