import {
  CoreError,
  countFromRatio,
  createContainer,
  defineOptions,
  instantiatePlugin,
  OPTIONS,
  plugin,
  RandomStream,
  type JsonValue,
  type Objective,
  type ObjectiveContext,
  type Reward,
} from '@updraft/core';
import { ClippedSurrogate, clippedSurrogateFields } from '@updraft/nn';
import { inject, type InjectionToken } from 'tsyringe';
import { z } from 'zod';
import { backwardCorrection, checkRates, forwardCorrection, type ErrorRates } from './correction.js';
import { estimateFalseNegativeRate } from './false-negative-rate.js';

/** An answer to judge. Where no verifier is given, it carries what one said. */
export interface JudgedItem<Prompt = unknown, Answer = unknown> {
  readonly prompt?: Prompt;
  readonly answer?: Answer;
  /** Verdict R̃ of the verifier, 0 or 1, where it was asked before. */
  readonly reward?: number;
  /** Verdict of the second verifier, 0 or 1, where it was asked before. */
  readonly appeal?: number;
}

/** Says whether an answer is right: true or 1, false or 0. */
export type Verifier<Prompt = never, Answer = never> = (
  prompt: Prompt,
  answer: Answer,
) => boolean | number | Promise<boolean | number>;

/** The verifiers that a plugin made in a container is given. */
export interface Verifiers {
  readonly verifier?: Verifier;
  /** A better and slower one, asked about answers that the first one rejected. */
  readonly appeal?: Verifier;
}
export const VERIFIERS: InjectionToken<Verifiers> = Symbol('updraft.verifiers');

type RateOf = (prompt: never) => number;
const rateForms = [
  z.number().min(0).lt(0.5),
  z.array(z.number().min(0).lt(1)),
  z.custom<RateOf>(
    (value) => typeof value === 'function',
    'expected a rate, a list of rates, or a function of a prompt',
  ),
] as const;

const noisyVerifiersOptions = defineOptions({
  mode: z
    .enum(['forward', 'backward', 'none'])
    .default('forward')
    .describe('Weights of the score function (PGFC), unbiased rewards (PGBC), or rewards as they are observed.'),
  rho0: z
    .union(rateForms)
    .default(0)
    .describe(
      'Rate ρ₀ of wrong answers that are accepted: a number, one for each group number, or a function of the prompt.',
    ),
  rho1: z
    .union([...rateForms, z.literal('online')])
    .default(0.2)
    .describe('Rate ρ₁ of right answers that are rejected: as ρ₀, or "online", estimated from appeals.'),
  normalise: z
    .enum(['none', 'mean', 'leave-one-out', 'std'])
    .refine((value) => value !== 'std', {
      message:
        'expected none, mean or leave-one-out: dividing by the standard deviation of a group cancels both corrections exactly, so "std"',
    })
    .optional()
    .describe(
      'Subtract the mean of the group, or of its other members; default: "mean" with backward correction, else "none". "std" is refused: it would cancel both corrections.',
    ),
  appealFraction: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Share of the rejected answers of a batch that are appealed.'),
  relabel: z.boolean().default(false).describe('Answers that win their appeal count as accepted.'),
  mu: z.number().min(0).max(1).default(0.9).describe('Share μ of the moving average of ρ₁ that stays at each batch.'),
  initialRate: z.number().min(0).max(0.45).default(0.2).describe('Where the moving average of ρ₁ starts.'),
  minDenominator: z
    .number()
    .positive()
    .default(0.05)
    .describe('Least denominator 1 − ρ₀ − ρ₁ of the backward correction.'),
  seed: z.number().int().min(0).default(0).describe('Draws the answers that are appealed.'),
  ...clippedSurrogateFields,
});

type Options = z.output<typeof noisyVerifiersOptions>;

/**
 * Reinforcement learning from a verifier that errs (Cai et al. 2025): rewards of a noisy channel, corrected so that the policy
 * gradient points where the clean one does. `score` asks the verifier (and the second one, on appeal), `advantages` corrects,
 * and the objective is the clipped surrogate of PPO with these advantages. The state is the online estimate of ρ₁.
 */
