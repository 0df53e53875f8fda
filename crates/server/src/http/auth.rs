//! Who asks, and whether they may.
//!
//! A browser signs in with a cookie, a program with a key. A cookie is sent by the browser whoever made it send
//! the request, so what a cookie authorises must also come from our own page: `SameSite=Strict` sees to it in
//! every browser of these years, and the `Origin` and `Sec-Fetch-Site` headers, checked here, in each of them
//! again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::{HeaderMap, Uri, header, request};
use sotto_call::{CallId, CardViewer};
use sotto_knowledge::Viewer;
use sotto_store::{Reach, Role, SessionRow, StoreError, TokenHash, UserRow};
use tokio::time::timeout;

use super::App;
use super::calls::{had_agent, is_note};
use super::error::ApiError;
use super::ops::STORE_WITHIN;
use crate::library;
use crate::people::{KEY_PREFIX, Scope, hash_token};
use crate::streams::Owner;

/// The name of the session's cookie.
pub const COOKIE: &str = "sotto_session";
/// How exactly last uses are noted.
const NOTED_EVERY_MS: u64 = 60_000;
/// For how long people stay signed in while the database is away.
const REMEMBERED_MS: u64 = 3_600_000;
/// How many people are remembered.
const MOST_REMEMBERED: usize = 10_000;

/// Somebody who has proven who they are.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A person at a browser.
    User {
        /// Their name.
        name: String,
        /// What they are.
        role: Role,
        /// The team that they are in.
        team: Option<String>,
        /// By which session.
        session: TokenHash,
    },
    /// A program with a key.
    Key {
        /// Hash of the key.
        key: TokenHash,
        /// `key:` and what it is for, which is nobody's name.
        name: String,
        /// What the key may be used for.
        scopes: Vec<String>,
    },
}

impl Identity {
    /// The person's name, or `key:` and what the key of a program is for.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User { name, .. } | Self::Key { name, .. } => name,
        }
    }

    /// What they are in the organisation; a program is what its key lets it do.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::User { role, .. } => *role,
            Self::Key { .. } if authorize(self, Action::ManagePeople).is_ok() => Role::Admin,
            Self::Key { .. } if authorize(self, Action::Supervise).is_ok() => Role::Supervisor,
            Self::Key { .. } => Role::Agent,
        }
    }

    /// The team that they are in. A program is in none.
    #[must_use]
    pub fn team(&self) -> Option<&str> {
        match self {
            Self::User { team, .. } => team.as_deref(),
            Self::Key { .. } => None,
        }
    }

    /// As what they look at documents.
    pub(super) fn viewer(&self) -> Viewer {
        library::member(self.role(), self.team())
    }

    /// The same, at those of which calls' logs tell.
    pub(super) fn card_viewer(&self) -> CardViewer<'_> {
        CardViewer { role: library::role_name(self.role()), team: self.team() }
    }

    /// Whose calls they see at all: reviewers those of their team, and not before they are over.
    pub(super) fn reach(&self) -> Reach {
        match self {
            Self::User { role: Role::Reviewer, team, .. } => Reach::Team(team.clone()),
            Self::User { .. } | Self::Key { .. } => Reach::Everybody,
        }
    }

    /// Whether what they add to timelines and tasks is for people to accept.
    pub(super) fn only_proposes(&self) -> bool {
        authorize(self, Action::EditContacts).is_err()
    }

    /// Whose the things are that they begin.
    #[must_use]
    pub(super) fn owner(&self) -> Owner {
        let id = match self {
            Self::User { name, .. } => name.clone(),
            Self::Key { key, .. } => format!("key:{key:02x?}"),
        };
        Owner { id, name: self.name().to_owned() }
    }
}

/// The sessions that have been looked up of late: nobody is signed out because the database is away.
#[derive(Default)]
pub(super) struct SignedIn {
    sessions: Mutex<HashMap<TokenHash, Remembered>>,
}

