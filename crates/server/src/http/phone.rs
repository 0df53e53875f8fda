//! The agent's telephone: a WebSocket between the page and the desk.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use axum::routing::any;
use tokio::sync::mpsc;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody};
use super::live::{Feed, json, not_a_socket, open};
use crate::desk::{Page, ToPage};
use crate::hub::FollowError;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/phone", any(phone))
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

    async fn hear(&mut self, text: &str) -> Result<(), &'static str> {
        let asked = serde_json::from_str(text).map_err(|_| "not a message that is understood here")?;
        self.page.ask(asked).await;
        Ok(())
    }
}

/// Be an agent with a telephone (WebSocket)
///
/// Text frames both ways, one JSON object each, told apart by `type`. From here: `hello` first (the agent, what
/// the agent is doing, ICE servers), then `state`, `ring` and `stop_ringing`, `answer` (SDP), `candidate`,
/// `talking` (the call's id), `media`, `held`, `over`, and `refused` with a reason. From the page: `ready` and
/// `away`; `accept` with the number of the ringing and an SDP offer, or `decline`; `candidate`; `reoffer` after
/// a change of address; `hold`; `hang_up`; from supervisors `supervise` with the id of a call, `listen`,
/// `whisper` or `barge`, and an SDP offer when they come to it, and `leave`. A second page of the same agent takes
/// the place of the first, which is told `replaced` and closed with 1000.
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
