//! What people say of the quality of calls: they accept or correct what the scorecard says, the call's agent answers, and how
//! far they agree is told.
//!
//! Reviewers judge independently: what others say of a call is shown to them once they have said something themselves. What
//! they said first is what counts for how far they agree.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sotto_call::{CallId, Party, UtteranceId};
use sotto_review::{Agreement, Scorecard};
use sotto_store::{QualityReviewRow, Reach, ReplyRow, ScoreRow, StoreError, Verdict};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::auth::{Action, Identity, authorize};
use super::calls::{is_agent, was_agent};
use super::dashboard::RangeParams;
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use super::review::review;
use super::{App, schema};

/// What a change is called in the audit.
const AUDITED: &str = "quality";
/// Characters of what is said of one question, and of a call.
const LONGEST_REASON: usize = 500;
const LONGEST_COMMENT: usize = 2_000;
/// Answers that a call gets at most.
const MOST_REPLIES: u32 = 100;
/// Reviews that agreement is told of, those of the newest calls.
const MOST_COMPARED: u32 = 20_000;
/// Reviews whose examples are read together.
const TOGETHER: u32 = 50;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/calls/{id}/quality/reviews", get(list))
        .route("/calls/{id}/quality/review", put(put_review))
        .route("/calls/{id}/quality/replies", post(reply))
        .route("/calls/{id}/flag", put(flag))
        .route("/quality/agreement", get(agreement))
        .route("/quality/examples", get(examples))
}

/// What people say of a call's quality.
#[derive(Serialize, ToSchema)]
pub(super) struct QualityReviews {
    /// By reviewer.
    reviews: Vec<QualityReview>,
    /// In order of time.
    replies: Vec<QualityReply>,
    /// Who wants the call to be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    flagged_by: Option<String>,
    /// Whoever asks may review the call.
    may_review: bool,
}

/// What somebody says of a call's quality.
#[derive(Serialize, ToSchema)]
pub(super) struct QualityReview {
    /// Who says so.
    reviewer: String,
    /// Grows by one each time they say it anew.
    version: u64,
    at_unix_ms: u64,
    /// What they say is shown once whoever asks has reviewed the call, too.
    hidden: bool,
    /// `accepted`, or `corrected` where they judge a question differently; absent while it is hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    verdict: Option<Verdict>,
    /// Every question of the scorecard, in its order.
    scores: Vec<QualityScore>,
    /// What else.
    comment: String,
}

/// What somebody says of one question of the scorecard.
#[derive(Serialize, ToSchema)]
pub(super) struct QualityScore {
    /// The organisation's name for the question.
    question: String,
    /// How it was judged by the scorecard, from 0 to 1; null where it was not.
    built_in: Option<f32>,
    /// How they judge it, from 0 to 1; null where they cannot.
    score: Option<f32>,
    /// Why.
    comment: String,
}

/// An answer to what is said of a call's quality.
#[derive(Serialize, ToSchema)]
pub(super) struct QualityReply {
    by: String,
    at_unix_ms: u64,
    text: String,
}

/// Which versions to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReviewParams {
    /// All versions of each review, the newest first, instead of that one alone.
    history: Option<bool>,
}

/// What somebody says of a call's quality: it is accepted where nothing is corrected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewQualityReview {
    /// The version of their own review that they have seen; 0 where there is none.
    version: u64,
    /// What they judge differently, or have something to say of; what is absent is as the scorecard says.
    #[serde(default)]
    scores: Vec<NewQualityScore>,
    #[serde(default)]
    comment: String,
}

/// What somebody says of one question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewQualityScore {
    /// The organisation's name for the question.
    question: String,
    /// From 0 to 1; null where they cannot judge it.
    score: Option<f32>,
    #[serde(default)]
    comment: String,
}

/// An answer to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewQualityReply {
    text: String,
}

/// Whether a call is to be looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CallFlag {
    flagged: bool,
}

