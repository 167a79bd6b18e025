import {
  defineModel,
  MemoryCheckpointStore,
  train,
  type Batch,
  type createContainer,
  type JsonValue,
  type Sampler,
  type TrainResult,
  type UpdateRule,
} from '@updraft/core';
import { elementCount, isFloat, UpdraftError, type Tensor, type TensorData } from '@updraft/graph';
import { ContractError } from '../errors.js';
import { parseGolden } from '../golden/golden-file.js';
import { runSamplerGolden } from '../golden/sampler-golden.js';
import { assertFinite, assertSameBits, copyAll, elementsOf, sameBits, type Named } from '../kit/compare.js';
import {
  makeKit,
  registerKit,
  SharedBackend,
  type Check,
  type ContractKit,
  type KitSettings,
  type TestRunner,
} from '../kit/contract-kit.js';
import { optionChecks, type OptionSettings } from '../kit/option-checks.js';
import { underAnotherClock } from '../kit/other-clock.js';
import { resolveSubject, type Options, type Subject } from '../kit/subject.js';
import { drawContext, drawOnce, drawSequence, feedbackOf, type Draw, type FeedbackMaker } from './draws.js';

/** What a sampler says about passes over its source. */
export interface PassClaim {
  /** Examples of the source; each is drawn once per pass. */
  readonly examples: number;
  /** Whether examples that fill no whole batch are left out of the pass. */
  readonly dropsLast?: boolean;
}

export interface SamplerSettings extends KitSettings, OptionSettings {
  /** Draws of a sequence; enough for a pass over the source and the beginning of another. Default 10. */
  readonly draws?: number;
  /** Another seed gives other draws. Default true; false for samplers in a fixed order. */
  readonly random?: boolean;
  /**
   * What can be drawn: all columns of all candidates, in order. Rows of batches must be rows of these; where a batch has
   * ids, the rows of those positions.
   */
  readonly candidates?: () => Named;
  /** Position of a candidate by the id that batches give it; default: ids are positions. */
  readonly positionOf?: (id: number | string) => number;
  readonly passes?: PassClaim;
  /** Draws after which the sampler ends; default: it never does. */
  readonly ends?: number;
  /** What is told to a sampler that learns; default: losses and values that depend on the step alone. */
  readonly feedback?: FeedbackMaker;
  /** Names of values per example that the sampler reads from feedback, for the default feedback. */
  readonly perExample?: readonly string[];
  /** Probability of each candidate in a draw, by position, whatever came before. */
  readonly probabilities?: readonly number[];
  /** Draws for the frequencies; default 400. */
  readonly frequencyDraws?: number;
  readonly golden?: readonly unknown[];
  /** Services for the constructor of the sampler, such as its dataset. */
  readonly container?: () => ReturnType<typeof createContainer>;
}

