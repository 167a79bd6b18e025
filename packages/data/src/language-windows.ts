import type { Dataset } from './dataset.js';
import { DataError } from './errors.js';
import { wordsOf } from './int64.js';

const isPositive = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;

/**
 * Windows over a token sequence for language models: `tokens` int64 [context] and `label` int64 [context], the tokens
 * that follow each position. Windows start every `stride` tokens (default: the context, so that each token is predicted
 * once); what is left at the end is not used.
 *
 * @throws DataError when not one window fits, or a token is no id of at most 32 bits.
 */
export function languageWindows(tokens: ArrayLike<number>, context: number, stride = context): Dataset {
  if (!isPositive(context) || !isPositive(stride))
    throw new DataError(`The context is ${context} and the stride ${stride}; both must be positive integers.`);
  const length = Math.floor((tokens.length - 1 - context) / stride) + 1;
  if (length < 1)
    throw new DataError(`${tokens.length} tokens give no window of ${context} tokens and the one after it.`, {
      hint: 'Use a longer text or a shorter context.',
    });
  const ids = tokens instanceof Uint32Array ? tokens : Uint32Array.from(tokens);
  if (ids !== tokens)
    for (let at = 0; at < ids.length; at++)
      if (ids[at] !== tokens[at]) throw new DataError(`Token ${at} is ${tokens[at]}: no id of at most 32 bits.`);
  return {
    length,
    columns: {
      tokens: { dataType: 'int64', shape: [context], meaning: 'Token ids.' },
      label: { dataType: 'int64', shape: [context], meaning: 'The id that follows each token.' },
    },
    read(column, index, into, row) {
      const words = wordsOf(into);
      let from = index * stride + (column === 'label' ? 1 : 0);
      for (let to = 2 * row * context, end = to + 2 * context; to < end; to += 2, from++) {
        words[to] = ids[from] as number;
        words[to + 1] = 0;
      }
    },
  };
}

/**
 * Cut a token sequence in two at a place, for training and validation. No window then reaches from one part into the
 * other, which splitting the windows themselves would allow when they overlap.
 */
export function splitTokens(
  tokens: Uint32Array,
  fraction: number,
): { readonly train: Uint32Array; readonly validation: Uint32Array } {
  if (!(fraction > 0 && fraction < 1))
    throw new DataError(`The share of the tokens to train on is ${fraction}; it lies between 0 and 1.`);
  const border = Math.floor(fraction * tokens.length + 1e-9);
  return { train: tokens.subarray(0, border), validation: tokens.subarray(border) };
}
