//! What somebody said, a turn a line, the parties taking turns: entities lie within their text, and what has been
//! redacted once is not redacted again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_call::{EntityKind, Millis, Party, Utterance, UtteranceId};
use sotto_insight::{Policy, Redactor, entities};
use time::PrimitiveDateTime;

fn said(id: u32, text: &str) -> Utterance {
    Utterance {
        utterance_id: UtteranceId(id),
        party: if id.is_multiple_of(2) { Party::Customer } else { Party::Agent },
        r#final: true,
        revision: 0,
        text: text.to_owned(),
        stable_chars: 0,
        start_ms: Millis(u64::from(id) * 1_000),
        end_ms: Millis(u64::from(id) * 1_000 + 900),
        words: vec![],
        language: String::new(),
        latency_ms: Millis(0),
    }
}

fn redacted(turns: &[String]) -> Vec<String> {
    let mut redactor = Redactor::new(Policy::default());
    let mut texts = vec![String::new(); turns.len()];
    for (id, text) in turns.iter().enumerate() {
        for now in redactor.push(&said(id as u32, text)) {
            texts[now.utterance.utterance_id.0 as usize] = now.utterance.text;
        }
    }
    texts
}

fuzz_target!(|bytes: &[u8]| {
    let turns: Vec<String> = String::from_utf8_lossy(bytes).lines().take(24).map(str::to_owned).collect();
    for text in &turns {
        let length = text.chars().count();
        for asked in [None, Some(EntityKind::Order)] {
            for entity in entities(text, &[], PrimitiveDateTime::MAX, asked) {
                assert!(entity.chars.start < entity.chars.end && entity.chars.end <= length);
            }
        }
    }
    let once = redacted(&turns);
    assert_eq!(redacted(&once), once);
});
