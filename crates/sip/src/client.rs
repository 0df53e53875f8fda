//! The calling side: places recording sessions and plain calls, for tests, demonstrations and integrators.
//!
//! Built on rsipstack's own dialog layer and sockets, and not on ours: when the two agree, two
//! implementations do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::dialog::DialogState;
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invitation::InviteOption;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Header, Param, Response, StatusCode, Transport, Uri, parse_uri};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::EndpointOption;
use rsipstack::transport::TransportLayer;
use rsipstack::transport::udp::UdpConnection;
use sotto_audio::Codec;
use sotto_media::{MasterKey, Ports, RtpSender, SenderConfig, Socket, Suite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::SipError;
use crate::config::local_ip_towards;
use crate::metadata::{Metadata, Person, Stream};
use crate::multipart;
use crate::negotiate;
use crate::sdp::{Crypto, Direction, Format, Media, Origin, Session};

/// How long a request may take to be answered.
const PATIENCE: Duration = Duration::from_secs(40);

/// How signalling travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// In datagrams.
    #[default]
    Udp,
    /// On a connection.
    Tcp,
}

/// A call to be placed.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// `sip:host:port`, a user part and `;transport=tcp` allowed.
    pub to: String,
    /// How signalling travels; a transport in [`Outgoing::to`] wins.
    pub via: Via,
    /// Whose audio it carries: two people make a recording session, one without an address a plain call.
    pub legs: Vec<Speaker>,
    /// True for a SIPREC session, false for a plain call.
    pub siprec: bool,
    /// The codec, G.711 for all that receive it.
    pub codec: Codec,
    /// How the audio is encrypted, if it is (RFC 4568).
    pub srtp: Option<Suite>,
    /// Headers to add, by name: `("X-Sotto-Call", "42")`.
    pub headers: Vec<(String, String)>,
    /// Name and password, when they are asked for.
    pub login: Option<(String, String)>,
}

/// Someone who speaks in an outgoing call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speaker {
    /// Address of record.
    pub aor: String,
    /// Display name.
    pub name: String,
}

impl Outgoing {
    /// A recording session of two people, the first on label 1.
    #[must_use]
    pub fn recording(to: &str, first: Speaker, second: Speaker) -> Self {
        Self {
            to: to.to_owned(),
            via: Via::Udp,
            legs: vec![first, second],
            siprec: true,
            codec: Codec::Pcmu,
            srtp: None,
            headers: Vec::new(),
            login: None,
        }
    }

    /// A plain call that carries one person's audio.
    #[must_use]
    pub fn plain(to: &str, speaker: Speaker) -> Self {
        Self {
            legs: vec![speaker],
            siprec: false,
            ..Self::recording(to, Speaker::default(), Speaker::default())
        }
    }
}

/// Places calls. Has a port of its own.
pub struct Caller {
    dialogs: Arc<DialogLayer>,
    local: SocketAddr,
    ports: Ports,
    stop: CancellationToken,
}