@plugin({
  name: 'noisy-verifiers',
  contract: 'reward',
  options: noisyVerifiersOptions,
  summary: 'Policy gradients from verifiers with known or estimated error rates.',
  paper: 'Cai et al. 2025, Reinforcement Learning with Verifiable yet Noisy Rewards under Imperfect Verifiers',
})
export class NoisyVerifiers implements Reward<JudgedItem> {
  readonly #surrogate: ClippedSurrogate;
  /** Moving average of ρ₁. */
  #rate: number;
  /** Batches that had appeals: the next one draws with its number. */
  #batches = 0;

  constructor(
    @inject(OPTIONS) readonly options: Options,
    @inject(VERIFIERS, { isOptional: true }) readonly verifiers: Verifiers = {},
  ) {
    const { clip, aggregation, output, tokens, advantage, oldLogProbs, mask } = options;
    this.#surrogate = new ClippedSurrogate({ clip, aggregation, output, tokens, advantage, oldLogProbs, mask });
    this.#rate = options.initialRate;
  }

  /** The estimate of ρ₁ as it stands. */
  get falseNegativeRate(): number {
    return this.#rate;
  }

  /** Steps 1 to 3. One group has one pair of rates, of its prompt. */
  advantages(scores: readonly number[], groups?: readonly number[], items?: readonly JudgedItem[]): number[] {
    const { mode, minDenominator } = this.options;
    const groupOf = (at: number): number => groups?.[at] ?? 0;
    const corrected = scores.map((observed, at) => {
      if (observed !== 0 && observed !== 1)
        throw new CoreError('reward', `The score ${observed} of answer ${at} is neither 0 nor 1.`, {
          hint: 'The corrections are those of a binary channel: make rewards binary first.',
        });
      if (mode === 'none') return observed;
      const rates = this.#rates(groupOf(at), items?.[at]);
      return mode === 'backward'
        ? backwardCorrection(observed, rates, minDenominator)
        : forwardCorrection(observed, rates);
    });
    const normalise = this.options.normalise ?? (mode === 'backward' ? 'mean' : 'none');
    if (normalise === 'none') return corrected;
    const sums = new Map<number, { sum: number; count: number }>();
    corrected.forEach((value, at) => {
      const { sum, count } = sums.get(groupOf(at)) ?? { sum: 0, count: 0 };
      sums.set(groupOf(at), { sum: sum + value, count: count + 1 });
    });
    return corrected.map((value, at) => {
      const { sum, count } = sums.get(groupOf(at)) as { sum: number; count: number };
      if (normalise === 'mean') return value - sum / count;
      // Alone in its group, an answer has no baseline.
      return count === 1 ? value : value - (sum - value) / (count - 1);
    });
  }

