import type { Attribute, AttributeKind, AttributeKinds } from './attribute.js';
import { UpdraftError } from './errors.js';
import type { Graph } from './graph.js';
import { operatorKey, type OperatorSchema } from './schema.js';
import type { Tensor } from './tensor.js';

/** One operator application. Made by `apply`; immutable except for its name and the passes of this package. */
export class Node {
  /** `undefined` for omitted optional inputs. */
  readonly inputs: readonly (Tensor | undefined)[];
  /** `undefined` for omitted optional outputs. Filled once by `apply`. */
  outputs: readonly (Tensor | undefined)[] = [];
  name: string;
  documentation = '';
  /** Who built the node: labels such as `adamw/dense1`, kept in the ONNX metadata of the node for profiles. */
  source = '';
  /** Further ONNX node metadata of imported files. */
  metadata: ReadonlyMap<string, string> = new Map();

  constructor(
    readonly graph: Graph,
    readonly schema: OperatorSchema,
    inputs: readonly (Tensor | undefined)[],
    readonly attributes: ReadonlyMap<string, Attribute>,
    name: string,
  ) {
    this.inputs = inputs;
    this.name = name;
  }

  get type(): string {
    return this.schema.type;
  }
  get domain(): string {
    return this.schema.domain ?? '';
  }
  get key(): string {
    return operatorKey(this.domain, this.type);
  }

  /** Value of an attribute, its schema default, or undefined. */
  attribute<K extends AttributeKind>(name: string, kind: K): AttributeKinds[K] | undefined {
    const attribute = this.attributes.get(name);
    if (attribute === undefined) {
      const declared = this.schema.attributes?.[name];
      return declared?.kind === kind ? (declared.default as AttributeKinds[K] | undefined) : undefined;
    }
    if (attribute.kind !== kind)
      throw new UpdraftError(
        'attribute',
        `Attribute "${name}" of ${this.type} "${this.name}" is of kind ${attribute.kind}, not ${kind}.`,
      );
    return attribute.value as AttributeKinds[K];
  }

  #required<K extends AttributeKind>(name: string, kind: K): AttributeKinds[K] {
    const value = this.attribute(name, kind);
    if (value === undefined)
      throw new UpdraftError('attribute', `${this.type} "${this.name}" lacks its attribute "${name}" (${kind}).`);
    return value;
  }
  /** Integer attribute (or its default) as a number. */
  int(name: string): number {
    return Number(this.#required(name, 'int'));
  }
  float(name: string): number {
    return this.#required(name, 'float');
  }
  string(name: string): string {
    return this.#required(name, 'string');
  }
  ints(name: string): readonly number[] {
    return this.#required(name, 'ints').map(Number);
  }
  /** Integer list, or undefined when absent without default. */
  optionalInts(name: string): readonly number[] | undefined {
    return this.attribute(name, 'ints')?.map(Number);
  }
  subgraph(name: string): Graph {
    return this.#required(name, 'graph');
  }
  get hasSubgraphs(): boolean {
    for (const attribute of this.attributes.values()) if (attribute.kind === 'graph') return true;
    return false;
  }
  /** Bodies of control flow, by attribute name. */
  subgraphs(): [string, Graph][] {
    return [...this.attributes].flatMap(([name, attribute]) =>
      attribute.kind === 'graph' ? [[name, attribute.value] as [string, Graph]] : [],
    );
  }
  /** First output. */
  get output(): Tensor {
    const output = this.outputs[0];
    if (output === undefined) throw new UpdraftError('graph', `${this.type} "${this.name}" has no first output.`);
    return output;
  }
}
