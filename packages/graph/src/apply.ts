import type { Attribute, AttributeValue } from './attribute.js';
import { isInteger, toNumbers, type DataType, type TensorData } from './data-type.js';
import { dimEquals, dimText, isStatic, symbol, type Dim } from './dimension.js';
import { UpdraftError, type UpdraftErrorOptions } from './errors.js';
import { expressionText } from './expression.js';
import type { Graph } from './graph.js';
import { currentGraph, currentLabel } from './graph.js';
import { Node } from './node.js';
import type { InferenceContext, OperatorSchema, TensorType } from './schema.js';
import { broadcastShapes, ShapeError, shapeSize, type Shape } from './shape.js';
import { Tensor } from './tensor.js';

/** An operator was given inputs, attributes or element types that its schema does not allow. */
export class OperatorError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('operator', message, options);
  }
}

/** An operand: a symbolic tensor, or a number that becomes a constant of its partner's element type. */
export type Operand = Tensor | number;
/** Attributes as plain values; their kinds come from the schema. `undefined` ones are left out. */
export type AttributeValues = Readonly<Record<string, AttributeValue | undefined>>;

export interface ApplyOptions {
  readonly name?: string;
  /** Number of outputs where the schema allows several; default: the fewest. */
  readonly outputs?: number;
  /** Where to put the node when no operand is a tensor, or to force a graph. */
  readonly graph?: Graph;
}

/** The deepest graph among the operands, and among these and the graph under construction. */
function placement(schema: OperatorSchema, inputs: readonly (Operand | undefined)[], options: ApplyOptions): Graph {
  let graph = options.graph ?? currentGraph();
  for (const input of inputs)
    if (input instanceof Tensor && (graph === undefined || !graph.sees(input.graph))) {
      if (graph !== undefined && !input.graph.sees(graph))
        throw new OperatorError(
          `${schema.type} mixes values of unrelated graphs: "${input.name}" is in "${input.graph.name}", not in "${graph.name}".`,
          { hint: 'Build both operands in one graph, or pass one in as an input.' },
        );
      graph = input.graph;
    }
  if (graph === undefined)
    throw new OperatorError(`${schema.type} has no tensor operand that says which graph it belongs to.`, {
      hint: 'Make one operand with graph.constant(...).',
    });
  return graph;
}

/** Numbers take the element type of the tensor with the same type variable, else of the first tensor. */
function promote(
  graph: Graph,
  schema: OperatorSchema,
  inputs: readonly (Operand | undefined)[],
): (Tensor | undefined)[] {
  const tensors = inputs.filter((input): input is Tensor => input instanceof Tensor);
  return inputs.map((input, index) => {
    if (typeof input !== 'number') return input;
    const variable = inputSchema(schema, index)?.typeVariable;
    const partner =
      variable === undefined
        ? tensors[0]
        : inputs.find(
            (other, at): other is Tensor =>
              other instanceof Tensor && inputSchema(schema, at)?.typeVariable === variable,
          );
    return graph.constant(input, (partner ?? tensors[0])?.dataType ?? 'float32');
  });
}

function inputSchema(schema: OperatorSchema, index: number): OperatorSchema['inputs'][number] | undefined {
  const last = schema.inputs[schema.inputs.length - 1];
  return schema.inputs[index] ?? (last?.variadic === true ? last : undefined);
}

