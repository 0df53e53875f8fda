//! Words as they are looked for, and how much a passage's words say about a query's (BM25, by tantivy).
//!
//! Documents and queries go through the same [`words`]: one spelling ([`sotto_text`]), English stems (Porter's
//! second), and Persian words without plural, comparative and the like, whether a half-space parts these or nothing
//! does. A word is treated by its own letters, since a Persian sentence about a panel is half English.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rust_stemmers::{Algorithm, Stemmer};
use sotto_text::{HALF_SPACE, fold, folded, is_persian, is_silent};
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::directory::RamDirectory;
use tantivy::query::{Bm25StatisticsProvider, BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{
    DocId, DocSet as _, ReloadPolicy, Score, Searcher, SegmentOrdinal, SegmentReader,
    SingleSegmentIndexWriter, TERMINATED, TantivyDocument, Term,
};

use crate::KnowledgeError;

/// Characters of a word; longer ones are no words.
const MAX_WORD: usize = 40;
/// Words of a query that are looked for.
const MAX_QUERY_WORDS: usize = 64;
/// What tantivy sizes its first table by.
const MEMORY: usize = 20_000_000;

/// Said in every question, and so worth nothing in one.
const STOP_WORDS: &str = "
    a an the and or but if of in on at to for from with by about as is are was were be been am do does did have has
    had can could will would should may might must shall i you he she it we they me my your his her its our us them
    their this that these those there here what which who whom how when where why not no yes so then than too very
    just also any some please thanks thank ok okay hi hello well like want need know get let s t d m re ve ll don
    doesn didn isn aren wasn won couldn wouldn shouldn im ive
    و در به از که این را رو با است هست برای واسه آن اون یک یه بر تا هم چه چی چیه چیست کدام کسی کجا کجاست چگونه چطور
    چطوری چند شد شده بود می نمی شود میشود میشه کند کنم کنید کنیم کرد کرده او آنها من ما شما خود نیز یا اما ولی اگر اگه
    هر بین پس چرا کی دارد داره دارند دارم دارید هستند باشد باید ها های هایی ای تر ترین ام ات اش مان تان شان اند ایم
    اید سلام ممنون لطفا لطفاً بله نه خب";

/// Parts behind (and before) a half-space that are no words.
const AFFIXES: &str = "ها های هایی هایش هایشان ای ی می نمی تر ترین ام ات اش مان تان شان اند است شده ایم اید";
/// What Persian verbs begin with in the present, where no half-space parts it from them, if three letters are left. (Nouns that
/// begin so lose it wherever they stand, so that they are found as before.)
const PREFIXES: [&str; 2] = ["نمی", "می"];
/// Endings that are cut off Persian words, if three letters are left.
const ENDINGS: [&str; 7] = ["هایشان", "هایی", "های", "ترین", "ها", "تر", "یی"];
/// Letters that a Persian word keeps.
const SHORTEST: usize = 3;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Its stem.
    pub term: String,
    /// As it is written, in one spelling.
    pub shown: String,
    /// Said everywhere.
    pub stop: bool,
}

/// Cuts texts into words.
pub(crate) struct Analyser {
    english: Stemmer,
    stop: HashSet<String>,
    affixes: HashSet<String>,
}

impl Analyser {
    pub fn new() -> Self {
        let set = |list: &str| list.split_whitespace().map(fold).collect();
        Self { english: Stemmer::create(Algorithm::English), stop: set(STOP_WORDS), affixes: set(AFFIXES) }
    }

