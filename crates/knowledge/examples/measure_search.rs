//! Measures how well and how fast passages are found: `cargo xtask eval knowledge` runs it.
//!
//! `measure ROW DATA CACHE [RERANKER]` prints one JSON object a figure. Vectors are kept in the folder CACHE. With the folder of a
//! cross-encoder the row `dstc11` says as well how good its order is (`…_rerank_…`), which takes a quarter of an hour and more.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sotto_insight::{Embedder, EmbeddingModel, Purpose, Reranker};
use sotto_knowledge::{
    Content, FINGERPRINT_OF, Format, Hit, Hub, Index, KnowledgeError, Paper, Part, Query, RERANKED, SURE,
    Viewer, Visibility, fingerprint, read, rerank,
};
use sotto_models::{Cache, Console};

/// Turns of a dialogue that a query is made of, the last included.
const TURNS: usize = 3;
/// Hits that are looked at.
const HITS: usize = 10;
/// Texts that are embedded, and kept, together.
const BATCH: usize = 64;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [row, data, cache, reranker @ ..] = arguments.as_slice() else {
        bail!("measure ROW DATA CACHE [RERANKER]")
    };
    let mut bench = Bench::open(Path::new(data), Path::new(cache), reranker.first().map(Path::new))?;
    match row.as_str() {
        "dstc11" => dstc11(&mut bench),
        "pquad" => pquad(&mut bench),
        "abcd" => abcd(&mut bench),
        "latency" => latency(&mut bench),
        "ingestion" => ingestion(&mut bench),
        other => bail!("there is no row {other}"),
    }
}

fn figure(name: &str, value: f64, unit: &str, bar: Option<(&str, f64)>) {
    let mut figure = json!({ "name": name, "value": value, "unit": unit });
    if let Some((kind, bar)) = bar {
        figure[kind] = bar.into();
    }
    println!("{figure}");
}

struct Bench {
    data: PathBuf,
    cache: PathBuf,
    embedder: Embedder,
    /// What tells the vectors of this embedder from those that another made.
    fingerprint: String,
    reranker: Option<Reranker>,
}

impl Bench {
    fn open(data: &Path, cache: &Path, reranker: Option<&Path>) -> Result<Self> {
        let models = Cache::open(None)?;
        let mut progress = Console::default();
        let model = EmbeddingModel::Multilingual;
        let (onnx, file) = (models.onnx(&mut progress)?, models.require(model.artefact(), &mut progress)?);
        let embedder = Embedder::open(&onnx, model, &file, 1)?;
        let reranker = reranker.map(|folder| Reranker::open(&onnx, folder)).transpose()?;
        fs::create_dir_all(cache)?;
        let (data, cache) = (data.join("knowledge"), cache.to_owned());
        let mut bench = Self { data, cache, embedder, fingerprint: String::new(), reranker };
        bench.fingerprint = fingerprint(&bench.embed(Purpose::Passage, &FINGERPRINT_OF)?);
        Ok(bench)
    }

    fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let text = fs::read(self.data.join(path)).with_context(|| format!("no {path}"))?;
        serde_json::from_slice(&text).with_context(|| path.to_owned())
    }

    fn embed(&mut self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let embedded = self.embedder.embed(purpose, texts)?;
        Ok(embedded.iter().map(|embedding| embedding.to_vec()).collect())
    }

    /// Vectors, from the cache if this embedder embedded these texts before.
    fn vectors(&mut self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(BATCH) {
            let mut hash = Sha256::new();
            hash.update(format!("{} {purpose:?}", self.fingerprint));
            for text in texts {
                hash.update([0u8]);
                hash.update(text);
            }
            let digest: [u8; 32] = hash.finalize().into();
            let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            let kept = self.cache.join(format!("{name}.f32"));
            let numbers: Vec<f32> = match fs::read(&kept) {
                Ok(bytes) => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
                Err(_) => {
                    let numbers = self.embed(purpose, texts)?.concat();
                    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                    // Whole or not at all, also when it is interrupted.
                    let part = kept.with_extension("part");
                    fs::write(&part, bytes)?;
                    fs::rename(&part, &kept)?;
                    numbers
                }
            };
            ensure!(!numbers.is_empty(), "{} is empty", kept.display());
            vectors.extend(numbers.chunks_exact(numbers.len() / texts.len()).map(<[f32]>::to_vec));
        }
        Ok(vectors)
    }

    /// A hub of these papers, embedded, to be searched.
    fn index(&mut self, papers: impl IntoIterator<Item = Paper>) -> Result<Index> {
        let mut hub = Hub::new();
        for paper in papers {
            hub.put(paper);
        }
        hub.embed_with(|texts| self.vectors(Purpose::Passage, texts))?;
        Ok(hub.index()?)
    }

    /// The vectors of questions, each with what was said before it, the newest first.
    fn questions(&mut self, asked: &[(String, Vec<String>)]) -> Result<Vec<Vec<f32>>> {
        let mut texts: Vec<String> = Vec::new();
        let mut counts: Vec<usize> = Vec::new();
        for (text, context) in asked {
            let context: Vec<&str> = context.iter().map(String::as_str).collect();
            let own = Query::texts(text, &context);
            counts.push(own.len());
            texts.extend(own);
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = self.vectors(Purpose::Query, &texts)?;
        let mut rest = vectors.as_slice();
        let blended = counts.into_iter().map(|count| {
            let (own, after) = rest.split_at(count);
            rest = after;
            Query::blend(own)
        });
        Ok(blended.collect())
    }
}

