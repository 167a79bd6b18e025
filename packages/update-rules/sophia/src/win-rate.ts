import { CoreError } from '@updraft/core';
import { sizeOf, type Tensor, type TensorData } from '@updraft/graph';

/** Share of all elements whose size is below their curvature: scalar, from 0 to 1. */
export function shareBelow(sizes: readonly Tensor[], curvatures: readonly Tensor[]): Tensor {
  const total = (values: readonly Tensor[]): Tensor => values.reduce((sum, value) => sum.add(value));
  return total(
    sizes.map((size, index) =>
      size
        .less(curvatures[index] as Tensor)
        .cast('float32')
        .sum(),
    ),
  ).div(total(sizes.map((size) => sizeOf(size).cast('float32'))));
}

/**
 * The authors' diagnostic: the share of elements that are not clipped, |m| < ρ·B·h, of a state as `train` returns it. They
 * tune ρ so that it stays between 0.1 and 0.5 for language models. The same figure of each step is its metric `winRate`.
 *
 * @param state State of the rule by path, alone or inside of other rules.
 * @param options.batchTokens B where the rule was given it; default: that of the state, 1 where it has none.
 * @throws CoreError where the state is of another rule.
 */
export function winRate(
  state: Readonly<Record<string, TensorData>>,
  { rho, batchTokens }: { readonly rho: number; readonly batchTokens?: number },
): number {
  let [below, all] = [0, 0];
  for (const [path, momentum] of Object.entries(state)) {
    const [, prefix, name] = /^((?:.*\/)?)momentum\/(.+)$/.exec(path) ?? [];
    const hessian = state[`${prefix ?? ''}hessian/${name ?? ''}`];
    if (hessian === undefined) continue;
    const factor = batchTokens ?? Number(state[`${prefix ?? ''}scale/batchTokens`]?.data[0] ?? 1);
    momentum.data.forEach((m, index) => {
      all++;
      if (Math.abs(Number(m)) < rho * factor * Number(hessian.data[index])) below++;
    });
  }
  if (all === 0)
    throw new CoreError('update-rule', 'The state holds no momentum beside a Hessian.', {
      hint: 'Give the state that train() returns for a run with sophiaG() or sophiaH().',
    });
  return below / all;
}
