import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  argMax,
  conv,
  copyGraph,
  Graph,
  layerNormalization,
  matMul,
  round,
  softmax,
  tensor,
  type Tensor,
  type TensorData,
} from '@updraft/graph';
import { DerivativeTable, zeroDerivative } from './derivative.js';
import { NonDifferentiableError } from './errors.js';
import { gradients } from './gradients.js';
import { perSampleGradients } from './per-sample.js';
import { standardRules } from './rules/index.js';
import { hessianVectorProduct, jvp, valueAndGrad } from './second-order.js';
import { stopGradient, straightThrough } from './stop-gradient.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

async function run(graph: Graph, feeds: Record<string, TensorData>): Promise<Record<string, number[]>> {
  const program = await backend.compile(graph);
  const outputs = await program.run(feeds);
  await program.dispose();
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data as Float32Array)]),
  );
}

describe('gradients', () => {
  test('of x³ + y·x with respect to both, to third order', async () => {
    const graph = new Graph('cubic');
    const x = graph.input('x', 'float32', []);
    const y = graph.input('y', 'float32', []);
    const loss = x.mul(x).mul(x).add(x.mul(y));
    const [dx, dy] = gradients(loss, [x, y]) as [Tensor, Tensor];
    const [dxx, dxy] = gradients(dx, [x, y]) as [Tensor, Tensor];
    const [dxxx] = gradients(dxx, [x]) as [Tensor];
    Object.entries({ dx, dy, dxx, dxy, dxxx }).forEach(([name, value]) => graph.output(value, name));
    const found = await run(graph, { x: tensor(2), y: tensor(5) });
    // 3x² + y, x, 6x, 1, 6.
    expect(found).toEqual({ dx: [17], dy: [2], dxx: [12], dxy: [1], dxxx: [6] });
  });

  test('with respect to intermediate values, inputs that nothing depends on, and several outputs', async () => {
    const graph = new Graph('taps');
    const x = graph.input('x', 'float32', [2]);
    const unused = graph.input('unused', 'float32', [3]);
    const hidden = x.mul(3);
    const [dHidden, dUnused] = gradients([hidden.square().sum(), hidden.sum()], [hidden, unused]) as [Tensor, Tensor];
    graph.output(dHidden, 'dHidden');
    graph.output(dUnused.identity(), 'dUnused');
    expect(await run(graph, { x: tensor([1, -2]), unused: tensor([1, 2, 3]) })).toEqual({
      dHidden: [7, -11],
      dUnused: [0, 0, 0],
    });
    expect(() => gradients(hidden.sum(), [unused], { unconnected: 'error' })).toThrow('No differentiable path');
  });

  test('stopGradient cuts, also in copies; straightThrough passes', async () => {
    const graph = new Graph('cuts');
    const x = graph.input('x', 'float32', [2]);
    const cut = x.mul(stopGradient(x)).sum();
    const through = straightThrough(round(x), x).square().sum();
    graph.output(gradients(cut, [x])[0] as Tensor, 'cut');
    graph.output(gradients(through, [x])[0] as Tensor, 'through');
    graph.output(through, 'rounded');
    expect(await run(graph, { x: tensor([1.4, -2.6]) })).toEqual({
      cut: [expect.closeTo(1.4, 6), expect.closeTo(-2.6, 6)],
      through: [2, -6],
      rounded: [10],
    });
    const source = new Graph('source');
    const input = source.input('x', 'float32', []);
    source.output(input.mul(stopGradient(input)), 'y');
    const copy = copyGraph(source).graph;
    const [dx] = gradients(copy.outputs[0] as Tensor, [copy.inputs[0] as Tensor]) as [Tensor];
    copy.output(dx.identity(), 'dx');
    expect((await run(copy, { x: tensor(3) }))['dx']).toEqual([3]);
  });

  test('an operator without a rule is named with the node and the path; callers may add one', () => {
    const graph = new Graph('blocked');
    const x = graph.input('x', 'float32', [2, 2]);
    const table = new DerivativeTable(standardRules().filter(({ operator }) => operator !== 'Exp'));
    const loss = x.mul(2).exp().sum();
    expect(() => gradients(loss, [x], { derivatives: table })).toThrow(NonDifferentiableError);
    expect(() => gradients(loss, [x], { derivatives: table })).toThrow(
      /Exp of node "Exp".*"x" → Mul "Mul" → Exp "Exp"/,
    );
    expect(() => gradients(loss, [x], { derivatives: table.add(zeroDerivative('Exp')) })).not.toThrow();
    // A path through indices carries no gradient.
    expect(() => gradients(argMax(x, 1).cast('float32').sum(), [x], { unconnected: 'error' })).toThrow(
      'No differentiable path',
    );
  });

  test('a deep chain does not exhaust the stack', () => {
    const graph = new Graph('deep');
    const x = graph.input('x', 'float32', [1]);
    let value: Tensor = x;
    for (let layer = 0; layer < 20_000; layer++) value = value.add(1);
    expect(gradients(value.sum(), [x])).toHaveLength(1);
  });

  test('a symbolic batch: gradients build once and run for any size', async () => {
    const graph = new Graph('symbolic');
    const x = graph.input('x', 'float32', ['batch', 1, 4, 4]);
    const k = graph.input('k', 'float32', [2, 1, 3, 3]);
    const w = graph.input('w', 'float32', [8, 3]);
    const g = graph.input('g', 'float32', [8]);
    const ids = graph.input('ids', 'int64', ['batch']);
    const table = graph.input('table', 'float32', [5, 3]);
    const hidden = layerNormalization(conv(x, k).reshape([-1, 8]), g);
    const loss = softmax(matMul(hidden, w).add(table.gather(ids)).add(graph.constant(1)))
      .square()
      .mean();
    const wrt = [k, w, g, table];
    gradients(loss, wrt).forEach((gradient, index) => {
      expect(gradient.shape).toEqual((wrt[index] as Tensor).shape);
      graph.output(gradient, `d${index}`);
    });
    const values = (dims: readonly number[]): TensorData => ({
      dataType: 'float32',
      dims,
      data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, index) => Math.sin(index * 7.3)),
    });
    const feeds = (batch: number): Record<string, TensorData> => ({
      x: values([batch, 1, 4, 4]),
      k: values([2, 1, 3, 3]),
      w: values([8, 3]),
      g: values([8]),
      table: values([5, 3]),
      ids: tensor(
        Array.from({ length: batch }, (_, index) => index % 5),
        'int64',
      ),
    });
    for (const batch of [1, 3]) {
      const symbolic = await run(graph, feeds(batch));
      const bound = await run(copyGraph(graph, { dims: new Map([['batch', batch]]) }).graph, feeds(batch));
      for (const [name, numbers] of Object.entries(symbolic))
        expect(numbers).toEqual(bound[name]?.map((value) => expect.closeTo(value, 6)));
    }
  });
});

