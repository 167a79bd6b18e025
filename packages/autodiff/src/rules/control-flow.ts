import {
  add,
  cond,
  currentGraph,
  insideGraph,
  instantiate,
  isFloat,
  isStatic,
  rangeOf,
  readElement,
  reshape,
  scan,
  shapeEquals,
  shapeOf,
  zerosLike,
  type Graph,
  type Node,
  type ScanDirection,
  type Tensor,
} from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';
import { randomNode } from '../randomness.js';

/** The deepest of the graphs that the values live in, and of the one under construction. */
function deepestGraph(values: readonly (Tensor | undefined)[]): Graph {
  let graph = currentGraph();
  for (const value of values)
    if (value !== undefined && (graph === undefined || !graph.sees(value.graph))) graph = value.graph;
  return graph as Graph;
}

/** `gradient` in the shape of `value`, where inference sees that they are the same in one of two ways only. */
const fitted = (gradient: Tensor, value: Tensor): Tensor =>
  shapeEquals(gradient.shape, value.shape) ? gradient : reshape(gradient, shapeOf(value));

/** The backward pass computes bodies again, which must give the same values. */
function requireRepeatable(context: DerivativeContext): void {
  for (const [, body] of context.node.subgraphs()) {
    const random = randomNode(body);
    if (random !== undefined)
      context.fail(
        `its body "${body.name}" draws random numbers (${random.key} "${random.name}"), which would differ in the backward pass`,
        'Draw them outside and pass them in.',
      );
  }
}

/** Gradients of the branch with respect to `wanted`, computed in the graph under construction. */
function branchGradients(context: DerivativeContext, branch: Graph, wanted: readonly Tensor[]): Tensor[] {
  const here = currentGraph() as Graph;
  const values = instantiate(branch.outputs, new Map(), here);
  const heads: Tensor[] = [];
  const seeds: Tensor[] = [];
  values.forEach((value, index) => {
    const seed = context.outputGradients[index];
    if (seed === undefined || !isFloat(value.dataType)) return;
    heads.push(value);
    seeds.push(fitted(seed, value));
  });
  const results = context.differentiate(heads, wanted, seeds);
  return results.map((result, index) => fitted(result, wanted[index] as Tensor));
}

/** The condition decides again in the backward pass, whose branches compute the gradients of the forward branches. */
const conditional: DerivativeRule = {
  operator: 'If',
  order: 'any',
  notes: 'gradients flow to the outer values that the branches use; the branch taken is computed again',
  backward(context) {
    requireRepeatable(context);
    const { node } = context;
    const wanted = context.inputs.flatMap((input, index) =>
      context.needs(index) ? [{ input: input as Tensor, index }] : [],
    );
    const values = wanted.map(({ input }) => input);
    const graph = deepestGraph([...context.inputs, ...context.outputGradients]);
    const branch = (name: string) => () => branchGradients(context, node.subgraph(name), values);
    const results = cond(context.input(0), branch('then_branch'), branch('else_branch'), { graph });
    const all: (Tensor | undefined)[] = context.inputs.map(() => undefined);
    wanted.forEach(({ index }, at) => {
      all[index] = results[at];
    });
    return all;
  },
};

interface ScanParts {
  readonly body: Graph;
  readonly states: readonly Tensor[];
  readonly sequences: readonly Tensor[];
  readonly inputAxes: readonly number[];
  readonly inputDirections: readonly ScanDirection[];
  readonly outputAxes: readonly number[];
  readonly outputDirections: readonly ScanDirection[];
}

const turned = (direction: ScanDirection): ScanDirection => (direction === 'forward' ? 'backward' : 'forward');

