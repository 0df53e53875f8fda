//! `sotto kb`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use sotto_knowledge::{Hit, Index, Query, SURE, Viewer, Visibility};
use sotto_store::{GapState, Role, Store};

use super::folder;
use super::user::RoleName;
use crate::anonymous::anonymised;
use crate::config::Config;
use crate::documents;
use crate::gaps::Gaps;
use crate::library::{self, Books, Embed, Library, Rerank, Taken, open_embedding, open_reranker};
use crate::people;

/// What is written down.
#[derive(Debug, Args)]
pub(crate) struct Kb {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a file, or all documents of a folder, as if they were uploaded: Markdown, HTML, text, CSV, JSON, PDF, DOCX.
    /// They take the place of those of the same names, and are seen by whom those were, or by whom is named here. A server that runs takes them in
    /// when it next looks through its folders.
    Add {
        /// The file, or the folder.
        path: PathBuf,
        /// They are tickets: names, numbers, addresses and secrets are taken out, by rules that miss some.
        #[arg(long)]
        tickets: bool,
        /// Only people of this role see them. May be repeated.
        #[arg(long = "role", value_name = "ROLE", value_enum)]
        roles: Vec<RoleName>,
        /// Only this team sees them. May be repeated.
        #[arg(long = "team", value_name = "TEAM")]
        teams: Vec<String>,
    },
    /// The documents there are.
    List,
    /// Remove a document that was added or uploaded. A server that runs finds it until it next looks through its folders.
    Remove {
        /// Its name, as the list has it.
        name: String,
    },
    /// Look something up in the documents there are, or in those of a folder.
    Search(Search),
    /// Print what nothing here answers: one JSON object for the questions that ask the same, those asked most first.
    Gaps,
    /// Measure how often the right document is found, for questions of which you know in which document the answer is.
    Eval(Eval),
}

/// Where something is looked up, and how.
#[derive(Debug, Args)]
struct Where {
    /// In the documents of this folder, instead of those there are.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// A file in which what was read of the folder is kept, so that the next search begins at once.
    #[arg(long, value_name = "FILE", requires = "folder")]
    keep: Option<PathBuf>,
    /// By words alone: without the sentence embedding.
    #[arg(long)]
    words: bool,
}

#[derive(Debug, Args)]
struct Search {
    /// The question.
    query: String,
    /// What was said before it, the newest first. May be repeated.
    #[arg(long, value_name = "TEXT")]
    context: Vec<String>,
    /// How many passages are printed.
    #[arg(long, default_value_t = 3)]
    limit: usize,
    #[command(flatten)]
    place: Where,
}

/// Prints one JSON object a figure. What was missed is named beside them.
#[derive(Debug, Args)]
struct Eval {
    /// The questions: a CSV file with the columns `question` and `document`, or a JSON array of objects with these two.
    questions: PathBuf,
    #[command(flatten)]
    place: Where,
}

impl Kb {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        match self.command {
            Command::Search(search) => search.run(config).await,
            Command::Eval(eval) => eval.run(config).await,
            Command::Gaps => {
                let (store, mut books) = (Store::open(&config.store_url()).await?, Books::default());
                books.sync(&store).await?;
                let library = Library::unverified(books.hub.index()?);
                let gaps = Gaps::new(store.clone(), library, config.redaction.clone());
                // Whoever reaches the database sees all that is in it.
                let list = gaps.list(GapState::Open, &library::viewer(Role::Admin)).await?;
                let mut out = std::io::stdout();
                for gap in &list.gaps {
                    writeln!(out, "{}", serde_json::to_string(gap)?)?;
                }
                store.close().await;
                Ok(())
            }
            Command::Add { path, tickets, roles, teams } => {
                let seen = named(roles, &teams)?;
                let store = Store::open(&config.store_url()).await?;
                add(&store, config, &path, tickets, seen.as_ref()).await?;
                store.close().await;
                Ok(())
            }
            Command::List => {
                let store = Store::open(&config.store_url()).await?;
                let mut out = std::io::stdout();
                for row in store.documents().await? {
                    let source = if row.uploaded { "upload" } else { "folder" };
                    writeln!(out, "{}  ({source}, version {}) {}", row.name, row.version, row.title)?;
                    if let Some(problem) = row.problem {
                        writeln!(out, "    {problem}")?;
                    }
                }
                store.close().await;
                Ok(())
            }
            Command::Remove { name } => {
                let store = Store::open(&config.store_url()).await?;
                match store.documents().await?.iter().find(|row| row.name == name) {
                    None => bail!("there is no document called {name}"),
                    Some(row) if !row.uploaded => bail!("{name} lies in a folder: remove it there"),
                    Some(_) => store.remove_document(&name).await?,
                };
                println!("{name} was removed");
                store.close().await;
                Ok(())
            }
        }
    }
}

