import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend, type OrtBackend } from '@updraft/backend';
import { equal, where, type Tensor, type TensorData } from '@updraft/graph';
import { mean } from '@updraft/rules';
import { z } from 'zod';
import { isGenerationSampler, type GenerationSampler } from '../contracts/generation-sampler.js';
import type { StateSpec } from '../contracts/update-rule.js';
import type { GenerateEvent } from '../events/index.js';
import { defineModel, type Model } from '../module/module.js';
import { defineOptions } from '../options/index.js';
import { plugin, PluginRegistry } from '../plugins/index.js';
import { aggregate } from '../program/aggregation.js';
import { generate, Generator, type GeneratorOptions } from './generate.js';
import { rows } from './testing/quadratic.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const numbers = (value: TensorData | undefined): number[] => [...((value as TensorData).data as Float32Array)];
const integers = (values: readonly number[], dims: readonly number[]): TensorData<'int64'> => ({
  dataType: 'int64',
  dims,
  data: BigInt64Array.from(values, BigInt),
});

const VOCABULARY = 3;
const LENGTH = 4;
/** Logits of the next token given the one before. */
const BIGRAM = [
  [0.5, -1, 0.2],
  [1, 0, -0.5],
  [-0.3, 0.8, 0.1],
];
const softmax = (logits: readonly number[]): number[] => {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / total);
};

/** A language model of pairs: tokens [batch, length] to logits [batch, length, vocabulary]. */
const bigram: Model = defineModel({
  name: 'bigram',
  inputs: { tokens: { dataType: 'int64', shape: ['batch', LENGTH] } },
  build: (scope, { tokens }) => ({
    logits: scope
      .parameter('table', [VOCABULARY, VOCABULARY], { initialize: () => new Float32Array(9) })
      .gather(tokens!),
  }),
});
const bigramOf = (table: readonly (readonly number[])[]) => ({ model: bigram, values: { table: rows(table) } });

type Tokens = { tokens: StateSpec; logProb: StateSpec };

/** Ancestral sampling: one token a step, by the Gumbel trick, into a buffer of fixed length; `choose` gives the logits. */
const ancestral = (
  choose: (forward: (model?: string) => Tensor, context: Parameters<GenerationSampler['step']>[0]) => Tensor,
  { greedy = false, end }: { greedy?: boolean; end?: number } = {},
): GenerationSampler<Tokens> => ({
  init: ({ inputs, state }) => ({
    tokens: state([inputs['start']?.dims[0] as number, LENGTH], {
      dataType: 'int64',
      initial: startBuffer(inputs['start'] as TensorData),
    }),
    logProb: state([inputs['start']?.dims[0] as number]),
  }),
  steps: () => LENGTH - 1,
  step(context) {
    const { tokens, logProb } = context.state;
    const { graph } = tokens;
    const batch = tokens.shape[0] as number;
    const position = context.step.cast('int64');
    // Logits at the position before the one that is written.
    const before = position.sub(graph.constant(1, 'int64'));
    const forward = (model?: string): Tensor =>
      (context.forward({ tokens }, model)['logits'] as Tensor).gather(before, 1);
    const logits = choose(forward, context);
    const noisy = greedy ? logits : logits.add(context.noise('token', [batch, VOCABULARY], 'gumbel'));
    const next = noisy.argMax(1);
    const places = graph.constant(integers([0, 1, 2, 3], [1, LENGTH]));
    const chosen = equal(next.unsqueeze([1]), graph.constant(integers([0, 1, 2], [1, VOCABULARY])));
    const picked = where(chosen, logits.logSoftmax(1), 0).sum([1]);
    return {
      state: {
        tokens: where(equal(places, position), next.unsqueeze([1]), tokens),
        logProb: logProb.add(picked),
      },
      outputs: { token: next, logits },
      ...(end === undefined ? {} : { finished: equal(next, graph.constant(end, 'int64')) }),
    };
  },
});
const startBuffer = (start: TensorData): TensorData =>
  integers(
    [...(start.data as BigInt64Array)].flatMap((token) => [Number(token), 0, 0, 0]),
    [start.dims[0] as number, LENGTH],
  );
const oneModel = ancestral((forward) => forward());
const starts = (count: number, token = 0): { start: TensorData } => ({
  start: integers(new Array<number>(count).fill(token), [count]),
});

