//! The way to the other end: one request, within limits, without following where it is sent on to.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::http::{Request, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sotto_llm::{backoff, connector, root_cause};
use tokio::time::timeout;

use super::address::Address;
use crate::outside::may_reach;

/// How long a connection may take, and how long everything until an answer begins.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// How long a connection that is not used is kept.
const IDLE: Duration = Duration::from_secs(30);

/// What the other end says. The words of its answer are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its status.
    pub code: u16,
    /// When to come back, if it says so.
    pub retry_after: Option<Duration>,
}

/// Connections to one other end.
pub(super) struct Client {
    pool: Pool<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    patience: Duration,
}

impl Client {
    /// # Errors
    /// When this machine has no certificates of authorities, and they are needed.
    pub fn new(address: &Address) -> io::Result<Self> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver { is_private: address.is_private });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECTS_WITHIN));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector(tcp, address.is_tls)?);
        Ok(Self { pool, patience: ANSWERS_WITHIN })
    }

    /// The same with another patience.
    #[cfg(test)]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// # Errors
    /// Why there is no answer, in words of ours.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let answered = timeout(self.patience, self.pool.request(request)).await;
        let answer = answered.map_err(|_| "it took too long")?.map_err(|error| root_cause(&error))?;
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| backoff::retry_after(value, SystemTime::now()));
        Ok(Answer { code: answer.status().as_u16(), retry_after })
    }
}

/// Looks names up, and leaves out addresses that are not public unless they are meant: whoever has the name in their hands may
/// not lead us to our own network.
#[derive(Clone)]
struct Resolver {
    is_private: bool,
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let is_private = self.is_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> =
                found.filter(|address| is_private || may_reach(address.ip(), false)).collect();
            if found.is_empty() {
                return Err(io::Error::other("its name leads to no public address"));
            }
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_asked_only_where_that_is_meant() {
        let name = || "localhost".parse::<Name>().unwrap();
        let looked_up = async |is_private| tower::Service::call(&mut Resolver { is_private }, name()).await;
        let refused = looked_up(false).await.err().unwrap();
        assert_eq!(refused.to_string(), "its name leads to no public address");
        assert!(looked_up(true).await.unwrap().all(|address| address.ip().is_loopback()));
    }
}
