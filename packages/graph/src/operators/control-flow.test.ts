import { describe, expect, test } from '@jest/globals';
import { tensor } from '../data-type.js';
import { symbol } from '../dimension.js';
import { Graph, insideGraph } from '../graph.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { add, mul, sub } from './arithmetic.js';
import { bodyInputTypes, cond, loop, scan } from './control-flow.js';
import { cast } from './creation.js';
import { less } from './elementwise.js';
import { gemm } from './matrix.js';
import { concat } from './shape-operators.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

const first = (values: readonly Tensor[]): Tensor => values[0] as Tensor;

describe('cond', () => {
  test('branches use outer values and may return them', async () => {
    await expectRuntimeTypes(
      (graph, size) => {
        const x = graph.input('x', 'float32', [size('n'), 4]);
        return cond(
          graph.input('flag', 'bool', []),
          () => [add(x, 1), x],
          () => [mul(x, 2), sub(x, 1)],
        );
      },
      { n: 3 },
    );
  });

  test('sizes that differ become unknown, unless the condition is known', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 4]);
    const branches = (condition: Tensor): Tensor =>
      first(
        cond(
          condition,
          () => [x],
          () => [concat([x, x], 0)],
        ),
      );
    expect(shapeText(branches(graph.input('flag', 'bool', [])).shape)).toMatch(/^\[either\w*, 4\]$/);
    expect(shapeText(branches(graph.constant(1, 'bool')).shape)).toBe('[n, 4]');
    expect(shapeText(branches(graph.constant(0, 'bool')).shape)).toBe('[2*n, 4]');
  });

  test('errors', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 4]);
    const flag = graph.input('flag', 'bool', []);
    expect(() =>
      cond(
        flag,
        () => [x],
        () => [],
      ),
    ).toThrow(/one branch returns 1 values, the other 0/);
    expect(() =>
      cond(
        flag,
        () => [x],
        () => [cast(x, 'int32')],
      ),
    ).toThrow(/value 0 is float32 in one branch and int32 in the other/);
    expect(() =>
      cond(
        flag,
        () => [x],
        () => [graph.constant(0)],
      ),
    ).toThrow(/\[n, 4\] in one branch and \[\] in the other/);
    expect(() =>
      cond(
        graph.input('many', 'bool', [2]),
        () => [x],
        () => [x],
      ),
    ).toThrow(/the condition \[2\] has more than one element/);
    expect(() =>
      cond(
        x,
        () => [x],
        () => [x],
      ),
    ).toThrow(/"cond"\) is float32/);
  });
});

describe('loop', () => {
  test('final state and stacked values, for a known and an unknown count', async () => {
    await expectRuntimeTypes(
      (graph, size) => {
        const x = graph.input('x', 'float32', [size('n'), 4]);
        const { state, scan: stacked } = loop({ count: 5, state: [x, graph.constant(0)] }, (iteration, [s, sum]) => ({
          state: [add(mul(s as Tensor, 2), x), add(sum as Tensor, cast(iteration, 'float32'))],
          scan: [s as Tensor, gemm(s as Tensor, graph.constant(tensor([[1], [2], [3], [4]])))],
        }));
        return [...state, ...stacked];
      },
      { n: 3 },
    );
  });

  test('a size that grows becomes a symbol of the body and is unknown outside', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 4]);
    let runs = 0;
    const { state, scan: stacked } = loop(
      { count: graph.input('count', 'int64', []), state: [x, x] },
      (_, [fixed, growing]) => {
        runs++;
        return {
          state: [mul(fixed as Tensor, 2), concat([growing as Tensor, x], 0)],
          scan: [first([fixed as Tensor])],
        };
      },
    );
    expect(runs).toBe(2);
    expect(state.map(({ shape }) => shapeText(shape))).toEqual(['[n, 4]', expect.stringMatching(/^\[state\w*, 4\]$/)]);
    expect(shapeText(first(stacked).shape)).toMatch(/^\[trips\w*, n, 4\]$/);
    expect(graph.assumptions).toEqual([]);
  });

  test('a loop with a condition', async () => {
    await expectRuntimeTypes(
      (graph, size) => {
        const x = graph.input('x', 'float32', [size('n')]);
        return loop({ count: 10, condition: true, state: [x, graph.constant(0)] }, (_, [s, total]) => {
          const next = add(total as Tensor, 1);
          return { state: [mul(s as Tensor, 2), next], condition: less(next, 3) };
        }).state;
      },
      { n: 3 },
    );
    const graph = new Graph();
    const { scan: stacked } = loop({ count: 4, state: [graph.input('x', 'float32', [2])] }, (_, [s]) => ({
      state: [s as Tensor],
      scan: [s as Tensor],
      condition: less(first([s as Tensor]).graph.constant(0), 1),
    }));
    expect(shapeText(first(stacked).shape)).toMatch(/^\[trips\w*, 2\]$/);
  });

  test('the count may be a symbolic size', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 4]);
    const { scan: stacked } = loop({ count: 0, state: [x] }, (_, [s]) => ({
      state: [s as Tensor],
      scan: [s as Tensor],
    }));
    expect(shapeText(first(stacked).shape)).toBe('[0, n, 4]');
  });

  test('loops nest and see the values of every enclosing graph', async () => {
    await expectRuntimeTypes(
      (graph, size) => {
        const x = graph.input('x', 'float32', [size('n')]);
        return loop({ count: 2, state: [x] }, (_, [outer]) => ({
          state: loop({ count: 3, state: [outer as Tensor] }, (_inner, [s]) => ({
            state: [add(add(s as Tensor, outer as Tensor), x)],
          })).state,
        })).state;
      },
      { n: 3 },
    );
  });

  test('errors', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 4]);
    expect(() => loop({ state: [x] }, (_, state) => ({ state }))).toThrow(/neither a count nor a condition/);
    expect(() => loop({ count: 2, state: [x] }, () => ({ state: [] }))).toThrow(/returns 0 states, not 1/);
    expect(() => loop({ count: 2, state: [x] }, (_, [s]) => ({ state: [cast(s as Tensor, 'int32')] }))).toThrow(
      /state 0 starts as float32 and leaves the body as int32/,
    );
    expect(() => loop({ count: 2, state: [x] }, () => ({ state: [graph.constant(0)] }))).toThrow(
      /starts as \[n, 4\] and leaves the body as \[\]/,
    );
    expect(() => loop({ count: 2, state: [] }, () => ({ state: [] }))).toThrow(/no operand that says which graph/);
  });
});