fn paper(id: String, content: Content) -> Paper {
    Paper { id, changed_unix_ms: 0, visibility: Visibility::default(), bytes: 0, content }
}

/// Where the first right hit is, counted over queries.
#[derive(Default)]
struct Ranks {
    queries: f64,
    first: f64,
    among_three: f64,
    among_five: f64,
    reciprocal: f64,
}

impl Ranks {
    fn add(&mut self, hits: &[Hit], right: impl Fn(&str) -> bool) {
        // Several passages of one document are one answer.
        let mut seen = HashSet::new();
        let documents = hits.iter().map(|hit| hit.document.id.as_str()).filter(|id| seen.insert(*id));
        let rank = documents.take(HITS).position(right);
        self.queries += 1.0;
        if let Some(rank) = rank {
            self.first += f64::from(u8::from(rank == 0));
            self.among_three += f64::from(u8::from(rank < 3));
            self.among_five += f64::from(u8::from(rank < 5));
            self.reciprocal += 1.0 / (rank as f64 + 1.0);
        }
    }

    fn print(&self, name: &str, bars: Option<(f64, f64)>) {
        let at_least = |bar: Option<f64>| bar.map(|bar| ("at_least", bar));
        figure(
            &format!("{name}_recall_1"),
            self.first / self.queries,
            "rate",
            at_least(bars.map(|bars| bars.0)),
        );
        figure(
            &format!("{name}_recall_5"),
            self.among_five / self.queries,
            "rate",
            at_least(bars.map(|bars| bars.1).filter(|bar| *bar > 0.0)),
        );
        figure(&format!("{name}_mrr_10"), self.reciprocal / self.queries, "", None);
    }
}

/// Words alone, meaning alone, and both as it is shipped.
const METHODS: [(&str, Option<f32>); 3] = [("bm25", Some(0.0)), ("dense", Some(1.0)), ("hybrid", None)];

/// A snippet's name: what it is about, its kind, its document and, of a review, its sentence.
fn snippet(domain: &str, entity: &str, kind: &str, document: &str, sentence: &str) -> String {
    format!("{domain}/{entity}/{kind}/{document}/{sentence}")
}

/// The snippets of DSTC11 track 5, each a document of its own under the name of what it is about.
fn snippets(bench: &Bench) -> Result<Vec<Paper>> {
    let knowledge: BTreeMap<String, BTreeMap<String, Value>> = bench.read("dstc11-track5/knowledge.json")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut papers = Vec::new();
    for (domain, entities) in &knowledge {
        for (entity, about) in entities {
            let title = text(&about["name"]);
            for (number, review) in about["reviews"].as_object().into_iter().flatten() {
                for (sentence, said) in review["sentences"].as_object().into_iter().flatten() {
                    let id = snippet(domain, entity, "review", number, sentence);
                    papers.push(paper(id, Content::plain(&title, &text(said))));
                }
            }
            for (number, faq) in about["faqs"].as_object().into_iter().flatten() {
                let parts = vec![
                    Part { level: 1, text: text(&faq["question"]) },
                    Part { level: 0, text: text(&faq["answer"]) },
                ];
                let id = snippet(domain, entity, "faq", number, "");
                papers.push(paper(id, Content { title: title.clone(), parts, ..Content::default() }));
            }
        }
    }
    Ok(papers)
}

