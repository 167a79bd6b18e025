import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Graph, tan, tensor, type TensorData } from '@updraft/graph';
import * as ort from 'onnxruntime-node';
import { createBackend } from './create-backend.js';
import { NodeModelStore } from './node-model-store.js';
import { OrtBackend } from './ort-backend.js';
import { networkGraph, takeSteps } from './testing/steps.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'updraft-store-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const files = (): string[] => readdirSync(folder).sort();
const only = (): string => join(folder, files()[0] as string);

/** A backend as a new process makes it: nothing is shared with earlier ones but the folder. */
async function fresh<T>(
  work: (backend: OrtBackend) => Promise<T>,
  options: { cacheFolder?: string; threads?: number } = { cacheFolder: folder },
): Promise<{ result: T; hits: number | undefined }> {
  const backend = (await createBackend({ device: 'cpu', ...options })) as OrtBackend;
  try {
    const result = await work(backend);
    return { result, hits: (backend.tools.models as NodeModelStore | undefined)?.hits };
  } finally {
    await backend.dispose();
  }
}

/** Outputs of a network, bit by bit, and of some steps on resident state. */
async function outcomes(backend: OrtBackend): Promise<unknown> {
  const { graph, values } = networkGraph();
  const program = await backend.compile(graph);
  const outputs = Object.entries(await program.run(values)).map(([name, { data }]) => [
    name,
    [...(data as Float32Array)],
  ]);
  await program.dispose();
  return { outputs, steps: await takeSteps(backend, 3) };
}

/** x + number. */
const adding = (number: number): Graph => {
  const graph = new Graph('adding');
  graph.output(graph.input('x', 'float32', [2]).add(number), 'y');
  return graph;
};
const added = (number: number) => async (backend: OrtBackend) => {
  const program = await backend.compile(adding(number));
  const { y } = await program.run({ x: tensor([1, 2]) });
  await program.dispose();
  return [...(y?.data as Float32Array)];
};

