import { dimSubstitute, dimText, shapeText, type DimAssumption, type TensorData } from '@updraft/graph';
import type { HostTensors, ProgramInput } from './backend.js';
import { FeedError } from './errors.js';
import { checkStorage } from './host-tensors.js';

/**
 * Check every feed against the declared inputs: presence, element type, storage, shape, and that all agree on the sizes
 * of symbolic dimensions and on what broadcasting took to be equal. Nothing that fails here reaches native code.
 */
export function checkFeeds(
  inputs: readonly ProgramInput[],
  feeds: HostTensors,
  assumptions: readonly DimAssumption[],
): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const input of inputs) {
    const value = feeds[input.name];
    if (value === undefined)
      throw new FeedError(`The program needs the input "${input.name}" (${describe(input)}).`, {
        hint: `Given are: ${Object.keys(feeds).join(', ') || 'none'}.`,
      });
    checkShape(input, value, sizes);
    checkStorage(input.name, value);
  }
  if (Object.keys(feeds).length > inputs.length) {
    const known = new Set(inputs.map(({ name }) => name));
    const unknown = Object.keys(feeds).filter((name) => !known.has(name));
    throw new FeedError(`The program has no input ${unknown.map((name) => `"${name}"`).join(', ')}.`, {
      hint: `It has: ${[...known].join(', ')}.`,
    });
  }
  for (const { left, right, where } of assumptions) {
    const [a, b] = [dimSubstitute(left, sizes), dimSubstitute(right, sizes)];
    if (typeof a === 'number' && typeof b === 'number' && a !== b)
      throw new FeedError(
        `The sizes ${dimText(left)} = ${a} and ${dimText(right)} = ${b} must be equal, because ${where} broadcasts them.`,
        { hint: 'Give inputs whose sizes agree.' },
      );
  }
  return sizes;
}

const describe = (input: ProgramInput): string => `${input.dataType}${shapeText(input.shape)}`;

function checkShape(input: ProgramInput, value: TensorData, sizes: Map<string, number>): void {
  const refuse = (why: string): never => {
    throw new FeedError(
      `The input "${input.name}" is ${describe(input)}, but ${value.dataType}[${value.dims.join(', ')}] was given: ${why}.`,
    );
  };
  if (value.dataType !== input.dataType) refuse('the element types differ');
  if (value.dims.length !== input.shape.length) refuse('the ranks differ');
  input.shape.forEach((dim, axis) => {
    const size = value.dims[axis] as number;
    if (typeof dim === 'number') {
      if (dim !== size) refuse(`axis ${axis} has size ${size}, not ${dim}`);
      return;
    }
    const bound = dimSubstitute(dim, sizes);
    if (typeof bound === 'number') {
      if (bound !== size) refuse(`axis ${axis} has size ${size} where ${dimText(dim)} is ${bound}`);
    } else if (/^[^()*+-]+$/.test(dim.text)) sizes.set(dim.text, size);
  });
}
