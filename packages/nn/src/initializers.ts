import type { Initializer } from '@updraft/core';

/** Inputs and outputs of a weight: `[in, out]` for dense, `[out, in / group, ...kernel]` for convolution. */
export interface Fans {
  readonly in: number;
  readonly out: number;
}

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

export const zeros: Initializer = (shape) => new Float32Array(product(shape));
export const ones: Initializer = (shape) => new Float32Array(product(shape)).fill(1);
export const constant =
  (value: number): Initializer =>
  (shape) =>
    new Float32Array(product(shape)).fill(value);

/** Normal with mean 0. */
export const normal =
  (deviation: number): Initializer =>
  (shape, random) => {
    const values = new Float32Array(product(shape));
    random.fillNormal(values);
    for (let index = 0; index < values.length; index++) values[index] = (values[index] as number) * deviation;
    return values;
  };

/** Uniform in (-bound, bound). */
export const uniform =
  (bound: number): Initializer =>
  (shape, random) => {
    const values = new Float32Array(product(shape));
    random.fillUniform(values);
    for (let index = 0; index < values.length; index++) values[index] = ((values[index] as number) * 2 - 1) * bound;
    return values;
  };

/** He et al. 2015: variance 2 / fan-in, for layers followed by ReLU. */
export const heNormal = (fans: Fans): Initializer => normal(Math.sqrt(2 / fans.in));
/** He et al. 2015, uniform. */
export const heUniform = (fans: Fans): Initializer => uniform(Math.sqrt(6 / fans.in));
/** Glorot and Bengio 2010: variance 2 / (fan-in + fan-out). */
export const glorotUniform = (fans: Fans): Initializer => uniform(Math.sqrt(6 / (fans.in + fans.out)));
export const glorotNormal = (fans: Fans): Initializer => normal(Math.sqrt(2 / (fans.in + fans.out)));
/** LeCun et al. 1998: variance 1 / fan-in. */
export const lecunNormal = (fans: Fans): Initializer => normal(Math.sqrt(1 / fans.in));
