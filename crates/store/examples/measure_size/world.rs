//! What an organisation gathers: made up, and the same every time but for today's date.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use sotto_call::CallId;
use sotto_crm::{Contact, ContactKind, Phone, Stage};
use uuid::Uuid;

pub const DAY_MS: u64 = 86_400_000;
/// How long all of it took.
const DAYS: u64 = 2 * 365;
/// Entries of timelines for each contact.
const ENTRIES: usize = 50;
/// Contacts for each company.
const STAFF: usize = 20;
const AGENTS: usize = 60;
const INTENTS: usize = 30;

/// What is said in most utterances.
pub const OFTEN: [&str; 12] = [
    "the", "please", "account", "card", "yes", "number", "order", "call", "money", "thanks", "today", "name",
];

/// What is said now and then.
const WORDS: &str = "payment transfer loan balance branch refund delivery invoice address price discount contract monthly \
    insurance teacher course class exam certificate english registration installment bank credit debit limit statement fee \
    interest mortgage saving deposit withdraw password email message phone mobile internet speed router cable technician \
    visit appointment tomorrow monday tuesday wednesday thursday friday saturday sunday morning afternoon evening week month \
    year city street office manager colleague customer service support problem solution question answer complaint cancel \
    change upgrade package offer trial warranty repair return exchange receipt parcel courier warehouse stock colour size \
    weight battery screen keyboard printer camera ticket flight hotel passport visa insurance luggage seat window gate \
    کارت حساب پول واریز بانک شعبه وام قسط سفارش ارسال آدرس قیمت تخفیف قرارداد ماهانه بیمه کلاس دوره مدرک ثبت‌نام";

/// Words besides, made up of syllables.
const MORE_WORDS: usize = 5_000;
const CONSONANTS: &str = "bcdfghjklmnprstvwxyz";
const VOWELS: &str = "aeiou";

const FIRST: &str = "Sara Omid Mina Nima Leila Reza Parisa Kian Shirin Arash Maryam Babak Ava Cyrus Nasrin Dara Emma Liam Olivia \
    Noah Sophia Lucas Mia Ethan Zoe Adam علی زهرا حسین فاطمه امیر نرگس";
const LAST: &str = "Ahmadi Karimi Moradi Rahimi Hosseini Jafari Kazemi Sadeghi Tehrani Shirazi Miller Brown Garcia Novak Rossi \
    Schmidt Andersen Dubois Kowalski Ivanova رضایی محمدی کریمی احمدی صادقی تهرانی";
const CITIES: [&str; 8] = ["Tehran", "Shiraz", "Isfahan", "Tabriz", "Mashhad", "Berlin", "London", "تهران"];

/// Numbers that look like chance, and are the same every time (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom
/// number generators", 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, and without, `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.draw() % most.max(1)
    }

    /// The same, the more often the smaller: half of them are within the first 1 / 2^`steep` of the range.
    pub fn mostly_first(&mut self, most: usize, steep: i32) -> usize {
        let part = self.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        ((part.powi(steep) * most as f64) as usize).min(most.saturating_sub(1))
    }

    /// The same as words are said: the one of rank n as often as 1 / n (Zipf's law).
    pub fn ranked(&mut self, most: usize) -> usize {
        let part = self.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        ((most as f64).powf(part) as usize).saturating_sub(1).min(most.saturating_sub(1))
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len() as u64) as usize)
    }

    /// A UUID version 7 of this time.
    pub fn id(&mut self, unix_ms: u64) -> Uuid {
        let mut bytes = [0; 10];
        let (head, tail) = bytes.split_at_mut(8);
        head.copy_from_slice(&self.draw().to_le_bytes());
        tail.fill(self.draw() as u8);
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &bytes).into_uuid()
    }
}

pub struct Known {
    pub id: Uuid,
    pub contact: Contact,
    pub created_at: u64,
    pub active_at: u64,
    /// Entries of their timeline.
    pub entries: u32,
}

impl Known {
    pub fn number(&self) -> &str {
        self.contact.numbers.first().map(Phone::as_str).unwrap_or_default()
    }
}

pub struct Spoken {
    pub id: CallId,
    pub at: u64,
    /// Which contact.
    pub contact: usize,
    pub agent: String,
}

/// An entry of a timeline: when, whose, and the call it is of.
pub struct Entry {
    pub at: u64,
    pub contact: usize,
    pub call: Option<CallId>,
}

pub struct World {
    pub now: u64,
    pub begin: u64,
    pub companies: Vec<(Uuid, String)>,
    pub contacts: Vec<Known>,
    /// In order of time, as the entries.
    pub calls: Vec<Spoken>,
    pub entries: Vec<Entry>,
    /// The most frequent first.
    words: Vec<String>,
}

