// One call as the page shows it: the events of its log, turned into lines on a screen one at a time.
//
// Mirrors `CallState::apply` of crates/call, and keeps besides what only a screen wants: the text a revision
// replaced, keys pressed, pauses and losses in their place. Each event costs the same however long the call is:
// a new line goes (almost always) to the end, and words change only inside the line they belong to.

import { FORMAT_VERSION, MASK, MOST_OPEN_CARDS } from './generated/call';
import type {
  Attention,
  CallEnded,
  CallEvent,
  CallStarted,
  CallState,
  Card,
  CardNotShown,
  ChecklistItem,
  Consent,
  Entities,
  Intent,
  LostTo,
  Millis,
  Mood,
  Participant,
  Party,
  Prompt,
  PromptKind,
  Quote,
  Redacted,
  Secret,
  Shedding,
  Step,
  Talk,
  Utterance,
  UtteranceId,
} from './generated/call';
import { isSameStep, put } from './understood';

/** An utterance on the screen. */
export class Line {
  readonly key: string;
  readonly party: Party;
  /** Where it stands; fixed when it appears, so that a line never changes places. */
  readonly at: Millis;
  /** The newest text. */
  now: Utterance = $state.raw() as Utterance;
  /** The text that the newest revision replaced. */
  was: string | null = $state.raw(null);
  /** The revision arrived while the page was open, so it is shown arriving. */
  fresh = $state.raw(false);
  /** First of its speaker's turn. */
  head = $state.raw(true);
  /** What was taken out of it. */
  removed: readonly Secret[] = $state.raw([]);

  constructor(utterance: Utterance, removed: readonly Secret[] = []) {
    this.removed = removed;
    this.key = `u${utterance.utterance_id}`;
    this.party = utterance.party;
    this.at = utterance.start_ms;
    this.now = utterance;
  }
}

export type NoticeBody =
  | { kind: 'paused' | 'resumed' | 'left'; party: Party | null }
  | { kind: 'dtmf'; party: Party; digits: string }
  | { kind: 'joined'; party: null; name: string }
  | { kind: 'transferred'; party: Party; to: string }
  | { kind: 'supervisor'; party: null; name: string; attention: Attention | null }
  | { kind: 'audio_lost'; party: Party; to: LostTo; lost_ms: Millis };

/** Something other than words that happened, in its place between the words. */
export class Notice {
  readonly key: string;
  readonly at: Millis;
  body: NoticeBody = $state.raw() as NoticeBody;
  /** When the newest thing it tells of happened. */
  until: Millis;

  constructor(seq: number, at: Millis, body: NoticeBody) {
    this.key = `n${seq}`;
    this.at = at;
    this.until = at;
    this.body = body;
  }
}

export type Item = Line | Notice;

/** Events were skipped: what follows cannot be applied. */
export class Gap extends Error {}

/** Keys and losses closer together than this are told as one. */
const TOGETHER_MS = 4_000;
/** Latency is the median of this many of the newest utterance events. */
const LATENCIES = 24;

