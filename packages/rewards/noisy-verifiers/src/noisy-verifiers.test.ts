import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { parseProbeCases, runProbeCase, testReward } from '@updraft/testing';
import * as all from './index.js';
import {
  backwardCorrection,
  checkRates,
  estimateFalseNegativeRate,
  forwardCorrection,
  NoisyVerifiers,
  noisyVerifier,
  type JudgedItem,
} from './index.js';

const golden = JSON.parse(readFileSync(new URL('../golden/noisy-verifiers.json', import.meta.url), 'utf8')) as unknown;

const cases = parseProbeCases(JSON.parse(readFileSync(new URL('../golden/probe.json', import.meta.url), 'utf8')));

describe('in a probe', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend({ device: 'cpu' });
  });
  afterAll(() => backend.dispose());
  test.each(cases.map((one) => [one.name, one] as const))('%s', async (_, one) => {
    await runProbeCase(one, { exports: all, backend });
  });
});

const items: JudgedItem[] = Array.from({ length: 12 }, (_, at) => ({
  prompt: { index: at % 3 },
  answer: [at],
  reward: at % 2,
  appeal: at % 4 === 0 ? 1 : 0,
}));
const online = { rho1: 'online' };
const appeals = { relabel: true, appealFraction: 0.5 };

testReward(NoisyVerifiers, {
  objective: {
    columns: {
      tokens: { dataType: 'int64', shape: ['batch', 2] },
      advantage: { dataType: 'float32', shape: ['batch'] },
      oldLogProbs: { dataType: 'float32', shape: ['batch', 2] },
    },
    outputs: { logits: { dataType: 'float32', shape: ['batch', 2, 3] } },
  },
  score: { items },
  advantages: { scores: [1, 0, 0, 1, 1, 0, 1], groups: [0, 0, 0, 0, 1, 1, 1] },
  golden: [golden],
  effects: {
    rho0: { value: 0.1, with: { mode: 'backward' } },
    rho1: { value: [0.1, 0.4] },
    normalise: { value: 'mean' },
    aggregation: { value: 'sequence-sum' },
    relabel: { value: true },
    appealFraction: { value: 0.25, with: { relabel: true } },
    mu: { value: 0.5, with: online },
    initialRate: { value: 0.1, with: online },
    minDenominator: { value: 0.9, with: { mode: 'backward', rho1: 0.3 } },
    seed: { value: 3, with: appeals },
    mask: { value: 'another' },
  },
});
testReward(
  {
    name: 'centred backward correction',
    create: () => noisyVerifier(undefined, { mode: 'backward', rho0: 0.1, rho1: 0.3 }),
  },
  {
    objective: {
      columns: {
        tokens: { dataType: 'int64', shape: ['batch', 2] },
        advantage: { dataType: 'float32', shape: ['batch'] },
        oldLogProbs: { dataType: 'float32', shape: ['batch', 2] },
      },
      outputs: { logits: { dataType: 'float32', shape: ['batch', 2, 3] } },
    },
    score: { items },
    advantages: { scores: [1, 0, 0, 1, 1, 0, 1], groups: [0, 0, 0, 0, 1, 1, 1], centred: true },
  },
);

