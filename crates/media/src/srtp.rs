//! SRTP and SRTCP (RFC 3711): what is sent is encrypted and signed, what comes is checked and decrypted.
//!
//! `rtc-srtp` does the work, as it does for browsers; here is what it leaves to its callers. It keeps state for
//! every source that a packet names before it has checked the packet, so each source has a context of its own
//! here, which stays only when its first packet has proved genuine: forged ones fill no memory and move no
//! window. It encrypts two packets under one sequence number when told to, which would give both away. And it
//! takes RTCP that says it is not encrypted without checking it at all.

use std::fmt;

use bytes::BytesMut;
use rtc_shared::error::Error;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::providers::RingProvider;
use rtc_srtp::crypto::{RTCCryptoProvider, SecretVec, constant_time_eq};
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::MediaError;
use crate::wire::Way;

/// Bytes that protection adds to a packet at most: an AEAD tag and an SRTCP index.
pub(crate) const OVERHEAD: usize = 16 + 4;

/// How far behind the newest a packet may be and still be taken: 5 s of audio.
const WINDOW: usize = 256;

/// Sources taken under one key, RTP and RTCP counted apart. A call has few; each costs about 2 kB.
const MAX_SOURCES: usize = 64;

/// How a stream is encrypted and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES-128 in counter mode, HMAC-SHA1 of 80 bits (RFC 4568 section 6.2.1): what everyone has.
    AesCm80,
    /// The same with 32 bits, in RTP only (RFC 4568 section 6.2.2).
    AesCm32,
    /// AES-128 in Galois/counter mode (RFC 7714 section 14.2).
    Aes128Gcm,
    /// The same with AES-256.
    Aes256Gcm,
}

impl Suite {
    /// All of them, the most wanted first.
    pub const ALL: [Self; 4] = [Self::AesCm80, Self::Aes256Gcm, Self::Aes128Gcm, Self::AesCm32];

    /// The name it is registered under for session descriptions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AesCm80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Bytes of a master key with its salt.
    #[must_use]
    pub fn key_bytes(self) -> usize {
        self.profile().key_len() + self.profile().salt_len()
    }

    fn profile(self) -> ProtectionProfile {
        match self {
            Self::AesCm80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Self::AesCm32 => ProtectionProfile::Aes128CmHmacSha1_32,
            Self::Aes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Self::Aes256Gcm => ProtectionProfile::AeadAes256Gcm,
        }
    }
}

/// A master key with its salt: what one side encrypts with. Never shown, and wiped from memory when dropped.
#[derive(Clone)]
pub struct MasterKey {
    suite: Suite,
    bytes: SecretVec,
}

impl MasterKey {
    /// A key that was agreed on: its bytes, then its salt's. `None` when there are more or fewer of them than
    /// [`Suite::key_bytes`].
    #[must_use]
    pub fn new(suite: Suite, bytes: Vec<u8>) -> Option<Self> {
        let bytes = SecretVec::new(bytes);
        (bytes.len() == suite.key_bytes()).then_some(Self { suite, bytes })
    }

    /// A key that nobody has had before.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn fresh(suite: Suite) -> Result<Self, MediaError> {
        let mut bytes = SecretVec::new(vec![0; suite.key_bytes()]);
        let filled = RingProvider::new().random().fill(bytes.as_mut());
        filled.map_err(|error| MediaError::Srtp(error.to_string()))?;
        Ok(Self { suite, bytes })
    }

    /// What it is for.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The key's bytes, then its salt's, to be told to the other side.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    fn context(&self) -> Result<Context, Error> {
        let profile = self.suite.profile();
        let (key, salt) = self.as_bytes().split_at(profile.key_len());
        let (rtp, rtcp) = (srtp_replay_protection(WINDOW), srtcp_replay_protection(WINDOW));
        Context::new(key, salt, profile, Some(rtp), Some(rtcp), RingProvider::new().crypto())
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        self.suite == other.suite && constant_time_eq(self.as_bytes(), other.as_bytes())
    }
}

