//! Who may know whom: every crate held against the table of ARCHITECTURE.md, so that the picture stays true.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use crate::licences::{Metadata, Package};
use crate::run::root;

/// # Errors
/// Names the arrows that the table does not have, and the crates that it does not know.
pub fn check(metadata: &Metadata) -> Result<()> {
    let allowed = table(&std::fs::read_to_string(root().join("ARCHITECTURE.md"))?);
    let crates = metadata.packages.iter().filter(|package| {
        let name = short(&package.name);
        name.is_some_and(|name| root().join("crates").join(name).is_dir())
    });
    let wrong: Vec<String> = crates.flat_map(|package| complaints(package, &allowed)).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The rows `| `crates/NAME` | … | who it may know |`.
fn table(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let name = cells.next()?.strip_prefix("`crates/")?.strip_suffix('`')?;
        let known = cells.next_back()?.split(',').map(|one| one.trim().to_owned());
        Some((name.to_owned(), known.collect()))
    });
    rows.collect()
}

fn short(package: &str) -> Option<&str> {
    package.strip_prefix("sotto-")
}

fn complaints(package: &Package, allowed: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let name = short(&package.name).unwrap_or_default();
    let Some(known) = allowed.get(name) else {
        return vec![format!("ARCHITECTURE.md has no row for crates/{name}")];
    };
    let linked = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
    linked
        .filter_map(|dependency| short(&dependency.name))
        .filter(|other| !known.contains("all") && !known.contains(*other))
        .map(|other| format!("crates/{name} knows {other}, which ARCHITECTURE.md does not allow"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_arrow_that_the_table_does_not_have_is_found() {
        let allowed =
            table("| `crates/media` | legs | call, audio |\n| `crates/server` | all of it | all |\n");
        let package = |name: &str, others: &[&str]| -> Package {
            let others: Vec<_> = others.iter().map(|other| json!({ "name": other, "kind": null })).collect();
            serde_json::from_value(json!({ "name": name, "version": "1.0.0", "dependencies": others }))
                .unwrap()
        };
        assert!(complaints(&package("sotto-media", &["sotto-call", "serde"]), &allowed).is_empty());
        assert!(complaints(&package("sotto-server", &["sotto-sip"]), &allowed).is_empty());
        assert_eq!(complaints(&package("sotto-media", &["sotto-sip"]), &allowed).len(), 1);
        assert_eq!(complaints(&package("sotto-new", &[]), &allowed).len(), 1);
    }
}
