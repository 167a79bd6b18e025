import type { Backend, Program, ResidentState } from '@updraft/backend';
import { Graph, type TensorData } from '@updraft/graph';
import type { Reward } from '../contracts/reward.js';
import type { Sampler } from '../contracts/sampler.js';
import { CoreError } from '../errors.js';
import type { InputSpec, Model } from '../module/module.js';
import { buildObjective } from '../program/objective.js';
import { PREFIX, Tracer } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { bindSizes } from './noise.js';
import { FeedBuilder, type HostInputs } from './feeds.js';
import { bindColumns } from './program-cache.js';

export interface EvaluationOptions {
  /** A fresh sampler over the data to evaluate on; it must end. */
  readonly sampler: () => Sampler;
  /** What to measure with; default: the reward that the model is trained with. */
  readonly reward?: Reward;
}

export interface EvaluateOptions extends EvaluationOptions {
  readonly model: Model;
  readonly reward: Reward;
  readonly backend: Backend;
  /** Where the parameters are: resident tensors, or values by parameter and variable name. */
  readonly residents: ResidentState | Readonly<Record<string, TensorData>>;
  readonly seed?: number;
}

export interface EvaluationResult {
  /** Means over all examples. */
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
  readonly milliseconds: number;
  /** Counts [true class][predicted class], where the objective gives `label` and `prediction` per example. */
  readonly confusion: readonly (readonly number[])[] | undefined;
}

interface EvaluationProgram extends HostInputs {
  readonly graph: Graph;
  readonly reads: readonly string[];
  readonly metrics: ReadonlyMap<string, string>;
  readonly perExample: ReadonlyMap<string, string>;
}

const PREDICTIONS = ['label', 'prediction'];

function buildEvaluation(
  model: Model,
  reward: Reward,
  columns: Readonly<Record<string, InputSpec>>,
): EvaluationProgram {
  const graph = new Graph('evaluate');
  const tracer = new Tracer(graph);
  const objective = buildObjective({ model, reward, columns, training: false }, tracer);
  const publish = (name: string, value: typeof objective.loss): string =>
    graph.output(value.producer === undefined || graph.outputs.includes(value) ? value.identity() : value, name).name;
  const metrics = new Map<string, string>([['loss', publish(`${PREFIX.metric}loss`, objective.loss)]]);
  for (const [name, value] of Object.entries(objective.metrics ?? {}))
    metrics.set(name, publish(PREFIX.metric + name, value));
  const perExample = new Map<string, string>();
  for (const [name, value] of Object.entries(objective.perExample ?? {}))
    if (PREDICTIONS.includes(name)) perExample.set(name, publish(PREFIX.perExample + name, value.cast('float32')));
  return {
    graph,
    reads: [...tracer.params.values(), ...tracer.variables.values()].map(({ tensor }) => tensor.name),
    scalars: [...tracer.scalars.values()],
    noises: [...tracer.noises.values()].map((noise) => ({
      ...noise,
      input: noise.tensor.name,
      shape: noise.tensor.shape,
    })),
    batch: [...tracer.batch.keys()],
    metrics,
    perExample,
  };
}

const isState = (value: EvaluateOptions['residents']): value is ResidentState =>
  typeof (value as ResidentState).read === 'function' && Array.isArray((value as ResidentState).names);

/** Measure a model on all batches of a sampler: means over examples, in inference form. */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationResult> {
  const start = performance.now();
  const { model, reward, backend } = options;
  const sampler = options.sampler();
  const random = RandomStream.fromSeed(options.seed ?? 0).split('evaluate');
  const state = isState(options.residents)
    ? options.residents
    : await backend.createState(
        Object.fromEntries(
          Object.entries(options.residents).flatMap(([name, value]) => [
            [PREFIX.param + name, value],
            [PREFIX.variable + name, value],
          ]),
        ),
      );
  const compiled = new Map<string, { program: Program; source: EvaluationProgram }>();
  const feeds = new FeedBuilder(random.split('noise'));
  const sums: Record<string, number> = {};
  const pairs: [number, number][] = [];
  let examples = 0;
  try {
    for (let step = 1; ; step++) {
      const batch = await sampler.draw({ step, random: random.split('sampler').split(String(step)) });
      if (batch === undefined) break;
      const sizes = bindSizes(sampler.columns, batch.columns);
      const key = [...sizes].map(([name, size]) => `${name}=${size}`).join();
      let entry = compiled.get(key);
      if (entry === undefined) {
        const source = buildEvaluation(model, reward, bindColumns(sampler.columns, sizes));
        entry = { source, program: await backend.compile(source.graph, { resident: source.reads }) };
        compiled.set(key, entry);
      }
      const { program, source } = entry;
      const outputs = await program.step(state, feeds.build(source, batch, step, sizes), [
        ...source.metrics.values(),
        ...source.perExample.values(),
      ]);
      for (const [name, output] of source.metrics)
        sums[name] = (sums[name] ?? 0) + Number(outputs[output]?.data[0]) * batch.size;
      const [labels, predictions] = PREDICTIONS.map((name) => outputs[source.perExample.get(name) ?? '']?.data);
      if (labels !== undefined && predictions !== undefined)
        for (let index = 0; index < labels.length; index++)
          pairs.push([Number(labels[index]), Number(predictions[index])]);
      examples += batch.size;
      batch.release?.();
    }
  } finally {
    for (const { program } of compiled.values()) await program.dispose();
    if (!isState(options.residents)) await state.dispose();
  }
  if (examples === 0)
    throw new CoreError('evaluation', 'The evaluation sampler gave no batch.', {
      hint: 'Give a sampler over at least one example.',
    });
  const { loss, ...metrics } = Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / examples]));
  return {
    loss: loss as number,
    metrics,
    examples,
    milliseconds: performance.now() - start,
    confusion: confusionMatrix(pairs),
  };
}

/** Most classes that a confusion matrix is made for. */
const MAX_CLASSES = 100;

function confusionMatrix(pairs: readonly (readonly [number, number])[]): number[][] | undefined {
  if (pairs.length === 0) return undefined;
  const classes = 1 + pairs.reduce((most, [label, prediction]) => Math.max(most, label, prediction), 0);
  if (classes > MAX_CLASSES) return undefined;
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (const [label, prediction] of pairs) {
    const row = counts[label];
    if (row !== undefined) row[prediction] = (row[prediction] ?? 0) + 1;
  }
  return counts;
}