/** Everything that a sampler owes, as checks. */
export function samplerKit(given: Subject<'sampler'>, settings: SamplerSettings = {}): ContractKit {
  const subject = resolveSubject('sampler', given, settings.options, settings.container);
  const shared = new SharedBackend(settings.backend);
  const count = settings.draws ?? 10;
  const feedback = settings.feedback ?? feedbackOf(settings.perExample ?? []);
  const fresh = (): Sampler => subject.create();
  const sequence = (sampler: Sampler, seed = 0, from = 1, to = count): Promise<Draw[]> =>
    drawSequence(sampler, { seed, from, to, feedback });
  const learns = fresh().observe !== undefined;

  const same = (actual: readonly Draw[], expected: readonly Draw[], what: string, hint?: string): void => {
    if (actual.length !== expected.length)
      throw new ContractError(
        `${what}: ${actual.length} draws instead of ${expected.length}.`,
        hint === undefined ? {} : { hint },
      );
    expected.forEach((draw, index) => {
      const where = `${what}, draw ${index + 1}`;
      const found = actual[index] as Draw;
      assertSameBits(found.columns, draw.columns, where, hint);
      if (JSON.stringify(found.ids) !== JSON.stringify(draw.ids))
        throw new ContractError(
          `${where}: the ids are ${JSON.stringify(found.ids)}, not ${JSON.stringify(draw.ids)}.`,
          hint === undefined ? {} : { hint },
        );
    });
  };

  const position = (id: number | string): number => settings.positionOf?.(id) ?? Number(id);

  /** Train a number that sums up what it sees, so that its value tells which batches came in which order. */
  const trainOn = async (sampler: Sampler, steps: number, store?: MemoryCheckpointStore): Promise<TrainResult> =>
    train({
      backend: await shared.get(),
      ...witness(sampler),
      sampler,
      steps,
      ...(store === undefined ? {} : { checkpoints: { store, every: 1_000_000 } }),
    }).result();

  const checks: Check[] = [
    {
      id: 'columns',
      title: 'batches have the declared columns, finite numbers, and as many ids as examples',
      async run() {
        const sampler = fresh();
        for (const [index, draw] of (await sequence(sampler)).entries())
          checkBatch(draw, sampler.columns, `Draw ${index + 1}`);
      },
    },
    {
      id: 'same-seed',
      title: 'the same seed gives the same draws, whatever the clock and Math.random say',
      async run() {
        const expected = await sequence(fresh());
        for (const salt of [1, 2])
          same(
            await underAnotherClock(salt, () => sequence(fresh())),
            expected,
            'A second sequence from the same seed',
            'Draw random numbers from context.random only.',
          );
      },
    },
    {
      id: 'other-seed',
      title: 'another seed gives other draws',
      skip: settings.random === false ? 'the order is fixed' : undefined,
      async run() {
        const [one, other] = [await sequence(fresh(), 0), await sequence(fresh(), 1)];
        if (equalDraws(one, other))
          throw new ContractError('The seeds 0 and 1 give the same draws.', {
            hint: 'Use context.random; if the order is fixed on purpose, say `random: false`.',
          });
      },
    },
    {
      id: 'instances',
      title: 'two instances share nothing',
      async run() {
        const alone = await sequence(fresh());
        const [left, right] = [fresh(), fresh()];
        const taken: [Draw[], Draw[]] = [[], []];
        for (let step = 1; step <= count; step++)
          for (const [index, sampler] of [left, right].entries()) {
            const draw = await drawOnce(sampler, 0, step, feedback);
            if (draw !== undefined) taken[index]?.push(draw);
          }
        same(taken[0], alone, 'One of two samplers drawn from in turn', 'Keep what changes in the instance.');
        same(taken[1], alone, 'One of two samplers drawn from in turn', 'Keep what changes in the instance.');
      },
    },
    {
      id: 'state-json',
      title: 'state is JSON, and looking at it changes nothing, neither the draws nor states taken before',
      async run() {
        const expected = await sequence(fresh());
        const sampler = fresh();
        const states: [JsonValue, string][] = [];
        const draws: Draw[] = [];
        for (let step = 1; step <= count; step++) {
          const state = sampler.state();
          const text = JSON.stringify(state);
          if (text === undefined || !deepEqual(JSON.parse(text), state))
            throw new ContractError(`The state before draw ${step} does not survive JSON: ${text}.`, {
              hint: 'Keep numbers that are finite, texts, booleans, null, arrays and plain objects only.',
            });
          if (JSON.stringify(sampler.state()) !== text)
            throw new ContractError(`state() gives another state when it is called again before draw ${step}.`);
          states.push([state, text]);
          const draw = await drawOnce(sampler, 0, step, feedback);
          if (draw !== undefined) draws.push(draw);
        }
        states.forEach(([state, text], index) => {
          if (JSON.stringify(state) !== text)
            throw new ContractError(`The state taken before draw ${index + 1} was changed by later draws.`, {
              hint: 'Return a copy: checkpoints are written while the run goes on.',
            });
        });
        same(draws, expected, 'With state() called before every draw');
      },
    },
    {
      id: 'restored',
      title: 'restored anywhere, it goes on with the same draws',
      async run() {
        const expected = await sequence(fresh());
        const sampler = fresh();
        for (let step = 1; step <= expected.length; step++) {
          const stored = JSON.parse(JSON.stringify(sampler.state())) as JsonValue;
          const rest = async (restored: Sampler): Promise<Draw[]> => {
            restored.restore(stored);
            return sequence(restored, 0, step);
          };
          const hint = 'Put everything that later draws depend on into state().';
          same(await rest(fresh()), expected.slice(step - 1), `Restored in a new sampler before draw ${step}`, hint);
          // One that has been elsewhere meanwhile, as when a run is set back.
          const used = fresh();
          await sequence(used, 0, 1, Math.min(count, 3));
          same(await rest(used), expected.slice(step - 1), `Restored in a used sampler before draw ${step}`, hint);
          await drawOnce(sampler, 0, step, feedback);
        }
      },
    },
    {
      id: 'restore-refuses',
      title: 'what is no state of the sampler is refused with a typed error',
      async run() {
        await Promise.resolve();
        for (const wrong of [null, 'position', -1.5, [], { 'no-such-key': 1 }] as JsonValue[]) {
          const sampler = fresh();
          try {
            sampler.restore(wrong);
          } catch (error) {
            if (error instanceof UpdraftError) continue;
            throw new ContractError(
              `restore(${JSON.stringify(wrong)}) ends in an error of no type of Updraft: ${String(error)}`,
            );
          }
          throw new ContractError(`restore(${JSON.stringify(wrong)}) is taken.`, {
            hint: 'Check a state before using it: checkpoints may be of another run or damaged.',
          });
        }
      },
    },
    {
      id: 'drawn-ahead',
      title: 'batches drawn ahead leave those that are still in use alone',
      skip: learns ? 'a sampler that learns is not drawn from ahead' : undefined,
      async run() {
        const expected = await sequence(fresh());
        const sampler = fresh();
        const held: { readonly batch: Batch; readonly step: number }[] = [];
        const intact = (): void => {
          for (const { batch, step } of held) {
            const draw = expected[step - 1] as Draw;
            assertSameBits(
              batch.columns,
              draw.columns,
              `The batch of step ${step}, while it is in use`,
              'Reuse buffers only after release().',
            );
            if (JSON.stringify(batch.ids) !== JSON.stringify(draw.ids))
              throw new ContractError(`The ids of the batch of step ${step} change while it is in use.`);
          }
        };
        for (let step = 1; step <= expected.length; step++) {
          const batch = await sampler.draw(drawContext(0, step));
          if (batch === undefined) break;
          held.push({ batch, step });
          intact();
          // Three at a time, as the driver does at most: one running, one drawn ahead, one released late.
          if (held.length === 3) {
            const batch = held.shift()?.batch;
            // Twice does no harm.
            batch?.release?.();
            batch?.release?.();
          }
          intact();
        }
      },
    },
    {
      id: 'trained',
      title: 'train draws ahead, stops and resumes with it: the same batches in the same order',
      async run() {
        const whole = await trainOn(fresh(), count);
        const expected = foldDraws(await sequence(fresh(), 0, 1, count));
        const found = elementsOf(whole.params['sum'] as TensorData)[0] as number;
        if (!learns && !(Math.abs(found - expected) <= 1e-4 * Math.max(1, Math.abs(expected))))
          throw new ContractError(`In training the batches sum up to ${found}, drawn one by one to ${expected}.`, {
            hint: 'A draw must not depend on whether the one before was released.',
          });
        const stop = Math.max(1, Math.floor(whole.steps / 2));
        const store = new MemoryCheckpointStore();
        await trainOn(fresh(), stop, store);
        const resumed = await trainOn(fresh(), count, store);
        assertSameBits(
          resumed.params,
          whole.params,
          `A run resumed after step ${stop}`,
          'The state must say what is drawn next.',
        );
      },
    },
    {
      id: 'candidates',
      title: 'every row is a row of the candidates, that of its id, and the candidates stay as they are',
      skip: settings.candidates === undefined ? 'no candidates are given' : undefined,
      async run() {
        const candidates = settings.candidates?.() ?? {};
        const before = copyAll(candidates);
        const sampler = fresh();
        for (const [index, draw] of (await sequence(sampler)).entries())
          for (let row = 0; row < draw.size; row++) checkRow(draw, row, before, position, `Draw ${index + 1}`);
        assertSameBits(
          settings.candidates?.() ?? {},
          before,
          'The candidates after the draws',
          'Do not write to the source.',
        );
        assertSameBits(candidates, before, 'The candidates after the draws', 'Do not write to the source.');
      },
    },
    {
      id: 'passes',
      title: 'every pass draws every example once',
      skip: settings.passes === undefined ? 'no claim about passes' : undefined,
      async run() {
        const { examples, dropsLast = false } = settings.passes as PassClaim;
        const sampler = fresh();
        const { batchesPerEpoch } = sampler;
        const draws = await sequence(sampler, 0, 1, Math.max(count, 2 * (batchesPerEpoch ?? count)));
        const size = draws[0]?.size ?? 1;
        const perPass = dropsLast ? Math.floor(examples / size) : Math.ceil(examples / size);
        if (batchesPerEpoch !== undefined && batchesPerEpoch !== perPass)
          throw new ContractError(
            `batchesPerEpoch is ${batchesPerEpoch}; ${examples} examples in batches of ${size} are ${perPass}.`,
          );
        const orders = new Set<string>();
        for (let pass = 0; (pass + 1) * perPass <= draws.length; pass++) {
          const ids = draws.slice(pass * perPass, (pass + 1) * perPass).flatMap((draw) => [...(draw.ids ?? [])]);
          const wanted = dropsLast ? perPass * size : examples;
          if (ids.length !== wanted || new Set(ids).size !== ids.length)
            throw new ContractError(
              `Pass ${pass + 1} draws ${new Set(ids).size} of ${examples} examples in ${ids.length} rows; ${wanted} different ones are expected.`,
              { hint: 'Begin a new order only when the old one is used up.' },
            );
          orders.add(ids.join());
        }
        if (settings.random !== false && examples > 4 && orders.size === 1 && draws.length >= 2 * perPass)
          throw new ContractError('Two passes have the same order.', {
            hint: 'Draw a new order for every pass; if the order is fixed on purpose, say `random: false`.',
          });
      },
    },
    {
      id: 'ends',
      title: 'it ends when it says, and stays at its end',
      async run() {
        const sampler = fresh();
        const claimed = settings.ends;
        const limit = claimed === undefined ? count : claimed + 3;
        let drawn = 0;
        for (let step = 1; step <= limit; step++) {
          const draw = await drawOnce(sampler, 0, step, feedback);
          if (draw !== undefined && drawn < step - 1)
            throw new ContractError(`After its end the sampler draws again at step ${step}.`);
          if (draw !== undefined) drawn = step;
        }
        if (drawn !== (claimed ?? count))
          throw new ContractError(
            `The sampler ends after ${drawn} draws${claimed === undefined ? '' : ` instead of ${claimed}`}.`,
            {
              hint: 'If it has an end, say `ends` and draw no more than that.',
            },
          );
      },
    },
    {
      id: 'learns',
      title: 'what it is told changes what it draws, and numbers that are not finite do not break it',
      skip: learns ? undefined : 'it does not observe',
      async run() {
        const other: FeedbackMaker = (batch, step) => {
          const usual = feedback(batch, step);
          return {
            ...usual,
            loss: 10 * step - usual.loss,
            perExample: Object.fromEntries(
              Object.entries(usual.perExample).map(([name, value]) => [
                name,
                { ...value, data: (value.data as Float32Array).map((one, index) => 3 * index - 5 * one) } as TensorData,
              ]),
            ),
          };
        };
        const [one, two] = [
          await sequence(fresh()),
          await drawSequence(fresh(), { seed: 0, from: 1, to: count, feedback: other }),
        ];
        if (equalDraws(one, two))
          throw new ContractError('Other losses and values per example lead to the same draws.', {
            hint: 'Use what observe() is told, or leave observe() out so that batches can be drawn ahead.',
          });
        const broken: FeedbackMaker = (batch, step) => {
          const usual = feedback(batch, step);
          return {
            ...usual,
            loss: NaN,
            perExample: Object.fromEntries(
              Object.entries(usual.perExample).map(([name, value]) => [
                name,
                {
                  ...value,
                  data: (value.data as Float32Array).map((_, index) => (index % 2 === 0 ? NaN : Infinity)),
                } as TensorData,
              ]),
            ),
          };
        };
        const sampler = fresh();
        try {
          const draws = await drawSequence(sampler, { seed: 0, from: 1, to: count, feedback: broken });
          draws.forEach((draw, index) => {
            checkBatch(draw, sampler.columns, `Draw ${index + 1} after losses that are NaN`);
          });
          if (!deepEqual(JSON.parse(JSON.stringify(sampler.state())), sampler.state()))
            throw new ContractError('After losses that are NaN the state does not survive JSON.');
        } catch (error) {
          if (!(error instanceof UpdraftError))
            throw new ContractError(`Losses that are NaN end in an error of no type of Updraft: ${String(error)}`);
          if (error instanceof ContractError) throw error;
        }
      },
    },
    {
      id: 'frequencies',
      title: 'candidates are drawn as often as their probabilities say',
      skip: settings.probabilities === undefined ? 'no probabilities are given' : undefined,
      async run() {
        const probabilities = settings.probabilities ?? [];
        const counts = new Array<number>(probabilities.length).fill(0);
        let total = 0;
        for (const draw of await sequence(fresh(), 0, 1, settings.frequencyDraws ?? 400))
          for (const id of draw.ids ?? []) {
            const at = position(id);
            counts[at] = (counts[at] ?? 0) + 1;
            total++;
          }
        probabilities.forEach((probability, at) => {
          const expected = probability * total;
          const deviation = Math.sqrt(Math.max(1e-12, expected * (1 - probability)));
          const found = counts[at] as number;
          if (probability === 0 ? found > 0 : Math.abs(found - expected) > 5 * deviation)
            throw new ContractError(
              `Candidate ${at} is drawn ${found} times in ${total}; its probability ${probability} makes it ${expected.toFixed(1)}.`,
              {
                hint: 'Check the probabilities and how they are drawn from.',
              },
            );
        });
      },
    },
    {
      id: 'by-name',
      title: 'by name from a registry, with options as JSON, it is the same sampler',
      skip: subject.byName === undefined ? 'it is no plugin' : undefined,
      async run() {
        same(await sequence(subject.byName?.() as Sampler), await sequence(fresh()), 'The sampler by name');
      },
    },
    {
      id: 'golden',
      title: 'it gives the golden draws',
      skip: settings.golden === undefined ? 'no golden values are given' : undefined,
      async run() {
        for (const file of settings.golden ?? [])
          await runSamplerGolden(subject, parseGolden('sampler', subject.name, file));
      },
    },
    ...optionChecks(subject, settings, async (options: Options) => {
      const sampler = subject.create(options);
      const draws = await sequence(sampler);
      return JSON.stringify([
        Object.entries(sampler.columns),
        draws.map(({ columns, ids }) => [Object.values(columns).map(elementsOf), ids]),
      ]);
    }),
  ];

  return makeKit(subject.label, checks, shared, settings.waive);
}

