import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { chromium, type Browser, type Page } from 'playwright-core';
import { renderReport } from '../src/html/render-report.js';
import { foldRuns } from '../src/records/fold-run.js';
import { parseRuns } from '../src/records/parse-records.js';
import { sampleRecords } from './sample-runs.js';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

if (executablePath === undefined)
  console.warn('The report is not tried in a browser: there is no Chromium (Debian: apt-get install chromium).');

const describeWithBrowser = executablePath === undefined ? describe.skip : describe;

describeWithBrowser('the report in a browser', () => {
  let folder: string;
  let browser: Browser;
  const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'updraft-report-'));
    const several = ['adamw', 'sgd'].flatMap((name) =>
      [1, 2].flatMap((seed) => sampleRecords({ name, group: name, seed, steps: 200 })),
    );
    await writeFile(join(folder, 'one.html'), renderReport(foldRuns(sampleRecords({ steps: 200 }))));
    await writeFile(join(folder, 'several.html'), renderReport(foldRuns(several), { baseline: 'sgd' }));
    browser = await chromium.launch({
      ...(executablePath === undefined ? {} : { executablePath }),
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
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  async function open(
    name: string,
    colorScheme: 'light' | 'dark' = 'light',
    width = 1280,
  ): Promise<{ page: Page; problems: string[] }> {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, acceptDownloads: true });
    const page = await context.newPage();
    const problems: string[] = [];
    // A violation of the page's security policy is written to the console as an error.
    page.on('console', (message) => void (message.type() === 'error' && problems.push(message.text())));
    page.on('pageerror', (error) => void problems.push(error.message));
    page.on('request', (request) => void (/^(?:file|data|blob):/u.test(request.url()) || problems.push(request.url())));
    await page.goto(pathToFileURL(join(folder, name)).href);
    return { page, problems };
  }

  test.each([
    ['one.html', 'light', 1280],
    ['one.html', 'dark', 1280],
    ['several.html', 'light', 1280],
    ['several.html', 'dark', 390],
  ] as const)(
    '%s, %s, %d pixels wide: draws every chart without an error, a request, or an accessibility violation',
    async (name, scheme, width) => {
      const { page, problems } = await open(name, scheme, width);
      expect(await page.locator('figure canvas').count()).toBe(await page.locator('figure').count());
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
      expect(problems).toEqual([]);
      for (const details of await page.locator('details').all())
        await details.evaluate((element) => element.setAttribute('open', ''));
      // Evaluated by the browser's debugger, which the page's policy does not bind.
      await page.evaluate(await readFile(axe, 'utf8'));
      const violations = await page.evaluate(async () => {
        const { axe: checker } = globalThis as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        return (await checker.run()).violations.map(
          ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`,
        );
      });
      expect(violations).toEqual([]);
      await page.context().close();
    },
    60_000,
  );

  test('arrow keys read the figures out', async () => {
    const { page } = await open('one.html');
    const plot = page.locator('figure[data-chart=loss] .plot');
    await plot.focus();
    await page.keyboard.press('Home');
    const first = await plot.getAttribute('aria-valuetext');
    expect(first).toMatch(/^step 1: training [\d.]+/u);
    await page.keyboard.press('ArrowRight');
    expect(await plot.getAttribute('aria-valuetext')).toMatch(/^step 2: training /u);
    await page.keyboard.press('End');
    expect(await plot.getAttribute('aria-valuenow')).toBe('200');
    expect(await page.locator('figure[data-chart=loss] .position').textContent()).toBe('step 200');
    await page.context().close();
  });

  test('the pointer reads out all charts at its step', async () => {
    const { page } = await open('one.html');
    const plot = page.locator('figure[data-chart=loss] .u-over');
    await plot.scrollIntoViewIfNeeded();
    const box = await plot.boundingBox();
    await page.mouse.move((box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + 50);
    expect(await page.locator('figure[data-chart=loss] .position').textContent()).toMatch(/^step (?:99|100|101)$/u);
    expect(await page.locator('figure[data-chart=learningRate] .position').textContent()).toMatch(
      /^step (?:99|100|101)$/u,
    );
    await page.context().close();
  });

  test('smoothing, logarithmic axis, time, and legend switches change what is drawn', async () => {
    const { page, problems } = await open('one.html');
    const value = page.locator('figure[data-chart=loss] .legend-value').first();
    const before = await value.textContent();
    await page.locator('#smoothing').evaluate((slider: HTMLInputElement) => {
      slider.value = '0.9';
      slider.dispatchEvent(new Event('input', { bubbles: true }));
    });
    expect(await value.textContent()).toBe(`${(await value.textContent())?.split(' ')[0] ?? ''} (raw ${before ?? ''})`);
    await page.locator('#log-scale').check();
    await page.locator('#axis-time').check();
    expect(await page.locator('figure[data-chart=loss] .position').textContent()).toMatch(/ s$/u);
    const entry = page.locator('figure[data-chart=gradientNorm] .legend-entry').first();
    await entry.click();
    expect(await entry.getAttribute('aria-pressed')).toBe('false');
    expect(await entry.evaluate((element) => element === document.activeElement)).toBe(true);
    expect(problems).toEqual([]);
    await page.context().close();
  });

  test('runs can be compared with a baseline, one by one or as means over seeds', async () => {
    const { page } = await open('several.html');
    const names = page.locator('figure[data-chart=accuracy] .legend-entry');
    const values = page.locator('figure[data-chart=accuracy] .legend-value');
    expect(await names.allTextContents()).toEqual(['adamw (2 seeds)', 'sgd (2 seeds)']);
    expect(await values.first().textContent()).toMatch(
      /^[\d.]+ \[[\d.]+, [\d.]+\] \(\+?−?[\d.]+(?:e−\d+)? to baseline\)$/u,
    );
    await page.locator('#average').uncheck();
    expect(await names.allTextContents()).toEqual(['adamw, seed 1', 'adamw, seed 2', 'sgd, seed 1', 'sgd, seed 2']);
    await page.locator('#entries input').first().uncheck();
    expect(await names.allTextContents()).toEqual(['adamw, seed 2', 'sgd, seed 1', 'sgd, seed 2']);
    await page.locator('#baseline').selectOption('sgd, seed 1');
    expect(await values.allTextContents()).toEqual([
      expect.stringContaining('to baseline'),
      expect.not.stringContaining('to baseline'),
      expect.stringContaining('to baseline'),
    ]);
    await page.context().close();
  });

  test('the records can be downloaded and read again', async () => {
    const { page } = await open('one.html');
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#download').click()]);
    expect(download.suggestedFilename()).toBe('metrics.jsonl');
    const [run] = parseRuns(await readFile(await download.path(), 'utf8'));
    expect(run?.series.get('loss')?.steps).toHaveLength(200);
    await page.context().close();
  });

  test('without scripts there are pictures and tables, and nothing that would not work', async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(pathToFileURL(join(folder, 'one.html')).href);
    expect(await page.locator('figure svg.static-chart:visible').count()).toBe(6);
    expect(await page.locator('#controls').isVisible()).toBe(false);
    expect(await page.locator('#download').isVisible()).toBe(false);
    await context.close();
  });
});
