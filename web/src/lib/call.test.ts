import { describe, expect, it } from 'vitest';
import { CallModel, Gap, Line, Notice } from './call.svelte';
import type { CallEvent, CallState, EventBody, HeldBack, Party, Utterance } from './generated/call';

const said = (id: number, party: Party, text: string, over: Partial<Utterance> = {}): EventBody => ({
  kind: 'utterance',
  utterance_id: id,
  party,
  final: true,
  revision: 0,
  text,
  stable_chars: text.length,
  start_ms: id * 1000,
  end_ms: id * 1000 + 800,
  words: [],
  language: 'en',
  latency_ms: 700,
  ...over,
});

class Log {
  readonly model = new CallModel();
  readonly events: CallEvent[] = [];
  add(body: EventBody, at = this.events.length * 100): this {
    const event = { seq: this.events.length + 1, at_ms: at, ...body } as CallEvent;
    this.events.push(event);
    this.model.apply(event);
    return this;
  }
}

const begun = () =>
  new Log()
    .add({
      kind: 'call_started',
      version: 1,
      source: 'siprec',
      started_at_unix_ms: 1,
      external_id: 'x',
      participants: [],
    })
    .add({ kind: 'leg_started', party: 'customer', codec: 'PCMU' })
    .add({ kind: 'leg_started', party: 'agent', codec: 'PCMU' });

const texts = ({ model }: Log) => model.lines.map((line) => line.now.text);

describe('people', () => {
  const person = (party: Party, name: string | null) => ({ party, aor: null, name });
  const there = (...participants: ReturnType<typeof person>[]): EventBody => ({
    kind: 'participants',
    participants,
  });

  it('knows who was the agent when, also after a hand-over that was only recalled', () => {
    const log = begun()
      .add(there(person('customer', null), person('agent', 'mina')), 1_000)
      .add(there(person('customer', 'Rob'), person('agent', 'mina'), person('agent', 'omid')), 20_000)
      .add(there(person('customer', 'Rob'), person('agent', 'omid')), 30_000);
    const later = new CallModel();
    const nothing = {
      ended: null,
      legs: [],
      utterances: [],
      shedding: null,
      paused: [],
      supervisors: [],
      moods: [],
      intents: [],
      entities: [],
      redactions: [],
      prompt: null,
      cards: [],
      steps: [],
      cards_not_shown: [],
      checklist: [],
      talk: null,
    };
    later.load({ ...nothing, seq: log.model.seq, started: log.model.started });
    for (const event of log.events) later.recall(event);
    for (const model of [log.model, later]) {
      // Before its name was learnt the agent was the same.
      expect([0, 1_000, 29_999, 30_000].map((at) => model.person('agent', at)?.name)).toEqual([
        'mina',
        'mina',
        'mina',
        'omid',
      ]);
      expect(model.person('customer', 0)?.name).toBe('Rob');
      expect(model.person('other', 0)).toBeUndefined();
      expect(['mina', 'omid', 'Rob', 'reza'].map((who) => model.hadAgent(who))).toEqual([true, true, false, false]);
      expect(model.started?.participants.map(({ name }) => name)).toEqual(['Rob', 'omid']);
      const notices = model.items.filter((item) => item instanceof Notice);
      expect(notices.map(({ body }) => body)).toEqual([{ kind: 'joined', party: null, name: 'omid' }]);
    }
  });
});

