import { describe, expect, test } from '@jest/globals';
import {
  dequantizeLinear,
  dynamicQuantizeLinear,
  quantizeLinear,
  readElement,
  tensor,
  type Graph,
  type Tensor,
} from '@updraft/graph';
import { DerivativeTable } from '../derivative.js';
import { gradients } from '../gradients.js';
import { standardRules, straightThroughQuantization } from './index.js';
import { evaluate, expectDerivatives } from './testing/central-differences.js';

const straight = new DerivativeTable([...standardRules(), ...straightThroughQuantization()]);
const numbers = (value: Parameters<typeof readElement>[0] | undefined): number[] =>
  value === undefined ? [] : Array.from({ length: value.data.length }, (_, index) => readElement(value, index));

describe('DequantizeLinear is differentiable in its scale', () => {
  const values = [-100, 3, 7, 50, -20, 127, 1, 2];
  test.each([
    ['one scale', [], {}, []],
    ['one scale per element of an axis', [4], { axis: 1 }, [4]],
    ['one scale per block', [2, 2], { axis: 1, blockSize: 2 }, [2, 2]],
    ['the last block shorter', [2, 2], { axis: 1, blockSize: 3 }, [2, 2]],
  ] as const)('%s', async (_, shape, options, zeroShape) => {
    await expectDerivatives(
      [
        { shape: [2, 4], dataType: 'int8', values },
        { shape, offset: 2, scale: 0.5 },
        { shape: zeroShape, dataType: 'int8', values: [3, -2, 5, 0] },
      ],
      (x, scale, zeroPoint) => [dequantizeLinear(x, scale, { ...options, zeroPoint })],
      { dataType: 'float32', tolerance: 1e-4 },
    );
  });
});

describe('straight-through quantisation', () => {
  /** Gradients of Σ weights · dequantize(quantize(x)). */
  const derivatives = (x: number[], scale: number, weights: number[], derivativeTable?: DerivativeTable) =>
    evaluate([tensor(x), tensor(scale, 'float32', []), tensor(weights)], (value, step, weight) => {
      const zeroPoint = value.graph.constant(tensor(10, 'int8', []));
      const pair = dequantizeLinear(quantizeLinear(value, step, { zeroPoint }), step, { zeroPoint });
      return gradients(
        pair.mul(weight).sum(),
        [value, step],
        derivativeTable === undefined ? {} : { derivatives: derivativeTable },
      );
    });

  test('by default nothing passes the rounding', async () => {
    expect(numbers((await derivatives([0.3, 5], 0.1, [1, 2]))[0])).toEqual([0, 0]);
  });

  test('gradients pass within the range and stop at its ends; the scale gets rounding errors and bounds', async () => {
    // Quotients 3.4, -7.6, 120 and -140; with zero point 10, int8 holds quotients from -138 to 117.
    const [x, scale] = await derivatives([1.7, -3.8, 60, -70], 0.5, [1, 2, 3, 4], straight);
    expect(numbers(x)).toEqual([1, 2, 0, 0]);
    // (3 - 3.4)·1 + (-8 + 7.6)·2 + 117·3 - 138·4
    expect(numbers(scale)[0]).toBeCloseTo(-0.4 - 0.8 + 351 - 552, 3);
  });

  test('a step size for each channel', async () => {
    const [x, scale] = await evaluate(
      [tensor([0.3, 0.8, -0.6, 100], 'float32', [2, 2]), tensor([0.25, 0.5])],
      (value, step) => {
        const pair = dequantizeLinear(quantizeLinear(value, step, { axis: 1, dataType: 'int4' }), step, {
          axis: 1,
          zeroPoint: value.graph.constant({ dataType: 'int4', dims: [2], data: new Uint8Array(1) }),
        });
        return gradients(pair.sum(), [value, step], { derivatives: straight });
      },
    );
    expect(numbers(x)).toEqual([1, 1, 1, 0]);
    // Channel 0: (1 - 1.2) + (-2 + 2.4); channel 1: (2 - 1.6) + 7.
    expect(numbers(scale)[0]).toBeCloseTo(0.2, 5);
    expect(numbers(scale)[1]).toBeCloseTo(7.4, 5);
  });

  test('dynamic quantisation', async () => {
    const [x] = await evaluate([tensor([0.3, -0.7, 2])], (value) => {
      const { values, scale, zeroPoint } = dynamicQuantizeLinear(value);
      const pair = dequantizeLinear(values, scale, { zeroPoint });
      return gradients(pair.mul(tensorOf(value.graph, [1, 2, 3])).sum(), [value], { derivatives: straight });
    });
    expect(numbers(x)).toEqual([1, 2, 3]);
  });
});

const tensorOf = (graph: Graph, values: number[]): Tensor => graph.constant(tensor(values));
