// An agent's browser: signs in, opens the first live call, watches it to its end, plays the recording.
//
//   node watch.mjs BASE NAME PASSWORD SCREENSHOT_FOLDER
//
// Prints what a person would see as JSON lines: {"saw": ...}. Exits with 1 when something does not come.

import { join } from 'node:path';

import { launch } from '../../web/dev/browser.mjs';

const [base, name, password, shots] = process.argv.slice(2);
const PATIENCE_MS = 60_000;
const say = (saw, more = {}) => console.log(JSON.stringify({ saw, ...more }));

const browser = await launch('--autoplay-policy=no-user-gesture-required', '--mute-audio');
const outside = [];
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('request', (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith('data:')) outside.push(request.url());
  });
  page.on('pageerror', (error) => say('error', { message: String(error) }));

  await page.goto(base);
  await page.fill('#name', name);
  await page.fill('#password', 'not the password');
  await page.click('form button[type=submit]');
  await page.waitForSelector('.said');
  say('refusal');
  await page.fill('#password', password);
  await page.click('form button[type=submit]');
  await page.waitForSelector('h1');
  say('calls');

  // Live calls are there without a reload.
  await page.click('a[data-call].live');
  await page.waitForSelector('main.ready');
  say('call');

  await page.exposeFunction('tell', (saw, more) => say(saw, more));
  await page.evaluate(() => {
    const known = new Map();
    let link = '';
    const look = () => {
      for (const line of document.querySelectorAll('li.line')) {
        const text = line.querySelector('.text')?.innerText ?? '';
        const partial = line.classList.contains('partial');
        const party = ['agent', 'customer', 'other'].find((p) => line.classList.contains(p));
        const now = JSON.stringify([partial, text]);
        if (known.get(line.dataset.key) === now) continue;
        known.set(line.dataset.key, now);
        void window.tell(partial ? 'partial' : 'final', { key: line.dataset.key, party, text });
      }
      const chip = [...document.querySelectorAll('.chip')].map((c) => c.className).join(' ');
      if (chip !== link) void window.tell('link', { state: (link = chip) });
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    look();
  });
  await page.waitForSelector('li.line');
  await page.screenshot({ path: join(shots, 'live.png') });

  await page.waitForSelector('.state.over', { timeout: 3 * PATIENCE_MS });
  // The last revisions may come after the hang-up; the transcript that stays is the one that counts.
  await page.waitForSelector('section.player audio', { state: 'attached' });
  const lines = await page.$$eval('li.line', (all) =>
    all.map((line) => ({
      party: ['agent', 'customer', 'other'].find((p) => line.classList.contains(p)),
      partial: line.classList.contains('partial'),
      text: line.querySelector('.text')?.textContent ?? '',
      direction: getComputedStyle(line.querySelector('.text')).direction,
    })),
  );
  say('transcript', { lines, list: await page.$eval('main ol', (ol) => getComputedStyle(ol).direction) });

  const audio = page.locator('section.player audio');
  await page.waitForFunction(() => document.querySelector('section.player audio').readyState >= 1);
  await page.click('button.play');
  await page.waitForSelector('.w.heard');
  say('playback', {
    seconds: await audio.evaluate((a) => a.duration),
    word: await page.locator('.w.heard').first().textContent(),
  });
  await page.screenshot({ path: join(shots, 'ended.png') });
  say('end', { outside });
} catch (error) {
  say('failure', { message: String(error) });
  process.exitCode = 1;
} finally {
  await browser.close();
}
