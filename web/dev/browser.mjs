// Chromium without a window, for tests and photographs (CHROMIUM=path, else /usr/bin/chromium).

import { chromium } from 'playwright-core';

/** A browser that talks to nobody by itself, with a microphone that beeps; `args` come on top. */
export const launch = (...args) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      ...args,
    ],
  });