/** Register the whole kit: one line in a test file. */
export const testSampler = (subject: Subject<'sampler'>, settings: SamplerSettings = {}, runner?: TestRunner): void => {
  registerKit(samplerKit(subject, settings), runner);
};

/** Whether two JSON values are equal, telling `undefined`, `NaN`, typed arrays and class instances from JSON. */
function deepEqual(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const prototype: unknown = Object.getPrototypeOf(right);
  // Objects of another realm have another Object.prototype, which has no prototype itself.
  const plain = Array.isArray(right) || prototype === null || Object.getPrototypeOf(prototype) === null;
  const [a, b] = [Object.entries(left), Object.entries(right)];
  return (
    plain &&
    a.length === b.length &&
    a.every(([key, value]) => Object.hasOwn(right, key) && deepEqual(value, (right as Record<string, unknown>)[key]))
  );
}

const equalDraws = (left: readonly Draw[], right: readonly Draw[]): boolean =>
  left.length === right.length &&
  left.every((draw, index) =>
    Object.entries(draw.columns).every(([name, value]) => {
      const other = right[index]?.columns[name];
      return other !== undefined && sameBits(value, other);
    }),
  );

function checkBatch(draw: Draw, columns: Sampler['columns'], where: string): void {
  const found = Object.keys(draw.columns).sort().join(', ');
  if (found !== Object.keys(columns).sort().join(', '))
    throw new ContractError(
      `${where} has the columns ${found || 'none'}; declared are ${Object.keys(columns).join(', ')}.`,
    );
  if (!Number.isSafeInteger(draw.size) || draw.size < 1)
    throw new ContractError(`${where} has the size ${draw.size}.`, {
      hint: 'Return undefined when there is nothing left.',
    });
  const sizes = new Map<string, number>([['batch', draw.size]]);
  for (const [name, spec] of Object.entries(columns)) {
    const value = draw.columns[name] as TensorData;
    if (value.dataType !== spec.dataType)
      throw new ContractError(`${where}: the column "${name}" is ${value.dataType}, not ${spec.dataType} as declared.`);
    const fits =
      value.dims.length === spec.shape.length &&
      value.data.length === elementCount(value.dims) &&
      spec.shape.every((dim, axis) => {
        const size = value.dims[axis] as number;
        const expected = typeof dim === 'number' ? dim : sizes.get(dim);
        if (typeof dim === 'string' && expected === undefined) sizes.set(dim, size);
        return expected === undefined || expected === size;
      });
    if (!fits)
      throw new ContractError(
        `${where}: the column "${name}" is [${value.dims.join(', ')}] with ${value.data.length} elements; declared is [${spec.shape.join(', ')}] with a batch of ${draw.size}.`,
      );
    if (isFloat(value.dataType)) assertFinite({ [name]: value }, where);
  }
  if (draw.ids !== undefined && draw.ids.length !== draw.size)
    throw new ContractError(`${where} has ${draw.ids.length} ids for ${draw.size} examples.`);
}

