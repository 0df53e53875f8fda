//! The language model that an organisation has configured, if any.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_llm::{Llm, LlmError, Purpose, Settings, Spent};
use sotto_store::{Store, StoreError};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// See [`crate::config::Config::llm`].
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LlmConfig {
    /// Where the interface is: `http://127.0.0.1:11434/v1` for Ollama, `http://127.0.0.1:8000/v1` for vLLM,
    /// `http://127.0.0.1:8080/v1` for llama.cpp, `https://api.x.ai/v1` for Grok. Empty: there is none.
    pub url: String,
    /// The key that the server wants, if any. Better given in the environment (SOTTO_LLM__KEY) than in a file.
    pub key: String,
    /// The model's name, as the server knows it.
    pub model: String,
    /// Whether it also writes, when a call is over, what the call came to: what was said goes there then, without its secrets. Of
    /// its summary only what the words of the call bear out is kept. It needs some 1000 `answer_tokens`.
    pub insights: bool,
    /// Seconds that a connection may take.
    pub connect_s: u32,
    /// Seconds until the first word must be there, and after each until the next one.
    pub first_token_s: u32,
    /// Seconds that a question may take with everything: waiting, attempts, and having the answer put right. Whoever asks on
    /// the page or over HTTP gets the documents' own words after 25 in any case.
    pub whole_s: u32,
    /// Tokens that the model has for prompt and answer together.
    pub context_tokens: u32,
    /// Tokens that an answer may have.
    pub answer_tokens: u32,
    /// Tokens a day (UTC) for everything; 0 for no limit.
    pub tokens_per_day: u64,
    /// Tokens a day of single purposes: `{ answer = 200000 }`. There are `answer`, `check`, `draft` and `insight`.
    pub purposes: BTreeMap<String, u64>,
    /// Questions that are answered at the same time.
    pub concurrency: usize,
    /// Questions a minute; 0 for any number.
    pub per_minute: u32,
    /// Attempts after the first, where a server is busy or the connection breaks.
    pub retries: u32,
    /// The price of a million tokens of prompts, in any currency, for the figures.
    pub prompt_price: f64,
    /// The price of a million tokens of answers.
    pub answer_price: f64,
}

impl Default for LlmConfig {
    fn default() -> Self {
        let settings = Settings::default();
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Self {
            url: settings.url,
            key: settings.key,
            model: settings.model,
            insights: false,
            connect_s: seconds(settings.connect),
            first_token_s: seconds(settings.first_token),
            whole_s: seconds(settings.whole),
            context_tokens: settings.context_tokens,
            answer_tokens: settings.answer_tokens,
            tokens_per_day: settings.tokens_per_day,
            purposes: BTreeMap::new(),
            concurrency: settings.concurrency,
            per_minute: settings.per_minute,
            retries: settings.retries,
            prompt_price: settings.prompt_price,
            answer_price: settings.answer_price,
        }
    }
}

impl fmt::Debug for LlmConfig {
    /// Without the key, and without the address, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmConfig").field("model", &self.model).finish_non_exhaustive()
    }
}

impl LlmConfig {
    /// What is wrong with it.
    ///
    /// # Errors
    /// The problem, in words.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [
            ("connect_s", self.connect_s as usize),
            ("first_token_s", self.first_token_s as usize),
            ("whole_s", self.whole_s as usize),
            ("concurrency", self.concurrency),
            ("answer_tokens", self.answer_tokens as usize),
        ] {
            if value == 0 {
                return Err(format!("`{key}` must not be 0"));
            }
        }
        let known = Purpose::ALL.map(Purpose::as_str);
        if let Some(none) = self.purposes.keys().find(|purpose| !known.contains(&purpose.as_str())) {
            return Err(format!("`purposes`: `{none}` is none: {}", known.join(", ")));
        }
        if ![self.prompt_price, self.answer_price].iter().all(|price| price.is_finite() && *price >= 0.0) {
            return Err("a price is a number from 0 on".to_owned());
        }
        if self.answer_tokens >= self.context_tokens {
            return Err("an answer must have fewer tokens than the context".to_owned());
        }
        if self.url.is_empty() {
            return Ok(());
        }
        if self.model.trim().is_empty() {
            return Err("names no `model`".to_owned());
        }
        self.open().map(drop).map_err(|error| error.to_string())
    }

    /// The server to ask, if there is one. Nothing is asked yet.
    ///
    /// # Errors
    /// [`LlmError::Settings`] when there can be no such server.
    pub fn open(&self) -> Result<Option<Llm>, LlmError> {
        if self.url.is_empty() {
            return Ok(None);
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let named = |purpose: Purpose| Some((purpose, *self.purposes.get(purpose.as_str())?));
        let settings = Settings {
            url: self.url.clone(),
            key: self.key.clone(),
            model: self.model.clone(),
            connect: seconds(self.connect_s),
            first_token: seconds(self.first_token_s),
            whole: seconds(self.whole_s),
            context_tokens: self.context_tokens,
            answer_tokens: self.answer_tokens,
            tokens_per_day: self.tokens_per_day,
            purposes_per_day: Purpose::ALL.into_iter().filter_map(named).collect(),
            concurrency: self.concurrency,
            per_minute: self.per_minute,
            retries: self.retries,
            prompt_price: self.prompt_price,
            answer_price: self.answer_price,
        };
        Llm::new(settings).map(Some)
    }
}

