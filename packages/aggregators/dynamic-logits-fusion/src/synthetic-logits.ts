import { RandomStream } from '@updraft/core';
import { emptyTensor, type TensorData } from '@updraft/graph';

/** How sharp the models are: factors of the logits of the large one and of both small ones. */
export interface Sharpness {
  readonly large: number;
  readonly small: number;
}

/** Logits [contexts, vocabulary] of a truth, and of models that see it through errors of their own. */
export type SyntheticLogits = Readonly<Record<'truth' | 'large' | 'smallBase' | 'expert', TensorData<'float32'>>>;

/**
 * Base logits B ~ 2·N(0, 1), and a task that shifts them by D ~ 2·N(0, 1) in a random half of the contexts and by
 * 0.1·N(0, 1) in the others. The truth is B + D, the large model B with an error of 0.3; the small ones share an error of 1,
 * and the expert has seen D with a further error of 0.5.
 */
export function syntheticLogits(
  contexts: number,
  vocabulary: number,
  sharpness: Sharpness,
  seed: number,
): SyntheticLogits {
  const random = RandomStream.fromSeed(seed).split('synthetic-logits');
  const logits = (): TensorData<'float32'> => emptyTensor('float32', [contexts, vocabulary]);
  const made = { truth: logits(), large: logits(), smallBase: logits(), expert: logits() };
  for (let row = 0; row < contexts; row++) {
    const size = random.integer(2) === 0 ? 2 : 0.1;
    for (let at = row * vocabulary; at < (row + 1) * vocabulary; at++) {
      const [base, shift, shared] = [2 * random.normal(), size * random.normal(), random.normal()];
      made.truth.data[at] = base + shift;
      made.large.data[at] = sharpness.large * (base + 0.3 * random.normal());
      made.smallBase.data[at] = sharpness.small * (base + shared);
      made.expert.data[at] = sharpness.small * (base + shift + shared + 0.5 * random.normal());
    }
  }
  return made;
}

/** log softmax of one row, in float64. */
function logProbabilities(row: Float32Array): Float64Array {
  const largest = row.reduce((left, right) => Math.max(left, right));
  const total = row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  return Float64Array.from(row, (logit) => logit - largest - Math.log(total));
}

const first = (row: ArrayLike<number>): number => {
  let best = 0;
  for (let at = 1; at < row.length; at++) if ((row[at] as number) > (row[best] as number)) best = at;
  return best;
};

/** Mean KL(truth‖model) over the contexts, and how often both have the same most probable token. */
export function distanceToTruth(
  truth: TensorData<'float32'>,
  model: TensorData<'float32'>,
): { readonly kl: number; readonly top1: number } {
  const [contexts, vocabulary] = truth.dims as [number, number];
  let [kl, same] = [0, 0];
  for (let row = 0; row < contexts; row++) {
    const slice = ({ data }: TensorData<'float32'>): Float64Array =>
      logProbabilities(data.subarray(row * vocabulary, (row + 1) * vocabulary));
    const [p, q] = [slice(truth), slice(model)];
    p.forEach((logP, at) => (kl += Math.exp(logP) * (logP - (q[at] as number))));
    if (first(p) === first(q)) same++;
  }
  return { kl: kl / contexts, top1: same / contexts };
}
