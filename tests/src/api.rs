//! What a browser or a script asks of Sotto over HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::http::Client;
use crate::live::Live;

/// A signed-in user of a server.
#[derive(Clone, Debug)]
pub struct Api {
    /// What carries the requests.
    pub client: Client,
}

impl Api {
    /// Signs in.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn sign_in(address: SocketAddr, name: &str, password: &str) -> Result<Self> {
        Ok(Self { client: Client::signed_in(address, name, password)? })
    }

    /// The calls in a state, `live` or `ended`, newest first.
    ///
    /// # Errors
    /// When the server does not answer as it should.
    pub fn calls(&self, state: &str) -> Result<Vec<Value>> {
        let answer = self.client.json(&format!("/api/calls?state={state}&limit=200"))?;
        Ok(answer["calls"].as_array().context("no calls in the answer")?.clone())
    }

    /// Waits for a live call that was not there before, and gives its id.
    ///
    /// # Errors
    /// When none comes within `patience`.
    pub fn next_live_call(&self, known: &[String], patience: Duration) -> Result<String> {
        let until = Instant::now() + patience;
        loop {
            let ids = self.calls("live")?;
            let mut ids = ids.iter().filter_map(|c| c["id"].as_str());
            if let Some(id) = ids.find(|id| !known.iter().any(|k| k == id)) {
                return Ok(id.to_owned());
            }
            ensure!(Instant::now() < until, "no live call within {patience:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a call has ended, and gives its events.
    ///
    /// # Errors
    /// When it is not over within `patience`.
    pub fn ended(&self, id: &str, patience: Duration) -> Result<Vec<Value>> {
        let until = Instant::now() + patience;
        loop {
            let call = self.client.json(&format!("/api/calls/{id}"))?;
            if call["call"]["state"] == "ended" {
                return self.events(id);
            }
            ensure!(Instant::now() < until, "call {id} has not ended within {patience:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A call's events from the first.
    ///
    /// # Errors
    /// When the server does not answer as it should.
    pub fn events(&self, id: &str) -> Result<Vec<Value>> {
        let answer = self.client.get(&format!("/api/calls/{id}/events?from=0"))?;
        ensure!(answer.status == 200, "events: status {}: {}", answer.status, answer.text());
        answer
            .text()
            .lines()
            .filter(|l| !l.trim().is_empty())
            .map(|l| serde_json::from_str(l).with_context(|| format!("event {l:?}")))
            .collect()
    }

    /// Saves a call's recording to a file.
    ///
    /// # Errors
    /// When there is none.
    pub fn recording(&self, id: &str, path: &Path) -> Result<()> {
        let answer = self.client.get(&format!("/api/calls/{id}/recording"))?;
        ensure!(answer.status == 200, "recording: status {}: {}", answer.status, answer.text());
        std::fs::write(path, answer.body).with_context(|| path.display().to_string())
    }

    /// A figure of `/metrics`, summed over its labels; 0 when it is not there.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = self.client.get("/metrics")?.text();
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
        });
        Ok(values.sum())
    }

    /// The WebSocket of a call.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn live(&self, id: &str, from: Option<u64>) -> Result<Live> {
        let from = from.map(|seq| format!("?from={seq}")).unwrap_or_default();
        Live::open(&self.client, &format!("/api/calls/{id}/live{from}"))
    }
}
