//! Who hears whom in a call. A bridge only lays the wires; the legs' own tasks carry the audio, so that nothing
//! here is ever waited for.
//!
//! A member who hears one other gets that one's packets as they come, untouched where both speak the same
//! codec. A member who hears several, or a tone, gets a mix of 20 ms frames instead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sotto_audio::{Frame, Reader, Tone, Writer, ring};
use tokio::sync::mpsc;

use crate::talk::{Kind, Spoken};

/// Packets on their way from one leg to another: more are only there when the other one does not get to run.
const PACKETS: usize = 64;
/// Audio on its way to a mix.
const MIX_MS: u64 = 200;
/// Announcements that wait to be heard.
const ANNOUNCEMENTS: usize = 4;

/// What someone is in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Talks to the other side and hears it.
    Agent,
    /// The other side.
    Customer,
    /// Is asked for advice, or is to have the call: hears both and is heard by both, and hears nothing that a
    /// supervisor says to the agent alone.
    Guest,
    /// Hears both, and is heard by nobody.
    Listener,
    /// Hears both, and is heard by the agent only.
    Whisperer,
    /// Hears both, and is heard by both.
    Barger,
}

impl Role {
    /// Whether someone in this role hears someone in the other.
    fn hears(self, other: Self) -> bool {
        use Role::{Agent, Barger, Customer, Guest, Listener, Whisperer};
        match (self, other) {
            (Agent, Customer | Guest | Whisperer | Barger) | (Customer, Agent | Guest | Barger) => true,
            (Agent, Agent | Listener) | (Customer, Customer | Listener | Whisperer) => false,
            (Guest, Agent | Customer | Guest | Barger) => true,
            (Guest, Listener | Whisperer) => false,
            (Listener | Whisperer | Barger, Agent | Customer | Guest | Barger) => true,
            // Supervisors who are on the agent's ear hear each other; who only listens is silent.
            (Listener | Whisperer | Barger, Whisperer) => true,
            (Listener | Whisperer | Barger, Listener) => false,
        }
    }

    /// Whether what someone in this role says goes into a recording: not what nobody on the call can hear.
    fn is_recorded(self) -> bool {
        self != Self::Listener
    }
}

/// How someone takes part in a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Hears and is heard, as their role says.
    #[default]
    Whole,
    /// Only hears, because the call has not been answered: the caller.
    Hears,
    /// Only is heard, because the call has not been answered: the far end's tones and announcements.
    IsHeard,
}

/// A leg's end of a bridge, held by the leg's task.
pub struct End {
    pub(crate) packets: mpsc::Receiver<Spoken>,
    /// Changes come as often as people press buttons.
    pub(crate) wiring: mpsc::UnboundedReceiver<Wiring>,
    pub(crate) announced: mpsc::Receiver<Tone>,
}

/// Where a leg's audio goes, and what it says.
#[derive(Default)]
pub(crate) struct Wiring {
    /// Its packets go there.
    pub(crate) forward: Vec<mpsc::Sender<Spoken>>,
    /// Its keys go there (RFC 4733), whose sound goes into a mix: a mix of frames has none.
    pub(crate) keys: Vec<mpsc::Sender<Spoken>>,
    /// Its frames go there.
    pub(crate) taps: Vec<Writer>,
    /// It says a mix of these; without any, the packets that come.
    pub(crate) mix: Vec<Reader>,
    /// And this. Its party is then on hold: what is heard of it is nobody's business, the recording's neither.
    pub(crate) tone: Option<Tone>,
    /// Its frames go to the recording.
    pub(crate) is_recorded: bool,
    /// Its frames are neither recorded nor recognised: the call has not been answered.
    pub(crate) is_early: bool,
}

impl Wiring {
    /// Where a packet of this kind goes.
    pub(crate) fn listeners(&self, kind: Kind) -> impl Iterator<Item = &mpsc::Sender<Spoken>> {
        let keys = kind.is_key().then_some(&self.keys);
        self.forward.iter().chain(keys.into_iter().flatten())
    }
}

/// A program in the place of everybody else on a call: whoever is at the leg with the other end hears what it says, and is heard
/// by it. Dropped, it is silent.
pub struct Booth {
    /// The leg looks whether they are there.
    _wires: Wires,
    says: Writer,
    hears: Reader,
}

