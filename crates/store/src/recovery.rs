//! Closing the calls that a crash left open, of the process at its next start, of a call's task at once.

use sotto_call::{
    CallEnded, CallId, CallLog, CallStarted, CallState, EndReason, EventBody, FORMAT_VERSION, Millis,
};

use crate::{CallRow, Closing, Store, StoreError};

/// A call that was closed by what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Which.
    pub id: CallId,
    /// How long it was, as far as anyone can tell now.
    pub duration_ms: Millis,
    /// Events it has, the closing one included.
    pub last_seq: u64,
}

/// Closes every live call as interrupted, see [`close_by_log`]. Its duration runs to the end of the recording where
/// `recorded`, which is asked for the length of a call's recording, knows of a longer one.
///
/// Call it at start, before any call begins, holding [`Store::lock_instance`].
///
/// # Errors
/// When the database refuses. Calls closed before that stay closed; running it again goes on.
pub async fn recover(
    store: &Store,
    recorded: impl Fn(&CallRow) -> Option<Millis>,
) -> Result<Vec<Recovered>, StoreError> {
    let mut closed = Vec::new();
    for row in store.live_calls().await? {
        let (_, call) = close_by_log(store, &row, EndReason::Interrupted, recorded(&row)).await?;
        let Recovered { id, duration_ms, last_seq } = call;
        tracing::warn!(call = %id, events = last_seq, %duration_ms, "closed an interrupted call");
        closed.push(call);
    }
    Ok(closed)
}

/// Closes a live call that nobody numbers events of any more, by what is stored of it. Its last event says why, and is
/// numbered after the newest that was stored; its duration runs to that event, or to `recorded` when that is later. A call
/// with an event that this version cannot read is closed by what its row says, which is logged. What the call adds up to is
/// given back.
///
/// # Errors
/// When the database refuses.
pub async fn close_by_log(
    store: &Store,
    row: &CallRow,
    reason: EndReason,
    recorded: Option<Millis>,
) -> Result<(CallState, Recovered), StoreError> {
    let mut state = match store.state(row.id).await {
        Err(error) if error.is_permanent() => {
            // Nothing else has to wait for it.
            tracing::error!(call = %row.id, %error, "closed without what was said in it");
            CallState::default()
        }
        state => state?,
    };
    let mut log = CallLog::after(state.seq.max(row.last_seq), row.last_at);
    let mut events = Vec::new();
    if state.started.is_none() && log.last_seq() == 0 {
        // Killed between the row and its first event: the log must begin as every log does.
        events.push(log.append(Millis(0), EventBody::CallStarted(started_of(row))));
    }
    let ended = match &state.ended {
        Some(ended) => ended.clone(),
        None => {
            let duration_ms = recorded.map_or(row.last_at, |recorded| recorded.max(row.last_at));
            let ended = CallEnded { reason, duration_ms };
            events.push(log.append(duration_ms, EventBody::CallEnded(ended.clone())));
            ended
        }
    };
    events.iter().for_each(|event| state.apply(event));
    let duration_ms = ended.duration_ms;
    store.end_call(row.id, &events, &Closing::of(&state, ended)).await?;
    Ok((state, Recovered { id: row.id, duration_ms, last_seq: log.last_seq() }))
}

fn started_of(row: &CallRow) -> CallStarted {
    CallStarted {
        version: FORMAT_VERSION,
        source: row.source,
        started_at_unix_ms: row.started_at_unix_ms,
        external_id: row.external_id.clone(),
        participants: row.participants.clone(),
        language: row.language.clone(),
        bridged: false,
        parties_guessed: false,
        headers: Default::default(),
    }
}
