//! The agent's telephone: a WebSocket between the page and the desk.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use axum::routing::{any, get};
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody};
use super::live::{Feed, Misuse, json, not_a_socket, open};
use super::{App, schema};
use crate::desk::{InLine, Page, Reason, ToPage, Who};
use crate::hub::FollowError;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/phone", any(phone)).route("/desk", get(desk))
}

/// A page's telephone.
struct Phone {
    page: Page,
    told: mpsc::Receiver<ToPage>,
}

impl Feed for Phone {
    /// An offer has about 3 kB.
    const LARGEST_MESSAGE: usize = 40 << 10;
    /// A browser on many networks has some dozens of candidates.
    const MOST_MESSAGES: u32 = 100;

    async fn next(&mut self) -> Result<Option<String>, FollowError> {
        // Over when another page of the same agent has taken this one's place.
        Ok(self.told.recv().await.map(|message| json(&message)))
    }

    fn last(&self) -> Option<String> {
        Some(json(&ToPage::Replaced {}))
    }

    fn refused(&self, misuse: Misuse, why: &str) {
        let reason = match misuse {
            Misuse::TooMany => Reason::TooMany,
            Misuse::TooLarge => Reason::TooLarge,
            Misuse::NotUnderstood => Reason::NotUnderstood,
        };
        self.page.refused(reason, why);
    }

    async fn hear(&mut self, text: &str) -> Result<(), &'static str> {
        let asked = serde_json::from_str(text).map_err(|_| "not a message that is understood here")?;
        self.page.ask(asked).await;
        Ok(())
    }
}

/// Whom calls can be put through to.
#[derive(Serialize, ToSchema)]
pub(super) struct DeskNow {
    /// Agents who are there, by name.
    #[schema(value_type = Vec<schema::AtDesk>)]
    agents: Vec<Who>,
    /// Numbers of ours.
    numbers: Vec<String>,
    /// Callers who have not been answered yet, in the order in which they came.
    #[schema(value_type = Vec<schema::InLine>)]
    waiting: Vec<InLine>,
}

/// Who is there, and who waits
#[utoipa::path(get, path = "/api/desk", tag = "Phone", responses(
    (status = 200, description = "Agents with an open page, numbers, and callers in line", body = DeskNow),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn desk(
    State(app): State<App>,
    identity: Identity,
) -> Result<axum::Json<DeskNow>, ApiError> {
    authorize(&identity, Action::TakeCalls)?;
    let desk = &app.shared.parts.desk;
    Ok(axum::Json(DeskNow { agents: desk.agents(), numbers: desk.numbers(), waiting: desk.in_line() }))
}

/// Be an agent with a telephone (WebSocket)
///
/// Text frames both ways, one JSON object each, told apart by `type`. From here: `hello` first (the agent, what the
/// agent is doing, ICE servers), then `state`, `ring` and `stop_ringing`, `answer` (SDP), `candidate`, `talking` (the
/// call's id), `colleague` (who else the call may go to), `media`, `held`, `supervisor`, `supervising` (what a supervisor
/// does on a call, or that they are on none any more), `over`, `call_failed` when a call that the page has placed does
/// not come about (`reason` is `busy`, `no_answer`, `no_number`, `refused`, `unreachable` or `no_trunk`), and `refused`
/// with a reason for all else that is not done. From the page: `ready` and `away`; `accept` with the number of the
/// ringing and an SDP offer, or `decline`; `call` with a number and an offer; `candidate`; `resume` with a new offer,
/// after the page was loaded anew or its address has changed; `hold`; `transfer` to an agent or a number, `consult` to
/// talk with them first, then `complete` or `take_back`; `hang_up`, which leaves the call to whoever is being rung; from
/// supervisors `supervise` with the id of a call, `listen`, `whisper` or `barge`, and an SDP offer when they come to it,
/// and `leave`; and `ping`, to which nothing is said. A second page of the same agent takes the place of the first, which
/// is told `replaced` and closed with 1000.
#[utoipa::path(get, path = "/api/phone", tag = "Phone", responses(
    (status = 101, description = "Switching to WebSocket"),
    (status = 403, description = "Not a person", body = ErrorBody),
    (status = 503, description = "Too many connections", body = ErrorBody),
))]
pub(super) async fn phone(
    State(app): State<App>,
    identity: Identity,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    authorize(&identity, Action::TakeCalls)?;
    let may_supervise = authorize(&identity, Action::Supervise).is_ok();
    let Identity::User { name, .. } = &identity else {
        return Err(ApiError::forbidden("only people have telephones"));
    };
    let upgrade = upgrade.map_err(not_a_socket)?;
    let (page, told) = app.shared.parts.desk.open(name, may_supervise);
    open(app, upgrade, identity, Action::TakeCalls, Phone { page, told })
}
