//! What it helps to know an organisation's names: the same calls recognised without them and with them.

use anyhow::Result;
use sotto_tests::script::{transcript, words};

use super::Figure;
use super::setup::{Bench, Recorded, scored_events};

/// Names that the bank of `calls-harper` would have written down: its own, its employees' and a company's that is paid
/// through it.
const NAMES: [&str; 8] = [
    "Harper Valley National Bank",
    "Elizabeth",
    "Jennifer",
    "David",
    "James",
    "Patricia",
    "Linda",
    "Smart Electric",
];

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (calls, turns) = (bench.recorded_calls()?, bench.turns()?);
    let mut rates = Vec::new();
    for (given, settings) in [("without", vec![]), ("with", vec![format!("vocabulary.words={NAMES:?}")])] {
        let (mut lines, mut said, mut heard) = (String::new(), 0, 0);
        for Recorded { id, audio } in &calls {
            let file = folder.path().join(format!("{id}.wav"));
            audio.write_wav(&file)?;
            let events = bench.replay_with("max", &settings, "base", "en", &file)?;
            lines.push_str(&scored_events(id, &events));
            for (role, party) in [("agent", "agent"), ("caller", "customer")] {
                let turns = turns.iter().filter(|turn| turn["sid"] == id.as_str() && turn["role"] == role);
                let text: Vec<&str> = turns.filter_map(|turn| turn["human"].as_str()).collect();
                let (said_here, heard_here) = (names(&text.join(" ")), names(&transcript(&events, party)));
                said += said_here.iter().sum::<usize>();
                heard +=
                    said_here.iter().zip(heard_here).map(|(said, heard)| heard.min(*said)).sum::<usize>();
            }
        }
        let path = folder.path().join("events.ndjson");
        std::fs::write(&path, lines)?;
        let figures = bench.score(&bench.calls, &path)?;
        let rate = figures["wer"].as_f64().unwrap_or(f64::NAN);
        sink(Figure::reported(&format!("vocabulary.wer_{given}"), rate, "rate"));
        let found = heard as f64 / said as f64;
        sink(Figure::reported(&format!("vocabulary.names_found_{given}"), found, "rate"));
        rates.push((found, rate));
    }
    if let [without, with] = rates[..] {
        sink(Figure::at_least("vocabulary.more_names_found", with.0 - without.0, "rate", 0.0));
        sink(Figure::at_most("vocabulary.wer_above_without", with.1 - without.1, "rate", 0.0));
    }
    Ok(())
}

/// How often each of the names occurs in a text.
fn names(text: &str) -> [usize; NAMES.len()] {
    let text = words(text);
    NAMES.map(|name| {
        let name = words(name);
        text.windows(name.len()).filter(|window| *window == name).count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_whole() {
        let counted =
            names("David? Hello, this is Harper Valley National Bank; Davids Smart, Electric David.");
        assert_eq!(counted, [1, 0, 0, 2, 0, 0, 0, 1]);
    }
}