describe('the corrections', () => {
  const rates = { rho0: 0.1, rho1: 0.3 };
  const observed = (correct: number) => (correct === 1 ? 1 - rates.rho1 : rates.rho0);
  /** Expectation over the channel, given the clean reward. */
  const expected = (of: (verdict: number) => number, clean: number): number =>
    observed(clean) * of(1) + (1 - observed(clean)) * of(0);
  const backward = (verdict: number) => backwardCorrection(verdict, rates);
  const forward = (verdict: number) => forwardCorrection(verdict, rates);

  test('backward is unbiased; forward is 0 for right and −(1 − ρ₀ − ρ₁) for wrong answers', () => {
    expect([backward(1), backward(0)]).toEqual([expect.closeTo(1.5, 12), expect.closeTo(-1 / 6, 12)]);
    expect([1, 0].map((clean) => expected(backward, clean))).toEqual([expect.closeTo(1, 12), expect.closeTo(0, 12)]);
    expect([1, 0].map((clean) => expected(forward, clean))).toEqual([expect.closeTo(0, 12), expect.closeTo(-0.6, 12)]);
  });

  test('on a two-armed bandit, expected gradients are the clean one and 0.6 of it', () => {
    const policy = [0.25, 0.75];
    const gradientOf = (of: (verdict: number) => number): number[] =>
      [0, 1].map((logit) =>
        policy.reduce(
          (sum, chance, arm) =>
            sum + chance * expected(of, arm === 0 ? 1 : 0) * ((arm === logit ? 1 : 0) - (policy[logit] as number)),
          0,
        ),
      );
    for (const [of, first] of [
      [backward, 0.1875],
      [forward, 0.1125],
      [(verdict: number) => verdict, 0.1125],
    ] as const)
      expect(gradientOf(of)).toEqual([expect.closeTo(first, 12), expect.closeTo(-first, 12)]);
  });

  test('dividing by the standard deviation of a group would cancel both, so it is refused', () => {
    const verdicts = [1, 0, 0, 1];
    const standardised = (values: readonly number[]): number[] => {
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
      return values.map((value) => (value - mean) / Math.sqrt(variance));
    };
    for (const mode of ['none', 'backward', 'forward'] as const)
      standardised(noisyVerifier(undefined, { mode, ...rates, normalise: 'none' }).advantages(verdicts)).forEach(
        (value, at) => {
          expect(value).toBeCloseTo(verdicts[at] === 1 ? 0.8660254 : -0.8660254, 7);
        },
      );
    expect(() => noisyVerifier(undefined, { normalise: 'std' })).toThrow(/cancels both corrections exactly/);
  });

  test('centring leaves the scale of the backward correction, and nothing of the forward one', () => {
    const verdicts = [1, 0, 0, 1, 0];
    const centred = (mode: 'none' | 'backward' | 'forward') =>
      noisyVerifier(undefined, { mode, ...rates, normalise: 'mean' }).advantages(verdicts);
    centred('none').forEach((value, at) => {
      expect(centred('backward')[at]).toBeCloseTo(value / 0.6, 12);
      expect(centred('forward')[at]).toBeCloseTo(value, 12);
    });
  });

  test('rates come from the prompt, and impossible ones are refused', () => {
    const reward = noisyVerifier<{ noisy: boolean }>(undefined, {
      mode: 'backward',
      normalise: 'none',
      rho1: ({ noisy }) => (noisy ? 0.4 : 0),
    });
    const asked = [true, false].map((noisy) => ({ prompt: { noisy } }));
    expect(reward.advantages([1, 1], [0, 1], asked)).toEqual([expect.closeTo(1 / 0.6, 12), 1]);
    expect(() => reward.advantages([1, 1], [0, 1])).toThrow(/there are no items/);
    expect(() => noisyVerifier(undefined, { rho0: 0.4, rho1: () => 0.6 }).advantages([1], [0], [{}])).toThrow(
      /rho1 = 0.6/,
    );
    // One of them may be above one half where they are given by prompt, as long as verdicts say something.
    expect(noisyVerifier(undefined, { rho1: [0.6] }).advantages([1])).toEqual([expect.closeTo(0.6, 12)]);
    expect(() => noisyVerifier(undefined, { rho1: [0.1] }).advantages([1], [2])).toThrow(/no rate for group 2/);
    expect(() => noisyVerifier().advantages([0.5])).toThrow(/neither 0 nor 1/);
    expect(() => checkRates({ rho0: 0.5, rho1: 0.5 })).toThrow(/rho0 = 0.5/);
    expect(() => noisyVerifier(undefined, { rho0: 0.5 })).toThrow(/rho0/);
  });
});

