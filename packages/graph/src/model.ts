import type { Graph } from './graph.js';

/** A whole ONNX model: a graph and what the file says about it. */
export interface Model {
  readonly graph: Graph;
  readonly irVersion: number;
  /** Versions by operator domain ('' is ai.onnx). */
  readonly opsets: ReadonlyMap<string, number>;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly domain: string;
  readonly modelVersion: number;
  readonly documentation: string;
  readonly metadata: ReadonlyMap<string, string>;
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
    ...facts,
  };
}

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
