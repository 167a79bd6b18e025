import type { Backend, Program } from '@updraft/backend';
import {
  CoreError,
  Scope,
  Tracer,
  type Batch,
  type DrawContext,
  type InputSpec,
  type JsonValue,
  type Model,
  type RandomStream,
  type Reward,
  type Sampler,
} from '@updraft/core';
import { batchBuffers, batchColumns, exampleId, fromTensors, gather, shuffled, type Dataset } from '@updraft/data';
import { elementCount, emptyTensor, Graph, readElement, type Tensor, type TensorData } from '@updraft/graph';
import type { JudgedItem } from './noisy-verifiers.js';

/** A prompt as the verifier sees it. */
export interface RolloutPrompt {
  /** Position in the dataset of prompts. */
  readonly index: number;
  readonly id: number | string;
  /** Its columns: plain numbers, row-major. */
  readonly columns: Readonly<Record<string, readonly number[]>>;
}

export interface GroupRolloutsOptions {
  /**
   * The policy: columns of the prompts and `tokens` int64 [batch, length] → `logits` [batch, length, tokens], those at place
   * t depending on the tokens before t alone.
   */
  readonly policy: Model;
  readonly prompts: Dataset;
  /** Judges the answers and makes advantages of the scores; the state of it is part of that of the sampler. */
  readonly reward: Pick<
    Reward<JudgedItem<RolloutPrompt, readonly number[]>>,
    'score' | 'advantages' | 'state' | 'restore'
  >;
  readonly backend: Backend;
  /** Answers to each prompt, n. Default 8. */
  readonly n?: number;
  /** Prompts in a batch. Default: all. */
  readonly promptsPerBatch?: number;
  /** Tokens of an answer. Default 1. */
  readonly length?: number;
  /** Token that ends an answer before; what comes after it has a mask of 0. */
  readonly end?: number;
  /** Seed of the order of prompts; default: drawn from the seed of the run. */
  readonly seed?: number;
}

const COLUMNS = {
  tokens: { dataType: 'int64', shape: ['batch', 'length'] },
  oldLogProbs: { dataType: 'float32', shape: ['batch', 'length'] },
  mask: { dataType: 'float32', shape: ['batch', 'length'] },
  advantage: { dataType: 'float32', shape: ['batch'] },
  reward: { dataType: 'float32', shape: ['batch'] },
  group: { dataType: 'int64', shape: ['batch'] },
} as const satisfies Record<string, InputSpec>;

/**
 * Groups of answers that the policy, as it is before the step, gives to prompts: n for each, with their log-probabilities, judged and
 * turned into advantages group by group. Batches have the columns of the prompts and `tokens`, `oldLogProbs`, `mask`,
 * `advantage`, `reward` (the score) and `group`, in order of the prompts.
 *
 * @throws CoreError for a policy without these inputs and outputs.
 */
