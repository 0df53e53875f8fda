//! Sockets: where messages come from and where answers go.
//!
//! Reading and writing are ours; transactions are rsipstack's. Its own readers take at most 8 kB from a
//! datagram, close a stream at the first fault, put no limit on connections, and let one peer that does not
//! read hold up all others. What is read here is handed to an [`Inbox`]; what the stack wants to send on a
//! stream goes through a bounded queue to that stream's own writer. TLS is another kind of stream: a connection
//! takes its place among them before it has shown that it can speak TLS, and has little time to show it.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use rsipstack::sip::{SipMessage, Transport};
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::SipError;
use crate::tls::Identity;
use crate::wire::{Arrival, Framer, Piece};

/// Streams open at the same time.
const MAX_STREAMS: usize = 512;
/// Streams open at the same time from one address.
const MAX_STREAMS_PER_PEER: usize = 128;
/// A message that has begun must be there, and a message that is written must be taken, within this.
const STALLED: Duration = Duration::from_secs(20);
/// A stream on which nothing has come for this long is closed; a call does not need it (a later request of
/// ours opens another).
const IDLE: Duration = Duration::from_secs(3_600);
/// A stream that has not brought a single message by then is closed.
const SILENT: Duration = Duration::from_secs(60);
/// Both sides of a connection have agreed on its encryption by then.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a peer is listened to after we have nothing more to say.
const LINGER: Duration = Duration::from_secs(2);
/// Messages waiting to be written to one stream.
const QUEUE: usize = 64;

/// What is done with what comes in.
#[async_trait]
pub(crate) trait Inbox: Send + Sync + 'static {
    /// The bytes of one message.
    async fn take(&self, flow: &Flow, bytes: &[u8], arrival: Arrival);
    /// Whether anything from this peer is wanted at all.
    fn admits(&self, transport: Transport, peer: SocketAddr) -> bool;
    /// Counts a connection that was not accepted.
    fn refused_stream(&self, peer: SocketAddr);
    /// Counts a connection that did not become one of TLS.
    fn failed_handshake(&self, peer: SocketAddr, error: &std::io::Error);
}

enum Out {
    Bytes(Vec<u8>),
    Close,
}

#[derive(Clone)]
enum Writer {
    Datagram(Arc<UdpSocket>),
    Stream(mpsc::Sender<Out>),
}

/// A way to and from a peer: a listening UDP socket and a source address, or a stream.
#[derive(Clone)]
pub(crate) struct Flow {
    /// UDP, TCP or TLS.
    pub(crate) transport: Transport,
    /// The peer's address.
    pub(crate) peer: SocketAddr,
    /// The address we listen on.
    pub(crate) local: SocketAddr,
    /// For the stack's transactions.
    pub(crate) connection: SipConnection,
    writer: Writer,
    closed: CancellationToken,
}

impl Flow {
    /// Sends bytes: over UDP `to` an address, on a stream to whom it leads.
    pub(crate) async fn send(&self, bytes: Vec<u8>, to: SocketAddr) {
        match &self.writer {
            Writer::Datagram(socket) => {
                if let Err(error) = socket.send_to(&bytes, to).await {
                    tracing::debug!(%to, %error, "answer not sent");
                }
            }
            // A peer that sends faults without reading the answers loses the answers.
            Writer::Stream(queue) => drop(queue.try_send(Out::Bytes(bytes))),
        }
    }

    /// False once a stream has been closed.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.is_cancelled()
    }

    /// Waits for `task`, unless the stream is closed first.
    pub(crate) async fn while_open<T>(&self, task: impl Future<Output = T>) -> Option<T> {
        self.closed.run_until_cancelled(task).await
    }

    /// The same socket towards another peer. Streams lead to one peer only.
    pub(crate) fn towards(&self, peer: SocketAddr) -> Self {
        Self { peer, ..self.clone() }
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.writer, Writer::Stream(_))
    }
}

