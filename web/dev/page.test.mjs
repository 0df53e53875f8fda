// The built page in a real browser, against the stand-in server: `npm run build && npm run test:page`.
// Needs a Chromium: see browser.mjs.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.mjs';
import { named as namedIn } from './script.mjs';

let server, browser, base;

before(async () => {
  server = spawn(
    process.execPath,
    [fileURLToPath(new URL('mock.mjs', import.meta.url)), '--port', '0', '--at', '36', '--others', '13'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  base = await new Promise((found) => {
    server.stdout.on('data', (data) => found(/http:\/\/\S+/.exec(String(data))[0]));
  });
  // A microphone that hums, which may be used without asking.
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.kill();
});

const WIDE = { width: 1280, height: 720 };

/** A page of its own; every request to elsewhere and every error in it fails the test. */
async function visit(t, { name = 'mina', signedIn = true, locale = 'en-GB', viewport = WIDE } = {}) {
  const context = await browser.newContext({ locale, viewport });
  const page = await context.newPage();
  const wrong = [];
  page.on('request', (request) => request.url().startsWith(base) || wrong.push(request.url()));
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on(
    'console',
    (message) => /Content Security Policy/.test(message.text()) && wrong.push(message.text()),
  );
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  if (signedIn) await page.request.post(`${base}/api/session`, { data: { name, password: 'sotto' } });
  await page.goto(`${base}/`);
  return page;
}

/** Takes calls, and one comes. */
async function ring(page) {
  await page.click('section.phone > button.action:not([disabled], [aria-controls])');
  await page.waitForSelector('section.phone .sign.ready');
  await page.request.post(`${base}/dev/ring`);
  await page.waitForSelector('section.phone.ringing');
}

/** Accepts the call that rings. Its page comes by itself and takes the focus: what is written before that is lost. */
async function accept(page) {
  await page.keyboard.press('a');
  await page.waitForSelector('section.phone .line.connected');
  await page.waitForSelector('main.ready');
}

/** Counts the ways to the server that carry audio, from now on. */
async function countPeers(page) {
  await page.evaluate(() => {
    window.peers = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(ways) {
        super(ways);
        window.peers.push(this);
      }
    };
  });
  return () => page.evaluate(() => window.peers.filter((one) => one.signalingState !== 'closed').length);
}
/** Keeps the microphone from the page until the way to let it have it, which this gives, is taken. */
async function holdMicrophone(page) {
  await page.evaluate(() => {
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    const allowed = new Promise((allow) => (window.allow = allow));
    devices.getUserMedia = (what) => allowed.then(() => open(what));
  });
  return () => page.evaluate(() => window.allow());
}
/** Long enough for the page to do what it should not. */
const A_WHILE_MS = 400;
const says = (page, text) => page.locator('section.phone [role=status]', { hasText: text }).waitFor();
const complains = (page, text) => page.locator('section.phone .problem', { hasText: text }).waitFor();

const list = async (page, state) =>
  (await (await page.request.get(`${base}/api/calls?state=${state}&limit=100`)).json()).calls;
const stateOf = async (page, id) => (await (await page.request.get(`${base}/api/calls/${id}`)).json()).state;
const named = (call) => call.participants.some((one) => one.party === 'customer' && one.name);

async function openLive(page, language = 'en') {
  let call;
  // A script that is over begins again a little later; one that is nearly over has too little left to look at.
  while (!call) {
    call = (await list(page, 'live')).find(
      (one) => one.source === 'siprec' && one.language === language && named(one) && one.utterances < 14,
    );
    if (!call) await page.waitForTimeout(500);
  }
  await page.goto(`${base}/#/calls/${call.id}`);
  await page.waitForSelector('main.ready .line');
  return call;
}
let happened = 0;
/** A live call in which nothing happens but what the test lets happen. Its agent is Omid Rezaei. */
async function openQuiet(page) {
  const call = (await list(page, 'live')).find((one) => one.external_id === 'other-0@sbc.example');
  const tell = (data) => page.request.post(`${base}/dev/event?call=${call.id}`, { data });
  const now = () => Date.now() - call.started_at_unix_ms;
  /** The customer says something, or something else where it is said which utterance and revision it is. */
  const say = async (text, over = {}) => {
    const utterance_id = over.utterance_id ?? ++happened;
    const about = { kind: 'utterance', utterance_id, party: 'customer', final: true, revision: 0, language: 'en' };
    const times = { start_ms: now() - 1_000, end_ms: now(), words: [], latency_ms: 300 };
    await tell({ ...about, text, stable_chars: text.length, ...times, ...over, utterance_id });
    return utterance_id;
  };
  /** The agent is told something, for so long. */
  const prompt = async (text, stands_ms = 60_000) => {
    const evidence = { utterance_id: await say(`So ${text}`), revision: 0, text: `So ${text}` };
    const prompt_id = ++happened;
    const said = { about: 'empathy', text: { en: text }, priority: 70 };
    await tell({ kind: 'prompt', prompt_id, ...said, evidence, expires_at_ms: now() + stands_ms });
    return prompt_id;
  };
  /** The agent is shown what is written down, of which the first characters answer. */
  const card = async (title, text, end, document = 'a.md') => {
    const evidence = { utterance_id: await say(`How about ${title}?`), revision: 0, text: `How about ${title}?` };
    const card_id = ++happened;
    const where = { document, passage: 0, title, section: ['How long'], text, answer: { start: 0, end } };
    const why = { words: ['long'], covered: 0.5, cosine: 0.87 };
    const times = { changed_unix_ms: Date.now() - 91 * 86_400_000, latency_ms: 40, expires_at_ms: now() + 60_000 };
    await tell({ kind: 'card', card_id, ...where, ...times, confidence: 0.75, why, evidence });
    return card_id;
  };
  await page.goto(`${base}/#/calls/${call.id}`);
  await page.waitForSelector('main.ready');
  const box = page.getByRole('region', { name: 'What may help now' });
  return { call, tell, say, prompt, card, box, way: (name) => box.getByRole('button', { name }) };
}
/** Waits until the page of this name is there. */
const titled = (page, name) => page.waitForFunction((name) => document.title === `${name} · Sotto`, name);

async function openEnded(page, which = (call) => call.language === 'en' && call.utterances === 18 && named(call)) {
  const call = (await list(page, 'ended')).find(
    (one) => one.recording && one.ended === 'hangup' && which(one),
  );
  await page.goto(`${base}/#/calls/${call.id}`);
  await page.waitForSelector('.player');
  return call;
}

test('rings, is answered, muted, held, dials keys and hangs up, all by the keyboard', async (t) => {
  const page = await visit(t);
  const phone = page.locator('section.phone');
  await ring(page);
  assert.match(await phone.textContent(), /Robert Miller is calling/);
  await accept(page);
  for (const [key, name] of [
    ['m', /Unmute/],
    ['h', /Take back/],
  ]) {
    await page.keyboard.press(key);
    await page.waitForSelector('section.phone [aria-pressed="true"]');
    assert.match(await page.locator('section.phone [aria-pressed="true"]').textContent(), name);
    await page.keyboard.press(key);
    await page.waitForFunction(() => !document.querySelector('section.phone [aria-pressed="true"]'));
  }
  await page.click('section.phone [aria-controls="pad"]');
  assert.equal(await page.locator('#pad button').count(), 12);
  await page.keyboard.press('x');
  // What is left is to say how it came out.
  await page.click('section.phone .outcomes button:first-of-type');
  await page.waitForSelector('section.phone .outcomes [aria-pressed="true"]');
  await page.getByRole('button', { name: 'Take calls' }).click();
  await page.waitForSelector('section.phone .sign.ready');
});

test('a call that is accepted by a key and a click is answered once', async (t) => {
  const page = await visit(t);
  await ring(page);
  await countPeers(page);
  const allow = await holdMicrophone(page);
  await page.keyboard.press('a');
  await page.keyboard.press('a');
  await page.click('section.phone.ringing button.action.main');
  await allow();
  await page.waitForSelector('section.phone .line.connected');
  assert.equal(await page.evaluate(() => window.peers.length), 1);
  assert.equal(await page.locator('section.phone .problem').count(), 0);
  await page.keyboard.press('x');
});

test('what is refused of something before does not end the call that is being accepted', async (t) => {
  const page = await visit(t);
  await ring(page);
  const allow = await holdMicrophone(page);
  await page.keyboard.press('a');
  await page.request.post(`${base}/dev/refuse`);
  await page.waitForTimeout(A_WHILE_MS);
  await allow();
  await page.waitForSelector('section.phone .line.connected');
  await page.keyboard.press('x');
});

test('a call whose line to the server is lost while it rings does not ring for ever', async (t) => {
  const page = await visit(t);
  await ring(page);
  await page.request.post(`${base}/dev/drop?ms=300`);
  await says(page, 'no connection');
  await page.waitForFunction(() => !document.querySelector('section.phone.ringing'));
  await says(page, 'Ready for calls');
  assert.equal(await page.locator('section.phone.ringing').count(), 0);
});

test('takes calls again by itself, also when the line did not come back at once', async (t) => {
  const page = await visit(t);
  await says(page, 'Away');
  await page.keyboard.press('s');
  await says(page, 'Ready for calls');
  // Long enough for an attempt that brings nothing, after which it is asked who is signed in.
  const asked = page.waitForResponse(`${base}/api/session`);
  await page.request.post(`${base}/dev/drop?ms=2500`);
  await asked;
  await says(page, 'Ready for calls');
});

test('takes calls again by itself, after the page was loaded anew or the line was lost', async (t) => {
  const page = await visit(t);
  await says(page, 'Away');
  await page.keyboard.press('s');
  await says(page, 'Ready for calls');
  await page.reload();
  await says(page, 'Ready for calls');
  await page.request.post(`${base}/dev/drop?ms=300`);
  await says(page, 'no connection');
  await says(page, 'Ready for calls');
  // Whoever says so takes none, whatever happens.
  await page.keyboard.press('s');
  await says(page, 'Away');
  await page.reload();
  await says(page, 'Away');
  await page.waitForTimeout(A_WHILE_MS);
  await says(page, 'Away');
});

test('takes no calls again by itself after one was missed, nor for whoever signs in next', async (t) => {
  const page = await visit(t);
  await ring(page);
  await page.request.post(`${base}/dev/miss`);
  await complains(page, 'you are away now');
  // That one is away is told after that, and kept only then.
  await says(page, 'Away');
  await page.reload();
  await says(page, 'Away');
  await page.waitForTimeout(A_WHILE_MS);
  await says(page, 'Away');
  await page.keyboard.press('s');
  await says(page, 'Ready for calls');
  await page.locator('button.who').click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.fill('#name', 'omid');
  await page.fill('#password', 'sotto');
  await page.keyboard.press('Enter');
  await says(page, 'Away');
  await page.waitForTimeout(A_WHILE_MS);
  await says(page, 'Away');
});

test('how the last call came out can be said for as long as it is not, also after the page was loaded anew', async (t) => {
  const page = await visit(t);
  await ring(page);
  await page.keyboard.press('a');
  await page.waitForSelector('section.phone .line.connected');
  await page.keyboard.press('x');
  await page.waitForSelector('section.phone .outcomes');
  // The time for it is over.
  await page.keyboard.press('s');
  await says(page, 'Ready for calls');
  await page.waitForSelector('section.phone .outcomes');
  await page.reload();
  await says(page, 'Ready for calls');
  await page.waitForSelector('section.phone .outcomes');
  await page.keyboard.press('2');
  await page.locator('section.phone .outcomes [aria-pressed=true]', { hasText: 'Call back' }).waitFor();
  await page.reload();
  await says(page, 'Ready for calls');
  assert.equal(await page.locator('section.phone .outcomes').count(), 0);
});

test('says why a call did not come about, in the language of the page', async (t) => {
  const page = await visit(t);
  const open = await countPeers(page);
  const fails = async (number, why) => {
    await page.waitForSelector('section.phone input[type=tel]');
    await page.keyboard.press('o');
    await page.keyboard.type(number);
    await page.keyboard.press('Enter');
    await complains(page, why);
    await page.waitForFunction(() => !document.querySelector('section.phone.talking'));
    assert.equal(await open(), 0);
    // The page of the call takes the focus once it is there, also from a field with the next number.
    await page.waitForSelector('main.ready');
    await page.locator('section.phone .problem button').click();
  };
  for (const [number, why] of [
    ['5550', 'The number is engaged.'],
    ['5551', 'Nobody has answered.'],
    ['5552', 'There is no such number.'],
    ['5553', 'does not take the call'],
    ['5554', 'No line outside'],
    ['5555', 'has no line outside'],
  ])
    await fails(number, why);
  await page.getByRole('radio', { name: 'فارسی' }).check({ force: true });
  await page.evaluate(() => document.activeElement.blur());
  await fails('5550', 'شماره مشغول است');
  // As a Persian keyboard writes it.
  await fails('۵۵۵۲', 'چنین شماره‌ای نیست');
});

test('says who has not taken a call that was handed over, and what the customer hears meanwhile', async (t) => {
  const page = await visit(t);
  await ring(page);
  await accept(page);
  const ask = async (name) => {
    await page.keyboard.press('t');
    await page.fill('#transfer input', name);
    await page.keyboard.press('Enter');
  };
  await ask('sara');
  await complains(page, '“sara” is nobody who is there, and no number that can be called.');
  await ask('omdi');
  await complains(page, 'Nobody has taken the call at “omdi”. The customer still hears music.');
  await page.keyboard.press('h');
  await page.waitForFunction(() => !document.body.textContent.includes('still hears music'));
});

test('is used with the keyboard: the number, the keys, the colleague, the outcome', async (t) => {
  const page = await visit(t);
  const there = page.url();
  await says(page, 'Away');
  await page.keyboard.press('o');
  assert.equal(await page.evaluate(() => document.activeElement.type), 'tel');
  // What is written there is no key.
  await page.keyboard.type('s');
  await page.keyboard.press('Escape');
  assert.notEqual(await page.evaluate(() => document.activeElement.type), 'tel');
  assert.equal(page.url(), there, 'Escape leaves the field, and nothing else');
  await ring(page);
  await accept(page);
  await page.keyboard.press('p');
  await page.waitForSelector('#pad');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('#pad'));
  const ask = async () => {
    await page.keyboard.press('t');
    await page.fill('#transfer input', 'omid');
    await page.keyboard.press('Enter');
    await page.getByText('omid is with you').waitFor();
  };
  await ask();
  await page.keyboard.press('h');
  await page.waitForFunction(() => !document.body.textContent.includes('omid is with you'));
  await ask();
  await page.keyboard.press('t');
  await page.waitForSelector('section.phone .outcomes');
  await page.keyboard.press('4');
  await page.locator('section.phone .outcomes [aria-pressed=true]', { hasText: 'Wrong number' }).waitFor();
  await page.keyboard.press('?');
  const help = await page.locator('dialog').innerText();
  for (const what of ['take calls', 'write a number', 'how it ended', 'back to the customer', 'leave it to'])
    assert.ok(help.includes(what), what);
});

test('hands a call over: asks a colleague first, takes the customer back, leaves the call', async (t) => {
  const page = await visit(t);
  await ring(page);
  await accept(page);
  await page.keyboard.press('t');
  // Who is away cannot be asked.
  const away = page.locator('#transfer li', { hasText: 'away' }).getByRole('button').first();
  await away.waitFor();
  assert.equal(await away.isDisabled(), true);
  const there = page.url();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('#transfer'));
  assert.equal(page.url(), there, 'Escape closes what is open, and nothing else');
  await page.keyboard.press('t');
  await page.locator('#transfer li', { hasText: 'omid' }).getByRole('button', { name: 'Ask first' }).click();
  await page.getByText('omid is with you').waitFor();
  await page.getByRole('button', { name: 'Back to the customer' }).click();
  await page.waitForFunction(() => !document.body.textContent.includes('omid is with you'));
  await page.keyboard.press('t');
  await page.fill('#transfer input', 'omid');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Leave the call to omid' }).click();
  await page.waitForSelector('section.phone .outcomes');
});

