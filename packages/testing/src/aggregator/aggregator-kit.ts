import type { Backend } from '@updraft/backend';
import { merge, screenSources, type Aggregator, type createContainer, type Schedule } from '@updraft/core';
import { UpdraftError, type TensorData } from '@updraft/graph';
import { ContractError } from '../errors.js';
import { runAggregatorGolden } from '../golden/aggregator-golden.js';
import { parseGolden } from '../golden/golden-file.js';
import {
  allSameBits,
  assertClose,
  assertFinite,
  assertSameBits,
  assertSameShapes,
  elementsOf,
  type Named,
} from '../kit/compare.js';
import {
  compilations,
  makeKit,
  registerKit,
  SharedBackend,
  type Check,
  type ContractKit,
  type KitSettings,
  type TestRunner,
} from '../kit/contract-kit.js';
import { optionChecks, scheduledOptions, type OptionSettings } from '../kit/option-checks.js';
import { underAnotherClock } from '../kit/other-clock.js';
import { resolveSubject, type Options, type Subject } from '../kit/subject.js';
import { normalValues, type TaskParameters } from '../update-rule/tasks.js';
import { traceAggregator, type GivenSource, type RoundResult } from './trace-aggregator.js';

export interface AggregatorSettings extends KitSettings, OptionSettings {
  /** Shapes of the values of a source; default: a matrix [3, 2], a vector and a scalar. */
  readonly values?: TaskParameters;
  /** How many sources there are in most checks. Default 5. */
  readonly sources?: number;
  /** Position of the source of the one who combines, for rules with a pivot. */
  readonly own?: number;
  /** Give `context.current`, as servers do. */
  readonly current?: boolean;
  /** Whether more weight gives a source more influence. Default true; false for those that count heads. */
  readonly weighted?: boolean;
  /** Sources may come in any order. Default: true without `own`. */
  readonly symmetric?: boolean;
  /** One source alone is the result, and equal sources are. Default true. */
  readonly unanimous?: boolean;
  /** Sources times a number give the result times that number. Default true. */
  readonly scales?: boolean;
  /** Sources plus a constant give the result plus that constant. Default true. */
  readonly translates?: boolean;
  /** Every coordinate of the result lies between the smallest and the largest of the sources. Default true. */
  readonly within?: boolean;
  /** Twice the same sources give the same result. Default true. */
  readonly duplicates?: boolean;
  /** How many of `sources` may be arbitrary without moving a coordinate out of the range of the others. */
  readonly breakdown?: number;
  /** NaN and infinity in a source do not reach the result, even where no driver screens it. Default false. */
  readonly survivesNonFinite?: boolean;
  /** Paths (or their beginnings) of declared state that no round changes. */
  readonly constantState?: readonly string[];
  readonly golden?: readonly unknown[];
  readonly container?: () => ReturnType<typeof createContainer>;
}

const STANDARD_VALUES: TaskParameters = { matrix: { shape: [3, 2] }, vector: { shape: [4] }, scalar: { shape: [] } };
const TOLERANCE = 2e-5;
const ROUNDS = 4;
/** From 1e-10 to 1e15, as updates of rare rows and of runs that diverge do. */
const SCALES = [1e-10, 1e-3, 1e6, 1e15];

