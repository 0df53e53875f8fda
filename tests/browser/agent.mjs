// An agent's browser with a telephone: signs in, takes one call, and keeps what it hears.
//
//   node agent.mjs BASE NAME PASSWORD SPEECH.wav HEARD.wav SCREENSHOT_FOLDER
//
// The microphone is a file that is played once. Prints what happens as JSON lines: {"saw": ...}; HEARD.wav is
// what the customer said, at 16 kHz. Exits with 1 when something does not come.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { launch } from '../../web/dev/browser.mjs';

const [base, name, password, speech, heardFile, shots] = process.argv.slice(2);
const PATIENCE_MS = 60_000;
const say = (saw, more = {}) => console.log(JSON.stringify({ saw, ...more }));

/** Keeps the samples of every track that comes from the other side. */
function listen() {
  const Real = window.RTCPeerConnection;
  window.heard = [];
  window.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      this.addEventListener('track', ({ track }) => {
        const context = new AudioContext({ sampleRate: 16_000 });
        const source = context.createMediaStreamSource(new MediaStream([track]));
        const tap = context.createScriptProcessor(4096, 1, 1);
        tap.onaudioprocess = ({ inputBuffer }) => window.heard.push(inputBuffer.getChannelData(0).slice());
        source.connect(tap).connect(context.destination);
      });
    }
  };
}

function wav(samples) {
  const data = Buffer.alloc(44 + samples.length * 2);
  data.write('RIFF', 0);
  data.writeUInt32LE(36 + samples.length * 2, 4);
  data.write('WAVEfmt ', 8);
  data.writeUInt32LE(16, 16);
  data.writeUInt16LE(1, 20);
  data.writeUInt16LE(1, 22);
  data.writeUInt32LE(16_000, 24);
  data.writeUInt32LE(32_000, 28);
  data.writeUInt16LE(2, 32);
  data.writeUInt16LE(16, 34);
  data.write('data', 36);
  data.writeUInt32LE(samples.length * 2, 40);
  samples.forEach((sample, n) => data.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample)) * 32_767), 44 + n * 2));
  return data;
}

const browser = await launch(
  '--autoplay-policy=no-user-gesture-required',
  `--use-file-for-fake-audio-capture=${speech}%noloop`,
  '--allow-loopback-in-peer-connection',
);
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => say('error', { message: String(error) }));
  await page.addInitScript(listen);
  await page.goto(base);
  await page.fill('#name', name);
  await page.fill('#password', password);
  await page.click('form button[type=submit]');
  await page.click('section.phone button:not([disabled])');
  await page.waitForSelector('section.phone .sign.ready');
  say('ready');

  await page.waitForSelector('section.phone.ringing');
  say('ringing', { text: await page.textContent('section.phone .what') });
  await page.screenshot({ path: join(shots, 'ringing.png') });
  await page.keyboard.press('a');
  await page.waitForSelector('section.phone .line.connected');
  say('talking');
  await page.waitForSelector('main.ready');
  await page.waitForSelector('li.line');
  await page.screenshot({ path: join(shots, 'talking.png') });

  await page.waitForSelector('section.phone:not(.talking)', { timeout: 2 * PATIENCE_MS });
  say('over');
  const heard = await page.evaluate(() => window.heard.map((piece) => Array.from(piece)));
  writeFileSync(heardFile, wav(heard.flat()));
  await page.waitForSelector('section.player audio', { state: 'attached' });
  await page.screenshot({ path: join(shots, 'over.png') });
  say('end');
} catch (error) {
  say('failure', { message: String(error) });
  process.exitCode = 1;
} finally {
  await browser.close();
}