impl World {
    pub fn of(calls: usize, communications: usize) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let begin = now - DAYS * DAY_MS;
        let random = &mut Random::new(1);
        let number = (communications / ENTRIES).max(2);
        let companies: Vec<(Uuid, String)> = (0..(number / STAFF).max(1))
            .map(|n| (random.id(begin), format!("{} {n}", one_of(LAST, random))))
            .collect();
        let mut contacts =
            (0..number).map(|n| known(n, begin, &companies, random)).collect::<Result<Vec<_>>>()?;
        // Some are talked to every day, most of them now and then.
        let whose = |random: &mut Random| random.mostly_first(number, 3);
        let calls: Vec<Spoken> = (0..calls)
            .map(|n| {
                let at = begin + (now - begin) * n as u64 / calls as u64;
                let (id, contact) = (CallId(random.id(at)), whose(random));
                Spoken { id, at, contact, agent: agent(random) }
            })
            .collect();
        let mut entries: Vec<Entry> = calls
            .iter()
            .map(|call| Entry { at: call.at, contact: call.contact, call: Some(call.id) })
            .collect();
        for n in 0..communications.saturating_sub(calls.len()) as u64 {
            let at = begin + (now - begin) * n / communications as u64;
            entries.push(Entry { at, contact: whose(random), call: None });
        }
        entries.sort_by_key(|entry| entry.at);
        for entry in &entries {
            let contact = contacts.get_mut(entry.contact).context("no contact")?;
            contact.active_at = contact.active_at.max(entry.at);
            contact.entries += 1;
        }
        let words = OFTEN.into_iter().chain(WORDS.split_whitespace()).map(str::to_owned);
        let words = words.chain((0..MORE_WORDS).map(made_up)).collect();
        Ok(Self { now, begin, companies, contacts, calls, entries, words })
    }

    /// Entries of the longest timeline.
    pub fn busiest(&self) -> u32 {
        self.contacts.iter().map(|one| one.entries).max().unwrap_or_default()
    }

    pub fn word(&self, random: &mut Random) -> &str {
        self.words.get(random.ranked(self.words.len())).map(String::as_str).unwrap_or_default()
    }

    pub fn agent(&self, random: &mut Random) -> String {
        agent(random)
    }

    pub fn intent(&self, random: &mut Random) -> String {
        format!("intent_{}", random.mostly_first(INTENTS, 2))
    }

    /// What is said in one call alone.
    pub fn order_of(&self, call: &Spoken) -> String {
        format!("q{}", call.id.0.simple().to_string().split_off(16))
    }

    /// What somebody says.
    pub fn sentence(&self, words: u64, random: &mut Random) -> String {
        (0..words).map(|_| self.word(random)).collect::<Vec<_>>().join(" ")
    }
}

/// Another word for each number.
fn made_up(n: usize) -> String {
    let letter = |letters: &str, n: usize| letters.chars().nth(n % letters.len()).unwrap_or('a');
    let syllables =
        [n, n / 100, n / 7].map(|n| [letter(CONSONANTS, n), letter(VOWELS, n / CONSONANTS.len())]);
    syllables.into_iter().flatten().collect::<String>() + &n.to_string()
}

fn agent(random: &mut Random) -> String {
    format!("agent-{:02}", random.mostly_first(AGENTS, 2))
}

fn one_of(words: &'static str, random: &mut Random) -> &'static str {
    let words: Vec<&str> = words.split_whitespace().collect();
    random.of(&words).copied().unwrap_or_default()
}

fn known(n: usize, begin: u64, companies: &[(Uuid, String)], random: &mut Random) -> Result<Known> {
    let created_at = begin + random.below(DAY_MS);
    let name = format!("{} {}", one_of(FIRST, random), one_of(LAST, random));
    let number = Phone::parse(&format!("+98912{n:07}"), None).context("no number")?;
    let stages = [Stage::New, Stage::Contacted, Stage::Qualified, Stage::Converted, Stage::Lost];
    let city = random.of(&CITIES).copied().unwrap_or_default();
    let contact = Contact {
        kind: if n.is_multiple_of(10) { ContactKind::Representative } else { ContactKind::Lead },
        stage: random.of(&stages).copied().context("no stage")?,
        name,
        numbers: vec![number],
        email: Some(format!("person{n}@example.com")),
        company: random.of(companies).filter(|_| n.is_multiple_of(3)).map(|(id, _)| *id),
        owner: Some(agent(random)),
        notes: "Wants to be called in the morning.".to_owned(),
        fields: BTreeMap::from([("city".to_owned(), city.to_owned())]),
    };
    Ok(Known { id: random.id(created_at), contact, created_at, active_at: created_at, entries: 0 })
}