/** Everything that an aggregator owes, as checks. */
export function aggregatorKit(given: Subject<'aggregator'>, settings: AggregatorSettings = {}): ContractKit {
  const subject = resolveSubject('aggregator', given, settings.options, settings.container);
  const shared = new SharedBackend(settings.backend);
  const shapes = settings.values ?? STANDARD_VALUES;
  const count = settings.sources ?? 5;
  const { own } = settings;
  const weights = Array.from({ length: 16 }, (_, index) => 1 + ((index * 3) % 4));
  const source = (index: number, round = 1): GivenSource => ({
    values: normalValues(shapes, `source ${index} of round ${round}`),
    weight: weights[index % weights.length] as number,
  });
  const sources = (number = count, round = 1): GivenSource[] =>
    Array.from({ length: number }, (_, index) => source(index, round));
  const rounds = Array.from({ length: ROUNDS }, (_, index) => sources(count, index + 1));
  const current = settings.current === true ? normalValues(shapes, 'current', 0.5) : undefined;
  const schedules = scheduledOptions(subject.schema, settings.options);

  const fresh = (): Aggregator => subject.create();
  const trace = async (
    list: readonly (readonly GivenSource[])[],
    aggregator = fresh(),
    extra: Partial<Parameters<typeof traceAggregator>[0]> = {},
  ): Promise<RoundResult[]> =>
    traceAggregator({ backend: await shared.get(), aggregator, rounds: list, own, current, ...extra });
  const combine = async (list: readonly GivenSource[], aggregator = fresh()): Promise<Named> =>
    ((await trace([list], aggregator))[0] as RoundResult).values;
  const sameRounds = (
    actual: readonly RoundResult[],
    expected: readonly RoundResult[],
    what: string,
    hint?: string,
  ): void => {
    expected.forEach(({ values, state }, index) => {
      assertSameBits(actual[index]?.values ?? {}, values, `${what}, round ${index + 1}`, hint);
      assertSameBits(actual[index]?.state ?? {}, state, `${what}, state after round ${index + 1}`, hint);
    });
  };
  /** All values as one list, coordinate by coordinate. */
  const flat = (values: Named): number[] =>
    Object.keys(shapes).flatMap((name) => elementsOf(values[name] as TensorData));

  const checks: Check[] = [
    {
      id: 'shapes',
      title: 'the result has the names, shapes and types of a source, state keeps its own, for one source and for many',
      async run() {
        for (const number of [1, 2, 3, count, count + 4]) {
          if (own !== undefined && own >= number) continue;
          const found = await trace([sources(number), sources(number, 2)]);
          for (const [index, { values, state, metrics }] of found.entries()) {
            const what = `${number} sources, round ${index + 1}`;
            assertSameShapes(values, source(0).values, what);
            assertFinite(values, what);
            assertFinite(state, `${what}, state`);
            for (const [name, value] of Object.entries(metrics))
              if (!Number.isFinite(value)) throw new ContractError(`${what}: the metric "${name}" is ${value}.`);
          }
        }
      },
    },
    {
      id: 'state-used',
      title: 'all declared state takes part: some round changes it',
      async run() {
        const found = await trace(rounds);
        for (const path of Object.keys(found[0]?.state ?? {})) {
          if (settings.constantState?.some((prefix) => path === prefix || path.startsWith(`${prefix}/`))) continue;
          const states = found.map(({ state }) => ({ value: state[path] as TensorData }));
          if (states.every((state) => allSameBits(state, states[0] as Named)))
            throw new ContractError(`The state "${path}" is declared, but no round changes it.`, {
              hint: 'Return its new value from combine().',
            });
        }
      },
    },
    {
      id: 'same-seed',
      title: 'the same sources give the same bits, whatever the clock and Math.random say',
      async run() {
        const expected = await trace(rounds);
        for (const salt of [1, 2])
          sameRounds(
            await underAnotherClock(salt, () => trace(rounds)),
            expected,
            'A second run',
            'Draw random numbers from context.noise() only.',
          );
      },
    },
    {
      id: 'instances',
      title: 'two instances share nothing, and an instance can be used again',
      async run() {
        const expected = await trace(rounds);
        const [one, other] = [fresh(), fresh()];
        const hint = 'Keep what changes in declared state, not in the module or the instance.';
        await trace([sources(count, 7)], other);
        sameRounds(await trace(rounds, one), expected, 'After another instance was used', hint);
        sameRounds(await trace(rounds, other), expected, 'A second run of one instance', hint);
        sameRounds(await trace(rounds, one), expected, 'A third run of one instance', hint);
      },
    },
    {
      id: 'resumed',
      title: 'rounds that were stopped and resumed are the rounds of an uninterrupted run',
      async run() {
        const expected = await trace(rounds);
        for (let stop = 1; stop < ROUNDS; stop++) {
          const state = (expected[stop - 1] as RoundResult).state;
          const rest = await trace(rounds.slice(stop), fresh(), { state, firstRound: stop + 1 });
          sameRounds(rest, expected.slice(stop), `Resumed after round ${stop}`, 'Keep what changes in declared state.');
        }
      },
    },
    {
      id: 'one-program',
      title: 'rounds, weights and values compile nothing new',
      async run() {
        const backend = await shared.get();
        await trace(rounds);
        const before = compilations(backend);
        await trace([sources(count, 9).map((each) => ({ ...each, weight: each.weight + 0.5 }))], fresh(), {
          firstRound: 9,
        });
        const extra = compilations(backend) - before;
        if (extra > 0)
          throw new ContractError(`Another round with other weights compiled ${extra} further programs.`, {
            hint: 'Use context.round, source.weight and context.scalar(), which are inputs.',
          });
      },
    },
    {
      id: 'schedules',
      title: 'a schedule that moves compiles nothing new and is followed in every round',
      skip: schedules.length === 0 ? 'no option takes a schedule' : undefined,
      async run() {
        const backend = await shared.get();
        for (const { name, value } of schedules) {
          const made = (option: number | Schedule): Aggregator =>
            subject.create({ ...settings.options, [name]: option });
          const start = await trace(rounds, made(value));
          const steady = compilations(backend);
          const moving = await trace(rounds, made({ at: (round) => (round <= 2 ? value : value / 2) }));
          const other = await trace(rounds, made(value / 2));
          if (compilations(backend) > steady)
            throw new ContractError(`Other values of "${name}" compile further programs.`, {
              hint: `Read it with context.scalar('${name}', options.${name}).`,
            });
          sameRounds(moving.slice(0, 2), start.slice(0, 2), `With a schedule for "${name}" that has not moved yet`);
          const last = (list: readonly RoundResult[]): Named => (list.at(-1) as RoundResult).values;
          if (allSameBits(last(moving), last(start)) || allSameBits(last(start), last(other)))
            throw new ContractError(`A schedule for "${name}" that moves after round 2 is not followed.`, {
              hint: 'Read the value in every round, not when the aggregator is made.',
            });
        }
      },
    },
    {
      id: 'order',
      title: 'the order of the sources does not matter',
      skip: (settings.symmetric ?? own === undefined) ? undefined : 'sources have places',
      async run() {
        const expected = await trace(rounds);
        const orders: ((list: readonly GivenSource[]) => GivenSource[])[] = [
          (list) => [...list].reverse(),
          (list) => [...list.slice(2), ...list.slice(0, 2)],
        ];
        for (const order of orders)
          (await trace(rounds.map(order))).forEach(({ values }, index) => {
            assertClose(
              values,
              expected[index]?.values ?? {},
              TOLERANCE,
              `Sources in another order, round ${index + 1}`,
            );
          });
      },
    },
    {
      id: 'every-source',
      title: 'every source and every value counts',
      async run() {
        // Each in turn goes a little to either side of where it is and far beyond, over two rounds, so that trimming cannot hide it.
        const base = await trace([sources(), sources(count, 2)]);
        for (let index = 0; index < count; index++) {
          const moved = async (by: number): Promise<RoundResult[]> =>
            trace(
              [sources(), sources(count, 2)].map((list) =>
                list.map((each, at) =>
                  at === index ? { ...each, values: mapped(each.values, (one) => one + by) } : each,
                ),
              ),
            );
          let differs = false;
          for (const by of [-100, 0.3, -0.3, 100])
            differs ||= (await moved(by)).some(({ values }, round) => !allSameBits(values, base[round]?.values ?? {}));
          if (!differs)
            throw new ContractError(`Source ${index} of ${count} has no influence, wherever its values are.`);
        }
      },
    },
    {
      id: 'duplicates',
      title: 'all sources twice give the same result; a source of weight 2 is two of weight 1',
      skip: settings.duplicates === false ? 'it is not claimed' : undefined,
      async run() {
        const list = sources();
        assertClose(await combine([...list, ...list]), await combine(list), TOLERANCE, 'All sources twice');
        if (settings.weighted === false) return;
        const [first, ...rest] = list as [GivenSource, ...GivenSource[]];
        assertClose(
          await combine([{ ...first, weight: 1 }, ...rest, { ...first, weight: 1 }]),
          await combine([{ ...first, weight: 2 }, ...rest]),
          TOLERANCE,
          'A source twice with weight 1, against once with weight 2',
        );
      },
    },
    {
      id: 'unanimity',
      title: 'equal sources, and one source alone, are the result',
      skip: settings.unanimous === false ? 'it is not claimed' : undefined,
      async run() {
        const [first] = sources() as [GivenSource];
        for (const number of [1, 2, count])
          for (const factor of [1, 1e-10, 1e15]) {
            if (own !== undefined && own >= number) continue;
            const values = mapped(first.values, (one) => one * factor);
            const equal = Array.from({ length: number }, (_, index) => ({ values, weight: weights[index] as number }));
            assertClose(await combine(equal), values, TOLERANCE, `${number} equal sources of scale ${factor}`);
          }
      },
    },
    {
      id: 'weights',
      title:
        settings.weighted === false
          ? 'weights do not count'
          : 'weights count by their proportion; a source of weight 0 is absent',
      async run() {
        const list = sources();
        const expected = await combine(list);
        const factors = [1e-3, 10, 1e6];
        for (const factor of factors)
          assertClose(
            await combine(list.map((each) => ({ ...each, weight: each.weight * factor }))),
            expected,
            TOLERANCE,
            `All weights times ${factor}`,
          );
        const heavier = await combine(
          list.map((each, at) => (at === 1 ? { ...each, weight: 50 * each.weight } : each)),
        );
        const differs = !allSameBits(heavier, expected);
        if (settings.weighted === false) {
          if (differs) throw new ContractError('Weights count, but `weighted: false` says that they do not.');
          return;
        }
        if (!differs)
          throw new ContractError('A source that weighs 50 times as much has no more influence.', {
            hint: 'Use source.weight; if weights do not count on purpose, say `weighted: false`.',
          });
        const target = flat((list[1] as GivenSource).values);
        const distance = (values: Named): number =>
          Math.hypot(...flat(values).map((value, at) => value - (target[at] as number)));
        if (!(distance(heavier) < distance(expected)))
          throw new ContractError('A source that weighs 50 times as much draws the result away from itself.');
        const absent = list.filter((_, at) => at !== count - 1);
        assertClose(
          await combine(list.map((each, at) => (at === count - 1 ? { ...each, weight: 0 } : each))),
          await combine(absent),
          TOLERANCE,
          'A source of weight 0, against without it',
        );
      },
    },
    {
      id: 'no-weight',
      title: 'with all weights 0 the result is finite or refused',
      async run() {
        let found: Named;
        try {
          found = await combine(sources().map((each) => ({ ...each, weight: 0 })));
        } catch (error) {
          if (error instanceof UpdraftError) return;
          throw new ContractError(`All weights 0 end in an error of no type of Updraft: ${String(error)}`);
        }
        if (settings.weighted === false) assertFinite(found, 'With all weights 0');
        else {
          // Drivers refuse it; in a graph 0/0 must not look like a result.
          const values = flat(found);
          if (values.some(Number.isNaN) && !values.every(Number.isNaN))
            throw new ContractError('With all weights 0 a part of the result is NaN.');
        }
      },
    },
    {
      id: 'scale',
      title: 'sources from 1e-10 to 1e15 in size give finite results, scaled alike where it claims so',
      async run() {
        const expected = await combine(sources());
        for (const factor of SCALES) {
          const found = await combine(
            sources().map((each) => ({ ...each, values: mapped(each.values, (one) => one * factor) })),
          );
          assertFinite(found, `Sources times ${factor}`);
          if (settings.scales === false || current !== undefined) continue;
          assertClose(
            mapped(found, (one) => one / factor),
            expected,
            TOLERANCE,
            `Sources times ${factor}, result divided by it`,
          );
        }
      },
    },
    {
      id: 'translation',
      title: 'sources moved by a constant give the result moved by it',
      skip:
        settings.translates === false
          ? 'it is not claimed'
          : current === undefined
            ? undefined
            : 'it has a value to start from',
      async run() {
        const expected = await combine(sources());
        const found = await combine(
          sources().map((each) => ({ ...each, values: mapped(each.values, (one) => one + 3) })),
        );
        assertClose(
          mapped(found, (one) => one - 3),
          expected,
          1e-4,
          'Sources plus 3, result minus it',
        );
      },
    },
    {
      id: 'within',
      title: 'every coordinate of the result lies within the range of the sources',
      skip: settings.within === false ? 'it is not claimed' : undefined,
      async run() {
        for (const list of rounds)
          assertWithin(
            flat(await combine(list)),
            list.map(({ values }) => flat(values)),
            'The result',
          );
      },
    },
    {
      id: 'breakdown',
      title: 'sources that are arbitrary, as many as it claims, do not move it out of the range of the others',
      skip: settings.breakdown === undefined ? 'no breakdown point is claimed' : undefined,
      async run() {
        const bad = settings.breakdown ?? 0;
        const honest = sources().slice(0, count - bad);
        const attacks: ((honestValue: number, at: number) => number)[] = [
          () => 1e15,
          () => -1e15,
          (value) => -10 * value,
          (_, at) => (at % 2 === 0 ? 1e12 : -1e12),
          (value) => value + 2,
        ];
        for (const [which, attack] of attacks.entries())
          for (const first of [false, true]) {
            const wrong = Array.from({ length: bad }, (_, index): GivenSource => {
              const [model] = honest as [GivenSource];
              return { values: mapped(model.values, (one) => attack(one, index)), weight: 4 };
            });
            const list = first && own === undefined ? [...wrong, ...honest] : [...honest, ...wrong];
            assertWithin(
              flat(await combine(list)),
              honest.map(({ values }) => flat(values)),
              `Under attack ${which + 1} by ${bad} of ${count}`,
            );
          }
      },
    },
    {
      id: 'malformed',
      title: 'sources with NaN, other shapes or other names are refused or left out, and the policy is one',
      async run() {
        const aggregator = fresh();
        checkPolicy(aggregator);
        const backend = await shared.get();
        const good = sources().map(({ values }) => values);
        const [name] = Object.keys(shapes) as [string];
        const spoilt = (values: Named): Named[] => {
          const first = values[name] as TensorData;
          const { [name]: left, ...rest } = values;
          return [
            ...[NaN, Infinity, -Infinity].map((bad) => ({ ...values, [name]: replaced(first, bad) })),
            { ...values, [name]: { dataType: 'float32', dims: [1], data: Float32Array.of(1) } as TensorData },
            rest,
            { ...rest, 'another-name': left as TensorData },
          ];
        };
        for (const at of [0, count - 1])
          for (const wrong of spoilt(good[at] as Named)) {
            const models = good.map((values, index) => (index === at ? wrong : values));
            if (own === undefined) await refuses(() => merge({ models, aggregator: fresh(), backend }), 'merge()');
            // What the federated driver leaves in must be what is sound.
            const { accepted } = screenSources(
              models.map((values, index) => ({
                client: String(index),
                version: 1,
                weight: 1,
                values,
                variables: {},
                extras: {},
              })),
              {
                round: 1,
                known: new Set(models.map((_, index) => String(index))),
                expected: models.map((_, index) => String(index)),
                values: Object.fromEntries(
                  Object.entries(good[0] as Named).map(([key, { dataType, dims }]) => [key, { dataType, shape: dims }]),
                ),
                variables: {},
                extras: {},
              },
              { late: 'drop', duplicated: 'first', malformed: 'drop', minimum: 1 },
            );
            if (accepted.some(({ client }) => client === String(at)))
              throw new ContractError('A malformed source enters.');
            if (own !== undefined) continue;
            const left = accepted.map(({ values, weight }) => ({ values, weight }));
            assertFinite(await combine(left, aggregator), 'The result without a malformed source');
          }
      },
    },
    {
      id: 'non-finite',
      title: 'NaN and infinity in a source do not reach the result',
      skip: settings.survivesNonFinite === true ? undefined : 'drivers screen sources',
      async run() {
        const list = sources();
        for (const bad of [NaN, Infinity, -Infinity])
          for (let at = 0; at < count; at += 2) {
            const spoilt = list.map((each, index) =>
              index === at ? { ...each, values: mapped(each.values, () => bad) } : each,
            );
            const what = `Source ${at} full of ${bad}`;
            for (const { values, state } of await trace([spoilt, sources(count, 2)])) {
              assertFinite(values, what);
              assertFinite(state, `${what}, state`);
            }
            assertClose(
              await combine(spoilt),
              await combine(list.filter((_, index) => index !== at)),
              TOLERANCE,
              `${what}, against without it`,
            );
          }
      },
    },
    {
      id: 'by-name',
      title: 'by name from a registry, with options as JSON, it is the same aggregator',
      skip: subject.byName === undefined ? 'it is no plugin' : undefined,
      async run() {
        sameRounds(
          await trace(rounds, subject.byName?.() as Aggregator),
          await trace(rounds),
          'The aggregator by name',
        );
      },
    },
    {
      id: 'devices',
      title: 'another device gives the same numbers, within 1e-4',
      skip: settings.otherBackend === undefined ? 'no other backend is given' : undefined,
      async run() {
        const other = await (settings.otherBackend as () => Promise<Backend>)();
        try {
          const expected = await trace(rounds);
          (await trace(rounds, fresh(), { backend: other })).forEach(({ values }, index) => {
            assertClose(values, expected[index]?.values ?? {}, 1e-4, `On ${other.description}, round ${index + 1}`);
          });
        } finally {
          await other.dispose();
        }
      },
    },
    {
      id: 'golden',
      title: 'it gives the golden values',
      skip: settings.golden === undefined ? 'no golden values are given' : undefined,
      async run() {
        for (const file of settings.golden ?? [])
          await runAggregatorGolden(subject, parseGolden('aggregator', subject.name, file), await shared.get(), own);
      },
    },
    ...optionChecks(subject, settings, async (options: Options) =>
      JSON.stringify(
        (await trace(rounds, subject.create(options))).map(({ values, state }) => [
          flat(values),
          Object.values(state).map(elementsOf),
        ]),
      ),
    ),
  ];
  return makeKit(subject.label, checks, shared, settings.waive);
}

