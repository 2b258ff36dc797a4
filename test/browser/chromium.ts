// Owns the browser of the tests: Debian's Chromium where it is installed, headless and with the network left alone.

import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const executablePath = PLACES.find((place) => existsSync(place));

/** Why there is no browser here, or undefined when there is one. */
export const noBrowser =
  executablePath === undefined
    ? 'no Chromium is installed (looked for chromium and google-chrome in /usr/bin)'
    : undefined;

export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    ...(executablePath && { executablePath }),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
