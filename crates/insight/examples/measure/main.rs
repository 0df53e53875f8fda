//! Measures what the crate recognises on public data: `cargo xtask eval insight` runs it.
//!
//! `measure ROW DATA CACHE` prints one JSON object a figure. Embeddings are kept in the folder CACHE. A row whose name
//! ends in `_english` is measured with the English embedding.

mod checklist;
mod cost;
mod duties;
mod fairness;
mod goemotions;
mod labelled;
mod mood;
mod persian;
mod urgency;
mod urgent;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sotto_insight::{Embedder, Embedding, EmbeddingModel, Example, Mix, Purpose, Recogniser, Scatter};
use sotto_models::{Cache, Console, Onnx};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [row, data, cache] = arguments.as_slice() else { bail!("measure ROW DATA CACHE") };
    let (measured, model) = match row.strip_suffix("_english") {
        Some(measured) => (measured, EmbeddingModel::English),
        None => (row.as_str(), EmbeddingModel::Multilingual),
    };
    let mut bench = Bench::open(row, model, Path::new(data), Path::new(cache))?;
    match measured {
        "goemotions" => goemotions::goemotions(&mut bench),
        "banking77" => banking77(&mut bench),
        "clinc" => clinc(&mut bench),
        "massive" => massive(&mut bench),
        "checklist" => checklist::checklist(&mut bench),
        "cost" => cost::cost(&bench),
        "fairness" => mood::fairness(bench),
        "persian_mood" => mood::persian(bench),
        "urgency" => urgency::urgency(bench),
        other => bail!("there is no row {other}"),
    }
}

fn figure(name: &str, value: f64, at_least: Option<f64>) {
    println!("{}", json!({ "name": name, "value": value, "unit": "rate", "at_least": at_least }));
}

fn figure_at_most(name: &str, value: f64, unit: &str, at_most: Option<f64>) {
    println!("{}", json!({ "name": name, "value": value, "unit": unit, "at_most": at_most }));
}

struct Bench {
    row: String,
    data: PathBuf,
    cache: PathBuf,
    onnx: Onnx,
    embedder: Embedder,
    /// The vectors of [`FINGERPRINT_OF`], which tell this embedder from others.
    fingerprint: Vec<u8>,
}

/// A sentence in each language.
const FINGERPRINT_OF: [&str; 2] =
    ["Money goes back to the card within three days.", "وجه تا سه روز دیگر به کارت بازمی‌گردد."];

impl Bench {
    fn open(row: &str, model: EmbeddingModel, data: &Path, cache: &Path) -> Result<Self> {
        let models = Cache::open(None)?;
        let mut progress = Console::default();
        let (onnx, file) = (models.onnx(&mut progress)?, models.require(model.artefact(), &mut progress)?);
        let mut embedder = Embedder::open(&onnx, model, &file, 1)?;
        fs::create_dir_all(cache)?;
        let vectors = embedder.embed(Purpose::Passage, &FINGERPRINT_OF)?;
        let numbers = vectors.iter().flat_map(|embedding| embedding.iter());
        let fingerprint = numbers.flat_map(|number| number.to_le_bytes()).collect();
        let (row, data, cache) = (row.to_owned(), data.to_owned(), cache.to_owned());
        Ok(Self { row, data, cache, onnx, embedder, fingerprint })
    }

    /// A figure of the row. The bars are those of the multilingual embedding: of the other it is reported.
    fn figure(&self, name: &str, value: f64, at_least: Option<f64>) {
        let at_least = at_least.filter(|_| self.embedder.model() == EmbeddingModel::Multilingual);
        figure(&format!("{}.{name}", self.row), value, at_least);
    }

    fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.data.join(path)).with_context(|| format!("no {path}"))
    }

    /// Embeddings, from the cache if this embedder embedded these texts before.
    fn embed(&mut self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Embedding>> {
        let mut hasher = DefaultHasher::new();
        (&self.fingerprint, texts, purpose == Purpose::Query).hash(&mut hasher);
        let kept = self.cache.join(format!("{:016x}.f32", hasher.finish()));
        if let Ok(bytes) = fs::read(&kept) {
            let numbers: Vec<f32> =
                bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let width = numbers.len() / texts.len().max(1);
            return Ok(numbers.chunks_exact(width).map(|numbers| Embedding::new(numbers.to_vec())).collect());
        }
        let embedded = self.embedder.embed(purpose, texts)?;
        let numbers = embedded.iter().flat_map(|embedding| embedding.iter());
        fs::write(kept, numbers.flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())?;
        Ok(embedded)
    }

    /// Sentences with an intent each, as queries, and for training as passages too, where that is another form.
    fn sentences(&mut self, rows: &[(String, String)], both: bool) -> Result<Sentences> {
        let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
        let queries = self.embed(Purpose::Query, &texts)?;
        let both = both && self.embedder.model().forms().contains(&Purpose::Passage);
        let passages = if both { self.embed(Purpose::Passage, &texts)? } else { vec![] };
        Ok(Sentences { intents: rows.iter().map(|(_, intent)| intent.clone()).collect(), queries, passages })
    }
}

struct Sentences {
    intents: Vec<String>,
    queries: Vec<Embedding>,
    passages: Vec<Embedding>,
}

impl Sentences {
    /// These, and those after them.
    fn and(&self, more: &Self) -> Self {
        Self {
            intents: [self.intents.as_slice(), &more.intents].concat(),
            queries: [self.queries.as_slice(), &more.queries].concat(),
            passages: [self.passages.as_slice(), &more.passages].concat(),
        }
    }

    /// The names of the intents of the sentences `chosen`, and these in all their forms.
    fn examples(&self, chosen: &[usize]) -> (Vec<String>, Vec<Example>) {
        let names: BTreeSet<&String> = chosen.iter().map(|n| &self.intents[*n]).collect();
        let number: HashMap<&String, usize> = names.iter().enumerate().map(|(n, name)| (*name, n)).collect();
        let examples = [&self.queries, &self.passages]
            .into_iter()
            .flat_map(|form| chosen.iter().filter_map(move |n| Some((*n, form.get(*n)?))))
            .map(|(n, embedding)| Example {
                intent: number[&self.intents[n]],
                sentence: n,
                embedding: embedding.clone(),
            })
            .collect();
        (names.into_iter().cloned().collect(), examples)
    }

    /// The passages moved to where the queries are: by how far the two forms of the sentences `chosen` lie apart in the
    /// mean, which says nothing about what is wanted, and looks to a recogniser as if sentences of one intent differed.
    fn aligned(&self, chosen: &[usize]) -> Self {
        let mut apart = vec![0.0; self.queries.first().map_or(0, |query| query.len())];
        for n in chosen {
            let forms = self.queries[*n].iter().zip(self.passages[*n].iter());
            for (apart, (query, passage)) in apart.iter_mut().zip(forms) {
                *apart += (query - passage) / chosen.len() as f32;
            }
        }
        let moved = |passage: &Embedding| {
            Embedding::new(passage.iter().zip(&apart).map(|(x, apart)| x + apart).collect())
        };
        let passages = self.passages.iter().map(moved).collect();
        Self { intents: self.intents.clone(), queries: self.queries.clone(), passages }
    }
}

/// A recogniser, and the names of its intents.
struct Trained {
    recogniser: Recogniser,
    names: Vec<String>,
}

impl Trained {
    /// From the sentences `chosen`, as calls do it.
    fn on(sentences: &Sentences, chosen: impl IntoIterator<Item = usize>) -> Result<Self> {
        let (names, examples) = sentences.examples(&chosen.into_iter().collect::<Vec<_>>());
        Ok(Self { recogniser: Recogniser::train(names.len(), &examples)?, names })
    }

    /// The share of sentences whose intent is recognised.
    fn accuracy(&self, sentences: &Sentences, chosen: impl IntoIterator<Item = usize>) -> f64 {
        let right = |n: usize| {
            let found = self.recogniser.recognise(&sentences.queries[n]);
            f64::from(u8::from(self.names[found.intent] == sentences.intents[n]))
        };
        mean(chosen.into_iter().map(right))
    }
}

/// A way to learn from few examples.
#[derive(Clone, Copy)]
struct Way {
    /// What its figures are called by; nothing for what calls do.
    name: &'static str,
    /// With the name of an intent as one more example of it.
    is_named: bool,
    /// See [`Sentences::aligned`].
    is_aligned: bool,
    mix: Mix,
    /// With how sentences of other intents differ.
    is_from_elsewhere: bool,
}

