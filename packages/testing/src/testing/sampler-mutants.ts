import {
  OPTIONS,
  plugin,
  RandomStream,
  type Batch,
  type DrawContext,
  type Feedback,
  type JsonValue,
  type Sampler,
} from '@updraft/core';
import { UpdraftError, type TensorData } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { samplerKit } from '../sampler/sampler-kit.js';
import { goldenFile, type MutantFamily } from './mutants.js';

const PASSES = {
  'wall-clock': 'the order comes from the time of day',
  'unseeded-order': 'the order comes from Math.random',
  'seed-ignored': 'the order is the same for every seed',
  'one-order': 'every pass has the order of the first',
  'restore-forgets-cursor': 'a restored pass begins anew',
  'restore-forgets-pass': 'a restored run is in its first pass',
  'restore-forgets-seed': 'a restored run draws another order',
  'restore-keeps-order': 'a restored sampler keeps the order that it had',
  'pass-off-by-one': 'a pass ends one example early',
  'last-padded': 'the last batch is filled up with the first examples',
  'last-dropped': 'the last, smaller batch is left out',
  'first-skipped': 'a pass begins with its second example',
  'with-replacement': 'examples are drawn with replacement',
  'state-map': 'the state is a Map',
  'state-undefined': 'the state holds undefined',
  'state-typed-array': 'the state holds a typed array',
  'state-live': 'the state is the object that draws change',
  'state-advances': 'looking at the state moves on',
  'writes-to-source': 'examples are scaled in the source',
  'buffer-reused-early': 'one buffer serves all batches',
  'released-twice': 'a batch that is released twice gives its buffer to two others',
  'ids-are-rows': 'ids count rows of the batch',
  'columns-apart': 'labels are in the order of the source',
  'label-float': 'labels are float32, declared as int64',
  'shape-flat': 'a column has lost an axis',
  'size-wrong': 'the batch says the size that was asked for',
  'ids-missing-row': 'there is one id too few for the last row',
  'shared-cursor': 'all samplers have one position',
  'never-ends': 'the number of passes is not looked at',
  'starts-again': 'after the end it begins anew',
  'batches-per-pass-wrong': 'batchesPerEpoch leaves out the last batch',
  'restore-takes-anything': 'a state is not checked',
  'restore-untyped-error': 'a wrong state ends in a TypeError',
  'option-ignored': 'dropLast is not looked at',
  'option-undocumented': 'an option has no description',
  'option-unbounded': 'the number of passes may be negative',
  'nan-in-batch': 'rows beyond the source hold NaN',
  'late-fault': 'after a million draws the order repeats',
} as const;
const LEARNING = {
  'feedback-ignored': 'what is observed is not used',
  'scores-not-stored': 'what was learnt is not in the state',
  'nan-poisons': 'a loss that is NaN makes scores that no longer compare',
  'easiest-first': 'the smallest scores are drawn instead of the largest',
  'wrong-row': 'losses are noted for the neighbouring example',
  'no-averaging': 'a new loss replaces the old score',
  'shared-scores': 'all samplers have one table of scores',
} as const;
const WEIGHTED = {
  'last-never-drawn': 'the last candidate is never drawn',
  'weights-ignored': 'all candidates are equally likely',
  'weights-squared': 'probabilities go with the squares of the weights',
} as const;
type PassFault = keyof typeof PASSES;
type LearningFault = keyof typeof LEARNING;
type WeightedFault = keyof typeof WEIGHTED;

const EXAMPLES = 11;
const table = () => ({
  x: Float32Array.from({ length: 2 * EXAMPLES }, (_, index) => Math.sin(3 * index)),
  label: BigInt64Array.from({ length: EXAMPLES }, (_, index) => BigInt(index * index)),
});
const shared = { source: table(), cursor: { pass: 0, at: 0, key: -1 } };
const columns = {
  x: { dataType: 'float32', shape: ['batch', 2] },
  label: { dataType: 'int64', shape: ['batch'] },
} as const;
const scores = { table: new Array<number>(EXAMPLES).fill(1) };

