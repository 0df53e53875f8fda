//! Messages and who takes them, or does not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use sotto_audio::FRAME_SAMPLES;
use sotto_crm::{CallNote, Contact, ContactKind, FollowUpState, Phone, Stage};
use sotto_sip::DialError;
use sotto_store::{FollowUpFilter, testing};
use time::UtcOffset;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, yield_now};
use uuid::Uuid;

use super::*;
use crate::calls::Announced;

/// How the other end behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Takes,
    Refuses,
    IsBusy,
    /// Says what nobody understands.
    Garbles,
    /// Takes it and says nothing.
    Hangs,
    /// Takes it and is gone.
    Breaks,
    /// Is gone before it has it.
    BreaksBefore,
}

/// What the other end has taken.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<String>>>);

impl Taken {
    fn keep(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The other end. Dropped, it is gone.
struct Peer {
    address: SocketAddr,
    taken: Taken,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    async fn start<S: Future<Output = Option<()>> + Send + 'static>(
        serve: impl Fn(BufReader<TcpStream>, usize, Taken) -> S + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Taken::default());
        let kept = taken.clone();
        let task = tokio::spawn(async move {
            for n in 0usize.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(BufReader::new(stream), n, kept.clone()));
            }
        });
        Self { address, taken, task }
    }

    /// A mail server, by the number of the connection.
    async fn mail(manner: impl Fn(usize) -> Manner + Send + 'static) -> Self {
        Self::start(move |stream, n, taken| mail(stream, manner(n), taken)).await
    }

    /// A web server that says this when it takes something.
    async fn web(manner: Manner, says: &'static str) -> Self {
        Self::start(move |stream, _, taken| web(stream, manner, says, taken)).await
    }

    /// Nobody listens there any more.
    async fn gone() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }
}

/// A line without its end; nothing where there is no more.
async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

async fn mail(mut stream: BufReader<TcpStream>, manner: Manner, taken: Taken) -> Option<()> {
    if manner == Manner::Garbles {
        return stream.write_all(b"good day\r\n").await.ok();
    }
    stream.write_all(b"220 peer\r\n").await.ok()?;
    loop {
        let command = line(&mut stream).await?;
        let answer = match command.get(..4)? {
            "RCPT" if manner == Manner::Refuses => "550 no such person",
            "DATA" if manner == Manner::BreaksBefore => return None,
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        if !answer.starts_with("354") {
            continue;
        }
        let mut text = String::new();
        loop {
            let line = line(&mut stream).await?;
            if line == "." {
                break;
            }
            text.push_str(&line);
            text.push('\n');
        }
        if manner == Manner::IsBusy {
            stream.write_all(b"451 later\r\n").await.ok()?;
            continue;
        }
        taken.keep(text);
        match manner {
            Manner::Breaks => return None,
            Manner::Hangs => std::future::pending().await,
            _ => stream.write_all(b"250 kept as 7\r\n").await.ok()?,
        }
    }
}

async fn web(
    mut stream: BufReader<TcpStream>,
    manner: Manner,
    says: &'static str,
    taken: Taken,
) -> Option<()> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let line = line(&mut stream).await?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.parse().ok()?;
        }
        head.push_str(&line);
        head.push('\n');
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let (status, says) = match manner {
        Manner::Takes => ("200 OK", says),
        Manner::Garbles => ("200 OK", "good day"),
        Manner::Refuses => ("400 Bad Request", "{}"),
        Manner::IsBusy => ("503 Service Unavailable", "{}"),
        Manner::Hangs => std::future::pending().await,
        Manner::Breaks | Manner::BreaksBefore => return None,
    };
    taken.keep(format!("{head}\n{}", String::from_utf8(body).ok()?));
    let length = says.len();
    let answer = format!("HTTP/1.1 {status}\r\nretry-after: 7\r\ncontent-length: {length}\r\n\r\n{says}");
    stream.write_all(answer.as_bytes()).await.ok()
}

/// What an e-mail server at an address is configured as.
fn by_mail(address: SocketAddr) -> FollowUpsConfig {
    let email = EmailConfig {
        host: address.ip().to_string(),
        port: address.port(),
        tls: MailTls::Off,
        from: "Harper <hello@harper.example>".to_owned(),
        ..EmailConfig::default()
    };
    FollowUpsConfig { email, quiet: QuietHours::default(), per_day: u32::MAX, ..FollowUpsConfig::default() }
}

