import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { CoreError, defineModel, train, type Model, type Sampler, type UpdateRule } from '@updraft/core';
import {
  concat,
  conv,
  Graph,
  tensor,
  type ConvolutionOptions,
  type NestedNumbers,
  type Tensor,
  type TensorData,
} from '@updraft/graph';
import { dense, relu, sequential } from '@updraft/nn';
import * as rules from '@updraft/rules';
import { parseProbeCases, runProbeCase, testUpdateRule, type Task } from '@updraft/testing';
import * as all from './index.js';
import { Tract, tract, tractGradient } from './index.js';

jest.setTimeout(120_000);

const json = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as unknown;

/** Batches from a list, the first again after the last. */
function batches(list: readonly Readonly<Record<string, TensorData>>[], columns: Sampler['columns']): Sampler {
  let position = 0;
  return {
    columns,
    draw: () => ({ columns: list[position++ % list.length] as Readonly<Record<string, TensorData>>, size: 1 }),
    state: () => position,
    restore(state) {
      position = Number(state);
    },
  };
}

const column = (...shape: (number | string)[]) => ({ dataType: 'float32', shape }) as const;
const wave = (seed: number, ...dims: number[]): TensorData<'float32'> => ({
  dataType: 'float32',
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, at) =>
    Math.sin(1.7 * at * (seed + 1) + seed),
  ),
});

/** Two dense layers on six rows of four inputs. */
const network: Model = defineModel({
  name: 'network',
  inputs: { x: column('batch', 4) },
  build: (scope, { x }) => sequential(dense({ units: 3 }), relu, dense({ units: 2, name: 'head' }))(scope, x as Tensor),
});
const squares = {
  objective: ({ batch, forward }: Parameters<NonNullable<Task['reward']['objective']>>[0]) => ({
    loss: (forward()['output'] as Tensor)
      .sub(batch['y'] as Tensor)
      .square()
      .mean(),
  }),
};
const regression = (): Task => ({
  model: network,
  reward: squares,
  sampler: batches(
    [0, 1, 2].map((seed) => ({ x: wave(seed, 6, 4), y: wave(seed + 10, 6, 2) })),
    { x: column('batch', 4), y: column('batch', 2) },
  ),
});

testUpdateRule(Tract, {
  task: regression,
  learns: { options: { inner: rules.adam({ learningRate: 0.05 }) } },
  gradientsOnly: false,
  separable: false,
  effects: {
    inner: { value: rules.adam() },
    layer: { value: 'head' },
    form: { value: 'dual' },
    iterations: { value: 2 },
  },
});

