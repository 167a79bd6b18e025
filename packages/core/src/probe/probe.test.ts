import { createBackend, type Backend } from '@updraft/backend';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { matMul, sum as addAll, tensor, type Tensor } from '@updraft/graph';
import { attention, crossEntropy, dense, embedding, gpt, meanSquaredError } from '@updraft/nn';
import {
  adam,
  chain,
  clipByGlobalNorm,
  clipByNorm,
  mean,
  median,
  muon,
  orthogonalize,
  sgd,
  trimmedMean,
} from '@updraft/rules';
import type { Aggregator } from '../contracts/aggregator.js';
import type { GenerationSampler } from '../contracts/generation-sampler.js';
import type { Reward } from '../contracts/reward.js';
import type { JsonValue, Sampler } from '../contracts/sampler.js';
import type { UpdateRule } from '../contracts/update-rule.js';
import { OptionsError } from '../options/index.js';
import { mapValues } from '../tree.js';
import {
  compareResult,
  probeAggregator,
  probeCall,
  probeGeneration,
  probeJsonSchema,
  probeModule,
  probeReward,
  probeSampler,
  probeUpdateRule,
  type ProbeContext,
  type ProbeResult,
} from './index.js';

let backend: Backend;
let context: ProbeContext;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
  context = { backend, reward: (_, options) => crossEntropy(options as object) };
});
afterAll(() => backend.dispose());

const near = (found: unknown, expected: unknown, absolute = 1e-6): void => {
  expect(compareResult(found, expected, { absolute, relative: 1e-6 }).problems).toEqual([]);
};
const rows = (result: ProbeResult) =>
  result['steps'] as unknown as { params: Record<string, JsonValue>; state: Record<string, JsonValue> }[];

