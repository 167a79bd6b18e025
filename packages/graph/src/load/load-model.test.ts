import { describe, expect, test } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { tensor, type TensorData } from '../data-type.js';
import { UpdraftError } from '../errors.js';
import { Graph } from '../graph.js';
import { loop } from '../operators/control-flow.js';
import { shapeNode } from '../operators/creation.js';
import { mod } from '../operators/elementwise.js';
import { printGraph } from '../print.js';
import { encodeModel } from '../serialise/encode.js';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  type AttributeProto,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from '../serialise/generated/onnx_pb.js';
import type { Tensor } from '../tensor.js';
import { DEFAULT_BUDGETS } from './budgets.js';
import { ModelBudgetError, ModelFormatError } from './format-error.js';
import { inlineFunctions } from './inline-functions.js';
import { loadModel, type LoadOptions } from './load-model.js';

/** x[2, 3] -> relu -> softmax -> y, as a decoded file. */
function sample(): { proto: ModelProto; graph: GraphProto } {
  const graph = new Graph('net');
  const x = graph.input('x', 'float32', [2, 3]);
  graph.output(
    x
      .relu()
      .add(graph.constant(tensor([1, 2, 3]), 'float32', 'bias'))
      .softmax(1),
    'y',
  );
  const proto = fromBinary(ModelProtoSchema, encodeModel(graph, { bare: true }));
  return { proto, graph: proto.graph as GraphProto };
}

const node = (
  opType: string,
  input: string[],
  output: string[],
  extra: { readonly domain?: string; readonly attribute?: AttributeProto[] } = {},
): NodeProto => create(NodeProtoSchema, { opType, input, output, name: `${opType}/${output.join()}`, ...extra });

/** What loading the changed sample throws. */
function refusal(change: (graph: GraphProto, proto: ModelProto) => void, options?: LoadOptions): ModelFormatError {
  const { proto, graph } = sample();
  change(graph, proto);
  try {
    loadModel(toBinary(ModelProtoSchema, proto), options);
  } catch (error) {
    expect(error).toBeInstanceOf(ModelFormatError);
    return error as ModelFormatError;
  }
  throw new Error('it loaded');
}
const messageOf = (change: (graph: GraphProto, proto: ModelProto) => void): string => refusal(change).message;

