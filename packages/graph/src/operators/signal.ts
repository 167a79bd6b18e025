import { apply } from '../apply.js';
import { dataTypeFromCode, DATA_TYPES, readElement, type DataType } from '../data-type.js';
import { dimAdd, dimFloorDivide, dimSubtract, isStatic, type Dim } from '../dimension.js';
import type { Graph } from '../graph.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { FLOATS, INDICES } from '../type-sets.js';
import { requireFilled } from './checks.js';
import { flag } from './operands.js';

/** Contents of an integer scalar, or a new symbol. */
const scalarOf = (context: InferenceContext, index: number, hint: string): Dim =>
  context.elements(index)?.[0] ?? context.unknownDim(hint);

/** Number of frequencies of a transform of this length. */
const frequencies = (length: Dim, oneSided: boolean): Dim => (oneSided ? dimAdd(dimFloorDivide(length, 2), 1) : length);

const DFT: OperatorSchema = {
  type: 'DFT',
  since: 20,
  inputs: [
    { name: 'input', types: FLOATS },
    { name: 'dft_length', types: INDICES, optional: true },
    { name: 'axis', types: ['int64'], optional: true },
  ],
  attributes: { inverse: { kind: 'int', default: 0 }, onesided: { kind: 'int', default: 0 } },
  infer(context) {
    const x = context.input(0);
    if (x.rank < 2)
      context.fail(`the signal ${shapeText(x.shape)} has no axis before the one of real and imaginary parts`);
    requireFilled(context, x.shape, 'the signal');
    const parts = x.shape[x.rank - 1] as Dim;
    if (isStatic(parts) && parts !== 1 && parts !== 2)
      context.fail(`the last axis of ${shapeText(x.shape)} is neither 1 (real) nor 2 (complex)`);
    const given = context.inputs[2] === undefined ? -2 : Number(context.staticElements(2, 'the axis')[0]);
    if (given < -x.rank || given >= x.rank || given === -1 || given === x.rank - 1)
      context.fail(
        `axis ${given} is no signal axis of ${shapeText(x.shape)}`,
        'The last axis holds real and imaginary parts.',
      );
    const axis = given < 0 ? given + x.rank : given;
    const [inverse, oneSided] = [context.node.int('inverse') !== 0, context.node.int('onesided') !== 0];
    const shape = [...x.shape];
    const length = context.inputs[1] === undefined ? (x.shape[axis] as Dim) : scalarOf(context, 1, 'length');
    if (isStatic(length) && length < 1) context.fail(`the length of the transform is ${length}`);
    if (inverse && oneSided)
      context.fail('a one-sided inverse transform is not supported', 'Mirror the spectrum first.');
    shape[axis] = frequencies(length, oneSided);
    shape[x.rank - 1] = 2;
    return [{ dataType: x.dataType, shape }];
  },
};

const STFT: OperatorSchema = {
  type: 'STFT',
  since: 17,
  inputs: [
    { name: 'signal', types: FLOATS, typeVariable: 'T1' },
    { name: 'frame_step', types: INDICES, typeVariable: 'T2' },
    { name: 'window', types: FLOATS, typeVariable: 'T1', optional: true },
    { name: 'frame_length', types: INDICES, typeVariable: 'T2', optional: true },
  ],
  attributes: { onesided: { kind: 'int', default: 1 } },
  infer(context) {
    const signal = context.input(0);
    if (signal.rank !== 3) context.fail(`the signal ${shapeText(signal.shape)} is not [batch, length, 1 or 2]`);
    requireFilled(context, signal.shape, 'the signal');
    const window = context.inputs[2];
    if (window !== undefined && window.rank !== 1)
      context.fail(`the window ${shapeText(window.shape)} is not one-dimensional`);
    if (window === undefined && context.inputs[3] === undefined)
      context.fail('it has neither a window nor a frame length');
    const length = context.inputs[3] === undefined ? (window?.shape[0] as Dim) : scalarOf(context, 3, 'frame');
    if (window !== undefined) context.unify(length, window.shape[0] as Dim, 'frame length and window');
    const step = scalarOf(context, 1, 'step');
    if (isStatic(step) && step < 1) context.fail(`the frame step is ${step}`);
    if (isStatic(length) && length < 1) context.fail(`the frame length is ${length}`);
    const slack = dimSubtract(signal.shape[1] as Dim, length);
    if (isStatic(slack) && slack < 0) context.fail(`the signal ${shapeText(signal.shape)} is shorter than one frame`);
    const frames = dimAdd(dimFloorDivide(slack, step), 1);
    return [
      {
        dataType: signal.dataType,
        shape: [signal.shape[0] as Dim, frames, frequencies(length, context.node.int('onesided') !== 0), 2],
      },
    ];
  },
};

/** Element type that the attribute `output_datatype` names. */
function outputType(context: InferenceContext): DataType {
  const code = context.node.int('output_datatype');
  return dataTypeFromCode(code) ?? context.fail(`output_datatype ${code} is no element type that is supported`);
}

const window = (type: string): OperatorSchema => ({
  type,
  since: 17,
  inputs: [{ name: 'size', types: INDICES }],
  attributes: { output_datatype: { kind: 'int', default: 1 }, periodic: { kind: 'int', default: 1 } },
  infer(context) {
    const size = scalarOf(context, 0, 'window');
    if (isStatic(size) && size < 1) context.fail(`the size of the window is ${size}`);
    return [{ dataType: outputType(context), shape: [size] }];
  },
});