export class CallModel {
  seq = 0;
  started: CallStarted | null = $state.raw(null);
  ended: CallEnded | null = $state.raw(null);
  legs: [Party, string][] = $state.raw([]);
  shedding: Shedding = $state.raw('none');
  behindMs: Millis = $state.raw(0);
  paused: Party[] = $state.raw([]);
  /** Median time from the last sample heard to the words, null before the first words. */
  latencyMs: Millis | null = $state.raw(null);
  /** The newest moment of the call's clock that anything is known about. */
  heardMs: Millis = $state.raw(0);
  /** The newest final text, for those who hear the page. */
  said: { line: Line; text: string } | null = $state.raw(null);
  /** Lines whose words are still coming. */
  open: Line[] = $state.raw([]);
  /** Grows with every final, revision and removal: what is drawn from settled words is drawn anew. */
  settled = $state.raw(0);
  /** The language last recognised. */
  language: string | null = $state.raw(null);
  /** The customer's mood, utterance by utterance. */
  moods: Mood[] = $state.raw([]);
  /** Whether the customer agrees that it is read, where somebody has said so. */
  consent: Consent | null = $state.raw(null);
  /** What the customer wanted, utterance by utterance. */
  intents: Intent[] = $state.raw([]);
  /** What was named, utterance by utterance. */
  entities: Entities[] = $state.raw([]);
  /** The newest prompt, until it is answered; it may have expired. */
  prompt: Prompt | null = $state.raw(null);
  /** The cards that stand, the oldest first; they may have expired. */
  cards: Card[] = $state.raw([]);
  /** Steps of written procedures that are done. */
  steps: Step[] = $state.raw([]);
  /** What was looked up and is not shown, utterance by utterance. */
  cardsNotShown: CardNotShown[] = $state.raw([]);
  /** What must be said on this call. */
  checklist: ChecklistItem[] = $state.raw([]);
  /** How the call's time went, once it is over. */
  talk: Talk | null = $state.raw(null);
  /** Milliseconds of final speech. */
  spoken: Record<Party, Millis> = $state({ agent: 0, customer: 0, other: 0 });
  /** Written by a newer Sotto than this page was built for. */
  tooNew = $state.raw(false);

  /** Who took part from when on, oldest first. */
  #people: { from: Millis; participants: Participant[] }[] = $state.raw([]);

  // A plain list and a count of its changes: a list that watched each of its places would cost more than the
  // words themselves.
  #items: Item[] = [];
  #changes = $state.raw(0);
  #lines = new Map<number, Line>();
  /** What was taken out of utterances. */
  #removed = new Map<number, readonly Secret[]>();
  #told = new Set<number>();
  #latencies: Millis[] = [];

