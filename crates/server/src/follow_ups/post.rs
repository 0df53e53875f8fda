//! Messages that are posted over HTTP: to Kavenegar, to Telegram's Bot API, and to a program of the organisation.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};
use sotto_call::CallId;
use sotto_llm::{backoff, connector};
use sotto_store::FollowUpRow;
use tokio::time::timeout;
use uuid::Uuid;

use super::Outcome;
use super::config::{SmsConfig, TelegramConfig, WebhookConfig};
use crate::cli::now_unix_ms;
use crate::outgoing::{Address, Secret};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read, of whoever takes messages.
const LARGEST_ANSWER: usize = 64 << 10;
/// For how long a message waits at most because whoever takes it says so.
const LONGEST_TOLD: Duration = Duration::from_secs(24 * 3_600);

/// What posts to one server, on a new connection each time: so nothing is lost on one that the server has closed.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Bytes of an answer that are read.
    largest: usize,
}

/// A status, what stands before the body, and as much of that as could be read.
type Answer = (StatusCode, HeaderMap, Bytes);

impl Http {
    /// To an address, which is refused if it is none.
    pub fn new(url: &str) -> Result<Self, String> {
        Self::taking(url, LARGEST_ANSWER)
    }

    /// The same, and answers have so many bytes at most: of larger ones nothing is read.
    pub fn taking(url: &str, largest: usize) -> Result<Self, String> {
        let address = Address::parse(url, true)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let over_tls = connector(tcp, address.is_tls);
        let over_tls = over_tls.map_err(|error| format!("certificates of authorities: {error}"))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(over_tls);
        Ok(Self { client, largest })
    }

    /// Posts a body once. Redirects are not followed.
    ///
    /// # Errors
    /// [`Outcome::Again`] where there was no connection to send it over, [`Outcome::Unknown`] where there was no answer.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<Answer, Outcome> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(USER_AGENT, concat!("sotto/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(*name, value.as_str());
        }
        let request = request.body(Full::new(Bytes::from(body)));
        // What is wrong with it may name the address, which holds a key.
        let request = request.map_err(|_| Outcome::Refused("there is no such request".to_owned()))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
                true => Outcome::Again("there is no connection".to_owned(), None),
                false => Outcome::Unknown("the connection broke before there was an answer".to_owned()),
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, self.largest).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            Ok::<Answer, Outcome>((head.status, head.headers, body))
        };
        let late = || Err(Outcome::Unknown("there was no answer in time".to_owned()));
        timeout(patience, exchange).await.unwrap_or_else(|_| late())
    }
}

/// What a status says by itself: that something was not taken is known only where whoever answers has looked at it. A 503 comes of
/// whoever stands in between as well, who may have passed the message on before the other end broke off.
fn judged(status: StatusCode, headers: &HeaderMap, why: Option<&str>) -> Outcome {
    let said = match why {
        Some(why) => format!("{}: {why}", status.as_u16()),
        None => format!("the answer was {}", status.as_u16()),
    };
    match status {
        StatusCode::TOO_MANY_REQUESTS => Outcome::Again(said, told(headers.get(RETRY_AFTER))),
        status if status.is_client_error() || status.is_redirection() => Outcome::Refused(said),
        _ => Outcome::Unknown(said),
    }
}

/// How long a `Retry-After` header says to wait.
fn told(header: Option<&HeaderValue>) -> Option<Duration> {
    let told = backoff::retry_after(header?.to_str().ok()?, SystemTime::now())?;
    Some(told.min(LONGEST_TOLD))
}

/// Text messages by Kavenegar's REST interface.
pub(super) struct Kavenegar {
    http: Http,
    url: String,
    sender: String,
}

#[derive(Deserialize)]
struct KavenegarAnswer {
    r#return: KavenegarReturn,
    #[serde(default)]
    entries: Value,
}

#[derive(Deserialize)]
struct KavenegarReturn {
    status: u16,
    #[serde(default)]
    message: String,
}

impl Kavenegar {
    /// Taken for now, by its own codes: 409, it cannot answer just now; 418, there is too little credit.
    const LATER: [u16; 2] = [409, 418];

    pub fn new(config: &SmsConfig, http: Http) -> Self {
        let url = format!("{}/v1/{}/sms/send.json", config.url.trim_end_matches('/'), config.key);
        Self { http, url, sender: config.sender.clone() }
    }

    pub async fn send(&self, row: &FollowUpRow, patience: Duration) -> Outcome {
        let headers = [(TYPE, "application/x-www-form-urlencoded".to_owned())];
        let (status, headers, body) =
            match self.http.post(&self.url, &headers, self.form(row), patience).await {
                Ok(answer) => answer,
                Err(outcome) => return outcome,
            };
        let Ok(answer) = serde_json::from_slice::<KavenegarAnswer>(&body) else {
            return judged(status, &headers, None);
        };
        let KavenegarReturn { status: code, message: why } = answer.r#return;
        if status.is_success() && code == 200 {
            return Outcome::Sent(answer.entries[0]["messageid"].as_i64().map(|id| id.to_string()));
        }
        if Self::LATER.contains(&code) {
            return Outcome::Again(format!("{code}: {why}"), None);
        }
        judged(StatusCode::from_u16(code).unwrap_or(status), &headers, Some(&why))
    }

