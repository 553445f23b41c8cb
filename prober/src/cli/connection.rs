//! Where connections start from, and what is sent on them first; spelled as in curl.

use clap::{Args, ValueEnum};

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Network")]
pub struct ConnectionArgs {
    /// Connect from this network interface, IP address or host name of this machine;
    /// 'if!NAME' is an interface, 'host!NAME' an address or a host name
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// Start each connection with a PROXY protocol header of this version, as a load
    /// balancer does [default without a version: v1]
    #[arg(
        long,
        value_name = "VERSION",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "v1"
    )]
    pub haproxy_protocol: Option<ProxyHeader>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProxyHeader {
    /// One line of text, as curl sends it
    V1,
    /// Binary
    V2,
}
