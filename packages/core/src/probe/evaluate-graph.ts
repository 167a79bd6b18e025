import { gradients } from '@updraft/autodiff';
import { isFloat, Tensor, type TensorData } from '@updraft/graph';
import { FeedBuilder } from '../drivers/feeds.js';
import { publish } from '../program/publish.js';
import type { Tracer } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { mapValues, type NamedValues } from '../tree.js';
import { probeError, type ProbeContext } from './context.js';
import { GivenNoiseBackend, type NoiseLists } from './given-noise.js';
import { readTensor, type ReadOptions } from './values.js';

/** A part of a graph to evaluate once. */
export interface GraphProbe {
  readonly tracer: Tracer;
  /** Values of inputs of the graph, by their names in it. */
  readonly feeds: NamedValues<TensorData>;
  readonly outputs: NamedValues<Tensor>;
  /** Named groups of leaves, whose gradients are wanted where outputs have weights. */
  readonly leaves: NamedValues<NamedValues<Tensor>>;
  /** JSON of weights of the outputs. */
  readonly outputGradients: NamedValues<unknown> | undefined;
  readonly read: ReadOptions;
  readonly seed: number;
  readonly noise: NoiseLists;
}

/** Tensors among results of a function: one alone is `output`; lists count from 0. */
export function namedTensors(value: unknown, path = ''): [string, Tensor][] {
  if (value instanceof Tensor) return [[path === '' ? 'output' : path, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, item]) => namedTensors(item, path === '' ? name : `${path}.${name}`));
}

/** Σ weight · output over the outputs that have a weight. */
function weightedSum({ tracer, outputs, outputGradients = {}, read }: GraphProbe): Tensor {
  const terms = Object.entries(outputGradients).map(([name, json]) => {
    const output = outputs[name];
    if (output === undefined)
      throw probeError(`"outputGradients.${name}" weighs no output.`, `There are: ${Object.keys(outputs).join(', ')}.`);
    if (!isFloat(output.dataType))
      throw probeError(`The output "${name}" is ${output.dataType}: nothing has a derivative with respect to it.`);
    const { value } = readTensor(json, `outputGradients.${name}`, { ...read, dataType: output.dataType });
    if (
      value.dims.length > 0 &&
      (value.dims.length !== output.rank ||
        value.dims.some((size, axis) => typeof output.shape[axis] === 'number' && output.shape[axis] !== size))
    )
      throw probeError(
        `"outputGradients.${name}" has shape [${value.dims.join(', ')}]; the output has [${output.shape.join(', ')}].`,
        'Give a weight for each element, or one number for all.',
      );
    return output.mul(tracer.graph.constant(value, value.dataType)).sum();
  });
  if (terms.length === 0)
    throw probeError('"outputGradients" is empty.', 'Weigh at least one output, or leave it out.');
  return terms.reduce((sum, term) => sum.add(term));
}

/** Evaluate outputs and, where they are weighed, the gradients of their weighted sum. */
export async function evaluateGraph(
  probe: GraphProbe,
  context: ProbeContext,
): Promise<{
  readonly outputs: Record<string, TensorData>;
  readonly gradients: Record<string, Record<string, TensorData>> | undefined;
}> {
  const { tracer, outputs, leaves, outputGradients } = probe;
  const { graph } = tracer;
  const places: [group: string, name: string, output: string][] = [];
  if (outputGradients !== undefined) {
    const floats = Object.entries(leaves).flatMap(([group, tensors]) =>
      Object.entries(tensors)
        .filter(([, tensor]) => isFloat(tensor.dataType))
        .map(([name, tensor]) => ({ group, name, tensor })),
    );
    const found = gradients(
      weightedSum(probe),
      floats.map(({ tensor }) => tensor),
    );
    floats.forEach(({ group, name }, index) =>
      places.push([group, name, publish(graph, found[index] as Tensor, `gradient/${group}/${name}`)]),
    );
  }
  const shown = mapValues(outputs, (value, name) => publish(graph, value, `output/${name}`));
  const backend = new GivenNoiseBackend(context.backend, probe.noise);
  const program = await backend.compile(graph);
  try {
    const drawn = new FeedBuilder(RandomStream.fromSeed(probe.seed).split('noise')).build(
      {
        batch: [],
        scalars: [...tracer.scalars.values()],
        noises: [...tracer.noises.values()].map((noise) => ({
          ...noise,
          input: noise.tensor.name,
          shape: noise.tensor.shape,
        })),
      },
      { columns: {}, size: 1 },
      1,
      new Map(),
    );
    const needed = new Set(program.inputs.map(({ name }) => name));
    const results = await program.run(
      Object.fromEntries(Object.entries({ ...drawn, ...probe.feeds }).filter(([name]) => needed.has(name))),
    );
    backend.checkUsed();
    const groups: Record<string, Record<string, TensorData>> = {};
    for (const [group, name, output] of places) (groups[group] ??= {})[name] = results[output] as TensorData;
    return {
      outputs: mapValues(shown, (output) => results[output] as TensorData),
      gradients: outputGradients === undefined ? undefined : groups,
    };
  } finally {
    await program.dispose();
  }
}
