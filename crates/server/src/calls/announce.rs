//! Calls that say something to whoever answers: no agent is on them, and nothing of them is kept.

use std::time::Duration;

use sotto_audio::{FRAME_MS, FRAME_SAMPLES, Frame, ring};
use sotto_call::{CallId, Party};
use sotto_media::{Booth, CallClock, LegOutputs};
use sotto_sip::{DialError, StartedCall};
use tokio::sync::oneshot;
use tokio::time::{Interval, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Calls, Otherwise, Outside};

/// How long it rings.
const RINGS: Duration = Duration::from_secs(40);
/// Silence after somebody has spoken by which it is known that they wait.
const PAUSE_MS: u64 = 1_500;
/// Speech before it: a click is no greeting.
const GREETING_MS: u64 = 200;
/// Silence after which nobody is expected to speak first.
const SILENCE_MS: u64 = 4_000;
/// How long a greeting, or music, is listened to.
const LONGEST_GREETING: Duration = Duration::from_secs(10);
/// Root mean square from which a frame is taken for speech, of full scale (-40 dB): telephone lines are quieter.
const LOUD: f32 = 0.01;
/// What is on its way when all is said, until it was heard.
const TAIL: Duration = Duration::from_millis(600);
/// How long the end of the call is waited for.
const GOODBYE: Duration = Duration::from_secs(5);
/// Between two frames.
const FRAME: Duration = Duration::from_millis(FRAME_MS);

/// What became of a call that somebody has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// All was said.
    Whole,
    /// The call was over before that, when so much had been said.
    Broken(Duration),
}

impl Calls {
    /// Calls a number through the trunk, waits until whoever answers has greeted, says this, and hangs up. Dropped before, it
    /// hangs up as well.
    ///
    /// # Errors
    /// When nobody answers, or there is no way there.
    pub async fn announce(
        &self,
        number: &str,
        speech: &[[f32; FRAME_SAMPLES]],
    ) -> Result<Announced, DialError> {
        let shared = &self.shared;
        let line = shared.line.get().ok_or(DialError::Unreachable)?;
        let ((here, mut gone), id, over) = (oneshot::channel(), CallId::new(), CancellationToken::new());
        let hangs_up = over.clone().drop_guard();
        shared.outside.insert(id, Outside { live: None, _here: here });
        let unanswered = Otherwise(Some(|| drop(shared.outside.remove(&id))));
        let (mut booth, end) = Booth::open();
        // Nobody reads there.
        let outputs = LegOutputs { speech: ring(FRAME_MS).0, recording: ring(FRAME_MS).0, bridge: Some(end) };
        let started = StartedCall { id, clock: CallClock::start(), legs: vec![outputs], over };
        let dialled = line.endpoint.dial(&line.trunk, number, started, Party::Customer, |_| {});
        timeout(RINGS, dialled).await.map_err(|_| DialError::NoAnswer)??;
        unanswered.not();
        // What was heard before somebody answered is no greeting.
        while booth.hear().is_some() {}
        let (mut said, mut clock) = (Duration::ZERO, interval(FRAME));
        let speaks = async {
            let _ = timeout(LONGEST_GREETING, greeted(&mut booth, &mut clock)).await;
            clock.reset();
            for (index, samples) in (0..).zip(speech) {
                clock.tick().await;
                booth.say(Frame { index, samples: *samples });
                said += FRAME;
            }
        };
        let is_whole = tokio::select! {
            () = speaks => true,
            _ = &mut gone => false,
        };
        if !is_whole {
            return Ok(Announced::Broken(said));
        }
        if timeout(TAIL, &mut gone).await.is_err() {
            drop(hangs_up);
            let _ = timeout(GOODBYE, gone).await;
        }
        Ok(Announced::Whole)
    }
}

/// Waits until whoever has answered is silent.
async fn greeted(booth: &mut Booth, clock: &mut Interval) {
    let mut greeting = Greeting::default();
    loop {
        clock.tick().await;
        while let Some(frame) = booth.hear() {
            if greeting.is_over(&frame.samples) {
                return;
            }
        }
    }
}

/// Tells from what is heard when whoever has answered waits for something to be said: a person who says who they are, and a
/// machine that asks for a message. It goes by loudness alone, and does not tell the two apart.
#[derive(Debug, Default)]
struct Greeting {
    spoken_ms: u64,
    silent_ms: u64,
}

impl Greeting {
    /// Whether it is over with the next 20 ms.
    fn is_over(&mut self, samples: &[f32; FRAME_SAMPLES]) -> bool {
        let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / FRAME_SAMPLES as f32;
        if power.sqrt() >= LOUD {
            self.spoken_ms += FRAME_MS;
            self.silent_ms = 0;
        } else {
            self.silent_ms += FRAME_MS;
        }
        let has_spoken = self.spoken_ms >= GREETING_MS;
        self.silent_ms >= if has_spoken { PAUSE_MS } else { SILENCE_MS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: [f32; FRAME_SAMPLES] = [0.003; FRAME_SAMPLES];
    const SPEECH: [f32; FRAME_SAMPLES] = [0.1; FRAME_SAMPLES];

    /// After how many milliseconds of this it is over, if it is.
    fn over_after(parts: &[(u64, &[f32; FRAME_SAMPLES])]) -> Option<u64> {
        let mut greeting = Greeting::default();
        let frames = parts.iter().flat_map(|(ms, samples)| (0..ms / FRAME_MS).map(move |_| *samples));
        let over = frames.enumerate().find(|(_, samples)| greeting.is_over(samples));
        over.map(|(frame, _)| (frame as u64 + 1) * FRAME_MS)
    }

    #[test]
    fn a_greeting_is_over_by_a_pause_and_not_between_two_words() {
        let said = [(600, &QUIET), (800, &SPEECH), (900, &QUIET), (1_200, &SPEECH), (5_000, &QUIET)];
        assert_eq!(over_after(&said), Some(3_500 + PAUSE_MS));
    }

    #[test]
    fn who_says_nothing_is_spoken_to_after_a_while_and_a_click_is_no_greeting() {
        assert_eq!(over_after(&[(9_000, &QUIET)]), Some(SILENCE_MS));
        assert_eq!(over_after(&[(100, &SPEECH), (9_000, &QUIET)]), Some(100 + SILENCE_MS));
    }

    #[test]
    fn what_never_pauses_is_no_greeting_that_ends() {
        assert_eq!(over_after(&[(30_000, &SPEECH)]), None);
    }
}