  /** Starts over from a snapshot. */
  load(state: CallState): void {
    this.seq = state.seq;
    this.#start(state.started);
    this.#people = state.started ? [{ from: 0, participants: state.started.participants }] : [];
    this.ended = state.ended;
    this.legs = state.legs;
    this.shedding = state.shedding ?? 'none';
    this.behindMs = 0;
    this.paused = state.paused;
    this.moods = state.moods;
    this.consent = state.consent ?? null;
    this.intents = state.intents;
    this.entities = state.entities;
    this.prompt = state.prompt;
    this.cards = state.cards;
    this.steps = state.steps;
    this.cardsNotShown = state.cards_not_shown;
    this.checklist = state.checklist;
    this.talk = state.talk;
    this.#removed = new Map(state.redactions.map((one) => [one.utterance_id, one.secrets]));
    this.#lines.clear();
    this.#told.clear();
    this.#latencies = [];
    this.latencyMs = null;
    this.spoken = { agent: 0, customer: 0, other: 0 };
    this.heardMs = state.ended?.duration_ms ?? 0;
    this.said = null;
    this.open = [];
    this.settled++;
    const lines: Line[] = [];
    for (const utterance of state.utterances) {
      this.heardMs = Math.max(this.heardMs, utterance.end_ms);
      this.#latency(utterance);
      if (utterance.text === '') continue;
      const now = state.ended ? { ...utterance, final: true } : utterance;
      const line = new Line(now, this.#removed.get(utterance.utterance_id));
      this.#lines.set(utterance.utterance_id, line);
      this.#talk(utterance, 1);
      this.language = utterance.language;
      if (!line.now.final) this.open = [...this.open, line];
      lines.push(line);
    }
    // Ids go by the beginning of speech already; a stable sort costs little when nothing is out of place.
    lines.sort((a, b) => a.at - b.at);
    let last: Party | null = null;
    for (const line of lines) {
      line.head = line.party !== last;
      last = line.party;
    }
    this.#items = lines;
    this.#changes++;
  }

  /** Moves on by one event. Events already included are ignored, so a resumed link may repeat some. */
  apply(event: CallEvent): void {
    if (event.seq <= this.seq) return;
    if (event.seq > this.seq + 1) throw new Gap(`expected event ${this.seq + 1}, got ${event.seq}`);
    this.seq = event.seq;
    this.heardMs = Math.max(this.heardMs, event.at_ms);
    switch (event.kind) {
      case 'call_started':
        this.#start(event);
        this.#there(event);
        break;
      case 'participants':
        if (this.started) this.started = { ...this.started, participants: event.participants };
        this.#there(event);
        break;
      case 'call_ended':
        this.ended = { reason: event.reason, duration_ms: event.duration_ms };
        this.prompt = null;
        this.cards = [];
        this.shedding = 'none';
        this.paused = [];
        // A call that was interrupted may end between a word and its final: nothing is being heard any more.
        for (const line of this.open) line.now = { ...line.now, final: true };
        this.open = [];
        this.settled++;
        break;
      case 'leg_started':
        this.legs = [...this.legs.filter(([party]) => party !== event.party), [event.party, event.codec]];
        break;
      case 'load':
        this.shedding = event.shedding;
        this.behindMs = event.behind_ms;
        break;
      case 'paused':
        this.paused = [...new Set([...this.paused, ...this.#meant(event.party)])];
        break;
      case 'resumed': {
        const back = this.#meant(event.party);
        this.paused = this.paused.filter((party) => !back.includes(party));
        break;
      }
      case 'utterance':
        this.#utterance(event);
        break;
      case 'mood':
        if (!this.#isSaid(event) || this.consent?.mood === false) break;
        this.moods = put(this.moods, event);
        // The words as they were revised ask for no kindness.
        if (event.sentiment.negative <= event.sentiment.positive) this.#takePrompt('empathy', event);
        break;
      case 'consent':
        if (event.mood) this.consent = { mood: true };
        else this.refuseMoods();
        break;
      case 'intent':
        if (!this.#isSaid(event)) break;
        this.intents = put(this.intents, event).filter(({ name }) => name);
        if (!event.name) this.#takePrompt('next_action', event);
        break;
      case 'entities':
        if (this.#isFinal(event))
          this.entities = put(this.entities, event).filter(({ entities }) => entities.length > 0);
        break;
      case 'redacted':
        this.#redact(event);
        break;
      case 'prompt':
        if (this.#isFinal(event.evidence)) this.prompt = event;
        break;
      case 'talk':
        this.talk = event;
        break;
      case 'prompt_answered':
        if (this.prompt?.prompt_id === event.prompt_id) this.prompt = null;
        break;
      case 'card':
        if (this.#isSaid(event.evidence)) this.#open(event);
        break;
      case 'card_held_back':
        if (this.#isSaid(event.evidence))
          this.cardsNotShown = [...this.#notShownBeside(event.evidence.utterance_id), event];
        break;
      case 'card_answered':
        // What is copied still stands.
        if (event.answer === 'copied') break;
        this.cards = this.cards.filter(({ card_id }) => card_id !== event.card_id);
        break;
      case 'step':
        this.#step(event);
        break;
      case 'checklist':
        if (!event.evidence || this.#isFinal(event.evidence)) this.#check(event);
        break;
    }
    this.#notice(event);
  }

  /**
   * Fills in, from the call's log, what a snapshot does not tell: keys, pauses, losses, and what revised lines
   * said before. Partials are passed over.
   */
  recall(event: CallEvent): void {
    if (event.seq > this.seq) return;
    if (event.kind === 'utterance') {
      if (!event.final) return;
      const line = this.#lines.get(event.utterance_id);
      const was = event.text === MASK ? null : event.text || null;
      if (line && event.revision < line.now.revision && was !== line.now.text) line.was = was;
    } else {
      this.#there(event);
      this.#notice(event);
    }
  }

  /** A prompt of this kind that rests on an utterance stands no more. */
  #takePrompt(about: PromptKind, { utterance_id }: { utterance_id: UtteranceId }): void {
    if (this.prompt?.about === about && this.prompt.evidence.utterance_id === utterance_id) this.prompt = null;
  }

  /** The customer does not agree that their mood is read: nothing is left of it. */
  refuseMoods(): void {
    this.consent = { mood: false };
    this.moods = [];
    const { prompt } = this;
    if (prompt?.about === 'empathy') this.prompt = null;
    else if (prompt?.held_back)
      this.prompt = { ...prompt, held_back: prompt.held_back.filter(({ about }) => about !== 'empathy') };
  }

  /** Who spoke as a party at a time: a call that was handed over has had several agents. */
  person(party: Party, at: Millis): Participant | undefined {
    const of = (list: Participant[]) => list.find((one) => one.party === party);
    const then = this.#people.findLast(({ from, participants }) => from <= at && of(participants)?.name);
    // Whose name was learnt later was the same person before.
    const known = then ?? this.#people.find(({ participants }) => of(participants)?.name);
    return of((known ?? this.#people.at(-1))?.participants ?? []);
  }

  /** Whether somebody was its agent at any time: who has handed the call over was. */
  hadAgent(who: string): boolean {
    const isTheirs = ({ party, name }: Participant) => party === 'agent' && name === who;
    return this.#people.some(({ participants }) => participants.some(isTheirs));
  }

  /** Notes who is there from this event on. */
  #there(event: CallEvent): void {
    if (event.kind !== 'call_started' && event.kind !== 'participants') return;
    const from = event.kind === 'call_started' ? 0 : event.at_ms;
    const others = this.#people.filter((one) => one.from !== from);
    const next = { from, participants: event.participants };
    this.#people = [...others, next].sort((a, b) => a.from - b.from);
  }

  /** Words and notices in their order. The list is the model's own: not to be kept. */
  get items(): readonly Item[] {
    void this.#changes;
    return this.#items;
  }

  get lines(): Line[] {
    return this.items.filter((item) => item instanceof Line);
  }

  /** The line of an utterance, if it has one. */
  lineOf(utterance: number): Line | undefined {
    void this.#changes;
    return this.#lines.get(utterance);
  }

  /** Whether any words are shown. */
  get silent(): boolean {
    void this.#changes;
    return this.#lines.size === 0;
  }

  #start(started: CallStarted | null): void {
    this.started = started;
    this.tooNew = started !== null && started.version > FORMAT_VERSION;
  }

  #meant(party: Party | null | undefined): Party[] {
    // Nobody named: everybody, also those whose audio has not begun.
    return party ? [party] : ['agent', 'customer', 'other'];
  }

  /** Whether these are the customer's words as they are now: all that anything is understood of. */
  #isSaid(about: { utterance_id: number; revision: number }): boolean {
    return this.#lines.get(about.utterance_id)?.now.party === 'customer' && this.#isFinal(about);
  }

  /** Whether these are the final words of an utterance as they are now. */
  #isFinal({ utterance_id, revision }: { utterance_id: number; revision: number }): boolean {
    const now = this.#lines.get(utterance_id)?.now;
    return now !== undefined && now.final && now.revision === revision;
  }

  /** Forgets what was named in words that are no more. */
  #forget(utterance: number): void {
    const others = this.entities.filter(({ utterance_id }) => utterance_id !== utterance);
    if (others.length < this.entities.length) this.entities = others;
  }

  /** One more card: in the place of the one about the same words, or of the oldest. */
  #open(card: Card): void {
    const others = this.cards.filter((one) => one.evidence.utterance_id !== card.evidence.utterance_id);
    this.cards = [...others, card].slice(-MOST_OPEN_CARDS);
    this.cardsNotShown = this.#notShownBeside(card.evidence.utterance_id);
  }

  /** What is not shown for other words than those of an utterance. */
  #notShownBeside(utterance: number): CardNotShown[] {
    return this.cardsNotShown.filter(({ evidence }) => evidence.utterance_id !== utterance);
  }

  /** A step is done, or is not after all. */
  #step(step: Step): void {
    const others = this.steps.filter((one) => !isSameStep(one, step));
    this.steps = step.ticked ? [...others, step] : others;
  }

  #check(item: ChecklistItem): void {
    const at = this.checklist.findIndex(({ name }) => name === item.name);
    this.checklist = at < 0 ? [...this.checklist, item] : this.checklist.with(at, item);
  }

  /** Forgets what was said in an utterance; what is left of it comes next. */
  #redact({ utterance_id, secrets }: Redacted): void {
    this.#removed.set(utterance_id, secrets);
    this.#forget(utterance_id);
    const masked = (quote: Quote) => ({ ...quote, text: MASK });
    if (this.prompt?.evidence.utterance_id === utterance_id)
      this.prompt = { ...this.prompt, evidence: masked(this.prompt.evidence) };
    if (this.cards.some(({ evidence }) => evidence.utterance_id === utterance_id))
      this.cards = this.cards.map((card) =>
        card.evidence.utterance_id === utterance_id
          ? { ...card, evidence: masked(card.evidence), why: { ...card.why, words: [], query: '' } }
          : card,
      );
    this.cardsNotShown = this.cardsNotShown.map((one) =>
      one.evidence.utterance_id === utterance_id ? { ...one, evidence: masked(one.evidence), query: '' } : one,
    );
    for (const item of this.checklist)
      if (item.evidence?.utterance_id === utterance_id)
        this.#check({ ...item, evidence: masked(item.evidence) });
    const line = this.#lines.get(utterance_id);
    if (!line) return;
    line.removed = secrets;
    line.was = null;
    line.fresh = false;
    line.now = { ...line.now, text: MASK, stable_chars: 0, words: [] };
    if (this.said?.line === line) this.said = null;
  }

  #utterance(next: Utterance): void {
    this.#latency(next);
    const line = this.#lines.get(next.utterance_id);
    if (!line) {
      if (next.text === '') return;
      const made = new Line(next, this.#removed.get(next.utterance_id));
      this.#lines.set(next.utterance_id, made);
      this.#insert(made);
      this.#talk(next, 1);
      this.language = next.language;
      if (next.final) {
        this.settled++;
        this.said = { line: made, text: next.text };
      } else this.open = [...this.open, made];
      return;
    }
    const before = line.now;
    // A partial that was overtaken by its final, or an older revision, must not undo it.
    if ((before.final && !next.final) || before.revision > next.revision) return;
    this.#talk(before, -1);
    this.#forget(next.utterance_id);
    if (next.final) {
      this.settled++;
      if (!before.final) this.open = this.open.filter((other) => other !== line);
    }
    // Whoever these words were taken for, an employee has no mood, and asks for no card.
    if (next.text === '' || next.party !== 'customer') {
      this.moods = this.moods.filter((mood) => mood.utterance_id !== next.utterance_id);
      this.intents = this.intents.filter((intent) => intent.utterance_id !== next.utterance_id);
      this.cards = this.cards.filter(({ evidence }) => evidence.utterance_id !== next.utterance_id);
      this.cardsNotShown = this.#notShownBeside(next.utterance_id);
      this.#takePrompt('empathy', next);
    }
    if (next.text === '') {
      if (this.prompt?.evidence.utterance_id === next.utterance_id) this.prompt = null;
      for (const { evidence, ...item } of this.checklist)
        if (evidence?.utterance_id === next.utterance_id) this.#check({ ...item, done: false });
      this.#lines.delete(next.utterance_id);
      this.#remove(line);
      return;
    }
    this.#talk(next, 1);
    if (before.final && before.text !== next.text && before.text !== MASK) {
      line.was = before.text;
      line.fresh = true;
    }
    line.now = next;
    if (next.final && !before.final) this.said = { line, text: next.text };
  }

  #notice(event: CallEvent): void {
    const earlier = this.#people.findLast(({ from }) => from < event.at_ms)?.participants;
    const body = noticeOf(event, earlier);
    if (!body || this.#told.has(event.seq)) return;
    this.#told.add(event.seq);
    const before = this.#items[this.#place(event.at_ms) - 1];
    if (before instanceof Notice && event.at_ms - before.until <= TOGETHER_MS) {
      const together = join(before.body, body);
      if (together) {
        before.body = together;
        before.until = event.at_ms;
        return;
      }
    }
    this.#insert(new Notice(event.seq, event.at_ms, body));
  }

  /** Where something that happened at `at` goes. Looked for from the end, where it nearly always is. */
  #place(at: Millis): number {
    let place = this.#items.length;
    for (; place > 0; place--) {
      const before = this.#items[place - 1];
      if (before && before.at <= at) break;
    }
    return place;
  }

  #insert(item: Item): void {
    const place = this.#place(item.at);
    this.#items.splice(place, 0, item);
    this.#changes++;
    this.#turn(place);
    this.#turn(place + 1);
  }

