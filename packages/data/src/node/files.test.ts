import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DataError } from '../errors.js';
import { mobyDick } from './corpora.js';
import { readBytes, readText } from './files.js';
import { dataPackage } from './packages.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'updraft-files-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('texts are read whole, packed or not', async () => {
  const text = 'Grüße\n'.repeat(1000);
  await writeFile(join(folder, 'plain.txt'), text);
  await writeFile(join(folder, 'packed.txt.gz'), gzipSync(text));
  expect(await readText(join(folder, 'plain.txt'))).toBe(text);
  expect(await readText(join(folder, 'packed.txt.gz'))).toBe(text);
});
test('files that are missing, too large, damaged or no text are refused', async () => {
  await writeFile(join(folder, 'large'), new Uint8Array(1000));
  await writeFile(join(folder, 'bomb'), gzipSync(new Uint8Array(1e6)));
  await writeFile(join(folder, 'latin1.txt'), Uint8Array.of(0x47, 0x72, 0xfc));
  await expect(readBytes(join(folder, 'none'))).rejects.toThrow(DataError);
  await expect(readBytes(folder)).rejects.toThrow(DataError);
  await expect(readBytes(join(folder, 'large'), { maxBytes: 999 })).rejects.toThrow(/at most 999/);
  await expect(readBytes(join(folder, 'bomb'), { maxBytes: 5000 })).rejects.toThrow(DataError);
  await expect(readText(join(folder, 'latin1.txt'))).rejects.toThrow(/no UTF-8/);
});
test('Moby-Dick is all there', async () => {
  const text = await mobyDick();
  expect(text).toContain('Call me Ishmael.');
  expect(text.match(/^CHAPTER \d+\. /gm)?.length).toBeGreaterThanOrEqual(135);
  expect(text.length).toBeGreaterThan(1_150_000);
});
test('a package that is missing is named with the way out', () => {
  expect(() => dataPackage('no-such-package', 'nothing')).toThrow(/npm install no-such-package/);
});