describe('words', () => {
  it('swaps partials in place and keeps the line', () => {
    const log = begun().add(said(1, 'agent', 'good', { final: false }));
    const line = log.model.lines[0];
    log.add(said(1, 'agent', 'good mor', { final: false })).add(said(1, 'agent', 'Good morning.'));
    expect(log.model.lines).toEqual([line]);
    expect(texts(log)).toEqual(['Good morning.']);
    expect(line?.was).toBeNull();
  });

  it('remembers what a revision replaced, and that it came before our eyes', () => {
    const log = begun()
      .add(said(1, 'agent', 'Good mourning.'))
      .add(said(1, 'agent', 'Good morning.', { revision: 1 }));
    expect(log.model.lines[0]).toMatchObject({ was: 'Good mourning.', fresh: true });
  });

  it('does not call a revision a change when the words are the same', () => {
    const log = begun()
      .add(said(1, 'agent', 'Yes.'))
      .add(said(1, 'agent', 'Yes.', { revision: 1 }));
    expect(log.model.lines[0]?.was).toBeNull();
  });

  it('lets neither a late partial nor an old revision undo newer words', () => {
    const log = begun()
      .add(said(1, 'agent', 'b', { revision: 2 }))
      .add(said(1, 'agent', 'a', { revision: 1 }))
      .add(said(1, 'agent', 'part', { final: false }));
    expect(texts(log)).toEqual(['b']);
  });

  it('takes back an utterance whose revision is empty', () => {
    const log = begun()
      .add(said(1, 'agent', 'one'))
      .add(said(2, 'customer', 'a cough'))
      .add(said(3, 'agent', 'two'))
      .add(said(2, 'customer', '', { revision: 1 }));
    expect(texts(log)).toEqual(['one', 'two']);
    expect(log.model.lines.map((line) => line.head)).toEqual([true, false]);
    expect(log.model.spoken).toEqual({ agent: 1600, customer: 0, other: 0 });
  });

  it('puts lines in the order they were spoken and heads each turn once', () => {
    const log = begun()
      .add(said(1, 'agent', 'a'))
      .add(said(3, 'customer', 'c'))
      .add(said(4, 'customer', 'd'))
      .add(said(2, 'agent', 'b'));
    expect(texts(log)).toEqual(['a', 'b', 'c', 'd']);
    expect(log.model.lines.map((line) => line.head)).toEqual([true, false, true, false]);
  });

  it('keeps a line where it is although its beginning is heard differently later', () => {
    const log = begun()
      .add(said(1, 'agent', 'a', { final: false }))
      .add(said(2, 'customer', 'b', { final: false }))
      .add(said(1, 'agent', 'a', { start_ms: 5000, end_ms: 5500 }));
    expect(texts(log)).toEqual(['a', 'b']);
  });
});