    /// The words of a text, in order. The work grows with its length.
    pub fn words(&self, text: &str) -> Vec<Word> {
        let mut out = Vec::new();
        // Parts of one word with half-spaces between them.
        let mut parts: Vec<String> = Vec::new();
        let mut joined = false;
        let mut last = None;
        for c in text.chars().filter(|c| !is_silent(*c)) {
            if c == HALF_SPACE {
                joined = !parts.is_empty();
                last = None;
                continue;
            }
            for c in folded(c) {
                let kind = (c.is_alphabetic(), c.is_numeric(), is_persian(c));
                let (letter, number, _) = kind;
                if !letter && !number {
                    self.close(&mut parts, &mut out);
                    (joined, last) = (false, None);
                    continue;
                }
                if last != Some(kind) {
                    // A Persian ending behind a Latin word is another part of it, as behind a half-space.
                    let ending = letter && last.is_some_and(|(letter, ..)| letter);
                    if !joined && !ending {
                        self.close(&mut parts, &mut out);
                    }
                    parts.push(String::new());
                    (joined, last) = (false, Some(kind));
                }
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
        self.close(&mut parts, &mut out);
        out
    }

    fn close(&self, parts: &mut Vec<String>, out: &mut Vec<Word>) {
        let parts = std::mem::take(parts);
        let whole = parts.len() > 1 && parts.iter().any(|part| !self.affixes.contains(part));
        let kept = parts.into_iter().filter(|part| !whole || !self.affixes.contains(part));
        out.extend(kept.filter(|part| part.chars().count() <= MAX_WORD).map(|shown| Word {
            term: self.stem(&shown),
            stop: self.stop.contains(&shown) || self.stop.contains(unprefixed(&shown)),
            shown,
        }));
    }

    fn stem(&self, word: &str) -> String {
        if word.is_ascii() {
            return self.english.stem(word).into_owned();
        }
        if !word.chars().all(is_persian) {
            return word.to_owned();
        }
        let word = unprefixed(word);
        let stem =
            ENDINGS.iter().find_map(|ending| word.strip_suffix(ending).filter(is_word)).unwrap_or(word);
        // The ezafe, "a certain", and the adjective, which nothing tells apart in writing.
        let bare = stem.strip_suffix('ی').filter(|bare| bare.chars().count() > SHORTEST);
        bare.unwrap_or(stem).to_owned()
    }

    /// The words that mean something, each once; all of them where none does.
    pub fn meaningful(&self, text: &str) -> Vec<Word> {
        let mut seen = HashSet::new();
        let (stop, mut words): (Vec<Word>, Vec<Word>) =
            self.words(text).into_iter().partition(|word| word.stop);
        if words.is_empty() {
            words = stop;
        }
        words.retain(|word| seen.insert(word.term.clone()));
        words
    }
}

/// A Persian word without the prefix of a verb, if it has one.
fn unprefixed(word: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix).filter(is_word)).unwrap_or(word)
}

fn is_word(stem: &&str) -> bool {
    stem.chars().count() >= SHORTEST
}

/// The share of a text's words that mean something, by their stems, which stand in others; 1 where it has none.
#[must_use]
pub fn share_in(text: &str, others: &[&str]) -> f32 {
    let analyser = Analyser::new();
    share(&analyser.meaningful(text), others.iter().flat_map(|other| analyser.words(other)))
}

/// The same of each of others alone.
#[must_use]
pub fn shares_in(text: &str, others: &[&str]) -> Vec<f32> {
    let analyser = Analyser::new();
    let words = analyser.meaningful(text);
    others.iter().map(|other| share(&words, analyser.words(other))).collect()
}

fn share(words: &[Word], others: impl IntoIterator<Item = Word>) -> f32 {
    let known: HashSet<String> = others.into_iter().map(|word| word.term).collect();
    let there = words.iter().filter(|word| known.contains(&word.term)).count();
    if words.is_empty() { 1.0 } else { there as f32 / words.len() as f32 }
}

/// A word that is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub word: Word,
    /// How much it counts, against 1 for what was asked itself.
    pub weight: f32,
    /// How rare it is (the inverse document frequency of BM25).
    pub rarity: f32,
}

impl Wanted {
    /// What it is worth to have it.
    pub fn worth(&self) -> f32 {
        self.weight * self.rarity
    }

    /// Whether it was asked for itself, and not only said before.
    pub fn is_asked(&self) -> bool {
        self.weight >= 1.0
    }
}

/// The words of all passages. It is made once and does not change: what is removed from a hub is not in the next.
pub(crate) struct Words {
    pub analyser: Analyser,
    field: Field,
    /// None where there is nothing to look in.
    searcher: Option<Searcher>,
    /// How many words every text has.
    lengths: Vec<u32>,
}

