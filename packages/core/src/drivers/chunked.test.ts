import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend, type OrtBackend } from '@updraft/backend';
import { MemoryCheckpointStore } from '../checkpoint/index.js';
import type { Batch, DrawContext, Sampler } from '../contracts/sampler.js';
import type { UpdateRule } from '../contracts/update-rule.js';
import type { TrainEvent } from '../events/index.js';
import { mapValues } from '../tree.js';
import { FunctionSampler, noisyModel, phasedMomentum, squaredError } from './testing/pipeline.js';
import { train, type TrainOptions, type TrainResult } from './train.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

/** Momentum of one phase, without visits to the host: nothing of the rule's own ends a chunk. */
const momentum: typeof phasedMomentum = {
  init: (context) => phasedMomentum.init(context),
  update: (context) => phasedMomentum.update(context),
};

/** Batches of the given sizes, then no more; tells how many are out, and fails at a step where asked to. */
class ListedSampler implements Sampler {
  readonly columns = new FunctionSampler().columns;
  #position = 0;
  out = 0;
  mostOut = 0;

  constructor(
    readonly sizes: readonly number[],
    readonly failAt = Infinity,
  ) {}

  draw(context: DrawContext): Batch | undefined {
    if (context.step === this.failAt) throw new Error(`no batch for step ${context.step}`);
    const size = this.sizes[this.#position++];
    if (size === undefined) return undefined;
    const batch = new FunctionSampler(size).draw(context);
    this.mostOut = Math.max(this.mostOut, ++this.out);
    return {
      ...batch,
      release: () => {
        this.out--;
        // Whoever reads it afterwards computes NaN.
        for (const column of Object.values(batch.columns)) (column.data as Float32Array).fill(Number.NaN);
      },
    };
  }
  state() {
    return { position: this.#position };
  }
  restore(state: unknown): void {
    this.#position = (state as { position: number }).position;
  }
}

const pipeline = (extra: Partial<TrainOptions> = {}): TrainOptions => ({
  model: noisyModel,
  sampler: new FunctionSampler(),
  reward: squaredError,
  updateRule: momentum,
  backend,
  steps: 30,
  seed: 5,
  ...extra,
});

const bits = ({ params, state, variables }: TrainResult): unknown =>
  JSON.stringify(
    [params, state, variables].map((group) => mapValues(group, (value) => [...(value.data as Float32Array)])),
  );

/** Events without times; compilations differ by design. */
const told = (events: readonly TrainEvent[]): unknown[] =>
  events
    .filter(({ type }) => type !== 'compile')
    .map((event) => Object.fromEntries(Object.entries(event).filter(([key]) => !/milliseconds$/i.test(key))));

async function run(extra: Partial<TrainOptions>): Promise<{ events: TrainEvent[]; result: TrainResult }> {
  const events: TrainEvent[] = [];
  const running = train(pipeline(extra));
  for await (const event of running) events.push(event);
  return { events, result: await running.result() };
}

/** Calls of programs on resident state while `work` runs. */
async function callsDuring(work: () => Promise<unknown>): Promise<number> {
  const compile = backend.compile.bind(backend);
  let calls = 0;
  const spy = jest.spyOn(backend, 'compile').mockImplementation(async (graph, options) => {
    const program = await compile(graph, options);
    const step = program.step.bind(program);
    program.step = (...given) => {
      calls++;
      return step(...given);
    };
    return program;
  });
  try {
    await work();
    return calls;
  } finally {
    spy.mockRestore();
  }
}

describe('chunks of steps', () => {
  test.each<[string, () => Partial<TrainOptions>, number]>([
    ['one phase', () => ({}), 8],
    // Steps 3, 6, … are of another phase; 5 and 10 visit the host.
    ['phases and visits to the host', () => ({ updateRule: phasedMomentum, steps: 15 }), 11],
    ['monitoring', () => ({ monitorEvery: 5 }), 13],
    ['monitoring every step', () => ({ monitorEvery: 1 }), 8],
    ['checkpoints between', () => ({ checkpoints: { store: new MemoryCheckpointStore(), every: 7 } }), 9],
    ['evaluations between', () => ({ evaluation: { sampler: () => new ListedSampler([4, 4]), every: 10 } }), 9],
    ['a sampler that ends in the middle', () => ({ sampler: new ListedSampler(new Array<number>(10).fill(6)) }), 3],
    ['batch sizes that change', () => ({ sampler: new ListedSampler([8, 8, 3, 3, 3, 3, 3, 8, 5, 5, 2]) }), 6],
  ])('%s: the same bits and events as single steps, in fewer calls', async (_, extra, expectedCalls) => {
    const single = await run({ ...extra(), chunk: 1 });
    const chunked: Awaited<ReturnType<typeof run>>[] = [];
    const calls = await callsDuring(async () => {
      const given = extra();
      // Evaluations call programs of their own.
      chunked.push(await run({ ...given, chunk: 4 }));
    });
    const [{ events, result } = single] = chunked;
    expect(bits(result)).toBe(bits(single.result));
    expect(told(events)).toEqual(told(single.events));
    const evaluations = events.filter(({ type }) => type === 'evaluation').length;
    expect(calls - 2 * evaluations).toBe(expectedCalls);
  });

  test('a chunk compiles one program, whatever its length', async () => {
    const steps = (events: readonly TrainEvent[]) =>
      events.flatMap((event) => (event.type === 'compile' ? [event.step] : []));
    // 4 + 4 + 1: the last step takes the program that is there. Monitored steps (1, 6, 12) come alone.
    expect(steps((await run({ chunk: 4, steps: 9 })).events)).toEqual([1]);
    expect(steps((await run({ chunk: 4, monitorEvery: 6, steps: 12 })).events)).toEqual([1, 2]);
  });

  test('on the CPU chunks have one step unless asked for', async () => {
    expect(await callsDuring(() => run({ steps: 5 }))).toBe(5);
    expect(await callsDuring(() => run({ steps: 5, chunk: 'auto' }))).toBe(5);
    expect(await callsDuring(() => run({ steps: 5, chunk: 16 }))).toBe(1);
  });

  test('a sampler that observes gets single steps', async () => {
    const seen: number[] = [];
    const inner = new FunctionSampler();
    const sampler: Sampler = {
      columns: inner.columns,
      draw: (context) => inner.draw(context),
      observe: ({ step, perExample }) => void seen.push(step, perExample['loss']?.data.length ?? 0),
      state: () => null,
      restore: () => undefined,
    };
    expect(await callsDuring(() => run({ sampler, steps: 3, chunk: 4 }))).toBe(3);
    expect(seen).toEqual([1, 8, 2, 8, 3, 8]);
  });

  test.each([
    [3, 4, 1],
    [6, 1, 4],
    [9, 4, 4],
  ])('stopped at step %i of a run by %i and resumed by %i: the same bits', async (stop, before, after) => {
    const whole = await train(pipeline({ chunk: 1 })).result();
    const store = new MemoryCheckpointStore();
    await train(pipeline({ steps: stop, chunk: before, checkpoints: { store, every: 1000 } })).result();
    const resumed = await train(pipeline({ chunk: after, checkpoints: { store, every: 1000 } })).result();
    expect(bits(resumed)).toBe(bits(whole));
  });

  test('an abort takes effect after the chunk, with a checkpoint of its end', async () => {
    const controller = new AbortController();
    const store = new MemoryCheckpointStore();
    const steps: number[] = [];
    const running = train(pipeline({ chunk: 4, signal: controller.signal, checkpoints: { store, every: 1000 } }));
    for await (const event of running)
      if (event.type === 'step') {
        steps.push(event.step);
        if (event.step === 6) controller.abort();
      }
    expect(await running.result()).toMatchObject({ reason: 'aborted', steps: 8 });
    expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await store.list()).toEqual(['step-000000008']);
    const single = await train(pipeline({ chunk: 1, steps: 8 })).result();
    expect(bits(await running.result())).toBe(bits(single));
  });

  test('a loss that is not finite stops with its own step, and what came after is not kept', async () => {
    const breaking: UpdateRule = {
      init: () => ({}),
      update(context) {
        const factor = context.scalar('blow', (step) => (step === 5 ? 1e38 : 1));
        return { params: mapValues(context.params, (param) => param.mul(factor)) };
      },
    };
    const store = new MemoryCheckpointStore();
    const steps: number[] = [];
    const running = train(pipeline({ updateRule: breaking, chunk: 4, checkpoints: { store, every: 4 } }));
    const all = (async () => {
      for await (const event of running) if (event.type === 'step') steps.push(event.step);
    })();
    await expect(all).rejects.toMatchObject({
      code: 'non-finite',
      details: { step: 6, lastCheckpoint: 'step-000000004' },
    });
    expect(steps).toEqual([1, 2, 3, 4, 5]);
    expect(await store.list()).toEqual(['step-000000004']);
    const { events, result } = await run({ updateRule: breaking, chunk: 4, steps: 7, onNonFinite: 'continue' });
    expect(result.steps).toBe(7);
    expect(events.flatMap((event) => (event.type === 'warning' ? [event.step] : []))).toEqual([6, 7]);
  });

  test('a batch that cannot be drawn stops the run after the steps before it', async () => {
    for (const chunk of [1, 4]) {
      const sampler = new ListedSampler(new Array<number>(20).fill(4), 7);
      const steps: number[] = [];
      const all = (async () => {
        for await (const event of train(pipeline({ sampler, chunk })))
          if (event.type === 'step') steps.push(event.step);
      })();
      await expect(all).rejects.toThrow('no batch for step 7');
      expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
      expect(sampler.out).toBe(0);
    }
  });

  test('every batch goes back to the sampler, also when the run is left', async () => {
    const sizes = new Array<number>(20).fill(4);
    const whole = new ListedSampler(sizes);
    await train(pipeline({ sampler: whole, chunk: 4 })).result();
    expect([whole.out, whole.mostOut]).toEqual([0, 8]);
    const left = new ListedSampler(sizes);
    for await (const event of train(pipeline({ sampler: left, chunk: 4 })))
      if (event.type === 'step' && event.step === 4) break;
    expect(left.out).toBe(0);
  });

  test('batches whose contents do not fit are refused before they are copied', async () => {
    const inner = new FunctionSampler(4);
    const sampler = (damage: (batch: Batch) => Batch): Sampler => ({
      columns: inner.columns,
      draw: (context) => (context.step === 2 ? damage(inner.draw(context)) : inner.draw(context)),
      state: () => null,
      restore: () => undefined,
    });
    const column =
      (data: unknown, dataType = 'float32') =>
      (batch: Batch): Batch => ({
        ...batch,
        columns: { ...batch.columns, y: { dataType, dims: [4, 1], data } as never },
      });
    for (const damage of [
      column(new Float32Array(3)),
      column(new Float64Array(4)),
      column(new Float64Array(4), 'float64'),
    ])
      await expect(train(pipeline({ sampler: sampler(damage), chunk: 4 })).result()).rejects.toThrow(
        /"batch\/y" does not hold at every step/,
      );
  });

  test.each([0, -1, 1.5, Number.NaN])('chunk %d is refused', (chunk) => {
    expect(() => train(pipeline({ chunk }))).not.toThrow();
    return expect(train(pipeline({ chunk })).result()).rejects.toThrow(/chunk is/);
  });
});

describe('what overlaps and what is compiled', () => {
  test('the next batches are drawn while a step runs, one after another', async () => {
    for (const chunk of [1, 4]) {
      const order: string[] = [];
      const inner = new FunctionSampler();
      let drawing = false;
      const sampler: Sampler = {
        columns: inner.columns,
        async draw(context) {
          expect(drawing).toBe(false);
          drawing = true;
          order.push(`draw ${context.step}`);
          await Promise.resolve();
          drawing = false;
          return inner.draw(context);
        },
        state: () => null,
        restore: () => undefined,
      };
      const events = train(pipeline({ sampler, chunk, steps: 8 }));
      for await (const event of events) if (event.type === 'step') order.push(`step ${event.step}`);
      const place = (entry: string): number => order.indexOf(entry);
      expect(order).toHaveLength(16);
      // Drawn before the step before it (the chunk before it) was over, and not earlier.
      if (chunk === 1)
        for (let step = 1; step < 8; step++) {
          expect(place(`draw ${step + 1}`)).toBeLessThan(place(`step ${step}`));
          if (step > 1) expect(place(`draw ${step + 1}`)).toBeGreaterThan(place(`step ${step - 1}`));
        }
      else
        expect(order.slice(0, 9).map((entry) => entry.split(' ')[0])).toEqual([
          ...new Array<string>(8).fill('draw'),
          'step',
        ]);
    }
  });

  test('another learning rate, and an equal run, compile nothing', async () => {
    const own = (await createBackend({ device: 'cpu' })) as OrtBackend;
    const descent = (rate: number): UpdateRule => ({
      init: () => ({}),
      update(context) {
        const learningRate = context.scalar('learningRate', () => rate);
        return { params: mapValues(context.params, (p, name) => p.sub(context.grads[name]!.mul(learningRate))) };
      },
    });
    const go = (rate: number) =>
      train(
        pipeline({
          backend: own,
          updateRule: descent(rate),
          steps: 3,
          evaluation: { sampler: () => new ListedSampler([4]) },
        }),
      ).result();
    const first = await go(0.1);
    const compiled = own.compilations;
    expect(compiled).toBe(2);
    const [again, other] = [await go(0.1), await go(0.02)];
    expect(own.compilations).toBe(compiled);
    expect(bits(again)).toBe(bits(first));
    expect(bits(other)).not.toBe(bits(first));
    await own.dispose();
  });
});