/// The last turn of every dialogue, and the turns before it, the newest first.
fn dialogues(bench: &Bench) -> Result<Vec<(String, Vec<String>)>> {
    let logs: Vec<Vec<Value>> = bench.read("dstc11-track5/val_logs.json")?;
    let said = |turn: &Value| turn["text"].as_str().unwrap_or_default().to_owned();
    let asked = |turns: &Vec<Value>| -> Result<(String, Vec<String>)> {
        let (last, before) = turns.split_last().context("a dialogue without turns")?;
        Ok((said(last), before.iter().rev().take(TURNS - 1).map(said).collect()))
    };
    logs.iter().map(asked).collect()
}

fn dstc11(bench: &mut Bench) -> Result<()> {
    let papers = snippets(bench)?;
    let names: Vec<String> = papers.iter().map(|paper| paper.id.clone()).collect();
    let index = bench.index(papers)?;
    let labels: Vec<Value> = bench.read("dstc11-track5/val_labels.json")?;
    let asked = dialogues(bench)?;
    ensure!(labels.len() == asked.len(), "not every dialogue has a label");
    let vectors = bench.questions(&asked)?;
    let viewer = Viewer::default();
    let mut all: BTreeMap<&str, Ranks> = BTreeMap::new();
    let mut known: BTreeMap<&str, Ranks> = BTreeMap::new();
    // The best hit's confidence, and whether the turn asks for knowledge at all.
    let mut decided: Vec<(f32, bool)> = Vec::new();
    let mut shown: Vec<Shown> = Vec::new();
    for ((label, (text, context)), vector) in labels.iter().zip(&asked).zip(&vectors) {
        let context: Vec<&str> = context.iter().map(String::as_str).collect();
        let query = Query { text, context: &context, vector: Some(vector), ..Query::default() };
        let gold: HashSet<String> = label["knowledge"].as_array().into_iter().flatten().map(gold).collect();
        if label["target"] != true {
            let hit = index.search(&query, &viewer, 1)?.into_iter().next();
            decided.push((hit.as_ref().map_or(0.0, |hit| hit.confidence), false));
            // Whatever is shown where nothing is asked for is wrong.
            shown.extend(hit.map(|hit| Shown { hit, right: false }));
            continue;
        }
        // "hotel/20/": what the answer is about is known.
        let about: HashSet<&str> = gold.iter().filter_map(|name| entity(name)).collect();
        let within: BTreeSet<String> = names
            .iter()
            .filter(|name| entity(name).is_some_and(|one| about.contains(one)))
            .cloned()
            .collect();
        for (method, share) in METHODS {
            let query = Query { share, ..query };
            let hits = index.search(&query, &viewer, HITS)?;
            all.entry(method).or_default().add(&hits, |id| gold.contains(id));
            if let (None, Some(hit)) = (share, hits.first()) {
                decided.push((hit.confidence, true));
                shown.push(Shown { hit: hit.clone(), right: gold.contains(&hit.document.id) });
            }
            let hits = index.search(&Query { within: Some(&within), ..query }, &viewer, HITS)?;
            known.entry(method).or_default().add(&hits, |id| gold.contains(id));
        }
        if let Some(reranker) = &mut bench.reranker {
            let question = Query::texts(text, &context).pop().unwrap_or_default();
            for (ranks, within) in [(&mut all, None), (&mut known, Some(&within))] {
                let mut hits = index.search(&Query { within, ..query }, &viewer, RERANKED)?;
                rerank(&mut hits, |passages| reranker.relevance(&question, passages))?;
                ranks.entry("rerank").or_default().add(&hits, |id| gold.contains(id));
            }
        }
    }
    for (name, ranks) in [("all", &all), ("entity", &known)] {
        if let Some(ranks) = ranks.get("rerank") {
            ranks.print(&format!("dstc11.{name}_rerank"), None);
        }
    }
    for (method, _) in METHODS {
        let hybrid = method == "hybrid";
        all[method].print(&format!("dstc11.all_{method}"), hybrid.then_some((0.25, 0.48)));
        known[method].print(&format!("dstc11.entity_{method}"), hybrid.then_some((0.60, 0.87)));
    }
    figure("dstc11.decision_f1", f1(&decided, SURE), "rate", None);
    figure("dstc11.decision_auc", auc(&decided), "rate", None);
    threshold("dstc11.decision", &decided);
    confidence("dstc11", &shown);
    Ok(())
}

