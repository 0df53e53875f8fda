//! What recognition, redaction, insight, the library and signalling count, registered for `/metrics`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use sotto_llm::{Counts, Llm, Purpose, SECONDS, Standing};
use sotto_media::Totals;
use sotto_sip::SipCounters;
use sotto_speech::{BUCKETS_MS, DecodeFigures, Figures, Histogram};

use crate::library::{Library, LibraryFigures};
use crate::metrics::{Buckets, Labels, Metrics};
use crate::{follow_ups, insight, jobs, outgoing, redaction};

/// Registers the engine's figures.
pub fn speech(metrics: &Metrics, figures: &Arc<Figures>) {
    type Read = fn(&DecodeFigures) -> &Histogram;
    let histograms: [(&str, &str, Read); 3] = [
        ("speech_wait_seconds", "From a decode being queued to being begun", |f| &f.wait),
        ("speech_decode_seconds", "A decode that came to its end", |f| &f.decode),
        ("speech_latency_seconds", "From the last sample heard to the publication of its words", |f| {
            &f.latency
        }),
    ];
    for (name, help, read) in histograms {
        let figures = figures.clone();
        metrics.histograms(name, help, move || {
            kinds(&figures).into_iter().map(|(labels, kind)| (labels, buckets(read(kind)))).collect()
        });
    }
    type Count = fn(&DecodeFigures) -> u64;
    let counters: [(&str, &str, Count); 5] = [
        ("speech_decoded_milliseconds", "Audio of decodes that came to their end", |f| {
            f.audio_ms.load(Relaxed)
        }),
        ("speech_shed", "Decodes given up because the machine was behind", |f| f.shed.load(Relaxed)),
        ("speech_given_up", "Decodes given up because what followed made them useless", |f| {
            f.given_up.load(Relaxed)
        }),
        ("speech_loops", "Decodes in which the model repeated itself", |f| f.loops.load(Relaxed)),
        ("speech_failed", "Decodes that failed", |f| f.failed.load(Relaxed)),
    ];
    for (name, help, read) in counters {
        let figures = figures.clone();
        metrics.counters(name, help, move || {
            kinds(&figures).into_iter().map(|(labels, kind)| (labels, read(kind))).collect()
        });
    }
    type Value = fn(&Figures) -> u64;
    let gauges: [(&str, &str, Value); 4] = [
        ("speech_legs", "Legs being listened to", |f| f.legs.load(Relaxed)),
        ("speech_queue", "Decodes waiting", |f| f.queue.load(Relaxed)),
        ("speech_behind_milliseconds", "How late the most overdue final is", |f| f.behind_ms.load(Relaxed)),
        ("speech_shedding", "What is shed: 0 nothing, 1 fewer partials, 2 no partials, 3 late finals", |f| {
            f.shedding.load(Relaxed)
        }),
    ];
    for (name, help, read) in gauges {
        let figures = figures.clone();
        metrics.gauge(name, help, move || read(&figures) as f64);
    }
    let totals: [(&str, &str, Value); 3] = [
        ("speech_failed_legs", "Legs on which listening failed, and which got no more words", |f| {
            f.failed_legs.load(Relaxed)
        }),
        ("speech_heard_milliseconds", "Audio heard", |f| f.heard_ms.load(Relaxed)),
        ("speech_lost_milliseconds", "Audio that did not reach recognition", |f| f.lost_ms.load(Relaxed)),
    ];
    for (name, help, read) in totals {
        let figures = figures.clone();
        metrics.counter(name, help, move || read(&figures));
    }
    let ratio = figures.clone();
    metrics.gauges("speech_real_time_factor", "Decoding time per time decoded", move || {
        kinds(&ratio).into_iter().map(|(labels, kind)| (labels, kind.real_time_factor())).collect()
    });
}

/// Registers what is counted of what is understood.
pub fn insight(metrics: &Metrics, figures: &Arc<insight::Figures>) {
    let latency = figures.clone();
    let help = "From the publication of a customer's words to that of what was understood of them";
    metrics.histograms("insight_latency_seconds", help, move || {
        vec![(Labels::new(), buckets(&latency.latency))]
    });
    let sooner = figures.clone();
    let help = "How long what was looked up before words were final took, where these asked the same";
    metrics.histograms("insight_ahead_seconds", help, move || vec![(Labels::new(), buckets(&sooner.sooner))]);
    type Count = fn(&insight::Figures) -> u64;
    let counters: [(&str, &str, Count); 7] = [
        ("insight_entities", "Entities found, those of revised words counted again", |f| {
            f.entities.load(Relaxed)
        }),
        ("insight_moods", "Utterances whose mood was read", |f| f.moods.load(Relaxed)),
        ("insight_intents", "Utterances in which an intent was recognised", |f| f.intents.load(Relaxed)),
        ("insight_questions", "Questions of customers that were looked up in what is written down", |f| {
            f.questions.load(Relaxed)
        }),
        ("insight_looked_ahead", "What was looked up for words that could still change", |f| {
            f.ahead.load(Relaxed)
        }),
        ("insight_dropped", "Utterances left out because too many waited", |f| f.dropped.load(Relaxed)),
        ("insight_failed", "Utterances that a model failed to understand", |f| f.failed.load(Relaxed)),
    ];
    for (name, help, read) in counters {
        let figures = figures.clone();
        metrics.counter(name, help, move || read(&figures));
    }
}

