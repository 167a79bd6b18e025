import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { DataType } from '../data-type.js';
import { symbol, type Dim } from '../dimension.js';
import { UpdraftError } from '../errors.js';
import { Graph } from '../graph.js';
import { substituteShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import * as operators from './index.js';

interface Draw {
  readonly integer: (min: number, max: number) => number;
  readonly flag: () => boolean;
  readonly pick: <T>(values: readonly T[]) => T;
  /** An input; sizes drawn as symbols in one build and as numbers in the other. */
  readonly input: (shape: readonly number[], dataType?: DataType) => Tensor;
  readonly sizes: (rank: number) => number[];
}
type Family = (draw: Draw) => readonly Tensor[];

const axesOf = (draw: Draw, rank: number): number[] =>
  Array.from({ length: rank }, (_, axis) => axis).filter(() => draw.flag());

const families: Readonly<Record<string, Family>> = {
  unary(draw) {
    const x = draw.input(draw.sizes(draw.integer(0, 4)));
    return [
      draw.pick([operators.exp, operators.relu, operators.isNaN, operators.identity])(x),
      operators.cast(x, 'int32'),
    ];
  },
  broadcasting(draw) {
    const shape = draw.sizes(draw.integer(1, 4));
    const other = shape.map((size) => (draw.flag() ? size : 1)).slice(draw.integer(0, shape.length));
    const [x, y] = [draw.input(shape), draw.input(other)];
    return [
      draw.pick([operators.add, operators.less, operators.maximum, operators.mean])(x, y),
      operators.where(operators.greater(y, x), x, y),
    ];
  },
  reductions(draw) {
    const shape = draw.sizes(draw.integer(1, 4));
    const x = draw.input(shape);
    const axis = draw.integer(-shape.length, shape.length - 1);
    return [
      draw.pick([operators.reduceSum, operators.reduceMean, operators.reduceL2])(x, axesOf(draw, shape.length), {
        keepDims: draw.flag(),
        noopWithEmptyAxes: draw.flag(),
      }),
      operators.argMax(x, axis, { keepDims: draw.flag() }),
      operators.softmax(x, axis),
      operators.cumSum(x, axis),
    ];
  },
  reshapes(draw) {
    const shape = draw.sizes(draw.integer(1, 4));
    const x = draw.input(shape);
    const axis = draw.integer(0, shape.length - 1);
    const at = draw.integer(0, shape.length);
    return [
      operators.reshape(x, [-1]),
      operators.reshape(
        x,
        shape.map((_, index) => (index === axis ? -1 : 0)),
      ),
      operators.reshape(x, operators.concat([operators.shapeNode(x, { end: axis }), x.graph.ints([-1, 1])], 0)),
      operators.flatten(x, at),
      operators.squeeze(operators.unsqueeze(x, [at]), [at]),
      operators.transpose(x),
      operators.tile(
        x,
        shape.map(() => draw.integer(1, 3)),
      ),
      operators.pad(
        x,
        [...shape, ...shape].map(() => draw.integer(0, 2)),
      ),
      operators.concat([x, x, operators.exp(x)], axis),
      operators.expand(operators.unsqueeze(x, [0]), [draw.integer(1, 4), ...shape.map(() => 1)]),
    ];
  },
  slices(draw) {
    const shape = draw.sizes(draw.integer(1, 3));
    const axis = draw.integer(0, shape.length - 1);
    const x = draw.input(shape);
    const forward = draw.flag();
    const bound = (): number => draw.pick([draw.integer(0, 7), forward ? 2 ** 31 - 1 : -(2 ** 31)]);
    return [operators.slice(x, [draw.integer(0, 7)], [bound()], [axis], [draw.integer(1, 3) * (forward ? 1 : -1)])];
  },
  splits(draw) {
    const shape = draw.sizes(draw.integer(1, 3));
    const axis = draw.integer(0, shape.length - 1);
    return operators.split(draw.input(shape), (shape[axis] as number) === 1 ? 1 : 2, axis);
  },
  blocks(draw) {
    const block = draw.integer(1, 3);
    const [batch, channels, height, width] = draw.sizes(4) as [number, number, number, number];
    const x = draw.input([batch, channels, height * block, width * block]);
    return [operators.spaceToDepth(x, block), operators.depthToSpace(operators.spaceToDepth(x, block), block)];
  },
  indexing(draw) {
    const shape = draw.sizes(draw.integer(1, 3));
    const x = draw.input(shape);
    const axis = draw.integer(0, shape.length - 1);
    const indices = draw.input(draw.sizes(draw.integer(0, 2)), 'int64');
    return [
      operators.gather(x, indices, axis),
      operators.gatherND(x, draw.input([draw.integer(1, 4), 1], 'int64')),
      operators.oneHot(indices, 5, x.graph.ints([0, 1])),
      operators.constantOfShape(x.graph, operators.shapeNode(x)),
    ];
  },
  composed(draw) {
    const shape = draw.sizes(draw.integer(1, 4));
    const target = draw.input(shape.map((size) => (draw.flag() ? size : 1)));
    const x = draw.input(shape);
    return [
      operators.sumTo(x, target),
      operators.broadcastTo(target, x),
      operators.zerosLike(x),
      operators.stack([x, x], draw.integer(0, shape.length)),
      operators.sizeOf(x),
    ];
  },
};

/** Build a family from the same decisions, with every size above 1 as a number or as a symbol. */
function build(family: Family, decisions: readonly number[], symbolic: boolean): readonly Tensor[] {
  const graph = new Graph('symbolic');
  let at = 0;
  const integer = (min: number, max: number): number =>
    min + ((decisions[at++ % decisions.length] as number) % (max - min + 1));
  // One symbol per size, and the size 1 stays: a symbol that happens to be 1 broadcasts only by assumption.
  const dim = (size: number): Dim => (symbolic && size > 1 ? symbol(`size${size}`) : size);
  return family({
    integer,
    flag: () => integer(0, 1) === 1,
    pick: (values) => values[integer(0, values.length - 1)] as (typeof values)[number],
    sizes: (rank) => Array.from({ length: rank }, () => integer(1, 6)),
    input: (shape, dataType = 'float32') => graph.input(`in${graph.inputs.length}`, dataType, shape.map(dim)),
  });
}

const BINDINGS = new Map<string, Dim>(Array.from({ length: 40 }, (_, size) => [`size${size}`, size]));

describe('shapes inferred with symbols and then bound equal shapes inferred with numbers', () => {
  test.each(Object.entries(families))('%s', (_, family) => {
    let compared = 0;
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5039 }), { minLength: 30, maxLength: 30 }), (decisions) => {
        let expected: readonly Tensor[];
        try {
          expected = build(family, decisions, false);
        } catch (error) {
          if (error instanceof UpdraftError) return;
          throw error;
        }
        const bound = build(family, decisions, true).map(({ shape }) => substituteShape(shape, BINDINGS));
        expect(bound).toEqual(expected.map(({ shape }) => shape));
        compared++;
      }),
      { numRuns: 200 },
    );
    expect(compared).toBeGreaterThan(50);
  });
});

test('contents of broadcast integer matrices are not taken for a vector', () => {
  const graph = new Graph('contents');
  const column = graph.constant({ dataType: 'int64', dims: [2, 1], data: BigInt64Array.of(1n, 2n) });
  const total = operators.add(column, graph.ints([10, 20]));
  expect(total.shape).toEqual([2, 2]);
  expect(total.elements).toBeUndefined();
});
