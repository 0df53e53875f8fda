// The telephone in the page: what the server says, what the reader does, and the audio between the two.
//
// The page makes the offer, when the reader takes a call; the microphone is asked for then and given back when
// the call is over. Muting happens here: what is not sent cannot be heard.

import { api, type CallSummary, type Outcome } from './api';
import type { Attention, Quality } from './generated/call';
import type {
  AgentState,
  CallFailure,
  Caller,
  Candidate,
  FromPage,
  MediaState as Flow,
  ToPage,
} from './generated/phone';
import { keep, kept } from './kept';
import { pressed } from './keys';
import { Link, type LinkState } from './link';
import { now } from './now.svelte';
import { prefs } from './prefs.svelte';
import { judged, sampled, type Sample } from './quality';

export type MediaState = Flow | 'connecting';

/** The steps of supervision, and their keys. */
export const ATTENTIONS: { attention: Attention; key: string }[] = [
  { attention: 'listen', key: 'l' },
  { attention: 'whisper', key: 'w' },
  { attention: 'barge', key: 'b' },
];

export function attentionOf(event: KeyboardEvent): Attention | null {
  return ATTENTIONS.find(({ key }) => pressed(event, key))?.attention ?? null;
}

/** Who calls, and who hands the call over, if somebody does. */
export type Ring = Omit<Extract<ToPage, { type: 'ring' }>, 'type'>;

/** Who else the reader's call may go to, or has come from. */
export interface Colleague {
  /** The customer is the reader's; otherwise a colleague only asks for advice. */
  inCharge: boolean;
  ringing: string | null;
  with: string | null;
}

/** Why the telephone cannot be used, or has not done what it was to do. */
export type Problem =
  | 'insecure'
  | 'denied'
  | 'no_microphone'
  | 'busy_microphone'
  | 'refused'
  | 'missed'
  | 'not_kept'
  | 'nobody'
  | 'unknown'
  | 'undone'
  | 'own_call'
  | 'not_there'
  | `failed.${CallFailure}`;

/** All that comes through the line: a ping as well, now and then. */
type Told = ToPage | { type: 'ping' };

/** How long nothing may come before the audio is taken for lost with the line: Opus that transmits only speech sends
 * something every 400 ms. */
const DOUBT_MS = 1_200;
/** How long a connection that is there is given to find another way, before one is made anew; and how often it is looked at. */
const RESTART_MS = 3_000;
const RESTART_LOOK_MS = 100;
/** How often the line is looked at. */
const LOOK_EVERY_MS = 3_000;

const KEYS = '0123456789*#';

export class Phone {
  state: AgentState = $state.raw('away');
  /** It rings. */
  ring: Ring | null = $state.raw(null);
  /** The call that the reader is on. */
  call: { id: string | null; from: Caller; since: number } | null = $state.raw(null);
  media: MediaState = $state.raw('connecting');
  /** How the line is, in both directions; absent while little is known. */
  quality: { heard: Quality; said: Quality; delay: Quality } | null = $state.raw(null);
  /** What is said and what is heard, while the reader is on a call. */
  microphone: MediaStream | null = $state.raw(null);
  heard: MediaStream | null = $state.raw(null);
  muted = $state.raw(false);
  held = $state.raw(false);
  colleague: Colleague | null = $state.raw(null);
  /** How calls can have come out. */
  outcomes: string[] = $state.raw([]);
  /** The call that was the reader's last, while its outcome is to be written down. */
  after: { call: string; outcome: string | null } | null = $state.raw(null);
  /** What was written down last, for pages that show that call. */
  concluded: { call: string; outcome: Outcome } | null = $state.raw(null);
  /** Supervisors on the reader's call, and what they do there. */
  supervisors: { name: string; attention: Attention }[] = $state.raw([]);
  /** What the reader does on somebody else's call. */
  supervising: { call: string; attention: Attention } | null = $state.raw(null);
  problem: Problem | null = $state.raw(null);
  /** Who was to have the call that was handed over last. */
  whom: string = $state.raw('');
  /** Another window of the same reader has the telephone. */
  elsewhere = $state.raw(false);
  /** Calls can be placed. */
  dials = $state.raw(false);
  link: LinkState = $state.raw({ at: 'connecting' });
  /** Told when a call has begun. */
  ontalking: (id: string) => void = () => {};