/// Who is to see what is added, if that is said.
fn named(roles: Vec<RoleName>, teams: &[String]) -> anyhow::Result<Option<Visibility>> {
    if roles.is_empty() && teams.is_empty() {
        return Ok(None);
    }
    let roles: Vec<Role> = roles.into_iter().map(Role::from).collect();
    let teams = teams.iter().map(|team| people::team(team)?.context("a team has a name"));
    Ok(Some(Visibility { teams: teams.collect::<Result<_, _>>()?, ..library::seen_by(&roles) }))
}

/// Adds a file, or those of a folder, as uploads; for whom is `named`, or else for whom another is in whose place it comes, or for
/// everybody.
async fn add(
    store: &Store,
    config: &Config,
    path: &Path,
    tickets: bool,
    named: Option<&Visibility>,
) -> anyhow::Result<()> {
    let files = match path.is_dir() {
        true => documents::find(path)?.into_iter().map(|found| found.path).collect(),
        false => vec![path.to_owned()],
    };
    let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = library::upload_name(name).with_context(|| file.display().to_string())?;
        if let Some(other) = names.get(&name) {
            bail!("{} and {} have the same name", other.display(), file.display());
        }
        names.insert(name, file);
    }
    let there = store.documents().await?;
    let uploads = there.iter().filter(|row| row.uploaded && !names.contains_key(&row.name)).count();
    let most = config.knowledge.max_uploads as usize;
    ensure!(uploads + names.len() <= most, "no more than {most} may be uploaded (`knowledge.max_uploads`)");
    for (name, file) in names {
        let Some(mut content) = folder::read_file(&name, &file) else { continue };
        if tickets {
            content = anonymised(content);
        }
        let bytes = std::fs::metadata(&file)?.len();
        let before = there.iter().find(|row| row.name == name);
        let seen = named.cloned().or_else(|| before.map(library::visibility)).unwrap_or_default();
        let taken = Taken::upload(&name, bytes, super::now_unix_ms(), &seen, content)?;
        taken.keep_in(store).await?;
        println!("{name} was added");
    }
    Ok(())
}

/// What is looked up in, and what embeds questions.
struct Opened {
    index: Index,
    embed: Option<Embed>,
    rerank: Option<Rerank>,
    viewer: Viewer,
}