/// What the database said about a session.
#[derive(Clone)]
pub(super) struct Remembered {
    session: SessionRow,
    user: UserRow,
    /// When.
    at_unix_ms: u64,
}

impl Remembered {
    fn is_fresh(&self, now_unix_ms: u64) -> bool {
        now_unix_ms.saturating_sub(self.at_unix_ms) < REMEMBERED_MS
    }
}

impl SignedIn {
    /// Keeps what the database said about a session.
    pub(super) fn learn(&self, token: &TokenHash, found: Option<&Remembered>) {
        let mut sessions = self.sessions();
        let Some(found) = found else {
            sessions.remove(token);
            return;
        };
        if sessions.len() >= MOST_REMEMBERED {
            sessions.retain(|_, one| one.is_fresh(found.at_unix_ms));
        }
        if sessions.len() < MOST_REMEMBERED {
            sessions.insert(*token, found.clone());
        }
    }

    fn recall(&self, token: &TokenHash, now_unix_ms: u64) -> Option<Remembered> {
        self.sessions().get(token).filter(|one| one.is_fresh(now_unix_ms)).cloned()
    }

    /// Somebody may not do any more what they could.
    pub(super) fn forget(&self) {
        self.sessions().clear();
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<TokenHash, Remembered>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See which calls there were.
    ListCalls,
    /// See which calls go on, and which nobody answered.
    WatchCalls,
    /// Read what was said in a call.
    ReadCall(CallId),
    /// Hear a call.
    HearCall(CallId),
    /// Hear what supervisors said in a call.
    HearSupervisors(CallId),
    /// See which recordings that were made elsewhere are to become calls, and add some.
    ImportRecordings,
    /// Be rung, and talk.
    TakeCalls,
    /// Bring audio into calls that are only listened to.
    Publish,
    /// Listen to others' calls as they go on, whisper to agents, barge in.
    Supervise,
    /// Say what customers may want, and how they say it.
    EditIntents,
    /// Look up what is written down, as far as it is for them.
    ReadKnowledge,
    /// Add to what is written down, and remove from it.
    EditKnowledge,
    /// See contacts, their timelines, tasks, tickets and payments.
    ReadContacts,
    /// Add and change contacts, and their tasks, tickets and payments.
    EditContacts,
    /// Add to a contact's timeline and tasks.
    AddToTimeline,
    /// Approve messages to contacts, and say what became of them.
    ApproveFollowUps,
    /// Remove contacts, with all that is known of them, and make one of two.
    RemoveContacts,
    /// Remove all that is kept of a person, calls included.
    ErasePeople,
    /// Get all contacts or payments at once, or all that is kept of one.
    ExportContacts,
    /// Add many contacts or payments at once.
    ImportContacts,
    /// See how the installation is doing.
    ReadStatus,
    /// Read `/metrics`.
    ReadMetrics,
    /// Add and change users and keys.
    ManagePeople,
    /// See what is done after calls, and have it done again.
    ManageJobs,
    /// See what others are told of what happens, and have it sent again.
    ManageWebhooks,
    /// Look for calls of others, and say how good they were.
    ReviewCalls,
    /// See how calls go all in all.
    ReadDashboard,
}

/// The one place that decides who may do what.
///
/// Which calls are theirs to read and to hear it does not know: see [`App::allows`]. A key may do what its scopes say.
///
/// # Errors
/// 403 when they may not.
pub fn authorize(identity: &Identity, action: Action) -> Result<(), ApiError> {
    use Role::{Admin, Agent, Reviewer, Supervisor};
    let allowed = match identity {
        Identity::User { role, .. } => match action {
            Action::ListCalls | Action::ReadCall(_) | Action::HearCall(_) | Action::ReadStatus => true,
            Action::ReviewCalls => matches!(role, Reviewer | Supervisor | Admin),
            Action::WatchCalls | Action::TakeCalls | Action::Publish => {
                matches!(role, Agent | Supervisor | Admin)
            }
            Action::ReadKnowledge | Action::ReadMetrics => matches!(role, Agent | Supervisor | Admin),
            Action::ReadContacts
            | Action::EditContacts
            | Action::AddToTimeline
            | Action::ApproveFollowUps => matches!(role, Agent | Supervisor | Admin),
            Action::Supervise | Action::HearSupervisors(_) | Action::ReadDashboard => {
                matches!(role, Supervisor | Admin)
            }
            Action::RemoveContacts
            | Action::ExportContacts
            | Action::ImportContacts
            | Action::ImportRecordings => matches!(role, Supervisor | Admin),
            Action::EditIntents | Action::EditKnowledge => matches!(role, Supervisor | Admin),
            Action::ManagePeople | Action::ManageJobs | Action::ErasePeople | Action::ManageWebhooks => {
                *role == Admin
            }
        },
        Identity::Key { scopes, .. } => {
            let needed = match action {
                Action::ListCalls | Action::WatchCalls | Action::ReadCall(_) | Action::ReadStatus => {
                    Scope::CallsRead
                }
                Action::HearCall(_) => Scope::RecordingsRead,
                Action::ImportRecordings => Scope::RecordingsWrite,
                Action::ReadMetrics => Scope::MetricsRead,
                Action::Publish => Scope::CallsPublish,
                Action::Supervise => Scope::CallsListen,
                Action::ManagePeople | Action::ManageJobs | Action::TakeCalls => Scope::Admin,
                Action::HearSupervisors(_) | Action::EditIntents | Action::EditKnowledge => Scope::Admin,
                Action::ReadKnowledge => Scope::KnowledgeRead,
                Action::ReadContacts | Action::ExportContacts => Scope::CrmRead,
                Action::AddToTimeline => Scope::CrmPropose,
                Action::EditContacts | Action::ImportContacts => Scope::CrmWrite,
                Action::RemoveContacts
                | Action::ErasePeople
                | Action::ManageWebhooks
                | Action::ReviewCalls
                | Action::ReadDashboard => Scope::Admin,
                // Nothing is sent to anybody because a machine thinks so.
                Action::ApproveFollowUps => {
                    return Err(ApiError::forbidden("a person approves what is sent"));
                }
            };
            scopes.iter().any(|scope| needed.is_granted_by(scope))
        }
    };
    if allowed { Ok(()) } else { Err(ApiError::forbidden("this is not yours to do")) }
}

impl FromRequestParts<App> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(given) = parts.headers.get(header::AUTHORIZATION) {
            let key = given
                .to_str()
                .ok()
                .and_then(|given| given.split_once(' '))
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .map(|(_, key)| key.trim())
                .filter(|key| key.starts_with(KEY_PREFIX) && key.len() <= 128);
            let Some(key) = key else { return Err(ApiError::unauthenticated()) };
            return app.identify_key(&hash_token(key)).await?.ok_or_else(ApiError::unauthenticated);
        }
        let Some(token) = session_token(&parts.headers) else { return Err(ApiError::unauthenticated()) };
        let upgrade = parts.headers.contains_key(header::UPGRADE);
        if upgrade || !parts.method.is_safe() {
            from_our_page(&parts.headers, app.public_origin())?;
        }
        app.identify_session(&hash_token(token)).await?.ok_or_else(ApiError::unauthenticated)
    }
}