function checkRow(
  draw: Draw,
  row: number,
  candidates: Named,
  position: (id: number | string) => number,
  where: string,
): void {
  const rowOf = (value: TensorData, at: number): string => {
    const width = elementCount(value.dims.slice(1));
    return elementsOf(value)
      .slice(at * width, (at + 1) * width)
      .join();
  };
  const names = Object.keys(draw.columns).filter((name) => candidates[name] !== undefined);
  const number = Math.min(...names.map((name) => candidates[name]?.dims[0] as number));
  const id = draw.ids?.[row];
  const matches = (at: number): boolean =>
    names.every((name) => rowOf(draw.columns[name] as TensorData, row) === rowOf(candidates[name] as TensorData, at));
  if (id === undefined) {
    if (!Array.from({ length: number }, (_, at) => at).some(matches))
      throw new ContractError(`${where}, row ${row}: no candidate has these values.`);
    return;
  }
  const at = position(id);
  if (!(at >= 0 && at < number && Number.isInteger(at)))
    throw new ContractError(`${where}, row ${row}: the id ${JSON.stringify(id)} is none of the ${number} candidates.`);
  if (!matches(at))
    throw new ContractError(`${where}, row ${row}: the values are not those of candidate ${at}, whose id it has.`);
}

/** What {@link witness} trains its number to: sum ← sum·0.9 + mean of all columns. */
const foldDraws = (draws: readonly Draw[]): number =>
  draws.reduce((sum, { columns }) => {
    const all = Object.values(columns).map(elementsOf);
    const means = all.map((values) => values.reduce((a, b) => a + b, 0) / values.length);
    return 0.9 * sum + means.reduce((a, b) => a + b, 0);
  }, 0);

