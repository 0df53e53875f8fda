//! The live path without a network: a store of its own that is thrown away, recognition, and calls from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use sotto_call::{CallEvent, CallId, EndReason, EventBody, LegStarted, Participant, Party, Source};
use sotto_insight::Playbook;
use sotto_models::{Cache, Console};
use sotto_sip::{NewCall, NewLeg};
use sotto_store::{EventWriter, Store, WriterLimits};
use tokio::sync::mpsc;

use super::folder;
use crate::calls::{Calls, LoadTold};
use crate::config::Config;
use crate::hub::{Follow, FollowError, Hub, HubLimits, Update};
use crate::insight::{self, Insight};
use crate::library::Library;
use crate::player::{Recording, Speed, play};

/// What is written down, for a call that is played.
#[derive(Debug, Default, Args)]
pub(crate) struct Knowledge {
    /// A folder with documents (Markdown, HTML, text, CSV, JSON, PDF, DOCX): passages of these that answer what the
    /// customer asks are shown as on a live call.
    #[arg(long, value_name = "FOLDER")]
    knowledge: Option<PathBuf>,
    /// A file in which what was read of them is kept, so that the next time begins at once.
    #[arg(long, value_name = "FILE", requires = "knowledge")]
    keep: Option<PathBuf>,
}

impl Knowledge {
    /// Whether a folder is named.
    pub(crate) fn is_given(&self) -> bool {
        self.knowledge.is_some()
    }

    async fn library(&self, config: &Config) -> anyhow::Result<Library> {
        let Some(path) = self.knowledge.clone() else { return Ok(Library::default()) };
        anyhow::ensure!(config.insight.enabled, "`insight.enabled = false`: nothing would be looked up");
        let (config, keep) = (config.clone(), self.keep.clone());
        let read = move || folder::library(&config, &path, keep.as_deref());
        tokio::task::spawn_blocking(read).await?
    }
}

/// See the module.
pub(crate) struct Offline {
    pub calls: Calls,
    // Deletes the store when dropped.
    _folder: tempfile::TempDir,
}

impl Offline {
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let store = Store::open(&format!("sqlite:{}", folder.path().join("replay.db").display())).await?;
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let hub = Hub::new(store, writer, HubLimits::default());
        let load = Arc::new(LoadTold::default());
        let redaction = config.redaction.clone();
        let (config, told) = (config.clone(), load.clone());
        let engine = tokio::task::spawn_blocking(move || {
            let cache = Cache::open(config.speech.models_dir.clone())?;
            let on_load = Box::new(move |load| told.tell(load));
            crate::analysis::start(
                &config.speech,
                &config.vocabulary.words,
                &cache,
                &mut Console::default(),
                on_load,
            )
        })
        .await??;
        let calls = Calls::new(hub, None, None, load, None, redaction);
        calls.listen_with(engine);
        Ok(Self { calls, _folder: folder })
    }

    /// From now on what is said is understood as in a live call; moods and intents if the models can be had. What is
    /// written down in a folder is shown where customers ask for it, and then the models must be had.
    pub(crate) async fn understand(&self, config: &Config, knowledge: &Knowledge) -> anyhow::Result<()> {
        let (intents, prompts) = (config.insight.read_intents()?, config.prompts.read()?);
        let checklist = prompts.as_ref().map(|prompts| prompts.duties().to_vec()).unwrap_or_default();
        config.insight.check(&checklist)?;
        let library = knowledge.library(config).await?;
        let is_searched = library.index().is_some();
        if config.insight.enabled {
            self.calls.understand_with(Insight::start(&config.insight, library)?);
        }
        if let Some(prompts) = prompts {
            self.calls.prompt_by(Arc::new(Playbook::new(prompts, intents.as_ref())));
        }
        if !config.insight.is_wanted(&checklist) && !is_searched {
            return Ok(());
        }
        let config = config.clone();
        let open = move || {
            let cache = Cache::open(config.speech.models_dir.clone())?;
            insight::open(&config.insight, intents.as_ref(), &checklist, &cache, &mut Console::default())
        };
        match tokio::task::spawn_blocking(open).await? {
            Ok(opened) => self.calls.read_with(opened),
            Err(error) if is_searched => return Err(error),
            Err(error) => tracing::warn!("neither mood nor intents: {error:#}"),
        }
        Ok(())
    }

    /// Plays a file; its events come as they are published. The channel closes after the call's end.
    pub(crate) async fn play(
        &self,
        file: &Path,
        real_time: bool,
        language: Option<String>,
    ) -> anyhow::Result<mpsc::Receiver<Arc<CallEvent>>> {
        let path = file.to_path_buf();
        let recording = tokio::task::spawn_blocking(move || Recording::open(&path)).await??;
        let parties: &[Party] =
            if recording.channels.len() == 2 { &[Party::Agent, Party::Customer] } else { &[Party::Other] };
        let call = self.calls.begin_file(
            NewCall {
                external_id: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                source: Source::File,
                called: None,
                legs: parties.iter().map(|&party| NewLeg { party, label: None, codec: "file" }).collect(),
                participants: (parties.iter())
                    .map(|&party| Participant { party, aor: None, name: None })
                    .collect(),
                headers: Default::default(),
                language,
                consent: None,
            },
            real_time,
        )?;
        let id = call.id;
        let hub = self.calls.hub();
        let follow = hub.follow(id, Some(0)).await?;
        let live = hub.get(id).context("the call has ended already")?;
        for &party in parties {
            live.publish(EventBody::LegStarted(LegStarted { party, codec: recording.format.clone() }));
        }
        let (events, received) = mpsc::channel(256);
        let passed_on = pass_on(hub.clone(), id, follow, events);
        tokio::spawn(async move {
            if let Err(error) = passed_on.await {
                tracing::error!(%error, "what follows of the call is missing");
            }
        });
        let start = call.clock.instant(Duration::ZERO).into_std();
        let speed = call.position.map_or(Speed::Real(start), Speed::Max);
        let calls = self.calls.clone();
        tokio::spawn(async move {
            let played = tokio::task::spawn_blocking(move || play(&recording.channels, call.outputs, &speed));
            if played.await.is_err() {
                tracing::error!(call = %id, "playing failed");
            }
            calls.finish(id, EndReason::Hangup).await;
        });
        Ok(received)
    }
}

