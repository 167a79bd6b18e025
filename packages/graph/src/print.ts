import type { Attribute } from './attribute.js';
import { elementCount, readElement, type TensorData } from './data-type.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import { shapeText } from './shape.js';
import type { Tensor } from './tensor.js';

export interface PrintOptions {
  /** Contents of constants of up to this many elements are shown. Default: 6. */
  readonly maxElements?: number;
  /** Nodes shown per graph; the rest is counted. Default: all. */
  readonly maxNodes?: number;
}

const typeText = (value: Tensor): string => `${value.dataType}${shapeText(value.shape)}`;
const declaration = (value: Tensor): string => `%${value.name}: ${typeText(value)}`;

function numberText(data: TensorData, index: number): string {
  if (data.dataType === 'string') return JSON.stringify(data.data[index]);
  if (data.dataType === 'int64' || data.dataType === 'uint64') return String((data.data as BigInt64Array)[index]);
  const value = readElement(data, index);
  if (data.dataType === 'bool') return value === 0 ? 'false' : 'true';
  if (Object.is(value, -0)) return '-0';
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(7)));
}

function contents(data: TensorData, maxElements: number): string {
  const count = elementCount(data.dims);
  if (count > maxElements) return '…';
  const texts = Array.from({ length: count }, (_, index) => numberText(data, index));
  return data.dims.length === 0 ? (texts[0] ?? '') : `[${texts.join(', ')}]`;
}

function attributeText(attribute: Attribute, maxElements: number): string {
  const list = (values: readonly unknown[]): string =>
    `[${values.slice(0, 12).map(String).join(', ')}${values.length > 12 ? `, … ${values.length - 12} more` : ''}]`;
  switch (attribute.kind) {
    case 'int':
      return String(attribute.value);
    case 'float':
      return String(Number(attribute.value.toPrecision(7)));
    case 'string':
      return JSON.stringify(attribute.value);
    case 'tensor':
      return `${attribute.value.dataType}[${attribute.value.dims.join(', ')}] ${contents(attribute.value, maxElements)}`;
    case 'ints':
    case 'floats':
      return list(attribute.value);
    case 'strings':
      return list(attribute.value.map((text) => JSON.stringify(text)));
    case 'graph':
      return '';
  }
}

class Printer {
  readonly lines: string[] = [];
  constructor(
    readonly maxElements: number,
    readonly maxNodes: number,
  ) {}

  node(node: Node, indent: string): void {
    const outputs = node.outputs.map((output) => (output === undefined ? '_' : declaration(output))).join(', ');
    const inputs = node.inputs.map((input) => (input === undefined ? '_' : `%${input.name}`)).join(', ');
    const attributes = [...node.attributes]
      .filter(([, { kind }]) => kind !== 'graph')
      .map(([name, attribute]) => `${name}: ${attributeText(attribute, this.maxElements)}`);
    const written = attributes.length === 0 ? '' : ` {${attributes.join(', ')}}`;
    const source = node.source === '' ? '' : `  # ${node.source}`;
    this.lines.push(`${indent}${outputs} = ${node.key}(${inputs})${written}${source}`);
    for (const [name, body] of node.subgraphs()) this.graph(body, `${indent}  `, `${name} `);
  }

  graph(graph: Graph, indent: string, prefix = ''): void {
    const name = graph.name === '' ? '' : ` ${graph.name}`;
    const inputs = graph.inputs.map(declaration).join(', ');
    const outputs = graph.outputs.map((output) => `%${output.name}`).join(', ');
    this.lines.push(`${indent}${prefix}graph${name}(${inputs}) -> (${outputs}) {`);
    const inner = `${indent}  `;
    for (const [value, data] of graph.constants)
      this.lines.push(`${inner}${declaration(value)} = constant ${contents(data, this.maxElements)}`);
    for (const node of graph.nodes.slice(0, this.maxNodes)) this.node(node, inner);
    if (graph.nodes.length > this.maxNodes)
      this.lines.push(`${inner}… ${graph.nodes.length - this.maxNodes} more nodes`);
    this.lines.push(`${indent}}`);
  }
}

/**
 * A graph as text, one line per node: `%y: float32[batch, 10] = Gemm(%x, %w, %b) {transB: 1}  # adamw`. Bodies of
 * control flow follow their node, indented; the label after `#` says who built the node.
 */
export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  const printer = new Printer(options.maxElements ?? 6, options.maxNodes ?? Infinity);
  printer.graph(graph, '');
  return printer.lines.join('\n');
}