describe('an update rule on given gradients', () => {
  test('adam equals the published algorithm, computed apart', async () => {
    const gradients = [
      [0.5, -0.1],
      [0.3, 0.2],
      [-0.7, 0],
    ];
    const [rate, b1, b2, epsilon] = [0.1, 0.8, 0.99, 1e-4];
    let [w, m, v] = [
      [1, -2],
      [0, 0],
      [0, 0],
    ];
    const expected = gradients.map((g, index) => {
      m = m.map((value, at) => b1 * value + (1 - b1) * (g[at] as number));
      v = v.map((value, at) => b2 * value + (1 - b2) * (g[at] as number) ** 2);
      w = w.map(
        (value, at) =>
          value -
          (rate * ((m[at] as number) / (1 - b1 ** (index + 1)))) /
            (Math.sqrt((v[at] as number) / (1 - b2 ** (index + 1))) + epsilon),
      );
      return { step: index + 1, phase: 'step', params: { w }, state: { 'mean/w': m, 'variance/w': v } };
    });
    const rule = adam({ learningRate: rate, beta1: b1, beta2: b2, epsilon });
    const result = await probeUpdateRule(
      rule,
      { params: { w: [1, -2] }, gradients: gradients.map((w) => ({ w })) },
      context,
    );
    near(result, { initial: { params: { w: [1, -2] }, state: { 'mean/w': [0, 0] } }, steps: expected });
    expect(result['final']).toEqual({ params: rows(result)[2]?.params, state: rows(result)[2]?.state });
  });

  test('sgd with momentum; one gradient serves all steps', async () => {
    // v1 = 1, v2 = 1.5: 2 - 0.1 - 0.15.
    const result = await probeUpdateRule(
      sgd({ learningRate: 0.1, momentum: 0.5 }),
      { params: { w: 2 }, gradients: [{ w: 1 }], steps: 2 },
      context,
    );
    near(result, { steps: [{ params: { w: 1.9 } }, { params: { w: 1.75 } }] });
    expect(rows(result)).toHaveLength(2);
    expect(rows(result)[0]).not.toHaveProperty('loss');
  });

  test('muon: one Newton–Schulz iteration on a diagonal matrix by hand', async () => {
    // X = diag(.6, .8): a·x + b·x³ + c·x⁵, the card of AuON gives 1.19326944 and .97648195.
    const result = await probeUpdateRule(
      muon({ learningRate: 1, momentum: 0, iterations: 1, nesterov: false }),
      {
        params: {
          W: [
            [0, 0],
            [0, 0],
          ],
        },
        gradients: [
          {
            W: [
              [3, 0],
              [0, 4],
            ],
          },
        ],
      },
      context,
    );
    near(result, {
      final: {
        params: {
          W: [
            [-1.19326944, 0],
            [0, -0.97648195],
          ],
        },
      },
    });
  });

  test('a chain of clips: 5 → 1, then each to 0.5', async () => {
    const rule = chain(clipByGlobalNorm(1), clipByNorm(0.5), sgd({ learningRate: 1 }));
    const result = await probeUpdateRule(rule, { params: { a: 0, b: [0] }, gradients: [{ a: 3, b: [4] }] }, context);
    near(result, { steps: [{ metrics: { globalNorm: 5 }, params: { a: -0.5, b: [-0.5] } }] });
  });

  test('gradients of every example: their mean, and themselves', async () => {
    const rule: UpdateRule = {
      init: () => ({}),
      update: ({ params, grads, perSampleGrads, metric }) => {
        const each = perSampleGrads();
        // Σ over examples of the squared norms of their gradients.
        metric('norms', addAll(...Object.values(each).map((value) => value.square().sum())));
        return { params: mapValues(params, (value, name) => value.sub(grads[name] as Tensor)) };
      },
    };
    const perSampleGradients = [
      {
        a: [
          [1, 0],
          [3, 0],
          [2, 2],
          [2, -2],
        ],
        b: [1, 2, 3, 6],
      },
    ];
    const result = await probeUpdateRule(rule, { params: { a: [0, 0], b: 1 }, perSampleGradients }, context);
    near(result, { steps: [{ metrics: { norms: 26 + 50 }, params: { a: [-2, 0], b: -2 } }] });
  });

  test('state that is given continues a run', async () => {
    const gradients = [{ w: [1, 2] }, { w: [-1, 0.5] }];
    const rule = () => sgd({ learningRate: 0.1, momentum: 0.9 });
    const whole = await probeUpdateRule(rule(), { params: { w: [0, 0] }, gradients }, context);
    const [first] = rows(whole);
    // A row of the result has more than an input takes.
    await expect(probeUpdateRule(rule(), { ...first, gradients }, context)).rejects.toThrow(OptionsError);
    const { params, state } = first as { params: object; state: object };
    const again = await probeUpdateRule(rule(), { params, state, gradients: [gradients[1]] }, context);
    expect(again['final']).toEqual(whole['final']);
  });

  test.each<[object, RegExp]>([
    [{ params: { w: [1] } }, /The input has no gradients\. Give "gradients", or/],
    [{ params: {}, gradients: [{}] }, /"params" is empty/],
    [{ params: { w: [1] }, gradients: [] }, /"gradients" is empty/],
    [
      { params: { w: [1, 2] }, gradients: [{ w: [1] }] },
      /"gradients\.0\.w" has shape \[1\]; the parameter needs \[2\]/,
    ],
    [{ params: { w: [1] }, gradients: [{ w: [1] }, { v: [1] }] }, /"gradients\.1\.v" is the gradient of no parameter/],
    [{ params: { w: [1], v: 1 }, gradients: [{ w: [1] }] }, /"gradients\.0" lacks the gradient of "v"/],
    [{ params: { w: [1] }, gradients: [{ w: ['nan'] }] }, /"gradients\.0\.w\.0" expected a finite number/],
    [
      { params: { w: [1] }, gradients: [{ w: [1] }, { w: [1] }], steps: 3 },
      /3 steps were asked for, with gradients for 2/,
    ],
    [{ params: { w: [1] }, gradient: [{ w: [1] }] }, /no option "gradient"; did you mean "gradients"/],
    [{ params: { w: [1] }, gradients: [{ w: [1] }], steps: 0 }, /"steps" expected/],
    [{ params: { w: [1] }, gradients: { w: [1] } }, /"gradients" expected a list|"gradients" expected an array/],
    [{ params: { w: [1] }, gradients: [{ w: [1] }], state: { x: 1 } }, /has no state "x"\. It has: velocity\/w/],
    [
      { params: { w: [1] }, gradients: [{ w: [1] }], state: { 'velocity/w': 1 } },
      /"state\.velocity\/w" has shape \[\]/,
    ],
    [{ params: { w: [1] }, gradients: [{ w: [1] }], noise: { u: [1] } }, /Nothing draws the noise "u"/],
    [{ params: { w: [1] }, gradients: [{ w: [1] }], roles: { v: 'bias' } }, /"roles\.v" is about no given parameter/],
    [{ params: { w: [1] }, gradients: [{ w: [1] }], model: { type: 'quadratic' } }, /has both "gradients" and "model"/],
    [{ params: { w: [1] }, perSampleGradients: [{ w: [1] }] }, /has shape \[1\]; the parameter needs \[1, 1\]/],
  ])('%j is refused', async (input, message) => {
    await expect(probeUpdateRule(sgd({ momentum: 0.9 }), input, context)).rejects.toThrow(message);
  });

  test('NaN is let in where it is wished, and comes out as text', async () => {
    const input = { params: { w: [1, 2] }, gradients: [{ w: ['nan', '-inf'] }], allowNonFinite: true };
    const result = await probeUpdateRule(sgd({ learningRate: 1 }), input, context);
    expect(result['final']).toMatchObject({ params: { w: ['nan', 'inf'] } });
  });
});

