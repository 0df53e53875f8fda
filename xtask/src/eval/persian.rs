//! Persian with the base model: the path holds, and the words are not worse than elsewhere.

use anyhow::{Context, Result};
use sotto_score::normalise::persian;
use sotto_score::{Errors, cer, wer};
use sotto_tests::audio::Audio;

use super::Figure;
use super::setup::Bench;
use crate::run::note;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let folder = bench.data.join("speech-fa");
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).context("speech-fa/manifest.tsv")?;
    let scratch = tempfile::tempdir()?;
    let (mut words, mut chars, mut loops) = (Errors::default(), Errors::default(), 0);
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
        let (said, heard) = (persian(text), persian(&heard));
        words += wer(&said, &heard);
        chars += cer(&said, &heard);
        // A decoder that runs in circles says far more than was said.
        let letters = |words: &[String]| words.iter().map(|word| word.chars().count()).sum::<usize>();
        if letters(&heard) > 2 * letters(&said) + 20 {
            note(&format!("a loop? {}", heard.join(" ")));
            loops += 1;
        }
    }
    sink(Figure::at_most("persian.wer", words.rate().unwrap_or(f64::NAN), "rate", 0.98));
    sink(Figure::at_most("persian.cer", chars.rate().unwrap_or(f64::NAN), "rate", 0.51));
    sink(Figure::at_most("persian.loops", f64::from(loops), "", 0.0));
    Ok(())
}

/// `wav` and `text` are the first and the last column.
fn columns(line: &str) -> Option<(&str, &str)> {
    let mut columns = line.split('\t');
    Some((columns.next()?, columns.next_back()?))
}