impl Words {
    /// Of texts, which are known by their place from then on.
    pub fn of(texts: impl Iterator<Item = String>) -> Result<Self, KnowledgeError> {
        let analyser = Analyser::new();
        let mut schema = Schema::builder();
        // Terms are made by ourselves and parted by spaces. No text is kept.
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("whitespace")
            .set_index_option(IndexRecordOption::WithFreqs);
        let field = schema.add_text_field("words", TextOptions::default().set_indexing_options(indexing));
        let mut writer: SingleSegmentIndexWriter = tantivy::Index::builder()
            .schema(schema.build())
            .single_segment_index_writer(RamDirectory::create(), MEMORY)?;
        let mut lengths = Vec::new();
        for text in texts {
            let terms: Vec<String> = analyser.words(&text).into_iter().map(|word| word.term).collect();
            let mut document = TantivyDocument::default();
            document.add_text(field, terms.join(" "));
            writer.add_document(document)?;
            lengths.push(u32::try_from(terms.len()).unwrap_or(u32::MAX));
        }
        let searcher = if lengths.is_empty() {
            None
        } else {
            let index = writer.finalize()?;
            let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
            Some(reader.searcher())
        };
        Ok(Self { analyser, field, searcher, lengths })
    }

    /// What is counted of the texts that may be seen, of which `seen` says by their place whether they may.
    pub fn counted<'a>(&'a self, seen: &'a [bool]) -> Counted<'a> {
        let lengths = self.lengths.iter().zip(seen).filter(|(_, seen)| **seen).map(|(length, _)| *length);
        let (count, tokens) = lengths.fold((0, 0), |(n, sum), length| (n + 1, sum + u64::from(length)));
        Counted { words: self, seen, count, tokens }
    }

    /// The words of a query, with what each is worth: those of `text`, and with `share` of their weight those of
    /// `context` that are not among them. Words in `without` are left out.
    pub fn wanted(
        &self,
        text: &str,
        context: &[&str],
        share: f32,
        without: &HashSet<String>,
        counted: &Counted<'_>,
    ) -> Result<Vec<Wanted>, KnowledgeError> {
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        for (text, weight) in std::iter::once((text, 1.0)).chain(context.iter().map(|text| (*text, share))) {
            for word in self.analyser.meaningful(text) {
                if out.len() == MAX_QUERY_WORDS
                    || without.contains(&word.term)
                    || !seen.insert(word.term.clone())
                {
                    continue;
                }
                let rarity = counted.rarity(&word.term)?;
                out.push(Wanted { word, weight, rarity });
            }
        }
        Ok(out)
    }

    /// The BM25 of every visible text that has one of the words, by its place.
    pub fn scores(
        &self,
        wanted: &[Wanted],
        visible: &Arc<[bool]>,
        counted: &Counted<'_>,
    ) -> Result<Vec<(u32, f32)>, KnowledgeError> {
        let Some(searcher) = self.searcher.as_ref().filter(|_| counted.count > 0) else { return Ok(vec![]) };
        let clauses: Vec<(Occur, Box<dyn Query>)> = wanted
            .iter()
            .map(|one| {
                let term = Term::from_field_text(self.field, &one.word.term);
                let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
                let query: Box<dyn Query> = Box::new(BoostQuery::new(Box::new(query), one.weight));
                (Occur::Should, query)
            })
            .collect();
        if clauses.is_empty() {
            return Ok(vec![]);
        }
        let (query, scores) = (BooleanQuery::new(clauses), VisibleScores(visible.clone()));
        Ok(searcher.search_with_statistics_provider(&query, &scores, counted)?)
    }

    /// Which of the words a text has.
    pub fn matched<'a>(&self, wanted: &'a [Wanted], text: &str) -> Vec<&'a Wanted> {
        let terms: HashSet<String> = self.analyser.words(text).into_iter().map(|word| word.term).collect();
        wanted.iter().filter(|one| terms.contains(&one.word.term)).collect()
    }
}

/// What BM25 counts, of the texts that may be seen alone: otherwise how much a word is worth would tell somebody whether
/// it is in what they may not see.
pub(crate) struct Counted<'a> {
    words: &'a Words,
    seen: &'a [bool],
    count: u64,
    tokens: u64,
}

impl Counted<'_> {
    fn rarity(&self, term: &str) -> Result<f32, KnowledgeError> {
        let among = self.doc_freq(&Term::from_field_text(self.words.field, term))? as f32;
        let all = self.count as f32;
        Ok((1.0 + (all - among + 0.5) / (among + 0.5)).ln())
    }
}