fn by_web(address: SocketAddr, channel: MessageChannel, tells_twice: bool) -> FollowUpsConfig {
    let url = format!("http://{address}");
    let mut config = FollowUpsConfig::default();
    match channel {
        MessageChannel::Sms => {
            config.sms = SmsConfig { url, key: "k3y".to_owned(), sender: "1000".to_owned() }
        }
        MessageChannel::Telegram => config.telegram = TelegramConfig { url, token: "1:t0ken".to_owned() },
        _ => {
            let secret = format!("whsec_{}", "s3cret00".repeat(4));
            config.webhook = WebhookConfig { url, secret, tells_twice };
        }
    }
    config
}

fn message(channel: MessageChannel) -> FollowUp {
    let (to, subject) = match channel {
        MessageChannel::Email => (Some("sara@example.com"), Some("پیرو گفت‌وگو")),
        MessageChannel::Sms | MessageChannel::CallMessage => (Some("+989121234567"), None),
        MessageChannel::Telegram => (Some("12345"), None),
        MessageChannel::Webhook => (None, None),
    };
    FollowUp {
        channel,
        to: to.map(str::to_owned),
        subject: subject.map(str::to_owned),
        text: "سلام، سارا & امید\n.two".to_owned(),
        not_before_unix_ms: None,
    }
}

fn contact() -> Contact {
    Contact {
        kind: ContactKind::Lead,
        stage: Stage::New,
        name: "Sara".to_owned(),
        numbers: vec![Phone::parse("+989121234567", None).unwrap()],
        email: None,
        company: None,
        owner: None,
        notes: String::new(),
        fields: BTreeMap::new(),
    }
}

/// Messages that somebody has approved.
async fn approved(store: &Store, channel: MessageChannel, count: usize) -> Vec<FollowUpRow> {
    let sara = store.add_contact(&contact(), 1).await.unwrap();
    let mut rows = Vec::new();
    for _ in 0..count {
        let row = store.add_follow_up(sara.id, &message(channel), "mina", 1).await.unwrap().unwrap();
        let row = store.decide_follow_up(row.id, 1, FollowUpState::Approved, "mina", 1).await.unwrap();
        rows.push(row.unwrap());
    }
    rows
}

/// What becomes of one message.
async fn sent_by(config: &FollowUpsConfig, channel: MessageChannel) -> (Outcome, FollowUpRow) {
    let (store, _folder) = testing::sqlite().await;
    let [row]: [FollowUpRow; 1] = approved(&store, channel, 1).await.try_into().unwrap();
    let sender = config.open().unwrap();
    (sender.send(&row, Duration::from_millis(300)).await, row)
}

#[tokio::test]
async fn mail_says_who_writes_and_what_and_has_an_id_of_its_own() {
    let peer = Peer::mail(|_| Manner::Takes).await;
    let (outcome, row) = sent_by(&by_mail(peer.address), MessageChannel::Email).await;
    assert_eq!(outcome, Outcome::Sent(Some("kept as 7".to_owned())));
    let [text]: [String; 1] = peer.taken.all().try_into().unwrap();
    for header in [
        "From: Harper <hello@harper.example>".to_owned(),
        "To: sara@example.com".to_owned(),
        format!("Message-ID: <{}@harper.example>", row.key),
        "Content-Type: text/plain; charset=utf-8".to_owned(),
    ] {
        assert!(text.lines().any(|line| line.eq_ignore_ascii_case(&header)), "{header} is not in\n{text}");
    }
    assert!(text.is_ascii() && text.contains("\nSubject: =?utf-8?"), "{text}");
}

#[tokio::test]
async fn mail_is_tried_again_only_where_it_was_surely_not_taken() {
    for (manner, expected) in [
        (Manner::Refuses, "refused"),
        (Manner::IsBusy, "again"),
        (Manner::Garbles, "again"),
        (Manner::BreaksBefore, "again"),
        (Manner::Breaks, "unknown"),
        (Manner::Hangs, "unknown"),
    ] {
        let peer = Peer::mail(move |_| manner).await;
        let (outcome, _) = sent_by(&by_mail(peer.address), MessageChannel::Email).await;
        assert_eq!(kind(&outcome), expected, "{manner:?}: {outcome:?}");
    }
    let (outcome, _) = sent_by(&by_mail(Peer::gone().await), MessageChannel::Email).await;
    assert_eq!(kind(&outcome), "again", "{outcome:?}");
    let starts = EmailConfig { tls: MailTls::Starttls, ..by_mail(Peer::gone().await).email };
    let peer = Peer::mail(|_| Manner::Takes).await;
    let email = EmailConfig { port: peer.address.port(), ..starts };
    let (outcome, _) =
        sent_by(&FollowUpsConfig { email, ..FollowUpsConfig::default() }, MessageChannel::Email).await;
    assert!(kind(&outcome) == "again" && peer.taken.all().is_empty(), "nothing in the clear: {outcome:?}");
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Sent(_) => "sent",
        Outcome::Again(..) => "again",
        Outcome::Refused(_) => "refused",
        Outcome::Unknown(_) => "unknown",
    }
}

