//! Why this exists: "Okay, it's $135." and "okay it is one hundred and thirty five dollars" are the same words.
//! A word error rate is only about what was heard once both sides are written the same way.
//!
//! [`english`] gives the words that OpenAI's `EnglishTextNormalizer` gives (described in appendix C of Radford et
//! al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022; code at
//! <https://github.com/openai/whisper>, `whisper/normalizers`), so that figures compare with published ones. It
//! follows that code's behaviour where the behaviour is surprising too, and says so beside each such place.
//! The exceptions: British spellings are found by rules and a short list here, in a long table there; and of letters
//! with accents only those of European languages are folded.
//! [`persian`] evens out what Persian writers and keyboards leave open.

mod numbers;
mod spelling;

/// The words of an English text, in the form in which they are compared: lower case, without punctuation, fillers
/// and remarks in brackets, contractions written out, numbers in digits, American spelling.
///
/// Takes any text; the work grows with its length.
#[must_use]
pub fn english(text: &str) -> Vec<String> {
    let speech = cut(&cut(&cut(text, '[', ']', " "), '<', '>', " "), '(', ')', "").to_lowercase();
    let written_out = expand(&settle(&speech));
    let plain = fold(&drop_full_stops(&join_thousands(&written_out)));
    let counted = numbers::read(split_at_digits(&plain));
    let words: Vec<String> = counted.split(' ').map(|word| spelling::american(&name_one(word))).collect();
    lone_symbols_removed(&words.join(" ")).split_whitespace().map(str::to_owned).collect()
}

/// The words of a Persian text, in the form in which they are compared: one code point per letter and digit,
/// no vowel signs or punctuation, a half-space as good as a space, and the commonest affixes joined to their word
/// (a half-space, a space and nothing at all before them are all three usual).
#[must_use]
pub fn persian(text: &str) -> Vec<String> {
    let speech = cut(&cut(text, '[', ']', " "), '<', '>', " ").to_lowercase();
    let chars: Vec<char> = speech.chars().filter(|&c| !is_mark(c)).map(persian_letter).collect();
    let mut plain = String::with_capacity(speech.len());
    for (i, &c) in chars.iter().enumerate() {
        let digit_at = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
        match c {
            '٬' | ',' if digit_at(i.checked_sub(1)) && digit_at(Some(i + 1)) => {}
            c if c.is_alphanumeric() => plain.push(c),
            c if is_invisible(c) && c != HALF_SPACE => {}
            _ => plain.push(' '),
        }
    }
    let mut words: Vec<String> = Vec::new();
    let mut prefixed = false;
    for word in plain.split_whitespace() {
        match words.last_mut() {
            Some(last) if prefixed || PERSIAN_SUFFIXES.contains(&word) => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
        prefixed = PERSIAN_PREFIXES.contains(&word);
    }
    words
}

/// Verb prefixes that some write as a word of their own.
const PERSIAN_PREFIXES: &[&str] = &["می", "نمی"];

/// Endings (plural, comparison, ezafe) that some write as a word of their own.
const PERSIAN_SUFFIXES: &[&str] =
    &["ها", "های", "هایی", "هام", "هات", "هاش", "هایم", "هایت", "هایش", "تر", "ترین", "ی"];

/// The zero width non-joiner.
const HALF_SPACE: char = '\u{200c}';

fn persian_letter(c: char) -> char {
    match c {
        'ي' | 'ى' | 'ې' | 'ۍ' => 'ی',
        'ك' | 'ڪ' => 'ک',
        'ة' | 'ۀ' | 'ە' | 'ہ' | 'ۃ' => 'ه',
        'أ' | 'إ' | 'ٱ' => 'ا',
        'ؤ' => 'و',
        '٠'..='٩' => ascii_digit(c, '٠'),
        '۰'..='۹' => ascii_digit(c, '۰'),
        _ => c,
    }
}

fn ascii_digit(c: char, zero: char) -> char {
    u32::from(c).checked_sub(u32::from(zero)).and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
}

/// Signs that are written over or under a letter: Latin accents, Arabic vowel signs, and the tatweel that only
/// stretches a word.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6ed}')
}

/// Joiners, direction marks, byte order mark: they carry no sound and do not part words.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `text` with everything from an `open` to the next `close` replaced. An `open` that is never closed stays.
fn cut(text: &str, open: char, close: char, with: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(open) {
        let Some((_, after)) = inside.split_once(close) else { break };
        out.push_str(before);
        out.push_str(with);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A text as alternating runs of word characters and of everything else.
fn runs(text: &str) -> Vec<(bool, &str)> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = in_word(first);
        let (run, after) = rest.split_at(rest.find(|c| in_word(c) != word).unwrap_or(rest.len()));
        out.push((word, run));
        rest = after;
    }
    out
}

