//! The way to the server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::LlmError;

/// How long a connection that is not used is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Connections over TLS on top of others, to whom the authorities that this machine trusts have certified. Where `is_tls` is false
/// there will be none over TLS, and a machine without authorities has none to read.
///
/// # Errors
/// When there are no certificates of authorities.
pub fn connector<H>(tcp: H, is_tls: bool) -> std::io::Result<HttpsConnector<H>> {
    let provider = Arc::new(ring::default_provider());
    let connector = HttpsConnectorBuilder::new();
    let connector = if is_tls {
        connector.with_provider_and_native_roots(provider)?
    } else {
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?;
        connector.with_tls_config(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    };
    Ok(connector.https_or_http().enable_http1().wrap_connector(tcp))
}

/// Why something failed at bottom, which says more than that a client did.
#[must_use]
pub fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Connections to one server.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Without a slash at its end.
    base: String,
    authorization: Option<HeaderValue>,
}

impl Http {
    /// To `url`, such as `http://127.0.0.1:11434/v1`; where it has no path, `/v1` is meant.
    pub fn new(url: &str, key: &str, connect: Duration) -> Result<Self, LlmError> {
        let wrong = LlmError::Settings;
        let uri = url.trim().parse::<Uri>();
        let uri = uri.map_err(|error| wrong(format!("`{url}` is no address: {error}")))?;
        let is_tls = uri.scheme_str() == Some("https");
        if uri.authority().is_none() || !(is_tls || uri.scheme_str() == Some("http")) {
            return Err(wrong(format!("`{url}` is no address like http://127.0.0.1:11434/v1")));
        }
        // A password or a key in it would be shown wherever the address is, and a path cannot follow a query.
        if url.contains(['?', '#']) || uri.authority().is_some_and(|at| at.as_str().contains('@')) {
            return Err(wrong(
                "an address has neither a password nor a query: a key is given apart".to_owned(),
            ));
        }
        let mut base = url.trim().trim_end_matches('/').to_owned();
        if matches!(uri.path(), "" | "/") {
            base.push_str("/v1");
        }
        let authorization = match key.trim() {
            "" => None,
            key => {
                let value = HeaderValue::from_str(&format!("Bearer {key}"));
                let mut value =
                    value.map_err(|_| wrong("a key has letters, digits and signs only".to_owned()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect));
        let connector =
            connector(tcp, is_tls).map_err(|error| wrong(format!("certificates of authorities: {error}")))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, base, authorization })
    }

    /// Posts JSON; the answer's body is still to come.
    pub async fn post(&self, path: &str, json: Vec<u8>) -> Result<Response<Incoming>, LlmError> {
        self.post_to(format!("{}{path}", self.base), json).await
    }

    /// The same at the server's root, where some have what OpenAI's interface has not.
    pub async fn post_at_root(&self, path: &str, json: Vec<u8>) -> Result<Response<Incoming>, LlmError> {
        let root = self.base.strip_suffix("/v1").unwrap_or(&self.base);
        self.post_to(format!("{root}{path}"), json).await
    }

    async fn post_to(&self, url: String, json: Vec<u8>) -> Result<Response<Incoming>, LlmError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .header(USER_AGENT, concat!("sotto/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.authorization {
            request = request.header(AUTHORIZATION, key.clone());
        }
        let request = request
            .body(Full::new(Bytes::from(json)))
            .map_err(|error| LlmError::Settings(format!("the address: {error}")))?;
        self.client.request(request).await.map_err(|error| LlmError::Unreachable(root_cause(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        let base = |url: &str| Http::new(url, "", IDLE).map(|http| http.base);
        assert_eq!(base("http://127.0.0.1:11434").unwrap(), "http://127.0.0.1:11434/v1");
        assert_eq!(base(" http://models:8000/v1/ ").unwrap(), "http://models:8000/v1");
        for wrong in ["", "models:8000", "ftp://models/v1", "http://", "http://a b/"] {
            assert!(matches!(base(wrong), Err(LlmError::Settings(_))), "{wrong}");
        }
        for secret in ["http://mina:secret@models/v1", "http://models/v1?key=secret", "http://models/#secret"]
        {
            let refused = base(secret).unwrap_err();
            assert!(matches!(&refused, LlmError::Settings(why) if !why.contains("secret")), "{refused}");
        }
        assert!(Http::new("http://a", "sk\n", IDLE).is_ok(), "what stands around a key is none of it");
        assert!(Http::new("http://a", "s\nk", IDLE).is_err());
    }
}
