import { byteLength, elementCount, type TensorData } from './data-type.js';
import { isStatic } from './dimension.js';
import { UpdraftError } from './errors.js';
import type { Graph } from './graph.js';
import { isFunctionSchema, type Model } from './model.js';
import type { Node } from './node.js';
import { shapeText } from './shape.js';
import type { Tensor } from './tensor.js';

/** A graph breaks the rules of ONNX; `problems` lists every breach. */
export class GraphValidationError extends UpdraftError {
  constructor(readonly problems: readonly string[]) {
    super(
      'graph',
      problems.length === 1
        ? (problems[0] as string)
        : `${problems.length} problems: ${problems.slice(0, 5).join(' ')}`,
      {
        details: { problems },
      },
    );
  }
}

class Validator {
  readonly problems: string[] = [];

  report(problem: string): void {
    this.problems.push(problem);
  }

  /** `outer` holds the names and values visible from enclosing graphs. */
  graph(graph: Graph, outerNames: ReadonlySet<string>, outerValues: ReadonlySet<Tensor>): void {
    const names = new Set<string>();
    const values = new Set<Tensor>(outerValues);
    const define = (value: Tensor, what: string): void => {
      if (value.graph !== graph)
        this.report(`${what} "${value.name}" belongs to the graph "${value.graph.name}", not "${graph.name}".`);
      if (value.name === '') this.report(`${what} of the graph "${graph.name}" has no name.`);
      if (names.has(value.name)) this.report(`Two values of the graph "${graph.name}" are named "${value.name}".`);
      else if (outerNames.has(value.name))
        this.report(`"${value.name}" of the graph "${graph.name}" has the name of a value of an enclosing graph.`);
      names.add(value.name);
      values.add(value);
      for (const dim of value.shape)
        if (isStatic(dim) && (!Number.isSafeInteger(dim) || dim < 0))
          this.report(`${what} "${value.name}" has the impossible shape ${shapeText(value.shape)}.`);
    };
    for (const input of graph.inputs) {
      if (input.producer !== undefined) this.report(`The input "${input.name}" is computed by a node.`);
      if (!graph.constants.has(input)) define(input, 'The input');
    }
    for (const [value, data] of graph.constants) {
      define(value, 'The constant');
      this.constant(value, data);
    }
    const later = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
    // Bodies may not take the name of any value of their enclosing graph, computed before them or after.
    const allNames = new Set([...outerNames, ...names]);
    for (const output of later) if (output !== undefined) allNames.add(output.name);
    const nodeNames = new Set<string>();
    for (const { name } of graph.nodes) {
      if (name !== '' && nodeNames.has(name))
        this.report(`Two nodes of the graph "${graph.name}" are named "${name}".`);
      nodeNames.add(name);
    }
    for (const node of graph.nodes) this.node(node, graph, values, later, define, allNames);
    const outputs = new Set<string>();
    for (const output of graph.outputs) {
      if (!values.has(output))
        this.report(`The output "${output.name}" of the graph "${graph.name}" is not computed in it.`);
      if (outputs.has(output.name)) this.report(`"${output.name}" is an output of the graph "${graph.name}" twice.`);
      outputs.add(output.name);
    }
  }

  constant(value: Tensor, data: TensorData): void {
    if (data.dataType !== value.dataType || data.dims.join() !== value.shape.join()) {
      this.report(
        `The constant "${value.name}" is ${value.dataType}${shapeText(value.shape)} and holds ${data.dataType}[${data.dims.join(', ')}].`,
      );
      return;
    }
    const held = data.dataType === 'string' ? data.data.length : (data.data as Uint8Array).byteLength;
    const needed = data.dataType === 'string' ? elementCount(data.dims) : byteLength(data.dataType, data.dims);
    if (held !== needed)
      this.report(
        `The constant "${value.name}" holds ${held} ${data.dataType === 'string' ? 'strings' : 'bytes'}; its shape needs ${needed}.`,
      );
  }

  node(
    node: Node,
    graph: Graph,
    values: ReadonlySet<Tensor>,
    later: ReadonlySet<Tensor | undefined>,
    define: (value: Tensor, what: string) => void,
    allNames: ReadonlySet<string>,
  ): void {
    const where = `${node.type} "${node.name}"`;
    if (node.graph !== graph)
      this.report(`${where} is listed in the graph "${graph.name}" and belongs to "${node.graph.name}".`);
    for (const input of node.inputs) {
      if (input === undefined || values.has(input)) continue;
      this.report(
        later.has(input)
          ? `${where} uses "${input.name}" before it is computed.`
          : `${where} uses "${input.name}", which is not visible in the graph "${graph.name}".`,
      );
    }
    const [fewest, most] = node.schema.outputs ?? [1, 1];
    if (node.outputs.length < fewest || node.outputs.length > most)
      this.report(`${where} has ${node.outputs.length} outputs, not ${fewest} to ${most}.`);
    for (const [name, attribute] of node.attributes) {
      const declared = node.schema.attributes?.[name];
      if (declared === undefined) this.report(`${where} has no attribute "${name}".`);
      else if (declared.kind !== attribute.kind)
        this.report(`${where}: attribute "${name}" is of kind ${attribute.kind}, not ${declared.kind}.`);
    }
    for (const [name, declared] of Object.entries(node.schema.attributes ?? {}))
      if (declared.required === true && !node.attributes.has(name))
        this.report(`${where} lacks its attribute "${name}".`);
    for (const [name, body] of node.subgraphs()) {
      if (body.parent !== graph) this.report(`${where}: the body "${name}" does not lie in the graph "${graph.name}".`);
      this.graph(body, allNames, values);
    }
    node.outputs.forEach((output, index) => {
      if (output === undefined) return;
      define(output, `Output ${index} of ${where}:`);
      if (output.producer !== node || output.outputIndex !== index)
        this.report(`Output ${index} of ${where} names another node as its producer.`);
    });
  }
}

/**
 * Check the structure of a graph and its bodies: one definition per value and name, no shadowing, definitions before
 * uses, visible values only, attributes as declared, constants that fill their shapes. Throws {@link GraphValidationError}.
 */
export function validateGraph(graph: Graph): void {
  const validator = new Validator();
  validator.graph(graph, new Set(), new Set());
  if (validator.problems.length > 0) throw new GraphValidationError(validator.problems);
}

/** {@link validateGraph}, and that the model imports the operator versions and holds the functions that its nodes need. */
export function validateModel(model: Model): void {
  const validator = new Validator();
  validator.graph(model.graph, new Set(), new Set());
  const visit = (graph: Graph): void => {
    for (const node of graph.nodes) {
      const version = model.opsets.get(node.domain) ?? (node.domain === '' ? model.opsets.get('ai.onnx') : undefined);
      if (version === undefined)
        validator.report(
          `The model imports no operators of the domain "${node.domain === '' ? 'ai.onnx' : node.domain}".`,
        );
      if (isFunctionSchema(node.schema) && !model.functions.includes(node.schema.modelFunction))
        validator.report(`${node.type} "${node.name}" calls a function that the model does not hold.`);
      for (const [, body] of node.subgraphs()) visit(body);
    }
  };
  visit(model.graph);
  const problems = [...new Set(validator.problems)];
  if (problems.length > 0) throw new GraphValidationError(problems);
}
