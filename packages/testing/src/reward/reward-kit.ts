import type { Backend } from '@updraft/backend';
import { RandomStream, type createContainer, type Model, type Reward, type Schedule } from '@updraft/core';
import {
  elementCount,
  emptyTensor,
  isFloat,
  readElement,
  UpdraftError,
  writeElement,
  type TensorData,
} from '@updraft/graph';
import { ContractError } from '../errors.js';
import { parseGolden } from '../golden/golden-file.js';
import { runRewardGolden } from '../golden/reward-golden.js';
import { assertClose, assertFinite, assertSameBits, copyOf, elementsOf, type Named } from '../kit/compare.js';
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
import { boundColumns, rewardProgram, type Columns, type Evaluated, type RewardProgram } from './evaluate-reward.js';

/** What a reward says about its objective. */
export interface ObjectiveSettings {
  /** Columns of a batch, the first size symbolic: `{ label: { dataType: 'int64', shape: ['batch'] } }`. */
  readonly columns: Columns;
  /** Outputs of the model, which the kit gives directly. */
  readonly outputs: Columns;
  /** A model of its own, for objectives that run it more than once or read parameters; instead of `outputs`. */
  readonly model?: Model;
  /** Values of the columns for a batch of this size; default: standard normal floats, integers 0 and 1. */
  readonly batch?: (size: number, random: RandomStream) => Named;
  /** The loss is the mean of the losses of examples, which `perExample.loss` gives. Default true. */
  readonly mean?: boolean;
  /** Examples may come in any order. Default true. */
  readonly symmetric?: boolean;
  /** Outputs for which no loss is smaller. */
  readonly best?: (batch: Named) => Named;
  /** Entries of an output that do not count where the column is 0. */
  readonly mask?: { readonly column: string; readonly output: string };
  /** The same loss when not training. Default true. */
  readonly sameInEvaluation?: boolean;
  /** Tolerance of the comparison of gradients with differences; default 1e-5 in float64, 2e-2 where only float32 works. */
  readonly gradientTolerance?: number;
}

/** What a reward says about judging on the host. */
export interface ScoreSettings<Item = unknown> {
  readonly items: readonly Item[];
  /** The score of an item does not depend on the others. Default true. */
  readonly independent?: boolean;
}

export interface AdvantageSettings {
  /** Scores to try, and their groups. */
  readonly scores: readonly number[];
  readonly groups?: readonly number[];
  /** The advantages of every group sum to 0. */
  readonly centred?: boolean;
  /** A constant added to all scores of a group changes nothing. */
  readonly shiftInvariant?: boolean;
  /** Scores times a positive number give the same advantages, within 1 %. */
  readonly scaleInvariant?: boolean;
}

export interface RewardSettings extends KitSettings, OptionSettings {
  readonly objective?: ObjectiveSettings;
  readonly score?: ScoreSettings;
  readonly advantages?: AdvantageSettings;
  readonly golden?: readonly unknown[];
  readonly container?: () => ReturnType<typeof createContainer>;
}

const TOLERANCE = 1e-5;

