import { CoreError } from '@updraft/core';

/** Error rates of a verifier: at least 0, and below 1 together. */
export interface ErrorRates {
  /** ρ₀: chance that a wrong answer is accepted (false positive). */
  readonly rho0: number;
  /** ρ₁: chance that a right answer is rejected (false negative). */
  readonly rho1: number;
}

/** @throws CoreError for rates below 0, and for ρ₀ + ρ₁ ≥ 1: there a verdict says nothing, or the opposite. */
export function checkRates({ rho0, rho1 }: ErrorRates): void {
  if (!(rho0 >= 0 && rho1 >= 0 && rho0 + rho1 < 1))
    throw new CoreError('reward', `The error rates are rho0 = ${rho0} and rho1 = ${rho1}.`, {
      hint: 'Neither may be below 0, and together they must stay below 1: beyond that, corrections would turn round.',
    });
}

/**
 * Step 1, backward correction (PGBC): R̂ = (R̃ − ρ₀) / (1 − ρ₀ − ρ₁), whose expectation is the clean reward.
 *
 * @param observed R̃, 0 or 1.
 * @param minDenominator What the denominator is at least.
 */
export function backwardCorrection(observed: number, { rho0, rho1 }: ErrorRates, minDenominator = 0.05): number {
  return (observed - rho0) / Math.max(1 - rho0 - rho1, minDenominator);
}

/**
 * Step 2, forward correction (PGFC): the weight w(1) = ρ₁, w(0) = ρ₁ − 1 of the score function, whose expected update is the clean
 * policy gradient times 1 − ρ₀ − ρ₁.
 */
export const forwardCorrection = (observed: number, { rho1 }: Pick<ErrorRates, 'rho1'>): number =>
  observed - (1 - rho1);