/// How long after a failure what was spent is kept again.
const RETRY: Duration = Duration::from_secs(10);
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Has the database know what of the day's tokens is spent, so that a restart gives nothing back. What is set aside for a
/// question is kept while it is asked, and what it came to when it is over.
#[derive(Debug)]
pub struct SpentKeeper {
    llm: Llm,
    store: Store,
    task: JoinHandle<()>,
}

impl SpentKeeper {
    /// Counts what `llm` has spent on the day of `now_unix_ms` before this process began, and keeps what it spends from now on.
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn start(llm: Llm, store: Store, now_unix_ms: u64) -> Result<Self, StoreError> {
        let day = now_unix_ms / DAY_MS;
        let known = store.model_tokens(day).await?;
        let of = |purpose: Purpose| Some((purpose, *known.get(purpose.as_str())?));
        llm.resume(&Spent { day, tokens: Purpose::ALL.into_iter().filter_map(of).collect() });
        let task = tokio::spawn(keep_spent(llm.clone(), store.clone()));
        Ok(Self { llm, store, task })
    }

    /// Keeps what is spent by now, and ends. To be called when nothing is asked any more.
    pub async fn stop(self) {
        self.task.abort();
        // Whatever it was doing is over before the last word is said.
        let _ = self.task.await;
        let spent = self.llm.spending().borrow().clone();
        if let Err(error) = put_spent(&self.store, &spent).await {
            tracing::warn!(%error, "what a language model has cost today is not kept");
        }
    }
}

/// Keeps what is spent whenever that changes.
async fn keep_spent(llm: Llm, store: Store) {
    let mut spending = llm.spending();
    while spending.changed().await.is_ok() {
        let spent = spending.borrow_and_update().clone();
        if let Err(error) = put_spent(&store, &spent).await {
            tracing::warn!(%error, "what a language model has cost today is not kept yet");
            sleep(RETRY).await;
            spending.mark_changed();
        }
    }
}

async fn put_spent(store: &Store, Spent { day, tokens }: &Spent) -> Result<(), StoreError> {
    let tokens = tokens.iter().map(|(purpose, tokens)| (purpose.as_str().to_owned(), *tokens)).collect();
    store.put_model_tokens(*day, &tokens).await
}

#[cfg(test)]
mod tests {
    use sotto_llm::testing::{Fake, Reply};
    use sotto_llm::{Schema, Template};
    use sotto_store::testing;

    use super::*;

    #[tokio::test]
    async fn a_day_s_tokens_outlive_a_restart() {
        let (store, _kept) = testing::sqlite().await;
        let fake = Fake::in_turn(vec![Reply::Says(r#"{"word": "green"}"#.to_owned())]).await;
        let now = crate::cli::now_unix_ms();
        let (prompt, schema) =
            (Template::CHECK.fill(&[]).unwrap(), Schema::new("word", serde_json::json!({})).unwrap());
        let begun = || async {
            let llm = Llm::new(fake.settings()).unwrap();
            let keeper = SpentKeeper::start(llm.clone(), store.clone(), now).await.unwrap();
            (llm, keeper)
        };
        for questions in 1..=2u64 {
            let (llm, keeper) = begun().await;
            let asked = llm.ask::<serde_json::Value>(Purpose::Check, &prompt, &schema, Duration::MAX).await;
            asked.unwrap();
            keeper.stop().await;
            let kept = store.model_tokens(now / DAY_MS).await.unwrap();
            assert_eq!(kept, BTreeMap::from([("check".to_owned(), 10 * questions)]));
        }
    }

    #[test]
    fn there_is_none_unless_one_is_configured_and_its_key_is_not_shown() {
        let mut config = LlmConfig::default();
        assert!(config.open().unwrap().is_none());
        config.url = "http://127.0.0.1:11434".to_owned();
        config.key = "secret".to_owned();
        config.model = "llama".to_owned();
        config.purposes.insert("answer".to_owned(), 5);
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.open().unwrap().unwrap().model(), "llama");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