function checkInputs(schema: OperatorSchema, inputs: readonly (Tensor | undefined)[], where: string): void {
  const variables = new Map<string, DataType>();
  const variadic = schema.inputs[schema.inputs.length - 1]?.variadic === true;
  if (inputs.length > schema.inputs.length && !variadic)
    throw new OperatorError(`${where} takes at most ${schema.inputs.length} inputs, not ${inputs.length}.`);
  for (let index = 0; index < Math.max(inputs.length, schema.inputs.length); index++) {
    const declared = inputSchema(schema, index);
    const input = inputs[index];
    if (declared === undefined) continue;
    if (input === undefined) {
      if (declared.optional !== true && !(declared.variadic === true && index > 0))
        throw new OperatorError(`${where} lacks its input ${index} ("${declared.name}").`);
      continue;
    }
    if (declared.types !== undefined && !declared.types.includes(input.dataType))
      throw new OperatorError(
        `${where}: input ${index} ("${declared.name}") is ${input.dataType}, in ${expressionText(input)}.`,
        { hint: `Allowed are ${declared.types.join(', ')}; convert with cast().` },
      );
    if (declared.typeVariable !== undefined) {
      const seen = variables.get(declared.typeVariable);
      if (seen !== undefined && seen !== input.dataType)
        throw new OperatorError(
          `${where}: input ${index} ("${declared.name}") is ${input.dataType} where ${seen} is needed, in ${expressionText(input)}.`,
          { hint: 'Convert one operand with cast().' },
        );
      variables.set(declared.typeVariable, input.dataType);
    }
  }
}

function encodeAttributes(schema: OperatorSchema, values: AttributeValues): Map<string, Attribute> {
  const attributes = new Map<string, Attribute>();
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const declared = schema.attributes?.[name];
    if (declared === undefined)
      throw new OperatorError(`${schema.type} has no attribute "${name}".`, {
        hint: `It has: ${Object.keys(schema.attributes ?? {}).join(', ') || 'none'}.`,
      });
    attributes.set(name, { kind: declared.kind, value } as Attribute);
  }
  return attributes;
}

function checkAttributes(schema: OperatorSchema, attributes: ReadonlyMap<string, Attribute>, where: string): void {
  for (const [name, declared] of Object.entries(schema.attributes ?? {})) {
    const attribute = attributes.get(name);
    if (attribute === undefined) {
      if (declared.required === true) throw new OperatorError(`${where} lacks its attribute "${name}".`);
      continue;
    }
    if (attribute.kind !== declared.kind)
      throw new OperatorError(`${where}: attribute "${name}" is of kind ${attribute.kind}, not ${declared.kind}.`);
    if (declared.values !== undefined && !declared.values.includes(String(attribute.value as string | number)))
      throw new OperatorError(`${where}: attribute "${name}" is "${String(attribute.value as string | number)}".`, {
        hint: `Allowed are ${declared.values.join(', ')}.`,
      });
  }
  for (const name of attributes.keys())
    if (schema.attributes?.[name] === undefined)
      throw new OperatorError(`${where} has no attribute "${name}".`, {
        hint: `It has: ${Object.keys(schema.attributes ?? {}).join(', ') || 'none'}.`,
      });
}

/** Inference services for one node. */
class Inference implements InferenceContext {
  constructor(
    readonly node: Node,
    readonly outputCount: number,
  ) {}
  get inputs(): readonly (Tensor | undefined)[] {
    return this.node.inputs;
  }
  input(index: number): Tensor {
    return this.node.inputs[index] ?? this.fail(`input ${index} is missing`);
  }
  fail(message: string, hint?: string): never {
    throw new ShapeError(
      `${this.node.type}: ${message}, in ${expressionText(this.node)}.`,
      hint === undefined ? {} : { hint },
    );
  }
  broadcast(...shapes: readonly Shape[]): Shape {
    try {
      return broadcastShapes(shapes, (left, right) => {
        this.node.graph.assume(left, right, `${this.node.type} "${this.node.name}"`);
      });
    } catch (error) {
      if (error instanceof ShapeError) this.fail(error.message.replace(/\.( |$)/, '$1').replace(/\.$/, ''));
      throw error;
    }
  }
  unify(left: Dim, right: Dim, what: string): Dim {
    if (dimEquals(left, right)) return left;
    if (isStatic(left) && isStatic(right)) this.fail(`${what}: ${dimText(left)} and ${dimText(right)} differ`);
    this.node.graph.assume(left, right, `${this.node.type} "${this.node.name}": ${what}`);
    return isStatic(left) ? left : right;
  }
  unknownDim(hint: string): Dim {
    return symbol(this.node.graph.root.uniqueName(hint));
  }
  elements(index: number): readonly Dim[] | undefined {
    const input = this.inputs[index];
    return input?.elements ?? integersOf(input?.constant);
  }
  staticElements(index: number, what: string): readonly number[] {
    const elements = this.elements(index);
    if (elements === undefined || !elements.every(isStatic))
      this.fail(
        `${what} must be known when the graph is built`,
        'Give it as a constant, or fold the shape arithmetic that computes it.',
      );
    return elements;
  }
}

