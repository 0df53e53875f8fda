use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sotto_audio::{Codec, FRAME_MS, Frame, Limiter, Mix, Writer};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::bridge::{End, Wiring};
use crate::dtmf::code_of;
use crate::session::{MAX_DATAGRAM, REPORT_BYTES, ReportTo, Session};
use crate::talk::{Spoken, Talker};
use crate::totals::Share;
use crate::wire::{Way, Wire};
use crate::{CallClock, LegConfig, LegEvent, LegFormat, LegStats, MediaError};

/// Datagrams read before frames and orders get their turn.
const BATCH: usize = 64;

/// Keys told by signalling that wait to be handed on, at most.
const KEYS: usize = 16;

/// Frames between two publications of the statistics.
const STATS_EVERY: u64 = 25;

/// Frames that may wait for a mix: the depth of a mix is what its sources' clocks drift apart.
const MIX_DEPTH: usize = 3;

/// Where a leg's audio goes.
pub struct LegOutputs {
    /// To speech recognition.
    pub speech: Writer,
    /// To the recording; not of someone whom nobody on the call can hear.
    pub recording: Writer,
    /// To and from the others on the call, when it is one that we carry; otherwise the leg only listens.
    pub bridge: Option<End>,
}

/// One party's audio being received, and what the party hears being sent: a handle on its task.
///
/// Frames come out without gaps from the call-clock time at which the leg starts. A frame's place is when it
/// was received: its end is the arrival of the 20 ms packet it was in, as long as the network's delay is
/// steady, and never earlier than that by more than the depth the buffer has grown to.
///
/// A leg that is dropped stops as if [`stop`](Self::stop) had been called.
pub struct Leg {
    orders: watch::Sender<Orders>,
    entrance: mpsc::UnboundedSender<(LegOutputs, CallClock)>,
    keys: mpsc::Sender<Spoken>,
    stats: Arc<Mutex<LegStats>>,
    task: JoinHandle<LegStats>,
    port: u16,
}

#[derive(Clone)]
struct Orders {
    format: LegFormat,
    remote: Option<SocketAddr>,
    /// How often the sender has said that it moves.
    moves: u64,
    paused: bool,
    muted: bool,
    stop: bool,
}

impl Leg {
    /// Begins to receive. With a `remote` that was signalled, only its address may send, and
    /// without one whoever sends first; the port is learnt from the first packet.
    ///
    /// Must be called within a Tokio runtime. When a codec or a key cannot be prepared, the log says why, and the leg
    /// ends by itself: the channel of `events` is closed before the leg is stopped.
    #[must_use]
    pub fn start(
        wire: impl Into<Wire>,
        format: LegFormat,
        remote: Option<SocketAddr>,
        clock: CallClock,
        outputs: LegOutputs,
        events: mpsc::Sender<LegEvent>,
        config: LegConfig,
    ) -> Self {
        let wire = wire.into();
        let port = wire.port();
        let stats = Arc::new(Mutex::new(LegStats::default()));
        let (orders, received) =
            watch::channel(Orders { format, remote, moves: 0, paused: false, muted: false, stop: false });
        // One or none comes through.
        let (entrance, entered) = mpsc::unbounded_channel();
        let (keys, pressed) = mpsc::channel(KEYS);
        let stats_of_task = stats.clone();
        let task = Task {
            wire,
            clock,
            outputs,
            events,
            config,
            orders: received,
            entered,
            pressed,
            stats: stats_of_task,
            share: Share::default(),
            moves: 0,
        };
        Self { orders, entrance, keys, stats, task: tokio::spawn(task.run()), port }
    }

    /// The call that the leg was there for before it began has begun: from now on its audio goes to speech and the
    /// recording of these outputs, in frames on the call's clock (to within half a frame). It stays in the bridge
    /// it is in.
    pub fn enter(&self, outputs: LegOutputs, clock: CallClock) {
        let _ = self.entrance.send((outputs, clock));
    }

    /// The party has pressed a key and told it by signalling (INFO): who hears the party hears of it as of every other key
    /// (RFC 4733), where their end takes such events. What is no key of a telephone is not told.
    pub fn press(&self, digit: char, held_ms: u64) {
        if let Some(code) = code_of(digit) {
            // Nobody presses so many at once.
            let _ = self.keys.try_send(Spoken::key(code, held_ms));
        }
    }

    /// The RTP port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on silence goes to the taps; what is received meanwhile is never heard.
    pub fn pause(&self) {
        self.orders.send_modify(|orders| orders.paused = true);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.orders.send_modify(|orders| orders.paused = false);
    }

