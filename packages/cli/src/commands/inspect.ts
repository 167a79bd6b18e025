import { readFile } from 'node:fs/promises';
import { standardDerivatives } from '@updraft/autodiff';
import {
  elementCount,
  isFloat,
  loadModel,
  printGraph,
  shapeText,
  UpdraftError,
  type Graph,
  type Model,
  type Tensor,
  type TensorData,
} from '@updraft/graph';
import { Command } from 'commander';
import { fileError } from '../errors.js';

interface Summary {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly opsets: Readonly<Record<string, number>>;
  /** Floating-point constants with an axis: what could be trained. */
  readonly parameters: { readonly tensors: number; readonly elements: number };
  readonly operators: readonly { readonly operator: string; readonly count: number; readonly derivative: string }[];
}

const describe = ({ name, dataType, shape }: Tensor): string => `${name}: ${dataType}${shapeText(shape)}`;

/** Every graph of a model: the main one, and the bodies of control flow. */
function* allGraphs(graph: Graph): Generator<Graph> {
  yield graph;
  for (const node of graph.nodes) for (const [, body] of node.subgraphs()) yield* allGraphs(body);
}

/** Floating-point values that a graph carries, as initialisers or as Constant nodes (as old exporters write them). */
function weights(graph: Graph): TensorData[] {
  const nodes = graph.nodes.filter(({ key }) => key === 'Constant');
  return [...graph.constants.values(), ...nodes.map((node) => node.attribute('value', 'tensor'))].filter(
    (value): value is TensorData => value !== undefined && isFloat(value.dataType) && value.dims.length > 0,
  );
}

/** How often an operator can be differentiated. Constants have nothing to differentiate. */
const derivativeText = { any: 'any order', first: 'first order', zero: 'zero' } as const;

function summarize(main: Graph, opsets: ReadonlyMap<string, number>): Summary {
  const derivatives = standardDerivatives();
  const graphs = [...allGraphs(main)];
  const parameters = graphs.flatMap(weights);
  const counts = new Map<string, number>();
  for (const { key } of graphs.flatMap(({ nodes }) => nodes)) counts.set(key, (counts.get(key) ?? 0) + 1);
  return {
    inputs: main.inputs.map(describe),
    outputs: main.outputs.map(describe),
    opsets: Object.fromEntries(opsets),
    parameters: {
      tensors: parameters.length,
      elements: parameters.reduce((sum, { dims }) => sum + elementCount(dims), 0),
    },
    operators: [...counts]
      .filter(([operator]) => operator !== 'Constant')
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
      .map(([operator, count]) => {
        const order = derivatives.find(operator)?.order;
        return { operator, count, derivative: order === undefined ? 'none' : derivativeText[order] };
      }),
  };
}

async function readModel(path: string): Promise<Model> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw fileError(`The file "${path}" cannot be read`, error);
  }
  try {
    return loadModel(bytes);
  } catch (error) {
    if (!(error instanceof UpdraftError)) throw error;
    throw new UpdraftError(error.code, `The model "${path}" cannot be loaded: ${error.message}`, {
      cause: error,
      details: error.details,
    });
  }
}

interface Flags {
  readonly json: boolean;
  readonly nodes: boolean;
}

/** `updraft inspect` */
export const inspectCommand = (): Command =>
  new Command('inspect')
    .description('show what an ONNX file holds and what of it has derivatives')
    .argument('<file>', 'an ONNX model')
    .option('--nodes', 'print every node as well', false)
    .option('--json', 'print as JSON', false)
    .action(async (path: string, { json, nodes }: Flags) => {
      const model = await readModel(path);
      const summary = summarize(model.graph, model.opsets);
      process.stdout.write(json ? `${JSON.stringify(summary)}\n` : summaryText(summary));
      if (nodes && !json) process.stdout.write(`\n${printGraph(model.graph)}\n`);
    });

function summaryText({ inputs, outputs, parameters, opsets, operators }: Summary): string {
  const line = (name: string, value: string): string => `${name.padEnd(12)}${value}\n`;
  const versions = Object.entries(opsets).map(
    ([domain, version]) => `${domain === '' ? 'ai.onnx' : domain} ${version}`,
  );
  return [
    ...inputs.map((text) => line('input', text)),
    ...outputs.map((text) => line('output', text)),
    line('parameters', `${parameters.elements.toLocaleString('en')} in ${parameters.tensors} tensors`),
    line('opsets', versions.join(', ')),
    '\n',
    ...operators.map(
      ({ operator, count, derivative }) =>
        `${String(count).padStart(6)} × ${operator.padEnd(32)} derivative: ${derivative}\n`,
    ),
  ].join('');
}