test('shows what the microphone hears, and keeps which one is chosen', async (t) => {
  const page = await visit(t);
  await page.getByRole('button', { name: 'Microphone and loudspeaker' }).click();
  const choice = page.getByRole('combobox', { name: /^Microphone/ });
  await page.waitForFunction(() => document.querySelector('#devices select')?.options.length > 1);
  const [, first] = await choice.locator('option').all();
  await choice.selectOption((await first.getAttribute('value')) ?? '');
  // Chromium's stand-in beeps.
  await page.waitForFunction(
    () => Number(document.querySelector('#devices [role=meter]').getAttribute('aria-valuenow')) > 20,
  );
  assert.equal(
    await page.evaluate(() => localStorage.getItem('sotto.audioinput')),
    await first.getAttribute('value'),
  );
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('#devices'));
});

test('shows in a call how loud the microphone is, and what is heard', async (t) => {
  const page = await visit(t);
  await countPeers(page);
  await ring(page);
  await page.keyboard.press('a');
  await page.waitForSelector('section.phone .line.connected');
  const level = (n, wanted) =>
    page.waitForFunction(
      ([n, wanted]) => {
        const bar = document.querySelectorAll('section.phone .levels i')[n];
        return bar && Number.parseFloat(bar.style.scale) > 0.2 === wanted;
      },
      [n, wanted],
    );
  await level(0, true);
  await page.keyboard.press('m');
  await level(0, false);
  // The stand-in has no audio to send: a beep comes in its place.
  await page.evaluate(async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    window.peers.at(-1).ontrack({ streams: [stream], track: stream.getAudioTracks()[0] });
  });
  await level(1, true);
});

test('a missed call is called back once', async (t) => {
  const page = await visit(t);
  await page.getByRole('heading', { name: /Missed/ }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Done' }).count(), 2);
  await page.getByRole('button', { name: 'Call back' }).click();
  await page.waitForSelector('section.phone .line.connected');
  // Back from the page of the call, which comes by itself.
  await page.waitForSelector('main.ready');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.querySelectorAll('[aria-labelledby=missed] li').length === 1);
});

/** The wall, as a supervisor has it. */
async function wall(t, options) {
  const page = await visit(t, { name: 'admin', ...options });
  await page.waitForSelector('[data-call]');
  // Without the line of the telephone no key brings anybody to a call.
  await says(page, 'Away');
  await page.keyboard.press('n');
  await page.waitForSelector('[data-row]');
  return page;
}
const rows = (page) =>
  page.evaluate(() => [...document.querySelectorAll('[data-row]')].map((one) => one.dataset.row));

test('a supervisor sees who is there, who waits, and first who needs somebody', async (t) => {
  const page = await wall(t);
  await page.locator('li.ready', { hasText: 'omid' }).waitFor();
  const rings = page.locator('.row', { hasText: 'Rings at leila' });
  await rings.waitFor();
  assert.match(await rings.innerText(), /called 200/);
  // Rows are drawn a few at a time, and callers come by another way than calls.
  await page.locator('.row.urgent', { hasText: 'sara listens' }).first().waitFor();
  await page.locator('.row.urgent', { hasText: 'Agent’s audio lost' }).first().waitFor();
  await page.locator('.row').first().and(page.locator('.urgent')).waitFor();
  // Whoever has waited in line for a minute by now is among them.
  const urgent = (await page.locator('.row.urgent').allInnerTexts()).join(' ').replace(/\s+/g, ' ');
  assert.match(await page.locator('.row').first().getAttribute('class'), /urgent/);
  assert.match(urgent, /On hold for \d+ min.* sara listens/);
  assert.match(urgent, /Agent’s audio lost/);
  const bad = page.locator('.row.warning', { hasText: 'bad line' });
  assert.match(await bad.innerText(), /Customer: words lost/);
  const unhappy = page.locator('.row.warning', { hasText: 'Customer unhappy for' });
  assert.match(await unhappy.innerText(), /because\s+I have called three times now/);
  const wants = page.locator('.row.warning', { hasText: 'Complaint,' });
  assert.match(await wants.innerText(), /ago[\s\S]*because\s+I would like to speak to somebody/);
  assert.match(await page.title(), /^\(\d+\) Who needs me\?/);
});

test('a wall of many calls is drawn a few rows at a time', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.evaluate(() => {
    window.drawn = [0];
    const count = () => {
      const rows = document.querySelectorAll('[data-row]').length;
      if (rows !== window.drawn.at(-1)) window.drawn.push(rows);
    };
    new MutationObserver(count).observe(document.body, { childList: true, subtree: true });
  });
  await page.keyboard.press('n');
  await page.waitForFunction(() => window.drawn.at(-1) > 12);
  const drawn = await page.evaluate(() => window.drawn);
  const steps = drawn.slice(1).map((rows, n) => rows - drawn[n]);
  assert.ok(Math.max(...steps) <= 10, drawn.join(' '));
});

test('lists what somebody should look at, each with the sentence that says why', async (t) => {
  const page = await wall(t);
  await page.keyboard.press('v');
  await page.locator('[aria-pressed=true]', { hasText: /Alerts \(\d+\)/ }).waitFor();
  const text = async (alert) => (await alert.innerText()).replace(/\s+/g, ' ');
  const alert = (hasText) => page.locator('.alert', { hasText });
  assert.match(await text(page.locator('.alert').first()), /^Now /);
  assert.match(await text(alert('Lawyer, said')), /^To look at Lawyer, said .+ ago .*because Then you will hear from my lawyer/);
  assert.match(await text(alert('Not said in time')), /because Good morning, MetaLingua/);
  assert.match(await text(alert('Nobody has spoken for')), /because One moment, please/);
  for (const what of ['Customer unhappy', 'Complaint', 'bad line', 'Words come late', 'Not being recorded'])
    await alert(what).first().waitFor();
  // The arrows move among them, and Enter opens the call.
  await alert('Lawyer, said').locator('[data-row]').focus();
  await page.keyboard.press('j');
  await page.waitForFunction(() => !document.activeElement?.textContent.includes('Lawyer'));
  await page.keyboard.press('k');
  await page.waitForFunction(() => document.activeElement?.textContent.includes('Lawyer'));
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash.startsWith('#/calls/'));
});

test('an agent has no wall', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('n');
  assert.equal(await page.locator('nav').count(), 0);
  await page.goto(`${base}/#/wall`);
  await page.getByText('There is nothing at this address.').waitFor();
});

test('listens, whispers, barges in and leaves with one key each, among other supervisors', async (t) => {
  const page = await wall(t);
  const whispers = page.locator('.row', { hasText: 'sara whispers' });
  await whispers.locator('[data-row]').focus();
  for (const [key, said] of [
    ['l', 'You listen'],
    ['w', 'You whisper'],
    ['b', 'You are in the call'],
  ]) {
    await page.keyboard.press(key);
    await page.locator('.row.mine', { hasText: said }).waitFor();
  }
  assert.match(await page.locator('.row.mine').innerText(), /sara whispers[\s\S]*امین listens/);
  await page.keyboard.press('x');
  await page.waitForFunction(() => !document.querySelector('.row.mine'));
});

test('a supervisor on a call of their own keeps it, whatever is pressed on others', async (t) => {
  const page = await wall(t);
  const open = await countPeers(page);
  await ring(page);
  await accept(page);
  await page.keyboard.press('n');
  const row = page.locator('.row', { hasText: 'sara whispers' });
  await row.locator('[data-row]').focus();
  await page.keyboard.press('l');
  await complains(page, 'You have a call of your own');
  assert.equal(await open(), 1);
  await row.hover();
  await row.getByText('You have a call of your own').waitFor();
  assert.equal(await row.getByRole('button').count(), 0);
  await page.waitForTimeout(A_WHILE_MS);
  assert.equal(await page.locator('.row.mine').count(), 0);
  assert.equal(await page.locator('section.phone.talking').count(), 1);
  // Its own call is there as before.
  await page.keyboard.press('m');
  await page.locator('section.phone [aria-pressed=true]', { hasText: 'Unmute' }).waitFor();
});

test('goes straight from one call that is listened to, to another', async (t) => {
  const page = await wall(t);
  const open = await countPeers(page);
  const one = page.locator('.row', { hasText: 'sara whispers' });
  const other = page.locator('.row', { hasText: 'sara listens' });
  const press = async (row, key) => {
    await row.locator('[data-row]').focus();
    await page.keyboard.press(key);
  };
  const mine = (row, said) => row.and(page.locator('.mine')).getByText(said).waitFor();
  await press(one, 'l');
  await mine(one, 'You listen');
  await press(other, 'w');
  await mine(other, 'You whisper');
  assert.equal(await open(), 1);
  // What was asked for last counts, however quickly.
  await press(one, 'l');
  await press(other, 'l');
  await press(one, 'w');
  await mine(one, 'You whisper');
  await page.waitForTimeout(A_WHILE_MS);
  assert.equal(await page.locator('.row.mine').count(), 1);
  assert.equal(await open(), 1);
  assert.equal(await page.locator('section.phone .problem').count(), 0);
  await page.keyboard.press('x');
  await page.waitForFunction(() => !document.querySelector('.row.mine'));
  assert.equal(await open(), 0);
});

test('no row of the wall moves under the pointer or the focus, until one asks for it', async (t) => {
  const page = await wall(t);
  await page.waitForFunction(() => document.querySelectorAll('.row.urgent').length >= 2);
  // Somebody is among the rows, with the keyboard or with the pointer.
  for (const [n, come] of [
    [7, () => page.keyboard.press('j')],
    [6, () => page.locator('.row').nth(2).hover()],
  ]) {
    await come();
    const before = await rows(page);
    const { id } = await (await page.request.post(`${base}/dev/need?n=${n}`)).json();
    await page.locator('.row.urgent', { has: page.locator(`[data-row="${id}"]`) }).waitFor();
    const after = await rows(page);
    assert.deepEqual(after.slice(0, before.length), before);
    await page.getByText(/needs? somebody more/).waitFor();
    await page.keyboard.press('u');
    await page.waitForFunction(
      (id) => document.querySelector(`.row.urgent [data-row="${id}"]`)?.closest('li') ===
        [...document.querySelectorAll('.row.urgent')].at(-1)?.closest('li'),
      id,
    );
    assert.notDeepEqual(await rows(page), before);
    await page.evaluate(() => document.activeElement.blur());
  }
});

test('rings in the background: in the tab, beside it, and through the loudspeaker', async (t) => {
  const page = await visit(t);
  await page.context().grantPermissions(['notifications', 'microphone']);
  await page.evaluate(() => {
    window.told = [];
    window.Notification = class {
      static permission = 'granted';
      constructor(text) {
        window.told.push(text);
      }
      close() {
        window.told.push('closed');
      }
    };
    const start = AudioBufferSourceNode.prototype.start;
    AudioBufferSourceNode.prototype.start = function () {
      window.tone = this;
      start.call(this);
    };
  });
  const hide = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
      Object.defineProperty(document, 'visibilityState', {
        configurable: true,
        get: () => (hidden ? 'hidden' : 'visible'),
      });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await page.click('section.phone > button.action:not([disabled], [aria-controls])');
  await page.waitForSelector('section.phone .sign.ready');
  await hide(true);
  // The line is lost and comes back while nobody looks.
  await page.request.post(`${base}/dev/drop?ms=300`);
  await says(page, 'no connection');
  await says(page, 'Ready for calls');
  await page.request.post(`${base}/dev/ring`);
  await page.waitForFunction(() => document.title.includes('Robert Miller is calling'));
  assert.deepEqual(await page.evaluate(() => window.told), ['Robert Miller is calling']);
  // It plays on without any timer of the page's, once the audio system has started.
  await page.waitForFunction(() => window.tone?.context.state === 'running');
  assert.deepEqual(
    await page.evaluate(() => [window.tone.loop, window.tone.context.state]),
    [true, 'running'],
  );
  await hide(false);
  await page.keyboard.press('r');
  await page.waitForFunction(() => !document.title.includes('calling'));
  assert.deepEqual(await page.evaluate(() => window.told), ['Robert Miller is calling', 'closed']);
});

test('says why there is no telephone without a microphone, and what to do', async (t) => {
  for (const [error, said] of [
    ['NotAllowedError', /told not to use the microphone here\. Allow it/],
    ['NotFoundError', /No microphone was found\. Plug one in/],
    ['NotReadableError', /Another program may be using it/],
  ]) {
    const page = await visit(t);
    await page.evaluate((error) => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', error));
    }, error);
    await ring(page);
    await page.keyboard.press('a');
    await page.waitForSelector('section.phone .problem');
    assert.match(await page.textContent('section.phone .problem'), said);
  }
  // To a page that came without encryption browsers give no microphone at all.
  const page = await visit(t);
  await page.addInitScript(() => {
    delete Navigator.prototype.mediaDevices;
  });
  await page.reload();
  await page.getByRole('button', { name: 'Take calls' }).click();
  await page.waitForSelector('section.phone .problem');
  assert.match(await page.textContent('section.phone .problem'), /Open Sotto by https/);
});

test('says what is wrong when signing in fails, and goes where one wanted to go', async (t) => {
  const page = await visit(t, { signedIn: false });
  await page.goto(`${base}/#/calls/00000000-0000-7000-8000-00000000dead`);
  const enter = async (name, password) => {
    await page.fill('#name', name);
    await page.fill('#password', password);
    await page.keyboard.press('Enter');
  };
  await enter('mina', '');
  await page.getByRole('alert').getByText('Both are needed.').waitFor();
  await enter('mina', 'wrong');
  await page.getByText('do not match').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'password');
  await enter('locked', 'sotto');
  await page.getByText(/try again in \d+/).waitFor();
  assert.equal(await page.locator('button[type=submit]').isDisabled(), true);
  await page.reload();
  await enter('mina', 'sotto');
  await page.getByText('There is no such call.').waitFor();
});

test('is moved through with the keyboard, and comes back to the row one left', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  const row = await page.evaluate(() => document.activeElement.dataset.call);
  assert.ok(row);
  await page.keyboard.press('Enter');
  await page.waitForSelector('main.ready');
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.waitForSelector('main.ready');
  await page.keyboard.press('Escape');
  await page.waitForFunction((id) => document.activeElement?.dataset.call === id, row);
});

test('filters by words in either spelling', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('h3');
  await page.keyboard.press('/');
  await page.keyboard.type('توكلي');
  // More of the calls that are over may still come.
  await page.waitForFunction(() => {
    const names = [...document.querySelectorAll('[data-call] .name')];
    return names.length > 3 && names.every((name) => name.textContent.includes('توکلی'));
  });
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.querySelectorAll('[data-call]').length > 25);
});

