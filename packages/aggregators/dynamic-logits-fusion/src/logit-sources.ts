import type { Source } from '@updraft/core';
import { isFloat, shapeEquals, shapeText, type DataType, type Tensor } from '@updraft/graph';
import { FusionError } from './errors.js';

/** Logits over one vocabulary for the same positions, all of one shape [..., vocabulary] and element type. */
export interface LogitSources {
  /** M^L, of the large base model. */
  readonly large: Tensor;
  /** M^S, of the small base model. */
  readonly smallBase: Tensor;
  /** M^S_t, of small models that were tuned from the small base. */
  readonly experts: readonly Tensor[];
}

/** Roles of the sources; every other id is that of an expert. */
export const LARGE = 'large';
export const SMALL_BASE = 'smallBase';

/**
 * Roles by id, where a source is called `large` or `smallBase`; else by position: large, small base, experts.
 *
 * @returns The roles, and the name under which every source has its logits.
 * @throws FusionError for missing roles and for sources of more than one value.
 */
export function sourceRoles(sources: readonly Source[]): { readonly name: string; readonly roles: LogitSources } {
  const [first] = sources as [Source, ...Source[]];
  const names = Object.keys(first.values);
  const [name] = names as [string];
  if (names.length > 1)
    throw new FusionError(`The sources have ${names.length} values: ${names.join(', ')}.`, {
      hint: 'Give each source one tensor, its logits [..., vocabulary].',
    });
  const named = sources.some(({ id }) => id === LARGE || id === SMALL_BASE);
  const at = (role: string, position: number): Source | undefined =>
    named ? sources.find(({ id }) => id === role) : sources[position];
  const [large, smallBase] = [at(LARGE, 0), at(SMALL_BASE, 1)];
  const experts = sources.filter((source) => source !== large && source !== smallBase);
  if (large === undefined || smallBase === undefined || experts.length === 0)
    throw new FusionError(`Sources are ${sources.map(({ id }) => `"${id}"`).join(', ')}; a role is missing.`, {
      hint: `Give "${LARGE}", "${SMALL_BASE}" and at least one expert; without these ids they are taken in this order.`,
    });
  const logits = ({ values }: Source): Tensor => values[name] as Tensor;
  return {
    name,
    roles: { large: logits(large), smallBase: logits(smallBase), experts: experts.map(logits) },
  };
}

/** @throws FusionError for logits without an axis, of no float type, or unlike each other. */
export function checkLogits({ large, smallBase, experts }: LogitSources): void {
  if (experts.length === 0)
    throw new FusionError('There is no expert to fuse.', { hint: 'Give the logits of at least one.' });
  if (large.rank === 0 || !isFloat(large.dataType))
    throw new FusionError(`The logits of the large model are ${large.dataType}${shapeText(large.shape)}.`, {
      hint: 'Logits are floats with the shape [..., vocabulary].',
    });
  for (const [who, logits] of [
    ['small base', smallBase] as const,
    ...experts.map((expert, t) => [`expert ${t + 1}`, expert] as const),
  ])
    if (logits.dataType !== large.dataType || !shapeEquals(logits.shape, large.shape))
      throw new FusionError(
        `The logits of the ${who} are ${logits.dataType}${shapeText(logits.shape)}, those of the large model ${large.dataType}${shapeText(large.shape)}.`,
        { hint: 'All models need one vocabulary, with the same ids: cut off what only pads one of them.' },
      );
}

/** Element type of the arithmetic. */
export const workType = ({ dataType }: Tensor): DataType => (dataType === 'float64' ? 'float64' : 'float32');

/** Masked tokens have the logit -∞ in all models; their shift must be 0 and not ∞ - ∞. */
const LARGEST_LOGIT = 1e30;
const bounded = (logits: Tensor): Tensor => logits.cast(workType(logits)).clip(-LARGEST_LOGIT, LARGEST_LOGIT);

/**
 * M^L + Σ_t α_t·(M^S_t - M^S): logits, not log-probabilities, so that temperature and top-p apply afterwards.
 *
 * @param alpha Coefficient of each expert; tensors broadcast to the logits.
 */
export function shiftedLogits(
  { large, smallBase, experts }: LogitSources,
  alpha: readonly (Tensor | number)[],
): Tensor {
  const base = bounded(smallBase);
  return experts
    .reduce(
      (sum, expert, t) =>
        sum.add(
          bounded(expert)
            .sub(base)
            .mul(alpha[t] as Tensor | number),
        ),
      large.cast(workType(large)),
    )
    .cast(large.dataType);
}