/** SPSA as in the card of BlackVIP: two losses per step, a direction that can be given. */
const spsa: UpdateRule = {
  init: (init) => ({ m: init.likeParams() }),
  update(update) {
    const w = update.params['w'] as Tensor;
    const delta = update.noise('delta', w.shape, 'rademacher');
    const c = update.scalar('c', (step) => 0.1 / step ** 0.1);
    const a = update.scalar('a', (step) => 0.1 / (step + 1) ** 0.4);
    const at = (sign: number) => update.loss({ w: w.add(delta.mul(c).mul(sign)) });
    const g = at(1).sub(at(-1)).div(c.mul(2)).div(delta);
    const m = ((update.state as { m: Record<string, Tensor> }).m['w'] as Tensor).mul(0.9).add(g);
    return { params: { w: w.sub(g.add(m.mul(0.9)).mul(a)) }, state: { m: { w: m } } };
  },
};

describe('an update rule on a described model', () => {
  const formula = { type: 'expression', loss: 'w[0]^2 + 3*w[1]' };

  test('losses and given random numbers: the golden check of a zeroth-order method', async () => {
    const result = await probeUpdateRule(
      spsa,
      {
        params: { w: [1, 0] },
        model: formula,
        steps: 2,
        noise: {
          delta: [
            [1, -0.5],
            [-0.5, 1],
          ],
        },
      },
      context,
    );
    near(
      result,
      {
        steps: [
          { loss: 1, params: { w: [0.928003, 0.143993] }, state: { 'm/w': [0.5, -1] }, noise: { delta: [1, -0.5] } },
          { params: { w: [1.409275, -0.057496] }, state: { 'm/w': [-3.693993, 1.171997] } },
        ],
      },
      2e-5,
    );
  });

  test('drawn random numbers follow from the seed and can be given again', async () => {
    const run = (extra: object) =>
      probeUpdateRule(spsa, { params: { w: [1, 0] }, model: formula, steps: 3, ...extra }, context);
    const drawn = await run({ seed: 4 });
    const noise = (drawn['steps'] as { noise: { delta: JsonValue } }[]).map((row) => row.noise.delta);
    expect(await run({ seed: 5, noise: { delta: noise } })).toEqual(drawn);
    expect(await run({ seed: 5 })).not.toEqual(drawn);
  });

  test.each<[object, RegExp]>([
    [{ delta: [[1, 1]] }, /"delta" has nothing for step 2\. Give a list with one tensor a step, each float32\[2\]/],
    [{ delta: [[1, 1], [1]] }, /"delta" is float32\[1\] at step 2; float32\[2\] is needed/],
    [{ detla: [[1, 1]] }, /Nothing draws the noise "detla"\. Drawn are: delta/],
  ])('noise %j is refused', async (noise, message) => {
    const input = { params: { w: [1, 0] }, model: formula, steps: 2, noise };
    await expect(probeUpdateRule(spsa, input, context)).rejects.toThrow(message);
  });

  test('what gradients do not tell is said', async () => {
    await expect(probeUpdateRule(spsa, { params: { w: [1] }, gradients: [{ w: [1] }] }, context)).rejects.toThrow(
      /asks for the loss at other parameters, which gradients alone do not tell\. Give a "model"/,
    );
  });

  test('Hessian-vector products of a quadratic: one Newton step ends in A⁻¹b', async () => {
    // The vector is given as noise; A·v comes back as the parameters.
    const product: UpdateRule = {
      init: () => ({}),
      update: ({ params, noise, hvp, loss, metric }) => {
        metric('half', loss());
        const v = mapValues(params, (value, name) => noise(name, value.shape));
        return { params: hvp(v) };
      },
    };
    const result = await probeUpdateRule(
      product,
      {
        params: { a: [1], b: [2] },
        model: {
          type: 'quadratic',
          A: [
            [2, 1],
            [1, 3],
          ],
          b: [1, -1],
        },
        noise: { a: [[1]], b: [[-2]] },
      },
      context,
    );
    // ½(2 + 4 + 12) − (1 − 2) = 10; A·(1, −2) = (0, −5).
    near(result, { steps: [{ loss: 10, metrics: { half: 10 }, params: { a: [0], b: [-5] } }] });
  });

  test('taps of a linear model, and a loss by name with labels that are whole numbers', async () => {
    const rule: UpdateRule = {
      init: () => ({}),
      update: ({ tap, params }) => {
        const [layer] = tap('W');
        if (layer === undefined) throw new Error('no tap');
        // xᵀ·∂L/∂z is the gradient of the weight.
        return { params: { W: matMul(layer.input.transpose(), layer.outputGradient), b: params['b'] as Tensor } };
      },
    };
    const result = await probeUpdateRule(
      rule,
      {
        params: {
          W: [
            [0, 0],
            [0, 0],
          ],
          b: [0, Math.log(3)],
        },
        model: { type: 'linear', input: 'x', weight: 'W', bias: 'b', output: 'logits' },
        reward: { name: 'cross-entropy' },
        batches: [{ x: [[1, 2]], label: [0] }],
      },
      context,
    );
    // softmax(0, ln 3) = (¼, ¾); minus the label: (−¾, ¾).
    near(result, {
      steps: [
        {
          loss: Math.log(4),
          params: {
            W: [
              [-0.75, 0.75],
              [-1.5, 1.5],
            ],
          },
        },
      ],
    });
  });

  test('losses per example, batches of several sizes', async () => {
    const input = {
      params: { w: 0 },
      model: { type: 'expression', perExample: '0.5 * (w - x)^2' },
      batches: [{ x: [2, 4] }, { x: [1, 1, 4] }, { x: [0] }, { x: [8, 8, 8, 8] }],
    };
    const result = await probeUpdateRule(sgd({ learningRate: 1 }), input, context);
    // A step of 1 lands on the mean.
    near(result, {
      steps: [{ loss: 5, params: { w: 3 } }, { params: { w: 2 } }, { params: { w: 0 } }, { params: { w: 8 } }],
    });
  });

  test.each<[object, RegExp]>([
    [
      { type: 'expression', loss: 'sum((v - x)^2)' },
      /uses "v", which is neither a parameter nor an input\. There are: w, x/,
    ],
    [{ type: 'expression', los: 'w' }, /has no "los"\. It has: loss, perExample, outputs/],
    [{ type: 'expression', outputs: { y: 'w' } }, /has no loss of its own\. Name one/],
    [{ type: 'expression', loss: '1 + x' }, /The loss is float32\[2\], not a float scalar/],
    [{ type: 'quadratic', A: [[1, 0]] }, /"model\.A" has shape \[1, 2\]; 2 parameters need \[2, 2\]/],
    [{ type: 'tree' }, /no model of type "tree"/],
    [{ loss: 'w' }, /"model\.type" expected/],
  ])('the model %j is refused', async (model, message) => {
    const input = { params: { w: [1, 2] }, model, batches: [{ x: [1, 1] }] };
    await expect(probeUpdateRule(sgd(), input, context)).rejects.toThrow(message);
  });
});

