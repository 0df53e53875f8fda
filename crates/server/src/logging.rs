//! What is written to the log, and how.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// Starts logging to standard error: a server as configured, commands from `warn` on; `RUST_LOG` wins.
pub fn start(config: &LogConfig, server: bool) {
    // The SIP stack logs whole messages, with names and numbers in them, at `info`.
    let usual = if server { format!("{},rsipstack=warn", config.filter) } else { "warn".to_owned() };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only when logging runs already, as in tests.
    let _ = if config.json {
        log.json().try_init()
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}
