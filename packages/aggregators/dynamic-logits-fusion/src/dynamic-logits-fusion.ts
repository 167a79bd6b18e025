import {
  defineOptions,
  OPTIONS,
  plugin,
  pluginFactory,
  type Aggregator,
  type Combined,
  type CombineContext,
  type Source,
} from '@updraft/core';
import { argMin, concat, gatherElements, shapeNode, stack, where, type Tensor, type TensorData } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { FusionError } from './errors.js';
import { searchGrid, stepsIn, type Grid, type Range } from './grid.js';
import { checkLogits, shiftedLogits, sourceRoles, workType, type LogitSources } from './logit-sources.js';

const range = z
  .tuple([z.number(), z.number()])
  .refine(([low, high]) => low <= high, 'expected [low, high], low ≤ high');
const fusionOptions = defineOptions({
  range: z
    .union([range, z.array(range).min(1)])
    .default([0, 2])
    .describe('Where α is searched, [low, high]; a list gives a range to each expert.'),
  coarse: z.number().gt(0).max(1e3).default(0.1).describe('Step of the first search, over the whole range.'),
  fine: z
    .number()
    .gt(0)
    .max(1e3)
    .default(0.02)
    .describe('Step of the second search, within one coarse step of what the first one found.'),
  mode: z
    .enum(['single-active', 'joint'])
    .default('single-active')
    .describe(
      'Several experts: one of them at each token (searches one after the other), or two at once (all pairs of α).',
    ),
});

/** Most points of one stage of a search. */
const MOST_POINTS = 1e5;
/** Most experts whose coefficients are searched together. */
const MOST_JOINT = 2;
/** Logits this far below the largest one count as this: probability 0, without infinities in sums. */
const LOWEST_LOGIT = -1e15;

/** What a fusion gives. T experts; logits [..., V]. */
export interface FusedLogits {
  /** M^L + Σ_t α_t·(M^S_t - M^S): [..., V], of the element type of the large model. */
  readonly logits: Tensor;
  /** α of every expert at every position: [..., T]. */
  readonly alpha: Tensor;
  /** J at this α: [...]. */
  readonly objective: Tensor;
}

/** Coefficients [rows, 1] of some experts, and the objective [rows] there. */
interface Found {
  readonly alpha: readonly Tensor[];
  readonly objective: Tensor;
}

/**
 * Dynamic logits fusion (Fan et al. 2024): adds the logit shifts of small experts to a large model, with coefficients that
 * are chosen anew at every token, such that the large model moves away from its base as far, in both directions of the KL
 * divergence, as the small expert did from its own.
 */
@plugin({
  name: 'dynamic-logits-fusion',
  contract: 'aggregator',
  options: fusionOptions,
  summary: 'Logit shifts of small experts move a large model, as far as they moved the small one, at every token.',
  paper: "Fan et al. 2024, On Giant's Shoulders: Effortless Weak to Strong by Dynamic Logits Fusion",
})
export class DynamicLogitsFusion implements Aggregator {
  /** Sources have roles: none may be missing, or late, or dropped. */
  readonly policy = { minimum: 3, late: 'refuse', duplicated: 'refuse', malformed: 'refuse' } as const;

  /** @throws FusionError for a search of too many points. */
  constructor(@inject(OPTIONS) readonly options: z.output<typeof fusionOptions>) {
    for (const [low, high] of rangesOf(options.range))
      if (Math.max(stepsIn(high - low, options.coarse), 2 * stepsIn(options.coarse, options.fine)) >= MOST_POINTS)
        throw new FusionError(`A search from ${low} to ${high} has steps of ${options.coarse} and ${options.fine}.`, {
          hint: `Choose larger steps, so that each stage has fewer than ${MOST_POINTS} points.`,
        });
  }

  combine(_context: CombineContext, sources: readonly Source[]): Combined {
    const { name, roles } = sourceRoles(sources);
    const { logits, alpha, objective } = this.fuse(roles);
    return { values: { [name]: logits }, outputs: { alpha, objective } };
  }

  /** Fuse the logits of every row on its own. @throws FusionError for logits of different shapes or types. */
  fuse(sources: LogitSources): FusedLogits {
    checkLogits(sources);
    const count = sources.experts.length;
    const ranges = this.#ranges(count);
    const search = new Search(sources);
    const { coarse, fine, mode } = this.options;
    const grid = (experts: readonly number[]): Grid =>
      searchGrid(
        experts.map((t) => ranges[t] as Range),
        coarse,
        fine,
      );
    const all = [...Array(count).keys()];
    // 4, 5. One search over all coefficients, or one for each with the others at 0.
    const { alpha, objective } =
      mode === 'joint' || count === 1
        ? search.minimum(all, grid(all))
        : search.best(all.map((t) => search.minimum([t], grid([t]))));
    const shaped = asPositions(concat(alpha, 1), sources.large);
    return {
      logits: shiftedLogits(
        sources,
        all.map((t) => shaped.slice([t], [t + 1], [-1])),
      ),
      alpha: shaped,
      objective: asPositions(objective, sources.large),
    };
  }

  #ranges(count: number): readonly Range[] {
    const { range: given, mode } = this.options;
    if (mode === 'joint' && count > MOST_JOINT)
      throw new FusionError(`${count} experts cannot be searched together.`, {
        hint: `Give at most ${MOST_JOINT}, or say mode: "single-active".`,
      });
    const ranges = rangesOf(given);
    const perExpert = Array.isArray(given[0]);
    if (perExpert && ranges.length !== count)
      throw new FusionError(`There are ${ranges.length} ranges for ${count} experts.`, {
        hint: 'Give one range for each expert, or a single one for all of them.',
      });
    return perExpert ? ranges : Array.from({ length: count }, () => ranges[0] as Range);
  }
}