test('the list of calls says how each came to its end, in the language of the page', async (t) => {
  const words = {
    'en-GB': { timeout: 'Audio stopped', shutdown: 'Sotto stopped', agent_lost: 'Agent’s audio lost', interrupted: 'Cut short' },
    'fa-IR': { timeout: 'صدا قطع شد', shutdown: 'سوتو خاموش شد', agent_lost: 'صدای کارشناس قطع شد', interrupted: 'نیمه‌کاره' },
  };
  for (const [locale, said] of Object.entries(words)) {
    const page = await visit(t, { locale, signedIn: false });
    const reasons = Object.keys(said);
    let listed = [];
    await page.route(/\/api\/calls\?.*state=ended/, async (route) => {
      const response = await route.fetch();
      const body = await response.json();
      body.calls.forEach((call, n) => (call.ended = reasons[n] ?? 'hangup'));
      listed = body.calls;
      await route.fulfill({ response, json: body });
    });
    await page.request.post(`${base}/api/session`, { data: { name: 'mina', password: 'sotto' } });
    await page.goto(`${base}/`);
    // Others may come to their end meanwhile, and stand above.
    const row = (n) => page.locator(`a.row[data-call="${listed[n].id}"]`);
    await page.waitForSelector('a.row:not(.live) .state .mark');
    for (const [n, reason] of reasons.entries()) {
      assert.equal((await row(n).locator('.state .mark').textContent()).trim(), said[reason]);
    }
    assert.doesNotMatch(await row(reasons.length).textContent(), /Hung up|قطع عادی/);
  }
});

test('shows words as they come, and tells finals only to those who listen', async (t) => {
  const page = await visit(t);
  await openLive(page);
  const partial = page.locator('.line.partial');
  await partial.first().waitFor();
  const key = await partial.first().getAttribute('data-key');
  assert.match(await partial.first().innerText(), /still being heard/);
  await page.waitForSelector(`.line[data-key="${key}"]:not(.partial)`);
  const text = await page.locator(`.line[data-key="${key}"] .text`).innerText();
  await page.waitForFunction(
    (said) => document.querySelector('[role=log]').textContent.includes(said),
    text.trim(),
  );
  const told = await page.locator('[role=log] p').allTextContents();
  assert.equal(told.filter((one) => one.includes(text.trim())).length, 1);
  // Somebody else may have come to an end meanwhile, and nothing else is told.
  const finals = await page.locator('.line:not(.partial) .text').allInnerTexts();
  assert.ok(told.every((one) => finals.some((text) => one.includes(text.trim()))), told.join(' | '));
});

test('loses nothing when the connection is cut', async (t) => {
  const page = await visit(t);
  const call = await openLive(page);
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.request.post(`${base}/dev/drop?ms=2500`);
  await page.getByText('The connection is gone.').waitFor();
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.waitForFunction(
    async (url) => {
      const wanted = (await (await fetch(url)).json()).state.utterances.map((one) => one.text);
      const shown = [...document.querySelectorAll('.line .text')].map((one) =>
        one.textContent.replace(/ \(still being heard\)$/, '').trim(),
      );
      return JSON.stringify(wanted) === JSON.stringify(shown);
    },
    `${base}/api/calls/${call.id}`,
    { polling: 200 },
  );
});

test('after a crash a call shows what was kept of it, and nothing else that was said', async (t) => {
  const page = await visit(t);
  const call = await openLive(page);
  const times = { start_ms: 1_000, end_ms: 2_000, words: [], latency_ms: 300 };
  const about = { utterance_id: 9_000, party: 'customer', final: true, revision: 0, language: 'en' };
  const data = { kind: 'utterance', ...about, text: 'Nobody has kept this.', stable_chars: 21, ...times };
  await page.request.post(`${base}/dev/event?call=${call.id}`, { data });
  const line = page.locator('.line', { hasText: 'Nobody has kept this.' });
  await line.waitFor();
  await page.request.post(`${base}/dev/kill?call=${call.id}&lost=9000`);
  await page.getByText('Sotto was interrupted during this call.').waitFor();
  await line.waitFor({ state: 'detached' });
  assert.ok((await page.locator('.line').count()) > 0);
});

test('leaves a reader alone who looks further up', async (t) => {
  const page = await visit(t, { viewport: { width: 390, height: 640 } });
  await openLive(page);
  const place = () =>
    page.evaluate(() => {
      const edge = document.querySelector('.scroller').getBoundingClientRect().top;
      const line = [...document.querySelectorAll('.line')].find(
        (one) => one.getBoundingClientRect().bottom > edge,
      );
      return [line.dataset.key, Math.round(line.getBoundingClientRect().top)];
    });
  await page.mouse.move(195, 300);
  await page.mouse.wheel(0, -250);
  await page.waitForSelector('.down');
  // A wheel that is turned while the page itself scrolls may move nothing, and then no `scrollend` comes.
  await page.evaluate(async () => {
    const scroller = document.querySelector('.scroller');
    let [top, frames] = [scroller.scrollTop, 0];
    while (frames < 20) {
      await new Promise(requestAnimationFrame);
      frames = scroller.scrollTop === top ? frames + 1 : 0;
      top = scroller.scrollTop;
    }
  });
  const before = await place();
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector('.down')?.textContent ?? ''), null, {
    timeout: 60_000,
  });
  assert.deepEqual(await place(), before);
  await page.keyboard.press('End');
  await page.waitForFunction(() => {
    const scroller = document.querySelector('.scroller');
    return (
      !document.querySelector('.down') &&
      scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop < 30
    );
  });
});

test('plays in step with the words', async (t) => {
  const page = await visit(t);
  const call = await openEnded(page);
  const { utterances } = await stateOf(page, call.id);
  await page.locator('.line .w').first().waitFor();
  await page.locator('.line[data-key="u1"] .w').nth(6).click();
  await page.waitForFunction(() => document.querySelector('.w.heard'));
  const at = () => page.evaluate(() => document.querySelector('audio').currentTime);
  const { start_ms } = utterances[1].words[6];
  assert.ok((await at()) >= start_ms / 1000 - 0.01);
  await page.waitForFunction(() => !document.querySelector('audio').paused);
  await page.keyboard.press(' ');
  await page.waitForFunction(() => document.querySelector('audio').paused);
  const stopped = await at();
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(
    (to) => Math.abs(document.querySelector('audio').currentTime - to) < 0.2,
    stopped + 5,
  );
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(
    (to) => Math.abs(document.querySelector('audio').currentTime - to) < 0.2,
    stopped,
  );
  await page.keyboard.press(']');
  assert.equal(await page.evaluate(() => document.querySelector('audio').playbackRate), 1.25);
  // A line far below has no words of its own until it is near.
  await page.getByRole('slider').press('End');
  await page.waitForFunction(
    () =>
      document.querySelector('.line:last-child, .line[data-key="u17"]').getBoundingClientRect().top <
      innerHeight,
  );
});

test('another speed does not end the playing', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  const plays = (after) =>
    page.waitForFunction((after) => document.querySelector('audio').currentTime > after, after);
  await plays(0.5);
  await page.keyboard.press(']');
  await plays(1);
  assert.equal(await page.evaluate(() => document.querySelector('audio').playbackRate), 1.25);
});

test('a supervisor hears what supervisors said, in step with the rest', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await openEnded(page);
  await page.locator('.line .w').first().waitFor();
  await page.getByRole('checkbox', { name: 'With supervisors' }).check();
  const inStep = (plays) =>
    page.waitForFunction((plays) => {
      const [one, other] = document.querySelectorAll('.player audio');
      const together = Math.abs(one.currentTime - other.currentTime) < 0.2;
      return together && one.paused !== plays && other.paused !== plays && one.currentTime > 0;
    }, plays);
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  await inStep(true);
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press(']');
  await inStep(true);
  await page.getByRole('button', { name: 'Pause' }).click();
  await inStep(false);
  await page.getByRole('checkbox', { name: 'With supervisors' }).uncheck();
  await page.waitForFunction(() => document.querySelectorAll('.player audio').length === 1);
});

test('nobody else is offered that', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  assert.equal(await page.getByRole('checkbox', { name: 'With supervisors' }).count(), 0);
});

/** Takes parts away from the server until the test is over, which this gives the way to. */
function lacks(t, page) {
  t.after(() => fetch(`${base}/dev/lack?parts=`, { method: 'POST' }));
  return async (parts) => {
    await page.request.post(`${base}/dev/lack?parts=${parts}`);
    // The page looks when it is looked at.
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  };
}

test('a call that goes on without speech recognition says so, and no more when it is back', async (t) => {
  const page = await visit(t);
  const lack = lacks(t, page);
  const { say } = await openQuiet(page);
  const missing = page.locator('.banner', { hasText: 'Speech recognition is not ready' });
  await lack('speech');
  await page.waitForSelector('.health.deaf');
  await missing.waitFor();
  await lack('');
  await page.waitForSelector('.health.ok');
  await missing.waitFor({ state: 'detached' });
  const utterance_id = await say('Are you still there?');
  await page.locator(`[data-key="u${utterance_id}"]`).waitFor();
});

test('says what calls do without, and when it is back', async (t) => {
  const page = await visit(t);
  const lack = lacks(t, page);
  await page.waitForSelector('.health.ok');
  await lack('store,recording');
  await page.getByText('shown but not yet kept').waitFor();
  await page.getByText('Recordings cannot be written').waitFor();
  await page.waitForSelector('.health.unkept');
  // Whoever can do nothing about it is not told that the disk is nearly full.
  await lack('disk');
  await page.waitForFunction(() => !document.querySelector('.banner'));
  await page.waitForSelector('.health.ok');
  // A database that cannot say who is signed in signs nobody out.
  await lack('signin');
  await page.getByText('shown but not yet kept').waitFor();
  await page.reload();
  await page.getByText('nobody can sign in just now').waitFor();
  await lack('');
  await page.waitForSelector('.health.ok');
});

test('the agent of a call that is over says how it came out, and so do supervisors', async (t) => {
  const own = await visit(t, { name: 'Mina Karimi' });
  const call = await openEnded(own);
  const outcomes = (page) => page.locator('aside').getByRole('group', { name: 'How did it end?' });
  const said = (page, text) => page.locator('aside dd', { hasText: text }).first().waitFor();
  await outcomes(own).getByRole('button', { name: 'Resolved' }).click();
  await outcomes(own).locator('[aria-pressed=true]', { hasText: 'Resolved' }).waitFor();
  await own.reload();
  await outcomes(own).locator('[aria-pressed=true]', { hasText: 'Resolved' }).waitFor();
  // Other agents only see it, in their own language.
  const agent = await visit(t, { locale: 'fa-IR' });
  await agent.goto(`${base}/#/calls/${call.id}`);
  await said(agent, 'حل شد');
  assert.equal(await agent.locator('aside .outcomes').count(), 0);
  const supervisor = await visit(t, { name: 'admin' });
  await supervisor.goto(`${base}/#/calls/${call.id}`);
  await outcomes(supervisor).getByRole('button', { name: 'Wrong number' }).click();
  await said(supervisor, /Wrong number\s+admin/);
});

test('says in the language of the page why a call could not be fetched', async (t) => {
  const page = await visit(t, { locale: 'fa-IR' });
  const error = { code: 'internal', message: 'something is wrong in here' };
  await page.route('**/api/calls/*', (route) => route.fulfill({ status: 500, json: { error } }));
  await page.goto(`${base}/#/calls/00000000-0000-7000-8000-00000000dead`);
  await page.getByText('سرور نتوانست این کار را انجام دهد').waitFor();
  assert.equal(await page.getByText(error.message).count(), 0);
});

test('says when more is said than can be followed, and how late words are', async (t) => {
  const page = await visit(t);
  // And goes on for as long as it takes to look at it.
  const isLate = (call) => call.shedding === 'late_finals' && Date.now() - call.started_at_unix_ms < 100_000;
  let call;
  while (!(call = (await list(page, 'live')).find(isLate))) await page.waitForTimeout(500);
  await page.goto(`${base}/#/calls/${call.id}`);
  await page.locator('.banner', { hasText: 'More is being said than this machine can follow.' }).waitFor();
  await page.locator('footer .status', { hasText: /Words appear \d+(\.\d)? s after they are spoken/ }).waitFor();
});

test('shows what a revised line said before', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  await page.locator('.revised').first().focus();
  const was = page.getByRole('tooltip');
  assert.match(await was.innerText(), /now the side says/);
  assert.equal((await was.locator('del').innerText()).trim(), 'side');
  await page.keyboard.press('Escape');
  await was.waitFor({ state: 'detached' });
  await page.waitForSelector('main.ready');
});

test('what is understood leads to the words it rests on, also by the keyboard', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  const focused = () => page.evaluate(() => document.activeElement.closest('[data-key]')?.innerText ?? '');
  await page.getByRole('button', { name: /^Complaint likely/ }).click();
  assert.match(await focused(), /That is your mistake/);
  const arc = page.getByRole('group', { name: 'Over the call: neutral at first, content now.' });
  const points = arc.getByRole('button');
  await points.nth(6).waitFor({ state: 'attached' });
  assert.equal(await points.count(), 7);
  // One stop for Tab, wherever one left.
  assert.equal(await arc.locator('[tabindex="0"]').count(), 1);
  await arc.locator('[tabindex="0"]').focus();
  await page.keyboard.press('Home');
  for (let n = 0; n < 3; n++) await page.keyboard.press('ArrowRight');
  const label = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  assert.match(label, /^0:5\d: unhappy\. Their voice was higher, louder, and faster than at first\. /);
  assert.match(label, / Here it turned for the worse\. They said “That is your mistake/);
  assert.match(label, /”\. Just before, it was said: “.+”\.$/);
  await page.keyboard.press('Enter');
  assert.match(await focused(), /That is your mistake/);
  await page.getByRole('button', { name: 'It is urgent to them' }).click();
  assert.match(await focused(), /does not manage that by six/);
});

test('how the customer felt over a call is told point by point in Persian, by the keyboard, and leads to the words', async (t) => {
  const page = await visit(t, { locale: 'fa-IR' });
  await openEnded(page, (call) => call.language === 'fa' && call.utterances === 17);
  const focused = () => page.evaluate(() => document.activeElement.closest('[data-key]')?.innerText ?? '');
  const label = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? '');
  const mood = page.getByRole('region', { name: 'حال مشتری', exact: true });
  const arc = mood.getByRole('group', { name: 'در طول تماس: در آغاز عادی، اکنون عادی.' });
  const points = arc.getByRole('button');
  await points.nth(4).waitFor({ state: 'attached' });
  assert.equal(await points.count(), 5);
  // In words too, and none of them in another language: what it rests on is quoted as it was said.
  assert.match(await mood.innerText(), /عادی به نظر می‌رسد/);
  const labels = await points.evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')));
  for (const one of labels) {
    assert.match(one, /^در [۰-۹]+:[۰-۹]{2}: (عادی|ناراضی)\. .*گفت: «.+»/);
    assert.doesNotMatch(one, /[a-z0-9{}]/i);
  }
  // Time runs from left to right, as under the words, and what is further right was said later.
  const lefts = await points.evaluateAll((all) => all.map((one) => one.getBoundingClientRect().left));
  assert.deepEqual(lefts, lefts.toSorted((a, b) => a - b));
  assert.ok(lefts[0] < lefts[4]);
  // One stop for Tab: from there the arrows and Home go on.
  const stop = arc.locator('[tabindex="0"]');
  assert.equal(await stop.count(), 1);
  await stop.focus();
  await page.keyboard.press('Shift+Tab');
  assert.ok(!labels.includes(await label()), 'Tab leaves the arc');
  await page.keyboard.press('Tab');
  assert.equal(await label(), labels[4]);
  await page.keyboard.press('Home');
  assert.equal(await label(), labels[0]);
  for (const n of [1, 2]) {
    await page.keyboard.press('ArrowRight');
    assert.equal(await label(), labels[n]);
  }
  // Browsers put marks of direction between the words of a list.
  assert.match(labels[2], /صدایش از آغاز زیرتر[^«]+بلندتر[^«]+تندتر بود\. از این‌جا رو به بدی رفت\. گفت: «خب این اشتباه شماست/);
  assert.match(labels[2], /درست پیش از آن گفته شد: «پیدا کردم\. .+»\.$/);
  await page.keyboard.press('Enter');
  assert.match(await focused(), /خب این اشتباه شماست/);
});

