//! What others are told of what happens here: signed webhooks, and the calls that another CRM gets.
//!
//! The store queues a delivery in the transaction that makes it so ([`Listener`]); here each endpoint has a task of its own, which
//! sends one after the other, in order, and says what came of each. What fails is tried again later and later, and what stands
//! behind it waits; after a day it is given up, and waits for a person. A process that is killed between sending and saying so
//! sends again with the same id: at least once, and by that id no more than once.

mod address;
mod client;
mod config;
mod crm;
mod message;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::http::request::Builder;
use axum::http::{self, HeaderValue, Method, Request, header};
use bytes::Bytes;
use http_body_util::Full;
use sotto_store::{Attempt, DeliveryRow, DeliveryState, EventKind, Listener, Store, StoreError};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::address::Address;
pub use self::config::{OutsideConfig, WebhookConfig, check};
pub(crate) use self::secret::Secret;

use self::client::{Answer, Client};
use self::crm::Mapping;
use crate::cli::now_unix_ms;
use crate::pace;

/// How long what was settled stays in the log of deliveries.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// How deliveries are tried.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long after a first failure one is tried again, about; twice as long after each further one.
    pub pause: Duration,
    /// How long at most.
    pub longest_pause: Duration,
    /// How long after it was queued one is given up.
    pub given_up_after: Duration,
    /// How often it is tried in any case.
    pub tries: u32,
    /// How soon one that is due is found.
    pub every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(600),
            given_up_after: Duration::from_secs(24 * 3600),
            tries: 5,
            every: Duration::from_secs(1),
        }
    }
}

/// What was told, counted from the start of the process.
#[derive(Debug, Default)]
pub struct Figures {
    /// Deliveries that were taken.
    pub done: AtomicU64,
    /// Tries that failed.
    pub failed: AtomicU64,
    /// Deliveries that were given up.
    pub dead: AtomicU64,
}

/// What is to be sent, if anything is.
enum Prepared<T> {
    /// This.
    Ready(T),
    /// What it is about is no more.
    Nothing,
    /// It cannot be, until somebody has seen to it.
    Impossible(String),
}

impl<T> Prepared<T> {
    fn then<U>(self, build: impl FnOnce(T) -> http::Result<U>) -> Prepared<U> {
        match self {
            Self::Ready(it) => match build(it) {
                Ok(built) => Prepared::Ready(built),
                Err(error) => Prepared::Impossible(format!("its address: {error}")),
            },
            Self::Nothing => Prepared::Nothing,
            Self::Impossible(why) => Prepared::Impossible(why),
        }
    }
}

/// Who is told.
pub struct Endpoint {
    listener: Listener,
    url: String,
    client: Client,
    dialect: Dialect,
}

/// How.
enum Dialect {
    /// Messages of ours, signed.
    Webhook(Secret),
    /// Calls of a CRM's API, with its key.
    Crm(Mapping, Option<HeaderValue>),
}

/// Those who are told, as they are configured.
///
/// # Errors
/// When there can be no such endpoint.
pub fn endpoints(webhooks: &[WebhookConfig], crm: &OutsideConfig) -> anyhow::Result<Vec<Endpoint>> {
    let mut endpoints = Vec::new();
    for webhook in webhooks {
        let (address, secret) = webhook.parsed().map_err(anyhow::Error::msg)?;
        let dialect = Dialect::Webhook(secret);
        endpoints.push(Endpoint::new(&webhook.name, address, webhook.kinds(), dialect)?);
    }
    if !crm.url.is_empty() {
        let address = address::Address::parse(&crm.url, crm.private).map_err(anyhow::Error::msg)?;
        let key = match crm.key.trim() {
            "" => None,
            key => {
                let mut key = HeaderValue::from_str(&format!("Bearer {key}"))?;
                key.set_sensitive(true);
                Some(key)
            }
        };
        let dialect = Dialect::Crm(Mapping::of(crm), key);
        endpoints.push(Endpoint::new(config::CRM, address, crm.kinds(), dialect)?);
    }
    Ok(endpoints)
}

impl Endpoint {
    fn new(
        name: &str,
        address: address::Address,
        kinds: BTreeSet<EventKind>,
        dialect: Dialect,
    ) -> anyhow::Result<Self> {
        let client =
            Client::new(&address).with_context(|| format!("certificates of authorities for `{name}`"))?;
        let listener = Listener { name: name.to_owned(), origin: address.origin, kinds };
        Ok(Self { listener, url: address.url, client, dialect })
    }