fn gold(one: &Value) -> String {
    let number = |name: &str| one[name].as_u64().map(|number| number.to_string()).unwrap_or_default();
    let word = |name: &str| one[name].as_str().unwrap_or_default();
    snippet(word("domain"), &number("entity_id"), word("doc_type"), &number("doc_id"), &number("sent_id"))
}

/// The part of a snippet's name that says what it is about.
fn entity(name: &str) -> Option<&str> {
    let (domain, rest) = name.split_once('/')?;
    let (entity, _) = rest.split_once('/')?;
    Some(&name[..domain.len() + 1 + entity.len()])
}

/// The best hit of a query, and whether it is right.
struct Shown {
    hit: Hit,
    right: bool,
}

/// How the confidence tells right hits from wrong ones, and how far it is from how often they are right: as it is shipped, and
/// with constants that fit the first half of the queries best, on the other half. (Queries about one text stand together, so
/// that none of them is in both, as some of every other row would be.) Says which constants these are, too.
fn confidence(row: &str, shown: &[Shown]) {
    let sure: Vec<&Shown> = shown.iter().filter(|one| one.hit.confidence >= SURE).collect();
    let right = |of: &[&Shown]| of.iter().filter(|one| one.right).count() as f64 / of.len().max(1) as f64;
    figure(&format!("{row}.shown"), sure.len() as f64 / shown.len() as f64, "rate", None);
    figure(&format!("{row}.shown_right"), right(&sure), "rate", None);
    let numbers: Vec<(f32, bool)> = shown.iter().map(|one| (one.hit.confidence, one.right)).collect();
    figure(&format!("{row}.confidence_auc"), auc(&numbers), "rate", None);
    figure(&format!("{row}.confidence_error"), error(&numbers), "rate", None);
    let (fitting, held_out) = shown.split_at(shown.len() / 2);
    let [cosine, share, constant] = fitted(fitting);
    let by_fit = |one: &Shown| {
        let [by_meaning, by_words] = seen(one);
        let sum = cosine * by_meaning + share * by_words + constant;
        ((1.0 / (1.0 + (-sum).exp())) as f32, one.right)
    };
    let shipped = &numbers[fitting.len()..];
    let refitted: Vec<(f32, bool)> = held_out.iter().map(by_fit).collect();
    for (name, numbers) in [("shipped", shipped), ("fitted", refitted.as_slice())] {
        figure(&format!("{row}.held_out_auc_{name}"), auc(numbers), "rate", None);
        figure(&format!("{row}.held_out_error_{name}"), error(numbers), "rate", None);
    }
    // As the constants are written (`COSINE`, `SHARE`): what is subtracted from the share is 0.4.
    let middle = -(constant + 0.4 * share) / cosine;
    for (name, value) in [("cosine_slope", cosine), ("cosine_middle", middle), ("share_slope", share)] {
        figure(&format!("{row}.fitted_{name}"), value, "", None);
    }
    threshold(row, &numbers);
}

/// From which confidence on it is best to show something (F1), by the first half of these, and what that is worth on the other
/// half beside [`SURE`].
fn threshold(name: &str, numbers: &[(f32, bool)]) {
    let (fitting, held_out) = numbers.split_at(numbers.len() / 2);
    let steps = (1..20u8).map(|step| f32::from(step) / 20.0);
    let best = steps.max_by(|a, b| f1(fitting, *a).total_cmp(&f1(fitting, *b))).unwrap_or(SURE);
    figure(&format!("{name}.threshold_fitted"), f64::from(best), "", None);
    figure(&format!("{name}.held_out_f1_fitted"), f1(held_out, best), "rate", None);
    figure(&format!("{name}.held_out_f1_shipped"), f1(held_out, SURE), "rate", None);
}

/// How far numbers are from how often what they are of is true: the mean over ten bins, each weighed by how many are in it
/// (the expected calibration error; Naeini and others, AAAI 2015).
fn error(numbers: &[(f32, bool)]) -> f64 {
    let mut off = 0.0;
    for bin in 0..10 {
        let is_within = move |number: f32| ((number * 10.0) as usize).min(9) == bin;
        let within = move || numbers.iter().filter(move |one| is_within(one.0));
        let said: f64 = within().map(|(number, _)| f64::from(*number)).sum();
        off += (said - within().filter(|(_, truth)| *truth).count() as f64).abs();
    }
    off / numbers.len() as f64
}