/// How far those who judge calls come to the same.
#[derive(Serialize, ToSchema)]
pub(super) struct QualityAgreement {
    /// Of all questions together.
    all: AgreementPair,
    /// Question by question, by name; those that nobody has judged are absent.
    questions: Vec<QuestionAgreement>,
}

/// How far people agree with each other, and with the scorecard.
#[derive(Serialize, ToSchema)]
pub(super) struct AgreementPair {
    /// People with each other; null where no two have judged the same.
    people: Option<AgreementFigures>,
    /// Each of them with the scorecard.
    built_in: Option<AgreementFigures>,
}

/// How far people agree about one question.
#[derive(Serialize, ToSchema)]
pub(super) struct QuestionAgreement {
    /// The organisation's name for it.
    question: String,
    /// What people call it, by BCP 47 language.
    title: BTreeMap<String, String>,
    agreement: AgreementPair,
}

/// How far judgements agree.
#[derive(Serialize, ToSchema)]
pub(super) struct AgreementFigures {
    /// What was judged twice or more.
    units: usize,
    /// The share of pairs that are nearer to each other than a quarter.
    share: f64,
    /// Krippendorff's α with the interval metric; null where nobody ever judges otherwise.
    alpha: Option<f64>,
}

/// A question as a person has judged it, with the words that it was judged by: an example for whatever is to judge alike.
#[derive(Serialize, ToSchema)]
pub(super) struct QualityExample {
    #[schema(value_type = String)]
    call_id: CallId,
    question: String,
    /// What people call it, by BCP 47 language.
    title: BTreeMap<String, String>,
    /// How the scorecard judged it.
    built_in: Option<f32>,
    /// How the person does.
    score: Option<f32>,
    /// Whether that is something else.
    corrected: bool,
    /// Why.
    comment: String,
    evidence: Vec<ExampleWords>,
}

/// Words that something was judged by.
#[derive(Serialize, ToSchema)]
pub(super) struct ExampleWords {
    utterance_id: u32,
    #[schema(value_type = schema::Party)]
    party: Party,
    /// The whole utterance.
    text: String,
}

/// What is read of a quality that is kept.
#[derive(Deserialize)]
struct Judged {
    questions: Vec<JudgedQuestion>,
}

#[derive(Deserialize)]
struct JudgedQuestion {
    name: String,
    title: BTreeMap<String, String>,
    score: Option<f32>,
    evidence: Vec<Cited>,
}

#[derive(Deserialize)]
struct Cited {
    utterance_id: UtteranceId,
}

/// What somebody is to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// They may say how good it was.
    Reviewer,
    /// A program that may read what is said.
    Program,
    /// It was theirs: they read what is said, and answer.
    Agent,
}

/// What somebody is to a call.
///
/// # Errors
/// 403 where what is said of it is none of their business.
async fn side(app: &App, identity: &Identity, id: CallId) -> Result<Side, ApiError> {
    app.allows(identity, Action::ReadCall(id)).await?;
    let Identity::User { name, .. } = identity else {
        return authorize(identity, Action::ReviewCalls).map(|()| Side::Program);
    };
    let call = app.store().call(id).await?.ok_or_else(|| ApiError::not_found("call"))?;
    if is_agent(name, &call.participants) || was_agent(app, id, name).await? {
        return Ok(Side::Agent);
    }
    authorize(identity, Action::ReviewCalls).map(|()| Side::Reviewer)
}

impl From<QualityReviewRow> for QualityReview {
    fn from(row: QualityReviewRow) -> Self {
        let scores = row.scores.into_iter().map(|ScoreRow { question, built_in, score, comment }| {
            QualityScore { question, built_in, score, comment }
        });
        Self {
            reviewer: row.reviewer,
            version: row.version,
            at_unix_ms: row.at_unix_ms,
            hidden: false,
            verdict: Some(row.verdict),
            scores: scores.collect(),
            comment: row.comment,
        }
    }
}

impl QualityReview {
    /// That there is one, and not what it says.
    fn hidden(self) -> Self {
        Self { hidden: true, verdict: None, scores: Vec::new(), comment: String::new(), ..self }
    }
}