    /// Who it is to the store.
    #[must_use]
    pub fn listener(&self) -> Listener {
        self.listener.clone()
    }

    /// What a delivery comes to, sent now.
    async fn request(
        &self,
        store: &Store,
        row: &DeliveryRow,
        now_unix_ms: u64,
    ) -> Result<Prepared<Request<Full<Bytes>>>, StoreError> {
        Ok(match &self.dialect {
            Dialect::Webhook(secret) => message::message(store, row).await?.then(|body| {
                let (id, at) = (row.id.to_string(), now_unix_ms / 1_000);
                let signature = secret.sign(&id, at, &body);
                request(Method::POST, &self.url)
                    .header("webhook-id", id)
                    .header("webhook-timestamp", at)
                    .header("webhook-signature", &signature)
                    .header("x-sotto-signature", &signature)
                    .body(Full::from(body))
            }),
            Dialect::Crm(mapping, key) => mapping.call(store, row).await?.then(|call| {
                let url = format!("{}{}", self.url.trim_end_matches('/'), call.path);
                // draft-ietf-httpapi-idempotency-key-header
                let mut request = request(call.method, &url).header("idempotency-key", idempotency_key(row));
                if let Some(key) = key {
                    request = request.header(header::AUTHORIZATION, key.clone());
                }
                request.body(Full::from(call.body.to_string()))
            }),
        })
    }

    /// Whether trying again is of no use: it is gone (410), or says that the request itself is wrong. What is behind it is sent then.
    fn refuses_for_good(&self, code: u16) -> bool {
        match self.dialect {
            Dialect::Webhook(_) => matches!(code, 400 | 410 | 413 | 422),
            Dialect::Crm(..) => matches!(code, 400 | 404 | 405 | 409 | 410 | 413 | 422),
        }
    }
}

/// By what a CRM knows a request that it has had: the same for whatever is done only once, also where it is queued anew.
fn idempotency_key(row: &DeliveryRow) -> String {
    match (&row.once, serde_json::to_value(row.kind)) {
        (Some(once), Ok(kind)) => format!("{}:{once}", kind.as_str().unwrap_or_default()),
        _ => row.id.to_string(),
    }
}

/// When a delivery was queued, which its id (a UUID version 7) says. What it tells of may be long past: a recording that was brought
/// in is told of for as long as a call of today.
fn queued_at_unix_ms(row: &DeliveryRow) -> u64 {
    row.id.get_timestamp().map_or(row.at_unix_ms, |queued| {
        let (seconds, nanos) = queued.to_unix();
        seconds.saturating_mul(1_000).saturating_add(u64::from(nanos / 1_000_000))
    })
}

fn request(method: Method, url: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("sotto/", env!("CARGO_PKG_VERSION")))
}

/// Tells those who listen, until it is told to stop, and then ends what it has begun. Whoever runs it holds
/// [`Store::lock_instance`].
pub async fn run(
    store: Store,
    endpoints: Vec<Endpoint>,
    limits: Limits,
    figures: Arc<Figures>,
    stop: CancellationToken,
) {
    let teller = Arc::new(Teller { store, limits, figures, stop });
    let mut tasks = JoinSet::new();
    for endpoint in endpoints {
        tasks.spawn(Arc::clone(&teller).attend_to(endpoint));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "somebody is told nothing any more: start Sotto again");
        }
    }
    teller.stop.cancelled().await;
}

struct Teller {
    store: Store,
    limits: Limits,
    figures: Arc<Figures>,
    stop: CancellationToken,
}

impl Teller {
    async fn attend_to(self: Arc<Self>, endpoint: Endpoint) {
        let name = &endpoint.listener.name;
        loop {
            let pause = match self.store.next_delivery(name).await {
                Ok(Some(row)) => {
                    let until_due = row.due_at_unix_ms.saturating_sub(now_unix_ms());
                    // What was not tried yet is due, also where what it tells of is said to be in the future: a recording that is
                    // brought in may be, and would keep all others waiting.
                    if row.tries == 0 || until_due == 0 {
                        self.deliver(&endpoint, &row).await
                    } else {
                        Duration::from_millis(until_due).min(self.limits.every)
                    }
                }
                Ok(None) => self.limits.every,
                Err(error) => {
                    tracing::warn!(endpoint = name, %error, "nobody is told anything just now");
                    self.limits.every
                }
            };
            if self.rests(pause).await {
                return;
            }
        }
    }