describe('what is understood', () => {
  const about = (id: number, revision = 0) => ({ utterance_id: id, revision, latency_ms: 20 });
  const mood = (id: number, valence: number, revision = 0): EventBody => ({
    kind: 'mood',
    ...about(id, revision),
    sentiment: { negative: 0, neutral: 1, positive: 0 },
    valence,
    emotion: 'neutral',
    emotion_p: 0.5,
    arc: { at_ms: id * 1000, valence, deviation: 0.3, trend: 'steady' },
  });
  const intent = (id: number, name?: string, revision = 0): EventBody => ({
    kind: 'intent',
    ...about(id, revision),
    ...(name ? { name } : {}),
    confidence: 0.9,
  });
  const known = ({ model }: Log) => ({
    moods: model.moods.map(({ utterance_id, valence }) => [utterance_id, valence]),
    intents: model.intents.map(({ utterance_id, name }) => [utterance_id, name]),
  });

  it('belongs to the words as they are now, in the order in which they were spoken', () => {
    const log = begun()
      .add(said(1, 'customer', 'a fund'))
      .add(mood(1, -0.5))
      .add(intent(1, 'invest'))
      .add(said(3, 'customer', 'how much'))
      .add(intent(3, 'prices'))
      .add(said(1, 'customer', 'a refund', { revision: 1 }))
      .add(mood(1, -0.7, 1))
      .add(intent(1, 'refund', 1))
      .add(mood(1, 0.9, 0));
    const refund = [1, 'refund'];
    expect(known(log)).toEqual({ moods: [[1, -0.7]], intents: [refund, [3, 'prices']] });
    log.add(intent(3));
    expect(known(log).intents).toEqual([refund]);
    log.add(said(1, 'customer', '', { revision: 2 }));
    expect(known(log)).toEqual({ moods: [], intents: [] });
  });

  it('is never anybody but the customer', () => {
    const log = begun().add(said(1, 'agent', 'no')).add(said(2, 'other', 'no'));
    log.add(said(3, 'customer', 'n', { final: false }));
    for (const id of [0, 1, 2, 3]) log.add(mood(id, -1)).add(intent(id, 'complaint'));
    expect(known(log)).toEqual({ moods: [], intents: [] });
    // Words that turn out to be an employee's take along what was made of them.
    log.add(said(4, 'customer', 'no')).add(mood(4, -1)).add(said(4, 'agent', 'no', { revision: 1 }));
    expect(known(log)).toEqual({ moods: [], intents: [] });
  });

  it('goes when the customer does not agree, and does not come back', () => {
    const log = begun().add(said(1, 'customer', 'a refund')).add(mood(1, -0.5)).add(intent(1, 'refund'));
    expect(known(log).moods).toEqual([[1, -0.5]]);
    log.add({ kind: 'consent', mood: false }).add(mood(1, -0.5));
    expect(known(log)).toEqual({ moods: [], intents: [[1, 'refund']] });
    expect(log.model.consent).toEqual({ mood: false });
  });

  it('takes a prompt along when the words that it rests on are revised to something else', () => {
    const prompt = (about: 'empathy' | 'next_action'): EventBody => ({
      kind: 'prompt',
      prompt_id: 1,
      about,
      text: { en: 'Say that you are sorry.' },
      priority: 70,
      evidence: { utterance_id: 1, revision: 0, text: 'a disgrace' },
      expires_at_ms: 30_000,
    });
    const told = (about: 'empathy' | 'next_action') =>
      begun()
        .add(said(1, 'customer', 'a disgrace'))
        .add(intent(1, 'complaint'))
        .add(prompt(about))
        .add(said(2, 'customer', 'yes'))
        .add(mood(2, 0.5))
        .add(said(1, 'customer', 'a grace', { revision: 1 }));
    expect(told('empathy').add(intent(1, undefined, 1)).model.prompt?.prompt_id).toBe(1);
    expect(told('empathy').add(mood(1, 0.5, 1)).model.prompt).toBeNull();
    expect(told('next_action').add(mood(1, 0.5, 1)).model.prompt?.prompt_id).toBe(1);
    expect(told('next_action').add(intent(1, undefined, 1)).model.prompt).toBeNull();
  });

  it('takes along what was held back when the customer does not agree', () => {
    const held = (about: HeldBack['about']): HeldBack => ({ about, text: { en: about }, because: 'matters_less' });
    const log = begun().add(said(1, 'customer', 'a refund'));
    log.add({
      kind: 'prompt',
      prompt_id: 1,
      about: 'next_action',
      text: { en: 'Ask for the number.' },
      priority: 50,
      evidence: { utterance_id: 1, revision: 0, text: 'a refund' },
      expires_at_ms: 30_000,
      held_back: [held('empathy'), held('overtalk')],
    });
    expect(log.model.prompt?.held_back).toHaveLength(2);
    log.add({ kind: 'consent', mood: false });
    expect(log.model.prompt?.prompt_id).toBe(1);
    expect(log.model.prompt?.held_back).toEqual([held('overtalk')]);
  });
});

describe('how the time went', () => {
  it('is known once the call is over', () => {
    const talk = { parties: [], overlap_ms: 0, silence_ms: 4_000, dead_air_ms: 0 };
    const log = begun().add(said(1, 'customer', 'yes'));
    expect(log.model.talk).toBeNull();
    log.add({ kind: 'talk', ...talk }).add({ kind: 'call_ended', reason: 'hangup', duration_ms: 9_000 });
    expect(log.model.talk).toMatchObject(talk);
  });
});