impl From<ReplyRow> for QualityReply {
    fn from(ReplyRow { at_unix_ms, by, text, .. }: ReplyRow) -> Self {
        Self { by, at_unix_ms, text }
    }
}

/// What people say of a call's quality
///
/// For supervisors and reviewers, who see what others say once they have reviewed the call themselves, and for the call's agents,
/// who see all of it. Reviewers see calls of their team, here and in everything else.
#[utoipa::path(get, path = "/api/calls/{id}/quality/reviews", tag = "Quality",
    params(("id" = String, Path), ReviewParams), responses(
        (status = 200, description = "Reviews and answers", body = QualityReviews),
        (status = 403, description = "Somebody else's call", body = ErrorBody),
        (status = 404, description = "No such call", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Query(params): Query<ReviewParams>,
) -> Result<axum::Json<QualityReviews>, ApiError> {
    let may_review = side(&app, &identity, id).await? == Side::Reviewer;
    let rows = app.store().quality_reviews(id, params.history.unwrap_or_default()).await?;
    let is_blind = may_review && rows.iter().all(|row| row.reviewer != identity.name());
    let reviews = rows.into_iter().map(QualityReview::from);
    let reviews = reviews.map(|review| if is_blind { review.hidden() } else { review }).collect();
    let replies = app.store().quality_replies(id).await?;
    // Answers may repeat what is answered.
    let replies = replies.into_iter().filter(|_| !is_blind).map(QualityReply::from).collect();
    let flagged_by = app.store().call_flag(id).await?;
    Ok(axum::Json(QualityReviews { reviews, replies, flagged_by, may_review }))
}

/// Review a call's quality
///
/// As a person, of a call that was not one's own. It is kept as the next version of their review; the versions before stay.
#[utoipa::path(put, path = "/api/calls/{id}/quality/review", tag = "Quality", params(("id" = String, Path)),
    request_body = NewQualityReview, responses(
        (status = 200, description = "As it is kept", body = QualityReview),
        (status = 400, description = "No question of the scorecard, or no score", body = ErrorBody),
        (status = 403, description = "For supervisors and reviewers, and not of their own calls", body = ErrorBody),
        (status = 404, description = "No such call, or its quality is not known", body = ErrorBody),
        (status = 409, description = "They have reviewed it elsewhere meanwhile (`changed_meanwhile`)",
            body = ErrorBody),
    ))]
pub(super) async fn put_review(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Json(new): Json<NewQualityReview>,
) -> Result<axum::Json<QualityReview>, ApiError> {
    if side(&app, &identity, id).await? != Side::Reviewer {
        return Err(ApiError::forbidden("people review calls that were not theirs"));
    }
    let Some(judged) = judged(&review(&app, &identity, id).await?.quality) else {
        return Err(ApiError::not_found("quality"));
    };
    let mut said = BTreeMap::new();
    for one in new.scores {
        if one.score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
            return Err(ApiError::invalid("a score is from 0 to 1"));
        }
        if said.insert(one.question.clone(), one).is_some() {
            return Err(ApiError::invalid("a question is judged once"));
        }
    }
    let mut scores = Vec::with_capacity(judged.questions.len());
    for JudgedQuestion { name: question, score: built_in, .. } in judged.questions {
        let (score, comment) = match said.remove(&question) {
            Some(one) => (one.score, app.written(&one.comment, LONGEST_REASON)?),
            None => (built_in, String::new()),
        };
        scores.push(ScoreRow { question, built_in, score, comment });
    }
    if !said.is_empty() {
        return Err(ApiError::invalid("the scorecard has no such question"));
    }
    let corrected: Vec<&str> =
        scores.iter().filter(|one| one.score != one.built_in).map(|one| one.question.as_str()).collect();
    let (verdict, what) = match corrected.is_empty() {
        true => (Verdict::Accepted, "accepted".to_owned()),
        false => (Verdict::Corrected, format!("corrected: {}", corrected.join(", "))),
    };
    let version = new.version.saturating_add(1);
    let what = format!("version {version}, {what}");
    let row = QualityReviewRow {
        call: id,
        reviewer: identity.name().to_owned(),
        version,
        at_unix_ms: app.now_unix_ms(),
        verdict,
        scores,
        comment: app.written(&new.comment, LONGEST_COMMENT)?,
    };
    if i64::try_from(version).is_err() {
        return Err(StoreError::Stale.into());
    }
    app.store().add_quality_review(&row).await?;
    app.shared.parts.desk.audit().note(identity.name(), AUDITED, Some(id), &what);
    Ok(axum::Json(row.into()))
}

