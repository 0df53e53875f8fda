// What is written down: the documents as they are kept, and what a question finds in them.

import { api, type ApiError, type DocumentList, type FoundPassage, type Role } from './api';
import { every } from './every';
import { ltr, t } from './i18n/index.svelte';
import { reasonOf } from './names';
import { session } from './session.svelte';

/** How often it is asked whether what is new has been read, or the server is back. */
const ASK_AGAIN_MS = 1_500;

const PROBLEMS = [
  'kind',
  'unreadable',
  'too_large',
  'full',
  'name_taken',
  'in_folder',
  'invalid',
  'not_found',
  'too_many_attempts',
] as const;

/** Why something was not done with the document of this name. */
function problemOf(error: ApiError, name: string): string {
  const known = PROBLEMS.find((one) => one === error.code);
  return known ? t(`knowledge.problem.${known}`, { name, why: ltr(error.message) }) : reasonOf(error);
}

export class Documents {
  /** Absent until it is fetched. */
  list: DocumentList | null = $state.raw(null);
  /** Why it could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  /** Why the last thing that was asked for was not done. */
  problem = $state.raw('');
  /** What is being uploaded. */
  uploading: string | null = $state.raw(null);
  /** What the last question found; absent until one is asked. */
  found: FoundPassage[] | null = $state.raw(null);
  /** A question is being looked up. */
  looking = $state.raw(false);

  /** Keeps the list true while it is looked at; gives the way to stop. */
  watch(): () => void {
    const ask = (gone: AbortSignal) => void this.ask(gone);
    return every(ASK_AGAIN_MS, ask, (gone) => {
      const isNew = this.list?.documents.some(({ state }) => state === 'words') ?? false;
      if (!document.hidden && (this.failed || isNew)) ask(gone);
    });
  }

  async ask(signal?: AbortSignal): Promise<void> {
    try {
      this.list = await api.documents(signal);
      this.failed = null;
    } catch (error) {
      if (signal?.aborted) return;
      this.failed = session.refused(error);
    }
  }

  async search(query: string): Promise<void> {
    this.looking = true;
    await this.#tried(query, async () => {
      this.found = await api.search(query);
    });
    this.looking = false;
  }

  /** One after the other, until one is refused. */
  async upload(files: Iterable<File>, roles: Role[], teams: string[], tickets: boolean): Promise<boolean> {
    for (const file of files) {
      this.uploading = file.name;
      if (!(await this.#tried(file.name, () => api.uploadDocument(file, roles, teams, tickets)))) break;
    }
    this.uploading = null;
    await this.ask();
    return this.problem === '';
  }

  async remove(id: string): Promise<boolean> {
    await this.#tried(id, () => api.removeDocument(id));
    await this.ask();
    return this.problem === '';
  }

  async #tried(name: string, what: () => Promise<void>): Promise<boolean> {
    this.problem = '';
    try {
      await what();
    } catch (error) {
      this.problem = problemOf(session.refused(error), name);
    }
    return this.problem === '';
  }
}