/** Everything that a reward owes, as checks. */
export function rewardKit(given: Subject<'reward'>, settings: RewardSettings = {}): ContractKit {
  const subject = resolveSubject('reward', given, settings.options, settings.container);
  const shared = new SharedBackend(settings.backend);
  const { objective, score, advantages } = settings;
  const fresh = (): Reward => subject.create();
  const random = (key: string): RandomStream => RandomStream.fromSeed(3).split(key);

  const batchOf = (size: number, key = 'batch'): Named =>
    objective?.batch?.(size, random(`${key} ${size}`)) ??
    drawn(objective?.columns ?? {}, size, random(`${key} ${size}`));
  const outputsOf = (size: number, key = 'outputs'): Named =>
    objective?.model === undefined ? drawn(objective?.outputs ?? {}, size, random(`${key} ${size}`)) : {};

  interface Call {
    readonly reward?: Reward;
    readonly training?: boolean;
    readonly differentiate?: boolean;
    readonly symbolic?: boolean;
    readonly step?: number;
    readonly backend?: Awaited<ReturnType<SharedBackend['get']>>;
  }
  const compiled = async (batch: Named, outputs: Named, call: Call = {}): Promise<RewardProgram> => {
    const specs = (declared: Columns, values: Named): Columns =>
      call.symbolic === true ? declared : boundTo(declared, values);
    return rewardProgram({
      backend: call.backend ?? (await shared.get()),
      reward: call.reward ?? fresh(),
      columns: specs(objective?.columns ?? {}, batch),
      outputs: {
        ...specs(objective?.outputs ?? {}, outputs),
        // One output more than declared, so that names decide which one is meant.
        ...(outputs['spare-output'] === undefined ? {} : { 'spare-output': { dataType: 'float64', shape: [] } }),
      },
      model: objective?.model,
      training: call.training ?? true,
      differentiate: call.differentiate ?? false,
    });
  };
  const evaluate = async (batch: Named, outputs: Named, call: Call = {}): Promise<Evaluated> => {
    const program = await compiled(batch, outputs, call);
    try {
      return await program.evaluate(batch, objective?.model === undefined ? outputs : program.parameters, call.step);
    } finally {
      await program.dispose();
    }
  };
  const same = (actual: Evaluated, expected: Evaluated, what: string, hint?: string): void => {
    const named = ({ loss, metrics, perExample, gradients }: Evaluated): Named => ({
      ...Object.fromEntries(Object.entries({ loss, ...metrics }).map(([name, value]) => [name, number(value)])),
      ...prefixed(perExample, 'example '),
      ...prefixed(gradients, 'gradient '),
    });
    assertSameBits(named(actual), named(expected), what, hint);
  };
  const close = (actual: number, expected: number, tolerance: number, what: string, hint?: string): void => {
    if (!(Math.abs(actual - expected) <= tolerance * Math.max(1e-6, Math.abs(expected))))
      throw new ContractError(`${what}: ${actual}, not ${expected}.`, hint === undefined ? {} : { hint });
  };

  const noObjective = objective === undefined ? 'it has no objective' : undefined;
  const noMean = noObjective ?? (objective?.mean === false ? 'the loss is no mean over examples' : undefined);
  const givenOutputs =
    noObjective ?? (objective?.model === undefined ? undefined : 'it is checked on a model of its own');
  const schedules = objective === undefined ? [] : scheduledOptions(subject.schema, settings.options);

  const checks: Check[] = [
    {
      id: 'declared',
      title: 'what it has is checked, what is checked it has',
      async run() {
        await Promise.resolve();
        const reward = fresh();
        for (const part of ['objective', 'score', 'advantages'] as const)
          if ((typeof reward[part] === 'function') !== (settings[part] !== undefined))
            throw new ContractError(
              settings[part] === undefined
                ? `The reward has ${part}(), which nothing here checks.`
                : `The reward has no ${part}().`,
              { hint: `Give \`${part}\` exactly where the reward has it.` },
            );
      },
    },
    {
      id: 'finite',
      title: 'on batches of 1, 3 and 8 the loss and all metrics are finite scalars, values per example have their axis',
      skip: noObjective,
      async run() {
        let names: string | undefined;
        for (const size of [1, 3, 8]) {
          const found = await evaluate(batchOf(size), outputsOf(size));
          for (const [name, value] of Object.entries({ loss: found.loss, ...found.metrics }))
            if (!Number.isFinite(value)) throw new ContractError(`On a batch of ${size} "${name}" is ${value}.`);
          for (const [name, value] of Object.entries(found.perExample))
            if (value.dims[0] !== size)
              throw new ContractError(
                `On a batch of ${size} the values per example "${name}" have shape [${value.dims.join(', ')}].`,
                {
                  hint: 'Their first axis is the batch.',
                },
              );
          assertFinite(found.perExample, `Values per example on a batch of ${size}`);
          const own = [...Object.keys(found.metrics), '|', ...Object.keys(found.perExample)].join();
          if (names !== undefined && names !== own)
            throw new ContractError(`Metrics change with the batch: ${names} and ${own}.`);
          names = own;
        }
      },
    },
    {
      id: 'same-seed',
      title: 'the same batch and seed give the same bits, whatever the clock and Math.random say',
      skip: noObjective,
      async run() {
        const [batch, outputs] = [batchOf(4), outputsOf(4)];
        const expected = await evaluate(batch, outputs, { differentiate: true });
        for (const salt of [1, 2])
          same(
            await underAnotherClock(salt, () => evaluate(batch, outputs, { differentiate: true })),
            expected,
            'A second evaluation',
            'Draw random numbers from context.noise() only.',
          );
      },
    },
    {
      id: 'instances',
      title: 'two instances share nothing, and an instance can be used again',
      skip: noObjective,
      async run() {
        const [batch, outputs] = [batchOf(4), outputsOf(4)];
        const expected = await evaluate(batch, outputs);
        const [one, other] = [fresh(), fresh()];
        await evaluate(batchOf(3), outputsOf(3), { reward: other });
        for (const reward of [one, other, one])
          same(
            await evaluate(batch, outputs, { reward }),
            expected,
            'After another use',
            'Keep nothing between batches.',
          );
      },
    },
    {
      id: 'gradient',
      title: 'the gradient of the loss is that of central differences, and reaches every output',
      skip: noObjective,
      async run() {
        const [batch, outputs] = [batchOf(3), outputsOf(3)];
        await checkLossGradient(batch, outputs);
      },
    },
    {
      id: 'per-example',
      title: 'the loss is the mean of the losses of the examples',
      skip: noMean,
      async run() {
        for (const size of [1, 3, 8]) {
          const { loss, perExample } = await evaluate(batchOf(size), outputsOf(size));
          const losses = perExample['loss'];
          if (losses === undefined)
            throw new ContractError('There is no loss per example.', {
              hint: 'Return perExample: { loss } with the batch as its axis, or say `mean: false`.',
            });
          if (losses.dims.length !== 1)
            throw new ContractError(`The loss per example has shape [${losses.dims.join(', ')}].`);
          close(
            loss,
            average(elementsOf(losses)),
            TOLERANCE,
            `On a batch of ${size} the loss against the mean per example`,
          );
        }
      },
    },
    {
      id: 'ragged',
      title:
        'a batch of 8 loses what its parts of 5 and 3 do, in proportion, and twice the same batch what it does once',
      skip: noMean ?? givenOutputs,
      async run() {
        const [batch, outputs] = [batchOf(8), outputsOf(8)];
        const whole = await evaluate(batch, outputs);
        const [left, right] = [
          await evaluate(rows(batch, 0, 5), rows(outputs, 0, 5)),
          await evaluate(rows(batch, 5, 8), rows(outputs, 5, 8)),
        ];
        const hint =
          'Divide by the number of examples, which the batch says; if the loss is no mean, say `mean: false`.';
        close(
          whole.loss,
          (5 * left.loss + 3 * right.loss) / 8,
          TOLERANCE,
          'A batch of 8 against its parts of 5 and 3',
          hint,
        );
        const twice = await evaluate(stacked(batch, batch), stacked(outputs, outputs));
        close(twice.loss, whole.loss, TOLERANCE, 'The same batch twice', hint);
        for (const [name, value] of Object.entries(whole.perExample))
          assertClose(
            { [name]: stackTensors(left.perExample[name] as TensorData, right.perExample[name] as TensorData) },
            { [name]: value },
            TOLERANCE,
            'Values per example of a batch of 8 against its parts',
          );
      },
    },
    {
      id: 'symbolic',
      title: 'one program with a symbolic batch size gives what programs of fixed sizes give',
      skip: noObjective,
      async run() {
        const call = { symbolic: true, differentiate: true };
        const program = await compiled(batchOf(3), outputsOf(3), call);
        try {
          for (const size of [3, 1, 8]) {
            const [batch, outputs] = [batchOf(size), outputsOf(size)];
            const found = await program.evaluate(batch, objective?.model === undefined ? outputs : program.parameters);
            const expected = await evaluate(batch, outputs, { differentiate: true });
            close(found.loss, expected.loss, TOLERANCE, `With a symbolic size, a batch of ${size}`);
            assertClose(found.perExample, expected.perExample, TOLERANCE, `With a symbolic size, a batch of ${size}`);
            assertClose(
              found.gradients,
              expected.gradients,
              1e-4,
              `Gradients with a symbolic size, a batch of ${size}`,
            );
          }
        } finally {
          await program.dispose();
        }
      },
    },
    {
      id: 'order',
      title: 'the order of the examples does not matter',
      skip: givenOutputs ?? (objective?.symmetric === false ? 'it is not claimed' : undefined),
      async run() {
        const [batch, outputs] = [batchOf(8), outputsOf(8)];
        const order = [3, 0, 7, 1, 5, 2, 6, 4];
        const [found, expected] = [
          await evaluate(reordered(batch, order), reordered(outputs, order)),
          await evaluate(batch, outputs),
        ];
        close(found.loss, expected.loss, TOLERANCE, 'Examples in another order');
        for (const [name, value] of Object.entries(expected.metrics))
          close(found.metrics[name] ?? NaN, value, TOLERANCE, `Examples in another order, "${name}"`);
        assertClose(found.perExample, reordered(expected.perExample, order), TOLERANCE, 'Examples in another order');
      },
    },
    {
      id: 'evaluation',
      title: 'when not training it builds and gives a finite loss, the same one unless it says otherwise',
      skip: noObjective,
      async run() {
        const [batch, outputs] = [batchOf(4), outputsOf(4)];
        const [found, expected] = [await evaluate(batch, outputs, { training: false }), await evaluate(batch, outputs)];
        if (!Number.isFinite(found.loss)) throw new ContractError(`When not training the loss is ${found.loss}.`);
        if (objective?.sameInEvaluation !== false && objective?.model === undefined)
          close(found.loss, expected.loss, TOLERANCE, 'When not training');
      },
    },
    {
      id: 'missing',
      title: 'a missing column or output is refused with a typed error that names it',
      skip: givenOutputs,
      async run() {
        const { columns, outputs } = objective as ObjectiveSettings;
        const without = async (name: string, batch: Columns, model: Columns): Promise<void> => {
          try {
            const program = await rewardProgram({
              backend: await shared.get(),
              reward: fresh(),
              columns: batch,
              outputs: model,
              training: true,
              differentiate: false,
            });
            await program.dispose();
          } catch (error) {
            if (error instanceof UpdraftError && error.message.includes(name)) return;
            throw new ContractError(`Without "${name}" it ends in: ${String(error)}`, {
              hint: 'Say what is missing in an UpdraftError.',
            });
          }
          throw new ContractError(`Without "${name}" it builds all the same.`);
        };
        for (const name of Object.keys(columns)) await without(name, omitted(columns, name), outputs);
        // With another output in its place, as a model that was not made for this reward has.
        for (const [name, spec] of Object.entries(outputs))
          await without(name, columns, { ...omitted(outputs, name), 'another-output': spec, 'one-more': spec });
      },
    },
    {
      id: 'extremes',
      title: 'outputs of 0, 1e-30, ±1e4 and 1e30 never make NaN',
      skip: givenOutputs,
      async run() {
        const batch = batchOf(3);
        for (const [what, make] of Object.entries({
          '0': () => 0,
          '1e-30': () => 1e-30,
          '±1e4': (value: number) => 1e4 * Math.sign(value),
          '∓1e4, alternating': (_: number, at: number) => (at % 2 === 0 ? 1e4 : -1e4),
          '1e30': () => 1e30,
        })) {
          const outputs = mapped(outputsOf(3), make);
          const { loss, metrics, gradients } = await evaluate(batch, outputs, { differentiate: true });
          for (const [name, value] of Object.entries({ loss, ...metrics }))
            if (Number.isNaN(value)) throw new ContractError(`With outputs of ${what} "${name}" is NaN.`);
          if (Math.abs(loss) < 1e30 && what !== '1e30') assertFinite(gradients, `Gradients with outputs of ${what}`);
        }
      },
    },
    {
      id: 'best',
      title: 'no outputs are better than the best ones, and descent on the outputs goes there',
      skip: givenOutputs ?? (objective?.best === undefined ? 'no best outputs are given' : undefined),
      async run() {
        const batch = batchOf(5);
        const best = objective?.best?.(batch) ?? {};
        const { loss: least } = await evaluate(batch, best);
        for (let trial = 0; trial < 5; trial++) {
          const outputs = outputsOf(5, `trial ${trial}`);
          const { loss, gradients } = await evaluate(batch, outputs, { differentiate: true });
          if (!(loss >= least - 1e-6 * Math.abs(least)))
            throw new ContractError(`Random outputs lose ${loss}, less than ${least} of the best ones.`, {
              hint: 'The loss is minimised: check its sign.',
            });
          const lower = Object.fromEntries(
            Object.entries(outputs).map(([name, value]) => [
              name,
              mapTensor(value, (one, at) => one - 1e-2 * readElement(gradients[name] as TensorData, at)),
            ]),
          );
          const { loss: next } = await evaluate(batch, lower);
          if (!(next < loss))
            throw new ContractError(`A small step down the gradient changes the loss from ${loss} to ${next}.`);
        }
      },
    },
    {
      id: 'masked',
      title: 'masked entries have no influence, and a batch may be masked altogether or not at all',
      skip: givenOutputs ?? (objective?.mask === undefined ? 'there is no mask' : undefined),
      async run() {
        const { column, output } = objective?.mask as NonNullable<ObjectiveSettings['mask']>;
        const [batch, outputs] = [batchOf(4), outputsOf(4)];
        const mask = elementsOf(batch[column] as TensorData);
        const expected = await evaluate(batch, outputs, { differentiate: true });
        const changed = {
          ...outputs,
          [output]: mapTensor(outputs[output] as TensorData, (one, at) => (mask[at] === 0 ? one + 1000 : one)),
        };
        if (!mask.includes(0))
          throw new ContractError(`The column "${column}" masks nothing.`, { hint: 'Give a batch with zeros in it.' });
        const found = await evaluate(batch, changed);
        close(found.loss, expected.loss, TOLERANCE, 'With other values where the mask is 0');
        assertClose(found.perExample, expected.perExample, TOLERANCE, 'With other values where the mask is 0');
        elementsOf(expected.gradients[output] as TensorData).forEach((value, at) => {
          if (mask[at] === 0 && value !== 0)
            throw new ContractError(`The gradient of the masked entry ${at} is ${value}.`);
        });
        for (const value of [0, 1]) {
          const whole = { ...batch, [column]: mapTensor(batch[column] as TensorData, () => value) };
          const { loss, metrics, gradients } = await evaluate(whole, outputs, { differentiate: true });
          for (const [name, found] of Object.entries({ loss, ...metrics }))
            if (!Number.isFinite(found))
              throw new ContractError(`With a mask of ${value} everywhere "${name}" is ${found}.`);
          assertFinite(gradients, `Gradients with a mask of ${value} everywhere`);
        }
      },
    },
    {
      id: 'schedules',
      title: 'a schedule that moves compiles nothing new and is followed at every step',
      skip: schedules.length === 0 ? 'no option takes a schedule' : undefined,
      async run() {
        const backend = await shared.get();
        const [batch, outputs] = [batchOf(4), outputsOf(4)];
        for (const { name, value } of schedules) {
          const made = (option: number | Schedule): Reward => subject.create({ ...settings.options, [name]: option });
          const steady = await evaluate(batch, outputs, { reward: made(value) });
          const before = compilations(backend);
          const moving = made({ at: (step) => (step <= 2 ? value : value / 2) });
          const [early, late] = [
            await evaluate(batch, outputs, { reward: moving, step: 2 }),
            await evaluate(batch, outputs, { reward: moving, step: 3 }),
          ];
          const other = await evaluate(batch, outputs, { reward: made(value / 2) });
          if (compilations(backend) > before)
            throw new ContractError(`Other values of "${name}" compile further programs.`, {
              hint: `Read it with context.scalar('${name}', options.${name}).`,
            });
          same(early, steady, `With a schedule for "${name}" that has not moved yet`);
          same(late, other, `With a schedule for "${name}" that has moved`);
        }
      },
    },
    {
      id: 'scores',
      title: 'scores are one finite number per item, the same every time, and items stay as they are',
      skip: score === undefined ? 'it does not score' : undefined,
      async run() {
        const items = score?.items ?? [];
        const before = JSON.stringify(items);
        const judge = async (list: readonly unknown[], reward = fresh()): Promise<readonly number[]> =>
          (await reward.score?.(list)) ?? [];
        const expected = await judge(items);
        if (expected.length !== items.length)
          throw new ContractError(`${items.length} items have ${expected.length} scores.`);
        expected.forEach((value, at) => {
          if (typeof value !== 'number' || !Number.isFinite(value))
            throw new ContractError(`The score of item ${at} is ${String(value)}.`);
        });
        const agree = (found: readonly number[], wanted: readonly number[], what: string): void => {
          if (found.length !== wanted.length || found.some((value, at) => !Object.is(value, wanted[at])))
            throw new ContractError(`${what}: the scores are ${found.join(', ')}, not ${wanted.join(', ')}.`);
        };
        for (const salt of [1, 2]) agree(await underAnotherClock(salt, () => judge(items)), expected, 'Judged again');
        const reward = fresh();
        await judge(items, reward);
        agree(await judge(items, reward), expected, 'Judged again by one instance');
        if (JSON.stringify(items) !== before) throw new ContractError('Judging changes the items.');
        agree(await judge([]), [], 'Without items');
        if (score?.independent === false) return;
        agree(await judge([...items].reverse()), [...expected].reverse(), 'In reverse order');
        for (const [at, item] of items.entries())
          agree(await judge([item]), [expected[at] as number], `Item ${at} alone`);
      },
    },
    {
      id: 'advantages',
      title: 'advantages are one finite number per score, the same every time, with the invariances that it claims',
      skip: advantages === undefined ? 'it has no advantages' : undefined,
      async run() {
        await Promise.resolve();
        const {
          scores,
          groups = scores.map(() => 0),
          centred,
          shiftInvariant,
          scaleInvariant,
        } = advantages as AdvantageSettings;
        const turn = (list: readonly number[], of = groups, reward = fresh()): readonly number[] =>
          reward.advantages?.([...list], [...of]) ?? [];
        const expected = turn(scores);
        const whole = (found: readonly number[], count: number, what: string): void => {
          if (found.length !== count)
            throw new ContractError(`${what}: ${count} scores have ${found.length} advantages.`);
          found.forEach((value, at) => {
            if (!Number.isFinite(value)) throw new ContractError(`${what}: advantage ${at} is ${value}.`);
          });
        };
        const agree = (found: readonly number[], wanted: readonly number[], tolerance: number, what: string): void => {
          whole(found, wanted.length, what);
          const scale = Math.max(...wanted.map(Math.abs), 1e-12);
          found.forEach((value, at) => {
            if (!(Math.abs(value - (wanted[at] as number)) <= tolerance * scale))
              throw new ContractError(`${what}: advantage ${at} is ${value}, not ${wanted[at]}.`);
          });
        };
        whole(expected, scores.length, 'The scores');
        if (expected.every((value) => value === expected[0]))
          throw new ContractError('All advantages are equal.', { hint: 'Give scores that differ, and use them.' });
        await underAnotherClock(1, async () => {
          await Promise.resolve();
          agree(turn(scores), expected, 0, 'Another time');
        });
        const reward = fresh();
        turn(scores, groups, reward);
        agree(turn(scores, groups, reward), expected, 0, 'Again by one instance');
        const [kept, places] = [[...scores], [...groups]];
        fresh().advantages?.(kept, places);
        if (kept.join() !== scores.join() || places.join() !== groups.join())
          throw new ContractError('The scores or groups are changed.');
        const backwards = turn([...scores].reverse(), [...groups].reverse());
        agree([...backwards].reverse(), expected, 1e-9, 'In reverse order');
        // Groups are names: other numbers for the same groups are the same groups.
        agree(
          turn(
            scores,
            groups.map((group) => 100 - 7 * group),
          ),
          expected,
          1e-9,
          'With other numbers for the groups',
        );
        const all = [...new Set(groups)];
        for (const group of all) {
          const members = scores.filter((_, at) => groups[at] === group);
          const own = expected.filter((_, at) => groups[at] === group);
          agree(
            turn(
              members,
              members.map(() => group),
            ),
            own,
            1e-9,
            `Group ${group} alone`,
          );
          if (centred === true && Math.abs(average(own)) > 1e-9 * Math.max(...own.map(Math.abs), 1))
            throw new ContractError(
              `The advantages of group ${group} sum to ${own.reduce((a, b) => a + b, 0)}, not 0.`,
            );
        }
        if (shiftInvariant === true)
          agree(
            turn(scores.map((value, at) => value + 10 * (1 + (groups[at] as number)))),
            expected,
            1e-6,
            'Scores plus a constant per group',
          );
        if (scaleInvariant === true)
          agree(turn(scores.map((value) => 1000 * value)), expected, 1e-2, 'Scores times 1000');
        // One of the given scores, as not every number may be a score.
        const alike = scores.map(() => scores[0] as number);
        whole(turn(alike), scores.length, 'Equal scores');
        whole(turn(scores.slice(0, 1), [0]), 1, 'A group of one');
        whole(turn([], []), 0, 'No scores');
        const equal = turn(alike);
        if (centred === true && equal.some((value) => Math.abs(value) > 1e-9))
          throw new ContractError(`Equal scores have the advantages ${equal.join(', ')}.`);
      },
    },
    {
      id: 'by-name',
      title: 'by name from a registry, with options as JSON, it is the same reward',
      skip: subject.byName === undefined ? 'it is no plugin' : undefined,
      async run() {
        const [one, other] = [subject.byName?.() as Reward, fresh()];
        if (objective !== undefined) {
          const [batch, outputs] = [batchOf(4), outputsOf(4)];
          same(
            await evaluate(batch, outputs, { reward: one }),
            await evaluate(batch, outputs, { reward: other }),
            'By name',
          );
        }
        const scores = async (reward: Reward): Promise<string> => String(await reward.score?.(score?.items ?? []));
        if ((await scores(one)) !== (await scores(other))) throw new ContractError('By name it scores otherwise.');
      },
    },
    {
      id: 'devices',
      title: 'another device gives the same numbers, within 1e-4',
      skip: noObjective ?? (settings.otherBackend === undefined ? 'no other backend is given' : undefined),
      async run() {
        const backend = await (settings.otherBackend as () => Promise<Backend>)();
        try {
          const [batch, outputs] = [batchOf(4), outputsOf(4)];
          const expected = await evaluate(batch, outputs, { differentiate: true });
          const found = await evaluate(batch, outputs, { differentiate: true, backend });
          close(found.loss, expected.loss, 1e-4, `The loss on ${backend.description}`);
          assertClose(found.gradients, expected.gradients, 1e-4, `Gradients on ${backend.description}`);
        } finally {
          await backend.dispose();
        }
      },
    },
    {
      id: 'golden',
      title: 'it gives the golden values',
      skip: settings.golden === undefined ? 'no golden values are given' : undefined,
      async run() {
        for (const file of settings.golden ?? [])
          await runRewardGolden(subject, parseGolden('reward', subject.name, file), await shared.get());
      },
    },
    ...optionChecks(subject, settings, async (options: Options) => {
      const reward = subject.create(options);
      const facts: unknown[] = [await reward.score?.(score?.items ?? [])];
      if (advantages !== undefined) facts.push(reward.advantages?.(advantages.scores, advantages.groups));
      if (objective !== undefined) {
        const outputs = { ...outputsOf(4), ...(objective.model === undefined ? { 'spare-output': number(0) } : {}) };
        const { loss, metrics, perExample } = await evaluate(batchOf(4), outputs, { reward });
        facts.push(loss, metrics, Object.values(perExample).map(elementsOf));
      }
      return JSON.stringify(facts);
    }),
  ];

  /** In float64 where the objective can be built and run in it, since differences of float32 losses are coarse. */
  async function checkLossGradient(batch: Named, outputs: Named): Promise<void> {
    const attempt = async (wide: boolean): Promise<void> => {
      const [inputs, leaves] = wide ? [widened(batch), widened(outputs)] : [batch, outputs];
      const program = await rewardProgram({
        backend: await shared.get(),
        reward: fresh(),
        columns: boundTo(objective?.columns ?? {}, inputs),
        outputs: boundTo(objective?.outputs ?? {}, leaves),
        model: objective?.model,
        training: true,
        differentiate: true,
      });
      try {
        const at: Named = objective?.model === undefined ? leaves : program.parameters;
        const { gradients } = await program.evaluate(inputs, at);
        const tolerance = objective?.gradientTolerance ?? (wide ? 1e-5 : 2e-2);
        const step = wide ? 1e-5 : 1e-2;
        for (const [name, gradient] of Object.entries(gradients)) {
          const value = at[name] as TensorData;
          const quotients: number[] = [];
          for (let element = 0; element < elementCount(value.dims); element++) {
            const lossAt = async (delta: number): Promise<[number, number]> => {
              const moved = copyOf(value);
              writeElement(moved, element, readElement(value, element) + delta);
              return [(await program.evaluate(inputs, { ...at, [name]: moved })).loss, readElement(moved, element)];
            };
            const [[above, right], [below, left]] = [await lossAt(step), await lossAt(-step)];
            quotients.push((above - below) / (right - left));
          }
          const scale = Math.max(...quotients.map(Math.abs), 1e-3);
          const found = elementsOf(gradient);
          quotients.forEach((quotient, element) => {
            const derivative = found[element] as number;
            if (!(Math.abs(derivative - quotient) <= tolerance * scale))
              throw new ContractError(
                `The derivative of the loss with respect to element ${element} of "${name}" is ${derivative}; the central difference is ${quotient}.`,
                { hint: 'If a gradient is cut on purpose, waive this check and say why.' },
              );
          });
          if (found.every((derivative) => derivative === 0))
            throw new ContractError(`The loss does not depend on "${name}".`, {
              hint: 'Leave outputs that do not matter out.',
            });
        }
      } finally {
        await program.dispose();
      }
    };
    let float64 = objective?.model === undefined;
    if (float64) {
      try {
        await attempt(true);
      } catch (error) {
        if (error instanceof ContractError) throw error;
        // Not every operator has a float64 kernel.
        float64 = false;
      }
    }
    if (!float64) await attempt(false);
  }

  return makeKit(subject.label, checks, shared, settings.waive);
}

