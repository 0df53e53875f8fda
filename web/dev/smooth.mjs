// Whether the page stays smooth while others talk:
//
//   node dev/smooth.mjs URL NAME PASSWORD SECONDS [PLACE]
//
// Signs in to the server at URL, opens a place of the page (by default the wall for those who supervise, and the
// list of calls for agents; `#/calls/ID` for one call), and watches for so many seconds, in a trace of Chromium, what
// the page's main thread does in one piece. Prints one line of JSON:
//
//   {"long_tasks":n,"longest_ms":x,"longest_cpu_ms":y,"calls":n}
//
// `long_tasks` are those of more than 50 ms, by the clock on the wall, so a machine that is busy with something else
// counts as well; `longest_cpu_ms` is what the longest needed of the processor. `calls` were live at the end. Needs a
// Chromium: see browser.mjs.

import { launch } from './browser.mjs';

const LONG_MS = 50;
const PATIENCE_MS = 120_000;
/** The page has been opened, drawn and compiled by then. */
const SETTLING_MS = 3_000;

const [base, name, password, seconds, place] = process.argv.slice(2);
if (!seconds) {
  console.error('node dev/smooth.mjs URL NAME PASSWORD SECONDS [PLACE]');
  process.exit(2);
}
const url = (path) => new URL(path, base.endsWith('/') ? base : `${base}/`).href;

const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
// The machine may be full of calls.
context.setDefaultTimeout(PATIENCE_MS);
const page = await context.newPage();
const signedIn = await page.request.post(url('api/session'), { data: { name, password } });
if (!signedIn.ok()) throw new Error(`cannot sign in: ${signedIn.status()} ${await signedIn.text()}`);
const { user } = await signedIn.json();
await page.goto(url(place ?? (user.role === 'agent' ? '#/calls' : '#/wall')));
await page.waitForSelector('main#main');
await page.waitForTimeout(SETTLING_MS);

const cdp = await context.newCDPSession(page);
const events = [];
cdp.on('Tracing.dataCollected', ({ value }) => {
  for (const event of value)
    if (event.name === 'thread_name' || event.name.endsWith('RunTask')) events.push(event);
});
await cdp.send('Tracing.start', {
  transferMode: 'ReportEvents',
  traceConfig: { recordMode: 'recordContinuously', includedCategories: ['toplevel', '__metadata'] },
});
await page.waitForTimeout(Number(seconds) * 1000);
const complete = new Promise((done) => cdp.once('Tracing.tracingComplete', done));
await cdp.send('Tracing.end');
await complete;

const { calls } = await (await page.request.get(url('api/calls?state=live&limit=200'))).json();
await browser.close();

const main = new Set(
  events
    .filter((event) => event.name === 'thread_name' && event.args.name === 'CrRendererMain')
    .map((event) => `${event.pid}/${event.tid}`),
);
const tasks = events.filter((event) => event.ph === 'X' && main.has(`${event.pid}/${event.tid}`));
if (tasks.length === 0) throw new Error('the trace has no task of the page');
const tenths = (micros) => Math.round(micros / 100) / 10;
const most = (of) => tasks.reduce((found, event) => Math.max(found, event[of] ?? 0), 0);
const long = tasks.filter((event) => event.dur > LONG_MS * 1000).length;
console.log(
  JSON.stringify({
    long_tasks: long,
    longest_ms: tenths(most('dur')),
    longest_cpu_ms: tenths(most('tdur')),
    calls: calls.length,
  }),
);
