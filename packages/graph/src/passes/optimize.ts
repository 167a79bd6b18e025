import { UpdraftError } from '../errors.js';
import type { Graph } from '../graph.js';
import type { Tensor } from '../tensor.js';
import { cleanUp } from './clean-up.js';
import { commonSubexpressions } from './common-subexpressions.js';
import { constantFolding } from './constant-folding.js';
import { countNodes } from './dead-code.js';
import { exactAlgebra } from './exact-algebra.js';
import { knownBranches } from './known-branches.js';
import { rewrite, type RewriteRule } from './rewrite.js';

/** What every graph may go through: results stay equal to the last bit. */
export const standardRules = (): readonly RewriteRule[] => [
  knownBranches,
  constantFolding(),
  exactAlgebra,
  cleanUp,
  commonSubexpressions,
];

export interface OptimizeOptions {
  /** Default: {@link standardRules}. */
  readonly rules?: readonly RewriteRule[];
  /** Most walks over the graph. Default: 10; two or three usually suffice. */
  readonly maxRounds?: number;
}

export interface OptimizeStatistics {
  readonly rounds: number;
  readonly nodesBefore: number;
  readonly nodesAfter: number;
  readonly constantsBefore: number;
  readonly constantsAfter: number;
  /** Replacements by rule. */
  readonly changes: Readonly<Record<string, number>>;
}

export interface OptimizeResult {
  readonly graph: Graph;
  /** What became of the values of the source; values that nothing needs are missing. */
  readonly map: ReadonlyMap<Tensor, Tensor>;
  readonly statistics: OptimizeStatistics;
}

/**
 * Apply rules until nothing changes. Returns a new graph with the same inputs and outputs, whose outputs are equal to
 * the last bit (up to the payload of NaN). Dead nodes and constants go.
 */
export function optimize(
  source: Graph,
  { rules = standardRules(), maxRounds = 10 }: OptimizeOptions = {},
): OptimizeResult {
  if (!(maxRounds >= 1)) throw new UpdraftError('option', `maxRounds is ${maxRounds}; it must be at least 1.`);
  const changes: Record<string, number> = Object.fromEntries(rules.map(({ name }) => [name, 0]));
  let graph = source;
  let map: ReadonlyMap<Tensor, Tensor> | undefined;
  let rounds = 0;
  while (rounds < maxRounds) {
    const result = rewrite(graph, rules);
    rounds++;
    ({ graph } = result);
    map = map === undefined ? result.map : compose(map, result.map);
    for (const [name, count] of result.changes) changes[name] = (changes[name] ?? 0) + count;
    if (result.changes.size === 0) break;
  }
  return {
    graph,
    map: map ?? new Map(),
    statistics: {
      rounds,
      nodesBefore: countNodes(source),
      nodesAfter: countNodes(graph),
      constantsBefore: source.constants.size,
      constantsAfter: graph.constants.size,
      changes,
    },
  };
}

function compose(first: ReadonlyMap<Tensor, Tensor>, second: ReadonlyMap<Tensor, Tensor>): Map<Tensor, Tensor> {
  const both = new Map<Tensor, Tensor>();
  for (const [from, between] of first) {
    const to = second.get(between);
    if (to !== undefined) both.set(from, to);
  }
  return both;
}
