import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { tensor, type Tensor, type TensorData } from '@updraft/graph';
import { MemoryCheckpointStore } from '../checkpoint/index.js';
import type { Sampler } from '../contracts/sampler.js';
import type { UpdateContext, UpdateRule } from '../contracts/update-rule.js';
import type { TrainEvent } from '../events/index.js';
import { inferenceGraph, exportModel } from '../export/export-model.js';
import { mapValues } from '../tree.js';
import { evaluate } from './evaluate.js';
import { FunctionSampler, noisyModel, phasedMomentum, squaredError } from './testing/pipeline.js';
import { train, type TrainOptions, type TrainResult } from './train.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const pipeline = (extra: Partial<TrainOptions> = {}): TrainOptions => ({
  model: noisyModel,
  sampler: new FunctionSampler(),
  reward: squaredError,
  updateRule: phasedMomentum,
  backend,
  steps: 40,
  seed: 5,
  ...extra,
});

const bits = ({ params, state, variables }: TrainResult): unknown =>
  JSON.stringify(
    [params, state, variables].map((group) => mapValues(group, (value) => [...(value.data as Float32Array)])),
  );

describe('train', () => {
  test('learns: the loss falls well below that of the mean', async () => {
    const losses: number[] = [];
    for await (const event of train(pipeline({ steps: 600 }))) if (event.type === 'step') losses.push(event.loss);
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    // sin of a normal with variance 2 has variance (1 - e^-4) / 2 = 0.49.
    expect(mean(losses.slice(-100))).toBeLessThan(0.25);
  });

  test('same seed, same bits; another seed, others', async () => {
    const [a, b, c] = [
      await train(pipeline()).result(),
      await train(pipeline()).result(),
      await train(pipeline({ seed: 6 })).result(),
    ];
    expect(bits(a)).toBe(bits(b));
    expect(bits(a)).not.toBe(bits(c));
  });

  test.each([1, 7, 15, 39])('stopped at step %i and resumed, it ends with the same bits', async (stop) => {
    const whole = await train(pipeline()).result();
    const store = new MemoryCheckpointStore();
    await train(pipeline({ steps: stop, checkpoints: { store, every: 1000 } })).result();
    const events: TrainEvent[] = [];
    const run = train(pipeline({ checkpoints: { store, every: 1000 } }));
    for await (const event of run) events.push(event);
    expect(events[0]).toMatchObject({ type: 'run-start', step: stop });
    expect(bits(await run.result())).toBe(bits(whole));
  });

  test('events come in order and carry what they promise', async () => {
    const events: TrainEvent[] = [];
    const store = new MemoryCheckpointStore();
    let left = 3;
    const limited = (): Sampler => {
      const inner = new FunctionSampler(4);
      left = 3;
      return {
        columns: inner.columns,
        draw: (context) => (left-- > 0 ? inner.draw(context) : undefined),
        state: () => inner.state(),
        restore: (state) => {
          inner.restore(state);
        },
      };
    };
    for await (const event of train(
      pipeline({
        steps: 4,
        checkpoints: { store, every: 2 },
        evaluation: { sampler: limited, every: 3 },
        monitorEvery: 2,
      }),
    ))
      events.push(event);
    expect(events.map((event) => event.type).filter((type) => type !== 'compile')).toEqual([
      'run-start',
      'step',
      'step',
      'checkpoint',
      'step',
      'evaluation',
      'step',
      'evaluation',
      'checkpoint',
      'run-end',
    ]);
    const second = events.find((event) => event.type === 'step' && event.step === 2);
    expect(Object.keys((second as { metrics: object }).metrics)).toEqual(
      expect.arrayContaining(['gradientNorm', 'updateNorm', 'gradientNorm/first.weight']),
    );
    expect(events.find((event) => event.type === 'evaluation')).toMatchObject({ examples: 12 });
  });

  test('a NaN loss stops with step, tensor and last checkpoint, unless told to go on', async () => {
    const broken: UpdateRule = {
      init: () => ({}),
      update(context) {
        const factor = context.scalar('blow', (step) => (step === 3 ? 1e38 : 1));
        return { params: mapValues(context.params, (param) => param.mul(factor)) };
      },
    };
    const store = new MemoryCheckpointStore();
    const run = train(pipeline({ updateRule: broken, checkpoints: { store, every: 2 } }));
    await expect(run.result()).rejects.toMatchObject({
      code: 'non-finite',
      details: { step: 4, lastCheckpoint: 'step-000000002' },
    });
    const going = await train(pipeline({ updateRule: broken, steps: 5, onNonFinite: 'continue' })).result();
    expect(going.steps).toBe(5);
  });

  test('aborting ends with a checkpoint and a result', async () => {
    const controller = new AbortController();
    const store = new MemoryCheckpointStore();
    const run = train(pipeline({ signal: controller.signal, checkpoints: { store, every: 1000 } }));
    for await (const event of run) if (event.type === 'step' && event.step === 9) controller.abort();
    expect((await run.result()).reason).toBe('aborted');
    expect(await store.list()).toEqual(['step-000000009']);
  });

  test('leaving the loop early frees the run', async () => {
    for await (const event of train(pipeline())) if (event.type === 'step') break;
    expect((await train(pipeline({ steps: 2 })).result()).steps).toBe(2);
  });

  test('a zeroth-order rule has no backward graph', async () => {
    const nodes: number[] = [];
    const still: UpdateRule = { init: () => ({}), update: () => ({}) };
    for await (const event of train(pipeline({ updateRule: still, steps: 1 })))
      if (event.type === 'compile') nodes.push(event.nodes);
    for await (const event of train(pipeline({ steps: 1 }))) if (event.type === 'compile') nodes.push(event.nodes);
    expect(nodes[0]).toBeLessThan((nodes[1] as number) / 2);
  });

  test('a sampler that observes sees losses per example before it draws again', async () => {
    const seen: number[] = [];
    const inner = new FunctionSampler(3);
    const observing: Sampler = {
      columns: inner.columns,
      draw: (context) => {
        expect(seen).toHaveLength(context.step - 1);
        return inner.draw(context);
      },
      observe: ({ loss, perExample }) => {
        const losses = perExample['loss']?.data as Float32Array;
        seen.push(loss);
        expect(losses.reduce((a, b) => a + b, 0) / losses.length).toBeCloseTo(loss, 5);
      },
      state: () => null,
      restore: () => undefined,
    };
    await train(pipeline({ sampler: observing, steps: 5 })).result();
    expect(seen).toHaveLength(5);
  });

  test.each([1, 4])(
    'a sampler that follows the model draws with what the step before left (chunk %i)',
    async (chunk) => {
      const inner = new FunctionSampler(3);
      const followed: TensorData[] = [];
      const following: Sampler = {
        columns: inner.columns,
        followsModel: true,
        draw: async (context) => {
          const values = await context.values?.();
          followed.push(values?.['second.bias'] as TensorData);
          expect(Object.keys(values ?? {})).toContain('average');
          return inner.draw(context);
        },
        state: () => null,
        restore: () => undefined,
      };
      const { params } = await train(pipeline({ sampler: following, steps: 3, chunk })).result();
      const plain = new FunctionSampler(3);
      for (const steps of [1, 2]) {
        const { params: after } = await train(pipeline({ sampler: plain, steps })).result();
        expect(followed[steps]).toEqual(after['second.bias']);
      }
      expect(params['second.bias']).not.toEqual(followed[2]);
    },
  );

  test('batch sizes may change from step to step', async () => {
    let compiles = 0;
    let step = 0;
    const sizes = [4, 8, 3, 5, 8, 2, 7, 9, 11];
    const changing: Sampler = {
      columns: new FunctionSampler().columns,
      draw: (context) => new FunctionSampler(sizes[step++ % sizes.length]).draw(context),
      state: () => null,
      restore: () => undefined,
    };
    const still: UpdateRule = { ...phasedMomentum, phase: () => 'fast' };
    for await (const event of train(pipeline({ sampler: changing, updateRule: still, steps: 9 })))
      if (event.type === 'compile') compiles++;
    expect(compiles).toBe(3);
  });

  test('one name of noise stands for one shape and distribution', async () => {
    const rule = (other: Parameters<UpdateContext['noise']>): UpdateRule => ({
      init: () => ({}),
      update: (context) => {
        const noise = context.noise('kick', [6]).add(context.noise(...other));
        return { params: { 'second.bias': (context.params['second.bias'] as Tensor).add(noise.mean()) } };
      },
    });
    await train(pipeline({ updateRule: rule(['kick', [6]]), steps: 1 })).result();
    for (const other of [
      ['kick', [7]],
      ['kick', [6], 'uniform'],
    ] as const)
      await expect(train(pipeline({ updateRule: rule([...other]), steps: 1 })).result()).rejects.toThrow(
        'Two different noises of one program are named "kick"',
      );
  });

  test('pipelines that cannot work are refused with what to do', async () => {
    expect(() => train(pipeline({ initial: { nothing: tensor([1]) } }))).not.toThrow();
    await expect(train(pipeline({ initial: { nothing: tensor([1]) } })).result()).rejects.toThrow(
      'neither a parameter nor a variable',
    );
    await expect(train(pipeline({ initial: { 'first.bias': tensor([1]) } })).result()).rejects.toThrow(
      'declares float32[16]',
    );
    const wrong: Sampler = {
      ...new FunctionSampler(),
      columns: { z: { dataType: 'float32', shape: ['batch', 6] } },
      draw: () => ({ columns: { z: tensor([[1, 2, 3, 4, 5, 6]]) }, size: 1 }),
      state: () => null,
      restore: () => undefined,
    };
    await expect(train(pipeline({ sampler: wrong })).result()).rejects.toThrow('needs the input "x"');
    const lossless = train(pipeline({ reward: { score: () => [] } }));
    await expect(lossless.result()).rejects.toThrow('no objective');
  });
});