describe('structure', () => {
  test('unknown operators come with the nearest known ones', () => {
    const error = refusal((graph) => ((graph.node[0] as NodeProto).opType = 'Relo'));
    expect(error.message).toMatch(
      /^graph\.node\[0\] "Relu": Updraft does not know the operator "Relo"\. The nearest that it knows: Relu/,
    );
    expect(error.where).toBe('graph.node[0] "Relu"');
    expect(messageOf((graph) => ((graph.node[0] as NodeProto).domain = 'com.example'))).toMatch(/"com\.example\.Relu"/);
  });

  test('dangling names, cycles, double definitions and missing outputs are told apart', () => {
    expect(messageOf((graph) => ((graph.node[0] as NodeProto).input = ['X1']))).toMatch(
      /"X1" is neither an input nor computed/,
    );
    expect(messageOf((graph) => ((graph.node[1] as NodeProto).input = ['bias', 'bia5']))).toMatch(
      /"bia5".*Did you mean "bias"/,
    );
    const cycle = refusal((graph) => ((graph.node[0] as NodeProto).input = ['y']));
    expect(cycle.message).toMatch(/depends on itself, through 3 node/);
    expect(cycle.details.cycle).toHaveLength(3);
    expect(messageOf((graph) => graph.node.push(node('Neg', ['x'], ['y'])))).toMatch(/"y" is defined twice/);
    expect(messageOf((graph) => graph.node.push(node('Neg', ['x'], ['x'])))).toMatch(/"x" is defined twice/);
    expect(messageOf((graph) => ((graph.output[0] as { name: string }).name = 'z'))).toMatch(
      /graph\.output\[0\] "z": No node computes it/,
    );
    expect(messageOf((graph) => graph.output.push(...graph.output))).toMatch(/an output twice/);
  });

  test('nodes of one graph have different names', () => {
    expect(messageOf((graph) => graph.node.forEach((one) => (one.name = 'same')))).toMatch(
      /node\[1\] "same": Another node of the graph has the same name/,
    );
  });

  test('nodes in the wrong order are put into order', () => {
    const { proto, graph } = sample();
    graph.node.reverse();
    expect(loadModel(toBinary(ModelProtoSchema, proto)).graph.nodes.map(({ type }) => type)).toEqual([
      'Relu',
      'Add',
      'Softmax',
    ]);
  });

  test('declared types may not contradict inference', () => {
    const typed = (elemType: number, dims: bigint[]) =>
      create(TypeProtoSchema, {
        value: {
          case: 'tensorType',
          value: { elemType, shape: { dim: dims.map((value) => ({ value: { case: 'dimValue' as const, value } })) } },
        },
      });
    const output = (elemType: number, dims: bigint[]) => (graph: GraphProto) => {
      (graph.output[0] as { type: unknown }).type = typed(elemType, dims);
    };
    expect(messageOf(output(1, [2n, 4n]))).toMatch(/declared as \[2, 4\]; the graph computes \[2, 3\]/);
    expect(messageOf(output(7, [2n, 3n]))).toMatch(/declared as int64; the graph computes float32/);
    expect(
      messageOf((graph) =>
        graph.valueInfo.push(create(ValueInfoProtoSchema, { name: graph.node[0]?.output[0], type: typed(1, [6n]) })),
      ),
    ).toMatch(/graph\.value_info\[0\].*declared as \[6\]/);
    expect(messageOf((graph) => ((graph.input[0] as { type: unknown }).type = undefined))).toMatch(
      /graph\.input\[0\] "x": It has no element type/,
    );
  });

  test.each([
    ['sequenceType', { elemType: undefined }, 'a sequence'],
    ['mapType', { keyType: 7 }, 'a map'],
    ['optionalType', { elemType: undefined }, 'an optional'],
    ['sparseTensorType', { elemType: 1 }, 'a sparse tensor'],
  ] as const)('%s is refused by name', (kind, value, text) => {
    expect(
      messageOf(
        (graph) =>
          ((graph.input[0] as { type: unknown }).type = create(TypeProtoSchema, {
            value: { case: kind, value } as never,
          })),
      ),
    ).toContain(`It is ${text}, which is not supported`);
  });

  test('element types that Updraft does not carry are refused by name', () => {
    expect(messageOf((graph) => ((graph.initializer[0] as { dataType: number }).dataType = 17))).toMatch(
      /initializer\[0\] "bias": Its element type FLOAT8E4M3FN/,
    );
    expect(messageOf((graph) => ((graph.initializer[0] as { dataType: number }).dataType = 0))).toMatch(
      /has no element type/,
    );
  });

  test('contents have to fill the shape exactly', () => {
    const change = (extra: object) => (graph: GraphProto) => {
      graph.initializer[0] = create(TensorProtoSchema, { name: 'bias', dataType: 1, dims: [3n], ...extra });
    };
    expect(messageOf(change({ rawData: new Uint8Array(8) }))).toMatch(/holds 8 bytes where float32\[3\] needs 12/);
    expect(messageOf(change({ floatData: [1, 2] }))).toMatch(/holds 2 values where float32\[3\] needs 3/);
    expect(messageOf(change({ int32Data: [1, 2, 3] }))).toMatch(/cannot be stored in int32Data/);
    expect(messageOf(change({ floatData: [1, 2, 3], rawData: new Uint8Array(12) }))).toMatch(/more than once/);
    expect(messageOf(change({ dataType: 9, rawData: Uint8Array.of(0, 1, 2) }))).toMatch(/neither 0 nor 1/);
    expect(messageOf(change({ dataType: 3, int32Data: [1, 2, 300] }))).toMatch(/300 does not fit int8/);
    expect(messageOf(change({ dims: [-3n] }))).toMatch(/negative dimension -3/);
  });

  test('attributes have to be of their declared kind, once', () => {
    const attribute = (extra: object) => create(AttributeProtoSchema, { name: 'axis', ...extra });
    const softmax = (list: ReturnType<typeof attribute>[]) => (graph: GraphProto) => {
      (graph.node[2] as NodeProto).attribute = list;
    };
    const axis = attribute({ type: AttributeType.INT, i: 1n });
    expect(messageOf(softmax([axis, axis]))).toMatch(/attribute "axis": It occurs twice/);
    expect(messageOf(softmax([attribute({ type: AttributeType.FLOAT, f: 1 })]))).toMatch(/is of kind float, not int/);
    expect(messageOf(softmax([attribute({ type: AttributeType.INT, f: 1 })]))).toMatch(/of kind INT but holds "f"/);
    expect(messageOf(softmax([attribute({ type: AttributeType.SPARSE_TENSOR })]))).toMatch(
      /kind SPARSE_TENSOR are not supported/,
    );
    expect(messageOf(softmax([attribute({})]))).toMatch(/kind is not given/);
    expect(messageOf(softmax([attribute({ name: 'axes', type: AttributeType.INT, i: 1n })]))).toMatch(
      /attribute "axes"/,
    );
    expect(messageOf(softmax([attribute({ type: AttributeType.INT, i: 9n })]))).toMatch(/9/);
    expect(messageOf(softmax([attribute({ type: AttributeType.INT, refAttrName: 'a' })]))).toMatch(/outside of one/);
  });

  test('bodies may not shadow names of enclosing graphs, before or after them', () => {
    const build = (): ModelProto => {
      const graph = new Graph('net');
      const x = graph.input('x', 'float32', [2]);
      const { state } = loop({ count: 2, state: [x] }, (_, [value]) => ({ state: [(value as Tensor).neg()] }));
      graph.output((state[0] as Tensor).abs(), 'y');
      return fromBinary(ModelProtoSchema, encodeModel(graph, { bare: true }));
    };
    for (const name of ['x', 'y']) {
      const proto = build();
      const body = proto.graph?.node[0]?.attribute[0]?.g;
      const inner = body?.node.find(({ opType }) => opType === 'Neg');
      if (inner === undefined || body === undefined) throw new Error('no body');
      const old = inner.output[0];
      inner.output[0] = name;
      for (const output of body.output) if (output.name === old) output.name = name;
      expect(() => loadModel(toBinary(ModelProtoSchema, proto))).toThrow(/taken by a value of an enclosing graph/);
    }
  });
});

