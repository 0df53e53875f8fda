//! Configuration: one schema, read from a file, the environment and the command line, in that order.
//!
//! The structures below are the schema. Their documentation becomes the comments of the sample file
//! ([`Config::reference`]), their defaults its values, and their names what a misspelt key is compared with.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sotto_insight::Duty;
use sotto_sip::SipConfig;
use sotto_webrtc::WebRtcConfig;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::alerts::AlertsConfig;
use crate::crm::{CrmConfig, CrmRules};
use crate::desk::DeskConfig;
use crate::follow_ups::{FollowUpRules, FollowUpsConfig, Voice, VoiceConfig};
use crate::http::HttpSettings;
use crate::imports::ImportsConfig;
use crate::insight::{InsightConfig, MoodFrom};
use crate::library::KnowledgeConfig;
use crate::llm::LlmConfig;
use crate::moods::MoodUse;
use crate::outgoing::{self, WebhookConfig};
use crate::prompts::PromptsConfig;
use crate::redaction::RedactionConfig;

/// The file that is read when none is named and it is there.
pub const USUAL_FILE: &str = "sotto.toml";
/// Characters of what moods are read for, in all languages: the audit keeps no longer ones.
const LONGEST_PURPOSE: usize = 300;
/// What environment variables begin with: `SOTTO_SERVER__LISTEN` is `listen` in `[server]`.
const ENVIRONMENT: &str = "SOTTO_";
/// Those that are no setting, without that and in lower case.
const OTHER_VARIABLES: [&str; 5] = ["config", "models", "admin_password", "password", "call_password"];

/// Everything that can be configured.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Programs that are told of what happens, over HTTPS and signed: `[[webhooks]]` with `name`, `url` and `secret`. `kinds` are
    /// `call.started`, `call.ended`, `insight.ready`, `quality.ready`, `call.noted`, `task.proposed`, `task.accepted`,
    /// `contact.changed`, `stage.suggested`, `stage.changed`, `ticket.changed`, `payment.changed` and `alert`; without, all of them. `private = true` lets one be on a
    /// network of your own.
    pub webhooks: Vec<WebhookConfig>,
    /// The web page and the interface for programs.
    pub server: ServerConfig,
    /// The database.
    pub store: StoreConfig,
    /// Signalling: SIPREC and plain SIP calls that PBXs and session border controllers send here.
    pub sip: SipConfig,
    /// Audio of calls (RTP).
    pub media: MediaConfig,
    /// Audio between agents' browsers and Sotto.
    pub webrtc: WebRtcConfig,
    /// Calls that are put through to agents at their browsers.
    pub desk: DeskConfig,
    /// Recognition of speech.
    pub speech: SpeechConfig,
    /// Names and terms that are expected in calls.
    pub vocabulary: VocabularyConfig,
    /// Card numbers, passwords and other secrets are taken out of what is said, before anybody sees or keeps it: whatever
    /// party says them, also when they are dictated in several turns.
    pub redaction: RedactionConfig,
    /// What is understood of what is said: what is named, how customers feel, and what they want.
    pub insight: InsightConfig,
    /// What agents are told while they talk: one thing at a time, and seldom. And what they must say, which ticks itself when they
    /// have said it.
    pub prompts: PromptsConfig,
    /// What supervisors are told of while calls go on, besides what every call has: lines, holds, an unhappy customer.
    pub alerts: AlertsConfig,
    /// What is written down: documents in which answers are looked up.
    pub knowledge: KnowledgeConfig,
    /// A language model that answers from what is written down: any server with OpenAI's interface, such as Ollama or
    /// llama.cpp beside Sotto. Without one, answers are sentences of the documents. What is sent there goes through
    /// `redaction` first.
    pub llm: LlmConfig,
    /// Whoever calls, or is called: contacts, and what was said to them.
    pub crm: CrmConfig,
    /// Messages to contacts that follow from calls: drafted of what was promised, and sent when somebody has approved them. There
    /// are none until something is configured to send them by.
    pub follow_ups: FollowUpsConfig,
    /// What speaks messages that are said on the telephone: a program or a server of yours, such as Piper.
    pub voice: VoiceConfig,
    /// Recordings of calls.
    pub recording: RecordingConfig,
    /// Recordings of calls that were made elsewhere, and become calls here.
    pub imports: ImportsConfig,
    /// How long calls are kept.
    pub retention: RetentionConfig,
    /// What is logged.
    pub log: LogConfig,
}

