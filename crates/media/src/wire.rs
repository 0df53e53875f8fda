//! How a leg's datagrams travel: through sockets of ours, or through somebody else's transport.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::Socket;

/// Datagrams that wait in a pipe: more are only there when its reader does not get to run.
const PIPE: usize = 256;

/// Where datagrams of a pipe come from, as far as a leg is concerned.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// See the module.
pub enum Wire {
    /// RTP and RTCP on a pair of UDP ports.
    Udp(Socket),
    /// RTP through a transport that has its own sockets and encryption, such as a browser's.
    Pipe(Pipe),
}

/// One of the two ends of a way for datagrams. What finds no room is lost, as on a network.
pub struct Pipe {
    incoming: mpsc::Receiver<Bytes>,
    outgoing: mpsc::Sender<Bytes>,
    /// Received, and waiting to be taken.
    next: Option<Bytes>,
    is_closed: bool,
}

impl Pipe {
    /// Both ends.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let (to_left, left) = mpsc::channel(PIPE);
        let (to_right, right) = mpsc::channel(PIPE);
        let end = |incoming, outgoing| Self { incoming, outgoing, next: None, is_closed: false };
        (end(left, to_right), end(right, to_left))
    }

    /// Divides an end into what comes out of it and what goes into it.
    #[must_use]
    pub fn split(self) -> (mpsc::Receiver<Bytes>, mpsc::Sender<Bytes>) {
        (self.incoming, self.outgoing)
    }
}

impl From<Socket> for Wire {
    fn from(socket: Socket) -> Self {
        Self::Udp(socket)
    }
}

impl From<Pipe> for Wire {
    fn from(pipe: Pipe) -> Self {
        Self::Pipe(pipe)
    }
}

/// Which of a leg's two ways a datagram took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Rtp,
    Rtcp,
}

impl Wire {
    /// The RTP port; 0 for a transport that is not ours.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Udp(socket) => socket.port(),
            Self::Pipe(_) => 0,
        }
    }

    /// Who is at the other end, where there is only one: somebody who only hears sends nothing to be known by.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(_) => None,
            Self::Pipe(_) => Some(PEER),
        }
    }

    /// Waits until something may be there.
    pub(crate) async fn readable(&mut self) {
        match self {
            Self::Udp(socket) => {
                tokio::select! {
                    _ = socket.rtp.readable() => {}
                    _ = socket.rtcp.readable() => {}
                }
            }
            Self::Pipe(pipe) if pipe.next.is_some() => {}
            Self::Pipe(pipe) if pipe.is_closed => std::future::pending().await,
            Self::Pipe(pipe) => {
                pipe.next = pipe.incoming.recv().await;
                pipe.is_closed = pipe.next.is_none();
            }
        }
    }

    /// Takes what has come, up to `most` datagrams a way.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        most: usize,
        mut take: impl FnMut(Way, &mut [u8], SocketAddr),
    ) {
        // What has been queued by the kernel is little; whoever floods us does not keep us here.
        const LIMIT: usize = 4_096;
        let most = most.min(LIMIT);
        match self {
            Self::Udp(socket) => {
                read(&socket.rtp, buffer, most, |datagram, from| take(Way::Rtp, datagram, from));
                read(&socket.rtcp, buffer, most, |datagram, from| take(Way::Rtcp, datagram, from));
            }
            Self::Pipe(pipe) => {
                let mut waiting = pipe.next.take();
                for _ in 0..most {
                    let Some(datagram) = waiting.take().or_else(|| pipe.incoming.try_recv().ok()) else {
                        break;
                    };
                    // One that is too large is seen to be, as one from a socket.
                    let length = datagram.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&datagram[..length]);
                    take(Way::Rtp, &mut buffer[..length], PEER);
                }
            }
        }
    }

    /// Sends, or loses what cannot be sent now.
    pub(crate) fn send(&self, way: Way, datagram: &[u8], to: SocketAddr) -> bool {
        match (self, way) {
            (Self::Udp(socket), Way::Rtp) => socket.rtp.try_send_to(datagram, to).is_ok(),
            (Self::Udp(socket), Way::Rtcp) => socket.rtcp.try_send_to(datagram, to).is_ok(),
            (Self::Pipe(pipe), Way::Rtp) => pipe.outgoing.try_send(Bytes::copy_from_slice(datagram)).is_ok(),
            // The transport makes its own reports.
            (Self::Pipe(_), Way::Rtcp) => false,
        }
    }
}

fn read(socket: &UdpSocket, buffer: &mut [u8], most: usize, mut take: impl FnMut(&mut [u8], SocketAddr)) {
    for _ in 0..most {
        match socket.try_recv_from(buffer) {
            Ok((length, from)) => take(&mut buffer[..length], from),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => {}
        }
    }
}