/// What the confidence of a hit is made of: its cosine, and the share of the query's words that it has.
fn seen(one: &Shown) -> [f64; 2] {
    [f64::from(one.hit.why.cosine.unwrap_or_default()), f64::from(one.hit.why.covered)]
}

/// Logistic regression of what is right on the cosine and on the share of the query's words, by gradient descent: the
/// two slopes, and the constant.
fn fitted(shown: &[Shown]) -> [f64; 3] {
    let count = shown.len() as f64;
    let raw: Vec<[f64; 2]> = shown.iter().map(seen).collect();
    let mean = [0, 1].map(|n| raw.iter().map(|x| x[n]).sum::<f64>() / count);
    let spread = [0, 1].map(|n| {
        let squares = raw.iter().map(|x| (x[n] - mean[n]).powi(2)).sum::<f64>();
        (squares / count).sqrt().max(1e-9)
    });
    let mut weights = [0.0; 3];
    for _ in 0..2_000 {
        let mut gradient = [0.0; 3];
        for (x, one) in raw.iter().zip(shown) {
            let x = [(x[0] - mean[0]) / spread[0], (x[1] - mean[1]) / spread[1], 1.0];
            let sum: f64 = weights.iter().zip(&x).map(|(w, x)| w * x).sum();
            let error = 1.0 / (1.0 + (-sum).exp()) - f64::from(u8::from(one.right));
            gradient.iter_mut().zip(&x).for_each(|(g, x)| *g += error * x / count);
        }
        weights.iter_mut().zip(&gradient).for_each(|(w, g)| *w -= g);
    }
    let [cosine, share] = [weights[0] / spread[0], weights[1] / spread[1]];
    [cosine, share, weights[2] - cosine * mean[0] - share * mean[1]]
}

/// How often what is true has the higher number, of two of which one is.
fn auc(numbers: &[(f32, bool)]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut sum, mut truths) = (0.0, 0.0, 0.0);
    // Equal numbers win half of their pairs.
    for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
        let right = equal.iter().filter(|(_, truth)| *truth).count() as f64;
        let wrong = equal.len() as f64 - right;
        sum += right * (below + wrong / 2.0);
        below += wrong;
        truths += right;
    }
    sum / (truths * below)
}

fn f1(numbers: &[(f32, bool)], from: f32) -> f64 {
    let count = |which: fn(bool, bool) -> bool| {
        numbers.iter().filter(|(number, truth)| which(*number >= from, *truth)).count() as f64
    };
    2.0 * count(|said, truth| said && truth) / (count(|said, _| said) + count(|_, truth| truth))
}

fn pquad(bench: &mut Bench) -> Result<()> {
    let dev: Value = bench.read("pquad-fa/dev.json")?;
    let mut papers = Vec::new();
    let mut asked: Vec<(String, Vec<String>)> = Vec::new();
    let mut answers: Vec<String> = Vec::new();
    for article in dev["data"].as_array().into_iter().flatten() {
        let title = article["title"].as_str().unwrap_or_default();
        for paragraph in article["paragraphs"].as_array().into_iter().flatten() {
            let id = format!("{:04}", papers.len());
            for question in paragraph["qas"].as_array().into_iter().flatten() {
                if question["is_impossible"] != true {
                    asked.push((question["question"].as_str().unwrap_or_default().to_owned(), vec![]));
                    answers.push(id.clone());
                }
            }
            let text = paragraph["context"].as_str().unwrap_or_default();
            papers.push(paper(id, Content::plain(title, text)));
        }
    }
    let index = bench.index(papers)?;
    let vectors = bench.questions(&asked)?;
    let mut ranks: BTreeMap<&str, Ranks> = BTreeMap::new();
    let mut shown = Vec::new();
    for (((text, _), vector), answer) in asked.iter().zip(&vectors).zip(&answers) {
        for (method, share) in METHODS {
            let query = Query { text, vector: Some(vector), share, ..Query::default() };
            // Some paragraphs are two passages.
            let hits = index.search(&query, &Viewer::default(), 2 * HITS)?;
            ranks.entry(method).or_default().add(&hits, |id| id == answer);
            if let (None, Some(hit)) = (share, hits.first()) {
                shown.push(Shown { hit: hit.clone(), right: hit.document.id == *answer });
            }
        }
    }
    for (method, _) in METHODS {
        ranks[method].print(&format!("pquad.{method}"), (method == "hybrid").then_some((0.955, 0.0)));
    }
    confidence("pquad", &shown);
    Ok(())
}

