import { meanVector, moved, squaredDistance, type Vectors } from './vectors.js';

/**
 * Search for the largest value of a function of x ≥ 0 with a budget of evaluations, as the attacks of the official code do
 * (`line_maximize`): steps that double while they help, then smaller and smaller ones to either side.
 *
 * @param evaluations How often the function is called, at least once. Default 16.
 * @returns The x with the largest value that was found.
 */
export function lineMaximize(value: (x: number) => number, evaluations = 16): number {
  let left = Math.max(1, Math.ceil(evaluations));
  const at = (x: number): number => {
    left--;
    return value(x);
  };
  let [bestX, bestY] = [0, at(0)];
  let step = 1;
  let x = 0;
  while (left > 0) {
    x = bestX + step;
    const y = at(x);
    if (!(y > bestY)) {
      step *= 0.8;
      break;
    }
    [bestX, bestY] = [x, y];
    step *= 2;
  }
  while (left > 0) {
    if (x < bestX) x += step;
    else {
      let back = x - step;
      while (back < 0) back = (back + x) / 2;
      x = back;
    }
    const y = at(x);
    if (y > bestY) [bestX, bestY] = [x, y];
    step *= 0.8;
  }
  return bestX;
}

/**
 * How far an attack along a direction pushes nearest-neighbour averaging: ‖mean over honest pivots of what they make of all
 * honest models and f copies of the attack − x̄‖².
 *
 * @param f Number of attackers, and what the peers reckon with.
 */
export function damage(honest: Vectors, attack: ArrayLike<number>, f: number): number {
  return damageOf(honest, f)(attack);
}

/** {@link damage} of several attacks on the same honest models, whose distances are computed once. */
export function damageOf(honest: Vectors, f: number): (attack: ArrayLike<number>) => number {
  const count = honest.length;
  const centre = meanVector(honest);
  const between = honest.map((one) => honest.map((other) => squaredDistance(one, other)));
  return (attack) => {
    // How often each model is among the N − f = `count` nearest of a pivot.
    const chosen = new Float64Array(count);
    let attacks = 0;
    honest.forEach((pivot, own) => {
      const candidates = [
        ...(between[own] as number[]).map((distance, index) => ({ distance, index })),
        ...Array.from({ length: f }, () => ({ distance: squaredDistance(pivot, attack), index: count })),
      ];
      // The sort is stable: of equally far models the first count.
      candidates.sort((left, right) => left.distance - right.distance);
      for (const { index } of candidates.slice(0, count))
        if (index === count) attacks++;
        else chosen[index] = (chosen[index] as number) + 1;
    });
    let sum = 0;
    for (let at = 0; at < centre.length; at++) {
      let mean = attacks * (attack[at] as number);
      honest.forEach((model, index) => {
        mean += (chosen[index] as number) * (model[at] as number);
      });
      sum += (mean / count ** 2 - (centre[at] as number)) ** 2;
    }
    return sum;
  };
}

/** The factor e of an attack x̄ + e·direction that does the most {@link damage}, by line search. */
export function strongestFactor(
  honest: Vectors,
  direction: ArrayLike<number>,
  { f, evaluations }: { readonly f: number; readonly evaluations?: number },
): number {
  const centre = meanVector(honest);
  const measure = damageOf(honest, f);
  return lineMaximize((factor) => measure(moved(centre, direction, factor)), evaluations);
}