describe('programs kept on disk', () => {
  test('another process finds them and computes the same bits', async () => {
    const [without, first, second] = [await fresh(outcomes, {}), await fresh(outcomes), await fresh(outcomes)];
    expect([without.hits, first.hits, second.hits]).toEqual([undefined, 0, 2]);
    expect(first.result).toEqual(without.result);
    expect(second.result).toEqual(without.result);
    expect(files()).toHaveLength(2);
    expect(files().every((name) => /^[0-9a-f]{64}\.updraft-program$/.test(name))).toBe(true);
  });

  test('another program, or other options, are another entry', async () => {
    expect(await fresh(added(1))).toEqual({ result: [2, 3], hits: 0 });
    expect(await fresh(added(2))).toEqual({ result: [3, 4], hits: 0 });
    expect((await fresh(added(1), { cacheFolder: folder, threads: 1 })).hits).toBe(0);
    expect(files()).toHaveLength(3);
    expect(await fresh(added(1))).toEqual({ result: [2, 3], hits: 1 });
  });

  const sealed = (contents: Buffer): Buffer =>
    Buffer.concat([createHash('sha256').update(contents).digest(), contents]);
  test.each<[string, (file: Buffer) => Buffer]>([
    ['cut off', (file) => file.subarray(0, file.length - 7)],
    ['cut off in the digest', (file) => file.subarray(0, 10)],
    ['empty', () => Buffer.alloc(0)],
    ['with one bit changed', (file) => Buffer.from(file.map((byte, at) => (at === 60 ? byte ^ 4 : byte)))],
    ['of something else, with a digest that fits', () => sealed(Buffer.from('this is no program'))],
  ])('a file %s is ignored and replaced', async (_, damage) => {
    await fresh(added(1));
    const good = readFileSync(only());
    writeFileSync(only(), damage(good));
    expect(await fresh(added(1))).toEqual({ result: [2, 3], hits: 0 });
    expect(readFileSync(only()).equals(good)).toBe(true);
    expect(await fresh(added(1))).toEqual({ result: [2, 3], hits: 1 });
  });

  test('a folder that cannot be made or written costs nothing but time', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(await fresh(added(1), { cacheFolder: join(file, 'below') })).toEqual({ result: [2, 3], hits: 0 });
    expect(await fresh(added(1), { cacheFolder: file })).toEqual({ result: [2, 3], hits: 0 });
    expect(files()).toEqual(['file']);
  });

  test('a program that the runtime refuses is refused with its own error, and leaves nothing', async () => {
    const graph = new Graph('refused');
    // ONNX has Tan for double precision, the runtime does not.
    graph.output(tan(graph.input('x', 'float64', [2])), 'y');
    await expect(fresh((backend) => backend.compile(graph))).rejects.toThrow(/refused the program "refused"/);
    expect(files()).toEqual([]);
  });

  test('several at once write one file', async () => {
    const all = await Promise.all([1, 2, 3, 4].map(() => fresh(added(5))));
    expect(all.map(({ result }) => result)).toEqual([1, 2, 3, 4].map(() => [6, 7]));
    expect(files()).toHaveLength(1);
    expect((await fresh(added(5))).hits).toBe(1);
  });

  test('half precision, and constants of megabytes, survive', async () => {
    const graph = new Graph('large');
    const weights: TensorData = {
      dataType: 'float32',
      dims: [1024, 1024],
      data: Float32Array.from({ length: 1 << 20 }, (_, index) => Math.sin(index)),
    };
    const x = graph.input('x', 'float16', [1, 1024]);
    graph.output(x.cast('float32').matMul(graph.constant(weights)), 'product');
    graph.output(x.mul(x), 'square');
    // 1.5 in half precision is 0x3e00.
    const half: TensorData = {
      dataType: 'float16',
      dims: [1, 1024],
      data: new Uint16Array(1024).fill(0x3e00) as never,
    };
    const go = async (backend: OrtBackend) => {
      const program = await backend.compile(graph);
      const { product, square } = await program.run({ x: half });
      await program.dispose();
      return { product: [...(product?.data as Float32Array)], square: [...(square?.data as Uint16Array)] };
    };
    const [without, first, second] = [await fresh(go, {}), await fresh(go), await fresh(go)];
    expect(second.hits).toBe(1);
    expect(statSync(only()).size).toBeGreaterThan(4 << 20);
    expect(first.result).toEqual(without.result);
    expect(second.result).toEqual(without.result);
    // 2.25 is 0x4080; the sum of the first column, by hand.
    expect(second.result.square[0]).toBe(0x4080);
    let column = 0;
    for (let row = 0; row < 1024; row++) column += 1.5 * Math.fround(Math.sin(row * 1024));
    expect(second.result.product[0]).toBeCloseTo(column, 3);
  });

  test('those used longest ago go, and what a killed process left', async () => {
    const store = new NodeModelStore(folder, 2);
    const backend = new OrtBackend(
      { ort, device: 'cpu', provider: 'cpu', deviceBuffers: false, sessionOptions: { logSeverityLevel: 4 } },
      'test',
      { models: store },
    );
    const aged = (name: string, hours: number): void => {
      const when = new Date(Date.now() - hours * 3600_000);
      utimesSync(join(folder, name), when, when);
    };
    await added(1)(backend);
    const [one] = files() as [string];
    aged(one, 3);
    await added(2)(backend);
    const two = files().find((name) => name !== one) as string;
    aged(two, 2);
    // Used again in another process: now the second is the oldest.
    const { tools, runtime } = backend;
    await added(1)(new OrtBackend(runtime, 'test', tools));
    expect(store.hits).toBe(1);
    writeFileSync(join(folder, `${one}.1-a.partial`), 'left by a process that was killed');
    aged(`${one}.1-a.partial`, 2);
    writeFileSync(join(folder, `${one}.2-b.partial`), 'being written');
    writeFileSync(join(folder, 'notes.txt'), 'of somebody else');
    aged('notes.txt', 100);
    await added(3)(backend);
    const left = files();
    expect(left).toContain(one);
    expect(left).not.toContain(two);
    expect(left.filter((name) => name.endsWith('.updraft-program'))).toHaveLength(2);
    expect(left.filter((name) => !name.endsWith('.updraft-program'))).toEqual(
      ['notes.txt', `${one}.2-b.partial`].sort(),
    );
    await backend.dispose();
  });
});