describe('a reward', () => {
  test('loss and gradient of the cross entropy by hand', async () => {
    const result = await probeReward(
      crossEntropy(),
      {
        inputs: {
          logits: [
            [0, Math.log(3)],
            [0, 0],
          ],
          label: [1, 0],
        },
      },
      context,
    );
    near(result, {
      loss: (Math.log(4 / 3) + Math.log(2)) / 2,
      metrics: { accuracy: 1 },
      perExample: { loss: [Math.log(4 / 3), Math.log(2)] },
      // (softmax − one-hot) / 2
      gradients: {
        logits: [
          [0.125, -0.125],
          [-0.25, 0.25],
        ],
      },
    });
    // Class numbers have no derivative.
    expect(Object.keys(result['gradients'] as object)).toEqual(['logits']);
  });

  test('gradients with respect to every float input; with a model, to its parameters too', async () => {
    near(await probeReward(meanSquaredError(), { inputs: { output: [[1], [3]], target: [[0], [1]] } }, context), {
      loss: 2.5,
      gradients: { output: [[1], [2]], target: [[-1], [-2]] },
    });
    near(
      await probeReward(
        meanSquaredError(),
        {
          model: { type: 'expression', outputs: { output: 'x @ W' } },
          params: { W: [[2]] },
          inputs: { x: [[1], [3]], target: [[0], [0]] },
        },
        context,
      ),
      { loss: 20, gradients: { x: [[4], [12]] }, parameterGradients: { W: [[20]] } },
    );
  });

  test('columns and outputs of one name are told apart', async () => {
    const reward: Reward = {
      objective: ({ batch, forward, scalar }) => ({
        loss: (batch['x'] as Tensor)
          .mul(forward()['x'] as Tensor)
          .sum()
          .mul(scalar('rate', (step) => step)),
      }),
    };
    const result = await probeReward(reward, { batch: { x: [1, 2] }, outputs: { x: [3, 4] }, step: 2 }, context);
    near(result, { loss: 22 });
  });

  test('scores and advantages on the host', async () => {
    const reward: Reward<string> = {
      score: (items) => items.map((item) => item.length),
      advantages: (scores, groups = []) =>
        scores.map((score, index) => {
          const group = scores.filter((_, other) => groups[other] === groups[index]);
          return score - group.reduce((a, b) => a + b, 0) / group.length;
        }),
    };
    expect(await probeReward(reward, { items: ['a', 'abc', 'abcd'], groups: [0, 0, 1] }, context)).toEqual({
      scores: [1, 3, 4],
      advantages: [-1, 1, 0],
    });
    expect(await probeReward(reward, { scores: [1, 5], groups: [0, 0] }, context)).toEqual({ advantages: [-2, 2] });
    await expect(probeReward(reward, {}, context)).rejects.toThrow(/nothing to evaluate\. Give "items" or "scores"/);
  });

  test.each<[object, RegExp]>([
    [{ inputs: { logits: [[1, 2]] } }, /no column "label"\. It has: logits/],
    [{ inputs: { logits: [[1, 2]], label: [[0, 1]] } }, /label|rank|shape/i],
    [{ inputs: { logits: [[1, 'inf']], label: [0] } }, /"inputs\.logits\.0\.1" expected a finite number/],
    [{ inputs: { label: [0] }, batch: { label: [0] } }, /"label" is given twice/],
    [{ items: [1] }, /scores no items/],
    [{ scores: [1] }, /makes no advantages/],
  ])('%j is refused', async (input, message) => {
    await expect(probeReward(crossEntropy(), input, context)).rejects.toThrow(message);
  });
});

