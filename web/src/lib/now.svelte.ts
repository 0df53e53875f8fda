// The time, for everything on the page that counts seconds. One timer for all; the server's clock counts, not
// the device's, which may be minutes off.

class Now {
  #ms = $state(Date.now());
  #ahead: number | null = null;

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.#tick();
    }, 250);
    document.addEventListener('visibilitychange', () => this.#tick());
  }

  /** The server's wall clock, in milliseconds since 1970. Moves four times a second. */
  get ms(): number {
    return this.#ms;
  }

  /** Learns from a ping. The message that took the shortest way tells the most. */
  learn(serverUnixMs: number): void {
    const ahead = serverUnixMs - Date.now();
    // Far from what was known: the device's clock was set anew.
    this.#ahead =
      this.#ahead === null || Math.abs(ahead - this.#ahead) > 5_000 ? ahead : Math.max(this.#ahead, ahead);
    this.#tick();
  }

  #tick(): void {
    this.#ms = Date.now() + (this.#ahead ?? 0);
  }
}

export const now = new Now();