    /// From now on nothing is said to the party, or again: it has agreed to take nothing (`sendonly`, `inactive`,
    /// RFC 3264 section 8.4).
    pub fn mute(&self, muted: bool) {
        self.orders.send_modify(|orders| orders.muted = muted);
    }

    /// A new agreement with the sender (re-INVITE), in which it may have said that it sends from elsewhere from now on. That
    /// tells something where no `remote` is signalled: whoever sends from another address then is the sender.
    pub fn update(&self, format: LegFormat, remote: Option<SocketAddr>, moves: bool) {
        self.orders.send_modify(|orders| {
            orders.format = format;
            orders.remote = remote;
            orders.moves += u64::from(moves);
        });
    }

    /// What was received, up to half a second ago.
    #[must_use]
    pub fn stats(&self) -> LegStats {
        self.stats.lock().map_or_else(|poisoned| *poisoned.into_inner(), |stats| *stats)
    }

    /// Ends the leg after all that was received has gone to the taps, then closes them.
    pub async fn stop(self) -> LegStats {
        self.orders.send_modify(|orders| orders.stop = true);
        self.task.await.unwrap_or_default()
    }
}

struct Task {
    wire: Wire,
    clock: CallClock,
    outputs: LegOutputs,
    events: mpsc::Sender<LegEvent>,
    config: LegConfig,
    orders: watch::Receiver<Orders>,
    entered: mpsc::UnboundedReceiver<(LegOutputs, CallClock)>,
    pressed: mpsc::Receiver<Spoken>,
    stats: Arc<Mutex<LegStats>>,
    /// Of the process's totals.
    share: Share,
    /// See [`Orders::moves`]: so many have been followed.
    moves: u64,
}

impl Task {
    async fn run(mut self) -> LegStats {
        let orders = self.orders.borrow_and_update().clone();
        let now = self.clock.elapsed();
        let ssrc = RandomState::new().hash_one(self.wire.port()) as u32;
        let voice = self.outputs.bridge.take().map(|end| Voice::new(end, &orders.format, ssrc)).transpose();
        let session = Session::new(orders.format, orders.remote.or(self.wire.peer()), self.config, ssrc, now);
        let (mut session, mut voice) = match session.and_then(|session| Ok((session, voice?))) {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(%error, port = self.wire.port(), "leg cannot begin");
                return LegStats::default();
            }
        };
        session.set_paused(orders.paused, now);
        // A bridge says it with every wire it lays; what it said last holds when it is gone.
        let mut kept = Kept { is_recorded: true, is_early: false };
        // On hold at the other end (signalling says so), or at this one (the bridge does).
        let (mut is_ordered_to_pause, mut is_paused) = (orders.paused, orders.paused);
        let mut is_muted = orders.muted;
        let mut frames = Frames::starting(now, self.config.jitter.min_depth);
        // The order to stop may have come before this task ran for the first time.
        let mut stop_at = orders.stop.then(|| Instant::now() + self.config.linger);
        let mut buffer = [0; MAX_DATAGRAM + 1];
        let timer = sleep_until(self.clock.instant(frames.due()));
        tokio::pin!(timer);

