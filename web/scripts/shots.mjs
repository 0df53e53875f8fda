// Photographs every page and state, for eyes to judge:
//
//   npm run mock -- --at 64 --others 9 &
//   node scripts/shots.mjs http://127.0.0.1:5180 OUT_DIR [--only name,name] [--variants 1280-light-en,390-dark-fa]
//
// With `--docs` it makes the pictures of the documentation: every page, in both widths, languages and themes, as small
// files (WebP):
//
//   node scripts/shots.mjs http://127.0.0.1:5180 ../docs/images --docs
//
// Expects the stand-in server of dev/mock.mjs (any name, password “sotto”) and a Chromium: see
// dev/browser.mjs.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from '../dev/browser.mjs';

const [base = 'http://127.0.0.1:5180', out = 'shots'] = process.argv
  .slice(2)
  .filter((one, i, all) => !one.startsWith('--') && !all[i - 1]?.startsWith('--'));
const list = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1].split(',');
};
const docs = process.argv.includes('--docs');
const only = list(
  'only',
  docs
    ? [
        ...['sign-in', 'calls', 'wall', 'live', 'ended', 'phone-ringing', 'phone-talking', 'phone-transfer'],
        ...['contacts', 'contact', 'follow-ups', 'review', 'dashboard', 'recordings', 'jobs'],
        ...['intents', 'knowledge', 'gaps', 'teams', 'keys'],
      ]
    : null,
);
const every = ['1280', '390'].flatMap((width) =>
  ['light', 'dark'].flatMap((theme) => ['en', 'fa'].map((language) => `${width}-${theme}-${language}`)),
);
const variants = list(
  'variants',
  docs ? every : ['1280-light-en', '1280-dark-fa', '390-light-fa', '390-dark-en'],
);
/** WebP, which Playwright does not know. */
const QUALITY = 80;

const calls = async (page, state) => {
  const answer = await page.request.get(`${base}/api/calls?state=${state}&limit=100`);
  return (await answer.json()).calls;
};
const open = async (page, state, which) => {
  const found = (await calls(page, state)).find(which);
  if (!found) throw new Error('no such call in the stand-in');
  await page.goto(`${base}/#/calls/${found.id}`);
  await page.waitForSelector('main.ready');
  return found;
};
const ring = async (page) => {
  await page.click('section.phone > button.action:not([disabled], [aria-controls])');
  // It may ring already, for another picture.
  await page.waitForSelector('section.phone .sign.ready, section.phone.ringing');
  await page.request.post(`${base}/dev/ring`);
  await page.waitForSelector('section.phone.ringing');
};
const talk = async (page) => {
  await ring(page);
  await page.keyboard.press('a');
  await page.waitForSelector('section.phone .line.connected');
};
// Of scripted calls: those of others are only for lists.
const english = (call) =>
  call.source === 'siprec' && call.language === 'en' && call.participants.some((one) => one.name);
const persian = (call) => call.source === 'siprec' && call.language === 'fa';
/** The call in the language of the page. */
const own = (language) => (language === 'fa' ? persian : english);
const whole = (language) => (call) =>
  own(language)(call) &&
  call.utterances >= 17 &&
  call.ended === 'hangup' &&
  call.recording &&
  call.utterances < 100;