const sequences = (tokens: TensorData | undefined): number[][] => {
  const flat = [...((tokens as TensorData).data as BigInt64Array)].map(Number);
  return [...Array(flat.length / LENGTH).keys()].map((row) => flat.slice(row * LENGTH, row * LENGTH + LENGTH));
};

describe('decoding', () => {
  test('ancestral samples follow the exact distribution of the model, and their log-probabilities are exact', async () => {
    const count = 5400;
    const { state, steps, reason } = await generate({
      models: { policy: bigramOf(BIGRAM) },
      sampler: oneModel,
      backend,
      inputs: starts(count),
      seed: 11,
    }).result();
    expect([steps, reason]).toEqual([3, 'steps']);
    const probability = (sequence: readonly number[]): number =>
      sequence
        .slice(1)
        .reduce(
          (product, token, index) =>
            product * (softmax(BIGRAM[sequence[index] as number] as number[])[token] as number),
          1,
        );
    const observed = new Map<string, number>();
    const drawn = sequences(state['tokens']);
    for (const sequence of drawn) observed.set(sequence.join(), (observed.get(sequence.join()) ?? 0) + 1);
    let chiSquare = 0;
    for (let code = 0; code < 27; code++) {
      const sequence = [0, Math.floor(code / 9), Math.floor(code / 3) % 3, code % 3];
      const expected = count * probability(sequence);
      expect(expected).toBeGreaterThan(5);
      chiSquare += ((observed.get(sequence.join()) ?? 0) - expected) ** 2 / expected;
    }
    // 26 degrees of freedom: beyond 58 once in 3000 seeds; this seed is fixed.
    expect(chiSquare).toBeLessThan(58);
    numbers(state['logProb']).forEach((logProb, row) => {
      expect(logProb).toBeCloseTo(Math.log(probability(drawn[row] as number[])), 5);
    });
  });

  test('several models in lockstep, fused by an aggregator at every token', async () => {
    const large = [
      [0.5, 0.4, 0],
      [0, 0, 1],
      [1, 0, 0],
    ];
    const expert = [
      [0, 0.4, 0],
      [0, 2, 0],
      [0, 0, 0.2],
    ];
    const fused = ancestral(
      (forward, context) =>
        aggregate(
          mean(),
          ['large', 'expert'].map((id, index) => ({
            id,
            values: { logits: forward(id) },
            weight: index === 0 ? 1 : 3,
          })),
          context,
        ).values['logits'] as Tensor,
      { greedy: true },
    );
    const { state, outputs } = await generate({
      models: { large: bigramOf(large), expert: bigramOf(expert) },
      sampler: fused,
      backend,
      inputs: starts(1),
    }).result();
    // Weighted means: from 0 [0.125, 0.4, 0], from 1 [0, 1.5, 0.25].
    expect(sequences(state['tokens'])).toEqual([[0, 1, 1, 1]]);
    for (const [index, value] of [0, 1.5, 0.25].entries())
      expect(numbers(outputs['logits'])[index]).toBeCloseTo(value, 6);
    const alone = await generate({
      models: { large: bigramOf(large) },
      sampler: ancestral((forward) => forward('large'), { greedy: true }),
      backend,
      inputs: starts(1),
    }).result();
    expect(sequences(alone.state['tokens'])).toEqual([[0, 0, 0, 0]]);
  });

  test('it ends when every sequence is finished, when the sampler stops, and at the limit of the request', async () => {
    const greedy = {
      models: {
        m: bigramOf([
          [0, 5, 0],
          [0, 0, 5],
          [0, 0, 5],
        ]),
      },
      backend,
      inputs: starts(2),
    };
    const finishing = await generate({
      ...greedy,
      sampler: ancestral((forward) => forward(), { greedy: true, end: 2 }),
    }).result();
    expect([finishing.steps, finishing.reason]).toEqual([2, 'finished']);
    const stopping: GenerationSampler<Tokens> = {
      ...ancestral((forward) => forward(), { greedy: true }),
      async host({ step, outputs, stop, readState, writeState }) {
        expect([...(outputs['token']?.data as BigInt64Array)]).toEqual([1n, 1n]);
        await writeState('logProb', { ...(await readState('logProb')), data: Float32Array.of(7, 8) });
        if (step === 1) stop();
      },
    };
    const stopped = await generate({ ...greedy, sampler: stopping }).result();
    expect([stopped.steps, stopped.reason, numbers(stopped.state['logProb'])]).toEqual([1, 'stopped', [7, 8]]);
    const limited = await generate({ ...greedy, sampler: oneModel, maximumSteps: 2 }).result();
    expect([limited.steps, limited.reason]).toEqual([2, 'steps']);
  });

  test('given noise decides instead of drawn noise, and what was drawn can be recorded and given again', async () => {
    const request = { models: { m: bigramOf(BIGRAM) }, sampler: oneModel, backend, inputs: starts(6), seed: 3 };
    const drawn = await generate({ ...request, record: 'all' }).result();
    expect(Object.keys(drawn.trajectory).sort()).toEqual([
      'logits',
      'noise/token',
      'state/logProb',
      'state/tokens',
      'token',
    ]);
    for (const list of Object.values(drawn.trajectory)) expect(list).toHaveLength(3);
    const again = await generate({
      ...request,
      seed: 99,
      noise: { token: drawn.trajectory['noise/token'] as TensorData[] },
      record: ['state/tokens'],
    }).result();
    expect(again.trajectory).toEqual({ 'state/tokens': drawn.trajectory['state/tokens'] });
    const other = await generate({ ...request, seed: 99 }).result();
    expect(sequences(other.state['tokens'])).not.toEqual(sequences(drawn.state['tokens']));
    // A hand-made draw: the noise alone says 2, 0, 1.
    const pushed = [2, 0, 1].map((token) =>
      rows(new Array(6).fill([0, 1, 2].map((index) => (index === token ? 50 : 0)))),
    );
    const forced = await generate({ ...request, noise: { token: pushed } }).result();
    expect(sequences(forced.state['tokens'])).toEqual(new Array(6).fill([0, 2, 0, 1]));
    await expect(generate({ ...request, noise: { token: pushed.slice(1) } }).result()).rejects.toThrow(
      /"token" has nothing for step 3/,
    );
    await expect(generate({ ...request, record: ['nothing'] }).result()).rejects.toThrow(
      /nothing named "nothing" to record/,
    );
  });
});

