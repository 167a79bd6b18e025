import type { Backend } from '@updraft/backend';
import { inferenceGraph, type EvaluationResult } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import { CliError } from '../errors.js';
import type { Pipeline } from '../pipeline.js';
import { examples, largestPerRow, type PlainSession } from './plain-session.js';

/** Examples on which outputs are compared number by number. */
const COMPARED = 100;
/** Test sets up to this size are run through the exported model as a whole. */
const MOST_EXAMPLES = 20_000;
const BATCH = 500;
/** Largest difference of outputs, in parts of the largest output: another device may add up in another order. */
const TOLERANCE = 1e-3;

/**
 * Compare an exported model in plain onnxruntime with the trained one: its outputs on the device of the run, and, for
 * classifiers, its accuracy on the test set.
 *
 * @returns What was found, as a sentence.
 * @throws CliError where the two differ.
 */
export async function checkExport(
  session: PlainSession,
  pipeline: Pipeline,
  backend: Backend,
  values: Readonly<Record<string, TensorData>>,
  trained: EvaluationResult | undefined,
): Promise<string> {
  const { test } = pipeline.data;
  const compared = Math.min(COMPARED, test.length);
  const difference = await outputDifference(session, pipeline, backend, values, compared);
  if (!(difference <= TOLERANCE))
    throw new CliError(
      `The exported model "${session.path}" gives other outputs than the trained one: they differ by ${difference} of the largest.`,
      { hint: 'Please report this with the configuration.' },
    );
  const same = `same outputs as in training on ${compared} test examples`;
  const accuracy = trained?.metrics['accuracy'];
  if (accuracy === undefined || trained?.confusion === undefined || test.length > MOST_EXAMPLES)
    return `plain onnxruntime gives the ${same}.`;
  const right = await countRight(session, pipeline);
  // Ties and rounding may turn a few.
  if (Math.abs(right / test.length - accuracy) > TOLERANCE + 1 / test.length)
    throw new CliError(
      `The exported model "${session.path}" gets ${right} of ${test.length} test examples right; the trained one has the accuracy ${accuracy}.`,
      { hint: 'Please report this with the configuration.' },
    );
  return `plain onnxruntime gives the ${same} and gets ${right} of ${test.length} right (${((100 * right) / test.length).toFixed(2)} %).`;
}

/** Largest difference of any output, relative to the largest value; NaN where values are not finite. */
async function outputDifference(
  session: PlainSession,
  { model, data }: Pipeline,
  backend: Backend,
  values: Readonly<Record<string, TensorData>>,
  count: number,
): Promise<number> {
  const columns = examples(data.test, 0, count);
  const plain = await session.run(columns);
  const program = await backend.compile(inferenceGraph(model, values));
  let largest = 0;
  let scale = Number.MIN_VALUE;
  try {
    const feeds = Object.fromEntries(Object.keys(model.inputs).map((name) => [name, columns[name] as TensorData]));
    const own = await program.run(feeds, session.outputNames);
    for (const name of session.outputNames) {
      const [a, b] = [own[name]?.data, plain[name]?.data] as [Float32Array, Float32Array];
      if (a.length !== b.length) return Number.NaN;
      for (let at = 0; at < a.length; at++) {
        const [x, y] = [Number(a[at]), Number(b[at])];
        if (!Number.isFinite(x) || !Number.isFinite(y)) return Number.NaN;
        largest = Math.max(largest, Math.abs(x - y));
        scale = Math.max(scale, Math.abs(x));
      }
    }
  } finally {
    await program.dispose();
  }
  return largest / scale;
}

/** Test examples whose label has the largest score. */
async function countRight(session: PlainSession, { data: { test } }: Pipeline): Promise<number> {
  let right = 0;
  for (let from = 0; from < test.length; from += BATCH) {
    const columns = examples(test, from, from + BATCH);
    const scores = (await session.run(columns))[session.outputNames[0] as string];
    const labels = columns['label']?.data;
    if (scores === undefined || labels === undefined) continue;
    right += largestPerRow(scores).filter((predicted, row) => predicted === Number(labels[row])).length;
  }
  return right;
}
