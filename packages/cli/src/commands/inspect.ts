import { readFile } from 'node:fs/promises';
import { standardDerivatives } from '@updraft/autodiff';
import { elementCount, isFloat, loadModel, printGraph, shapeText, type Graph, type Tensor } from '@updraft/graph';
import { CliError } from '../errors.js';

interface Summary {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly opsets: Readonly<Record<string, number>>;
  /** Floating-point constants: what could be trained. */
  readonly parameters: { readonly tensors: number; readonly elements: number };
  readonly operators: readonly { readonly operator: string; readonly count: number; readonly derivative: string }[];
}

const describe = ({ name, dataType, shape }: Tensor): string => `${name}: ${dataType}${shapeText(shape)}`;

function countOperators(graph: Graph, counts = new Map<string, number>()): Map<string, number> {
  for (const node of graph.nodes) {
    counts.set(node.key, (counts.get(node.key) ?? 0) + 1);
    for (const [, body] of node.subgraphs()) countOperators(body, counts);
  }
  return counts;
}

function summarize(graph: Graph, opsets: ReadonlyMap<string, number>): Summary {
  const derivatives = standardDerivatives();
  const weights = [...graph.constants.values()].filter(({ dataType }) => isFloat(dataType));
  return {
    inputs: graph.inputs.map(describe),
    outputs: graph.outputs.map(describe),
    opsets: Object.fromEntries(opsets),
    parameters: { tensors: weights.length, elements: weights.reduce((sum, { dims }) => sum + elementCount(dims), 0) },
    operators: [...countOperators(graph)]
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
      .map(([operator, count]) => ({ operator, count, derivative: derivatives.find(operator)?.order ?? 'none' })),
  };
}

/** Show what an ONNX file holds: inputs, outputs, parameters, operators, and whether they have derivatives. */
export async function inspectCommand(
  path: string,
  options: { readonly json: boolean; readonly nodes: boolean },
): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new CliError(`The file "${path}" cannot be read: ${(error as Error).message}.`, { cause: error });
  }
  const model = loadModel(bytes);
  const summary = summarize(model.graph, model.opsets);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  const line = (name: string, value: string): void => {
    process.stdout.write(`${name.padEnd(12)}${value}\n`);
  };
  summary.inputs.forEach((text) => {
    line('input', text);
  });
  summary.outputs.forEach((text) => {
    line('output', text);
  });
  line('parameters', `${summary.parameters.elements.toLocaleString('en')} in ${summary.parameters.tensors} tensors`);
  line(
    'opsets',
    Object.entries(summary.opsets)
      .map(([domain, version]) => `${domain === '' ? 'ai.onnx' : domain} ${version}`)
      .join(', '),
  );
  process.stdout.write('\n');
  for (const { operator, count, derivative } of summary.operators)
    process.stdout.write(`${String(count).padStart(6)} × ${operator.padEnd(32)} derivative: ${derivative}\n`);
  if (options.nodes) process.stdout.write(`\n${printGraph(model.graph)}\n`);
}