const KAVENEGAR: &str = r#"{"return":{"status":200,"message":"ok"},"entries":[{"messageid":8792343}]}"#;
const TELEGRAM: &str = r#"{"ok":true,"result":{"message_id":42}}"#;

#[tokio::test]
async fn what_is_posted_is_tried_again_only_where_it_was_surely_not_taken() {
    for (channel, says) in [
        (MessageChannel::Sms, KAVENEGAR),
        (MessageChannel::Telegram, TELEGRAM),
        (MessageChannel::Webhook, ""),
    ] {
        let garbled = if channel == MessageChannel::Webhook { "sent" } else { "unknown" };
        for (manner, expected) in [
            (Manner::Takes, "sent"),
            (Manner::Refuses, "refused"),
            (Manner::IsBusy, "unknown"),
            (Manner::Garbles, garbled),
            (Manner::Breaks, "unknown"),
            (Manner::Hangs, "unknown"),
        ] {
            let peer = Peer::web(manner, says).await;
            let (outcome, _) = sent_by(&by_web(peer.address, channel, false), channel).await;
            assert_eq!(kind(&outcome), expected, "{channel:?} {manner:?}: {outcome:?}");
            for secret in ["k3y", "t0ken", "s3cret"] {
                assert!(!format!("{outcome:?}").contains(secret), "{outcome:?}");
            }
        }
        let (outcome, _) = sent_by(&by_web(Peer::gone().await, channel, false), channel).await;
        assert_eq!(kind(&outcome), "again", "{channel:?}: {outcome:?}");
    }
    let peer = Peer::web(Manner::Breaks, "").await;
    let (outcome, _) =
        sent_by(&by_web(peer.address, MessageChannel::Webhook, true), MessageChannel::Webhook).await;
    assert_eq!(kind(&outcome), "again", "whoever takes it tells it by its key: {outcome:?}");
}

/// Whoever stands in between answers so as well, after the message went on: an SMS that was tried again would be there twice.
#[tokio::test]
async fn after_a_503_nobody_knows_whether_a_message_was_sent() {
    for channel in [MessageChannel::Sms, MessageChannel::Telegram, MessageChannel::Webhook] {
        let peer = Peer::web(Manner::IsBusy, "").await;
        let (outcome, _) = sent_by(&by_web(peer.address, channel, false), channel).await;
        assert_eq!((kind(&outcome), peer.taken.all().len()), ("unknown", 1), "{channel:?}: {outcome:?}");
    }
    let peer = Peer::web(Manner::IsBusy, "").await;
    let (outcome, _) =
        sent_by(&by_web(peer.address, MessageChannel::Webhook, true), MessageChannel::Webhook).await;
    let told = Some(Duration::from_secs(7));
    assert!(matches!(outcome, Outcome::Again(_, after) if after == told), "it is told by its key");
}

#[tokio::test]
async fn who_takes_messages_says_by_codes_of_their_own_why_not() {
    let too_little = r#"{"return":{"status":418,"message":"no credit"},"entries":null}"#;
    let peer = Peer::web(Manner::Takes, too_little).await;
    let (outcome, _) = sent_by(&by_web(peer.address, MessageChannel::Sms, false), MessageChannel::Sms).await;
    assert_eq!(outcome, Outcome::Again("418: no credit".to_owned(), None));
    let blocked = r#"{"ok":false,"error_code":403,"description":"bot was blocked by the user"}"#;
    let peer = Peer::web(Manner::Takes, blocked).await;
    let (outcome, _) =
        sent_by(&by_web(peer.address, MessageChannel::Telegram, false), MessageChannel::Telegram).await;
    assert_eq!(kind(&outcome), "unknown", "it says two things at once: {outcome:?}");
}

