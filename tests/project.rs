//! Rules that the project keeps about its own code, texts and documents.

mod architecture;
mod foreign_errors;
mod functions;
mod odd_input;
mod source;
mod supply;
mod threat_model;
mod wording;
