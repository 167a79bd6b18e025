import { expect, test } from '@jest/globals';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { tensor } from '../data-type.js';
import { Graph } from '../graph.js';
import { modelOf } from '../model.js';
import { buildRandomGraph, randomSteps } from '../testing/random-graph.js';
import { assembleModel } from './assemble.js';
import { encodeModel } from './encode.js';
import { ModelProtoSchema } from './generated/onnx_pb.js';

test('gives the bytes of the protobuf library', () => {
  fc.assert(
    fc.property(randomSteps(), fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 3 }), (steps, sizes) => {
      const graph = buildRandomGraph(steps);
      // Constants on both sides of the size from which they are chunks of their own.
      for (const size of sizes)
        graph.constant(tensor(new Array<number>(size).fill(1.5), 'float32', [size]), 'float32', 'large');
      const bytes = encodeModel(modelOf(graph, { documentation: 'text', metadata: new Map([['a', 'b']]) }));
      const proto = fromBinary(ModelProtoSchema, bytes);
      expect(Buffer.compare(toBinary(ModelProtoSchema, proto), bytes)).toBe(0);
      expect(Buffer.compare(assembleModel(proto), bytes)).toBe(0);
    }),
    { numRuns: 30 },
  );
});

test('a model without a graph, too', () => {
  const proto = fromBinary(ModelProtoSchema, encodeModel(new Graph('empty')));
  proto.graph = undefined;
  expect(Buffer.compare(assembleModel(proto), toBinary(ModelProtoSchema, proto))).toBe(0);
});
