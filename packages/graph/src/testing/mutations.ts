import fc from 'fast-check';
import { ModelProtoSchema, type GraphProto, type ModelProto } from '../serialise/generated/onnx_pb.js';
import { fromBinary, toBinary } from '@bufbuild/protobuf';

/** One damage to the bytes of a file. */
export interface ByteMutation {
  readonly kind: 'flip' | 'set' | 'truncate' | 'insert' | 'repeat' | 'length';
  readonly at: number;
  readonly value: number;
}
export const byteMutations: fc.Arbitrary<ByteMutation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('flip', 'set', 'truncate', 'insert', 'repeat', 'length'),
    at: fc.nat(1_000_000),
    value: fc.nat(255),
  }),
  { minLength: 1, maxLength: 4 },
);

export function damageBytes(source: Uint8Array, mutations: readonly ByteMutation[]): Uint8Array {
  let bytes: Uint8Array = source.slice();
  for (const { kind, at: place, value } of mutations) {
    const at = bytes.length === 0 ? 0 : place % bytes.length;
    const splice = (middle: Uint8Array): Uint8Array =>
      new Uint8Array(Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(at)]));
    switch (kind) {
      case 'flip':
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (value % 8));
        break;
      case 'set':
        bytes[at] = value;
        break;
      case 'truncate':
        bytes = bytes.slice(0, at);
        break;
      case 'insert':
        bytes = splice(Uint8Array.of(value));
        break;
      case 'repeat':
        bytes = splice(bytes.slice(at, at + value));
        break;
      case 'length':
        // A number of 2^40 and more where a length may be.
        bytes = splice(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0x7f));
        break;
    }
  }
  return bytes;
}

/** One change to the structure of a model that leaves the file well-formed protobuf. */
export interface StructureMutation {
  readonly action: number;
  readonly a: number;
  readonly b: number;
  readonly size: bigint;
}
export const structureMutations: fc.Arbitrary<StructureMutation[]> = fc.array(
  fc.record({
    action: fc.nat(15),
    a: fc.nat(10_000),
    b: fc.nat(10_000),
    size: fc.constantFrom(-1n, 0n, 1n, 7n, 2n ** 31n, 2n ** 40n, 2n ** 62n, 2n ** 63n - 1n),
  }),
  { minLength: 1, maxLength: 4 },
);

function graphsOf(graph: GraphProto | undefined, into: GraphProto[] = []): GraphProto[] {
  if (graph === undefined) return into;
  into.push(graph);
  for (const node of graph.node) for (const { g } of node.attribute) graphsOf(g, into);
  return into;
}

function mutate(model: ModelProto, { action, a, b, size }: StructureMutation): void {
  const graphs = graphsOf(model.graph);
  const graph = graphs[a % Math.max(1, graphs.length)];
  if (graph === undefined) return;
  const pick = <T>(list: readonly T[], index: number): T | undefined => list[index % Math.max(1, list.length)];
  const [node, other] = [pick(graph.node, a), pick(graph.node, b)];
  const tensor = pick(graph.initializer, a);
  const info = pick([...graph.input, ...graph.output, ...graph.valueInfo], b);
  const shape = info?.type?.value.case === 'tensorType' ? info.type.value.value.shape : undefined;
  const attribute = node === undefined ? undefined : pick(node.attribute, b);
  switch (action) {
    case 0: // A cycle, or a use before the definition.
      if (node !== undefined && other !== undefined)
        node.input[b % Math.max(1, node.input.length)] = pick(other.output, a) ?? '';
      break;
    case 1:
      if (node !== undefined) node.input[b % Math.max(1, node.input.length)] = 'nobody';
      break;
    case 2: // Two values of one name.
      if (node !== undefined && other !== undefined) node.output[0] = pick(other.output, 0) ?? '';
      break;
    case 3:
      if (tensor !== undefined) tensor.dims[b % Math.max(1, tensor.dims.length)] = size;
      break;
    case 4: {
      const dim = shape === undefined ? undefined : pick(shape.dim, a);
      if (dim !== undefined) dim.value = { case: 'dimValue', value: size };
      break;
    }
    case 5:
      if (attribute !== undefined) attribute.i = size;
      break;
    case 6:
      if (attribute !== undefined && attribute.ints.length > 0) attribute.ints[a % attribute.ints.length] = size;
      break;
    case 7:
      if (attribute !== undefined) attribute.type = b % 16;
      break;
    case 8:
      if (node !== undefined && other !== undefined) node.opType = other.opType;
      break;
    case 9:
      graph.node.splice(a % Math.max(1, graph.node.length), 1);
      break;
    case 10:
      if (other !== undefined) graph.node.splice(a % Math.max(1, graph.node.length), 0, other);
      break;
    case 11: // Bodies in bodies.
      if (attribute?.g !== undefined && model.graph !== undefined)
        attribute.g = fromBinary(ModelProtoSchema, toBinary(ModelProtoSchema, model)).graph;
      break;
    case 12:
      if (tensor !== undefined) tensor.dataType = b % 32;
      break;
    case 13: // Contents of shapes, axes and pads.
      if (tensor?.rawData !== undefined && tensor.rawData.length >= 8)
        new DataView(tensor.rawData.buffer, tensor.rawData.byteOffset).setBigInt64(0, size, true);
      break;
    case 14:
      if (node !== undefined) node.input.length = b % (node.input.length + 1);
      break;
    default:
      for (const entry of model.opsetImport) entry.version = size;
  }
}

/** The model after some changes, as bytes. */
export function damageStructure(bytes: Uint8Array, mutations: readonly StructureMutation[]): Uint8Array {
  const model = fromBinary(ModelProtoSchema, bytes.slice());
  for (const mutation of mutations) mutate(model, mutation);
  return toBinary(ModelProtoSchema, model);
}
