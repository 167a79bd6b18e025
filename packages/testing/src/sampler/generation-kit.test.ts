import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  defineModel,
  defineOptions,
  OPTIONS,
  plugin,
  scalar,
  type GenerationContext,
  type GenerationInitContext,
  type GenerationSampler,
  type GenerationStep,
  type StateSpec,
} from '@updraft/core';
import { tensor, type Tensor, type TensorData } from '@updraft/graph';
import { inject } from 'tsyringe';
import type { z } from 'zod';
import { runKit } from '../kit/contract-kit.js';
import { generationKit, type GenerationSettings } from './generation-kit.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

type State = { x: StateSpec };
const options = defineOptions({
  rate: scalar({ min: 0, max: 1 }).default(0.5).describe('Share of the way to the goal.'),
});

/** Walks from noise to a condition, with a little noise at every step. */
@plugin({ name: 'walk', contract: 'sampler', options, summary: 'Walks.' })
class Walk implements GenerationSampler<State> {
  constructor(@inject(OPTIONS) readonly settings: z.output<typeof options>) {}
  init({ inputs, state, noise }: GenerationInitContext): State {
    const { dims } = inputs['goal'] as TensorData;
    return { x: state(dims, { initial: noise('start', dims) }) };
  }
  steps(): number {
    return 3;
  }
  phase(step: number): string {
    return step === 3 ? 'last' : 'step';
  }
  step({
    state: { x },
    inputs,
    forward,
    scalar: number,
    noise,
    phase,
  }: GenerationContext<State>): GenerationStep<State> {
    const next = x.add(
      (forward({ x, goal: inputs['goal'] as Tensor })['output'] as Tensor).mul(number('rate', this.settings.rate)),
    );
    return { state: { x: phase === 'last' ? next : next.add(noise('step', x.shape).mul(0.01)) } };
  }
}

const column = { dataType: 'float32', shape: ['batch', 2] } as const;
const settings: GenerationSettings = {
  request: {
    models: {
      way: {
        values: {},
        model: defineModel({
          name: 'way',
          inputs: { x: column, goal: column },
          build: (_, { x, goal }) => goal!.sub(x!),
        }),
      },
    },
    inputs: {
      goal: tensor([
        [1, 2],
        [3, -1],
      ]),
    },
  },
};

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu', threads: 1 });
});
afterAll(() => backend.dispose());

const failed = async (change: (walk: Walk) => Partial<GenerationSampler<State>>): Promise<string[]> => {
  const create = (): GenerationSampler => {
    const walk = new Walk({ rate: 0.5 });
    return {
      init: (context) => walk.init(context),
      steps: () => walk.steps(),
      phase: (step) => walk.phase(step),
      step: (context) => walk.step(context as GenerationContext<State>),
      ...(change(walk) as Partial<GenerationSampler>),
    };
  };
  const results = await runKit(generationKit({ name: 'changed', create }, { ...settings, backend }));
  return results.flatMap(({ id, outcome }) => (outcome === 'failed' ? [id] : []));
};

test('a sampler that keeps the contract passes every check', async () => {
  const results = await runKit(generationKit(Walk, { ...settings, backend }));
  expect(results.filter(({ outcome }) => outcome !== 'passed')).toEqual([]);
  expect(await failed(() => ({}))).toEqual([]);
});

const scaledBy = (value: TensorData<'float32'>, factor: number): TensorData => ({
  ...value,
  data: value.data.map((one) => one * factor),
});

test.each<[string, string, (walk: Walk) => Partial<GenerationSampler<State>>]>([
  [
    'draws from Math.random',
    'same-seed',
    (walk) => ({
      init: (context) =>
        walk.init({ ...context, noise: (name, shape) => scaledBy(context.noise(name, shape), Math.random()) as never }),
    }),
  ],
  [
    'ignores the seed',
    'other-seed',
    (walk) => ({
      init: ({ state }) => ({ x: state([2, 2]) }),
      phase: () => 'last',
      step: (context) => walk.step(context),
    }),
  ],
  [
    'remembers the request before',
    'anew',
    (walk) => {
      let requests = 0;
      return {
        init: (context) => {
          requests++;
          return walk.init({
            ...context,
            noise: (name, shape) => scaledBy(context.noise(name, shape), requests) as never,
          });
        },
      };
    },
  ],
  [
    'counts calls for its phases',
    'phases',
    () => {
      let calls = 0;
      return { phase: () => (++calls === 3 ? 'last' : 'step') };
    },
  ],
  [
    'mixes samples',
    'rows',
    (walk) => ({
      step: (context) => {
        const { x } = walk.step(context).state;
        return { state: { x: x.add(x.mean([0], { keepDims: true }).mul(0.1)) } };
      },
    }),
  ],
  [
    'becomes infinite',
    'finite',
    (walk) => ({ step: (context) => ({ state: { x: walk.step(context).state.x.mul(3e38).mul(3e38) } }) }),
  ],
])('one that %s fails "%s"', async (_, check, change) => {
  expect(await failed(change)).toContain(check);
});

test('samplers that draw batches are told which kit is theirs', async () => {
  const drawing = {
    name: 'list',
    create: () => ({ columns: {}, draw: () => undefined, state: () => null, restore: () => undefined }),
  };
  const [first] = await runKit(generationKit(drawing as never, { ...settings, backend }));
  expect(first?.outcome === 'failed' && first.error.message).toContain('testSampler');
});