/// Passes a call's events on until its end, or until nobody takes them, however slowly they are taken: whoever reads what is
/// printed may stop to look at it.
async fn pass_on(
    hub: Hub,
    id: CallId,
    mut follow: Follow,
    events: mpsc::Sender<Arc<CallEvent>>,
) -> Result<(), FollowError> {
    loop {
        match follow.next().await {
            Ok(Some(Update::Event(event))) => {
                if events.send(event).await.is_err() {
                    return Ok(());
                }
            }
            Ok(Some(Update::Snapshot(_))) => {}
            Ok(None) => return Ok(()),
            Err(FollowError::Slow) => follow = hub.follow(id, Some(follow.seq())).await?,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use sotto_call::{CallEnded, CallStarted, Dtmf, Millis};

    use super::*;
    use crate::hub::NewCall;

    #[tokio::test]
    async fn no_event_is_missing_however_slowly_a_call_is_read() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let limits = HubLimits { tail: 2, ..HubLimits::default() };
        let hub = Hub::new(store, writer, limits);
        let started = CallStarted {
            version: sotto_call::FORMAT_VERSION,
            source: Source::File,
            started_at_unix_ms: 1_000,
            external_id: "call.wav".to_owned(),
            participants: Vec::new(),
            language: None,
            bridged: false,
            parties_guessed: false,
            headers: Default::default(),
        };
        let id = CallId::new();
        let live = hub.begin(NewCall { id, started, recording: None }, || Millis(7)).unwrap();
        let follow = hub.follow(id, Some(0)).await.unwrap();
        for _ in 0..50 {
            let dtmf = Dtmf { party: Party::Customer, digit: '5', duration_ms: Millis(100) };
            live.publish(EventBody::Dtmf(dtmf));
        }
        live.end(CallEnded { reason: EndReason::Hangup, duration_ms: Millis(7) }).await.unwrap();
        let (events, mut read) = mpsc::channel(1);
        let passed_on = tokio::spawn(pass_on(hub, id, follow, events));
        let mut seen = Vec::new();
        while let Some(event) = read.recv().await {
            seen.push(event.seq);
        }
        passed_on.await.unwrap().unwrap();
        assert!(seen.len() >= 52, "{seen:?}");
        assert!(seen.iter().copied().eq(1..=seen.len() as u64), "{seen:?}");
    }
}
