// Messages to contacts: all of them, those of one call, or those to one contact.

import { api, type FollowUp, type FollowUpFields, type FollowUpState, type MessageChannel } from './api';
import { Book } from './contacts.svelte';

export class FollowUps extends Book {
  /** Absent until they are fetched. */
  rows: FollowUp[] | null = $state.raw(null);
  /** By what messages can be sent. */
  channels: MessageChannel[] = $state.raw([]);
  /** Where the next page begins. */
  next: string | null = $state.raw(null);
  /** Only those in this state; otherwise all. */
  shown: FollowUpState | null = $state.raw(null);
  readonly #about: Record<string, string>;
  /** Pages that are shown. */
  #pages = 1;

  constructor(about: Record<string, string>, shown: FollowUpState | null = null) {
    super();
    this.#about = about;
    this.shown = shown;
    this.fetch = (signal) => this.#load(signal);
  }

  show(shown: FollowUpState): Promise<void> {
    this.shown = shown;
    this.#pages = 1;
    return this.ask();
  }

  more(): Promise<void> {
    this.#pages++;
    return this.ask();
  }

  async #load(signal: AbortSignal): Promise<void> {
    const about = { ...this.#about, ...(this.shown === null ? {} : { state: this.shown }) };
    const rows: FollowUp[] = [];
    let channels: MessageChannel[] = [];
    let next: string | null = null;
    for (let page = 0; page < this.#pages; page++) {
      const found = await api.followUps(next === null ? about : { ...about, before: next }, signal);
      rows.push(...found.follow_ups);
      channels = found.channels;
      next = found.next ?? null;
      if (next === null) break;
    }
    if (signal.aborted) return;
    this.rows = rows;
    this.channels = channels;
    this.next = next;
  }

  add(contact: string, fields: FollowUpFields): Promise<boolean> {
    return this.change(() => api.addFollowUp(contact, fields));
  }

  /** In the place of the version that was seen; it has to be approved again. */
  save({ id }: FollowUp, fields: FollowUpFields, seen: number): Promise<boolean> {
    return this.change(() => api.changeFollowUp(id, seen, fields));
  }

  decide({ id, version }: FollowUp, what: 'approve' | 'dismiss'): Promise<boolean> {
    return this.change(() => api.decideFollowUp(id, version, what));
  }

  /** Somebody has found out whether it was sent. */
  resolve({ id, version }: FollowUp, sent: boolean): Promise<boolean> {
    return this.change(() => api.resolveFollowUp(id, version, sent));
  }
}
