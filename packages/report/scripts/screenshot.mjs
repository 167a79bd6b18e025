// Takes a picture of a report with Debian's Chromium, for a README:
// `node scripts/screenshot.mjs <report.html> <picture.png> [light|dark] [height]`.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [report = 'report.html', picture = 'report.png', colorScheme = 'light', height = '1500'] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
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
const page = await browser.newPage({ colorScheme, viewport: { width: 1280, height: Number(height) } });
await page.goto(pathToFileURL(resolve(report)).href);
await page.screenshot({ path: picture });
await browser.close();
