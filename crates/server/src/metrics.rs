//! Figures for Prometheus: whoever counts something registers a way to read it; nothing is counted twice.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// The labels of one series of a family.
pub type Labels = Vec<(&'static str, String)>;

/// All figures of this process, read when `/metrics` is asked for. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Upper bound of each bucket and how many fell into it, not cumulated. What is above the last bound goes
    /// into a bucket with the bound [`f64::INFINITY`].
    pub counts: Vec<(f64, u64)>,
    /// Sum of all that was counted.
    pub sum: f64,
}

impl Metrics {
    /// Registers a number that goes up and down.
    pub fn gauge(&self, name: &str, help: &str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.gauges(name, help, move || vec![(Labels::new(), read())]);
    }

    /// Registers a number that only grows. `name` goes without the `_total` that Prometheus adds.
    pub fn counter(&self, name: &str, help: &str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.counters(name, help, move || vec![(Labels::new(), read())]);
    }

    /// Registers numbers that go up and down, told apart by labels.
    pub fn gauges(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> Vec<(Labels, f64)> + Send + Sync + 'static,
    ) {
        self.register(name, help, MetricType::Gauge, read, |encoder, value| encoder.encode_gauge(value));
    }

    /// Registers numbers that only grow, told apart by labels.
    pub fn counters(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> Vec<(Labels, u64)> + Send + Sync + 'static,
    ) {
        self.register(name, help, MetricType::Counter, read, |encoder, value| {
            encoder.encode_counter::<NoLabelSet, u64, f64>(value, None)
        });
    }

    /// Registers histograms, told apart by labels.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> Vec<(Labels, Buckets)> + Send + Sync + 'static,
    ) {
        self.register(name, help, MetricType::Histogram, read, |encoder, buckets| {
            let count = buckets.counts.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(buckets.sum, count, &buckets.counts, None)
        });
    }

    fn register<T: 'static>(
        &self,
        name: &str,
        help: &str,
        kind: MetricType,
        read: impl Fn() -> Vec<(Labels, T)> + Send + Sync + 'static,
        encode: fn(&mut MetricEncoder<'_>, &T) -> fmt::Result,
    ) {
        let family = Family { name: format!("sotto_{name}"), help: help.to_owned(), kind, read, encode };
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(family));
    }

    /// Everything in the text form of OpenMetrics, which Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if encode(&mut text, &registry).is_err() {
            // Writing to a string cannot fail; a figure that cannot be written is left out.
            tracing::warn!("a figure could not be written for /metrics");
        }
        text
    }
}

/// From now on panics are counted, whatever they end, and said as before. A thread or a task that is gone is otherwise
/// missed by nobody until what it did is missing.
pub fn count_panics(metrics: &Metrics) {
    static PANICS: AtomicU64 = AtomicU64::new(0);
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        say(panic);
    }));
    let help = "Panics: each has ended a thread or a task, or what it was at";
    metrics.counter("panics", help, || PANICS.load(Ordering::Relaxed));
}

/// [`Metrics::render`]'s content type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

struct Family<T, R> {
    name: String,
    help: String,
    kind: MetricType,
    read: R,
    encode: fn(&mut MetricEncoder<'_>, &T) -> fmt::Result,
}

impl<T, R> fmt::Debug for Family<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl<T: 'static, R: Fn() -> Vec<(Labels, T)> + Send + Sync + 'static> Collector for Family<T, R> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut encoder = encoder.encode_descriptor(&self.name, &self.help, None, self.kind)?;
        for (labels, value) in (self.read)() {
            if labels.is_empty() {
                (self.encode)(&mut encoder, &value)?;
            } else {
                (self.encode)(&mut encoder.encode_family(&labels)?, &value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_wherever_it_is() {
        let metrics = Metrics::default();
        count_panics(&metrics);
        let thread: std::thread::JoinHandle<()> = std::thread::spawn(|| panic!("counted"));
        assert!(thread.join().is_err());
        let text = metrics.render();
        let counted = text.lines().find_map(|line| line.strip_prefix("sotto_panics_total "));
        // Other tests may panic meanwhile.
        assert!(counted.is_some_and(|count| count != "0"), "{text}");
    }

    #[test]
    fn figures_are_read_when_they_are_asked_for() {
        let metrics = Metrics::default();
        let calls = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let read = Arc::clone(&calls);
        metrics.counter("calls", "Calls begun", move || read.load(std::sync::atomic::Ordering::Relaxed));
        metrics.gauge("lag_seconds", "How far behind", || 0.25);
        metrics.counters("rtp_packets", "RTP packets", || {
            vec![(vec![("party", "agent".to_owned()), ("peer", "a\"b\\\n".to_owned())], 7)]
        });
        metrics.histograms("latency_seconds", "Latency", || {
            let counts = vec![(0.1, 1), (0.5, 2), (f64::INFINITY, 3)];
            vec![(vec![("kind", "final".to_owned())], Buckets { counts, sum: 9.5 })]
        });
        calls.store(3, std::sync::atomic::Ordering::Relaxed);
        let text = metrics.render();
        for line in [
            "# HELP sotto_calls Calls begun",
            "# TYPE sotto_calls counter",
            "sotto_calls_total 3",
            "sotto_lag_seconds 0.25",
            r#"sotto_rtp_packets_total{party="agent",peer="a\"b\\\n"} 7"#,
            r#"sotto_latency_seconds_bucket{le="0.5",kind="final"} 3"#,
            r#"sotto_latency_seconds_bucket{le="+Inf",kind="final"} 6"#,
            r#"sotto_latency_seconds_sum{kind="final"} 9.5"#,
            r#"sotto_latency_seconds_count{kind="final"} 6"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