describe('directions', () => {
  test('Hessian-vector products equal the Hessian by hand', async () => {
    const graph = new Graph('hvp');
    const x = graph.input('x', 'float32', [2]);
    const v = graph.input('v', 'float32', [2]);
    // f = x₀²·x₁ + x₁³: H = [[2x₁, 2x₀], [2x₀, 6x₁]].
    const [a, b] = [x.slice([0], [1]), x.slice([1], [2])];
    const loss = a.square().mul(b).add(b.mul(b).mul(b)).sum();
    graph.output(hessianVectorProduct(loss, [x], [v])[0] as Tensor, 'hv');
    expect((await run(graph, { x: tensor([3, 2]), v: tensor([1, -1]) }))['hv']).toEqual([4 - 6, 6 - 12]);
  });

  test('forward derivatives equal the Jacobian times the tangent', async () => {
    const graph = new Graph('jvp');
    const x = graph.input('x', 'float32', [3]);
    const t = graph.input('t', 'float32', [3]);
    graph.output(jvp([x.square(), x.sum()], [x], [t])[0] as Tensor, 'squares');
    graph.output(jvp([softmax(x)], [x], [t])[0] as Tensor, 'softmax');
    const found = await run(graph, { x: tensor([1, 2, 3]), t: tensor([1, 0, -1]) });
    expect(found['squares']).toEqual([2, 0, -6]);
    const exponentials = [1, 2, 3].map(Math.exp);
    const total = exponentials.reduce((p, q) => p + q);
    const p = exponentials.map((value) => value / total);
    const mean = (p[0] as number) - (p[2] as number);
    expect(found['softmax']).toEqual(
      p.map((value, index) => expect.closeTo(value * (([1, 0, -1][index] as number) - mean), 6)),
    );
  });

  test('valueAndGrad gives both', () => {
    const graph = new Graph('both');
    const x = graph.input('x', 'float32', [2]);
    const { value, gradients: found } = valueAndGrad((one) => one.square().sum(), [x] as const);
    expect(value.shape).toEqual([]);
    expect(found[0]?.shape).toEqual([2]);
  });
});

describe('per-sample gradients', () => {
  test('equal the gradients of each example alone', async () => {
    const build = (batch: number | string): { graph: Graph; losses: Tensor; w: Tensor; x: Tensor; y: Tensor } => {
      const graph = new Graph('samples');
      const x = graph.input('x', 'float32', [batch, 3]);
      const y = graph.input('y', 'float32', [batch, 2]);
      const w = graph.input('w', 'float32', [3, 2]);
      return { graph, losses: matMul(x, w).tanh().sub(y).square().sum([1]), w, x, y };
    };
    const rows = [
      [1, 2, 3],
      [-1, 0.5, 0.2],
      [0.1, 0.2, -0.3],
    ];
    const targets = [
      [1, 0],
      [0, 1],
      [0.5, 0.5],
    ];
    const w = tensor([
      [0.1, 0.2],
      [-0.3, 0.4],
      [0.5, -0.6],
    ]);
    const all = build('batch');
    all.graph.output(perSampleGradients(all.losses, [all.w], { batch: [all.x, all.y] })[0] as Tensor, 'gradients');
    const found = (await run(all.graph, { x: tensor(rows), y: tensor(targets), w }))['gradients'] as number[];
    const single = build(1);
    single.graph.output(gradients(single.losses.sum(), [single.w])[0] as Tensor, 'gradient');
    for (const [index, row] of rows.entries()) {
      const { gradient } = await run(single.graph, { x: tensor([row]), y: tensor([targets[index] as number[]]), w });
      expect(found.slice(6 * index, 6 * index + 6)).toEqual(gradient?.map((value) => expect.closeTo(value, 5)));
    }
  });
});
