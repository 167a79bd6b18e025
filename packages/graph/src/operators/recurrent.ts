import { applyNode, type AttributeValues } from '../apply.js';
import { dimMultiply, isStatic, type Dim } from '../dimension.js';
import type { AttributeSchema, InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { FLOATS_BUT_BFLOAT16 } from '../type-sets.js';
import { expectShape, requireFilled } from './checks.js';
import { flag } from './operands.js';

const CELL_ATTRIBUTES: Readonly<Record<string, AttributeSchema>> = {
  activation_alpha: { kind: 'floats' },
  activation_beta: { kind: 'floats' },
  activations: { kind: 'strings' },
  clip: { kind: 'float' },
  direction: { kind: 'string', default: 'forward', values: ['forward', 'reverse', 'bidirectional'] },
  hidden_size: { kind: 'int' },
  layout: { kind: 'int', default: 0 },
};

interface Cell {
  readonly gates: number;
  /** Activation functions per direction. */
  readonly activations: number;
}

/** The input, if given, has to have this shape. */
function expectInput(context: InferenceContext, index: number, what: string, expected: Shape): void {
  const value = context.inputs[index];
  if (value !== undefined) expectShape(context, value, expected, what);
}

/** Checks every input against the first three; returns the shapes of the sequence of states and of one state. */
function cellShapes(context: InferenceContext, cell: Cell): { readonly sequence: Shape; readonly state: Shape } {
  const { node } = context;
  const [x, w, r] = [context.input(0), context.input(1), context.input(2)];
  for (const [value, what] of [
    [x, 'the input'],
    [w, 'W'],
    [r, 'R'],
  ] as const) {
    if (value.rank !== 3) context.fail(`${what} ${shapeText(value.shape)} is not three-dimensional`);
    requireFilled(context, value.shape, what);
  }
  const layout = node.int('layout');
  if (layout !== 0 && layout !== 1) context.fail(`layout is ${layout}, not 0 or 1`);
  const [length, batch] = (layout === 0 ? [x.shape[0], x.shape[1]] : [x.shape[1], x.shape[0]]) as [Dim, Dim];
  const directions = node.string('direction') === 'bidirectional' ? 2 : 1;
  const declared = node.attribute('hidden_size', 'int');
  const hidden = declared === undefined ? (r.shape[2] as Dim) : Number(declared);
  if (isStatic(hidden) && hidden < 1) context.fail(`hidden_size is ${hidden}`);
  const rows = dimMultiply(hidden, cell.gates);
  expectInput(context, 1, 'W', [directions, rows, x.shape[2] as Dim]);
  expectInput(context, 2, 'R', [directions, rows, hidden]);
  expectInput(context, 3, 'B', [directions, dimMultiply(rows, 2)]);
  expectInput(context, 4, 'sequence_lens', [batch]);
  const state: Shape = layout === 0 ? [directions, batch, hidden] : [batch, directions, hidden];
  expectInput(context, 5, 'initial_h', state);
  if (cell.gates === 4) {
    expectInput(context, 6, 'initial_c', state);
    expectInput(context, 7, 'P', [directions, dimMultiply(hidden, 3)]);
  }
  const activations = node.attribute('activations', 'strings');
  // The default of RNN has an entry too many for one direction.
  if (activations !== undefined && activations.length > 0 && activations.length < directions * cell.activations)
    context.fail(`it has ${activations.length} activations, not ${directions * cell.activations}`);
  return {
    sequence: layout === 0 ? [length, directions, batch, hidden] : [batch, length, directions, hidden],
    state,
  };
}

const FLOAT = { types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' } as const;
const CELL_INPUTS: OperatorSchema['inputs'] = [
  { name: 'X', ...FLOAT },
  { name: 'W', ...FLOAT },
  { name: 'R', ...FLOAT },
  { name: 'B', ...FLOAT, optional: true },
  { name: 'sequence_lens', types: ['int32'], optional: true },
  { name: 'initial_h', ...FLOAT, optional: true },
];

function recurrent(
  type: string,
  cell: Cell,
  inputs: OperatorSchema['inputs'],
  attributes: Readonly<Record<string, AttributeSchema>>,
): OperatorSchema {
  const states = cell.gates === 4 ? 2 : 1;
  return {
    type,
    since: 14,
    inputs: [...CELL_INPUTS, ...inputs],
    attributes: { ...CELL_ATTRIBUTES, ...attributes },
    outputs: [1, 1 + states],
    infer(context) {
      const { sequence, state } = cellShapes(context, cell);
      const { dataType } = context.input(0);
      return [{ dataType, shape: sequence }, ...Array.from({ length: states }, () => ({ dataType, shape: state }))];
    },
  };
}

const LSTM = recurrent(
  'LSTM',
  { gates: 4, activations: 3 },
  [
    { name: 'initial_c', ...FLOAT, optional: true },
    { name: 'P', ...FLOAT, optional: true },
  ],
  { input_forget: { kind: 'int', default: 0 } },
);
const GRU = recurrent('GRU', { gates: 3, activations: 2 }, [], { linear_before_reset: { kind: 'int', default: 0 } });
const RNN = recurrent('RNN', { gates: 1, activations: 1 }, [], {
  activations: { kind: 'strings', default: ['Tanh', 'Tanh'] },
});

export const recurrentSchemas: readonly OperatorSchema[] = [LSTM, GRU, RNN];

export interface RecurrentOptions {
  /** Biases of input and recurrence, [directions, 2 * gates * hidden]; default: 0. */
  readonly bias?: Tensor;
  /** Valid length of each sequence of the batch (int32); default: all of it. */
  readonly sequenceLengths?: Tensor;
  /** State before the first step, [directions, batch, hidden]; default: 0. */
  readonly initialHidden?: Tensor;
  /** Default: forward. */
  readonly direction?: 'forward' | 'reverse' | 'bidirectional';
  /** Activation functions per direction, as ONNX names them. */
  readonly activations?: readonly string[];
  readonly activationAlpha?: readonly number[];
  readonly activationBeta?: readonly number[];
  /** Bound on the input of activations; default: none. */
  readonly clip?: number;
  /** Batch axis first in inputs and outputs. ONNX Runtime has no kernels for it; default: false. */
  readonly batchFirst?: boolean;
}

export interface RecurrentResult {
  /** Hidden state after each step, [sequence, directions, batch, hidden]. */
  readonly sequence: Tensor;
  /** Hidden state after the last step, [directions, batch, hidden]. */
  readonly hidden: Tensor;
}

function cellAttributes(recurrence: Tensor, options: RecurrentOptions): AttributeValues {
  const hidden = recurrence.shape[2];
  return {
    // The runtime insists on the attribute although the weights say it.
    hidden_size: hidden !== undefined && isStatic(hidden) ? hidden : undefined,
    direction: options.direction,
    activations: options.activations,
    activation_alpha: options.activationAlpha,
    activation_beta: options.activationBeta,
    clip: options.clip,
    layout: flag(options.batchFirst),
  };
}

/** The optional inputs that all cells share, in the order of the operator. */
const cellInputs = (options: RecurrentOptions): readonly (Tensor | undefined)[] => [
  options.bias,
  options.sequenceLengths,
  options.initialHidden,
];

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997). `x` is [sequence, batch, input], `weights` [directions,
 * 4 * hidden, input] and `recurrence` [directions, 4 * hidden, hidden], with the gates in the order input, output,
 * forget, cell.
 */
export function lstm(
  x: Tensor,
  weights: Tensor,
  recurrence: Tensor,
  options: RecurrentOptions & {
    readonly initialCell?: Tensor;
    /** Weights from the cell to the gates input, output, forget: [directions, 3 * hidden]. */
    readonly peepholes?: Tensor;
    /** Couple the forget gate to the input gate; default: false. */
    readonly inputForget?: boolean;
  } = {},
): RecurrentResult & { readonly cell: Tensor } {
  const [sequence, hidden, cell] = applyNode(
    LSTM,
    [x, weights, recurrence, ...cellInputs(options), options.initialCell, options.peepholes],
    { ...cellAttributes(recurrence, options), input_forget: flag(options.inputForget) },
    { outputs: 3 },
  ).outputs as readonly [Tensor, Tensor, Tensor];
  return { sequence, hidden, cell };
}

/**
 * Gated recurrent unit (Cho et al. 2014). `weights` [directions, 3 * hidden, input] and `recurrence` [directions,
 * 3 * hidden, hidden] hold the gates in the order update, reset, hidden.
 */
export function gru(
  x: Tensor,
  weights: Tensor,
  recurrence: Tensor,
  options: RecurrentOptions & {
    /** Apply the recurrence before the reset gate instead of after it (as PyTorch and cuDNN); default: false. */
    readonly linearBeforeReset?: boolean;
  } = {},
): RecurrentResult {
  const [sequence, hidden] = applyNode(
    GRU,
    [x, weights, recurrence, ...cellInputs(options)],
    { ...cellAttributes(recurrence, options), linear_before_reset: flag(options.linearBeforeReset) },
    { outputs: 2 },
  ).outputs as readonly [Tensor, Tensor];
  return { sequence, hidden };
}

/** Simple recurrent network: `h = tanh(x · Wᵀ + h · Rᵀ + b)`, with `weights` [directions, hidden, input]. */
export function rnn(x: Tensor, weights: Tensor, recurrence: Tensor, options: RecurrentOptions = {}): RecurrentResult {
  const [sequence, hidden] = applyNode(
    RNN,
    [x, weights, recurrence, ...cellInputs(options)],
    cellAttributes(recurrence, options),
    { outputs: 2 },
  ).outputs as readonly [Tensor, Tensor];
  return { sequence, hidden };
}
