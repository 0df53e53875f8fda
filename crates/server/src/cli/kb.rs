//! `sotto kb`.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sotto_insight::{Embedder, InsightError, Purpose};
use sotto_knowledge::{Hit, Hub, Paper, Query, SURE, Viewer, Visibility};
use sotto_models::{Cache, Console, EMBEDDING};

use crate::config::Config;
use crate::documents;

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
            Some(file) if file.exists() => {
                Hub::load(file, EMBEDDING).with_context(|| file.display().to_string())?
            }
            _ => Hub::new(),
        };
        read_folder(&mut hub, &self.folder)?;
        let context: Vec<&str> = self.context.iter().map(String::as_str).collect();
        let mut vector = None;
        if !self.words {
            let cache = Cache::open(config.speech.models_dir.clone())?;
            let mut progress = Console::default();
            let (onnx, model) = (cache.onnx(&mut progress)?, cache.require(EMBEDDING, &mut progress)?);
            let mut embedder = Embedder::open(&onnx, &model, 1).context("opening the sentence embedding")?;
            let mut embed = |purpose, texts: &[&str]| -> Result<Vec<Vec<f32>>, InsightError> {
                let embedded = embedder.embed(purpose, texts)?;
                Ok(embedded.iter().map(|embedding| embedding.to_vec()).collect())
            };
            hub.embed_with(|texts| -> anyhow::Result<_> { Ok(embed(Purpose::Passage, texts)?) })?;
            let texts = Query::texts(&self.query, &context);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            vector = Some(Query::blend(&embed(Purpose::Query, &texts)?));
        }
        if let Some(file) = &self.keep {
            hub.save(file, EMBEDDING).with_context(|| file.display().to_string())?;
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

/// Takes the documents of a folder in, and out those that are no longer there. One that cannot be read is named and
/// left out.
fn read_folder(hub: &mut Hub, folder: &Path) -> anyhow::Result<()> {
    let found = documents::find(folder)?;
    let mut there = HashSet::new();
    for file in found {
        let content = match documents::read(&file.path) {
            Ok(content) => content,
            Err(error) => {
                eprintln!("{}: {error:#}", file.name);
                continue;
            }
        };
        there.insert(file.name.clone());
        let paper = Paper {
            id: file.name,
            changed_unix_ms: file.changed_unix_ms,
            visibility: Visibility::default(),
            content,
        };
        hub.put(paper);
    }
    let gone: Vec<String> =
        hub.documents().map(|document| document.id.clone()).filter(|id| !there.contains(id)).collect();
    gone.iter().for_each(|id| {
        hub.remove(id);
    });
    let (passages, _) = hub.passages();
    anyhow::ensure!(passages > 0, "{}: no documents that can be read", folder.display());
    Ok(())
}

/// A hit as people read it: how sure, where, what, and why.
fn shown(rank: usize, hit: &Hit) -> String {
    let (Hit { document, confidence, why, .. }, passage) = (hit, hit.passage());
    let above = passage.map(|passage| passage.section.as_slice()).unwrap_or_default();
    let mut headings = vec![document.title.as_str()];
    headings.extend(above.iter().map(String::as_str).filter(|one| *one != document.title));
    let mut out = format!("\n{rank}. {} ({})\n", headings.join(" › "), document.id);
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
