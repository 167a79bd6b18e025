import type { Graph, Node } from '@updraft/graph';
import type { InferenceSession } from 'onnxruntime-common';
import type { Runtime } from './runtime.js';

/**
 * Forms of operators that the WebGPU provider of ONNX Runtime 1.30 takes and then fails to run: it has the operator, but
 * not this use of it.
 */
const FAILS_ON_WEBGPU: Readonly<Record<string, (node: Node) => boolean>> = {
  // "BatchNormalization trainingMode is not supported yet"; in float32 it is written out instead.
  BatchNormalization: (node) => node.int('training_mode') === 1,
  // "The Indices output is not supported yet"
  MaxPool: (node) => node.outputs[1] !== undefined,
};

/** Names of the nodes of a graph, bodies included, that the CPU has to run. */
const nodesForCpu = (graph: Graph): string[] =>
  graph.nodes.flatMap((node) => [
    ...(FAILS_ON_WEBGPU[node.key]?.(node) === true ? [node.name] : []),
    ...node.subgraphs().flatMap(([, body]) => nodesForCpu(body)),
  ]);

/** The execution provider of a device, with what it has to know about a program. */
export function executionProvider(
  { device, provider }: Runtime,
  graph: Graph,
): InferenceSession.ExecutionProviderConfig {
  const names = device === 'webgpu' ? nodesForCpu(graph) : [];
  return names.length === 0 ? provider : { name: 'webgpu', forceCpuNodeNames: names };
}