/** name → { signedIn, run(page, language) } */
const scenes = {
  'sign-in': { signedIn: false, run: (page) => page.waitForSelector('form') },
  'sign-in-wrong': {
    signedIn: false,
    async run(page) {
      await page.fill('#name', 'mina');
      await page.fill('#password', 'soto');
      await page.click('form button[type=submit]');
      await page.waitForSelector('.said');
    },
  },
  'sign-in-limited': {
    signedIn: false,
    async run(page) {
      await page.fill('#name', 'locked');
      await page.fill('#password', 'sotto');
      await page.click('form button[type=submit]');
      await page.waitForSelector('.said');
    },
  },
  'sign-in-unreachable': {
    signedIn: false,
    async run(page) {
      await page.waitForSelector('form');
      await page.route('**/api/**', (route) => route.abort());
      await page.fill('#name', 'mina');
      await page.fill('#password', 'sotto');
      await page.click('form button[type=submit]');
      await page.waitForSelector('.said');
    },
  },
  calls: {
    async run(page) {
      await page.goto(`${base}/#/calls`);
      await page.waitForSelector('[data-call]');
      await page.waitForTimeout(400);
    },
  },
  'calls-focus': {
    async run(page) {
      await page.goto(`${base}/#/calls`);
      await page.waitForSelector('h3');
      await page.keyboard.press('j');
      await page.keyboard.press('j');
    },
  },
  'calls-end': {
    async run(page) {
      await page.goto(`${base}/#/calls`);
      await page.waitForSelector('.more button');
      await page.locator('.more').scrollIntoViewIfNeeded();
    },
  },
  'calls-filter-none': {
    async run(page) {
      await page.goto(`${base}/#/calls`);
      await page.waitForSelector('h3');
      await page.keyboard.press('/');
      await page.keyboard.type('invoice 2291');
      await page.waitForTimeout(200);
    },
  },
  'calls-empty': {
    async run(page) {
      await page.routeWebSocket('**/api/live', (ws) => ws.send(JSON.stringify({ type: 'calls', calls: [] })));
      await page.route('**/api/calls?**', (route) => route.fulfill({ json: { calls: [] } }));
      await page.reload();
      await page.waitForSelector('.empty');
    },
  },
  'calls-loading': {
    async run(page) {
      await page.routeWebSocket('**/api/live', () => {});
      await page.route('**/api/calls?**', () => {});
      await page.reload();
      await page.waitForSelector('.ghosts');
    },
  },
  'calls-failed': {
    async run(page) {
      await page.routeWebSocket('**/api/live', (ws) => ws.close());
      await page.route('**/api/calls?**', (route) => route.abort());
      await page.route('**/api/status', (route) => route.abort());
      await page.reload();
      await page.waitForSelector('.empty');
      await page.waitForTimeout(1500);
    },
  },
  'calls-lost': {
    async run(page) {
      await page.goto(`${base}/#/calls`);
      await page.waitForSelector('[data-call]');
      await page.request.post(`${base}/dev/drop?ms=4000`);
      await page.waitForSelector('.chip.waiting');
      await page.waitForTimeout(1200);
    },
  },
  intents: {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/intents`);
      await page.locator('[data-intent]').nth(2).click();
      await page.waitForSelector('[data-intent][aria-expanded="true"]');
    },
  },
  knowledge: {
    name: 'admin',
    async run(page, language) {
      await page.goto(`${base}/#/knowledge`);
      const questions = { en: 'Do I get my money back?', fa: 'شهریه را چطور با کارت بپردازم؟' };
      await page.locator('input[type="search"]').fill(questions[language]);
      await page.keyboard.press('Enter');
      await page.waitForSelector('ol [data-row]');
      await page.waitForSelector('.answer .by');
    },
  },
  contacts: {
    run: async (page) => {
      await page.goto(`${base}/#/contacts`);
      await page.waitForSelector('[data-contact]');
    },
  },
  contact: {
    run: async (page) => {
      await page.goto(`${base}/#/contacts`);
      await page.locator('[data-contact]').first().click();
      await page.waitForSelector('main h2');
    },
  },
  gaps: {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/knowledge/gaps`);
      await page.locator('[data-row]').first().click();
      await page.waitForSelector('[data-row][aria-expanded="true"]');
    },
  },
  teams: {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/teams`);
      await page.waitForSelector('main li, .empty');
    },
  },
  recordings: {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/recordings`);
      await page.waitForSelector('main li, .empty');
    },
  },
  'follow-ups': {
    async run(page) {
      await page.goto(`${base}/#/follow-ups`);
      await page.waitForSelector('main li, .empty');
    },
  },
  review: {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/review`);
      await page.waitForSelector('main li, .empty');
    },
  },
  dashboard: {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/dashboard`);
      await page.waitForSelector('svg');
    },
  },
  jobs: {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/jobs`);
      await page.waitForSelector('main li, .empty');
    },
  },
  live: {
    async run(page, language) {
      // In the middle of its script.
      const keepsUp = (call) => (call.shedding ?? 'none') === 'none';
      const middle = (call) =>
        own(language)(call) && keepsUp(call) && call.utterances > 5 && call.utterances < 14;
      while (!(await calls(page, 'live')).some(middle)) await page.waitForTimeout(1000);
      await open(page, 'live', middle);
      await page.waitForSelector('.line.partial', { timeout: 15_000 });
      await page.waitForTimeout(1500);
    },
  },
  'live-up': {
    async run(page, language) {
      await open(page, 'live', own(language));
      await page.waitForTimeout(600);
      await page.mouse.move(page.viewportSize().width / 2, 350);
      await page.mouse.wheel(0, -400);
      await page.waitForTimeout(5000);
    },
  },
  'live-shedding': {
    async run(page) {
      await open(page, 'live', (call) => call.shedding && call.shedding !== 'none');
      await page.waitForTimeout(600);
    },
  },
  'live-lost': {
    async run(page, language) {
      await open(page, 'live', own(language));
      await page.waitForTimeout(700);
      await page.request.post(`${base}/dev/drop?ms=4000`);
      await page.waitForSelector('.chip.waiting');
      await page.waitForTimeout(1500);
    },
  },
  'live-silent': {
    async run(page) {
      await open(page, 'live', (call) => call.utterances === 0);
      await page.waitForTimeout(300);
    },
  },
  'phone-ringing': {
    async run(page) {
      await ring(page);
    },
  },
  'phone-talking': {
    async run(page) {
      await talk(page);
      await page.click('section.phone [aria-controls="pad"]');
      await page.keyboard.press('m');
      await page.waitForTimeout(600);
    },
  },
  'phone-transfer': {
    async run(page) {
      await talk(page);
      await page.keyboard.press('t');
      await page.waitForSelector('#transfer li');
    },
  },
  'phone-consult': {
    async run(page) {
      await talk(page);
      await page.keyboard.press('t');
      await page.fill('#transfer input', 'omid');
      await page.keyboard.press('Enter');
      await page.waitForSelector('section.phone .action.main');
    },
  },
  'phone-devices': {
    async run(page) {
      await page.click('section.phone [aria-controls=devices]');
      await page.waitForFunction(() => document.querySelectorAll('#devices option').length > 1);
      await page.waitForTimeout(500);
    },
  },
  wall: {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/wall`);
      await page.waitForSelector('[data-row]');
      await page.waitForSelector('li.ready');
      await page.waitForTimeout(300);
    },
  },
  'wall-on-call': {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/wall`);
      await page.waitForSelector('[data-row]');
      await page.waitForSelector('li.ready');
      await page.keyboard.press('j');
      // Callers in line cannot be listened to.
      while (!(await page.evaluate(() => document.activeElement.matches('a[data-row]'))))
        await page.keyboard.press('j');
      await page.keyboard.press('l');
      await page.waitForSelector('.row.mine');
      await page.waitForTimeout(300);
    },
  },
  'wall-empty': {
    name: 'admin',
    async run(page) {
      await page.routeWebSocket('**/api/live', (ws) => ws.send(JSON.stringify({ type: 'calls', calls: [] })));
      await page.route('**/api/desk', (route) =>
        route.fulfill({ json: { agents: [], numbers: [], waiting: [] } }),
      );
      await page.goto(`${base}/#/wall`);
      await page.reload();
      await page.waitForSelector('.empty');
    },
  },
  'wall-loading': {
    name: 'admin',
    async run(page) {
      await page.routeWebSocket('**/api/live', () => {});
      await page.goto(`${base}/#/wall`);
      await page.reload();
      await page.waitForSelector('.ghosts');
    },
  },
  'wall-lost': {
    name: 'admin',
    async run(page) {
      await page.goto(`${base}/#/wall`);
      await page.waitForSelector('[data-row]');
      await page.request.post(`${base}/dev/drop?ms=4000`);
      await page.waitForSelector('.chip.waiting');
      await page.waitForTimeout(600);
    },
  },
  'phone-after': {
    async run(page) {
      await talk(page);
      await page.keyboard.press('x');
      await page.click('section.phone .outcomes button:first-of-type');
      await page.waitForSelector('section.phone .outcomes [aria-pressed="true"]');
    },
  },
  'phone-no-microphone': {
    async run(page) {
      await page.evaluate(() => {
        navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'));
      });
      await ring(page);
      await page.keyboard.press('a');
      await page.waitForSelector('section.phone .problem');
    },
  },
  'live-over': {
    async run(page, language) {
      const call = await open(page, 'live', own(language));
      await page.waitForSelector('.over', { timeout: 125_000 });
      await page.waitForTimeout(800);
      return call;
    },
  },
  facts: {
    async run(page, language) {
      await open(page, 'ended', whole(language));
      await page.waitForTimeout(400);
      if (await page.locator('.more').isVisible()) await page.click('.action.more');
    },
  },
  ended: {
    async run(page, language) {
      await open(page, 'ended', whole(language));
      await page.waitForTimeout(600);
    },
  },
  'ended-playing': {
    async run(page, language) {
      await open(page, 'ended', whole(language));
      await page.waitForSelector('.player');
      await page.waitForTimeout(500);
      const box = await page.locator('.stage').boundingBox();
      await page.mouse.click(box.x + box.width * 0.46, box.y + 8);
      await page.locator('.play').click();
      await page.waitForTimeout(1500);
    },
  },
  'ended-revised': {
    async run(page, language) {
      await open(page, 'ended', whole(language));
      await page.waitForSelector('.revised');
      await page.waitForTimeout(300);
      await page.locator('.revised').first().hover();
      await page.waitForTimeout(200);
    },
  },
  'ended-interrupted': {
    async run(page) {
      await open(page, 'ended', (call) => call.ended === 'interrupted');
      await page.waitForTimeout(400);
    },
  },
  'ended-unrecorded': {
    async run(page) {
      await open(page, 'ended', (call) => !call.recording);
      await page.waitForTimeout(400);
    },
  },
  'ended-long': {
    async run(page) {
      await open(page, 'ended', (call) => call.utterances === 2000);
      await page.waitForTimeout(1500);
    },
  },
  'call-missing': {
    async run(page) {
      await page.goto(`${base}/#/calls/00000000-0000-7000-8000-000000000000`);
      await page.waitForSelector('.empty');
    },
  },
  'call-failed': {
    async run(page) {
      await page.route('**/api/calls/*', (route) => route.abort());
      await page.goto(`${base}/#/calls/00000000-0000-7000-8000-000000000001`);
      await page.waitForSelector('.empty');
    },
  },
  keys: {
    async run(page) {
      await page.goto(`${base}/#/calls`);
      await page.waitForSelector('[data-call]');
      await page.keyboard.press('?');
      await page.waitForSelector('dialog[open]');
    },
  },
  menu: {
    async run(page) {
      await page.goto(`${base}/#/calls`);
      await page.waitForSelector('[data-call]');
      await page.click('.who[aria-expanded]');
    },
  },
};