impl Where {
    async fn open(&self, config: &Config) -> anyhow::Result<Opened> {
        let (mut hub, mut changed) = match &self.folder {
            Some(folder) => folder::read(folder, self.keep.as_deref())?,
            None => {
                let (store, mut books) = (Store::open(&config.store_url()).await?, Books::default());
                books.sync(&store).await?;
                store.close().await;
                (books.hub, false)
            }
        };
        let mut embed = None;
        if !self.words {
            let mut opened = open_embedding(config.speech.models_dir.clone())?;
            match self.folder {
                Some(_) => changed |= folder::embed(&mut hub, &mut opened)?,
                // What of the documents that are kept has no vector yet, a server gives it: here its words have to do.
                None => hub.embedded_by(&library::fingerprint_of(&mut opened)?),
            }
            embed = Some(opened);
        }
        let reranker = config.knowledge.reranker.as_deref().filter(|_| !self.words);
        let rerank =
            reranker.map(|folder| open_reranker(config.speech.models_dir.clone(), folder)).transpose()?;
        if let Some(file) = self.keep.as_ref().filter(|_| changed) {
            hub.save(file).with_context(|| file.display().to_string())?;
        }
        // Whoever reaches the database sees all that is in it.
        let teams = hub.documents().flat_map(|document| document.visibility.teams.iter().cloned()).collect();
        let roles = Role::ALL.map(library::viewer);
        let roles = roles.into_iter().flat_map(|viewer| viewer.roles).collect();
        Ok(Opened { index: hub.index()?, embed, rerank, viewer: Viewer { teams, roles } })
    }
}

impl Opened {
    fn search(&mut self, text: &str, context: &[&str], limit: usize) -> anyhow::Result<Vec<Hit>> {
        let vector = self.embed.as_mut().map(|embed| library::meaning(embed, text, context)).transpose()?;
        let query = Query { text, context, vector: vector.as_deref(), ..Query::default() };
        let hits = match &mut self.rerank {
            Some(read) => library::search_reranked(&self.index, &query, &self.viewer, limit, read),
            None => self.index.search(&query, &self.viewer, limit),
        };
        Ok(hits?)
    }
}

