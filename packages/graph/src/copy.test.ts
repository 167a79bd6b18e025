import { describe, expect, test } from '@jest/globals';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { copyGraph, inlineGraph, instantiate } from './copy.js';
import { tensor } from './data-type.js';
import { symbol } from './dimension.js';
import { UpdraftError } from './errors.js';
import { Graph, labelled } from './graph.js';
import { cond, loop, scan } from './operators/control-flow.js';
import { standardOperators } from './operators/index.js';
import { apply } from './apply.js';
import type { OperatorSchema } from './schema.js';
import { matMul } from './operators/matrix.js';
import { reachableNodes } from './reachability.js';
import { encodeModel } from './serialise/encode.js';
import { shapeText } from './shape.js';
import type { Tensor } from './tensor.js';

async function run(graph: Graph, feeds: Record<string, RuntimeTensor>): Promise<number[][]> {
  const session = await InferenceSession.create(encodeModel(graph), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
  });
  const results = await session.run(feeds);
  await session.release();
  return graph.outputs.map(({ name }) => [...(results[name]?.data as Float32Array)].map(Number));
}
const vector = (values: number[]): RuntimeTensor =>
  new RuntimeTensor('float32', Float32Array.from(values), [values.length]);

describe('reachableNodes', () => {
  test('orders producers first, follows captures, and stops where told', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2]);
    const doubled = x.mul(2);
    x.mul(7);
    const [chosen] = cond(
      graph.constant(1, 'bool'),
      () => [doubled.add(1)],
      () => [x.neg()],
    ) as [Tensor];
    const out = chosen.neg();
    expect(reachableNodes([out]).map(({ type }) => type)).toEqual(['Mul', 'If', 'Neg']);
    expect(reachableNodes([out], new Set([doubled])).map(({ type }) => type)).toEqual(['If', 'Neg']);
  });
  test('survives graphs deeper than the call stack', () => {
    const graph = new Graph();
    let value = graph.input('x', 'float32', []);
    for (let depth = 0; depth < 20_000; depth++) value = value.neg();
    expect(reachableNodes([value])).toHaveLength(20_000);
  });
});

describe('instantiate', () => {
  test('replays in the same graph only what depends on a bound value', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['batch', 3]);
    const w = graph.input('w', 'float32', [3, 4]);
    const scaled = w.mul(2);
    const y = matMul(x, scaled);
    const other = graph.input('other', 'float32', [5, 3]);
    const before = graph.nodes.length;
    const [replayed] = instantiate([y], new Map([[x, other]]), graph) as [Tensor];
    expect(graph.nodes.length - before).toBe(1);
    expect(replayed.producer?.inputs[1]).toBe(scaled);
    expect(replayed.shape).toEqual([5, 4]);
    expect(instantiate([scaled], new Map([[x, other]]), graph)[0]).toBe(scaled);
  });

  test('copies constants of another graph once, however often it is instantiated', async () => {
    const source = new Graph('f');
    const x = source.input('x', 'float32', ['n']);
    const y = labelled('layer', () => x.mul(source.constant(tensor([1, 10, 100])))).add(1);
    source.output(y);
    const target = new Graph('g');
    const a = target.input('a', 'float32', [3]);
    const [once] = inlineGraph(source, [a], target) as [Tensor];
    const [twice] = inlineGraph(source, new Map([['x', once]]), target) as [Tensor];
    target.output(twice);
    expect(target.constants.size).toBe(2);
    expect(target.nodes.map(({ source: from }) => from)).toEqual(['layer', '', 'layer', '']);
    expect(await run(target, { a: vector([1, 2, 3]) })).toEqual([[3, 211, 30101]]);
  });

  test('names an input that is not bound, and a binding of the wrong type', () => {
    const source = new Graph('f');
    const x = source.input('x', 'float32', [2]);
    const y = source.input('y', 'float32', [2]);
    source.output(x.add(y));
    const target = new Graph('g');
    const a = target.input('a', 'float32', [2]);
    expect(() => instantiate(source.outputs, new Map([[x, a]]), target)).toThrow(/"y" of the graph "f"/);
    expect(() => inlineGraph(source, [a], target)).toThrow(/input "y"/);
    expect(() => inlineGraph(source, [a, target.input('b', 'float64', [2])], target)).toThrow(UpdraftError);
    expect(() => inlineGraph(source, [a, target.input('c', 'float32', [])], target)).toThrow(/\[2\]; it is given \[\]/);
  });

  test('bodies of control flow follow the new sizes and see the mapped captures', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n']);
    const bias = x.mul(10);
    const { state } = loop({ count: 3, state: [x] }, (_, [value]) => ({ state: [(value as Tensor).add(bias)] }));
    const { outputs } = scan({ inputs: [state[0] as Tensor] }, (_, [slice]) => ({
      outputs: [(slice as Tensor).neg()],
    }));
    const target = new Graph('target');
    const a = target.input('a', 'float32', [2]);
    const [value] = instantiate([outputs[0] as Tensor], new Map([[x, a]]), target) as [Tensor];
    target.output(value);
    expect(value.shape).toEqual([2]);
    expect(target.nodes.find(({ type }) => type === 'Loop')?.subgraph('body').inputs[2]?.shape).toEqual([2]);
    expect(await run(target, { a: vector([1, 2]) })).toEqual([[-31, -62]]);
  });

  test('places copies inside a body when that is the target', () => {
    const graph = new Graph();
    const xs = graph.input('xs', 'float32', ['batch', 3]);
    const w = graph.input('w', 'float32', [3]);
    const losses = xs.mul(w).sum([1]);
    const { outputs } = scan({ inputs: [xs] }, (_, [sample]) => {
      const one = (sample as Tensor).unsqueeze([0]);
      const body = one.graph;
      const [loss] = instantiate([losses], new Map([[xs, one]]), body) as [Tensor];
      expect(loss.graph).toBe(body);
      return { outputs: [loss] };
    });
    expect(shapeText((outputs[0] as Tensor).shape)).toBe('[batch, 1]');
  });
});

