import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { deadLinks } from './dead-links.js';
import { siteLinks } from './links.js';

const pages = [
  { source: 'README.md', path: 'index.md' },
  { source: 'docs/architecture.md', path: 'guides/architecture.md' },
  { source: 'packages/core/README.md', path: 'packages/core.md' },
];

test('links to files become links to pages; other files are named, what there is not is told', () => {
  const { markdown, files, broken } = siteLinks(
    [
      '[the way](architecture.md#2-compiling), [core](../packages/core), [a file](../packages/core/src/index.ts)',
      '[out](https://example.org/x), [here](#there), ![picture](images/report.png), [gone](nowhere.md)',
      '```',
      '[not a link](nowhere-either.md)',
      '```',
    ].join('\n'),
    'docs/README.md',
    pages,
  );
  expect(markdown.split('\n')).toEqual([
    '[the way](/guides/architecture.md#2-compiling), [core](/packages/core.md), a file',
    '[out](https://example.org/x), [here](#there), ![picture](/docs/images/report.png), [gone](nowhere.md)',
    '```',
    '[not a link](nowhere-either.md)',
    '```',
  ]);
  expect(files).toEqual(['docs/images/report.png']);
  expect(broken).toEqual(['docs/README.md: nowhere.md']);
});

test('a built site is searched for pages and headings that do not exist', () => {
  const site = mkdtempSync(join(tmpdir(), 'updraft-site-'));
  try {
    mkdirSync(join(site, 'guides'));
    const page = (...links: string[]): string =>
      `<h1 id="top">x</h1>${links.map((href) => `<a class="y" href="${href}">z</a>`).join('')}`;
    writeFileSync(
      join(site, 'index.html'),
      page('/guides/', './guides/one#top', '#top', '/picture.svg', 'https://a.b/c'),
    );
    writeFileSync(join(site, 'guides/index.html'), page('/', 'one', '/guides/two', '../index#bottom'));
    writeFileSync(join(site, 'guides/one.html'), page('#bottom', '/guides/one#top'));
    writeFileSync(join(site, 'picture.svg'), '');
    expect(deadLinks(site).sort()).toEqual([
      'guides/index.html: ../index#bottom',
      'guides/index.html: /guides/two',
      'guides/one.html: #bottom',
    ]);
  } finally {
    rmSync(site, { recursive: true });
  }
});
