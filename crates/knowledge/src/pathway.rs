//! Procedures as steps: what is done in which order, what is looked at, and what follows if it is so.
//!
//! A pathway is read from the words of a document whenever somebody wants to see it, and says nothing that does not stand
//! there. A numbered list is one, in English or Persian (“1. …”, “Step 2: …”, «۳) …», «گام ۴: …»); so is something to check
//! that at least two conditions follow. Within a step, what stands behind a condition (“If it does, …”, «اگر نه، …») until
//! the next one is what follows from it.

use sha2::{Digest as _, Sha256};
use sotto_text::{digit, fold};

use crate::excerpt::{is_end, sentences};
use crate::hub::{Document, hex};

/// Steps that somebody follows on the telephone, at most; a longer list is no pathway.
const MAX_STEPS: usize = 40;
/// Passages at either side of the one that was found over which its list may go on.
const PASSAGES: usize = 8;

/// Words behind which the number of a step may stand.
const NAMES: [&str; 4] = ["step", "گام", "مرحله", "قدم"];
/// What a condition begins with.
const CONDITIONS: &str = "if, unless, in case, when, otherwise, اگر, اگه, چنانچه, در صورتی که, درصورتی‌که, وقتی, هرگاه, \
    در غیر این صورت, درغیراین‌صورت, وگرنه";
/// Conditions that need no sign behind them.
const OTHERWISE: &str = "otherwise, if not, if so, در غیر این صورت, درغیراین‌صورت, وگرنه, اگر نه, اگر بله";
/// What ends a condition, the surest first.
const ENDS: [&str; 5] = [", then ", "، آنگاه ", "، ", ", ", ": "];
/// What something to look at begins with in English, and has in Persian, where verbs come last.
const CHECKS: &str = "check, verify, confirm, compare, test, look, make sure, see if, see whether, ask whether, ask if, ask which";
const PERSIAN_CHECKS: &str =
    "بررسی, بپرسید, ببینید, نگاه کنید, مطمئن شوید, اطمینان حاصل کنید, تأیید کنید, چک کنید, مقایسه کنید";

/// Steps to follow, read from a stretch of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pathway {
    /// The place of its first passage among those of its document.
    pub place: usize,
    /// Tells its wording from others: the begin of the SHA-256 of all words that it was read from, in hexadecimal.
    pub version: String,
    /// The headings that it stands under, the highest first.
    pub section: Vec<String>,
    /// In order, at least one.
    pub steps: Vec<PathwayStep>,
}

/// A step of a [`Pathway`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathwayStep {
    /// All of its words, as they stand in the document.
    pub words: String,
    /// What is done; empty where the step is a condition alone.
    pub action: String,
    /// Something is looked at or asked.
    pub is_check: bool,
    /// What follows, depending on what is found.
    pub branches: Vec<PathwayBranch>,
}

/// What follows if something is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathwayBranch {
    /// The condition, as it stands there: “If it does”.
    pub when: String,
    /// What is done then.
    pub then: String,
}

impl Pathway {
    /// The pathway that a passage of a document is, or is a part of: a list may go on in the passages around it. None if it
    /// is no procedure.
    #[must_use]
    pub fn of(document: &Document, place: usize) -> Option<Self> {
        let passages = &document.passages;
        let section = &passages.get(place)?.section;
        let is_near = |place: usize| passages.get(place).is_some_and(|one| one.section == *section);
        let goes_on =
            |place: usize| is_near(place) && passages.get(place).is_some_and(|one| continues(&one.text));
        let mut first = place;
        while place - first < PASSAGES && first > 0 && goes_on(first) && is_near(first - 1) {
            first -= 1;
        }
        let mut last = place;
        while goes_on(last + 1) {
            if last - place == PASSAGES {
                return None;
            }
            last += 1;
        }
        let (begin, end) = (passages.get(first)?.range.start, passages.get(last)?.range.end);
        let text = document.text.get(begin..end)?;
        let steps = steps(text)?;
        let digest: [u8; 32] = Sha256::digest(text).into();
        let version = hex(&digest[..8]);
        Some(Self { place: first, version, section: section.clone(), steps })
    }
}