const HANN = window('HannWindow');
const HAMMING = window('HammingWindow');
const BLACKMAN = window('BlackmanWindow');

const MEL_WEIGHT_MATRIX: OperatorSchema = {
  type: 'MelWeightMatrix',
  since: 17,
  inputs: [
    { name: 'num_mel_bins', types: INDICES, typeVariable: 'T1' },
    { name: 'dft_length', types: INDICES, typeVariable: 'T1' },
    { name: 'sample_rate', types: INDICES, typeVariable: 'T1' },
    { name: 'lower_edge_hertz', types: FLOATS, typeVariable: 'T2' },
    { name: 'upper_edge_hertz', types: FLOATS, typeVariable: 'T2' },
  ],
  attributes: { output_datatype: { kind: 'int', default: 1 } },
  infer(context) {
    const [bins, length] = [scalarOf(context, 0, 'bins'), scalarOf(context, 1, 'length')];
    for (const [value, what] of [
      [bins, 'number of bins'],
      [length, 'length of the transform'],
    ] as const)
      if (isStatic(value) && value < 1) context.fail(`the ${what} is ${value}`);
    const edges = [context.inputs[3]?.constant, context.inputs[4]?.constant].map((value) =>
      value === undefined ? undefined : readElement(value, 0),
    ) as [number | undefined, number | undefined];
    if (edges[0] !== undefined && edges[1] !== undefined && !(edges[0] >= 0 && edges[0] <= edges[1]))
      context.fail(`the edges ${edges[0]} and ${edges[1]} hertz are no range`);
    return [{ dataType: outputType(context), shape: [frequencies(length, true), bins] }];
  },
};

export const signalSchemas: readonly OperatorSchema[] = [DFT, STFT, HANN, HAMMING, BLACKMAN, MEL_WEIGHT_MATRIX];

const scalar = (graph: Graph, value: number | Tensor | undefined): Tensor | undefined =>
  typeof value === 'number' ? graph.constant(value, 'int64') : value;

export interface DftOptions {
  /** Length of the transform; the signal is cut or padded with zeros. Default: that of the signal. */
  readonly length?: number | Tensor;
  /** Axis of the signal; default: -2. */
  readonly axis?: number;
  readonly inverse?: boolean;
  /** Only the frequencies that determine the others, for real signals; default: false. */
  readonly oneSided?: boolean;
}

/** Discrete Fourier transform of a signal whose last axis holds its real part, or real and imaginary parts. */
export const dft = (x: Tensor, options: DftOptions = {}): Tensor =>
  apply(DFT, [x, scalar(x.graph, options.length), scalar(x.graph, options.axis)], {
    inverse: flag(options.inverse),
    onesided: flag(options.oneSided),
  });

export interface StftOptions {
  /** Elements between the begins of frames. */
  readonly frameStep: number | Tensor;
  /** Factors of the elements of a frame, [frame length]; default: 1. */
  readonly window?: Tensor;
  /** Default: the length of the window. */
  readonly frameLength?: number | Tensor;
  /** Default: true. */
  readonly oneSided?: boolean;
}

/** Spectra [batch, frames, frequencies, 2] of overlapping frames of a signal [batch, length, 1 or 2]. */
export const stft = (signal: Tensor, options: StftOptions): Tensor =>
  apply(
    STFT,
    [signal, scalar(signal.graph, options.frameStep), options.window, scalar(signal.graph, options.frameLength)],
    { onesided: flag(options.oneSided) },
  );

export interface WindowFunctionOptions {
  /** Leave out the last element of the symmetric window, as for spectra; default: true. */
  readonly periodic?: boolean;
  /** Default: float32. */
  readonly dataType?: Exclude<DataType, 'string' | 'bool'>;
}

const windowFunction =
  (schema: OperatorSchema) =>
  (size: Tensor, options: WindowFunctionOptions = {}): Tensor =>
    apply(schema, [size], {
      periodic: flag(options.periodic),
      output_datatype: options.dataType === undefined ? undefined : DATA_TYPES[options.dataType].code,
    });

/** Hann window with `size` elements (an integer scalar). */
export const hannWindow = windowFunction(HANN);
/** Hamming window with `size` elements (an integer scalar). */
export const hammingWindow = windowFunction(HAMMING);
/** Blackman window with `size` elements (an integer scalar). */
export const blackmanWindow = windowFunction(BLACKMAN);

/** Weights [frequencies, bins] that gather a one-sided spectrum into bins of the mel scale. */
export const melWeightMatrix = (
  graph: Graph,
  options: {
    readonly bins: number;
    /** Length of the transform that made the spectrum. */
    readonly length: number;
    readonly sampleRate: number;
    readonly lowerEdgeHertz: number;
    readonly upperEdgeHertz: number;
  },
): Tensor =>
  apply(MEL_WEIGHT_MATRIX, [
    ...[options.bins, options.length, options.sampleRate].map((value) => graph.constant(value, 'int64')),
    ...[options.lowerEdgeHertz, options.upperEdgeHertz].map((value) => graph.constant(value)),
  ]);