#[tokio::test]
async fn what_is_posted_says_what_it_should() {
    let posted = async |channel, says| {
        let peer = Peer::web(Manner::Takes, says).await;
        let (outcome, row) = sent_by(&by_web(peer.address, channel, false), channel).await;
        let [text]: [String; 1] = peer.taken.all().try_into().unwrap();
        (outcome, row, text)
    };
    let (outcome, _, text) = posted(MessageChannel::Sms, KAVENEGAR).await;
    assert_eq!(outcome, Outcome::Sent(Some("8792343".to_owned())));
    assert!(text.starts_with("POST /v1/k3y/sms/send.json HTTP/1.1\n"), "{text}");
    assert!(
        text.contains("receptor=%2B989121234567&message=%D8%B3") && text.contains("&sender=1000"),
        "{text}"
    );
    let (outcome, _, text) = posted(MessageChannel::Telegram, TELEGRAM).await;
    assert_eq!(outcome, Outcome::Sent(Some("42".to_owned())));
    assert!(text.starts_with("POST /bot1:t0ken/sendMessage HTTP/1.1\n"), "{text}");
    assert!(text.contains(r#""chat_id":"12345""#) && text.contains("سلام، سارا & امید"), "{text}");
    let (outcome, row, text) = posted(MessageChannel::Webhook, "").await;
    assert_eq!(outcome, Outcome::Sent(None));
    assert!(text.contains(&format!("\nwebhook-id: {}\n", row.key)), "{text}");
    assert!(
        text.contains("\nwebhook-signature: v1,") && text.contains(r#""type":"follow_up.send""#),
        "{text}"
    );
}

/// What says messages on the telephone, by a voice that says the same whatever the text; this becomes of the calls.
fn telephone(
    config: &FollowUpsConfig,
    folder: &std::path::Path,
    becomes: impl Fn() -> BoxFuture<'static, Result<Announced, DialError>> + Send + Sync + 'static,
) -> Sender {
    let sample = folder.join("said.wav");
    std::fs::write(&sample, wav(&[[0.25; FRAME_SAMPLES]; 10]).unwrap()).unwrap();
    let command = ["cp", sample.to_str().unwrap(), "{output}"].map(str::to_owned).to_vec();
    let fa = SpeakerConfig { command, url: String::new() };
    let voice = VoiceConfig { fa, ..VoiceConfig::default() }.open().unwrap();
    let announce = move |number: String, speech: Speech| {
        assert_eq!((number.as_str(), speech.len()), ("+989121234567", 10));
        becomes()
    };
    config.open().unwrap().that_calls(voice, Box::new(announce))
}

#[tokio::test]
async fn who_has_answered_a_call_is_not_called_again_by_itself() {
    let (store, folder) = testing::sqlite().await;
    let [row]: [FollowUpRow; 1] = approved(&store, MessageChannel::CallMessage, 1).await.try_into().unwrap();
    let refused = |status| Err(DialError::Refused { status, reason: "no".to_owned() });
    for (became, expected) in [
        (Ok(Announced::Whole), "sent"),
        (Ok(Announced::Broken(Duration::from_secs(3))), "unknown"),
        (Err(DialError::NoAnswer), "again"),
        (Err(DialError::Unreachable), "again"),
        (refused(486), "again"),
        (refused(503), "again"),
        (refused(404), "refused"),
        (refused(603), "refused"),
    ] {
        let sender = telephone(&FollowUpsConfig::default(), folder.path(), {
            let became = became.clone();
            move || Box::pin(std::future::ready(became.clone()))
        });
        let outcome = sender.send(&row, Duration::ZERO).await;
        assert_eq!(kind(&outcome), expected, "{became:?}: {outcome:?}");
    }
    let mut english = row;
    english.message.text = "Hello".to_owned();
    let sender = telephone(&FollowUpsConfig::default(), folder.path(), || Box::pin(std::future::pending()));
    let outcome = sender.send(&english, Duration::ZERO).await;
    assert_eq!(kind(&outcome), "refused", "nothing speaks it: {outcome:?}");
}

#[tokio::test]
async fn whether_a_call_was_heard_in_the_middle_of_which_everything_ended_is_for_a_person_to_say() {
    let (store, folder) = testing::sqlite().await;
    approved(&store, MessageChannel::CallMessage, 1).await;
    let config = FollowUpsConfig { quiet: QuietHours::default(), ..FollowUpsConfig::default() };
    let rules = FollowUpRules {
        channels: vec![MessageChannel::CallMessage],
        ..config.rules(CrmRules::default(), Vec::new())
    };
    let called = Arc::new(AtomicU64::new(0));
    for state in [FollowUpState::Sending, FollowUpState::Unknown] {
        let counted = called.clone();
        let sender = telephone(&config, folder.path(), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::pending())
        });
        let (figures, stop) = (Arc::new(Figures::default()), CancellationToken::new());
        let running = tokio::spawn(run(store.clone(), sender, rules.clone(), SOON, figures, stop));
        while called.load(Ordering::Relaxed) == 0 || !states(&store).await.contains_key(&state) {
            yield_now().await;
        }
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    }
    assert_eq!(called.load(Ordering::Relaxed), 1, "nobody is called twice");
}

#[tokio::test]
async fn calls_that_take_long_hold_up_no_other_message() {
    let (store, folder) = testing::sqlite().await;
    let calls = approved(&store, MessageChannel::CallMessage, SOON.at_once).await;
    let text = message(MessageChannel::Sms);
    let text = store.add_follow_up(calls[0].contact, &text, "mina", 2).await.unwrap().unwrap();
    store.decide_follow_up(text.id, 1, FollowUpState::Approved, "mina", 2).await.unwrap();
    let peer = Peer::web(Manner::Takes, KAVENEGAR).await;
    let config = FollowUpsConfig {
        quiet: QuietHours::default(),
        per_day: u32::MAX,
        call_message: CallMessageConfig { enabled: true },
        ..by_web(peer.address, MessageChannel::Sms, false)
    };
    let sender = telephone(&config, folder.path(), || Box::pin(std::future::pending()));
    let rules = config.rules(CrmRules::default(), vec!["fa"]);
    let (figures, stop) = (Arc::new(Figures::default()), CancellationToken::new());
    let limits = JobLimits { patience: Duration::from_secs(60), ..SOON };
    let running = tokio::spawn(run(store.clone(), sender, rules, limits, figures.clone(), stop));
    while figures.sent.load(Ordering::Relaxed) == 0 {
        yield_now().await;
    }
    assert_eq!(states(&store).await[&FollowUpState::Sending].len(), CALLS_AT_ONCE);
    running.abort();
}

#[test]
fn at_night_only_programs_are_written_to() {
    let crm = CrmRules { clock: UtcOffset::from_hms(3, 30, 0).unwrap(), ..CrmRules::default() };
    let quiet = QuietHours::try_from("21:00-08:00".to_owned()).unwrap();
    let rules =
        FollowUpRules { crm, quiet, channels: MessageChannel::ALL.to_vec(), ..FollowUpRules::default() };
    // 2026-12-01 at 10:30 in Tehran, and twelve hours later.
    let noon = 1_796_108_400_000;
    assert_eq!(rules.claim(noon).channels.len(), MessageChannel::ALL.len());
    assert_eq!(rules.claim(noon + 12 * 3_600_000).channels, BTreeSet::from([MessageChannel::Webhook]));
    assert_eq!(rules.claim(noon).day_begins_unix_ms, noon - 10 * 3_600_000 - 1_800_000);
}

#[tokio::test]
async fn what_a_call_promised_is_drafted_to_whoever_it_was_with() {
    let (store, _folder) = testing::sqlite().await;
    let sara = store.add_contact(&contact(), 1).await.unwrap();
    let insight = r#"{"next_actions":[{"type":"message","when":null,"channel":"sms","to":null,"by":"agent",
        "text":"I will text you the prices.","citations":[{"utterance_id":7,"chars":{"start":0,"end":9}}]}]}"#;
    let note = CallNote::of(insight, 1_000, UtcOffset::UTC).unwrap();
    let number = Phone::parse("+989121234567", None).unwrap();
    let entry = CallEntry { number, ended_at_unix_ms: 1_000, note, drafts: Vec::new() };
    let config = by_web(Peer::gone().await, MessageChannel::Sms, false);
    let rules = config.rules(CrmRules::default(), Vec::new());
    let [draft]: [Draft; 1] = rules.drafts(&store, CallId::new(), &entry).await.unwrap().try_into().unwrap();
    assert_eq!((draft.contact, draft.origin.as_str()), (sara.id, "7:0"));
    assert_eq!(draft.message.to.as_deref(), Some("+989121234567"));
    assert_eq!(FollowUpRules::default().drafts(&store, CallId::new(), &entry).await.unwrap(), []);
    store.remove_contact(sara.id, None, 2_000).await.unwrap();
    assert_eq!(rules.drafts(&store, CallId::new(), &entry).await.unwrap(), []);
}