mkdirSync(out, { recursive: true });
const browser = await launch();
let bad = 0;

async function photograph(variant) {
  const [width, theme, language] = variant.split('-');
  for (const [name, { signedIn = true, name: reader = 'mina', run }] of Object.entries(scenes)) {
    if (only && !only.includes(name)) continue;
    const context = await browser.newContext({
      viewport: { width: Number(width), height: Number(width) < 600 ? 844 : 800 },
      deviceScaleFactor: Number(width) < 600 ? 2 : 1,
      hasTouch: Number(width) < 600,
      isMobile: Number(width) < 600,
      colorScheme: theme,
      locale: language === 'fa' ? 'fa-IR' : 'en-GB',
    });
    const page = await context.newPage();
    const wrong = (text) => (bad++, console.error(`${name} ${variant}: ${text}`));
    page.on('pageerror', wrong);
    page.on('console', (message) => {
      // States without a server log failed requests; that is what they are for.
      if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text()))
        wrong(message.text());
    });
    if (signedIn)
      await page.request.post(`${base}/api/session`, { data: { name: reader, password: 'sotto' } });
    await page.goto(`${base}/`);
    try {
      await run(page, language);
    } catch (error) {
      wrong(error.message.split('\n')[0]);
    }
    const file = join(out, `${name}-${variant}`);
    if (docs) {
      const cdp = await context.newCDPSession(page);
      const { data } = await cdp.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY });
      writeFileSync(`${file}.webp`, Buffer.from(data, 'base64'));
    } else await page.screenshot({ path: `${file}.png` });
    await context.close();
  }
}

// States that cut connections are seen by everybody, so only the pictures of the documentation are made side by side.
const atOnce = docs ? 4 : 1;
for (let n = 0; n < variants.length; n += atOnce)
  await Promise.all(variants.slice(n, n + atOnce).map(photograph));
await browser.close();
process.exit(bad ? 1 : 0);