/// The procedures of the sample dialogues, as the guidelines name them.
const PROCEDURES: [(&str, &str); 3] =
    [("return_size", "Return Due to Size"), ("refund_status", "Refund Status"), ("timing", "Timing FAQ")];
/// What the customer says first, of which a procedure is to be found.
const FIRST_TURNS: usize = 4;

fn abcd(bench: &mut Bench) -> Result<()> {
    let guidelines: BTreeMap<String, Value> = bench.read("abcd-guidelines/guidelines.json")?;
    let mut papers = Vec::new();
    for (flow, about) in &guidelines {
        for (name, procedure) in about["subflows"].as_object().into_iter().flatten() {
            let mut parts = vec![Part { level: 1, text: flow.clone() }];
            let mut body = |value: &Value| {
                if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
                    parts.push(Part { level: 0, text: text.to_owned() });
                }
            };
            body(&about["description"]);
            procedure["instructions"].as_array().into_iter().flatten().for_each(&mut body);
            for action in procedure["actions"].as_array().into_iter().flatten() {
                body(&action["text"]);
                action["subtext"].as_array().into_iter().flatten().for_each(&mut body);
            }
            papers.push(paper(name.clone(), Content { title: name.clone(), parts, ..Content::default() }));
        }
    }
    let index = bench.index(papers)?;
    let dialogues: Vec<Value> = bench.read("abcd-guidelines/abcd_sample.json")?;
    let mut ranks = Ranks::default();
    for dialogue in &dialogues {
        let subflow = dialogue["scenario"]["subflow"].as_str().unwrap_or_default();
        let procedure = PROCEDURES.iter().find(|(name, _)| subflow.starts_with(name));
        let (_, procedure) = procedure.with_context(|| format!("no procedure for {subflow}"))?;
        let turns = dialogue["original"].as_array().into_iter().flatten();
        let customer = turns.filter(|turn| turn[0] == "customer").filter_map(|turn| turn[1].as_str());
        let text = customer.take(FIRST_TURNS).collect::<Vec<_>>().join(" ");
        let vector = bench.questions(&[(text.clone(), vec![])])?.remove(0);
        let query = Query { text: &text, vector: Some(&vector), ..Query::default() };
        ranks.add(&index.search(&query, &Viewer::default(), 3 * HITS)?, |id| id == *procedure);
    }
    figure("abcd.recall_3", ranks.among_three / ranks.queries, "rate", None);
    figure("abcd.dialogues", ranks.queries, "", None);
    Ok(())
}

/// Queries whose latency is measured.
const TIMED: usize = 500;