/** A model and a rule for which training writes a summary of all batches, in order, into one number. */
function witness(sampler: Sampler): Omit<Parameters<typeof train>[0], 'backend' | 'sampler' | 'steps'> {
  const summary = (columns: Readonly<Record<string, Tensor>>): Tensor =>
    Object.values(columns)
      .map((column) => column.cast('float32').mean())
      .reduce((sum, term) => sum.add(term));
  const updateRule: UpdateRule = {
    init: () => ({}),
    update: ({ params, grads }) => ({
      // The gradient of sum · summary is the summary.
      params: { sum: (params['sum'] as Tensor).mul(0.9).add(grads['sum'] as Tensor) },
    }),
  };
  return {
    model: defineModel({
      name: 'witness',
      inputs: sampler.columns,
      build: (scope, inputs) => ({
        product: scope.parameter('sum', [], { initialize: () => new Float32Array(1) }).mul(summary(inputs)),
      }),
    }),
    reward: {
      objective({ forward, batch }) {
        const rows = Object.values(batch).map((column) =>
          column.rank === 1
            ? column.cast('float32')
            : column.cast('float32').mean(column.shape.slice(1).map((_, axis) => axis + 1)),
        );
        const losses = rows.reduce((sum, row) => sum.add(row));
        return { loss: forward()['product'] as Tensor, perExample: { loss: losses, losses, scores: losses } };
      },
    },
    updateRule,
  };
}
