// Contacts, as they are listed and looked at one by one. What is changed says which version was seen.

import {
  api,
  ApiError,
  type Company,
  type ContactStage,
  type Imported,
  type Lead,
  type LeadFields,
  type Task,
  type TaskFields,
  type TaskState,
  type TimelineEntry,
} from './api';
import { every } from './every';
import { ltr, t } from './i18n/index.svelte';
import { reasonOf } from './names';
import { session } from './session.svelte';

const ASK_EVERY_MS = 5_000;
/** Tasks that are listed. */
const TASKS = '20';

const PROBLEMS = ['number_taken', 'reference_taken', 'on_a_call', 'changed_meanwhile', 'not_possible', 'opted_out', 'not_found', 'invalid'] as const;

/** Why something was not done, as a reader understands it. */
function problemOf(error: ApiError): string {
  const known = PROBLEMS.find((one) => one === error.code);
  return known ? t(`contacts.problem.${known}`, { why: ltr(error.message) }) : reasonOf(error);
}

/** Which tasks are listed: what is due by now, all that the reader may do, everybody's, or what is proposed. */
export type Todo = 'due' | 'mine' | 'open' | 'proposed';

/** What is common to all that is kept of contacts: tasks, and what went wrong. */
export class Book {
  tasks: Task[] = $state.raw([]);
  /** Those that contacts may belong to. */
  companies: Company[] = $state.raw([]);
  /** Why it could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  /** Why the last thing that was asked for was not done. */
  problem = $state.raw('');
  /** The same for the page; null where it was done. */
  protected refusal: ApiError | null = null;
  /** Something is being changed. */
  busy = $state.raw(false);

  /** Keeps it true while it is looked at; gives the way to stop. */
  watch(): () => void {
    const stop = every(ASK_EVERY_MS, () => {
      if (!document.hidden && !this.busy) void this.ask();
    });
    return () => {
      stop();
      this.#asking.abort();
    };
  }

  /** What is fetched, and where it goes. */
  fetch: (signal: AbortSignal) => Promise<void> = async () => {};
  /** What was asked before is old news. */
  #asking = new AbortController();

  async ask(): Promise<void> {
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      await this.fetch(signal);
      if (!signal.aborted) this.failed = null;
    } catch (error) {
      if (!signal.aborted) this.failed = session.refused(error);
    }
  }

  /** Changes something, and shows what there is then; whether it was done. */
  async change(what: () => Promise<unknown>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.problem = '';
    this.refusal = null;
    try {
      await what();
    } catch (error) {
      this.refusal = session.refused(error);
      this.problem = problemOf(this.refusal);
    }
    this.busy = false;
    await this.ask();
    return this.problem === '';
  }

  /** A task is accepted, dismissed or done. */
  put(task: Task, state: TaskState): Promise<boolean> {
    const { id, version, type, title, channel, to, due_at_unix_ms, priority, assignee } = task;
    const fields: TaskFields = {
      type,
      ...(title === undefined ? {} : { title }),
      ...(channel === undefined ? {} : { channel }),
      ...(to === undefined ? {} : { to }),
      ...(due_at_unix_ms === undefined ? {} : { due_at_unix_ms }),
      ...(priority === undefined ? {} : { priority }),
      ...(assignee === undefined ? {} : { assignee }),
    };
    return this.change(() => api.changeTask(id, version, state, fields));
  }
}

export class Contacts extends Book {
  /** Absent until they are fetched. */
  leads: Lead[] | null = $state.raw(null);
  /** Where the next page begins. */
  next: string | null = $state.raw(null);
  query = $state.raw('');
  stage: ContactStage | null = $state.raw(null);
  /** Only those of this company. */
  company: string | null = $state.raw(null);
  todo: Todo = $state.raw('mine');
  /** There are more tasks than are listed. */
  hasMoreTasks = $state.raw(false);
  /** Pages that are shown. */
  #pages = 1;
  #taskPages = 1;

  constructor() {
    super();
    this.fetch = (signal) => this.#load(signal);
  }

  find(query: string, stage: ContactStage | null): Promise<void> {
    this.query = query;
    this.stage = stage;
    this.#pages = 1;
    return this.ask();
  }

  /** Lists those of a company alone, or all. */
  choose(company: string | null): Promise<void> {
    this.company = company;
    this.#pages = 1;
    return this.ask();
  }

  more(): Promise<void> {
    this.#pages++;
    return this.ask();
  }

  list(todo: Todo): Promise<void> {
    this.todo = todo;
    this.#taskPages = 1;
    return this.ask();
  }

  moreTasks(): Promise<void> {
    this.#taskPages++;
    return this.ask();
  }