fn latency(bench: &mut Bench) -> Result<()> {
    let papers = snippets(bench)?;
    let mut asked = dialogues(bench)?;
    asked.truncate(TIMED);
    let questions = bench.questions(&asked)?;
    let mut originals: Vec<Vec<f32>> = Vec::new();
    let mut hub = Hub::new();
    for paper in &papers {
        hub.put(paper.clone());
    }
    hub.embed_with(|texts| -> Result<Vec<Vec<f32>>> {
        let vectors = bench.vectors(Purpose::Passage, texts)?;
        originals.extend(vectors.iter().cloned());
        Ok(vectors)
    })?;
    for (count, bar) in [(10_000, 20.0), (100_000, 60.0)] {
        // Copies are about something else, and mean something a little different.
        let copies = (0..).flat_map(|copy| papers.iter().map(move |paper| (copy, paper)));
        let mut hub = Hub::new();
        for (copy, paper) in copies.take(count) {
            let mut paper = paper.clone();
            if copy > 0 {
                paper.id = format!("{copy}/{}", paper.id);
                paper.content.title = format!("{} {copy}", paper.content.title);
            }
            hub.put(paper);
        }
        let mut number = 0usize;
        hub.embed_with(|texts| {
            let vectors = texts.iter().map(|_| {
                number += 1;
                let original = &originals[number % originals.len()];
                original
                    .iter()
                    .zip(0usize..)
                    .map(|(x, at)| x + 0.01 * ((number * 31 + at * 17) as f32).sin())
                    .collect()
            });
            Ok::<Vec<Vec<f32>>, KnowledgeError>(vectors.collect())
        })?;
        let begun = Instant::now();
        let index = hub.index()?;
        let built = begun.elapsed();
        let mut took = Vec::new();
        for ((text, context), vector) in asked.iter().zip(&questions) {
            let context: Vec<&str> = context.iter().map(String::as_str).collect();
            let query = Query { text, context: &context, vector: Some(vector), ..Query::default() };
            let begun = Instant::now();
            index.search(&query, &Viewer::default(), HITS)?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        figure(&format!("search.p50_{count}"), at(0.5), "ms", None);
        figure(&format!("search.p95_{count}"), at(0.95), "ms", Some(("at_most", bar)));
        figure(&format!("search.index_{count}"), built.as_secs_f64(), "s", None);
    }
    Ok(())
}

/// What stands in a paper, as one line.
fn text_of(paper: &Paper) -> String {
    let parts: Vec<&str> = paper.content.parts.iter().map(|part| part.text.as_str()).collect();
    format!("{}: {}", paper.content.title, parts.join(" "))
}

/// Pages that are read, and snippets on each.
const PAGES: usize = 1_000;
const ON_A_PAGE: usize = 10;

fn ingestion(bench: &mut Bench) -> Result<()> {
    let lines: Vec<String> = snippets(bench)?.iter().map(text_of).collect();
    let pages: Vec<String> = (0..PAGES)
        .map(|page| {
            let lines = lines.iter().cycle().skip(page * ON_A_PAGE).take(ON_A_PAGE).enumerate();
            let sections =
                lines.map(|(n, line)| format!("## Section {n}\n\n{}\n\n", [line.as_str(); 5].join(" ")));
            format!("# Page {page}\n\n{}", sections.collect::<String>())
        })
        .collect();
    let before = resident_mb()?;
    let begun = Instant::now();
    let mut hub = Hub::new();
    for (page, text) in pages.iter().enumerate() {
        hub.put(paper(format!("{page}.md"), read(Format::Markdown, text.as_bytes())?));
    }
    let (passages, _) = hub.passages();
    figure("ingestion.passages", passages as f64, "", None);
    figure("ingestion.read", passages as f64 / begun.elapsed().as_secs_f64(), "passages/s", None);

    // Interrupted in the middle, taken up, and taken up again.
    let mut embedded: Vec<String> = Vec::new();
    let mut rounds = 0;
    let half = hub.embed_with(|texts| {
        rounds += 1;
        if rounds > 20 {
            return Err(KnowledgeError::Vector("does not come: this is the interruption"));
        }
        embedded.extend(texts.iter().map(|text| (*text).to_owned()));
        Ok(vec![made_up(); texts.len()])
    });
    ensure!(half.is_err(), "it was not interrupted");
    hub.save(&bench.cache.join("ingestion.hub"))?;
    let mut hub = Hub::load(&bench.cache.join("ingestion.hub"))?;
    for (page, text) in pages.iter().enumerate() {
        hub.put(paper(format!("{page}.md"), read(Format::Markdown, text.as_bytes())?));
    }
    hub.embed_with(|texts| {
        embedded.extend(texts.iter().map(|text| (*text).to_owned()));
        Ok::<_, KnowledgeError>(vec![made_up(); texts.len()])
    })?;
    let (again, lacking) = hub.passages();
    let different: HashSet<&String> = embedded.iter().collect();
    let wrong = embedded.len() - different.len() + again.abs_diff(passages) + lacking;
    figure("ingestion.twice_or_missing", wrong as f64, "passages", Some(("at_most", 0.0)));

    let begun = Instant::now();
    let index = hub.index()?;
    figure("ingestion.index", index.len() as f64 / begun.elapsed().as_secs_f64(), "passages/s", None);
    figure("ingestion.memory", resident_mb()? - before, "MB", None);

    let some: Vec<&str> = embedded.iter().take(4 * BATCH).map(String::as_str).collect();
    let begun = Instant::now();
    bench.embed(Purpose::Passage, &some)?;
    figure("ingestion.embed", some.len() as f64 / begun.elapsed().as_secs_f64(), "passages/s", None);
    Ok(())
}

/// A vector as wide as real ones.
fn made_up() -> Vec<f32> {
    vec![1.0; 384]
}

/// Memory that this process has, in MB.
fn resident_mb() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1_024.0 / 1e6)
}
