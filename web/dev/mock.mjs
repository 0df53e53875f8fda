// A stand-in for `sotto serve`, for working on the page without one: signs in anybody whose password is “sotto”,
// and plays a few scripted calls over and over. Nothing of it goes into the built page.
//
//   npm run dev:mock              the page from its sources, reloaded as they change
//   npm run mock                  the page as built in dist/
//   ... -- --port 5180 --at 64    port; how many seconds into their scripts the live calls are
//   ... -- --others 50            so many live calls besides, in which somebody says something four times a second
//
// Whoever is called “admin” supervises, “reviewer” reviews. Calls to 5550 to 5555 fail, each for another reason. POST /dev/drop?ms=8000 cuts
// every WebSocket and takes no new ones for that long; POST /dev/ring rings at every page that takes calls, and
// POST /dev/miss until it is missed; POST /dev/refuse refuses something that no page has asked for; POST /dev/need?n=3 lets the third of the other calls need somebody;
// POST /dev/lack?parts=store,recording lets calls do without these from then on, and `signin` lets the database answer
// nobody; POST /dev/event?call=ID lets the event in the body happen in a call now; POST /dev/answers?fail=1 lets no answer
// to a prompt be written down; POST /dev/reword gives written procedures another wording; POST /dev/kill?call=ID&lost=7 is a
// server that was killed in a call and is there again, without utterance 7, which was never stored.

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { busy, crowd, english, events, inLine, long, persian, reviewOf, silent, stateOf, TITLES } from './script.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const port = option('port', 5180);
const headStart = option('at', 30) * 1000;
const development = process.argv.includes('--dev');

// ---- calls -----------------------------------------------------------------------------------------------