/// Registers what is counted of what is done after calls.
pub fn jobs(metrics: &Metrics, figures: &Arc<jobs::Figures>) {
    let done = ("jobs_done", "Jobs after calls that are done");
    let failed = ("jobs_failed", "Tries of jobs after calls that failed");
    tries(metrics, figures, [done, failed, ("jobs_dead", "Jobs after calls that were given up")]);
}

/// Registers how often what was said in a call could not be embedded.
pub fn meaning(metrics: &Metrics, failed: &Arc<AtomicU64>) {
    let failed = failed.clone();
    let help = "Tries to embed what was said in a call that failed";
    metrics.counter("calls_not_embedded", help, move || failed.load(Relaxed));
}

/// Registers what is counted of recordings made elsewhere.
pub fn imports(metrics: &Metrics, figures: &Arc<jobs::Figures>) {
    let done = ("imports_done", "Recordings made elsewhere that are calls now");
    let failed = ("imports_failed", "Tries of recordings made elsewhere that failed");
    tries(metrics, figures, [done, failed, ("imports_dead", "Recordings made elsewhere that were given up")]);
}

/// Registers counters by names and what they say: of what is done, of tries that failed, of what was given up.
fn tries(metrics: &Metrics, figures: &Arc<jobs::Figures>, [done, failed, dead]: [(&str, &str); 3]) {
    type Count = fn(&jobs::Figures) -> u64;
    let counters: [((&str, &str), Count); 3] = [
        (done, |f| f.done.load(Relaxed)),
        (failed, |f| f.failed.load(Relaxed)),
        (dead, |f| f.dead.load(Relaxed)),
    ];
    for ((name, help), read) in counters {
        let figures = figures.clone();
        metrics.counter(name, help, move || read(&figures));
    }
}

/// Registers what others are told.
pub fn outgoing(metrics: &Metrics, figures: &Arc<outgoing::Figures>) {
    type Count = fn(&outgoing::Figures) -> u64;
    let counters: [(&str, &str, Count); 3] = [
        ("deliveries_done", "Webhooks and calls of an outside CRM that were taken", |f| f.done.load(Relaxed)),
        ("deliveries_failed", "Tries of them that failed", |f| f.failed.load(Relaxed)),
        ("deliveries_dead", "Those that were given up", |f| f.dead.load(Relaxed)),
    ];
    for (name, help, read) in counters {
        let figures = figures.clone();
        metrics.counter(name, help, move || read(&figures));
    }
}

/// Registers what became of messages to contacts.
pub fn follow_ups(metrics: &Metrics, figures: &Arc<follow_ups::Figures>) {
    type Count = fn(&follow_ups::Figures) -> u64;
    let counters: [(&str, &str, Count); 4] = [
        ("follow_ups_sent", "Messages to contacts that were taken", |f| f.sent.load(Relaxed)),
        ("follow_ups_failed", "Tries of messages to contacts that failed", |f| f.failed.load(Relaxed)),
        ("follow_ups_dead", "Messages to contacts that were given up", |f| f.dead.load(Relaxed)),
        ("follow_ups_unknown", "Messages to contacts that may have been sent", |f| f.unknown.load(Relaxed)),
    ];
    for (name, help, read) in counters {
        let figures = figures.clone();
        metrics.counter(name, help, move || read(&figures));
    }
}