/** Register the whole kit: one line in a test file. */
export const testAggregator = (
  subject: Subject<'aggregator'>,
  settings: AggregatorSettings = {},
  runner?: TestRunner,
): void => {
  registerKit(aggregatorKit(subject, settings), runner);
};

const mapTensor = (value: TensorData, map: (element: number) => number): TensorData =>
  ({ ...value, data: (value.data as Float32Array).map(map) }) as TensorData;

const mapped = (values: Named, map: (element: number) => number): Record<string, TensorData> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, mapTensor(value, map)]));

const replaced = (value: TensorData, bad: number): TensorData => {
  const copy = mapTensor(value, (one) => one);
  (copy.data as Float32Array)[copy.data.length - 1] = bad;
  return copy;
};

async function refuses(body: () => Promise<unknown>, what: string): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (error instanceof UpdraftError) return;
    throw new ContractError(`${what} ends in an error of no type of Updraft for a malformed source: ${String(error)}`);
  }
  throw new ContractError(`${what} takes a malformed source.`);
}

function checkPolicy({ policy = {} }: Aggregator): void {
  const choices = {
    late: ['include', 'drop', 'refuse'],
    duplicated: ['first', 'last', 'refuse'],
    malformed: ['drop', 'refuse'],
  };
  for (const [name, allowed] of Object.entries(choices) as [keyof typeof choices, string[]][]) {
    const value = policy[name];
    if (value !== undefined && !allowed.includes(value))
      throw new ContractError(`The policy for ${name} sources is "${value}".`, {
        hint: `Choose from ${allowed.join(', ')}.`,
      });
  }
  const { minimum } = policy;
  if (minimum !== undefined && (!Number.isSafeInteger(minimum) || minimum < 1))
    throw new ContractError(`The policy asks for at least ${minimum} sources.`, {
      hint: 'Give a whole number from 1.',
    });
}

function assertWithin(result: readonly number[], sources: readonly (readonly number[])[], what: string): void {
  result.forEach((value, at) => {
    const column = sources.map((each) => each[at] as number);
    const [low, high] = [Math.min(...column), Math.max(...column)];
    const slack = 1e-5 * Math.max(Math.abs(low), Math.abs(high));
    if (!(value >= low - slack && value <= high + slack))
      throw new ContractError(`${what}: coordinate ${at} is ${value}, outside of ${low} to ${high}.`);
  });
}
