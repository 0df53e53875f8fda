//! What can be configured of messages to contacts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_crm::{MessageChannel, Occasion, QuietHours, Texts};

use super::email::Mailer;
use super::post::{Http, Kavenegar, Telegram, Webhook};
use super::{FollowUpRules, Sender};
use crate::crm::CrmRules;

/// See [`crate::config::Config::follow_ups`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FollowUpsConfig {
    /// What the organisation calls itself at the end of messages.
    pub organisation: String,
    /// When nobody is written to, on the clock of `insight.utc_offset`; empty for never. Webhooks are sent at any time.
    #[schemars(with = "String")]
    pub quiet: QuietHours,
    /// Messages that a contact gets a day at most.
    pub per_day: u32,
    /// How often a message is tried that surely was not sent.
    pub tries: u32,
    /// The organisation's own words for what was promised (`callback`, `message`, `meeting`, `payment`) and for a call that was
    /// cut off (`dropped`), in English and Persian: `callback = { en = "Dear {name}, we will call you on {day}[ at {time}]." }`.
    /// There are `{name}`, `{day}`, `{time}` and `{organisation}`, and of a call that was cut off `{topic}`, the title of what
    /// the customer wanted; what stands between square brackets is left out where something in it is not known.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, String>>")]
    pub texts: BTreeMap<Occasion, BTreeMap<String, String>>,
    /// Text messages by Kavenegar.
    pub sms: SmsConfig,
    /// Messages by a Telegram bot, to contacts whose field `telegram` has the number of their chat with it.
    pub telegram: TelegramConfig,
    /// E-mail by the organisation's mail server.
    pub email: EmailConfig,
    /// Messages that a program of the organisation sends.
    pub webhook: WebhookConfig,
    /// Messages that are said on the telephone, by `voice` and through `desk.trunk`.
    pub call_message: CallMessageConfig,
}

impl Default for FollowUpsConfig {
    fn default() -> Self {
        Self {
            organisation: String::new(),
            // Hours in which nobody minds, as a string of ours.
            quiet: QuietHours::try_from("21:00-08:00".to_owned()).unwrap_or_default(),
            per_day: 2,
            tries: 6,
            texts: BTreeMap::new(),
            sms: SmsConfig::default(),
            telegram: TelegramConfig::default(),
            email: EmailConfig::default(),
            webhook: WebhookConfig::default(),
            call_message: CallMessageConfig::default(),
        }
    }
}

/// See [`FollowUpsConfig::call_message`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallMessageConfig {
    /// Whether there are any. Then one is drafted to the customer of a call through Sotto that has dropped: that lost its agent
    /// or all audio, or was cut off as Sotto ended.
    pub enabled: bool,
}

/// See [`FollowUpsConfig::sms`].
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SmsConfig {
    /// Where the interface is.
    pub url: String,
    /// The account's key; empty: no text messages are sent. Better given in the environment (SOTTO_FOLLOW_UPS__SMS__KEY) than in
    /// a file.
    pub key: String,
    /// The number messages come from; empty for the account's own.
    pub sender: String,
}

impl Default for SmsConfig {
    fn default() -> Self {
        Self { url: "https://api.kavenegar.com".to_owned(), key: String::new(), sender: String::new() }
    }
}

/// See [`FollowUpsConfig::telegram`].
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelegramConfig {
    /// Where the interface is.
    pub url: String,
    /// The bot's token; empty: nothing is sent so. Better given in the environment (SOTTO_FOLLOW_UPS__TELEGRAM__TOKEN) than in a
    /// file.
    pub token: String,
}

impl Default for TelegramConfig {
    fn default() -> Self {
        Self { url: "https://api.telegram.org".to_owned(), token: String::new() }
    }
}

/// See [`FollowUpsConfig::email`].
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmailConfig {
    /// The mail server's name; empty: no e-mail is sent.
    pub host: String,
    /// Its port: usually 465 for `tls`, 587 for `starttls`, 25 for `off`.
    pub port: u16,
    /// `tls` from the start, `starttls` before anything is said that matters, or `off`, for a server on the same machine.
    pub tls: MailTls,
    /// The account, if the server wants one.
    pub user: String,
    /// Its password. Better given in the environment (SOTTO_FOLLOW_UPS__EMAIL__PASSWORD) than in a file.
    pub password: String,
    /// Who writes: `Harper <hello@harper.example>`.
    pub from: String,
}

impl Default for EmailConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 465,
            tls: MailTls::Tls,
            user: String::new(),
            password: String::new(),
            from: String::new(),
        }
    }
}

/// See [`EmailConfig::tls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// From the start (RFC 8314).
    Tls,
    /// After a greeting (RFC 3207), or not at all: nothing is sent in the clear.
    Starttls,
    /// None.
    Off,
}

/// See [`FollowUpsConfig::webhook`].
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where messages are posted to, as JSON; empty: nowhere.
    pub url: String,
    /// What they are signed with, as Standard Webhooks say: `whsec_` and 24 to 64 bytes in base64. Better given in the
    /// environment (SOTTO_FOLLOW_UPS__WEBHOOK__SECRET) than in a file.
    pub secret: String,
    /// Whether the program takes a message with a `webhook-id` that it has had before for the same one, and sends it once. Then
    /// one that it gave no answer to is posted again; otherwise a person is asked.
    pub tells_twice: bool,
}