/** The search over the rows of some logits. P, Q, Q_t are log-probabilities [rows, V]. */
class Search {
  readonly #large: Tensor;
  readonly #P: Tensor;
  readonly #shifts: readonly Tensor[];
  /** f_t and b_t: [rows]. */
  readonly #targets: readonly { readonly forward: Tensor; readonly backward: Tensor }[];

  constructor({ large, smallBase, experts }: LogitSources) {
    const [first, base, ...tuned] = [large, smallBase, ...experts].map(centeredRows) as [Tensor, Tensor, ...Tensor[]];
    this.#large = first;
    this.#shifts = tuned.map((expert) => expert.sub(base));
    this.#P = first.logSoftmax(-1);
    const Q = base.logSoftmax(-1);
    // 2. f_t = KL(Q_t‖Q), b_t = KL(Q‖Q_t).
    this.#targets = tuned.map((expert) => {
      const Qt = expert.logSoftmax(-1);
      return { forward: divergence(Qt, Q), backward: divergence(Q, Qt) };
    });
  }

  /**
   * J [points, rows] of all experts' targets; experts that are not listed have α = 0.
   *
   * @param alpha Coefficients of the listed experts: [points, rows or 1, 1].
   */
  #objective(experts: readonly number[], alpha: readonly Tensor[]): Tensor {
    // 1. P̃(α) = softmax(M^L + Σ_t α_t·(M^S_t - M^S)).
    const fused = experts
      .reduce((sum, t, at) => sum.add((alpha[at] as Tensor).mul(this.#shifts[t] as Tensor)), this.#large)
      .logSoftmax(-1);
    const [away, back] = [divergence(fused, this.#P), divergence(this.#P, fused)];
    // 3. J(α) = Σ_t (KL(P̃‖P) - f_t)² + (KL(P‖P̃) - b_t)².
    return this.#targets
      .map(({ forward, backward }) => away.sub(forward).square().add(back.sub(backward).square()))
      .reduce((sum, term) => sum.add(term));
  }

  /** The point of a grid with the smallest J for every row; the smallest α among equals. */
  minimum(experts: readonly number[], { coarse, fine }: Grid): Found {
    const { graph, dataType } = this.#large;
    const constant = (values: readonly number[], dims: readonly number[]): Tensor =>
      graph.constant({
        dataType,
        dims,
        data: (dataType === 'float64' ? Float64Array : Float32Array).from(values),
      } as TensorData);
    // 4. Coarse, over the whole range.
    const nearest = smallest(
      this.#objective(
        experts,
        experts.map((_, at) => constant(column(coarse, at), [coarse.length, 1, 1])),
      ),
    );
    // Fine, around the coarse minimiser of each row: [rows, points].
    const width = fine[0]?.length ?? 0;
    const around = experts.map((_, at) => constant(column(fine.flat(), at), [fine.length, width]).gather(nearest));
    const values = this.#objective(
      experts,
      around.map((points) => points.transpose([1, 0]).unsqueeze([2])),
    );
    const chosen = smallest(values).unsqueeze([1]);
    return {
      alpha: around.map((points) => gatherElements(points, chosen, { axis: 1 })),
      objective: values.min([0]),
    };
  }

  /** 5. The expert with the smallest J alone, the first among equals; α of the others is 0. */
  best(alone: readonly Found[]): Found {
    const objectives = stack(alone.map(({ objective }) => objective));
    const active = smallest(objectives).unsqueeze([1]);
    return {
      alpha: alone.map(({ alpha: [alpha] }, t) => where(active.equal(t), alpha as Tensor, 0)),
      objective: objectives.min([0]),
    };
  }
}

/** Logits [rows, V] less their largest: constants that a model adds to all of its logits do not cost accuracy. */
function centeredRows(logits: Tensor): Tensor {
  const rows = logits.cast(workType(logits)).flatten(logits.rank - 1);
  return rows.sub(rows.max([-1], { keepDims: true })).maximum(LOWEST_LOGIT);
}

/** KL(A‖B) = Σ_v A_v·(log A_v - log B_v) of log-probabilities: no quotient of probabilities is ever formed. */
const divergence = (a: Tensor, b: Tensor): Tensor => a.exp().mul(a.sub(b)).sum([-1]);

/** Position of the smallest along the first axis, the first among equals. */
const smallest = (values: Tensor): Tensor => argMin(values, 0, { keepDims: false });

const column = (points: readonly (readonly number[])[], at: number): number[] =>
  points.map((point) => point[at] as number);

const rangesOf = (given: Range | readonly Range[]): readonly Range[] =>
  Array.isArray(given[0]) ? (given as readonly Range[]) : [given as Range];

/** [rows, …] with the leading axes of the logits instead of the rows. */
function asPositions(value: Tensor, logits: Tensor): Tensor {
  if (logits.rank === 2) return value;
  if (logits.rank === 1) return value.squeeze([0]);
  const lead = shapeNode(logits, { start: 0, end: logits.rank - 1 });
  const last = value.shape[1];
  return value.reshape(last === undefined ? lead : concat([lead, value.graph.ints([Number(last)])], 0));
}

/** Logits of small experts move a large model, with a new coefficient at every token (Fan et al. 2024). */
export const dynamicLogitsFusion = pluginFactory(DynamicLogitsFusion, fusionOptions);
