import { describe, expect, test } from '@jest/globals';
import { cond, dropout, Graph, loop, matMul, pad, scan, sin, tanh, type Tensor } from '@updraft/graph';
import { gradients } from '../gradients.js';
import { expectDerivatives, type Build, type InputSpec } from './testing/central-differences.js';

const one = (values: readonly Tensor[], index = 0): Tensor => values[index] as Tensor;

/** y' = tanh(y·w + x) with the weights captured from outside. */
const recurrence =
  (directions: { readonly input?: 'backward'; readonly output?: 'backward' } = {}): Build =>
  (x, h, w) => {
    const { state, outputs } = scan(
      {
        state: [h],
        inputs: [x],
        inputDirections: [directions.input ?? 'forward'],
        outputDirections: [directions.output ?? 'forward'],
      },
      ([before], [row]) => {
        const next = tanh(matMul(before as Tensor, w).add(row as Tensor));
        return { state: [next], outputs: [next.mul(next)] };
      },
    );
    return [one(state), one(outputs)];
  };
const RECURRENCE: readonly InputSpec[] = [{ shape: [4, 2, 3] }, { shape: [2, 3] }, { shape: [3, 3] }];

const branches = (flag: number): [string, readonly InputSpec[], Build] => [
  `If, condition ${flag}`,
  [{ shape: [2, 3] }, { shape: [3] }, { shape: [], dataType: 'bool', values: [flag] }],
  (x, w, flagged) =>
    cond(
      flagged,
      () => [x.mul(w).tanh(), x],
      () => [x.mul(x), x.add(w).exp()],
    ),
];

const CASES: readonly [string, readonly InputSpec[], Build][] = [
  branches(1),
  branches(0),
  [
    'If inside If',
    [{ shape: [2, 3] }, { shape: [], dataType: 'bool', values: [1] }],
    (x, flag) =>
      cond(
        flag,
        () =>
          cond(
            flag,
            () => [x.exp()],
            () => [x],
          ),
        () => [x],
      ),
  ],
  ['Scan', RECURRENCE, recurrence()],
  ['Scan, input backward', RECURRENCE, recurrence({ input: 'backward' })],
  ['Scan, output backward', RECURRENCE, recurrence({ output: 'backward' })],
  ['Scan, both backward', RECURRENCE, recurrence({ input: 'backward', output: 'backward' })],
  [
    'Scan along other axes, two inputs, no state',
    [{ shape: [2, 4, 3] }, { shape: [4, 3] }],
    (x, y) =>
      scan({ inputs: [x, y], inputAxes: [1, 0], outputAxes: [1] }, (_, [a, b]) => ({
        outputs: [(a as Tensor).mul(b as Tensor).exp()],
      })).outputs,
  ],
  [
    'Scan of which only the state counts',
    [{ shape: [4, 3] }, { shape: [3] }],
    (x, h) =>
      scan({ state: [h], inputs: [x] }, ([before], [row]) => ({
        state: [sin((before as Tensor).mul(row as Tensor))],
      })).state,
  ],
  [
    'If inside Scan',
    [{ shape: [4, 3] }, { shape: [3] }],
    (x, h) =>
      scan({ state: [h], inputs: [x] }, ([before], [row]) => ({
        state: cond(
          (row as Tensor).sum().greater(0),
          () => [(before as Tensor).mul(row as Tensor).tanh()],
          () => [sin((before as Tensor).add(row as Tensor))],
        ),
      })).state,
  ],
  [
    'Loop with a count',
    [{ shape: [2, 3] }, { shape: [3] }],
    (x, w) => {
      const { state, scan: collected } = loop({ count: 3, state: [x] }, (step, [value]) => {
        const next = sin((value as Tensor).mul(w).add(step.cast('float64').mul(0.1)));
        return { state: [next], scan: [next.mul(next)] };
      });
      return [one(state), one(collected)];
    },
  ],
  [
    'Loop without iterations',
    [{ shape: [2, 3] }],
    (x) => loop({ count: 0, state: [x.exp()] }, (_, [value]) => ({ state: [(value as Tensor).exp()] })).state,
  ],
];

describe('derivatives through control flow are central differences, first and second order', () => {
  test.each(CASES)('%s', async (_, inputs, build) => {
    await expectDerivatives(inputs, build);
  });
});

describe('bodies without a derivative say why', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [2]);

  test('a condition that may end the loop', () => {
    const { state } = loop({ count: 5, state: [x] }, (_, [value]) => ({
      state: [(value as Tensor).mul(2)],
      condition: (value as Tensor).sum().less(10),
    }));
    expect(() => gradients(one(state), [x])).toThrow(/condition may end early.*where/s);
  });

  test('no count', () => {
    const { state } = loop({ condition: true, state: [x] }, (_, [value]) => ({ state: [(value as Tensor).mul(2)] }));
    expect(() => gradients(one(state), [x])).toThrow(/without a trip count/);
  });

  test('random numbers in the body', () => {
    const { state } = loop({ count: 2, state: [x] }, (_, [value]) => ({
      state: [dropout(value as Tensor, { trainingMode: true })],
    }));
    expect(() => gradients(one(state), [x])).toThrow(/random numbers \(Dropout/);
  });

  test('a state that grows', () => {
    const grown = graph.input('y', 'float32', ['n']);
    const { state } = loop({ count: 2, state: [grown] }, (_, [value]) => ({
      state: [pad(value as Tensor, [0, 1])],
    }));
    expect(() => gradients(one(state), [grown])).toThrow(/changes its size/);
  });
});
