//! Every crate held against `deny.toml`: licences, banned crates, where crates come from.
//!
//! cargo-deny does more and is used where it is installed; building it takes longer than building Sotto, and
//! these three must hold on every machine.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::run::{Run, root};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// What cargo knows of the workspace and everything that it is made from.
#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
}

#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    pub dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
pub struct Dependency {
    pub name: String,
    /// `dev` or `build`; none for what is linked.
    pub kind: Option<String>,
}

/// Asks cargo.
pub fn metadata() -> Result<Metadata> {
    let metadata = Run::cargo()
        .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .output()?;
    Ok(serde_json::from_str(&metadata)?)
}

pub fn check(metadata: &Metadata) -> Result<usize> {
    let deny: Deny =
        toml::from_str(&std::fs::read_to_string(root().join("deny.toml"))?).context("deny.toml")?;
    let wrong: Vec<String> = metadata.packages.iter().filter_map(|p| complaint(p, &deny)).collect();
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(metadata.packages.len())
}

fn complaint(package: &Package, deny: &Deny) -> Option<String> {
    let name = format!("{} {}", package.name, package.version);
    if deny.bans.deny.iter().any(|b| b.name == package.name) {
        return Some(format!("{name} is banned by deny.toml"));
    }
    // A crate of the workspace has no source.
    let source = package.source.as_deref()?;
    let known = |registry: &String| source.strip_prefix("registry+") == Some(registry);
    if !deny.sources.allow_registry.iter().any(known) {
        return Some(format!("{name} comes from {source}"));
    }
    let Some(license) = &package.license else { return Some(format!("{name} names no licence")) };
    match allowed(license, &deny.licenses.allow) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name}: licence {license} is not allowed by deny.toml")),
        Err(error) => Some(format!("{name}: licence {license:?}: {error}")),
    }
}

/// Whether an SPDX licence expression can be satisfied with the licences in `allow`. A slash, crates.io's older
/// spelling, means OR.
fn allowed(expression: &str, allow: &BTreeSet<String>) -> Result<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let value = any(&mut words, allow)?;
    ensure!(words.next().is_none(), "something follows the expression");
    Ok(value)
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allow: &BTreeSet<String>) -> Result<bool> {
    let mut value = all(words, allow)?;
    while words.next_if_eq(&"OR").is_some() {
        value |= all(words, allow)?;
    }
    Ok(value)
}

fn all(words: &mut Words<'_>, allow: &BTreeSet<String>) -> Result<bool> {
    let mut value = one(words, allow)?;
    while words.next_if_eq(&"AND").is_some() {
        value &= one(words, allow)?;
    }
    Ok(value)
}

fn one(words: &mut Words<'_>, allow: &BTreeSet<String>) -> Result<bool> {
    let word = words.next().context("it ends too early")?;
    if word == "(" {
        let value = any(words, allow)?;
        ensure!(words.next() == Some(")"), "a bracket is missing");
        return Ok(value);
    }
    let mut licence = word.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().context("an exception is missing")?);
    }
    Ok(allow.contains(&licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allow = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        let allowed = |e: &str| super::allowed(e, &allow).unwrap();
        assert!(allowed("MIT"));
        assert!(allowed("GPL-3.0 OR MIT"));
        assert!(allowed("GPL-3.0/MIT"));
        assert!(allowed("(GPL-3.0 OR MIT) AND ISC"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception"));
        assert!(!allowed("Apache-2.0"));
        assert!(!allowed("MIT AND GPL-3.0"));
        assert!(!allowed("GPL-3.0 OR MIT AND Apache-2.0"));
        for broken in ["", "MIT OR", "(MIT", "MIT MIT", "MIT WITH"] {
            assert!(super::allowed(broken, &allow).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn banned_and_foreign_crates_are_named() {
        let deny: Deny = toml::from_str(
            r#"
            [licenses]
            allow = ["MIT"]
            [bans]
            deny = [{ name = "openssl-sys" }]
            [sources]
            allow-registry = ["https://here"]
            "#,
        )
        .unwrap();
        let complaint = |name: &str, license: Option<&str>, source: Option<&str>| {
            let (license, source) = (license.map(str::to_owned), source.map(str::to_owned));
            super::complaint(
                &Package {
                    name: name.into(),
                    version: "1.0.0".into(),
                    license,
                    source,
                    dependencies: Vec::new(),
                },
                &deny,
            )
        };
        let here = Some("registry+https://here");
        assert_eq!(complaint("own", None, None), None);
        assert_eq!(complaint("good", Some("MIT"), here), None);
        assert!(complaint("openssl-sys", Some("MIT"), here).unwrap().contains("banned"));
        assert!(complaint("a", Some("MIT"), Some("git+https://here")).unwrap().contains("comes from"));
        assert!(complaint("a", None, here).unwrap().contains("names no licence"));
        assert!(complaint("a", Some("GPL-3.0"), here).unwrap().contains("not allowed"));
    }
}