/// The sockets of an endpoint and the tasks that serve them.
pub(crate) struct Flows {
    stop: CancellationToken,
    tasks: TaskTracker,
    streams: Arc<StreamCount>,
}

#[derive(Default)]
struct StreamCount {
    all: AtomicUsize,
    by_peer: std::sync::Mutex<std::collections::HashMap<std::net::IpAddr, usize>>,
}

/// One counted stream.
struct Counted {
    count: Arc<StreamCount>,
    peer: std::net::IpAddr,
}

impl StreamCount {
    fn add(self: &Arc<Self>, peer: std::net::IpAddr) -> Option<Counted> {
        let mut by_peer = self.by_peer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mine = by_peer.get(&peer).copied().unwrap_or(0);
        if mine >= MAX_STREAMS_PER_PEER || self.all.load(Ordering::Relaxed) >= MAX_STREAMS {
            return None;
        }
        by_peer.insert(peer, mine + 1);
        self.all.fetch_add(1, Ordering::Relaxed);
        Some(Counted { count: self.clone(), peer })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.all.fetch_sub(1, Ordering::Relaxed);
        let mut by_peer = self.count.by_peer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(mine) = by_peer.get_mut(&self.peer) {
            *mine -= 1;
            if *mine == 0 {
                by_peer.remove(&self.peer);
            }
        }
    }
}