  #rates(group: number, item: JudgedItem | undefined): ErrorRates {
    const read = (name: 'rho0' | 'rho1'): number => {
      const rate = this.options[name];
      if (rate === 'online') return this.#rate;
      if (typeof rate === 'number') return rate;
      if (typeof rate === 'function') {
        if (item === undefined)
          throw new CoreError('reward', `${name} is a function of the prompt, and there are no items.`, {
            hint: 'Give the judged items to advantages(scores, groups, items).',
          });
        return rate(item.prompt as never);
      }
      const own = rate[group];
      if (own === undefined)
        throw new CoreError('reward', `${name} has no rate for group ${group}: it lists ${rate.length}.`, {
          hint: 'Number the groups from 0 and list a rate for each.',
        });
      return own;
    };
    const rates = { rho0: read('rho0'), rho1: read('rho1') };
    checkRates(rates);
    return rates;
  }

  /** Verdicts R̃ of the verifier; and step 5: appeals of rejected answers move the estimate of ρ₁, before it is used for this batch. */
  async score(items: readonly JudgedItem[]): Promise<number[]> {
    const observed = await Promise.all(
      items.map((item, at) => verdict(this.verifiers.verifier, item, item.reward, `Answer ${at}`)),
    );
    const { rho1, relabel, appealFraction, mu, seed } = this.options;
    const online = rho1 === 'online';
    if (!(online || relabel) || items.length === 0) return observed;

    const rejected = observed.flatMap((value, at) => (value === 0 ? [at] : []));
    const count = countFromRatio(appealFraction, rejected.length);
    const drawn =
      count === rejected.length
        ? rejected
        : RandomStream.fromSeed(seed)
            .split('appeals')
            .split(String(this.#batches))
            .permutation(rejected.length)
            .subarray(0, count)
            .reduce<number[]>((list, place) => [...list, rejected[place] as number], []);
    const won: number[] = [];
    for (const at of drawn) {
      const item = items[at] as JudgedItem;
      if ((await verdict(this.verifiers.appeal, item, item.appeal, `The appeal of answer ${at}`)) === 1) won.push(at);
    }
    if (online) {
      const counts = {
        nPos: items.length - rejected.length,
        nNeg: rejected.length,
        appealed: drawn.length,
        a: won.length,
      };
      this.#rate = estimateFalseNegativeRate(counts, this.#rate, mu).rate;
    }
    this.#batches++;
    return relabel ? observed.map((value, at) => (won.includes(at) ? 1 : value)) : observed;
  }

  /** Step 4. */
  objective(context: ObjectiveContext): Objective {
    return this.#surrogate.objective(context);
  }

  state(): JsonValue {
    return { rate: this.#rate, batches: this.#batches };
  }

  restore(state: JsonValue): void {
    const { rate, batches } = (state ?? {}) as { readonly rate?: unknown; readonly batches?: unknown };
    if (typeof rate !== 'number' || !(rate >= 0 && rate <= 0.45) || !Number.isSafeInteger(batches))
      throw new CoreError('reward', `The stored state ${JSON.stringify(state)} is none of noisy verifiers.`, {
        hint: 'It holds a rate from 0 to 0.45 and a count of batches.',
      });
    this.#rate = rate;
    this.#batches = batches as number;
  }
}

async function verdict(
  verifier: Verifier | undefined,
  item: JudgedItem,
  known: number | undefined,
  what: string,
): Promise<0 | 1> {
  const said = known ?? (await verifier?.(item.prompt as never, item.answer as never));
  if (said === undefined)
    throw new CoreError('reward', `${what} has no verdict, and there is no verifier to ask.`, {
      hint: 'Give a verifier, with `appeal` where appeals are made; or items with `reward` (and `appeal`).',
    });
  const value = Number(said);
  if (value !== 0 && value !== 1)
    throw new CoreError('reward', `${what} is judged ${String(said)}, which is neither 0 nor 1.`, {
      hint: 'The corrections are those of a binary channel: make verdicts binary first.',
    });
  return value;
}

export type NoisyVerifierOptions<Prompt = unknown, Answer = unknown> = Omit<
  z.input<typeof noisyVerifiersOptions>,
  'rho0' | 'rho1'
> & {
  readonly rho0?: number | readonly number[] | ((prompt: Prompt) => number);
  readonly rho1?: number | readonly number[] | ((prompt: Prompt) => number) | 'online';
  /** Judges rejected answers again. */
  readonly appeal?: Verifier<Prompt, Answer>;
};

/**
 * A verifier that errs, with the correction of its errors: `noisyVerifier(check, { mode: 'backward', rho1: 0.3 })`. Without a
 * verifier, items carry the verdict as `reward`. @throws OptionsError
 */
export function noisyVerifier<Prompt = unknown, Answer = unknown>(
  verifier?: Verifier<Prompt, Answer>,
  { appeal, ...options }: NoisyVerifierOptions<Prompt, Answer> = {},
): NoisyVerifiers {
  const container = createContainer().createChildContainer();
  container.register(VERIFIERS, {
    useValue: {
      ...(verifier === undefined ? {} : { verifier: verifier as Verifier }),
      ...(appeal === undefined ? {} : { appeal: appeal as Verifier }),
    },
  });
  return instantiatePlugin(NoisyVerifiers, options, container);
}
