import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { tensor, type Tensor } from '@updraft/graph';
import { probeUpdateRule, type Reward, type Update, type UpdateContext, type UpdateRule } from '../index.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

/** The loss w³ + v², with drawn targets 7·w²/2: what v is does not matter to them. */
const reward: Reward = {
  objective({ params }) {
    const [w, v] = [params['w'] as Tensor, params['v'] as Tensor];
    return {
      loss: w.mul(w).mul(w).add(v.square()),
      sampled: () => ({ loss: w.square().mul(3.5), predictions: w.graph.constant(5) }),
    };
  },
};
const input = {
  params: { w: 2, v: 3 },
  reward: 'own',
  model: { type: 'expression', outputs: { product: 'w * v' } },
};

/** What a rule finds becomes the parameters, where it can be read. */
const showing = (found: (context: UpdateContext) => Update['params']): UpdateRule => ({
  init: () => ({}),
  update: (context) => {
    const params = found(context);
    return params === undefined ? {} : { params };
  },
});
const shown = async (rule: UpdateRule, own: Reward = reward): Promise<unknown> => {
  const { final } = await probeUpdateRule(rule, input, { backend, reward: () => own });
  return (final as { params: unknown }).params;
};

test('gradients with drawn targets: those of the sampled loss, zeros where it does not depend on a parameter', async () => {
  expect(await shown(showing((context) => context.sampledGrads().grads))).toEqual({ w: 14, v: 0 });
  const count = (context: UpdateContext): Tensor => context.sampledGrads().predictions;
  expect(await shown(showing((context) => ({ w: count(context) })))).toEqual({ w: 5, v: 3 });
});

test('they and Hessian-vector products are had at other parameters as well', async () => {
  const there = ({ params }: UpdateContext): Record<string, Tensor> => ({
    w: (params['w'] as Tensor).add(1),
    v: params['v'] as Tensor,
  });
  expect(await shown(showing((context) => context.sampledGrads(there(context)).grads))).toEqual({ w: 21, v: 0 });
  const direction = ({ params }: UpdateContext): Record<string, Tensor> => {
    const { graph } = params['w'] as Tensor;
    return { w: graph.constant(tensor(1)), v: graph.constant(tensor(10)) };
  };
  // The Hessian is diag(6w, 2).
  expect(await shown(showing((context) => context.hvp(direction(context))))).toEqual({ w: 12, v: 20 });
  expect(await shown(showing((context) => context.hvp(direction(context), there(context))))).toEqual({ w: 18, v: 20 });
});

test('a reward that does not draw targets is refused, and says what it lacks', async () => {
  const plain: Reward = {
    objective: ({ params }) => ({ loss: (params['w'] as Tensor).mul(params['v'] as Tensor) }),
  };
  await expect(
    shown(
      showing((context) => context.sampledGrads().grads),
      plain,
    ),
  ).rejects.toThrow(/does not say how targets are drawn.*`sampled`/s);
});

test('gradients alone do not tell them, unless they are given', async () => {
  const rule = (): UpdateRule => showing((context) => context.sampledGrads().grads);
  const given = { params: { w: [1, 2] }, gradients: [{ w: [3, 4] }, { w: [3, 4] }] };
  await expect(probeUpdateRule(rule(), given, { backend })).rejects.toThrow(/sampledGradients/);
  const sampledGradients = [{ w: [5, 6] }, { w: [7, 8] }];
  const found = await probeUpdateRule(rule(), { ...given, sampledGradients }, { backend });
  expect(found['steps']).toMatchObject([{ params: { w: [5, 6] } }, { params: { w: [7, 8] } }]);
  const short = { ...given, gradients: [...given.gradients, { w: [3, 4] }], sampledGradients };
  await expect(probeUpdateRule(rule(), short, { backend })).rejects.toThrow(/3 "gradients" and 2 "sampledGradients"/);
});
