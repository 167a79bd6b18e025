import {
  generate,
  Generator,
  isGenerationSampler,
  type createContainer,
  type GenerateResult,
  type GenerationModel,
  type GenerationSampler,
  type PluginClass,
} from '@updraft/core';
import type { Backend } from '@updraft/backend';
import { elementCount, type TensorData } from '@updraft/graph';
import { ContractError } from '../errors.js';
import { allSameBits, assertClose, assertFinite, assertSameBits, type Named } from '../kit/compare.js';
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

export interface GenerationSettings extends KitSettings, OptionSettings {
  /** What it generates with; for two samples or more. */
  readonly request: {
    readonly models: Readonly<Record<string, GenerationModel>>;
    /** Conditions; their first axis counts the samples. */
    readonly inputs: Named;
  };
  /** Whether a sample depends on its own condition and noise alone. Default true. */
  readonly independent?: boolean;
  /** Whether states may hold infinities (log-probabilities of 0). Default false. */
  readonly infinite?: boolean;
  /** How far a sample may be from the same one generated alone, relative to the largest element. Default 1e-5. */
  readonly tolerance?: number;
  /** Services for the constructor of the sampler. */
  readonly container?: () => ReturnType<typeof createContainer>;
}

/** A plugin class, or what makes a sampler that is no plugin. */
export type GenerationSubject =
  PluginClass<GenerationSampler> | { readonly name: string; readonly create: (options: Options) => GenerationSampler };

/** A sampler and the noise that its `init` asked for. */
interface Watched {
  readonly sampler: GenerationSampler;
  readonly start: Record<string, TensorData>;
}

function watch(sampler: GenerationSampler): Watched {
  const start: Record<string, TensorData> = {};
  const watched: GenerationSampler = {
    init: (context) =>
      sampler.init({
        ...context,
        noise: (name, shape, distribution) => (start[name] = context.noise(name, shape, distribution)),
      }),
    steps: (inputs) => sampler.steps(inputs),
    step: (context) => sampler.step(context),
    ...(sampler.phase === undefined ? {} : { phase: (step: number) => sampler.phase?.(step) as string }),
    ...(sampler.host === undefined ? {} : { host: async (context) => sampler.host?.(context) }),
  };
  return { sampler: watched, start };
}

/** One row of tensors whose first axis counts samples. */
const rowOf = (values: Named, row: number): Record<string, TensorData> =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      const size = elementCount(value.dims.slice(1));
      const data = value.data.slice(row * size, (row + 1) * size);
      return [name, { ...value, dims: [1, ...value.dims.slice(1)], data } as TensorData];
    }),
  );