/** Register the whole kit: one line in a test file. */
export const testReward = (subject: Subject<'reward'>, settings: RewardSettings = {}, runner?: TestRunner): void => {
  registerKit(rewardKit(subject, settings), runner);
};

const number = (value: number): TensorData => ({ dataType: 'float64', dims: [], data: Float64Array.of(value) });
const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const prefixed = (values: Named, prefix: string): Record<string, TensorData> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]));
const omitted = <T>(values: Readonly<Record<string, T>>, name: string): Record<string, T> =>
  Object.fromEntries(Object.entries(values).filter(([key]) => key !== name));

/** Symbolic sizes of declared columns as the values have them; element types too. */
function boundTo(declared: Columns, values: Named): Columns {
  const sizes: Record<string, number> = {};
  for (const [name, { shape }] of Object.entries(declared))
    shape.forEach((dim, axis) => {
      const size = values[name]?.dims[axis];
      if (typeof dim === 'string' && size !== undefined) sizes[dim] = size;
    });
  return Object.fromEntries(
    Object.entries(boundColumns(declared, sizes)).map(([name, spec]) => [
      name,
      { ...spec, dataType: values[name]?.dataType ?? spec.dataType },
    ]),
  );
}

/** Values for declared columns: standard normal floats, integers 0 and 1; sizes that are no batch are 2. */
function drawn(columns: Columns, size: number, random: RandomStream): Named {
  return Object.fromEntries(
    Object.entries(columns).map(([name, { dataType, shape }]) => {
      const dims = shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? size : 2));
      const value = emptyTensor(dataType, dims) as TensorData;
      const stream = random.split(name);
      for (let index = 0; index < elementCount(dims); index++)
        writeElement(value, index, isFloat(dataType) ? stream.normal() : stream.integer(2));
      return [name, value];
    }),
  );
}

