//! A network that loses, delays, reorders and duplicates, as a value: for tests and benchmarks.
//!
//! [`Netem::carry`] says when, if ever, a packet sent at some time arrives. The same seed gives the same
//! network every time.

use std::time::Duration;

/// How packets get lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// Never.
    #[default]
    None,
    /// Each with this probability, independently.
    Uniform(f64),
    /// In bursts (Gilbert-Elliott): a good state that loses nothing and a bad one that loses everything.
    Bursts {
        /// Probability of a packet in the good state to begin a burst.
        begin: f64,
        /// Probability of a packet in the bad state to end it; the mean burst is `1 / end` packets.
        end: f64,
    },
}

/// What the network does to packets. The default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetemConfig {
    /// How long every packet takes at least.
    pub delay: Duration,
    /// Up to how much longer a packet takes; evenly spread. Packets queue behind a slow one, as they do in
    /// routers, so this alone does not reorder.
    pub jitter: Duration,
    /// Loss.
    pub loss: Loss,
    /// The share of packets that arrive twice.
    pub duplicate: f64,
    /// The share of packets that are overtaken.
    pub reorder: f64,
    /// How much later an overtaken packet, or the second of a pair, arrives.
    pub reorder_delay: Duration,
    /// By how many millionths the sender's clock is slower than ours: positive makes packets come later and
    /// later.
    pub drift_ppm: f64,
}

/// A simulated network.
#[derive(Clone, Debug)]
pub struct Netem {
    config: NetemConfig,
    random: Random,
    in_burst: bool,
    last: Duration,
}

impl Netem {
    /// A network with its own stream of chance.
    #[must_use]
    pub fn new(config: NetemConfig, seed: u64) -> Self {
        Self { config, random: Random(seed), in_burst: false, last: Duration::ZERO }
    }

    /// When a packet sent at `sent` arrives: never, once or twice.
    pub fn carry(&mut self, sent: Duration) -> impl Iterator<Item = Duration> + use<> {
        let config = self.config;
        let lost = match config.loss {
            Loss::None => false,
            Loss::Uniform(share) => self.random.chance(share),
            Loss::Bursts { begin, end } => {
                self.in_burst =
                    if self.in_burst { !self.random.chance(end) } else { self.random.chance(begin) };
                self.in_burst
            }
        };
        let drifted = sent.mul_f64(1.0 + config.drift_ppm / 1e6);
        let jitter = config.jitter.mul_f64(self.random.unit());
        let arrival = (drifted + config.delay + jitter).max(self.last);
        self.last = arrival;
        let overtaken = self.random.chance(config.reorder);
        let twice = self.random.chance(config.duplicate);
        let first = if overtaken { arrival + config.reorder_delay } else { arrival };
        let arrivals = [(!lost).then_some(first), (!lost && twice).then_some(arrival + config.reorder_delay)];
        arrivals.into_iter().flatten()
    }
}

/// SplitMix64: small, seeded, and good enough to decide about packets.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(config: NetemConfig, packets: u32) -> Vec<Vec<Duration>> {
        let mut network = Netem::new(config, 7);
        (0..packets).map(|n| network.carry(Duration::from_millis(20) * n).collect()).collect()
    }

    #[test]
    fn losses_come_at_the_rate_and_in_the_bursts_asked_for() {
        let none = |config| arrivals(config, 100_000).iter().filter(|a| a.is_empty()).count();
        let uniform = none(NetemConfig { loss: Loss::Uniform(0.05), ..NetemConfig::default() });
        assert!((4_700..5_300).contains(&uniform), "{uniform}");
        let bursts = NetemConfig { loss: Loss::Bursts { begin: 0.01, end: 0.25 }, ..NetemConfig::default() };
        let lost = none(bursts);
        assert!((3_500..4_200).contains(&lost), "{lost}");
        let begun =
            arrivals(bursts, 100_000).windows(2).filter(|w| !w[0].is_empty() && w[1].is_empty()).count();
        assert!((3.5..4.5).contains(&(lost as f64 / begun as f64)));
    }

    #[test]
    fn delay_jitter_and_drift_stay_within_what_was_asked() {
        let config = NetemConfig {
            delay: Duration::from_millis(30),
            jitter: Duration::from_millis(10),
            drift_ppm: 100.0,
            ..NetemConfig::default()
        };
        let mut last = Duration::ZERO;
        for (n, arrived) in arrivals(config, 50_000).into_iter().enumerate() {
            let sent = 20.0 * n as f64 * 1.000_1;
            let took = arrived[0].as_secs_f64() * 1e3 - sent;
            assert!((30.0 - 1e-3..=40.0 + 1e-3).contains(&took), "{took}");
            assert!(arrived[0] >= last);
            last = arrived[0];
        }
    }
}
