import {
  add,
  concat,
  gather,
  isStatic,
  less,
  matMul,
  mul,
  rangeOf,
  relu,
  reshape,
  scan,
  shapeNode,
  sigmoid,
  slice,
  softplus,
  softsign,
  split,
  sub,
  tanh,
  transpose,
  where,
  zerosLike,
  type ScanDirection,
  type Tensor,
} from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

type Activation = (x: Tensor) => Tensor;

/** Activations without parameters; names are compared without regard to case, as the runtime does. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = { relu, sigmoid, softplus, softsign, tanh };

/** What one direction of a recurrent node consists of. */
interface DirectionParts {
  /** `x · Wᵀ`, [length, batch, gates * hidden], without biases. */
  readonly projected: Tensor;
  /** Rᵀ, [hidden, gates * hidden]. */
  readonly recurrence: Tensor;
  /** [gates * hidden] each. */
  readonly inputBias: Tensor | undefined;
  readonly recurrentBias: Tensor | undefined;
  readonly peepholes: Tensor | undefined;
  readonly hidden: number;
  readonly activations: readonly Activation[];
  readonly context: DerivativeContext;
}

interface Cell {
  readonly gates: number;
  readonly activations: readonly string[];
  /** Values computed for the whole sequence at once, and what is done with one slice of them per step. */
  prepare(parts: DirectionParts): {
    readonly sequence: Tensor;
    step(slice: Tensor, state: readonly Tensor[]): readonly Tensor[];
  };
}

const plus = (x: Tensor, bias: Tensor | undefined): Tensor => (bias === undefined ? x : add(x, bias));
const gatesOf = (x: Tensor, count: number, axis: number): readonly Tensor[] => split(x, count, axis);
const biasesOf = (bias: Tensor | undefined, count: number): readonly (Tensor | undefined)[] =>
  bias === undefined ? [] : gatesOf(bias, count, 0);

/** Gates in the order input, output, forget, cell; peepholes in the order input, output, forget. */
const longShortTerm: Cell = {
  gates: 4,
  activations: ['Sigmoid', 'Tanh', 'Tanh'],
  prepare({ projected, recurrence, inputBias, recurrentBias, peepholes, activations, context }) {
    const [gate, update, squash] = activations as [Activation, Activation, Activation];
    const coupled = context.node.int('input_forget') === 1;
    const [peepInput, peepOutput, peepForget] = biasesOf(peepholes, 3);
    const peeped = (x: Tensor, weights: Tensor | undefined, cell: Tensor): Tensor =>
      weights === undefined ? x : add(x, mul(weights, cell));
    return {
      sequence: plus(plus(projected, inputBias), recurrentBias),
      step(slice, [hidden, cell]) {
        const [input, output, forget, candidate] = gatesOf(add(slice, matMul(hidden as Tensor, recurrence)), 4, 1) as [
          Tensor,
          Tensor,
          Tensor,
          Tensor,
        ];
        const before = cell as Tensor;
        const opened = gate(peeped(input, peepInput, before));
        const kept = coupled ? sub(1, opened) : gate(peeped(forget, peepForget, before));
        const next = add(mul(kept, before), mul(opened, update(candidate)));
        return [mul(gate(peeped(output, peepOutput, next)), squash(next)), next];
      },
    };
  },
};

/** Gates in the order update, reset, hidden. */
const gatedUnit: Cell = {
  gates: 3,
  activations: ['Sigmoid', 'Tanh'],
  prepare({ projected, recurrence, inputBias, recurrentBias, activations, context, hidden }) {
    const [gate, squash] = activations as [Activation, Activation];
    const linearBeforeReset = context.node.int('linear_before_reset') !== 0;
    const [fromGates, fromHidden] = split(recurrence, [2 * hidden, hidden], 1) as [Tensor, Tensor];
    const [gateBias, hiddenBias] =
      recurrentBias === undefined ? [undefined, undefined] : split(recurrentBias, [2 * hidden, hidden], 0);
    return {
      sequence: plus(projected, inputBias),
      step(slice, [state]) {
        const before = state as Tensor;
        const [early, late] = split(slice, [2 * hidden, hidden], 1) as [Tensor, Tensor];
        const gates = gate(plus(add(early, matMul(before, fromGates)), gateBias));
        const [update, reset] = gatesOf(gates, 2, 1) as [Tensor, Tensor];
        const remembered = linearBeforeReset
          ? mul(reset, plus(matMul(before, fromHidden), hiddenBias))
          : plus(matMul(mul(reset, before), fromHidden), hiddenBias);
        const candidate = squash(add(late, remembered));
        return [add(mul(sub(1, update), candidate), mul(update, before))];
      },
    };
  },
};

const simple: Cell = {
  gates: 1,
  activations: ['Tanh'],
  prepare: ({ projected, recurrence, inputBias, recurrentBias, activations }) => ({
    sequence: plus(plus(projected, inputBias), recurrentBias),
    step: (slice, [hidden]) => [(activations[0] as Activation)(add(slice, matMul(hidden as Tensor, recurrence)))],
  }),
};