  #remove(item: Item): void {
    const place = this.#items.lastIndexOf(item);
    if (place < 0) return;
    this.#items.splice(place, 1);
    this.#changes++;
    this.#turn(place);
  }

  /** A line heads a turn when the line before it is someone else's, or something happened in between. */
  #turn(place: number): void {
    const item = this.#items[place];
    if (!(item instanceof Line)) return;
    const before = this.#items[place - 1];
    item.head = !(before instanceof Line && before.party === item.party);
  }

  #talk(utterance: Utterance, sign: 1 | -1): void {
    if (utterance.final)
      this.spoken[utterance.party] += sign * Math.max(0, utterance.end_ms - utterance.start_ms);
  }

  #latency(utterance: Utterance): void {
    // A revision is late on purpose.
    if (utterance.revision > 0 || utterance.text === '') return;
    this.#latencies.push(utterance.latency_ms);
    if (this.#latencies.length > LATENCIES) this.#latencies.shift();
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    this.latencyMs = sorted[sorted.length >> 1] ?? null;
  }
}

/** An agent who was not there before, when somebody was. */
function joined(before: Participant[] | undefined, now: Participant[]): string | null {
  const names = (list: Participant[]) =>
    list.filter((one) => one.party === 'agent').map(({ name, aor }) => name ?? aor ?? null);
  const known = names(before ?? []);
  if (known.length === 0) return null;
  return names(now).find((name) => name !== null && !known.includes(name)) ?? null;
}