function mapTensor(value: TensorData, map: (element: number, at: number) => number): TensorData {
  const result = copyOf(value);
  for (let index = 0; index < elementCount(value.dims); index++)
    writeElement(result, index, map(readElement(value, index), index));
  return result;
}
const mapped = (values: Named, map: (element: number, at: number) => number): Record<string, TensorData> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, mapTensor(value, map)]));

const widened = (values: Named): Record<string, TensorData> =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value.dataType === 'float32'
        ? ({ ...value, dataType: 'float64', data: Float64Array.from(value.data as Float32Array) } as TensorData)
        : value,
    ]),
  );

/** Rows of the first axis in a given order. */
function gathered(value: TensorData, order: readonly number[]): TensorData {
  const width = elementCount(value.dims.slice(1));
  const result = emptyTensor(value.dataType, [order.length, ...value.dims.slice(1)]) as TensorData;
  order.forEach((from, row) => {
    for (let index = 0; index < width; index++)
      writeElement(result, row * width + index, readElement(value, from * width + index));
  });
  return result;
}
const reordered = (values: Named, order: readonly number[]): Record<string, TensorData> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, gathered(value, order)]));
const rows = (values: Named, from: number, to: number): Record<string, TensorData> =>
  reordered(
    values,
    Array.from({ length: to - from }, (_, index) => from + index),
  );

function stackTensors(upper: TensorData, lower: TensorData): TensorData {
  const [top, bottom] = [upper.dims[0] as number, lower.dims[0] as number];
  const result = emptyTensor(upper.dataType, [top + bottom, ...upper.dims.slice(1)]) as TensorData;
  [...elementsOf(upper), ...elementsOf(lower)].forEach((value, index) => {
    writeElement(result, index, value);
  });
  return result;
}
const stacked = (upper: Named, lower: Named): Record<string, TensorData> =>
  Object.fromEntries(
    Object.entries(upper).map(([name, value]) => [name, stackTensors(value, lower[name] as TensorData)]),
  );
