import { clone } from '@bufbuild/protobuf';
import type { Attribute } from '../attribute.js';
import { Graph } from '../graph.js';
import type { FunctionSchema, ModelFunction } from '../model.js';
import type { AttributeSchema, OperatorSchema } from '../schema.js';
import { NodeProtoSchema, type FunctionProto, type NodeProto } from '../serialise/generated/onnx_pb.js';
import type { Tensor } from '../tensor.js';
import { ModelBudgetError, ModelFormatError } from './format-error.js';
import { OpsetCheck } from './opsets.js';
import { sortNodes } from './order.js';
import { GraphReader, readAttribute, Scope, type ReadContext } from './read-graph.js';

const keyOf = (domain: string, name: string, overload: string): string =>
  [domain === 'ai.onnx' ? '' : domain, name, overload].join('\0');

/** A call of a function that puts its nodes into a graph. */
export interface ExpandableSchema extends FunctionSchema {
  /** Append the nodes of the function to `graph`; returns its outputs. */
  expand(
    graph: Graph,
    inputs: readonly (Tensor | undefined)[],
    attributes: ReadonlyMap<string, Attribute>,
  ): (Tensor | undefined)[];
}
export const isExpandable = (schema: OperatorSchema): schema is ExpandableSchema => 'expand' in schema;

/** The functions of a model: operators whose meaning the file gives as nodes. */
export class FunctionLibrary {
  readonly functions: readonly ModelFunction[];
  readonly #byKey = new Map<string, { entry: ModelFunction; where: string }>();
  /** Functions whose expansion is under way: a function may not call itself. */
  readonly #active: string[] = [];

  constructor(protos: readonly FunctionProto[]) {
    this.functions = protos.map((proto, index) => {
      const where = `functions[${index}] ${JSON.stringify(proto.name.slice(0, 80))}`;
      const entry = { domain: proto.domain, name: proto.name, overload: proto.overload, proto };
      const key = keyOf(proto.domain, proto.name, proto.overload);
      if (proto.name === '') throw new ModelFormatError(where, 'A function has no name.');
      if (this.#byKey.has(key)) throw new ModelFormatError(where, 'It is defined twice.');
      this.#byKey.set(key, { entry, where });
      for (const names of [
        proto.input,
        proto.output,
        [...proto.attribute, ...proto.attributeProto.map(({ name }) => name)],
      ])
        if (new Set(names).size !== names.length || names.includes(''))
          throw new ModelFormatError(where, 'A name in its signature is empty or occurs twice.');
      return entry;
    });
  }

  find(node: NodeProto): { entry: ModelFunction; where: string } | undefined {
    return this.#byKey.get(keyOf(node.domain, node.opType, node.overload));
  }

  /** Schema of one call: attributes have the kinds that the call gives them. */
  schema(node: NodeProto, given: ReadonlyMap<string, Attribute>, context: ReadContext): ExpandableSchema | undefined {
    const found = this.find(node);
    if (found === undefined) return undefined;
    const { entry, where } = found;
    const { proto } = entry;
    const attributes: Record<string, AttributeSchema> = {};
    const defaults = new Map<string, Attribute>();
    for (const attribute of proto.attributeProto) {
      const value = readAttribute(
        attribute,
        context,
        `${where}.attribute_proto ${JSON.stringify(attribute.name.slice(0, 80))}`,
      );
      defaults.set(attribute.name, value);
      attributes[attribute.name] = { kind: value.kind };
    }
    for (const name of proto.attribute) attributes[name] = { kind: given.get(name)?.kind ?? 'int', required: true };
    const expand: ExpandableSchema['expand'] = (graph, inputs, values) =>
      this.#expand(entry, where, graph, inputs, new Map([...defaults, ...values]), context);
    return {
      type: proto.name,
      domain: proto.domain === 'ai.onnx' ? '' : proto.domain,
      since: 1,
      inputs: proto.input.map((name) => ({ name, optional: true })),
      attributes,
      outputs: [Math.min(1, proto.output.length), proto.output.length],
      modelFunction: entry,
      expand,
      infer: ({ node: call, inputs }) => {
        // The nodes land in a graph that is thrown away; only the types of the results count.
        const scratch = new Graph(proto.name, call.graph);
        return expand(scratch, inputs, call.attributes).map((output) =>
          output === undefined
            ? undefined
            : { dataType: output.dataType, shape: output.shape, elements: output.elements },
        );
      },
    };
  }

  #expand(
    entry: ModelFunction,
    where: string,
    graph: Graph,
    inputs: readonly (Tensor | undefined)[],
    attributes: ReadonlyMap<string, Attribute>,
    outer: ReadContext,
  ): (Tensor | undefined)[] {
    const { proto } = entry;
    const key = keyOf(entry.domain, entry.name, entry.overload);
    if (this.#active.includes(key)) throw new ModelFormatError(where, 'The function calls itself.');
    if (this.#active.length >= outer.budgets.depth)
      throw new ModelBudgetError(where, 'depth', outer.budgets.depth, this.#active.length + 1);
    const opsets = new Map<string, number>(proto.opsetImport.map(({ domain, version }) => [domain, Number(version)]));
    const context: ReadContext = {
      ...outer,
      opsets: new OpsetCheck(opsets),
      functionAttributes: attributes,
      isFunction: (node) => this.find(node) !== undefined,
      functionSchema: (node, values) => this.schema(node, values, context),
    };
    this.#active.push(key);
    try {
      const scope = new Scope();
      proto.input.forEach((name, index) => {
        scope.declared.add(name);
        const value = inputs[index];
        if (value !== undefined) scope.values.set(name, value);
      });
      const missing = new Set(proto.input.filter((_, index) => inputs[index] === undefined));
      // Omitted inputs of the call are omitted inputs of the nodes that use them.
      const nodes = proto.node.map((node) => {
        if (!node.input.some((name) => missing.has(name))) return node;
        const copy = clone(NodeProtoSchema, node);
        copy.input = node.input.map((name) => (missing.has(name) ? '' : name));
        return copy;
      });
      const at = (index: number): string => {
        const node = nodes[index] as NodeProto;
        return `${where}.node[${index}] ${JSON.stringify((node.name === '' ? node.opType : node.name).slice(0, 80))}`;
      };
      nodes.forEach(({ output }, index) => {
        for (const name of output) {
          if (name === '') continue;
          if (scope.declared.has(name))
            throw new ModelFormatError(at(index), `The name ${JSON.stringify(name.slice(0, 80))} is defined twice.`);
          scope.declared.add(name);
        }
      });
      const reader = new GraphReader(context, graph, scope, where);
      for (const index of sortNodes(nodes, scope, at)) {
        const made = reader.node(nodes[index] as NodeProto, at(index));
        // Names inside a function are its own; two calls must not clash.
        if (made.name !== '') made.name = graph.uniqueName(`${proto.name}/${made.name}`);
        for (const output of made.outputs)
          if (output !== undefined) output.name = graph.uniqueName(`${proto.name}/${output.name}`);
      }
      return proto.output.map((name) => {
        const value = scope.values.get(name);
        if (value === undefined && !missing.has(name))
          throw new ModelFormatError(where, `Its output ${JSON.stringify(name.slice(0, 80))} is not computed.`);
        return value;
      });
    } finally {
      this.#active.pop();
    }
  }
}