/// See [`Config::server`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen for HTTP. `0.0.0.0:8080` for everyone who can reach this machine: passwords then travel
    /// unencrypted unless a reverse proxy adds TLS.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The folder for everything Sotto keeps: recordings, and the database when that is SQLite. Access that everybody has
    /// to it is taken away at the start; a group that alone has some keeps it.
    #[schemars(with = "String")]
    pub data: PathBuf,
    /// The address browsers use (`https://calls.example`), when a reverse proxy stands in between. With
    /// `https` cookies are sent over TLS only.
    pub public_url: Option<String>,
    /// Addresses of reverse proxies whose X-Forwarded-For header is believed.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpAddr>,
    /// Hours after which everyone signs in again.
    pub session_hours: u32,
    /// Hours without a request after which one signs in again.
    pub session_idle_hours: u32,
    /// TCP connections at the same time.
    pub max_connections: usize,
    /// WebSockets at the same time; an open page has one or two.
    pub max_websockets: usize,
    /// Megabytes that are left for the data folder when it is said that room runs out; 0 to say nothing. An hour
    /// of a call takes 230.
    pub low_disk_mb: u32,
    /// Whether /metrics is open to everyone who can reach it. Otherwise a key with the scope metrics:read is
    /// needed.
    pub open_metrics: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: PathBuf::from("data"),
            public_url: None,
            trusted_proxies: Vec::new(),
            session_hours: 24 * 7,
            session_idle_hours: 12,
            max_connections: 1024,
            max_websockets: 1024,
            low_disk_mb: 1_000,
            open_metrics: true,
        }
    }
}

