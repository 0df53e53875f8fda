//! What is not speech must yield no words.

use anyhow::{Result, ensure};
use sotto_tests::audio::Audio;
use sotto_tests::script::words;

use super::Figure;
use super::setup::{Bench, files};
use crate::run::note;

const RATE: u32 = 8000;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let minutes = if bench.quick { 1 } else { 5 };
    let wanted = minutes * 60 * RATE as usize;
    // Both sides carry each of the sounds in turn, but never the same one at once; one begins with silence.
    let mut sounds = Vec::new();
    for file in files(&bench.data.join("noise"), "wav")? {
        let audio = Audio::read(&file)?;
        sounds.extend(audio.channels.first().map(|c| at_telephone_rate(c, audio.rate)).unwrap_or_default());
        sounds.extend(std::iter::repeat_n(0, RATE as usize));
    }
    let line: Vec<i16> = sounds.iter().copied().cycle().take(wanted).collect();
    let (mut left, mut right) = (line.clone(), line);
    right.rotate_left(wanted / 2);
    left.iter_mut().take(10 * RATE as usize).for_each(|s| *s = 0);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("noise.wav");
    Audio { rate: RATE, channels: vec![left, right] }.write_wav(&file)?;
    // In real time once, because there are no partials otherwise, and they must not say anything either.
    for (model, speed) in [("tiny.en", "max"), ("base", "1")] {
        let events = bench.replay_with(speed, &[], model, "en", &file)?;
        let played = events.last().and_then(|e| e["duration_ms"].as_u64()).unwrap_or_default();
        ensure!(played + 1000 >= wanted as u64 * 1000 / u64::from(RATE), "only {played} ms were played");
        let heard: Vec<&str> = events
            .iter()
            .filter(|e| e["kind"] == "utterance")
            .filter_map(|e| e["text"].as_str())
            .filter(|t| !t.is_empty())
            .collect();
        if !heard.is_empty() {
            note(&format!("{model} heard {heard:?}"));
        }
        let count: usize = heard.iter().map(|t| words(t).len()).sum();
        sink(Figure::at_most(&format!("noise.words.{model}"), count as f64, "words", 0.0));
    }
    Ok(())
}

/// To 8 kHz: an average over the samples that one output sample stands for, or the nearest one.
pub(super) fn at_telephone_rate(samples: &[i16], rate: u32) -> Vec<i16> {
    let step = f64::from(rate) / f64::from(RATE);
    let length = (samples.len() as f64 / step) as usize;
    let at = |n: usize| (n as f64 * step) as usize;
    let mean = |n: usize| {
        let part = samples.get(at(n)..at(n + 1).max(at(n) + 1)).unwrap_or_default();
        (part.iter().map(|s| i64::from(*s)).sum::<i64>() / part.len().max(1) as i64) as i16
    };
    (0..length).map(mean).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn rates_meet() {
        assert_eq!(super::at_telephone_rate(&[1, 3, 5, 7], 16_000), [2, 6]);
        assert_eq!(super::at_telephone_rate(&[1, 3, 5, 7], 8_000), [1, 3, 5, 7]);
        assert_eq!(super::at_telephone_rate(&[9], 4_000), [9, 9]);
    }
}
