// The telephone in the page: what the server says, what the reader does, and the audio between the two.
//
// The page makes the offer, when the reader takes a call; the microphone is asked for then and given back when
// the call is over. Muting happens here: what is not sent cannot be heard.

import { api } from './api';
import { Link, type LinkState } from './link';
import { now } from './now.svelte';

export type AgentState = 'away' | 'ready' | 'ringing' | 'talking';
export type MediaState = 'connecting' | 'connected' | 'lost' | 'failed';

export type Attention = 'listen' | 'whisper' | 'barge';

export interface Caller {
  aor: string | null;
  name: string | null;
}

/** Why the telephone cannot be used. */
export type Problem = 'insecure' | 'denied' | 'no_microphone' | 'busy_microphone' | 'refused' | 'missed';

interface Candidate {
  candidate: string;
  sdpMid?: string | null;
  sdpMLineIndex?: number | null;
}

type ToPage =
  | { type: 'ping' }
  | { type: 'hello'; agent: string; state: AgentState; dials: boolean; ice_servers: RTCIceServer[] }
  | { type: 'state'; state: AgentState }
  | { type: 'ring'; ring: number; from: Caller; called: string }
  | { type: 'stop_ringing'; ring: number; missed: boolean }
  | { type: 'answer'; sdp: string }
  | { type: 'candidate'; candidate: Candidate }
  | { type: 'talking'; call_id: string }
  | { type: 'media'; state: MediaState }
  | { type: 'held'; on: boolean }
  | { type: 'supervisor'; name: string; attention: Attention | null }
  | { type: 'supervising'; call_id: string; attention: Attention | null }
  | { type: 'replaced' }
  | { type: 'over' }
  | { type: 'refused'; why: string };

const KEYS = '0123456789*#';

export class Phone {
  state: AgentState = $state.raw('away');
  /** It rings. */
  ring: { ring: number; from: Caller; called: string } | null = $state.raw(null);
  /** The call that the reader is on. */
  call: { id: string | null; from: Caller; since: number } | null = $state.raw(null);
  media: MediaState = $state.raw('connecting');
  muted = $state.raw(false);
  held = $state.raw(false);
  /** Supervisors on the reader's call, and what they do there. */
  supervisors: { name: string; attention: Attention }[] = $state.raw([]);
  /** What the reader does on somebody else's call. */
  supervising: { call: string; attention: Attention } | null = $state.raw(null);
  problem: Problem | null = $state.raw(null);
  /** Another window of the same reader has the telephone. */
  elsewhere = $state.raw(false);
  /** Calls can be placed. */
  dials = $state.raw(false);
  link: LinkState = $state.raw({ at: 'connecting' });
  /** Told when a call has begun. */
  ontalking: (id: string) => void = () => {};

  #link: Link<ToPage> | null = null;
  #servers: RTCIceServer[] = [];
  #peer: RTCPeerConnection | null = null;
  #microphone: MediaStream | null = null;
  #waiting: Candidate[] = [];
  #speaker = new Audio();
  #tone = new RingTone();

