//! The last word before a hang-up is in the log.
//!
//! Each call ends with the last sample of a turn, without a pause after it. A model may mishear the last word;
//! what counts is that it is not lost. So it must be the word that was said, or the one that the same model
//! hears in the same turn with a second of silence after it; or else something must stand in its place, and then
//! it counts as misheard too.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sotto_tests::audio::Audio;
use sotto_tests::script::{Script, transcript, words};

use super::Figure;
use super::setup::{Bench, place};
use crate::run::note;

const MODEL: &str = "tiny.en";

/// A turn that somebody hangs up at the end of.
struct Cut {
    party: &'static str,
    audio: Audio,
    last_word: String,
}

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let wanted = if bench.quick { 6 } else { 50 };
    let server = bench.server(MODEL)?;
    let folder = tempfile::tempdir()?;
    let (mut tried, mut kept, mut misheard) = (0_u32, 0_u32, 0_u32);
    for cut in cuts(bench)?.into_iter().take(wanted) {
        tried += 1;
        let placed = place(&server, &cut.audio, &format!("{}", 30_000_000 + tried))?;
        placed.sipp.finish()?;
        let heard = transcript(&server.api.ended(&placed.id, Duration::from_secs(60))?, cut.party);
        if ends_with(&heard, &cut.last_word) {
            kept += 1;
            continue;
        }
        let file = folder.path().join("turn.wav");
        cut.audio.cut(0, cut.audio.duration_ms() + 1000).write_wav(&file)?;
        let calm = transcript(&bench.replay(MODEL, "en", &file)?, cut.party);
        let last = words(&calm).pop().unwrap_or_default();
        if ends_with(&heard, &last) {
            kept += 1;
            continue;
        }
        note(&format!("said …{:?}, heard {heard:?}, and without the hang-up {calm:?}", cut.last_word));
        // A word that was lost leaves the text shorter; where nothing is heard at all, every word is lost.
        let letters = |text: &str| words(text).concat().chars().count();
        if letters(&heard) > 0 && letters(&heard) + letters(&last) / 2 >= letters(&calm) {
            kept += 1;
            misheard += 1;
        }
    }
    ensure!(usize::try_from(tried)? == wanted, "only {tried} turns to hang up at, of {wanted}");
    sink(Figure::reported("hangup.last_word_misheard", f64::from(misheard), &format!("of {tried}")));
    sink(Figure::at_least(
        "hangup.last_word_kept",
        f64::from(kept),
        &format!("of {tried}"),
        f64::from(tried),
    ));
    Ok(())
}

/// True when the last word of `text` is `word`, however it is divided: "Good bye." ends with "goodbye".
fn ends_with(text: &str, word: &str) -> bool {
    let words = words(text);
    (0..words.len()).rev().map(|from| words[from..].concat()).any(|end| end == word)
}

fn cuts(bench: &Bench) -> Result<Vec<Cut>> {
    let mut cuts = Vec::new();
    let script = Script::support()?;
    let demo = Audio::read(&script.audio)?;
    for turn in &script.turns {
        let party = if turn.party == "agent" { "agent" } else { "customer" };
        let last_word = words(&turn.text).pop().context("a turn without words")?;
        cuts.push(Cut { party, audio: demo.cut(turn.start_ms.saturating_sub(400), turn.end_ms), last_word });
    }
    let turns = bench.turns()?;
    for call in bench.recorded_calls()? {
        for turn in turns.iter().filter(|t| t["sid"] == call.id.as_str()) {
            let text = turn["human"].as_str().unwrap_or_default();
            let start = turn["offset_ms_call_clock"].as_u64().unwrap_or_default();
            let end = start + turn["duration_ms"].as_u64().unwrap_or_default();
            let clear = !text.contains(['[', '<']) && words(text).len() >= 4;
            if let Some(last_word) = words(text).pop().filter(|_| clear) {
                let party = if turn["role"] == "agent" { "agent" } else { "customer" };
                cuts.push(Cut { party, audio: call.audio.cut(start.saturating_sub(400), end), last_word });
            }
        }
    }
    Ok(cuts)
}