/// Sounds of hesitation are taken out, and an apostrophe moves up to the word before it ("it 's").
fn settle(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (word, run) in runs(text) {
        if word && matches!(run, "hmm" | "mm" | "mhm" | "mmm" | "uh" | "um") {
            continue;
        }
        for c in run.chars() {
            if c == '\'' {
                out.truncate(out.trim_end().len());
            }
            out.push(c);
        }
    }
    out
}

/// Contractions, slurred forms and titles written out. Only the straight apostrophe counts, as in Whisper's.
fn expand(text: &str) -> String {
    let runs = runs(text);
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut host = "";
    for (i, &(word, run)) in runs.iter().enumerate() {
        if !word {
            out.push_str(run);
            if run != "'" {
                host = "";
            }
            continue;
        }
        let next = match runs.get(i + 1..i + 3) {
            Some([(_, " "), (_, next)]) => *next,
            _ => "",
        };
        if !contracted(&mut out, host, run, next) {
            out.push_str(whole_form(run).unwrap_or(run));
        }
        host = run;
    }
    out
}

/// Writes out the contraction that ends `out` with an apostrophe and goes on with `tail`; false if it is none.
/// `host` is the word right before the apostrophe, `next` the word after a single space.
fn contracted(out: &mut String, host: &str, tail: &str, next: &str) -> bool {
    let Some(before) = out.strip_suffix('\'') else { return false };
    let irregular = match (host, tail) {
        ("won", "t") => "will not",
        ("can", "t") => "can not",
        ("let", "s") => "let us",
        ("ain", "t") => "aint",
        ("y", "all") => "you all",
        ("i", "ma") => "i am going to",
        ("ma", "am") => "madam",
        _ => "",
    };
    let (kept, form) = match before.strip_suffix(host) {
        Some(kept) if !irregular.is_empty() => (kept, irregular),
        _ => match (tail, next) {
            ("t", _) => (before.strip_suffix('n').unwrap_or(before), " not"),
            ("d", "been" | "gone" | "done") => (before, " had"),
            ("s", "been" | "gone" | "got" | "gotta") => (before, " has"),
            ("d", _) => (before, " would"),
            ("s", _) => (before, " is"),
            ("re", _) => (before, " are"),
            ("ll", _) => (before, " will"),
            ("ve", _) => (before, " have"),
            ("m", _) => (before, " am"),
            _ => return false,
        },
    };
    out.truncate(kept.len());
    out.push_str(form);
    true
}

fn whole_form(word: &str) -> Option<&'static str> {
    Some(match word {
        "wanna" => "want to",
        "kinda" => "kind of",
        "sorta" => "sort of",
        "dunno" => "do not know",
        "gotta" => "got to",
        "gonna" => "going to",
        "imma" => "i am going to",
        "woulda" => "would have",
        "coulda" => "could have",
        "shoulda" => "should have",
        "cause" => "because",
        "mr" => "mister",
        "mrs" => "missus",
        "st" => "saint",
        "dr" => "doctor",
        "prof" => "professor",
        "capt" => "captain",
        "gov" => "governor",
        "ald" => "alderman",
        "gen" => "general",
        "sen" => "senator",
        "rep" => "representative",
        "pres" => "president",
        "rev" => "reverend",
        "hon" => "honorable",
        "asst" => "assistant",
        "assoc" => "associate",
        "lt" => "lieutenant",
        "col" => "colonel",
        "jr" => "junior",
        "sr" => "senior",
        "esq" => "esquire",
        _ => return None,
    })
}

/// "1,250" to "1250". The digit after a comma cannot stand before another one: of "1,2,3" only the first goes.
fn join_thousands(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut after_digit = false;
    while let Some(c) = chars.next() {
        if c == ','
            && after_digit
            && let Some(digit) = chars.next_if(char::is_ascii_digit)
        {
            out.push(digit);
            after_digit = false;
        } else {
            out.push(c);
            after_digit = c.is_ascii_digit();
        }
    }
    out
}

/// Full stops become spaces unless a digit follows. Each takes the character after it along unread, so every second
/// one of an ellipsis survives; at the end of a text it becomes a word of its own, there as here.
fn drop_full_stops(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '.' || chars.peek().is_some_and(char::is_ascii_digit) {
            out.push(c);
        } else {
            out.push(' ');
            out.extend(chars.next());
        }
    }
    out
}

/// Letters without accents, ligatures and fractions taken apart, punctuation and symbols as spaces, except those
/// that may belong to a number.
fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '.' | '%' | '$' | '¢' | '€' | '£' => out.push(c),
            c if c.is_ascii_alphanumeric() => out.push(c),
            c if c.is_ascii() => out.push(' '),
            c if is_mark(c) => {}
            c => match FOLDED.iter().find(|(_, from)| from.contains(c)) {
                Some((to, _)) => out.push_str(to),
                None if c.is_alphanumeric() => out.push(c),
                None if is_invisible(c) => {}
                None => out.push(' '),
            },
        }
    }
    out
}