        while stop_at.is_none_or(|at| Instant::now() < at) {
            timer.as_mut().reset(self.clock.instant(frames.due()));
            let mut ordered = false;
            tokio::select! {
                // Which one is ready matters little: all are looked at below.
                () = self.wire.readable() => {}
                is_open = Voice::wait(&mut voice) => if !is_open {
                    voice = None;
                },
                () = &mut timer => {}
                Some((outputs, clock)) = self.entered.recv() => {
                    (self.outputs.speech, self.outputs.recording) = (outputs.speech, outputs.recording);
                    frames.count_from(self.clock.elapsed(), clock.elapsed());
                }
                Some(key) = self.pressed.recv() => if let Some(voice) = &voice {
                    voice.hand_on(&key);
                },
                changed = self.orders.changed(), if stop_at.is_none() => {
                    ordered = changed.is_ok();
                    if changed.is_err() {
                        stop_at = Some(Instant::now() + self.config.linger);
                    }
                }
            }
            if let Some(voice) = &voice {
                let is_answered = kept.is_early && !voice.wiring.is_early;
                kept = Kept { is_recorded: voice.wiring.is_recorded, is_early: voice.wiring.is_early };
                if is_answered {
                    frames.quiet_until = Frames::at(self.clock.elapsed());
                }
            }
            let now = self.clock.elapsed();
            self.receive(&mut session, voice.as_ref(), &mut buffer, now, BATCH);
            if ordered {
                (is_ordered_to_pause, is_muted, stop_at) = self.follow(&mut session, voice.as_mut());
            }
            let pauses = is_ordered_to_pause || voice.as_ref().is_some_and(Voice::is_held);
            if pauses != is_paused {
                session.set_paused(pauses, now);
                is_paused = pauses;
            }
            let to = session.peer();
            let say = |packet: &[u8]| {
                if let Some(to) = to {
                    self.wire.send(Way::Rtp, packet, to);
                }
            };
            if let Some(voice) = &mut voice {
                voice.relay(is_muted, now, say);
            }
            while frames.due() <= now {
                let frame = emit(&mut self.outputs, &mut session, &mut frames, kept);
                if let Some(voice) = &mut voice {
                    voice.frame(frame, is_muted, now, say);
                }
            }
            self.attend(&mut session, &frames, now);
        }
        self.receive(&mut session, None, &mut buffer, self.clock.elapsed(), usize::MAX);
        session.finish();
        while !session.is_drained() {
            emit(&mut self.outputs, &mut session, &mut frames, kept);
        }
        self.attend(&mut session, &frames, self.clock.elapsed());
        let stats = session.stats();
        self.share.grow(&stats);
        stats
    }

    /// Does what was ordered; whether to pause, whether to say nothing, and when to stop, if that was.
    fn follow(&mut self, session: &mut Session, voice: Option<&mut Voice>) -> (bool, bool, Option<Instant>) {
        let orders = self.orders.borrow_and_update().clone();
        let said = voice.map_or(Ok(()), |voice| voice.talker.update(&orders.format));
        let moves = orders.moves > std::mem::replace(&mut self.moves, orders.moves);
        let updated = session.update(orders.format, orders.remote, moves, self.clock.elapsed());
        if let Err(error) = updated.and(said) {
            tracing::error!(%error, port = self.wire.port(), "leg cannot do what was agreed on");
        }
        (orders.paused, orders.muted, orders.stop.then(|| Instant::now() + self.config.linger))
    }

    /// Reads what has come, up to `most` datagrams a way, and hands on at once what others on the call hear.
    fn receive(
        &mut self,
        session: &mut Session,
        voice: Option<&Voice>,
        buffer: &mut [u8],
        now: Duration,
        most: usize,
    ) {
        self.wire.receive(buffer, most, |way, datagram, from| match way {
            Way::Rtp => {
                let Some((kind, header, payload)) = session.rtp(datagram, from, now) else { return };
                let Some(voice) = voice else { return };
                if voice.wiring.listeners(kind).next().is_some()
                    && let Some(spoken) = Spoken::new(kind, header, payload)
                {
                    voice.hand_on(&spoken);
                }
            }
            Way::Rtcp => session.rtcp(datagram, from, now),
        });
    }

    /// Events, reports, statistics.
    fn attend(&mut self, session: &mut Session, frames: &Frames, now: Duration) {
        while let Some(event) = session.next_event() {
            if self.events.try_send(event).is_err() {
                tracing::debug!(?event, port = self.wire.port(), "nobody took this event of a leg");
            }
        }
        let mut report = [0; REPORT_BYTES];
        // A report that cannot be sent now is as good as one that got lost.
        let _ = match session.report(now, &mut report) {
            Some((ReportTo::Rtp(to), length)) => self.wire.send(Way::Rtp, &report[..length], to),
            Some((ReportTo::Rtcp(to), length)) => self.wire.send(Way::Rtcp, &report[..length], to),
            None => true,
        };
        if frames.next.is_multiple_of(STATS_EVERY) {
            let now = session.stats();
            self.share.grow(&now);
            // Who reads them may hold the lock: then they see the next ones.
            if let Ok(mut stats) = self.stats.try_lock() {
                *stats = now;
            }
        }
    }
}

/// The places of frames on the call's clock.
struct Frames {
    next: u64,
    /// How many came before the call did, which do not count.
    early: u64,
    /// Those before this one were received before the call was answered.
    quiet_until: u64,
    /// From a frame's place to its emission: a packet's audio ends when it arrives, 20 ms after its place, and
    /// waits in the buffer.
    delay: Duration,
}

impl Frames {
    fn starting(now: Duration, depth: Duration) -> Self {
        Self {
            next: (now.as_millis() as u64).div_ceil(FRAME_MS),
            early: 0,
            quiet_until: 0,
            delay: depth + Duration::from_millis(FRAME_MS),
        }
    }

    /// The call's clock, which says `theirs` while the leg's says `ours`, is what frames count on from now on.
    fn count_from(&mut self, ours: Duration, theirs: Duration) {
        let ahead = ours.saturating_sub(theirs).as_millis() as u64;
        self.early = (ahead + FRAME_MS / 2) / FRAME_MS;
    }