/// The steps of a text, if it describes some.
fn steps(text: &str) -> Option<Vec<PathwayStep>> {
    let items = items(text);
    match items.len() {
        0 | 1 => decision(text).map(|step| vec![step]),
        2..=MAX_STEPS => Some(items.iter().map(|item| step(item)).collect()),
        _ => None,
    }
}

/// The items of the first numbered list that has two or more, each with what belongs to it. Words between two items are the
/// first one's; what comes behind the last is only if it is a bullet, a condition, or the rest of its sentence.
fn items(text: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut waiting = String::new();
    for line in text.lines() {
        match numbered(line) {
            Some((number, words)) if number == items.len() + 1 => {
                if let Some(last) = items.last_mut() {
                    last.push_str(&waiting);
                }
                waiting.clear();
                items.push(words.to_owned());
            }
            Some((1, words)) if items.len() == 1 => {
                waiting.clear();
                items = vec![words.to_owned()];
            }
            _ => {
                let Some(last) = items.last_mut() else { continue };
                let is_below = is_bullet(line) || is_condition(line);
                let is_rest = !is_below && !last.ends_with(|c: char| is_end(c) || c == ':');
                let belongs = waiting.is_empty() && (is_below || is_rest);
                let to = if belongs { last } else { &mut waiting };
                to.push(if belongs && is_rest { ' ' } else { '\n' });
                to.push_str(line.trim());
            }
        }
    }
    items
}

/// Something to check with at least two conditions behind it, in one paragraph and the bullets or conditions below it.
fn decision(text: &str) -> Option<PathwayStep> {
    let mut paragraphs: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match paragraphs.last_mut() {
            Some(above) if is_bullet(line) || is_condition(line) => {
                above.push('\n');
                above.push_str(line.trim());
            }
            _ => paragraphs.push(line.trim().to_owned()),
        }
    }
    let mut steps = paragraphs.iter().map(|paragraph| step(paragraph));
    steps.find(|step| step.is_check && step.branches.len() >= 2)
}

fn step(words: &str) -> PathwayStep {
    let (mut action, mut branches) = (String::new(), Vec::<PathwayBranch>::new());
    for range in sentences(words) {
        let sentence = without_bullet(&words[range]);
        if let Some(branch) = branch(sentence) {
            branches.push(branch);
            continue;
        }
        let said = branches.last_mut().map_or(&mut action, |branch| &mut branch.then);
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(sentence);
    }
    let is_check = sentences(&action).into_iter().any(|range| checks(&action[range]));
    PathwayStep { words: words.trim().to_owned(), action, is_check, branches }
}

/// A sentence that begins with a condition, cut behind it.
fn branch(sentence: &str) -> Option<PathwayBranch> {
    if !is_condition(sentence) {
        return None;
    }
    let at_sign = ENDS.iter().find_map(|end| sentence.split_once(end));
    let (when, then) = otherwise(sentence).or(at_sign)?;
    let (when, then) = (when.trim().to_owned(), then.trim().to_owned());
    (!when.is_empty() && !then.is_empty()).then_some(PathwayBranch { when, then })
}

/// A sentence cut behind one of [`OTHERWISE`].
fn otherwise(sentence: &str) -> Option<(&str, &str)> {
    let is_sign = |c: char| matches!(c, ',' | '،' | ':');
    OTHERWISE.split(',').map(str::trim).find_map(|phrase| {
        let words = phrase.split(' ').count();
        let then = sentence.splitn(words + 1, ' ').nth(words)?;
        let when = sentence[..sentence.len() - then.len()].trim().trim_end_matches(is_sign);
        (fold(when) == fold(phrase)).then_some((when, then))
    })
}

fn is_condition(sentence: &str) -> bool {
    begins_with(without_bullet(sentence), CONDITIONS)
}

fn checks(sentence: &str) -> bool {
    let plain = fold(sentence);
    sentence.ends_with(['?', '؟'])
        || begins_with(sentence, CHECKS)
        || PERSIAN_CHECKS.split(',').any(|verb| plain.contains(fold(verb.trim()).as_str()))
}