describe('diffusion', () => {
  const MEAN = [1, -2];
  const SPREAD = 0.5;

  /** The exact denoiser of data N(MEAN, SPREAD²): E[clean | clean + σ·noise = x]. */
  const denoiser: Model = defineModel({
    name: 'denoiser',
    inputs: { x: { dataType: 'float32', shape: ['batch', 2] }, sigma: { dataType: 'float32', shape: [] } },
    build: (scope, { x, sigma }) => {
      const mean = scope.parameter('mean', [2], { initialize: () => new Float32Array(2) });
      const variance = sigma!.square();
      return x!
        .mul(SPREAD ** 2)
        .add(mean.mul(variance))
        .div(variance.add(SPREAD ** 2));
    },
  });

  type Diffusion = { x: StateSpec; average: StateSpec };
  /** Euler steps of dx/dσ = (x − D(x, σ)) / σ along a list of noise levels, with a running sum of the denoised, as momentum. */
  const euler = (levels: readonly number[]): GenerationSampler<Diffusion> => ({
    init: ({ inputs, noise, state }) => {
      const shape = [Number(inputs['count']?.data[0]), 2];
      const start = noise('start', shape);
      return {
        x: state(shape, { initial: { ...start, data: start.data.map((value) => value * (levels[0] as number)) } }),
        average: state(shape),
      };
    },
    steps: () => levels.length - 1,
    step(context) {
      const { x, average } = context.state;
      const sigma = context.scalar('sigma', (step) => levels[step - 1] as number);
      const next = context.scalar('nextSigma', (step) => levels[step] as number);
      const denoised = context.forward({ x, sigma })['output'] as Tensor;
      return {
        state: {
          x: x.add(x.sub(denoised).mul(next.sub(sigma).div(sigma))),
          average: average.mul(-0.5).add(denoised),
        },
        outputs: { denoised },
      };
    },
  });
  const count = (value: number): { count: TensorData } => ({
    count: { dataType: 'float32', dims: [], data: Float32Array.of(value) },
  });
  const request = {
    models: {
      denoiser: {
        model: denoiser,
        values: { mean: { dataType: 'float32', dims: [2], data: Float32Array.from(MEAN) } as TensorData },
      },
    },
  };

  test('the deterministic sampler gives the product of its known factors, with state from step to step', async () => {
    const levels = [5, 2, 1, 0.3, 0];
    const start = rows([
      [0.3, -1.2],
      [-0.7, 0.1],
      [2, 1],
    ]);
    const { state, trajectory } = await generate({
      ...request,
      backend,
      sampler: euler(levels),
      inputs: count(3),
      noise: { start },
      record: ['denoised'],
    }).result();
    // x − mean is multiplied by 1 + (σ' − σ) · σ / (s² + σ²) in every step.
    numbers(start).forEach((noise, index) => {
      const center = MEAN[index % 2] as number;
      let distance = 5 * noise - center;
      let average = 0;
      levels.slice(0, -1).forEach((sigma, step) => {
        const denoised = center + (distance * SPREAD ** 2) / (SPREAD ** 2 + sigma ** 2);
        expect(numbers(trajectory['denoised']?.[step])[index]).toBeCloseTo(denoised, 4);
        average = -0.5 * average + denoised;
        distance *= 1 + (((levels[step + 1] as number) - sigma) * sigma) / (SPREAD ** 2 + sigma ** 2);
      });
      expect(numbers(state['x'])[index]).toBeCloseTo(center + distance, 5);
      expect(numbers(state['average'])[index]).toBeCloseTo(average, 4);
    });
  });

  test('with many steps it follows the flow, and its samples have the mean and spread of the data', async () => {
    const steps = 400;
    const levels = [...Array(steps + 1).keys()].map((step) =>
      step === steps ? 0 : (20 ** (1 / 7) + (step / (steps - 1)) * (0.002 ** (1 / 7) - 20 ** (1 / 7))) ** 7,
    );
    const { state } = await generate({
      ...request,
      backend,
      sampler: euler(levels),
      inputs: count(2000),
      seed: 5,
    }).result();
    for (const axis of [0, 1]) {
      const values = numbers(state['x']).filter((_, index) => index % 2 === axis);
      const average = values.reduce((a, b) => a + b) / values.length;
      const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - average) ** 2, 0) / values.length);
      // Standard errors are 0.011 and 0.008; started at N(0, 20²), the mean is off by 1/40 of the data's.
      expect(Math.abs(average - (MEAN[axis] as number))).toBeLessThan(0.1);
      expect(Math.abs(spread - SPREAD)).toBeLessThan(0.04);
    }
  });
});