test('what is named on a live call is told in words, the newest first, and of a card number no digit is left', async (t) => {
  for (const [locale, title, said, secret, masked, digits, more] of [
    [
      'en-GB',
      'What was named',
      [
        [
          'I am Ada Lovelace from Leeds, and the order is 741992.',
          ['person', 'Ada Lovelace', 'Ada Lovelace', 'Name', 'Ada Lovelace'],
          ['city', 'Leeds', 'Leeds', 'City', 'Leeds'],
          ['order', '741992', '741992', 'Order', '741992'],
        ],
        [
          'Call 020 7946 0123 at half past five, I paid 1250 dollars.',
          ['phone', '+442079460123', '020 7946 0123', 'Telephone', '+442079460123'],
          ['date_time', 'T17:30', 'half past five', 'When', '17:30'],
          ['money', '1250 USD', '1250 dollars', 'Amount', '1,250 dollars'],
        ],
      ],
      ['My account is 5218 7703', ['account', '52187703', '5218 7703']],
      'My account is ••••',
      /5218 ?7703/,
      ['And write to ada@example.com', ['email', 'ada@example.com', 'ada@example.com', 'E-mail', 'ada@example.com']],
    ],
    [
      'fa-IR',
      'آن‌چه نام برده شد',
      [
        [
          'سارا احمدی هستم از اصفهان، تاریخش هم ساعت پنج و نیم است.',
          ['person', 'سارا احمدی', 'سارا احمدی', 'نام', 'سارا احمدی'],
          ['city', 'Isfahan', 'اصفهان', 'شهر', 'اصفهان'],
          ['date_time', 'T17:30', 'پنج و نیم', 'زمان', '۱۷:۳۰'],
        ],
        [
          'به ۰۹۱۲۱۲۳۴۵۶۷ زنگ بزنید، دوازده تومان دادم.',
          ['phone', '+989121234567', '۰۹۱۲۱۲۳۴۵۶۷', 'تلفن', '+۹۸۹۱۲۱۲۳۴۵۶۷'],
          ['money', '12 IRT', 'دوازده تومان', 'مبلغ', '۱۲ تومان'],
        ],
      ],
      ['حسابم ۵۸۹۲ ۱۰۱۲ است', ['account', '58921012', '۵۸۹۲ ۱۰۱۲']],
      'حسابم •••• است',
      /5892 ?1012|۵۸۹۲ ?۱۰۱۲/,
      ['به sara@example.com هم بنویسید', ['email', 'sara@example.com', 'sara@example.com', 'ایمیل', 'sara@example.com']],
    ],
  ]) {
    const page = await visit(t, { name: 'admin', locale });
    const { say, tell } = await openQuiet(page);
    const language = locale.slice(0, 2);
    const region = page.getByRole('region', { name: title });
    const chips = () =>
      region.getByRole('button').evaluateAll((all) => all.map((one) => [...one.children].map((part) => part.textContent)));
    const understood = (utterance_id, entities, revision = 0) =>
      tell({ kind: 'entities', utterance_id, revision, latency_ms: 40, entities });
    const name = async ([text, ...names]) => {
      const utterance_id = await say(text, { language });
      await understood(utterance_id, names.map((one) => namedIn(text, one)));
      return utterance_id;
    };
    const expected = said.flatMap(([, ...names]) => names.map(([, , , kind, value]) => [kind, value])).reverse();
    const ids = [];
    for (const one of said) ids.push(await name(one));
    await region.getByRole('button').nth(expected.length - 1).waitFor();
    assert.deepEqual(await chips(), expected);

    // What seemed to be an account turns out to be the first half of a card number.
    const half = await name(secret);
    await region.getByRole('button', { name: secret[1][1] }).waitFor();
    assert.match(await page.content(), digits);
    await tell({ kind: 'redacted', utterance_id: half, party: 'customer', secrets: ['card'], ranges: [], muted: true });
    await region.getByRole('button', { name: secret[1][1] }).waitFor({ state: 'detached' });
    await say(masked, { language, utterance_id: half, revision: 1 });
    // What was found in the words as they were comes too late.
    await understood(half, [namedIn(...secret)]);
    const [kind, value] = more[1].slice(3);
    const last = await name(more);
    await region.getByRole('button', { name: value }).waitFor();
    assert.deepEqual(await chips(), [[kind, value], ...expected]);
    const line = page.locator(`[data-key="u${half}"] .text`);
    assert.match(await line.innerText(), /••••/);
    assert.doesNotMatch(await line.innerText(), /\p{Nd}/u);
    // Nor in what is only read out, or comes up on hover.
    assert.doesNotMatch(await page.content(), digits);

    await region.getByRole('button', { name: value }).press('Enter');
    const isThere = (key) => document.activeElement?.closest('[data-key]')?.getAttribute('data-key') === key;
    await page.waitForFunction(isThere, `u${last}`);
    // An empty list takes back what was found.
    for (const id of [...ids, last]) await understood(id, []);
    await understood(half, [], 1);
    await region.waitFor({ state: 'detached' });
  }
});

test('what must be said is ticked by the words that said it, in either language', async (t) => {
  for (const [locale, title, said, open] of [
    ['en-GB', 'To be said', 'Name and school said', 'not said yet'],
    ['fa-IR', 'آنچه باید گفته شود', 'معرفی خود و آموزشگاه', 'هنوز گفته نشده'],
  ]) {
    const page = await visit(t, { locale });
    await openEnded(page);
    const checklist = page.getByRole('region', { name: title });
    await checklist.getByRole('button', { name: said }).click();
    const focused = await page.evaluate(() => document.activeElement.closest('[data-key]')?.innerText ?? '');
    assert.match(focused, /Good morning, MetaLingua/);
    // In words as well, not by the mark alone; what was not said leads nowhere.
    assert.equal(await checklist.getByText(open, { exact: true }).count(), 1);
    assert.equal(await checklist.getByRole('listitem').count(), 3);
    assert.equal(await checklist.getByRole('button').count(), 2);
  }
});

test('how a call went says where it turned, on what, and when the customer was satisfied', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  const focused = () => page.evaluate(() => document.activeElement.closest('[data-key]')?.innerText ?? '');
  const arc = page.getByRole('region', { name: 'How it went for the customer' });
  assert.match(await arc.innerText(), /On the whole: [\s\S]* at first, [\s\S]* at the end/);
  await arc.getByRole('button', { name: /^It turned for the worse/ }).click();
  assert.match(await focused(), /That is your mistake/);
  await arc.getByRole('button', { name: /^Just before/ }).first().click();
  assert.doesNotMatch(await focused(), /That is your mistake/);
  await arc.getByRole('button', { name: /^They were satisfied/ }).last().click();
  assert.match(await focused(), /Thank you, Mina/);
});

test('what a call came to leads to the words that it was', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  const focused = () => page.evaluate(() => document.activeElement.closest('[data-key]')?.innerText ?? '');
  const summary = page.getByRole('region', { name: 'What it came to' });
  const bullet = summary.getByRole('button').first();
  const text = await bullet.locator('bdi').innerText();
  await bullet.click();
  assert.ok((await focused()).includes(text), text);
  const promised = page.getByRole('region', { name: 'What was promised' }).getByRole('button').first();
  assert.match(await promised.innerText(), /^Get in touch · 4 March.* 10:00 · by phone/);
  const quality = page.getByRole('region', { name: 'How good it was' });
  assert.match(await quality.innerText(), /70%.*not judged: there was no occasion/s);
  await quality.getByRole('button').first().click();
  assert.match(await focused(), /Good morning, MetaLingua/);
});

test('by whom a summary was written is told, and that a model has given none', async (t) => {
  const page = await visit(t);
  let more = { being_written: true };
  await page.route('**/api/calls/*/insight', async (route) => {
    const response = await route.fetch();
    if (response.status() !== 200) return route.fulfill({ response });
    return route.fulfill({ response, json: { ...(await response.json()), ...more } });
  });
  await openEnded(page);
  const summary = page.getByRole('region', { name: 'What it came to' });
  await summary.getByText('A summary is being written').waitFor();
  more = { written_by: { model: 'llama3.2' } };
  await summary.getByText('Written by llama3.2').waitFor();
  more = { model_failed: 'too_slow' };
  await page.reload();
  await summary.getByText('The language model has given no summary').waitFor();
  assert.equal(await summary.getByText('Written by').count(), 0);
  more = {};
  await page.reload();
  await summary.getByRole('button').first().waitFor();
  assert.equal(await summary.getByText('language model').count(), 0);
});

test('a supervisor corrects how good a call was, by the keyboard, and hears what it rests on', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await openEnded(page);
  const quality = page.getByRole('region', { name: 'How good it was' });
  await quality.getByRole('button', { name: 'Correct' }).waitFor();
  await page.locator('h1').focus();
  await page.keyboard.press('z');
  // From what the scorecard says one step down: no.
  await page.waitForFunction(() => document.activeElement?.type === 'radio');
  for (let n = 0; n < 3; n++) await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Tab');
  await page.keyboard.type('She gave no name.');
  await page.keyboard.press('Enter');
  const said = page.getByRole('region', { name: 'What people say of it' });
  await said.waitFor();
  assert.match(await said.innerText(), /admin.*corrects it/s);
  assert.match(await said.innerText(), /Greets, and says who they are: 0% instead of 100%.*She gave no name\./s);
  await page.waitForFunction(() => document.activeElement?.textContent.includes('Correct'));
  // Said anew, it is the next version; what was chosen before stands, and Escape leaves it as it is.
  await page.keyboard.press('z');
  await page.waitForFunction(() => document.activeElement?.type === 'radio');
  assert.equal(await quality.getByLabel('Why: Greets, and says who they are').inputValue(), 'She gave no name.');
  await page.keyboard.press('Escape');
  await quality.getByRole('button', { name: 'Accept' }).waitFor();
  await page.keyboard.press('y');
  await said.getByText('version 2').waitFor();
  assert.match(await said.innerText(), /admin.*accepts it/s);
  // The words that it rests on are shown, and heard.
  await quality.getByRole('button', { name: /0:/ }).first().click();
  await page.waitForFunction(() => !document.querySelector('audio').paused);
  assert.equal(await page.evaluate(() => document.activeElement.closest('[data-key]') !== null), true);
});

test('an agent does not review the calls of others, nor sees what is said of them', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  const quality = page.getByRole('region', { name: 'How good it was' });
  await quality.waitFor();
  await page.waitForTimeout(A_WHILE_MS);
  assert.equal(await quality.getByRole('button', { name: 'Accept' }).count(), 0);
  assert.equal(await page.getByRole('region', { name: 'What people say of it' }).count(), 0);
  await page.goto(`${base}/#/dashboard`);
  await page.getByText('There is nothing at this address.').waitFor();
  assert.equal(await page.getByRole('heading', { name: 'How calls go' }).count(), 0);
});

test('a reviewer begins with calls that are over, judges one, and has neither telephone nor contacts', async (t) => {
  const page = await visit(t, { name: 'reviewer' });
  await page.getByRole('heading', { name: 'Review of calls' }).waitFor();
  await page.waitForSelector('[data-found]');
  assert.equal(await page.locator('section.phone').count(), 0);
  await page.locator('[data-found]').first().click();
  const quality = page.getByRole('region', { name: 'How good it was' });
  await quality.getByRole('button', { name: 'Accept' }).click();
  const said = page.getByRole('region', { name: 'What people say of it' });
  await said.waitFor();
  assert.match(await said.innerText(), /reviewer.*accepts it/s);
  await page.locator('header .who').click();
  const menu = page.locator('#user-menu');
  await menu.getByText('Reviewer', { exact: true }).waitFor();
  assert.deepEqual(await menu.getByRole('link').allInnerTexts(), ['Review of calls']);
  await page.goto(`${base}/#/contacts`);
  await page.getByText('There is nothing at this address.').waitFor();
});

test('calls are found by what was said, and lead to where it was said', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.goto(`${base}/#/review`);
  await page.waitForSelector('[data-found]');
  const all = await page.locator('[data-found]').count();
  await page.keyboard.press('/');
  await page.keyboard.type('metalingua good');
  await page.keyboard.press('Enter');
  const quote = page.locator('.quotes a').first();
  await quote.waitFor();
  assert.match(await page.locator('.quotes q').first().innerText(), /Good morning, MetaLingua/);
  await quote.click();
  await page.waitForFunction(() => /Good morning, MetaLingua/.test(document.activeElement.closest('[data-key]')?.innerText ?? ''));
  await page.goBack();
  await page.waitForSelector('[data-found]');
  await page.getByLabel('Reviews').selectOption('true');
  await page.getByLabel('Quality').selectOption('high');
  await page.getByText('No call is like that.').waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.waitForFunction((all) => document.querySelectorAll('[data-found]').length >= all, all);
});

test('calls are found by what was said in other words, and the page says where words alone find', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.goto(`${base}/#/review`);
  await page.waitForSelector('[data-found]');
  await page.getByLabel('Words that were said').fill('fault');
  await page.keyboard.press('Enter');
  const quote = page.locator('.quotes li', { hasText: 'That is your mistake' }).first();
  await quote.waitFor();
  assert.match(await quote.innerText(), /means the same/);
  await page.getByLabel('Words that were said').fill('mistake');
  await page.keyboard.press('Enter');
  await quote.getByText('these words').waitFor();
  await page.getByLabel('Words that were said').fill('fault');
  await page.getByLabel('In other words, too').uncheck();
  await page.getByText('No call is like that.').waitFor();
  // Without a model.
  await page.route('**/api/review/calls?*', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), by_meaning: false } });
  });
  await page.getByLabel('In other words, too').check();
  await page.getByText('Found by these words alone').waitFor();

  const persian = await visit(t, { name: 'admin', locale: 'fa-IR' });
  await persian.goto(`${base}/#/review`);
  await persian.waitForSelector('[data-found]');
  await persian.getByLabel('کلمه‌هایی که گفته شده‌اند').fill('خطا');
  await persian.keyboard.press('Enter');
  await persian.getByText('هم‌معنا', { exact: true }).first().waitFor();
});

test('the dashboard tells its figures in words and tables, in both directions', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.goto(`${base}/#/dashboard`);
  await page.getByRole('heading', { name: 'How calls go' }).waitFor();
  const talk = page.getByRole('table', { name: 'Who speaks?' });
  assert.match(await talk.innerText(), /Agents.*43%.*Nobody.*24%/s);
  const days = page.getByRole('figure', { name: 'How many calls are there?' });
  await days.getByText('As a table').click();
  await days.getByRole('row').nth(3).waitFor();
  assert.equal(await days.getByRole('row').count(), 4, 'days without calls are left out there');
  assert.match(await page.locator('main').innerText(), /83%, alpha 0\.61 \(12\)/);
  const persian = await visit(t, { name: 'admin', locale: 'fa-IR' });
  await persian.goto(`${base}/#/dashboard`);
  await persian.getByRole('heading', { name: 'تماس‌ها در یک نگاه' }).waitFor();
  // The figures come after it.
  await persian.getByText(/آلفا ۰٫۶۱/).first().waitFor();
  assert.match(await persian.locator('main').innerText(), /آلفا ۰٫۶۱/);
});

