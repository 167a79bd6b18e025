import { create, toBinary, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  TensorProtoSchema,
  type GraphProto,
  type ModelProto,
  type TensorProto,
} from './generated/onnx_pb.js';

/** Contents below this size are not worth a chunk of their own. */
const SMALL = 4096;
/** Wire type of messages and bytes. */
const BYTES = 2;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}
const fieldHead = (number: number, length: number): Uint8Array =>
  Uint8Array.from([...varint(number * 8 + BYTES), ...varint(length)]);
const sizeOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, { length }) => sum + length, 0);

/** The fields of a message whose number is below, or above, the one that is left out. */
function part<Desc extends DescMessage>(schema: Desc, message: object, keep: (number: number) => boolean): Uint8Array {
  const fields: Record<string, unknown> = {};
  for (const { localName, number } of schema.fields)
    if (keep(number) && Object.hasOwn(message, localName))
      fields[localName] = (message as Record<string, unknown>)[localName];
  return toBinary(schema, create(schema, fields as MessageInitShape<Desc>));
}

const RAW_DATA = TensorProtoSchema.field.rawData.number;
const INITIALIZER = GraphProtoSchema.field.initializer.number;
const GRAPH = ModelProtoSchema.field.graph.number;

function tensorChunks(tensor: TensorProto): Uint8Array[] {
  if (!Object.hasOwn(tensor, 'rawData') || tensor.rawData.length < SMALL) return [toBinary(TensorProtoSchema, tensor)];
  return [
    part(TensorProtoSchema, tensor, (number) => number < RAW_DATA),
    fieldHead(RAW_DATA, tensor.rawData.length),
    tensor.rawData,
    part(TensorProtoSchema, tensor, (number) => number > RAW_DATA),
  ];
}

function graphChunks(graph: GraphProto): Uint8Array[] {
  return [
    part(GraphProtoSchema, graph, (number) => number < INITIALIZER),
    ...graph.initializer.flatMap((tensor) => {
      const chunks = tensorChunks(tensor);
      return [fieldHead(INITIALIZER, sizeOf(chunks)), ...chunks];
    }),
    part(GraphProtoSchema, graph, (number) => number > INITIALIZER),
  ];
}

/**
 * The bytes of a model, as `toBinary` gives them, with the contents of constants copied once. (Writers of nested messages
 * copy them once per level, which takes memory and time that large models feel.)
 */
export function assembleModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  const graph = model.graph === undefined ? [] : graphChunks(model.graph);
  const chunks = [
    part(ModelProtoSchema, model, (number) => number < GRAPH),
    ...(model.graph === undefined ? [] : [fieldHead(GRAPH, sizeOf(graph)), ...graph]),
    part(ModelProtoSchema, model, (number) => number > GRAPH),
  ];
  const bytes = new Uint8Array(sizeOf(chunks));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