describe('a sampler', () => {
  /** Grows its batch by what it is told, and shows it chances. */
  const growing = (): Sampler => {
    let size = 1;
    return {
      columns: { x: { dataType: 'float32', shape: ['batch'] } },
      draw: ({ random, step }) =>
        step > 3
          ? undefined
          : { columns: { x: tensor(Array.from({ length: size }, () => random.normal())) }, size, ids: [step] },
      observe: ({ metrics, perExample }) => {
        size += Number(metrics['more']) + Number(perExample['loss']?.data[0]);
      },
      probabilities: () => [1 / size, 1 - 1 / size],
      state: () => ({ size }),
      restore: (state) => {
        ({ size } = state as { size: number });
      },
    };
  };

  test('draws, batch sizes, chances and state under given feedback and random numbers', async () => {
    const feedback = [
      { metrics: { more: 1 }, perExample: { loss: [2] } },
      { loss: 'nan', metrics: { more: 0 }, perExample: { loss: [0] } },
    ];
    const result = await probeSampler(growing(), {
      feedback,
      steps: 3,
      allowNonFinite: true,
      random: [[0.5], [1, 2, 3, 4], [1, 2, 3, 4]],
    });
    expect(result).toEqual({
      initial: { state: { size: 1 }, probabilities: [1, 0] },
      draws: [
        { step: 1, size: 1, ids: [1], columns: { x: [0.5] }, probabilities: [0.25, 0.75], state: { size: 4 } },
        { step: 2, size: 4, ids: [2], columns: { x: [1, 2, 3, 4] }, probabilities: [0.25, 0.75], state: { size: 4 } },
        { step: 3, size: 4, ids: [3], columns: { x: [1, 2, 3, 4] }, probabilities: [0.25, 0.75], state: { size: 4 } },
      ],
      ended: false,
      final: { state: { size: 4 }, probabilities: [0.25, 0.75] },
    });
    expect(await probeSampler(growing(), { steps: 5, state: { size: 2 } })).toMatchObject({
      draws: [{ size: 2 }, { size: 2 }, { size: 2 }],
      ended: true,
    });
    await expect(probeSampler(growing(), { random: [[]] })).rejects.toThrow(/Draw 1 draws more than the 0 given/);
  });

  test('the same seed gives the same draws', async () => {
    const run = (seed: number) => probeSampler(growing(), { seed, steps: 3 });
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
  });

  test('step by step with a model: state and outputs of every step', async () => {
    // x ← x + f(x) + noise, where f is the model.
    const walk: GenerationSampler = {
      init: ({ state, inputs }) => ({ x: state([1], { initial: inputs['start'] ?? 0 }) }),
      steps: () => 5,
      step: ({ state, forward, noise }) => {
        const x = (state as { x: Tensor }).x;
        const push = forward({ x })['push'] as Tensor;
        return { state: { x: x.add(push).add(noise('kick', [1])) }, outputs: { push } };
      },
    };
    const result = await probeGeneration(
      walk,
      {
        inputs: { start: [1] },
        models: { field: { type: 'expression', outputs: { push: 'a * x' }, params: { a: 2 }, inputs: { x: [0] } } },
        noise: { kick: [[0], [1]] },
        steps: 2,
      },
      context,
    );
    expect(result).toMatchObject({
      steps: [
        { step: 1, outputs: { push: [2] }, state: { x: [3] }, noise: { kick: [0] } },
        { step: 2, outputs: { push: [6] }, state: { x: [10] }, noise: { kick: [1] } },
      ],
      final: { state: { x: [10] } },
    });
  });
});