function scanParts(node: Node): ScanParts {
  const body = node.subgraph('body');
  const inputs = node.inputs as readonly Tensor[];
  const stateCount = inputs.length - node.int('num_scan_inputs');
  const list = (name: string, count: number): readonly number[] => {
    const given = node.optionalInts(name) ?? [];
    return Array.from({ length: count }, (_, index) => given[index] ?? 0);
  };
  const directions = (name: string, count: number): readonly ScanDirection[] =>
    list(name, count).map((one) => (one === 1 ? 'backward' : 'forward'));
  const scanned = inputs.length - stateCount;
  const collected = body.outputs.length - stateCount;
  return {
    body,
    states: inputs.slice(0, stateCount),
    sequences: inputs.slice(stateCount),
    inputAxes: list('scan_input_axes', scanned),
    inputDirections: directions('scan_input_directions', scanned),
    outputAxes: list('scan_output_axes', collected),
    outputDirections: directions('scan_output_directions', collected),
  };
}

/** The body at other inputs, in the graph under construction. */
const instantiated = (body: Graph, inputs: readonly Tensor[]): Tensor[] =>
  instantiate(
    body.outputs,
    new Map(body.inputs.map((input, index) => [input, inputs[index] as Tensor])),
    currentGraph() as Graph,
  );

/** The states that enter each step, in order of the steps, stacked along a new first axis. */
function enteringStates(parts: ScanParts, graph: Graph): readonly Tensor[] {
  const { body, states, sequences, inputAxes, inputDirections } = parts;
  if (states.length === 0) return [];
  return scan({ state: states, inputs: sequences, inputAxes, inputDirections, graph }, (entering, slices) => ({
    state: instantiated(body, [...entering, ...slices]).slice(0, states.length),
    outputs: entering,
  })).outputs;
}

/**
 * Back-propagation through time: the forward scan runs again to save the state that enters every step; a second scan
 * walks the steps in reverse with the gradients of the states, and sums up those of the captured values, as its state.
 */
function scanBackward(context: DerivativeContext): (Tensor | undefined)[] {
  requireRepeatable(context);
  const parts = scanParts(context.node);
  const { body, states, sequences } = parts;
  const count = states.length;
  const graph = deepestGraph([...context.inputs, ...context.outputGradients]);
  return insideGraph(graph, () => {
    const entering = enteringStates(parts, graph);
    // Gradients of integer states do not exist; those of all others are carried from step to step.
    const carried = states.flatMap((state, index) => (isFloat(state.dataType) ? [index] : []));
    const wantedSequences = sequences.flatMap((_, index) => (context.needs(count + index) ? [index] : []));
    const first = context.node.inputs.length;
    const wantedCaptures = context.captures.flatMap((value, index) =>
      context.needs(first + index) ? [{ value, index }] : [],
    );
    const seeded = body.outputs
      .slice(count)
      .flatMap((output, index) =>
        context.outputGradients[count + index] !== undefined && isFloat(output.dataType) ? [index] : [],
      );
    const { state, outputs } = scan(
      {
        graph,
        state: [
          ...carried.map((index) => context.gradient(index)),
          ...wantedCaptures.map(({ value }) => zerosLike(value)),
        ],
        inputs: [...sequences, ...entering, ...seeded.map((index) => context.gradient(count + index))],
        inputAxes: [
          ...parts.inputAxes,
          ...entering.map(() => 0),
          ...seeded.map((index) => parts.outputAxes[index] as number),
        ],
        inputDirections: [
          ...parts.inputDirections.map(turned),
          ...entering.map((): ScanDirection => 'backward'),
          ...seeded.map((index) => turned(parts.outputDirections[index] as ScanDirection)),
        ],
        outputAxes: wantedSequences.map((index) => parts.inputAxes[index] as number),
        outputDirections: wantedSequences.map((index) => turned(parts.inputDirections[index] as ScanDirection)),
      },
      (flowing, slices) => {
        const here = slices.slice(0, sequences.length);
        const before = slices.slice(sequences.length, sequences.length + count);
        const results = instantiated(body, [...before, ...here]);
        const heads = [
          ...carried.map((index) => results[index] as Tensor),
          ...seeded.map((index) => results[count + index] as Tensor),
        ];
        const given = [...flowing.slice(0, carried.length), ...slices.slice(sequences.length + count)];
        const variables = [
          ...carried.map((index) => before[index] as Tensor),
          ...wantedSequences.map((index) => here[index] as Tensor),
          ...wantedCaptures.map(({ value }) => value),
        ];
        const found = context
          .differentiate(
            heads,
            variables,
            given.map((seed, index) => fitted(seed, heads[index] as Tensor)),
          )
          .map((gradient, index) => fitted(gradient, variables[index] as Tensor));
        const slicesEnd = carried.length + wantedSequences.length;
        return {
          state: [
            ...found.slice(0, carried.length),
            ...found
              .slice(slicesEnd)
              .map((gradient, index) => add(flowing[carried.length + index] as Tensor, gradient)),
          ],
          outputs: found.slice(carried.length, slicesEnd),
        };
      },
    );
    const all: (Tensor | undefined)[] = context.inputs.map(() => undefined);
    carried.forEach((index, at) => {
      all[index] = state[at];
    });
    wantedSequences.forEach((index, at) => {
      all[count + index] = outputs[at];
    });
    wantedCaptures.forEach(({ index }, at) => {
      all[first + index] = state[carried.length + at];
    });
    return all;
  });
}