/** Ids sort by time, as version 7 UUIDs do. */
function id(unixMs, n) {
  const time = unixMs.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(n).padStart(12, '0')}`;
}

const calls = new Map();
const listeners = new Set();
let made = 0;

function make(script, startedAt, { recording = true, known = true } = {}) {
  const call = {
    id: id(startedAt, made++),
    script,
    startedAt,
    recording,
    externalId: `${(startedAt % 1e9).toString(16)}-7f3a@sbc.example`,
    listeners: new Set(),
    shown: 0,
    supervisors: new Map(),
    takenBy: new Set(),
    outcome: null,
  };
  call.events = events(known ? script : { ...script, participants: [] }, startedAt, call.externalId);
  calls.set(call.id, call);
  return call;
}

const elapsed = (call) => Date.now() - call.startedAt;
const happened = (call) => {
  const now = elapsed(call);
  let n = call.shown;
  while (n < call.events.length && call.events[n].at_ms <= now) n++;
  return n;
};

const find = (callId) => calls.get(callId) ?? other(callId);
const stateNow = (call) => stateOf(call.events.slice(0, call.shown));

/** Lets something happen in a call that is not in its script. */
function tell(call, body) {
  const at_ms = Date.now() - (call.startedAt ?? call.started_at_unix_ms);
  const event = { seq: 0, at_ms, ...body };
  call.events.splice(call.shown++, 0, event);
  call.events.forEach((one, n) => (one.seq = n + 1));
  for (const listener of call.listeners) listener([event]);
}

function summary(call) {
  const state = stateOf(call.events.slice(0, call.shown));
  const last = state.utterances.at(-1);
  return {
    id: call.id,
    external_id: call.externalId,
    source: 'siprec',
    state: state.ended ? 'ended' : 'live',
    started_at_unix_ms: call.startedAt,
    duration_ms: state.ended?.duration_ms ?? null,
    ended: state.ended?.reason ?? null,
    participants: state.started?.participants ?? [],
    last: last ? { party: last.party, text: last.text, at_ms: last.end_ms } : null,
    shedding: state.shedding,
    mood: state.moods.at(-1)?.arc,
    intent: state.intents.at(-1),
    utterances: state.utterances.length,
    recording: call.recording && state.ended !== null,
    language: call.script.language ?? null,
    bridged: !state.ended,
    outcome: call.outcome,
    now: state.ended ? undefined : nowOf(call, state),
  };
}

function nowOf(call, state) {
  const paused = state.paused.includes('customer');
  const late = state.shedding === 'late_finals';
  return {
    phase: paused ? 'on_hold' : 'talking',
    since_ms: 0,
    supervisors: [...call.supervisors].map(([name, attention]) => ({ name, attention })),
    lines: [
      { party: 'agent', quality: 'good' },
      { party: 'customer', quality: 'good' },
    ],
    alerts: late ? [{ kind: 'words_late', severity: 'notice', since_ms: 34_000 }] : [],
  };
}

const HOUR = 3_600_000;
const begun = Date.now();
make(english, begun - headStart);
make(persian, begun - headStart - 5_000);
make(busy, begun - headStart - 14_000);
make(silent, begun - 6_000);

make(english, begun - 2 * HOUR);
make(persian, begun - 3 * HOUR);
make(
  {
    ...english,
    seconds: 64,
    reason: 'interrupted',
    said: english.said.slice(0, 10),
    other: english.other.slice(0, 2),
  },
  begun - 4 * HOUR,
);
make({ ...persian, seconds: 30, said: persian.said.slice(0, 4), other: [] }, begun - 5 * HOUR, {
  recording: false,
});
make({ ...silent, seconds: 14, reason: 'timeout' }, begun - 6 * HOUR, { known: false });
make(long(2000), begun - 26 * HOUR);
for (let i = 0; i < 60; i++) {
  const from = i % 3 === 0 ? persian : english;
  const lines = 3 + ((i * 7) % 12);
  make(
    { ...from, partials: false, seconds: from.said[lines].at, said: from.said.slice(0, lines), other: [] },
    begun - (28 + i * 1.7) * HOUR,
  );
}
for (const call of calls.values()) call.shown = happened(call);

/** Live calls of others: what lists show of them changes, their own pages stay empty. */
const others = crowd(option('others', 0), begun).map((one, n) => ({
  ...one,
  id: id(one.started_at_unix_ms, 1000 + n),
  supervisors: new Map(one.now.supervisors.map(({ name, attention }) => [name, attention])),
  events: events({ ...one, seconds: 3600, said: [], other: [] }, one.started_at_unix_ms, one.external_id),
  shown: 3,
  listeners: new Set(),
}));
const other = (id) => others.find((one) => one.id === id);
const otherSummary = ({ supervisors, said, events, shown, listeners, ...one }) => ({
  ...one,
  last: { party: one.utterances % 3 ? 'customer' : 'agent', text: said[one.utterances % said.length], at_ms: 0 },
  now: { ...one.now, supervisors: [...supervisors].map(([name, attention]) => ({ name, attention })) },
});
others.forEach((one, n) =>
  // Not all in the same moment, as in life.
  setTimeout(
    () =>
      setInterval(() => {
        one.utterances++;
        const now = otherSummary(one);
        for (const listener of listeners) listener(now);
      }, 250),
    (n * 37) % 250,
  ),
);
const allLive = () => [
  ...[...calls.values()].map(summary).filter((one) => one.state === 'live'),
  ...others.map(otherSummary),
];

setInterval(() => {
  for (const call of [...calls.values()]) {
    const until = happened(call);
    if (until === call.shown) continue;
    const fresh = call.events.slice(call.shown, until);
    call.shown = until;
    for (const listener of call.listeners) listener(fresh);
    const now = summary(call);
    for (const listener of listeners) listener(now);
    if (now.state === 'ended') setTimeout(() => make(call.script, Date.now() - headStart), 12_000);
  }
}, 100);

// ---- recordings ------------------------------------------------------------------------------------------

const RATE = 16_000;

/** A voice without words: a hum where the script speaks, low on the left, high on the right. */
function recording(call) {
  const seconds = call.script.seconds;
  const spoken = call.events.filter((event) => event.kind === 'utterance' && event.final);
  const frames = Math.round(seconds * RATE);
  // The long call would need hundreds of megabytes; it is silent and coarse.
  const [rate, channels] = seconds > 600 ? [8000, 1] : [RATE, 2];
  const length = seconds > 600 ? Math.round(seconds * rate) : frames;
  const file = Buffer.alloc(44 + length * channels * 2);
  file.write('RIFF', 0);
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(channels, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(rate * channels * 2, 28);
  file.writeUInt16LE(channels * 2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(length * channels * 2, 40);
  if (channels === 2) {
    for (const { party, words } of spoken) {
      const [side, pitch] = party === 'agent' ? [0, 196] : [1, 123];
      for (const { start_ms, end_ms } of words) {
        const from = Math.round((start_ms / 1000) * RATE);
        const to = Math.min(frames, Math.round((end_ms / 1000) * RATE));
        for (let n = from; n < to; n++) {
          const t = (n - from) / (to - from);
          const tone =
            Math.sin((2 * Math.PI * pitch * n) / RATE) + 0.4 * Math.sin((2 * Math.PI * 3 * pitch * n) / RATE);
          file.writeInt16LE(Math.round(5000 * Math.sin(Math.PI * t) * tone), 44 + (n * 2 + side) * 2);
        }
      }
    }
  }
  return file;
}

// ---- intents ---------------------------------------------------------------------------------------------

/** How long it takes until a change is learned. */
const LEARNED_AFTER_MS = 3_000;
const OWN = {
  registration: ['I would like to register.', 'Is there still a place in the evening course?', 'می‌خواستم ثبت‌نام کنم.'],
  payment: ['Can I pay by card?', 'We paid the deposit.', 'I was charged twice.', 'شهریه رو کجا پرداخت کنم؟'],
  complaint: ['That is your mistake, not ours.', 'این طرز برخورد درست نیست.'],
};
const taught = {
  learning: 'done',
  none: [{ text: 'I am on the train just now.', by: 'sara', at_unix_ms: begun - 26 * HOUR }],
  intents: Object.entries(TITLES).map(([name, title]) => ({
    name,
    title,
    alert: name === 'complaint',
    in_file: true,
    playbook: [],
    examples: OWN[name].map((text) => ({ text })),
  })),
};

let learned;

async function teach(request, response, url, user) {
  const { method } = request;
  if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
  if (method === 'GET') {
    const intents = taught.intents.map((one) => ({ ...one, learnable: one.examples.length >= 3 }));
    return answer(response, 200, { ...taught, intents });
  }
  const [, , kind, part, more] = url.pathname.split('/');
  const named = (name) => taught.intents.find((one) => one.name === name);
  const unknown = () => refuse(response, 404, 'not_found', 'there is no such thing');
  const body = await bodyOf(request);
  if (kind === 'intent-examples') {
    const text = body.text.trim();
    if (method === 'POST') {
      const call = find(body.call_id);
      const redactions = call ? stateNow(call).redactions : [];
      const isTaken = redactions.some(({ utterance_id }) => utterance_id === body.utterance_id);
      if (isTaken || /([0-9]{4} ?){4}|••••/.test(text)) return refuse(response, 400, 'secret', 'a secret');
      if (/([0-9] ?){4}/.test(text)) return refuse(response, 400, 'long_number', 'four or more digits');
    }
    const place = !body.intent ? taught.none : named(body.intent)?.examples;
    if (!place) return unknown();
    const all = [{ examples: taught.none }, ...taught.intents].map(({ examples }) => examples);
    for (const examples of all) examples.splice(0, Infinity, ...examples.filter((one) => one.text !== text));
    if (method === 'POST') place.push({ text, by: user.name, at_unix_ms: Date.now() });
  } else if (method === 'POST') {
    const { name, title, alert } = body;
    if (named(name)) return refuse(response, 409, 'name_taken', 'there is one already');
    taught.intents.push({ name, title, alert, in_file: false, playbook: [], examples: [] });
  } else {
    const one = named(decodeURIComponent(part));
    if (!one) return unknown();
    if (more === 'playbook') {
      // Nothing is learned by it.
      one.playbook = body.steps;
      return answer(response, 204);
    }
    if (method === 'PUT') Object.assign(one, body);
    else taught.intents = taught.intents.filter((other) => other !== one);
  }
  taught.learning = 'going';
  clearTimeout(learned);
  learned = setTimeout(() => (taught.learning = 'done'), LEARNED_AFTER_MS);
  return answer(response, method === 'POST' && kind === 'intents' ? 201 : 204);
}

// ---- what is written down --------------------------------------------------------------------------------

/** How long it takes until what is uploaded is found by its meaning. */
const READ_AFTER_MS = 3_000;
const DAY = 24 * HOUR;
const ALL = { source: 'folder', state: 'ready', version: 1, passages: 1, roles: [], teams: [] };
const written = [
  {
    ...ALL,
    id: 'school/en/prices.md',
    title: 'Prices',
    changed_unix_ms: begun - 12 * DAY,
    bytes: 2_140,
    headings: ['How can I pay?'],
    text: 'You can pay by card, or in two instalments: one half when you enrol, the other after six weeks.',
  },
  {
    ...ALL,
    id: 'school/en/cancellation.md',
    title: 'Cancellation and refunds',
    changed_unix_ms: begun - 200 * DAY,
    bytes: 1_870,
    version: 3,
    headings: ['Do I get my money back?'],
    text: 'Whoever cancels before the first lesson gets all of the money back, within five working days.',
  },
  {
    ...ALL,
    id: 'school/fa/prices.md',
    title: 'شهریه',
    changed_unix_ms: begun - 3 * DAY,
    bytes: 3_020,
    headings: ['چطور شهریه را بپردازم؟'],
    text: 'شهریه را با کارت یا در دو قسط می‌پردازید: نیمی هنگام ثبت‌نام و نیمی پس از شش هفته.',
  },
  {
    ...ALL,
    id: 'school/fa/scanned.pdf',
    title: 'school/fa/scanned.pdf',
    state: 'failed',
    passages: 0,
    changed_unix_ms: begun - 40 * DAY,
    bytes: 812_000,
    problem: 'this is no PDF that can be read: there is no text in it',
    headings: [],
    text: '',
  },
  {
    ...ALL,
    id: 'goodwill.txt',
    title: 'Goodwill',
    source: 'upload',
    changed_unix_ms: begun - 2 * HOUR,
    bytes: 240,
    roles: ['supervisor', 'admin'],
    headings: [],
    text: 'A supervisor may give up to ten percent of the price back when a lesson was cancelled by us.',
  },
];

const wordsOf = (text) => new Set(text.toLowerCase().match(/\p{L}{3,}/gu) ?? []);

function lookUp(query, seen) {
  const asked = [...wordsOf(query)];
  const hits = seen.flatMap((one) => {
    const there = wordsOf([one.title, ...one.headings, one.text].join(' '));
    const words = asked.filter((word) => there.has(word));
    const covered = words.length / Math.max(1, asked.length);
    const why = { words, covered, bm25: 4 * covered, rank_by_words: 1, cosine: 0.8 + covered / 8, share: 0.4 };
    const { id: document, title, headings, text, changed_unix_ms } = one;
    const found = { document, title, headings, text, language: 'en', changed_unix_ms, confidence: covered };
    return words.length === 0 ? [] : [{ ...found, sure: covered >= 0.5, why: { ...why, mentioned: false } }];
  });
  return hits.sort((a, b) => b.confidence - a.confidence);
}

/** How long the language model takes, where it answers: not what is asked about “offline”. */
const MODEL_MS = 900;

async function answerTo({ question }, found) {
  const sure = found.filter((one) => one.sure).slice(0, 3);
  const none = { sentences: [], passages: [], by: 'passages', model: null, model_failed: null };
  if (sure.length === 0) return { ...none, refused: 'nothing_found' };
  await new Promise((then) => setTimeout(then, MODEL_MS));
  const failed = question.includes('offline');
  const passages = sure.map(({ document, title, headings, text, changed_unix_ms, confidence }, n) => {
    const above = [title, ...headings].join(' › ');
    return { number: n + 1, document, place: 0, above, text, changed_unix_ms, confidence };
  });
  return {
    sentences: passages.map(({ number, text }) => ({ text, passages: [number] })),
    passages,
    by: failed ? 'passages' : 'model',
    refused: null,
    model: failed ? null : { model: 'llama3.2', took_ms: MODEL_MS },
    model_failed: failed ? 'unreachable' : null,
  };
}

/** Written procedures, by document. */
const PROCEDURES = {
  'steps.md': {
    title: 'No sound',
    headings: ['Steps to check'],
    steps: [
      {
        action: 'Ask whether the headset is plugged in.',
        check: true,
        branches: [
          { when: 'If not', then: 'ask them to plug it in.' },
          { when: 'Otherwise', then: 'go on.' },
        ],
      },
      { action: 'Let them join again.', check: false, branches: [] },
    ],
  },
};
let wording = 1;

function pathwayOf(document, passage) {
  const none = { title: document, headings: [], steps: [] };
  return { document, passage, version: `v${wording}`, changed_unix_ms: begun, ...(PROCEDURES[document] ?? none) };
}

async function tickStep(request, response, call, user) {
  const { document, passage, version, step, ticked } = await bodyOf(request);
  const { title, steps } = pathwayOf(document, passage);
  if (!steps[step - 1]) return refuse(response, 404, 'not_found', 'no such step');
  if (version !== `v${wording}`) return refuse(response, 409, 'changed', 'the document has changed');
  tell(call, { kind: 'step', document, passage, version, title, step, text: steps[step - 1].action, ticked, by: user.name });
  return answer(response, 204);
}

async function draftOf({ about, channel, language }, found) {
  const body = await answerTo({ question: about }, found);
  const fact = { number: 9, kind: 'money', text: '40 euros', utterance_id: 1 };
  const facts = body.refused ? [] : [fact];
  const said = { text: 'This is what we spoke of on the phone: 40 euros.', passages: [9] };
  return {
    ...body,
    sentences: body.refused ? [] : [said, ...body.sentences],
    subject: channel === 'email' ? (found[0]?.title ?? null) : null,
    greeting: language === 'fa' ? 'سلام،' : 'Hello,',
    closing: language === 'fa' ? 'با مهر' : 'Kind regards',
    facts,
  };
}

/** Who is in which team. */
const people = [
  ['admin', 'admin'],
  ['mina', 'supervisor', 'Cards'],
  ['omid', 'agent', 'Cards'],
  ['leila', 'agent'],
].map(([name, role, team]) => ({ name, role, ...(team && { team }), created_at_unix_ms: begun, disabled: false }));
/** The one that the configuration names. */
const CONFIGURED = { name: 'فروش', configured: { folders: ['school'], pages: false } };
const teamNames = () => {
  const named = [...people.flatMap(({ team }) => team ?? []), ...written.flatMap(({ teams }) => teams), CONFIGURED.name];
  return [...new Set(named)].sort();
};

async function teams(request, response, url, user) {
  if (user.role !== 'admin') return refuse(response, 403, 'forbidden', 'this is not yours to do');
  const name = decodeURIComponent(url.pathname.split('/')[3] ?? '');
  if (request.method === 'GET') {
    const all = teamNames().map((one) => (one === CONFIGURED.name ? CONFIGURED : { name: one }));
    const documents = written.map(({ headings, text, ...one }) => one);
    return answer(response, 200, { teams: all, people, documents });
  }
  const body = await bodyOf(request);
  if (url.pathname.startsWith('/api/users/')) {
    const person = people.find((one) => one.name === name);
    if (!person) return refuse(response, 404, 'not_found', 'there is no such user');
    if (body.team) person.team = body.team;
    else delete person.team;
    return answer(response, 200, { user: person });
  }
  if (name === CONFIGURED.name) return refuse(response, 409, 'in_configuration', 'the configuration names it');
  if (teamNames().includes(body.name)) return refuse(response, 409, 'name_taken', 'there is one');
  for (const person of people) if (person.team === name) person.team = body.name;
  for (const one of written) one.teams = one.teams.map((team) => (team === name ? body.name : team));
  return answer(response, 204);
}

async function library(request, response, url, user) {
  const { method } = request;
  const editable = user.role !== 'agent';
  const seen = written.filter(({ roles }) => roles.length === 0 || roles.includes(user.role));
  if (url.pathname === '/api/ai/assist/search') {
    const { query } = await bodyOf(request);
    const found = lookUp(query, seen.filter(({ passages }) => passages > 0));
    return answer(response, 200, { snippets: found });
  }
  if (url.pathname === '/api/ai/assist/answer') {
    const asked = await bodyOf(request);
    const found = lookUp(asked.question, seen.filter(({ passages }) => passages > 0));
    return answer(response, 200, await answerTo(asked, found));
  }
  if (url.pathname === '/api/ai/assist/draft') {
    const wish = await bodyOf(request);
    if (!wish.about) return refuse(response, 400, 'invalid', 'nothing was asked on this call');
    return answer(response, 200, await draftOf(wish, lookUp(wish.about, seen.filter(({ passages }) => passages > 0))));
  }
  const id = decodeURIComponent(url.pathname.slice('/api/knowledge/documents/'.length));
  if (method === 'GET' && !id) {
    const documents = seen.map(({ headings, text, ...one }) => one);
    return answer(response, 200, { documents, editable, teams: editable ? teamNames() : [] });
  }
  if (method !== 'GET' && !editable) return refuse(response, 403, 'forbidden', 'this is not yours to do');
  if (method === 'POST') {
    const name = url.searchParams.get('name');
    let text = '';
    for await (const chunk of request) text += chunk;
    if (url.searchParams.get('tickets') === 'true') text = text.replace(/(Dear )\p{L}+/gu, '$1••••');
    if (!/\.(md|html|txt|csv|json|pdf|docx)$/.test(name)) return refuse(response, 415, 'kind', 'no such kind');
    if (!text.trim()) return refuse(response, 422, 'unreadable', 'there is no text in it');
    const roles = url.searchParams.get('roles').split(',').filter(Boolean);
    const forTeams = url.searchParams.get('teams').split(',').filter(Boolean);
    const of = { id: name, title: name, source: 'upload', state: 'words', bytes: text.length, roles, teams: forTeams };
    const one = { ...ALL, ...of, changed_unix_ms: Date.now(), headings: [], text };
    const before = written.findIndex((other) => other.id === name);
    if (before >= 0) written.splice(before, 1, { ...one, version: written[before].version + 1 });
    else written.push(one);
    setTimeout(() => written.forEach((other) => other.id === name && (other.state = 'ready')), READ_AFTER_MS);
    return answer(response, 204);
  }
  const one = seen.find((other) => other.id === id);
  if (!one) return refuse(response, 404, 'not_found', 'there is no such document');
  if (method === 'PATCH') {
    one.teams = (await bodyOf(request)).teams;
    return answer(response, 204);
  }
  if (method === 'DELETE') {
    if (one.source === 'folder') return refuse(response, 409, 'in_folder', 'it lies in a folder');
    written.splice(written.indexOf(one), 1);
    return answer(response, 204);
  }
  const { title, changed_unix_ms } = one;
  return answer(response, 200, { id, title, changed_unix_ms, text: [...one.headings, one.text].join('\n') });
}

// ---- what is done after calls ----------------------------------------------------------------------------

/** How long it takes until what is done again is done. */
const DONE_AFTER_MS = 2_000;
const over = [...calls.values()].filter((call) => summary(call).state === 'ended').slice(0, 12);
const jobs = over.map((call, n) => ({
  id: id(begun, 2000 + n),
  call_id: call.id,
  step: n === 3 ? 'write' : 'review',
  version: 1,
  state: n < 2 ? 'dead' : n === 2 ? 'waiting' : 'done',
  tries: n < 2 ? 8 : 1,
  due_at_unix_ms: begun + (n === 2 ? HOUR : 0),
  changed_at_unix_ms: begun - n * 60_000,
  ...(n < 2 ? { error: 'it took too long' } : {}),
}));

function afterCalls(request, response, url, user) {
  if (user.role !== 'admin') return refuse(response, 403, 'forbidden', 'this is not yours to do');
  if (request.method === 'GET') {
    const count = (state) => jobs.filter((job) => job.state === state).length;
    const counts = Object.fromEntries(['waiting', 'running', 'done', 'dead'].map((state) => [state, count(state)]));
    const state = url.searchParams.get('state');
    const shown = jobs.filter((job) => !state || job.state === state).slice(0, 100);
    return answer(response, 200, { ...counts, jobs: shown });
  }
  const job = jobs.find((one) => one.id === url.pathname.split('/')[3]);
  if (!job) return refuse(response, 404, 'not_found', 'no such job');
  const at = Date.now();
  Object.assign(job, { state: 'waiting', tries: 0, due_at_unix_ms: at, changed_at_unix_ms: at });
  setTimeout(() => {
    delete job.error;
    Object.assign(job, { state: 'done', tries: 1, changed_at_unix_ms: Date.now() });
  }, DONE_AFTER_MS);
  return answer(response, 204);
}

// ---- recordings from elsewhere ---------------------------------------------------------------------------

const recorded = over.slice(0, 3).map((call, n) => ({
  id: id(begun, 2100 + n),
  call_id: call.id,
  name: ['monday.wav', 'letter.pdf', 'friday.mp3'][n],
  started_at_unix_ms: begun - n * HOUR,
  state: ['waiting', 'dead', 'done'][n],
  tries: n,
  due_at_unix_ms: begun,
  added_at_unix_ms: begun,
  changed_at_unix_ms: begun - n * 60_000,
  added_by: 'sara',
  ...(n === 1 ? { error: 'unsupported feature' } : {}),
}));

async function elsewhere(request, response, url, user) {
  if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
  const at = Date.now();
  const [, , , one, what] = url.pathname.split('/');
  if (!one && request.method === 'GET') {
    const count = (state) => recorded.filter((row) => row.state === state).length;
    const counts = Object.fromEntries(['waiting', 'running', 'done', 'dead'].map((state) => [state, count(state)]));
    const state = url.searchParams.get('state');
    return answer(response, 200, { ...counts, recordings: recorded.filter((row) => !state || row.state === state) });
  }
  if (!one) {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    if (bytes === 0) return refuse(response, 400, 'invalid', 'there is nothing in it');
    const { id: call_id } = over[0];
    const started_at_unix_ms = Date.parse(url.searchParams.get('started_at'));
    const times = { started_at_unix_ms, due_at_unix_ms: at, added_at_unix_ms: at, changed_at_unix_ms: at };
    const name = url.searchParams.get('name');
    const row = { id: id(at, 2200), call_id, name, state: 'waiting', tries: 0, added_by: user.name, ...times };
    recorded.unshift(row);
    setTimeout(() => Object.assign(row, { state: 'done', tries: 1, changed_at_unix_ms: Date.now() }), DONE_AFTER_MS);
    return answer(response, 202, row);
  }
  const row = recorded.find((other) => other.id === one && ['waiting', 'dead'].includes(other.state));
  if (!row) return refuse(response, 404, 'not_found', 'there is no such recording that waits or was given up');
  if (request.method === 'DELETE') recorded.splice(recorded.indexOf(row), 1);
  else if (what === 'run') Object.assign(row, { state: 'waiting', tries: 0, due_at_unix_ms: at, changed_at_unix_ms: at });
  return answer(response, 204);
}

const endpoint = { name: 'erp', origin: 'https://erp.example', kinds: ['call.ended', 'insight.ready'] };
const deliveries = over.slice(0, 4).map((call, n) => ({
  id: id(begun, 3000 + n),
  endpoint: endpoint.name,
  kind: 'call.ended',
  call_id: call.id,
  at_unix_ms: begun - n * 60_000,
  state: n < 2 ? 'dead' : 'done',
  tries: n < 2 ? 24 : 1,
  due_at_unix_ms: begun,
  changed_at_unix_ms: begun - n * 60_000,
  took_ms: 40,
  code: n < 2 ? 503 : 204,
  ...(n < 2 ? { error: 'it answered 503' } : {}),
}));

function told(request, response, url, user) {
  if (user.role !== 'admin') return refuse(response, 403, 'forbidden', 'this is not yours to do');
  const at = Date.now();
  const take = (delivery) => {
    delete delivery.error;
    Object.assign(delivery, { state: 'done', tries: 1, code: 204, changed_at_unix_ms: at });
    return answer(response, 204);
  };
  if (request.method === 'GET') {
    const count = (state) => deliveries.filter((one) => one.state === state).length;
    const counts = Object.fromEntries(['waiting', 'done', 'dead'].map((state) => [state, count(state)]));
    const state = url.searchParams.get('state');
    const shown = deliveries.filter((one) => !state || one.state === state);
    return answer(response, 200, { endpoints: [{ ...endpoint, ...counts }], deliveries: shown });
  }
  if (url.pathname === '/api/webhooks/erp/test') {
    deliveries.unshift({ id: id(at, 4000), endpoint: 'erp', kind: 'test', at_unix_ms: at, due_at_unix_ms: at });
    return take(deliveries[0]);
  }
  const delivery = deliveries.find((one) => one.id === url.pathname.split('/')[4]);
  return delivery ? take(delivery) : refuse(response, 404, 'not_found', 'there is no such delivery');
}

// ---- what people say of calls ----------------------------------------------------------------------------

/** By call: each reviewer's versions, answers, and who wants it to be looked at. */
const judged = new Map();
const judgedOf = (call) => {
  if (!judged.has(call.id)) judged.set(call.id, { reviews: new Map(), replies: [], flagged_by: undefined });
  return judged.get(call.id);
};
const isOver = (call) => stateNow(call).ended !== null;

function judging(request, response, path, user) {
  const [, callId, what] = /^\/api\/calls\/([\w-]+)\/(?:quality\/)?(\w+)$/.exec(path) ?? [];
  const call = calls.get(callId);
  if (!call) return refuse(response, 404, 'not_found', 'no such call');
  const kept = judgedOf(call);
  const own = kept.reviews.get(user.name);
  const isAgent = summary(call).participants.some(({ party, name }) => party === 'agent' && name === user.name);
  const may_review = user.role !== 'agent' && !isAgent;
  if (!may_review && !isAgent) return refuse(response, 403, 'forbidden', 'this is not yours to do');
  if (what === 'reviews') {
    const blind = may_review && !own;
    const shown = (review) => ({ ...review, hidden: true, verdict: undefined, scores: [], comment: '' });
    const newest = [...kept.reviews.values()].map((versions) => versions.at(-1));
    const reviews = newest.map((review) => (blind ? shown(review) : review));
    const { replies, flagged_by } = kept;
    return answer(response, 200, { reviews, replies: blind ? [] : replies, flagged_by, may_review });
  }
  return bodyOf(request).then((body) => {
    if (what === 'replies') {
      kept.replies.push({ by: user.name, at_unix_ms: Date.now(), text: body.text });
      return answer(response, 201, kept.replies.at(-1));
    }
    if (!may_review) return refuse(response, 403, 'forbidden', 'this is not yours to do');
    if (what === 'flag') {
      kept.flagged_by = body.flagged ? (kept.flagged_by ?? user.name) : undefined;
      return answer(response, 204);
    }
    if (body.version !== (own?.length ?? 0)) return refuse(response, 409, 'changed_meanwhile', 'somebody has');
    const scores = reviewOf(stateNow(call)).quality.questions.map(({ name, score }) => {
      const said = body.scores.find(({ question }) => question === name);
      return { question: name, built_in: score, score: said ? said.score : score, comment: said?.comment ?? '' };
    });
    const verdict = scores.every(({ score, built_in }) => score === built_in) ? 'accepted' : 'corrected';
    const about = { reviewer: user.name, version: body.version + 1, at_unix_ms: Date.now(), hidden: false };
    const review = { ...about, verdict, scores, comment: body.comment };
    kept.reviews.set(user.name, [...(own ?? []), review]);
    return answer(response, 200, review);
  });
}

const foldedWords = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** As if a model knew what means the same: the words of a line. */
const ALIKE = [
  ['mistake', 'fault', 'اشتباه', 'خطا'],
  ['deposit', 'prepayment', 'بیعانه', 'ودیعه'],
];

function found(response, url, user) {
  const wanted = Object.fromEntries(url.searchParams);
  const words = foldedWords(wanted.said ?? '');
  const isIt = (one, word) => (word.length > 2 ? one.startsWith(word) : one === word);
  const has = ({ text }) => words.every((word) => foldedWords(text).some((one) => isIt(one, word)));
  const by_meaning = wanted.meaning === 'true' && words.length > 0;
  const alike = by_meaning ? ALIKE.filter((line) => words.some((word) => line.includes(word))).flat() : [];
  const means = ({ text }) => foldedWords(text).some((word) => alike.includes(word));
  const reasons = (said) => [...(has(said) ? ['words'] : []), ...(means(said) ? ['meaning'] : [])];
  const entry = (call) => {
    const state = stateNow(call);
    const { quality } = reviewOf(state);
    const kept = judgedOf(call);
    const agent = state.started?.participants.find(({ party }) => party === 'agent')?.name;
    const valence = state.moods.at(-1)?.arc.valence;
    const level = valence <= -0.2 ? 'negative' : valence >= 0.2 ? 'positive' : 'neutral';
    const said = words.length > 0 ? state.utterances.filter((one) => has(one) || means(one)).slice(0, 3) : [];
    return {
      call: summary(call),
      agent,
      intent: state.intents.at(-1)?.name,
      intent_title: state.intents.at(-1)?.title ?? {},
      sentiment: valence === undefined ? undefined : level,
      score: quality.total ?? undefined,
      reviews: kept.reviews.size,
      flagged_by: kept.flagged_by,
      said: said.map((one) => {
        const { utterance_id, party, start_ms, text } = one;
        return { utterance_id, party, start_ms, text, found_by: reasons(one) };
      }),
    };
  };
  const is = (key, value) => wanted[key] === undefined || wanted[key] === String(value);
  const all = [...calls.values()].filter(isOver).map(entry);
  const matching = all
    .filter((one) => (user.role === 'agent' ? one.agent === user.name : is('agent', one.agent)))
    .filter((one) => words.length === 0 || one.said.length > 0)
    .filter((one) => is('intent', one.intent) && is('sentiment', one.sentiment))
    .filter((one) => is('reviewed', one.reviews > 0) && is('flagged', one.flagged_by !== undefined))
    .filter((one) => is('outcome', one.call.outcome?.outcome))
    .filter(({ score }) => wanted.score_from === undefined || score >= Number(wanted.score_from))
    .filter(({ score }) => wanted.score_below === undefined || score < Number(wanted.score_below))
    .filter(({ call }) => by_meaning || !wanted.before || call.id < wanted.before)
    .sort((a, b) => (a.call.id < b.call.id ? 1 : -1));
  const isByWords = ({ said }) => said.some(({ found_by }) => found_by.includes('words'));
  if (by_meaning) matching.sort((a, b) => isByWords(b) - isByWords(a));
  const page = matching.slice(0, Number(wanted.limit ?? 50));
  return answer(response, 200, { calls: page, by_meaning, older_by_words: false });
}

/** What the dashboard shows: as if there had been more calls the days before. */
function figures(response, path, user) {
  if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
  const pair = { people: { units: 12, share: 0.83, alpha: 0.61 }, built_in: { units: 40, share: 0.9, alpha: null } };
  if (path === '/api/quality/agreement') {
    const titles = { en: 'Greets, and says who they are', fa: 'سلام می‌کند و خود را معرفی می‌کند' };
    const questions = [{ question: 'greeting', title: titles, agreement: { ...pair, people: null } }];
    return answer(response, 200, { all: pair, questions });
  }
  const DAY = 24 * HOUR;
  const midnight = begun - (begun % DAY);
  const some = (count, score) => ({
    calls: count,
    length_ms: 210_000,
    score,
    reviewed: Math.floor(count / 3),
    moods: { positive: 4, neutral: count - 5, negative: 1 },
    agent_ms: count * 90_000,
    customer_ms: count * 70_000,
    silence_ms: count * 50_000,
    latency_ms: 640,
    certainty: 0.91,
    lost_ms: 0,
  });
  const days = [6, 4, 1, 0].map((ago) => ({ begins_unix_ms: midnight - ago * DAY, figures: some(8 + ago, 0.6 + ago / 20) }));
  const intents = Object.entries(TITLES).slice(0, 4).map(([intent, title], n) => ({ intent, title, calls: 12 - n * 3 }));
  const tasks = { proposed: 3, open: 5, done: 9, dismissed: 1 };
  const total = some(43, 0.72);
  return answer(response, 200, { since_unix_ms: midnight - 7 * DAY, until_unix_ms: begun, total, days, intents, tasks });
}

// ---- what is not written down ----------------------------------------------------------------------------

const asked = (text, n, confidence = 0.2) => ({
  text,
  asked_at_unix_ms: begun - n * HOUR,
  confidence,
  ...(over[n] ? { call_id: over[n].id, utterance_id: 3 } : {}),
});
const gaps = [
  [asked('Can I pay in instalments?', 1), asked('Is it possible to pay monthly?', 2), asked('instalments', 99, 0)],
  [asked('آیا گواهی پایان دوره می‌دهید؟', 3), asked('مدرک پایان دوره چطور صادر می‌شود؟', 5)],
  [asked('Will it rain tomorrow?', 4)],
].map((questions, n) => ({
  id: id(begun, 3300 + n),
  state: 'open',
  count: questions.length,
  count_since: 0,
  last_asked_unix_ms: questions[0].asked_at_unix_ms,
  changed_by: '',
  questions,
}));

/** How a document does: the first helps, the second does not, and what cannot be read says so. */
function health({ id, title, state, changed_unix_ms }, n) {
  const uses = { shown: 0, accepted: 0, copied: 0, dismissed: 0, wrong: 0, found: 0 };
  if (n === 0) Object.assign(uses, { shown: 12, accepted: 5, copied: 3, dismissed: 2, found: 7 });
  if (n === 1) Object.assign(uses, { shown: 6, dismissed: 1, wrong: 3 });
  const concerns = state === 'failed' ? ['failed'] : n === 1 ? ['wrong', 'never_used'] : n === 2 ? ['never_shown'] : [];
  return { id, title, changed_unix_ms, ...uses, concerns };
}

async function keeping(request, response, url, user) {
  if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
  const seen = written.filter(({ roles }) => roles.length === 0 || roles.includes(user.role));
  if (url.pathname === '/api/knowledge/health') {
    const documents = seen.map(health).sort((a, b) => b.concerns.length - a.concerns.length);
    const of = ({ id: document, title, headings, changed_unix_ms }, text) => ({ document, title, headings, text, changed_unix_ms });
    const conflicts = [
      {
        newer: of(written[0], 'The money is back on your card within 5 working days.'),
        older: of(written[1], 'The money is back on your card within 7 working days.'),
      },
    ];
    return answer(response, 200, { old_after_days: 365, documents, conflicts });
  }
  if (request.method === 'GET') {
    const count = (state) => gaps.filter((gap) => gap.state === state).length;
    const counts = Object.fromEntries(['open', 'answered', 'hidden'].map((state) => [state, count(state)]));
    const state = url.searchParams.get('state') ?? 'open';
    return answer(response, 200, { ...counts, gaps: gaps.filter((gap) => gap.state === state) });
  }
  const gap = gaps.find((one) => one.id === url.pathname.split('/')[4]);
  if (!gap) return refuse(response, 404, 'not_found', 'there is no such gap');
  const { state, document: name } = await bodyOf(request);
  const document = seen.find((one) => one.id === name);
  if ((state === 'answered') !== Boolean(document)) return refuse(response, 400, 'invalid', 'no such document');
  delete gap.document;
  Object.assign(gap, { state, changed_by: user.name }, document && { document: { id: document.id, title: document.title } });
  return answer(response, 204);
}

// ---- contacts ---------------------------------------------------------------------------------------------

const LEAD = { kind: 'lead', stage: 'new', phones: [], notes: '', fields: {}, version: 1 };
let leads = [
  {
    ...LEAD,
    id: id(begun, 3001),
    name: 'Robert Miller',
    stage: 'contacted',
    phones: ['+442079460123'],
    email: 'robert@example.com',
    fields: { city: 'London', course: 'IELTS' },
    score: {
      points: 20,
      reasons: [
        { rule: 'stage_contacted', points: 10 },
        { rule: 'names_course', points: 10 },
      ],
    },
    notes: 'Prefers mornings.',
    active_at_unix_ms: begun - 2 * HOUR,
  },
  {
    ...LEAD,
    id: id(begun, 3002),
    name: 'رضا توکلی',
    kind: 'representative',
    stage: 'converted',
    phones: ['+989121234567'],
    fields: { city: 'شیراز' },
    active_at_unix_ms: begun - 26 * HOUR,
  },
];
let companies = [];
const said = [
  { type: 'note', source: 'person', at_unix_ms: begun - 50 * HOUR, by: 'mina', content: 'Asked for the price list.' },
].map((one, n) => ({ id: id(begun, 3100 + n), lead: leads[0].id, tags: [], metadata: {}, ...one }));
const tasks = [];
const tickets = [];
const payments = [];
/** What is written down for the next talk, by contact. */
const talks = new Map();

/** As it is kept: tomans are ten rials. */
function money({ amount, currency }) {
  const isToman = currency === 'toman';
  const value = Number(amount.replaceAll(',', '')) * (isToman ? 10 : 1);
  const kept = isToman ? 'IRR' : currency;
  return value > 0 ? { amount: value.toFixed(kept === 'IRR' ? 0 : 2), currency: kept } : null;
}

const numberOf = (text) => {
  const number = text.replace(/^\w+:/, '').replace(/@.*/, '').replace(/[^0-9+]/g, '');
  return /^\+?[0-9]{7,15}$/.test(number) ? number.replace(/^00/, '+') : null;
};

// The calls that are over have been noted.
for (const call of over) {
  const { participants, started_at_unix_ms, duration_ms } = summary(call);
  const aor = participants.find(({ party }) => party === 'customer')?.aor ?? '';
  const lead = leads.find(({ phones }) => phones.includes(numberOf(aor)));
  if (!lead) continue;
  const { insight } = reviewOf(stateNow(call));
  const at = started_at_unix_ms + duration_ms;
  const about = { tags: [], metadata: { lead_stage_suggestion: 'qualified' }, call_id: call.id };
  const content = insight.summary_bullets.join('\n');
  said.push({ id: id(at, said.length), lead: lead.id, type: 'call_summary', source: 'ai', at_unix_ms: at, content, ...about });
  const promised = insight.next_actions.find(({ by }) => by === 'agent');
  if (!promised || tasks.some(({ lead_id }) => lead_id === lead.id)) continue;
  const { type, channel, text } = promised;
  const of = { id: id(begun, 3200 + tasks.length), lead_id: lead.id, lead_name: lead.name, call_id: call.id };
  tasks.push({ ...of, quote: text, state: 'proposed', type, channel, due_at_unix_ms: begun + HOUR, version: 1, priority: 'normal' });
}

// ---- messages to contacts

const CHANNELS = ['sms', 'email', 'call_message'];
const messages = [];
/** By what contacts do not want to be written to. */
const optOuts = new Map();

function draft(lead, about) {
  const at = about.changed_at_unix_ms ?? begun;
  const of = { lead_id: lead.id, lead_name: lead.name, channel: 'sms', to: lead.phones[0], state: 'drafted', version: 1 };
  messages.unshift({ ...of, made_at_unix_ms: at, changed_at_unix_ms: at, ...about, id: id(at, 3300 + messages.length) });
}
draft(leads[0], {
  channel: 'call_message',
  text: 'Hello Robert Miller, this is Harper. Our call was cut off. Please call us again when it suits you.',
});
draft(leads[1], { state: 'unknown', error: 'there was no answer in time', text: 'سلام، فردا با شما تماس می‌گیریم.', decided_by: 'mina' });

/** What a call has promised is drafted once it is over. */
function promisedBy(call) {
  if (!call || messages.some((one) => one.call_id === call.id) || summary(call).state !== 'ended') return;
  const aor = summary(call).participants.find(({ party }) => party === 'customer')?.aor ?? '';
  const lead = leads.find(({ phones }) => phones.includes(numberOf(aor)));
  const promised = reviewOf(stateNow(call)).insight.next_actions.some(({ by }) => by === 'agent');
  if (lead && promised) draft(lead, { call_id: call.id, text: 'Hello Robert Miller, as agreed, we will call you.' });
}

async function followUps(request, response, url, user) {
  const { method } = request;
  const [, , , key, what] = url.pathname.split('/');
  const asked = url.searchParams;
  if (method === 'GET') {
    promisedBy(calls.get(asked.get('call_id')));
    const wanted = (one) =>
      ['state', 'lead_id', 'call_id'].every((name) => !asked.get(name) || one[name] === asked.get(name));
    if (what !== 'speech') return answer(response, 200, { follow_ups: messages.filter(wanted), channels: CHANNELS });
    if (!messages.some((one) => one.id === key && one.channel === 'call_message'))
      return refuse(response, 404, 'not_found', 'there is no such speech');
    // Whatever it says, a call is heard.
    return play(request, response, [...calls.values()].find((call) => call.recording));
  }
  const body = await bodyOf(request);
  const at = Date.now();
  if (!key) {
    const lead = leads.find((one) => one.id === body.lead_id);
    if (!lead) return refuse(response, 404, 'not_found', 'there is no such contact');
    draft(lead, { ...body, made_by: user.name, changed_at_unix_ms: at });
    return answer(response, 201, messages[0]);
  }
  const message = messages.find((one) => one.id === key);
  if (!message) return refuse(response, 404, 'not_found', 'there is no such message');
  if (message.version !== body.version)
    return refuse(response, 409, 'changed_meanwhile', 'somebody else has changed it meanwhile');
  if (what === 'approve' && optOuts.get(message.lead_id)?.channels.includes(message.channel))
    return refuse(response, 409, 'opted_out', 'the contact does not want to be written to so');
  const states = { approve: 'approved', dismiss: 'dismissed', resolve: body.sent ? 'sent' : 'drafted' };
  const decided = { decided_by: user.name, changed_at_unix_ms: at, version: message.version + 1 };
  const { sent: _, ...fields } = body;
  Object.assign(message, fields, { state: states[what] ?? 'drafted' }, decided);
  return answer(response, 200, message);
}

async function crm(request, response, url, user) {
  const { method } = request;
  const [, , kind, key, part] = url.pathname.split('/');
  const asked = url.searchParams;
  const unknown = () => refuse(response, 404, 'not_found', 'there is no such thing');
  const stale = () => refuse(response, 409, 'changed_meanwhile', 'somebody else has changed it meanwhile');
  const named = (lead) => {
    const company = companies.find((one) => one.id === lead.company_id);
    return company ? { ...lead, company_name: company.name } : lead;
  };
  const taken = (phones, but) =>
    leads.some((one) => one.id !== but && one.phones.some((number) => phones.includes(number)));
  if (kind === 'payments' && key === 'import') {
    if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
    const [head, ...lines] = (await textOf(request)).trim().split('\n').map((line) => line.split(','));
    const at = Date.now();
    const rows = lines.map((line, n) => {
      const cell = (name) => line[head.indexOf(name)]?.trim() ?? '';
      const lead = leads.find(({ phones }) => phones.includes(numberOf(cell('phone'))));
      const about = { id: id(at, 3500 + payments.length + n), state: 'due', version: 1, about: cell('about'), made_at_unix_ms: at };
      return lead && { ...about, ...money({ amount: cell('amount'), currency: cell('currency') }), lead_id: lead.id };
    });
    const problems = rows.flatMap((row, n) => (row ? [] : [{ line: n + 2, message: 'there is no such contact' }]));
    if (problems.length === 0) payments.unshift(...rows);
    return answer(response, 200, { added: problems.length === 0 ? rows.length : 0, problems });
  }
  if (key === 'import') {
    if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
    const [head, ...lines] = (await textOf(request)).trim().split('\n').map((line) => line.split(','));
    const cell = (line, name) => line[head.indexOf(name)]?.trim() ?? '';
    const added = lines.map((line, n) => {
      const phones = [numberOf(cell(line, 'phones'))].filter(Boolean);
      const at = Date.now();
      return { ...LEAD, id: id(at, 3000 + leads.length + n), name: cell(line, 'name'), phones, active_at_unix_ms: at };
    });
    const problems = added.flatMap(({ phones }, n) =>
      taken(phones) ? [{ line: n + 2, message: `another contact has the number ${phones[0]}` }] : [],
    );
    if (problems.length === 0) leads.push(...added);
    return answer(response, 200, { added: problems.length === 0 ? added.length : 0, problems });
  }
  if (part === 'voice-notes') {
    await textOf(request);
    const at = Date.now();
    const call = over.at(-1);
    // It is listened to at once.
    const note = { type: 'voice_note', source: 'ai', content: 'Please call me back.', call_id: call?.id };
    said.push({ tags: [], metadata: {}, ...note, id: id(at, said.length), lead: key, at_unix_ms: at });
    return answer(response, 202, { id: id(at, 3600), call_id: call?.id, name: asked.get('name'), state: 'waiting' });
  }
  const body = method === 'GET' || method === 'DELETE' ? {} : await bodyOf(request);
  if (kind === 'companies') {
    const company = companies.find((one) => one.id === key);
    if (method === 'POST') {
      const made = { notes: '', version: 1, ...body, phones: body.phones.map(numberOf), id: id(Date.now(), 3300 + companies.length) };
      companies.unshift(made);
      return answer(response, 201, made);
    }
    if (!key) return answer(response, 200, { companies });
    if (!company) return unknown();
    if (method !== 'DELETE') return answer(response, 200, company);
    if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
    companies = companies.filter((one) => one !== company);
    for (const one of leads) if (one.company_id === key) delete one.company_id;
    return answer(response, 204);
  }
  if (kind === 'tasks') {
    if (method === 'GET') {
      const wanted = (task) =>
        (!asked.get('state') || task.state === asked.get('state')) &&
        (!asked.get('lead_id') || task.lead_id === asked.get('lead_id')) &&
        (!asked.get('due_by_unix_ms') || task.due_at_unix_ms <= Number(asked.get('due_by_unix_ms'))) &&
        (!asked.get('mine') || !task.assignee || task.assignee === user.name);
      return answer(response, 200, { tasks: tasks.filter(wanted) });
    }
    if (method === 'POST') {
      const lead = leads.find((one) => one.id === body.lead_id);
      if (!lead) return unknown();
      const task = { ...body, id: id(Date.now(), 3200 + tasks.length), lead_name: lead.name, state: 'open', version: 1 };
      tasks.push(task);
      return answer(response, 201, task);
    }
    const task = tasks.find((one) => one.id === key);
    if (!task) return unknown();
    if (task.version !== body.version) return stale();
    Object.assign(task, body, { version: task.version + 1 });
    return answer(response, 200, task);
  }
  if (kind === 'tickets') {
    const ticket = tickets.find((one) => one.id === key);
    if (!ticket) return unknown();
    if (ticket.version !== body.version) return stale();
    if (ticket.state === 'closed' && !['closed', 'open'].includes(body.state))
      return refuse(response, 409, 'not_possible', 'the ticket cannot become that');
    Object.assign(ticket, body, { version: ticket.version + 1, changed_at_unix_ms: Date.now() });
    return answer(response, 200, ticket);
  }
  if (kind === 'payments') {
    const payment = payments.find((one) => one.id === key);
    if (!payment) return unknown();
    if (payment.version !== body.version) return stale();
    const paid = body.state === 'paid' ? { paid_at_unix_ms: Date.now() } : {};
    if (body.state === 'due') delete payment.paid_at_unix_ms;
    Object.assign(payment, body, money(body), paid, { version: payment.version + 1 });
    return answer(response, 200, payment);
  }
  const numbers = (body.phones ?? []).map(numberOf);
  if (numbers.includes(null)) return refuse(response, 400, 'invalid', `\`${body.phones.at(-1)}\` is no telephone number`);
  if (!key) {
    if (method === 'GET') {
      const words = (asked.get('q') ?? '').toLowerCase().split(/\s+/);
      const text = (one) => [one.name, ...one.phones, ...Object.values(one.fields)].join(' ').toLowerCase();
      const wanted = (one) =>
        (!asked.get('phone') || one.phones.includes(numberOf(asked.get('phone')))) &&
        (!asked.get('stage') || one.stage === asked.get('stage')) &&
        (!asked.get('company_id') || one.company_id === asked.get('company_id')) &&
        words.every((word) => text(one).includes(word));
      const found = leads.filter(wanted).map(named).sort((a, b) => b.active_at_unix_ms - a.active_at_unix_ms);
      return answer(response, 200, { leads: found });
    }
    if (taken(numbers)) return refuse(response, 409, 'number_taken', 'another contact has the number');
    const at = Date.now();
    const lead = { ...LEAD, ...body, phones: numbers, id: id(at, 3000 + leads.length), active_at_unix_ms: at };
    leads.push(lead);
    return answer(response, 201, lead);
  }
  const lead = leads.find((one) => one.id === key);
  if (!lead) return unknown();
  if (part === 'communication') {
    if (method === 'GET') {
      const of = said.filter((one) => one.lead === key).sort((a, b) => b.at_unix_ms - a.at_unix_ms);
      return answer(response, 200, { communication: of });
    }
    const at = Date.now();
    const entry = { tags: [], metadata: {}, ...body, source: 'person', by: user.name, at_unix_ms: at };
    said.push({ ...entry, id: id(at, said.length), lead: key });
    lead.active_at_unix_ms = at;
    return answer(response, 201, said.at(-1));
  }
  if (part === 'preparation') {
    const before = talks.get(key);
    if (method === 'PUT') {
      if ((before?.version ?? 0) !== body.version) return stale();
      const kept = { text: body.text, by: user.name, at_unix_ms: Date.now() };
      if (body.text) talks.set(key, { kept, version: body.version + 1 });
      else talks.delete(key);
    }
    const line = (section, rule, what, from, about) => ({ section, rule, from: { what, id: from }, ...about });
    const call = said.findLast((one) => one.lead === key && one.call_id);
    const drawn = call && { what: 'entry', id: call.id, call_id: call.call_id };
    const ticket = tickets.find((one) => one.lead_id === key && one.state === 'open');
    const owed = payments.find((one) => one.lead_id === key && one.state === 'due');
    const lines = [
      line('who', 'stage', 'contact', key, { text: lead.stage }),
      ...(call ? [{ ...line('happened', 'called'), from: drawn, text: call.content, at_unix_ms: call.at_unix_ms }] : []),
      ...(ticket ? [line('open', 'ticket', 'ticket', ticket.id, { text: ticket.title })] : []),
      ...(owed ? [line('open', 'owes', 'payment', owed.id, { text: owed.about, amount: owed.amount, currency: owed.currency })] : []),
      ticket
        ? line('opening', 'begin_ticket', 'ticket', ticket.id, { text: ticket.title })
        : line('opening', 'begin_new', 'contact', key),
      line('goals', 'find_needs', 'contact', key),
      ...(optOuts.get(key) ?? []).map((text) => line('avoid', 'no_channel', 'contact', key, { text })),
    ];
    return answer(response, 200, { lines, version: 0, ...talks.get(key) });
  }
  if (part === 'tickets') {
    const of = tickets.filter(({ lead_id }) => lead_id === key);
    if (method === 'GET') return answer(response, 200, { tickets: of });
    const at = Date.now();
    const about = { id: id(at, 3400 + tickets.length), lead_id: key, lead_name: lead.name, state: 'open', version: 1 };
    const ticket = { text: '', resolution: '', priority: 'normal', ...body, ...about };
    tickets.unshift({ ...ticket, made_by: user.name, made_at_unix_ms: at, changed_at_unix_ms: at });
    return answer(response, 201, tickets[0]);
  }
  if (part === 'payments') {
    if (method === 'GET') return answer(response, 200, { payments: payments.filter(({ lead_id }) => lead_id === key) });
    const kept = money(body);
    if (!kept) return refuse(response, 400, 'invalid', `\`${body.amount}\` is no amount`);
    if (body.reference && payments.some(({ reference }) => reference === body.reference))
      return refuse(response, 409, 'reference_taken', `another payment has the reference ${body.reference}`);
    const at = Date.now();
    const about = { id: id(at, 3500 + payments.length), lead_id: key, version: 1, made_at_unix_ms: at };
    const paid = body.state === 'paid' ? { paid_at_unix_ms: at } : {};
    payments.unshift({ state: 'due', about: '', ...body, ...kept, ...paid, ...about });
    return answer(response, 201, payments[0]);
  }
  if (part === 'erase') {
    if (user.role !== 'admin') return refuse(response, 403, 'forbidden', 'this is not yours to do');
    leads = leads.filter((one) => one !== lead);
    return answer(response, 200, { calls: 1, left: 0, missed: 0, recordings: 0 });
  }
  if (part === 'merge') {
    if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
    const other = leads.find((one) => one.id === body.other);
    if (!other) return unknown();
    if (lead.version !== body.version || other.version !== body.other_version) return stale();
    for (const one of said) if (one.lead === other.id) one.lead = key;
    for (const one of [...tasks, ...tickets, ...payments]) if (one.lead_id === other.id) one.lead_id = key;
    leads = leads.filter((one) => one !== other);
    const notes = [lead.notes, other.name, other.notes].filter(Boolean).join('\n');
    Object.assign(lead, { phones: [...lead.phones, ...other.phones], notes, version: lead.version + 1 });
    return answer(response, 200, lead);
  }
  if (part === 'opt-outs') {
    const now = optOuts.get(key) ?? { version: 1, channels: [] };
    if (method !== 'PUT') return answer(response, 200, now);
    if (now.version !== body.version) return stale();
    optOuts.set(key, { version: now.version + 1, channels: body.channels });
    return answer(response, 200, optOuts.get(key));
  }
  if (method === 'PUT') {
    if (lead.version !== body.version) return stale();
    if (taken(numbers, key)) return refuse(response, 409, 'number_taken', 'another contact has the number');
    Object.assign(lead, body, { phones: numbers, version: lead.version + 1, active_at_unix_ms: Date.now() });
  } else if (method === 'DELETE') {
    if (user.role === 'agent') return refuse(response, 403, 'forbidden', 'this is not yours to do');
    leads = leads.filter((one) => one !== lead);
    return answer(response, 204);
  }
  return answer(response, 200, named(lead));
}

