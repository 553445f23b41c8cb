//! `prober` as people and CI run it: a module for each topic.

mod addresses;
mod command_line;
mod copies;
mod engine;
mod explain;
mod eyeballs;
mod faults;
mod front_door;
mod html;
mod http1_words;
mod http2;
mod identify;
mod judge;
mod kept_connections;
mod matrix;
mod merge;
mod name_faults;
mod names;
mod overrides_vs_curl;
pub(crate) mod probing;
mod progress;
mod reports;
mod resolv_conf;
mod verdicts;
mod wait;
pub(crate) mod watch;
