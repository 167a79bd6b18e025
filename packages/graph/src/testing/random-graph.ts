import fc from 'fast-check';
import { tensor } from '../data-type.js';
import { isStatic } from '../dimension.js';
import { Graph, insideGraph } from '../graph.js';
import { cond, loop, scan } from '../operators/control-flow.js';
import { cast, identity, shapeNode } from '../operators/creation.js';
import { concat, expand, reshape, squeeze, transpose, unsqueeze } from '../operators/shape-operators.js';
import { matMul } from '../operators/matrix.js';
import { add, div, mul, pow, sub } from '../operators/arithmetic.js';
import { shapeEquals } from '../shape.js';
import type { Tensor } from '../tensor.js';

/** One choice per step: what to do and with which operands. */
export interface Step {
  readonly action: number;
  readonly a: number;
  readonly b: number;
  readonly value: number;
}

const step = fc.record({
  action: fc.nat(1000),
  a: fc.nat(1000),
  b: fc.nat(1000),
  value: fc.constantFrom(-2, -1, -0, 0, 0.1, 0.5, 1, 2, 3, NaN, Infinity),
});

/** Programs for {@link buildRandomGraph}. */
export const randomSteps = (maxLength = 14): fc.Arbitrary<Step[]> => fc.array(step, { minLength: 1, maxLength });

const BINARY = [add, sub, mul, div] as const;
const UNARY = [
  (x: Tensor) => x.neg(),
  (x: Tensor) => x.abs(),
  (x: Tensor) => x.relu(),
  (x: Tensor) => identity(x),
  (x: Tensor) => cast(cast(x, 'float64'), 'float32'),
  (x: Tensor) => x.maximum(0),
  (x: Tensor) => x.sqrt(),
  (x: Tensor) => pow(x, 2),
] as const;

/** A graph of float32 tensors with static shapes, constants, shape arithmetic and control flow, decided by `steps`. */
export function buildRandomGraph(steps: readonly Step[], { bodies = true }: { bodies?: boolean } = {}): Graph {
  const graph = new Graph('random');
  const pool: Tensor[] = [
    graph.input('x', 'float32', [2, 3]),
    graph.input('y', 'float32', [3]),
    graph.input('z', 'float32', [3, 2]),
    graph.constant(tensor([0.5, -0.25, 3])),
    graph.constant(
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ),
  ];
  run(steps, pool, bodies);
  const computed = pool.filter(({ producer }) => producer !== undefined);
  const last = computed.slice(-3);
  if (last.length === 0) last.push(identity(pool[0] as Tensor));
  [...new Set(last)].forEach((value, index) => graph.output(identity(value), `out${index}`));
  return graph;
}

function run(steps: readonly Step[], pool: Tensor[], bodies: boolean): void {
  const pick = (index: number): Tensor => pool[index % pool.length] as Tensor;
  for (const { action, a, b, value } of steps) {
    const [x, y] = [pick(a), pick(b)];
    const made = act(action % 16, x, y, value, pool, bodies);
    if (made !== undefined && made.shape.every(isStatic) && made.rank <= 4) pool.push(made);
  }
}

function act(
  action: number,
  x: Tensor,
  y: Tensor,
  value: number,
  pool: readonly Tensor[],
  bodies: boolean,
): Tensor | undefined {
  const { graph } = x;
  const twin = pool.find((other) => other !== x && shapeEquals(other.shape, x.shape)) ?? x;
  switch (action) {
    case 0:
    case 1:
      return (BINARY[Math.abs(value | 0) % 4] as typeof add)(x, twin);
    case 2:
    case 3:
      return BINARY[action](x, value);
    case 4:
      return (UNARY[Math.abs(Math.round(value * 7) | 0) % UNARY.length] as (x: Tensor) => Tensor)(x);
    case 5:
      return add(mul(x, 1), 0);
    case 6:
      return x.rank < 2 ? undefined : transpose(x);
    case 7:
      return transpose(transpose(x));
    case 8:
      return reshape(reshape(x, [-1]), x.shape as readonly number[]);
    case 9:
      return unsqueeze(x, [0]);
    case 10:
      return squeeze(unsqueeze(x, [x.rank]), [x.rank]);
    case 11:
      return x.rank === 2 && y.rank === 2 && x.shape[1] === y.shape[0] ? matMul(x, y) : x.sum();
    case 12:
      return expand(x, concat([graph.ints([2]), shapeNode(x)], 0));
    case 13: {
      // The same thing twice, for common-subexpression elimination.
      return add(x.mul(twin), x.mul(twin));
    }
    case 14: {
      if (!bodies) return undefined;
      const flag = x.sum().greater(value);
      return cond(
        flag,
        () => [x.mul(twin).mul(1)],
        () => [x.add(graph.constant(value))],
      )[0];
    }
    default: {
      if (!bodies) return undefined;
      if (x.rank > 0 && value > 0.5)
        return scan({ inputs: [x] }, (_, [slice]) => ({ outputs: [(slice as Tensor).mul(2).neg()] })).outputs[0];
      return loop({ count: 2, state: [x] }, (_, [state]) => ({
        state: [insideGraph((state as Tensor).graph, () => (state as Tensor).add(twin.mul(0.5)))],
      })).state[0];
    }
  }
}
