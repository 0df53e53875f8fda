//! Text to token numbers: SentencePiece's unigram model over a vocabulary of our own reading.
//!
//! Of all ways to cut a text into pieces, the most probable one is taken (Viterbi). What is not in the
//! vocabulary becomes one unknown token, however long.

use sotto_models::e5::Vocabulary;
use unicode_normalization::UnicodeNormalization;

/// Characters of a text that are looked at. More than fit into the tokens that the network takes.
pub(crate) const MAX_CHARS: usize = 4_096;
/// How much less likely than the least likely piece an unknown character is (SentencePiece's figure).
const UNKNOWN_PENALTY: f64 = 10.0;
/// A space inside pieces.
const SPACE: char = '▁';

#[derive(Debug)]
pub(crate) struct Tokenizer {
    vocabulary: Vocabulary,
    /// Pieces of text by their bytes; control tokens are not among them, so that no text becomes one.
    sorted: Vec<u32>,
    unknown_score: f64,
}

/// The best way to a position in the text.
#[derive(Clone, Copy)]
struct Step {
    score: f64,
    from: usize,
    id: u32,
}

impl Tokenizer {
    pub fn new(vocabulary: Vocabulary) -> Self {
        // Pieces have the logarithm of a probability; control tokens have zero.
        let mut sorted: Vec<u32> =
            (0..vocabulary.len() as u32).filter(|id| vocabulary.score(*id) < 0.0).collect();
        sorted.sort_unstable_by(|a, b| vocabulary.piece(*a).cmp(vocabulary.piece(*b)));
        let least = sorted.iter().map(|id| vocabulary.score(*id)).fold(0.0, f32::min);
        Self { vocabulary, sorted, unknown_score: f64::from(least) - UNKNOWN_PENALTY }
    }

    /// The token that fills up shorter texts.
    pub fn padding(&self) -> i64 {
        self.vocabulary.padding.into()
    }

    /// At most `limit` tokens of `prefix` and `text`, begin and end included. What comes after is cut off.
    pub fn encode(&self, prefix: &str, text: &str, limit: usize) -> Vec<i64> {
        let mut ids = vec![self.vocabulary.begin.into()];
        let text = self.normalise(prefix.chars().chain(text.chars()));
        ids.extend(self.pieces(&text).into_iter().map(i64::from));
        ids.truncate(limit.saturating_sub(1));
        ids.push(self.vocabulary.end.into());
        ids
    }

    /// Composed, in compatibility form, with single spaces, each written as part of the word behind it.
    fn normalise(&self, text: impl Iterator<Item = char>) -> String {
        let mut out = String::new();
        let mut pending = true;
        let mut push = |c: char| {
            if c == ' ' || c == SPACE {
                pending = true;
            } else {
                if std::mem::take(&mut pending) {
                    out.push(SPACE);
                }
                out.push(c);
            }
        };
        for c in text.take(MAX_CHARS).nfc() {
            match self.vocabulary.normalised(c) {
                Some(form) => form.chars().for_each(&mut push),
                None => push(c),
            }
        }
        out
    }

    /// The most probable pieces of a normalised text.
    fn pieces(&self, text: &str) -> Vec<u32> {
        let unknown = self.vocabulary.unknown;
        let nowhere = Step { score: f64::NEG_INFINITY, from: 0, id: unknown };
        let mut best = vec![nowhere; text.len() + 1];
        best[0].score = 0.0;
        for (from, c) in text.char_indices() {
            let so_far = best[from].score;
            let mut offer = |to: usize, id: u32, score: f64| {
                let score = so_far + score;
                if best[to].score < score {
                    best[to] = Step { score, from, id };
                }
            };
            offer(from + c.len_utf8(), unknown, self.unknown_score);
            self.beginnings(&text.as_bytes()[from..], |len, id| {
                offer(from + len, id, self.vocabulary.score(id).into());
            });
        }
        let mut ids = Vec::new();
        let mut at = text.len();
        while at > 0 {
            let step = best[at];
            if step.id != unknown || ids.last() != Some(&unknown) {
                ids.push(step.id);
            }
            at = step.from;
        }
        ids.reverse();
        ids
    }