impl Eq for MasterKey {}

/// Without the key.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.suite.name())
    }
}

/// The keys of a stream, one a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    /// What we send with.
    pub ours: MasterKey,
    /// What the other side sends with.
    pub theirs: MasterKey,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not under the other side's key.
    Forged,
    /// It has come before, or is too old for that to be known.
    Replayed,
}

/// What we send under one key.
pub(crate) struct Outbound {
    key: MasterKey,
    context: Context,
    used: Used,
}

impl Outbound {
    pub(crate) fn new(key: &MasterKey) -> Result<Self, MediaError> {
        let context = key.context().map_err(|error| MediaError::Srtp(error.to_string()))?;
        Ok(Self { key: key.clone(), context, used: Used::default() })
    }

    /// Follows what was agreed on: goes on under the same key, or begins with another.
    pub(crate) fn agree(current: &mut Option<Self>, keys: Option<&SrtpKeys>) -> Result<(), MediaError> {
        if current.as_ref().map(|current| &current.key) != keys.map(|keys| &keys.ours) {
            *current = keys.map(|keys| Self::new(&keys.ours)).transpose()?;
        }
        Ok(())
    }

    /// A packet as it is sent; `None` when its sequence number was used before, or nothing more may be sent
    /// under this key.
    pub(crate) fn rtp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        let sequence = u16::from_be_bytes(*packet.get(2..)?.first_chunk()?);
        if !self.used.take(sequence) {
            return None;
        }
        self.context.encrypt_rtp(packet).ok()
    }

    /// A report as it is sent.
    pub(crate) fn rtcp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.context.encrypt_rtcp(packet).ok()
    }
}

/// The sequence numbers used last. Two packets under one number would share a key stream (RFC 3711 section 9.1).
#[derive(Default)]
struct Used {
    newest: Option<u16>,
    /// The newest is bit 0.
    before: u64,
}

impl Used {
    /// True when this one has not been used, as far as can be told.
    fn take(&mut self, sequence: u16) -> bool {
        let ahead = self.newest.map_or(1, |newest| sequence.wrapping_sub(newest).cast_signed());
        if ahead > 0 {
            self.before = self.before.checked_shl(u32::from(ahead.unsigned_abs())).unwrap_or(0) | 1;
            self.newest = Some(sequence);
            return true;
        }
        let bit = 1_u64.checked_shl(u32::from(ahead.unsigned_abs())).unwrap_or(u64::MAX);
        let is_free = self.before & bit == 0;
        self.before |= bit;
        is_free
    }
}

/// What comes under one key.
struct Inbound {
    key: MasterKey,
    /// By what they send and as whom.
    sources: Vec<((Way, u32), Context)>,
}

impl Inbound {
    fn new(key: &MasterKey) -> Self {
        Self { key: key.clone(), sources: Vec::new() }
    }

    fn open(&mut self, way: Way, datagram: &[u8]) -> Result<BytesMut, Refused> {
        let at = match way {
            Way::Rtp => 8,
            Way::Rtcp if is_encrypted(self.key.suite, datagram) => 4,
            Way::Rtcp => return Err(Refused::Forged),
        };
        let ssrc = datagram.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Refused::Forged)?;
        let source = (way, u32::from_be_bytes(*ssrc));
        if let Some((_, context)) = self.sources.iter_mut().find(|(known, _)| *known == source) {
            return open(context, way, datagram);
        }
        if self.sources.len() == MAX_SOURCES {
            return Err(Refused::Forged);
        }
        let mut context = self.key.context().map_err(|_| Refused::Forged)?;
        let opened = open(&mut context, way, datagram)?;
        self.sources.push((source, context));
        Ok(opened)
    }
}

/// Whether a report says so (RFC 3711 section 3.4): in the first bit of its index, which the tag follows unless
/// that is part of the ciphertext.
fn is_encrypted(suite: Suite, datagram: &[u8]) -> bool {
    let index = datagram.len().checked_sub(4 + suite.profile().rtcp_auth_tag_len());
    index.and_then(|at| datagram.get(at)).is_some_and(|first| first & 0x80 != 0)
}

