/**
 * Walks the bytes of a model at the level of the protobuf wire format, with the schema at hand but without building
 * anything, so that budgets hold before memory is taken. What passes decodes without surprises: lengths lie inside their
 * parents, nesting is bounded, strings are UTF-8, no field that may occur once occurs twice.
 * Wire format: https://protobuf.dev/programming-guides/encoding/
 */
import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
} from '../serialise/generated/onnx_pb.js';
import type { LoadBudgets } from './budgets.js';
import { ModelBudgetError, ModelFormatError } from './format-error.js';

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
/** Nesting of messages that no well-formed model below the depth budget reaches: four per subgraph, and types. */
const MESSAGES_PER_DEPTH = 4;
const OTHER_NESTING = 24;

type FieldKind = 'message' | 'string' | 'bytes' | 'varint' | 'fixed32' | 'fixed64';
interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  readonly message: DescMessage | undefined;
}

function scalarKind(scalar: ScalarType): FieldKind {
  switch (scalar) {
    case ScalarType.STRING:
      return 'string';
    case ScalarType.BYTES:
      return 'bytes';
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return 'fixed32';
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return 'fixed64';
    default:
      return 'varint';
  }
}

function fieldOf(field: DescField): Field {
  const repeated = field.fieldKind === 'list';
  const kind =
    field.message !== undefined ? 'message' : field.scalar !== undefined ? scalarKind(field.scalar) : 'varint';
  return { name: field.name, kind, repeated, message: field.message };
}

const tables = new WeakMap<DescMessage, Map<number, Field>>();
function fieldsOf(message: DescMessage): Map<number, Field> {
  let fields = tables.get(message);
  if (fields === undefined)
    tables.set(message, (fields = new Map(message.fields.map((field) => [field.number, fieldOf(field)]))));
  return fields;
}

const wireTypeOf: Readonly<Record<FieldKind, number>> = {
  message: BYTES,
  string: BYTES,
  bytes: BYTES,
  varint: VARINT,
  fixed32: FIXED32,
  fixed64: FIXED64,
};

/** What a file holds, counted without decoding it. */
export interface ModelCounts {
  readonly nodes: number;
  readonly messages: number;
}

