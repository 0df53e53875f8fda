// Teams: who is in which, and what each sees that others do not, as admins decide it.

import { api, type ApiError, type ListedDocument, type Person, type Team, type Teams } from './api';
import { every } from './every';
import { ltr, t } from './i18n/index.svelte';
import { reasonOf } from './names';
import { session } from './session.svelte';

const ASK_EVERY_MS = 10_000;

const PROBLEMS = ['name_taken', 'in_configuration', 'in_folder', 'invalid', 'not_found'] as const;

function problemOf(error: ApiError): string {
  const known = PROBLEMS.find((one) => one === error.code);
  return known ? t(`teams.problem.${known}`, { why: ltr(error.message) }) : reasonOf(error);
}

export class TeamBook {
  /** Absent until they are fetched. */
  list: Teams | null = $state.raw(null);
  /** Why they could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  /** Why the last thing that was asked for was not done. */
  problem = $state.raw('');
  /** Something is being changed. */
  busy = $state.raw(false);

  /** Keeps them true while they are looked at; gives the way to stop. */
  watch(): () => void {
    return every(ASK_EVERY_MS, (gone) => {
      if (!document.hidden && !this.busy) void this.ask(gone);
    });
  }

  async ask(signal?: AbortSignal): Promise<void> {
    try {
      this.list = await api.teams(signal);
      this.failed = null;
    } catch (error) {
      if (!signal?.aborted) this.failed = session.refused(error);
    }
  }

  membersOf({ name }: Team): Person[] {
    return this.list?.people.filter(({ team }) => team === name) ?? [];
  }

  /** Those who could be put into it. */
  othersThan({ name }: Team): Person[] {
    return this.list?.people.filter(({ team, disabled }) => team !== name && !disabled) ?? [];
  }

  /** What is for this team, perhaps with others. */
  seenBy({ name }: Team): ListedDocument[] {
    return this.list?.documents.filter(({ teams }) => teams.includes(name)) ?? [];
  }

  /** Puts somebody into a team; without a name into none. */
  put(person: string, team: string): Promise<boolean> {
    return this.#tried(() => api.putIntoTeam(person, team));
  }

  rename({ name }: Team, to: string): Promise<boolean> {
    return this.#tried(() => api.renameTeam(name, to));
  }

  /** Has a document be for these teams alone; for all without any. */
  show({ id }: ListedDocument, teams: string[]): Promise<boolean> {
    return this.#tried(() => api.showDocument(id, teams));
  }

  async #tried(what: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.problem = '';
    try {
      await what();
    } catch (error) {
      this.problem = problemOf(session.refused(error));
    }
    this.busy = false;
    await this.ask();
    return this.problem === '';
  }
}