/** Rows of the table as a batch. */
function rows(indices: readonly number[], buffer = new Float32Array(2 * indices.length)): Batch {
  const { x, label } = shared.source;
  indices.forEach((index, row) => buffer.set(x.subarray(2 * index, 2 * index + 2), 2 * row));
  return {
    columns: {
      x: { dataType: 'float32', dims: [indices.length, 2], data: buffer },
      label: {
        dataType: 'int64',
        dims: [indices.length],
        data: BigInt64Array.from(indices, (index) => label[index] ?? 0n),
      },
    },
    size: indices.length,
    ids: [...indices],
  };
}

/** Passes over a table in random order, with buffers that are reused once they are released. */
function passes(fault?: PassFault) {
  const is = (...faults: readonly PassFault[]): boolean => fault !== undefined && faults.includes(fault);
  const schema = z.object({
    batchSize: z.number().int().min(1).max(EXAMPLES).default(4).describe('Examples in a batch.'),
    dropLast: is('option-undocumented')
      ? z.boolean().default(false)
      : z.boolean().default(false).describe('Leave out the smaller batch.'),
    passes: (is('option-unbounded') ? z.number() : z.number().int().min(1).max(1000))
      .default(1000)
      .describe('Passes over the table.'),
  });

  class TableSampler implements Sampler {
    readonly columns = columns;
    #position = { pass: 0, at: 0, key: -1 };
    #order: readonly number[] | undefined;
    readonly #free: Float32Array<ArrayBuffer>[] = [];
    #drawn = 0;

    constructor(@inject(OPTIONS) readonly options: z.output<typeof schema>) {
      if (is('shared-cursor')) this.#position = shared.cursor;
    }

    get #drops(): boolean {
      return is('option-ignored') ? false : this.options.dropLast;
    }
    get batchesPerEpoch(): number {
      const { batchSize } = this.options;
      return this.#drops || is('batches-per-pass-wrong')
        ? Math.floor(EXAMPLES / batchSize)
        : Math.ceil(EXAMPLES / batchSize);
    }

    #makeOrder(): readonly number[] {
      const { key, pass } = this.#position;
      const seed = is('seed-ignored')
        ? 1
        : is('wall-clock')
          ? Date.now()
          : is('unseeded-order')
            ? Math.floor(Math.random() * 1e6)
            : key;
      const late = is('late-fault') && ++this.#drawn > 1_000_000;
      const stream = RandomStream.fromSeed(seed).split(String(is('one-order') || late ? 0 : pass));
      if (is('with-replacement')) return Array.from({ length: EXAMPLES }, () => stream.integer(EXAMPLES));
      return [...stream.permutation(EXAMPLES)];
    }

    draw({ random }: DrawContext): Batch | undefined {
      const { batchSize } = this.options;
      const position = this.#position;
      if (position.key < 0) position.key = random.split('order').word();
      const length = EXAMPLES - (is('pass-off-by-one') ? 1 : 0);
      const over = this.#drops || is('last-dropped') ? position.at + batchSize > length : position.at >= length;
      if (over) {
        position.pass++;
        position.at = is('first-skipped') ? 1 : 0;
        this.#order = undefined;
      }
      if (position.pass >= this.options.passes && !is('never-ends')) {
        if (is('starts-again')) Object.assign(position, { pass: 0, at: 0 });
        return undefined;
      }
      this.#order ??= this.#makeOrder();
      const end = Math.min(position.at + batchSize, EXAMPLES);
      const indices = this.#order.slice(position.at, end);
      if (is('last-padded'))
        for (let row = 0; indices.length < batchSize; row++) indices.push(this.#order[row] as number);
      position.at = end;
      if (is('writes-to-source'))
        for (const index of indices) shared.source.x[2 * index] = (shared.source.x[2 * index] as number) * 1.5;
      return this.#batch(indices);
    }

    #batch(indices: readonly number[]): Batch {
      const early = is('buffer-reused-early')
        ? (this.#free[0] ??= new Float32Array(2 * this.options.batchSize))
        : undefined;
      const length = 2 * indices.length;
      const at = this.#free.findIndex((buffer) => buffer.length === length);
      const buffer =
        early?.subarray(0, length) ??
        (at < 0 ? new Float32Array(length) : (this.#free.splice(at, 1)[0] as Float32Array<ArrayBuffer>));
      const batch = rows(indices, buffer);
      const { x, label } = batch.columns as { x: TensorData<'float32'>; label: TensorData<'int64'> };
      let released = false;
      const changed: Partial<Record<PassFault, () => Partial<Batch>>> = {
        'ids-are-rows': () => ({ ids: indices.map((_, row) => row) }),
        'ids-missing-row': () => ({ ids: indices.slice(1) }),
        'columns-apart': () => ({
          columns: { x, label: { ...label, data: shared.source.label.slice(0, indices.length) } },
        }),
        'label-float': () => ({
          columns: { x, label: { dataType: 'float32', dims: label.dims, data: Float32Array.from(label.data, Number) } },
        }),
        'shape-flat': () => ({ columns: { x: { ...x, dims: [length] }, label } }),
        'size-wrong': () => ({ size: this.options.batchSize }),
        'nan-in-batch': () => {
          if (indices.length < this.options.batchSize) x.data[0] = NaN;
          return {};
        },
      };
      return {
        ...batch,
        ...(fault === undefined ? {} : changed[fault]?.()),
        release: () => {
          if (early !== undefined || (released && !is('released-twice'))) return;
          released = true;
          this.#free.push(buffer);
        },
      };
    }

    state(): JsonValue {
      const position = this.#position;
      const odd: Partial<Record<PassFault, () => unknown>> = {
        'state-map': () => new Map(Object.entries(position)),
        'state-undefined': () => ({ ...position, note: undefined }),
        'state-typed-array': () => Int32Array.of(position.pass, position.at, position.key),
        'state-live': () => position,
        'state-advances': () => ({ ...position, at: Math.min(EXAMPLES, position.at++) }),
      };
      return (fault === undefined ? undefined : (odd[fault]?.() as JsonValue | undefined)) ?? { ...position };
    }

    restore(state: JsonValue): void {
      const { pass, at, key } = is('restore-untyped-error')
        ? (state as { pass: number; at: number; key: number })
        : ((state ?? {}) as { pass: number; at: number; key: number });
      const fits =
        [pass, at, key].every((value) => Number.isSafeInteger(value)) && pass >= 0 && at >= 0 && at <= EXAMPLES;
      if (is('restore-untyped-error')) at.toFixed();
      else if (!fits && !is('restore-takes-anything'))
        throw new UpdraftError('data', 'This is no state of the sampler.');
      Object.assign(this.#position, {
        pass: is('restore-forgets-pass') ? 0 : pass,
        at: is('restore-forgets-cursor') ? 0 : at,
        key: is('restore-forgets-seed') ? -1 : key,
      });
      if (!is('restore-keeps-order')) this.#order = undefined;
    }
  }
  plugin({ name: 'table-passes', contract: 'sampler', options: schema, summary: 'For the tests of the kits.' })(
    TableSampler,
  );
  return TableSampler;
}