test('a supervisor adds an intent and its examples, and takes them away again', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('i');
  await page.waitForSelector('[data-intent]');
  await titled(page, 'What customers want');
  // By the keyboard: the first row, and what is in it.
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForSelector('[data-intent="registration"][aria-expanded="true"]');
  const form = page.getByRole('form', { name: 'New intent' });
  await form.getByLabel('Title in English').fill('Opening hours');
  await form.getByLabel('Title in Persian').fill('ساعت کاری');
  await form.getByLabel('Tell supervisors').check();
  await form.getByRole('button', { name: 'Add intent' }).click();
  await page.waitForSelector('[data-intent="opening_hours"][aria-expanded="true"]');
  await page.waitForFunction(() => document.activeElement.dataset.intent === 'opening_hours');
  await page.getByText('Learning what has changed').waitFor();
  const card = page.locator('.rows > li', { has: page.locator('[data-intent="opening_hours"]') });
  assert.match(await card.innerText(), /too few examples to be recognised[\s\S]*supervisors are told/);
  const field = card.getByLabel('A sentence, as a customer says it');
  await field.fill('My card is 4242 4242 4242 4242.');
  await field.press('Enter');
  await page.getByText('Something in it must not be kept').waitFor();
  await field.fill('When do you open?');
  await field.press('Enter');
  await card.getByText('When do you open?').waitFor();
  assert.equal(await field.inputValue(), '');
  assert.equal(await page.getByText('Something in it must not be kept').count(), 0);
  await card.getByText('1 example', { exact: true }).waitFor();
  // The same name again.
  await form.getByLabel('Title in English').fill('opening hours!');
  await form.getByLabel('Title in English').press('Enter');
  await page.getByText('There is such an intent already.').waitFor();
  await form.getByLabel('Title in English').fill('');
  await card.getByLabel('Title in English').fill('When we are there');
  await card.getByRole('button', { name: 'Save' }).click();
  await card.locator('strong', { hasText: 'When we are there' }).waitFor();
  const [removed] = await Promise.all([
    page.waitForRequest((request) => request.method() === 'DELETE'),
    card.getByRole('button', { name: 'Remove “When do you open?”' }).click(),
  ]);
  // What customers say is no part of an address.
  assert.equal(new URL(removed.url()).search, '');
  await card.getByText('0 examples').waitFor();
  await card.getByRole('button', { name: 'Remove intent' }).click();
  await card.getByRole('button', { name: /^Remove it with/ }).click();
  await card.waitFor({ state: 'detached' });
  await page.getByText('In use as they are here').waitFor();
});

test('a supervisor writes what agents do for who wants something, in both languages', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.goto(`${base}/#/intents`);
  await page.locator('[data-intent="registration"]').click();
  const form = page.getByRole('form', { name: 'What agents do for who wants this' });
  const use = form.getByRole('button', { name: 'Use these steps' });
  await form.getByRole('button', { name: 'Another step' }).click();
  await page.waitForFunction(() => document.activeElement.getAttribute('aria-label') === 'Step 1 in English');
  assert.equal(await use.count(), 0, 'an empty step changes nothing');
  await page.keyboard.type('Ask for their telephone number.');
  await form.getByLabel('Step 1 in Persian').fill('شمارهٔ تلفنشان را بپرسید.');
  await form.getByLabel('When step 1 is left out').selectOption('phone');
  await form.getByRole('button', { name: 'Another step' }).click();
  await form.getByLabel('Step 2 in English').fill('Offer the placement test.');
  await form.getByRole('button', { name: 'Move step 2 up' }).click();
  assert.equal(await form.getByLabel('Step 1 in English').inputValue(), 'Offer the placement test.');
  await use.click();
  await use.waitFor({ state: 'detached' });
  const steps = async () => {
    const { intents } = await (await page.request.get(`${base}/api/intents`)).json();
    return intents.find(({ name }) => name === 'registration').playbook;
  };
  const ask = { en: 'Ask for their telephone number.', fa: 'شمارهٔ تلفنشان را بپرسید.' };
  assert.deepEqual(await steps(), [{ text: { en: 'Offer the placement test.' } }, { text: ask, until: 'phone' }]);
  await form.getByRole('button', { name: 'Remove step 1' }).click();
  await page.waitForFunction(() => document.activeElement.textContent === 'Another step');
  await use.click();
  await use.waitFor({ state: 'detached' });
  assert.deepEqual(await steps(), [{ text: ask, until: 'phone' }]);
});

test('what a customer said becomes an example with one click, or two keys', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await openEnded(page);
  const line = page.locator('.line.customer', { hasText: 'Fine. Can you send it to my number' });
  await line.hover();
  await line.getByRole('button', { name: 'Use as an example' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Payment' }).click();
  await dialog.getByText('Kept as an example: Payment').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  // What was wrongly recognised is put right: it is an example of one intent only.
  await line.focus();
  await page.keyboard.press('e');
  await dialog.getByRole('button', { name: 'None of these' }).waitFor();
  await page.keyboard.press('1');
  await dialog.getByText('Kept as an example: Registration').waitFor();
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  const { intents } = await (await page.request.get(`${base}/api/intents`)).json();
  const having = intents.filter(({ examples }) => examples.some(({ text }) => text.startsWith('Fine. Can you')));
  assert.deepEqual(having.map(({ name }) => name), ['registration']);
  // What is recognised now is marked, in words.
  await page.locator('.line.customer', { hasText: 'That is your mistake' }).focus();
  await page.keyboard.press('e');
  assert.match(await dialog.getByRole('button', { name: /^Complaint/ }).innerText(), /recognised/);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  // Nothing with something taken out is offered, and nothing to agents.
  const masked = page.locator('.line.customer', { hasText: '••••' });
  assert.equal(await masked.locator('[data-teach]').count(), 0);
  const agent = await visit(t);
  await openEnded(agent);
  assert.equal(await agent.locator('[data-teach]').count(), 0);
  await agent.goto(`${base}/#/intents`);
  await agent.getByText('There is nothing at this address.').waitFor();
});

test('a sentence is no example once a part of it turns out to be a secret, nor while it may', async (t) => {
  const page = await visit(t, { name: 'admin' });
  const { call, tell, say } = await openQuiet(page);
  const utterance_id = await say('It is 4242 4242 for bluebird');
  const line = page.locator(`[data-key="u${utterance_id}"]`);
  await line.focus();
  await page.keyboard.press('e');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Payment' }).waitFor();
  await page.keyboard.press('1');
  await dialog.getByText('Four or more digits in a row').waitFor();
  // The customer has gone on: the dialog does not keep a copy of what the call has lost.
  await tell({ kind: 'redacted', utterance_id, party: 'customer', secrets: ['card'], ranges: [], muted: true });
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await line.locator('[data-teach]').count(), 0);
  const example = { intent: 'payment', text: 'for bluebird', call_id: call.id, utterance_id };
  const refused = await page.request.post(`${base}/api/intent-examples`, { data: example });
  assert.equal(refused.status(), 400);
});

test('what a colleague changes meanwhile is not undone by what one saves', async (t) => {
  const page = await visit(t, { name: 'admin' });
  const put = (title, alert) => page.request.put(`${base}/api/intents/payment`, { data: { title, alert } });
  await page.goto(`${base}/#/intents`);
  await page.locator('[data-intent="payment"]').click();
  const card = page.locator('.rows > li', { has: page.locator('[data-intent="payment"]') });
  await card.getByLabel('Title in Persian').fill('پرداخت‌ها');
  await put({ en: 'Paying', fa: 'پرداخت' }, true);
  // Whatever is done next shows what there is by now.
  const field = card.getByLabel('A sentence, as a customer says it');
  await field.fill('Where do I pay?');
  await field.press('Enter');
  await card.locator('strong', { hasText: 'Paying' }).waitFor();
  assert.equal(await card.getByLabel('Title in English').inputValue(), 'Paying');
  assert.equal(await card.getByLabel('Title in Persian').inputValue(), 'پرداخت‌ها');
  const [saved] = await Promise.all([
    page.waitForRequest((request) => request.method() === 'PUT'),
    card.getByRole('button', { name: 'Save' }).click(),
  ]);
  assert.deepEqual(saved.postDataJSON(), { title: { en: 'Paying', fa: 'پرداخت‌ها' }, alert: true });
  await saved.response();
  await put({ en: 'Payment', fa: 'پرداخت' }, false);
  await page.request.delete(`${base}/api/intent-examples`, { data: { text: 'Where do I pay?' } });
});

test('a prompt is answered with one key or click, by the call’s agent or a supervisor', async (t) => {
  const page = await visit(t, { name: 'Omid Rezaei' });
  const { prompt, box, way } = await openQuiet(page);
  const colleague = await visit(t);
  const theirs = await openQuiet(colleague);
  const answered = (by, how) =>
    Promise.all([by.waitForRequest((request) => request.url().endsWith('/answer')), how()]).then(([request]) => [
      Number(request.url().split('/').at(-2)),
      request.postDataJSON().answer,
    ]);
  for (const [key, answer] of [
    ['y', 'accepted'],
    ['q', 'dismissed'],
    ['z', 'not_helpful'],
  ]) {
    const id = await prompt(`Say ${key}.`);
    await box.getByText(`Say ${key}.`, { exact: true }).waitFor();
    // Whoever is neither sees it, and has no say.
    await theirs.box.getByText(`Say ${key}.`, { exact: true }).waitFor();
    assert.equal(await theirs.way('I do so').count(), 0);
    await colleague.keyboard.press(key);
    assert.deepEqual(await answered(page, () => page.keyboard.press(key)), [id, answer]);
    await way('I do so').waitFor({ state: 'detached' });
    await theirs.box.getByText(`Say ${key}.`, { exact: true }).waitFor({ state: 'detached' });
  }
  // On a German keyboard Z is where Y is on others.
  let id = await prompt('Say it in German.');
  await way('I do so').waitFor();
  const german = () =>
    page.evaluate(() => window.dispatchEvent(new KeyboardEvent('keydown', { key: 'z', code: 'KeyY' })));
  assert.deepEqual(await answered(page, german), [id, 'not_helpful']);
  const supervisor = await visit(t, { name: 'admin' });
  const own = await openQuiet(supervisor);
  id = await prompt('Say that you are sorry.');
  assert.deepEqual(await answered(supervisor, () => own.way('Not now').click()), [id, 'dismissed']);
  await way('Not now').waitFor({ state: 'detached' });
});

test('a prompt goes by itself when it helps no more, but not from under a pointer or the focus', async (t) => {
  // Long enough to be seen and reached on a busy machine before it goes.
  const STANDS_MS = 3_000;
  const page = await visit(t, { name: 'Omid Rezaei' });
  const { prompt, way } = await openQuiet(page);
  const button = way('No help');
  await prompt('Say one.', STANDS_MS);
  await button.waitFor();
  await button.waitFor({ state: 'detached' });
  for (const [come, go] of [
    [() => button.hover(), () => page.mouse.move(2, 2)],
    [() => button.focus(), () => page.evaluate(() => document.activeElement.blur())],
  ]) {
    await prompt('Say two.', STANDS_MS);
    await button.waitFor();
    await come();
    await page.waitForTimeout(STANDS_MS + A_WHILE_MS);
    assert.equal(await button.count(), 1);
    await go();
    await button.waitFor({ state: 'detached' });
  }
  // And it can still be answered.
  const id = await prompt('Say three.', STANDS_MS);
  await button.hover();
  await page.waitForTimeout(STANDS_MS + A_WHILE_MS);
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.url().endsWith(`/prompts/${id}/answer`)),
    button.click(),
  ]);
  assert.equal((await request.response()).status(), 204);
  await button.waitFor({ state: 'detached' });
});

test('a card is reached by one key and answered there by those of prompts, and marks what answers', async (t) => {
  const page = await visit(t, { name: 'Omid Rezaei' });
  const { card: show } = await openQuiet(page);
  const named = (name) => page.getByRole('article', { name });
  const answered = (how) =>
    Promise.all([page.waitForRequest((request) => request.url().endsWith('/answer')), how()]).then(([request]) => [
      request.url().split('/').slice(-3, -1).join('/'),
      request.postDataJSON().answer,
    ]);
  const first = await show('Refunds', 'It takes three days. Ask for it.', 20);
  await named('Refunds › How long').waitFor();
  assert.equal(await named('Refunds › How long').locator('mark').textContent(), 'It takes three days.');
  assert.match(await named('Refunds › How long').textContent(), /changed 3 months ago/);
  const second = await show('پنل', 'سه روز طول می‌کشد. از ربات بخواهید.', 18);
  await named('پنل › How long').waitFor();
  const direction = (name) => named(name).locator('p.text').evaluate((text) => getComputedStyle(text).direction);
  assert.deepEqual([await direction('Refunds › How long'), await direction('پنل › How long')], ['ltr', 'rtl']);
  // Where nothing has the focus the keys are for prompts, and for the transcript.
  await page.keyboard.press('y');
  await page.waitForTimeout(A_WHILE_MS);
  assert.equal(await page.getByRole('article').count(), 2);
  await page.keyboard.press('g');
  assert.deepEqual(await answered(() => page.keyboard.press('z')), [`cards/${second}`, 'wrong']);
  await named('پنل › How long').waitFor({ state: 'detached' });
  await page.keyboard.press('g');
  await named('Refunds › How long').getByRole('button', { name: 'Copy' }).waitFor();
  assert.deepEqual(await answered(() => page.keyboard.press('q')), [`cards/${first}`, 'dismissed']);
  await named('Refunds › How long').waitFor({ state: 'detached' });
});

test('steps of a procedure are reached and ticked by key, for everybody, and are others once they are reworded', async (t) => {
  const page = await visit(t, { name: 'Omid Rezaei' });
  const { call, card } = await openQuiet(page);
  await card('No sound', '1. Ask whether the headset is plugged in.', 10, 'steps.md');
  const steps = page.getByRole('region', { name: 'Steps' });
  await steps.getByText('No sound › Steps to check').waitFor();
  const step = (name, checked) => steps.getByRole('checkbox', { name, checked });
  await step('Ask whether the headset', false).waitFor();
  assert.match(await steps.innerText(), /If not: ask them to plug it in\.[\s\S]*check/);
  await page.keyboard.press('v');
  await page.keyboard.press('Space');
  await step('Ask whether the headset', true).waitFor();
  await steps.getByText('done by Omid Rezaei').waitFor();
  // The log may tell of it before the answer comes, and until then no other is ticked.
  await steps.locator('[aria-busy="true"]').waitFor({ state: 'detached' });
  const done = (await stateOf(page, call.id)).steps.map(({ document, step, by }) => [document, step, by]);
  assert.deepEqual(done, [['steps.md', 1, 'Omid Rezaei']]);
  await page.keyboard.press('v');
  const second = step('Let them join again', false);
  assert.equal(await second.evaluate((one) => one === document.activeElement), true);
  await page.request.post(`${base}/dev/reword`);
  await page.keyboard.press('Space');
  await steps.getByRole('alert').getByText('The document has changed meanwhile.').waitFor();
  await steps.getByText('done as it was written then').waitFor();
  await step('Ask whether the headset', false).waitFor();
});

