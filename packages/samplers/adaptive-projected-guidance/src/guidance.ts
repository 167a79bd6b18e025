import { defineOptions, parseOptions, scalar, scalarAt, type ScalarValue } from '@updraft/core';
import { isFloat, shapeEquals, shapeText, where, type Tensor } from '@updraft/graph';
import { z } from 'zod';
import { GuidanceError } from './errors.js';

/** What a guidance makes of two predictions of clean data. */
export interface Guided {
  /** The guided prediction, of shape and element type of the conditional one. */
  readonly D: Tensor;
  /** Memory for the next evaluation; absent where the guidance has none. */
  readonly state?: Tensor;
}

/** Combines a conditional and an unconditional prediction of clean data, evaluation after evaluation. */
export interface Guidance {
  /** Guidance scale w. */
  readonly scale: ScalarValue;
  /** Whether `apply` gives a state, which the next evaluation of the same generation wants. */
  readonly remembers: boolean;
  /**
   * @param Dc Conditional prediction D_c of the clean data. The first axis is the batch; a tensor of one axis is one sample.
   * @param Du Unconditional prediction D_u, of the same shape.
   * @param state What the evaluation before gave; default: zeros, as at the beginning of every generation.
   * @param scale Scale w as a scalar of the graph; default: the number of the options.
   */
  apply(Dc: Tensor, Du: Tensor, state?: Tensor, scale?: Tensor): Guided;
}

export const guidanceOptions = {
  scale: scalar({ min: 1 }).default(4).describe('Guidance scale w; 1 is the conditional prediction alone.'),
  eta: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('Share η of the part of the update that is parallel to the conditional prediction; more saturates more.'),
  normThreshold: z
    .number()
    .default(0)
    .describe('Largest norm r of the update of one sample, which grows with the size of samples; 0 or less: no limit.'),
  momentum: z
    .number()
    .gt(-1)
    .max(0)
    .default(0)
    .describe(
      'Momentum β of the update over the evaluations of a generation; below 0 it turns away from past directions.',
    ),
  precision: z
    .enum(['float32', 'float64'])
    .default('float64')
    .describe('Arithmetic of the guidance: float64, or float32, which stays on a GPU.'),
};
const apgOptions = defineOptions(guidanceOptions);
export type ApgOptions = z.input<typeof apgOptions>;

/** Norms below this count as this, so that a prediction of zeros has no direction. */
const SMALLEST_NORM = 1e-12;

/** All axes of one sample: all but the batch, and all of a tensor of one axis. */
const sampleAxes = ({ rank }: Tensor): number[] =>
  rank <= 1 ? [...Array(rank).keys()] : Array.from({ length: rank - 1 }, (_, axis) => axis + 1);

/** Euclidean norm of every sample, with axes kept. */
const sampleNorm = (value: Tensor): Tensor => value.square().sum(sampleAxes(value), { keepDims: true }).sqrt();

/** Shorten the update of every sample to the norm r, if it is longer. An update of zeros stays, without 0/0. */
export function limitNorm(update: Tensor, normThreshold: number): Tensor {
  const norm = sampleNorm(update);
  return update.mul(where(norm.greater(normThreshold), norm.reciprocal().mul(normThreshold), 1));
}

/** The parts of the update of every sample along its conditional prediction and orthogonal to it. */
export function project(update: Tensor, Dc: Tensor): { readonly parallel: Tensor; readonly orthogonal: Tensor } {
  const k = Dc.div(sampleNorm(Dc).maximum(SMALLEST_NORM));
  const parallel = update.mul(k).sum(sampleAxes(k), { keepDims: true }).mul(k);
  return { parallel, orthogonal: update.sub(parallel) };
}

/**
 * Adaptive projected guidance (Sadat et al. 2024, algorithm 1): classifier-free guidance whose update is slowed by negative
 * momentum, limited in norm, and rid of its part along the conditional prediction, which is what over-saturates. With the
 * defaults of `eta` 1, `normThreshold` 0 and `momentum` 0 it is classifier-free guidance.
 *
 * Predictions are of clean data (x₀): see {@link toDenoised} for models that predict something else.
 *
 * @throws OptionsError
 */
export function apg(given: ApgOptions = {}): Guidance {
  const { scale, eta, normThreshold, momentum, precision } = parseOptions(apgOptions, given, 'apg');
  const remembers = momentum !== 0;
  return {
    scale,
    remembers,
    apply(conditional, unconditional, state, w) {
      checkPredictions(conditional, unconditional, state);
      const [Dc, Du] = [conditional.cast(precision), unconditional.cast(precision)];
      // 2. Δ = D_c − D_u.
      let update = Dc.sub(Du);
      // 3. buf ← Δ + β·buf; Δ ← buf. What is remembered is not shortened.
      if (remembers && state !== undefined) update = update.add(state.cast(precision).mul(momentum));
      const buffer = update.cast(conditional.dataType);
      // 4. Δ ← Δ·min(1, r/‖Δ‖).
      if (normThreshold > 0) update = limitNorm(update, normThreshold);
      // 5. Δ = Δ_∥ + Δ_⊥ along D_c.
      const { parallel, orthogonal } = project(update, Dc);
      // 6. D = D_c + (w − 1)·(Δ_⊥ + η·Δ_∥).
      const kept = eta === 0 ? orthogonal : orthogonal.add(parallel.mul(eta));
      const factor = w === undefined ? fixedScale(scale) - 1 : w.cast(precision).sub(1);
      const D = Dc.add(kept.mul(factor)).cast(conditional.dataType);
      return remembers ? { D, state: buffer } : { D };
    },
  };
}

const cfgOptions = defineOptions({ scale: guidanceOptions.scale });

/** Classifier-free guidance (Ho and Salimans 2022), D_u + w·(D_c − D_u), for comparison. @throws OptionsError */
export function cfg(given: ScalarValue): Guidance {
  const { scale } = parseOptions(cfgOptions, { scale: given }, 'cfg');
  return {
    scale,
    remembers: false,
    apply(Dc, Du, _state, w) {
      checkPredictions(Dc, Du);
      return { D: Du.add(Dc.sub(Du).mul(w === undefined ? fixedScale(scale) : w.cast(Dc.dataType))) };
    },
  };
}

function fixedScale(scale: ScalarValue): number {
  if (typeof scale !== 'number')
    throw new GuidanceError('The scale of the guidance is a schedule, and nobody says at which step it is.', {
      hint: 'Hand the scale of the step to apply(), as diffusionSampler() does.',
    });
  return scalarAt(scale, 1);
}

function checkPredictions(Dc: Tensor, Du: Tensor, state: Tensor = Du): void {
  if (!isFloat(Dc.dataType) || Dc.rank === 0)
    throw new GuidanceError(`The prediction is ${Dc.dataType}${shapeText(Dc.shape)}; samples of floats are needed.`);
  for (const other of [Du, state])
    if (other.dataType !== Dc.dataType || !shapeEquals(other.shape, Dc.shape))
      throw new GuidanceError(
        `The conditional prediction is ${Dc.dataType}${shapeText(Dc.shape)}, the ${other === Du ? 'unconditional one' : 'state'} ${other.dataType}${shapeText(other.shape)}.`,
        { hint: 'Both predictions and the state have one shape and element type.' },
      );
}
