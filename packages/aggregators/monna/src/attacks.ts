import { CoreError, type FederatedClient } from '@updraft/core';
import type { BatchTransform } from '@updraft/data';
import { readElement, writeElement } from '@updraft/graph';
import { strongestFactor } from './line-search.js';
import { deviationVector, flat, meanVector, moved, unflat, type Vectors } from './vectors.js';

/** What an attacker does with what it would send: `FederatedClient.transform`. */
export type Attack = NonNullable<FederatedClient['transform']>;

/**
 * How strong an attack is: its factor e, or the number `f` of attackers, for which the factor that does the most damage to
 * nearest-neighbour averaging is sought in every round with so many evaluations (default 16).
 */
export type AttackStrength =
  | { readonly factor: number; readonly f?: undefined; readonly evaluations?: undefined }
  | { readonly factor?: undefined; readonly f: number; readonly evaluations?: number };

/** An attack from what it makes of the honest models, and of what the attacker would send and has received. */
function attack(make: (honest: Vectors, own: { sent: Float64Array; received: Float64Array }) => Float64Array): Attack {
  return (upload, { honest, received }) => {
    if (honest.length === 0) return upload;
    const names = Object.keys(upload.values);
    const vector = make(
      honest.map(({ values }) => flat(values, names)),
      { sent: flat(upload.values, names), received: flat(received, names) },
    );
    return { ...upload, values: unflat(vector, upload.values) };
  };
}

/** −x̄ of the honest models. */
export const signFlipVector = (honest: Vectors): Float64Array => meanVector(honest).map((value) => -value);

/** Sign flipping: send −x̄, x̄ being the mean of the honest models. */
export const signFlip = (): Attack => attack(signFlipVector);

/** x̄ + e·direction, e being given or sought. @throws CoreError for a factor that is none */
function along(honest: Vectors, direction: Float64Array, strength: AttackStrength): Float64Array {
  const factor = strength.factor ?? strongestFactor(honest, direction, strength);
  if (!Number.isFinite(factor))
    throw new CoreError('attack', `The factor of the attack is ${factor}.`, {
      hint: 'Give a number, or the number f of attackers to have one sought.',
    });
  return moved(meanVector(honest), direction, factor);
}

/** (1 − e)·x̄ of the honest models. */
export const fallOfEmpiresVector = (honest: Vectors, strength: AttackStrength): Float64Array =>
  along(honest, signFlipVector(honest), strength);

/** x̄ + e·s of the honest models, s being the standard deviation (with n − 1) of every coordinate. */
export const aLittleIsEnoughVector = (honest: Vectors, strength: AttackStrength): Float64Array =>
  along(honest, deviationVector(honest), strength);

/** Fall of empires (Xie et al. 2019): send (1 − e)·x̄, which for e > 1 points away from where everybody goes. */
export const fallOfEmpires = (strength: AttackStrength): Attack =>
  attack((honest) => fallOfEmpiresVector(honest, strength));

/** A little is enough (Baruch et al. 2019): send x̄ + e·s, which for small e hides among the honest models. */
export const aLittleIsEnough = (strength: AttackStrength): Attack =>
  attack((honest) => aLittleIsEnoughVector(honest, strength));

/**
 * Label flipping: send x̄ plus what local work on wrong labels changed. For a client whose sampler gives such labels
 * ({@link flipLabels}) and whose rule is plain gradient descent: x̄ − γ·g.
 */
export const labelFlip = (): Attack =>
  attack((honest, { sent, received }) => moved(moved(meanVector(honest), sent, 1), received, -1));

/** Makes label y of every example classes − 1 − y, in place: a transform of batches. */
export const flipLabels =
  ({ classes, column = 'label' }: { readonly classes: number; readonly column?: string }): BatchTransform =>
  (columns) => {
    const labels = columns[column];
    if (labels === undefined)
      throw new CoreError('attack', `The batch has no column "${column}" of labels.`, {
        hint: `It has: ${Object.keys(columns).join(', ')}.`,
      });
    for (let at = 0; at < labels.data.length; at++) writeElement(labels, at, classes - 1 - readElement(labels, at));
  };
