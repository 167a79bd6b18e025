import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Graph, tensor, type TensorData } from '@updraft/graph';
import type { Backend } from './backend.js';
import { chunkSteps } from './chunk.js';
import { createBackend } from './create-backend.js';
import { feeds, start, stepGraph } from './testing/steps.js';

let cpu: Backend;
beforeAll(async () => {
  cpu = await createBackend({ device: 'cpu' });
});
afterAll(() => cpu.dispose());

/** Another batch at every step. */
const batchOf = (step: number): Record<string, TensorData> => {
  const { x, y } = feeds() as { x: TensorData<'float32'>; y: TensorData<'float32'> };
  return { x: { ...x, data: x.data.map((value) => value * Math.cos(step) * 0.5) }, y };
};

const stack = (values: readonly TensorData[]): TensorData => ({
  dataType: 'float32',
  dims: [values.length, ...(values[0] as TensorData).dims],
  data: Float32Array.from(values.flatMap(({ data }) => [...(data as Float32Array)])),
});

const bits = (values: Record<string, TensorData>): unknown =>
  Object.fromEntries(Object.entries(values).map(([name, { data }]) => [name, [...(data as Float32Array)]]));

describe('chunkSteps', () => {
  test.each([1, 3, 16])(
    '%i steps in one call leave the same bits as single ones, and give every loss',
    async (count) => {
      const { graph, resident, updates } = stepGraph();
      const single = await cpu.compile(graph, { resident, updates });
      const alone = await cpu.createState(start());
      const losses: number[] = [];
      const batches = Array.from({ length: count }, (_, step) => batchOf(step));
      for (const batch of batches) losses.push(Number((await single.step(alone, batch, ['loss']))['loss']?.data[0]));

      const chunk = await cpu.compile(chunkSteps(graph, { updates }), { resident, updates });
      const together = await cpu.createState(start());
      const fed = Object.fromEntries(
        ['x', 'y'].map((name) => [name, stack(batches.map((batch) => batch[name] as TensorData))]),
      );
      const { loss } = await chunk.step(together, fed, ['loss']);
      expect(loss?.dims).toEqual([count]);
      expect([...(loss?.data as Float32Array)]).toEqual(losses);
      expect(bits(await together.read())).toEqual(bits(await alone.read()));
      // The steps did something.
      expect(bits(await together.read())).not.toEqual(bits(start()));
      for (const one of [single, chunk, alone, together]) await one.dispose();
    },
  );

  test('the number of steps and the batch may change from call to call', async () => {
    const { graph, resident, updates } = stepGraph();
    const chunk = chunkSteps(graph, { updates, steps: 'k' });
    const shape = (name: string): string => chunk.inputs.find((input) => input.name === name)?.shape.join() ?? '';
    expect([shape('x'), shape('w')]).toEqual(['k,batch,3', '3,2']);
    const program = await cpu.compile(chunk, { resident, updates });
    const state = await cpu.createState(start());
    for (const [steps, batch] of [
      [2, 4],
      [5, 1],
    ] as const) {
      const fed = {
        x: tensor(new Array<number>(steps * batch * 3).fill(0.5), 'float32', [steps, batch, 3]),
        y: tensor(new Array<number>(steps * batch * 2).fill(0.25), 'float32', [steps, batch, 2]),
      };
      expect((await program.step(state, fed, ['loss']))['loss']?.dims).toEqual([steps]);
    }
    await expect(
      program.step(state, { x: stack([tensor([[1, 2, 3]])]), y: stack([tensor([[1, 2]]), tensor([[1, 2]])]) }),
    ).rejects.toThrow(/size 2 where k is 1/);
    await program.dispose();
    await state.dispose();
  });

  test('shared inputs stay as they are for the whole chunk', async () => {
    // v <- rate * v + x, by hand: 1 -> 0.5 + 1 -> 0.75 + 2 -> 1.375 + 3.
    const graph = new Graph('decay');
    const v = graph.input('v', 'float32', []);
    const rate = graph.input('rate', 'float32', []);
    const x = graph.input('x', 'float32', []);
    graph.output(v.mul(rate).add(x), 'next');
    graph.output(v.mul(2), 'twice');
    const updates = new Map([['v', 'next']]);
    const program = await cpu.compile(chunkSteps(graph, { updates, shared: ['rate'] }), {
      resident: ['v', 'rate'],
      updates,
    });
    const state = await cpu.createState({ v: tensor(1), rate: tensor(0.5) });
    const { twice } = await program.step(state, { x: tensor([1, 2, 3]) }, ['twice']);
    expect(twice).toEqual(tensor([2, 3, 5.5]));
    expect((await state.read(['v', 'rate'])) as unknown).toEqual({ v: tensor(4.375), rate: tensor(0.5) });
    await program.dispose();
    await state.dispose();
  });

  test('a program without state is mapped over its steps', async () => {
    const graph = new Graph('map');
    graph.output(graph.input('x', 'float32', [2]).square(), 'y');
    const program = await cpu.compile(chunkSteps(graph, { updates: new Map() }));
    expect(
      (
        await program.run({
          x: tensor([
            [1, 2],
            [3, 4],
          ]),
        })
      )['y'],
    ).toEqual(
      tensor([
        [1, 4],
        [9, 16],
      ]),
    );
    await program.dispose();
  });

  test('names that the program does not have, and nothing to step over, are refused', () => {
    const { graph, updates } = stepGraph();
    expect(() => chunkSteps(graph, { updates: new Map([['v', 'next_w']]) })).toThrow(/no input "v".*\n?.*x, y, w, b/);
    expect(() => chunkSteps(graph, { updates: new Map([['w', 'nothing']]) })).toThrow(/no output "nothing"/);
    expect(() => chunkSteps(graph, { updates, shared: ['rate'] })).toThrow(/no input "rate"/);
    expect(() => chunkSteps(graph, { updates, shared: ['x', 'y'] })).toThrow(/state or shared/);
    expect(() => chunkSteps(graph, { updates, steps: 'batch' })).toThrow(/already has a size named "batch"/);
    const passing = new Graph('passing');
    passing.output(passing.input('x', 'float32', [1]));
    expect(() => chunkSteps(passing, { updates: new Map() })).toThrow(/"x" .* is one of its inputs/);
  });
});
