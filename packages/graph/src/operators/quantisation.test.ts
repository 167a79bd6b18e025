import { expect, test } from '@jest/globals';
import { emptyTensor } from '../data-type.js';
import { Graph } from '../graph.js';
import { dequantizeLinear, dynamicQuantizeLinear, quantizeLinear } from './quantisation.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

test('one scale, one per element of an axis, one per block', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), 2, 7]);
      const tenth = graph.constant(0.1);
      const types = (['uint8', 'int8', 'int16', 'uint16'] as const).map((dataType) =>
        quantizeLinear(x, tenth, { dataType }),
      );
      const packed = dequantizeLinear(quantizeLinear(x, tenth, { dataType: 'int4' }), tenth);
      const scales = graph.input('scales', 'float32', [2]);
      const perChannel = quantizeLinear(x, scales, { axis: -2, zeroPoint: graph.constant(emptyTensor('int8', [2])) });
      const blocks = graph.input('blocks', 'float32', [size('n'), 2, 3]);
      const blocked = quantizeLinear(x, blocks, { axis: 2, blockSize: 3, dataType: 'int8' });
      const dynamic = dynamicQuantizeLinear(x);
      return [
        ...types,
        packed,
        quantizeLinear(x, tenth),
        perChannel,
        dequantizeLinear(perChannel, scales, { axis: 1 }),
        blocked,
        dequantizeLinear(blocked, blocks, { axis: 2, blockSize: 3 }),
        dynamic.values,
        dynamic.scale,
        dynamic.zeroPoint,
      ];
    },
    { n: 2 },
  );
});

test('errors', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', ['n', 6]);
  const three = graph.input('three', 'float32', [3]);
  expect(() => quantizeLinear(x, three)).toThrow(/axis 1 of \[n, 6\] and scale: 6 and 3 differ/);
  expect(() => quantizeLinear(x, three, { axis: 2 })).toThrow(/axis 2 is out of range/);
  expect(() => quantizeLinear(x, three, { axis: 1, blockSize: 2 })).toThrow(/differ in rank/);
  expect(() => quantizeLinear(x, graph.input('five', 'float32', [1, 5]), { blockSize: 2 })).toThrow(
    /blocks and scales, axis 1: 3 and 5 differ/,
  );
  const zeroPoint = graph.constant(0, 'int8');
  expect(() => quantizeLinear(x, graph.constant(1), { zeroPoint, dataType: 'uint8' })).toThrow(
    /output_dtype is uint8 and the zero point int8/,
  );
  expect(() => dequantizeLinear(x, graph.constant(1))).toThrow(/"x"\) is float32/);
});
