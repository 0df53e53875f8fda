//! `cargo xtask bench`.

use anyhow::Result;

use crate::{machine, run::Run};

pub fn bench(arguments: &[String]) -> Result<()> {
    machine::needed_to_build()?;
    Run::cargo().args(["bench", "--package", "sotto-benches"]).args(arguments).go()
}