  /** Opens the line, or takes it back from another window; gives the way to close it. */
  open(onLost: () => Promise<boolean>): () => void {
    this.#close();
    this.elsewhere = false;
    this.#link = new Link<ToPage>({
      address: api.phoneSocket,
      onMessage: (message) => this.#told(message),
      onState: (state) => (this.link = state),
      onLost,
    });
    return () => this.#close();
  }

  /** To be rung from now on, or not. */
  turn(ready: boolean): void {
    this.problem = ready ? microphoneProblem() : null;
    if (this.problem) return;
    this.#tone.wake();
    this.#link?.send({ type: ready ? 'ready' : 'away' });
  }

  async accept(): Promise<void> {
    const ringing = this.ring;
    if (!ringing) return;
    this.#tone.stop();
    const sdp = await this.#offer();
    if (sdp === null) {
      this.decline();
    } else if (this.ring !== ringing) {
      // The caller has given up meanwhile.
      this.#hangUp();
    } else {
      this.call = { id: null, from: ringing.from, since: now.ms };
      this.ring = null;
      this.#link?.send({ type: 'accept', ring: ringing.ring, sdp });
    }
  }

  /** Calls a number. */
  async dial(number: string): Promise<void> {
    const sdp = await this.#offer();
    if (sdp === null) return;
    this.call = { id: null, from: { aor: `sip:${number}`, name: null }, since: now.ms };
    this.#link?.send({ type: 'call', number, sdp });
  }

  /** Comes to somebody's call, or does something else there. */
  async supervise(call: string, attention: Attention): Promise<void> {
    if (this.supervising) {
      this.#link?.send({ type: 'supervise', call_id: call, attention, sdp: null });
      return;
    }
    const sdp = await this.#offer();
    if (sdp !== null) this.#link?.send({ type: 'supervise', call_id: call, attention, sdp });
  }

  /** Leaves somebody's call. */
  leave(): void {
    this.#link?.send({ type: 'leave' });
  }

  /** Opens the microphone and makes an offer; `null` when that cannot be done. */
  async #offer(): Promise<string | null> {
    this.problem = microphoneProblem();
    if (this.problem) return null;
    try {
      this.#microphone = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      this.problem = problemOf(error);
      return null;
    }
    const peer = new RTCPeerConnection({ iceServers: this.#servers });
    this.#peer = peer;
    this.media = 'connecting';
    this.muted = this.held = false;
    for (const track of this.#microphone.getAudioTracks()) peer.addTrack(track, this.#microphone);
    peer.ontrack = ({ streams, track }) => {
      this.#speaker.srcObject = streams[0] ?? new MediaStream([track]);
      void this.#speaker.play().catch(() => {});
    };
    peer.onicecandidate = ({ candidate }) => {
      if (candidate) this.#link?.send({ type: 'candidate', candidate: trimmed(candidate) });
    };
    const offer = await peer.createOffer();
    // The first candidate comes in a later task than this one's end: the offer is sent before it.
    await peer.setLocalDescription(offer);
    return offer.sdp ?? '';
  }

  decline(): void {
    if (this.ring) this.#link?.send({ type: 'decline', ring: this.ring.ring });
    this.#tone.stop();
  }

  hangUp(): void {
    this.#link?.send({ type: 'hang_up' });
  }

  hold(): void {
    this.#link?.send({ type: 'hold', on: !this.held });
  }

  mute(): void {
    this.muted = !this.muted;
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !this.muted;
  }

  /** Presses keys (RFC 4733). */
  press(keys: string): void {
    const sender = this.#peer?.getSenders().find((sender) => sender.dtmf?.canInsertDTMF);
    if ([...keys].every((key) => KEYS.includes(key))) sender?.dtmf?.insertDTMF(keys, 120, 70);
  }

  #told(message: ToPage): void {
    switch (message.type) {
      case 'hello':
        this.#servers = message.ice_servers;
        this.dials = message.dials;
        this.state = message.state;
        break;
      case 'state':
        this.state = message.state;
        break;
      case 'ring':
        this.ring = message;
        this.problem = null;
        this.#tone.start();
        break;
      case 'stop_ringing':
        this.#tone.stop();
        if (this.ring?.ring === message.ring) this.ring = null;
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
        this.ontalking(message.call_id);
        break;
      case 'media':
        this.media = message.state;
        break;
      case 'held':
        this.held = message.on;
        break;
      case 'supervisor': {
        const others = this.supervisors.filter(({ name }) => name !== message.name);
        const { name, attention } = message;
        this.supervisors = attention ? [...others, { name, attention }] : others;
        break;
      }
      case 'supervising':
        this.supervising = message.attention ? { call: message.call_id, attention: message.attention } : null;
        if (!this.supervising) this.#hangUp();
        break;
      case 'replaced':
        this.elsewhere = true;
        this.#close();
        break;
      case 'over':
        this.#hangUp();
        break;
      case 'refused':
        this.problem = 'refused';
        if (this.call?.id == null && !this.supervising) this.#hangUp();
        break;
      case 'ping':
        break;
    }
  }

  async #answered(sdp: string): Promise<void> {
    const peer = this.#peer;
    if (!peer) return;
    try {
      await peer.setRemoteDescription({ type: 'answer', sdp });
      for (const candidate of this.#waiting.splice(0)) await peer.addIceCandidate(candidate).catch(() => {});
    } catch {
      this.problem = 'refused';
      this.hangUp();
    }
  }

  #close(): void {
    this.#tone.stop();
    this.#hangUp();
    this.ring = null;
    this.state = 'away';
    this.#link?.close();
    this.#link = null;
  }

  #hangUp(): void {
    this.#peer?.close();
    this.#peer = null;
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    this.#microphone = null;
    this.#speaker.srcObject = null;
    this.#waiting = [];
    this.call = null;
    this.supervisors = [];
    this.muted = this.held = false;
  }
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

/** Two soft notes, every three seconds. */
class RingTone {
  #context: AudioContext | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;

  /** Browsers let a page be heard once its reader has done something. */
  wake(): void {
    this.#context ??= new AudioContext();
    void this.#context.resume().catch(() => {});
  }

  start(): void {
    this.stop();
    this.#once();
    this.#timer = setInterval(() => this.#once(), 3_000);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  #once(): void {
    const context = this.#context;
    if (!context || context.state !== 'running') return;
    for (const [at, frequency] of [
      [0, 587],
      [0.25, 440],
      [0.6, 587],
      [0.85, 440],
    ] as const) {
      const note = context.createOscillator();
      const volume = context.createGain();
      const begin = context.currentTime + at;
      note.frequency.value = frequency;
      volume.gain.setValueAtTime(0, begin);
      volume.gain.linearRampToValueAtTime(0.12, begin + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.001, begin + 0.4);
      note.connect(volume).connect(context.destination);
      note.start(begin);
      note.stop(begin + 0.45);
    }
  }
}

export const phone = new Phone();