describe('a generator', () => {
  test('compiles once for requests of one form, takes new values, and is for one request at a time', async () => {
    const own = (await createBackend({ device: 'cpu', threads: 1 })) as OrtBackend;
    const generator = new Generator({ models: { m: bigramOf(BIGRAM) }, sampler: oneModel, backend: own });
    const run = async (seed: number, rowsOf = 4): Promise<number[][]> =>
      sequences((await generator.generate({ inputs: starts(rowsOf), seed }).result()).state['tokens']);
    const first = await run(1);
    expect(own.compilations).toBe(1);
    expect(await run(1)).toEqual(first);
    const seeds = [await run(2), await run(3), await run(4)];
    expect(new Set([first, ...seeds].map((result) => JSON.stringify(result))).size).toBe(4);
    expect(own.compilations).toBe(1);
    expect(await run(1, 5)).toHaveLength(5);
    expect(own.compilations).toBe(2);
    await generator.update('m', {
      table: rows([
        [0, 0, 90],
        [0, 0, 90],
        [0, 0, 90],
      ]),
    });
    expect(await run(1, 2)).toEqual(new Array(2).fill([0, 2, 2, 2]));
    const busy = generator.generate({ inputs: starts(2) })[Symbol.asyncIterator]();
    await busy.next();
    await expect(generator.generate({ inputs: starts(2) }).result()).rejects.toThrow(/in the middle of a request/);
    await expect(generator.update('m', { table: rows([[0]]) })).rejects.toThrow(/in the middle/);
    await busy.return?.();
    await expect(generator.update('m', { table: rows([[0]]) })).rejects.toThrow(
      /"table" of the model "m" is float32\[1, 1\]; float32\[3, 3\]/,
    );
    await expect(generator.update('other', {})).rejects.toThrow(/no model "other"/);
    await generator.dispose();
    await own.dispose();
  });

  test('events tell the steps; a signal ends it', async () => {
    const controller = new AbortController();
    const events: GenerateEvent[] = [];
    const run = generate({
      models: { m: bigramOf(BIGRAM) },
      sampler: oneModel,
      backend,
      inputs: starts(2),
      signal: controller.signal,
    });
    for await (const event of run) {
      events.push(event);
      if (event.type === 'generation-step' && event.step === 2) controller.abort();
    }
    expect(events.map(({ type }) => type)).toEqual([
      'generation-start',
      'compile',
      'generation-step',
      'generation-step',
      'generation-end',
    ]);
    expect(events[2]).toMatchObject({ step: 1, steps: 3, outputs: { token: { dims: [2] } } });
    const result = await run.result();
    expect([result.steps, result.reason]).toEqual([2, 'aborted']);
  });

  test('phases are programs of their own', async () => {
    const phased: GenerationSampler<{ total: StateSpec }> = {
      init: ({ state }) => ({ total: state([1]) }),
      steps: () => 4,
      phase: (step) => (step % 2 === 0 ? 'even' : 'odd'),
      step: ({ state, phase, step }) => ({ state: { total: state.total.add(phase === 'even' ? 100 : step) } }),
    };
    const { state } = await generate({ models: {}, sampler: phased, backend }).result();
    expect(numbers(state['total'])).toEqual([204]);
  });

  const broken = (step: GenerationSampler['step']): Omit<GeneratorOptions, 'backend'> => ({
    models: { one: bigramOf(BIGRAM), two: bigramOf(BIGRAM) },
    sampler: { init: ({ state }) => ({ x: state([1]) }), steps: () => 1, step },
  });
  test.each([
    [broken(({ state, forward }) => ({ state, outputs: forward({}) })), /not said which model to run.*one, two/s],
    [broken(({ state, forward }) => ({ state, outputs: forward({}, 'too') })), /no model "too".*did you mean "two"/s],
    [broken(({ state, forward }) => ({ state, outputs: forward({}, 'two') })), /needs the input "tokens"/],
    [broken(({ state }) => ({ state: { y: state['x'] as Tensor } })), /state "y" that init did not declare/],
    [broken(({ state }) => ({ state: { x: (state['x'] as Tensor).unsqueeze([0]) } })), /state "x" is float32\[1, 1\]/],
    [
      broken(({ state }) => ({ state: { x: (state['x'] as Tensor).sub(1).sqrt() } })),
      /state "x" of the generation holds NaN after step 1/,
    ],
    [{ ...broken(({ state }) => ({ state })), sampler: { ...oneModel, steps: () => 0 } }, /generation of 0 steps/],
    [
      { ...broken(({ state }) => ({ state })), models: { one: { model: bigram, values: {} } } },
      /"table" of the model "one" is missing/,
    ],
  ] as [Omit<GeneratorOptions, 'backend'>, RegExp][])('what is wrong is named: %#', async (options, message) => {
    await expect(async () => generate({ ...options, backend, inputs: starts(1) }).result()).rejects.toThrow(message);
  });
});

test('a class with steps is a plugin of the contract sampler', () => {
  @plugin({
    name: 'counting',
    contract: 'sampler',
    options: defineOptions({ to: z.number().default(3).describe('End.') }),
    summary: 'Counts.',
  })
  class Counting implements GenerationSampler {
    init(): Record<string, never> {
      return {};
    }
    steps(): number {
      return 3;
    }
    step(): { state: Record<string, never> } {
      return { state: {} };
    }
  }
  const made = new PluginRegistry().use({ Counting }).create('sampler', 'counting', {});
  expect(isGenerationSampler(made)).toBe(true);
  @plugin({ name: 'half', contract: 'sampler', options: defineOptions({}), summary: 'Lacks something.' })
  class Half {
    init(): void {
      // Nothing.
    }
    step(): void {
      // Nothing.
    }
  }
  expect(() => new PluginRegistry().use({ Half }).create('sampler', 'half', {})).toThrow(/lacks steps\(\)/);
});