describe('an aggregator', () => {
  const sources = [
    { id: 'a', weight: 1, values: { w: [1, 0], b: 3 } },
    { id: 'b', weight: 3, values: { w: [5, 4], b: -1 } },
    { id: 'c', weight: 0, values: { w: [100, -9], b: 0 } },
  ];

  test('weighted mean, median and trimmed mean by hand', async () => {
    near(await probeAggregator(mean(), { sources }, context), { final: { result: { w: [4, 3], b: 0 } } });
    near(await probeAggregator(median(), { sources }, context), { final: { result: { w: [5, 0], b: 0 } } });
    near(await probeAggregator(trimmedMean({ trim: 0.4 }), { sources }, context), {
      final: { result: { w: [5, 0], b: 0 } },
    });
  });

  test('state between rounds, ids, the own source first, and the values that are replaced', async () => {
    // Half of what is there, half of the own source; counts the rounds.
    const half: Aggregator = {
      init: ({ state }) => ({ rounds: state([]) }),
      combine: ({ state, own, current, population }, all) => ({
        values: mapValues(current ?? {}, (value, name) => value.add(own?.values[name] as Tensor).mul(0.5)),
        state: { rounds: (state as { rounds: Tensor }).rounds.add(1) },
        outputs: { first: (all[0]?.values['b'] as Tensor).identity(), population: population.identity() },
      }),
    };
    const result = await probeAggregator(
      half,
      {
        rounds: [sources, sources.slice(0, 2)],
        own: 'b',
        current: { w: [1, 0], b: 1 },
        state: { rounds: 5 },
        population: 7,
      },
      context,
    );
    near(result, {
      rounds: [
        { round: 1, result: { w: [3, 2], b: 0 }, state: { rounds: 6 }, outputs: { first: -1, population: 7 } },
        { round: 2, result: { w: [4, 3], b: -0.5 }, state: { rounds: 7 } },
      ],
    });
  });

  test.each<[object, RegExp]>([
    [{}, /no sources/],
    [{ sources: [] }, /"sources" has no sources/],
    [{ sources, rounds: [sources] }, /both "sources" and "rounds"/],
    [
      { sources: [sources[0], { values: { w: [1, 0] } }] },
      /"sources\.1\.values\.b" is missing; the first source has float32\[\]/,
    ],
    [
      { sources: [sources[0], { values: { w: [1], b: 1 } }] },
      /"sources\.1\.values\.w" is float32\[1\]; the first source has float32\[2\]/,
    ],
    [{ sources: [{ weight: -1, values: { w: 1 } }] }, /"sources\.0\.weight" expected a number/],
    [{ sources: [{ values: { w: ['inf'] } }] }, /"sources\.0\.values\.w\.0" expected a finite number/],
    [{ sources, own: 'd' }, /"own" names no source of "sources"\. There are: a, b, c/],
    [{ sources, current: { w: [1, 2] } }, /"current" has other names or shapes/],
    [{ sources, state: { x: 1 } }, /"state\.x" is no state/],
  ])('%j is refused', async (input, message) => {
    await expect(probeAggregator(mean(), input, context)).rejects.toThrow(message);
  });
});