describe('the log', () => {
  it('ignores what it has and refuses a gap', () => {
    const log = begun().add(said(1, 'agent', 'a'));
    const { length } = log.model.items;
    for (const event of log.events) log.model.apply(event);
    expect(log.model.items).toHaveLength(length);
    expect(() => log.model.apply({ ...log.events[0], seq: 9 } as CallEvent)).toThrow(Gap);
    expect(log.model.seq).toBe(4);
  });

  it('gives the same lines from a snapshot as from the events', () => {
    const log = begun()
      .add(said(1, 'agent', 'a'))
      .add(said(2, 'customer', 'b'))
      .add(said(3, 'customer', 'gone'))
      .add(said(3, 'customer', '', { revision: 1 }))
      .add(said(1, 'agent', 'A', { revision: 1 }));
    const newest = new Map(
      log.events.filter((event) => event.kind === 'utterance').map((event) => [event.utterance_id, event]),
    );
    const state: CallState = {
      seq: log.events.length,
      started: null,
      ended: null,
      legs: [],
      utterances: [...newest.values()],
      shedding: null,
      paused: [],
      supervisors: [],
      moods: [],
      intents: [],
      entities: [],
      redactions: [],
      prompt: null,
      cards: [],
      steps: [],
      cards_not_shown: [],
      checklist: [],
      talk: null,
    };
    const joined = new CallModel();
    joined.load(state);
    expect(joined.lines.map((line) => [line.key, line.now.text, line.head])).toEqual(
      log.model.lines.map((line) => [line.key, line.now.text, line.head]),
    );
    expect(joined.spoken).toEqual(log.model.spoken);
    // What the snapshot cannot tell comes from the log, however often it is read.
    for (let i = 0; i < 2; i++) for (const event of log.events) joined.recall(event);
    expect(joined.lines[0]).toMatchObject({ was: 'a', fresh: false });
  });

  it('recalls nothing that it has not reached', () => {
    const joined = new CallModel();
    joined.recall({ seq: 5, at_ms: 10, kind: 'dtmf', party: 'customer', digit: '1', duration_ms: 100 });
    expect(joined.items).toEqual([]);
  });

  it('notices a format that it does not know', () => {
    const log = new Log().add({
      kind: 'call_started',
      version: 99,
      source: 'sip',
      started_at_unix_ms: 1,
      external_id: 'x',
      participants: [],
    });
    expect(log.model.tooNew).toBe(true);
  });
});

describe('what is not words', () => {
  const notices = ({ model }: Log) =>
    model.items.filter((item) => item instanceof Notice).map((item) => item.body);

  it('tells keys pressed one after the other as one', () => {
    const key = (digit: string): EventBody => ({ kind: 'dtmf', party: 'customer', digit, duration_ms: 90 });
    const log = begun().add(key('1'), 1000).add(key('2'), 1500).add(key('#'), 4000).add(key('9'), 60_000);
    expect(notices(log)).toMatchObject([{ digits: '12#' }, { digits: '9' }]);
  });

  it('adds up losses, apart for each party and each goal', () => {
    const lost = (party: Party, to: 'speech' | 'recording'): EventBody => ({
      kind: 'audio_lost',
      party,
      to,
      lost_ms: 200,
    });
    const log = begun()
      .add(lost('agent', 'speech'), 100)
      .add(lost('agent', 'speech'), 300)
      .add(lost('agent', 'recording'), 400);
    expect(notices(log)).toMatchObject([{ lost_ms: 400 }, { lost_ms: 200, to: 'recording' }]);
  });

  it('stands between the words around it, and the next line heads a turn again', () => {
    const log = begun()
      .add(said(1, 'agent', 'a'))
      .add({ kind: 'paused', party: 'customer' }, 1900)
      .add(said(2, 'agent', 'b'));
    expect(log.model.items.map((item) => (item instanceof Line ? item.now.text : item.body.kind))).toEqual([
      'a',
      'paused',
      'b',
    ]);
    expect(log.model.lines.map((line) => line.head)).toEqual([true, true]);
  });

  it('says whose place was given to whom', () => {
    const log = begun().add({ kind: 'transferred', party: 'customer', to: '200' });
    expect(notices(log)).toEqual([{ kind: 'transferred', party: 'customer', to: '200' }]);
  });

  it('pauses everybody when nobody is named', () => {
    const log = begun().add({ kind: 'paused' });
    expect(log.model.paused).toEqual(['agent', 'customer', 'other']);
    log.add({ kind: 'resumed', party: 'agent' });
    expect(log.model.paused).toEqual(['customer', 'other']);
    log.add({ kind: 'resumed' });
    expect(log.model.paused).toEqual([]);
  });

  it('says what is given up, until the call ends', () => {
    const log = begun().add({ kind: 'load', shedding: 'late_finals', behind_ms: 4200 });
    expect(log.model).toMatchObject({ shedding: 'late_finals', behindMs: 4200 });
    log.add({ kind: 'call_ended', reason: 'hangup', duration_ms: 9000 });
    expect(log.model).toMatchObject({ shedding: 'none', ended: { reason: 'hangup', duration_ms: 9000 } });
  });

  it('measures delay by the middle of the newest words, without revisions', () => {
    const log = begun();
    expect(log.model.latencyMs).toBeNull();
    for (let i = 0; i < 9; i++) log.add(said(i, 'agent', 'w', { latency_ms: 500 + i * 100 }));
    log.add(said(8, 'agent', 'W', { revision: 1, latency_ms: 9000 }));
    expect(log.model.latencyMs).toBe(900);
  });
});