/// What characters beyond ASCII become: the letters of European languages, and what a typesetter puts into digits.
const FOLDED: &[(&str, &str)] = &[
    ("a", "ªàáâãäåāăąǎǟạảấầẩẫậắằẳẵặ"),
    ("ae", "æǽ"),
    ("b", "ḃḅ"),
    ("c", "çćĉċč"),
    ("d", "ðďđḍ"),
    ("e", "èéêëēĕėęěẹẻẽếềểễệ"),
    ("f", "ḟ"),
    ("fi", "ﬁ"),
    ("fl", "ﬂ"),
    ("g", "ĝğġģǧ"),
    ("h", "ĥḥḫ"),
    ("i", "ìíîïĩīĭįǐỉị"),
    ("ij", "ĳ"),
    ("j", "ĵǰ"),
    ("k", "ķǩḳ"),
    ("l", "ĺļľłḷ"),
    ("m", "ṁṃ"),
    ("n", "ñńņňǹṇṅ"),
    ("o", "ºòóôõöøōŏőơǒǿọỏốồổỗộớờởỡợ"),
    ("oe", "œ"),
    ("r", "ŕŗřṛ"),
    ("s", "śŝşšșṣ"),
    ("ss", "ß"),
    ("t", "ţťțṭ"),
    ("th", "þ"),
    ("u", "ùúûüũūŭůűųưǔụủứừửữự"),
    ("w", "ŵẁẃẅ"),
    ("y", "ýÿŷỳỵỷỹ"),
    ("z", "źżžẓ"),
    ("1", "¹"),
    ("2", "²"),
    ("3", "³"),
    ("1 2", "½"),
    ("1 4", "¼"),
    ("3 4", "¾"),
    ("...", "…"),
];

/// Words, with letters and digits apart ("5pm", "b2b"), except for the endings of ordinals and decades.
fn split_at_digits(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for written in text.split_whitespace() {
        let mut word = String::new();
        for c in written.chars() {
            let parted = word.chars().next_back().is_some_and(|last| {
                last.is_ascii_digit() && c.is_ascii_lowercase()
                    || last.is_ascii_lowercase() && c.is_ascii_digit()
            });
            if parted {
                add_word(&mut words, std::mem::take(&mut word));
            }
            word.push(c);
        }
        add_word(&mut words, word);
    }
    words
}

fn add_word(words: &mut Vec<String>, word: String) {
    let ending = matches!(word.as_str(), "st" | "nd" | "rd" | "th" | "s");
    match words.last_mut() {
        Some(last) if ending && last.ends_with(|c: char| c.is_ascii_digit()) => last.push_str(&word),
        _ => words.push(word),
    }
}

/// A one that stands alone is written as a word: it may be a pronoun. So are those of "$1" and "1.5" in Whisper's.
fn name_one(word: &str) -> String {
    if !word.contains('1') {
        return word.to_owned();
    }
    runs(word)
        .into_iter()
        .map(|(_, run)| match run {
            "1" => "one",
            "1s" => "ones",
            other => other,
        })
        .collect()
}