test('a draft says what it rests on, and is copied and not sent', async (t) => {
  const page = await visit(t, { name: 'Omid Rezaei' });
  const { call } = await openQuiet(page);
  const box = page.locator('.help details', { hasText: 'Draft a message' });
  await page.keyboard.press('u');
  await page.keyboard.press('Enter');
  await box.getByText('The customer has not asked anything yet.').waitFor();
  await page.keyboard.type('Do I get my money back?');
  await box.getByRole('combobox', { name: 'How it is sent' }).selectOption('email');
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.url().endsWith('/assist/draft')),
    box.getByRole('button', { name: 'Draft', exact: true }).click(),
  ]);
  const wish = { tone: 'formal', channel: 'email', language: 'en', about: 'Do I get my money back?' };
  assert.deepEqual(request.postDataJSON(), { callId: call.id, ...wish });
  await box.getByText('Subject: Cancellation and refunds').waitFor();
  await box.getByRole('button', { name: 'Said on the call, 9' }).click();
  await box.getByText('This was said on the call.').waitFor();
  await box.getByRole('button', { name: 'Passage 1' }).click();
  await box.getByText('Cancellation and refunds › Do I get my money back?').waitFor();
  await box.getByText('Nothing is sent from here.').waitFor();
  await box.getByRole('button', { name: 'Copy' }).waitFor();
});

test('what a card says goes into the note or the draft that is being written, with where it stands', async (t) => {
  const page = await visit(t, { name: 'Omid Rezaei' });
  const lead = { id: 'a', kind: 'lead', stage: 'new', name: 'Sara Ahmadi', phones: [], notes: '', fields: {}, version: 1 };
  await page.route('**/api/leads?phone=*', (route) => route.fulfill({ json: { leads: [lead] } }));
  const noted = [];
  await page.route('**/api/leads/a/communication', (route) => {
    noted.push(route.request().postDataJSON());
    return route.fulfill({ status: 201, json: {} });
  });
  const { card } = await openQuiet(page);
  await card('Refunds', 'It takes three days. Ask for it.', 20);
  const shown = page.getByRole('article', { name: 'Refunds › How long' });
  const note = page.getByRole('textbox', { name: 'Note on the customer' });
  await note.fill('Wants it back.');
  const [used] = await Promise.all([
    page.waitForRequest((request) => request.url().endsWith('/answer')),
    shown.getByRole('button', { name: 'Insert' }).click(),
  ]);
  assert.equal(used.postDataJSON().answer, 'copied');
  await shown.getByText('Inserted').waitFor();
  assert.equal(await note.inputValue(), 'Wants it back. It takes three days. (Refunds › How long)');
  await page.getByRole('button', { name: 'Write down' }).click();
  await page.getByText('Written down for Sara Ahmadi').waitFor();
  assert.deepEqual(noted, [{ type: 'note', content: 'Wants it back. It takes three days. (Refunds › How long)' }]);
  // A draft that is made is the next to be written in, by key as well.
  const box = page.locator('.help details', { hasText: 'Draft a message' });
  await shown.focus();
  await page.keyboard.press('u');
  await page.keyboard.type('Do I get my money back?');
  await box.getByRole('button', { name: 'Draft', exact: true }).click();
  await box.getByText('Nothing is sent from here.').waitFor();
  await shown.focus();
  await page.keyboard.press('i');
  const draft = box.getByRole('textbox', { name: 'The draft' });
  await draft.waitFor();
  assert.match(await draft.inputValue(), / It takes three days\. \(Refunds › How long\)\n\n/);
  assert.equal(await note.inputValue(), '');
  await box.getByRole('button', { name: 'As it was made' }).click();
  await draft.waitFor({ state: 'detached' });
});

test('a note that is written down once its writer has left the call is not there again when they come back', async (t) => {
  const page = await visit(t, { name: 'Omid Rezaei' });
  const lead = { id: 'b', kind: 'lead', stage: 'new', name: 'Sara Ahmadi', phones: [], notes: '', fields: {}, version: 1 };
  await page.route('**/api/leads?phone=*', (route) => route.fulfill({ json: { leads: [lead] } }));
  let keep;
  const kept = new Promise((resolve) => (keep = resolve));
  await page.route('**/api/leads/b/communication', async (route) => {
    await kept;
    await route.fulfill({ status: 201, json: {} });
  });
  const { call } = await openQuiet(page);
  const note = page.getByRole('textbox', { name: 'Note on the customer' });
  await note.fill('Wants it back.');
  const path = '/api/leads/b/communication';
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.url().endsWith(path)),
    page.getByRole('button', { name: 'Write down' }).click(),
  ]);
  // More is written before it is kept, and stays.
  await note.fill('Wants it back. In cash.');
  await page.goto(`${base}/#/`);
  await note.waitFor({ state: 'detached' });
  keep();
  await (await request.response()).finished();
  await page.goto(`${base}/#/calls/${call.id}`);
  await note.waitFor();
  assert.equal(await note.inputValue(), 'In cash.');
});

test('supervisors see folded what was looked up and is not shown, with why, and agents do not', async (t) => {
  const page = await visit(t, { name: 'admin' });
  const { call, say, tell } = await openQuiet(page);
  const text = 'Well, do you lend to students?';
  const evidence = { utterance_id: await say(text), revision: 0, text };
  const why = { query: 'do you lend to students?', because: 'not_sure', confidence: 0.42 };
  await tell({ kind: 'card_held_back', ...why, evidence });
  const folded = page.locator('details', { hasText: 'do you lend to students?' });
  const query = folded.getByRole('button', { name: 'do you lend to students?' });
  await folded.locator('summary').waitFor();
  assert.equal(await query.isVisible(), false);
  await folded.locator('summary').click();
  await folded.getByText('not sure enough · 42% sure that it answers').waitFor();
  await query.click();
  const agent = await visit(t, { name: 'Omid Rezaei' });
  await agent.goto(`${base}/#/calls/${call.id}`);
  await agent.locator('.line', { hasText: text }).first().waitFor();
  assert.equal(await agent.locator('details', { hasText: 'do you lend' }).count(), 0);
});

test('a card for which much was said is no wider than its place', async (t) => {
  const page = await visit(t, { name: 'Omid Rezaei' });
  const { card } = await openQuiet(page);
  const title = 'all that I told your colleague last week when I called about the evening course of my daughter';
  await card(title, 'It takes three days.', 20);
  const shown = page.getByRole('article', { name: title });
  await shown.waitFor();
  const right = (one) => one.evaluate((element) => element.getBoundingClientRect().right);
  assert.ok((await right(shown)) <= (await right(page.locator('div.help'))));
});

test('a key that was meant for a card which went is nobody else’s, and one that is left is no news', async (t) => {
  const page = await visit(t, { name: 'Omid Rezaei' });
  const { card, prompt, way } = await openQuiet(page);
  const named = (title) => page.getByRole('article', { name: `${title} › How long` });
  const told = page.getByRole('region', { name: 'What is written down', exact: true }).getByRole('status');
  const answered = () =>
    Promise.all([
      page.waitForRequest((request) => request.url().endsWith('/answer')),
      page.keyboard.press('y'),
    ]).then(([request]) => request.url().split('/').slice(-3, -1).join('/'));
  const asked = await prompt('Say one.');
  await way('I do so').waitFor();
  await card('First', 'It takes three days.', 20);
  await named('First').waitFor();
  await page.keyboard.press('g');
  // Two more come, and it goes from under the focus.
  const second = await card('Second', 'It takes four days.', 19);
  await named('Second').waitFor();
  const third = await card('Third', 'It takes five days.', 19);
  await named('First').waitFor({ state: 'detached' });
  assert.match(await told.textContent(), /Third › How long/);
  await page.keyboard.press('y');
  await page.waitForTimeout(A_WHILE_MS);
  assert.deepEqual([await way('I do so').count(), await page.getByRole('article').count()], [1, 2]);
  // The next one is the prompt's again.
  assert.equal(await answered(), `prompts/${asked}`);
  await page.keyboard.press('g');
  assert.equal(await answered(), `cards/${third}`);
  await named('Third').waitFor({ state: 'detached' });
  assert.equal((await told.textContent()).trim(), '');
  await page.keyboard.press('g');
  assert.equal(await answered(), `cards/${second}`);
  await named('Second').waitFor({ state: 'detached' });
});

test('says that an answer could not be written down, of that prompt alone', async (t) => {
  const fail = (is) => fetch(`${base}/dev/answers?fail=${is ? 1 : 0}`, { method: 'POST' });
  t.after(() => fail(false));
  const page = await visit(t, { name: 'Omid Rezaei' });
  const { prompt, box, way } = await openQuiet(page);
  const problem = box.getByText('This could not be written down.');
  await prompt('Say one.');
  await way('I do so').waitFor();
  await fail(true);
  await page.keyboard.press('y');
  await problem.waitFor();
  assert.equal(await way('I do so').count(), 1);
  await prompt('Say two.');
  await box.getByText('Say two.', { exact: true }).waitFor();
  assert.equal(await problem.count(), 0);
  await fail(false);
  await page.keyboard.press('y');
  await way('I do so').waitFor({ state: 'detached' });
});

test('a question is looked up, and a supervisor uploads a document and removes it', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('f');
  await page.waitForSelector('ul [data-row]');
  await titled(page, 'What is written down');
  await page.keyboard.press('/');
  await page.keyboard.type('Do I get my money back?');
  await page.keyboard.press('Enter');
  const first = page.locator('ol > li').first();
  await first.getByText('answers this').waitFor();
  assert.match(await first.innerText(), /Cancellation and refunds › Do I get my money back\?[\s\S]*by its words \(/);
  // Down from the question, and into the document.
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForSelector('ol [data-row][aria-expanded="true"]');
  await first.locator('.text').getByText('within five working days').waitFor();
  await page.keyboard.press('/');
  await page.locator('input[type="search"]').fill('zzz');
  await page.keyboard.press('Enter');
  await page.getByText('Nothing that is written down answers this.').waitFor();

  const form = page.getByRole('form', { name: 'Upload documents' });
  const upload = async (name, text) => {
    const file = { name, mimeType: 'text/plain', buffer: Buffer.from(text) };
    await form.getByLabel('Files').setInputFiles([file]);
    await form.getByRole('button', { name: 'Upload' }).click();
  };
  await upload('holidays.txt', ' ');
  await page.getByText('“holidays.txt” cannot be read').waitFor();
  await form.getByLabel('Supervisor').check();
  await upload('holidays.txt', 'We are closed over the holidays.');
  const card = page.locator('ul > li', { has: page.locator('[data-row="document holidays.txt"]') });
  await card.getByText('only for: Supervisor · Administrator').waitFor();
  await card.getByText('found by words and meaning').waitFor();
  assert.equal(await page.getByText('“holidays.txt” cannot be read').count(), 0);
  await card.locator('[data-row]').click();
  await card.getByRole('button', { name: 'Remove' }).click();
  await card.getByRole('button', { name: 'Remove it for good?' }).click();
  await card.waitFor({ state: 'detached' });

  await form.getByLabel('They are tickets').check();
  await upload('ticket.txt', 'Dear Smith, we are closed.');
  const ticket = page.locator('ul > li', { has: page.locator('[data-row="document ticket.txt"]') });
  await ticket.locator('[data-row]').click();
  await ticket.getByText('Dear ••••, we are closed.').waitFor();

  // An agent looks things up, and changes nothing.
  const agent = await visit(t);
  await agent.waitForSelector('[data-call]');
  await agent.keyboard.press('f');
  await agent.waitForSelector('ul [data-row]');
  assert.equal(await agent.locator('[data-row="document goodwill.txt"]').count(), 0);
  assert.equal(await agent.getByRole('form', { name: 'Upload documents' }).count(), 0);
});

test('admins see who is in which team and what it sees, and change that; nobody else does', async (t) => {
  const agent = await visit(t);
  await agent.waitForSelector('[data-call]');
  await agent.goto(`${base}/#/teams`);
  await agent.getByText('There is nothing at this address.').waitFor();

  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.goto(`${base}/#/teams`);
  const team = (name) => page.locator(`[data-team="${name}"]`);
  await team('Cards').getByText('omid').waitFor();
  assert.match(await team('فروش').textContent(), /By the configuration, where it is renamed: school/);
  assert.equal(await team('فروش').getByRole('button', { name: 'Rename' }).count(), 0);

  await page.getByRole('textbox', { name: 'Name of the team' }).fill('Loans');
  await page.getByRole('combobox', { name: 'Who is the first in it' }).selectOption('leila');
  await page.getByRole('button', { name: 'Begin' }).click();
  await team('Loans').getByText('leila').waitFor();
  await team('Loans').getByRole('combobox', { name: 'Somebody else' }).selectOption('omid');
  await team('Loans').getByRole('button', { name: 'Put into it' }).click();
  await team('Loans').getByText('omid').waitFor();

  await team('Loans').getByRole('button', { name: 'Rename' }).click();
  await page.keyboard.type('Cards');
  await page.keyboard.press('Enter');
  await page.getByText('There is a team of that name.').waitFor();
  await team('Loans').getByRole('textbox', { name: 'Name of the team' }).fill('Credit');
  await page.keyboard.press('Enter');
  await team('Credit').getByText('leila').waitFor();
  await team('Loans').waitFor({ state: 'detached' });

  const upload = page.getByRole('group', { name: 'Goodwill' });
  const shown = upload.getByRole('checkbox', { name: 'Credit' });
  await shown.check();
  await team('Credit').getByText('Goodwill').waitFor();
  await shown.uncheck();
  await team('Credit').getByText('Nothing but what is for everybody.').waitFor();
  for (const name of ['leila', 'omid']) await team('Credit').getByRole('button', { name: `Take ${name} out` }).click();
  await team('Credit').waitFor({ state: 'detached' });
});

test('a question is answered with citations that open, also on a call, and when the model is away', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('f');
  await page.waitForSelector('ul [data-row]');
  await page.keyboard.press('/');
  await page.keyboard.type('Do I get my money back?');
  await page.keyboard.press('Enter');
  await page.getByText('Put into words by llama3.2').waitFor();
  const cite = page.getByRole('button', { name: 'Passage 1' });
  assert.equal(await cite.getAttribute('aria-expanded'), 'false');
  await cite.click();
  const passage = page.locator('.answer .passage');
  await passage.getByText('Cancellation and refunds › Do I get my money back?').waitFor();
  await passage.getByRole('button', { name: 'the whole document' }).click();
  await passage.locator('.text').getByText('within five working days').waitFor();
  await cite.click();
  await passage.waitFor({ state: 'detached' });

  const { call } = await openQuiet(page);
  const field = page.getByRole('searchbox', { name: 'Ask what is written down' });
  const ask = async (text) => {
    await page.keyboard.press('/');
    await field.fill(text);
    const [request] = await Promise.all([
      page.waitForRequest((request) => request.url().endsWith('/assist/answer')),
      page.keyboard.press('Enter'),
    ]);
    await page.keyboard.press('Escape');
    return request.postDataJSON();
  };
  const text = 'Do I get my money back? It is offline.';
  assert.deepEqual(await ask(text), { question: text, callId: call.id });
  await page.getByText('The language model has not answered.').waitFor();
  await page.getByRole('button', { name: 'Passage 1' }).click();
  await page.locator('.help .passage').waitFor();
  await ask('zzz');
  await page.locator('.help').getByText('Nothing that is written down answers this.').waitFor();
});

test('an admin has done again what was given up after calls, and nobody else sees it', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.locator('button.who').click();
  await page.getByRole('link', { name: 'What is done after calls' }).click();
  const rows = page.locator('main ul > li', { hasText: 'it took too long' });
  await rows.nth(1).waitFor();
  await titled(page, 'What is done after calls');
  await rows.first().getByRole('button', { name: 'Do it again' }).click();
  await rows.nth(1).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Done/ }).click();
  await rows.first().waitFor({ state: 'detached' });
  const call = page.locator('main ul > li').first().getByRole('link', { name: 'To the call' });
  assert.match(await call.getAttribute('href'), /^#\/calls\//);

  const agent = await visit(t);
  await agent.waitForSelector('[data-call]');
  await agent.locator('button.who').click();
  assert.equal(await agent.getByRole('link', { name: 'What is done after calls' }).count(), 0);
  await agent.goto(`${base}/#/jobs`);
  await agent.locator('main .empty').waitFor();
});

