//! Persian with the base model: the path holds, and the words are not worse than elsewhere.

use anyhow::{Context, Result};
use sotto_tests::audio::Audio;
use sotto_tests::script::edits;

use super::Figure;
use super::setup::Bench;
use crate::run::note;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let folder = bench.data.join("speech-fa");
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).context("speech-fa/manifest.tsv")?;
    let scratch = tempfile::tempdir()?;
    let (mut word_edits, mut words, mut char_edits, mut chars, mut loops) = (0, 0, 0, 0, 0);
    let rows: Vec<(&str, &str)> = manifest.lines().skip(1).filter_map(columns).collect();
    anyhow::ensure!(!rows.is_empty(), "no rows in speech-fa/manifest.tsv");
    for (n, (wav, text)) in rows.iter().take(if bench.quick { 4 } else { usize::MAX }).enumerate() {
        let mut audio = Audio::read(&folder.join(wav))?;
        // One side speaks, the other listens: a call has two channels.
        audio.channels.truncate(1);
        let silent = vec![0; audio.channels.first().map_or(0, Vec::len)];
        audio.channels.push(silent);
        let file = scratch.path().join(format!("{n}.wav"));
        audio.cut(0, audio.duration_ms() + 1500).write_wav(&file)?;
        let heard = sotto_tests::script::transcript(&bench.replay("base", "fa", &file)?, "agent");
        let (said, heard) = (normal(text), normal(&heard));
        let split = |t: &str| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        word_edits += edits(&split(&said), &split(&heard));
        words += split(&said).len();
        char_edits += edits(&said.chars().collect::<Vec<_>>(), &heard.chars().collect::<Vec<_>>());
        chars += said.chars().count();
        // A decoder that runs in circles says far more than was said.
        if heard.chars().count() > 2 * said.chars().count() + 20 {
            note(&format!("a loop? {heard}"));
            loops += 1;
        }
    }
    sink(Figure::at_most("persian.wer", word_edits as f64 / words as f64, "rate", 0.98));
    sink(Figure::at_most("persian.cer", char_edits as f64 / chars as f64, "rate", 0.51));
    sink(Figure::at_most("persian.loops", f64::from(loops), "", 0.0));
    Ok(())
}

/// `wav` and `text` are the first and the last column.
fn columns(line: &str) -> Option<(&str, &str)> {
    let mut columns = line.split('\t');
    Some((columns.next()?, columns.next_back()?))
}

/// One spelling: Arabic letters to Persian ones, digits to ASCII, no half-space, no marks, no punctuation.
fn normal(text: &str) -> String {
    let one = |c: char| match c {
        'ي' | 'ى' => 'ی',
        'ك' => 'ک',
        'ة' => 'ه',
        'أ' | 'إ' | 'ٱ' => 'ا',
        '۰'..='۹' => char::from_digit(c as u32 - '۰' as u32, 10).unwrap_or(c),
        '٠'..='٩' => char::from_digit(c as u32 - '٠' as u32, 10).unwrap_or(c),
        '\u{200c}' => ' ',
        // Combining marks vanish (some of them count as letters), what is no letter or digit separates.
        '\u{064b}'..='\u{065f}' | '\u{0670}' | '\u{200b}'..='\u{200f}' => '\u{0}',
        c if c.is_alphanumeric() => c,
        _ => ' ',
    };
    let text: String = text.chars().map(one).filter(|c| *c != '\u{0}').collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn one_spelling() {
        assert_eq!(normal("می\u{200c}توانم، كتاب!"), normal("مي توانم کتاب"));
        assert_eq!(normal("شمارهٔ ۴۷ ٤٧"), normal("شماره 47 47"));
    }
}
