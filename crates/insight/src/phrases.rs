//! Phrases that are looked for in what is said, however it is spelled: in lower or upper case, with either alphabet's letters
//! and digits, and in Persian with a space, a half-space or nothing between the parts of a word.

use crate::spoken::spelled;

/// See the module. In order, so that looking for one of thousands takes little longer than for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phrases(Vec<String>);

impl Phrases {
    /// Phrases without a word are none.
    #[must_use]
    pub fn new<'a>(phrases: impl IntoIterator<Item = &'a str>) -> Self {
        let spelled = phrases.into_iter().map(|phrase| words(phrase).concat());
        let mut phrases: Vec<String> = spelled.filter(|phrase| !phrase.is_empty()).collect();
        phrases.sort_unstable();
        phrases.dedup();
        Self(phrases)
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is said, in whole words.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        let said = words(text);
        (0..said.len()).any(|from| self.begin(&said[from..]))
    }

    /// Whether words begin with one of them, and one of the words ends where it does.
    fn begin(&self, said: &[String]) -> bool {
        let (mut left, mut begun) = (self.0.as_slice(), String::new());
        for word in said {
            begun.push_str(word);
            // The phrases that go on like that follow each other, and the one that ends there is the first.
            left = &left[left.partition_point(|phrase| *phrase < begun)..];
            match left.first() {
                Some(phrase) if *phrase == begun => return true,
                Some(phrase) if phrase.starts_with(&begun) => {}
                _ => return false,
            }
        }
        false
    }
}

/// The words of a text in one spelling. Those of the Latin alphabet end in a space, which tells "the rapist" from
/// "therapist"; in Persian the space says nothing.
fn words(text: &str) -> Vec<String> {
    let spaced = |word: String| {
        let end = if word.is_ascii() { " " } else { "" };
        word + end
    };
    spelled(text).into_iter().map(spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_however_they_are_spelled() {
        let phrases = ["lawyer", "cancel my contract", "شکایت می‌کنم", "وکیل", "  ", "?!"];
        let phrases = Phrases::new(phrases);
        for text in [
            "I'll call my LAWYER!",
            "So, please: cancel my, contract.",
            "من شکایت می‌کنم.",
            "من شکایت می کنم.",
            "من شكايت ميكنم.",
            "با وکیل‌هایم حرف می‌زنم",
        ] {
            assert!(phrases.are_in(text), "{text}");
        }
        for text in
            ["", "the lawyers", "cancel the contract", "cancelmycontract", "موکیل", "شکایت نمی‌کنم", "؟"]
        {
            assert!(!phrases.are_in(text), "{text}");
        }
        assert!(Phrases::new(["", "…"]).is_empty() && !phrases.is_empty());
        assert!(!Phrases::new(["therapist"]).are_in("the rapist"));
    }
}