describe('budgets', () => {
  test.each([
    ['bytes', 10],
    ['nodes', 2],
    ['messages', 5],
    ['attributes', 0],
    ['strings', 3],
    ['stringBytes', 8],
    ['depth', 0],
    ['scalars', 0],
    ['rank', 1],
    ['dimension', 2],
    ['elements', 5],
    ['inferences', 2],
  ] as const)('%s of %d is enforced, by name', (budget, limit) => {
    const error = refusal(() => undefined, { budgets: { [budget]: limit } });
    expect(error).toBeInstanceOf(ModelBudgetError);
    expect(error.details).toMatchObject({ budget, limit });
    expect(error.message).toContain(`the budget "${budget}"`);
  });

  test('loops that certainly run too long count, those that may stop do not', () => {
    const counted = (count: number, stops: boolean): Uint8Array => {
      const graph = new Graph('net');
      const x = graph.input('x', 'float32', []);
      const { state } = loop({ count, state: [x] }, (_, [value]) => ({
        state: [(value as Tensor).neg()],
        ...(stops ? { condition: (value as Tensor).greater(0) } : {}),
      }));
      graph.output(state[0] as Tensor, 'y');
      return encodeModel(graph);
    };
    expect(() => loadModel(counted(2 ** 31, false))).toThrow(/"iterations"/);
    loadModel(counted(1000, false));
    loadModel(counted(2 ** 31, true));
  });

  test('computed shapes count too', () => {
    const graph = new Graph('net');
    const x = graph.input('x', 'float32', [2]);
    graph.output(x.expand([2 ** 20, 2 ** 20, 2]), 'y');
    expect(() => loadModel(encodeModel(graph))).toThrow(/elements/);
    expect(DEFAULT_BUDGETS.elements).toBeLessThan(2 ** 41);
  });
});

test('integer divisions that may stop the process are refused, others not', () => {
  const load = (build: (graph: Graph, n: Tensor) => Tensor, options?: LoadOptions): void => {
    const graph = new Graph('net');
    graph.output(build(graph, graph.input('n', 'int64', [2])), 'y');
    loadModel(encodeModel(graph), options);
  };
  const smallest: TensorData<'int64'> = { dataType: 'int64', dims: [], data: BigInt64Array.of(-(2n ** 63n)) };
  const unsafe = [
    (_: Graph, n: Tensor) => n.div(n),
    (_: Graph, n: Tensor) => n.div(-1),
    (graph: Graph, n: Tensor) => graph.constant(smallest).div(n),
    (_: Graph, n: Tensor) => mod(n, n),
  ];
  for (const build of unsafe) {
    expect(() => load(build)).toThrow(/"Div"|"Mod"|may be -1/);
    expect(() => load(build, { trusted: true })).not.toThrow();
  }
  load((_, n) => n.div(2));
  load((graph, n) => graph.constant(7, 'int64').div(n));
  load((_, n) => n.div(shapeNode(n)));
  load((_, n) => mod(n, 3));
  load((_, n) => n.cast('float32').div(n.cast('float32')));
});