describe('export', () => {
  test('the exported model computes what the trained one does', async () => {
    const result = await train(pipeline()).result();
    const values = { ...result.params, ...result.variables };
    const bytes = exportModel(noisyModel, { values, metadata: { made: 'here' } });
    const program = await backend.compile(inferenceGraph(noisyModel, values));
    const x = tensor([[0.1, -0.2, 0.3, 0.4, -0.5, 0.6]]);
    const { output } = await program.run({ x });
    const [w1, b1, w2, b2] = ['first.weight', 'first.bias', 'second.weight', 'second.bias'].map(
      (name) => result.params[name]?.data as Float32Array,
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    let expected = b2[0] as number;
    for (let unit = 0; unit < 16; unit++) {
      let sum = b1[unit] as number;
      for (let input = 0; input < 6; input++) sum += (x.data[input] as number) * (w1[input * 16 + unit] as number);
      expected += Math.tanh(sum) * (w2[unit] as number);
    }
    expect(output?.data[0]).toBeCloseTo(expected, 5);
    expect(bytes.length).toBeGreaterThan(6 * 16 * 4);
    await program.dispose();
  });

  test('evaluation takes means over all examples', async () => {
    const result = await train(pipeline({ steps: 3 })).result();
    let left = 2;
    const sizes = [2, 6];
    const summary = await evaluate({
      model: noisyModel,
      reward: squaredError,
      backend,
      residents: { ...result.params, ...result.variables },
      sampler: () => ({
        columns: new FunctionSampler().columns,
        draw: (context) => (left-- > 0 ? new FunctionSampler(sizes[1 - left]).draw(context) : undefined),
        state: () => null,
        restore: () => undefined,
      }),
    });
    expect(summary.examples).toBe(8);
    expect(Number.isFinite(summary.loss)).toBe(true);
  });
});