describe('copyGraph', () => {
  test('binds symbolic dimensions everywhere and keeps names', () => {
    const graph = new Graph('net');
    graph.documentation = 'text';
    const x = graph.input('x', 'float32', ['batch', 4]);
    const { state } = loop({ count: 2, state: [x] }, (_, [value]) => ({ state: [(value as Tensor).relu()] }));
    const flat = (state[0] as Tensor).reshape([-1]);
    graph.output(flat, 'flat');
    const { graph: copy, map } = copyGraph(graph, { dims: new Map([['batch', 7]]) });
    expect(copy.outputs.map(({ name, shape }) => [name, shape])).toEqual([['flat', [28]]]);
    expect(map.get(x)?.shape).toEqual([7, 4]);
    expect(copy.nodes[0]?.subgraph('body').inputs[2]?.shape).toEqual([7, 4]);
    expect(copy.documentation).toBe('text');
    expect(copy.nodes.map(({ name }) => name)).toEqual(graph.nodes.map(({ name }) => name));
    expect(shapeText(flat.shape)).toBe('[4*batch]');
    const renamed = copyGraph(graph, { dims: new Map([['batch', symbol('m')]]) }).graph;
    expect(shapeText(renamed.outputs[0]?.shape ?? [])).toBe('[4*m]');
  });

  test('promotes element types: inputs, constants, casts, bodies and random draws', async () => {
    const graph = new Graph('net');
    const x = graph.input('x', 'float32', [2]);
    const flags = x.greater(0).cast('float32');
    const [y] = cond(
      graph.constant(1, 'bool'),
      () => [x.mul(1 / 3)],
      () => [x],
    ) as [Tensor];
    graph.output(y.add(flags), 'sum');
    graph.output(apply(standardOperators().find('', 'RandomNormalLike') as OperatorSchema, [x], { dtype: 1 }), 'noise');
    const { graph: copy } = copyGraph(graph, { dataTypes: new Map([['float32', 'float64']]) });
    expect(copy.outputs.map(({ dataType }) => dataType)).toEqual(['float64', 'float64']);
    const session = await InferenceSession.create(encodeModel(copy), { logSeverityLevel: 4 });
    const { sum } = await session.run({ x: new RuntimeTensor('float64', Float64Array.of(1, -1), [2]) });
    await session.release();
    // The constant was stored as float32, so its value is the float32 nearest to a third; the sum is exact float64.
    expect([...(sum?.data as Float64Array)]).toEqual([Math.fround(1 / 3) + 1, -Math.fround(1 / 3)]);
  });
});