    /// Tries a delivery, and says how long to wait until the next one is looked for.
    async fn deliver(&self, endpoint: &Endpoint, row: &DeliveryRow) -> Duration {
        let begun = Instant::now();
        let outcome = match endpoint.request(&self.store, row, now_unix_ms()).await {
            Ok(Prepared::Ready(request)) => match endpoint.client.send(request).await {
                Ok(answer) => Outcome::of(endpoint, answer),
                Err(why) => Outcome::Failed { code: None, why, retry_after: None },
            },
            Ok(Prepared::Nothing) => Outcome::Gone,
            Ok(Prepared::Impossible(why)) => Outcome::Refused { code: None, why },
            Err(error) if error.is_permanent() => {
                Outcome::Refused { code: None, why: "it cannot be read".to_owned() }
            }
            Err(error) => {
                tracing::warn!(%error, "what somebody is told cannot be read just now");
                return self.limits.every;
            }
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.settle(row, &outcome, took_ms).await;
        Duration::ZERO
    }

    /// Tells the store what came of a try, however long the database is away. Where that is not possible before the process ends,
    /// it is sent again.
    async fn settle(&self, row: &DeliveryRow, outcome: &Outcome, took_ms: u64) {
        let now = now_unix_ms();
        let attempt = self.attempt(row, outcome, took_ms, now);
        loop {
            let kept = match &attempt {
                Some(attempt) => self.store.settle_delivery(row.id, attempt, now).await.map(drop),
                None => self.store.drop_delivery(row.id).await,
            };
            match kept {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "what came of telling somebody waits for the database"),
            }
            if self.rests(self.limits.every).await {
                return;
            }
        }
        let Some(attempt) = attempt else { return };
        if attempt.state == DeliveryState::Done {
            self.figures.done.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.figures.failed.fetch_add(1, Ordering::Relaxed);
        let (endpoint, why) = (&row.endpoint, attempt.error.as_deref().unwrap_or_default());
        tracing::warn!(endpoint, delivery = %row.id, tries = row.tries + 1, why, "somebody was not told");
        if attempt.state == DeliveryState::Dead {
            self.figures.dead.fetch_add(1, Ordering::Relaxed);
            tracing::error!(endpoint, delivery = %row.id, "a delivery is given up");
        }
    }

    /// What is kept of a try; nothing where the delivery goes.
    fn attempt(
        &self,
        row: &DeliveryRow,
        outcome: &Outcome,
        took_ms: u64,
        now_unix_ms: u64,
    ) -> Option<Attempt> {
        let settled =
            |state, code, error| Some(Attempt { state, due_at_unix_ms: now_unix_ms, took_ms, code, error });
        match outcome {
            Outcome::Gone => None,
            Outcome::Taken { code } => settled(DeliveryState::Done, Some(*code), None),
            Outcome::Refused { code, why } => settled(DeliveryState::Dead, *code, Some(why.clone())),
            Outcome::Failed { code, why, retry_after } => {
                let tries = row.tries.saturating_add(1);
                let age = Duration::from_millis(now_unix_ms.saturating_sub(queued_at_unix_ms(row)));
                if tries >= self.limits.tries && age >= self.limits.given_up_after {
                    return settled(DeliveryState::Dead, *code, Some(why.clone()));
                }
                let pause = pace::pause(tries, self.limits.pause, self.limits.longest_pause);
                let pause = pause.max(retry_after.unwrap_or_default().min(self.limits.longest_pause));
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                let due_at_unix_ms = now_unix_ms.saturating_add(pause);
                let (state, error) = (DeliveryState::Waiting, Some(why.clone()));
                Some(Attempt { state, due_at_unix_ms, took_ms, code: *code, error })
            }
        }
    }

    /// Waits; whether it is told to stop.
    async fn rests(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(pause) => false,
        }
    }
}

/// What came of a try.
enum Outcome {
    Taken {
        code: u16,
    },
    /// It is of no use to try again.
    Refused {
        code: Option<u16>,
        why: String,
    },
    Failed {
        code: Option<u16>,
        why: String,
        retry_after: Option<Duration>,
    },
    /// What it is about is no more.
    Gone,
}

impl Outcome {
    fn of(endpoint: &Endpoint, Answer { code, retry_after }: Answer) -> Self {
        if (200..300).contains(&code) {
            return Self::Taken { code };
        }
        let why = match code {
            300..400 => format!("it answered {code}, and redirects are not followed"),
            _ => format!("it answered {code}"),
        };
        match endpoint.refuses_for_good(code) {
            true => Self::Refused { code: Some(code), why },
            false => Self::Failed { code: Some(code), why, retry_after },
        }
    }
}
