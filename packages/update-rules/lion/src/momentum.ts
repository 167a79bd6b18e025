import { mapValues, type InitContext, type StateSpec, type StateSpecs } from '@updraft/core';
import type { DataType, Tensor } from '@updraft/graph';
import { z } from 'zod';

export const momentumDtype = z
  .enum(['float32', 'float16', 'bfloat16'])
  .optional()
  .describe('Precision that the momentum is kept in between steps; default: that of the parameter.');

type MomentumDtype = z.output<typeof momentumDtype>;

export interface MomentumState extends StateSpecs {
  /** Momentum m, one tensor per parameter. */
  readonly momentum: Readonly<Record<string, StateSpec>>;
}

/** Zeros like the parameters. The runtime's tensors have no bfloat16 in JavaScript: such values are kept as float32. */
export const momentumState = (context: InitContext, kept: MomentumDtype): MomentumState['momentum'] =>
  mapValues(context.likeParams(), (spec) => ({
    ...spec,
    dataType: kept === 'bfloat16' ? 'float32' : (kept ?? spec.dataType),
  }));

/**
 * The momentum in the precision of the arithmetic, `work`, and how its next value is kept. The arithmetic has the wider of
 * both types: in float16, (1 − β₂)·g of a small gradient would vanish.
 */
export function readMomentum(
  kept: Tensor,
  { dataType }: Tensor,
  rounding: MomentumDtype,
): { readonly m: Tensor; readonly work: DataType; readonly keep: (next: Tensor) => Tensor } {
  const work = dataType === 'float16' ? kept.dataType : dataType;
  return { m: kept.cast(work), work, keep: (next) => next.cast(rounding ?? kept.dataType).cast(kept.dataType) };
}
