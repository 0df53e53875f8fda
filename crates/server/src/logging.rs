//! What is written to the log, and how.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// Starts logging to standard error: a server as configured, commands from `warn` on; `RUST_LOG` wins.
pub fn start(config: &LogConfig, server: bool) {
    let usual: &str = if server { &config.filter } else { "warn" };
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|asked| !asked.is_empty());
    let filter = asked.and_then(|asked| EnvFilter::try_new(discreet(&asked)).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(discreet(usual)));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only when logging runs already, as in tests.
    let _ = if config.json {
        log.json().try_init()
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}

/// The SIP stack logs whole messages at `info`, with names, numbers and keys in them: only who names it gets them.
fn discreet(filter: &str) -> String {
    if filter.contains("rsipstack") { filter.to_owned() } else { format!("{filter},rsipstack=warn") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_are_logged_for_nobody_who_does_not_name_the_sip_stack() {
        for (filter, logged) in [
            ("info", "info,rsipstack=warn"),
            ("sotto_sip=debug", "sotto_sip=debug,rsipstack=warn"),
            ("warn,rsipstack=debug", "warn,rsipstack=debug"),
        ] {
            assert_eq!(discreet(filter), logged);
            assert!(EnvFilter::try_new(discreet(filter)).is_ok(), "{filter}");
        }
    }
}
