import { CoreError, scalarAt, type ScalarValue, type Schedule } from '@updraft/core';

type Facts = Readonly<Record<string, number | string | boolean>>;
const schedule = (at: (step: number) => number, describe: Facts): Schedule => ({ at, describe: () => describe });

/** The same value at every step. */
export const constant = (value: number): Schedule => schedule(() => value, { type: 'constant', value });

/** From `from` at step 1 to `to` at step `steps`, on a line; `to` afterwards. */
export const linear = ({
  from,
  to,
  steps,
}: {
  readonly from: number;
  readonly to: number;
  readonly steps: number;
}): Schedule =>
  schedule((step) => (step >= steps ? to : from + ((to - from) * (step - 1)) / Math.max(1, steps - 1)), {
    type: 'linear',
    from,
    to,
    steps,
  });

/** Half a cosine from `from` at step 1 to `to` at step `steps` (Loshchilov and Hutter 2017); `to` afterwards. */
export const cosine = ({
  from,
  to = 0,
  steps,
}: {
  readonly from: number;
  readonly to?: number;
  readonly steps: number;
}): Schedule =>
  schedule((step) => to + ((from - to) * (1 + Math.cos((Math.PI * Math.min(step - 1, steps)) / steps))) / 2, {
    type: 'cosine',
    from,
    to,
    steps,
  });

/**
 * `from` / (t / half + 1) with t = step − 1, taken at every `every`-th step only and kept in between: half of `from` once
 * `half` steps are done. A `half` of 0 or less leaves `from` as it is.
 */
export const inverseTime = ({
  from,
  half,
  every = 1,
}: {
  readonly from: number;
  readonly half: number;
  readonly every?: number;
}): Schedule => {
  if (!(Number.isSafeInteger(every) && every >= 1))
    throw new CoreError('options', `An inverse-time schedule that moves every ${every} steps is none.`, {
      hint: 'Give a whole number from 1.',
    });
  return schedule((step) => (half <= 0 ? from : from / ((every * Math.floor((step - 1) / every)) / half + 1)), {
    type: 'inverse-time',
    from,
    half,
    every,
  });
};

/** A line from 0 to the first value of `after` during `steps` steps, then `after` from its own step 1. */
export const warmUp = (steps: number, after: ScalarValue): Schedule =>
  schedule((step) => (step <= steps ? (scalarAt(after, 1) * step) / steps : scalarAt(after, step - steps)), {
    type: 'warm-up',
    steps,
    ...(typeof after === 'number' ? { to: after } : {}),
  });

/** Up from peak/initialFactor to the peak, then down to peak/finalFactor, on cosines (Smith and Topin 2019). */
export const oneCycle = ({
  peak,
  steps,
  warmUpFraction = 0.3,
  initialFactor = 25,
  finalFactor = 1e4,
}: {
  readonly peak: number;
  readonly steps: number;
  readonly warmUpFraction?: number;
  readonly initialFactor?: number;
  readonly finalFactor?: number;
}): Schedule => {
  const up = Math.max(1, Math.round(steps * warmUpFraction));
  const [first, last] = [peak / initialFactor, peak / finalFactor];
  const between = (from: number, to: number, fraction: number): number =>
    to + ((from - to) * (1 + Math.cos(Math.PI * Math.min(1, Math.max(0, fraction))))) / 2;
  return schedule(
    (step) =>
      step <= up ? between(first, peak, (step - 1) / up) : between(peak, last, (step - up) / Math.max(1, steps - up)),
    { type: 'one-cycle', peak, steps, warmUpFraction, initialFactor, finalFactor },
  );
};

/**
 * `value`, and over the last `fraction` of `steps` on a line towards `floor` times it, which it would reach at step
 * `steps` + 1; that much afterwards (warm-up, stable, decay: Hu et al. 2024).
 */
export const cooldown = ({
  value,
  steps,
  fraction = 0.45,
  floor = 0.1,
}: {
  readonly value: number;
  readonly steps: number;
  readonly fraction?: number;
  readonly floor?: number;
}): Schedule => {
  if (!(fraction > 0 && fraction <= 1))
    throw new CoreError('options', `A cooldown over the fraction ${fraction} of the steps is none.`, {
      hint: 'Give a number above 0, at most 1.',
    });
  const left = (step: number): number => Math.min(1, Math.max(0, (1 - (step - 1) / steps) / fraction));
  return schedule((step) => value * (floor + (1 - floor) * left(step)), {
    type: 'cooldown',
    value,
    steps,
    fraction,
    floor,
  });
};

/** Any function of the step (from 1). Runs in code only: a configuration file cannot hold it. */
export const custom = (at: (step: number) => number): Schedule => ({ at });

const number = (facts: Facts, name: string, otherwise?: number): number => {
  const value = facts[name] ?? otherwise;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new CoreError('options', `The schedule "${String(facts['type'])}" needs the number "${name}".`);
  return value;
};

/** What each type of schedule is made of. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  constant: ['value'],
  linear: ['from', 'to', 'steps'],
  cosine: ['from', 'to', 'steps'],
  'inverse-time': ['from', 'half', 'every'],
  'warm-up': ['steps', 'to'],
  'one-cycle': ['peak', 'steps', 'warmUpFraction', 'initialFactor', 'finalFactor'],
  cooldown: ['value', 'steps', 'fraction', 'floor'],
};

/**
 * A schedule from its serialised form: `{ type: 'cosine', from: 1e-3, steps: 1000 }`.
 *
 * @throws CoreError for an unknown type or key, and for a number that is missing.
 */
export function scheduleFrom(facts: Facts): Schedule {
  const keys = KEYS[String(facts['type'])];
  const unknown = Object.keys(facts).find((key) => key !== 'type' && keys?.includes(key) === false);
  if (keys !== undefined && unknown !== undefined)
    throw new CoreError('options', `The schedule "${String(facts['type'])}" has no "${unknown}".`, {
      hint: `It has: ${keys.join(', ')}.`,
    });
  switch (facts['type']) {
    case 'constant':
      return constant(number(facts, 'value'));
    case 'linear':
      return linear({ from: number(facts, 'from'), to: number(facts, 'to'), steps: number(facts, 'steps') });
    case 'cosine':
      return cosine({ from: number(facts, 'from'), to: number(facts, 'to', 0), steps: number(facts, 'steps') });
    case 'inverse-time':
      return inverseTime({
        from: number(facts, 'from'),
        half: number(facts, 'half'),
        every: number(facts, 'every', 1),
      });
    case 'warm-up':
      return warmUp(number(facts, 'steps'), number(facts, 'to'));
    case 'one-cycle':
      return oneCycle({
        peak: number(facts, 'peak'),
        steps: number(facts, 'steps'),
        warmUpFraction: number(facts, 'warmUpFraction', 0.3),
        initialFactor: number(facts, 'initialFactor', 25),
        finalFactor: number(facts, 'finalFactor', 1e4),
      });
    case 'cooldown':
      return cooldown({
        value: number(facts, 'value'),
        steps: number(facts, 'steps'),
        fraction: number(facts, 'fraction', 0.45),
        floor: number(facts, 'floor', 0.1),
      });
    default:
      throw new CoreError('options', `There is no schedule of type "${String(facts['type'])}".`, {
        hint: `Known are: ${Object.keys(KEYS).join(', ')}.`,
      });
  }
}