function noticeOf(event: CallEvent, before: Participant[] | undefined): NoticeBody | null {
  switch (event.kind) {
    case 'paused':
    case 'resumed':
      return { kind: event.kind, party: event.party ?? null };
    case 'leg_ended':
      return { kind: 'left', party: event.party };
    case 'dtmf':
      return { kind: 'dtmf', party: event.party, digits: event.digit };
    case 'transferred':
      return { kind: 'transferred', party: event.party, to: event.to };
    case 'supervisor':
      return { kind: 'supervisor', party: null, name: event.name, attention: event.attention ?? null };
    case 'participants': {
      const name = joined(before, event.participants);
      return name ? { kind: 'joined', party: null, name } : null;
    }
    case 'audio_lost':
      return { kind: 'audio_lost', party: event.party, to: event.to, lost_ms: event.lost_ms };
    default:
      return null;
  }
}

function join(a: NoticeBody, b: NoticeBody): NoticeBody | null {
  if (a.kind === 'dtmf' && b.kind === 'dtmf' && a.party === b.party)
    return { ...a, digits: a.digits + b.digits };
  if (a.kind === 'audio_lost' && b.kind === 'audio_lost' && a.party === b.party && a.to === b.to) {
    return { ...a, lost_ms: a.lost_ms + b.lost_ms };
  }
  return null;
}