function activationsOf(context: DerivativeContext, cell: Cell, direction: number): readonly Activation[] {
  const names = context.node.attribute('activations', 'strings') ?? [];
  return cell.activations.map((standard, index) => {
    const name = names[direction * cell.activations.length + index] ?? standard;
    return (
      ACTIVATIONS[name.toLowerCase()] ??
      context.fail(`the activation ${name} has no derivative here`, 'Use Tanh, Sigmoid, Relu, Softsign or Softplus.')
    );
  });
}

/** 1 where a step is within the length of its sequence, [length, batch, 1]. */
function withinLength(x: Tensor, lengths: Tensor): Tensor {
  const { graph } = x;
  const length = reshape(shapeNode(x, { start: 0, end: 1 }), []);
  const steps = rangeOf(graph.constant(0, 'int64'), length, graph.constant(1, 'int64'));
  return less(steps.unsqueeze([1, 2]), lengths.cast('int64').unsqueeze([0, 2]));
}

/**
 * The cell as a scan over time, each direction on its own. The products of inputs and weights are independent of the
 * state and are taken for the whole sequence at once.
 */
function unrolled(context: DerivativeContext, cell: Cell): readonly (Tensor | undefined)[] {
  const { node } = context;
  const [x, weights, recurrence] = [context.input(0), context.input(1), context.input(2)];
  const [, , , bias, lengths, initialHidden, initialCell, peepholes] = node.inputs;
  if (node.attribute('clip', 'float') !== undefined)
    context.fail('clip has no derivative', 'Clip the gradients instead, or leave it out.');
  if (node.int('layout') !== 0)
    context.fail('the batch-first layout has no derivative', 'Transpose the input and leave batchFirst out.');
  const declared = node.attribute('hidden_size', 'int');
  const known = declared === undefined ? recurrence.shape[2] : Number(declared);
  const hidden =
    known !== undefined && isStatic(known)
      ? known
      : context.fail('its hidden size must be known when the graph is built');
  const name = node.string('direction');
  const directions: readonly ScanDirection[] =
    name === 'bidirectional' ? ['forward', 'backward'] : [name === 'reverse' ? 'backward' : 'forward'];
  const part = (value: Tensor, direction: number): Tensor =>
    (directions.length === 1 ? value : slice(value, [direction], [direction + 1], [0])).squeeze([0]);
  const optional = (value: Tensor | undefined, direction: number): Tensor | undefined =>
    value === undefined ? undefined : part(value, direction);
  const within = lengths === undefined ? undefined : withinLength(x, lengths);

  const results = directions.map((direction, at) => {
    const biases = bias === undefined ? [] : gatesOf(part(bias, at), 2, 0);
    const { sequence, step } = cell.prepare({
      projected: matMul(x, transpose(part(weights, at))),
      recurrence: transpose(part(recurrence, at)),
      inputBias: biases[0],
      recurrentBias: biases[1],
      peepholes: optional(peepholes, at),
      hidden,
      activations: activationsOf(context, cell, at),
      context,
    });
    const zeros = (): Tensor => zerosLike(slice(gather(sequence, x.graph.constant(0, 'int64')), [0], [hidden], [1]));
    const initial = [optional(initialHidden, at) ?? zeros()];
    if (cell.gates === 4) initial.push(optional(initialCell, at) ?? zeros());
    const inputs = within === undefined ? [sequence] : [sequence, within];
    return scan(
      {
        state: initial,
        inputs,
        inputDirections: inputs.map(() => direction),
        outputDirections: [direction],
      },
      (before, [now, valid]) => {
        const after = step(now as Tensor, before);
        // Beyond the end of its sequence a state stays as it is and the output is zero.
        const state =
          valid === undefined ? after : after.map((value, index) => where(valid, value, before[index] as Tensor));
        const output = after[0] as Tensor;
        return { state, outputs: [valid === undefined ? output : where(valid, output, 0)] };
      },
    );
  });
  const joined = (parts: readonly Tensor[], axis: number): Tensor => {
    const lifted = parts.map((one) => one.unsqueeze([axis]));
    return lifted.length === 1 ? (lifted[0] as Tensor) : concat(lifted, axis);
  };
  return [
    joined(
      results.map(({ outputs }) => outputs[0] as Tensor),
      1,
    ),
    ...Array.from({ length: cell.gates === 4 ? 2 : 1 }, (_, index) =>
      joined(
        results.map(({ state }) => state[index] as Tensor),
        0,
      ),
    ),
  ];
}

const NOTES =
  'written out as a scan; activations Tanh, Sigmoid, Relu, Softsign and Softplus; neither clip nor the batch-first layout';

export const recurrentRules: readonly DerivativeRule[] = [
  byDecomposition('LSTM', (context) => unrolled(context, longShortTerm), { notes: NOTES }),
  byDecomposition('GRU', (context) => unrolled(context, gatedUnit), { notes: NOTES }),
  byDecomposition('RNN', (context) => unrolled(context, simple), { notes: NOTES }),
];
