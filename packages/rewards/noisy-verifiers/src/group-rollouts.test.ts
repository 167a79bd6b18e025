import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { defineModel, MemoryCheckpointStore, RandomStream, train, type Batch, type Sampler } from '@updraft/core';
import { fromTensors } from '@updraft/data';
import { concat, readElement, tensor, type Tensor, type TensorData } from '@updraft/graph';
import { sgd } from '@updraft/rules';
import { groupRollouts, noisyVerifier, tabularPolicy, type GroupRolloutsOptions, type RolloutPrompt } from './index.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const numbers = (value: TensorData | undefined): number[] =>
  Array.from({ length: value?.data.length ?? 0 }, (_, at) => readElement(value as TensorData, at));
const prompts = fromTensors({
  prompt: { dataType: 'int64', dims: [3], data: BigInt64Array.of(0n, 1n, 2n) },
});
const right = noisyVerifier<RolloutPrompt, readonly number[]>(
  ({ columns }, answer) => answer[0] === columns['prompt']?.[0],
  { mode: 'none', aggregation: 'sequence-sum' },
);
const table = (...rows: number[][]): TensorData => ({
  dataType: 'float32',
  dims: [rows.length, 1, rows[0]?.length ?? 0],
  data: Float32Array.from(rows.flat()),
});
const rollouts = (more: Partial<GroupRolloutsOptions> = {}): Sampler =>
  groupRollouts({
    policy: tabularPolicy({ tokens: 3, prompts: 3 }),
    prompts,
    reward: right,
    backend,
    seed: 1,
    ...more,
  });
const draw = async (sampler: Sampler, values: Readonly<Record<string, TensorData>>, step = 1): Promise<Batch> =>
  (await sampler.draw({
    step,
    random: RandomStream.fromSeed(4).split(String(step)),
    values: () => Promise.resolve(values),
  })) as Batch;

