import { Graph, type Tensor, type TensorData } from '@updraft/graph';
import { parseOptions } from '../options/index.js';
import { PREFIX, Tracer } from '../program/tracer.js';
import { mapValues } from '../tree.js';
import { hasTensor, readArgument, resultJson } from './arguments.js';
import { probeError, type ProbeContext, type ProbeResult } from './context.js';
import { evaluateGraph, namedTensors } from './evaluate-graph.js';
import { callInput } from './inputs.js';
import { inputSpecs } from './models.js';
import { settleTypes } from './settle-types.js';
import { tensorsJson, type ReadTensor } from './values.js';

type Input = ReturnType<typeof readInput>;
const readInput = (input: unknown) => parseOptions(callInput, input, 'The input');

/** Call the function and then methods on what it gives. */
function calls(exported: unknown, given: Input, read: (json: unknown, path: string) => unknown): unknown {
  if (typeof exported !== 'function') throw probeError('The export is no function.');
  const list = (items: readonly unknown[], path: string): unknown[] =>
    items.map((item, index) => read(item, `${path}.${index}`));
  let result: unknown = (exported as (...items: unknown[]) => unknown)(...list(given.arguments, 'arguments'));
  for (const [index, { method, arguments: items }] of given.then.entries()) {
    const found: unknown = (result as Readonly<Record<string, unknown>> | null | undefined)?.[method];
    if (typeof found !== 'function') throw probeError(`"then.${index}": the result has no method "${method}".`);
    result = (found as (...rest: unknown[]) => unknown).apply(result, list(items, `then.${index}.arguments`));
  }
  return result;
}

/**
 * Call an exported function. With tensors of a graph among its arguments it builds, and what it built is evaluated.
 *
 * @throws OptionsError, CoreError naming what of the input does not fit.
 */
export async function probeCall(
  exported: unknown,
  input: unknown,
  context: ProbeContext,
  lookup?: (name: string) => unknown,
): Promise<ProbeResult> {
  const given = readInput(input);
  const scope = { allowNonFinite: given.allowNonFinite, lookup };
  const symbolic = hasTensor(given.arguments) || hasTensor(given.then);
  if (!symbolic)
    return { result: resultJson(await calls(exported, given, (json, path) => readArgument(json, path, scope))) };
  // Read once for the names and element types of the tensors; then built with them.
  const columns: Record<string, ReadTensor> = {};
  const collect = { ...scope, tensor: (path: string, tensor: ReadTensor) => void (columns[path] = tensor) };
  given.arguments.forEach((item, index) => readArgument(item, `arguments.${index}`, collect));
  given.then.forEach(({ arguments: items }, at) => {
    items.forEach((item, index) => readArgument(item, `then.${at}.arguments.${index}`, collect));
  });
  const { values, built } = settleTypes(columns, (typed) => {
    const tracer = new Tracer(new Graph('probe'));
    const inputs = mapValues(inputSpecs(typed), (spec, name) => tracer.column(name, spec));
    const result = calls(exported, given, (json, path) =>
      readArgument(json, path, { ...scope, tensor: (at) => inputs[at] }),
    );
    const outputs: Record<string, Tensor> = Object.fromEntries(namedTensors(result));
    if (Object.keys(outputs).length === 0) throw probeError('The function gives no tensor.');
    return { tracer, inputs, outputs };
  });
  const found = await evaluateGraph(
    {
      ...built,
      feeds: Object.fromEntries(
        Object.entries(values).map(([name, value]): [string, TensorData] => [PREFIX.batch + name, value]),
      ),
      leaves: { gradients: built.inputs },
      outputGradients: given.outputGradients,
      read: given,
      seed: 0,
      noise: {},
    },
    context,
  );
  return { result: tensorsJson(found.outputs), ...mapValues(found.gradients ?? {}, tensorsJson) };
}