/** The examples with the largest running mean of their losses; ties go to the lower id. */
function hardest(fault?: LearningFault) {
  const is = (wanted: LearningFault): boolean => fault === wanted;
  const schema = z.object({
    batchSize: z.number().int().min(1).max(EXAMPLES).default(3).describe('Examples in a batch.'),
    decay: z.number().min(0).lt(1).default(0.5).describe('Decay of the running means.'),
  });

  class HardestSampler implements Sampler {
    readonly columns = columns;
    #scores = is('shared-scores') ? scores.table : new Array<number>(EXAMPLES).fill(1);
    constructor(@inject(OPTIONS) readonly options: z.output<typeof schema>) {}

    draw(): Batch {
      const sign = is('easiest-first') ? -1 : 1;
      const order = this.#scores
        .map((_, id) => id)
        .sort((a, b) => sign * ((this.#scores[b] as number) - (this.#scores[a] as number)) || a - b);
      return rows(order.slice(0, this.options.batchSize));
    }
    observe({ batch, perExample }: Feedback): void {
      const losses = perExample['losses'] as TensorData<'float32'>;
      if (is('feedback-ignored')) return;
      const decay = is('no-averaging') ? 0 : this.options.decay;
      (batch.ids as readonly number[]).forEach((id, row) => {
        const loss = losses.data[row] as number;
        if (!Number.isFinite(loss) && !is('nan-poisons')) return;
        const at = is('wrong-row') ? (id + 1) % EXAMPLES : id;
        this.#scores[at] = decay * (this.#scores[at] as number) + (1 - decay) * loss;
      });
    }
    state(): JsonValue {
      return is('scores-not-stored') ? new Array<number>(EXAMPLES).fill(1) : [...this.#scores];
    }
    restore(state: JsonValue): void {
      if (!Array.isArray(state) || state.length !== EXAMPLES || !state.every(Number.isFinite))
        throw new UpdraftError('data', 'This is no state of the sampler.');
      this.#scores = [...(state as readonly number[])];
    }
  }
  plugin({ name: 'hardest-examples', contract: 'sampler', options: schema, summary: 'For the tests of the kits.' })(
    HardestSampler,
  );
  return HardestSampler;
}

const WEIGHTS = [1, 0, 2, 3, 1, 1, 1, 1, 2, 1, 3];

/** Draws with replacement, with probabilities in proportion to fixed weights. */
function weighted(fault?: WeightedFault) {
  const schema = z.object({ batchSize: z.number().int().min(1).max(64).default(8).describe('Examples in a batch.') });
  const powers: Partial<Record<WeightedFault, (weight: number, at: number) => number>> = {
    'last-never-drawn': (weight, at) => (at === EXAMPLES - 1 ? 0 : weight),
    'weights-ignored': () => 1,
    'weights-squared': (weight) => weight * weight,
  };
  const weights = WEIGHTS.map((weight, at) => (fault === undefined ? weight : (powers[fault]?.(weight, at) ?? weight)));

  class WeightedSampler implements Sampler {
    readonly columns = columns;
    constructor(@inject(OPTIONS) readonly options: z.output<typeof schema>) {}
    draw({ random }: DrawContext): Batch {
      return rows(Array.from({ length: this.options.batchSize }, () => random.categorical(weights)));
    }
    state(): JsonValue {
      return 'memoryless';
    }
    restore(state: JsonValue): void {
      if (state !== 'memoryless') throw new UpdraftError('data', 'This is no state of the sampler.');
    }
  }
  plugin({ name: 'weighted-draws', contract: 'sampler', options: schema, summary: 'For the tests of the kits.' })(
    WeightedSampler,
  );
  return WeightedSampler;
}

function candidates(): Record<string, TensorData> {
  const { x, label } = shared.source;
  return {
    x: { dataType: 'float32', dims: [EXAMPLES, 2], data: x },
    label: { dataType: 'int64', dims: [EXAMPLES], data: label },
  };
}

/** What a mutant did to the module is undone before the next. */
function reset(): void {
  shared.source = table();
  shared.cursor = { pass: 0, at: 0, key: -1 };
  scores.table = new Array<number>(EXAMPLES).fill(1);
}

const total = WEIGHTS.reduce((sum, weight) => sum + weight, 0);

/** Wrong samplers. */
export const samplerMutants: MutantFamily = {
  contract: 'sampler',
  mutants: [
    ...Object.entries({ ...PASSES, ...LEARNING, ...WEIGHTED }).map(([fault, wrong]) => ({
      fault,
      wrong,
      ...(fault === 'late-fault' ? { unseen: 'no check draws that often' } : {}),
    })),
  ],
  correct(backend) {
    return ['', 'learning', 'weighted'].map((which) => this.kit(which, backend));
  },
  kit(fault, backend) {
    reset();
    const common = { backend, candidates };
    if (fault === 'learning' || fault in LEARNING)
      return samplerKit(hardest(fault === 'learning' ? undefined : (fault as LearningFault)), {
        ...common,
        random: false,
        perExample: ['losses'],
        golden: [goldenFile('hardest-examples')],
      });
    if (fault === 'weighted' || fault in WEIGHTED)
      return samplerKit(weighted(fault === 'weighted' ? undefined : (fault as WeightedFault)), {
        ...common,
        probabilities: WEIGHTS.map((weight) => weight / total),
      });
    return samplerKit(passes(fault === '' ? undefined : (fault as PassFault)), {
      ...common,
      options: { batchSize: 5, passes: 3 },
      draws: 9,
      ends: 9,
      passes: { examples: EXAMPLES },
      effects: { passes: { value: 1 } },
    });
  },
};