impl Booth {
    /// A booth in which nothing is said yet, and the end for the leg.
    #[must_use]
    pub fn open() -> (Self, End) {
        let (wires, end) = Wires::lay();
        let ((says, said), (heard, hears)) = (ring(MIX_MS), ring(MIX_MS));
        let _ = wires.wiring.send(Wiring { taps: vec![heard], mix: vec![said], ..Wiring::default() });
        (Self { _wires: wires, says, hears }, end)
    }

    /// Says 20 ms. Whoever says more than that every 20 ms is not heard with all of it.
    pub fn say(&mut self, frame: Frame) {
        self.says.push(frame);
    }

    /// The next 20 ms that were heard, if they are there.
    pub fn hear(&mut self) -> Option<Frame> {
        self.hears.pop()
    }
}

/// A member of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberId(u64);

/// See the module. Cheap to clone; with the last clone the wires go.
#[derive(Clone, Default)]
pub struct Bridge {
    members: Arc<Mutex<Members>>,
}

#[derive(Default)]
struct Members {
    next: u64,
    list: Vec<Member>,
}

struct Member {
    id: MemberId,
    role: Role,
    /// Hears this instead of anyone, and is not heard.
    held: Option<Tone>,
    part: Part,
    wires: Wires,
}

/// A member's side of an [`End`].
struct Wires {
    packets: mpsc::Sender<Spoken>,
    wiring: mpsc::UnboundedSender<Wiring>,
    announced: mpsc::Sender<Tone>,
}

impl Wires {
    fn lay() -> (Self, End) {
        let (packets, to_say) = mpsc::channel(PACKETS);
        let (wiring, orders) = mpsc::unbounded_channel();
        let (announced, to_announce) = mpsc::channel(ANNOUNCEMENTS);
        let end = End { packets: to_say, wiring: orders, announced: to_announce };
        (Self { packets, wiring, announced }, end)
    }
}

impl Bridge {
    /// Someone joins: the end is for their leg.
    #[must_use]
    pub fn join(&self, role: Role) -> (MemberId, End) {
        let (wires, end) = Wires::lay();
        let mut members = self.members();
        let id = MemberId(members.next);
        members.next += 1;
        members.list.push(Member { id, role, held: None, part: Part::Whole, wires });
        members.wire();
        (id, end)
    }

    /// Someone goes on with another leg, as what they are. The leg they had is cut off.
    #[must_use]
    pub fn rejoin(&self, id: MemberId) -> Option<End> {
        let (wires, end) = Wires::lay();
        let mut members = self.members();
        members.list.iter_mut().find(|member| member.id == id)?.wires = wires;
        members.wire();
        Some(end)
    }

    /// Someone becomes something else.
    pub fn set_role(&self, id: MemberId, role: Role) {
        self.change(id, |member| member.role = role);
    }

    /// Someone takes part in another way: what they say is then neither recorded nor recognised until they take part
    /// as a whole.
    pub fn set_part(&self, id: MemberId, part: Part) {
        self.change(id, |member| member.part = part);
    }

    /// Someone who has joined takes the place of someone who leaves, as what that one was and under that name.
    pub fn replace(&self, id: MemberId, by: MemberId) {
        let mut members = self.members();
        let Some(place) = members.list.iter().position(|member| member.id == id) else { return };
        let before = members.list.remove(place);
        if let Some(now) = members.list.iter_mut().find(|member| member.id == by) {
            (now.id, now.role, now.held, now.part) = (id, before.role, before.held, Part::Whole);
        }
        members.wire();
    }

    /// Puts someone on hold, who hears a tone (or nothing much, see [`Tone::Silence`]) until taken back with
    /// `None`.
    pub fn hold(&self, id: MemberId, tone: Option<Tone>) {
        self.change(id, |member| member.held = tone);
    }

    /// Lets everyone in some roles hear a tone that comes to an end, together with what they hear.
    pub fn announce(&self, tone: Tone, to: impl Fn(Role) -> bool) {
        for member in self.members().list.iter().filter(|member| to(member.role)) {
            // One more than these says nothing new.
            let _ = member.wires.announced.try_send(tone);
        }
    }

    /// Someone leaves.
    pub fn leave(&self, id: MemberId) {
        let mut members = self.members();
        members.list.retain(|member| member.id != id);
        members.wire();
    }