test('a supervisor uploads recordings and sees what becomes of them, and an agent does not', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.locator('button.who').click();
  await page.getByRole('link', { name: 'Recordings from elsewhere' }).click();
  const rows = page.locator('main ul > li');
  const row = (name) => page.locator('main ul > li', { hasText: name });
  await row('monday.wav').waitFor();
  await titled(page, 'Recordings from elsewhere');
  const form = page.getByRole('form', { name: 'Upload recordings' });
  const upload = async (name, text) => {
    const file = { name, mimeType: 'audio/wav', buffer: Buffer.from(text) };
    await form.getByLabel('Files').setInputFiles([file]);
    await form.getByRole('button', { name: 'Upload' }).click();
  };
  await upload('empty.wav', '');
  await page.getByText('“empty.wav” is not taken').waitFor();
  await form.getByLabel('Voice notes').check();
  assert.equal(await form.getByLabel('The agent’s name').count(), 0);
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.method() === 'POST' && request.url().includes('/api/recordings?')),
    upload('note.wav', 'RIFF'),
  ]);
  assert.match(request.url(), /name=note\.wav&started_at=\d{4}-.*&alone=true/);
  await row('note.wav').waitFor();

  await page.getByRole('button', { name: /^Given up/ }).click();
  await row('letter.pdf').getByText('unsupported feature').waitFor();
  await row('letter.pdf').getByRole('button', { name: 'Remove' }).click();
  await row('letter.pdf').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Calls by now/ }).click();
  const call = rows.first().getByRole('link', { name: 'To the call' });
  assert.match(await call.getAttribute('href'), /^#\/calls\//);

  const agent = await visit(t);
  await agent.waitForSelector('[data-call]');
  await agent.goto(`${base}/#/recordings`);
  await agent.locator('main .empty').waitFor();
});

test('an admin sees who is told of what happens, and has it sent again', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.goto(`${base}/#/jobs`);
  const section = page.getByRole('region', { name: 'Who is told of what happens' });
  const rows = section.locator('li', { hasText: 'call.ended' });
  await rows.nth(1).waitFor();
  await section.getByText('https://erp.example').waitFor();
  assert.match(await rows.first().innerText(), /answered 503[\s\S]*it answered 503/);
  await rows.first().getByRole('button', { name: 'Send again' }).click();
  await rows.nth(1).waitFor({ state: 'detached' });
  await section.getByRole('button', { name: /^Test\s*: erp$/ }).click();
  await section.getByRole('button', { name: /^Taken/ }).click();
  await section.locator('li', { hasText: /^\s*test\b/ }).waitFor();
});

test('a supervisor sees what is not written down, names what answers it, and hides what is not ours', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('f');
  await page.getByRole('link', { name: 'What is missing' }).click();
  await titled(page, 'What is missing');
  const rows = page.locator('ul [data-row]');
  await rows.nth(2).waitFor();
  assert.match(await rows.first().innerText(), /Can I pay in instalments\?[\s\S]*asked 3 times/);
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  const first = page.locator('li', { has: page.locator('[data-row][aria-expanded="true"]') });
  const call = first.getByRole('link', { name: 'To the call' }).first();
  assert.match(await call.getAttribute('href'), /^#\/calls\//);
  await first.getByText('looked up').waitFor();
  const answers = first.getByRole('button', { name: 'This answers it' });
  assert.equal(await answers.isDisabled(), true);
  await first.getByLabel('The document that answers it').selectOption({ label: 'Goodwill (goodwill.txt)' });
  await answers.click();
  await page.getByRole('button', { name: /^Open\s*2/ }).waitFor();
  const rain = page.locator('li', { has: page.locator('[data-row]', { hasText: 'Will it rain' }) });
  await rain.locator('[data-row]').click();
  await rain.getByRole('button', { name: 'Not ours to answer' }).click();
  await rain.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Answered/ }).click();
  await page.getByText('“Goodwill” answers it, says admin').waitFor();
  await page.getByRole('button', { name: /^Not ours/ }).click();
  await page.getByText('not ours, says admin').waitFor();
  await rain.locator('[data-row]').click();
  await rain.getByRole('button', { name: 'Open again' }).click();
  await rain.waitFor({ state: 'detached' });

  await page.getByText('within 7 working days').waitFor();
  await page.getByText('called wrong more often than used').waitFor();

  const agent = await visit(t);
  await agent.waitForSelector('[data-call]');
  await agent.keyboard.press('f');
  await agent.waitForSelector('ul [data-row]');
  assert.equal(await agent.getByRole('link', { name: 'What is missing' }).count(), 0);
  await agent.goto(`${base}/#/knowledge/gaps`);
  await agent.locator('main .empty').waitFor();
});

test('what is missing fits a telephone, from the right in Persian', async (t) => {
  const page = await visit(t, { name: 'admin', locale: 'fa-IR', viewport: { width: 390, height: 844 } });
  await page.waitForSelector('[data-call]');
  await page.goto(`${base}/#/knowledge/gaps`);
  await page.locator('[data-row]').first().click();
  await page.waitForSelector('[data-row][aria-expanded="true"]');
  const wide = await page.evaluate(() =>
    [...document.querySelectorAll('main *')].filter(
      (one) => !one.closest('.sr, [aria-hidden=true]') && one.getBoundingClientRect().left < -1,
    ).length,
  );
  assert.equal(wide, 0);
});

test('a contact is found, with what was said and what is to be done, and is changed', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  await page.waitForSelector('[data-contact]');
  await titled(page, 'Contacts');
  await page.keyboard.press('/');
  await page.keyboard.type('london');
  await page.keyboard.press('Enter');
  await page.locator('[data-contact]').nth(1).waitFor({ state: 'detached' });
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Robert Miller' }).waitFor();
  // What a call has added leads to the call, and what it proposes is accepted, then done.
  const timeline = page.getByRole('region', { name: 'What was said' });
  const call = timeline.locator('li', { hasText: 'drawn from what was said' }).first();
  assert.match(await call.getByRole('link', { name: 'To the call' }).getAttribute('href'), /^#\/calls\//);
  const todo = page.getByRole('region', { name: 'To be done' });
  const task = todo.locator('li', { hasText: 'proposed from a call' });
  await task.getByRole('button', { name: 'Accept' }).click();
  await task.waitFor({ state: 'detached' });
  await todo.locator('li').first().getByRole('button', { name: 'Done', exact: true }).click();
  await todo.getByText('Nothing is to be done.').waitFor();
  await call.getByRole('button', { name: 'Set it' }).click();
  await page.locator('[aria-pressed="true"]', { hasText: 'Interested' }).waitFor();
  await page.getByLabel('What is to be remembered').last().fill('Wants an evening course.');
  await page.getByRole('button', { name: 'Write down' }).click();
  await timeline.locator('li').first().getByText('Wants an evening course.').waitFor();
  // A number of somebody else's is refused, and what was written stays.
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  const form = page.getByRole('form', { name: 'Edit' });
  await form.getByLabel('Telephone numbers').fill('+442079460123, +989121234567');
  await form.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Another contact has one of these numbers.').waitFor();
  await form.getByLabel('Telephone numbers').fill('+442079460123');
  await form.getByLabel('City').fill('Leeds');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.waitFor({ state: 'detached' });
  await page.locator('.top', { hasText: 'Leeds' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Remove' }).count(), 0, 'that is for supervisors');
  // What a colleague changes meanwhile is shown before it is overwritten.
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  const { leads } = await (await page.request.get(`${base}/api/leads?q=leeds`)).json();
  await page.request.put(`${base}/api/leads/${leads[0].id}`, { data: { ...leads[0], notes: 'Prefers evenings.' } });
  await form.getByLabel('City').fill('York');
  await form.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Somebody else has changed this meanwhile.').waitFor();
  await page.locator('.top', { hasText: 'Prefers evenings.' }).waitFor();
  await form.getByRole('button', { name: 'Save' }).click();
  await form.waitFor({ state: 'detached' });
  await page.locator('.top', { hasText: 'York' }).waitFor();
});

test('whoever calls is known by their number, and is written down with one click', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  await page.locator('header').getByRole('link', { name: 'Contact: Robert Miller' }).click();
  await page.getByRole('heading', { name: 'Robert Miller' }).waitFor();
  const unknown = (call) => call.participants.some(({ aor }) => aor?.includes('+493012345678'));
  // It goes on, or is over, and begins anew some seconds later.
  const call = [...(await list(page, 'live')), ...(await list(page, 'ended'))].find(unknown);
  await page.goto(`${base}/#/calls/${call.id}`);
  await page.getByText('Not among the contacts.').waitFor();
  await page.locator('header').getByRole('button', { name: 'Add' }).click();
  await page.getByRole('heading', { name: '+493012345678' }).waitFor();
});

test('a lead has points with reasons, and what is to be done is a queue', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  const robert = page.locator('[data-contact]', { hasText: 'Robert Miller' });
  await robert.getByText('20 of 100 points').waitFor();
  assert.match(await robert.locator('[title*="names a course"]').getAttribute('title'), /has been talked to/);
  const { leads } = await (await page.request.get(`${base}/api/leads?q=robert`)).json();
  const task = { lead_id: leads[0].id, type: 'callback', priority: 'high' };
  const add = (more) => page.request.post(`${base}/api/tasks`, { data: { ...task, ...more } });
  await add({ title: 'Long due', due_at_unix_ms: 1_000 });
  await add({ title: 'Some day', due_at_unix_ms: Date.now() + 3_600_000 });
  await add({ title: 'Of somebody else', due_at_unix_ms: 1_000, assignee: 'omid' });
  const todo = page.getByRole('region', { name: 'To be done' });
  await todo.getByText('Some day').waitFor();
  assert.equal(await todo.getByText('Of somebody else').count(), 0);
  await todo.getByRole('button', { name: 'Due now' }).click();
  await todo.getByText('Some day').waitFor({ state: 'detached' });
  await todo.getByText('Long due').waitFor();
  await todo.getByRole('button', { name: 'Everybody’s' }).click();
  await todo.getByText('Of somebody else').waitFor();
  await robert.click();
  const score = page.getByRole('region', { name: 'How promising' });
  await score.locator('li').nth(1).waitFor();
  assert.equal(await score.locator('li').count(), 2);
  assert.equal(await page.getByRole('region', { name: 'As a table' }).count(), 0, 'that is for supervisors');
});

test('a ticket is opened, put right and opened again, by the keyboard', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  await page.locator('[data-contact]', { hasText: 'Robert Miller' }).click();
  const tickets = page.getByRole('region', { name: 'Tickets' });
  await tickets.getByText('Nothing is to be put right.').waitFor();
  await tickets.getByRole('button', { name: 'New ticket' }).press('Enter');
  await page.keyboard.type('The panel does not open');
  await page.keyboard.press('Tab');
  await page.keyboard.type('Since Friday.');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await tickets.getByRole('button', { name: 'Keep' }).press('Enter');
  const ticket = tickets.locator('[data-ticket]');
  await ticket.locator('.quiet', { hasText: 'Urgent' }).waitFor();
  await ticket.getByRole('button', { name: 'Resolved …' }).press('Enter');
  await page.keyboard.type('The certificate was renewed.');
  await page.keyboard.press('Enter');
  await ticket.locator('q', { hasText: 'The certificate was renewed.' }).waitFor();
  await ticket.getByRole('button', { name: 'Close' }).press('Enter');
  await ticket.getByRole('button', { name: 'Resolved …' }).waitFor({ state: 'detached' });
  await ticket.locator('.quiet', { hasText: 'closed' }).waitFor();
  await ticket.getByRole('button', { name: 'Open again' }).press('Enter');
  await ticket.locator('.quiet', { hasText: 'open' }).waitFor();
});

test('when it rings it is said how to begin, below what is pressed', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await ring(page);
  const note = page.locator('section.phone').getByRole('note', { name: 'Before the talk' });
  await note.getByText('Find out what they need.').waitFor();
  const answer = page.locator('section.phone').getByRole('button', { name: 'Answer' });
  const [above, below] = [await answer.boundingBox(), await note.boundingBox()];
  assert.ok(above.y + above.height <= below.y, 'what is pressed stays where it was');
  await page.keyboard.press('r');
  await note.waitFor({ state: 'detached' });
});

test('a voice note is added, and its words are on the timeline', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  await page.locator('[data-contact]', { hasText: 'Robert Miller' }).click();
  const form = page.getByRole('form', { name: 'Voice note' });
  const note = { name: 'note.ogg', mimeType: 'audio/ogg', buffer: Buffer.from('OggS') };
  await form.getByLabel('Recording in which only they speak').setInputFiles([note]);
  await form.getByLabel('Language spoken').selectOption('fa');
  await form.getByRole('button', { name: 'Add voice note' }).press('Enter');
  await form.getByText('It is listened to').waitFor();
  const entry = page.getByRole('region', { name: 'What was said' }).locator('li', { hasText: 'Voice note' });
  await entry.getByText('Please call me back.').waitFor();
  assert.match(await entry.getByRole('link', { name: 'To the call' }).getAttribute('href'), /^#\/calls\//);
});

test('a talk is prepared, each line says where it is from, and somebody writes something down for it', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  await page.locator('[data-contact]', { hasText: 'Robert Miller' }).click();
  const talk = page.getByRole('region', { name: 'Before the talk' });
  await talk.getByRole('heading', { name: 'How to begin' }).waitFor();
  const call = talk.locator('li', { hasText: 'Call, ' });
  assert.match(await call.getByRole('link', { name: 'from what was said' }).getAttribute('href'), /^#\/calls\//);
  await talk.getByRole('button', { name: 'Write something down' }).press('Enter');
  await page.keyboard.type('Ask for the certificate.');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await talk.getByText('Ask for the certificate.').waitFor();
  // What a colleague writes meanwhile is not overwritten unseen.
  await talk.getByRole('button', { name: 'Change' }).press('Enter');
  const { leads } = await (await page.request.get(`${base}/api/leads?q=robert`)).json();
  const theirs = { version: 1, text: 'Ask for the passport.' };
  await page.request.put(`${base}/api/leads/${leads[0].id}/preparation`, { data: theirs });
  await talk.getByRole('textbox', { name: 'Your own words for the talk' }).fill('Ask for both.');
  await talk.getByRole('button', { name: 'Keep' }).click();
  await page.getByText('Somebody else has changed this meanwhile.').waitFor();
  await talk.getByText('Ask for the passport.').waitFor();
  await talk.getByRole('button', { name: 'Keep' }).click();
  await talk.getByText('Ask for both.').waitFor();
});

test('a payment is written down and paid, and a reference is there once', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  await page.locator('[data-contact]', { hasText: 'Robert Miller' }).click();
  const payments = page.getByRole('region', { name: 'Payments' });
  const write = async (amount, about) => {
    await payments.getByRole('button', { name: 'New payment' }).press('Enter');
    await page.keyboard.type(amount);
    await payments.getByLabel('What for').fill(about);
    await payments.getByLabel('Reference').fill('A-1');
  };
  await write('1,250.50', 'Evening course');
  await payments.getByLabel('To be paid by').fill('2020-01-31');
  await payments.getByRole('button', { name: 'Keep' }).press('Enter');
  const payment = payments.locator('[data-payment]');
  await payment.getByText('€1,250.50').waitFor();
  await payment.getByText('overdue since').waitFor();
  await payment.getByRole('button', { name: 'Paid', exact: true }).press('Enter');
  await payment.getByRole('button', { name: 'Paid back' }).waitFor();
  await write('nothing', 'No amount');
  await payments.getByRole('button', { name: 'Keep' }).click();
  await page.getByText('This cannot be kept').waitFor();
  await payments.getByLabel('Amount').fill('5');
  await payments.getByRole('button', { name: 'Keep' }).click();
  await page.getByText('Another payment has this reference.').waitFor();
  assert.equal(await payment.count(), 1);
});