    fn form(&self, row: &FollowUpRow) -> Vec<u8> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("receptor", row.message.to.as_deref().unwrap_or_default());
        form.append_pair("message", &row.message.text);
        // By this number a person finds it in the account.
        form.append_pair("localid", &local_id(row.key).to_string());
        if !self.sender.is_empty() {
            form.append_pair("sender", &self.sender);
        }
        form.finish().into_bytes()
    }
}

/// A number for a message that is another's by chance alone: 62 bits of its key.
fn local_id(key: Uuid) -> u64 {
    let (_, low) = key.as_u64_pair();
    low & (u64::MAX >> 2)
}

/// Messages by Telegram's Bot API.
pub(super) struct Telegram {
    http: Http,
    url: String,
}

#[derive(Deserialize)]
struct TelegramAnswer {
    ok: bool,
    #[serde(default)]
    description: String,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    parameters: TelegramParameters,
}

#[derive(Default, Deserialize)]
struct TelegramParameters {
    #[serde(default)]
    retry_after: Option<u32>,
}

impl Telegram {
    pub fn new(config: &TelegramConfig, http: Http) -> Self {
        let url = format!("{}/bot{}/sendMessage", config.url.trim_end_matches('/'), config.token);
        Self { http, url }
    }

    pub async fn send(&self, row: &FollowUpRow, patience: Duration) -> Outcome {
        let body = json!({ "chat_id": row.message.to, "text": row.message.text }).to_string();
        let headers = [(TYPE, JSON.to_owned())];
        let (status, headers, body) =
            match self.http.post(&self.url, &headers, body.into_bytes(), patience).await {
                Ok(answer) => answer,
                Err(outcome) => return outcome,
            };
        let Ok(answer) = serde_json::from_slice::<TelegramAnswer>(&body) else {
            return judged(status, &headers, None);
        };
        if status.is_success() && answer.ok {
            return Outcome::Sent(answer.result["message_id"].as_i64().map(|id| id.to_string()));
        }
        match (judged(status, &headers, Some(&answer.description)), answer.parameters.retry_after) {
            (Outcome::Again(why, _), Some(seconds)) => {
                Outcome::Again(why, Some(Duration::from_secs(seconds.into()).min(LONGEST_TOLD)))
            }
            (outcome, _) => outcome,
        }
    }
}

/// Messages that a program of the organisation sends, signed as Standard Webhooks 1.0 say.
pub(super) struct Webhook {
    http: Http,
    url: String,
    secret: Secret,
    tells_twice: bool,
}

impl Webhook {
    pub fn new(config: &WebhookConfig, http: Http) -> Result<Self, String> {
        let secret = Secret::parse(&config.secret)?;
        Ok(Self { http, url: config.url.clone(), secret, tells_twice: config.tells_twice })
    }

    /// Whether what is posted again is told by its key.
    pub fn tells_twice(&self) -> bool {
        self.tells_twice
    }

    pub async fn send(&self, row: &FollowUpRow, patience: Duration) -> Outcome {
        let FollowUpRow { id, key, contact, call, message, .. } = row;
        let call = call.as_ref().map(CallId::to_string);
        let data = json!({ "id": id, "lead_id": contact, "call_id": call, "to": message.to,
            "subject": message.subject, "text": message.text });
        let body = json!({ "type": "follow_up.send", "data": data }).to_string();
        let (key, at) = (key.to_string(), now_unix_ms() / 1_000);
        let headers = [
            (TYPE, JSON.to_owned()),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", self.secret.sign(&key, at, body.as_bytes())),
            ("webhook-id", key),
        ];
        let (outcome, told) = match self.http.post(&self.url, &headers, body.into_bytes(), patience).await {
            Ok((status, ..)) if status.is_success() => (Outcome::Sent(None), None),
            Ok((status, headers, _)) => (judged(status, &headers, None), told(headers.get(RETRY_AFTER))),
            Err(outcome) => (outcome, None),
        };
        match outcome {
            Outcome::Unknown(why) if self.tells_twice => Outcome::Again(why, told),
            outcome => outcome,
        }
    }
}

/// The name of the header that says what a body is.
pub(super) const TYPE: &str = "content-type";
pub(super) const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_surely_not_taken_is_tried_again() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        let judge = |status: u16| judged(StatusCode::from_u16(status).unwrap(), &headers, None);
        let outcome = judge(429);
        assert!(matches!(outcome, Outcome::Again(_, Some(told)) if told == Duration::from_secs(7)));
        for refused in [301, 400, 403, 404, 410] {
            assert!(matches!(judge(refused), Outcome::Refused(_)), "{refused}");
        }
        for unknown in [200, 500, 502, 503, 504] {
            assert!(matches!(judge(unknown), Outcome::Unknown(_)), "{unknown}");
        }
        assert_eq!(told(Some(&HeaderValue::from_static("9999999"))), Some(LONGEST_TOLD));
        assert_eq!(told(Some(&HeaderValue::from_static("soon"))), None);
    }

    #[test]
    fn keys_of_messages_fit_a_signed_number() {
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        assert_ne!(local_id(one), local_id(other));
        assert!(i64::try_from(local_id(one)).is_ok());
    }
}