/// Currency signs and full stops that no digit follows, and percent signs that no digit precedes, become spaces.
/// At the very end of a text they stay, as in Whisper's.
fn lone_symbols_removed(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if matches!(c, '.' | '$' | '¢' | '€' | '£')
            && let Some(other) = chars.next_if(|next| !next.is_ascii_digit())
        {
            kept.push(' ');
            kept.push(other);
        } else {
            kept.push(c);
        }
    }
    let mut out = String::with_capacity(kept.len());
    let mut before = None;
    for c in kept.chars() {
        let lone = c == '%' && before.is_some_and(|b: char| !b.is_ascii_digit());
        out.push(if lone { ' ' } else { c });
        before = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(written: &str, compared: &str) {
        assert_eq!(english(written).join(" "), compared, "{written}");
    }

    #[test]
    fn case_punctuation_and_remarks_do_not_count() {
        same("Good morning -- this is Anna, from (the) Accounts!", "good morning this is anna from accounts");
        same("[music] hello <unk> there [door slams]", "hello there");
        same("an [unclosed bracket", "an unclosed bracket");
        same("Café Zoë, Straße, cœur, piñata", "cafe zoe strasse coeur pinata");
        same("", "");
        same(" \t\n ", "");
    }

    #[test]
    fn hesitation_does_not_count() {
        same("um I uh think mm-hmm yes", "i think yes");
        same("an umbrella", "an umbrella");
    }

    #[test]
    fn contractions_are_written_out() {
        same(
            "It's fine, we'll see, I'm here, they've gone",
            "it is fine we will see i am here they have gone",
        );
        same("He's been ill. He'd been ill. He'd go.", "he has been ill he had been ill he would go");
        same("Don't, can't, won't, shouldn't've", "do not can not will not should not have");
        same("Let's go, y'all; ma'am, I'ma try", "let us go you all madam i am going to try");
        same("it 's here", "it is here");
        same("'cause I wanna, I'm gonna", "because i want to i am going to");
        same("the dogs' bowl", "the dogs bowl");
    }

    #[test]
    fn titles_are_written_out() {
        same("Mr. Hill and Dr. St. John", "mister hill and doctor saint john");
        same("Mrs Lee, Esq.", "missus lee esquire");
    }

    #[test]
    fn full_stops_stay_only_inside_numbers() {
        same("At 3.5 percent. Right.", "at 3.5% right");
        same("at 9 a.m. sharp", "at 9 a m sharp");
        // Known from Whisper's normaliser: an ellipsis at the end leaves one behind.
        same("so I can...", "so i can .");
        same("so... I can", "so i can");
    }

    #[test]
    fn symbols_count_only_beside_digits() {
        same("$ 5 and 5 $ each", "5 and 5 each");
        same("50% of % it", "50% of it");
        same("press # or *", "press or");
    }

    #[test]
    fn a_lone_one_is_a_word() {
        same("press 1 or one", "press one or one");
        same("the 1s", "the ones");
        same("101 dalmatians on the 1st", "101 dalmatians on the 1st");
    }

    #[test]
    fn letters_and_digits_part() {
        same("room b12 at 5pm", "room b 12 at 5 pm");
        same("the 22nd of 1980s fame", "the 22nd of 1980s fame");
    }

    #[test]
    fn persian_letters_and_digits_have_one_form() {
        assert_eq!(persian("علي كتاب"), persian("علی کتاب"));
        assert_eq!(persian("۱۲۳ و ٤٥٦"), ["123", "و", "456"]);
        assert_eq!(persian("۱۲٬۵۰۰"), ["12500"]);
        assert_eq!(persian("لطفاً، سلامِ"), ["لطفا", "سلام"]);
        assert_eq!(persian("سلام! [خنده] خوبی؟"), ["سلام", "خوبی"]);
        assert_eq!(persian("Whisper رو"), ["whisper", "رو"]);
    }

    #[test]
    fn persian_affixes_are_joined_however_they_were_set_apart() {
        for written in ["نمی\u{200c}دانم", "نمی دانم", "نمیدانم"] {
            assert_eq!(persian(written), ["نمیدانم"], "{written}");
        }
        for written in ["کتاب\u{200c}های", "کتاب های", "کتابهای"] {
            assert_eq!(persian(written), ["کتابهای"], "{written}");
        }
        assert_eq!(persian("پیاده\u{200c}روی"), persian("پیاده روی"));
        assert_eq!(persian("می"), ["می"]);
        assert_eq!(persian("\u{200c}\u{feff}"), Vec::<String>::new());
    }

    /// Texts of all that the rules look for, in any order: nothing may panic, and only clean words may come out.
    #[test]
    fn any_text_becomes_clean_words() {
        const PARTS: &[&str] = &[
            " ",
            "'",
            "'s",
            "n't",
            "[",
            "]",
            "(",
            ")",
            "<",
            ">",
            ".",
            "..",
            ",",
            "%",
            "$",
            "¢",
            "€",
            "0",
            "1",
            "07",
            "99999999999999999999999999999999999999999",
            "one",
            "twenty",
            "ten",
            "oh",
            "hundred",
            "decillion",
            "point",
            "and",
            "a",
            "half",
            "double",
            "minus",
            "per",
            "cent",
            "dollars",
            "percent",
            "first",
            "thirds",
            "st",
            "s",
            "won",
            "can",
            "t",
            "colour",
            "organise",
            "centre",
            "travelled",
            "é",
            "½",
            "…",
            "ß",
            "می",
            "ها",
            "۷",
            "٬",
            "\u{200c}",
            "\u{301}",
            "🙂",
            "İ",
            "\n",
            "_",
            "-",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for _ in 0..3_000 {
            let text: String = (0..random(16)).map(|_| PARTS[random(PARTS.len())]).collect();
            for word in english(&text).iter().chain(&persian(&text)) {
                assert!(!word.is_empty() && !word.contains(char::is_whitespace), "{text:?} gave {word:?}");
                assert!(!word.contains(['[', ']', ',', '\'', '_']), "{text:?} gave {word:?}");
                assert!(!word.contains(|c: char| c.is_ascii_uppercase()), "{text:?} gave {word:?}");
            }
        }
    }
}
