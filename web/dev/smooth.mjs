// How smooth the page is while calls go on: signs in, and has Chromium trace its main thread.
//
//   node smooth.mjs URL NAME PASSWORD SECONDS
//
// Prints {"long_tasks": tasks of more than 50 ms, "longest_ms": the longest task, "calls": live calls on the page}.

import { launch } from './browser.mjs';

const [url, name, password, seconds] = process.argv.slice(2);
const LONG_MS = 50;

const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(url);
  await page.fill('#name', name);
  await page.fill('#password', password);
  await page.click('form button[type=submit]');
  await page.waitForSelector('[data-call].live');
  // What is done once, at the beginning, is not what is looked for.
  await page.waitForTimeout(3_000);

  const session = await page.context().newCDPSession(page);
  const events = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  await session.send('Tracing.start', {
    traceConfig: { includedCategories: ['toplevel', 'devtools.timeline', '__metadata'] },
  });
  await page.waitForTimeout(Number(seconds) * 1_000);
  const calls = await page.locator('[data-call].live').count();
  const collected = new Promise((then) => session.once('Tracing.tracingComplete', then));
  await session.send('Tracing.end');
  await collected;

  const threads = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const mains = new Set(threads.map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = events
    .filter(({ name, ph, pid, tid }) => /RunTask$/.test(name) && ph === 'X' && mains.has(`${pid} ${tid}`))
    .map(({ dur }) => dur / 1_000);
  if (tasks.length === 0) throw new Error('no task of the page is in the trace');
  const longest = tasks.reduce((most, ms) => Math.max(most, ms), 0);
  const long = tasks.filter((ms) => ms > LONG_MS).length;
  console.log(JSON.stringify({ long_tasks: long, longest_ms: Math.round(longest * 10) / 10, calls }));
} finally {
  await browser.close();
}