export function groupRollouts(options: GroupRolloutsOptions): Sampler {
  const { policy, prompts, reward, backend, n = 8, length = 1, end, seed } = options;
  const promptsPerBatch = options.promptsPerBatch ?? prompts.length;
  for (const [what, value] of Object.entries({ n, length, promptsPerBatch }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new CoreError('sampler', `groupRollouts(): ${what} is ${value}; it must be a whole number of at least 1.`);
  if (policy.inputs['tokens'] === undefined)
    throw new CoreError('sampler', `The policy "${policy.name}" has no input "tokens".`, {
      hint: 'Declare it int64 [batch, length]: the tokens that were drawn, of which logits at a place see those before it.',
    });
  const taken = Object.keys(COLUMNS).find((name) => prompts.columns[name] !== undefined);
  if (taken !== undefined)
    throw new CoreError('sampler', `The prompts have a column "${taken}", which is one of the answers.`, {
      hint: 'Rename it with selectColumns().',
    });
  const positions = Int32Array.from({ length: prompts.length }, (_, at) => at);
  const places = fromTensors({ position: { dataType: 'int32', dims: [prompts.length], data: positions } });
  const order = shuffled(places, { batchSize: promptsPerBatch, ...(seed === undefined ? {} : { seed }) });
  const rows = promptsPerBatch * n;
  let compiled: Promise<Program> | undefined;

  async function logitsOf(
    values: Readonly<Record<string, TensorData>>,
    columns: Readonly<Record<string, TensorData>>,
  ): Promise<TensorData<'float32'>> {
    compiled ??= compilePolicy(policy, backend, rows, length);
    const program = await compiled;
    const feeds: Record<string, TensorData> = {};
    for (const { name } of program.inputs) {
      const [kind, ...rest] = name.split('/');
      const value = (kind === 'batch' ? columns : values)[rest.join('/')];
      if (value === undefined)
        throw new CoreError(
          'sampler',
          `The policy needs "${rest.join('/')}", which ${kind === 'batch' ? 'prompts do' : 'training does'} not have.`,
          {
            hint: 'Train the policy itself with this sampler, on prompts with the columns that it takes.',
          },
        );
      feeds[name] = value;
    }
    const logits = (await program.run(feeds))['logits'] as TensorData<'float32'>;
    if (logits.dims.length !== 3)
      throw new CoreError('sampler', `The logits have shape [${logits.dims.join(', ')}], not [batch, length, tokens].`);
    return logits;
  }

  return {
    columns: { ...batchColumns(prompts), ...COLUMNS },
    followsModel: true,
    async draw(context: DrawContext): Promise<Batch | undefined> {
      const drawn = await order.draw(context);
      if (drawn === undefined) return undefined;
      const values = await context.values?.();
      if (values === undefined)
        throw new CoreError('sampler', 'groupRollouts() was given no parameters to run the policy with.', {
          hint: 'Drivers give them to samplers that follow the model; elsewhere, give `values` in the context.',
        });
      const chosen = (drawn.columns['position'] as TensorData<'int32'>).data;
      const repeated = Uint32Array.from({ length: rows }, (_, row) => chosen[Math.floor(row / n)] as number);
      drawn.release?.();
      const given = gather(prompts, repeated, batchBuffers(prompts, rows));
      const { tokens, oldLogProbs, mask } = await answers(
        (sofar) => logitsOf(values, { ...given, tokens: sofar }),
        { rows, length, end },
        context.random.split('answers'),
      );
      const items = Array.from({ length: rows }, (_, row) => ({
        prompt: promptAt(prompts, given, row, repeated[row] as number),
        answer: answerAt(tokens, mask, row, length),
      }));
      const groups = items.map((_, row) => Math.floor(row / n));
      const scores = (await reward.score?.(items)) ?? [];
      const advantages = reward.advantages?.(scores, groups, items) ?? scores;
      const floats = (list: readonly number[]): TensorData => ({
        dataType: 'float32',
        dims: [rows],
        data: Float32Array.from(list),
      });
      return {
        size: rows,
        ids: items.map(({ prompt }) => prompt.id),
        columns: {
          ...given,
          tokens,
          oldLogProbs,
          mask,
          advantage: floats(advantages),
          reward: floats(scores),
          group: { dataType: 'int64', dims: [rows], data: BigInt64Array.from(groups, BigInt) },
        },
      };
    },
    state: (): JsonValue => ({ order: order.state(), reward: reward.state?.() ?? null }),
    restore(state: JsonValue) {
      const { order: place, reward: learnt } = (state ?? {}) as Readonly<Record<string, JsonValue | undefined>>;
      if (place === undefined || learnt === undefined)
        throw new CoreError('sampler', 'The stored state is none of groupRollouts().', {
          hint: 'It holds the order of the prompts and what the reward has learnt.',
        });
      order.restore(place);
      if (learnt !== null) reward.restore?.(learnt);
    },
  };
}

/** The policy in inference form, for batches of this size; parameters are inputs, so that it is compiled once. */
function compilePolicy(policy: Model, backend: Backend, rows: number, length: number): Promise<Program> {
  const graph = new Graph('policy');
  const tracer = new Tracer(graph);
  const sizes: Readonly<Record<string, number>> = { batch: rows, length };
  const inputs: Record<string, Tensor> = {};
  for (const [name, { dataType, shape }] of Object.entries(policy.inputs))
    inputs[name] = tracer.column(name, { dataType, shape: shape.map((dim) => sizes[dim] ?? dim) });
  const { logits } = policy.build(new Scope(tracer, false), inputs);
  if (logits === undefined)
    throw new CoreError('sampler', `The policy "${policy.name}" has no output "logits".`, {
      hint: 'Give logits [batch, length, tokens].',
    });
  graph.output(logits.identity(), 'logits');
  return backend.compile(graph);
}

interface Answers {
  readonly tokens: TensorData<'int64'>;
  readonly oldLogProbs: TensorData<'float32'>;
  readonly mask: TensorData<'float32'>;
}

/** Draw answers token by token: at each place, the policy sees those before. */
async function answers(
  logitsFor: (tokens: TensorData) => Promise<TensorData<'float32'>>,
  { rows, length, end }: { readonly rows: number; readonly length: number; readonly end: number | undefined },
  random: RandomStream,
): Promise<Answers> {
  const [tokens, oldLogProbs, mask] = [
    emptyTensor('int64', [rows, length]),
    emptyTensor('float32', [rows, length]),
    emptyTensor('float32', [rows, length]),
  ];
  const ended = new Array<boolean>(rows).fill(false);
  for (let place = 0; place < length && ended.includes(false); place++) {
    const { data, dims } = await logitsFor(tokens);
    const width = dims[2] as number;
    const stream = random.split(String(place));
    for (let row = 0; row < rows; row++) {
      const at = row * length + place;
      const logits = data.subarray(at * width, (at + 1) * width);
      const largest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
      const weights = Array.from(logits, (value) => Math.exp(value - largest));
      // Every row takes a draw, so that one that has ended does not shift the others.
      const token = stream.categorical(weights);
      if (ended[row] === true) continue;
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      tokens.data[at] = BigInt(token);
      oldLogProbs.data[at] = (logits[token] as number) - largest - Math.log(total);
      mask.data[at] = 1;
      ended[row] = token === end;
    }
  }
  return { tokens, oldLogProbs, mask };
}

/** One prompt of a batch. */
function promptAt(
  prompts: Dataset,
  columns: Readonly<Record<string, TensorData>>,
  row: number,
  index: number,
): RolloutPrompt {
  return {
    index,
    id: exampleId(prompts, index),
    columns: Object.fromEntries(
      Object.entries(columns).map(([name, value]) => {
        const size = elementCount(value.dims.slice(1));
        return [name, Array.from({ length: size }, (_, at) => readElement(value, row * size + at))];
      }),
    ),
  };
}

/** Tokens of one answer, up to its end. */
const answerAt = ({ data }: Answers['tokens'], mask: Answers['mask'], row: number, length: number): number[] =>
  Array.from(data.subarray(row * length, (row + 1) * length), Number).filter(
    (_, at) => mask.data[row * length + at] === 1,
  );
