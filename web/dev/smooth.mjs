// Whether the page stays smooth while others talk:
//
//   node dev/smooth.mjs URL NAME PASSWORD SECONDS [PLACE [why]]
//
// Signs in to the server at URL, opens a place of the page (by default the wall for those who supervise, and the
// list of calls for agents; `#/calls/ID` for one call), and watches for so many seconds, in a trace of Chromium, what
// the page's main thread does in one piece. Prints one line of JSON:
//
//   {"long_tasks":n,"longest_ms":x,"longest_cpu_ms":y,"calls":n}
//
// `long_tasks` are those of more than 50 ms, by the clock on the wall, so a machine that is busy with something else
// counts as well; `longest_cpu_ms` is the most that one needed of the processor. `calls` were live at the end. With `why`
// the longest five are listed as well, each with what it did for how long (`longest`); that is a larger trace, which costs
// the page time itself. Needs a Chromium: see browser.mjs.

import { launch } from './browser.mjs';

const LONG_MS = 50;
const PATIENCE_MS = 120_000;
/** So long after its first rows are there, the page has been drawn and compiled. */
const SETTLING_MS = 3_000;
/** Tasks that are listed with what they did. */
const LISTED = 5;

const [base, name, password, seconds, asked, why] = process.argv.slice(2);
if (!seconds) {
  console.error('node dev/smooth.mjs URL NAME PASSWORD SECONDS [PLACE [why]]');
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
const place = asked ?? (user.role === 'agent' ? '#/calls' : '#/wall');
await page.goto(url(place));
// On a machine that is full of calls, it may take a while until the page has heard of them.
const rows = { '#/wall': '[data-row]', '#/calls': '[data-call]' }[place];
await page.waitForSelector(rows ?? (place.startsWith('#/calls/') ? 'main.ready .line' : 'main#main'));
await page.waitForTimeout(SETTLING_MS);

const cdp = await context.newCDPSession(page);
const events = [];
const isTask = ({ name }) => name.endsWith('RunTask');
const categories = ['toplevel', '__metadata', ...(why ? ['devtools.timeline', 'v8'] : [])];
cdp.on('Tracing.dataCollected', ({ value }) => {
  for (const event of value)
    if (why || event.name === 'thread_name' || isTask(event)) events.push(event);
});
await cdp.send('Tracing.start', {
  transferMode: 'ReportEvents',
  traceConfig: { recordMode: 'recordContinuously', includedCategories: categories },
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
const done = events.filter((event) => event.ph === 'X' && main.has(`${event.pid}/${event.tid}`));
const tasks = done.filter(isTask);
if (tasks.length === 0) throw new Error('the trace has no task of the page');
const tenths = (micros) => Math.round(micros / 100) / 10;
const most = (of) => tasks.reduce((found, event) => Math.max(found, event[of] ?? 0), 0);
/** A task, and what it did: everything within it that has a name and took time, what is nested counted twice. */
function told(task) {
  const within = (one) => !isTask(one) && one.ts >= task.ts && one.ts + one.dur <= task.ts + task.dur;
  const did = {};
  for (const one of done.filter((one) => one.tid === task.tid && one.pid === task.pid && within(one)))
    did[one.name] = tenths(one.dur) + (did[one.name] ?? 0);
  const most = Object.entries(did).filter(([, ms]) => ms >= 1).toSorted(([, a], [, b]) => b - a);
  return { ms: tenths(task.dur), cpu_ms: tenths(task.tdur ?? 0), did: Object.fromEntries(most) };
}
const long = tasks.filter((event) => event.dur > LONG_MS * 1000).length;
console.log(
  JSON.stringify({
    long_tasks: long,
    longest_ms: tenths(most('dur')),
    longest_cpu_ms: tenths(most('tdur')),
    calls: calls.length,
    ...(why ? { longest: tasks.toSorted((a, b) => b.dur - a.dur).slice(0, LISTED).map(told) } : {}),
  }),
);