// ---- HTTP ------------------------------------------------------------------------------------------------

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};
// As strict as the real server may be: a page that needs an exception is found out here.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const sessions = new Map();
let counter = 0;
let droppedUntil = 0;
let lacking = [];
let answersFail = false;

function answer(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
const refuse = (response, status, code, message, headers) =>
  answer(response, status, { error: { code, message } }, headers);
const sessionOf = (request) => /sotto_session=(\w+)/.exec(request.headers.cookie ?? '')?.[1];

async function textOf(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

async function bodyOf(request) {
  return JSON.parse((await textOf(request)) || '{}');
}

async function serve(request, response) {
  const url = new URL(request.url, 'http://mock');
  const path = url.pathname;
  if (path === '/dev/drop') {
    droppedUntil = Date.now() + Number(url.searchParams.get('ms') ?? 8000);
    for (const socket of sockets.clients) socket.terminate();
    return answer(response, 200, {});
  }
  if (path === '/dev/need') {
    const one = others[Number(url.searchParams.get('n'))];
    const since_ms = Date.now() - one.started_at_unix_ms;
    one.now = { ...one.now, phase: 'agent_lost', alerts: [{ kind: 'agent_lost', severity: 'urgent', since_ms }] };
    return answer(response, 200, { id: one.id });
  }
  if (path === '/dev/refuse') {
    for (const one of phones) one.send({ type: 'refused', why: 'there is no call' });
    return answer(response, 200, {});
  }
  if (path === '/dev/ring') {
    ring();
    return answer(response, 200, {});
  }
  if (path === '/dev/miss') {
    miss();
    return answer(response, 200, {});
  }
  if (path === '/dev/lack') {
    lacking = url.searchParams.get('parts').split(',').filter(Boolean);
    return answer(response, 200, {});
  }
  if (path === '/dev/event') {
    tell(find(url.searchParams.get('call')), await bodyOf(request));
    return answer(response, 200, {});
  }
  if (path === '/dev/kill') {
    const call = find(url.searchParams.get('call'));
    const lost = Number(url.searchParams.get('lost'));
    const kept = call.events.slice(0, call.shown).filter(({ utterance_id }) => utterance_id !== lost);
    const at_ms = Date.now() - call.startedAt;
    const ended = { kind: 'call_ended', reason: 'interrupted', duration_ms: at_ms };
    call.events = [...kept, { seq: call.shown + 1, at_ms, ...ended }];
    call.shown = call.events.length;
    for (const listener of listeners) listener(summary(call));
    for (const socket of sockets.clients) socket.terminate();
    setTimeout(() => make(call.script, Date.now() - headStart), 12_000);
    return answer(response, 200, {});
  }
  if (path === '/dev/reword') {
    wording++;
    return answer(response, 200, {});
  }
  if (path === '/dev/answers') {
    answersFail = url.searchParams.get('fail') === '1';
    return answer(response, 200, {});
  }
  if (path.startsWith('/api/') && lacking.includes('signin'))
    return refuse(response, 503, 'store', 'the database does not answer');
  if (path === '/api/session' && request.method === 'POST') {
    const { name, password } = await bodyOf(request);
    if (name === 'locked')
      return refuse(response, 429, 'rate_limited', 'too many attempts', { 'retry-after': '24' });
    if (password !== 'sotto')
      return refuse(response, 401, 'wrong_credentials', 'name and password do not match');
    const key = `s${++counter}`;
    sessions.set(key, { name, role: ['admin', 'reviewer'].includes(name) ? name : 'agent' });
    return answer(
      response,
      200,
      { user: sessions.get(key) },
      { 'set-cookie': `sotto_session=${key}; HttpOnly; SameSite=Strict; Path=/` },
    );
  }
  if (path.startsWith('/api/')) {
    const user = sessions.get(sessionOf(request));
    if (!user) return refuse(response, 401, 'unauthorized', 'sign in first');
    if (user.role === 'reviewer' && !REVIEWED.test(path))
      return refuse(response, 403, 'forbidden', 'this is not yours to do');
    return resource(request, response, url, user);
  }
  return file(response, path);
}

/** All that reviewers ask for. */
const REVIEWED = /^\/api\/(session|status|review\/calls|calls(\/[\w-]+(\/(events|insight|quality.*|flag|recording))?)?)$/;

function resource(request, response, url, user) {
  const path = url.pathname;
  if (path === '/api/session') {
    if (request.method !== 'DELETE') return answer(response, 200, user);
    sessions.delete(sessionOf(request));
    return answer(response, 204);
  }
  if (path === '/api/status') {
    return answer(response, 200, {
      version: '0.1.0',
      speech: { shedding: 'none', behind_ms: 0, workers: 2 },
      calls: { live: allLive().length, max: 100 },
      moods: {
        is_read: true,
        purpose: {
          en: 'So that agents can answer kindly, and supervisors see which call needs them.',
          fa: 'تا کارشناس بتواند با مهربانی پاسخ دهد و سرپرست ببیند کدام تماس به او نیاز دارد.',
        },
        kept_days: 90,
        seen_by: ['agent', 'reviewer', 'supervisor', 'admin'],
      },
      degraded: Object.fromEntries(lacking.map((part) => [part, 'away'])),
    });
  }
  if (path === '/api/missed') {
    const one = { id: 'm1', at_unix_ms: Date.now() - 900_000, called: '100', waited_ms: 42_000 };
    const missed = [{ ...one, aor: 'sip:+442079460199@pbx', name: 'Anna Weber' }, { ...one, id: 'm2' }];
    return answer(response, 200, { missed: missed.filter(({ id }) => !handled.has(id)) });
  }
  if (path.startsWith('/api/missed/')) {
    handled.add(path.split('/')[3]);
    return answer(response, 204);
  }
  if (path === '/api/desk') {
    const agent = (name, state) => ({ name, state, since_ms: 60_000 });
    const agents = [agent('mina', 'talking'), agent('omid', 'ready'), agent('leila', 'ringing')];
    agents.push(agent('مینا کریمی', 'away'));
    const there = agents.filter((one) => one.name !== user.name);
    return answer(response, 200, { agents: there, numbers: ['100'], waiting: inLine(begun) });
  }
  if (/^\/api\/knowledge\/(gaps|health)(\/|$)/.test(path)) return keeping(request, response, url, user);
  if (/^\/api\/(intents|intent-examples)(\/|$)/.test(path)) return teach(request, response, url, user);
  const procedure = /^\/api\/knowledge\/pathways\/(.+)$/.exec(path)?.[1];
  if (procedure)
    return answer(response, 200, pathwayOf(decodeURIComponent(procedure), Number(url.searchParams.get('passage'))));
  if (/^\/api\/(knowledge\/documents|ai\/assist\/(search|answer|draft))(\/|$)/.test(path))
    return library(request, response, url, user);
  if (/^\/api\/(leads|tasks|tickets|payments|companies)(\/|$)/.test(path)) return crm(request, response, url, user);
  if (/^\/api\/recordings(\/|$)/.test(path)) return elsewhere(request, response, url, user);
  if (/^\/api\/follow-ups(\/|$)/.test(path)) return followUps(request, response, url, user);
  if (/^\/api\/(teams|users)(\/|$)/.test(path)) return teams(request, response, url, user);
  if (/^\/api\/jobs(\/|$)/.test(path)) return afterCalls(request, response, url, user);
  if (/^\/api\/webhooks(\/|$)/.test(path)) return told(request, response, url, user);
  if (/^\/api\/calls\/[\w-]+\/(flag|quality\/(reviews|review|replies))$/.test(path)) return judging(request, response, path, user);
  if (path === '/api/review/calls') return found(response, url, user);
  if (path === '/api/dashboard' || path === '/api/quality/agreement') return figures(response, path, user);
  if (path.endsWith('/outcome') && request.method === 'PUT') {
    const call = calls.get(path.split('/')[3]);
    if (!call) return refuse(response, 404, 'not_found', 'no such call');
    const isOwn = (one) => one.party === 'agent' && one.name === user.name;
    if (user.role === 'agent' && !call.takenBy.has(user.name) && !summary(call).participants.some(isOwn))
      return refuse(response, 403, 'forbidden', 'you may not do this');
    return bodyOf(request).then(({ outcome }) => {
      call.outcome = { outcome, by: user.name, at_unix_ms: Date.now() };
      return answer(response, 200, call.outcome);
    });
  }
  if (path.endsWith('/consent') && request.method === 'POST') {
    const call = find(path.split('/')[3]);
    if (!call) return refuse(response, 404, 'not_found', 'no such call');
    const { started, ended } = stateNow(call);
    const isOwn = (one) => one.party === 'agent' && one.name === user.name;
    if (user.role === 'agent' && !started.participants.some(isOwn))
      return refuse(response, 403, 'forbidden', 'you may not do this');
    return bodyOf(request).then(({ mood }) => {
      if (ended && mood) return refuse(response, 409, 'call_over', 'the call is over');
      const withheld = ({ seq, at_ms }) => ({ seq, at_ms, kind: 'withheld' });
      if (!mood) call.events = call.events.map((event) => (event.kind === 'mood' ? withheld(event) : event));
      if (!ended) tell(call, { kind: 'consent', mood });
      return answer(response, 204);
    });
  }
  if (path.endsWith('/answer') && request.method === 'POST') {
    const [, , , callId, what, number] = path.split('/');
    const call = find(callId);
    if (!call) return refuse(response, 404, 'not_found', 'no such call');
    if (answersFail) return refuse(response, 500, 'internal', 'as asked');
    const { started, prompt, cards } = stateNow(call);
    const isOwn = (one) => one.party === 'agent' && one.name === user.name;
    if (user.role === 'agent' && !started.participants.some(isOwn))
      return refuse(response, 403, 'forbidden', 'you may not do this');
    const which = Number(number);
    const stands = what === 'cards' ? cards.some(({ card_id }) => card_id === which) : prompt?.prompt_id === which;
    if (!stands) return refuse(response, 404, 'not_found', 'it stands no more');
    return bodyOf(request).then((body) => {
      const about = what === 'cards' ? { kind: 'card_answered', card_id: which } : { kind: 'prompt_answered', prompt_id: which };
      tell(call, { ...about, answer: body.answer, by: user.name });
      return answer(response, 204);
    });
  }
  if (path === '/api/calls') {
    const before = url.searchParams.get('before');
    const all =
      url.searchParams.get('state') === 'live'
        ? allLive()
        : [...calls.values()].map(summary).filter((call) => call.state === 'ended');
    all.sort((a, b) => (a.id < b.id ? 1 : -1));
    const page = all
      .filter((call) => !before || call.id < before)
      .slice(0, Number(url.searchParams.get('limit') ?? 50));
    return answer(response, 200, { calls: page });
  }
  const [, callId, part] = /^\/api\/calls\/([\w-]+)(?:\/(\w+))?$/.exec(path) ?? [];
  const call = find(callId);
  if (!call) return refuse(response, 404, 'not_found', 'no such call');
  const known = call.events.slice(0, call.shown);
  const shown = calls.has(callId) ? summary : otherSummary;
  if (part === 'steps' && request.method === 'POST') {
    const isOwn = (one) => one.party === 'agent' && one.name === user.name;
    if (user.role === 'agent' && !stateNow(call).started.participants.some(isOwn))
      return refuse(response, 403, 'forbidden', 'you may not do this');
    return tickStep(request, response, call, user);
  }
  if (!part) {
    const supervisors_recorded = call.recording && user.role !== 'agent';
    return answer(response, 200, { call: shown(call), state: stateOf(known), supervisors_recorded });
  }
  if (part === 'events') {
    const from = Number(url.searchParams.get('from') ?? 0);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    return response.end(
      known
        .filter((event) => event.seq > from)
        .map((event) => `${JSON.stringify(event)}\n`)
        .join(''),
    );
  }
  if (part === 'insight' || part === 'quality') {
    const state = stateOf(known);
    // Made some moments after the end.
    const made = state.ended !== null && elapsed(call) > state.ended.duration_ms + 1_500;
    if (!made) return refuse(response, 404, 'not_yet', 'not known yet');
    return answer(response, 200, reviewOf(state)[part]);
  }
  if (part === 'recording' && call.recording) return play(request, response, call);
  return refuse(response, 404, 'not_found', 'nothing here');
}

function play(request, response, call) {
  call.wav ??= recording(call);
  const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
  const first = Number(from ?? 0);
  const last = to ? Math.min(Number(to), call.wav.length - 1) : call.wav.length - 1;
  response.writeHead(from === undefined ? 200 : 206, {
    'content-type': 'audio/wav',
    'accept-ranges': 'bytes',
    'content-length': last - first + 1,
    ...(from === undefined ? {} : { 'content-range': `bytes ${first}-${last}/${call.wav.length}` }),
  });
  response.end(call.wav.subarray(first, last + 1));
}

function file(response, path) {
  const wanted = join(root, 'dist', normalize(path === '/' ? '/index.html' : path));
  if (!wanted.startsWith(join(root, 'dist')) || !existsSync(wanted) || !statSync(wanted).isFile()) {
    return refuse(response, 404, 'not_found', 'run “npm run build” first');
  }
  response.writeHead(200, {
    'content-type': TYPES[extname(wanted)] ?? 'application/octet-stream',
    'content-security-policy': POLICY,
  });
  createReadStream(wanted).pipe(response);
}

// ---- WebSockets ------------------------------------------------------------------------------------------

const sockets = new WebSocketServer({ noServer: true });

function live(socket, url, user) {
  const send = (message) => socket.send(JSON.stringify(message));
  const ping = setInterval(() => send({ type: 'ping', at_unix_ms: Date.now() }), 5000);
  let leave = () => {};
  socket.on('close', () => (clearInterval(ping), leave()));
  const callId = /^\/api\/calls\/([\w-]+)\/live$/.exec(url.pathname)?.[1];
  const call = find(callId);
  if (call) {
    const pass = (list) => {
      for (const event of list) send({ type: 'event', event });
      if (list.some((event) => event.kind === 'call_ended')) {
        send({ type: 'end' });
        socket.close(1000);
      }
    };
    const from = url.searchParams.get('from');
    const known = call.events.slice(0, call.shown);
    if (from === null) send({ type: 'snapshot', state: stateOf(known) });
    else pass(known.filter((event) => event.seq > Number(from)));
    send({ type: 'ping', at_unix_ms: Date.now() });
    call.listeners.add(pass);
    leave = () => call.listeners.delete(pass);
  } else {
    const seen = (one) => (user.role === 'agent' ? { ...one, now: undefined } : one);
    send({ type: 'calls', calls: allLive().map(seen) });
    const pass = (one) => send({ type: 'call', call: seen(one) });
    listeners.add(pass);
    leave = () => listeners.delete(pass);
  }
}

/** Missed calls that somebody has dealt with. */
const handled = new Set();

/** Pages with a telephone. */
const phones = new Set();
/** How long it takes to leave somebody's call: its audio is ended first. */
const LEAVING_MS = 150;
/** Why calls to 5550 and the numbers after it fail. */
const FAILURES = ['busy', 'no_answer', 'no_number', 'refused', 'unreachable', 'no_trunk'];

function phone(socket, user) {
  const send = (message) => socket.send(JSON.stringify(message));
  const ping = setInterval(() => send({ type: 'ping' }), 5000);
  const one = { state: 'away', send, attends: null };
  const becomes = (state) => send({ type: 'state', state: (one.state = state) });
  const refused = (why) => send({ type: 'refused', why });
  const attend = (callId, attention) => {
    const call = find(callId);
    if (attention) call.supervisors.set(user.name, attention);
    else call.supervisors.delete(user.name);
    send({ type: 'supervising', call_id: callId, attention });
    const now = calls.has(callId) ? summary(call) : otherSummary(call);
    for (const listener of listeners) listener(now);
  };
  const come = (callId, attention) => {
    becomes('talking');
    attend((one.attends = callId), attention);
    send({ type: 'media', state: 'connected' });
  };
  /** The audio is ended, the page is told, and only then is the supervisor free for another call. */
  const leave = () =>
    setTimeout(() => {
      if (!one.attends) return;
      attend(one.attends, null);
      one.attends = null;
      becomes('away');
    }, LEAVING_MS);
  const supervise = ({ call_id, attention, sdp }) => {
    if (!calls.has(call_id) && !other(call_id)) refused('there is no such call');
    else if (sdp === null && one.attends === call_id) attend(call_id, attention);
    else if (sdp === null) refused('you are not on this call');
    else if (one.state === 'talking' || one.state === 'ringing') refused('you are on a call');
    else come(call_id, attention);
  };
  const talk = () => {
    becomes('talking');
    const going = [...calls.values()].find((call) => !stateOf(call.events.slice(0, call.shown)).ended);
    if (going) send({ type: 'talking', call_id: going.id });
    going?.takenBy.add(user.name);
    send({ type: 'colleague', in_charge: true, ringing: null, with: null });
  };
  const over = () => {
    send({ type: 'over' });
    becomes('wrap_up');
  };
  const dial = (reason) => {
    const fails = () => send({ type: 'call_failed', reason });
    if (reason === 'no_trunk') return fails();
    talk();
    if (reason) setTimeout(() => (fails(), over()), 200);
    else send({ type: 'media', state: 'connected' });
  };
  const colleague = (ringing, other) => send({ type: 'colleague', in_charge: true, ringing, with: other });
  const hold = (on) => send({ type: 'held', on });
  const transfer = ({ to, consult }) => {
    if (to === 'sara') return refused('they are not there');
    // Whoever is none of ours is called outside, where nobody answers.
    const known = ['omid', 'leila', '100'].includes(to);
    if (known && !consult) return over();
    hold(true);
    colleague(to, null);
    setTimeout(() => {
      if (!known) refused(`${to} does not answer`);
      colleague(null, known ? to : null);
    }, 700);
  };
  phones.add(one);
  socket.on('close', () => {
    clearInterval(ping);
    phones.delete(one);
    if (one.attends) attend(one.attends, null);
    one.attends = null;
  });
  socket.on('message', (text) => {
    const message = JSON.parse(text);
    if (message.type === 'ready' || message.type === 'away') becomes(message.type);
    if (message.type === 'decline') {
      send({ type: 'stop_ringing', ring: message.ring, missed: false });
      becomes('away');
    }
    if (message.type === 'accept' && one.state !== 'ringing') refused('it rings no more');
    else if (message.type === 'call' && one.state === 'talking') refused('you are on a call');
    else if (message.type === 'accept') dial();
    else if (message.type === 'call') dial(FAILURES[Number(message.number) - 5550]);
    if (message.type === 'supervise') supervise(message);
    if (message.type === 'leave' && one.attends) leave();
    else if (message.type === 'leave') refused('there is no call');
    if (message.type === 'hold') hold(message.on);
    if (message.type === 'transfer') transfer(message);
    if (message.type === 'take_back') {
      hold(false);
      colleague(null, null);
    }
    if (message.type === 'hang_up' || message.type === 'complete') over();
  });
  const outcomes = ['Resolved', 'Call back', 'No answer', 'Wrong number'];
  const call = { dials: true, ice_servers: [], relay_only: false, outcomes, call: null, wraps_up: null };
  send({ type: 'hello', agent: user.name, state: 'away', ...call });
}

function ring() {
  for (const one of phones) {
    if (one.state !== 'ready') continue;
    one.send({ type: 'state', state: (one.state = 'ringing') });
    const from = { aor: 'sip:+442079460123@pbx', name: 'Robert Miller' };
    one.send({ type: 'ring', ring: 1, from, called: '100', by: null });
  }
}

/** Nobody has answered. */
function miss() {
  for (const one of phones) {
    if (one.state !== 'ringing') continue;
    one.send({ type: 'stop_ringing', ring: 1, missed: true });
    one.send({ type: 'state', state: (one.state = 'away') });
  }
}

const vite = development
  ? await (
      await import('vite')
    ).createServer({ root, server: { middlewareMode: true, hmr: { port: port + 1 } } })
  : null;
const server = createServer((request, response) => {
  const ours = /^\/(api|dev\/)/.test(request.url);
  if (vite && !ours) return vite.middlewares(request, response);
  serve(request, response).catch((error) => refuse(response, 500, 'internal', String(error)));
});
server.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url, 'http://mock');
  const user = sessions.get(sessionOf(request));
  if (!user || user.role === 'reviewer' || Date.now() < droppedUntil || !url.pathname.startsWith('/api/')) {
    socket.destroy();
    return;
  }
  sockets.handleUpgrade(request, socket, head, (ws) =>
    url.pathname === '/api/phone'
      ? phone(ws, user)
      : live(ws, url, user),
  );
});
server.listen(port, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}  (any name, password “sotto”)`);
});