describe('appeals', () => {
  test('the estimates of the card', () => {
    expect(estimateFalseNegativeRate({ nPos: 60, nNeg: 40, a: 15 })).toEqual({
      missed: 15,
      batchRate: expect.closeTo(0.2, 12),
      rate: expect.closeTo(0.2, 12),
    });
    expect(estimateFalseNegativeRate({ nPos: 60, nNeg: 40, appealed: 20, a: 6 }, 0.2)).toEqual({
      missed: 12,
      batchRate: expect.closeTo(0.16666667, 7),
      rate: expect.closeTo(0.19666667, 7),
    });
    expect(estimateFalseNegativeRate({ nPos: 5, nNeg: 4, appealed: 0, a: 0 }, 0.2).rate).toBeCloseTo(0.18, 12);
    expect(estimateFalseNegativeRate({ nPos: 0, nNeg: 0, a: 0 }).batchRate).toBe(0);
    expect(estimateFalseNegativeRate({ nPos: 1, nNeg: 9, a: 9 }).rate).toBe(0.45);
    expect(() => estimateFalseNegativeRate({ nPos: 1, nNeg: 2, a: 3 })).toThrow(/a ≤ appealed/);
  });

  test('the second verifier sees rejected answers only, and its batch uses the new rate', async () => {
    const seen: number[] = [];
    const reward = noisyVerifier<number, number>((prompt, answer) => answer < prompt, {
      rho1: 'online',
      appeal: (prompt, answer) => {
        seen.push(answer);
        return answer <= prompt;
      },
    });
    // Of 3 accepted and 2 rejected answers, one was right: M = 1, 1/4; 0.9·0.2 + 0.1·0.25.
    const judged = [0, 1, 2, 3, 4].map((answer) => ({ prompt: 3, answer }));
    expect(await reward.score(judged)).toEqual([1, 1, 1, 0, 0]);
    expect(seen).toEqual([3, 4]);
    expect(reward.falseNegativeRate).toBeCloseTo(0.205, 12);
    expect(reward.advantages([1, 0])).toEqual([expect.closeTo(0.205, 12), expect.closeTo(-0.795, 12)]);
    const other = noisyVerifier(undefined, { rho1: 'online' });
    other.restore(JSON.parse(JSON.stringify(reward.state())) as never);
    expect(other.falseNegativeRate).toBe(reward.falseNegativeRate);
    expect(() => {
      other.restore({ rate: 2, batches: 0 });
    }).toThrow(/none of noisy verifiers/);
  });

  test('a share of the rejected answers is appealed, other ones every time; winners may be relabelled', async () => {
    const asked: number[][] = [];
    const reward = noisyVerifier<number, number>(() => false, {
      appealFraction: 0.3,
      relabel: true,
      appeal: (_, answer) => {
        asked.at(-1)?.push(answer);
        return true;
      },
    });
    const judged = Array.from({ length: 10 }, (_, answer) => ({ prompt: 0, answer }));
    for (let batch = 0; batch < 40; batch++) {
      asked.push([]);
      const scores = await reward.score(judged);
      expect(scores.flatMap((score, at) => (score === 1 ? [at] : []))).toEqual([...(asked.at(-1) ?? [])].sort());
    }
    expect(asked.every((list) => list.length === 3)).toBe(true);
    expect(new Set(asked.flat()).size).toBe(10);
  });

  test('without a verdict or a verifier there is an error', async () => {
    await expect(noisyVerifier().score([{ prompt: 1 }])).rejects.toThrow(/no verdict/);
    await expect(noisyVerifier(() => 0.5).score([{}])).rejects.toThrow(/neither 0 nor 1/);
    await expect(noisyVerifier(() => 0, { rho1: 'online' }).score([{}])).rejects.toThrow(
      /appeal of answer 0 has no verdict/,
    );
  });
});
