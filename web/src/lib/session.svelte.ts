// Who is signed in, and how the server is doing.

import { api, ApiError, type Status, type User } from './api';

class Session {
  /** Not asked yet. */
  asking = $state.raw(true);
  user: User | null = $state.raw(null);
  /** Signed out by the server, not by the reader. */
  expired = $state.raw(false);
  /** The server could not be asked who is signed in. */
  unreachable = $state.raw(false);
  /** It could, and its database could not. */
  storeless = $state.raw(false);

  /** Takes calls, or comes to others', and works with those who call: everybody but reviewers, who judge what is over. */
  get works(): boolean {
    return this.user !== null && this.user.role !== 'reviewer';
  }

  /** May come to others' calls. */
  get supervises(): boolean {
    return this.user?.role === 'supervisor' || this.user?.role === 'admin';
  }

  /** May say how good others' calls were. */
  get judges(): boolean {
    return this.user !== null && this.user.role !== 'agent';
  }

  /** Looks after the installation. */
  get administers(): boolean {
    return this.user?.role === 'admin';
  }

  async ask(): Promise<void> {
    try {
      this.user = await api.session();
      this.unreachable = this.storeless = false;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.unreachable = error.status !== 401;
      this.storeless = error.storeless;
      if (error.status === 401) this.#gone();
    } finally {
      this.asking = false;
    }
  }

  async signIn(name: string, password: string): Promise<void> {
    this.user = await api.signIn(name, password);
    this.expired = this.unreachable = this.storeless = false;
  }

  async signOut(): Promise<void> {
    try {
      await api.signOut();
    } catch {
      // Without an answer the cookie stays; the page forgets all the same.
    }
    this.user = null;
  }

  /** To be told of every failed request: a 401 means that the session is over. */
  noticed(error: unknown): void {
    if (error instanceof ApiError && error.status === 401) this.#gone();
  }

  /** The same, for who says why a request failed; anything else that went wrong goes on. */
  refused(error: unknown): ApiError {
    this.noticed(error);
    if (!(error instanceof ApiError)) throw error;
    return error;
  }

  #gone(): void {
    this.expired = this.user !== null;
    this.user = null;
  }
}

export const session = new Session();

export type Health = 'unknown' | 'ok' | 'behind' | 'deaf' | 'unrecorded' | 'unkept' | 'unreachable';

const ASK_EVERY_MS = 10_000;
const NOTHING = { store: false, recording: false, disk: false };

class ServerHealth {
  status: Status | null = $state.raw(null);
  health: Health = $state.raw('unknown');
  /** What calls do without just now. */
  lacks: { store: boolean; recording: boolean; disk: boolean } = $state.raw(NOTHING);

  /** Asks now and then while the page is looked at; gives the way to stop. */
  watch(): () => void {
    const ask = () => {
      if (!document.hidden) void this.#ask();
    };
    ask();
    const timer = setInterval(ask, ASK_EVERY_MS);
    document.addEventListener('visibilitychange', ask);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', ask);
    };
  }

  async #ask(): Promise<void> {
    try {
      this.status = await api.status();
      const { store, recording, disk } = this.status.degraded ?? {};
      this.lacks = { store: !!store, recording: !!recording, disk: !!disk };
      this.health = healthOf(this.status);
    } catch (error) {
      session.noticed(error);
      if (!(error instanceof ApiError)) return;
      this.lacks = { ...NOTHING, store: error.storeless };
      this.health = error.storeless ? 'unkept' : error.unreachable ? 'unreachable' : 'unknown';
    }
  }
}

/** What matters most of what is wrong. */
function healthOf({ degraded, speech }: Status): Health {
  if (degraded?.['store']) return 'unkept';
  if (degraded?.['recording']) return 'unrecorded';
  if (degraded?.['speech']) return 'deaf';
  const late = speech?.shedding === 'late_finals' || speech?.shedding === 'no_partials';
  return late ? 'behind' : 'ok';
}

export const server = new ServerHealth();