/// Where a request comes from: see [`App::client`].
pub struct Place(pub IpAddr);

impl FromRequestParts<App> for Place {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Infallible> {
        // Absent only where a test asks the router without a connection.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
        Ok(Self(app.client(peer, &parts.headers)))
    }
}

/// See [`App::standing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// What they were.
    AsBefore,
    /// Somebody who may still do what they do, and sees something else.
    OtherRole,
    /// Nobody, or somebody who may not do it any more.
    Out,
}

impl App {
    /// Whether somebody may do something, also with the call that it is about: only those within their reach
    /// ([`Identity::reach`]) are read or heard, and agents hear their own, and voice notes.
    ///
    /// # Errors
    /// 403 when they may not.
    pub(super) async fn allows(&self, identity: &Identity, action: Action) -> Result<(), ApiError> {
        authorize(identity, action)?;
        let (Action::ReadCall(call) | Action::HearCall(call) | Action::HearSupervisors(call)) = action else {
            return Ok(());
        };
        // Of a call that there is not nobody out of reach is told so.
        let is_theirs = self.store().reaches(&identity.reach(), call).await?
            && match (identity, action) {
                (Identity::User { role: Role::Agent, name, .. }, Action::HearCall(_)) => {
                    had_agent(self, call, name).await? || is_note(self, call).await?
                }
                _ => true,
            };
        if is_theirs { Ok(()) } else { Err(ApiError::forbidden("this call is not yours to see")) }
    }

