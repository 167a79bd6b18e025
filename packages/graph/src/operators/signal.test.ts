import { expect, test } from '@jest/globals';
import { Graph } from '../graph.js';
import { shapeText } from '../shape.js';
import { blackmanWindow, dft, hammingWindow, hannWindow, melWeightMatrix, stft } from './signal.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

test('transforms, frames and windows', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), size('length'), 1]);
      const z = graph.input('z', 'float32', [size('n'), 6, size('length'), 2]);
      const window = hannWindow(graph.constant(8, 'int64'));
      return [
        dft(x),
        dft(x, { oneSided: true }),
        dft(z, { axis: 1, length: 8 }),
        dft(z, { axis: 2, inverse: true }),
        stft(x, { frameStep: 3, window }),
        stft(x, { frameStep: 2, frameLength: 6, oneSided: false }),
        window,
        hammingWindow(graph.constant(5, 'int64'), { periodic: false }),
        blackmanWindow(graph.constant(4, 'int32'), { dataType: 'float64' }),
        melWeightMatrix(graph, { bins: 6, length: 16, sampleRate: 8000, lowerEdgeHertz: 0, upperEdgeHertz: 4000 }),
      ];
    },
    { n: 2, length: 21 },
  );
});

test('symbolic lengths and errors', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [1, 'length', 1]);
  expect(shapeText(dft(x, { oneSided: true }).shape)).toBe('[1, floor((length)/(2))+1, 2]');
  expect(() => dft(x, { axis: 2 })).toThrow(/axis 2 is no signal axis of \[1, length, 1\]/);
  expect(() => dft(x, { oneSided: true, inverse: true })).toThrow(/one-sided inverse/);
  expect(() => dft(graph.input('y', 'float32', [1, 5, 3]))).toThrow(/neither 1 \(real\) nor 2 \(complex\)/);
  expect(() => stft(x, { frameStep: 0, frameLength: 4 })).toThrow(/the frame step is 0/);
  expect(() => stft(x, { frameStep: 1 })).toThrow(/neither a window nor a frame length/);
  expect(() => stft(graph.input('s', 'float32', [1, 3, 1]), { frameStep: 1, frameLength: 4 })).toThrow(
    /shorter than one frame/,
  );
  expect(() => hannWindow(graph.constant(0, 'int64'))).toThrow(/the size of the window is 0/);
});