/// Registers how much is written down, and what is done with it.
pub fn knowledge(metrics: &Metrics, library: &Library) {
    type Read = fn(&LibraryFigures) -> u64;
    let gauges: [(&str, &str, Read); 4] = [
        ("knowledge_documents", "Documents that can be found", |f| f.documents),
        ("knowledge_documents_failed", "Documents that cannot be read", |f| f.failed),
        ("knowledge_passages", "Passages that can be found", |f| f.passages),
        ("knowledge_passages_without_vector", "Passages found by their words alone", |f| f.without_vector),
    ];
    for (name, help, read) in gauges {
        let library = library.clone();
        metrics.gauge(name, help, move || read(&library.figures()) as f64);
    }
    let counters: [(&str, &str, Read); 2] = [
        ("knowledge_embedded", "Passages embedded", |f| f.embedded),
        ("knowledge_searches", "Questions looked up", |f| f.searches),
    ];
    for (name, help, read) in counters {
        let library = library.clone();
        metrics.counter(name, help, move || read(&library.figures()));
    }
    let library = library.clone();
    metrics.counters("knowledge_milliseconds", "Time spent on documents, by what was done", move || {
        let figures = library.figures();
        let times = [
            ("reading", figures.reading_ms),
            ("embedding", figures.embedding_ms),
            ("indexing", figures.indexing_ms),
        ];
        times.map(|(of, ms)| (vec![("of", of.to_owned())], ms)).to_vec()
    });
}

/// Registers what is counted of secrets.
pub fn redaction(metrics: &Metrics, figures: &Arc<redaction::Figures>) {
    let figures = figures.clone();
    metrics.counters(
        "redactions",
        "Final utterances that a secret was taken out of, by its kind, revised ones counted again",
        move || {
            let counts = figures.taken_out();
            counts.map(|(secret, count)| (vec![("kind", secret.as_str().to_owned())], count)).collect()
        },
    );
}