/// See [`Config::store`].
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`. A password may as well be in the environment variable
    /// PGPASSWORD, as it is; here `@`, `/` and the like are written as `%40`, `%2F`. Empty: the file sotto.db in the data
    /// folder.
    pub url: String,
}

impl fmt::Debug for StoreConfig {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").finish_non_exhaustive()
    }
}

/// See [`Config::media`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MediaConfig {
    /// The address to receive RTP on.
    #[schemars(with = "String")]
    pub ip: IpAddr,
    /// UDP ports for RTP and RTCP, first and last; each leg of a call takes two.
    pub ports: PortRange,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self { ip: IpAddr::from([0, 0, 0, 0]), ports: PortRange { first: 20_000, last: 20_999 } }
    }
}

/// UDP ports, written `20000-20999`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The same as a range.
    #[must_use]
    pub fn range(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl FromStr for PortRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no range of ports like 20000-20999");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let first: u16 = first.trim().parse().map_err(|_| wrong())?;
        let last: u16 = last.trim().parse().map_err(|_| wrong())?;
        if first < 1024 || last.saturating_sub(first) < 3 {
            return Err(format!("`{text}`: at least four ports above 1023 are needed"));
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(ports: PortRange) -> Self {
        format!("{}-{}", ports.first, ports.last)
    }
}

/// See [`Config::speech`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpeechConfig {
    /// The model for languages that have none of their own: `tiny.en`, `base`, `small`, `medium`,
    /// `large-v3-turbo`, or the path of a GGML file. `sotto models list` shows what is there.
    pub model: String,
    /// Models by language, `{ fa = "large-v3-turbo", en = "base" }`.
    pub models: BTreeMap<String, String>,
    /// The language of calls that do not say one, `en` for example. Absent: it is detected.
    pub language: Option<String>,
    /// Languages to expect where it is detected; empty for all that the model knows.
    pub languages: Vec<String>,
    /// Threads that recognise speech; 0 for one per core.
    pub workers: usize,
    /// The folder with model files. Absent: the environment's SOTTO_MODELS, or the user's cache folder.
    #[schemars(with = "Option<String>")]
    pub models_dir: Option<PathBuf>,
}

impl Default for SpeechConfig {
    fn default() -> Self {
        Self {
            model: "base".to_owned(),
            models: BTreeMap::new(),
            language: None,
            languages: Vec::new(),
            workers: 0,
            models_dir: None,
        }
    }
}

/// See [`Config::vocabulary`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VocabularyConfig {
    /// Names of products, places and people, as they are written. Given to the model as a hint, which takes some 220
    /// tokens: roughly 50 names in English, half as many in Persian. Of more, the first are left out, and the log says so.
    pub words: Vec<String>,
}

/// See [`Config::recording`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingConfig {
    /// Whether calls are recorded. Transcripts are kept either way.
    pub enabled: bool,
    /// Whether what supervisors say to an agent, or to both, is kept as well: in a file of its own, which
    /// supervisors can hear. It is never on the recording of the two.
    pub supervisors: bool,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self { enabled: true, supervisors: true }
    }
}

/// See [`Config::retention`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Days after which an ended call is removed, with its words and its recording, and one that was missed, or whose recording
    /// from elsewhere was given up; 0 keeps everything.
    pub days: u32,
}

/// See [`Config::log`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or finer: `info,sotto_sip=debug`.
    pub filter: String,
    /// One JSON object a line instead of text for people.
    pub json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), json: false }
    }
}

impl Config {
    /// Reads the configuration: `file`, or `sotto.toml` in the current folder when it is there; then
    /// environment variables `SOTTO_SECTION__KEY`; then `overrides`, each `section.key=value`. Later ones win.
    ///
    /// # Errors
    /// [`ConfigError`], which says where, what, and what may have been meant.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> Result<Self, ConfigError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| ConfigError::new(path.display(), format!("cannot be read: {error}")))
        };
        let usual = Path::new(USUAL_FILE);
        let text = match file {
            Some(path) => Some((path, read(path)?)),
            None if usual.exists() => Some((usual, read(usual)?)),
            None => None,
        };
        let text = text.as_ref().map(|(path, text)| (path.display().to_string(), text.as_str()));
        Self::merge(text.as_ref().map(|(name, text)| (name.as_str(), *text)), environment, overrides)
    }

    /// The same from the text of a file with a name.
    fn merge(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> Result<Self, ConfigError> {
        let schema = Schema::new();
        let mut table = toml::Table::new();
        let mut config = Self::default();
        if let Some((name, text)) = file {
            config = from_file(&schema, name, text)?;
            table = text.parse().map_err(|error: toml::de::Error| ConfigError::new(name, error.message()))?;
        }
        let mut environment: Vec<(String, String)> = environment
            .into_iter()
            .filter(|(name, value)| name.starts_with(ENVIRONMENT) && !value.is_empty())
            .collect();
        environment.sort();
        for (name, value) in environment {
            let key = name.strip_prefix(ENVIRONMENT).unwrap_or_default().to_lowercase();
            let path: Vec<&str> = key.split("__").collect();
            let wrong = |problem: String| ConfigError::new(format!("environment variable {name}"), problem);
            if path.len() == 1 {
                without_section(&schema, &key).map_err(wrong)?;
                continue;
            }
            config = set(&schema, &mut table, &path, &value).map_err(wrong)?;
        }
        for given in overrides {
            let place = || format!("setting `{given}`");
            let Some((key, value)) = given.split_once('=') else {
                return Err(ConfigError::new(place(), "is not of the form section.key=value"));
            };
            let path: Vec<&str> = key.trim().split('.').collect();
            config = set(&schema, &mut table, &path, value.trim())
                .map_err(|problem| ConfigError::new(place(), problem))?;
        }
        config.check()?;
        Ok(config)
    }

    /// What a schema cannot say.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, problem: String| Err(ConfigError::new(format!("`{key}`"), problem));
        if let Some(url) = &self.server.public_url {
            let uri = url.parse::<axum::http::Uri>().ok();
            let good = uri.as_ref().is_some_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
            });
            if !good {
                return wrong(
                    "server.public_url",
                    format!("`{url}` is no address like https://calls.example"),
                );
            }
        }
        let purpose: usize = self.insight.purpose.values().map(|text| text.trim().chars().count()).sum();
        if self.insight.enabled && self.insight.mood != MoodFrom::Off && purpose == 0 {
            let problem = "moods are read for a purpose: say which, or set `insight.mood` to `off`";
            return wrong("insight.purpose", problem.to_owned());
        }
        if purpose > LONGEST_PURPOSE {
            return wrong("insight.purpose", format!("has more than {LONGEST_PURPOSE} characters"));
        }
        if let Err(problem) = self.alerts.check() {
            return wrong("alerts.words", problem);
        }
        if let Err(problem) = self.knowledge.check() {
            return wrong("knowledge.folders", problem);
        }
        if let Err(problem) = self.knowledge.pages.check() {
            return wrong("knowledge.pages", problem);
        }
        if let Err(problem) = self.imports.check() {
            return wrong("imports.hosts", problem);
        }
        if let Err(problem) = self.llm.check() {
            return wrong("llm", problem);
        }
        if let Err(problem) = outgoing::check(&self.webhooks) {
            return wrong("webhooks", problem);
        }
        if let Err(problem) = self.crm.outside.check() {
            return wrong("crm.outside", problem);
        }
        if let Err(problem) = self.follow_ups.check() {
            return wrong("follow_ups", problem);
        }
        if let Err(problem) = self.voice.check() {
            return wrong("voice", problem);
        }
        if self.follow_ups.call_message.enabled
            && (self.desk.trunk.host.is_empty() || self.spoken().is_empty())
        {
            let problem = "calls need a way out, `desk.trunk`, and `voice.en` or `voice.fa` to speak";
            return wrong("follow_ups.call_message", problem.to_owned());
        }
        if let Err(problem) = self.desk.trunk.check() {
            return wrong("desk.trunk", problem);
        }
        for (key, value) in [
            ("server.session_hours", self.server.session_hours as usize),
            ("server.session_idle_hours", self.server.session_idle_hours as usize),
            ("server.max_connections", self.server.max_connections),
            ("server.max_websockets", self.server.max_websockets),
            ("knowledge.look_every_s", self.knowledge.look_every_s as usize),
            ("imports.max_mb", self.imports.max_mb as usize),
            ("imports.fetch_s", self.imports.fetch_s as usize),
        ] {
            if value == 0 {
                return wrong(key, "must not be 0".to_owned());
            }
        }
        if let Some(word) = self.vocabulary.words.iter().find(|word| word.contains(char::is_control)) {
            return wrong("vocabulary.words", format!("{word:?} has a character that is in no word"));
        }
        if self.speech.model.trim().is_empty() {
            return wrong("speech.model", "names no model".to_owned());
        }
        let speech = &self.speech;
        let languages = (speech.language.iter().map(|language| ("speech.language", language)))
            .chain(speech.languages.iter().map(|language| ("speech.languages", language)))
            .chain(speech.models.keys().map(|language| ("speech.models", language)));
        for (key, tag) in languages {
            if sotto_speech::language(tag).as_ref() != Some(tag) {
                return wrong(key, format!("`{tag}` is no language like `en` or `fa` that Whisper knows"));
            }
        }
        Ok(())
    }

    /// The database's address, see [`StoreConfig::url`].
    #[must_use]
    pub fn store_url(&self) -> String {
        if self.store.url.is_empty() {
            format!("sqlite:{}", self.server.data.join("sotto.db").display())
        } else {
            self.store.url.clone()
        }
    }

    /// Whether the sentence embedding is needed from the start, with this checklist: something is understood by it, or
    /// looked up in the documents of a folder, or in pages.
    #[must_use]
    pub fn needs_embedding(&self, checklist: &[Duty]) -> bool {
        self.knowledge.has_sources() || self.insight.is_wanted(checklist)
    }

    /// By what numbers and promises are read.
    #[must_use]
    pub fn crm_rules(&self) -> CrmRules {
        CrmRules { country: self.crm.country, clock: self.insight.utc_offset.into() }
    }

    /// By what rules messages to contacts are drafted and sent.
    #[must_use]
    pub fn follow_up_rules(&self) -> FollowUpRules {
        self.follow_ups.rules(self.crm_rules(), self.spoken())
    }

    /// What speaks messages that are said on the telephone, where there are any.
    #[must_use]
    pub fn telephone_voice(&self) -> Option<Voice> {
        // It was checked.
        self.follow_ups.call_message.enabled.then(|| self.voice.open().ok()).flatten()
    }

    /// The languages that are spoken on the telephone.
    fn spoken(&self) -> Vec<&'static str> {
        self.telephone_voice().map(|voice| voice.languages()).unwrap_or_default()
    }

    /// What HTTP needs of it.
    #[must_use]
    pub fn http(&self) -> HttpSettings {
        let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
        HttpSettings {
            public_url: self.server.public_url.clone(),
            trusted_proxies: self.server.trusted_proxies.clone(),
            session: hours(self.server.session_hours),
            session_idle: hours(self.server.session_idle_hours),
            connections: self.server.max_connections,
            sockets: self.server.max_websockets,
            open_metrics: self.server.open_metrics,
            moods: MoodUse::from(&self.insight),
            crm: self.crm_rules(),
            redaction: self.redaction.clone(),
            channels: self.follow_up_rules().channels,
            voice: self.telephone_voice(),
            ..HttpSettings::new(self.server.data.clone())
        }
    }

    /// A sample file with every key, its default and what it means. Reading it gives the defaults.
    #[must_use]
    pub fn reference() -> String {
        let schema = Schema::new();
        let mut sample = format!(
            "# Sotto's configuration with all its defaults. Every key can also be given as an environment\n\
             # variable ({ENVIRONMENT}SERVER__LISTEN) or on the command line (--set server.listen=…), which win.\n"
        );
        // In the order of the structures above, tables last.
        let defaults = toml::to_string_pretty(&Self::default()).unwrap_or_default();
        let mut section: Vec<String> = Vec::new();
        let mut written: Vec<String> = Vec::new();
        for line in with_parents(&defaults).iter().map(String::as_str).chain(["[]"]) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                // Keys that are absent by default.
                for key in schema.keys(&section).into_iter().filter(|key| !written.contains(key)) {
                    let path = [section.as_slice(), std::slice::from_ref(&key)].concat();
                    if !section.is_empty() && schema.keys(&path).is_empty() {
                        sample.push('\n');
                        comment(&mut sample, schema.description(&path));
                        sample.push_str(&format!("# {key} =\n"));
                    }
                }
                written.clear();
                section = name.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
                if !section.is_empty() {
                    sample.push('\n');
                    comment(&mut sample, schema.description(&section));
                    sample.push_str(&format!("[{name}]\n"));
                }
            } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with(' ')) {
                sample.push('\n');
                comment(&mut sample, schema.description(&[section.as_slice(), &[key.to_owned()]].concat()));
                sample.push_str(line);
                sample.push('\n');
                written.push(key.to_owned());
            } else if !line.is_empty() {
                sample.push_str(line);
                sample.push('\n');
            }
        }
        sample
    }
}

/// The lines of a document in TOML, with a line for each section of which only sections within it have values.
fn with_parents(document: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in document.lines() {
        let parent = line.strip_prefix('[').and_then(|name| name.rsplit_once('.')).map(|(parent, _)| parent);
        if let Some(parent) = parent.map(|parent| format!("[{parent}]"))
            && !lines.contains(&parent)
        {
            lines.push(parent);
        }
        lines.push(line.to_owned());
    }
    lines
}

/// Adds text as lines of comment.
fn comment(sample: &mut String, text: &str) {
    const WIDTH: usize = 100;
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            sample.push_str(&line);
            sample.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        sample.push_str(&line);
        sample.push('\n');
    }
}

/// What is wrong with the configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    place: String,
    problem: String,
}

impl ConfigError {
    fn new(place: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self { place: place.to_string(), problem: problem.to_string() }
    }
}

fn from_file(schema: &Schema, name: &str, text: &str) -> Result<Config, ConfigError> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let at = |error: &toml::de::Error| match error.span() {
        Some(span) => format!("{name}:{}", line(span.start)),
        None => name.to_owned(),
    };
    let parsed = DeTable::parse(text).map_err(|error| ConfigError::new(at(&error), error.message()))?;
    if let Some((offset, problem)) = unknown_key(schema, &mut Vec::new(), parsed.get_ref()) {
        return Err(ConfigError::new(format!("{name}:{}", line(offset)), problem));
    }
    toml::from_str(text).map_err(|error| ConfigError::new(at(&error), error.message()))
}

/// What is wrong with an environment variable of our name, here in lower case and without its beginning, that names no section
/// and key.
fn without_section(schema: &Schema, name: &str) -> Result<(), String> {
    if OTHER_VARIABLES.contains(&name) {
        return Ok(());
    }
    // Kubernetes, for one, makes variables of our name; but one that begins like a section was meant.
    if let Some((section, key)) = name.split_once('_') {
        let kubernetes = key.split('_').any(|word| matches!(word, "port" | "service"));
        let section = [section.to_owned()];
        let known = schema.keys(&section);
        if !known.is_empty() && (!kubernetes || known.iter().any(|known| known == key)) {
            let path = [section, [key.to_owned()]].concat();
            let unknown = schema.knows(&path).err().map(|problem| format!("; {problem}"));
            let meant = path.join("__").to_uppercase();
            return Err(format!(
                "two underscores divide section and key: {ENVIRONMENT}{meant}{}",
                unknown.unwrap_or_default()
            ));
        }
    }
    // So was one that is nearly one of the others.
    let near = OTHER_VARIABLES.iter().find(|known| strsim::jaro_winkler(known, name) > 0.9);
    near.map_or(Ok(()), |known| {
        Err(format!("there is no such variable; did you mean {ENVIRONMENT}{}?", known.to_uppercase()))
    })
}

/// The first key in the file that is none, and what is wrong with it.
fn unknown_key(schema: &Schema, path: &mut Vec<String>, table: &DeTable<'_>) -> Option<(usize, String)> {
    let mut entries: Vec<(&Spanned<_>, &Spanned<DeValue<'_>>)> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        path.push(key.get_ref().to_string());
        if let Err(problem) = schema.knows(path) {
            return Some((key.span().start, problem));
        }
        if let DeValue::Table(table) = value.get_ref()
            && let Some(found) = unknown_key(schema, path, table)
        {
            return Some(found);
        }
        path.pop();
    }
    None
}

/// Sets one key to a value given as text, and says what the configuration is then.
fn set(schema: &Schema, table: &mut toml::Table, path: &[&str], value: &str) -> Result<Config, String> {
    let names: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
    for length in 1..=names.len() {
        schema.knows(names.get(..length).unwrap_or_default())?;
    }
    // A shell knows no types: take the reading that fits. `1,2` is a list where a list is wanted.
    let written = format!("value = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("value"));
    let list = value.split(',').map(|item| toml::Value::from(item.trim())).collect();
    let readings = [written, Some(toml::Value::from(value)), Some(toml::Value::Array(list))];
    let mut problem = None;
    for reading in readings.into_iter().flatten() {
        let mut changed = table.clone();
        insert(&mut changed, &names, reading)?;
        match changed.clone().try_into::<Config>() {
            Ok(config) => {
                *table = changed;
                return Ok(config);
            }
            Err(error) => problem = problem.or(Some(error.message().to_owned())),
        }
    }
    Err(problem.unwrap_or_else(|| "does not fit".to_owned()))
}

fn insert(table: &mut toml::Table, path: &[String], value: toml::Value) -> Result<(), String> {
    match path {
        [] => Err("names no key".to_owned()),
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => {
            let section = table.entry(section.clone()).or_insert_with(|| toml::Table::new().into());
            insert(section.as_table_mut().ok_or("is not in a section")?, rest, value)
        }
    }
}

/// The structures above, as data.
struct Schema(Json);

impl Schema {
    fn new() -> Self {
        Self(schemars::schema_for!(Config).to_value())
    }

    /// The shape at a path, references resolved; `None` where there is no such key.
    fn at(&self, path: &[impl AsRef<str>]) -> Option<&Json> {
        let mut shape = &self.0;
        for name in path {
            let parent = self.resolve(shape);
            shape = match &parent["properties"][name.as_ref()] {
                Json::Null if parent["additionalProperties"].is_object() => &parent["additionalProperties"],
                Json::Null => return None,
                found => found,
            };
        }
        Some(shape)
    }

    fn resolve<'a>(&'a self, shape: &'a Json) -> &'a Json {
        let reference = shape["$ref"].as_str().or_else(|| {
            // A type that may be absent.
            shape["anyOf"].as_array()?.iter().find_map(|option| option["$ref"].as_str())
        });
        let target = reference.and_then(|reference| self.0.pointer(reference.trim_start_matches('#')));
        target.unwrap_or(shape)
    }

    fn keys(&self, path: &[impl AsRef<str>]) -> Vec<String> {
        let shape = self.at(path).map(|shape| self.resolve(shape));
        let keys = shape.and_then(|shape| shape["properties"].as_object());
        keys.map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
    }

    fn description(&self, path: &[impl AsRef<str>]) -> &str {
        let Some(shape) = self.at(path) else { return "" };
        shape["description"].as_str().unwrap_or_default()
    }

    /// Whether there is such a key, and if not, which may have been meant.
    fn knows(&self, path: &[String]) -> Result<(), String> {
        if self.at(path).is_some() {
            return Ok(());
        }
        let (name, section) =
            path.split_last().map(|(name, section)| (name.as_str(), section)).unwrap_or_default();
        let place = if section.is_empty() { String::new() } else { format!(" in [{}]", section.join(".")) };
        let mut problem = format!("there is no `{name}`{place}");
        let near = self.keys(section);
        let near =
            near.iter().map(|key| (strsim::jaro_winkler(key, name), key)).filter(|(how, _)| *how > 0.75);
        if let Some((_, key)) = near.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
            problem.push_str(&format!("; did you mean `{key}`?"));
        } else if let Some(other) =
            self.keys(&[] as &[&str]).iter().find(|other| self.at(&[other, name]).is_some())
        {
            problem.push_str(&format!("; did you mean the one in [{other}]?"));
        } else {
            problem.push_str(&format!("; there are {}", self.keys(section).join(", ")));
        }
        Err(problem)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sotto_call::Secret;
    use sotto_insight::{EmbeddingModel, Polarity};
    use sotto_store::Role;

    use super::*;

    fn load(text: &str, environment: &[(&str, &str)], overrides: &[&str]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        Config::merge(Some(("sotto.toml", text)), environment, &overrides).map_err(|error| error.to_string())
    }

    fn wrong(text: &str) -> String {
        load(text, &[], &[]).unwrap_err()
    }

    fn json(config: &Config) -> Json {
        serde_json::to_value(config).unwrap()
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = load("", &[], &[]).unwrap();
        assert_eq!(json(&config), json(&Config::default()));
        assert_eq!(config.store_url(), "sqlite:data/sotto.db");
        assert_eq!(config.media.ports.range(), 20_000..=20_999);
    }

    #[test]
    fn the_sample_file_is_complete_and_gives_the_defaults() {
        let sample = Config::reference();
        let config = load(&sample, &[], &[]).unwrap();
        assert_eq!(json(&config), json(&Config::default()));
        // Every key of every section is there, at least as a comment, with some words about it.
        fn check(schema: &Schema, path: Vec<String>, sample: &str) {
            for key in schema.keys(&path) {
                let inner = [path.as_slice(), std::slice::from_ref(&key)].concat();
                assert_ne!(schema.description(&inner), "", "{inner:?} is not documented");
                if schema.keys(&inner).is_empty() {
                    let found = sample.lines().any(|line| {
                        line.starts_with(&format!("{key} =")) || line.starts_with(&format!("# {key} ="))
                    });
                    let table = sample.contains(&format!("\n[{}]\n", inner.join(".")));
                    assert!(found || table, "{inner:?} is not in\n{sample}");
                } else {
                    check(schema, inner, sample);
                }
            }
        }
        check(&Schema::new(), Vec::new(), &sample);
        assert!(sample.lines().all(|line| line.chars().count() <= 110), "{sample}");
    }

    #[test]
    fn later_sources_win_and_values_take_the_type_that_is_wanted() {
        let file = "[server]\nlisten = \"0.0.0.0:1\"\n[speech]\nmodel = \"tiny.en\"\nworkers = 1";
        let environment = [
            ("SOTTO_SERVER__LISTEN", "0.0.0.0:2"),
            ("SOTTO_SERVER__OPEN_METRICS", "false"),
            ("SOTTO_SERVER__TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2"),
            ("SOTTO_SPEECH__MODELS__FA", "large-v3-turbo"),
            ("SOTTO_SPEECH__MODEL", "1234"),
            ("SOTTO_VOCABULARY__WORDS", "[\"a, b\", \"c\"]"),
            ("SOTTO_MODELS", "/models"),
            ("SOTTO_SPEECH__LANGUAGE", ""),
            ("SOTTO_REDACTION__KINDS", "card, cvv"),
            ("SOTTO_INSIGHT__UTC_OFFSET", "+03:30"),
            ("SOTTO_INSIGHT__EMBEDDING", "english"),
            ("SOTTO_INSIGHT__SENTIMENT_LABELS__LABEL_0", "negative"),
            ("SOTTO_INSIGHT__MOOD_SEEN_BY", "supervisor, admin"),
            ("SOTTO_INSIGHT__PURPOSE__EN", "Coaching"),
            ("HOME", "/root"),
        ];
        let config = load(file, &environment, &["server.listen=0.0.0.0:3", "speech.workers = 4"]).unwrap();
        assert_eq!(config.server.listen.port(), 3);
        assert!(!config.server.open_metrics);
        assert_eq!(config.server.trusted_proxies.len(), 2);
        assert_eq!(config.speech.models["fa"], "large-v3-turbo");
        assert_eq!((config.speech.model.as_str(), config.speech.workers), ("1234", 4));
        assert_eq!(config.vocabulary.words, ["a, b", "c"]);
        assert_eq!(config.speech.language, None);
        assert_eq!(config.redaction.kinds, [Secret::Card, Secret::Cvv]);
        assert_eq!(String::from(config.insight.utc_offset), "+03:30");
        assert_eq!(config.insight.embedding, EmbeddingModel::English);
        assert_eq!(config.insight.sentiment_labels["label_0"], Polarity::Negative);
        assert_eq!(config.insight.mood_seen_by, [Role::Supervisor, Role::Admin]);
        assert_eq!(config.insight.purpose, BTreeMap::from([("en".to_owned(), "Coaching".to_owned())]));
    }

    #[test]
    fn documents_of_a_folder_need_the_embedding_also_where_no_mood_is_read() {
        let needs = |text: &str| load(text, &[], &[]).unwrap().needs_embedding(&[]);
        assert!(needs("") && !needs("[insight]\nmood = \"off\""));
        assert!(needs("[insight]\nmood = \"off\"\n[[knowledge.folders]]\npath = \"/srv/knowledge\""));
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line_and_the_nearest_name() {
        assert_eq!(
            wrong("# hello\n[server]\nlisten = \"0.0.0.0:1\"\nlissten = 1\n"),
            "sotto.toml:4: there is no `lissten` in [server]; did you mean `listen`?"
        );
        assert_eq!(wrong("[serve]\n"), "sotto.toml:1: there is no `serve`; did you mean `server`?");
        assert_eq!(
            wrong("[server]\nworkers = 1\n"),
            "sotto.toml:2: there is no `workers` in [server]; did you mean the one in [speech]?"
        );
        assert_eq!(
            wrong("\n\n[retention]\nzzz = 1\n"),
            "sotto.toml:4: there is no `zzz` in [retention]; there are days"
        );
        assert!(
            wrong("[sip]\nudpp = []").starts_with("sotto.toml:2: there is no `udpp` in [sip]; did you mean")
        );
        assert!(wrong("[sip.headers]\ncal = \"x\"").contains("did you mean `call`?"));
        let environment = load("", &[("SOTTO_SERVER__LISSTEN", "x")], &[]).unwrap_err();
        assert_eq!(
            environment,
            "environment variable SOTTO_SERVER__LISSTEN: there is no `lissten` in [server]; did you mean `listen`?"
        );
        for (variable, problem) in [
            ("SOTTO_SERVER_LISTEN", "two underscores divide section and key: SOTTO_SERVER__LISTEN"),
            (
                "SOTTO_SPEECH_MODLE",
                "two underscores divide section and key: SOTTO_SPEECH__MODLE; there is no `modle` in [speech]; did \
                 you mean `model`?",
            ),
        ] {
            let error = load("", &[(variable, "x")], &[]).unwrap_err();
            assert_eq!(error, format!("environment variable {variable}: {problem}"));
        }
        for (variable, meant) in [
            ("SOTTO_MODEL", "SOTTO_MODELS"),
            ("SOTTO_MODELS_DIR", "SOTTO_MODELS"),
            ("SOTTO_ADMIN_PASSWROD", "SOTTO_ADMIN_PASSWORD"),
        ] {
            let error = load("", &[(variable, "x")], &[]).unwrap_err();
            let problem = format!("there is no such variable; did you mean {meant}?");
            assert_eq!(error, format!("environment variable {variable}: {problem}"));
        }
        let others =
            ["SOTTO_CONFIG", "SOTTO_ADMIN_PASSWORD", "SOTTO_CALL_PASSWORD", "SOTTO_DATABASE_PASSWORD"];
        assert!(load("", &others.map(|variable| (variable, "x")), &[]).is_ok());
        // A service of that name in Kubernetes.
        assert!(load("", &[("SOTTO_SERVER_SERVICE_HOST", "x"), ("SOTTO_PORT", "tcp://x")], &[]).is_ok());
        let given = load("", &[], &["sevrer.listen=1"]).unwrap_err();
        assert_eq!(given, "setting `sevrer.listen=1`: there is no `sevrer`; did you mean `server`?");
    }

    #[test]
    fn wrong_values_are_refused_where_they_stand() {
        assert!(wrong("[server]\n\nlisten = \"nowhere\"").starts_with("sotto.toml:3: "));
        assert!(wrong("[server]\nmax_connections = -1").starts_with("sotto.toml:2: "));
        assert!(wrong("[server\n").starts_with("sotto.toml:1: "));
        assert!(wrong("[media]\nports = \"5-1\"").contains("at least four ports"));
        assert!(wrong("[server]\npublic_url = \"calls.example\"").starts_with("`server.public_url`: "));
        assert!(wrong("[server]\nmax_websockets = 0").starts_with("`server.max_websockets`: "));
        // The model's library panics at U+0000.
        assert!(wrong("[vocabulary]\nwords = [\"a\\u0000b\"]").starts_with("`vocabulary.words`: "));
        assert!(wrong("[redaction]\nkinds = [\"cards\"]").starts_with("sotto.toml:2: "));
        assert!(wrong("[redaction]\nmute = true").contains("did you mean `mute_recording`?"));
        assert!(
            wrong("[insight]\npurpose = {}").starts_with("`insight.purpose`: moods are read for a purpose")
        );
        assert!(load("[insight]\nmood = \"off\"\npurpose = {}", &[], &[]).is_ok());
        let long = format!("[insight]\npurpose = {{ en = \"{}\" }}", "x".repeat(301));
        assert!(wrong(&long).contains("more than 300"));
        assert!(wrong("[insight]\nmood_seen_by = [\"everyone\"]").starts_with("sotto.toml:2: "));
        let nobody = "[[alerts.words]]\ntitle = { en = \"Lawyer\" }\nphrases = [\"lawyer\"]\nby = \"nobody\"";
        assert!(wrong(nobody).contains("nobody"));
        assert!(wrong("[[alerts.words]]\ntitle = {}\nphrases = []").starts_with("`alerts.words`: a title"));
        assert!(
            wrong("[[knowledge.folders]]\npath = \"/a/en\"\n[[knowledge.folders]]\npath = \"/b/en\"")
                .starts_with("`knowledge.folders`: two folders")
        );
        assert!(wrong("[[knowledge.folders]]\npath = \"/a\"\nrole = [\"admin\"]").contains("`role`"));
        assert!(wrong("[[knowledge.folders]]\npath = \"/a\"\nroles = [\"boss\"]").contains("boss"));
        let page = "[knowledge.pages]\naddresses = [\"https://help.example/\"]";
        assert!(wrong(page).starts_with("`knowledge.pages`: ") && wrong(page).contains("`hosts`"));
        assert!(wrong("[knowledge]\nlook_every_s = 0").starts_with("`knowledge.look_every_s`: "));
        assert!(
            wrong("[[imports.hosts]]\nhost = \"https://pbx/\"")
                .starts_with("`imports.hosts`: `https://pbx/`")
        );
        assert!(wrong("[insight]\nutc_offset = \"Tehran\"").contains("like +03:30"));
        assert!(wrong("[crm]\ncountry = \"Iran\"").contains("like IR or GB"));
        assert!(wrong("[insight.emotion_labels]\nLABEL_0 = \"rage\"").starts_with("sotto.toml:2: "));
        assert!(wrong("[desk]\ntrunk = { register = true }").contains("needs a `host`"));
        assert!(wrong("[desk]\ntrunk = { host = \"pbx\", user = \"a b\" }").starts_with("`desk.trunk`: "));
        assert!(wrong("[desk]\ntrunk = { host = \"p b x\" }").contains("neither a name nor an address"));
        assert!(wrong("[llm]\nurl = \"http://models/v1\"").contains("names no `model`"));
        assert!(wrong("[llm]\nurl = \"models\"\nmodel = \"m\"").contains("no address like"));
        assert!(wrong("[llm.purposes]\nanswers = 1").contains("`answers` is none: answer, insight, check"));
        assert!(wrong("[llm]\nanswer_tokens = 4096").contains("fewer tokens"));
        assert!(wrong("[llm]\nwhole_s = 0").contains("must not be 0"));
        let webhook = "[[webhooks]]\nname = \"erp\"\nurl = \"http://erp/\"\nsecret = \"\"";
        assert!(wrong(webhook).starts_with("`webhooks`: `erp`: `url` begins with https://"));
        assert!(wrong("[[webhooks]]\nname = \"erp\"\nkinds = [\"calls\"]").contains("calls"));
        assert!(wrong("[crm.outside]\nurl = \"crm\"").starts_with("`crm.outside`: "));
        assert!(wrong("[follow_ups]\nquiet = \"night\"").contains("no hours like 21:00-08:00"));
        assert!(wrong("[follow_ups]\ntries = 0").starts_with("`follow_ups`: `tries`"));
        assert!(wrong("[follow_ups.texts]\ncall = { en = \"Hello\" }").contains("call"));
        assert!(wrong("[follow_ups.email]\ntls = \"maybe\"").starts_with("sotto.toml:2: "));
        assert!(wrong("[voice.fa]\ncommand = [\"piper\"]").starts_with("`voice`: `fa`: `command`"));
        let (calls, voice) =
            ("[follow_ups.call_message]\nenabled = true", "[voice.en]\nurl = \"http://piper:5000\"");
        let trunk = "[desk]\ntrunk = { host = \"pbx\" }";
        for lacking in [calls.to_owned(), [calls, trunk].join("\n"), [calls, voice].join("\n")] {
            assert!(wrong(&lacking).starts_with("`follow_ups.call_message`: "), "{lacking}");
        }
        let whole = load(&[calls, trunk, voice].join("\n"), &[], &[]).unwrap();
        assert_eq!(whole.follow_up_rules().spoken, ["en"]);
        assert!(load("", &[("SOTTO_SPEECH__WORKERS", "many")], &[]).unwrap_err().contains("SPEECH__WORKERS"));
        assert!(load("", &[], &["speech.workers"]).unwrap_err().contains("section.key=value"));
        assert!(load("", &[], &["server=1"]).is_err() && load("", &[], &["=1"]).is_err());
        assert!(load("", &[], &["server.listen.port=1"]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_written_gets_an_answer(text in "(\\[[a-z.]{0,8}\\]\n|[a-z_.\"]{0,8} = [0-9a-z\"\\[\\]{},]{0,8}\n){0,6}") {
            let _ = load(&text, &[], &[]);
            let _ = load("", &[("SOTTO_SERVER__LISTEN", &text)], &[]);
            let _ = load("", &[], &[&text]);
        }
    }
}
