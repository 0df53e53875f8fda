//! What has come and what became of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Peers, and user agents, told apart; the rest counts as one.
const MAX_NAMES: usize = 256;
/// Characters kept of a user agent's name.
const MAX_AGENT: usize = 64;
/// Where the ones that are not told apart are counted.
const OTHERS: &str = "others";

/// Totals since the start, and what there is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SipCounters {
    /// Messages received.
    pub messages: u64,
    /// Messages that could not be answered.
    pub dropped: u64,
    /// Requests refused, by status.
    pub refused: BTreeMap<u16, u64>,
    /// INVITEs answered with 200.
    pub answered: u64,
    /// Wrong passwords in requests.
    pub wrong_passwords: u64,
    /// Connections that were not accepted.
    pub refused_streams: u64,
    /// Connections on which no TLS came about: no peer that speaks it, or one that stopped half-way.
    pub failed_handshakes: u64,
    /// Connections now, over TCP and TLS.
    pub streams: usize,
    /// Dialogs now.
    pub dialogs: usize,
    /// Whether the trunk has us registered; `None` when it is not asked to.
    pub registered: Option<bool>,
    /// Attempts to register that failed.
    pub registration_failures: u64,
    /// By address of the peer.
    pub peers: BTreeMap<String, PeerCounters>,
    /// Requests by user agent.
    pub user_agents: BTreeMap<String, u64>,
}

/// Totals of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PeerCounters {
    /// Messages received.
    pub messages: u64,
    /// Messages that could not be answered.
    pub dropped: u64,
    /// Requests refused before a dialog.
    pub refused: u64,
}

#[derive(Default)]
pub(crate) struct Counters(Mutex<SipCounters>);

impl Counters {
    fn lock(&self) -> MutexGuard<'_, SipCounters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> SipCounters {
        self.lock().clone()
    }

    pub(crate) fn message(&self, peer: IpAddr) {
        let mut all = self.lock();
        all.messages += 1;
        entry(&mut all.peers, &peer.to_string()).messages += 1;
    }

    pub(crate) fn dropped(&self, peer: IpAddr) {
        let mut all = self.lock();
        all.dropped += 1;
        entry(&mut all.peers, &peer.to_string()).dropped += 1;
    }

    pub(crate) fn refused_peer(&self, peer: IpAddr, status: u16) {
        let mut all = self.lock();
        *all.refused.entry(status).or_default() += 1;
        entry(&mut all.peers, &peer.to_string()).refused += 1;
    }

    pub(crate) fn wrong_password(&self) {
        self.lock().wrong_passwords += 1;
    }

    pub(crate) fn refused(&self, status: u16) {
        *self.lock().refused.entry(status).or_default() += 1;
    }

    pub(crate) fn refused_stream(&self) {
        self.lock().refused_streams += 1;
    }

    pub(crate) fn failed_handshake(&self) {
        self.lock().failed_handshakes += 1;
    }

    /// The end of an attempt to register, or of a registration.
    pub(crate) fn registration(&self, is_registered: bool, has_failed: bool) {
        let mut all = self.lock();
        all.registered = Some(is_registered);
        all.registration_failures += u64::from(has_failed);
    }

    pub(crate) fn call_answered(&self) {
        self.lock().answered += 1;
    }

    pub(crate) fn user_agent(&self, name: &str) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_AGENT).collect();
        *entry(&mut self.lock().user_agents, &name) += 1;
    }
}

fn entry<'a, T: Default>(all: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    let name = if all.len() < MAX_NAMES || all.contains_key(name) { name } else { OTHERS };
    all.entry(name.to_owned()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let counters = Counters::default();
        for n in 0..MAX_NAMES + 10 {
            counters.user_agent(&format!("agent {n}"));
        }
        counters.user_agent("agent 0");
        let agents = counters.snapshot().user_agents;
        assert_eq!((agents.len(), agents[OTHERS], agents["agent 0"]), (MAX_NAMES + 1, 10, 2));
    }
}