    async fn identify_key(&self, hash: &TokenHash) -> Result<Option<Identity>, ApiError> {
        let Some(key) = self.store().key(hash).await? else { return Ok(None) };
        if key.revoked_at_unix_ms.is_some() {
            return Ok(None);
        }
        let now = self.now_unix_ms();
        if key.used_at_unix_ms.is_none_or(|used| used + NOTED_EVERY_MS <= now) {
            self.store().touch_key(key.id, now).await?;
        }
        let name = format!("key:{}", key.name);
        Ok(Some(Identity::Key { key: *hash, name, scopes: key.scopes }))
    }

    async fn identify_session(&self, token: &TokenHash) -> Result<Option<Identity>, ApiError> {
        let now = self.now_unix_ms();
        let Some(Remembered { session, user, at_unix_ms }) = self.session(token, now).await? else {
            return Ok(None);
        };
        // A database that is away is not asked for more, and was told of nothing since.
        let is_known = at_unix_ms == now;
        let idle_since = session.seen_at_unix_ms.max(session.created_at_unix_ms);
        let idle_since = if is_known { idle_since } else { idle_since.max(at_unix_ms) };
        let idle = now.saturating_sub(idle_since) > self.settings().session_idle_ms();
        if user.disabled || idle || now >= session.expires_at_unix_ms {
            return Ok(None);
        }
        if is_known
            && session.seen_at_unix_ms + NOTED_EVERY_MS <= now
            && let Err(error) = self.store().touch_session(token, now).await
        {
            tracing::warn!(%error, "it is not noted that a session is in use");
        }
        Ok(Some(Identity::User { name: user.name, role: user.role, team: user.team, session: *token }))
    }

    /// A session as the database has it, or, while that is away, as it had it last.
    async fn session(&self, token: &TokenHash, now_unix_ms: u64) -> Result<Option<Remembered>, StoreError> {
        let remembered = self.shared.signed_in.recall(token, now_unix_ms);
        let asked = self.store().session(token);
        let found = match remembered {
            None => asked.await?,
            Some(remembered) => match timeout(STORE_WITHIN, asked).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) | Err(_) => return Ok(Some(remembered)),
            },
        };
        let found = found.map(|(session, user)| {
            // Nothing that need not be in memory.
            let user = UserRow { password_hash: String::new(), ..user };
            Remembered { session, user, at_unix_ms: now_unix_ms }
        });
        self.shared.signed_in.learn(token, found.as_ref());
        Ok(found)
    }

    /// What someone who was let in a while ago, to do something that they still do, is now.
    pub(super) async fn standing(&self, identity: &Identity, action: Action) -> Standing {
        let now = match identity {
            Identity::User { session, .. } => self.identify_session(session).await,
            Identity::Key { key, .. } => self.identify_key(key).await,
        };
        match now {
            Ok(Some(now)) if authorize(&now, action).is_ok() => {
                if (now.role(), now.team()) == (identity.role(), identity.team()) {
                    Standing::AsBefore
                } else {
                    Standing::OtherRole
                }
            }
            Ok(_) => Standing::Out,
            // Nobody is thrown out because the database is away.
            Err(_) => Standing::AsBefore,
        }
    }
}