test('sizes that grow into long expressions are refused in time', () => {
  const graph = new Graph('net');
  const x = graph.input(
    'x',
    'float32',
    Array.from({ length: 14 }, (_, index) => `a_rather_long_name_${index}`),
  );
  const sizes = shapeNode(x);
  let sum = sizes.gather(graph.ints([0]));
  for (let index = 1; index < 14; index++) sum = sum.add(sizes.gather(graph.ints([index])));
  graph.output(sum.mul(sum).mul(graph.ints([2])), 'y');
  expect(() => loadModel(encodeModel(graph, { bare: true }))).toThrow(/budget "dimensionText"/);
  expect(() => loadModel('bytes' as unknown as Uint8Array)).toThrow(ModelFormatError);
});

describe('versions', () => {
  const atOpset = (version: bigint) => (_: GraphProto, proto: ModelProto) => {
    proto.opsetImport = [create(OperatorSetIdProtoSchema, { domain: '', version })];
  };
  test('are checked node by node', () => {
    expect(messageOf(atOpset(12n))).toMatch(
      /node\[2\] "Softmax": Softmax has an older meaning in opset 12; Updraft reads it from opset 13.*version_converter/,
    );
    expect(messageOf(atOpset(6n))).toMatch(/Add has an older meaning in opset 6/);
    expect(messageOf(atOpset(99n))).toMatch(/opset 99; Updraft knows up to/);
    for (const version of [13n, 17n, 21n, 25n]) {
      const { proto, graph } = sample();
      atOpset(version)(graph, proto);
      expect(loadModel(toBinary(ModelProtoSchema, proto)).opsets).toEqual(new Map([['', Number(version)]]));
    }
  });
  test('have to be imported', () => {
    expect(messageOf((_, proto) => (proto.opsetImport = []))).toMatch(/imports no version/);
    expect(
      messageOf((_, proto) =>
        proto.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'ai.onnx', version: 21n })),
      ),
    ).toMatch(/imported twice/);
    expect(messageOf((_, proto) => (proto.irVersion = 99n))).toMatch(/IR version 99/);
  });
});

describe('functions', () => {
  /** scaled(x, by = 2) = x * by, nested in twice(x) = scaled(scaled(x)). */
  function withFunctions(): ModelProto {
    const { proto, graph } = sample();
    const opsetImport = [
      create(OperatorSetIdProtoSchema, { domain: '', version: 21n }),
      create(OperatorSetIdProtoSchema, { domain: 'local', version: 1n }),
    ];
    const reference = create(AttributeProtoSchema, {
      name: 'value_float',
      type: AttributeType.FLOAT,
      refAttrName: 'by',
    });
    proto.functions = [
      create(FunctionProtoSchema, {
        name: 'scaled',
        domain: 'local',
        input: ['v', 'unused'],
        output: ['w'],
        attributeProto: [create(AttributeProtoSchema, { name: 'by', type: AttributeType.FLOAT, f: 2 })],
        opsetImport,
        node: [node('Constant', [], ['factor'], { attribute: [reference] }), node('Mul', ['v', 'factor'], ['w'])],
      }),
      create(FunctionProtoSchema, {
        name: 'twice',
        domain: 'local',
        input: ['v'],
        output: ['w'],
        opsetImport,
        node: [
          node('scaled', ['v'], ['once'], { domain: 'local' }),
          node('scaled', ['once'], ['w'], {
            domain: 'local',
            attribute: [create(AttributeProtoSchema, { name: 'by', type: AttributeType.FLOAT, f: 5 })],
          }),
        ],
      }),
    ];
    proto.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'local', version: 1n }));
    graph.node = [node('twice', ['x'], ['t'], { domain: 'local' }), node('twice', ['t'], ['y'], { domain: 'local' })];
    graph.initializer = [];
    return proto;
  }
  const evaluate = async (bytes: Uint8Array): Promise<number[]> => {
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 4 });
    const { y } = await session.run({ x: new RuntimeTensor('float32', Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]) });
    await session.release();
    return [...(y?.data as Float32Array)];
  };

  test('are kept, typed at each call, written back and can be inlined', async () => {
    const bytes = toBinary(ModelProtoSchema, withFunctions());
    const model = loadModel(bytes);
    expect(model.functions.map(({ name }) => name)).toEqual(['scaled', 'twice']);
    expect(model.graph.nodes.map(({ key }) => key)).toEqual(['local.twice', 'local.twice']);
    expect(model.graph.outputs[0]?.shape).toEqual([2, 3]);
    expect(Buffer.compare(encodeModel(model), bytes)).toBe(0);
    expect(() => encodeModel(model.graph)).toThrow(/calls the function "twice"/);
    const flat = inlineFunctions(model);
    expect(flat.graph.nodes.map(({ key }) => key)).toEqual([
      'Constant',
      'Mul',
      'Constant',
      'Mul',
      'Constant',
      'Mul',
      'Constant',
      'Mul',
    ]);
    expect(flat.functions).toEqual([]);
    const expected = [100, 200, 300, 400, 500, 600];
    expect(await evaluate(encodeModel(flat))).toEqual(expected);
    expect(await evaluate(bytes)).toEqual(expected);
  });

  test('may not call themselves or leave outputs out', () => {
    const recursive = withFunctions();
    (recursive.functions[0]?.node[1] as NodeProto).opType = 'twice';
    (recursive.functions[0]?.node[1] as NodeProto).domain = 'local';
    (recursive.functions[0]?.node[1] as NodeProto).input = ['v'];
    expect(() => loadModel(toBinary(ModelProtoSchema, recursive))).toThrow(/calls itself/);
    const missing = withFunctions();
    (missing.functions[1] as { output: string[] }).output = ['nothing'];
    expect(() => loadModel(toBinary(ModelProtoSchema, missing))).toThrow(/output "nothing" is not computed/);
  });
});