describe('the card of TrAct', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend({ device: 'cpu' });
  });
  afterAll(() => backend.dispose());

  test.each(parseProbeCases(json('tract')))('$name', async (one) => {
    await runProbeCase(one, { exports: all, others: [rules], backend });
  });

  const evaluate = async (
    build: (graph: Graph) => Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, number[]>> => {
    const graph = new Graph('test');
    for (const [name, value] of Object.entries(build(graph))) graph.output(value, name);
    const program = await backend.compile(graph);
    const found = await program.run({});
    await program.dispose();
    return Object.fromEntries(
      Object.entries(found).map(([name, value]) => [name, Array.from(value.data as Float32Array)]),
    );
  };
  const largest = (values: readonly number[]): number => Math.max(...values.map(Math.abs));

  test('a large λ gives the plain gradient, λ near 0 least squares, and both forms are one matrix', async () => {
    const found = await evaluate((graph) => {
      const [x, dz] = [graph.constant(wave(3, 9, 5)), graph.constant(wave(4, 9, 2))];
      const large = tractGradient(x, dz, { lambda: 1e6 });
      return {
        plain: large.plain,
        large: large.gradient.mul(1e6),
        primal: tractGradient(x, dz, { form: 'primal' }).gradient,
        dual: tractGradient(x, dz, { form: 'dual' }).gradient,
      };
    });
    const away = (a: string, b: string): number =>
      largest((found[a] as number[]).map((value, at) => value - (found[b]?.[at] as number)));
    expect(away('large', 'plain')).toBeLessThan(1e-4 * largest(found['plain'] as number[]));
    expect(away('primal', 'dual')).toBeLessThan(2e-5 * largest(found['primal'] as number[]));
  });

  test('with λ near 0 the pre-activations move along their gradient exactly, where weights can do it', async () => {
    // Three independent rows of three inputs: any change of the pre-activations has weights.
    const { moved, wanted } = await evaluate((graph) => {
      const x = graph.constant(tensor([[2, 0, 1], [0, 1, -1], [1, 1, 1]])); // prettier-ignore
      const dz = graph.constant(tensor([[1, -2], [0.5, 0], [3, 1]])); // prettier-ignore
      const { gradient } = tractGradient(x, dz, { lambda: 1e-6 });
      // b absorbs the mean of the loss: X G'ᵀ = b ∇z.
      return { moved: x.matMul(gradient.transpose([1, 0])).div(3), wanted: dz.mul(1) };
    });
    (moved as number[]).forEach((value, at) => {
      expect(value).toBeCloseTo((wanted as number[])[at] as number, 3);
    });
  });

  test('inputs of 0 to 255 and worse stay finite', async () => {
    const scales = [255, 1e6, 1e-12];
    const found = await evaluate((graph) =>
      Object.fromEntries(
        scales.flatMap((scale) =>
          (['primal', 'dual'] as const).map((form) => {
            const x = graph.constant(wave(1, 5, 8)).mul(scale);
            return [`${form} ${scale}`, tractGradient(x, graph.constant(wave(2, 5, 3)), { form }).gradient];
          }),
        ),
      ),
    );
    for (const values of Object.values(found)) for (const value of values) expect(Number.isFinite(value)).toBe(true);
    // Tiny inputs: the ridge is all there is.
    const tiny = await evaluate((graph) => ({
      plain: tractGradient(graph.constant(wave(1, 5, 8)).mul(1e-12), graph.constant(wave(2, 5, 3))).plain.div(0.1),
    }));
    const expected = tiny['plain'] as number[];
    (found['primal 1e-12'] as number[]).forEach((value, at) => {
      expect(Math.abs(value - (expected[at] as number))).toBeLessThan(1e-5 * largest(expected));
    });
  });

  const { convolutions } = json('convolutions') as {
    readonly convolutions: readonly {
      readonly name: string;
      readonly options: Readonly<Record<'stride' | 'padding' | 'dilation', number | undefined>>;
      readonly [values: string]: unknown;
    }[];
  };
  const values = (given: unknown): TensorData<'float32'> => tensor(given as NestedNumbers) as TensorData<'float32'>;
  const changeOf = async (
    model: Model,
    weight: TensorData,
    sampler: Sampler,
    rule: UpdateRule,
    loss = 'dz',
  ): Promise<number[]> => {
    const { params } = await train({
      model,
      backend,
      updateRule: rule,
      steps: 1,
      sampler,
      reward: {
        objective: ({ batch, forward }) => ({ loss: (forward()['output'] as Tensor).mul(batch[loss] as Tensor).sum() }),
      },
      initial: { weight },
    }).result();
    const after = params['weight']?.data as Float32Array;
    return Array.from(after, (value, at) => ((weight.data as Float32Array)[at] as number) - value);
  };

  test.each(convolutions)('convolution: $name', async ({ options, x, weight, dz, gradient }) => {
    const { stride, padding, dilation } = options;
    const window: ConvolutionOptions = {
      ...(stride === undefined ? {} : { strides: [stride, stride] }),
      ...(dilation === undefined ? {} : { dilations: [dilation, dilation] }),
      ...(padding === undefined ? {} : { pads: new Array<number>(4).fill(padding) }),
    };
    const [input, kernel, upstream, expected] = [x, weight, dz, gradient].map(values) as [TensorData<'float32'>, TensorData<'float32'>, TensorData<'float32'>, TensorData<'float32'>]; // prettier-ignore
    const model = defineModel({
      name: 'convolution',
      inputs: { x: column('batch', ...input.dims.slice(1)) },
      build: (scope, inputs) =>
        conv(
          inputs['x'] as Tensor,
          scope.parameter('weight', kernel.dims, { initialize: () => kernel.data }),
          undefined,
          window,
        ),
    });
    const sampler = batches([{ x: input, dz: upstream }], {
      x: column('batch', ...input.dims.slice(1)),
      dz: column('batch', ...upstream.dims.slice(1)),
    });
    for (const form of ['auto', 'dual'] as const) {
      const change = await changeOf(model, kernel, sampler, tract(rules.sgd({ learningRate: 1 }), { form }));
      change.forEach((value, at) => {
        expect(Math.abs(value - (expected.data[at] as number))).toBeLessThan(2e-5 * largest(Array.from(expected.data)));
      });
    }
  });

  test('bias and later layers get the gradients that the optimiser alone gets', async () => {
    const run = (updateRule: UpdateRule) => train({ ...regression(), backend, updateRule, steps: 1, seed: 5 }).result();
    const [plain, treated] = [
      await run(rules.sgd({ learningRate: 0.5 })),
      await run(tract(rules.sgd({ learningRate: 0.5 }))),
    ];
    for (const name of ['dense.bias', 'head.weight', 'head.bias'])
      expect(treated.params[name]?.data).toEqual(plain.params[name]?.data);
    expect(treated.params['dense.weight']?.data).not.toEqual(plain.params['dense.weight']?.data);
    expect(Object.keys(treated.state)).toEqual(Object.keys(plain.state));
  });

  test('a layer that is used twice fits one change to all that it saw', async () => {
    const [x, dz, weight] = [wave(1, 8, 3), wave(2, 8, 2), wave(3, 3, 2)];
    const shared = (halves: boolean): Model =>
      defineModel({
        name: 'shared',
        inputs: { x: column(8, 3) },
        build(scope, inputs) {
          const w = scope.parameter('weight', [3, 2], { initialize: () => weight.data });
          const input = inputs['x'] as Tensor;
          if (!halves) return input.matMul(w);
          return concat(
            [0, 4].map((from) => input.slice([from], [from + 4], [0]).matMul(w)),
            0,
          );
        },
      });
    const sampler = (): Sampler => batches([{ x, dz }], { x: column(8, 3), dz: column(8, 2) });
    const rule = (): UpdateRule => tract(rules.sgd({ learningRate: 1 }));
    const [once, twice] = [
      await changeOf(shared(false), weight, sampler(), rule()),
      await changeOf(shared(true), weight, sampler(), rule()),
    ];
    once.forEach((value, at) => {
      expect(twice[at]).toBeCloseTo(value, 4);
    });
  });

  test('a layer that is not there is refused with what there is', async () => {
    const run = train({ ...regression(), backend, updateRule: tract(rules.sgd(), { layer: 'fc0' }), steps: 1 });
    await expect(run.result()).rejects.toThrow(CoreError);
    const again = train({ ...regression(), backend, updateRule: tract(rules.sgd(), { layer: 'fc0' }), steps: 1 });
    await expect(again.result()).rejects.toThrow(/no layer "fc0".*\n?.*/);
  });
});