macro_rules! without_secrets {
    ($($name:ident: $($field:ident),*;)*) => {$(
        impl fmt::Debug for $name {
            /// Without what is secret.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        }
    )*};
}
without_secrets! {
    SmsConfig: sender;
    TelegramConfig:;
    EmailConfig: host, port, tls, from;
    WebhookConfig: tells_twice;
}

impl FollowUpsConfig {
    /// What is wrong with it.
    ///
    /// # Errors
    /// The problem, in words.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [("per_day", self.per_day), ("tries", self.tries)] {
            if value == 0 {
                return Err(format!("`{key}` must not be 0"));
            }
        }
        self.texts().map(drop)?;
        self.open().map(drop)
    }

    fn texts(&self) -> Result<Texts, String> {
        Texts::new(&self.texts, &self.organisation).map_err(|problem| format!("`texts`: {problem}"))
    }

    /// By what messages can be sent.
    fn has(&self, channel: MessageChannel) -> bool {
        !match channel {
            MessageChannel::Sms => self.sms.key.is_empty(),
            MessageChannel::Telegram => self.telegram.token.is_empty(),
            MessageChannel::Email => self.email.host.is_empty(),
            MessageChannel::Webhook => self.webhook.url.is_empty(),
            MessageChannel::CallMessage => !self.call_message.enabled,
        }
    }

    /// By what rules messages are drafted and sent, with those by which numbers and promises are read, and the languages that are
    /// spoken on the telephone.
    #[must_use]
    pub fn rules(&self, crm: CrmRules, spoken: Vec<&'static str>) -> FollowUpRules {
        FollowUpRules {
            crm,
            channels: MessageChannel::ALL.into_iter().filter(|channel| self.has(*channel)).collect(),
            // They were checked.
            texts: Arc::new(self.texts().unwrap_or_default()),
            quiet: self.quiet,
            per_day: self.per_day,
            spoken,
        }
    }

    /// What hands messages over, but for those that are said on the telephone ([`Sender::that_calls`]). Nothing is sent yet.
    ///
    /// # Errors
    /// When something cannot be sent so, in words.
    pub fn open(&self) -> Result<Sender, String> {
        let of = |part: &str, problem: String| format!("`{part}`: {problem}");
        let has = |channel: MessageChannel| self.has(channel);
        let email = has(MessageChannel::Email).then(|| Mailer::new(&self.email));
        let sms = has(MessageChannel::Sms)
            .then(|| Http::new(&self.sms.url).map(|http| Kavenegar::new(&self.sms, http)));
        let telegram = has(MessageChannel::Telegram)
            .then(|| Http::new(&self.telegram.url).map(|http| Telegram::new(&self.telegram, http)));
        let webhook = has(MessageChannel::Webhook)
            .then(|| Http::new(&self.webhook.url).and_then(|http| Webhook::new(&self.webhook, http)));
        Ok(Sender {
            email: email.transpose().map_err(|problem| of("email", problem))?,
            sms: sms.transpose().map_err(|problem| of("sms", problem))?,
            telegram: telegram.transpose().map_err(|problem| of("telegram", problem))?,
            webhook: webhook.transpose().map_err(|problem| of("webhook", problem))?,
            telephone: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_unless_something_is_configured_and_what_is_secret_is_not_shown() {
        let mut config = FollowUpsConfig::default();
        assert_eq!(config.check(), Ok(()));
        assert!(config.rules(CrmRules::default(), Vec::new()).channels.is_empty());
        config.sms =
            SmsConfig { url: "http://127.0.0.1:1".to_owned(), key: "secret".to_owned(), ..config.sms };
        config.telegram = TelegramConfig { url: "http://127.0.0.1:1".to_owned(), token: "secret".to_owned() };
        config.webhook.url = "http://127.0.0.1:1/secret".to_owned();
        config.webhook.secret = format!("whsec_{}", "secret00".repeat(4));
        config.email.host = "127.0.0.1".to_owned();
        config.email.tls = MailTls::Starttls;
        config.email.password = "secret".to_owned();
        config.email.from = "Harper <hello@harper.example>".to_owned();
        config.call_message.enabled = true;
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.rules(CrmRules::default(), Vec::new()).channels, MessageChannel::ALL);
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn what_cannot_be_sent_so_is_said_at_the_start() {
        let wrong = |change: fn(&mut FollowUpsConfig)| {
            let mut config = FollowUpsConfig::default();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert!(wrong(|config| config.per_day = 0).contains("`per_day`"));
        assert!(wrong(|config| config.webhook.url = "harper".to_owned()).starts_with("`webhook`: "));
        let secret = wrong(|config| config.webhook.url = "http://a:secret@b/".to_owned());
        assert!(!secret.contains("secret"), "{secret}");
        assert!(wrong(|config| config.webhook.url = "http://a/".to_owned()).contains("`secret`"));
        assert!(wrong(|config| config.email.host = "mail".to_owned()).starts_with("`email`: `from`"));
        let own = |config: &mut FollowUpsConfig| {
            config.texts = [(Occasion::Message, [("en".to_owned(), "{nmae}".to_owned())].into())].into();
        };
        assert!(wrong(own).starts_with("`texts`: "));
    }
}
