//! How calls go all in all, in figures, for supervisors.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use sotto_crm::TaskState;
use sotto_store::{DayRow, IntentCount};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::moment;
use super::error::{ApiError, ErrorBody, Query};

const DAY_MS: u64 = 86_400_000;
/// Days that are looked at when nothing is said, and at most.
const USUAL_DAYS: u64 = 30;
const MOST_DAYS: u64 = 92;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/dashboard", get(show))
}

/// When calls began.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RangeParams {
    /// At this time or later; 30 days before the end when absent.
    since_unix_ms: Option<u64>,
    /// Before this time, at most 92 days later; now when absent.
    until_unix_ms: Option<u64>,
}

impl RangeParams {
    /// From when to when, in milliseconds since 1970 (UTC).
    ///
    /// # Errors
    /// 400 where that is no time, or too long a one.
    pub(super) fn within(&self, now_unix_ms: u64) -> Result<(u64, u64), ApiError> {
        // What begins just now is meant as well.
        let until = moment(self.until_unix_ms.unwrap_or(now_unix_ms.saturating_add(1)))?;
        let since = self.since_unix_ms.unwrap_or(until.saturating_sub(USUAL_DAYS * DAY_MS));
        if since >= until || until - since > MOST_DAYS * DAY_MS {
            return Err(ApiError::invalid(format!("a time is some moment to {MOST_DAYS} days")));
        }
        Ok((since, until))
    }
}

/// How calls of a time went.
#[derive(Serialize, ToSchema)]
pub(super) struct Dashboard {
    since_unix_ms: u64,
    until_unix_ms: u64,
    /// All of them.
    total: CallFigures,
    /// Day by day on the organisation's clock, in order of time; days without calls are absent.
    days: Vec<DayFigures>,
    /// What customers wanted, the most frequent first, at most 12.
    intents: Vec<IntentFigures>,
    /// Tasks that were made within the time.
    tasks: TaskFigures,
}

/// How the calls of a day went.
#[derive(Serialize, ToSchema)]
pub(super) struct DayFigures {
    /// Its midnight.
    begins_unix_ms: u64,
    figures: CallFigures,
}

/// How some calls went.
#[derive(Serialize, ToSchema)]
pub(super) struct CallFigures {
    /// Those that are over, and of which it is known what they came to.
    calls: u64,
    /// How long they were on average.
    length_ms: Option<u64>,
    /// Their quality by the scorecard on average, from 0 to 1.
    score: Option<f64>,
    /// Those that people have reviewed.
    reviewed: u64,
    /// How their customers felt in the end; null for those who do not see moods.
    moods: Option<MoodFigures>,
    /// How long agents spoke.
    agent_ms: u64,
    /// How long customers spoke.
    customer_ms: u64,
    /// How long nobody did.
    silence_ms: u64,
    /// How late final words were published on average.
    latency_ms: Option<u64>,
    /// How probable recognition held a word on average, from 0 to 1.
    certainty: Option<f64>,
    /// Audio that recognition did not get.
    lost_ms: u64,
}

/// In how many calls customers felt so in the end; where nothing is known, in none.
#[derive(Serialize, ToSchema)]
pub(super) struct MoodFigures {
    positive: u64,
    neutral: u64,
    negative: u64,
}

/// In how many calls customers wanted something.
#[derive(Serialize, ToSchema)]
pub(super) struct IntentFigures {
    /// The organisation's name for it.
    intent: String,
    /// What people call it, by BCP 47 language.
    title: BTreeMap<String, String>,
    calls: u64,
}

/// How far tasks are.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskFigures {
    proposed: u64,
    open: u64,
    done: u64,
    dismissed: u64,
}

impl CallFigures {
    fn of(row: &DayRow, with_moods: bool) -> Self {
        let DayRow { positive, neutral, negative, .. } = *row;
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        Self {
            calls: row.calls,
            length_ms: row.duration_ms.checked_div(row.calls),
            score: mean(row.score, row.judged),
            reviewed: row.reviewed,
            moods: with_moods.then_some(MoodFigures { positive, neutral, negative }),
            agent_ms: row.agent_ms,
            customer_ms: row.customer_ms,
            silence_ms: row.silence_ms,
            latency_ms: row.latency_ms.checked_div(row.finals),
            certainty: mean(row.probability, row.words),
            lost_ms: row.lost_ms,
        }
    }
}

/// How calls go
///
/// In figures, of calls that began within a time.
#[utoipa::path(get, path = "/api/dashboard", tag = "Quality", params(RangeParams), responses(
    (status = 200, description = "All in all, and day by day", body = Dashboard),
    (status = 400, description = "No time, or too long a one", body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
))]
pub(super) async fn show(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<RangeParams>,
) -> Result<axum::Json<Dashboard>, ApiError> {
    authorize(&identity, Action::ReadDashboard)?;
    let (since, until) = params.within(app.now_unix_ms())?;
    let ahead_ms = i64::from(app.settings().crm.clock.whole_seconds()) * 1_000;
    let kept = app.store().dashboard(since, until, ahead_ms).await?;
    let with_moods = app.sight_of_lists(&identity).moods;
    let mut total = DayRow::default();
    kept.days.iter().for_each(|day| total += *day);
    let days = kept.days.iter().map(|day| DayFigures {
        begins_unix_ms: day.begins_unix_ms,
        figures: CallFigures::of(day, with_moods),
    });
    let intents = kept.intents.into_iter().map(|IntentCount { intent, title, calls }| IntentFigures {
        intent,
        title,
        calls,
    });
    let tasks = |state: TaskState| kept.tasks.get(&state).copied().unwrap_or_default();
    Ok(axum::Json(Dashboard {
        since_unix_ms: since,
        until_unix_ms: until,
        total: CallFigures::of(&total, with_moods),
        days: days.collect(),
        intents: intents.collect(),
        tasks: TaskFigures {
            proposed: tasks(TaskState::Proposed),
            open: tasks(TaskState::Open),
            done: tasks(TaskState::Done),
            dismissed: tasks(TaskState::Dismissed),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_bounded_and_ends_now() {
        let of = |since_unix_ms, until_unix_ms| {
            RangeParams { since_unix_ms, until_unix_ms }
                .within(100 * DAY_MS)
                .map_err(|error| error.message().to_owned())
        };
        assert_eq!(of(None, None), Ok((70 * DAY_MS + 1, 100 * DAY_MS + 1)));
        assert_eq!(of(Some(8 * DAY_MS + 1), None), Ok((8 * DAY_MS + 1, 100 * DAY_MS + 1)));
        assert!(of(Some(8 * DAY_MS), None).unwrap_err().contains("92 days"));
        assert!(
            of(Some(5), Some(5)).is_err() && of(None, Some(u64::MAX)).is_err() && of(None, Some(0)).is_err()
        );
        assert_eq!(of(Some(4), Some(5)), Ok((4, 5)));
    }

    #[test]
    fn where_there_is_nothing_there_is_no_average() {
        let none = CallFigures::of(&DayRow::default(), true);
        assert_eq!((none.length_ms, none.score, none.latency_ms, none.certainty), (None, None, None, None));
        let row = DayRow {
            calls: 2,
            duration_ms: 9,
            judged: 1,
            score: 0.5,
            words: 4,
            probability: 3.0,
            ..DayRow::default()
        };
        let some = CallFigures::of(&row, false);
        assert_eq!((some.length_ms, some.score, some.certainty), (Some(4), Some(0.5), Some(0.75)));
        assert!(some.moods.is_none());
    }
}