fn kinds(figures: &Figures) -> [(Labels, &DecodeFigures); 4] {
    let Figures { partial, candidate, r#final, revision, .. } = figures;
    [("partial", partial), ("candidate", candidate), ("final", r#final), ("revision", revision)]
        .map(|(kind, decode)| (vec![("kind", kind.to_owned())], decode))
}

fn buckets(histogram: &Histogram) -> Buckets {
    let (counts, sum_ms) = histogram.read();
    let bounds = BUCKETS_MS.iter().map(|ms| *ms as f64 / 1000.0).chain([f64::INFINITY]);
    Buckets { counts: bounds.zip(counts).collect(), sum: sum_ms as f64 / 1000.0 }
}

/// Registers what is counted of a language model.
pub fn llm(metrics: &Metrics, llm: &Llm) {
    let of_each =
        |llm: &Llm| llm.figures().counts.into_iter().map(|(purpose, counts)| (labels(purpose), counts));
    let took = llm.clone();
    metrics.histograms("llm_seconds", "From a question to its answer", move || {
        let bounds = || SECONDS.into_iter().chain([f64::INFINITY]);
        let buckets =
            |counts: Counts| Buckets { counts: bounds().zip(counts.took).collect(), sum: counts.took_s };
        of_each(&took).map(|(labels, counts)| (labels, buckets(counts))).collect()
    });
    type Count = fn(&Counts) -> u64;
    let counters: [(&str, &str, Count); 6] = [
        ("llm_answered", "Questions that a language model has answered", |c| c.answered),
        ("llm_retried", "Attempts after the first", |c| c.retried),
        ("llm_invalid", "First answers of another form than was asked for", |c| c.invalid),
        ("llm_repaired", "Those of them that were right the second time", |c| c.repaired),
        ("llm_prompt_tokens", "Tokens of prompts", |c| c.prompt_tokens),
        ("llm_answer_tokens", "Tokens of answers", |c| c.answer_tokens),
    ];
    for (name, help, read) in counters {
        let counted = llm.clone();
        metrics.counters(name, help, move || {
            of_each(&counted).map(|(labels, counts)| (labels, read(&counts))).collect()
        });
    }
    let failed = llm.clone();
    metrics.counters("llm_failed", "Questions without an answer, by what went wrong", move || {
        let all = of_each(&failed).flat_map(|(labels, counts)| {
            let each = counts.failed.into_iter();
            each.map(move |(kind, count)| ([labels.clone(), vec![("kind", kind.to_owned())]].concat(), count))
        });
        all.collect()
    });
    let cost = llm.clone();
    metrics.gauges("llm_cost", "What it came to since the start, by the configured prices", move || {
        of_each(&cost).map(|(labels, counts)| (labels, counts.cost)).collect()
    });
    let today = llm.clone();
    metrics.gauges("llm_tokens_today", "Tokens spent today (UTC), or set aside", move || {
        let spent = today.figures().spent_today.into_iter();
        spent.map(|(purpose, tokens)| (labels(purpose), tokens as f64)).collect()
    });
    let now = llm.clone();
    metrics
        .gauge("llm_going_on", "Questions being answered, or waiting", move || now.figures().going_on as f64);
    let standing = llm.clone();
    let help = "How its server is thought of: 0 it is asked, 1 one question will tell, 2 it is left alone";
    metrics.gauge("llm_standing", help, move || match standing.figures().standing {
        Standing::Closed => 0.0,
        Standing::HalfOpen => 1.0,
        Standing::Open => 2.0,
    });
}

fn labels(purpose: Purpose) -> Labels {
    vec![("purpose", purpose.as_str().to_owned())]
}

/// Registers what went missing between the wire and the disk.
pub fn missing(metrics: &Metrics) {
    metrics.counters("media_missing_packets", "RTP packets, by what became of them", || {
        let Totals { lost, late, overflowed, discarded, flooded, unauthenticated, .. } = Totals::now();
        let counts = [
            ("lost", lost),
            ("late", late),
            ("overflowed", overflowed),
            ("discarded", discarded),
            ("flooded", flooded),
            ("unauthenticated", unauthenticated),
        ];
        counts.map(|(what, count)| (vec![("what", what.to_owned())], count)).to_vec()
    });
    metrics.counter("recording_dropped_milliseconds", "Audio that is not in recordings", || {
        Totals::now().recording_dropped_ms
    });
    metrics.counter("recording_errors", "Failed attempts to write a recording", || {
        Totals::now().recording_errors
    });
}

/// Registers the SIP endpoint's counters.
pub fn sip(metrics: &Metrics, read: impl Fn() -> SipCounters + Clone + Send + Sync + 'static) {
    type Count = fn(&SipCounters) -> u64;
    let counters: [(&str, &str, Count); 7] = [
        ("sip_messages", "SIP messages received", |c| c.messages),
        ("sip_dropped", "SIP messages that could not be answered", |c| c.dropped),
        ("sip_answered", "INVITEs answered", |c| c.answered),
        ("sip_refused_connections", "TCP and TLS connections that were not accepted", |c| c.refused_streams),
        ("sip_failed_handshakes", "Connections on which no TLS came about", |c| c.failed_handshakes),
        ("sip_wrong_passwords", "Wrong passwords of callers", |c| c.wrong_passwords),
        ("sip_registration_failures", "Attempts to register with the trunk that failed", |c| {
            c.registration_failures
        }),
    ];
    for (name, help, count) in counters {
        let read = read.clone();
        metrics.counter(name, help, move || count(&read()));
    }
    let refused = read.clone();
    metrics.counters("sip_refused", "INVITEs refused, by status code", move || {
        let refused = refused().refused.into_iter();
        refused.map(|(status, count)| (vec![("status", status.to_string())], count)).collect()
    });
    let registered = read.clone();
    metrics.gauges("sip_registered", "Whether the trunk has us registered, when it shall", move || {
        let registered = registered().registered.map(f64::from);
        registered.into_iter().map(|registered| (Labels::new(), registered)).collect()
    });
    metrics.gauge("sip_dialogs", "Dialogs now", move || read().dialogs as f64);
}

#[cfg(test)]
mod tests {
    use sotto_llm::Settings;

    use super::*;

    #[test]
    fn every_figure_has_its_name_once() {
        let metrics = Metrics::default();
        speech(&metrics, &Arc::default());
        insight(&metrics, &Arc::default());
        jobs(&metrics, &Arc::default());
        follow_ups(&metrics, &Arc::default());
        redaction(&metrics, &Arc::default());
        let settings = Settings { url: "http://127.0.0.1:9".to_owned(), ..Settings::default() };
        llm(&metrics, &Llm::new(settings).unwrap());
        missing(&metrics);
        sip(&metrics, || SipCounters { registered: Some(true), ..SipCounters::default() });
        let text = metrics.render();
        for name in [
            "sotto_speech_wait_seconds_bucket{",
            "sotto_speech_decode_seconds_bucket{",
            "sotto_speech_latency_seconds_bucket{",
            "sotto_speech_real_time_factor{",
            "sotto_speech_queue ",
            "sotto_speech_lost_milliseconds_total ",
            "sotto_insight_latency_seconds_bucket{",
            "sotto_insight_ahead_seconds_bucket{",
            "sotto_insight_looked_ahead_total ",
            "sotto_insight_dropped_total ",
            "sotto_insight_entities_total ",
            "sotto_insight_questions_total ",
            "sotto_jobs_dead_total ",
            "sotto_redactions_total{",
            "sotto_media_missing_packets_total{",
            "sotto_llm_going_on 0",
            "sotto_llm_standing 0",
            "sotto_recording_dropped_milliseconds_total ",
            "sotto_sip_answered_total ",
            "sotto_sip_registration_failures_total ",
            "sotto_sip_registered 1",
        ] {
            assert!(text.contains(&format!("\n{name}")), "{name} is missing in\n{text}");
        }
        assert!(!text.contains("sotto_sotto"), "{text}");
    }
}