    /// Every piece that `bytes` begin with, shortest first, by narrowing down the sorted pieces.
    fn beginnings(&self, bytes: &[u8], mut found: impl FnMut(usize, u32)) {
        let mut left = self.sorted.as_slice();
        for (depth, byte) in bytes.iter().enumerate() {
            // A piece that ends here comes before all that go on.
            let at = |id: &u32| self.vocabulary.piece(*id).as_bytes().get(depth);
            left = &left[left.partition_point(|id| at(id) < Some(byte))..];
            left = &left[..left.partition_point(|id| at(id) == Some(byte))];
            match left.first() {
                None => return,
                Some(id) if self.vocabulary.piece(*id).len() == depth + 1 => found(depth + 1, *id),
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokenizer() -> Tokenizer {
        let pieces = [
            ("<s>", 0.0),
            ("<pad>", 0.0),
            ("</s>", 0.0),
            ("<unk>", 0.0),
            ("▁", -3.0),
            ("a", -4.0),
            ("b", -4.0),
            ("ab", -5.0),
            ("▁ab", -6.0),
            ("▁a", -5.5),
            ("é", -6.0),
            ("s", -6.0),
            ("<", -6.0),
            (">", -6.0),
            ("<mask>", 0.0),
        ];
        let normalised =
            [('\n', " "), ('\u{7}', ""), ('\u{200c}', " "), ('ﬀ', "ab"), ('\u{fdfa}', "a b a b")];
        Tokenizer::new(Vocabulary::of(&pieces, &normalised))
    }

    fn pieces(text: &str) -> Vec<i64> {
        let ids = tokenizer().encode("", text, 512);
        assert_eq!((ids[0], ids[ids.len() - 1]), (0, 2));
        ids[1..ids.len() - 1].to_vec()
    }

    #[test]
    fn the_most_probable_pieces_are_taken() {
        assert_eq!(pieces("ab"), [8]);
        assert_eq!(pieces("ba"), [4, 6, 5]);
        assert_eq!(pieces("aab"), [9, 7]);
    }

    #[test]
    fn spaces_of_every_kind_are_one() {
        assert_eq!(pieces("  ab \n\u{200c} ▁ ab  "), [8, 8]);
        assert_eq!(pieces("a\u{7}b"), [8]);
        assert_eq!(pieces(" \n"), [] as [i64; 0]);
    }

    #[test]
    fn letters_are_composed_before_they_are_looked_up() {
        assert_eq!(pieces("e\u{301}"), [4, 10]);
        assert_eq!(pieces("ﬀ"), [8]);
    }

    #[test]
    fn what_is_unknown_is_one_token_however_long() {
        assert_eq!(pieces("ab xyz ab"), [8, 4, 3, 8]);
    }

    #[test]
    fn nothing_that_a_person_writes_is_a_control_token() {
        assert_eq!(pieces("<s>"), [4, 12, 11, 13]);
        assert!(pieces("</s><pad><mask><unk>").iter().all(|id| ![0, 1, 2, 14].contains(id)));
    }

    #[test]
    fn a_text_is_cut_off_where_the_limit_is() {
        let ids = tokenizer().encode("", &"ab ".repeat(100_000), 7);
        assert_eq!(ids, [0, 8, 8, 8, 8, 8, 2]);
    }

    #[test]
    fn a_megabyte_of_marks_without_a_letter_is_bounded() {
        assert!(tokenizer().normalise("\u{301}".repeat(500_000).chars()).len() <= 4 * MAX_CHARS + 3);
    }

    proptest! {
        #[test]
        fn any_text_becomes_few_tokens_of_the_vocabulary(text in any::<String>(), limit in 2usize..600) {
            let ids = tokenizer().encode("a ", &text, limit);
            prop_assert!(ids.len() <= limit.min(20 * text.chars().count() + 4));
            prop_assert!(ids[1..ids.len() - 1].iter().all(|id| (3..14).contains(id)));
        }
    }
}