impl Flows {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { stop, tasks: TaskTracker::new(), streams: Arc::default() }
    }

    /// Streams open now.
    pub(crate) fn streams(&self) -> usize {
        self.streams.all.load(Ordering::Relaxed)
    }

    /// Listens on a UDP address.
    pub(crate) async fn udp(&self, address: SocketAddr, inbox: Arc<dyn Inbox>) -> Result<Flow, SipError> {
        let listen = |source| SipError::Listen { transport: "UDP", address, source };
        let socket = Arc::new(UdpSocket::bind(address).await.map_err(listen)?);
        let local = socket.local_addr().map_err(listen)?;
        let connection = UdpConnection::from_socket(socket.clone(), None, Some(self.stop.clone())).await?;
        let flow = Flow {
            transport: Transport::Udp,
            peer: local,
            local,
            connection: SipConnection::Udp(connection),
            writer: Writer::Datagram(socket.clone()),
            closed: self.stop.clone(),
        };
        let reading = flow.clone();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(read_datagrams(socket, reading, inbox)).await;
        });
        Ok(flow)
    }

    /// Listens for streams: with an identity for TLS, else for TCP.
    pub(crate) async fn streams_at(
        &self,
        address: SocketAddr,
        identity: Option<Arc<Identity>>,
        inbox: Arc<dyn Inbox>,
    ) -> Result<SocketAddr, SipError> {
        let (transport, name) = match identity {
            Some(_) => (Transport::Tls, "TLS"),
            None => (Transport::Tcp, "TCP"),
        };
        let listen = |source| SipError::Listen { transport: name, address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let local = listener.local_addr().map_err(listen)?;
        let (stopping, tasks, streams) = (self.stop.clone(), self.tasks.clone(), self.streams.clone());
        self.tasks.spawn(async move {
            while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
                let (stream, peer) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of descriptors, most likely: others must go before the next can come.
                        tracing::warn!(%error, "connection not accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                // Before it takes a place that others need.
                let Some(counted) = streams.add(peer.ip()).filter(|_| inbox.admits(transport, peer)) else {
                    inbox.refused_stream(peer);
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let ends = Ends { transport, local, peer };
                let (inbox, acceptor) =
                    (inbox.clone(), identity.as_ref().map(|identity| identity.acceptor()));
                let (all, stop) = (tasks.clone(), stopping.clone());
                let serving = async move {
                    let started = match acceptor {
                        None => start_stream(&all, &stop, stream, ends, inbox, Some(counted)).await,
                        Some(acceptor) => match in_time(HANDSHAKE, acceptor.accept(stream)).await {
                            Ok(stream) => start_stream(&all, &stop, stream, ends, inbox, Some(counted)).await,
                            Err(error) => return inbox.failed_handshake(peer, &error),
                        },
                    };
                    if let Err(error) = started {
                        tracing::warn!(%peer, %error, "connection not served");
                    }
                };
                let stop = stopping.clone();
                tasks.spawn(async move { stop.run_until_cancelled(serving).await });
            }
        });
        Ok(local)
    }

    /// Opens a stream to a peer, for a request of ours; `local` is where we listen for the peer's, if we do. With a
    /// connector it is one of TLS, and the peer has to prove that it goes by the name.
    pub(crate) async fn connect(
        &self,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        secure: Option<(TlsConnector, ServerName<'static>)>,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Flow, SipError> {
        let stream = in_time(Duration::from_secs(5), TcpStream::connect(peer)).await?;
        let _ = stream.set_nodelay(true);
        let local = local.map_or_else(|| stream.local_addr(), Ok)?;
        let (tasks, stop) = (&self.tasks, &self.stop);
        let started = match secure {
            None => {
                let ends = Ends { transport: Transport::Tcp, local, peer };
                start_stream(tasks, stop, stream, ends, inbox, None).await
            }
            Some((connector, name)) => {
                let stream = in_time(HANDSHAKE, connector.connect(name, stream)).await?;
                let ends = Ends { transport: Transport::Tls, local, peer };
                start_stream(tasks, stop, stream, ends, inbox, None).await
            }
        };
        Ok(started?)
    }

    /// Closes everything and waits for the tasks.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn read_datagrams(socket: Arc<UdpSocket>, flow: Flow, inbox: Arc<dyn Inbox>) {
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                // Keep-alives (RFC 5626 and worse) are not messages.
                if bytes == b"\r\n\r\n" {
                    flow.send(b"\r\n".to_vec(), peer).await;
                } else if !bytes.iter().all(|b| b.is_ascii_whitespace() || *b == 0) {
                    // Whatever is wrong with one message, the socket is everybody's.
                    let peers = flow.towards(peer);
                    let taken = AssertUnwindSafe(inbox.take(&peers, bytes, Arrival::Datagram)).catch_unwind();
                    if taken.await.is_err() {
                        tracing::error!(%peer, "a message panicked");
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "receiving");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn in_time<T>(time: Duration, task: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    timeout(time, task).await.unwrap_or_else(|elapsed| Err(elapsed.into()))
}

/// What a stream lies between.
struct Ends {
    transport: Transport,
    local: SocketAddr,
    peer: SocketAddr,
}

async fn start_stream<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    tasks: &TaskTracker,
    stop: &CancellationToken,
    stream: S,
    Ends { transport, local, peer }: Ends,
    inbox: Arc<dyn Inbox>,
    counted: Option<Counted>,
) -> rsipstack::Result<Flow> {
    let (read, write) = tokio::io::split(stream);
    let closed = stop.child_token();
    let (queue, waiting) = mpsc::channel(QUEUE);
    let (messages, to_write) = mpsc::channel(QUEUE);
    let address = SipAddr::new(transport, peer.into());
    // What comes in is handed over by us, not through the stack's connection.
    let (_, nothing) = mpsc::unbounded_channel();
    let connection =
        ChannelConnection::create_connection_bounded(nothing, messages, address, Some(closed.clone()))
            .await?;
    let flow = Flow {
        transport,
        peer,
        local,
        connection: SipConnection::Channel(connection),
        writer: Writer::Stream(queue),
        closed: closed.clone(),
    };
    let reading = flow.clone();
    let (token, stop) = (closed.clone(), stop.clone());
    tasks.spawn(async move {
        let _counted = counted;
        let mut read = read;
        token.run_until_cancelled(read_stream(&mut read, &reading, inbox)).await;
        // Let what has been queued out before the stream is closed.
        if let Writer::Stream(queue) = &reading.writer {
            let _ = timeout(STALLED, queue.send(Out::Close)).await;
        }
        // Closing while bytes are unread would take the last answer away from the peer.
        let _ = stop.run_until_cancelled(timeout(LINGER, discard(&mut read))).await;
    });
    tasks.spawn(async move {
        write_stream(write, waiting, to_write, &closed).await;
        closed.cancel();
    });
    Ok(flow)
}

async fn discard(read: &mut (impl AsyncRead + Unpin)) {
    let mut chunk = vec![0; 16 * 1024];
    while read.read(&mut chunk).await.is_ok_and(|length| length > 0) {}
}

async fn read_stream(read: &mut (impl AsyncRead + Unpin), flow: &Flow, inbox: Arc<dyn Inbox>) {
    let mut framer = Framer::default();
    let mut chunk = vec![0; 16 * 1024];
    let mut patience = SILENT;
    // When the message that is being read began: single bytes now and then do not hold a stream open.
    let mut since = None;
    loop {
        since = framer.is_midway().then(|| since.unwrap_or_else(Instant::now));
        let wait = since.map_or(patience, |since| STALLED.saturating_sub(since.elapsed()));
        let length = match timeout(wait, read.read(&mut chunk)).await {
            Ok(Ok(length)) if length > 0 => length,
            _ => return,
        };
        framer.push(chunk.get(..length).unwrap_or_default());
        while let Some(piece) = framer.next_piece() {
            match piece {
                Piece::Ping => flow.send(b"\r\n".to_vec(), flow.peer).await,
                Piece::Message(bytes) => {
                    patience = IDLE;
                    inbox.take(flow, &bytes, Arrival::Stream).await;
                }
                Piece::Broken(bytes) => {
                    inbox.take(flow, &bytes, Arrival::Stream).await;
                    return;
                }
            }
        }
    }
}

async fn write_stream(
    mut write: impl AsyncWrite + Unpin,
    mut waiting: mpsc::Receiver<Out>,
    mut messages: mpsc::Receiver<TransportEvent>,
    closed: &CancellationToken,
) {
    loop {
        let bytes = tokio::select! {
            biased;
            () = closed.cancelled() => break,
            message = messages.recv() => match message {
                Some(TransportEvent::Incoming(SipMessage::Request(request), ..)) => request.to_bytes(),
                Some(TransportEvent::Incoming(SipMessage::Response(response), ..)) => response.to_bytes(),
                Some(_) => continue,
                None => break,
            },
            out = waiting.recv() => match out {
                Some(Out::Bytes(bytes)) => bytes,
                Some(Out::Close) | None => break,
            },
        };
        let written = async {
            write.write_all(&bytes).await?;
            // What is encrypted may wait in the stream until then.
            write.flush().await
        };
        if in_time(STALLED, written).await.is_err() {
            break;
        }
    }
    let _ = timeout(Duration::from_secs(1), write.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Panics at what begins so, and hands on the rest.
    struct Fragile(mpsc::UnboundedSender<Vec<u8>>);

    #[async_trait]
    impl Inbox for Fragile {
        async fn take(&self, _: &Flow, bytes: &[u8], _: Arrival) {
            assert!(!bytes.starts_with(b"bad"), "it is bad");
            self.0.send(bytes.to_vec()).unwrap();
        }

        fn admits(&self, _: Transport, _: SocketAddr) -> bool {
            true
        }

        fn refused_stream(&self, _: SocketAddr) {}

        fn failed_handshake(&self, _: SocketAddr, _: &std::io::Error) {}
    }

    #[tokio::test]
    async fn a_message_that_panics_closes_the_socket_to_nobody() {
        let (hand_on, mut taken) = mpsc::unbounded_channel();
        let flows = Flows::new(CancellationToken::new());
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let flow = flows.udp(here, Arc::new(Fragile(hand_on))).await.unwrap();
        let peer = UdpSocket::bind(here).await.unwrap();
        for message in ["bad", "good"] {
            peer.send_to(message.as_bytes(), flow.local).await.unwrap();
        }
        assert_eq!(taken.recv().await.unwrap(), b"good");
        flows.close().await;
    }
}
