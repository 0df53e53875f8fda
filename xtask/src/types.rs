//! `cargo xtask types`: the page's TypeScript types come from the Rust ones, never from a keyboard.

use anyhow::{Context, Result, bail};

use crate::run::{Run, root};

const FILE: &str = "web/src/lib/generated/call.ts";

pub fn types(check: bool) -> Result<()> {
    let generate = ["run", "--quiet", "--package", "sotto-call", "--features", "ts", "--example", "types"];
    let generated = Run::cargo().args(generate).output()?;
    let path = root().join(FILE);
    if std::fs::read_to_string(&path).is_ok_and(|current| current == generated) {
        return Ok(());
    }
    if check {
        bail!("{FILE} is not what crates/call says: run `cargo xtask types`");
    }
    std::fs::write(&path, generated).with_context(|| FILE.to_owned())
}