describe('secrets', () => {
  const redacted = (id: number): EventBody => ({
    kind: 'redacted',
    utterance_id: id,
    party: 'customer',
    secrets: ['card'],
    ranges: [{ start_ms: 0, end_ms: 900 }],
    muted: true,
  });
  const entities = (id: number, revision: number, ...values: string[]): EventBody => ({
    kind: 'entities',
    utterance_id: id,
    revision,
    entities: values.map((value) => ({
      kind: 'phone' as const,
      value,
      chars: { start: 0, end: 9 },
      confidence: 0.9,
    })),
    latency_ms: 1,
  });
  const named = ({ model }: Log) =>
    model.entities.flatMap(({ entities }) => entities.map(({ value }) => value));

  it('leave nothing behind when they show late', () => {
    const log = begun()
      .add(said(1, 'customer', '4242 4242'))
      .add(entities(1, 0, '42424242'));
    expect(named(log)).toEqual(['42424242']);
    log
      .add(redacted(1))
      .add(said(1, 'customer', 'It is ••••', { revision: 1 }))
      .add(said(2, 'customer', '••••'));
    const line = log.model.lines[0];
    expect(line).toMatchObject({ was: null, fresh: false, removed: ['card'] });
    expect(texts(log)).toEqual(['It is ••••', '••••']);
    expect([named(log), log.model.said?.text]).toEqual([[], '••••']);
    // Whoever recalls the log is told the same.
    log.model.recall({ seq: 4, at_ms: 0, ...said(1, 'customer', '••••') } as CallEvent);
    expect(line?.was).toBeNull();
  });

  it('are known of a line that begins with one', () => {
    const log = begun()
      .add(redacted(1))
      .add(said(1, 'customer', '••••', { final: false }));
    expect(log.model.lines[0]?.removed).toEqual(['card']);
  });

  it('are no part of what is named, and what is named goes with its words', () => {
    const log = begun()
      .add(said(1, 'agent', 'call 4711'))
      .add(entities(1, 0, '4711'))
      .add(said(1, 'agent', 'call 4712', { revision: 1 }));
    expect(named(log)).toEqual([]);
    expect(named(log.add(entities(1, 0, '4711')))).toEqual([]);
    expect(named(log.add(entities(1, 1, '4712')))).toEqual(['4712']);
    expect(named(log.add(entities(1, 1)))).toEqual([]);
  });
});