function integersOf(data: TensorData | undefined): readonly number[] | undefined {
  return data !== undefined && isInteger(data.dataType) ? toNumbers(data) : undefined;
}

/**
 * Append a node: checks inputs and attributes against the schema, infers output types and shapes, and returns the node.
 * Throws {@link OperatorError} or {@link ShapeError}; nothing is appended then.
 */
export function applyNode(
  schema: OperatorSchema,
  operands: readonly (Operand | undefined)[],
  values: AttributeValues = {},
  options: ApplyOptions = {},
): Node {
  const graph = placement(schema, operands, options);
  const inputs = promote(graph, schema, operands);
  return appendNode(graph, schema, inputs, encodeAttributes(schema, values), options);
}

/** {@link applyNode} for encoded attributes and tensors, as loaders and graph copies have them. */
export function appendNode(
  graph: Graph,
  schema: OperatorSchema,
  inputs: readonly (Tensor | undefined)[],
  attributes: ReadonlyMap<string, Attribute>,
  options: Omit<ApplyOptions, 'graph'> & {
    /** Exact names of the outputs ('' omits one), as a file gives them; the caller sees to it that they are free. */
    readonly outputNames?: readonly string[];
  } = {},
): Node {
  const trimmed = [...inputs];
  while (trimmed.length > 0 && trimmed[trimmed.length - 1] === undefined) trimmed.pop();
  const where = options.name === undefined || options.name === '' ? schema.type : `${schema.type} "${options.name}"`;
  checkInputs(schema, trimmed, where);
  checkAttributes(schema, attributes, where);
  const [fewest, most] = schema.outputs ?? [1, 1];
  const outputCount = options.outputNames?.length ?? options.outputs ?? fewest;
  if (outputCount < fewest || outputCount > most)
    throw new OperatorError(`${where} has ${fewest} to ${most} outputs, not ${outputCount}.`);
  const node = new Node(graph, schema, trimmed, attributes, options.name ?? '');
  node.source = currentLabel();
  const types = schema.infer(new Inference(node, outputCount));
  if (options.name === undefined) node.name = graph.uniqueName(schema.type);
  node.outputs = Array.from({ length: outputCount }, (_, index) => {
    const given = options.outputNames?.[index];
    if (given === '') return undefined;
    const type = types[index];
    if (type === undefined)
      throw new OperatorError(`${where}: its output ${index} has no inferred type.`, {
        hint: 'Ask for fewer outputs.',
      });
    return outputTensor(node, index, type, given);
  });
  graph.nodes.push(node);
  return node;
}

/**
 * Contents that really are the elements of the output. Schemas combine them as vectors; matrices of equal length that
 * broadcast ([2, 1] with [2]) have more elements than that, so what does not fill the shape is not known after all.
 */
function contentsOf({ shape, elements }: TensorType): readonly Dim[] | undefined {
  return elements !== undefined && dimEquals(shapeSize(shape), elements.length) ? elements : undefined;
}

function outputTensor(node: Node, index: number, type: TensorType, given: string | undefined): Tensor {
  const { graph } = node;
  const base = index === 0 ? node.name : `${node.name}_${index}`;
  const name = given ?? graph.uniqueName(`${base}:${index}`);
  // Sibling bodies may repeat names, so exact names are the caller's; they only keep generated ones away.
  if (given !== undefined) graph.uniqueName(given);
  return new Tensor(graph, name, type.dataType, type.shape, contentsOf(type), node, index);
}

/** Append a node and return its first output. */
export const apply = (
  schema: OperatorSchema,
  operands: readonly (Operand | undefined)[],
  values: AttributeValues = {},
  options: ApplyOptions = {},
): Tensor => applyNode(schema, operands, values, options).output;