impl Caller {
    /// A caller that reaches `peer`. Must be made within a Tokio runtime.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn towards(peer: IpAddr) -> Result<Self, SipError> {
        let ip = local_ip_towards(peer);
        let stop = CancellationToken::new();
        let udp = UdpConnection::create_connection((ip, 0).into(), None, Some(stop.child_token())).await?;
        let local = udp.get_addr().get_socketaddr()?;
        let transports = TransportLayer::new(stop.clone());
        transports.add_transport(udp.into());
        let stack = EndpointBuilder::new()
            .with_user_agent(concat!("sotto-call/", env!("CARGO_PKG_VERSION")))
            .with_cancel_token(stop.clone())
            .with_transport_layer(transports)
            .with_option(EndpointOption::default())
            .build();
        let incoming = stack.incoming_transactions()?;
        let dialogs = Arc::new(DialogLayer::new(stack.inner.clone()));
        tokio::spawn(async move { stack.serve().await });
        tokio::spawn(serve_incoming(dialogs.clone(), incoming));
        Ok(Self { dialogs, local, ports: Ports::new(ip, 40_000..=59_999), stop })
    }

    /// Places a call and waits until it is answered.
    ///
    /// # Errors
    /// When it is refused or not answered.
    pub async fn call(&self, call: &Outgoing) -> Result<Call, SipError> {
        let mut callee =
            parse_uri(&call.to).map_err(|error| SipError::Call(format!("{}: {error}", call.to)))?;
        if call.via == Via::Tcp && !callee.params.iter().any(|p| matches!(p, Param::Transport(_))) {
            callee.params.push(Param::Transport(Transport::Tcp));
        }
        let sockets = self.ports.reserve_many(call.legs.len()).await?;
        let offer = offer(call, self.local.ip(), &sockets)?;
        let (content_type, body) = if call.siprec {
            recording_body(call, &offer)
        } else {
            ("application/sdp".to_owned(), offer.to_string().into_bytes())
        };
        let mut headers: Vec<Header> =
            call.headers.iter().map(|(name, value)| Header::Other(name.clone(), value.clone())).collect();
        if call.siprec {
            headers.push(Header::Require("siprec".into()));
        }
        let first = call.legs.first().cloned().unwrap_or_default();
        let contact = format!("sip:caller@{}", self.local);
        let option = InviteOption {
            caller_display_name: Some(first.name).filter(|name| !name.is_empty()),
            caller: address(if call.siprec { "" } else { &first.aor }, &contact)?,
            callee,
            content_type: Some(content_type),
            offer: Some(body),
            contact: address(&contact, &contact)?,
            headers: Some(headers),
            credential: call.login.clone().map(|(username, password)| Credential {
                username,
                password,
                ..Credential::default()
            }),
            ..InviteOption::default()
        };
        let (states, mut heard) = self.dialogs.new_dialog_state_channel();
        let (ended, is_ended) = watch::channel(false);
        let layer = self.dialogs.clone();
        tokio::spawn(async move {
            while let Some(state) = heard.recv().await {
                match state {
                    DialogState::Terminated(id, _) => {
                        layer.remove_dialog(&id);
                        let _ = ended.send(true);
                        break;
                    }
                    DialogState::Updated(_, _, handle)
                    | DialogState::Options(_, _, handle)
                    | DialogState::Info(_, _, handle) => drop(handle.reply(StatusCode::OK).await),
                    _ => {}
                }
            }
        });
        let invite = timeout(PATIENCE, self.dialogs.do_invite(option, states)).await;
        let (dialog, answer) = invite.map_err(|_| SipError::Call("no answer".to_owned()))??;
        let answer = accepted(answer)?;
        Call::answered(dialog, answer, is_ended, call, offer, sockets)
    }

    /// Closes its sockets.
    pub fn close(self) {
        self.stop.cancel();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A call that has been answered.
pub struct Call {
    dialog: InviteDialog,
    answer: Response,
    ended: watch::Receiver<bool>,
    offer: Session,
    senders: Vec<Option<RtpSender>>,
}

impl Call {
    fn answered(
        dialog: InviteDialog,
        answer: Response,
        ended: watch::Receiver<bool>,
        call: &Outgoing,
        offer: Session,
        sockets: Vec<Socket>,
    ) -> Result<Self, SipError> {
        let description = Session::parse(&answer.body).map_err(|error| SipError::Call(error.to_string()))?;
        let mut senders = Vec::new();
        for (section, (socket, media)) in sockets.into_iter().zip(&description.media).enumerate() {
            let format = media.formats.first().map_or(0, |format| format.payload_type);
            let ssrc = section as u32 + 1;
            let config = SenderConfig { payload_type: format, ssrc, ..SenderConfig::new(call.codec) };
            let sender = media.remote().map(|remote| RtpSender::new(socket, remote, config, None));
            let mut sender = sender.transpose().map_err(sotto_media::MediaError::from)?;
            if call.srtp.is_some()
                && let Some(sender) = &mut sender
            {
                let agreed = negotiate::answered(section, &offer, &description, &[call.codec]);
                let security = agreed.and_then(|stream| stream.security);
                let security = security.ok_or_else(|| SipError::Call("not encrypted".to_owned()))?;
                sender.protect(&security.keys.ours)?;
            }
            senders.push(sender);
        }
        Ok(Self { dialog, answer, ended, offer, senders })
    }

    /// The answer to the INVITE.
    #[must_use]
    pub fn answer(&self) -> &Response {
        &self.answer
    }

    /// What was offered in the INVITE.
    #[must_use]
    pub fn offer(&self) -> &Session {
        &self.offer
    }

    /// The sender of a leg's RTP, unless its stream was refused.
    pub fn sender(&mut self, leg: usize) -> Option<&mut RtpSender> {
        self.senders.get_mut(leg)?.as_mut()
    }

    /// Speaks: one sequence of 16 kHz samples a leg, all at once and at the pace of speech. Returns when all
    /// has been said, or the other side has hung up (`false`).
    ///
    /// # Errors
    /// When RTP cannot be sent.
    pub async fn play(&mut self, channels: &[Vec<f32>]) -> Result<bool, SipError> {
        let said = self
            .senders
            .iter_mut()
            .zip(channels)
            .filter_map(|(sender, samples)| Some(sender.as_mut()?.play(samples)));
        let said = futures::future::try_join_all(said);
        tokio::select! {
            said = said => said.map(|_| true).map_err(SipError::from),
            _ = self.ended.wait_for(|ended| *ended) => Ok(false),
        }
    }

    /// Sends a re-INVITE with another description (hold, resume).
    ///
    /// # Errors
    /// When it is not answered with 2xx.
    pub async fn reinvite(&self, description: &Session) -> Result<Response, SipError> {
        let headers = vec![Header::ContentType("application/sdp".into())];
        let body = description.to_string().into_bytes();
        let sent = self.dialog.reinvite(Some(headers), Some(body));
        accepted(timeout(PATIENCE, sent).await.map_err(|_| SipError::Call("no answer".to_owned()))??)
    }

    /// Sends an UPDATE or INFO with a body.
    ///
    /// # Errors
    /// When it is not answered with 2xx.
    pub async fn send(
        &self,
        method: rsipstack::sip::Method,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Response, SipError> {
        let headers = vec![Header::ContentType(content_type.into())];
        let sent = self.dialog.request(method, Some(headers), Some(body));
        accepted(timeout(PATIENCE, sent).await.map_err(|_| SipError::Call("no answer".to_owned()))??)
    }

    /// Hangs up.
    ///
    /// # Errors
    /// When the BYE cannot be sent or is not answered.
    pub async fn hang_up(self) -> Result<(), SipError> {
        let bye = timeout(PATIENCE, self.dialog.bye()).await;
        Ok(bye.map_err(|_| SipError::Call("no answer to BYE".to_owned()))??)
    }

    /// Waits until the other side has hung up.
    pub async fn ended(&mut self) {
        let _ = self.ended.wait_for(|ended| *ended).await;
    }
}

fn accepted(answer: Option<Response>) -> Result<Response, SipError> {
    let answer = answer.ok_or_else(|| SipError::Call("no answer".to_owned()))?;
    match answer.status_code.code() {
        200..300 => Ok(answer),
        _ => Err(SipError::Call(format!("refused: {}", answer.status_code))),
    }
}

fn address(aor: &str, otherwise: &str) -> Result<Uri, SipError> {
    let text = if aor.is_empty() { otherwise } else { aor };
    parse_uri(text).map_err(|error| SipError::Call(format!("{text}: {error}")))
}

/// Requests that the other side sends within a call (BYE, above all).
async fn serve_incoming(dialogs: Arc<DialogLayer>, mut incoming: TransactionReceiver) {
    while let Some(mut transaction) = incoming.recv().await {
        match dialogs.match_dialog(&transaction) {
            Some(mut dialog) => {
                tokio::spawn(async move {
                    if let Err(error) = dialog.handle(&mut transaction).await {
                        tracing::debug!(%error, "request within a call");
                    }
                });
            }
            None => drop(transaction.reply(StatusCode::CallTransactionDoesNotExist).await),
        }
    }
}

fn offer(call: &Outgoing, ip: IpAddr, sockets: &[Socket]) -> Result<Session, SipError> {
    let key = |_| call.srtp.map(MasterKey::fresh).transpose();
    let keys: Vec<Option<MasterKey>> = sockets.iter().map(key).collect::<Result<_, _>>()?;
    let media = sockets.iter().zip(keys).enumerate().map(|(n, (socket, key))| Media {
        kind: "audio".to_owned(),
        port: socket.port(),
        protocol: if key.is_some() { "RTP/SAVP" } else { "RTP/AVP" }.to_owned(),
        crypto: key.map(|key| Crypto { tag: 1, key }).into_iter().collect(),
        formats: vec![
            Format::of_codec(call.codec),
            Format { fmtp: Some("0-16".to_owned()), ..Format::new(101, "telephone-event", 8_000, 1) },
        ],
        address: Some(ip),
        direction: Direction::SendOnly,
        label: call.siprec.then(|| (n + 1).to_string()),
        ptime_ms: Some(20),
        ..Media::default()
    });
    let id = u64::from(sockets.first().map_or(0, Socket::port));
    Ok(Session { origin: Origin { id, version: 1, address: ip }, media: media.collect() })
}

fn recording_body(call: &Outgoing, offer: &Session) -> (String, Vec<u8>) {
    let streams: Vec<Stream> = offer
        .media
        .iter()
        .enumerate()
        .map(|(n, media)| Stream { id: format!("stream-{n}"), label: media.label.clone() })
        .collect();
    let people = call.legs.iter().zip(&streams).enumerate().map(|(n, (speaker, stream))| Person {
        id: format!("participant-{n}"),
        aor: Some(speaker.aor.clone()).filter(|aor| !aor.is_empty()),
        name: Some(speaker.name.clone()).filter(|name| !name.is_empty()),
        sends: vec![stream.id.clone()],
        ..Person::default()
    });
    let metadata = Metadata {
        sessions: vec![rsipstack::transaction::random_text(22)],
        people: people.collect(),
        streams,
        ..Metadata::default()
    };
    let boundary = rsipstack::transaction::random_text(24);
    let body = multipart::write(
        &boundary,
        &[
            ("application/sdp", None, offer.to_string().as_bytes()),
            ("application/rs-metadata+xml", Some("recording-session"), metadata.to_string().as_bytes()),
        ],
    );
    (format!("multipart/mixed;boundary={boundary}"), body)
}
