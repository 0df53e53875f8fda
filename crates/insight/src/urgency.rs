//! Whether somebody says that something is urgent, in English and Persian: by phrases, in `data/urgency.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::Phrases;
use crate::set::Sentences;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    urgent: Sentences,
    no_hurry: Sentences,
}

struct Rules {
    urgent: Phrases,
    no_hurry: Phrases,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    // A file of our own, which a test reads.
    let File { urgent, no_hurry } = toml::from_str(include_str!("../data/urgency.toml")).unwrap_or_default();
    let phrases = |of: &Sentences| Phrases::new(of.values().flatten().map(String::as_str));
    Rules { urgent: phrases(&urgent), no_hurry: phrases(&no_hurry) }
});

/// Whether somebody says that it is urgent.
#[must_use]
pub fn is_urgent(text: &str) -> bool {
    RULES.urgent.are_in(text) && !is_in_no_hurry(text)
}

/// Whether somebody says that they are in no hurry.
#[must_use]
pub fn is_in_no_hurry(text: &str) -> bool {
    RULES.no_hurry.are_in(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_urgent_is_told_from_what_is_not() {
        for text in ["I need it as soon as possible.", "It is URGENT!", "خیلی فوری لازمش دارم.", "عجله دارم"]
        {
            assert!(is_urgent(text) && !is_in_no_hurry(text), "{text}");
        }
        for text in ["It is not urgent, take your time.", "این فوری نیست.", "عجله‌ای ندارم"]
        {
            assert!(!is_urgent(text) && is_in_no_hurry(text), "{text}");
        }
        for text in ["", "I am at work right now.", "همین الان زنگ زدم."] {
            assert!(!is_urgent(text) && !is_in_no_hurry(text), "{text}");
        }
    }
}