describe('prompts', () => {
  const quote = (id: number, text: string) => ({ utterance_id: id, revision: 0, text });
  const prompt = (prompt_id: number, id: number, text: string): EventBody => ({
    kind: 'prompt',
    prompt_id,
    about: 'empathy',
    text: { en: 'Say that you are sorry.' },
    priority: 70,
    evidence: quote(id, text),
    expires_at_ms: 20_000,
  });
  const item = (name: string, id?: number, text = ''): EventBody => ({
    kind: 'checklist',
    name,
    title: { en: name },
    done: id !== undefined,
    ...(id === undefined ? {} : { evidence: quote(id, text) }),
  });
  const redacted = (id: number): EventBody => ({
    kind: 'redacted',
    utterance_id: id,
    party: 'customer',
    secrets: ['card'],
    ranges: [],
    muted: false,
  });
  const done = ({ model }: Log) => model.checklist.map((one) => one.done);

  it('stand until they are answered, replaced, or the call ends', () => {
    const log = begun().add(said(1, 'customer', 'bad')).add(prompt(1, 1, 'bad'));
    expect(log.model.prompt?.prompt_id).toBe(1);
    log.add({ kind: 'prompt_answered', prompt_id: 9, answer: 'accepted', by: 'mina' });
    expect(log.model.prompt?.prompt_id).toBe(1);
    expect(log.add(prompt(2, 1, 'bad')).model.prompt?.prompt_id).toBe(2);
    log.add({ kind: 'prompt_answered', prompt_id: 2, answer: 'dismissed', by: 'mina' });
    expect(log.model.prompt).toBeNull();
    log.add(prompt(3, 1, 'bad')).add({ kind: 'call_ended', reason: 'hangup', duration_ms: 9000 });
    expect(log.model.prompt).toBeNull();
  });

  it('and ticks go with their words, and quote no secret', () => {
    const log = begun()
      .add(item('recorded'))
      .add(item('name'))
      .add(said(1, 'agent', 'recorded 4242'))
      .add(item('recorded', 1, 'recorded 4242'))
      .add(prompt(1, 1, 'recorded 4242'));
    expect(done(log)).toEqual([true, false]);
    log.add(redacted(1));
    expect(JSON.stringify([log.model.prompt, log.model.checklist])).not.toContain('4242');
    expect(done(log)).toEqual([true, false]);
    log.add(said(1, 'agent', '', { revision: 1 }));
    expect([log.model.prompt, ...done(log)]).toEqual([null, false, false]);
    expect(log.model.checklist[0]).not.toHaveProperty('evidence');
  });
});

