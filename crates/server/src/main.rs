//! The `sotto` binary.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    sotto_server::memory::give_back();
    sotto_server::cli::Cli::parse().run()
}