/** Central differences of Σ weight·output with respect to one number of the input. */
async function difference(
  exported: unknown,
  input: { readonly [key: string]: unknown },
  change: (by: number) => object,
): Promise<number> {
  const total = async (by: number): Promise<number> => {
    const { outputs } = (await probeModule(exported, { ...input, ...change(by) }, context)) as unknown as {
      outputs: { output: number[][][] };
    };
    return outputs.output.flat(3).reduce((sum, value, index) => sum + value * (index + 1), 0);
  };
  const h = 1e-2;
  return ((await total(h)) - (await total(-h))) / (2 * h);
}

describe('a module', () => {
  test('dense by hand', async () => {
    const result = await probeModule(
      dense,
      {
        options: { units: 2 },
        inputs: { x: [[1, 2]] },
        weights: {
          'dense.weight': [
            [1, 2],
            [3, 4],
          ],
          'dense.bias': [0.5, -0.5],
        },
        outputGradients: { output: [[1, 10]] },
      },
      context,
    );
    near(result, {
      outputs: { output: [[7.5, 9.5]] },
      gradients: { x: [[21, 43]] },
      weightGradients: {
        'dense.weight': [
          [1, 10],
          [2, 20],
        ],
        'dense.bias': [1, 10],
      },
    });
  });

  test('attention: gradients against central differences', async () => {
    const x = [
      [
        [0.3, -0.2],
        [0.5, 0.1],
        [-0.4, 0.7],
      ],
    ];
    const input = { arguments: [{ heads: 1, causal: true }], inputs: { x }, seed: 3 };
    const outputGradients = {
      output: [
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      ],
    };
    const result = await probeModule(attention, { ...input, outputGradients }, context);
    const { gradients, weights, weightGradients } = result as unknown as {
      gradients: { x: number[][][] };
      weights: Record<string, number[][]>;
      weightGradients: Record<string, number[][]>;
    };
    for (const row of [0, 1, 2]) {
      const change = (by: number) => ({
        weights,
        inputs: {
          x: [x[0]?.map((values, at) => values.map((value, axis) => (at === row && axis === 1 ? value + by : value)))],
        },
      });
      expect(gradients.x[0]?.[row]?.[1]).toBeCloseTo(await difference(attention, input, change), 2);
    }
    const name = 'attention.qkv.weight';
    const change = (by: number) => ({
      weights: {
        ...weights,
        [name]: weights[name]?.map((values, at) =>
          values.map((value, axis) => (at === 1 && axis === 3 ? value + by : value)),
        ),
      },
    });
    expect(weightGradients[name]?.[1]?.[3]).toBeCloseTo(await difference(attention, input, change), 2);
  });

  test('whole numbers become indices where a layer needs them; models have named outputs', async () => {
    near(
      await probeModule(
        embedding,
        {
          options: { vocabulary: 3, width: 2 },
          inputs: { tokens: [[2, 0]] },
          weights: {
            'embedding.weight': [
              [1, 2],
              [3, 4],
              [5, 6],
            ],
          },
          outputGradients: { output: 1 },
        },
        context,
      ),
      {
        outputs: {
          output: [
            [
              [5, 6],
              [1, 2],
            ],
          ],
        },
        weightGradients: {
          'embedding.weight': [
            [1, 1],
            [0, 0],
            [1, 1],
          ],
        },
      },
    );
    const result = await probeModule(
      gpt,
      { options: { vocabulary: 5, context: 4, width: 4, depth: 1, heads: 2 }, inputs: { tokens: [[0, 1, 2, 3]] } },
      context,
    );
    const { logits } = result['outputs'] as { logits: number[][][] };
    expect(logits[0]).toHaveLength(4);
    expect(logits[0]?.[0]).toHaveLength(5);
  });

  test.each<[object, RegExp]>([
    [
      { options: { units: 2 }, inputs: { x: [[1, 2]] }, weights: { 'dense.weight': [[1]] } },
      /"dense\.weight" is float32\[1, 1\]; the model declares float32\[2, 2\]/,
    ],
    [
      { options: { units: 2 }, inputs: { x: [[1, 2]] }, weights: { weight: [[1]] } },
      /none of the weights "weight"\. It has: dense\.weight, dense\.bias/,
    ],
    [
      { options: { units: 2 }, inputs: { x: [[1, 2]] }, outputGradients: { y: 1 } },
      /weighs no output\. There are: output/,
    ],
    [
      { options: { units: 2 }, inputs: { x: [[1, 2]] }, outputGradients: { output: [1, 2, 3] } },
      /has shape \[3\]; the output has \[1, 2\]/,
    ],
    [{ options: { units: 2 } }, /"inputs" expected/],
  ])('%j is refused', async (input, message) => {
    await expect(probeModule(dense, input, context)).rejects.toThrow(message);
  });
});