impl Bm25StatisticsProvider for Counted<'_> {
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(self.tokens)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.count)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let Some(searcher) = &self.words.searcher else { return Ok(0) };
        if self.count == self.words.lengths.len() as u64 {
            return searcher.doc_freq(term);
        }
        let mut among = 0;
        for segment in searcher.segment_readers() {
            let texts = segment.inverted_index(self.words.field)?;
            let Some(mut texts) = texts.read_postings(term, IndexRecordOption::Basic)? else { continue };
            while texts.doc() != TERMINATED {
                among += u64::from(self.seen.get(texts.doc() as usize) == Some(&true));
                texts.advance();
            }
        }
        Ok(among)
    }
}

/// All scores but those of what may not be seen. There is one segment without deletions, so that a document's number
/// is the text's place.
struct VisibleScores(Arc<[bool]>);

struct Scores {
    visible: Arc<[bool]>,
    scores: Vec<(u32, f32)>,
}

impl Collector for VisibleScores {
    type Fruit = Vec<(u32, f32)>;
    type Child = Scores;

    fn for_segment(&self, _: SegmentOrdinal, _: &SegmentReader) -> tantivy::Result<Scores> {
        Ok(Scores { visible: self.0.clone(), scores: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Vec<(u32, f32)>>) -> tantivy::Result<Self::Fruit> {
        Ok(segments.concat())
    }
}

impl SegmentCollector for Scores {
    type Fruit = Vec<(u32, f32)>;

    fn collect(&mut self, document: DocId, score: Score) {
        if self.visible.get(document as usize) == Some(&true) {
            self.scores.push((document, score));
        }
    }

    fn harvest(self) -> Self::Fruit {
        self.scores
    }
}

/// Names that a conversation may mention, such as documents' titles.
///
/// A name is mentioned if enough of it is, counted by how much each of its words tells it from other names: "Hobsons"
/// is the Hobsons House, and "house" is none.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The names that a term is in.
    of: HashMap<String, Vec<usize>>,
    /// What all words of a name are worth.
    worth: Vec<f32>,
    terms: Vec<Vec<String>>,
}

impl Names {
    /// The share of a name that must be said.
    const ENOUGH: f32 = 0.7;