/// Answer what is said of a call's quality
///
/// The call's agents do so, supervisors and reviewers.
#[utoipa::path(post, path = "/api/calls/{id}/quality/replies", tag = "Quality", params(("id" = String, Path)),
    request_body = NewQualityReply, responses(
        (status = 201, description = "As it is kept", body = QualityReply),
        (status = 400, description = "It says nothing or too much, or there are 100 already", body = ErrorBody),
        (status = 403, description = "Somebody else's call", body = ErrorBody),
        (status = 404, description = "No such call", body = ErrorBody),
    ))]
pub(super) async fn reply(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Json(new): Json<NewQualityReply>,
) -> Result<(StatusCode, axum::Json<QualityReply>), ApiError> {
    if side(&app, &identity, id).await? == Side::Program {
        return Err(ApiError::forbidden("people answer"));
    }
    let text = app.written(&new.text, LONGEST_COMMENT)?;
    if text.is_empty() {
        return Err(ApiError::invalid("it says nothing"));
    }
    let by = identity.name().to_owned();
    let reply = ReplyRow { id: Uuid::now_v7(), at_unix_ms: app.now_unix_ms(), by, text };
    if !app.store().add_quality_reply(id, &reply, MOST_REPLIES).await? {
        return Err(ApiError::invalid("there are enough answers"));
    }
    app.shared.parts.desk.audit().note(&reply.by, AUDITED, Some(id), "answered");
    Ok((StatusCode::CREATED, axum::Json(reply.into())))
}

/// Have a call looked at
///
/// Or say that nobody need look at it any more.
#[utoipa::path(put, path = "/api/calls/{id}/flag", tag = "Quality", params(("id" = String, Path)),
    request_body = CallFlag, responses(
        (status = 204, description = "It is so"),
        (status = 403, description = "For supervisors and reviewers", body = ErrorBody),
        (status = 404, description = "No such call", body = ErrorBody),
    ))]
pub(super) async fn flag(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Json(CallFlag { flagged }): Json<CallFlag>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ReviewCalls)?;
    app.allows(&identity, Action::ReadCall(id)).await?;
    if !app.store().flag_call(id, flagged.then(|| identity.name()), app.now_unix_ms()).await? {
        return Err(ApiError::not_found("call"));
    }
    let what = if flagged { "flagged" } else { "flagged no more" };
    app.shared.parts.desk.audit().note(identity.name(), AUDITED, Some(id), what);
    Ok(StatusCode::NO_CONTENT)
}

/// How far those who judge calls agree
///
/// By what each said first, without having seen what others say: with each other, and with the scorecard. `alpha` is
/// Krippendorff's with the interval metric: 1 where all agree, 0 where they might as well have guessed.
#[utoipa::path(get, path = "/api/quality/agreement", tag = "Quality", params(RangeParams), responses(
    (status = 200, description = "Of calls that began within the time", body = QualityAgreement),
    (status = 400, description = "No time, or too long a one", body = ErrorBody),
    (status = 403, description = "For supervisors and reviewers", body = ErrorBody),
))]
pub(super) async fn agreement(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<RangeParams>,
) -> Result<axum::Json<QualityAgreement>, ApiError> {
    authorize(&identity, Action::ReviewCalls)?;
    let (since, until) = params.within(app.now_unix_ms())?;
    let reviews = app.store().first_quality_reviews(&identity.reach(), since, until, MOST_COMPARED).await?;
    Ok(axum::Json(agreed(&reviews)))
}