/** Everything that a sampler owes that runs a network step by step, as checks. */
export function generationKit(given: GenerationSubject, settings: GenerationSettings): ContractKit {
  const subject = resolveSubject(
    'sampler',
    given as unknown as Subject<'sampler'>,
    settings.options,
    settings.container,
  );
  const shared = new SharedBackend(settings.backend);
  const { models, inputs } = settings.request;
  const count = Object.values(inputs)[0]?.dims[0] ?? 1;
  const generating = (made: unknown): GenerationSampler => {
    if (!isGenerationSampler(made as GenerationSampler))
      throw new ContractError(`The ${subject.label} draws batches.`, { hint: 'Use testSampler().' });
    return made as GenerationSampler;
  };
  const fresh = (options?: Options): GenerationSampler => generating(subject.create(options));
  const backend = (): Promise<Backend> => shared.get();
  const run = async (sampler: GenerationSampler, request: object = {}): Promise<GenerateResult> =>
    generate({ models, inputs, sampler, backend: await backend(), record: 'all', ...request }).result();
  const same = (actual: GenerateResult, expected: GenerateResult, what: string, hint?: string): void => {
    if (actual.steps !== expected.steps)
      throw new ContractError(`${what} takes ${actual.steps} steps instead of ${expected.steps}.`);
    assertSameBits(actual.state, expected.state, what, hint);
    assertSameBits(actual.outputs, expected.outputs, what, hint);
  };

  const checks: Check[] = [
    {
      id: 'finite',
      title: 'state and outputs of every step are finite',
      async run() {
        const { trajectory } = await run(fresh());
        for (const [name, values] of Object.entries(trajectory))
          values.forEach((value, at) => {
            assertFinite({ [name]: value }, `Step ${at + 1}`, { infinite: settings.infinite ?? false });
          });
      },
    },
    {
      id: 'same-seed',
      title: 'the same seed gives the same bits, whatever the clock and Math.random say',
      async run() {
        const expected = await run(fresh());
        for (const salt of [1, 2])
          same(
            await underAnotherClock(salt, () => run(fresh())),
            expected,
            'A second generation from the same seed',
            'Draw random numbers from context.noise only.',
          );
      },
    },
    {
      id: 'other-seed',
      title: 'another seed gives something else',
      async run() {
        const [one, other] = [await run(fresh()), await run(fresh(), { seed: 1 })];
        if (allSameBits(one.state, other.state)) throw new ContractError('The seeds 0 and 1 give the same state.');
      },
    },
    {
      id: 'anew',
      title: 'state begins anew: a request is not influenced by those before, and compiles nothing after the first',
      async run() {
        const expected = await run(fresh());
        const sampler = fresh();
        const generator = new Generator({ models, sampler, backend: await backend() });
        try {
          await generator.generate({ inputs, seed: 7 }).result();
          const again = generator.generate({ inputs, record: 'all' });
          for await (const { type } of again)
            if (type === 'compile') throw new ContractError('The second of two requests of one form compiles.');
          same(await again.result(), expected, 'A request after another one', 'Keep what changes in state of init().');
        } finally {
          await generator.dispose();
        }
      },
    },
    {
      id: 'phases',
      title: 'steps and phases are functions of the request and the step alone',
      async run() {
        await Promise.resolve();
        const [forward, backward] = [fresh(), fresh()];
        const steps = forward.steps(inputs);
        const numbers = Array.from({ length: steps }, (_, at) => at + 1);
        const phases = numbers.map((step) => forward.phase?.(step));
        const reversed = [...numbers].reverse().map((step) => backward.phase?.(step));
        if (JSON.stringify(phases) !== JSON.stringify(reversed.reverse()) || backward.steps(inputs) !== steps)
          throw new ContractError('Phases or steps depend on what was asked before.');
      },
    },
    {
      id: 'rows',
      title: 'a sample depends on its own condition and noise alone',
      skip: settings.independent === false ? 'samples depend on each other' : undefined,
      async run() {
        const whole = watch(fresh());
        const together = await run(whole.sampler);
        const noises = Object.entries(together.trajectory).filter(([name]) => name.startsWith('noise/'));
        for (let row = 0; row < count; row++) {
          const noise = {
            ...rowOf(whole.start, row),
            ...Object.fromEntries(
              noises.map(([name, values]) => [
                name.slice('noise/'.length),
                values.map((value) => rowOf({ value }, row)['value']),
              ]),
            ),
          };
          const alone = await run(fresh(), { inputs: rowOf(inputs, row), noise });
          const expected = rowOf(together.state, row);
          assertClose(alone.state, expected, settings.tolerance ?? 1e-5, `Sample ${row} generated alone`);
        }
      },
    },
    {
      id: 'by-name',
      title: 'by name from a registry, with options as JSON, it is the same sampler',
      skip: subject.byName === undefined ? 'it is no plugin' : undefined,
      async run() {
        same(await run(generating(subject.byName?.())), await run(fresh()), 'The sampler by name');
      },
    },
    ...optionChecks(subject, settings, async (options: Options) => {
      const { steps, state, outputs } = await run(fresh(options));
      return JSON.stringify([
        steps,
        ...Object.values({ ...state, ...outputs }).map(({ data }) => Array.from(data, String)),
      ]);
    }),
  ];
  return makeKit(subject.label, checks, shared, settings.waive);
}

/** Register the whole kit for a sampler that generates: one line in a test file. */
export const testGenerationSampler = (
  subject: GenerationSubject,
  settings: GenerationSettings,
  runner?: TestRunner,
): void => {
  registerKit(generationKit(subject, settings), runner);
};