    /// The frame in which what is received now has its place.
    fn at(now: Duration) -> u64 {
        now.as_millis() as u64 / FRAME_MS
    }

    /// When the next frame is emitted.
    fn due(&self) -> Duration {
        Duration::from_millis(self.next.saturating_mul(FRAME_MS)).saturating_add(self.delay)
    }
}

/// What is kept of what a leg hears.
#[derive(Clone, Copy)]
struct Kept {
    is_recorded: bool,
    /// Silence, in the place of what is heard before the call is answered.
    is_early: bool,
}

/// The next frame, to the taps that are always there.
fn emit(outputs: &mut LegOutputs, session: &mut Session, frames: &mut Frames, kept: Kept) -> Frame {
    let index = frames.next.saturating_sub(frames.early);
    let frame = Frame { samples: session.frame(frames.due()), index };
    let is_counted = frames.next >= frames.early;
    let is_early = kept.is_early || frames.next < frames.quiet_until;
    let shown = if is_early { Frame::silence(index) } else { frame };
    frames.next += 1;
    if is_counted {
        outputs.speech.push(shown);
    }
    if is_counted && kept.is_recorded {
        outputs.recording.push(shown);
    }
    frame
}

/// What a leg says, and where else its audio goes.
struct Voice {
    end: End,
    wiring: Wiring,
    talker: Talker,
    /// A packet that came while it was waited for.
    next: Option<Spoken>,
    /// How far the tone has come.
    tone_at: u64,
    limiter: Limiter,
}

impl Voice {
    fn new(mut end: End, format: &LegFormat, ssrc: u32) -> Result<Self, MediaError> {
        let talker = Talker::new(format, &Codec::ALL, ssrc)?;
        // Laid when the member joined.
        let wiring = end.wiring.try_recv().unwrap_or_default();
        Ok(Self { end, wiring, talker, next: None, tone_at: 0, limiter: Limiter::default() })
    }

    /// Waits until there is something to say or the wires are laid anew; false once the bridge is gone.
    async fn wait(voice: &mut Option<Self>) -> bool {
        let Some(voice) = voice else { return std::future::pending().await };
        if voice.next.is_some() {
            return true;
        }
        tokio::select! {
            wiring = voice.end.wiring.recv() => match wiring {
                Some(wiring) => voice.rewire(wiring),
                None => return false,
            },
            spoken = voice.end.packets.recv() => voice.next = spoken,
        }
        true
    }

    /// Hands on to the others what they hear of the party.
    fn hand_on(&self, spoken: &Spoken) {
        for listener in self.wiring.listeners(spoken.kind) {
            // Lost, when the listener does not get to run; the far end conceals it.
            let _ = listener.try_send(spoken.clone());
        }
    }

    fn rewire(&mut self, wiring: Wiring) {
        if wiring.tone != self.wiring.tone {
            self.tone_at = 0;
        }
        self.wiring = wiring;
    }

    /// Says the packets that have come.
    fn relay(&mut self, is_muted: bool, now: Duration, mut say: impl FnMut(&[u8])) {
        let is_mixing = self.is_mixing();
        for _ in 0..BATCH {
            let Some(spoken) = self.next.take().or_else(|| self.end.packets.try_recv().ok()) else { break };
            // What was on its way when a mix took over is in the mix, but for keys.
            let is_said = !is_mixing || spoken.kind.is_key();
            if is_said && !is_muted {
                self.talker.relay(&spoken, now, &mut say);
            }
        }
    }

    /// Hands on a frame that was heard, and says the next of the mix.
    fn frame(&mut self, heard: Frame, is_muted: bool, now: Duration, mut say: impl FnMut(&[u8])) {
        for tap in &mut self.wiring.taps {
            tap.push(heard);
        }
        if let Ok(tone) = self.end.announced.try_recv() {
            self.talker.announce(tone);
        }
        if is_muted {
            return self.talker.fall_silent();
        }
        self.talker.press(now, &mut say);
        if !self.is_mixing() {
            return self.talker.announce_alone(now, say);
        }
        let mut mix = Mix::default();
        for reader in &mut self.wiring.mix {
            while reader.waiting() > MIX_DEPTH {
                reader.pop();
            }
            if let Some(frame) = reader.pop() {
                mix.add(&frame.samples);
            }
        }
        if let Some(tone) = self.wiring.tone {
            mix.add(&tone.frame(self.tone_at));
            self.tone_at += 1;
        }
        self.talker.frame(&mix.finish(&mut self.limiter), now, say);
    }

    fn is_held(&self) -> bool {
        self.wiring.tone.is_some()
    }

    fn is_mixing(&self) -> bool {
        self.is_held() || !self.wiring.mix.is_empty()
    }
}
