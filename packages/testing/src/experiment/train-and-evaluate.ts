import {
  evaluate,
  train,
  type Model,
  type Reward,
  type Sampler,
  type TrainResult,
  type UpdateRule,
} from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import type { Curve, RunContext, RunOutcome } from './experiment.js';

export interface TrainingRun {
  readonly context: RunContext;
  readonly model: Model;
  readonly sampler: Sampler;
  readonly reward: Reward;
  readonly updateRule: UpdateRule;
  readonly steps: number;
  /** Data that the trained model is measured on, by name: `test` gives the figures `testLoss`, `testAccuracy`, … */
  readonly measure: Readonly<Record<string, () => Sampler>>;
  /** Of these data the loss is measured every n steps for a curve of that name. */
  readonly curve?: { readonly of: string; readonly every: number };
  /** What to measure with; default: the reward that the model is trained with. */
  readonly measureWith?: Reward;
}

const bytes = (tensors: Readonly<Record<string, TensorData>>): number =>
  Object.values(tensors).reduce((sum, { data }) => sum + (ArrayBuffer.isView(data) ? data.byteLength : 0), 0);

const joined = (set: string, metric: string): string => set + metric.charAt(0).toUpperCase() + metric.slice(1);

/**
 * Train a model with the seed of a run and measure it: what most experiments of update rules, samplers and rewards do. The
 * figures are those of each measured set and `stateBytes`, the size of the rule's state.
 *
 * @throws NonFiniteError where the loss does not stay finite; `runExperiment` takes that as a result.
 */
export async function trainAndEvaluate(given: TrainingRun): Promise<RunOutcome & { readonly result: TrainResult }> {
  const { context, model, sampler, reward, updateRule, steps, measure, curve } = given;
  const { backend, seed, signal } = context;
  const measureWith = given.measureWith ?? reward;
  const watched = curve === undefined ? undefined : measure[curve.of];
  const run = train({
    model,
    sampler,
    reward,
    updateRule,
    backend,
    steps,
    seed,
    ...(watched === undefined || curve === undefined
      ? {}
      : { evaluation: { sampler: watched, reward: measureWith, every: curve.every } }),
    ...(signal === undefined ? {} : { signal }),
  });
  const points: { step: number; loss: number }[] = [];
  for await (const event of run) {
    if (event.type === 'step') context.progress(event.step / steps);
    else if (event.type === 'evaluation') points.push({ step: event.step, loss: event.loss });
  }
  signal?.throwIfAborted();
  const result = await run.result();
  const metrics: Record<string, number> = {};
  for (const [set, samplerOf] of Object.entries(measure)) {
    const found =
      set === curve?.of && result.evaluation !== undefined
        ? result.evaluation
        : await evaluate({
            model,
            reward: measureWith,
            backend,
            sampler: samplerOf,
            residents: { ...result.params, ...result.variables },
          });
    metrics[joined(set, 'loss')] = found.loss;
    for (const [metric, value] of Object.entries(found.metrics)) metrics[joined(set, metric)] = value;
  }
  metrics['stateBytes'] = bytes(result.state);
  const last = points.filter(({ step }, at) => points.findIndex((point) => point.step === step) === at);
  const loss: Curve = { steps: last.map(({ step }) => step), values: last.map((point) => point.loss) };
  return { metrics, ...(curve === undefined ? {} : { curves: { [joined(curve.of, 'loss')]: loss } }), result };
}