    pub fn of<'a>(analyser: &Analyser, names: impl Iterator<Item = &'a str>) -> Self {
        let mut out = Self::default();
        for (number, name) in names.enumerate() {
            let terms: Vec<String> = analyser.meaningful(name).into_iter().map(|word| word.term).collect();
            for term in &terms {
                out.of.entry(term.clone()).or_default().push(number);
            }
            out.terms.push(terms);
        }
        let among = |term: &String| out.of.get(term).map_or(0, Vec::len);
        let rarity = |term: &String| rarity(among(term), out.terms.len());
        let worth = |terms: &Vec<String>| terms.iter().map(rarity).sum::<f32>();
        out.worth = out.terms.iter().map(worth).collect();
        out
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// The words that a name is made of.
    pub fn terms(&self, name: usize) -> &[String] {
        self.terms.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The names that these words mention, of those that may be seen, as if there were no others.
    pub fn mentioned(&self, wanted: &[Wanted], seen: &[bool]) -> HashSet<usize> {
        let count = seen.iter().filter(|seen| **seen).count();
        let of = |term: &str| {
            let names = self.of.get(term).map(Vec::as_slice).unwrap_or_default();
            names.iter().copied().filter(move |name| seen.get(*name) == Some(&true))
        };
        let mut said: HashMap<usize, f32> = HashMap::new();
        for one in wanted {
            let rarity = rarity(of(&one.word.term).count(), count);
            for name in of(&one.word.term) {
                *said.entry(name).or_default() += rarity;
            }
        }
        let mut rarities: HashMap<&str, f32> = HashMap::new();
        said.retain(|name, said| {
            let worth: f32 = if count == self.terms.len() {
                self.worth[*name]
            } else {
                let own = self.terms(*name).iter().map(|term| {
                    *rarities.entry(term.as_str()).or_insert_with(|| rarity(of(term).count(), count))
                });
                own.sum()
            };
            *said >= Self::ENOUGH * worth
        });
        said.into_keys().collect()
    }
}

/// How much a word tells a name from others that is in `among` of them.
fn rarity(among: usize, count: usize) -> f32 {
    (1.0 + count as f32 / among.max(1) as f32).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(text: &str) -> Vec<String> {
        Analyser::new().words(text).into_iter().map(|word| word.term).collect()
    }

    fn meaningful(text: &str) -> Vec<String> {
        Analyser::new().meaningful(text).into_iter().map(|word| word.term).collect()
    }

    #[test]
    fn what_means_the_same_is_one_term() {
        assert_eq!(terms("Refunds, refunded"), ["refund", "refund"]);
        assert_eq!(terms("10GB"), terms("۱۰ GB"));
        assert_eq!(terms("VPNها"), ["vpn"]);
        assert_eq!(terms("پنلPanel"), ["پنل", "panel"]);
        for plural in ["کتاب‌ها", "کتابها", "كتاب‌هاي", "کتاب‌هایی"] {
            assert_eq!(terms(plural), ["کتاب"], "{plural}");
        }
        assert_eq!(terms("بزرگ‌ترین"), terms("بزرگ"));
        for verb in ["می‌خرید", "میخرید", "نمی‌خرید", "نميخريد"] {
            assert_eq!(terms(verb), terms("خرید"), "{verb}");
        }
        assert_eq!((terms("میز"), terms("میدان‌ها")), (vec!["میز".to_owned()], terms("میدان")));
        assert_eq!(terms("مُدیر"), terms("مدیر"));
    }

    #[test]
    fn what_everybody_says_is_left_out_of_questions() {
        assert_eq!(meaningful("How do I renew the panel, please?"), ["renew", "panel"]);
        assert_eq!(meaningful("چطور پنل را تمدید کنم؟"), ["پنل", "تمدید"]);
        assert_eq!(meaningful("پنل تمدید میکند"), ["پنل", "تمدید"]);
        assert_eq!(meaningful("it is"), ["it", "is"]);
    }

    #[test]
    fn what_stands_in_others_is_counted_by_stems() {
        assert!(share_in("Refunds take three days.", &["A refund takes three working days."]) > 0.99);
        assert!(share_in("Your account was hacked.", &["A refund takes three working days."]) < 0.01);
        assert!(share_in("کتاب‌ها رایگان است", &["کتابها رایگان هستند"]) > 0.99);
        assert!(share_in("", &[]) > 0.99);
    }

    #[test]
    fn a_name_is_mentioned_by_what_tells_it_from_others() {
        let analyser = Analyser::new();
        let names = ["Hobsons House", "Autumn House", "Prices"];
        let names = Names::of(&analyser, names.into_iter());
        let said = |text: &str| {
            let wanted: Vec<Wanted> = analyser
                .meaningful(text)
                .into_iter()
                .map(|word| Wanted { word, weight: 1.0, rarity: 1.0 })
                .collect();
            let mut said: Vec<usize> = names.mentioned(&wanted, &[true; 3]).into_iter().collect();
            said.sort_unstable();
            said
        };
        assert_eq!(said("Does the Hobsons house have parking?"), [0]);
        assert_eq!(said("Is there a house?"), Vec::<usize>::new());
        assert_eq!(said("the price of autumn house"), [1, 2]);
    }

    #[test]
    fn scores_are_those_of_bm25_and_of_visible_texts_alone() {
        let texts = ["the refund takes three days", "refund refund", "a lesson"];
        let words = Words::of(texts.iter().map(|text| (*text).to_owned())).unwrap();
        let counted = words.counted(&[true; 3]);
        let wanted =
            words.wanted("How long does a refund take?", &[], 0.2, &HashSet::new(), &counted).unwrap();
        let scores = |visible: [bool; 3]| words.scores(&wanted, &Arc::from(visible), &counted).unwrap();
        let all = scores([true, true, true]);
        assert_eq!(all.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1]);
        assert!(all.iter().all(|(_, score)| *score > 0.0));
        assert_eq!(scores([false, true, true]), all[1..]);
        let none = Words::of(std::iter::empty()).unwrap();
        assert!(none.scores(&wanted, &Arc::from([]), &none.counted(&[])).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_text_has_words(text in "\\PC{0,200}") {
            let analyser = Analyser::new();
            for word in analyser.words(&text) {
                prop_assert!(!word.term.is_empty() && !word.term.contains(char::is_whitespace));
            }
        }
    }
}