const SOON: JobLimits = JobLimits {
    at_once: 4,
    tries: 50,
    patience: Duration::from_millis(100),
    pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(2),
    every: Duration::from_millis(1),
};

/// How many messages are in each state.
async fn states(store: &Store) -> BTreeMap<FollowUpState, Vec<Uuid>> {
    let rows = store.follow_ups(&FollowUpFilter { limit: 1_000, ..Default::default() }).await.unwrap();
    let mut states = BTreeMap::<_, Vec<Uuid>>::new();
    for row in rows {
        states.entry(row.state).or_default().push(row.key);
    }
    states
}

/// Whether something is still to be sent.
async fn is_open(store: &Store) -> bool {
    let states = states(store).await;
    states.contains_key(&FollowUpState::Approved) || states.contains_key(&FollowUpState::Sending)
}

/// Whoever sends is stopped dead at any step, again and again, while the mail server is busy, hangs and breaks: nothing is
/// taken twice, nothing is lost, and nothing is said to be sent that was not taken.
#[tokio::test]
async fn nothing_is_ever_sent_twice() {
    const COUNT: usize = 120;
    let manner = |n: usize| match n % 7 {
        2 => Manner::IsBusy,
        3 => Manner::BreaksBefore,
        4 => Manner::Breaks,
        6 if n % 14 == 6 => Manner::Hangs,
        _ => Manner::Takes,
    };
    let (store, _folder) = testing::sqlite().await;
    let peer = Peer::mail(manner).await;
    approved(&store, MessageChannel::Email, COUNT).await;
    let config = by_mail(peer.address);
    let rules = config.rules(CrmRules::default(), Vec::new());
    let mut kills = 0;
    loop {
        let stop = CancellationToken::new();
        let sender = config.open().unwrap();
        let figures = Arc::new(Figures::default());
        let running =
            tokio::spawn(run(store.clone(), sender, rules.clone(), SOON, figures.clone(), stop.clone()));
        // At any step of the first messages, or some steps after one was sent.
        if kills % 2 == 1 {
            while figures.sent.load(Ordering::Relaxed) == 0 && is_open(&store).await {
                yield_now().await;
            }
        }
        for _ in 0..rand::random_range(0..600) {
            yield_now().await;
        }
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        kills += 1;
        if !is_open(&store).await {
            break;
        }
    }
    assert!(kills > 5, "nobody was killed at it");
    let mut taken = BTreeMap::<Uuid, usize>::new();
    for text in peer.taken.all() {
        let id = text.lines().find_map(|line| {
            line.to_lowercase().strip_prefix("message-id: <")?.split('@').next().map(str::to_owned)
        });
        *taken.entry(id.unwrap().parse().unwrap()).or_default() += 1;
    }
    assert!(taken.values().all(|count| *count == 1), "{taken:?}");
    let states = states(&store).await;
    assert_eq!(states.values().map(Vec::len).sum::<usize>(), COUNT, "{states:?}");
    let sent = states.get(&FollowUpState::Sent).unwrap();
    assert!(sent.iter().all(|key| taken.contains_key(key)), "what is said to be sent was");
    let unknown = states.get(&FollowUpState::Unknown).unwrap();
    let known = sent.iter().chain(unknown).copied().collect::<BTreeSet<Uuid>>();
    assert!(taken.keys().all(|key| known.contains(key)), "what was sent is not to be sent");
}

#[tokio::test]
async fn a_mail_server_that_is_away_has_its_messages_tried_until_they_are_given_up() {
    let (store, _folder) = testing::sqlite().await;
    approved(&store, MessageChannel::Email, 3).await;
    let config = by_mail(Peer::gone().await);
    let (figures, stop) = (Arc::new(Figures::default()), CancellationToken::new());
    let limits = JobLimits { tries: 3, ..SOON };
    let (sender, rules) = (config.open().unwrap(), config.rules(CrmRules::default(), Vec::new()));
    let running = tokio::spawn(run(store.clone(), sender, rules, limits, figures.clone(), stop.clone()));
    while figures.dead.load(Ordering::Relaxed) < 3 {
        yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    assert_eq!(figures.failed.load(Ordering::Relaxed), 6, "two tries before the last of each");
    let states = states(&store).await;
    assert_eq!(
        states.into_iter().map(|(state, rows)| (state, rows.len())).collect::<Vec<_>>(),
        [(FollowUpState::Dead, 3)]
    );
}
