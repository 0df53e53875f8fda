// Keeps one call on the page true: fetches it, follows it while it is live, fills in what a snapshot lacks,
// and notices when it ends.

import { api, ApiError, type CallMessage, type CallSummary } from './api';
import { CallModel, Gap } from './call.svelte';
import { isCutShort } from './format';
import { Link, type LinkState } from './link';
import { now } from './now.svelte';
import { session } from './session.svelte';

export type Stage = 'loading' | 'ready' | 'missing' | 'failed';

export class CallPage {
  readonly model = new CallModel();
  stage: Stage = $state.raw('loading');
  error: ApiError | null = $state.raw(null);
  summary: CallSummary | null = $state.raw(null);
  /** There is a recording of what supervisors said, which the reader may hear. */
  supervisorsRecorded = $state.raw(false);
  link: LinkState = $state.raw({ at: 'closed' });
  /** Ended while the reader was looking. */
  endedHere = $state.raw(false);

  /** Ended a moment ago; its recording may not be whole yet. */
  finishing = $state.raw(false);

  #id: string;
  #link: Link<CallMessage> | null = null;
  /** The log could not be followed from where we were: the next connection asks for a snapshot. */
  #startOver = false;
  #over = new AbortController();

  constructor(id: string) {
    this.#id = id;
  }

  async open(): Promise<void> {
    if (this.stage !== 'failed') this.stage = 'loading';
    if (!(await this.#fetch())) return;
    this.stage = 'ready';
    if (this.model.ended) void this.#recall();
    else {
      this.#follow();
      void this.#recall();
    }
  }

  close(): void {
    this.#over.abort();
    this.#link?.close();
  }

  retryNow(): void {
    this.#link?.retryNow();
  }

  async #fetch(): Promise<boolean> {
    try {
      const { call, state, supervisors_recorded } = await api.call(this.#id, this.#over.signal);
      this.summary = call;
      this.supervisorsRecorded = supervisors_recorded ?? false;
      this.model.load(state);
      return true;
    } catch (error) {
      if (this.#over.signal.aborted) return false;
      if (!(error instanceof ApiError)) throw error;
      session.noticed(error);
      this.error = error;
      this.stage = error.status === 404 || error.status === 400 ? 'missing' : 'failed';
      return false;
    }
  }

  #follow(): void {
    this.#link = new Link<CallMessage>({
      address: () => api.callSocket(this.#id, this.#startOver ? null : this.model.seq),
      onMessage: (message) => this.#message(message),
      onState: (state) => (this.link = state),
      onLost: () => this.#worthRetrying(),
    });
  }

  #message(message: CallMessage): void {
    switch (message.type) {
      case 'ping':
        now.learn(message.at_unix_ms);
        break;
      case 'snapshot':
        this.#startOver = false;
        this.model.load(message.state);
        void this.#recall();
        break;
      case 'event':
        try {
          this.model.apply(message.event);
        } catch (error) {
          if (error instanceof Gap) this.#startOver = true;
          throw error;
        }
        break;
      case 'end':
        void this.#ended();
        break;
    }
  }

  async #ended(): Promise<void> {
    this.#link?.close();
    let loaded = false;
    this.endedHere = this.finishing = true;
    // The last seconds of the recording may still be on their way to the disk.
    for (const wait of [0, 1_000, 2_000, 4_000]) {
      await new Promise((then) => setTimeout(then, wait));
      if (this.#over.signal.aborted) return;
      try {
        const { call, state, supervisors_recorded } = await api.call(this.#id, this.#over.signal);
        this.summary = call;
        this.supervisorsRecorded = supervisors_recorded ?? false;
        // After a crash the server may know less of the call than this page was told; what it kept is what counts.
        if (state.ended && !loaded && (!this.model.ended || isCutShort(state.ended.reason))) {
          loaded = true;
          this.model.load(state);
          void this.#recall();
        }
        if (call.recording && this.model.ended) break;
      } catch (error) {
        session.noticed(error);
      }
    }
    this.finishing = false;
  }

  /** Whether a connection that brought nothing may bring something later. */
  async #worthRetrying(): Promise<boolean> {
    try {
      await api.call(this.#id, this.#over.signal);
      return true;
    } catch (error) {
      if (this.#over.signal.aborted) return false;
      session.noticed(error);
      if (!(error instanceof ApiError)) return true;
      if (error.status === 404) this.stage = 'missing';
      return error.status !== 404 && error.status !== 401 && error.status !== 403;
    }
  }

  async #recall(): Promise<void> {
    try {
      for await (const event of api.events(this.#id, 0, this.#over.signal)) {
        if (event.seq > this.model.seq) break;
        this.model.recall(event);
      }
    } catch {
      // The words are there; without their history the page is poorer, not wrong.
    }
  }
}
