//! What speech costs a search: the same questions as they are written, and as Whisper hears them over a telephone, spoken by the
//! voice of the demo's agent.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sotto_tests::audio::{Audio, mu_law};
use sotto_tests::script::{edits, root, transcript, words};

use super::Figure;
use super::noise::at_telephone_rate;
use super::setup::{Bench, files};
use crate::run::{Run, note, tools};

/// Hubs that ship, in whose headings the questions stand.
const HUBS: [&str; 2] = ["marfanet/en", "metalingua/en"];
/// Festival's, of the Debian packages `festival` and `festvox-us-slt-hts`.
const VOICE: &str = "(voice_cmu_us_slt_arctic_hts)";
const RATE: u32 = 8_000;
/// Silence before and after a question, in milliseconds.
const BEFORE: u64 = 300;
const AFTER: u64 = 1_500;
/// The questions of a quick run.
const QUICK: usize = 6;

/// A question, and the document in which its answer is.
struct Question {
    text: String,
    document: String,
}

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    if Command::new("text2wave").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        note("not measured: text2wave is not there (Debian packages festival and festvox-us-slt-hts)");
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    let hub = scratch.path().join("hub");
    let mut questions = gather(&hub)?;
    if bench.quick {
        questions.truncate(QUICK);
    }
    let (mut said, mut wrong, mut heard) = (0, 0, Vec::new());
    for question in &questions {
        let file = scratch.path().join("question.wav");
        spoken(&question.text, &file)?;
        let text = transcript(&bench.replay("base", "en", &file)?, "other");
        let of_question = words(&question.text);
        said += of_question.len();
        wrong += edits(&of_question, &words(&text));
        // What was not heard at all is found by nothing.
        heard.push(if text.trim().is_empty() { "…".to_owned() } else { text });
    }
    let kept = tools().join("spoken.hub");
    let recall = |name: &str, texts: &[&str]| -> Result<f64> {
        let pairs = questions.iter().zip(texts);
        let pairs: Vec<Value> = pairs
            .map(|(question, text)| json!({ "question": text, "document": question.document }))
            .collect();
        let file = scratch.path().join(format!("{name}.json"));
        std::fs::write(&file, serde_json::to_vec(&pairs)?)?;
        let out = Run::new(&bench.sotto)
            .args(["kb", "eval"])
            .arg(&file)
            .arg("--folder")
            .arg(&hub)
            .arg("--keep")
            .arg(&kept)
            .output()?;
        recall_at_3(&out)
    };
    let written = recall("written", &questions.iter().map(|one| one.text.as_str()).collect::<Vec<_>>())?;
    let heard = recall("heard", &heard.iter().map(String::as_str).collect::<Vec<_>>())?;
    sink(Figure::reported("spoken.questions", questions.len() as f64, ""));
    sink(Figure::reported("spoken.word_error_rate", wrong as f64 / said.max(1) as f64, "rate"));
    sink(Figure::reported("spoken.written_recall@3", written, "rate"));
    sink(Figure::reported("spoken.heard_recall@3", heard, "rate"));
    sink(Figure::reported("spoken.loss_of_recall@3", written - heard, "rate"));
    Ok(())
}

/// Out of what `sotto kb eval` prints.
fn recall_at_3(out: &str) -> Result<f64> {
    let figures = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let recall = figures.filter(|figure| figure["name"] == "recall@3").find_map(|one| one["value"].as_f64());
    recall.context("no recall@3 in the figures")
}

/// Puts the hubs' documents into one folder, and gives the questions that stand in them as headings.
fn gather(to: &Path) -> Result<Vec<Question>> {
    let mut questions = Vec::new();
    for hub in HUBS {
        let inside = to.join(hub);
        std::fs::create_dir_all(&inside)?;
        for file in files(&root().join("knowledge").join(hub), "md")? {
            let name = file.file_name().context("a file without a name")?;
            let text = std::fs::read_to_string(&file)?;
            std::fs::write(inside.join(name), &text)?;
            let document = PathBuf::from(hub).join(name).display().to_string();
            questions.extend(asked(&text).map(|text| Question { text, document: document.clone() }));
        }
    }
    ensure!(!questions.is_empty(), "no heading asks anything");
    Ok(questions)
}

/// The headings that ask.
fn asked(markdown: &str) -> impl Iterator<Item = String> {
    let headings = markdown.lines().filter_map(|line| line.strip_prefix("## ")).map(str::trim);
    headings.filter(|heading| heading.ends_with('?')).map(str::to_owned)
}

/// Speaks a text into a file, as a telephone carries it: G.711 at 8 kHz.
fn spoken(text: &str, file: &Path) -> Result<()> {
    let wave = file.with_extension("spoken.wav");
    let mut festival = Command::new("text2wave")
        .args(["-eval", VOICE, "-o"])
        .arg(&wave)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("text2wave")?;
    festival.stdin.take().context("no way to say what is to be spoken")?.write_all(text.as_bytes())?;
    ensure!(festival.wait()?.success(), "text2wave does not speak {text:?}");
    let audio = Audio::read(&wave)?;
    let voice = audio.channels.first().context("nothing is spoken")?;
    let voice = at_telephone_rate(voice, audio.rate);
    let silence = |ms: u64| std::iter::repeat_n(0i16, (ms * u64::from(RATE) / 1_000) as usize);
    let line = silence(BEFORE).chain(voice).chain(silence(AFTER)).map(|sample| linear(mu_law(sample)));
    Audio { rate: RATE, channels: vec![line.collect()] }.write_wav(file)
}

/// What a sample is after G.711 µ-law (ITU-T G.711).
fn linear(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i16::from(code & 0x0f) << 3) + 132) << ((code >> 4) & 7);
    if code & 0x80 == 0 { magnitude - 132 } else { 132 - magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_comes_out_of_g711_as_the_nearest_of_its_steps() {
        for sample in [0i16, 1, -1, 100, -100, 1_000, -5_000, 32_000, -32_635] {
            let after = linear(mu_law(sample));
            let step = 8.0_f64.max(f64::from(sample).abs() / 16.0);
            assert!(f64::from(after) - f64::from(sample) <= step, "{sample} {after}");
            assert!(f64::from(sample) - f64::from(after) <= step, "{sample} {after}");
        }
    }

    #[test]
    fn the_headings_that_ask_are_the_questions() {
        let text = "# Refunds?\n\n## How long?\nThree days.\n\n## Fees\n\n## Is it free? \n";
        assert_eq!(asked(text).collect::<Vec<_>>(), ["How long?", "Is it free?"]);
        let figures = "{\"name\":\"recall@1\",\"value\":0.5}\n{\"name\":\"recall@3\",\"value\":0.75}\n";
        assert!(recall_at_3(figures).is_ok_and(|value| value == 0.75) && recall_at_3("").is_err());
    }
}
