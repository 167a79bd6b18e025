import { dft, isStatic, mul, normalizeAxis, pad, slice, type Tensor } from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** The size of an axis as a number. */
const known = (context: DerivativeContext, x: Tensor, axis: number, what: string): number => {
  const size = x.shape[axis];
  return size !== undefined && isStatic(size)
    ? size
    : context.fail(`${what} must be known when the graph is built`, 'Bind that dimension to a number.');
};

/** Cut an axis at its end, or fill it with zeros, to a size. */
function resizedAxis(x: Tensor, axis: number, from: number, to: number): Tensor {
  if (from === to) return x;
  if (from > to) return slice(x, [0], [to], [axis]);
  const pads = new Array<number>(2 * x.rank).fill(0);
  pads[x.rank + axis] = to - from;
  return pad(x, pads);
}

/**
 * A Fourier transform is a product with a symmetric matrix; the gradient is the product with its complex conjugate, which
 * is the transform in the other direction but for the factor 1/n that the inverse one has.
 */
function dftBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const { node } = context;
  const x = context.input(0);
  const gradient = context.gradient(0);
  const given = node.inputs[2] === undefined ? -2 : Number(node.inputs[2].elements?.[0]);
  const axis = normalizeAxis(given, x.rank);
  const parts = known(context, x, x.rank - 1, 'whether the signal is real or complex');
  const own = known(context, x, axis, 'the length of the signal');
  const declared = node.inputs[1] === undefined ? own : node.inputs[1].elements?.[0];
  const length =
    declared !== undefined && isStatic(declared)
      ? declared
      : context.fail('the length of the transform must be known when the graph is built', 'Give it as a number.');
  const inverse = node.int('inverse') !== 0;
  // A one-sided transform leaves the other frequencies out: they get no gradient.
  const whole = resizedAxis(gradient, axis, known(context, gradient, axis, 'the number of frequencies'), length);
  const turned = dft(whole, { axis, inverse: !inverse });
  const scaled = mul(turned, inverse ? 1 / length : length);
  const real = parts === 1 ? slice(scaled, [0], [1], [-1]) : scaled;
  // The signal was cut, or filled with zeros, to the length of the transform.
  return [resizedAxis(real, axis, length, own)];
}

/** Frames of the signal, times the window, transformed. */
function shortTime(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  const signal = context.input(0);
  const length = known(context, signal, 1, 'the length of the signal');
  const scalar = (index: number): number | undefined => {
    const value = node.inputs[index]?.elements?.[0];
    return value !== undefined && isStatic(value) ? value : undefined;
  };
  const step =
    scalar(1) ?? context.fail('its frame step must be known when the graph is built', 'Give it as a number.');
  const window = node.inputs[2];
  const declared = node.inputs[3] === undefined ? window?.shape[0] : scalar(3);
  const frame =
    declared !== undefined && isStatic(declared)
      ? declared
      : context.fail('its frame length must be known when the graph is built', 'Give it as a number.');
  const count = Math.floor((length - frame) / step) + 1;
  const places = Array.from({ length: count * frame }, (_, at) => BigInt(Math.floor(at / frame) * step + (at % frame)));
  const frames = signal.gather(
    signal.graph.constant({ dataType: 'int64', dims: [count, frame], data: BigInt64Array.from(places) }),
    1,
  );
  const weighted = window === undefined ? frames : mul(frames, window.unsqueeze([1]));
  return [dft(weighted, { axis: 2, oneSided: node.int('onesided') !== 0 })];
}

export const signalRules: readonly DerivativeRule[] = [
  {
    operator: 'DFT',
    order: 'any',
    notes: 'known lengths of signal and transform',
    backward: dftBackward,
  },
  byDecomposition('STFT', shortTime, { notes: 'known lengths of signal and frames; window too' }),
];
