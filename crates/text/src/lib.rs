//! One spelling for the letters and digits of English and Persian, whatever keyboard they come from: what is heard,
//! what is written and what is asked for are compared in it.
//!
//! Persian is typed with Arabic letters that look the same (ي for ی, ك for ک), with and without vowel signs, with
//! digits of three scripts, and with a half-space (zero width non-joiner) that many leave out.

/// The zero width non-joiner: ends a part of a word as a space does, but the next part belongs to it.
pub const HALF_SPACE: char = '\u{200c}';

/// A text in one spelling: lower case, ASCII digits, one code point per Persian letter, without what has no sound
/// of its own. Half-spaces are left out, so that what they part is joined.
#[must_use]
pub fn fold(text: &str) -> String {
    text.chars().filter(|c| !is_silent(*c) && *c != HALF_SPACE).flat_map(folded).collect()
}

/// Characters of a word that tell it from others; what is longer is hardly a word.
const LONGEST_WORD: usize = 64;

/// The words of a text in one spelling: its stretches of letters and digits, of the longest their beginning.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let folded = fold(text);
    let stretches = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    stretches.map(|word| word.chars().take(LONGEST_WORD).collect()).collect()
}

/// A character in one spelling. More than one where Unicode's lower case is ("İ").
pub fn folded(c: char) -> impl Iterator<Item = char> {
    let plain = match c {
        'ي' | 'ى' | 'ې' | 'ئ' | 'ۍ' => 'ی',
        'ك' | 'ڪ' => 'ک',
        'ة' | 'ۀ' | 'ە' | 'ہ' | 'ۃ' => 'ه',
        'آ' | 'أ' | 'إ' | 'ٱ' => 'ا',
        'ؤ' => 'و',
        '،' | '٬' => ',',
        '٫' => '.',
        '؛' => ';',
        '؟' => '?',
        '٪' => '%',
        '\u{2010}'..='\u{2015}' | '−' => '-',
        c if is_apostrophe(c) => '\'',
        c => digit(c).unwrap_or(c),
    };
    plain.to_lowercase()
}

/// ASCII for digits in Persian, Arabic and full-width form; none for everything else.
#[must_use]
pub fn digit(c: char) -> Option<char> {
    let zero = match c {
        '0'..='9' => '0',
        '٠'..='٩' => '٠',
        '۰'..='۹' => '۰',
        '０'..='９' => '０',
        _ => return None,
    };
    char::from_digit(u32::from(c) - u32::from(zero), 10)
}

/// True for the signs that English writes inside words.
#[must_use]
pub fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | 'ʼ')
}

/// Vowel signs, accents, the stretching tatweel, direction marks: no sound of their own, and they part
/// nothing.
#[must_use]
pub fn is_silent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6ed}' | '\u{ad}' | '\u{200b}' | '\u{200d}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fe0f}' | '\u{20e3}')
}

/// True for the letters of the Arabic script, which Persian is written in.
#[must_use]
pub fn is_persian(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{6ff}')
}

/// The language of a text by its letters: `fa` where most are Persian, or as many of the words: a short one may have the
/// longer names of what it is about in Latin letters («پنل Marzban»). `en` where most are Latin. Empty for other scripts, and
/// where there are no letters.
#[must_use]
pub fn language(text: &str) -> &'static str {
    let (mut persian, mut latin, mut other) = (Letters::default(), Letters::default(), 0usize);
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        persian.take(word, is_persian);
        latin.take(word, is_latin);
        other += word.chars().filter(|c| !is_persian(*c) && !is_latin(*c)).count();
    }
    let has_more = persian.count > latin.count || persian.words >= latin.words;
    if persian.count > other && has_more {
        "fa"
    } else if latin.count > other {
        "en"
    } else {
        ""
    }
}

/// The letters of one script in a text, and the words that have some.
#[derive(Default)]
struct Letters {
    count: usize,
    words: usize,
}

impl Letters {
    fn take(&mut self, word: &str, is_one: fn(char) -> bool) {
        let count = word.chars().filter(|c| is_one(*c)).count();
        self.count += count;
        self.words += usize::from(count > 0);
    }
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keyboards_write_differently_is_one() {
        assert_eq!(fold("كتابهاي ٤٢"), fold("کتاب‌های ۴۲"));
        assert_eq!(fold("مُدَرِّس، It’s A—B؟"), "مدرس, it's a-b?");
    }

    #[test]
    fn words_are_what_is_between_spaces_and_signs() {
        assert_eq!(words("\0Order AB-12, «كتاب‌هاي» مُدَرِّس؟"), ["order", "ab", "12", "کتابهای", "مدرس"]);
        assert_eq!(words(" ?! \u{200c}"), [""; 0]);
        assert_eq!(words(&"x".repeat(100)), ["x".repeat(64)]);
    }

    #[test]
    fn a_language_is_known_by_its_letters() {
        assert_eq!(language("رمز پنل Marzban را عوض کنید"), "fa");
        assert_eq!(language("Reset the password (رمز)"), "en");
        assert_eq!(["پنل Marzban", "نصب WireGuard روی iPhone", "رمزِ Telegram؟"].map(language), ["fa"; 3]);
        assert_eq!(language("Renew the پنل"), "en");
        assert_eq!(language("Привет"), "");
        assert_eq!(language("۱۲۳ 45 !"), "");
    }
}
