//! What is malformed, at every way in, beside a call: what has an answer is refused for what is wrong with it, nothing panics, and
//! the call loses nothing. All the ways in which input may be wrong are for property tests and fuzz targets (`fuzz`).

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use sotto_tests::junk;

use super::Figure;
use super::concurrency::{Done, load, recorded_whole, score};
use super::setup::Bench;
use crate::run::note;

/// How long a call may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let rounds = if bench.quick { 1 } else { 10 };
    let recorded = bench.recorded_calls()?;
    let one = recorded.get(..1).unwrap_or_default();
    let mut server = bench.server("tiny.en")?;
    let (mut sent, mut asked, mut refused) = (0, 0, 0);
    let calls = std::thread::scope(|scope| -> Result<Vec<Done>> {
        let calling = scope.spawn(|| load(&server, one, 1, 1));
        let id = server.api.next_live_call(&[], PATIENCE)?;
        // Whose audio it is is known from the first packets on.
        let mut live = server.api.live(&id, Some(0))?;
        live.until(PATIENCE, |message| message["event"]["kind"] == "utterance")?;
        for _ in 0..rounds {
            sent += junk::to_every_port(&server)?;
            let answered = junk::ask(&server)?;
            asked += answered.asked;
            refused += answered.refused;
            for other in &answered.unexpected {
                note(other);
            }
        }
        ensure!(!calling.is_finished(), "the call was over before all was sent");
        calling.join().map_err(|_| anyhow!("the call panicked"))?
    })?;
    ensure!(server.is_running()?, "the server has ended");
    sink(Figure::reported("malformed.sent", (sent + asked) as f64, ""));
    sink(Figure::at_least("malformed.refused", refused as f64 / asked as f64, "rate", 1.0));
    sink(Figure::at_most("malformed.panics", server.api.metric("sotto_panics_total")?, "", 0.0));
    let (mut legs, mut lost, mut whole) = (0, 0, 0);
    for call in &calls {
        let ended = call.events.iter().filter(|event| event["kind"] == "leg_ended");
        let lost_there: Vec<u64> = ended.filter_map(|event| event["lost"].as_u64()).collect();
        (legs, lost) = (legs + lost_there.len(), lost + lost_there.iter().sum::<u64>());
        whole += usize::from(recorded_whole(&server, call)?);
    }
    ensure!(calls.len() == 1 && legs == 2, "{legs} streams of {} calls say what they have lost", calls.len());
    sink(Figure::at_most("malformed.packets_lost", lost as f64, "packets", 0.0));
    sink(Figure::at_least("malformed.recorded_whole", whole as f64, "calls", 1.0));
    let figures = score(bench, &calls)?;
    sink(Figure::reported("malformed.wer", figures["wer"].as_f64().unwrap_or(f64::NAN), "rate"));
    Ok(())
}
