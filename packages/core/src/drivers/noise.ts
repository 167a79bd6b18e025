import { dimSubstitute, dimText, type Dim, type TensorData } from '@updraft/graph';
import { CoreError } from '../errors.js';
import type { NoiseDistribution } from '../module/scope.js';
import type { RandomStream } from '../random/index.js';

/** Fill a float32 buffer from a stream. */
export function fillNoise(target: Float32Array, distribution: NoiseDistribution, random: RandomStream): void {
  switch (distribution) {
    case 'normal':
      random.fillNormal(target);
      return;
    case 'uniform':
      random.fillUniform(target);
      return;
    case 'rademacher':
      random.fillRademacher(target);
      return;
    case 'gumbel':
      random.fillGumbel(target);
      return;
    case 'segmented-uniform':
      random.fillUniform(target);
      // One number decides sign and size: [0, ½) goes to [½, 1), [½, 1) to (-1, -½].
      for (let index = 0; index < target.length; index++) {
        const value = target[index] as number;
        target[index] = value < 0.5 ? value + 0.5 : -value;
      }
      return;
  }
}

/** Concrete shape of a noise input, given the sizes that the batch binds. */
export function bindShape(shape: readonly Dim[], sizes: ReadonlyMap<string, number>, what: string): number[] {
  return shape.map((dim) => {
    const bound = dimSubstitute(dim, sizes);
    if (typeof bound !== 'number')
      throw new CoreError('shape', `The size ${dimText(dim)} of ${what} is not bound by any batch column.`, {
        hint: `Bound are: ${[...sizes].map(([name, size]) => `${name} = ${size}`).join(', ') || 'none'}.`,
      });
    return bound;
  });
}

/** Sizes that a batch gives to the symbolic dimensions of its declared columns. */
export function bindSizes(
  columns: Readonly<Record<string, { readonly shape: readonly (number | string)[] }>>,
  values: Readonly<Record<string, TensorData>>,
): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [name, spec] of Object.entries(columns)) {
    const value = values[name];
    if (value === undefined)
      throw new CoreError('batch', `The batch lacks its column "${name}".`, {
        hint: `It has: ${Object.keys(values).join(', ') || 'none'}.`,
      });
    if (value.dims.length !== spec.shape.length)
      throw new CoreError(
        'batch',
        `The batch column "${name}" has shape [${value.dims.join(', ')}], declared is [${spec.shape.join(', ')}].`,
      );
    spec.shape.forEach((dim, axis) => {
      const size = value.dims[axis] as number;
      const expected = typeof dim === 'number' ? dim : sizes.get(dim);
      if (expected !== undefined && expected !== size)
        throw new CoreError(
          'batch',
          `The batch column "${name}" has size ${size} on axis ${axis} where ${typeof dim === 'string' ? `${dim} = ` : ''}${expected} is needed.`,
          { hint: 'All columns of a batch share the sizes of their named dimensions.' },
        );
      if (typeof dim === 'string') sizes.set(dim, size);
    });
  }
  return sizes;
}
