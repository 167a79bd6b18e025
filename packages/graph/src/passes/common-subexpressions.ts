import type { Attribute } from '../attribute.js';
import { DATA_TYPES, type TensorData } from '../data-type.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { tensorBytes } from '../serialise/encode.js';
import type { Tensor } from '../tensor.js';
import { rewrite, type RewriteResult, type RewriteRule, type RewriteStep } from './rewrite.js';

/** Bits of a number as text: -0 and 0 differ, NaN equals NaN. */
const numberKey = (value: number | bigint): string => (Object.is(value, -0) ? '-0' : String(value));

/** Equal tensors have equal bytes; the key of a large one is a hash, and equality is checked beside it. */
function contentKey(data: TensorData): string {
  const head = `${data.dataType}[${data.dims.join()}]`;
  if (data.dataType === 'string') return `${head}${JSON.stringify(data.data)}`;
  const bytes = tensorBytes(data);
  let hash = 0x811c9dc5;
  const stride = Math.max(1, Math.floor(bytes.length / 4096));
  for (let at = 0; at < bytes.length; at += stride) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return `${head}#${bytes.length}:${hash >>> 0}`;
}

function sameContents(a: TensorData, b: TensorData): boolean {
  if (a === b) return true;
  if (a.dataType === 'string') return true; // the key holds the text
  const [left, right] = [tensorBytes(a), tensorBytes(b)];
  if (left.length !== right.length) return false;
  const words = Math.floor(left.length / 4);
  if (left.byteOffset % 4 === 0 && right.byteOffset % 4 === 0) {
    const [x, y] = [
      new Uint32Array(left.buffer, left.byteOffset, words),
      new Uint32Array(right.buffer, right.byteOffset, words),
    ];
    for (let at = 0; at < words; at++) if (x[at] !== y[at]) return false;
    for (let at = words * 4; at < left.length; at++) if (left[at] !== right[at]) return false;
    return true;
  }
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}

class CommonSubexpressions implements RewriteStep {
  /** Per graph, so that a body finds what its enclosing graphs have computed, but not the other way round. */
  readonly #nodes = new Map<Graph, Map<string, Node>>();
  readonly #constants = new Map<Graph, Map<string, Tensor[]>>();
  readonly #ids = new Map<Tensor | TensorData, number>();
  readonly #tensors = new Map<string, TensorData[]>();

  #id(value: Tensor | TensorData): number {
    let id = this.#ids.get(value);
    if (id === undefined) this.#ids.set(value, (id = this.#ids.size));
    return id;
  }

  /** One id for all attribute tensors of equal contents. */
  #tensorId(data: TensorData): number {
    const key = contentKey(data);
    const known = this.#tensors.get(key) ?? [];
    const equal = known.find((other) => sameContents(other, data));
    if (equal === undefined) this.#tensors.set(key, [...known, data]);
    return this.#id(equal ?? data);
  }

  #attributeKey(attribute: Attribute): string | undefined {
    switch (attribute.kind) {
      case 'int':
      case 'float':
        return numberKey(attribute.value);
      case 'string':
        return JSON.stringify(attribute.value);
      case 'ints':
      case 'floats':
        return attribute.value.map(numberKey).join();
      case 'strings':
        return JSON.stringify(attribute.value);
      case 'tensor':
        return `#${this.#tensorId(attribute.value)}`;
      case 'graph':
        return undefined;
    }
  }

  /** Undefined for nodes that may not be merged: random ones and those with bodies. */
  #key(node: Node, inputs: readonly (Tensor | undefined)[]): string | undefined {
    // Copies serve as outputs of their own; the clean-up decides which of them are needed.
    if (node.schema.random === true || node.key === 'Identity') return undefined;
    const attributes: string[] = [];
    for (const [name, attribute] of node.attributes) {
      const key = this.#attributeKey(attribute);
      if (key === undefined) return undefined;
      attributes.push(`${name}=${key}`);
    }
    const operands = inputs.map((input) => (input === undefined ? '' : this.#id(input))).join();
    const outputs = node.outputs.map((output) => (output === undefined ? '-' : '+')).join('');
    return `${node.key}|${operands}|${outputs}|${attributes.sort().join(';')}`;
  }

  replace({
    node,
    inputs,
    graph,
  }: Parameters<NonNullable<RewriteStep['replace']>>[0]): readonly (Tensor | undefined)[] | undefined {
    const key = this.#key(node, inputs);
    if (key === undefined) return undefined;
    for (let scope: Graph | undefined = graph; scope !== undefined; scope = scope.parent) {
      const found = this.#nodes.get(scope)?.get(key);
      if (found !== undefined) return found.outputs;
    }
    return undefined;
  }

  copied(node: Node): void {
    const key = this.#key(node, node.inputs);
    if (key === undefined) return;
    let known = this.#nodes.get(node.graph);
    if (known === undefined) this.#nodes.set(node.graph, (known = new Map<string, Node>()));
    if (!known.has(key)) known.set(key, node);
  }

  constant(data: TensorData, graph: Graph): Tensor | undefined {
    const key = contentKey(data);
    for (let scope: Graph | undefined = graph; scope !== undefined; scope = scope.parent)
      for (const other of this.#constants.get(scope)?.get(key) ?? []) {
        const contents = scope.constants.get(other);
        if (contents !== undefined && sameContents(contents, data)) return other;
      }
    return undefined;
  }

  copiedConstant(value: Tensor, data: TensorData): void {
    let known = this.#constants.get(value.graph);
    if (known === undefined) this.#constants.set(value.graph, (known = new Map<string, Tensor[]>()));
    const key = contentKey(data);
    const list = known.get(key);
    if (list === undefined) known.set(key, [value]);
    else list.push(value);
  }
}

/** Nodes that compute the same from the same values, and equal constants, become one. */
export const commonSubexpressions: RewriteRule = {
  name: 'common-subexpressions',
  start: () => new CommonSubexpressions(),
};

/** A copy in which equal computations happen once; random operators keep their own draws. */
export const eliminateCommonSubexpressions = (graph: Graph): RewriteResult => rewrite(graph, [commonSubexpressions]);

export const bytesOf = (data: TensorData): number =>
  data.dataType === 'string'
    ? 0
    : Math.ceil((data.dims.reduce((a, b) => a * b, 1) * DATA_TYPES[data.dataType].bits) / 8);
