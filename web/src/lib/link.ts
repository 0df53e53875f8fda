// A WebSocket that comes back. What it carries is resumable, so coming back loses nothing: whoever owns the
// link says in `address` where to go on. Time, chance and the socket itself are passed in, so that tests
// neither wait nor guess.

import { after } from './timer';

/** Where a link stands. */
export type LinkState =
  | { at: 'connecting' }
  | { at: 'live' }
  /** Gone; tried again at `retryAt` (`Env.now` time). `offline`: the device itself says it has no network. */
  | { at: 'waiting'; retryAt: number; offline: boolean }
  /** Being tried again. */
  | { at: 'retrying' }
  /** Over: closed by us, or given up because `onLost` said so. */
  | { at: 'closed' };

/** The part of `WebSocket` that a link needs. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(): void;
}

/** The world outside. */
export interface Env {
  open(address: string): Socket;
  now(): number;
  after(ms: number, then: () => void): () => void;
  random(): number;
  online(): boolean;
  onNetwork(then: () => void): () => void;
}

export interface LinkOptions<M> {
  /** Asked at every attempt. */
  address: () => string;
  /** Throwing means that something is missing or cannot be read: the link starts anew. */
  onMessage: (message: M) => void;
  onState: (state: LinkState) => void;
  /** Called after an attempt that brought nothing; `false` gives up (signed out, no such call). */
  onLost?: () => Promise<boolean>;
}

/** The server sends something at least every 5 s; a connection silent for longer than this is dead. */
export const SILENCE_MS = 12_500;
/** How often at most the timer for that is set: a list hears hundreds of messages a second. */
const WATCHED_EVERY_MS = 1_000;
/** A connection that lasted this long was a good one: the next loss starts again with the shortest wait. */
const GOOD_MS = 3_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** How long to wait before attempt `n` (from 0): doubling, half of it by chance, so that screens that lost
 * the same server do not all come back in the same instant. */
export function backoff(n: number, random: number): number {
  const full = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(n, 16));
  return Math.round(full * (0.5 + random / 2));
}

export class Link<M> {
  #options: LinkOptions<M>;
  #env: Env;
  #socket: Socket | null = null;
  #attempt = 0;
  #heard = false;
  #openedAt = 0;
  #watchedAt = 0;
  #closed = false;
  #cancelTimer: () => void = () => {};
  #forgetNetwork: () => void;

  constructor(options: LinkOptions<M>, env: Env = browser) {
    this.#options = options;
    this.#env = env;
    this.#forgetNetwork = env.onNetwork(() => this.#networkChanged());
    this.#connect({ at: 'connecting' });
  }

  /** Tries at once instead of when the wait is over. */
  retryNow(): void {
    if (this.#closed || this.#socket) return;
    this.#connect({ at: 'retrying' });
  }

  /** Connects anew although nothing seems to be wrong: what is sent into a network that is gone is lost without a
   * word. */
  renew(): void {
    if (this.#closed || !this.#heard) return;
    this.#connect({ at: 'retrying' });
  }

  /** Says something, if there is anybody to hear it: what is said while the link is away is lost. */
  send(message: unknown): void {
    if (this.#heard) this.#socket?.send(JSON.stringify(message));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forgetNetwork();
    this.#drop();
    this.#options.onState({ at: 'closed' });
  }

  #connect(state: LinkState): void {
    this.#drop();
    this.#options.onState(state);
    this.#heard = false;
    this.#openedAt = this.#env.now();
    let socket: Socket;
    try {
      socket = this.#env.open(this.#options.address());
    } catch {
      void this.#lost();
      return;
    }
    this.#socket = socket;
    const current = () => this.#socket === socket && !this.#closed;
    socket.onmessage = ({ data }) => {
      if (current()) this.#message(data);
    };
    socket.onclose = () => {
      if (current()) void this.#lost();
    };
    socket.onerror = () => {
      if (current()) void this.#lost();
    };
    this.#watch();
  }

  #message(data: unknown): void {
    // A clock may be set back.
    if (Math.abs(this.#env.now() - this.#watchedAt) >= WATCHED_EVERY_MS) this.#watch();
    try {
      this.#options.onMessage(JSON.parse(String(data)) as M);
    } catch {
      void this.#lost();
      return;
    }
    if (this.#closed) return;
    if (this.#env.now() - this.#openedAt >= GOOD_MS) this.#attempt = 0;
    if (!this.#heard) {
      this.#heard = true;
      this.#options.onState({ at: 'live' });
    }
  }

  #watch(): void {
    this.#watchedAt = this.#env.now();
    this.#cancelTimer();
    this.#cancelTimer = this.#env.after(SILENCE_MS, () => void this.#lost());
  }

  async #lost(): Promise<void> {
    const heard = this.#heard;
    this.#drop();
    const wait = backoff(this.#attempt++, this.#env.random());
    this.#options.onState({ at: 'waiting', retryAt: this.#env.now() + wait, offline: !this.#env.online() });
    this.#cancelTimer = this.#env.after(wait, () => this.#connect({ at: 'retrying' }));
    if (!heard && this.#options.onLost && !(await this.#options.onLost())) this.close();
  }

  // What the device says about its network is a hint, never a verdict: Sotto may run on the same machine.
  #networkChanged(): void {
    if (this.#closed) return;
    this.#attempt = 0;
    if (this.#env.online()) this.retryNow();
    else void this.#lost();
  }

  #drop(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }
}

const browser: Env = {
  open: (address) => new WebSocket(address) as Socket,
  now: () => Date.now(),
  after,
  random: () => Math.random(),
  online: () => navigator.onLine,
  onNetwork(then) {
    window.addEventListener('online', then);
    window.addEventListener('offline', then);
    return () => {
      window.removeEventListener('online', then);
      window.removeEventListener('offline', then);
    };
  },
};