impl Search {
    async fn run(self, config: &Config) -> anyhow::Result<()> {
        let context: Vec<&str> = self.context.iter().map(String::as_str).collect();
        let hits = self.place.open(config).await?.search(&self.query, &context, self.limit)?;
        let mut out = std::io::stdout();
        if hits.iter().all(|hit| hit.confidence < SURE) {
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

/// A question, and the document in which its answer is.
#[derive(Debug, PartialEq, Deserialize)]
struct Pair {
    question: String,
    document: String,
}

/// Passages that are looked at for the right document.
const LOOKED_AT: usize = 50;

impl Eval {
    async fn run(self, config: &Config) -> anyhow::Result<()> {
        let pairs = pairs(&self.questions).with_context(|| self.questions.display().to_string())?;
        let mut opened = self.place.open(config).await?;
        let mut ranks = Vec::new();
        for Pair { question, document } in &pairs {
            if opened.index.document(document).is_none() {
                eprintln!("{document}: there is no such document");
            }
            let mut seen: Vec<String> = Vec::new();
            for hit in opened.search(question, &[], LOOKED_AT)? {
                if !seen.contains(&hit.document.id) {
                    seen.push(hit.document.id.clone());
                }
            }
            let rank = seen.iter().position(|id| id == document);
            if rank.is_none_or(|rank| rank > 0) {
                let first = seen.first().map_or("nothing", String::as_str);
                eprintln!("{question}: {first} instead of {document}");
            }
            ranks.push(rank);
        }
        for (name, value) in figures(&ranks) {
            println!("{}", json!({ "name": name, "value": value, "unit": "share" }));
        }
        println!("{}", json!({ "name": "questions", "value": pairs.len(), "unit": "questions" }));
        Ok(())
    }
}

/// How often the right document was among the first, and the mean of the reciprocal of its rank (0 if it was not found),
/// from ranks that begin at 0.
fn figures(ranks: &[Option<usize>]) -> [(&'static str, f64); 4] {
    let share = |of: &dyn Fn(usize) -> f64| {
        let sum: f64 = ranks.iter().flatten().map(|rank| of(*rank)).sum();
        sum / ranks.len().max(1) as f64
    };
    let within = |most: usize| share(&|rank: usize| if rank < most { 1.0 } else { 0.0 });
    [
        ("recall@1", within(1)),
        ("recall@3", within(3)),
        ("recall@5", within(5)),
        ("MRR", share(&|rank: usize| 1.0 / (rank + 1) as f64)),
    ]
}

fn pairs(file: &Path) -> anyhow::Result<Vec<Pair>> {
    let pairs = match file.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => csv::Reader::from_path(file)?.into_deserialize().collect::<Result<Vec<Pair>, _>>()?,
        Some("json") => serde_json::from_slice::<Vec<Pair>>(&std::fs::read(file)?)?,
        _ => bail!("neither .csv nor .json"),
    };
    ensure!(!pairs.is_empty(), "no questions");
    Ok(pairs)
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
    if let Some(relevance) = why.reranked {
        out.push_str(&format!(" · read with the question: {}", percent(relevance)));
    }
    out.push('\n');
    out
}

fn percent(share: f32) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sotto_store::testing;

    use super::*;

    #[tokio::test]
    async fn a_file_that_takes_the_place_of_another_is_seen_by_whom_that_was() {
        let ((store, _kept), folder) = (testing::sqlite().await, tempfile::tempdir().unwrap());
        let path = |name: &str| folder.path().join(name);
        for name in ["fees.txt", "margins.txt"] {
            fs::write(path(name), "Ten pounds.").unwrap();
        }
        let few = library::seen_by(&[Role::Supervisor]);
        let content = sotto_knowledge::Content::plain("Margins", "Nine pounds.");
        let taken = Taken::upload("margins.txt", 12, 7, &few, content).unwrap();
        taken.keep_in(&store).await.unwrap();
        add(&store, &Config::default(), folder.path(), false, None).await.unwrap();
        let kept = store.documents().await.unwrap();
        let seen: Vec<Visibility> = kept.iter().map(library::visibility).collect();
        assert_eq!((seen, kept[1].version), (vec![Visibility::default(), few], 2));
        let named = named(vec![RoleName::Agent], &[" cards ".to_owned()]).unwrap();
        let cards = Visibility { teams: ["cards".to_owned()].into(), ..library::seen_by(&[Role::Agent]) };
        assert_eq!(named.as_ref(), Some(&cards));
        add(&store, &Config::default(), &path("fees.txt"), false, named.as_ref()).await.unwrap();
        assert_eq!(library::visibility(&store.documents().await.unwrap()[0]), cards);
    }

    #[test]
    fn who_is_to_see_it_is_named_or_left_as_it_was() {
        assert_eq!(named(Vec::new(), &[]).unwrap(), None);
        assert!(named(Vec::new(), &["a,b".to_owned()]).is_err());
        assert!(named(Vec::new(), &[" ".to_owned()]).is_err());
    }

    #[test]
    fn questions_come_as_a_table_or_as_objects() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let expected = [("How long, please?", "a.md"), ("چند روز؟", "fa/b.md")]
            .map(|(question, document)| Pair { question: question.into(), document: document.into() });
        let table = "document,question\na.md,\"How long, please?\"\nfa/b.md,چند روز؟\n";
        assert_eq!(pairs(&path("a.csv", table)).unwrap(), expected);
        let objects = r#"[{ "question": "How long, please?", "document": "a.md" },
            { "question": "چند روز؟", "document": "fa/b.md" }]"#;
        assert_eq!(pairs(&path("a.json", objects)).unwrap(), expected);
        for (name, text) in [("b.csv", "question\nx\n"), ("c.csv", "question,document\n"), ("d.txt", "x")] {
            assert!(pairs(&path(name, text)).is_err(), "{name}");
        }
    }

    #[test]
    fn recall_is_the_share_of_what_is_found_and_counts_what_is_not() {
        let [one, three, five, mrr] = figures(&[Some(0), Some(1), Some(4), None]).map(|(_, value)| value);
        assert_eq!((one, three, five), (0.25, 0.5, 0.75));
        assert!((mrr - (1.0 + 0.5 + 0.2) / 4.0).abs() < 1e-9);
        assert_eq!(figures(&[])[0].1, 0.0);
    }
}
