//! Calls that are over, found: by who took part, what they came to, what people say of them, and by what was said, in these words
//! or in others.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use sotto_call::{CallId, Millis, Party};
use sotto_store::{CallSentiment, FoundCall, SaidRow, SearchFilter};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Action, Identity, authorize};
use super::contacts::{LONGEST_QUERY, moment, page_of};
use super::error::{ApiError, ErrorBody, Query};
use super::{App, schema};
use crate::meaning::{self, Found, Matched};
use crate::summary::CallSummary;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/review/calls", get(find))
}

/// Which calls are looked for: all of it must be so.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchParams {
    /// What was said: words of one utterance, each from its beginning on (of one or two letters as a whole), in any spelling.
    said: Option<String>,
    /// Whether what means the same is found as well, in whatever words: then the best comes first, and there is one page of at
    /// most 50 calls, whatever `before` says. Words alone find where there is no model for that.
    meaning: Option<bool>,
    /// The agent who took part last. Agents find their own calls, whatever this says.
    agent: Option<String>,
    /// Calls that began at this time or later.
    since_unix_ms: Option<u64>,
    /// Calls that began before it.
    until_unix_ms: Option<u64>,
    /// What the customer wanted, by the organisation's name for it.
    intent: Option<String>,
    /// How they felt: `positive`, `neutral` or `negative`; for those who see moods.
    #[param(value_type = Option<String>)]
    sentiment: Option<CallSentiment>,
    /// How it came out, as a person says.
    outcome: Option<String>,
    /// A quality of this or more, from 0 to 1.
    score_from: Option<f32>,
    /// A quality of less than this, from 0 to 1.
    score_below: Option<f32>,
    /// Whether somebody wants it to be looked at.
    flagged: Option<bool>,
    /// Whether anybody has reviewed it.
    reviewed: Option<bool>,
    /// Only calls that began before this one: the id of the last call of the page before.
    #[param(value_type = Option<String>)]
    before: Option<CallId>,
    /// How many, 50 when absent and 200 at most.
    limit: Option<u32>,
}

/// A page of calls that were found.
#[derive(Serialize, ToSchema)]
pub(super) struct FoundCalls {
    /// Newest first; the best first where they were looked for by their meaning.
    calls: Vec<FoundEntry>,
    /// Whether it was looked for by its meaning as well. False also where that was asked for, and there is no model for it yet.
    by_meaning: bool,
    /// Whether only the newest 5,000 calls that fit were compared by their meaning; older ones are found by their words alone.
    older_by_words: bool,
}

/// A call that was found.
#[derive(Serialize, ToSchema)]
pub(super) struct FoundEntry {
    call: CallSummary,
    /// The agent who took part last.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// What the customer wanted, by the organisation's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<String>,
    /// What people call that, by BCP 47 language.
    intent_title: BTreeMap<String, String>,
    /// How they felt: `positive`, `neutral` or `negative`; for those who see moods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    sentiment: Option<CallSentiment>,
    /// Its quality by the scorecard, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    /// How many people have reviewed it.
    reviews: u64,
    /// Who wants it to be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    flagged_by: Option<String>,
    /// The first utterances with the words that were looked for, at most three, and those that mean the same.
    said: Vec<FoundWords>,
}

/// Why an utterance was found.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FoundBy {
    /// It has the words.
    Words,
    /// It means the same, or one beside it does.
    Meaning,
}

/// An utterance that was looked for.
#[derive(Serialize, ToSchema)]
pub(super) struct FoundWords {
    utterance_id: u32,
    #[schema(value_type = schema::Party)]
    party: Party,
    /// When it began.
    #[schema(value_type = u64)]
    start_ms: Millis,
    text: String,
    /// Why: one reason or both.
    found_by: Vec<FoundBy>,
}

impl From<Matched> for FoundWords {
    fn from(Matched { said, by_words, by_meaning }: Matched) -> Self {
        let SaidRow { utterance, party, at, text } = said;
        let reasons = [(by_words, FoundBy::Words), (by_meaning, FoundBy::Meaning)];
        let found_by = reasons.into_iter().filter_map(|(is_one, reason)| is_one.then_some(reason)).collect();
        Self { utterance_id: utterance.0, party, start_ms: at, text, found_by }
    }
}

/// Find calls that are over
///
/// Supervisors find those of everybody, reviewers those of their team, agents their own. A call is found some moments after its end, when it is known what it
/// came to; in a list without conditions it is at once.
#[utoipa::path(get, path = "/api/review/calls", tag = "Quality", params(SearchParams), responses(
    (status = 200, description = "A page", body = FoundCalls),
    (status = 400, description = "A parameter is none", body = ErrorBody),
    (status = 403, description = "Not theirs to look for", body = ErrorBody),
))]
pub(super) async fn find(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<SearchParams>,
) -> Result<axum::Json<FoundCalls>, ApiError> {
    authorize(&identity, Action::ListCalls)?;
    let agent = match (&identity, authorize(&identity, Action::ReviewCalls)) {
        (_, Ok(())) => params.agent,
        (Identity::User { name, .. }, Err(_)) => Some(name.clone()),
        (Identity::Key { .. }, Err(error)) => return Err(error),
    };
    let sight = app.sight_of_lists(&identity);
    if params.sentiment.is_some() && !sight.moods {
        return Err(ApiError::forbidden("moods are not yours to see"));
    }
    let is_score = |score: &f32| (0.0..=1.0).contains(score);
    if !params.score_from.iter().chain(&params.score_below).all(is_score) {
        return Err(ApiError::invalid("a score is from 0 to 1"));
    }
    let texts = [&params.said, &agent, &params.intent, &params.outcome];
    if texts.into_iter().flatten().any(|text| text.chars().count() > LONGEST_QUERY) {
        return Err(ApiError::invalid(format!("at most {LONGEST_QUERY} characters are looked for")));
    }
    let filter = SearchFilter {
        reach: identity.reach(),
        agent,
        since_unix_ms: params.since_unix_ms.map(moment).transpose()?,
        until_unix_ms: params.until_unix_ms.map(moment).transpose()?,
        intent: params.intent,
        sentiment: params.sentiment,
        outcome: params.outcome,
        score_from: params.score_from,
        score_below: params.score_below,
        flagged: params.flagged,
        reviewed: params.reviewed,
        said: params.said,
        among: Vec::new(),
        before: params.before,
        limit: page_of(params.limit),
    };
    // What has no words means nothing.
    let has_words = filter.said.as_deref().is_some_and(|said| !sotto_text::words(said).is_empty());
    let found = match params.meaning.unwrap_or_default() && has_words {
        true => meaning::find(app.store(), &app.shared.parts.library, &filter).await?,
        false => None,
    };
    let by_meaning = found.is_some();
    let Found { calls, compared_all } = match found {
        Some(found) => found,
        None => Found::by_words(app.store().find_calls(&filter).await?),
    };
    let entry = |(found, said): (FoundCall, Vec<Matched>)| FoundEntry {
        call: found.call.into(),
        agent: found.agent,
        intent: found.intent,
        intent_title: found.intent_title,
        sentiment: found.sentiment.filter(|_| sight.moods),
        score: found.score,
        reviews: found.reviews,
        flagged_by: found.flagged_by,
        said: said.into_iter().map(FoundWords::from).collect(),
    };
    let calls = calls.into_iter().map(entry).collect();
    Ok(axum::Json(FoundCalls { calls, by_meaning, older_by_words: by_meaning && !compared_all }))
}
