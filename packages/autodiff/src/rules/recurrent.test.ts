import { describe, expect, test } from '@jest/globals';
import { Graph, gru, lstm, rnn } from '@updraft/graph';
import { gradients } from '../gradients.js';
import { expectDerivatives, type Build, type InputSpec } from './testing/central-differences.js';

const [LENGTH, BATCH, INPUT, HIDDEN] = [3, 2, 2, 2];

/** x, W, R, B, h₀ and lengths of a cell. */
const inputsOf = (gates: number, directions: number): readonly InputSpec[] => [
  { shape: [LENGTH, BATCH, INPUT] },
  { shape: [directions, gates * HIDDEN, INPUT] },
  { shape: [directions, gates * HIDDEN, HIDDEN] },
  { shape: [directions, 2 * gates * HIDDEN] },
  { shape: [directions, BATCH, HIDDEN] },
];
const LENGTHS: InputSpec = { shape: [BATCH], dataType: 'int32', values: [3, 2] };
const cellInputs = (directions: number): readonly InputSpec[] => [
  { shape: [directions, BATCH, HIDDEN] },
  { shape: [directions, 3 * HIDDEN] },
];

// The kernels of the runtime have float32 only.
const OPTIONS = { dataType: 'float32', tolerance: 5e-3 } as const;

const CASES: readonly [string, readonly InputSpec[], Build][] = [
  ...(['forward', 'reverse', 'bidirectional'] as const).flatMap(
    (direction): [string, readonly InputSpec[], Build][] => {
      const directions = direction === 'bidirectional' ? 2 : 1;
      return [
        [
          `LSTM ${direction}`,
          [...inputsOf(4, directions), ...cellInputs(directions)],
          (x, w, r, bias, initialHidden, initialCell, peepholes) => {
            const result = lstm(x, w, r, { bias, initialHidden, initialCell, peepholes, direction });
            return [result.sequence, result.hidden, result.cell];
          },
        ],
        [
          `GRU ${direction}`,
          inputsOf(3, directions),
          (x, w, r, bias, initialHidden) => {
            const result = gru(x, w, r, { bias, initialHidden, direction });
            return [result.sequence, result.hidden];
          },
        ],
        [
          `RNN ${direction}`,
          inputsOf(1, directions),
          (x, w, r, bias, initialHidden) => {
            const result = rnn(x, w, r, { bias, initialHidden, direction });
            return [result.sequence, result.hidden];
          },
        ],
        [
          `GRU ${direction}, sequence lengths`,
          [...inputsOf(3, directions), LENGTHS],
          (x, w, r, bias, initialHidden, sequenceLengths) => {
            const result = gru(x, w, r, { bias, initialHidden, sequenceLengths, direction });
            return [result.sequence, result.hidden];
          },
        ],
      ];
    },
  ),
  ['LSTM, weights only', inputsOf(4, 1).slice(0, 3), (x, w, r) => [lstm(x, w, r).sequence]],
  ['LSTM, coupled gates', inputsOf(4, 1).slice(0, 3), (x, w, r) => [lstm(x, w, r, { inputForget: true }).cell]],
  [
    'LSTM, sequence lengths',
    [...inputsOf(4, 1), LENGTHS],
    (x, w, r, bias, initialHidden, sequenceLengths) => {
      const result = lstm(x, w, r, { bias, initialHidden, sequenceLengths });
      return [result.sequence, result.hidden, result.cell];
    },
  ],
  [
    'GRU, linear before reset',
    inputsOf(3, 1),
    (x, w, r, bias, initialHidden) => [gru(x, w, r, { bias, initialHidden, linearBeforeReset: true }).sequence],
  ],
  [
    'RNN, other activation',
    inputsOf(1, 1).slice(0, 3),
    (x, w, r) => [rnn(x, w, r, { activations: ['Softsign'] }).hidden],
  ],
];

describe('derivatives of recurrent cells are central differences of the kernels', () => {
  test.each(CASES)('%s', async (name, inputs, build) => {
    // The second order of one direction per cell: directions differ in the scans only.
    const orders = name.includes('bidirectional') || name.includes('reverse') ? ([1] as const) : ([1, 2] as const);
    await expectDerivatives(inputs, build, { ...OPTIONS, orders });
  });
});

test('settings without a derivative are named', () => {
  const graph = new Graph();
  const [x, w, r] = [
    [3, 2, 2],
    [1, 2, 2],
    [1, 2, 2],
  ].map((shape, index) => graph.input(`v${index}`, 'float32', shape)) as [
    ReturnType<Graph['input']>,
    ReturnType<Graph['input']>,
    ReturnType<Graph['input']>,
  ];
  expect(() => gradients(rnn(x, w, r, { clip: 1 }).hidden, [w])).toThrow(/clip has no derivative/);
  expect(() => gradients(rnn(x, w, r, { activations: ['Affine'] }).hidden, [w])).toThrow(/activation Affine/);
});
