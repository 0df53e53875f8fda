//! Persian with the base model: the path holds, and the words are not worse than elsewhere. `base` guesses at them, so that where
//! a word ends is chance: each sentence is heard from four beginnings.

use anyhow::{Context, Result};
use sotto_score::normalise::persian;
use sotto_score::{Errors, cer, wer};
use sotto_tests::audio::Audio;

use super::Figure;
use super::harper::LATER_MS;
use super::setup::Bench;
use super::words::standard_error;
use crate::run::note;

/// What those who recorded the sentences publish of the same weights: words and characters that are wrong.
const ELSEWHERE: (f64, f64) = (0.98, 0.51);
/// Of so many sentences a rate is known to a few points: two of its standard errors above come by chance once in forty times.
const BY_CHANCE: f64 = 2.0;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let folder = bench.data.join("speech-fa");
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).context("speech-fa/manifest.tsv")?;
    let scratch = tempfile::tempdir()?;
    let (mut words, mut chars, mut loops) = (Errors::default(), Errors::default(), 0);
    let mut sentences = Vec::new();
    let rows: Vec<(&str, &str)> = manifest.lines().skip(1).filter_map(columns).collect();
    anyhow::ensure!(!rows.is_empty(), "no rows in speech-fa/manifest.tsv");
    for (n, (wav, text)) in rows.iter().take(if bench.quick { 4 } else { usize::MAX }).enumerate() {
        let mut audio = Audio::read(&folder.join(wav))?;
        // One side speaks, the other listens: a call has two channels.
        audio.channels.truncate(1);
        let silent = vec![0; audio.channels.first().map_or(0, Vec::len)];
        audio.channels.push(silent);
        let audio = audio.cut(0, audio.duration_ms() + 1500);
        let file = scratch.path().join(format!("{n}.wav"));
        let said = persian(text);
        let mut sentence = (Errors::default(), Errors::default());
        for later in LATER_MS {
            audio.later(later).write_wav(&file)?;
            let heard = sotto_tests::script::transcript(&bench.replay("base", "fa", &file)?, "agent");
            let heard = persian(&heard);
            sentence.0 += wer(&said, &heard);
            sentence.1 += cer(&said, &heard);
            // A decoder that runs in circles says far more than was said.
            let letters = |words: &[String]| words.iter().map(|word| word.chars().count()).sum::<usize>();
            if letters(&heard) > 2 * letters(&said) + 20 {
                note(&format!("a loop? {}", heard.join(" ")));
                loops += 1;
            }
        }
        words += sentence.0;
        chars += sentence.1;
        sentences.push(sentence);
    }
    let each = |of: fn(&(Errors, Errors)) -> Errors| -> Vec<f64> {
        sentences.iter().filter_map(|sentence| of(sentence).rate()).collect()
    };
    for (name, all, elsewhere, each) in [
        ("wer", words, ELSEWHERE.0, each(|sentence| sentence.0)),
        ("cer", chars, ELSEWHERE.1, each(|sentence| sentence.1)),
    ] {
        let (rate, error) = (all.rate().unwrap_or(f64::NAN), standard_error(&each));
        sink(Figure::reported(&format!("persian.{name}"), rate, "rate"));
        sink(Figure::reported(&format!("persian.{name}_standard_error"), error, "rate"));
        let above = (rate - elsewhere) / error;
        sink(Figure::at_most(
            &format!("persian.{name}_standard_errors_above_elsewhere"),
            above,
            "standard errors",
            BY_CHANCE,
        ));
    }
    sink(Figure::at_most("persian.loops", f64::from(loops), "", 0.0));
    Ok(())
}

/// `wav` and `text` are the first and the last column.
fn columns(line: &str) -> Option<(&str, &str)> {
    let mut columns = line.split('\t');
    Some((columns.next()?, columns.next_back()?))
}
