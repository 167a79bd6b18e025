import type { Backend } from '@updraft/backend';
import {
  MemoryCheckpointStore,
  train,
  type createContainer,
  type Schedule,
  type TrainResult,
  type UpdateRule,
} from '@updraft/core';
import { accumulate, averageParameters, chain, freeze, partition } from '@updraft/rules';
import { UpdraftError, type TensorData } from '@updraft/graph';
import { ContractError } from '../errors.js';
import { parseGolden } from '../golden/golden-file.js';
import { runUpdateRuleGolden } from '../golden/update-rule-golden.js';
import {
  allSameBits,
  assertClose,
  assertFinite,
  assertOneTrajectory,
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
import {
  bowlTask,
  givenGradients,
  normalValues,
  rosenbrockTask,
  scaledTask,
  STANDARD_PARAMETERS,
  type TaskParameters,
} from './tasks.js';
import { traceRule, type Task, type Trajectory } from './trace-rule.js';

/** Options and steps with which a rule must get below a loss. */
export interface ConvergenceClaim {
  readonly options?: Options;
  readonly steps?: number;
  /** Largest accepted loss at the end. */
  readonly below?: number;
}

export interface UpdateRuleSettings extends KitSettings, OptionSettings {
  /** Parameters that the rule is tried on; default: two matrices [3, 2], a vector and a scalar. */
  readonly params?: TaskParameters;
  /** Steps of a trajectory; enough that every phase occurs. Default 6. */
  readonly steps?: number;
  /** For rules that need a real network (taps): what to run instead of given gradients. Each call makes a new one. */
  readonly task?: () => Task;
  /** What the rule reaches on its own task; default: half of the first loss after 200 steps. Without it nothing is checked. */
  readonly learns?: ConvergenceClaim;
  /** Paths (or their beginnings) of declared state that no step changes, such as anchors. */
  readonly constantState?: readonly string[];
  /** A parameter moves by its own gradient alone. Default true; false for rules that look at a norm of all. */
  readonly separable?: boolean;
  /** The first step is proportional to the option `learningRate`. Default: true where that option exists. */
  readonly linearInLearningRate?: boolean;
  /** The rule draws noise, so that runs under other names differ. Default false. */
  readonly noisy?: boolean;
  /** Besides gradients the rule reads nothing of the batch, so that accumulating batches is the same as a larger one. Default true. */
  readonly gradientsOnly?: boolean;
  /** A step whose gradients are NaN or infinite changes nothing; default: the driver refuses it. */
  readonly skipsNonFinite?: boolean;
  /** The parabola ½Σ c‖θ − θ*‖²; default: the options of the kit, 400 steps, below 1e-3. */
  readonly parabola?: ConvergenceClaim;
  /** Rosenbrock's valley from (−1.2, 1); default: the options of the kit, 2000 steps, below 0.1. */
  readonly rosenbrock?: ConvergenceClaim;
  /** Contents of golden files for this rule. */
  readonly golden?: readonly unknown[];
  /** Services for the constructor of the rule. */
  readonly container?: () => ReturnType<typeof createContainer>;
}

/** Batches of 8 and their halves add in another order; so do sums over parameters in another order. */
const ORDER_TOLERANCE = 2e-5;

/** Everything that an update rule owes, as checks. */
export function updateRuleKit(given: Subject<'update-rule'>, settings: UpdateRuleSettings = {}): ContractKit {
  const subject = resolveSubject('update-rule', given, settings.options, settings.container);
  const shared = new SharedBackend(settings.backend);
  const parameters = settings.params ?? STANDARD_PARAMETERS;
  const steps = settings.steps ?? 6;
  const names = Object.keys(parameters);
  const initial = normalValues(parameters, 'initial');
  const gradients = Array.from({ length: 4 * steps }, (_, step) => normalValues(parameters, `gradient${step}`));
  const ofGradients = (over: TaskParameters = parameters, list: readonly Named[] = gradients): Task =>
    givenGradients(
      over,
      pick(initial, over),
      list.map((step) => pick(step, over)),
    );
  /** The standard task with the gradients of each step times a factor. */
  const timed = (factor: (step: number) => number): Task =>
    settings.task === undefined
      ? ofGradients(
          parameters,
          gradients.map((step, index) => scaled(step, factor(index + 1))),
        )
      : scaledTask(settings.task(), factor);
  const standard = (): Task => settings.task?.() ?? ofGradients();
  const schedules = scheduledOptions(subject.schema, settings.options);

  const trace = async (
    rule: UpdateRule,
    task: Task = standard(),
    extra: Partial<Parameters<typeof traceRule>[0]> = {},
  ): Promise<Trajectory> => traceRule({ backend: await shared.get(), rule, task, steps, ...extra });
  const run = async (
    rule: UpdateRule,
    task: Task,
    count: number,
    store?: MemoryCheckpointStore,
  ): Promise<TrainResult> =>
    train({
      backend: await shared.get(),
      ...task,
      updateRule: rule,
      steps: count,
      ...(store === undefined ? {} : { checkpoints: { store, every: 1_000_000 } }),
    }).result();
  const fresh = (): UpdateRule => subject.create();

  const sameTrajectory = (actual: Trajectory, expected: Trajectory, what: string, hint?: string): void => {
    for (const [index, values] of expected.params.entries()) {
      assertSameBits(actual.params[index] ?? {}, values, `${what}, parameters after step ${index + 1}`, hint);
      assertSameBits(
        actual.state[index] ?? {},
        expected.state[index] as Named,
        `${what}, state after step ${index + 1}`,
        hint,
      );
    }
  };
  /** Parameters of the two runs agree bit for bit. */
  const sameParams = (actual: readonly Named[], expected: readonly Named[], what: string, hint?: string): void => {
    expected.forEach((values, index) => {
      assertSameBits(actual[index] ?? {}, values, `${what}, after step ${index + 1}`, hint);
    });
  };

  const converges =
    (
      what: string,
      claim: ConvergenceClaim,
      defaults: { readonly steps: number; readonly below: number },
      task: (count: number) => Task,
    ) =>
    async (): Promise<void> => {
      const count = claim.steps ?? defaults.steps;
      const below = claim.below ?? defaults.below;
      const options = { ...settings.options, ...claim.options };
      const { loss } = await run(subject.create(options), task(count), count);
      if (!(loss <= below))
        throw new ContractError(`After ${count} steps on ${what} the loss is ${loss}, not below ${below}.`, {
          hint: 'If the rule needs other options there, give them.',
        });
    };

  const vectorsAllowed = names.some((name) => (parameters[name] as { shape: readonly number[] }).shape.length < 2);
  const noiseless = settings.noisy === true ? 'the rule draws noise' : undefined;
  const onlyGradients = settings.gradientsOnly === false ? 'the rule reads more than gradients' : undefined;
  const onlyGivenGradients = settings.task === undefined ? undefined : 'the rule needs a task of its own';

  const checks: Check[] = [
    {
      id: 'shapes',
      title: 'parameters and state keep names, shapes and element types, and parameters move',
      async run() {
        const { params, state } = await trace(fresh());
        const first = params[0] as Named;
        for (const [index, values] of params.entries()) {
          assertSameShapes(values, settings.task === undefined ? initial : first, `After step ${index + 1}`);
          assertSameShapes(state[index] as Named, state[0] as Named, `State after step ${index + 1}`);
          assertFinite(values, `Parameters after step ${index + 1}`);
          assertFinite(state[index] as Named, `State after step ${index + 1}`);
        }
        const last = params.at(-1) as Named;
        for (const name of Object.keys(last))
          if (allSameBits({ [name]: first[name] as TensorData }, { [name]: last[name] as TensorData }))
            throw new ContractError(`The parameter "${name}" does not move from step 1 to step ${steps}.`, {
              hint: 'Return every parameter that the rule changes.',
            });
      },
    },
    {
      id: 'state-used',
      title: 'all declared state takes part: some step changes it',
      async run() {
        const { state } = await trace(fresh(), standard(), { steps: settings.task === undefined ? 2 * steps : steps });
        for (const path of Object.keys(state[0] as Named)) {
          if (settings.constantState?.some((prefix) => path === prefix || path.startsWith(`${prefix}/`))) continue;
          const values = state.map((each) => each[path] as TensorData);
          if (values.every((value) => allSameBits({ value }, { value: values[0] as TensorData })))
            throw new ContractError(`The state "${path}" is declared, but no step changes it.`, {
              hint: 'Return its new value from update(), or list it under `constantState`.',
            });
        }
      },
    },
    {
      id: 'same-seed',
      title: 'the same seed gives the same bits, whatever the clock and Math.random say',
      async run() {
        const expected = await trace(fresh());
        for (const salt of [1, 2])
          sameTrajectory(
            await underAnotherClock(salt, () => trace(fresh())),
            expected,
            'A second run from the same seed',
            'Draw random numbers from context.noise() and host().random only.',
          );
      },
    },
    {
      id: 'resumed',
      title: 'a run that was stopped and resumed ends with the bits of an uninterrupted one',
      async run() {
        const whole = await run(fresh(), standard(), steps);
        for (const stop of [1, Math.ceil(steps / 2), steps - 1]) {
          const store = new MemoryCheckpointStore();
          await run(fresh(), standard(), stop, store);
          const resumed = await run(fresh(), standard(), steps, store);
          const hint = 'Keep what changes in declared state; a field of the rule does not survive the process.';
          assertSameBits(resumed.params, whole.params, `Parameters of a run resumed after step ${stop}`, hint);
          assertSameBits(resumed.state, whole.state, `State of a run resumed after step ${stop}`, hint);
        }
      },
    },
    {
      id: 'instances',
      title: 'two instances share nothing, and an instance can be used again',
      async run() {
        const alone = await run(fresh(), standard(), steps);
        const backend = await shared.get();
        const [left, right] = [fresh(), fresh()].map((updateRule) =>
          train({ backend, ...standard(), updateRule, steps }),
        ) as [ReturnType<typeof train>, ReturnType<typeof train>];
        const iterators = [left, right].map((each) => each[Symbol.asyncIterator]());
        for (let running = true; running;) {
          const taken = [];
          for (const iterator of iterators) taken.push(await iterator.next());
          running = taken.some(({ done }) => done !== true);
        }
        const hint = 'Keep what changes in declared state, not in variables of the module.';
        assertSameBits((await left.result()).params, alone.params, 'One of two runs in step with each other', hint);
        assertSameBits((await right.result()).params, alone.params, 'One of two runs in step with each other', hint);
        const rule = fresh();
        await run(rule, standard(), steps);
        assertSameBits((await run(rule, standard(), steps)).params, alone.params, 'A second run of one instance', hint);
      },
    },
    {
      id: 'phases',
      title: 'phases and host visits are functions of the step alone',
      async run() {
        await Promise.resolve();
        const [rule, other] = [fresh(), fresh()];
        const count = 4 * steps;
        const order = Array.from({ length: count }, (_, index) => count - index);
        const backwards = new Map(order.map((step) => [step, [other.phase?.(step), other.needsHost?.(step)]]));
        for (let step = 1; step <= count; step++) {
          const found = [rule.phase?.(step), rule.needsHost?.(step)];
          if (rule.phase !== undefined && (typeof found[0] !== 'string' || found[0] === ''))
            throw new ContractError(`The phase of step ${step} is ${String(found[0])}.`, {
              hint: 'Give every step a name, such as "step".',
            });
          if (
            String(found) !== String(backwards.get(step)) ||
            String(found) !== String([rule.phase?.(step), rule.needsHost?.(step)])
          )
            throw new ContractError(`phase(${step}) or needsHost(${step}) depends on the calls before it.`, {
              hint: 'Compute them from the step alone.',
            });
        }
      },
    },
    {
      id: 'schedules',
      title: 'a schedule that moves compiles nothing new and is followed at every step',
      ...(schedules.length === 0 ? { skip: 'no option takes a schedule' } : {}),
      async run() {
        for (const { name, value } of schedules) await followsSchedule(name, value);
      },
    },
    {
      id: 'zero-gradients',
      title: 'zero and tiny gradients (1e-30) leave everything finite',
      async run() {
        for (const factor of [0, 1e-30])
          for (const when of [() => true, (step: number) => step % 2 === 1]) {
            const { params, state } = await trace(
              fresh(),
              timed((step) => (when(step) ? factor : 1)),
            );
            params.forEach((values, index) => {
              const what = `Step ${index + 1} with gradients times ${factor}`;
              assertFinite(values, `${what}: parameters`);
              assertFinite(state[index] as Named, `${what}: state`);
            });
          }
      },
    },
    {
      id: 'huge-gradients',
      title: 'huge gradients (1e30) are survived, or refused with a typed error',
      async run() {
        let found: Trajectory;
        try {
          found = await trace(
            fresh(),
            timed((step) => (step === 2 ? 1e30 : 1)),
          );
        } catch (error) {
          if (error instanceof UpdraftError) return;
          throw new ContractError(`Huge gradients end in an error of no type of Updraft: ${String(error)}`);
        }
        found.params.forEach((values, index) => {
          assertFinite(values, `Parameters after step ${index + 1}`);
          assertFinite(found.state[index] as Named, `State after step ${index + 1}`, { infinite: true });
        });
      },
    },
    {
      id: 'non-finite-gradients',
      title:
        settings.skipsNonFinite === true
          ? 'a step with NaN or infinite gradients changes nothing'
          : 'NaN and infinite gradients are refused with a typed error and reach no checkpoint',
      skip: onlyGivenGradients,
      async run() {
        for (const bad of [NaN, Infinity, -Infinity])
          for (const where of new Set([names[0] as string, names.at(-1) as string])) {
            const list = gradients.map((step, index) => (index === 2 ? poisoned(step, where, bad) : step));
            if (settings.skipsNonFinite === true) {
              const { params, state } = await trace(fresh(), ofGradients(parameters, list), {
                onNonFinite: 'continue',
              });
              const what = `A step whose gradient of "${where}" holds ${bad}`;
              assertSameBits(params[2] as Named, params[1] as Named, `${what}, parameters`);
              params.forEach((values, index) => {
                assertFinite(values, `${what}, parameters after step ${index + 1}`);
                assertFinite(state[index] as Named, `${what}, state after step ${index + 1}`);
              });
            } else await refusesNonFinite(ofGradients(parameters, list), bad);
          }
      },
    },
    {
      id: 'separable',
      title: 'a parameter moves by its own gradient alone',
      skip:
        onlyGivenGradients ??
        (settings.separable === false ? 'the rule couples parameters' : undefined) ??
        (names.length < 2 ? 'there is one parameter' : undefined),
      async run() {
        const expected = await trace(fresh());
        for (const name of names) {
          const changed = gradients.map((step, index) =>
            index === 0 ? { ...step, [name]: scaled(step, -3)[name] as TensorData } : step,
          );
          const found = await trace(fresh(), ofGradients(parameters, changed));
          const others = Object.fromEntries(
            names.filter((other) => other !== name).map((other) => [other, parameters[other]]),
          ) as TaskParameters;
          sameParams(
            found.params.map((values) => pick(values, others)),
            expected.params.map((values) => pick(values, others)),
            `When only the gradient of "${name}" is another one, the other parameters`,
            'If the rule couples parameters on purpose, say `separable: false`.',
          );
          const last = (trajectory: Trajectory): Named => ({
            [name]: (trajectory.params.at(-1) as Named)[name] as TensorData,
          });
          if (allSameBits(last(found), last(expected)))
            throw new ContractError(`The parameter "${name}" does not depend on its own gradient.`);
        }
      },
    },
    {
      id: 'parameter-order',
      title: 'the order in which parameters are declared does not matter',
      skip: onlyGivenGradients ?? (names.length < 2 ? 'there is one parameter' : undefined),
      async run() {
        const reversed = Object.fromEntries(Object.entries(parameters).reverse());
        const [found, expected] = [await trace(fresh(), ofGradients(reversed)), await trace(fresh())];
        assertOneTrajectory(
          found.params,
          expected.params,
          initial,
          ORDER_TOLERANCE,
          'With parameters declared in reverse order',
        );
      },
    },
    {
      id: 'learning-rate',
      title: 'the first step is proportional to the learning rate',
      skip:
        subject.schema?.shape['learningRate'] === undefined
          ? 'there is no option learningRate'
          : settings.linearInLearningRate === false
            ? 'the rule does not claim it'
            : undefined,
      async run() {
        const given = settings.options?.['learningRate'];
        const rate = typeof given === 'number' && given > 0 ? given : 0.01;
        const moved = async (factor: number): Promise<Named> => {
          const result = await trace(subject.create({ ...settings.options, learningRate: rate * factor }), standard(), {
            steps: 1,
          });
          return result.params[0] as Named;
        };
        // Against a step of no length, so that decay and the like are part of the step.
        const [none, one, two] = [await moved(1e-6), await moved(1), await moved(2)];
        for (const name of Object.keys(one)) {
          const step = (to: Named): number[] => {
            const from = elementsOf(none[name] as TensorData);
            return elementsOf(to[name] as TensorData).map((value, index) => value - (from[index] as number));
          };
          const [single, double] = [step(one), step(two)];
          const size = Math.max(...elementsOf(one[name] as TensorData).map(Math.abs), 1e-30);
          const length = Math.max(...single.map(Math.abs));
          single.forEach((value, index) => {
            // Rounding of the parameter, relative to its own size.
            if (!(Math.abs((double[index] as number) - 2 * value) <= 1e-3 * length + 1e-6 * size))
              throw new ContractError(
                `Twice the learning rate moves element ${index} of "${name}" by ${double[index]} instead of 2 · ${value}.`,
                { hint: 'If that is meant, say `linearInLearningRate: false`.' },
              );
          });
        }
      },
    },
    {
      id: 'chain',
      title: 'a chain of the rule alone is the rule; two of them in a chain keep their state apart',
      async run() {
        const expected = await trace(fresh());
        const found = await trace(chain(fresh()));
        sameParams(found.params, expected.params, 'In a chain of its own');
        const twice = await trace(chain(fresh(), fresh()));
        twice.params.forEach((values, index) => {
          assertFinite(values, `In a chain with itself, after step ${index + 1}`);
        });
        const [own] = found.state.slice(-1) as [Named];
        for (const path of Object.keys(own)) {
          const second = (twice.state.at(-1) as Named)[path.replace(/^0\//, '1/')];
          if (second === undefined) throw new ContractError(`The second rule of a chain has no state "${path}".`);
        }
      },
    },
    {
      id: 'partition',
      title: 'in a partition every group moves as if it were alone',
      skip: onlyGivenGradients ?? noiseless ?? (names.length < 2 ? 'there is one parameter' : undefined),
      async run() {
        const groups = names.map((name, index) => [name, index % 2 === 0 ? 'even' : 'odd'] as const);
        const assign = new Map<string, string>(groups);
        const whole = await trace(
          partition({ rules: { even: fresh(), odd: fresh() }, assign: ({ name }) => assign.get(name) }),
        );
        for (const group of ['even', 'odd']) {
          const own = Object.fromEntries(Object.entries(parameters).filter(([name]) => assign.get(name) === group));
          const expected = await trace(fresh(), ofGradients(own));
          assertOneTrajectory(
            whole.params.map((values) => pick(values, own)),
            expected.params,
            pick(initial, own),
            ORDER_TOLERANCE,
            `The group "${group}" of a partition`,
          );
        }
      },
    },
    {
      id: 'accumulated',
      title: 'two accumulated batches of 4 are one batch of 8',
      skip: noiseless ?? onlyGradients ?? onlyGivenGradients,
      async run() {
        const halves = await trace(accumulate(fresh(), 2), bowlTask(parameters, 4, 2 * steps), { steps: 2 * steps });
        const whole = await trace(fresh(), bowlTask(parameters, 8, steps));
        assertOneTrajectory(
          halves.params.filter((_, index) => index % 2 === 1),
          whole.params,
          bowlTask(parameters, 8, 1).initial as Named,
          ORDER_TOLERANCE,
          'Batches of 8 = 2 · 4 accumulated',
        );
        for (let step = 0; step < 2 * steps; step += 2)
          assertSameBits(
            halves.params[step] as Named,
            step === 0 ? (bowlTask(parameters, 8, 1).initial as Named) : (halves.params[step - 1] as Named),
            `Gathering at step ${step + 1}`,
          );
      },
    },
    {
      id: 'averaged',
      title: 'averaging parameters beside the rule does not change it, and follows its definition',
      async run() {
        const expected = await trace(fresh());
        const found = await trace(averageParameters(fresh(), 0.75));
        sameParams(found.params, expected.params, 'With an average beside it');
        const task = standard();
        for (const [name, value] of Object.entries(task.initial ?? {})) {
          let average = elementsOf(value);
          for (const values of expected.params)
            average = average.map(
              (old, index) => 0.75 * old + 0.25 * (elementsOf(values[name] as TensorData)[index] as number),
            );
          assertClose(
            { average: (found.state.at(-1) as Named)[`average/${name}`] as TensorData },
            { average: { ...value, data: Float32Array.from(average) } as TensorData },
            1e-5,
            `The average of "${name}"`,
          );
        }
      },
    },
    {
      id: 'frozen',
      title: 'frozen parameters keep their bits, the others move as if they were alone',
      skip: onlyGivenGradients ?? noiseless ?? (names.length < 2 ? 'there is one parameter' : undefined),
      async run() {
        const [still] = names as [string];
        const moving = Object.fromEntries(Object.entries(parameters).slice(1));
        const found = await trace(freeze(fresh(), still));
        const expected = await trace(fresh(), ofGradients(moving));
        found.params.forEach((values, index) => {
          assertSameBits(
            { [still]: values[still] as TensorData },
            { [still]: initial[still] as TensorData },
            `Frozen, after step ${index + 1}`,
          );
        });
        assertOneTrajectory(
          found.params.map((values) => pick(values, moving)),
          expected.params,
          pick(initial, moving),
          ORDER_TOLERANCE,
          'Beside a frozen parameter',
        );
      },
    },
    {
      id: 'parabola',
      title: 'it converges on a parabola',
      skip: onlyGivenGradients,
      run: converges('the parabola', settings.parabola ?? {}, { steps: 400, below: 1e-3 }, (count) =>
        bowlTask(parameters, 1, count, 0),
      ),
    },
    {
      id: 'rosenbrock',
      title: "it gets down Rosenbrock's valley",
      skip: onlyGivenGradients,
      run: converges("Rosenbrock's valley", settings.rosenbrock ?? {}, { steps: 2000, below: 0.1 }, (count) =>
        rosenbrockTask(vectorsAllowed ? [2] : [1, 2], count),
      ),
    },
    {
      id: 'task',
      title: 'it learns the task that is given',
      skip:
        settings.task === undefined || settings.learns === undefined
          ? 'no task and no loss to reach are given'
          : undefined,
      async run() {
        const { steps: count = 200, below, options } = settings.learns as ConvergenceClaim;
        const { losses } = await trace(subject.create({ ...settings.options, ...options }), standard(), {
          steps: count,
        });
        const loss = losses.at(-1) as number;
        if (!(loss <= (below ?? (losses[0] as number) / 2)))
          throw new ContractError(`After ${count} steps of the task the loss went from ${losses[0]} to ${loss}.`, {
            hint: 'Give other options, more steps, or the loss that can be expected.',
          });
      },
    },
    {
      id: 'by-name',
      title: 'by name from a registry, with options as JSON, it is the same rule',
      skip: subject.byName === undefined ? 'it is no plugin' : undefined,
      async run() {
        sameTrajectory(await trace(subject.byName?.() as UpdateRule), await trace(fresh()), 'The rule by name');
      },
    },
    {
      id: 'devices',
      title: 'another device gives the same numbers, within 1e-4',
      skip: settings.otherBackend === undefined ? 'no other backend is given' : undefined,
      async run() {
        const other = await (settings.otherBackend as () => Promise<Backend>)();
        try {
          const expected = await trace(fresh());
          const found = await traceRule({ backend: other, rule: fresh(), task: standard(), steps });
          found.params.forEach((values, index) => {
            assertClose(
              values,
              expected.params[index] as Named,
              1e-4,
              `On ${other.description}, after step ${index + 1}`,
            );
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
          await runUpdateRuleGolden(subject, parseGolden('update-rule', subject.name, file), await shared.get());
      },
    },
    ...optionChecks(subject, settings, async (options) => {
      const { params, state } = await trace(subject.create(options), standard(), { steps });
      return JSON.stringify([params, state].map((list) => list.map((values) => Object.values(values).map(elementsOf))));
    }),
  ];

  /** A NaN gradient ends the run with a typed error; the checkpoints before it hold finite numbers only. */
  async function refusesNonFinite(task: Task, bad: number): Promise<void> {
    const store = new MemoryCheckpointStore();
    let refused = false;
    try {
      await trace(fresh(), task, { checkpoints: { store, every: 1 } });
    } catch (error) {
      refused = error instanceof UpdraftError;
      if (!refused)
        throw new ContractError(`A gradient of ${bad} ends in an error of no type of Updraft: ${String(error)}`);
    }
    if (!refused) throw new ContractError(`A gradient of ${bad} is taken without a word.`);
    for (const name of await store.list())
      assertFinite((await store.load(name)).tensors, `The checkpoint "${name}" of a run with a gradient of ${bad}`);
  }

  /** Two values of a scheduled option, and a schedule from one to the other, compile one program and act when they should. */
  async function followsSchedule(name: string, value: number): Promise<void> {
    const turn = Math.max(1, Math.floor(steps / 2));
    const [before, after] = [value, value / 2];
    const schedule: Schedule = { at: (step) => (step <= turn ? before : after) };
    const backend = await shared.get();
    const made = (option: number | Schedule): UpdateRule => subject.create({ ...settings.options, [name]: option });
    const [start, steady] = [await trace(made(before)), compilations(backend)];
    const [moving, other] = [await trace(made(schedule)), await trace(made(after))];
    const extra = compilations(backend) - steady;
    if (extra > 0)
      throw new ContractError(`Other values of "${name}" compiled ${extra} further programs.`, {
        hint: `Read it with context.scalar('${name}', options.${name}), so that it is an input.`,
      });
    sameParams(
      moving.params.slice(0, turn),
      start.params.slice(0, turn),
      `With a schedule for "${name}" that stays at ${before} until step ${turn}, the parameters`,
    );
    const last = (trajectory: Trajectory): Named => trajectory.params.at(-1) as Named;
    if (allSameBits(last(moving), last(start)) || allSameBits(last(moving), last(other)))
      throw new ContractError(`A schedule for "${name}" that moves after step ${turn} is not followed.`, {
        hint: 'Read the value at every step, not when the rule is made.',
      });
  }

  return makeKit(subject.label, checks, shared, settings.waive);
}

/** Register the whole kit: one line in a test file. */
export const testUpdateRule = (
  subject: Subject<'update-rule'>,
  settings: UpdateRuleSettings = {},
  runner?: TestRunner,
): void => {
  registerKit(updateRuleKit(subject, settings), runner);
};

const pick = <T>(values: Readonly<Record<string, T>>, like: Readonly<Record<string, unknown>>): Record<string, T> =>
  Object.fromEntries(Object.keys(like).map((name) => [name, values[name] as T]));

const mapElements = (value: TensorData, map: (element: number) => number): TensorData =>
  ({ ...value, data: (value.data as Float32Array).map(map) }) as TensorData;

const scaled = (values: Named, factor: number): Record<string, TensorData> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, mapElements(value, (one) => one * factor)]));

/** One element of one tensor replaced. */
function poisoned(values: Named, name: string, bad: number): Named {
  const value = mapElements(values[name] as TensorData, (one) => one);
  (value.data as Float32Array)[value.data.length - 1] = bad;
  return { ...values, [name]: value };
}