/// Whether a text begins with one of these phrases.
fn begins_with(text: &str, phrases: &str) -> bool {
    let plain = fold(text);
    phrases.split(',').map(|phrase| fold(phrase.trim())).any(|phrase| {
        plain.strip_prefix(phrase.as_str()).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

fn without_bullet(line: &str) -> &str {
    let line = line.trim();
    line.strip_prefix(['-', '•', '*', '–']).map_or(line, str::trim_start)
}

fn is_bullet(line: &str) -> bool {
    without_bullet(line).len() < line.trim().len()
}

/// Whether a passage begins within a numbered list.
fn continues(text: &str) -> bool {
    text.lines().next().and_then(numbered).is_some_and(|(number, _)| number > 1)
}

/// The number of a line that is an item of a numbered list, and what stands behind it.
pub(crate) fn numbered(line: &str) -> Option<(usize, &str)> {
    let line = line.trim();
    let named = line.split_once(char::is_whitespace).filter(|(name, _)| NAMES.contains(&fold(name).as_str()));
    let line = named.map_or(line, |(_, behind)| behind.trim_start());
    let end = line.find(|c: char| digit(c).is_none())?;
    let number: usize = line[..end].chars().filter_map(digit).collect::<String>().parse().ok()?;
    let behind = line[end..].strip_prefix(['.', ')', '-', '–', ':'])?;
    let words = behind.trim_start();
    (words.len() < behind.len() && !words.is_empty()).then_some((number, words))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Format, Hub, Paper, Visibility, read};

    fn document(text: &str) -> Document {
        let mut hub = Hub::new();
        let content = read(Format::Markdown, text.as_bytes()).unwrap();
        let visibility = Visibility::default();
        hub.put(Paper { id: "a.md".to_owned(), changed_unix_ms: 1, visibility, bytes: 0, content });
        let found = hub.document("a.md").unwrap();
        Document::clone(found)
    }

    fn branches(step: &PathwayStep) -> Vec<(&str, &str)> {
        step.branches.iter().map(|branch| (branch.when.as_str(), branch.then.as_str())).collect()
    }

    #[test]
    fn a_numbered_list_is_a_pathway_with_checks_and_branches() {
        let text = "# No connection\n\n## Steps to check\n\n1. Look at the user in the panel. Are there days left? If not, \
            that is the reason: renew the user.\n2. Ask the customer to update the app.\n3. Ask whether it works over \
            mobile data. If it does, the provider blocks the server. Let them use another.\n   - Otherwise restart it.\n\
            4. If several have the same trouble, tell support.\n\nThis costs nothing.\n";
        let pathway = Pathway::of(&document(text), 0).unwrap();
        assert_eq!((pathway.place, pathway.section.last().unwrap().as_str()), (0, "Steps to check"));
        let actions: Vec<(&str, bool)> =
            pathway.steps.iter().map(|step| (step.action.as_str(), step.is_check)).collect();
        assert_eq!(
            actions,
            [
                ("Look at the user in the panel. Are there days left?", true),
                ("Ask the customer to update the app.", false),
                ("Ask whether it works over mobile data.", true),
                ("", false),
            ]
        );
        assert_eq!(branches(&pathway.steps[0]), [("If not", "that is the reason: renew the user.")]);
        assert_eq!(
            branches(&pathway.steps[2]),
            [
                ("If it does", "the provider blocks the server. Let them use another."),
                ("Otherwise", "restart it."),
            ]
        );
        assert_eq!(branches(&pathway.steps[3]), [("If several have the same trouble", "tell support.")]);
        assert_eq!(pathway.steps[3].words, "If several have the same trouble, tell support.");
    }

    #[test]
    fn persian_steps_are_read_with_their_digits_and_conditions() {
        let text = "گام ۱: کاربر را در پنل ببینید. اگر نه، کاربر را تمدید کنید.\nگام ۲: بپرسید با اینترنت گوشی کار \
            می‌کند؟ اگر کار می‌کند، سرور دیگری بزنند. در غیر این صورت به پشتیبانی بگویید.\nمرحلهٔ ۳: تمام.";
        let steps = steps(text).unwrap();
        assert_eq!(steps.len(), 3);
        assert_eq!((steps[0].action.as_str(), steps[0].is_check), ("کاربر را در پنل ببینید.", true));
        assert_eq!(branches(&steps[0]), [("اگر نه", "کاربر را تمدید کنید.")]);
        assert_eq!(
            branches(&steps[1]),
            [("اگر کار می‌کند", "سرور دیگری بزنند."), ("در غیر این صورت", "به پشتیبانی بگویید.")]
        );
        assert_eq!(numbered("۱۲) باز کنید"), Some((12, "باز کنید")));
    }

    #[test]
    fn a_check_with_two_conditions_is_a_pathway_of_one_step() {
        let text = "The router has a light.\nLook at its colour. If it is red, restart it. If it is green, call us.\n\
            Routers are lent.";
        let steps = steps(text).unwrap();
        assert_eq!((steps.len(), steps[0].action.as_str()), (1, "Look at its colour."));
        assert_eq!(branches(&steps[0]), [("If it is red", "restart it."), ("If it is green", "call us.")]);
    }

    #[test]
    fn what_only_explains_is_no_pathway() {
        for text in [
            "",
            "A refund takes three days. If you paid in cash, ask us.",
            "1. One thing alone.",
            "2. Begins in the middle.\n3. Goes on.",
            "- By card.\n- In cash.",
            "Version 1.5 is out.\n3.5 days.",
            "If it rains, stay. If it snows, come.",
        ] {
            assert_eq!(steps(text), None, "{text}");
        }
        let long: String = (1..=MAX_STEPS + 1).map(|n| format!("{n}. Go on.\n")).collect();
        assert_eq!(steps(&long), None);
    }

    #[test]
    fn a_sentence_that_goes_on_in_the_next_line_is_not_cut() {
        let steps = steps(
            "1. Open it.\n2. If several people have the same\ntrouble, look at the\nstatus page.\nIt is free.",
        );
        let steps = steps.unwrap();
        let then = "look at the status page.";
        assert_eq!(branches(&steps[1]), [("If several people have the same trouble", then)]);
    }

    #[test]
    fn a_list_over_several_passages_is_one_pathway_whichever_of_them_was_found() {
        let item = |n: usize| format!("{n}. {}\n", "Press the next button and wait for the sign. ".repeat(8));
        let text = format!("# Panel\n\n## How\n\n{}", (1..=12).map(item).collect::<String>());
        let document = document(&text);
        assert!(document.passages.len() > 2);
        let all: Vec<Pathway> =
            (0..document.passages.len()).map(|place| Pathway::of(&document, place).unwrap()).collect();
        assert!(all.iter().all(|one| *one == all[0]));
        assert_eq!((all[0].place, all[0].steps.len()), (0, 12));
    }

    #[test]
    fn another_wording_is_another_version() {
        let version = |text: &str| Pathway::of(&document(text), 0).unwrap().version;
        let first = version("1. Open it.\n2. Press it.");
        assert_eq!(first, version("1. Open it.\n2. Press it."));
        assert_ne!(first, version("1. Open it.\n2. Press it twice."));
        assert_eq!(first.len(), 16);
    }

    proptest! {
        #[test]
        fn steps_say_what_the_text_says_and_any_text_has_some_or_none(
            text in "(\\PC|[-•1-3۱-۳.):,،?؟\\n ]|\\n[1-4][.)] |If |Otherwise |اگر ){0,80}",
        ) {
            for step in steps(&text).unwrap_or_default() {
                prop_assert!(!step.words.is_empty());
                let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                for line in step.words.lines() {
                    prop_assert!(letters(&text).contains(&letters(line)));
                }
                for branch in &step.branches {
                    prop_assert!(step.words.contains(&branch.when) && !branch.then.is_empty());
                }
            }
        }

        #[test]
        fn a_list_has_as_many_steps_as_items(count in 2usize..=MAX_STEPS, words in "[a-z]{1,9}( [a-z]{1,9}){0,5}") {
            let text: String = (1..=count).map(|n| format!("{n}) {words}.\n")).collect();
            let steps = steps(&text).unwrap();
            prop_assert_eq!(steps.len(), count);
            let said = format!("{words}.");
            prop_assert!(steps.iter().all(|step| step.words == said));
        }
    }
}