  #link: Link<Told> | null = null;
  #ways: RTCConfiguration = {};
  #peer: RTCPeerConnection | null = null;
  /** The connection that brings nothing any more, whatever the browser calls it. */
  #astray: RTCPeerConnection | null = null;
  #waiting: Candidate[] = [];
  #had: string | null = null;
  /** A colleague was asked for who is not rung yet. */
  #handing = false;
  #agent = '';
  /** The call that a supervisor goes to: the one before is left first, and the server has the last word on both. */
  #next: { call: string; attention: Attention; step: 'leaving' | 'coming' } | null = null;
  #sample: Sample | null = null;
  #looking: ReturnType<typeof setInterval> | null = null;
  /** The ringing that is being answered. */
  #accepting: Ring | null = null;
  /** Names the offer being made: what was asked of the browser for an earlier one comes to nothing. */
  #turn = 0;
  #offering = false;
  #speaker = new Audio();
  #tone = new RingTone();

  /** Opens the line, or takes it back from another window; gives the way to close it. */
  open(onLost: () => Promise<boolean>): () => void {
    this.#close();
    this.elsewhere = false;
    this.#looking = setInterval(() => void this.#look().catch(() => {}), LOOK_EVERY_MS);
    this.#link = new Link<Told>({
      address: api.phoneSocket,
      onMessage: (message) => this.#told(message),
      onState: (state) => {
        this.link = state;
        // The server rings nowhere that it does not reach, and nothing could be accepted.
        if (state.at !== 'live') this.#stopRinging();
        // A server that knows nothing of this page, which takes calls: it was started anew, or the page was.
        if (state.at === 'live' && this.state === 'away' && kept()?.ready) this.#say({ type: 'ready' });
      },
      onLost,
    });
    return () => {
      this.#close();
      this.after = null;
      keep(null);
    };
  }

  /** The reader has a call of their own, or is rung for one. */
  get engaged(): boolean {
    return this.call !== null || this.ring !== null;
  }

  /** To be rung from now on, or not. */
  turn(ready: boolean): void {
    this.problem = ready ? microphoneProblem() : null;
    if (this.problem) return;
    this.#remember(ready);
    this.#tone.wake();
    // To be told of a call while another tab or program is in front.
    if (ready && 'Notification' in window && Notification.permission === 'default')
      void Notification.requestPermission().catch(() => {});
    this.#say({ type: ready ? 'ready' : 'away' });
  }

  async accept(): Promise<void> {
    const ringing = this.ring;
    // By a key and a click, or by a key twice: one answer is enough.
    if (!ringing || ringing === this.#accepting) return;
    this.#accepting = ringing;
    this.#tone.stop();
    const sdp = await this.#offer();
    if (sdp === null) {
      if (this.ring === ringing) this.decline();
    } else if (this.ring !== ringing) {
      // The caller has given up meanwhile.
      this.#hangUp();
    } else {
      this.call = { id: null, from: ringing.from, since: now.ms };
      this.ring = null;
      this.#say({ type: 'accept', ring: ringing.ring, sdp });
    }
  }

  /** Calls a number. */
  async dial(number: string): Promise<void> {
    if (this.engaged || this.supervising || this.#offering) return;
    const sdp = await this.#offer();
    if (sdp === null) return;
    if (this.engaged) {
      // It rings meanwhile.
      this.#hangUp();
      return;
    }
    this.call = { id: null, from: { aor: `sip:${number}`, name: null }, since: now.ms };
    this.#say({ type: 'call', number, sdp });
  }

  #say(message: FromPage): void {
    this.#link?.send(message);
  }

  /** Has the audio of the reader's call come to this page, which was loaded anew or has another address. */
  async #resume(): Promise<void> {
    const peer = this.#peer;
    this.#astray = null;
    if (peer && lasts(peer) && (await this.#restarted(peer))) return;
    if (peer !== this.#peer) return;
    const sdp = await this.#offer();
    if (sdp !== null) this.#say({ type: 'resume', sdp });
  }

  /** Looks for another way of the connection that is there (ICE restart), so that nothing has to be agreed on again; whether
   * there is one, or the connection is not wanted any more. */
  async #restarted(peer: RTCPeerConnection): Promise<boolean> {
    try {
      const before = await sampleOf(peer);
      peer.restartIce();
      const offer = await peer.createOffer();
      await peer.setLocalDescription(offer);
      if (peer !== this.#peer) return true;
      this.#say({ type: 'resume', sdp: offer.sdp ?? '' });
      for (let waited = 0; waited < RESTART_MS; waited += RESTART_LOOK_MS) {
        await new Promise((passed) => setTimeout(passed, RESTART_LOOK_MS));
        // What it calls connected may be the way from before.
        const after = await sampleOf(peer);
        if (peer !== this.#peer || after.heard.packets > before.heard.packets) return true;
      }
    } catch {
      // The browser says so of a connection that was closed meanwhile, or that it cannot.
    }
    return peer !== this.#peer;
  }

  /** The network may be another one by now: `then` when nothing is heard any more. */
  async #doubt(peer: RTCPeerConnection, then: () => void): Promise<void> {
    const before = await sampleOf(peer);
    await new Promise((passed) => setTimeout(passed, DOUBT_MS));
    const after = await sampleOf(peer);
    const silent = after.heard.packets === before.heard.packets;
    if (silent && peer === this.#peer && this.call?.id) then();
  }

  /** Lets a colleague have the call; `consult`: after a talk between the two. */
  transfer(to: string, consult: boolean): void {
    this.problem = null;
    this.whom = to;
    this.#handing = true;
    this.#say({ type: 'transfer', to, consult });
  }

  /** Leaves the call to the colleague. */
  complete(): void {
    this.#say({ type: 'complete' });
  }

  /** Talks with the customer again instead. */
  takeBack(): void {
    this.#say({ type: 'take_back' });
  }

  /** Writes down how a call came out. */
  async conclude(call: string, outcome: string): Promise<void> {
    try {
      const written = await api.setOutcome(call, outcome);
      this.concluded = { call, outcome: written };
      if (this.after?.call === call) this.after = { call, outcome: written.outcome };
      this.#remember();
    } catch {
      this.problem = 'not_kept';
    }
  }

  /** Comes to somebody's call, or does something else there. */
  async supervise(call: string, attention: Attention): Promise<void> {
    if (this.engaged) {
      this.problem = 'own_call';
      return;
    }
    if (this.link.at !== 'live') return;
    if (this.supervising?.call === call && !this.#next) {
      this.#say({ type: 'supervise', call_id: call, attention, sdp: null });
      return;
    }
    const before = this.#next;
    const step = before?.step ?? (this.supervising ? 'leaving' : 'coming');
    this.#next = { call, attention, step };
    // What the server says to the step before leads on.
    if (before) return;
    if (step === 'leaving') this.#say({ type: 'leave' });
    else await this.#come();
  }

  /** Does with a call in a list what the key is for: comes to it, does something else there, or leaves. */
  superviseBy(event: KeyboardEvent, call: Pick<CallSummary, 'id' | 'bridged'> | null | undefined): boolean {
    if (this.supervising && pressed(event, 'x')) {
      this.leave();
      return true;
    }
    const attention = attentionOf(event);
    if (!attention || !call?.bridged || call.id === this.call?.id) return false;
    void this.supervise(call.id, attention);
    return true;
  }

  /** Comes to the call that was asked for last. */
  async #come(): Promise<void> {
    const sdp = await this.#offer();
    const next = this.#next;
    this.#next = sdp === null ? null : next;
    if (sdp === null) return;
    if (next) this.#say({ type: 'supervise', call_id: next.call, attention: next.attention, sdp });
    // Given up meanwhile.
    else this.#hangUp();
  }

  /** Goes on to the next call, once the server has let go of the one before. */
  #move(): void {
    if (this.#next?.step !== 'leaving' || this.supervising || this.state === 'talking') return;
    this.#next = { ...this.#next, step: 'coming' };
    void this.#come();
  }

  /** Leaves somebody's call. */
  leave(): void {
    const leaving = this.#next?.step === 'leaving';
    this.#next = null;
    if (!leaving) this.#say({ type: 'leave' });
  }

  /** Asks the browser how the line is. */
  async #look(): Promise<void> {
    const peer = this.#peer;
    if (!peer || this.media !== 'connected') return;
    const sample = await sampleOf(peer);
    if (peer !== this.#peer) return;
    if (this.#sample) this.quality = judged(this.#sample, sample);
    this.#sample = sample;
  }

  /** Opens the microphone and makes an offer; `null` when that cannot be done, or is not wanted any more. */
  async #offer(): Promise<string | null> {
    this.problem = microphoneProblem();
    if (this.problem) return null;
    const turn = ++this.#turn;
    this.#offering = true;
    try {
      return await this.#offered(turn);
    } catch (error) {
      // The browser says so of a connection that was closed meanwhile.
      if (turn !== this.#turn) return null;
      throw error;
    } finally {
      if (turn === this.#turn) this.#offering = false;
    }
  }

  async #offered(turn: number): Promise<string | null> {
    // Kept from one connection to the next, so that nobody is asked again and who is muted stays so.
    if (!this.microphone?.active) {
      try {
        const opened = await openMicrophone();
        if (turn !== this.#turn) {
          release(opened);
          return null;
        }
        this.microphone = opened;
      } catch (error) {
        if (turn === this.#turn) this.problem = problemOf(error);
        return null;
      }
    }
    const peer = new RTCPeerConnection(this.#ways);
    this.#peer?.close();
    this.#peer = peer;
    this.#waiting = [];
    this.#sample = this.quality = null;
    this.media = 'connecting';
    for (const track of this.microphone.getAudioTracks()) {
      track.enabled = !this.muted;
      peer.addTrack(track, this.microphone);
    }
    peer.ontrack = ({ streams, track }) => {
      this.#speaker.srcObject = this.heard = streams[0] ?? new MediaStream([track]);
      void this.useSpeaker();
      void this.#speaker.play().catch(() => {});
    };
    peer.onicecandidate = ({ candidate }) => {
      if (candidate && peer === this.#peer)
        this.#say({ type: 'candidate', candidate: trimmed(candidate) });
    };
    // Another network, another address, and the line to the server goes the same way: what is said into it may be lost
    // without a word. It is opened anew, and the server's greeting brings the audio back.
    peer.onconnectionstatechange = () => {
      if (peer === this.#peer && isGone(peer) && this.call?.id) this.#link?.renew();
    };
    const offer = await peer.createOffer();
    // The first candidate comes in a later task than this one's end: the offer is sent before it.
    await peer.setLocalDescription(offer);
    // A browser may go another way by itself and call itself connected, while the server goes on to send the old one.
    const transport = peer.getSenders()[0]?.transport?.iceTransport;
    transport?.addEventListener('selectedcandidatepairchange', () => {
      if (peer !== this.#peer || peer.connectionState !== 'connected') return;
      void this.#doubt(peer, () => {
        this.#astray = peer;
        this.#link?.renew();
      });
    });
    return turn === this.#turn ? (offer.sdp ?? '') : null;
  }

  /** Talks through the microphone that is chosen, also in mid-call. */
  async useMicrophone(): Promise<void> {
    const sender = this.#peer?.getSenders().find(({ track }) => track?.kind === 'audio');
    if (!sender) return;
    try {
      const chosen = await openMicrophone();
      const [track] = chosen.getAudioTracks();
      if (!track) return;
      track.enabled = !this.muted;
      await sender.replaceTrack(track);
      release(this.microphone);
      this.microphone = chosen;
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  /** Is heard from the loudspeaker that is chosen, where the browser lets a page choose. */
  async useSpeaker(): Promise<void> {
    if (!('setSinkId' in this.#speaker)) return;
    // A device that is not there any more: the system's choice goes on.
    await this.#speaker.setSinkId(prefs.device('audiooutput') ?? '').catch(() => {});
  }

  decline(): void {
    if (this.ring) this.#say({ type: 'decline', ring: this.ring.ring });
    this.#tone.stop();
  }

  hangUp(): void {
    this.#say({ type: 'hang_up' });
  }

  hold(): void {
    this.#say({ type: 'hold', on: !this.held });
  }

  mute(): void {
    this.muted = !this.muted;
    this.#remember();
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !this.muted;
  }

  /** Presses keys (RFC 4733). */
  press(keys: string): void {
    const sender = this.#peer?.getSenders().find((sender) => sender.dtmf?.canInsertDTMF);
    if ([...keys].every((key) => KEYS.includes(key))) sender?.dtmf?.insertDTMF(keys, 120, 70);
  }

  #stopRinging(): void {
    this.#tone.stop();
    this.ring = null;
  }

  #told(message: Told): void {
    switch (message.type) {
      case 'hello':
        // Of what rang before, nothing is known there.
        this.#stopRinging();
        this.#ways = {
          iceServers: message.ice_servers,
          iceTransportPolicy: message.relay_only ? 'relay' : 'all',
        };
        this.dials = message.dials;
        this.state = message.state;
        this.outcomes = message.outcomes;
        this.#recall(message);
        // Who supervises comes anew with every page.
        this.supervising = this.#next = null;
        if (!message.call) {
          // What went on here is over, or was never known there.
          this.#hangUp();
          break;
        }
        this.call = {
          id: message.call.call_id,
          from: message.call.from,
          since: now.ms - message.call.since_ms,
        };
        this.held = message.call.held;
        // Whoever is there is told of anew.
        this.supervisors = [];
        if (!this.#peer || isGone(this.#peer) || this.#peer === this.#astray) void this.#resume();
        // The line to the server was lost for a moment: with the network it went through, perhaps.
        else void this.#doubt(this.#peer, () => void this.#resume());
        break;
      case 'state':
        this.state = message.state;
        // Until it is written down, and then for as long as there is time for it.
        if (this.state === 'wrap_up' && this.#had) this.after = { call: this.#had, outcome: null };
        else if (this.after?.outcome) this.after = null;
        // The server has the last word: who has missed a call is away, and stays so.
        if (this.state === 'ready' || this.state === 'away') this.#remember(this.state === 'ready');
        else this.#remember();
        this.#move();
        break;
      case 'ring':
        this.ring = message;
        this.problem = null;
        this.#tone.start();
        break;
      case 'stop_ringing':
        // Another call may ring by now.
        if (this.ring?.ring === message.ring) this.#stopRinging();
        if (this.call && this.call.id === null) this.#hangUp();
        if (message.missed) this.problem = 'missed';
        break;
      case 'answer':
        void this.#answered(message.sdp);
        break;
      case 'candidate':
        if (this.#peer?.remoteDescription) void this.#peer.addIceCandidate(message.candidate).catch(() => {});
        else this.#waiting.push(message.candidate);
        break;
      case 'talking':
        if (this.call) this.call = { ...this.call, id: message.call_id };
        this.after = null;
        this.#remember();
        this.ontalking(message.call_id);
        break;
      case 'media':
        this.media = message.state;
        break;
      case 'held':
        this.held = message.on;
        break;
      case 'colleague':
        if (message.ringing) this.#handing = false;
        this.colleague = { inCharge: message.in_charge, ringing: message.ringing, with: message.with };
        break;
      case 'supervisor': {
        const others = this.supervisors.filter(({ name }) => name !== message.name);
        const { name, attention } = message;
        this.supervisors = attention ? [...others, { name, attention }] : others;
        break;
      }
      case 'supervising':
        this.supervising = message.attention ? { call: message.call_id, attention: message.attention } : null;
        if (!this.supervising) {
          this.#hangUp();
          this.#move();
        } else if (this.#next?.step === 'coming') {
          const { call, attention } = this.#next;
          this.#next = null;
          // Something else may have been asked for meanwhile.
          if (call !== message.call_id || attention !== message.attention) void this.supervise(call, attention);
        }
        break;
      case 'replaced':
        this.elsewhere = true;
        this.#remember(false);
        this.#close();
        break;
      case 'over':
        this.#had = this.call?.id ?? null;
        this.#hangUp();
        break;
      case 'call_failed':
        this.problem = `failed.${message.reason}`;
        // Otherwise the call's end is told.
        if (!this.call?.id) this.#hangUp();
        break;
      case 'refused':
        // What is wanted now has not been asked for yet: this is about something before it.
        if (this.#offering && !this.call?.id) break;
        if (this.#next) this.problem = 'not_there';
        else if (this.colleague?.ringing) this.problem = 'nobody';
        else if (this.#handing) this.problem = 'unknown';
        else this.problem = this.call?.id ? 'undone' : 'refused';
        if (this.problem === 'nobody') this.whom = this.colleague?.ringing ?? '';
        this.#next = null;
        this.#handing = false;
        if (this.call?.id == null && !this.supervising) this.#hangUp();
        break;
      case 'ping':
        break;
    }
  }

  /** Goes on where the page was before it was loaded anew, or the server was. */
  #recall({ agent, state, call, wraps_up }: Extract<ToPage, { type: 'hello' }>): void {
    const before = kept()?.agent === agent ? kept() : null;
    const last = call ? null : (wraps_up ?? before?.after ?? null);
    if (this.after?.call !== last) this.after = last ? { call: last, outcome: null } : null;
    this.#agent = agent;
    // Nobody is heard again because a page was loaded anew.
    if (call && before?.muted === call.call_id) this.muted = true;
    this.#remember(state === 'ready' || (before?.ready ?? false));
  }

  #remember(ready = kept()?.ready ?? false): void {
    const { after } = this;
    const muted = this.muted ? (this.call?.id ?? kept()?.muted ?? null) : null;
    keep({ agent: this.#agent, ready, after: after && !after.outcome ? after.call : null, muted });
  }

  async #answered(sdp: string): Promise<void> {
    const peer = this.#peer;
    if (!peer) return;
    try {
      await peer.setRemoteDescription({ type: 'answer', sdp });
      for (const candidate of this.#waiting.splice(0)) await peer.addIceCandidate(candidate).catch(() => {});
    } catch {
      if (peer !== this.#peer) return;
      if (this.call?.id) {
        // It may be the answer to an offer before this one: a connection of its own is sure to be answered by its own.
        peer.close();
        void this.#resume();
        return;
      }
      this.problem = 'refused';
      this.hangUp();
    }
  }

  #close(): void {
    this.#stopRinging();
    this.#hangUp();
    this.supervising = this.#next = null;
    this.state = 'away';
    this.#link?.close();
    this.#link = null;
    if (this.#looking) clearInterval(this.#looking);
    this.#looking = null;
  }

  #hangUp(): void {
    this.#turn++;
    this.#offering = false;
    this.#peer?.close();
    this.#peer = null;
    release(this.microphone);
    this.microphone = null;
    this.#speaker.srcObject = this.heard = null;
    this.#waiting = [];
    this.call = this.colleague = this.quality = this.#sample = null;
    this.supervisors = [];
    this.muted = this.held = this.#handing = false;
  }
}

/** The microphone that is chosen, or the system's when that one is not there. */
export function openMicrophone(): Promise<MediaStream> {
  const deviceId = prefs.device('audioinput');
  return navigator.mediaDevices.getUserMedia({
    audio: {
      ...(deviceId ? { deviceId: { ideal: deviceId } } : {}),
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
    },
  });
}

/** Gives a microphone back. */
function release(microphone: MediaStream | null): void {
  for (const track of microphone?.getTracks() ?? []) track.stop();
}

async function sampleOf(peer: RTCPeerConnection): Promise<Sample> {
  const report = await peer.getStats();
  return sampled([...(report as unknown as Map<string, Record<string, unknown>>).values()]);
}

/** Nothing comes through it any more. */
function isGone(peer: RTCPeerConnection): boolean {
  return ['disconnected', 'failed', 'closed'].includes(peer.connectionState);
}

/** It may yet find another way. */
function lasts(peer: RTCPeerConnection): boolean {
  return peer.signalingState === 'stable' && ['connected', 'disconnected'].includes(peer.connectionState);
}

function trimmed({ candidate, sdpMid, sdpMLineIndex }: RTCIceCandidate): Candidate {
  return { candidate, sdpMid, sdpMLineIndex };
}

/** Browsers give the microphone to pages only that came encrypted, or from this very machine. */
function microphoneProblem(): Problem | null {
  return 'mediaDevices' in navigator && 'RTCPeerConnection' in window ? null : 'insecure';
}

function problemOf(error: unknown): Problem {
  switch (error instanceof DOMException ? error.name : '') {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'no_microphone';
    default:
      return 'busy_microphone';
  }
}

/** Two soft notes, twice, every three seconds: played by the audio system itself, because timers of a page in the
 * background are slow. */
class RingTone {
  #context: AudioContext | null = null;
  #sound: AudioBufferSourceNode | null = null;

  /** Browsers let a page be heard once its reader has done something there. */
  wake = (): void => {
    this.#context ??= new AudioContext();
    void this.#context.resume().catch(() => {});
  };

  start(): void {
    this.stop();
    this.wake();
    const context = this.#context;
    if (!context) return;
    const sound = context.createBufferSource();
    sound.buffer = ringing(context);
    sound.loop = true;
    sound.connect(context.destination);
    sound.start();
    this.#sound = sound;
    // A page that was loaded anew and not touched since rings as soon as it is.
    if (context.state !== 'running')
      for (const touch of ['pointerdown', 'keydown']) window.addEventListener(touch, this.wake, { once: true });
  }

  stop(): void {
    this.#sound?.stop();
    this.#sound?.disconnect();
    this.#sound = null;
  }
}

function ringing(context: AudioContext): AudioBuffer {
  const rate = context.sampleRate;
  const buffer = context.createBuffer(1, 3 * rate, rate);
  const samples = buffer.getChannelData(0);
  for (const [at, frequency] of [
    [0, 587],
    [0.25, 440],
    [0.6, 587],
    [0.85, 440],
  ] as const) {
    for (let n = 0; n < 0.45 * rate; n++) {
      const t = n / rate;
      const volume = 0.12 * Math.min(1, t / 0.02) * Math.exp(-12 * Math.max(0, t - 0.02));
      const place = Math.round(at * rate) + n;
      samples[place] = (samples[place] ?? 0) + volume * Math.sin(2 * Math.PI * frequency * t);
    }
  }
  return buffer;
}

export const phone = new Phone();
