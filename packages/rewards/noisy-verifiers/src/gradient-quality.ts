import { RandomStream } from '@updraft/core';
import { noisyVerifier } from './noisy-verifiers.js';

export type Estimator = 'raw' | 'backward' | 'forward';

const [PROMPTS, PLACES, TOKENS, GOOD, ANSWERS] = [16, 3, 8, 4, 8] as const;
const RATES = { rho0: 0.1, rho1: 0.3 } as const;

export interface GradientQualityOptions {
  readonly estimator: Estimator;
  /** Added to the logits of good tokens (the first four of eight). */
  readonly bonus: number;
  readonly batches: number;
  readonly seed: number;
  progress(fraction: number): void;
}

/**
 * Policy gradients of a fixed table of logits from a verifier that errs, against the exact clean one. An answer is right if all of
 * its tokens are good, so that the chance of a prompt is P = ∏ₜ pₜ with pₜ that of a good token, and ∂P/∂logit(t, v) =
 * P·([v good]·π(t, v)/pₜ − π(t, v)); the objective is the mean over prompts.
 */
export function gradientQuality({ estimator, bonus, batches, seed, progress }: GradientQualityOptions): {
  readonly success: number;
  readonly projection: number;
  readonly cosine: number;
} {
  const random = RandomStream.fromSeed(seed).split('gradient-quality').split(String(bonus));
  const [draws, errors] = [random.split('answers'), random.split('errors')];
  const table = random.split('table');
  const reward = noisyVerifier(undefined, {
    ...RATES,
    mode: estimator === 'raw' ? 'none' : estimator,
    normalise: 'none',
  });
  const size = PROMPTS * PLACES * TOKENS;
  const chances = new Float64Array(size);
  const clean = new Float64Array(size);
  let success = 0;
  for (let prompt = 0; prompt < PROMPTS; prompt++) {
    let all = 1;
    const goods: number[] = [];
    for (let place = 0; place < PLACES; place++) {
      const at = (prompt * PLACES + place) * TOKENS;
      const weights = Array.from({ length: TOKENS }, (_, v) => Math.exp(0.1 * table.normal() + (v < GOOD ? bonus : 0)));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      weights.forEach((weight, v) => (chances[at + v] = weight / total));
      const good = weights.slice(0, GOOD).reduce((sum, weight) => sum + weight, 0) / total;
      goods.push(good);
      all *= good;
    }
    success += all / PROMPTS;
    goods.forEach((good, place) => {
      for (let v = 0; v < TOKENS; v++) {
        const at = (prompt * PLACES + place) * TOKENS + v;
        const own = chances[at] as number;
        clean[at] = (all * ((v < GOOD ? own / good : 0) - own)) / PROMPTS;
      }
    });
  }
  const dot = (left: Float64Array, right: Float64Array): number =>
    left.reduce((sum, value, at) => sum + value * (right[at] as number), 0);
  const squared = dot(clean, clean);

  let [projection, cosine] = [0, 0];
  const estimate = new Float64Array(size);
  for (let batch = 0; batch < batches; batch++) {
    estimate.fill(0);
    for (let prompt = 0; prompt < PROMPTS; prompt++)
      for (let answer = 0; answer < ANSWERS; answer++) {
        let right = true;
        const chosen: number[] = [];
        for (let place = 0; place < PLACES; place++) {
          const at = (prompt * PLACES + place) * TOKENS;
          const token = draws.categorical(chances.subarray(at, at + TOKENS));
          right &&= token < GOOD;
          chosen.push(token);
        }
        const accepted = errors.uniform() < (right ? 1 - RATES.rho1 : RATES.rho0);
        const [advantage = 0] = reward.advantages([accepted ? 1 : 0]);
        const weight = advantage / (PROMPTS * ANSWERS);
        chosen.forEach((token, place) => {
          const at = (prompt * PLACES + place) * TOKENS;
          for (let v = 0; v < TOKENS; v++)
            estimate[at + v] =
              (estimate[at + v] as number) + weight * ((v === token ? 1 : 0) - (chances[at + v] as number));
        });
      }
    const along = dot(estimate, clean);
    projection += along / squared / batches;
    cosine += along / Math.sqrt(squared * dot(estimate, estimate)) / batches;
    if (batch % 200 === 0) progress(batch / batches);
  }
  return { success, projection, cosine };
}