/** Whether a condition is true when the graph is built. */
function isTrue(condition: Tensor | undefined): boolean {
  if (condition?.constant !== undefined) return readElement(condition.constant, 0) !== 0;
  const known = condition?.elements?.[0];
  return known !== undefined && isStatic(known) && known !== 0;
}

/** A loop that always runs to its count is a scan over the numbers of its iterations. */
function loopAsScan(context: DerivativeContext): readonly (Tensor | undefined)[] {
  requireRepeatable(context);
  const { node } = context;
  const body = node.subgraph('body');
  const [count, condition] = node.inputs;
  if (count === undefined)
    return context.fail('a loop without a trip count has no derivative', 'Give the loop a count.');
  let goesOn = body.outputs[0] as Tensor;
  while (goesOn.producer?.type === 'Identity') goesOn = goesOn.producer.inputs[0] as Tensor;
  if ((condition !== undefined && !isTrue(condition)) || (goesOn !== body.inputs[1] && !isTrue(goesOn)))
    context.fail(
      'a loop that a condition may end early has no derivative',
      'Run a fixed number of iterations and keep the state with where(condition, next, state).',
    );
  const states = node.inputs.slice(2) as readonly Tensor[];
  states.forEach((state, index) => {
    const [before, after] = [body.inputs[index + 2] as Tensor, body.outputs[index + 1] as Tensor];
    if (!shapeEquals(before.shape, after.shape))
      context.fail(
        `state ${index} ("${state.name}") changes its size from iteration to iteration`,
        'Use a buffer of the final size, and write into it.',
      );
  });
  const trips = count.elements?.[0];
  if (trips !== undefined && isStatic(trips) && trips <= 0) return states;
  const graph = deepestGraph(context.inputs);
  return insideGraph(graph, () => {
    const limit = count.rank === 0 ? count : reshape(count, []);
    const steps = rangeOf(graph.constant(0, 'int64'), limit, graph.constant(1, 'int64'));
    const result = scan({ state: states, inputs: [steps], graph }, (entering, [step]) => {
      const values = instantiated(body, [step as Tensor, graph.constant(1, 'bool'), ...entering]);
      return { state: values.slice(1, 1 + states.length), outputs: values.slice(1 + states.length) };
    });
    return [...result.state, ...result.outputs];
  });
}

export const controlFlowRules: readonly DerivativeRule[] = [
  conditional,
  {
    operator: 'Scan',
    order: 'any',
    notes: 'the states of the forward pass are computed again and kept, one per step',
    backward: scanBackward,
  },
  byDecomposition('Loop', loopAsScan, {
    notes: 'loops that run to their trip count, with states of constant size; other conditions have no derivative',
  }),
];
