//! `sotto kb`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sotto_insight::Purpose;
use sotto_knowledge::{Hit, Query, SURE, Viewer};

use super::folder;
use crate::config::Config;

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
        let (mut hub, mut changed) = folder::read(&self.folder, self.keep.as_deref())?;
        let context: Vec<&str> = self.context.iter().map(String::as_str).collect();
        let mut vector = None;
        if !self.words {
            let mut embedder = folder::embedder(config)?;
            changed |= folder::embed(&mut hub, &mut embedder)?;
            let texts = Query::texts(&self.query, &context);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            vector = Some(Query::blend(&folder::vectors(&mut embedder, Purpose::Query, &texts)?));
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