/// How far people who said this agree, each of whom said one thing of a call.
fn agreed(reviews: &[QualityReviewRow]) -> QualityAgreement {
    /// What was judged of one question.
    #[derive(Default)]
    struct Question {
        by_call: BTreeMap<CallId, Vec<f64>>,
        beside_built_in: Vec<[f64; 2]>,
    }
    let mut questions: BTreeMap<&str, Question> = BTreeMap::new();
    for review in reviews {
        for one in &review.scores {
            let Some(score) = one.score.map(f64::from) else { continue };
            let question = questions.entry(&one.question).or_default();
            question.by_call.entry(review.call).or_default().push(score);
            question.beside_built_in.extend(one.built_in.map(|built_in| [f64::from(built_in), score]));
        }
    }
    let pair = |questions: &[&Question]| AgreementPair {
        people: figures(questions.iter().flat_map(|one| one.by_call.values().map(Vec::as_slice))),
        built_in: figures(
            questions.iter().flat_map(|one| one.beside_built_in.iter().map(<[f64; 2]>::as_slice)),
        ),
    };
    let card = Scorecard::built_in();
    let each = questions.iter().map(|(name, question)| QuestionAgreement {
        question: (*name).to_owned(),
        title: card.title(name).cloned().unwrap_or_default(),
        agreement: pair(&[question]),
    });
    let each = each.collect();
    QualityAgreement { all: pair(&questions.values().collect::<Vec<_>>()), questions: each }
}

fn figures<'a>(units: impl Iterator<Item = &'a [f64]>) -> Option<AgreementFigures> {
    Agreement::of(units).map(|Agreement { units, share, alpha }| AgreementFigures { units, share, alpha })
}