describe('a function', () => {
  test('plain: numbers, typed arrays, objects', async () => {
    const norm = (values: Float64Array, options: { scale: number }) => ({
      norm: Math.hypot(...values) * options.scale,
      values,
      names: new Map([['a', Infinity]]),
    });
    expect(await probeCall(norm, { arguments: [{ array: [3, 4] }, { scale: 'inf' }] }, context)).toEqual({
      result: { norm: 'inf', values: [3, 4], names: { a: 'inf' } },
    });
    class Counter {
      constructor(readonly count: number) {}
      plus(by: number): Promise<Counter> {
        return Promise.resolve(new Counter(this.count + by));
      }
    }
    expect(
      await probeCall(
        (count: number) => new Counter(count),
        { arguments: [1], then: [{ method: 'plus', arguments: [2] }] },
        context,
      ),
    ).toEqual({ result: { count: 3 } });
  });

  test('on tensors of a graph, with gradients', async () => {
    near(
      await probeCall(
        orthogonalize,
        {
          arguments: [
            {
              tensor: [
                [3, 0],
                [0, 4],
              ],
            },
            1,
          ],
        },
        context,
      ),
      {
        result: {
          output: [
            [1.19326944, 0],
            [0, 0.97648195],
          ],
        },
      },
    );
    near(
      await probeCall(
        (x: Tensor, factor: number) => ({ twice: x.mul(factor), square: x.square() }),
        { arguments: [{ tensor: [1, 3] }, 2], outputGradients: { square: [1, 10], twice: 1 } },
        context,
      ),
      { result: { twice: [2, 6], square: [1, 9] }, gradients: { 'arguments.0': [4, 62] } },
    );
  });

  test('what contains itself is refused', async () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    await expect(probeCall(() => circular, {}, context)).rejects.toThrow(/contains itself/);
    await expect(probeCall(3, {}, context)).rejects.toThrow(/no function/);
    await expect(probeCall(() => 1, { then: [{ method: 'x' }] }, context)).rejects.toThrow(/no method "x"/);
  });
});

test('schemas describe the input and refer to what they define', () => {
  for (const kind of ['update-rule', 'reward', 'sampler', 'generation', 'aggregator', 'module', 'call'] as const) {
    const schema = probeJsonSchema(kind) as { $defs: object; properties: object };
    const text = JSON.stringify(schema);
    for (const [, name] of text.matchAll(/"#\/\$defs\/(\w+)"/g)) expect(Object.keys(schema.$defs)).toContain(name);
    for (const [name, property] of Object.entries(schema.properties))
      expect([name, (property as { description?: string }).description ?? '', JSON.stringify(property)]).not.toContain(
        '{}',
      );
  }
});

test('comparisons look at the expected part alone, and find the largest error', () => {
  const found = { a: [1, 2.001], b: { c: 'x', d: 'inf' }, e: 1 };
  expect(compareResult(found, { a: [1, 2], b: { d: 'inf' } }, { absolute: 0.01 })).toMatchObject({
    problems: [],
    at: 'a.1',
    compared: 3,
  });
  expect(compareResult(found, { a: [1, 2], b: { c: 'y' }, f: 1 }, { absolute: 1e-4, relative: 0 }).problems).toEqual([
    'a.1 is 2.001, not 2 (off by 0.00100)',
    'b.c is "x", not "y"',
    'f is missing (there is: a, b, e)',
  ]);
  expect(compareResult({ a: ['nan'] }, { a: [1] }).problems).toEqual(['a.0 is "nan", not 1']);
  expect(compareResult({ a: [1, 2] }, { a: [null, 2] }).problems).toEqual([]);
  expect(compareResult({ a: [1] }, { a: [1, 2] }).problems).toEqual(['a has 1 elements, not 2 elements']);
});
