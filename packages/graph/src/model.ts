import type { Graph } from './graph.js';
import type { OperatorSchema } from './schema.js';
import type { FileNotes } from './serialise/file-notes.js';
import type { FunctionProto } from './serialise/generated/onnx_pb.js';

/** An operator that a model defines for itself by a list of nodes. */
export interface ModelFunction {
  readonly domain: string;
  readonly name: string;
  readonly overload: string;
  /** As in the file: its nodes have no types until it is called. */
  readonly proto: FunctionProto;
}

/** A whole ONNX model: a graph and what the file says about it. */
export interface Model {
  readonly graph: Graph;
  readonly irVersion: number;
  /** Versions by operator domain ('' is ai.onnx). */
  readonly opsets: ReadonlyMap<string, number>;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly domain: string;
  readonly modelVersion: number | bigint;
  readonly documentation: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly functions: readonly ModelFunction[];
  /** How the file wrote what the graph does not hold; loaders set it. */
  readonly notes?: FileNotes | undefined;
}

/** The opset that Updraft builds for; newer operators raise it. */
export const TARGET_OPSET = 21;
/** IR version that goes with {@link TARGET_OPSET}. */
export const TARGET_IR = 10;

/** A model around a graph, with the versions that its nodes need. */
export function modelOf(graph: Graph, facts: Partial<Omit<Model, 'graph'>> = {}): Model {
  return {
    graph,
    irVersion: TARGET_IR,
    opsets: requiredOpsets(graph),
    producerName: 'updraft',
    producerVersion: '',
    domain: '',
    modelVersion: 0,
    documentation: '',
    metadata: new Map(),
    functions: [],
    ...facts,
  };
}

/** A schema that stands for a call of a {@link ModelFunction}. */
export interface FunctionSchema extends OperatorSchema {
  readonly modelFunction: ModelFunction;
}
export const isFunctionSchema = (schema: OperatorSchema): schema is FunctionSchema => 'modelFunction' in schema;

function requiredOpsets(graph: Graph): Map<string, number> {
  const opsets = new Map([['', TARGET_OPSET]]);
  const visit = (inner: Graph): void => {
    for (const node of inner.nodes) {
      opsets.set(node.domain, Math.max(opsets.get(node.domain) ?? 1, node.schema.since));
      for (const [, body] of node.subgraphs()) visit(body);
    }
  };
  visit(graph);
  return opsets;
}