/// The session's token among the cookies.
pub(super) fn session_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token)
        .filter(|token| token.len() == 64)
}

/// Whether a request that changes something was made by our own page, as far as the browser says: the origin
/// must be the configured one, or the address that was asked. Programs say nothing of the kind, and nobody
/// makes them send cookies against their will.
///
/// # Errors
/// 403 when another page made it.
pub(super) fn from_our_page(headers: &HeaderMap, public_origin: Option<&str>) -> Result<(), ApiError> {
    let foreign = || ApiError::forbidden("the request comes from another site");
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(origin) = text(header::ORIGIN) {
        let asked = text(header::HOST).unwrap_or("");
        let same = origin.parse::<Uri>().ok().and_then(|uri| {
            let scheme = uri.scheme_str()?;
            let authority = uri.authority()?.as_str();
            Some(matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(asked))
        });
        let configured = public_origin.is_some_and(|public| public.eq_ignore_ascii_case(origin));
        return if configured || same == Some(true) { Ok(()) } else { Err(foreign()) };
    }
    match text(header::HeaderName::from_static("sec-fetch-site")) {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(foreign()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_page_may_use_a_cookie_to_change_things() {
        let ours = [
            &[("host", "sotto.example:8080"), ("origin", "http://sotto.example:8080")][..],
            &[("host", "Sotto.example"), ("origin", "https://sotto.example")],
            &[("host", "inner:8080"), ("origin", "https://calls.example")],
            &[("host", "sotto.example"), ("sec-fetch-site", "same-origin")],
            &[("host", "sotto.example")],
        ];
        for lines in ours {
            assert!(from_our_page(&headers(lines), Some("https://calls.example")).is_ok(), "{lines:?}");
        }
        let foreign = [
            &[("host", "sotto.example"), ("origin", "https://evil.example")][..],
            &[("host", "sotto.example"), ("origin", "null")],
            &[("host", "sotto.example"), ("origin", "")],
            &[("host", "sotto.example:8080"), ("origin", "http://sotto.example")],
            &[("host", "sotto.example"), ("origin", "https://sotto.example.evil.example")],
            &[("host", "sotto.example"), ("origin", "https://user@sotto.example")],
            &[("host", "sotto.example"), ("origin", "file://sotto.example")],
            &[("origin", "https://sotto.example")],
            &[("host", "sotto.example"), ("sec-fetch-site", "cross-site")],
            &[("host", "sotto.example"), ("sec-fetch-site", "same-site")],
        ];
        for lines in foreign {
            assert!(from_our_page(&headers(lines), Some("https://calls.example")).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let token = "a".repeat(64);
        let lines = format!("theme=dark; {COOKIE}={token}; x");
        assert_eq!(session_token(&headers(&[("cookie", "a=b"), ("cookie", &lines)])), Some(token.as_str()));
        assert_eq!(session_token(&headers(&[("cookie", "sotto_session=short")])), None);
        assert_eq!(session_token(&headers(&[("cookie", "xsotto_session=aaaa;;;=;")])), None);
    }

    #[test]
    fn roles_and_scopes() {
        let call = CallId::new();
        let user = |role| Identity::User { name: "a".to_owned(), role, team: None, session: [0; 32] };
        let key = |scopes: &[&str]| Identity::Key {
            key: [0; 32],
            name: "key:test".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let may = |identity: &Identity, action| authorize(identity, action).is_ok();
        for role in Role::ALL {
            let leads = matches!(role, Role::Supervisor | Role::Admin);
            let works = leads || role == Role::Agent;
            for (action, allowed) in [
                (Action::ListCalls, true),
                (Action::ReadCall(call), true),
                (Action::HearCall(call), true),
                (Action::WatchCalls, works),
                (Action::TakeCalls, works),
                (Action::EditContacts, works),
                (Action::ReadKnowledge, works),
                (Action::ReviewCalls, role != Role::Agent),
                (Action::ReadDashboard, leads),
                (Action::Supervise, leads),
                (Action::HearSupervisors(call), leads),
                (Action::EditIntents, leads),
                (Action::EditKnowledge, leads),
                (Action::RemoveContacts, leads),
                (Action::ExportContacts, leads),
                (Action::ImportContacts, leads),
                (Action::ImportRecordings, leads),
                (Action::ManagePeople, role == Role::Admin),
                (Action::ManageJobs, role == Role::Admin),
                (Action::ErasePeople, role == Role::Admin),
                (Action::ManageWebhooks, role == Role::Admin),
            ] {
                assert_eq!(may(&user(role), action), allowed, "{role:?} {action:?}");
            }
        }
        assert_eq!(user(Role::Reviewer).reach(), Reach::Team(None));
        assert_eq!(user(Role::Supervisor).reach(), Reach::Everybody);
        assert!(may(&user(Role::Agent), Action::ApproveFollowUps));
        assert!(!may(&key(&["admin", "crm:write"]), Action::ApproveFollowUps), "no program sends anything");
        assert!(may(&key(&["calls:read"]), Action::ReadCall(call)));
        assert!(!may(&key(&["calls:read"]), Action::HearCall(call)));
        assert!(!may(&key(&["calls:read", "recordings:read"]), Action::ManagePeople));
        assert!(!may(&key(&["calls:read", "recordings:read"]), Action::HearSupervisors(call)));
        assert!(!may(&key(&["calls:read", "recordings:read"]), Action::ImportRecordings));
        assert!(may(&key(&["recordings:write"]), Action::ImportRecordings));
        assert!(!may(&key(&["recordings:write"]), Action::HearCall(call)));
        assert!(
            may(&key(&["calls:publish"]), Action::Publish) && !may(&key(&["calls:read"]), Action::Publish)
        );
        assert!(may(&key(&["calls:listen"]), Action::Supervise));
        assert!(!may(&key(&["calls:read", "calls:listen"]), Action::ReviewCalls));
        assert!(may(&key(&["admin"]), Action::ReviewCalls));
        assert!(
            !may(&user(Role::Agent), Action::Supervise) && may(&user(Role::Supervisor), Action::Supervise)
        );
        for (scopes, role) in [
            (&["calls:read", "recordings:read", "metrics:read"][..], Role::Agent),
            (&["calls:publish"], Role::Agent),
            (&["calls:read", "calls:listen"], Role::Supervisor),
            (&["admin"], Role::Admin),
        ] {
            assert_eq!(key(scopes).role(), role, "{scopes:?}");
        }
        assert_eq!(user(Role::Supervisor).role(), Role::Supervisor);
        assert!(may(&key(&["knowledge:read"]), Action::ReadKnowledge));
        assert!(!may(&key(&["knowledge:read"]), Action::EditKnowledge));
        for (scope, allowed) in [
            ("crm:read", [true, false, false, false]),
            ("crm:propose", [false, true, false, false]),
            ("crm:write", [true, true, true, false]),
            ("admin", [true, true, true, true]),
            ("calls:read", [false; 4]),
        ] {
            let actions =
                [Action::ReadContacts, Action::AddToTimeline, Action::EditContacts, Action::RemoveContacts];
            assert_eq!(actions.map(|action| may(&key(&[scope]), action)), allowed, "{scope}");
        }
        assert!(key(&["crm:propose"]).only_proposes() && !user(Role::Agent).only_proposes());
        assert!(!may(&key(&["calls:read", "calls:listen"]), Action::ReadKnowledge));
        assert!(!may(&key(&[]), Action::ListCalls));
        assert!(may(&key(&["admin"]), Action::HearCall(call)) && may(&key(&["admin"]), Action::ManagePeople));
    }
}
