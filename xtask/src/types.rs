//! `cargo xtask types`: the page's TypeScript types come from the Rust ones, never from a keyboard.

use anyhow::{Context, Result, bail};

use crate::run::{Run, root};

/// What types are printed by, and where they go: a package, its example, a file.
const PRINTED: [[&str; 3]; 2] = [
    ["sotto-call", "types", "web/src/lib/generated/call.ts"],
    ["sotto-server", "phone_types", "web/src/lib/generated/phone.ts"],
];

pub fn types(check: bool) -> Result<()> {
    for [package, example, file] in PRINTED {
        let generate = ["run", "--quiet", "--package", package, "--features", "ts", "--example", example];
        let generated = Run::cargo().args(generate).output()?;
        let path = root().join(file);
        if std::fs::read_to_string(&path).is_ok_and(|current| current == generated) {
            continue;
        }
        if check {
            bail!("{file} is not what {package} says: run `cargo xtask types`");
        }
        std::fs::write(&path, generated).with_context(|| file.to_owned())?;
    }
    Ok(())
}
