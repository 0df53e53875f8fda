//! `sotto kb`.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sotto_insight::{Embedder, EmbeddingModel, InsightError, Purpose};
use sotto_knowledge::{
    Change, Document, FINGERPRINT_OF, Hit, Hub, KnowledgeError, Paper, Query, SURE, Viewer, Visibility,
    fingerprint,
};
use sotto_models::{Cache, Console};

use crate::config::Config;
use crate::documents::{self, Found};

/// What is written down.
#[derive(Debug, Args)]
pub(crate) struct Kb {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look something up in a folder's documents: Markdown, HTML, text, CSV, JSON, PDF, DOCX.
    Search(Search),
}

#[derive(Debug, Args)]
struct Search {
    /// The folder.
    folder: PathBuf,
    /// The question.
    query: String,
    /// What was said before it, the newest first. May be repeated.
    #[arg(long, value_name = "TEXT")]
    context: Vec<String>,
    /// How many passages are printed.
    #[arg(long, default_value_t = 3)]
    limit: usize,
    /// A file in which what was read is kept, so that the next search begins at once.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// By words alone: without the sentence embedding.
    #[arg(long)]
    words: bool,
}

impl Kb {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        match self.command {
            Command::Search(search) => search.run(config),
        }
    }
}

impl Search {
    fn run(self, config: &Config) -> anyhow::Result<()> {
        let mut hub = match &self.keep {
            Some(file) if file.exists() => kept(file)?,
            _ => Hub::new(),
        };
        let mut changed = read_folder(&mut hub, &self.folder)?;
        let context: Vec<&str> = self.context.iter().map(String::as_str).collect();
        let mut vector = None;
        if !self.words {
            let cache = Cache::open(config.speech.models_dir.clone())?;
            let mut progress = Console::default();
            // How sure a hit is was judged by this one's cosines, whatever calls are understood with.
            let model = EmbeddingModel::Multilingual;
            let (onnx, file) = (cache.onnx(&mut progress)?, cache.require(model.artefact(), &mut progress)?);
            let embedder = Embedder::open(&onnx, model, &file, 1);
            let mut embedder = embedder.context("opening the sentence embedding")?;
            let mut embed = |purpose, texts: &[&str]| -> Result<Vec<Vec<f32>>, InsightError> {
                let embedded = embedder.embed(purpose, texts)?;
                Ok(embedded.iter().map(|embedding| embedding.to_vec()).collect())
            };
            hub.embedded_by(&fingerprint(&embed(Purpose::Passage, &FINGERPRINT_OF)?));
            let made =
                hub.embed_with(|texts| -> anyhow::Result<_> { Ok(embed(Purpose::Passage, texts)?) })?;
            changed |= made > 0;
            let texts = Query::texts(&self.query, &context);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            vector = Some(Query::blend(&embed(Purpose::Query, &texts)?));
        }
        if let Some(file) = self.keep.as_ref().filter(|_| changed) {
            hub.save(file).with_context(|| file.display().to_string())?;
        }
        let query =
            Query { text: &self.query, context: &context, vector: vector.as_deref(), ..Query::default() };
        let hits = hub.index()?.search(&query, &Viewer::default(), self.limit)?;
        let mut out = std::io::stdout();
        if hits.first().is_none_or(|best| best.confidence < SURE) {
            writeln!(
                out,
                "Nothing here answers that.{}",
                if hits.is_empty() { "" } else { " The nearest:" }
            )?;
        }
        for (n, hit) in hits.iter().enumerate() {
            write!(out, "{}", shown(n + 1, hit))?;
        }
        Ok(())
    }
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
        if is_kept(hub, &file) {
            there.insert(file.name);
            continue;
        }
        let content = match documents::read(&file.path) {
            Ok(content) => content,
            Err(error) => {
                eprintln!("{}: {error:#}", file.name);
                continue;
            }
        };
        if !content.missing.is_empty() {
            let pages: Vec<String> = content.missing.iter().map(u32::to_string).collect();
            eprintln!("{}: without page {}, which cannot be read", file.name, pages.join(", "));
        }
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

/// True for a file that was read when it was as large as now and last changed when it was now.
fn is_kept(hub: &Hub, file: &Found) -> bool {
    let same = |one: &Document| (one.changed_unix_ms, one.bytes) == (file.changed_unix_ms, file.bytes);
    // Where the system knows no time, nothing tells.
    file.changed_unix_ms > 0 && hub.document(&file.name).is_some_and(same)
}

/// A hit as people read it: how sure, where, what, and why.
fn shown(rank: usize, hit: &Hit) -> String {
    let (Hit { document, confidence, why, .. }, passage) = (hit, hit.passage());
    let above = passage.map(|passage| passage.above(&document.title)).unwrap_or_default();
    let mut out = format!("\n{rank}. {above} ({})\n", document.id);
    for line in passage.map(|passage| passage.text.as_str()).unwrap_or_default().lines() {
        out.push_str(&format!("   {line}\n"));
    }
    let place = |rank: Option<usize>| rank.map_or("in no place".to_owned(), |rank| format!("place {rank}"));
    let words = if why.words.is_empty() { "none".to_owned() } else { why.words.join(", ") };
    let (covered, by_words) = (percent(why.covered), place(why.rank_by_words));
    out.push_str(&format!(
        "   sure {confidence:.2} · words: {words} ({covered}), BM25 {:.1}, {by_words}",
        why.bm25
    ));
    if let Some(cosine) = why.cosine {
        let (by_meaning, share) = (place(why.rank_by_meaning), percent(why.share));
        out.push_str(&format!(" · meaning: {cosine:.3}, {by_meaning}, which counts {share}"));
    }
    if why.mentioned {
        out.push_str(" · its title was mentioned");
    }
    out.push('\n');
    out
}

fn percent(share: f32) -> String {
    format!("{:.0} %", share * 100.0)
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