describe('groupRollouts', () => {
  const chances = [
    [0.7, 0.2, 0.1],
    [0.1, 0.1, 0.8],
    [0.25, 0.5, 0.25],
  ];
  const values = { 'policy.table': table(...chances.map((row) => row.map((chance) => Math.log(chance) + 2))) };

  test('draws tokens as often as the policy says, with their log-probabilities, group by group', async () => {
    const n = 3000;
    const { columns, size, ids } = await draw(rollouts({ n }), values);
    expect(size).toBe(3 * n);
    const [tokens, old, prompt, group, reward, advantage, mask] = [
      'tokens',
      'oldLogProbs',
      'prompt',
      'group',
      'reward',
      'advantage',
      'mask',
    ].map((name) => numbers(columns[name])) as [number[], number[], number[], number[], number[], number[], number[]];
    expect(prompt).toEqual((ids ?? []).map(Number));
    const counts = new Map<string, number>();
    tokens.forEach((token, row) => {
      expect(group[row]).toBe(Math.floor(row / n));
      expect(prompt[row]).toBe(prompt[Math.floor(row / n) * n]);
      expect(old[row]).toBeCloseTo(Math.log(chances[prompt[row] as number]?.[token] as number), 5);
      expect(reward[row]).toBe(token === prompt[row] ? 1 : 0);
      const key = `${prompt[row]} ${token}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    });
    expect(advantage).toEqual(reward);
    expect(new Set(mask)).toEqual(new Set([1]));
    chances.forEach((row, at) => {
      row.forEach((chance, token) => {
        const deviation = Math.sqrt(n * chance * (1 - chance));
        expect(Math.abs((counts.get(`${at} ${token}`) ?? 0) - n * chance)).toBeLessThan(4.5 * deviation);
      });
    });
  });

  test('later tokens see the earlier ones, and an answer stops at its end', async () => {
    // The token after t is t + 1, whatever came before; the first is 0.
    const policy = defineModel({
      name: 'counting',
      inputs: { tokens: { dataType: 'int64', shape: ['batch', 4] } },
      build(scope, { tokens }) {
        const sharp = scope.parameter('sharp', [], { initialize: () => Float32Array.of(1) });
        const before = (tokens as Tensor).cast('float32').slice([0], [3], [1]).add(1);
        const start = before.slice([0], [1], [1]).mul(0);
        const wanted = scope.graph.constant(tensor([0, 1, 2, 3, 4]));
        const next = concat([start, before], 1);
        return { logits: next.unsqueeze([2]).sub(wanted).square().mul(sharp).neg() };
      },
    });
    const seen: (readonly number[])[] = [];
    const reward = noisyVerifier<RolloutPrompt, readonly number[]>((_, answer) => {
      seen.push(answer);
      return true;
    });
    const sharp = { sharp: { dataType: 'float32', dims: [], data: Float32Array.of(1000) } } as const;
    const { columns } = await draw(
      groupRollouts({ policy, prompts, reward, backend, n: 1, promptsPerBatch: 2, length: 4, end: 2, seed: 0 }),
      sharp,
    );
    expect(numbers(columns['tokens'])).toEqual([0, 1, 2, 0, 0, 1, 2, 0]);
    expect(numbers(columns['mask'])).toEqual([1, 1, 1, 0, 1, 1, 1, 0]);
    expect(seen).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
  });

  test('goes on from its state, the estimate of the reward included', async () => {
    const made = () => {
      const reward = noisyVerifier<RolloutPrompt, readonly number[]>((_, [token]) => token === 0, {
        rho1: 'online',
        appeal: (_, [token]) => token === 1,
      });
      return { reward, sampler: rollouts({ reward, promptsPerBatch: 2, n: 4 }) };
    };
    const [one, other] = [made(), made()];
    await draw(one.sampler, values, 1);
    other.sampler.restore(JSON.parse(JSON.stringify(one.sampler.state())) as never);
    const [expected, found] = [await draw(one.sampler, values, 2), await draw(other.sampler, values, 2)];
    for (const name of Object.keys(expected.columns))
      expect(numbers(found.columns[name])).toEqual(numbers(expected.columns[name]));
    expect(other.reward.falseNegativeRate).toBe(one.reward.falseNegativeRate);
    expect(one.reward.falseNegativeRate).not.toBe(0.2);
    expect(() => {
      other.sampler.restore({ order: null });
    }).toThrow(/none of groupRollouts/);
  });

  test('says what is missing', async () => {
    expect(() => rollouts({ n: 0 })).toThrow(/n is 0/);
    expect(() => rollouts({ prompts: fromTensors({ group: tensor([1]) }) })).toThrow(/column "group"/);
    expect(() => rollouts({ policy: defineModel({ name: 'x', inputs: {}, build: () => ({}) }) })).toThrow(
      /no input "tokens"/,
    );
    await expect(rollouts().draw({ step: 1, random: RandomStream.fromSeed(0) }) as Promise<unknown>).rejects.toThrow(
      /no parameters/,
    );
    await expect(draw(rollouts(), {})).rejects.toThrow(/policy.table/);
  });
});

describe('training', () => {
  const learn = (steps: number, store?: MemoryCheckpointStore) =>
    train({
      model: tabularPolicy({ tokens: 3, prompts: 3 }),
      sampler: rollouts({ n: 16 }),
      reward: right,
      updateRule: sgd({ learningRate: 3 }),
      backend,
      steps,
      ...(store === undefined ? {} : { checkpoints: { store, every: 1_000_000 } }),
    });

  test('answers are those of the policy before the step: every ratio is 1; it learns, and a resumed run is the same', async () => {
    const run = learn(30);
    const ratios: number[] = [];
    const clipped: number[] = [];
    for await (const event of run)
      if (event.type === 'step') {
        ratios.push(event.metrics['meanRatio'] as number);
        clipped.push(event.metrics['clippedShare'] as number);
      }
    expect(ratios).toHaveLength(30);
    for (const ratio of ratios) expect(ratio).toBeCloseTo(1, 5);
    expect(Math.max(...clipped)).toBe(0);
    const { params } = await run.result();
    const logits = numbers(params['policy.table']);
    for (const prompt of [0, 1, 2]) {
      const row = logits.slice(3 * prompt, 3 * prompt + 3);
      expect(row.indexOf(Math.max(...row))).toBe(prompt);
    }
    const store = new MemoryCheckpointStore();
    await learn(11, store).result();
    expect(numbers((await learn(30, store).result()).params['policy.table'])).toEqual(logits);
  });

  test('one step is the policy gradient of the sampled group', async () => {
    const start = numbers((await learn(1).result()).params['policy.table']);
    // The same draw by hand, from the first parameters.
    const first = await train({
      model: tabularPolicy({ tokens: 3, prompts: 3 }),
      sampler: rollouts({ n: 16 }),
      reward: right,
      updateRule: sgd({ learningRate: 0 }),
      backend,
      steps: 1,
    }).result();
    const before = numbers(first.params['policy.table']);
    const { columns } = (await rollouts({ n: 16 }).draw({
      step: 1,
      random: RandomStream.fromSeed(0).split('sampler').split('1'),
      values: () => Promise.resolve(first.params),
    })) as Batch;
    const [tokens, prompt, advantage] = ['tokens', 'prompt', 'advantage'].map((name) => numbers(columns[name])) as [
      number[],
      number[],
      number[],
    ];
    const expected = [...before];
    tokens.forEach((token, row) => {
      const at = 3 * (prompt[row] as number);
      const exponentials = before.slice(at, at + 3).map(Math.exp);
      const total = exponentials.reduce((sum, value) => sum + value, 0);
      exponentials.forEach((value, choice) => {
        const score = (choice === token ? 1 : 0) - value / total;
        expected[at + choice] = (expected[at + choice] as number) + (3 * (advantage[row] as number) * score) / 48;
      });
    });
    start.forEach((value, at) => {
      expect(value).toBeCloseTo(expected[at] as number, 5);
    });
  });
});
