// A page of Chromium with a telephone, driven step by step.
//
//   node drive.mjs BASE MICROPHONE.wav voice|tone
//
// Each line that comes in is a step, {"do": "click", "with": [...]}; each line that goes out is what came of it,
// {"value": ...} or {"error": ...}. The end of the input is the end of the browser. A `voice` is played once, and
// the page treats it as it treats voices; a `tone` is played again and again, and nothing takes it for noise.

import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { launch } from '../../web/dev/browser.mjs';

const [base, microphone, kind] = process.argv.slice(2);
const PATIENCE_MS = 60_000;
const RATE = 16_000;

/** Keeps the samples of every track that comes from the other side, and counts packets. */
function listen([rate, untouched]) {
  const Real = window.RTCPeerConnection;
  const heard = [];
  /** What comes through a connection that another one has taken the place of is not heard any more. */
  let newest = null;
  const peers = [];
  /** What connections offer to speak; everything, unless a test says otherwise. */
  let spoken = null;
  window.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      peers.push(this);
      this.addEventListener('track', ({ track }) => {
        newest = track;
        const context = new AudioContext({ sampleRate: rate });
        const source = context.createMediaStreamSource(new MediaStream([track]));
        const tap = context.createScriptProcessor(4096, 1, 1);
        tap.onaudioprocess = ({ inputBuffer }) => {
          if (track === newest) heard.push(inputBuffer.getChannelData(0).slice());
        };
        source.connect(tap).connect(context.destination);
      });
    }

    createOffer(...args) {
      if (spoken) for (const transceiver of this.getTransceivers()) transceiver.setCodecPreferences(spoken);
      return super.createOffer(...args);
    }
  };
  if (untouched && navigator.mediaDevices) {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    navigator.mediaDevices.getUserMedia = () => open({ audio });
  }
  window.bench = {
    /** The last of what was heard, in 16 bits. */
    heard(seconds) {
      const pieces = heard.slice(-Math.ceil((seconds * rate) / 4096));
      return pieces.flatMap((piece) => Array.from(piece, (s) => Math.round(Math.max(-1, Math.min(1, s)) * 32_767)));
    },
    /** From now on this codec alone is offered, and keys on its clock. */
    speak(name, clockRate) {
      const types = [`audio/${name}`, 'audio/telephone-event'];
      const { codecs } = RTCRtpReceiver.getCapabilities('audio');
      spoken = codecs.filter((codec) => types.includes(codec.mimeType) && codec.clockRate === clockRate);
    },
    /** How many connections there have been. */
    connections: () => peers.length,
    /** The way that the newest connection takes: what kind of address is ours, and whose server gave it. */
    async way() {
      const report = (await peers.at(-1)?.getStats()) ?? new Map();
      const pairs = [...report.values()].filter(({ type }) => type === 'candidate-pair');
      const pair = pairs.find(({ nominated, state }) => nominated && state === 'succeeded');
      const local = report.get(pair?.localCandidateId);
      return { kind: local?.candidateType ?? null, url: local?.url ?? null, address: local?.address ?? null };
    },
    /** Packets of the newest connection. */
    async packets() {
      const counted = { sent: 0, received: 0, lost: 0 };
      for (const report of (await peers.at(-1)?.getStats())?.values() ?? []) {
        if (report.type === 'outbound-rtp') counted.sent += report.packetsSent;
        if (report.type === 'inbound-rtp') {
          counted.received += report.packetsReceived;
          counted.lost += report.packetsLost;
        }
      }
      return counted;
    },
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
  data.writeUInt32LE(RATE, 24);
  data.writeUInt32LE(RATE * 2, 28);
  data.writeUInt16LE(2, 32);
  data.writeUInt16LE(16, 34);
  data.write('data', 36);
  data.writeUInt32LE(samples.length * 2, 40);
  samples.forEach((sample, n) => data.writeInt16LE(sample, 44 + n * 2));
  return data;
}

const browser = await launch(
  '--autoplay-policy=no-user-gesture-required',
  `--use-file-for-fake-audio-capture=${microphone}${kind === 'voice' ? '%noloop' : ''}`,
  '--allow-loopback-in-peer-connection',
  // Whatever its address: browsers give the microphone to pages only that came encrypted, or from this very machine.
  `--unsafely-treat-insecure-origin-as-secure=${base}`,
);
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
page.setDefaultTimeout(PATIENCE_MS);
const errors = [];
page.on('pageerror', (error) => errors.push(String(error)));
await page.addInitScript(listen, [RATE, kind === 'tone']);

const steps = {
  open: (path) => page.goto(base + path).then(() => null),
  reload: () => page.reload().then(() => null),
  fill: (at, text) => page.fill(at, text),
  click: (at) => page.click(at),
  press: (key) => page.keyboard.press(key),
  wait: (at) => page.waitForSelector(at).then(() => null),
  text: (at) => page.textContent(at),
  shot: (path) => page.screenshot({ path }).then(() => null),
  run: (code) => page.evaluate(code),
  heard: async (path, seconds) => writeFileSync(path, wav(await page.evaluate((s) => window.bench.heard(s), seconds))),
  /** What went wrong on the page. */
  errors: () => errors,
};

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    const outcome = await Promise.resolve()
      .then(() => steps[step.do](...step.with))
      .then((value) => ({ value: value ?? null }))
      .catch((error) => ({ error: String(error) }));
    console.log(JSON.stringify(outcome));
  }
} finally {
  await browser.close();
}
