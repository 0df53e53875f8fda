//! Names: of people, after the words that introduce them; of cities and courses, by lists.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::{Kind, Speech};
use crate::spoken::{Shape, Words, fold, spelled};

/// Phrases of words, by the first of them.
struct Names(HashMap<String, Vec<(Vec<String>, &'static str)>>);

impl Names {
    fn new(list: &[(&'static str, &str)]) -> Self {
        let mut names: HashMap<String, Vec<(Vec<String>, &'static str)>> = HashMap::new();
        for (name, spellings) in list {
            for spelling in spellings.split(',') {
                let mut words = spelling.split_whitespace().map(fold);
                if let Some(first) = words.next() {
                    names.entry(first).or_default().push((words.collect(), name));
                }
            }
        }
        Self(names)
    }

    /// The longest name that begins at a token, and where it ends.
    fn at(&self, speech: &Speech<'_>, at: usize) -> Option<(&'static str, usize)> {
        let word = speech.word(at).strip_suffix("'s").unwrap_or(speech.word(at));
        let matching = self
            .0
            .get(word)?
            .iter()
            .filter(|(rest, _)| rest.iter().zip(at + 1..).all(|(word, at)| speech.word(at) == word));
        matching.max_by_key(|(rest, _)| rest.len()).map(|(rest, name)| (*name, at + 1 + rest.len()))
    }
}

static CITIES: LazyLock<Names> = LazyLock::new(|| {
    Names::new(&[
        ("Tehran", "tehran, teheran, تهران"),
        ("Mashhad", "mashhad, mashad, مشهد"),
        ("Isfahan", "isfahan, esfahan, اصفهان"),
        ("Karaj", "karaj, کرج"),
        ("Shiraz", "shiraz, شیراز"),
        ("Tabriz", "tabriz, تبریز"),
        ("Qom", "qom, ghom, قم"),
        ("Ahvaz", "ahvaz, ahwaz, اهواز"),
        ("Kermanshah", "kermanshah, کرمانشاه"),
        ("Urmia", "urmia, orumiyeh, oroumieh, ارومیه"),
        ("Rasht", "rasht, رشت"),
        ("Zahedan", "zahedan, زاهدان"),
        ("Hamadan", "hamadan, hamedan, همدان"),
        ("Kerman", "kerman, کرمان"),
        ("Yazd", "yazd, یزد"),
        ("Ardabil", "ardabil, ardebil, اردبیل"),
        ("Bandar Abbas", "bandar abbas, bandarabbas, بندر عباس, بندرعباس"),
        ("Arak", "arak, اراک"),
        ("Eslamshahr", "eslamshahr, اسلامشهر"),
        ("Zanjan", "zanjan, زنجان"),
        ("Sanandaj", "sanandaj, سنندج"),
        ("Qazvin", "qazvin, ghazvin, قزوین"),
        ("Khorramabad", "khorramabad, خرم آباد, خرمآباد"),
        ("Gorgan", "gorgan, گرگان"),
        ("Sari", "sari, ساری"),
        ("Babol", "babol, بابل"),
        ("Amol", "amol, آمل"),
        ("Kashan", "kashan, کاشان"),
        ("Dezful", "dezful, دزفول"),
        ("Abadan", "abadan, آبادان"),
        ("Bushehr", "bushehr, بوشهر"),
        ("Birjand", "birjand, بیرجند"),
        ("Bojnord", "bojnord, bojnurd, بجنورد"),
        ("Semnan", "semnan, سمنان"),
        ("Ilam", "ilam, ایلام"),
        ("Yasuj", "yasuj, یاسوج"),
        ("Shahrekord", "shahrekord, شهرکرد, شهر کرد"),
        ("Sabzevar", "sabzevar, سبزوار"),
        ("Neyshabur", "neyshabur, nishapur, نیشابور"),
        ("Kish", "kish, کیش"),
        ("Qeshm", "qeshm, قشم"),
        ("London", "london, لندن"),
        ("Paris", "paris, پاریس"),
        ("Berlin", "berlin, برلین"),
        ("Frankfurt", "frankfurt, فرانکفورت"),
        ("Munich", "munich, مونیخ"),
        ("Hamburg", "hamburg, هامبورگ"),
        ("Vienna", "vienna, وین"),
        ("Rome", "rome, رم"),
        ("Madrid", "madrid, مادرید"),
        ("Amsterdam", "amsterdam, آمستردام"),
        ("Stockholm", "stockholm, استکهلم"),
        ("Istanbul", "istanbul, استانبول"),
        ("Ankara", "ankara, آنکارا"),
        ("Dubai", "dubai, دبی, دوبی"),
        ("Doha", "doha, دوحه"),
        ("Baghdad", "baghdad, بغداد"),
        ("Kabul", "kabul, کابل"),
        ("Moscow", "moscow, مسکو"),
        ("Beijing", "beijing, پکن"),
        ("Tokyo", "tokyo, توکیو"),
        ("Delhi", "delhi, new delhi, دهلی, دهلی نو"),
        ("Toronto", "toronto, تورنتو"),
        ("Vancouver", "vancouver, ونکوور"),
        ("Montreal", "montreal, مونترال"),
        ("Ottawa", "ottawa, اتاوا"),
        ("New York", "new york, نیویورک"),
        ("Los Angeles", "los angeles, لس آنجلس, لسآنجلس"),
        ("Washington", "washington, واشنگتن"),
        ("Sydney", "sydney, سیدنی"),
        ("Melbourne", "melbourne, ملبورن"),
        ("Canberra", "canberra, کانبرا"),
        ("Yerevan", "yerevan, ایروان"),
        ("Baku", "baku, باکو"),
        ("Tbilisi", "tbilisi, تفلیس"),
    ])
});

/// Words that are a city and something more common: they need a word before them that says which.
const AMBIGUOUS_CITIES: &[&str] = &["رم", "وین", "کیش", "بابل", "sari", "ساری", "کابل"];

pub(super) fn cities(speech: &mut Speech<'_>) {
    for at in 0..speech.tokens.len() {
        let Some((name, end)) = CITIES.at(speech, at) else { continue };
        let placed = at > 0
            && speech.is(
                at - 1,
                &[
                    "in", "from", "to", "at", "near", "city", "شهر", "در", "از", "تو", "توی", "به", "اهل",
                    "ساکن", "برای",
                ],
            );
        let ambiguous = speech.is(at, AMBIGUOUS_CITIES);
        if ambiguous && !placed && !speech.tokens[at].capital {
            continue;
        }
        let confidence = match (placed, ambiguous) {
            (true, false) => 0.95,
            (false, true) => 0.6,
            _ => 0.85,
        };
        speech.take(Kind::City, name.to_owned(), at..end, confidence);
    }
}

static COURSES: LazyLock<Names> = LazyLock::new(|| {
    Names::new(&[
        ("IELTS", "ielts, i e l t s, آیلتس, ایلتس, آی الی تی اس"),
        ("TOEFL", "toefl, tofel, t o e f l, تافل"),
        ("PTE", "pte, p t e, پی تی ای"),
        ("GRE", "gre, جی آر ای"),
        ("Duolingo", "duolingo, دولینگو, دوولینگو"),
        ("SAT", "s a t"),
        ("GMAT", "gmat, جی مت"),
    ])
});

pub(super) fn courses(speech: &mut Speech<'_>) {
    for at in 0..speech.tokens.len() {
        if let Some((name, end)) = COURSES.at(speech, at) {
            speech.take(Kind::Course, name.to_owned(), at..end, 0.95);
        } else if let Some((level, end, confidence)) = level(speech, at) {
            speech.take(Kind::Course, level, at..end, confidence);
        }
    }
}

/// A level of the Common European Framework of Reference: "B2", "level b two", «سطح بی دو».
fn level(speech: &Speech<'_>, at: usize) -> Option<(String, usize, f32)> {
    let letter = match speech.word(at) {
        "a" | "ای" | "ا" => 'A',
        "b" | "بی" => 'B',
        "c" | "سی" => 'C',
        _ => return None,
    };
    let next = at + 1 + usize::from(speech.is(at + 1, &["-"]));
    let number = speech.number(next).filter(|number| matches!(number.digits.as_str(), "1" | "2"));
    // «سی» is thirty, and «سی و دو» one number; «سی دو» is read as thirty-two.
    let (digit, end) = match number {
        Some(number) => (number.digits.clone(), number.tokens.end),
        None => {
            let number = speech.number(at).filter(|number| number.tokens.len() == 2)?;
            let digit = number.digits.strip_prefix('3').filter(|digit| matches!(*digit, "1" | "2"))?;
            (digit.to_owned(), number.tokens.end)
        }
    };
    let before = at.saturating_sub(4)..at;
    let cue = before.clone().any(|at| {
        speech.is(
            at,
            &[
                "level", "levels", "course", "class", "سطح", "سطحم", "لول", "دوره", "کلاس", "ترم", "مدرک",
                "زبان",
            ],
        )
    });
    let written =
        speech.glued(next) && speech.tokens[at].shape == Shape::Word && speech.tokens[at].text.is_ascii();
    let counted = speech.number(end).is_some()
        || speech.is(end, &["hours", "hour", "days", "weeks", "people", "-", "."]) && speech.glued(end + 1);
    match (cue, written && !counted) {
        (true, _) => Some((format!("{letter}{digit}"), end, 0.95)),
        (false, true) => Some((format!("{letter}{digit}"), end, 0.8)),
        _ => None,
    }
}

/// Words that stand where a name would, and are none.
static NO_NAMES: Words = Words::new(
    "a about afraid again all also an and any asking at back because but calling currently done fine for from \
     getting glad going good great happy having he her here his i in interested is it just like looking me my \
     new no not now of okay on one our really regarding right she sorry speaking still sure thanks that the \
     their they this to trying two very waiting we well what with wrong yes you your spelled misspelled \
     correct there so",
);

/// Words that end a name.
static NAME_ENDS: Words = Words::new(
    "and from speaking calling here i i'm my the with at on but so can could how what is it it's to about of \
     for in thank thanks please okay yes again by who you we",
);

/// What English says before a name: the words, and how sure it then is one.
const INTRODUCTIONS: &[(&[&str], f32)] = &[
    (&["my", "name", "is"], 0.95),
    (&["my", "name's"], 0.95),
    (&["my", "full", "name", "is"], 0.95),
    (&["my", "first", "name", "is"], 0.95),
    (&["my", "last", "name", "is"], 0.9),
    (&["my", "surname", "is"], 0.9),
    (&["the", "name", "is"], 0.9),
    (&["name", "is"], 0.85),
    (&["speaking", "with"], 0.7),
    (&["speaking", "to"], 0.7),
    (&["this", "is"], 0.7),
    (&["i", "am"], 0.7),
    (&["i'm"], 0.7),
    (&["call", "me"], 0.7),
    (&["it's"], 0.5),
];

pub(super) fn people(speech: &mut Speech<'_>, text: &str) {
    let characters: Vec<char> = text.chars().collect();
    let written = |speech: &Speech<'_>, range: Range<usize>| -> String {
        let chars = speech.tokens[range.start].chars.start..speech.tokens[range.end - 1].chars.end;
        characters[chars].iter().collect()
    };
    for at in 0..speech.tokens.len() {
        let english = INTRODUCTIONS
            .iter()
            .find(|(words, _)| (at..).zip(*words).all(|(at, word)| speech.word(at) == *word));
        if let Some((words, sure)) = english
            && let Some((range, confidence)) = english_name(speech, at + words.len(), *sure)
        {
            let name = written(speech, range.clone());
            speech.take(Kind::Person, name, range, confidence);
        }
        if let Some((range, confidence)) = persian_name(speech, at) {
            let name = written(speech, range.clone());
            speech.take(Kind::Person, name, range, confidence);
        }
    }
}

/// Up to three words that may be a name. In a text with capitals a name has them.
fn english_name(speech: &Speech<'_>, start: usize, sure: f32) -> Option<(Range<usize>, f32)> {
    let has_capitals = speech.tokens.iter().any(|token| token.capital);
    let start = start + usize::from(speech.is(start, &["mr", "mrs", "ms", "miss", "dr", "doctor"]));
    let start = start + usize::from(speech.is(start, &["."]) && speech.number(start + 1).is_none());
    let is_name = |at: usize| {
        speech.tokens.get(at).is_some_and(|token| {
            let taken = NO_NAMES.has(&token.text) || NAME_ENDS.has(&token.text);
            token.shape == Shape::Word
                && token.text.len() > 1
                && !taken
                && (token.capital || !has_capitals)
                && speech.number(at).is_none()
        })
    };
    let mut end = start;
    // Without capitals, after words that only a name follows, it is one or two words.
    let longest = if has_capitals { 3 } else { 2 };
    while end < start + longest && is_name(end) {
        end += 1;
    }
    if end == start || !speech.is_free(start..end) {
        return None;
    }
    if has_capitals {
        // "I'm English", "This is Tehran"
        let place = CITIES.at(speech, start).is_some() || COURSES.at(speech, start).is_some();
        return (!place || sure > 0.9).then_some((start..end, sure));
    }
    (sure > 0.8).then_some((start..end, sure * 0.8))
}

/// Given names that are common in Iran.
static GIVEN_NAMES: Words = Words::new(
    "علی محمد حسین حسن رضا مهدی امیر احمد محمود سعید حمید مجید مسعود بهرام بهزاد بابک آرش کیان پویا سینا \
     آرمان پارسا نیما کامران فرهاد شهرام داریوش کوروش سیاوش امید میلاد پیمان ایمان یاسر جواد هادی ابوالفضل \
     عباس اکبر اصغر ناصر منصور محسن مصطفی مرتضی مجتبی وحید فرید سارا مریم زهرا فاطمه زینب نرگس الهام الهه \
     مینا مهسا شیما نازنین نگار نیلوفر پریسا پریا لیلا سمیرا سمانه مرجان شیرین فرزانه آزاده آیدا رویا هانیه \
     حانیه ریحانه مهناز شهناز فریبا سحر ندا بهاره پروانه یاسمن هستی ملیکا کیمیا شقایق فرشته معصومه آتنا دنیا \
     رها سپیده سودابه ژاله امیرحسین امیرعلی محمدرضا علیرضا حمیدرضا غلامرضا محمدمهدی محمدعلی امیرمحمد عرفان \
     ماهان کسری مانی",
);

/// What may be between «من» and «هستم» and is no name.
static NO_PERSIAN_NAMES: Words = Words::new(
    "الان اینجا اونجا همین هم که از در تو توی به با یه یک خیلی خوب خوبم منتظر مشتری دانشجو دانشجوی کارمند \
     مهندس پزشک معلم مدیر نماینده نمایندتون مسئول مسیول خدمت خدمتتون خونه سر کار مطمین موافق مخالف ناراحت \
     عصبانی خوشحال راضی ناراضی مشترک کاربر جدید قدیمی اهل ساکن دنبال برای هنوز فقط نگران ممنون متاسف شما \
     ایشون همون این اون کسی زبان عضو نفر خودم سال واقعا اصلا تازه اماده حاضر متولد مشغول و یا را رو اگر ولی \
     چون چی کی هیچ",
);

/// «من سارا کریمی هستم», «اسمم علی رضاییه», «رضایی هستم».
fn persian_name(speech: &Speech<'_>, at: usize) -> Option<(Range<usize>, f32)> {
    let is_name = |at: usize| {
        speech.tokens.get(at).is_some_and(|token| {
            token.shape == Shape::Word
                && !token.text.is_ascii()
                && token.text.chars().count() > 1
                && speech.number(at).is_none()
                && !NO_PERSIAN_NAMES.has(&token.text)
                && CITIES.at(speech, at).is_none()
                && !is_copula(&token.text)
        })
    };
    // After words that only a name follows.
    let named = match (speech.word(at), speech.word(at + 1)) {
        ("اسم" | "نام", "من" | "بنده" | "کامل" | "کاملم" | "شریفم") => Some(at + 2),
        ("اسمم" | "نامم" | "فامیلیم" | "فامیلم" | "اینجانب", _) => Some(at + 1),
        ("فامیلی", "من") => Some(at + 2),
        _ => None,
    };
    if let Some(start) = named {
        let start = start + usize::from(speech.is(start, &["هم", ":", "من"]));
        let mut end = start;
        while end < start + 3 && is_name(end) {
            end += 1;
        }
        let sure =
            if is_copula(speech.word(end)) || GIVEN_NAMES.has(speech.word(start)) { 0.95 } else { 0.7 };
        return (end > start && speech.is_free(start..end)).then_some((start..end, sure));
    }
    // «من … هستم» and «آقای … هستم»
    let first_person = speech.is(at, &["من", "بنده", "سلام", "اقای", "خانم", "خانوم", "مهندس", "دکتر"]);
    if !first_person && at > 0 {
        return None;
    }
    let titled = |at: usize| speech.is(at, &["اقای", "خانم", "خانوم", "مهندس", "دکتر"]);
    let mut start = at + usize::from(first_person);
    while speech.is(start, &[",", "من", "بنده", "وقت", "بخیر"]) {
        start += 1;
    }
    start += usize::from(titled(start));
    let mut end = start;
    while end < start + 3 && is_name(end) {
        end += 1;
    }
    if end == start || !speech.is(end, &["هستم", "ام"]) || !speech.is_free(start..end) {
        return None;
    }
    let sure = if GIVEN_NAMES.has(speech.word(start)) || start > 0 && titled(start - 1) {
        0.9
    } else if end - start > 1 {
        0.6
    } else if speech.word(start).ends_with('ی') && speech.word(start).chars().count() > 3 {
        // Most family names end so.
        0.5
    } else {
        return None;
    };
    Some((start..end, sure))
}

/// What stands before somebody's name, in one spelling.
static TITLES: Words = Words::new("آقای آقا خانم خانوم دکتر مهندس جناب");

/// The words of a Persian text that name somebody, in one spelling, for there are no capital letters to tell them by: given names
/// that are common, and what follows a title. Some are another word as well («امید»); a family name alone is not known.
#[must_use]
pub fn persian_names(text: &str) -> Vec<String> {
    let (mut names, mut is_titled) = (Vec::new(), false);
    for word in spelled(text) {
        let is_title = TITLES.has(&word);
        if !is_title && (is_titled || GIVEN_NAMES.has(&word)) {
            names.push(word);
        }
        is_titled = is_title;
    }
    names
}

fn is_copula(word: &str) -> bool {
    matches!(word, "هست" | "است" | "هستش" | "هستم" | "ه" | "میباشد" | "باشه" | "هستن" | "ام")
}
