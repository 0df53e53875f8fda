use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;

use crate::MediaError;

/// The range of UDP ports that legs receive on, in pairs: RTP on the even port, RTCP on the odd one after it
/// (RFC 3550 section 11).
#[derive(Clone, Debug)]
pub struct Ports {
    ip: IpAddr,
    range: RangeInclusive<u16>,
    /// Where the next search begins: pairs follow each other, and one just given back rests for a while, so
    /// that late packets of its call do not reach another.
    next: Arc<AtomicUsize>,
}

impl Ports {
    /// Ports of a local address. An odd first port is left out.
    #[must_use]
    pub fn new(ip: IpAddr, range: RangeInclusive<u16>) -> Self {
        Self { ip, range, next: Arc::default() }
    }

    /// Opens the next free pair.
    ///
    /// # Errors
    /// [`MediaError::NoPorts`] when all are taken, [`MediaError::Socket`] when no socket can be opened at all.
    pub async fn reserve(&self) -> Result<Socket, MediaError> {
        let pairs = self.pairs();
        for _ in 0..pairs {
            if let Some(socket) = self.try_pair(self.next.fetch_add(1, Ordering::Relaxed) % pairs)? {
                return Ok(socket);
            }
        }
        Err(MediaError::NoPorts { from: *self.range.start(), to: *self.range.end() })
    }

    /// Opens as many pairs as a call has legs: on consecutive ports (20000, 20002, ...) when there are such,
    /// which some recording clients and media relays take for granted.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); then none is kept.
    pub async fn reserve_many(&self, count: usize) -> Result<Vec<Socket>, MediaError> {
        let pairs = self.pairs();
        for _ in 0..pairs.checked_div(count).unwrap_or(0) {
            let first = self.next.fetch_add(count, Ordering::Relaxed) % pairs;
            let mut sockets = Vec::with_capacity(count);
            while sockets.len() < count
                && let Some(socket) = self.try_pair(first + sockets.len())?
            {
                sockets.push(socket);
            }
            if sockets.len() == count {
                return Ok(sockets);
            }
        }
        let mut sockets = Vec::with_capacity(count.min(pairs));
        for _ in 0..count {
            sockets.push(self.reserve().await?);
        }
        Ok(sockets)
    }

    fn first(&self) -> u32 {
        u32::from(*self.range.start()).next_multiple_of(2)
    }

    fn pairs(&self) -> usize {
        ((u32::from(*self.range.end()) + 1).saturating_sub(self.first()) / 2) as usize
    }

    /// A pair by its number, unless it is taken or there is none.
    fn try_pair(&self, pair: usize) -> io::Result<Option<Socket>> {
        if pair >= self.pairs() {
            return Ok(None);
        }
        let Ok(port) = u16::try_from(self.first() as usize + 2 * pair) else { return Ok(None) };
        match Socket::bind(self.ip, port) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A pair of open UDP sockets.
#[derive(Debug)]
pub struct Socket {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    address: SocketAddr,
}

impl Socket {
    fn bind(ip: IpAddr, port: u16) -> io::Result<Self> {
        let open = |port| -> io::Result<UdpSocket> {
            let socket = std::net::UdpSocket::bind((ip, port))?;
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        };
        Ok(Self { rtp: open(port)?, rtcp: open(port + 1)?, address: SocketAddr::new(ip, port) })
    }

    /// The RTP port; RTCP is on the next.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The RTP address as bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn pairs_are_even_follow_each_other_and_run_out() {
        let ports = Ports::new(HERE, 31_001..=31_009);
        let mut pairs = Vec::new();
        for expected in [31_002, 31_004, 31_006, 31_008] {
            let socket = ports.reserve().await.unwrap();
            assert_eq!(socket.port(), expected);
            assert_eq!(socket.rtcp.local_addr().unwrap().port(), expected + 1);
            pairs.push(socket);
        }
        assert!(matches!(ports.reserve().await, Err(MediaError::NoPorts { from: 31_001, to: 31_009 })));
        pairs.remove(1);
        assert_eq!(ports.reserve().await.unwrap().port(), 31_004);
    }

    #[tokio::test]
    async fn a_pair_of_which_half_is_taken_is_passed_over() {
        let _taken = std::net::UdpSocket::bind((HERE, 31_103)).unwrap();
        let ports = Ports::new(HERE, 31_102..=31_105);
        assert_eq!(ports.reserve().await.unwrap().port(), 31_104);
    }

    #[tokio::test]
    async fn the_legs_of_a_call_get_consecutive_ports_as_long_as_there_are_any() {
        let ports = Ports::new(HERE, 31_300..=31_311);
        let numbers = |sockets: &[Socket]| sockets.iter().map(Socket::port).collect::<Vec<_>>();
        let single = ports.reserve().await.unwrap();
        let first = ports.reserve_many(2).await.unwrap();
        assert_eq!(numbers(&first), [31_302, 31_304]);
        let second = ports.reserve_many(2).await.unwrap();
        assert_eq!(numbers(&second), [31_306, 31_308]);
        drop((single, first));
        // The last port of the range stands alone, so the search begins anew.
        let third = ports.reserve_many(2).await.unwrap();
        assert_eq!(numbers(&third), [31_302, 31_304]);
        // Only the two ends are left.
        assert_eq!(numbers(&ports.reserve_many(2).await.unwrap()), [31_310, 31_300]);
        assert!(matches!(ports.reserve_many(6).await, Err(MediaError::NoPorts { .. })));
        assert_eq!(ports.reserve_many(0).await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_range_without_a_pair_has_none() {
        assert!(matches!(Ports::new(HERE, 31_201..=31_202).reserve().await, Err(MediaError::NoPorts { .. })));
    }
}