test('supervisors add payments from a table', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  const form = page.getByRole('form', { name: 'Payments for spreadsheets' });
  const upload = async (text) => {
    await form.getByLabel('Table').setInputFiles([{ name: 'a.csv', mimeType: 'text/csv', buffer: Buffer.from(text) }]);
    await form.getByRole('button', { name: 'Add its payments' }).click();
  };
  await upload('phone,amount,currency\n+442079460999,5,EUR\n');
  await page.getByText('Line 2:').waitFor();
  await upload('phone,amount,currency,about\n+989121234567,250000,toman,Panel\n');
  await page.getByText('1 payment has been added.').waitFor();
  assert.match(await form.getByRole('link', { name: 'Download' }).getAttribute('href'), /api\/payments\/export$/);
  await page.locator('[data-contact]', { hasText: 'توکلی' }).click();
  const payments = page.getByRole('region', { name: 'Payments' });
  await payments.getByText(/IRR\s2,500,000/).waitFor();
});

test('supervisors add contacts from a table, and make one of two', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  const form = page.getByRole('form', { name: 'As a table' });
  const upload = async (text) => {
    await form.getByLabel('Table').setInputFiles([{ name: 'a.csv', mimeType: 'text/csv', buffer: Buffer.from(text) }]);
    await form.getByRole('button', { name: 'Add its contacts' }).click();
  };
  await upload('name,phones\nAnna,+442079460777\nTwin,+442079460123\n');
  await page.getByText('Line 3:').waitFor();
  await upload('name,phones\nAnna,+442079460777\nAnna B.,+442079460778\n');
  await page.getByText('2 contacts have been added.').waitFor();
  assert.match(await form.getByRole('link', { name: 'Download' }).getAttribute('href'), /api\/leads\/export$/);
  await page.locator('[data-contact]', { hasText: 'Anna B.' }).waitFor();
  await page.locator('[data-contact]', { hasText: /^\s*Anna(?! B)/ }).first().click();
  await page.getByRole('heading', { name: 'Anna', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  const edit = page.getByRole('form', { name: 'Edit' });
  await edit.getByLabel('Telephone numbers').fill('+442079460777, +442079460778');
  await edit.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('link', { name: 'Anna B.' }).waitFor();
  await page.getByRole('button', { name: 'make one of both' }).click();
  await page.locator('.top', { hasText: '+442079460778' }).waitFor();
  const { leads } = await (await page.request.get(`${base}/api/leads?q=anna`)).json();
  assert.deepEqual([leads.length, leads[0].notes], [1, 'Anna B.']);
  // Who is to be forgotten goes with their calls.
  const all = page.getByRole('link', { name: 'Download what is kept' });
  assert.match(await all.getAttribute('href'), /api\/leads\/[\w-]+\/export$/);
  await page.getByRole('button', { name: 'Forget with all calls' }).click();
  await page.getByRole('button', { name: 'Remove with all calls, words and recordings?' }).click();
  await page.locator('[data-contact]').first().waitFor();
  assert.equal(await page.locator('[data-contact]', { hasText: 'Anna' }).count(), 0);
});

test('contacts belong to companies, and are listed by them', async (t) => {
  const page = await visit(t, { name: 'admin' });
  await page.waitForSelector('[data-call]');
  await page.keyboard.press('.');
  const companies = page.getByRole('region', { name: 'Companies' });
  await companies.getByLabel('Name of the company').fill('Noor');
  await companies.getByRole('button', { name: 'Add' }).click();
  await companies.getByRole('button', { name: 'Noor' }).waitFor();
  await page.locator('[data-contact]', { hasText: 'Robert Miller' }).click();
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  const form = page.getByRole('form', { name: 'Edit' });
  await form.getByLabel('Company').selectOption('Noor');
  await form.getByRole('button', { name: 'Save' }).click();
  await page.locator('.top', { hasText: 'Noor' }).waitFor();
  await page.keyboard.press('.');
  await companies.getByRole('button', { name: 'Noor' }).click();
  await page.locator('[data-contact]').nth(1).waitFor({ state: 'detached' });
  assert.match(await page.locator('[data-contact]').innerText(), /Robert Miller[^]*Noor/);
  await companies.getByRole('button', { name: 'Remove', exact: true }).click();
  await companies.getByRole('button', { name: 'Remove? Its contacts stay.' }).click();
  await companies.getByRole('button', { name: 'Noor' }).waitFor({ state: 'detached' });
  await page.locator('[data-contact]').nth(1).waitFor();
});

test('a message that follows from a call is changed and approved, and one of which nobody knows is looked into', async (t) => {
  const page = await visit(t);
  await openEnded(page);
  const toSend = page.getByRole('region', { name: 'To be sent' });
  await toSend.getByRole('button', { name: 'Change' }).click();
  const form = toSend.getByRole('form', { name: 'Change' });
  await form.getByRole('textbox', { name: 'Message' }).fill('Hello Robert, here are the prices.');
  await form.getByRole('button', { name: 'Keep as a draft' }).click();
  await form.waitFor({ state: 'detached' });
  await toSend.locator('li', { hasText: 'here are the prices.' }).getByRole('button', { name: 'Approve' }).click();
  await toSend.locator('li', { hasText: 'Approved' }).waitFor();
  await page.locator('button.who').click();
  await page.getByRole('link', { name: 'Messages' }).click();
  await page.getByRole('group', { name: 'Which are shown' }).getByRole('button', { name: 'Approved' }).click();
  const approved = page.locator('[data-message]', { hasText: 'here are the prices.' });
  assert.match(await approved.getByRole('link', { name: 'To the call' }).getAttribute('href'), /^#\/calls\//);
  await page.getByRole('button', { name: 'Not known' }).click();
  const unknown = page.locator('[data-message]', { hasText: 'there was no answer in time' });
  await unknown.waitFor();
  assert.equal(await unknown.getByRole('button', { name: 'Approve' }).count(), 0, 'it is not sent again blindly');
  await unknown.getByRole('button', { name: 'It was sent' }).click();
  await unknown.waitFor({ state: 'detached' });
});

test('a message that is said on the telephone is heard before it is approved', async (t) => {
  const page = await visit(t);
  await page.goto(`${base}/#/follow-ups`);
  const message = page.locator('[data-message]', { hasText: 'Call with a message' });
  await message.getByText('Our call was cut off.').waitFor();
  const listen = message.getByRole('button', { name: 'Listen' });
  await listen.click();
  await message.locator('audio[aria-label="What is said on the telephone"]').waitFor();
  await page.waitForFunction(() => document.querySelector('[data-message] audio')?.duration > 0);
  await page.route('**/api/follow-ups/*/speech*', (route) => route.fulfill({ status: 503, body: '{}' }));
  await listen.click();
  await message.locator('audio').waitFor({ state: 'detached' });
  await listen.click();
  await message.getByText('This cannot be spoken just now').waitFor();
  await message.getByRole('button', { name: 'Approve' }).click();
  await message.waitFor({ state: 'detached' });
});

test('whoever does not want to be written to is not, and a message is written by hand', async (t) => {
  const page = await visit(t);
  await page.goto(`${base}/#/contacts`);
  await page.locator('[data-contact]', { hasText: 'Robert Miller' }).click();
  await page.getByRole('button', { name: 'Write a message' }).click();
  const form = page.getByRole('form', { name: 'Write a message' });
  assert.equal(await form.getByLabel('To', { exact: true }).inputValue(), '+442079460123');
  await form.getByLabel('How').selectOption('email');
  assert.equal(await form.getByLabel('To', { exact: true }).inputValue(), 'robert@example.com');
  await form.getByLabel('Subject').fill('Your course');
  await form.getByRole('textbox', { name: 'Message' }).fill('It begins on Monday.');
  await form.getByRole('button', { name: 'Keep as a draft' }).click();
  const draft = page.locator('[data-message]', { hasText: 'It begins on Monday.' });
  const out = page.getByRole('group', { name: 'Does not want:' });
  await out.waitFor();
  // Meanwhile a program keeps that they want no text messages.
  await page.evaluate(async () => {
    const { leads } = await (await fetch('api/leads?q=Robert%20Miller')).json();
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ version: 1, channels: ['sms'] });
    await fetch(`api/leads/${leads[0].id}/opt-outs`, { method: 'PUT', headers, body });
  });
  await out.getByRole('button', { name: 'E-mail' }).click();
  await out.locator('[aria-pressed="true"]', { hasText: 'E-mail' }).waitFor();
  assert.equal(await out.locator('[aria-pressed="true"]').count(), 2, 'what others have kept stays');
  await draft.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('The contact does not want to be written to so.').waitFor();
  await draft.getByRole('button', { name: 'Do not send' }).click();
  await draft.getByText('Not to be sent').waitFor();
});

test('messages fit a telephone, from the right in Persian', async (t) => {
  const page = await visit(t, { locale: 'fa-IR', viewport: { width: 390, height: 844 } });
  await page.waitForSelector('[data-call]');
  await page.locator('button.who').click();
  await page.getByRole('link', { name: 'پیام‌ها' }).click();
  await page.getByRole('button', { name: 'پیش‌نویس' }).waitFor();
  const wide = await page.evaluate(() =>
    [...document.querySelectorAll('main *')].filter(
      (one) => !one.closest('.sr, [aria-hidden=true]') && one.getBoundingClientRect().left < -1,
    ).length,
  );
  assert.equal(wide, 0);
});

test('contacts fit a telephone, from the right in Persian', async (t) => {
  const page = await visit(t, { name: 'admin', locale: 'fa-IR', viewport: { width: 390, height: 844 } });
  await page.waitForSelector('[data-call]');
  await page.locator('button.who').click();
  await page.getByRole('link', { name: /مخاطبان/ }).click();
  await page.locator('[data-contact]', { hasText: 'توکلی' }).click();
  await page.getByRole('heading', { name: /توکلی/ }).waitFor();
  const wide = await page.evaluate(() =>
    [...document.querySelectorAll('main *')].filter(
      (one) => !one.closest('.sr, [aria-hidden=true]') && one.getBoundingClientRect().left < -1,
    ).length,
  );
  assert.equal(wide, 0);
  await page.getByRole('button', { name: 'حذف', exact: true }).click();
  await page.getByRole('button', { name: 'با همهٔ آنچه از او نوشته شده حذف شود؟' }).click();
  await page.locator('[data-contact]').first().waitFor();
  assert.equal(await page.locator('[data-contact]', { hasText: 'توکلی' }).count(), 0);
});

test('what is written down fits a telephone, from the right in Persian', async (t) => {
  const page = await visit(t, { name: 'admin', locale: 'fa-IR', viewport: { width: 390, height: 844 } });
  await page.waitForSelector('[data-call]');
  await page.locator('button.who').click();
  await page.getByRole('link', { name: /نوشته‌ها/ }).click();
  await page.locator('input[type="search"]').fill('شهریه');
  await page.keyboard.press('Enter');
  await page.locator('ol [data-row]').first().click();
  await page.waitForSelector('ol [data-row][aria-expanded="true"]');
  const wide = await page.evaluate(() =>
    [...document.querySelectorAll('main *')].filter(
      (one) => !one.closest('.sr, [aria-hidden=true]') && one.getBoundingClientRect().left < -1,
    ).length,
  );
  assert.equal(wide, 0);
});

test('the intents fit a telephone, and are reached there from the menu, from the right in Persian', async (t) => {
  const page = await visit(t, { name: 'admin', locale: 'fa-IR', viewport: { width: 390, height: 844 } });
  await page.waitForSelector('[data-call]');
  await page.locator('button.who').click();
  await page.getByRole('link', { name: /خواسته‌های مشتریان/ }).click();
  await page.locator('[data-intent]').first().click();
  await page.waitForSelector('[data-intent][aria-expanded="true"]');
  assert.equal(await page.evaluate(() => document.documentElement.dir), 'rtl');
  const wide = await page.evaluate(() =>
    [...document.querySelectorAll('main *')].filter(
      (one) => !one.closest('.sr, [aria-hidden=true]') && one.getBoundingClientRect().left < -1,
    ).length,
  );
  assert.equal(wide, 0);
});

test('reads from the right in Persian, and remembers it', async (t) => {
  const page = await visit(t);
  await page.waitForSelector('[data-call]');
  await page.getByRole('radio', { name: 'فارسی' }).check({ force: true });
  await page.reload();
  await page.waitForSelector('[data-call]');
  assert.equal(await page.evaluate(() => document.documentElement.dir), 'rtl');
  assert.match(await page.locator('[data-call] .clock').first().innerText(), /^[۰-۹:]+$/);
  await openLive(page, 'fa');
  assert.equal(
    await page.evaluate(() => getComputedStyle(document.querySelector('.line .text')).direction),
    'rtl',
  );
  await openEnded(page);
  // An English call keeps its own direction, names beside its lines.
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('.line')).direction), 'ltr');
});

test('starts in Persian where the browser does', async (t) => {
  const page = await visit(t, { signedIn: false, locale: 'fa-IR' });
  await page.getByRole('button', { name: 'ورود', exact: true }).waitFor();
});

test('fits a telephone', async (t) => {
  const page = await visit(t, { viewport: { width: 390, height: 844 } });
  const fits = () =>
    page.evaluate(() =>
      [...document.querySelectorAll('body *')].every(
        (one) =>
          one.closest('.sr, [aria-hidden=true], dialog') ||
          one.getBoundingClientRect().right <= innerWidth + 1,
      ),
    );
  await page.waitForSelector('[data-call]');
  assert.ok(await fits(), 'list');
  await openEnded(page, (call) => !named(call) || call.utterances > 17);
  assert.ok(await fits(), 'call');
});

test('who does not agree has no mood any more, once that was asked', async (t) => {
  const persian = (call) => call.language === 'fa';
  const page = await visit(t, { name: 'admin' });
  const call = await openEnded(page, persian);
  const mood = page.getByRole('heading', { name: 'How the customer feels' });
  await mood.waitFor();
  const consent = page.getByRole('region', { name: 'Is their mood to be read?' });
  await consent.getByRole('button', { name: 'The customer does not agree' }).click();
  await page.waitForFunction(() => document.activeElement?.textContent.includes('Remove their mood'));
  await consent.getByRole('button', { name: 'Leave it' }).click();
  assert.ok(await mood.isVisible());
  await consent.getByRole('button', { name: 'The customer does not agree' }).click();
  await page.waitForFunction(() => document.activeElement?.textContent.includes('Remove their mood'));
  await page.keyboard.press('Enter');
  await mood.waitFor({ state: 'detached' });
  assert.match(await consent.innerText(), /No mood is read on this call/);
  assert.equal(await consent.getByRole('button').count(), 0, 'of a call that is over nothing more is read');
  const events = await (await page.request.get(`${base}/api/calls/${call.id}/events`)).text();
  assert.doesNotMatch(events, /"mood"/);

  // Somebody else's call is not theirs to say it of.
  const agent = await visit(t, { name: 'omid' });
  await openEnded(agent);
  await agent.getByRole('heading', { name: 'How the customer feels' }).waitFor();
  assert.equal(await agent.getByRole('region', { name: 'Is their mood to be read?' }).count(), 0);
});