fn open(context: &mut Context, way: Way, datagram: &[u8]) -> Result<BytesMut, Refused> {
    let opened = match way {
        Way::Rtp => context.decrypt_rtp(datagram),
        Way::Rtcp => context.decrypt_rtcp(datagram),
    };
    opened.map_err(|error| match error {
        Error::SrtpSsrcDuplicated(..) | Error::SrtcpSsrcDuplicated(..) => Refused::Replayed,
        _ => Refused::Forged,
    })
}

/// The protection of what a leg receives, and of its reports.
pub(crate) struct Protection {
    reports: Outbound,
    inbound: Inbound,
    /// Under the key before this one, until the first packet under this one: a re-INVITE overtakes packets.
    before: Option<Inbound>,
}

impl Protection {
    /// Follows what was agreed on.
    pub(crate) fn agree(current: &mut Option<Self>, keys: Option<&SrtpKeys>) -> Result<(), MediaError> {
        let Some(keys) = keys else {
            *current = None;
            return Ok(());
        };
        let Some(current) = current else {
            let (reports, inbound) = (Outbound::new(&keys.ours)?, Inbound::new(&keys.theirs));
            *current = Some(Self { reports, inbound, before: None });
            return Ok(());
        };
        if current.reports.key != keys.ours {
            current.reports = Outbound::new(&keys.ours)?;
        }
        if current.inbound.key != keys.theirs {
            let before = std::mem::replace(&mut current.inbound, Inbound::new(&keys.theirs));
            current.before = Some(before);
        }
        Ok(())
    }

