use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sotto_audio::{FRAME_MS, Frame, Writer};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::session::{MAX_DATAGRAM, REPORT_BYTES, ReportTo, Session};
use crate::{CallClock, LegConfig, LegEvent, LegFormat, LegStats, Socket};

/// Datagrams read before frames and orders get their turn.
const BATCH: usize = 64;

/// Frames between two publications of the statistics.
const STATS_EVERY: u64 = 25;

/// The two taps of a leg.
pub struct LegOutputs {
    /// To speech recognition.
    pub speech: Writer,
    /// To the recording.
    pub recording: Writer,
}

/// One party's audio being received: a handle on its task.
///
/// Frames come out without gaps from the call-clock time at which the leg starts. A frame's place is when it
/// was received: its end is the arrival of the 20 ms packet it was in, as long as the network's delay is
/// steady, and never earlier than that by more than the depth the buffer has grown to.
///
/// A leg that is dropped stops as if [`stop`](Self::stop) had been called.
pub struct Leg {
    orders: watch::Sender<Orders>,
    stats: Arc<Mutex<LegStats>>,
    task: JoinHandle<LegStats>,
    port: u16,
}

#[derive(Clone)]
struct Orders {
    format: LegFormat,
    remote: Option<SocketAddr>,
    paused: bool,
    stop: bool,
}

impl Leg {
    /// Begins to receive. With a `remote` that was signalled, only its address may send, and
    /// without one whoever sends first; the port is learnt from the first packet.
    ///
    /// Must be called within a Tokio runtime. When a codec cannot be prepared, the leg yields silence and the
    /// log says why.
    #[must_use]
    pub fn start(
        socket: Socket,
        format: LegFormat,
        remote: Option<SocketAddr>,
        clock: CallClock,
        outputs: LegOutputs,
        events: mpsc::Sender<LegEvent>,
        config: LegConfig,
    ) -> Self {
        let port = socket.port();
        let stats = Arc::new(Mutex::new(LegStats::default()));
        let (orders, received) = watch::channel(Orders { format, remote, paused: false, stop: false });
        let task = Task { socket, clock, outputs, events, config, orders: received, stats: stats.clone() };
        Self { orders, stats, task: tokio::spawn(task.run()), port }
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

    /// A new agreement with the sender (re-INVITE).
    pub fn update(&self, format: LegFormat, remote: Option<SocketAddr>) {
        self.orders.send_modify(|orders| {
            orders.format = format;
            orders.remote = remote;
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
    socket: Socket,
    clock: CallClock,
    outputs: LegOutputs,
    events: mpsc::Sender<LegEvent>,
    config: LegConfig,
    orders: watch::Receiver<Orders>,
    stats: Arc<Mutex<LegStats>>,
}

impl Task {
    async fn run(mut self) -> LegStats {
        let orders = self.orders.borrow_and_update().clone();
        let now = self.clock.elapsed();
        // Reports go to the sender only, which can see our port anyway.
        let ssrc = 0x5077_0000 | u32::from(self.socket.port());
        let session = Session::new(orders.format, orders.remote, self.config, ssrc, now);
        let mut session = match session {
            Ok(session) => session,
            Err(error) => {
                tracing::error!(%error, port = self.socket.port(), "leg cannot decode");
                return LegStats::default();
            }
        };
        session.set_paused(orders.paused, now);
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
                _ = self.socket.rtp.readable() => {}
                _ = self.socket.rtcp.readable() => {}
                () = &mut timer => {}
                changed = self.orders.changed(), if stop_at.is_none() => {
                    ordered = changed.is_ok();
                    if changed.is_err() {
                        stop_at = Some(Instant::now() + self.config.linger);
                    }
                }
            }
            let now = self.clock.elapsed();
            receive(&self.socket, &mut session, &mut buffer, now, BATCH);
            if ordered {
                stop_at = self.follow(&mut session, now);
            }
            while frames.due() <= now {
                self.emit(&mut session, &mut frames);
            }
            self.attend(&mut session, &frames, now);
        }
        receive(&self.socket, &mut session, &mut buffer, self.clock.elapsed(), usize::MAX);
        session.finish();
        while !session.is_drained() {
            self.emit(&mut session, &mut frames);
        }
        self.attend(&mut session, &frames, self.clock.elapsed());
        session.stats()
    }

    /// Does what was ordered; when to stop, if that was.
    fn follow(&mut self, session: &mut Session, now: Duration) -> Option<Instant> {
        let orders = self.orders.borrow_and_update().clone();
        session.set_paused(orders.paused, now);
        if let Err(error) = session.update(orders.format, orders.remote) {
            tracing::error!(%error, port = self.socket.port(), "leg cannot decode what was agreed on");
        }
        orders.stop.then(|| Instant::now() + self.config.linger)
    }

    fn emit(&mut self, session: &mut Session, frames: &mut Frames) {
        let frame = Frame { samples: session.frame(frames.due()), index: frames.next };
        frames.next += 1;
        self.outputs.speech.push(frame);
        self.outputs.recording.push(frame);
    }

    /// Events, reports, statistics.
    fn attend(&self, session: &mut Session, frames: &Frames, now: Duration) {
        while let Some(event) = session.next_event() {
            if self.events.try_send(event).is_err() {
                tracing::debug!(?event, port = self.socket.port(), "nobody took this event of a leg");
            }
        }
        let mut report = [0; REPORT_BYTES];
        // A report that cannot be sent now is as good as one that got lost.
        let _ = match session.report(now, &mut report) {
            Some(ReportTo::Rtp(to)) => self.socket.rtp.try_send_to(&report, to),
            Some(ReportTo::Rtcp(to)) => self.socket.rtcp.try_send_to(&report, to),
            None => Ok(0),
        };
        // Who reads them may hold the lock: then they see the next ones.
        if frames.next.is_multiple_of(STATS_EVERY)
            && let Ok(mut stats) = self.stats.try_lock()
        {
            *stats = session.stats();
        }
    }
}

/// The places of frames on the call's clock.
struct Frames {
    next: u64,
    /// From a frame's place to its emission: a packet's audio ends when it arrives, 20 ms after its place, and
    /// waits in the buffer.
    delay: Duration,
}

impl Frames {
    fn starting(now: Duration, depth: Duration) -> Self {
        Self {
            next: (now.as_millis() as u64).div_ceil(FRAME_MS),
            delay: depth + Duration::from_millis(FRAME_MS),
        }
    }

    /// When the next frame is emitted.
    fn due(&self) -> Duration {
        Duration::from_millis(self.next.saturating_mul(FRAME_MS)).saturating_add(self.delay)
    }
}

/// Reads what has come, up to `most` datagrams a socket.
fn receive(socket: &Socket, session: &mut Session, buffer: &mut [u8], now: Duration, most: usize) {
    read(&socket.rtp, buffer, most, |datagram, from| session.rtp(datagram, from, now));
    read(&socket.rtcp, buffer, most, |datagram, from| session.rtcp(datagram, from, now));
}

fn read(socket: &UdpSocket, buffer: &mut [u8], most: usize, mut take: impl FnMut(&[u8], SocketAddr)) {
    // What has been queued by the kernel is little; whoever floods us does not keep us here.
    const LIMIT: usize = 4_096;
    for _ in 0..most.min(LIMIT) {
        match socket.try_recv_from(buffer) {
            Ok((length, from)) => take(&buffer[..length], from),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => {}
        }
    }
}