class Scanner {
  #at = 0;
  readonly #path: [string, number][] = [];
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true });
  nodes = 0;
  messages = 0;
  #attributes = 0;
  #strings = 0;
  #stringBytes = 0;
  #scalars = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly budgets: LoadBudgets,
  ) {}

  get where(): string {
    return this.#path.map(([name, index]) => (index < 0 ? name : `${name}[${index}]`)).join('.');
  }
  fail(message: string): never {
    throw new ModelFormatError(this.where, `${message} (byte ${this.#at}).`, {
      hint: 'The file is damaged or is not an ONNX model.',
      details: { offset: this.#at },
    });
  }
  #spend(budget: keyof LoadBudgets, got: number): void {
    const limit = this.budgets[budget];
    if (got > limit) throw new ModelBudgetError(this.where, budget, limit, got);
  }

  /** A varint as a number; exact below 2^53, which is all that lengths and tags need. */
  #varint(end: number): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.#at >= end) this.fail('a number is cut off');
      const byte = this.bytes[this.#at++] as number;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    return this.fail('a number is longer than 10 bytes');
  }

  #length(end: number): number {
    const length = this.#varint(end);
    if (length > end - this.#at) this.fail(`a field claims ${length} bytes where ${end - this.#at} are left`);
    return length;
  }

  message(desc: DescMessage, end: number, nesting: number, depth: number): void {
    this.messages++;
    this.#spend('messages', this.messages);
    if (nesting > this.budgets.depth * MESSAGES_PER_DEPTH + OTHER_NESTING) this.fail('messages are nested too deeply');
    if (desc === GraphProtoSchema) this.#spend('depth', depth);
    else if (desc === NodeProtoSchema) this.#spend('nodes', ++this.nodes);
    else if (desc === AttributeProtoSchema) this.#spend('attributes', ++this.#attributes);
    const fields = fieldsOf(desc);
    const counts = new Map<number, number>();
    while (this.#at < end) {
      const tag = this.#varint(end);
      const number = Math.floor(tag / 8);
      const wireType = tag % 8;
      if (number === 0 || number > 2 ** 29 - 1) this.fail(`there is no field number ${number}`);
      const field = fields.get(number);
      if (field === undefined) {
        this.#skip(wireType, end);
        continue;
      }
      const index = counts.get(number) ?? 0;
      counts.set(number, index + 1);
      if (index > 0 && !field.repeated) this.fail(`"${field.name}" occurs twice`);
      this.#path.push([field.name, field.repeated ? index : -1]);
      this.#field(desc, field, wireType, end, nesting, depth, index);
      this.#path.pop();
    }
  }

  #field(
    desc: DescMessage,
    field: Field,
    wireType: number,
    end: number,
    nesting: number,
    depth: number,
    index: number,
  ): void {
    const expected = wireTypeOf[field.kind];
    if (wireType !== expected && !(wireType === BYTES && field.repeated))
      this.fail(`it has the wire type ${wireType}, not ${expected}`);
    const isDims = desc === TensorProtoSchema && field.name === 'dims';
    if (wireType !== BYTES) {
      this.#skip(wireType, end);
      if (field.repeated) {
        this.#spend('scalars', ++this.#scalars);
        if (isDims) this.#spend('rank', index + 1);
      }
      return;
    }
    const length = this.#length(end);
    const stop = this.#at + length;
    switch (field.kind) {
      case 'message':
        this.message(
          field.message as DescMessage,
          stop,
          nesting + 1,
          field.message === GraphProtoSchema ? depth + 1 : depth,
        );
        break;
      case 'string':
        this.#spend('strings', ++this.#strings);
        this.#spend('stringBytes', (this.#stringBytes += length));
        this.#checkText(stop);
        break;
      case 'bytes':
        if (field.repeated) this.#spend('strings', ++this.#strings);
        break;
      default:
        this.#packed(field.kind, stop, isDims);
    }
    if (this.#at > stop) this.fail('a field runs over its end');
    this.#at = stop;
  }

  #checkText(stop: number): void {
    let ascii = true;
    for (let at = this.#at; at < stop && ascii; at++) ascii = (this.bytes[at] as number) < 128;
    if (ascii) return;
    try {
      this.#utf8.decode(this.bytes.subarray(this.#at, stop));
    } catch {
      this.fail('a text is not valid UTF-8');
    }
  }

  #packed(kind: FieldKind, stop: number, isDims: boolean): void {
    const length = stop - this.#at;
    let count = 0;
    if (kind === 'varint') {
      let run = 0;
      for (let at = this.#at; at < stop; at++) {
        if ((this.bytes[at] as number) < 128) {
          count++;
          run = 0;
        } else if (++run > 9) this.fail('a number is longer than 10 bytes');
      }
      if (run > 0) this.fail('a number is cut off');
    } else {
      const width = kind === 'fixed32' ? 4 : 8;
      if (length % width !== 0) this.fail(`a list of ${length} bytes is not a whole number of ${width}-byte numbers`);
      count = length / width;
    }
    this.#scalars += count;
    this.#spend('scalars', this.#scalars);
    if (isDims) this.#spend('rank', count);
  }

  #skip(wireType: number, end: number): void {
    switch (wireType) {
      case VARINT:
        this.#varint(end);
        return;
      case FIXED64:
        this.#at += 8;
        break;
      case BYTES: {
        const length = this.#length(end);
        this.#at += length;
        break;
      }
      case FIXED32:
        this.#at += 4;
        break;
      default:
        this.fail(`wire type ${wireType} does not occur in ONNX`);
    }
    if (this.#at > end) this.fail('a field runs over its end');
  }
}

/** Check the bytes of a model against the budgets. Throws {@link ModelFormatError}; takes memory for the path only. */
export function scanModel(bytes: Uint8Array, budgets: LoadBudgets): ModelCounts {
  if (bytes.length > budgets.bytes) throw new ModelBudgetError('', 'bytes', budgets.bytes, bytes.length);
  if (bytes.length === 0) throw new ModelFormatError('', 'The file is empty.');
  const scanner = new Scanner(bytes, budgets);
  scanner.message(ModelProtoSchema, bytes.length, 0, 0);
  return { nodes: scanner.nodes, messages: scanner.messages };
}