    /// Checks and decrypts a datagram where it is.
    pub(crate) fn open<'a>(&mut self, way: Way, datagram: &'a mut [u8]) -> Result<&'a [u8], Refused> {
        let opened = match (self.inbound.open(way, datagram), &mut self.before) {
            (Ok(opened), _) => {
                self.before = None;
                opened
            }
            (Err(_), Some(before)) => before.open(way, datagram)?,
            (Err(refused), None) => return Err(refused),
        };
        let plain = datagram.get_mut(..opened.len()).ok_or(Refused::Forged)?;
        plain.copy_from_slice(&opened);
        Ok(plain)
    }

    /// A report as it is sent.
    pub(crate) fn report(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.reports.rtcp(packet)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use proptest::prelude::*;
    use sotto_audio::Codec;

    use super::*;
    use crate::rtp::Header;
    use crate::session::{LegConfig, REPORT_BYTES, Session};
    use crate::talk::{Kind, Spoken, Talker};
    use crate::{LegFormat, LegStats};

    const FRAME: Duration = Duration::from_millis(20);

    fn key(suite: Suite, seed: u8) -> MasterKey {
        MasterKey::new(suite, vec![seed; suite.key_bytes()]).unwrap()
    }

    fn keys(suite: Suite, ours: u8, theirs: u8) -> SrtpKeys {
        SrtpKeys { ours: key(suite, ours), theirs: key(suite, theirs) }
    }

    fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
        let header = Header { sequence, ssrc, timestamp: u32::from(sequence) * 160, ..Header::default() };
        [&header.to_bytes()[..], &[0x55; 160]].concat()
    }

    fn inbound(keys: &SrtpKeys) -> Protection {
        let mut protection = None;
        Protection::agree(&mut protection, Some(keys)).unwrap();
        protection.unwrap()
    }

    fn opened(protection: &mut Protection, way: Way, datagram: &[u8]) -> Result<Vec<u8>, Refused> {
        protection.open(way, &mut datagram.to_vec()).map(<[u8]>::to_vec)
    }

    /// The packets that libsrtp checks itself with, under the key of RFC 3711 appendix B.3 and another.
    #[test]
    fn others_encrypt_the_same() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let plain = [hex("800f1234decafbadcafebabe"), vec![0xab; 16]].concat();
        for (suite, master, cipher) in [
            (
                Suite::AesCm80,
                "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6",
                "4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
            ),
            (
                Suite::Aes128Gcm,
                "000102030405060708090a0b0c0d0e0fa0a1a2a3a4a5a6a7a8a9aaab",
                "c5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
            ),
        ] {
            let master = MasterKey::new(suite, hex(master)).unwrap();
            let sent = Outbound::new(&master).unwrap().rtp(&plain).unwrap();
            assert_eq!(sent, [&plain[..12], &hex(cipher)].concat(), "{suite:?}");
        }
    }

    #[test]
    fn every_suite_carries_rtp_and_rtcp_and_takes_nothing_changed_or_twice() {
        for suite in Suite::ALL {
            let mut ours = Outbound::new(&key(suite, 1)).unwrap();
            let mut theirs = inbound(&keys(suite, 2, 1));
            let report = [&[0x80, 201, 0, 1][..], &[9; 4]].concat();
            for (way, plain) in [(Way::Rtp, packet(7, 5)), (Way::Rtcp, report)] {
                let sent = match way {
                    Way::Rtp => ours.rtp(&plain).unwrap(),
                    Way::Rtcp => ours.rtcp(&plain).unwrap(),
                };
                assert!(sent.len() > plain.len() && sent.len() <= plain.len() + OVERHEAD);
                for at in 0..sent.len() {
                    let mut changed = sent.to_vec();
                    changed[at] ^= 0x04;
                    assert_eq!(opened(&mut theirs, way, &changed), Err(Refused::Forged), "{suite:?} {at}");
                    assert!(opened(&mut theirs, way, &sent[..at]).is_err());
                }
                let mut stranger = inbound(&keys(suite, 2, 3));
                assert_eq!(opened(&mut stranger, way, &sent), Err(Refused::Forged));
                assert_eq!(opened(&mut stranger, way, &plain), Err(Refused::Forged), "in the clear");
                assert_eq!(opened(&mut theirs, way, &sent), Ok(plain));
                assert_eq!(opened(&mut theirs, way, &sent), Err(Refused::Replayed));
            }
        }
    }

    #[test]
    fn sequence_numbers_come_around_lost_and_overtaken_and_old_packets_stay_out() {
        let suite = Suite::AesCm80;
        let (mut ours, mut theirs) = (Outbound::new(&key(suite, 1)).unwrap(), inbound(&keys(suite, 2, 1)));
        let mut recorded = None;
        let mut held: Option<(Vec<u8>, BytesMut)> = None;
        for n in 60_000..72_000_u32 {
            let plain = packet(7, n as u16);
            let sent = ours.rtp(&plain).unwrap();
            recorded.get_or_insert_with(|| sent.clone());
            match n % 16 {
                // Lost.
                3 => {}
                // Overtaken by the next, also where the numbers begin again.
                15 => held = Some((plain, sent)),
                _ => {
                    assert_eq!(opened(&mut theirs, Way::Rtp, &sent).as_ref(), Ok(&plain), "{n}");
                    if let Some((plain, sent)) = held.take() {
                        assert_eq!(opened(&mut theirs, Way::Rtp, &sent), Ok(plain), "before {n}");
                    }
                }
            }
        }
        assert!(opened(&mut theirs, Way::Rtp, &recorded.unwrap()).is_err());
    }

    #[test]
    fn forged_packets_leave_no_trace() {
        let suite = Suite::AesCm80;
        let (mut ours, mut theirs) = (Outbound::new(&key(suite, 1)).unwrap(), inbound(&keys(suite, 2, 1)));
        for ssrc in 0..1_000 {
            // Far ahead of what is to come, so that a window that moved would shut it out.
            let mut forged = packet(ssrc, 20_000);
            forged.extend([0; 10]);
            assert_eq!(opened(&mut theirs, Way::Rtp, &forged), Err(Refused::Forged));
            let mut report = [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat();
            report.extend([0xff; 14]);
            assert_eq!(opened(&mut theirs, Way::Rtcp, &report), Err(Refused::Forged));
        }
        assert_eq!(theirs.inbound.sources.len(), 0);
        for ssrc in 0..MAX_SOURCES as u32 {
            let sent = ours.rtp(&packet(ssrc, 300 + ssrc as u16)).unwrap();
            assert!(opened(&mut theirs, Way::Rtp, &sent).is_ok(), "source {ssrc}");
        }
        let one_more = ours.rtp(&packet(5_000, 400)).unwrap();
        assert_eq!(opened(&mut theirs, Way::Rtp, &one_more), Err(Refused::Forged));
        let known = ours.rtp(&packet(7, 401)).unwrap();
        assert!(opened(&mut theirs, Way::Rtp, &known).is_ok());
    }

    #[test]
    fn a_new_key_takes_over_at_its_first_packet() {
        let suite = Suite::AesCm80;
        let (before, after) = (keys(suite, 2, 1), keys(suite, 2, 3));
        let mut theirs = Some(inbound(&before));
        let (mut old, mut new) =
            (Outbound::new(&before.theirs).unwrap(), Outbound::new(&after.theirs).unwrap());
        let open = |theirs: &mut Option<Protection>, sent: &[u8]| {
            opened(theirs.as_mut().unwrap(), Way::Rtp, sent).is_ok()
        };
        assert!(open(&mut theirs, &old.rtp(&packet(7, 300)).unwrap()));
        Protection::agree(&mut theirs, Some(&after)).unwrap();
        assert!(open(&mut theirs, &old.rtp(&packet(7, 301)).unwrap()), "on its way");
        assert!(open(&mut theirs, &new.rtp(&packet(7, 302)).unwrap()));
        assert!(!open(&mut theirs, &old.rtp(&packet(7, 303)).unwrap()));
        // The same agreement again changes nothing: what has come cannot come again.
        let sent = new.rtp(&packet(7, 304)).unwrap();
        assert!(open(&mut theirs, &sent));
        Protection::agree(&mut theirs, Some(&after)).unwrap();
        assert!(!open(&mut theirs, &sent));
    }

    #[test]
    fn fresh_keys_differ_and_are_not_shown() {
        for suite in Suite::ALL {
            let (one, two) = (MasterKey::fresh(suite).unwrap(), MasterKey::fresh(suite).unwrap());
            assert_ne!(one, two);
            assert_eq!(one.as_bytes().len(), suite.key_bytes());
            assert_eq!(format!("{one:?}"), format!("MasterKey({})", suite.name()));
            assert_eq!(Suite::by_name(suite.name()), Some(suite));
            assert_eq!(MasterKey::new(suite, vec![0; suite.key_bytes() - 1]), None);
        }
    }

    fn format(srtp: Option<SrtpKeys>) -> LegFormat {
        LegFormat { payloads: vec![(0, Codec::Pcmu)], telephone_event: None, ptime_ms: None, srtp }
    }

    #[test]
    fn a_session_hears_only_what_is_authentic_and_reports_encrypted() {
        let (suite, from) = (Suite::AesCm32, SocketAddr::from(([192, 0, 2, 1], 4_000)));
        let config = LegConfig::default();
        let keys = keys(suite, 2, 1);
        let mut session = Session::new(format(Some(keys.clone())), None, config, 77, Duration::ZERO).unwrap();
        let mut far = Outbound::new(&keys.theirs).unwrap();
        // Whoever sends first may only be believed with the key.
        let elsewhere = SocketAddr::from(([198, 51, 100, 1], 4_000));
        session.rtp(&mut packet(7, 300), elsewhere, FRAME);
        for n in 0..300_u32 {
            let sent = far.rtp(&packet(7, 300 + n as u16)).unwrap();
            session.rtp(&mut sent.to_vec(), from, FRAME * n);
            session.rtp(&mut sent.to_vec(), from, FRAME * n);
        }
        session.rtp(&mut packet(7, 700), from, FRAME * 300);
        session.rtcp(&mut [0x80, 201, 0, 1, 0, 0, 0, 7], from, FRAME * 300);
        let stats = session.stats();
        assert_eq!(
            LegStats { packets: 300, duplicates: 300, discarded: 3, unauthenticated: 3, ..stats },
            stats
        );
        assert_eq!((stats.lost, session.peer()), (0, Some(from)));

        let mut buffer = [0; REPORT_BYTES];
        let (_, length) = session.report(FRAME * 300, &mut buffer).unwrap();
        let back = SrtpKeys { ours: keys.theirs, theirs: keys.ours };
        let report = opened(&mut inbound(&back), Way::Rtcp, &buffer[..length]).unwrap();
        assert_eq!((report.len(), &report[..8]), (48, &[0x81, 201, 0, 7, 0, 0, 0, 77][..]));
    }

    #[test]
    fn what_a_leg_says_goes_on_through_agreements_and_never_in_the_clear() {
        let before = keys(Suite::AesCm80, 1, 2);
        let after = keys(Suite::Aes256Gcm, 3, 2);
        let mut talker = Talker::new(&format(Some(before.clone())), &Codec::ALL, 0xffff_ffff).unwrap();
        let far =
            |keys: &SrtpKeys| inbound(&SrtpKeys { ours: keys.theirs.clone(), theirs: keys.ours.clone() });
        let (mut hears_before, mut hears_after) = (far(&before), far(&after));
        // Beyond where the numbers begin again, with every other overtaken, and agreements renewed in between.
        for n in 0..40_000_u32 {
            match n {
                20_000 => talker.update(&format(Some(before.clone()))).unwrap(),
                39_000 => talker.update(&format(Some(after.clone()))).unwrap(),
                _ => {}
            }
            let hears = if n < 39_000 { &mut hears_before } else { &mut hears_after };
            let n = n.checked_sub(1).map_or(0, |n| (n ^ 1) + 1);
            let header = Header { sequence: n as u16, timestamp: n * 160, ssrc: 7, ..Header::default() };
            let spoken = Spoken::new(Kind::Audio(Codec::Pcmu), header, &[0x55; 160]).unwrap();
            let mut said = 0;
            talker.relay(&spoken, FRAME * n, |sent| {
                said += 1;
                let plain = opened(hears, Way::Rtp, sent).unwrap();
                assert_eq!(plain[12..], [0x55; 160], "{n}");
            });
            assert_eq!(said, 1, "{n}");
        }
        // The same number again, with other words: it would give both away.
        for (payload, times) in [([1; 160], 1), ([2; 160], 0)] {
            let header = Header { sequence: 40_001, timestamp: 1, ssrc: 7, ..Header::default() };
            let spoken = Spoken::new(Kind::Audio(Codec::Pcmu), header, &payload).unwrap();
            let mut said = 0;
            talker.relay(&spoken, FRAME * 40_001, |_| said += 1);
            assert_eq!(said, times);
        }
        assert_eq!(talker.stats().dropped, 1);
    }

    proptest! {
        #[test]
        fn no_datagram_panics_or_is_taken(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..40), suite in 0..4_usize) {
            let mut protection = inbound(&keys(Suite::ALL[suite], 2, 1));
            for mut datagram in datagrams {
                for way in [Way::Rtp, Way::Rtcp] {
                    prop_assert!(opened(&mut protection, way, &datagram).is_err());
                }
                if let [first, second, ..] = datagram.as_mut_slice() {
                    (*first, *second) = (*first & 0x3f | 0x80, 200);
                    prop_assert!(opened(&mut protection, Way::Rtcp, &datagram).is_err());
                    prop_assert!(opened(&mut protection, Way::Rtp, &datagram).is_err());
                }
            }
        }

        #[test]
        fn a_number_is_used_once(sequences in prop::collection::vec(0..400_u16, 0..200)) {
            let mut used = Used::default();
            let mut taken = std::collections::HashSet::new();
            for sequence in sequences {
                if used.take(sequence.wrapping_add(65_400)) {
                    prop_assert!(taken.insert(sequence));
                }
            }
        }
    }
}