describe('scan', () => {
  test('axes and directions', async () => {
    await expectRuntimeTypes(
      (graph, size) => {
        const x = graph.input('x', 'float32', [size('n'), size('time'), 4]);
        const { state, outputs } = scan(
          {
            state: [graph.input('h', 'float32', [size('n'), 4])],
            inputs: [x, x],
            inputAxes: [1, -2],
            inputDirections: ['forward', 'backward'],
            outputAxes: [1, -1],
            outputDirections: ['backward', 'forward'],
          },
          ([h], [a, b]) => ({
            state: [add(h as Tensor, a as Tensor)],
            outputs: [mul(h as Tensor, b as Tensor), a as Tensor],
          }),
        );
        return [...state, ...outputs];
      },
      { n: 2, time: 5 },
    );
  });

  test('errors', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['time', 4]);
    const h = graph.input('h', 'float32', [4]);
    expect(() => scan({ inputs: [x], inputAxes: [2] }, (_, slices) => ({ outputs: slices }))).toThrow(
      /cannot scan axis 2 of input 0/,
    );
    expect(() =>
      scan({ inputs: [graph.input('y', 'float32', [3, 2]), graph.input('z', 'float32', [4, 2])] }, (_, slices) => ({
        outputs: slices,
      })),
    ).toThrow(/lengths of the scanned inputs: 3 and 4 differ/);
    expect(() =>
      scan({ state: [h], inputs: [x] }, ([s]) => ({ state: [concat([s as Tensor, s as Tensor], 0)] })),
    ).toThrow(/enters the body as \[4\] and leaves it as \[8\]/);
    expect(() => scan({ state: [h], inputs: [x] }, () => ({}))).toThrow(/returns 0 states, not 1/);
  });
});

test('a body stays inside the graph under construction', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [2]);
  const body = graph.body('body');
  const [y] = insideGraph(body, () =>
    cond(
      graph.constant(1, 'bool'),
      () => [x],
      () => [x],
    ),
  ) as [Tensor];
  expect(y.graph).toBe(body);
});

test('input types of a body follow from the operands of its node', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', ['n', 'time', 4]);
  const h = graph.input('h', 'float32', ['n', 4]);
  const attributes = new Map([
    ['num_scan_inputs', { kind: 'int', value: 1 } as const],
    ['scan_input_axes', { kind: 'ints', value: [-2] } as const],
  ]);
  expect(bodyInputTypes('Scan', [h, x], attributes)).toEqual([
    { dataType: 'float32', shape: [symbol('n'), 4] },
    { dataType: 'float32', shape: [symbol('n'), 4] },
  ]);
  expect(bodyInputTypes('Loop', [undefined, undefined, h]).map(({ dataType }) => dataType)).toEqual([
    'int64',
    'bool',
    'float32',
  ]);
  expect(bodyInputTypes('If', [h])).toEqual([]);
});
