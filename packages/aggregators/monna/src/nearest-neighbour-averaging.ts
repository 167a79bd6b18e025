import {
  CoreError,
  defineOptions,
  jointNorm,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  type Aggregator,
  type Combined,
  type CombineContext,
  type SourcePolicy,
  type Source,
} from '@updraft/core';
import { isNaN as isNotANumber, stack, tensor, where, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const nearestNeighbourAveragingOptions = defineOptions({
  f: z.number().int().min(0).describe('How many of the models that arrive may come from an attacker; fewer than half.'),
});

/**
 * Nearest-neighbour averaging, the mixing of MoNNA (Farhadkhani et al. 2023): a peer averages the N − f models that are
 * nearest to its own, of the N that it considers with its own among them. Distances are those of whole models. For peers:
 * `federate` with `topology: 'peers'`, with {@link polyakMomentum} as the local step. Weights do not count.
 *
 * Outputs: `distances` and `kept` (1 or 0), the own model first, then the others in their order.
 *
 * @throws CoreError without an own model, and for N ≤ 2f.
 */
@plugin({
  name: 'monna',
  contract: 'aggregator',
  options: nearestNeighbourAveragingOptions,
  summary: 'Mean of the models nearest to the own one: robust against f attackers, without a server.',
  paper: 'Farhadkhani et al. 2023, Robust Collaborative Learning with Linear Gradient Overhead',
})
export class NearestNeighbourAveraging implements Aggregator {
  /** With fewer models a peer keeps its own. */
  readonly policy: Partial<SourcePolicy>;

  constructor(@inject(OPTIONS) readonly options: z.output<typeof nearestNeighbourAveragingOptions>) {
    this.policy = { minimum: 2 * options.f + 1 };
  }

  combine({ own }: CombineContext, sources: readonly Source[]): Combined {
    const keep = keptCount(sources.length, this.options.f);
    if (own === undefined)
      throw new CoreError('aggregator', 'Nearest-neighbour averaging has no own model to measure distances from.', {
        hint: "Run it at peers: federate with topology: 'peers', or aggregate with the option own.",
      });
    const others = sources.filter((source) => source !== own);
    const work = Object.values(own.values).some(({ dataType }) => dataType === 'float64') ? 'float64' : 'float32';
    // x_j − θ, of which distances and the mean are made: equal models have differences of exactly 0.
    const differences = others.map(({ values }) =>
      mapValues(own.values, (theta, name) => (values[name] as Tensor).sub(theta)),
    );
    // d_j = ‖x_j − θ‖ over all tensors together; what is no number is infinitely far.
    const distances = differences.map((difference) => {
      const distance = jointNorm(mapValues(difference, (value) => value.cast(work))).cast('float32');
      return where(isNotANumber(distance), Infinity, distance);
    });
    const kept = nearest(distances, keep - 1);
    // θ ← mean of the N − f nearest. The own one, at distance 0, is always among them.
    const values = mapValues(own.values, (theta, name) => {
      const none = theta.graph.constant(0, theta.dataType);
      return differences
        .map((difference, j) => where(kept[j] as Tensor, difference[name] as Tensor, none))
        .reduce((left, right) => left.add(right), none)
        .div(keep)
        .add(theta);
    });
    const { graph } = own.weight;
    return {
      values,
      outputs: {
        distances: stack([graph.constant(0), ...distances]),
        kept: stack([graph.constant(1), ...kept.map((flag) => flag.cast('float32'))]),
      },
    };
  }
}

/** N − f. @throws CoreError for N ≤ 2f. */
export function keptCount(models: number, f: number): number {
  if (models <= 2 * f)
    throw new CoreError('aggregator', `Of ${models} models ${f} may come from attackers: that is half or more.`, {
      hint: `Wait for at least ${2 * f + 1} models, the own one among them, or lower f.`,
    });
  return models - f;
}

/** Which distances are among the `places` smallest; of equal ones the first are taken. */
function nearest(distances: readonly Tensor[], places: number): Tensor[] {
  const [first] = distances;
  if (first === undefined) return [];
  // Row k and column j: whether k comes before j.
  const [k, j] = [stack(distances, 0).unsqueeze([1]), stack(distances, 0).unsqueeze([0])];
  const earlier = first.graph.constant(
    tensor(distances.map((_, row) => distances.map((__, column) => (row < column ? 1 : 0)))),
  );
  const before = k.less(j).cast('float32').add(k.equal(j).cast('float32').mul(earlier));
  const near = before.sum([0]).less(places);
  return distances.map((_, at) => near.slice([at], [at + 1], [0]).reshape([]));
}

/** Nearest-neighbour averaging. */
export const nearestNeighbourAveraging = pluginFactory(NearestNeighbourAveraging, nearestNeighbourAveragingOptions);