    fn change(&self, id: MemberId, change: impl FnOnce(&mut Member)) {
        let mut members = self.members();
        if let Some(member) = members.list.iter_mut().find(|member| member.id == id) {
            change(member);
        }
        members.wire();
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    /// Whom each member hears, by place.
    fn hearing(&self) -> Vec<Vec<usize>> {
        let speaks = |member: &Member| member.held.is_none() && member.part != Part::Hears;
        let hears = |listener: &Member, speaker: &Member| {
            listener.id != speaker.id
                && listener.held.is_none()
                && listener.part != Part::IsHeard
                && speaks(speaker)
                && listener.role.hears(speaker.role)
        };
        let heard_by = |listener: &Member| {
            let all = self.list.iter().enumerate();
            all.filter(|(_, speaker)| hears(listener, speaker)).map(|(place, _)| place).collect()
        };
        self.list.iter().map(heard_by).collect()
    }

    /// Lays all wires anew. Changes are rare, and what is on its way in the old wires is 20 ms.
    fn wire(&mut self) {
        let mut wirings: Vec<Wiring> = self.list.iter().map(|_| Wiring::default()).collect();
        for (listener, speakers) in self.hearing().into_iter().enumerate() {
            wirings[listener].tone = self.list[listener].held;
            wirings[listener].is_recorded = self.list[listener].role.is_recorded();
            wirings[listener].is_early = self.list[listener].part != Part::Whole;
            match speakers.as_slice() {
                [speaker] => wirings[*speaker].forward.push(self.list[listener].wires.packets.clone()),
                speakers => {
                    for speaker in speakers {
                        let (writer, reader) = ring(MIX_MS);
                        wirings[*speaker].taps.push(writer);
                        wirings[*speaker].keys.push(self.list[listener].wires.packets.clone());
                        wirings[listener].mix.push(reader);
                    }
                }
            }
        }
        // A leg that is gone will soon leave.
        for (member, wiring) in self.list.iter().zip(wirings) {
            let _ = member.wires.wiring.send(wiring);
        }
    }
}

#[cfg(test)]
mod tests {
    use sotto_audio::FRAME_SAMPLES;

    use super::*;

    /// Whom the members with these roles hear.
    fn hearing(roles: &[Role], change: impl FnOnce(&Bridge, &[MemberId])) -> Vec<Vec<usize>> {
        let bridge = Bridge::default();
        let ids: Vec<_> = roles.iter().map(|role| bridge.join(*role).0).collect();
        change(&bridge, &ids);
        bridge.members().hearing()
    }

    #[test]
    fn a_whisper_is_heard_by_the_agent_and_never_by_the_customer() {
        use Role::{Agent, Barger, Customer, Listener, Whisperer};
        let roles = [Agent, Customer, Listener, Whisperer, Barger];
        assert_eq!(
            hearing(&roles, |_, _| {}),
            [vec![1, 3, 4], vec![0, 4], vec![0, 1, 3, 4], vec![0, 1, 4], vec![0, 1, 3]]
        );
    }

    #[test]
    fn a_guest_talks_with_both_and_never_hears_a_whisper() {
        use Role::{Agent, Customer, Guest, Listener, Whisperer};
        let roles = [Agent, Customer, Guest, Listener, Whisperer];
        assert_eq!(
            hearing(&roles, |_, _| {}),
            [vec![1, 2, 4], vec![0, 2], vec![0, 1], vec![0, 1, 2, 4], vec![0, 1, 2]]
        );
    }

    #[test]
    fn who_is_at_the_other_end_of_a_booth_hears_a_mix_of_what_it_says_and_is_heard() {
        let (mut booth, mut end) = Booth::open();
        let mut wiring = end.wiring.try_recv().unwrap();
        booth.say(Frame { index: 7, samples: [0.5; FRAME_SAMPLES] });
        assert_eq!(wiring.mix[0].pop().unwrap().samples, [0.5; FRAME_SAMPLES]);
        assert_eq!(booth.hear(), None);
        wiring.taps[0].push(Frame::silence(3));
        assert_eq!(booth.hear(), Some(Frame::silence(3)));
        assert!(wiring.forward.is_empty() && wiring.tone.is_none());
    }

    #[test]
    fn who_is_held_is_not_heard() {
        let two = [Role::Agent, Role::Customer];
        assert_eq!(hearing(&two, |_, _| {}), [[1], [0]]);
        let held = |bridge: &Bridge, ids: &[MemberId]| bridge.hold(ids[1], Some(Tone::Music));
        assert_eq!(hearing(&two, held), [vec![], Vec::<usize>::new()]);
        let back = |bridge: &Bridge, ids: &[MemberId]| {
            bridge.hold(ids[1], Some(Tone::Music));
            bridge.hold(ids[1], None);
        };
        assert_eq!(hearing(&two, back), [[1], [0]]);
        assert_eq!(hearing(&two, |bridge, ids| bridge.leave(ids[0])), [Vec::<usize>::new()]);
    }

