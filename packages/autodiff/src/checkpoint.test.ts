import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dropout, encodeModel, Graph, matMul, tanh, type Tensor } from '@updraft/graph';
import { checkpoint } from './checkpoint.js';
import { gradients } from './gradients.js';
import { expectDerivatives } from './rules/testing/central-differences.js';

test('derivatives are those of the block, first and second order', async () => {
  await expectDerivatives([{ shape: [2, 3] }, { shape: [3, 3] }], (x, w) => {
    const once = checkpoint((value) => tanh(matMul(value, w)), [x] as const);
    return checkpoint((value, weights) => [tanh(matMul(value, weights)), value.mul(value)], [once, w] as const);
  });
});

test('a block inside a block', async () => {
  await expectDerivatives([{ shape: [3] }], (x) => [
    checkpoint((a) => checkpoint((b) => b.tanh(), [a.exp()] as const).mul(a), [x] as const),
  ]);
});

test('blocks with symbolic sizes keep them', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', ['batch', 4]);
  const y = checkpoint((value) => value.tanh(), [x] as const);
  expect(y.shape).toEqual(x.shape);
});

test('blocks that draw random numbers are refused, dropout that passes everything is not', () => {
  const x = new Graph().input('x', 'float32', [4]);
  expect(() => checkpoint((value) => dropout(value, { ratio: 0.5, trainingMode: true }), [x] as const)).toThrow(
    /random numbers.*pass them in/s,
  );
  expect(checkpoint((value) => dropout(value), [x] as const).shape).toEqual([4]);
});

describe('memory', () => {
  const [DEPTH, BLOCK, WIDTH, BATCH] = [24, 4, 64, 32768];
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'updraft-checkpoint-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Gradients of a deep network on a large batch, for the sum of its outputs. */
  function model(recompute: boolean): Uint8Array {
    const graph = new Graph('deep');
    const x = graph.input('x', 'float32', [BATCH, WIDTH]);
    const weights = Array.from({ length: DEPTH }, (_, index) => graph.input(`w${index}`, 'float32', [WIDTH, WIDTH]));
    let value = x;
    for (let start = 0; start < DEPTH; start += BLOCK) {
      const layers = weights.slice(start, start + BLOCK);
      const block = (input: Tensor): Tensor => layers.reduce((at, weight) => tanh(matMul(at, weight)), input);
      value = recompute ? checkpoint(block, [value] as const) : block(value);
    }
    gradients(value.sum(), weights).forEach((gradient, index) => graph.output(gradient, `g${index}`));
    return encodeModel(graph) as Uint8Array;
  }

  /** Runs a model in a process of its own; returns its peak memory in MB and a digest of its results. */
  async function measured(name: string, bytes: Uint8Array): Promise<{ peak: number; digest: number }> {
    const path = join(folder, name);
    await writeFile(path, bytes);
    const runtime = createRequire(import.meta.url).resolve('onnxruntime-node');
    const script = `
      const { InferenceSession, Tensor } = require(${JSON.stringify(runtime)});
      const filled = (dims, scale) => new Tensor('float32', Float32Array.from({ length: dims[0] * dims[1] }, (_, i) => scale * (((i * 2654435761) % 4294967296) / 2147483648 - 1)), dims);
      (async () => {
        const session = await InferenceSession.create(${JSON.stringify(path)}, { graphOptimizationLevel: 'all', intraOpNumThreads: 1 });
        const feeds = { x: filled([${BATCH}, ${WIDTH}], 1) };
        for (let i = 0; i < ${DEPTH}; i++) feeds['w' + i] = filled([${WIDTH}, ${WIDTH}], 0.25);
        const before = process.memoryUsage().rss;
        const results = await session.run(feeds);
        let digest = 0;
        for (const { data } of Object.values(results)) for (const value of data) digest += Math.abs(value);
        console.log(JSON.stringify({ peak: (process.resourceUsage().maxRSS * 1024 - before) / 1e6, digest }));
      })();`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], {
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    return JSON.parse(stdout) as { peak: number; digest: number };
  }

  test('falls to well below half under all optimisations of the runtime', async () => {
    const plain = await measured('plain.onnx', model(false));
    const recomputed = await measured('recomputed.onnx', model(true));
    expect(plain.digest).toBeGreaterThan(1);
    expect(recomputed.digest / plain.digest).toBeCloseTo(1, 5);
    expect(recomputed.peak).toBeLessThan(0.6 * plain.peak);
  }, 60_000);
});