/// Which of them is best is seen in the sentences to learn from that were not drawn; the others only tell how good it is.
const WAYS: [Way; 7] = {
    let plain =
        Way { name: "", is_named: false, is_aligned: false, mix: Mix::Even, is_from_elsewhere: false };
    let named = Way { is_named: true, ..plain };
    let aligned = Way { is_aligned: true, ..plain };
    [
        plain,
        Way { name: "_mix_tried", mix: Mix::Tried, ..plain },
        Way { name: "_and_name", ..named },
        Way { name: "_and_name_mix_tried", mix: Mix::Tried, ..named },
        Way { name: "_forms_aligned", ..aligned },
        Way { name: "_scatter", is_from_elsewhere: true, ..plain },
        Way { name: "_forms_aligned_scatter", is_from_elsewhere: true, ..aligned },
    ]
};

impl Way {
    /// Those that can be told apart where sentences have these forms.
    fn all(sentences: &Sentences) -> impl Iterator<Item = Self> {
        let has_forms = !sentences.passages.is_empty();
        WAYS.into_iter().filter(move |way| has_forms || !way.is_aligned)
    }

    fn learn(self, sentences: &Sentences, chosen: &[usize], elsewhere: &Scatter) -> Result<Trained> {
        let aligned = self.is_aligned.then(|| sentences.aligned(chosen));
        let (names, examples) = aligned.as_ref().unwrap_or(sentences).examples(chosen);
        let elsewhere = self.is_from_elsewhere.then_some(elsewhere);
        let recogniser = Recogniser::train_with(names.len(), &examples, self.mix, elsewhere)?;
        Ok(Trained { recogniser, names })
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// `text,intent` with a heading, as Banking77 has it.
fn table(text: &str) -> Result<Vec<(String, String)>> {
    Ok(csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>()?)
}

fn banking77(bench: &mut Bench) -> Result<()> {
    let train = table(&bench.read("intent/banking77/train.csv")?)?;
    let test = table(&bench.read("intent/banking77/test.csv")?)?;
    let (train, test) = (bench.sentences(&train, true)?, bench.sentences(&test, false)?);
    let all = 0..test.intents.len();
    let elsewhere = scatter(bench)?;
    let called: BTreeSet<&String> = train.intents.iter().collect();
    let called: Vec<(String, String)> =
        called.into_iter().map(|intent| (intent.replace('_', " "), intent.clone())).collect();
    let named = train.and(&bench.sentences(&called, true)?);
    let names = train.intents.len()..named.intents.len();
    for (few, bar) in [(5, 0.75), (10, 0.84)] {
        for way in Way::all(&named) {
            let Way { name, is_named, .. } = way;
            // Five draws: one says more about the draw than about the recogniser.
            let accuracies = |draw| -> Result<[f64; 2]> {
                let drawn = some(&train, few, draw);
                let names = names.clone().filter(|_| is_named);
                let chosen: Vec<usize> = drawn.iter().copied().chain(names).collect();
                let trained = way.learn(&named, &chosen, &elsewhere)?;
                let drawn: HashSet<usize> = drawn.into_iter().collect();
                // As many as there are to test with.
                let others = (0..train.intents.len()).filter(|n| !drawn.contains(n)).step_by(3);
                Ok([trained.accuracy(&test, all.clone()), trained.accuracy(&train, others)])
            };
            let draws = (0..5).map(accuracies).collect::<Result<Vec<[f64; 2]>>>()?;
            let of = |place: usize| mean(draws.iter().map(|accuracies| accuracies[place]));
            bench.figure(&format!("examples_{few}{name}"), of(0), name.is_empty().then_some(bar));
            bench.figure(&format!("examples_{few}{name}_undrawn"), of(1), None);
        }
    }
    let queries = Sentences { passages: vec![], ..train };
    let trained = Trained::on(&queries, 0..queries.intents.len())?;
    bench.figure("full", trained.accuracy(&test, all), Some(0.93));
    Ok(())
}

/// `few` sentences of every intent, drawn by a hash of the draw and the sentence's place.
fn some(sentences: &Sentences, few: usize, draw: u64) -> Vec<usize> {
    let mut drawn: Vec<(u64, usize)> = (0..sentences.intents.len())
        .map(|n| {
            let mut hasher = DefaultHasher::new();
            (draw, n).hash(&mut hasher);
            (hasher.finish(), n)
        })
        .collect();
    drawn.sort_unstable();
    let mut counts: HashMap<&String, usize> = HashMap::new();
    let mut wanted = |n: &usize| {
        let count = counts.entry(&sentences.intents[*n]).or_default();
        *count += 1;
        *count <= few
    };
    drawn.into_iter().map(|(_, n)| n).filter(|n| wanted(n)).collect()
}

/// Sentences with their intents, a part of CLINC's.
fn clinc_part(bench: &Bench, name: &str) -> Result<Vec<(String, String)>> {
    let mut data: Value = serde_json::from_str(&bench.read("intent/clinc/data.json")?)?;
    Ok(serde_json::from_value(data[name].take())?)
}

/// How sentences that want the same differ, of a hundred for each of CLINC's 150 intents.
fn scatter(bench: &mut Bench) -> Result<Scatter> {
    let sentences = bench.sentences(&clinc_part(bench, "train")?, false)?;
    let (names, examples) = sentences.examples(&(0..sentences.intents.len()).collect::<Vec<_>>());
    Ok(Scatter::of(names.len(), &examples)?)
}

fn clinc(bench: &mut Bench) -> Result<()> {
    let train = bench.sentences(&clinc_part(bench, "train")?, false)?;
    let val = bench.sentences(&clinc_part(bench, "val")?, false)?;
    let none = [clinc_part(bench, "oos_val")?, clinc_part(bench, "oos_train")?].concat();
    let none = bench.sentences(&none, false)?;
    let trained = Trained::on(&train, 0..train.intents.len())?;
    bench.figure("in_scope", trained.accuracy(&val, 0..val.intents.len()), Some(0.92));
    let nearness = |sentences: &Sentences| -> Vec<f32> {
        sentences.queries.iter().map(|embedding| trained.recogniser.recognise(embedding).nearness).collect()
    };
    let (mut known, unknown) = (nearness(&val), nearness(&none));
    known.sort_unstable_by(f32::total_cmp);
    let limit = known.get(known.len() / 20).copied().unwrap_or_default();
    bench.figure("out_of_scope", mean(unknown.iter().map(|n| f64::from(u8::from(*n < limit)))), Some(0.70));
    // The recogniser sets a limit of its own, from examples alone.
    let refused = |sentences: &Sentences| {
        let in_scope = |embedding| trained.recogniser.recognise(embedding).in_scope;
        mean(sentences.queries.iter().map(|embedding| f64::from(u8::from(!in_scope(embedding)))))
    };
    bench.figure("own_limit_out_of_scope", refused(&none), None);
    bench.figure("own_limit_false_alarms", refused(&val), None);
    Ok(())
}

fn massive(bench: &mut Bench) -> Result<()> {
    let rows = |text: &str| -> Result<Vec<(String, String)>> {
        let row = |line: &str| -> Result<(String, String)> {
            let row: Value = serde_json::from_str(line)?;
            let field = |name: &str| row[name].as_str().map(str::to_owned).context("a row without a field");
            Ok((field("utt")?, field("intent")?))
        };
        text.lines().map(row).collect()
    };
    let english = rows(&bench.read("intent/massive-fa/en-US.jsonl")?)?;
    let persian = rows(&bench.read("intent/massive-fa/fa-IR.jsonl")?)?;
    ensure!(english.len() == persian.len(), "the languages have not the same rows");
    let (english, persian) = (bench.sentences(&english, true)?, bench.sentences(&persian, false)?);
    let all = 0..english.intents.len();
    let (even, elsewhere) = (all.clone().step_by(2).collect::<Vec<_>>(), scatter(bench)?);
    for way in Way::all(&english).filter(|way| !way.is_named) {
        let trained = way.learn(&english, &even, &elsewhere)?;
        for (language, sentences, bar) in [("english", &english, 0.82), ("persian", &persian, 0.65)] {
            let accuracy = trained.accuracy(sentences, all.clone().skip(1).step_by(2));
            bench.figure(&format!("{language}{}", way.name), accuracy, way.name.is_empty().then_some(bar));
        }
    }
    Ok(())
}