  async #load(signal: AbortSignal): Promise<void> {
    const { query, stage, company } = this;
    const about: Record<string, string> = {};
    if (query) about['q'] = query;
    if (stage) about['stage'] = stage;
    if (company) about['company_id'] = company;
    const leads: Lead[] = [];
    let next: string | null = null;
    for (let page = 0; page < this.#pages; page++) {
      const found = await api.leads(about, signal);
      leads.push(...found.leads);
      next = found.next ?? null;
      if (next === null) break;
      about['before'] = next;
    }
    const which: Record<string, string> = { order: 'priority', limit: TASKS };
    which['state'] = this.todo === 'proposed' ? 'proposed' : 'open';
    if (this.todo === 'mine' || this.todo === 'due') which['mine'] = 'true';
    if (this.todo === 'due') which['due_by_unix_ms'] = String(Date.now());
    const tasks: Task[] = [];
    let hasMore = false;
    for (let page = 0; page < this.#taskPages; page++) {
      const found = await api.tasks(which, signal);
      tasks.push(...found.tasks);
      hasMore = found.next !== undefined;
      if (found.next === undefined) break;
      which['after'] = found.next;
    }
    const companies = await api.companies(signal);
    if (signal.aborted) return;
    this.leads = leads;
    this.next = next;
    this.companies = companies;
    this.tasks = tasks;
    this.hasMoreTasks = hasMore;
  }

  addCompany(name: string, phones: string[]): Promise<boolean> {
    return this.change(() => api.addCompany(name, phones));
  }

  removeCompany(company: Company): Promise<boolean> {
    if (this.company === company.id) this.company = null;
    return this.change(() => api.removeCompany(company));
  }

  /** Adds what is in a table, and says what became of it. */
  async import(what: () => Promise<Imported>): Promise<Imported | null> {
    let imported: Imported | null = null;
    await this.change(async () => {
      imported = await what();
    });
    return imported;
  }

  /** Adds a contact and says which one it is. */
  async add(fields: LeadFields): Promise<string | null> {
    let id: string | null = null;
    await this.change(async () => {
      id = (await api.addLead(fields)).id;
    });
    return id;
  }
}

export class ContactPage extends Book {
  readonly id: string;
  /** Absent until it is fetched. */
  lead: Lead | null = $state.raw(null);
  timeline: TimelineEntry[] = $state.raw([]);
  /** There is no such contact. */
  missing = $state.raw(false);
  /** Another contact, which has a number that was to be this one's. */
  twin: Lead | null = $state.raw(null);
  /** Where the next page of the timeline begins. */
  #next: string | null = $state.raw(null);

  constructor(id: string) {
    super();
    this.id = id;
    this.fetch = (signal) => this.#load(signal);
  }

  async #load(signal: AbortSignal): Promise<void> {
    try {
      const [lead, companies, timeline, proposed, open] = await Promise.all([
        api.lead(this.id, signal),
        api.companies(signal),
        api.timeline(this.id, null, signal),
        api.tasks({ lead_id: this.id, state: 'proposed', limit: TASKS }, signal),
        api.tasks({ lead_id: this.id, state: 'open', limit: TASKS }, signal),
      ]);
      if (signal.aborted) return;
      this.lead = lead;
      this.companies = companies;
      const newest = timeline.communication;
      const last = newest.at(-1)?.at_unix_ms ?? 0;
      // What was fetched of older pages stays below, as long as there are any.
      const older = timeline.next === undefined ? [] : this.timeline.filter((one) => one.at_unix_ms < last);
      this.timeline = [...newest, ...older];
      if (older.length === 0) this.#next = timeline.next ?? null;
      this.tasks = [...proposed.tasks, ...open.tasks];
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.missing = true;
      throw error;
    }
  }

  /** There is more of the timeline. */
  get hasMore(): boolean {
    return this.#next !== null;
  }

  async more(): Promise<void> {
    if (this.#next === null) return;
    const before = this.#next;
    await this.change(async () => {
      const page = await api.timeline(this.id, before);
      this.timeline = [...this.timeline, ...page.communication];
      this.#next = page.next ?? null;
    });
  }

  /** In the place of the version that was seen. */
  async save(fields: LeadFields, seen: number): Promise<boolean> {
    this.twin = null;
    const saved = await this.change(() => api.changeLead(this.id, seen, fields));
    if (this.refusal?.code === 'number_taken') this.twin = await this.#whose(fields.phones);
    return saved;
  }

  /** The other contact that has one of these numbers. */
  async #whose(phones: string[]): Promise<Lead | null> {
    try {
      for (const phone of phones) {
        const { leads } = await api.leads({ phone, limit: '1' });
        const other = leads.find(({ id }) => id !== this.id);
        if (other) return other;
      }
    } catch (error) {
      session.refused(error);
    }
    return null;
  }

  /** The other contact is the same person: this one has all that is known of both, and the other is no more. */
  async merge(other: Lead): Promise<boolean> {
    const { lead } = this;
    if (!lead) return false;
    const merged = await this.change(() => api.mergeLeads(lead, other));
    if (merged) this.twin = null;
    return merged;
  }

  setStage(stage: ContactStage): Promise<boolean> {
    const { lead } = this;
    return lead ? this.save({ ...fieldsOf(lead), stage }, lead.version) : Promise.resolve(false);
  }

  note(content: string): Promise<boolean> {
    return this.change(() => api.addNote(this.id, content));
  }

  addTask(fields: TaskFields): Promise<boolean> {
    return this.change(() => api.addTask(this.id, fields));
  }

  /** They are forgotten with all their calls; false where some of them are left. */
  async erase(): Promise<boolean> {
    let left = 0;
    const erased = await this.change(async () => {
      left = (await api.eraseLead(this.id)).left;
    });
    if (left > 0) this.problem = t('person.left', { n: left });
    return erased && left === 0;
  }

  remove(): Promise<boolean> {
    const { lead } = this;
    return lead ? this.change(() => api.removeLead(this.id, lead.version)) : Promise.resolve(false);
  }
}

/** What of a contact people write down. */
export function fieldsOf(lead: Lead): LeadFields {
  const { kind, stage, name, phones, email, company_id, owner, notes, fields } = lead;
  return {
    kind,
    stage,
    name,
    phones,
    notes,
    fields,
    ...(email === undefined ? {} : { email }),
    ...(company_id === undefined ? {} : { company_id }),
    ...(owner === undefined ? {} : { owner }),
  };
}