/// What people judged, as examples
///
/// One JSON object a line: every question of the newest version of every review, with the words that it was judged by, as they
/// are kept now. People get those of calls that they have reviewed themselves, programs all.
#[utoipa::path(get, path = "/api/quality/examples", tag = "Quality", responses(
    (status = 200, description = "In order of calls", body = QualityExample, content_type = "application/x-ndjson"),
    (status = 403, description = "For supervisors and reviewers", body = ErrorBody),
))]
pub(super) async fn examples(State(app): State<App>, identity: Identity) -> Result<Response, ApiError> {
    /// Whose calls, who reads of what they have reviewed, and what was told last.
    type Next = (App, Reach, Option<String>, Option<(CallId, String)>);
    authorize(&identity, Action::ReviewCalls)?;
    app.shared.parts.desk.audit().note(identity.name(), AUDITED, None, "examples were read");
    // What others say of a call is not shown to somebody who may still judge it.
    let reader = matches!(identity, Identity::User { .. }).then(|| identity.name().to_owned());
    let begin = (app, identity.reach(), reader, None);
    let lines = futures::stream::try_unfold(begin, async |(app, reach, reader, after): Next| {
        let page = app.store().judged(&reach, reader.as_deref(), after.as_ref(), TOGETHER).await?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        let next = Some((last.call, last.reviewer.clone()));
        let mut lines = Vec::new();
        for (review, quality) in page {
            for example in examples_of(&app, review, quality.as_deref()).await? {
                if serde_json::to_writer(&mut lines, &example).is_ok() {
                    lines.push(b'\n');
                }
            }
        }
        Ok::<_, StoreError>(Some((Bytes::from(lines), (app, reach, reader, next))))
    });
    // A failure on the way cuts the answer off, which a client can tell from its end.
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// The examples of one review. Where the quality is being made again just now, they are without words.
async fn examples_of(
    app: &App,
    review: QualityReviewRow,
    quality: Option<&str>,
) -> Result<Vec<QualityExample>, StoreError> {
    let said = app.store().said(review.call).await?;
    let mut questions: BTreeMap<String, JudgedQuestion> = BTreeMap::new();
    let judged = quality.and_then(judged).map(|judged| judged.questions).unwrap_or_default();
    questions.extend(judged.into_iter().map(|question| (question.name.clone(), question)));
    let example = |ScoreRow { question, built_in, score, comment }: ScoreRow| {
        let (title, evidence) = match questions.remove(&question) {
            Some(question) => (question.title, question.evidence),
            None => (BTreeMap::new(), Vec::new()),
        };
        let words =
            said.iter().filter(|one| evidence.iter().any(|cited| cited.utterance_id == one.utterance));
        let words = words.map(|one| ExampleWords {
            utterance_id: one.utterance.0,
            party: one.party,
            text: one.text.clone(),
        });
        let corrected = score != built_in;
        let (call_id, evidence) = (review.call, words.collect());
        QualityExample { call_id, question, title, built_in, score, corrected, comment, evidence }
    };
    Ok(review.scores.into_iter().map(example).collect())
}

/// What is read of a quality that is kept as JSON. Nothing, which is logged, where it is none.
fn judged(quality: &str) -> Option<Judged> {
    let judged = serde_json::from_str(quality);
    judged.inspect_err(|error| tracing::error!(%error, "a quality that is kept cannot be read")).ok()
}

impl App {
    /// What somebody writes of a call, without secrets.
    ///
    /// # Errors
    /// 400 where it is too long.
    fn written(&self, text: &str, longest: usize) -> Result<String, ApiError> {
        let text = text.trim();
        if text.chars().count() > longest {
            return Err(ApiError::invalid(format!("a comment has at most {longest} characters")));
        }
        Ok(if text.is_empty() { String::new() } else { self.settings().redaction.without_secrets(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(call: CallId, reviewer: &str, scores: &[(&str, Option<f32>, Option<f32>)]) -> QualityReviewRow {
        let scores = scores.iter().map(|(question, built_in, score)| ScoreRow {
            question: (*question).to_owned(),
            built_in: *built_in,
            score: *score,
            comment: String::new(),
        });
        QualityReviewRow {
            call,
            reviewer: reviewer.to_owned(),
            version: 1,
            at_unix_ms: 1,
            verdict: Verdict::Corrected,
            scores: scores.collect(),
            comment: String::new(),
        }
    }

    #[test]
    fn people_agree_about_what_they_have_judged_of_the_same_call() {
        let (one, other) = (CallId::new(), CallId::new());
        let (no, half, yes) = (Some(0.0), Some(0.5), Some(1.0));
        let agreed = agreed(&[
            said(one, "nima", &[("greeting", yes, yes), ("pace", half, None)]),
            said(one, "sara", &[("greeting", yes, yes), ("pace", half, no)]),
            said(other, "sara", &[("greeting", no, no), ("own", None, yes)]),
        ]);
        let names: Vec<&str> = agreed.questions.iter().map(|one| one.question.as_str()).collect();
        assert_eq!(names, ["greeting", "own", "pace"]);
        let greeting = &agreed.questions[0];
        assert!(greeting.title["fa"].contains("سلام"));
        let people = greeting.agreement.people.as_ref().unwrap();
        assert_eq!((people.units, people.share, people.alpha), (1, 1.0, None), "nobody ever said otherwise");
        let built_in = greeting.agreement.built_in.as_ref().unwrap();
        assert_eq!((built_in.units, built_in.share, built_in.alpha), (3, 1.0, Some(1.0)));
        let pace = &agreed.questions[2].agreement;
        assert!(pace.people.is_none(), "only one has judged it");
        assert_eq!(pace.built_in.as_ref().unwrap().share, 0.0);
        assert!(agreed.questions[1].agreement.built_in.is_none());
        assert_eq!(agreed.all.people.unwrap().units, 1);
        assert_eq!(agreed.all.built_in.unwrap().units, 4);
    }

    #[test]
    fn what_is_no_quality_is_read_as_none() {
        assert!(judged("").is_none() && judged("{}").is_none());
        let kept = r#"{"total":null,"areas":{},"questions":[{"name":"a","area":"clarity","title":{"en":"A"},
            "weight":1.0,"score":null,"not_judged":"no_agent","evidence":[]}]}"#;
        assert_eq!(judged(kept).unwrap().questions[0].name, "a");
    }
}
