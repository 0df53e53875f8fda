//! Messages and e-mails to customers to begin with.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde::Deserialize;
use sotto_call::CallId;
use utoipa::ToSchema;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody, Json};
use super::knowledge::{asked_last, asked_on, fits};
use crate::assist::{self, Draft, DraftChannel, DraftLanguage, DraftTone, DraftWish};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/ai/assist/draft", post(draft))
}

/// What somebody wants to write.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDraft {
    /// The call after which it is written, or during which.
    #[serde(rename = "callId")]
    #[schema(value_type = String)]
    call_id: CallId,
    /// What the customer wants to know, in whatever words; absent: what they asked last.
    #[serde(default)]
    about: Option<String>,
    /// How it is written.
    tone: DraftTone,
    /// In which language.
    language: DraftLanguage,
    /// By which way it is to go.
    channel: DraftChannel,
}

/// Draft a message or an e-mail
///
/// To the customer of a call, from passages that are for whoever asks and from what was named on the call (amounts, dates,
/// orders, courses, cities). Nothing is sent. Every sentence has the numbers of what it rests on; they are the passages'
/// own sentences, or a language model's, where one is configured (`by`), of which those are left out that do not stand in
/// what they name. Only passages in the language that is wanted are used. It counts as a search does, and is in the audit.
/// Keys need `knowledge:read` and `calls:read`.
#[utoipa::path(post, path = "/api/ai/assist/draft", tag = "Knowledge", request_body = NewDraft, responses(
    (status = 200, description = "A draft, or why there is none (`refused`)", body = Draft),
    (status = 400, description = "Nothing was asked on the call, or too much is", body = ErrorBody),
    (status = 403, description = "Not theirs to do", body = ErrorBody),
    (status = 404, description = "No such call", body = ErrorBody),
    (status = 429, description = "Too often", body = ErrorBody),
))]
pub(super) async fn draft(
    State(app): State<App>,
    identity: Identity,
    Json(NewDraft { call_id, about, tone, language, channel }): Json<NewDraft>,
) -> Result<axum::Json<Draft>, ApiError> {
    authorize(&identity, Action::ReadKnowledge)?;
    let about = about.as_deref().map(|about| fits("about", about, None)).transpose()?;
    app.work(&identity)?;
    let call = app.said_on(&identity, call_id).await?;
    let asked = about.map_or_else(|| asked_last(&call), |about| Some(asked_on(&call, about)));
    let Some((text, context)) = asked else {
        return Err(ApiError::invalid("nothing was asked on this call: say in `about` what it is about"));
    };
    let context: Vec<&str> = context.iter().map(String::as_str).collect();
    let hits = app.found(&identity, &text, &context).await?;
    let query = sotto_knowledge::Query { text: &text, context: &context, ..Default::default() };
    let wish = DraftWish { tone, language, channel };
    let draft = assist::draft(&query, &hits, &call, wish, app.shared.parts.model.as_ref()).await;
    // What stands in it may be removed with its document or its call, the audit is kept.
    let what = format!("{channel:?}, {language:?}, {tone:?}, from {} passages", draft.body.passages.len());
    app.shared.parts.desk.audit().note(identity.name(), "draft", Some(call_id), &what.to_lowercase());
    Ok(axum::Json(draft))
}