describe('cards', () => {
  const card = (card_id: number, id: number): EventBody => ({
    kind: 'card',
    card_id,
    document: 'refunds.md',
    passage: 0,
    title: 'Refunds',
    section: ['How long'],
    text: 'It takes three days.',
    answer: { start: 0, end: 20 },
    changed_unix_ms: 0,
    confidence: 0.75,
    why: { words: ['4242'], covered: 0.5 },
    evidence: { utterance_id: id, revision: 0, text: 'is 4242 refunded?' },
    expires_at_ms: 90_000,
    latency_ms: 40,
  });
  const open = ({ model }: Log) => model.cards.map(({ card_id }) => card_id);
  const asked = () => {
    const log = begun();
    for (const id of [1, 2, 3]) log.add(said(id, 'customer', 'is 4242 refunded?'));
    return log.add(card(1, 1)).add(card(2, 2));
  };

  it('stand two at a time, one about the same words, until they are answered or the call ends', () => {
    expect(open(asked().add(card(3, 3)))).toEqual([2, 3]);
    expect(open(asked().add(card(3, 2)))).toEqual([1, 3]);
    expect(open(asked().add(card(3, 9)))).toEqual([1, 2]);
    const copied = asked().add({ kind: 'card_answered', card_id: 1, answer: 'copied', by: 'mina' });
    expect(open(copied)).toEqual([1, 2]);
    const answered = asked().add({ kind: 'card_answered', card_id: 1, answer: 'wrong', by: 'mina' });
    expect(open(answered)).toEqual([2]);
    expect(open(asked().add({ kind: 'call_ended', reason: 'hangup', duration_ms: 9000 }))).toEqual([]);
  });

  it('go with words that were not the customer’s, and none comes for such', () => {
    const log = asked().add(said(1, 'agent', 'is 4242 refunded?'));
    expect(open(log)).toEqual([2]);
    expect(open(log.add(card(3, 1)))).toEqual([2]);
  });

  it('that are not shown are known with why, until one is or their words are taken back', () => {
    const held = (utterance_id: number): EventBody => ({
      kind: 'card_held_back',
      query: 'is 4242 refunded?',
      because: 'not_sure',
      confidence: 0.4,
      evidence: { utterance_id, revision: 0, text: 'is 4242 refunded?' },
    });
    const notShown = ({ model }: Log) => model.cardsNotShown.map(({ evidence }) => evidence.utterance_id);
    const log = asked().add(held(3)).add(held(1)).add(held(3)).add(held(9));
    expect(notShown(log)).toEqual([1, 3]);
    log.add({ kind: 'redacted', utterance_id: 3, party: 'customer', secrets: ['card'], ranges: [], muted: false });
    expect(log.model.cardsNotShown.map(({ query }) => query)).toEqual(['is 4242 refunded?', '']);
    expect(notShown(log.add(card(4, 1)))).toEqual([3]);
    expect(notShown(log.add(said(3, 'customer', '', { revision: 1 })))).toEqual([]);
  });

  it('go with their words, and quote no secret', () => {
    expect(open(asked().add(said(1, 'customer', '', { revision: 1 })))).toEqual([2]);
    const log = asked();
    for (const utterance_id of [1, 2])
      log.add({ kind: 'redacted', utterance_id, party: 'customer', secrets: ['card'], ranges: [], muted: false });
    expect(JSON.stringify(log.model.cards)).not.toContain('4242');
    expect(open(log)).toEqual([1, 2]);
  });
});

describe('steps', () => {
  const step = (step: number, ticked: boolean, version = '00ff'): EventBody => ({
    kind: 'step',
    document: 'refunds.md',
    passage: 0,
    version,
    title: 'Refunds',
    step,
    text: 'Open it.',
    ticked,
    by: 'mina',
  });
  const done = ({ model }: Log) => model.steps.map(({ step, version }) => `${step} ${version}`);

  it('are done until somebody says that they are not, each wording for itself', () => {
    const log = begun().add(step(2, true)).add(step(1, true)).add(step(2, true));
    expect(done(log)).toEqual(['1 00ff', '2 00ff']);
    expect(done(log.add(step(1, false, 'ff00')))).toEqual(['1 00ff', '2 00ff']);
    expect(done(log.add(step(1, false)))).toEqual(['2 00ff']);
  });
});

describe('words still coming', () => {
  it('are known until they are final', () => {
    const log = begun()
      .add(said(1, 'agent', 'one', { final: false }))
      .add(said(2, 'customer', 'two', { final: false }));
    const { settled } = log.model;
    expect(log.model.open.map((line) => line.key)).toEqual(['u1', 'u2']);
    log.add(said(1, 'agent', 'one')).add(said(2, 'customer', ''));
    expect(log.model.open).toEqual([]);
    expect(texts(log)).toEqual(['one']);
    expect(log.model.settled).toBeGreaterThan(settled);
  });
});

describe('a long call', () => {
  it('finds the place of a new line without looking at the old ones', () => {
    const log = begun();
    for (let i = 0; i < 2000; i++) log.add(said(i, i % 3 ? 'customer' : 'agent', 'word '.repeat(8)));
    const looked = new Set<Line>();
    for (const line of log.model.lines) {
      Object.defineProperty(line, 'at', { get: () => (looked.add(line), line.now.start_ms) });
    }
    log.add(said(2000, 'agent', 'newest', { final: false }), 2_000_000);
    log.add(said(2000, 'agent', 'newest words'), 2_000_500);
    log.add({ kind: 'dtmf', party: 'agent', digit: '1', duration_ms: 90 }, 2_001_000);
    expect(looked.size).toBeLessThan(5);
    expect(log.model.lines).toHaveLength(2001);
  });
});
