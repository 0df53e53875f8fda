//! All that is kept of one person: what they may ask for, and what goes when they are to be forgotten.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use sotto_call::{CallId, Participant};
use sotto_crm::{Phone, Place};
use sotto_store::{CallFilter, CallRow, CallRowState, ContactRow, Store, StoreError};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::cli::now_unix_ms;
use crate::crm::CrmRules;
use crate::imports::Imports;
use crate::retention;

/// Rows that are read together.
const PAGE: u32 = 500;

/// What went with a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Erased {
    /// Calls, with their words and recordings.
    pub calls: u64,
    /// Calls whose recordings could not be removed, or are just being listened to, and which are therefore still there, as is the
    /// contact.
    pub left: u64,
    /// Calls that nobody answered.
    pub missed: u64,
    /// Recordings made elsewhere that were no calls yet.
    pub recordings: u64,
}

/// Whether a call of these participants is with somebody who has one of these numbers.
#[must_use]
pub fn is_with(rules: &CrmRules, participants: &[Participant], numbers: &[Phone]) -> bool {
    rules.customer(participants).is_some_and(|number| numbers.contains(&number))
}

/// The calls with a contact that are over, newest first: those with one of their numbers, and those on their timeline. All calls
/// are looked through, for no index knows those of which nothing was drawn.
///
/// # Errors
/// When the store refuses.
pub async fn calls(
    store: &Store,
    rules: &CrmRules,
    contact: &ContactRow,
) -> Result<Vec<CallRow>, StoreError> {
    let noted = noted_calls(store, contact.id).await?;
    let (mut calls, mut before) = (Vec::new(), None);
    loop {
        let filter = CallFilter { state: Some(CallRowState::Ended), before, limit: PAGE };
        let page = store.calls(filter).await?;
        let Some(last) = page.last() else { return Ok(calls) };
        before = Some(last.id);
        let numbers = &contact.contact.numbers;
        let is_theirs =
            |call: &CallRow| noted.contains(&call.id) || is_with(rules, &call.participants, numbers);
        calls.extend(page.into_iter().filter(is_theirs));
    }
}

/// The calls on a contact's timeline.
async fn noted_calls(store: &Store, contact: Uuid) -> Result<BTreeSet<CallId>, StoreError> {
    let (mut noted, mut before) = (BTreeSet::new(), None);
    loop {
        let page = store.communications(contact, before, PAGE).await?;
        let Some(last) = page.last() else { return Ok(noted) };
        before = Some(Place { at_unix_ms: last.at_unix_ms, id: last.id });
        noted.extend(page.iter().filter_map(|row| row.call));
    }
}

/// Removes all that is kept of a contact: recordings made elsewhere that are to become calls of theirs, their calls with words and
/// recordings, the calls of theirs that nobody answered, and themselves with timeline and tasks, last of all, so that what is
/// interrupted can be done again.
///
/// # Errors
/// When the store refuses.
pub async fn erase(
    store: &Store,
    imports: &Imports,
    data: &Path,
    rules: &CrmRules,
    contact: &ContactRow,
) -> Result<Erased, StoreError> {
    let (mut recordings, mut left) = (0, 0);
    for row in imports.of(&contact.contact.numbers).await? {
        let is_gone = imports.remove(row.import.id).await?;
        *(if is_gone { &mut recordings } else { &mut left }) += 1;
    }
    let theirs = calls(store, rules, contact).await?;
    let recorded: Vec<_> = theirs.into_iter().map(|call| (call.id, call.recording)).collect();
    let calls = retention::remove(store, data, &recorded).await?;
    left += (recorded.len() as u64).saturating_sub(calls);
    let of_theirs = |aor: &str| {
        let number = Phone::of_address(aor, rules.country);
        number.is_some_and(|number| contact.contact.numbers.contains(&number))
    };
    let callers = store.missed_callers().await?;
    let missed: Vec<Uuid> = callers.into_iter().filter(|(_, aor)| of_theirs(aor)).map(|(id, _)| id).collect();
    let missed = store.remove_missed(&missed).await?;
    if left == 0 {
        store.remove_contact(contact.id, None, now_unix_ms()).await?;
    }
    Ok(Erased { calls, left, missed, recordings })
}
