//! The documents of a folder as a hub that can be searched, for commands that have no server.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context as _;
use sotto_insight::Purpose;
use sotto_knowledge::{Change, Content, Hub, KnowledgeError, Paper, Visibility};

use crate::config::Config;
use crate::documents;
use crate::library::{self, Embed, Library, open_embedding};

/// What is written down in a folder, with vectors. What was read is kept in a file, if one is named.
///
/// Blocking: it may download 79 MB, and embeds every passage that it does not have yet.
///
/// # Errors
/// When the folder has no documents that can be read, or the model cannot be had.
pub(super) fn library(config: &Config, folder: &Path, keep: Option<&Path>) -> anyhow::Result<Library> {
    let (mut hub, mut changed) = read(folder, keep)?;
    let mut opened = open_embedding(config.speech.models_dir.clone())?;
    changed |= embed(&mut hub, &mut opened)?;
    if let Some(file) = keep.filter(|_| changed) {
        hub.save(file).with_context(|| file.display().to_string())?;
    }
    Ok(Library::fixed(hub.index()?).asked_by(opened))
}

/// The documents of a folder, of which those are not read that are in the file as they are; and whether anything has
/// changed.
///
/// # Errors
/// When the folder has no documents that can be read, or the file is something else.
pub(super) fn read(folder: &Path, keep: Option<&Path>) -> anyhow::Result<(Hub, bool)> {
    let mut hub = match keep {
        Some(file) if file.exists() => kept(file)?,
        _ => Hub::new(),
    };
    let changed = read_folder(&mut hub, folder)?;
    Ok((hub, changed))
}

/// Gives the passages their vectors that have none. False if all had theirs.
///
/// # Errors
/// When the model fails.
pub(super) fn embed(hub: &mut Hub, embed: &mut Embed) -> anyhow::Result<bool> {
    hub.embedded_by(&library::fingerprint_of(embed)?);
    Ok(hub.embed_with(|texts| embed(Purpose::Passage, texts))? > 0)
}

/// What an earlier search kept; nothing if that was another version's.
fn kept(file: &Path) -> anyhow::Result<Hub> {
    match Hub::load(file) {
        Err(KnowledgeError::Version) => Ok(Hub::new()),
        hub => hub.with_context(|| format!("{}: remove it, or keep in another file", file.display())),
    }
}

/// Takes the documents of a folder in that are not in the hub as they are, and out those that are no longer there.
/// One that cannot be read is named and left out. False if nothing has changed.
fn read_folder(hub: &mut Hub, folder: &Path) -> anyhow::Result<bool> {
    let found = documents::find(folder)?;
    let mut there = HashSet::new();
    let mut changed = false;
    for file in found {
        let kept = hub.document(&file.name);
        if kept.is_some_and(|one| library::is_as_it_was(&file, one.changed_unix_ms, one.bytes)) {
            there.insert(file.name);
            continue;
        }
        let Some(content) = read_file(&file.name, &file.path) else { continue };
        there.insert(file.name.clone());
        let paper = Paper {
            id: file.name,
            changed_unix_ms: file.changed_unix_ms,
            visibility: Visibility::default(),
            bytes: file.bytes,
            content,
        };
        changed |= hub.put(paper) != Change::Unchanged;
    }
    let gone: Vec<String> =
        hub.documents().map(|document| document.id.clone()).filter(|id| !there.contains(id)).collect();
    gone.iter().for_each(|id| {
        changed |= hub.remove(id);
    });
    let (passages, _) = hub.passages();
    anyhow::ensure!(passages > 0, "{}: no documents that can be read", folder.display());
    Ok(changed)
}

/// What stands in a file; none if it cannot be read, which is said.
pub(super) fn read_file(name: &str, path: &Path) -> Option<Content> {
    match documents::read(path) {
        Ok(content) => {
            if let Some(problem) = library::missing_pages(&content) {
                eprintln!("{name}: {problem}");
            }
            Some(content)
        }
        Err(error) => {
            eprintln!("{name}: {error:#}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_file_of_the_same_name_size_and_time_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let mut hub = Hub::new();
        fs::write(&path, "one").unwrap();
        assert!(read_folder(&mut hub, folder.path()).unwrap());
        assert!(!read_folder(&mut hub, folder.path()).unwrap());
        // What nothing tells from the file before is not looked into.
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert!(!read_folder(&mut hub, folder.path()).unwrap());
        assert_eq!(hub.document("a.txt").unwrap().text, "one");
        fs::write(&path, "three").unwrap();
        assert!(read_folder(&mut hub, folder.path()).unwrap());
        assert_eq!(hub.document("a.txt").unwrap().text, "three");
        fs::write(folder.path().join("b.txt"), "four").unwrap();
        fs::remove_file(&path).unwrap();
        assert!(read_folder(&mut hub, folder.path()).unwrap());
        assert!(hub.document("a.txt").is_none());
    }

    #[test]
    fn what_another_version_kept_is_made_anew_and_what_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.kept");
        Hub::new().save(&path).unwrap();
        assert!(kept(&path).is_ok());
        let mut bytes = fs::read(&path).unwrap();
        bytes[4] = 0xff;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(kept(&path).unwrap().passages(), (0, 0));
        fs::write(&path, "somebody's letters, which are not to be written over").unwrap();
        assert!(kept(&path).is_err());
    }
}
