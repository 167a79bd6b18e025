import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Graph, tensor, type TensorData } from '@updraft/graph';
import type { Program } from './backend.js';
import { createBackend } from './create-backend.js';
import type { OrtBackend } from './ort-backend.js';
import { feeds, start, stepGraph, takeSteps } from './testing/steps.js';

let cpu: OrtBackend;
beforeAll(async () => {
  cpu = (await createBackend({ device: 'cpu' })) as OrtBackend;
});
afterAll(() => cpu.dispose());

/** The same step in plain numbers. */
function referenceSteps(count: number): { losses: number[]; w: number[]; b: number[] } {
  const { x, y } = feeds() as { x: TensorData; y: TensorData };
  const w = [0.1, -0.2, 0.3, 0.4, -0.5, 0.6];
  const b = [0, 0.1];
  const losses: number[] = [];
  for (let step = 0; step < count; step++) {
    const gw = new Array<number>(6).fill(0);
    const gb = [0, 0];
    let loss = 0;
    for (let row = 0; row < 4; row++)
      for (let column = 0; column < 2; column++) {
        let value = b[column] as number;
        for (let inner = 0; inner < 3; inner++)
          value += Number(x.data[row * 3 + inner]) * (w[inner * 2 + column] as number);
        const error = value - Number(y.data[row * 2 + column]);
        loss += (error * error) / 8;
        gb[column] = (gb[column] as number) + error / 4;
        for (let inner = 0; inner < 3; inner++)
          gw[inner * 2 + column] = (gw[inner * 2 + column] as number) + (error / 4) * Number(x.data[row * 3 + inner]);
      }
    losses.push(loss);
    gw.forEach((value, index) => (w[index] = (w[index] as number) - 0.1 * value));
    gb.forEach((value, index) => (b[index] = (b[index] as number) - 0.1 * value));
  }
  return { losses, w, b };
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, index) => {
    expect(Math.abs(value - (expected[index] as number))).toBeLessThan(tolerance);
  });
}

describe('programs on the CPU', () => {
  test('resident state follows the same steps in plain numbers', async () => {
    const [got, expected] = [await takeSteps(cpu, 5), referenceSteps(5)];
    expectClose(got.losses, expected.losses, 1e-4);
    expectClose(got.w, expected.w, 1e-4);
    expectClose(got.b, expected.b, 1e-4);
  });

  test('the caller keeps its buffers, the state its own', async () => {
    const { graph, resident, updates } = stepGraph();
    const program = await cpu.compile(graph, { resident, updates });
    const values = start();
    const state = await cpu.createState(values);
    await program.step(state, feeds());
    expect(values).toEqual(start());
    const read = await state.read(['b']);
    (read['b']?.data as Float32Array)[0] = 99;
    expect((await state.read(['b']))['b']?.data[0]).not.toBe(99);
    await state.write({ b: tensor([7, 8]) });
    expect((await state.read(['b']))['b']).toEqual(tensor([7, 8]));
    await program.dispose();
    await state.dispose();
  });

  test('equal programs compile once; a second run of one compiles nothing', async () => {
    const before = cpu.compilations;
    await takeSteps(cpu, 1);
    const once = cpu.compilations;
    await takeSteps(cpu, 1);
    expect(cpu.compilations).toBe(once);
    expect(once - before).toBeLessThanOrEqual(1);
  });

  test('profiles name operators and the labels of their builders', async () => {
    const { graph, resident, updates } = stepGraph();
    const program = await cpu.compile(graph, { resident, updates, profile: true });
    const state = await cpu.createState(start());
    for (let step = 0; step < 3; step++) await program.step(state, feeds());
    const summary = program.profile();
    expect(summary?.runs).toBe(3);
    expect(summary?.byOperator.map(({ name }) => name)).toEqual(expect.arrayContaining(['Gemm']));
    expect(summary?.bySource.map(({ name }) => name)).toEqual(expect.arrayContaining(['gradient']));
    await program.dispose();
    await state.dispose();
  });

  test('ten thousand steps leak nothing', async () => {
    const { graph, resident, updates } = stepGraph();
    const program = await cpu.compile(graph, { resident, updates });
    const state = await cpu.createState(start());
    const batch = feeds();
    const run = async (count: number): Promise<void> => {
      for (let step = 0; step < count; step++) await program.step(state, batch, ['loss']);
    };
    await run(2000);
    const before = process.memoryUsage().rss;
    await run(10_000);
    // The collector's own margin: a tensor a step would be far more.
    expect(process.memoryUsage().rss - before).toBeLessThan(Math.max(0.05 * before, 12e6));
    await program.dispose();
    await state.dispose();
  }, 60_000);
});

describe('bad input never reaches native code', () => {
  const compiled = async (): Promise<Program> => cpu.compile(stepGraph().graph);

  test.each<[string, (given: Record<string, TensorData>) => void, RegExp]>([
    ['a missing input', (given) => delete given['x'], /needs the input "x" \(float32\[batch, 3\]\)/],
    ['an unknown input', (given) => (given['z'] = tensor([1])), /has no input "z"/],
    ['another type', (given) => (given['b'] = tensor([1, 2], 'int32')), /element types differ/],
    ['another rank', (given) => (given['b'] = tensor([[1, 2]])), /ranks differ/],
    ['another size', (given) => (given['b'] = tensor([1, 2, 3])), /axis 0 has size 3, not 2/],
    ['sizes that disagree', (given) => (given['y'] = tensor([[1, 2]])), /size 1 where batch is 4/],
    [
      'too few elements',
      (given) => (given['b'] = { dataType: 'float32', dims: [2], data: new Float32Array(1) }),
      /takes a Float32Array of 2 elements/,
    ],
    [
      'another array',
      (given) => (given['b'] = { dataType: 'float32', dims: [2], data: [1, 2] as never }),
      /takes a Float32Array/,
    ],
  ])('%s', async (_, damage, message) => {
    const given = { ...feeds(), ...start() };
    damage(given);
    await expect((await compiled()).run(given)).rejects.toThrow(message);
  });

  test('unknown outputs, disposed programs and foreign states', async () => {
    const program = await compiled();
    await expect(program.run({ ...feeds(), ...start() }, ['nothing'])).rejects.toThrow('no output "nothing"');
    await program.dispose();
    await expect(program.run({ ...feeds(), ...start() })).rejects.toThrow('after dispose()');
  });

  test('sizes that broadcasting took to be equal are checked', async () => {
    const graph = new Graph('assume');
    graph.output(graph.input('a', 'float32', ['n']).add(graph.input('b', 'float32', ['m'])), 'sum');
    const program = await cpu.compile(graph);
    expect((await program.run({ a: tensor([1, 2]), b: tensor([3, 4]) }))['sum']).toEqual(tensor([4, 6]));
    await expect(program.run({ a: tensor([1, 2]), b: tensor([3]) })).rejects.toThrow(/must be equal/);
  });
});

describe('devices', () => {
  test('one that is not there is refused with a reason', async () => {
    if (process.platform === 'linux')
      await expect(createBackend({ device: 'cuda' })).rejects.toThrow(/"cuda" cannot be used/);
  });

  test('auto says in one line what it chose and why not the others', async () => {
    const backend = await createBackend();
    expect(backend.description).toMatch(/cpu \d+ Gflop\/s/);
    expect(backend.description).not.toContain('\n');
    await backend.dispose();
  }, 60_000);
});