test('bodies of loops without declared shapes take them from the operands, and let sizes move', () => {
  const graph = new Graph('net');
  const x = graph.input('x', 'float32', ['n', 2]);
  const { state } = loop({ count: 3, state: [x] }, (_, [value]) => ({ state: [(value as Tensor).neg()] }));
  graph.output(state[0] as Tensor, 'y');
  const proto = fromBinary(ModelProtoSchema, encodeModel(graph, { bare: true }));
  const body = proto.graph?.node[0]?.attribute[0]?.g as GraphProto;
  for (const input of body.input) input.type = undefined;
  expect(printGraph(loadModel(toBinary(ModelProtoSchema, proto)).graph)).toMatch(/: float32\[n, 2\] = Loop/);
  // The same body, growing by a row in each iteration.
  const neg = body.node.find(({ opType }) => opType === 'Neg') as NodeProto;
  const grow = create(NodeProtoSchema, {
    opType: 'Concat',
    input: [neg.input[0] as string, neg.input[0] as string],
    output: neg.output,
    attribute: [create(AttributeProtoSchema, { name: 'axis', type: AttributeType.INT, i: 0n })],
  });
  body.node = body.node.map((one) => (one === neg ? grow : one));
  (proto.graph as GraphProto).output = [create(ValueInfoProtoSchema, { name: 'y' })];
  const [y] = loadModel(toBinary(ModelProtoSchema, proto)).graph.outputs;
  expect(y?.shape[1]).toBe(2);
  expect(typeof y?.shape[0]).toBe('object');
  expect(String(y?.shape[0])).not.toBe('n');
});

test('errors are Updraft errors with a stable code', () => {
  const error = refusal((graph) => (graph.node = []));
  expect(error).toBeInstanceOf(UpdraftError);
  expect(error.code).toBe('model-format');
  expect(() => loadModel(toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 10n })))).toThrow(
    /holds no graph/,
  );
  expect(() =>
    loadModel(toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph: create(GraphProtoSchema, {}) }))),
  ).toThrow(/IR version 0/);
});

test("weights that lie at odd places of Node's buffers are read", () => {
  const graph = new Graph('odd');
  const x = graph.input('x', 'float32', [3]);
  for (let length = 1; length < 5; length++)
    graph.output(x.add(graph.constant(tensor([1, 2, 3]), 'float32', 'w'.repeat(length))));
  for (const value of loadModel(Buffer.from(encodeModel(graph))).graph.constants.values())
    expect(value).toEqual(tensor([1, 2, 3]));
});
