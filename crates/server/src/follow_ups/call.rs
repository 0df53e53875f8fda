//! Messages that are said on the telephone: spoken by a synthetic voice, to whoever or whatever answers.

use futures::future::BoxFuture;
use sotto_sip::DialError;
use sotto_store::FollowUpRow;

use super::Outcome;
use super::voice::{Speech, Voice, VoiceError};
use crate::calls::Announced;

/// Calls a number and says this to whoever answers.
pub type Announce =
    Box<dyn Fn(String, Speech) -> BoxFuture<'static, Result<Announced, DialError>> + Send + Sync>;

/// A voice, and how it gets to a telephone.
pub(super) struct Telephone {
    voice: Voice,
    announce: Announce,
}

impl Telephone {
    pub fn new(voice: Voice, announce: Announce) -> Self {
        Self { voice, announce }
    }

    /// It rings for as long as it rings, and says all there is to say.
    pub async fn send(&self, row: &FollowUpRow) -> Outcome {
        let speech = match self.voice.speak(&row.message.text).await {
            Ok(speech) => speech,
            Err(error @ VoiceError::Language) => return Outcome::Refused(error.to_string()),
            Err(error) => return Outcome::Again(error.to_string(), None),
        };
        let number = row.message.to.clone().unwrap_or_default();
        match (self.announce)(number, speech).await {
            Ok(Announced::Whole) => Outcome::Sent(None),
            // Somebody has answered: whether they are to be called once more is not for a program to say.
            Ok(Announced::Broken(said)) => {
                Outcome::Unknown(format!("the call was over when {} seconds were said", said.as_secs()))
            }
            Err(error) if is_final(&error) => Outcome::Refused(error.to_string()),
            Err(error) => Outcome::Again(error.to_string(), None),
        }
    }
}

/// Whether calling again is of no use: there is no such number, or whoever has it does not want to be called (RFC 3261 section
/// 21, RFC 8197, RFC 8688).
fn is_final(error: &DialError) -> bool {
    match error {
        DialError::Number(_) => true,
        DialError::Refused { status, .. } => matches!(status, 403 | 404 | 410 | 484 | 603 | 604 | 607 | 608),
        _ => false,
    }
}
