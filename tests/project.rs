//! Rules that the project keeps about its own code, texts and documents.

mod architecture;
mod functions;
mod source;
mod wording;