    #[test]
    fn before_a_call_is_answered_its_caller_only_hears_and_its_far_end_is_only_heard() {
        let two = [Role::Agent, Role::Customer];
        let early = |bridge: &Bridge, ids: &[MemberId]| bridge.set_part(ids[1], Part::IsHeard);
        assert_eq!(hearing(&two, early), [vec![1], vec![]]);
        let waiting = |bridge: &Bridge, ids: &[MemberId]| bridge.set_part(ids[1], Part::Hears);
        assert_eq!(hearing(&two, waiting), [vec![], vec![0]]);
        let bridge = Bridge::default();
        let (caller, mut end) = bridge.join(Role::Customer);
        let mut is_early = |part| {
            bridge.set_part(caller, part);
            std::iter::from_fn(|| end.wiring.try_recv().ok()).last().unwrap().is_early
        };
        assert_eq!([Part::Hears, Part::IsHeard, Part::Whole].map(&mut is_early), [true, true, false]);
    }

    #[test]
    fn who_takes_a_place_is_what_its_holder_was() {
        let two = [Role::Agent, Role::Customer];
        let replaced = |bridge: &Bridge, ids: &[MemberId]| {
            let (new, _) = bridge.join(Role::Customer);
            bridge.set_part(new, Part::IsHeard);
            bridge.replace(ids[1], new);
        };
        assert_eq!(hearing(&two, replaced), [[1], [0]]);
        let on_hold = |bridge: &Bridge, ids: &[MemberId]| {
            bridge.hold(ids[1], Some(Tone::Music));
            let (new, _) = bridge.join(Role::Customer);
            bridge.replace(ids[1], new);
            // The name is what others know the place by.
            bridge.hold(ids[1], None);
        };
        assert_eq!(hearing(&two, on_hold), [[1], [0]]);
    }

    #[test]
    fn who_goes_on_with_another_leg_is_what_they_were() {
        let bridge = Bridge::default();
        let (agent, _gone) = bridge.join(Role::Agent);
        let (_, mut customer) = bridge.join(Role::Customer);
        bridge.hold(agent, Some(Tone::Ringback));
        let mut end = bridge.rejoin(agent).unwrap();
        let wiring = end.wiring.try_recv().unwrap();
        assert_eq!((wiring.tone, wiring.forward.len()), (Some(Tone::Ringback), 0));
        while customer.wiring.try_recv().is_ok() {}
        bridge.hold(agent, None);
        let wiring = customer.wiring.try_recv().unwrap();
        // The customer's packets go to the new leg.
        let spoken = crate::talk::Spoken::new(
            crate::talk::Kind::Audio(sotto_audio::Codec::Pcmu),
            crate::rtp::Header { marker: false, payload_type: 0, sequence: 1, timestamp: 1, ssrc: 1 },
            &[0; 160],
        );
        wiring.forward[0].try_send(spoken.unwrap()).unwrap();
        assert!(end.packets.try_recv().is_ok());
        bridge.leave(agent);
        assert!(bridge.rejoin(agent).is_none());
    }

    #[test]
    fn two_people_get_each_others_packets_and_a_third_makes_it_a_mix() {
        let bridge = Bridge::default();
        let (_, mut agent) = bridge.join(Role::Agent);
        let (_, mut customer) = bridge.join(Role::Customer);
        let last = |end: &mut End| {
            let mut last = None;
            while let Ok(wiring) = end.wiring.try_recv() {
                last = Some(wiring);
            }
            last.unwrap()
        };
        let wiring = last(&mut agent);
        assert_eq!((wiring.forward.len(), wiring.taps.len(), wiring.mix.len()), (1, 0, 0));
        let (supervisor, mut ear) = bridge.join(Role::Listener);
        let wiring = last(&mut agent);
        assert_eq!((wiring.forward.len(), wiring.taps.len(), wiring.mix.len()), (1, 1, 0));
        assert_eq!(last(&mut ear).mix.len(), 2);
        bridge.set_role(supervisor, Role::Barger);
        let wiring = last(&mut customer);
        assert_eq!((wiring.forward.len(), wiring.taps.len(), wiring.mix.len()), (0, 2, 2));
        assert_eq!(wiring.keys.len(), 2, "a mix has no keys");
    }
}
